//! One broker and one zone: the answer to "where is it?".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::filling::Incoming;
use super::join::Join;
use super::placement::{Placed, size_bytes, skew};
use super::volume::VolumeRow;
use super::{Cell, percent_of};
use crate::model::broker::Broker;
use crate::model::cloud::{Instance, InstanceMetrics, InstanceType, Point, Volume};
use crate::model::limit::{self, Load};
use crate::model::logdir::LogDir;
use crate::model::metric::BrokerMetrics;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Health, Moment, Observed, Trouble};

/// How a broker is, as far as the cluster and its own answers tell.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BrokerState {
    /// It does not answer us.
    Unreachable,
    /// The controller does not count on it.
    Fenced,
    /// Nobody asked it yet.
    Unknown,
    Up,
}

impl BrokerState {
    /// It does not serve, as far as can be told.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Unreachable | Self::Fenced)
    }
}

/// One broker, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BrokerRow {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
    /// The key of its [`ZoneRow`].
    pub zone: String,
    pub zone_id: Option<String>,
    pub state: BrokerState,
    pub state_reason: Option<String>,
    pub is_controller: bool,
    pub leaders: Cell<u32>,
    pub replicas: Cell<u32>,
    /// Replicas here that are missing from their ISR.
    pub isr_misses: Cell<u32>,
    /// Partitions that prefer this broker as their leader and are led by another, or by none.
    pub led_elsewhere: Cell<u32>,
    /// Replicas here of partitions that lie in fewer racks than they could.
    pub rack_violations: Cell<u32>,
    /// Distance of its leaders from the brokers' mean: 0 is a fair share, -100 is none.
    pub leader_skew_percent: Cell<f64>,
    /// Bytes of the replicas here; what else lies on the disk is left out.
    pub size_bytes: Cell<u64>,
    /// Distance of these bytes from the brokers' mean.
    pub size_skew_percent: Cell<f64>,
    /// Of the fullest log directory.
    pub used_percent: Cell<f64>,
    /// Of all log directories.
    pub used_bytes: Cell<u64>,
    pub total_bytes: Cell<u64>,
    pub growth_bytes_per_second: Cell<f64>,
    /// Of the directory that is full first, with what moves in flight still bring.
    pub full_in_seconds: Cell<f64>,
    pub offline_dirs: Cell<u32>,
    pub throughput_mb_per_second: Cell<f64>,
    pub throughput_limit_mb_per_second: Cell<f64>,
    /// Which limit binds: `gp3`, ... for the volumes, or the instance type for its EBS baseline.
    pub throughput_limit_name: Option<String>,
    pub throughput_percent: Cell<f64>,
    pub iops_percent: Cell<f64>,
    /// The limit that is met first when all its work grows alike.
    pub binding: Cell<Load>,
    /// Of that limit, when the worst other zone is lost; see [`limit::zone_down`].
    pub zone_down_percent: Cell<f64>,
    /// The zone that is meant.
    pub zone_down: Option<String>,
    /// Burst credit of the instance for EBS, the lower of bytes and operations.
    pub burst_percent: Cell<f64>,
    /// The busier direction, of the instance's baseline.
    pub network_percent: Cell<f64>,
    pub network_in_bytes_per_second: Cell<f64>,
    pub network_out_bytes_per_second: Cell<f64>,
    pub cpu_percent: Cell<f64>,
    /// What clients produce to it and fetch from it, as the broker counts it; replication is left out.
    pub bytes_in_per_second: Cell<f64>,
    pub bytes_out_per_second: Cell<f64>,
    /// Share of time in which the request handlers had no work.
    pub request_idle_percent: Cell<f64>,
    /// The 99th percentile of what this broker itself takes for a request.
    pub produce_p99_ms: Cell<f64>,
    pub fetch_p99_ms: Cell<f64>,
    /// The mean of one write, of the slowest device.
    pub disk_write_ms: Cell<f64>,
    /// As the host itself counts it.
    pub host_cpu_percent: Cell<f64>,
    pub rtt_ms: Cell<f64>,
    pub instance: Cell<String>,
    /// How the instance was found.
    pub instance_method: Option<String>,
    pub instance_type: Cell<String>,
    pub instance_state: Cell<String>,
    /// Since the instance was launched.
    pub up_seconds: Cell<i64>,
    pub volumes: Vec<String>,
}

/// One availability zone, or rack where AWS does not tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZoneRow {
    /// What brokers group by: the AZ id, else the rack, else `?`.
    pub key: String,
    pub zone_id: Option<String>,
    pub zone_name: Option<String>,
    pub rack: Option<String>,
    pub brokers: u32,
    pub up: u32,
    pub leaders: Cell<u32>,
    /// Of all leaders in the cluster.
    pub leader_percent: Cell<f64>,
    /// Distance of its leaders from an equal share of all zones: 0 is fair, -100 is none.
    pub leader_skew_percent: Cell<f64>,
    pub replicas: Cell<u32>,
    /// Bytes of the replicas here.
    pub size_bytes: Cell<u64>,
    /// Distance of these bytes from an equal share of all zones.
    pub size_skew_percent: Cell<f64>,
    pub in_bytes_per_second: Cell<f64>,
    pub out_bytes_per_second: Cell<f64>,
    /// Whether EC2 answers for this zone.
    pub ec2: Cell<bool>,
}

impl BrokerRow {
    /// In order of id. `placed` and `volumes` are of the same snapshot.
    pub fn all(
        snapshot: &Snapshot,
        join: &Join<'_>,
        placed: &BTreeMap<BrokerId, Placed>,
        volumes: &[VolumeRow],
        now: Moment,
    ) -> Vec<Self> {
        let cluster = snapshot.cluster.get();
        let brokers = cluster.map_or(&[][..], |cluster| &cluster.brokers);
        let controller = cluster.and_then(|cluster| cluster.controller);
        let incoming = Incoming::of(snapshot);
        let facts = Facts {
            placed,
            volumes,
            incoming: &incoming,
            controller,
            now,
        };
        let mut rows: Vec<Self> = brokers
            .iter()
            .map(|broker| Self::of(snapshot, join, broker, &facts))
            .collect();
        let leaders = skew(&rows.iter().map(|row| &row.leaders).collect::<Vec<_>>(), f64::from);
        let sizes = skew(&rows.iter().map(|row| &row.size_bytes).collect::<Vec<_>>(), |n| {
            n as f64
        });
        for (row, (leaders, size)) in rows.iter_mut().zip(leaders.into_iter().zip(sizes)) {
            row.leader_skew_percent = leaders;
            row.size_skew_percent = size;
        }
        rows
    }

    fn of(snapshot: &Snapshot, join: &Join<'_>, broker: &Broker, facts: &Facts<'_>) -> Self {
        let Facts {
            placed,
            volumes,
            incoming,
            controller,
            now,
        } = *facts;
        let (state, state_reason) = state(snapshot, broker);
        let here = placed.get(&broker.id).copied().unwrap_or_default();
        let count = |number| Cell::from(&snapshot.topics, now, "", |_| Some(number));
        let dirs = Dirs::of(snapshot, broker.id, now);
        let host = Host::of(snapshot, join, broker.id, now);
        let own: Vec<&VolumeRow> = volumes
            .iter()
            .filter(|volume| volume.broker == Some(broker.id))
            .collect();
        let throughput = host.throughput(snapshot, &own);
        let zone_id = host.zone_id(snapshot);
        let network_in = host.metric(snapshot, |m| m.network_in_bytes_per_second, now);
        let network_out = host.metric(snapshot, |m| m.network_out_bytes_per_second, now);
        Self {
            id: broker.id,
            host: broker.host.clone(),
            port: broker.port,
            rack: broker.rack.clone(),
            zone: zone_id
                .clone()
                .or_else(|| broker.rack.clone())
                .unwrap_or_else(|| "?".to_owned()),
            zone_id,
            state,
            state_reason,
            is_controller: controller == Some(broker.id),
            leaders: count(here.leaders),
            replicas: count(here.replicas),
            isr_misses: count(here.misses),
            led_elsewhere: count(here.led_elsewhere),
            rack_violations: count(here.rack_violations),
            // Filled in once all brokers are known.
            leader_skew_percent: Cell::default(),
            size_skew_percent: Cell::default(),
            size_bytes: size_bytes(snapshot, broker.id, now),
            used_percent: dirs.most(LogDir::used_percent, DISK_UNTOLD),
            used_bytes: dirs.total(LogDir::used_bytes),
            total_bytes: dirs.total(|dir| dir.total_bytes),
            growth_bytes_per_second: dirs.most(|dir| dir.growth_bytes_per_second, "seen only once yet"),
            full_in_seconds: dirs.least(|dir| incoming.full_in_seconds(broker.id, dir), "not growing"),
            offline_dirs: dirs.count(|dir| dir.error.is_some()),
            throughput_percent: percent_of(&throughput.used, &throughput.limit),
            throughput_mb_per_second: throughput.used,
            throughput_limit_mb_per_second: throughput.limit,
            throughput_limit_name: throughput.name,
            iops_percent: iops_percent(&own, &host),
            // Filled in once all volumes and brokers are known.
            binding: Cell::default(),
            zone_down_percent: Cell::default(),
            zone_down: None,
            burst_percent: lower(
                host.metric(snapshot, |m| m.ebs_byte_balance_percent, now),
                host.metric(snapshot, |m| m.ebs_io_balance_percent, now),
            ),
            network_percent: network_percent(&host, &network_in, &network_out),
            network_in_bytes_per_second: network_in,
            network_out_bytes_per_second: network_out,
            cpu_percent: host.metric(snapshot, |m| m.cpu_percent, now),
            bytes_in_per_second: scraped(snapshot, broker.id, now, |m| m.in_bytes_per_second),
            bytes_out_per_second: scraped(snapshot, broker.id, now, |m| m.out_bytes_per_second),
            request_idle_percent: scraped(snapshot, broker.id, now, |m| Some(m.request_handler_idle? * 100.0)),
            produce_p99_ms: scraped(snapshot, broker.id, now, |m| m.produce_local_p99_ms),
            fetch_p99_ms: scraped(snapshot, broker.id, now, |m| m.fetch_local_p99_ms),
            disk_write_ms: scraped(snapshot, broker.id, now, |m| {
                m.disks.values().filter_map(|disk| disk.write_ms).max_by(f64::total_cmp)
            }),
            host_cpu_percent: scraped(snapshot, broker.id, now, |m| Some(m.cpu_busy? * 100.0)),
            rtt_ms: rtt(snapshot, broker.id, now),
            instance_type: host.fact(|instance| Some(instance.instance_type.clone())),
            instance_state: host.fact(|instance| Some(instance.state.clone())),
            up_seconds: host.fact(|instance| instance.launched_at.map(|at| now.duration_since(at).as_secs().max(0))),
            instance: host.fact(|instance| Some(instance.id.clone())),
            instance_method: host.method,
            volumes: own.iter().map(|volume| volume.id.clone()).collect(),
        }
    }
}

/// What all brokers' rows share.
#[derive(Clone, Copy)]
struct Facts<'a> {
    placed: &'a BTreeMap<BrokerId, Placed>,
    volumes: &'a [VolumeRow],
    incoming: &'a Incoming<'a>,
    controller: Option<BrokerId>,
    now: Moment,
}

/// The lower of two balances, of which a type may have only one.
pub(super) fn lower(one: Cell<f64>, other: Cell<f64>) -> Cell<f64> {
    match (one.value, other.value) {
        (Some(a), Some(b)) if b < a => other,
        (None, Some(_)) => other,
        _ => one,
    }
}

const DISK_UNTOLD: &str = "the broker does not tell its disk's size (before Kafka 3.3)";

fn state(snapshot: &Snapshot, broker: &Broker) -> (BrokerState, Option<String>) {
    let link = snapshot.links.get(&broker.id);
    match link.map(|link| &link.health) {
        Some(Health::Failing {
            trouble: Trouble::Unreachable | Trouble::TimedOut,
            ..
        }) => (BrokerState::Unreachable, link.and_then(Observed::problem)),
        _ if broker.fenced => (BrokerState::Fenced, Some("fenced by the controller".to_owned())),
        Some(Health::Fresh) => (BrokerState::Up, None),
        Some(_) => (BrokerState::Unknown, link.and_then(Observed::problem)),
        None => (BrokerState::Unknown, Some("not asked yet".to_owned())),
    }
}

fn rtt(snapshot: &Snapshot, id: BrokerId, now: Moment) -> Cell<f64> {
    match snapshot.links.get(&id) {
        Some(link) => Cell::from(link, now, "", |link| Some(link.rtt_ms)),
        None => Cell::unknown("not asked yet"),
    }
}

/// A value of the broker's metrics endpoints.
fn scraped(
    snapshot: &Snapshot,
    id: BrokerId,
    now: Moment,
    take: impl FnOnce(&BrokerMetrics) -> Option<f64>,
) -> Cell<f64> {
    let Some(section) = snapshot.broker_metrics.get(&id) else {
        return Cell::unknown("this context names no metrics endpoints ([context.….prometheus])");
    };
    let missing = section.get().and_then(|metrics| metrics.missing.first().cloned());
    let missing =
        missing.unwrap_or_else(|| "its endpoints do not tell it, or only from the second scrape on".to_owned());
    Cell::from(section, now, &missing, take)
}

/// The log directories of one broker.
struct Dirs<'a> {
    section: Option<&'a Observed<Vec<LogDir>>>,
    id: BrokerId,
    now: Moment,
}

impl<'a> Dirs<'a> {
    fn of(snapshot: &'a Snapshot, id: BrokerId, now: Moment) -> Self {
        Self {
            section: snapshot.logdirs.get(&id),
            id,
            now,
        }
    }

    fn cell<T>(&self, missing: &str, take: impl FnOnce(&Vec<LogDir>) -> Option<T>) -> Cell<T> {
        match self.section {
            Some(section) => Cell::from(section, self.now, missing, take),
            None => Cell::unknown(format!("broker {} has not told its log dirs", self.id)),
        }
    }

    fn most(&self, take: impl Fn(&LogDir) -> Option<f64>, missing: &str) -> Cell<f64> {
        self.cell(missing, |dirs| dirs.iter().filter_map(take).max_by(f64::total_cmp))
    }

    fn least(&self, take: impl Fn(&LogDir) -> Option<f64>, missing: &str) -> Cell<f64> {
        self.cell(missing, |dirs| dirs.iter().filter_map(take).min_by(f64::total_cmp))
    }

    fn total(&self, take: impl Fn(&LogDir) -> Option<u64>) -> Cell<u64> {
        self.cell(DISK_UNTOLD, |dirs| dirs.iter().map(take).sum())
    }

    fn count(&self, when: impl Fn(&LogDir) -> bool) -> Cell<u32> {
        self.cell("", |dirs| Some(dirs.iter().filter(|dir| when(dir)).count() as u32))
    }
}

/// The instance a broker runs on, as far as it is known.
struct Host<'a> {
    instance: Option<(&'a Instance, Option<i64>)>,
    limits: Option<&'a InstanceType>,
    method: Option<String>,
    reason: Option<String>,
}

struct Throughput {
    used: Cell<f64>,
    limit: Cell<f64>,
    name: Option<String>,
}

impl<'a> Host<'a> {
    fn of(snapshot: &'a Snapshot, join: &Join<'_>, id: BrokerId, now: Moment) -> Self {
        let (found, method, reason) = match join.instance(id) {
            Ok((instance, method)) => (Some(instance), Some(method), None),
            Err(reason) => (None, None, Some(reason)),
        };
        let sections = || snapshot.cloud.instances.values();
        let instance = found.and_then(|found| {
            sections().find_map(|section| {
                let instance = section.get()?.get(found)?;
                Some((
                    instance,
                    section,
                    (!section.is_fresh()).then(|| section.age_seconds(now)).flatten(),
                ))
            })
        });
        let reason = instance.and_then(|(_, section, _)| section.problem()).or(reason);
        Self {
            limits: instance.and_then(|(instance, ..)| snapshot.cloud.types.get(&instance.instance_type)),
            instance: instance.map(|(instance, _, stale)| (instance, stale)),
            method,
            reason,
        }
    }

    fn fact<T>(&self, take: impl FnOnce(&Instance) -> Option<T>) -> Cell<T> {
        match self.instance {
            Some((instance, stale_seconds)) => Cell {
                value: take(instance),
                stale_seconds,
                reason: self.reason.clone(),
            },
            None => Cell {
                value: None,
                stale_seconds: None,
                reason: self.reason.clone(),
            },
        }
    }

    fn zone_id(&self, snapshot: &Snapshot) -> Option<String> {
        let (instance, _) = self.instance?;
        let zones = snapshot.cloud.zones.get();
        instance.zone_id.clone().or_else(|| {
            zones
                .and_then(|zones| zones.get(&instance.zone))
                .map(|zone| zone.id.clone())
        })
    }

    fn metric(&self, snapshot: &Snapshot, take: fn(&InstanceMetrics) -> Option<Point>, now: Moment) -> Cell<f64> {
        match self.instance {
            Some((instance, _)) => Cell::from(&snapshot.cloud.metrics, now, "CloudWatch has no data", |metrics| {
                metrics
                    .instances
                    .get(&instance.id)
                    .and_then(take)
                    .map(|point| point.value)
            }),
            None => Cell::unknown(self.reason.clone().unwrap_or_default()),
        }
    }

    fn limit(&self, take: impl FnOnce(&InstanceType) -> Option<f64>) -> Cell<f64> {
        match (self.instance, self.limits.and_then(take)) {
            (Some(_), Some(limit)) => Cell::known(limit),
            (Some((instance, _)), None) => {
                Cell::unknown(format!("EC2 tells no such limit for {}", instance.instance_type))
            }
            (None, _) => Cell::unknown(self.reason.clone().unwrap_or_default()),
        }
    }

    /// What all volumes of the broker do, against the first limit they meet together: their own or the instance's.
    fn throughput(&self, snapshot: &Snapshot, rows: &[&VolumeRow]) -> Throughput {
        let used = total(rows, |volume| &volume.throughput_mb_per_second, self.reason.as_deref());
        let find = |row: &&VolumeRow| {
            snapshot
                .cloud
                .volumes
                .values()
                .find_map(|section| section.get()?.get(&row.id))
        };
        let volumes: Vec<&Volume> = rows.iter().filter_map(find).collect();
        let reason = || {
            self.reason
                .clone()
                .unwrap_or_else(|| "a volume's or the instance's limit is not known".to_owned())
        };
        match limit::disk_limit(&volumes, self.limits) {
            Some(limit) => Throughput {
                used,
                limit: Cell::known(limit.mb_per_second),
                name: Some(limit.name),
            },
            None => Throughput {
                used,
                limit: Cell::unknown(reason()),
                name: None,
            },
        }
    }
}

/// The sum over a broker's volumes; unknown as soon as one is.
pub(super) fn total(volumes: &[&VolumeRow], take: fn(&VolumeRow) -> &Cell<f64>, reason: Option<&str>) -> Cell<f64> {
    let Some(first) = volumes.first() else {
        return Cell::unknown(reason.unwrap_or("no volume is known to back its log dirs"));
    };
    match volumes
        .iter()
        .map(|volume| take(volume))
        .find(|cell| cell.value.is_none())
    {
        Some(unknown) => unknown.clone(),
        None => Cell {
            value: Some(volumes.iter().filter_map(|volume| take(volume).value).sum()),
            ..take(first).clone()
        },
    }
}

fn iops_percent(volumes: &[&VolumeRow], host: &Host<'_>) -> Cell<f64> {
    let reason = host.reason.as_deref();
    let used = total(volumes, |volume| &volume.iops, reason);
    let own = total(volumes, |volume| &volume.iops_limit, reason);
    let instance = host.limit(|limits| limits.ebs_baseline_iops.map(|iops| iops as f64));
    match (own.value, instance.value) {
        (Some(volume), Some(baseline)) if baseline < volume => percent_of(&used, &instance),
        _ => percent_of(&used, &own),
    }
}

fn network_percent(host: &Host<'_>, network_in: &Cell<f64>, network_out: &Cell<f64>) -> Cell<f64> {
    let limit = host.limit(|limits| limits.network_baseline_gbit_per_second.map(|gbit| gbit * 1e9 / 8.0));
    let busier = if network_out.value > network_in.value {
        network_out
    } else {
        network_in
    };
    percent_of(busier, &limit)
}

impl ZoneRow {
    /// In order of key. `brokers` are the rows of the same snapshot.
    pub fn all(snapshot: &Snapshot, brokers: &[BrokerRow], now: Moment) -> Vec<Self> {
        let mut zones: BTreeMap<&str, Vec<&BrokerRow>> = BTreeMap::new();
        for broker in brokers {
            zones.entry(&broker.zone).or_default().push(broker);
        }
        let everywhere: u32 = brokers.iter().filter_map(|broker| broker.leaders.value).sum();
        let mut rows: Vec<Self> = zones
            .into_iter()
            .map(|(key, members)| Self::of(snapshot, key, &members, everywhere, now))
            .collect();
        let leaders = skew(&rows.iter().map(|row| &row.leaders).collect::<Vec<_>>(), f64::from);
        let sizes = skew(&rows.iter().map(|row| &row.size_bytes).collect::<Vec<_>>(), |n| {
            n as f64
        });
        for (row, (leaders, size)) in rows.iter_mut().zip(leaders.into_iter().zip(sizes)) {
            row.leader_skew_percent = leaders;
            row.size_skew_percent = size;
        }
        rows
    }

    fn of(snapshot: &Snapshot, key: &str, members: &[&BrokerRow], everywhere: u32, now: Moment) -> Self {
        let zone_id = members.iter().find_map(|broker| broker.zone_id.clone());
        let name_of = |id: &String| {
            let zones = snapshot.cloud.zones.get()?;
            zones.values().find(|zone| zone.id == *id).map(|zone| zone.name.clone())
        };
        let zone_name = zone_id.as_ref().and_then(name_of);
        let leaders = sum(members, |broker| &broker.leaders);
        Self {
            key: key.to_owned(),
            rack: members.iter().find_map(|broker| broker.rack.clone()),
            brokers: members.len() as u32,
            up: members.iter().filter(|broker| broker.state == BrokerState::Up).count() as u32,
            leader_percent: leaders
                .map(|here| (everywhere > 0).then(|| f64::from(*here) * 100.0 / f64::from(everywhere))),
            leaders,
            leader_skew_percent: Cell::default(),
            replicas: sum(members, |broker| &broker.replicas),
            size_bytes: sum(members, |broker| &broker.size_bytes),
            size_skew_percent: Cell::default(),
            in_bytes_per_second: sum(members, |broker| &broker.network_in_bytes_per_second),
            out_bytes_per_second: sum(members, |broker| &broker.network_out_bytes_per_second),
            ec2: ec2(snapshot, zone_name.as_deref(), now),
            zone_id,
            zone_name,
        }
    }
}

fn ec2(snapshot: &Snapshot, zone: Option<&str>, now: Moment) -> Cell<bool> {
    match zone.and_then(|zone| snapshot.cloud.instances.get(zone)) {
        Some(section) => Cell::from(section, now, "", |_| Some(section.is_fresh())),
        None => Cell::unknown(
            snapshot
                .cloud
                .zones
                .problem()
                .unwrap_or_else(|| "no AWS zone is known".to_owned()),
        ),
    }
}

/// The sum over a zone's brokers; unknown as soon as one is.
fn sum<T: Copy + std::iter::Sum>(members: &[&BrokerRow], take: fn(&BrokerRow) -> &Cell<T>) -> Cell<T> {
    match members
        .iter()
        .map(|broker| take(broker))
        .find(|cell| cell.value.is_none())
    {
        Some(unknown) => unknown.clone(),
        None => Cell {
            value: Some(members.iter().filter_map(|broker| take(broker).value).sum()),
            stale_seconds: members.iter().filter_map(|broker| take(broker).stale_seconds).max(),
            reason: members.iter().find_map(|broker| take(broker).reason.clone()),
        },
    }
}
