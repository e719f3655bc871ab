//! One EBS volume with the broker and log directory it backs, and how close it is to its limits.

use serde::Serialize;

use super::broker::lower;
use super::filling::Incoming;
use super::join::Backed;
use super::join::Join;
use super::{Cell, percent_of};
use crate::model::backing;
use crate::model::cloud::{InstanceMetrics, Metrics, Point, SNAPSHOT_DAYS, Volume, VolumeMetrics};
use crate::model::limit::{self, Load};
use crate::model::logdir::LogDir;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment, Observed};

/// One volume, ready to show.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VolumeRow {
    pub id: String,
    pub broker: Option<BrokerId>,
    pub logdir: Option<String>,
    /// How the log directory was found, or why it was not.
    pub method: String,
    pub volume_type: String,
    pub size_gib: i64,
    pub state: String,
    pub zone: String,
    pub encrypted: bool,
    pub instance: Option<String>,
    pub device: Option<String>,
    pub used_percent: Cell<f64>,
    pub used_bytes: Cell<u64>,
    pub growth_bytes_per_second: Cell<f64>,
    /// With what moves in flight still bring to the log directory.
    pub full_in_seconds: Cell<f64>,
    /// What moves in flight still bring.
    pub incoming_bytes: u64,
    /// The file system's size over that of its volumes. Under 93 % it was not extended after the volume grew.
    pub filesystem_percent: Cell<f64>,
    /// MB/s, 10⁶ bytes, read and write together.
    pub throughput_mb_per_second: Cell<f64>,
    /// The volume's own limit in MB/s; AWS's MiB converted.
    pub throughput_limit_mb_per_second: Cell<f64>,
    pub throughput_percent: Cell<f64>,
    pub iops: Cell<f64>,
    pub iops_limit: Cell<f64>,
    pub iops_percent: Cell<f64>,
    /// The limit that is met first: its own throughput or IOPS, or its instance's EBS or network baseline.
    pub binding: Cell<Load>,
    /// Of that limit, when the worst other zone is lost; see [`limit::zone_down`].
    pub zone_down_percent: Cell<f64>,
    /// The zone that is meant.
    pub zone_down: Option<String>,
    /// What lifts the limit that binds, with its price.
    pub raise: Cell<String>,
    pub queue_length: Cell<f64>,
    pub read_latency_ms: Cell<f64>,
    pub write_latency_ms: Cell<f64>,
    /// Write latency over the median of the other volumes of its type; from 3 on it is a slow one (gray failure).
    pub latency_vs_peers: Cell<f64>,
    /// gp2, st1 and sc1 only.
    pub burst_percent: Cell<f64>,
    /// Burst credit of the instance for EBS, the lower of bytes and operations.
    pub instance_burst_percent: Cell<f64>,
    pub stalled: Cell<bool>,
    pub modification: Option<String>,
    pub modification_state: Option<String>,
    pub modification_progress_percent: Option<i64>,
    /// Begun in the last 24 hours, of 4 that EBS allows: at least so many, because EC2 tells the last one only.
    pub modifications_24h: u32,
    /// Since its last completed snapshot was begun.
    pub snapshot_age_seconds: Cell<i64>,
    /// Age of what EC2 said of the volume, when it fails to say it again.
    pub stale_seconds: Option<i64>,
}

impl VolumeRow {
    /// In order of broker, then volume id; volumes of no broker last.
    pub fn all(snapshot: &Snapshot, join: &Join<'_>, now: Moment) -> Vec<Self> {
        let sections = snapshot.cloud.volumes.values();
        let volumes = sections.flat_map(|section| {
            section
                .get()
                .into_iter()
                .flat_map(move |volumes| volumes.values().map(move |volume| (section, volume)))
        });
        // The root volume holds no log directory; it is left out unless nothing else tells that.
        let shown = volumes.filter(|(_, volume)| !is_root(snapshot, volume));
        let incoming = Incoming::of(snapshot);
        let mut rows: Vec<Self> = shown
            .map(|(section, volume)| Self::of(snapshot, join, &incoming, section, volume, now))
            .collect();
        let latencies: Vec<(String, Cell<f64>)> = rows
            .iter()
            .map(|row| (row.volume_type.clone(), row.write_latency_ms.clone()))
            .collect();
        for (at, row) in rows.iter_mut().enumerate() {
            row.latency_vs_peers = against_peers(&latencies, at);
        }
        rows.sort_by(|a, b| (a.broker.is_none(), a.broker, &a.id).cmp(&(b.broker.is_none(), b.broker, &b.id)));
        rows
    }

    fn of<S>(
        snapshot: &Snapshot,
        join: &Join<'_>,
        incoming: &Incoming<'_>,
        section: &Observed<S>,
        volume: &Volume,
        now: Moment,
    ) -> Self {
        let backing = join.backed(&volume.id);
        let broker = backing
            .map(|b| b.broker)
            .or_else(|| volume.instance.as_deref().and_then(|id| join.broker_of(id)));
        let dir = |take: &dyn Fn(&LogDir) -> Option<f64>, missing: &str| match backing {
            Some(backing) => logdir_cell(snapshot, backing.broker, &backing.logdir, now, missing, take),
            None => Cell::unknown(join.why_unbacked(broker)),
        };
        let metric =
            |take: fn(&VolumeMetrics) -> Option<Point>| volume_metric(&snapshot.cloud.metrics, &volume.id, now, take);
        let throughput = sum(
            metric(|m| m.read_bytes_per_second),
            metric(|m| m.write_bytes_per_second),
        )
        .map(|bytes| Some(bytes / 1e6));
        let throughput_limit = limit_cell(limit_mb(volume), volume, "throughput");
        let iops = sum(metric(|m| m.read_ops_per_second), metric(|m| m.write_ops_per_second));
        let iops_limit = limit_cell(limit::iops(volume), volume, "IOPS");
        Self {
            id: volume.id.clone(),
            broker,
            logdir: backing.map(|backing| backing.logdir.clone()),
            method: backing.map_or_else(|| join.why_unbacked(broker), |backing| backing.method.clone()),
            volume_type: volume.volume_type.clone(),
            size_gib: volume.size_gib,
            state: volume.state.clone(),
            zone: volume.zone.clone(),
            encrypted: volume.encrypted,
            instance: volume.instance.clone(),
            device: volume.device.clone(),
            used_percent: dir(
                &LogDir::used_percent,
                "the broker does not tell its disk's size (before Kafka 3.3)",
            ),
            used_bytes: dir(
                &|dir| dir.used_bytes().map(|bytes| bytes as f64),
                "the broker does not tell its disk's size (before Kafka 3.3)",
            )
            .map(|bytes| Some(*bytes as u64)),
            growth_bytes_per_second: dir(&|dir| dir.growth_bytes_per_second, "seen only once yet"),
            full_in_seconds: dir(&|dir| incoming.full_in_seconds(backing?.broker, dir), "not growing"),
            incoming_bytes: backing.map_or(0, |b| incoming.bytes(b.broker, &b.logdir)),
            filesystem_percent: dir(
                &|dir| {
                    let share = backing::share(dir.total_bytes, &behind(snapshot, backing?));
                    share.map(|share| share * 100.0)
                },
                "the broker does not tell its disk's size (before Kafka 3.3)",
            ),
            throughput_percent: percent_of(&throughput, &throughput_limit),
            throughput_mb_per_second: throughput,
            throughput_limit_mb_per_second: throughput_limit,
            iops_percent: percent_of(&iops, &iops_limit),
            iops,
            iops_limit,
            // Filled in once all volumes and brokers are known.
            binding: Cell::default(),
            zone_down_percent: Cell::default(),
            zone_down: None,
            raise: Cell::default(),
            latency_vs_peers: Cell::default(),
            queue_length: metric(|m| m.queue_length),
            read_latency_ms: metric(|m| m.read_latency_ms),
            write_latency_ms: metric(|m| m.write_latency_ms),
            burst_percent: burst(volume, metric(|m| m.burst_balance_percent)),
            stalled: metric(|m| m.stalled_io).map(|value| Some(*value >= 1.0)),
            instance_burst_percent: lower(
                instance_metric(snapshot, volume, now, |m| m.ebs_byte_balance_percent),
                instance_metric(snapshot, volume, now, |m| m.ebs_io_balance_percent),
            ),
            modification: modification(volume),
            modification_state: volume.modification.as_ref().map(|change| change.state.clone()),
            modification_progress_percent: volume.modification.as_ref().and_then(|change| change.progress_percent),
            modifications_24h: modifications_24h(volume, now),
            snapshot_age_seconds: snapshot_age(snapshot, &volume.id, now),
            stale_seconds: (!section.is_fresh()).then(|| section.age_seconds(now)).flatten(),
        }
    }
}

fn is_root(snapshot: &Snapshot, volume: &Volume) -> bool {
    let instances = snapshot.cloud.instances.values().filter_map(Observed::get);
    let instance = volume
        .instance
        .as_deref()
        .and_then(|id| instances.filter_map(|all| all.get(id)).next());
    volume.device.is_some() && instance.is_some_and(|instance| instance.root_device == volume.device)
}

/// A log directory's value by broker and path, with the age of that broker's answer.
pub(super) fn logdir_cell(
    snapshot: &Snapshot,
    broker: BrokerId,
    path: &str,
    now: Moment,
    missing: &str,
    take: &dyn Fn(&LogDir) -> Option<f64>,
) -> Cell<f64> {
    match snapshot.logdirs.get(&broker) {
        Some(section) => Cell::from(section, now, missing, |dirs| {
            dirs.iter().find(|dir| dir.path == path).and_then(take)
        }),
        None => Cell::unknown(format!("broker {broker} has not told its log dirs")),
    }
}

fn volume_metric(
    metrics: &Observed<Metrics>,
    id: &str,
    now: Moment,
    take: fn(&VolumeMetrics) -> Option<Point>,
) -> Cell<f64> {
    Cell::from(metrics, now, "CloudWatch has no data", |metrics| {
        metrics.volumes.get(id).and_then(take).map(|point| point.value)
    })
}

fn sum(a: Cell<f64>, b: Cell<f64>) -> Cell<f64> {
    match (a.value, b.value) {
        (Some(x), Some(y)) => Cell {
            value: Some(x + y),
            ..a
        },
        (Some(_), None) => b,
        (None, _) => a,
    }
}

fn limit_cell(value: Option<f64>, volume: &Volume, what: &str) -> Cell<f64> {
    match value {
        Some(value) => Cell::known(value),
        None => Cell::unknown(format!("EC2 tells no {what} limit for a {} volume", volume.volume_type)),
    }
}

/// MB/s of 10⁶ bytes; EC2 provisions MiB.
fn limit_mb(volume: &Volume) -> Option<f64> {
    limit::throughput_mib_per_second(volume).map(|mib| mib * 1.048_576)
}

/// The volumes of the backing that one of them belongs to.
fn behind<'a>(snapshot: &'a Snapshot, backed: &Backed) -> Vec<&'a Volume> {
    let dirs = snapshot.cloud.backings.get(&backed.broker);
    let ids = dirs
        .and_then(|dirs| dirs.get(&backed.logdir))
        .map_or(&[][..], |backing| backing.volumes());
    ids.iter().filter_map(|id| snapshot.cloud.volume(id)).collect()
}

fn instance_metric(
    snapshot: &Snapshot,
    volume: &Volume,
    now: Moment,
    take: fn(&InstanceMetrics) -> Option<Point>,
) -> Cell<f64> {
    let Some(instance) = &volume.instance else {
        return Cell::unknown("attached to no instance");
    };
    let missing = "CloudWatch has no data: only types that burst have this balance";
    Cell::from(&snapshot.cloud.metrics, now, missing, |metrics| {
        let point = metrics.instances.get(instance).and_then(take)?;
        Some(point.value)
    })
}

fn modifications_24h(volume: &Volume, now: Moment) -> u32 {
    let started = volume.modification.as_ref().and_then(|change| change.started_at);
    u32::from(started.is_some_and(|at| now.duration_since(at).as_secs() < 86_400))
}

fn snapshot_age(snapshot: &Snapshot, id: &str, now: Moment) -> Cell<i64> {
    let missing = format!("no snapshot in {SNAPSHOT_DAYS} days");
    Cell::from(&snapshot.cloud.snapshots, now, &missing, |snapshots| {
        let at = snapshots.get(id)?;
        Some(now.duration_since(*at).as_secs().max(0))
    })
}

/// One latency over the median of the others of its type; two of them at least, or there is nothing to compare with.
fn against_peers(latencies: &[(String, Cell<f64>)], at: usize) -> Cell<f64> {
    let (volume_type, own) = &latencies[at];
    let others = latencies.iter().enumerate().filter(|(other, _)| *other != at);
    let mut peers: Vec<f64> = others
        .filter(|(_, (kind, _))| kind == volume_type)
        .filter_map(|(_, (_, latency))| latency.value)
        .collect();
    peers.sort_by(f64::total_cmp);
    if peers.len() < 2 {
        return match own.value {
            Some(_) => Cell::unknown(format!("fewer than two other {volume_type} volumes have a latency")),
            None => own.clone(),
        };
    }
    let middle = peers.len() / 2;
    let median = match peers.len() % 2 {
        1 => peers[middle],
        _ => (peers[middle - 1] + peers[middle]) / 2.0,
    };
    own.map(|own| (median > 0.0).then(|| own / median))
}

fn burst(volume: &Volume, metric: Cell<f64>) -> Cell<f64> {
    match volume.volume_type.as_str() {
        "gp2" | "st1" | "sc1" => metric,
        other => Cell::unknown(format!("{other} does not burst")),
    }
}

fn modification(volume: &Volume) -> Option<String> {
    let modification = volume.modification.as_ref()?;
    let progress = modification
        .progress_percent
        .filter(|_| modification.state != "completed");
    let progress = progress.map(|percent| format!(" {percent} %")).unwrap_or_default();
    Some(
        format!("{} {}{progress}", modification.change, modification.state)
            .trim()
            .to_owned(),
    )
}
