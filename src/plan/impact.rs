//! What a plan does to each broker, before and after, and what it costs to carry over.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Move;
use super::reassign::disk::Disks;
use super::reassign::placed;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Observed};

/// Dollars for a GB (10⁹ bytes) that crosses between zones: 0.01 out and 0.01 in.
/// Source: EC2 on-demand pricing, "Data transfer within the same AWS Region".
const USD_PER_CROSSING_GB: f64 = 0.02;

/// The sum of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impact {
    pub partitions: u32,
    /// Bytes that are copied; `None` when a size is not known.
    pub bytes: Option<u64>,
    /// Partitions that are copied and whose size is not known.
    #[serde(default)]
    pub unknown_sizes: u32,
    /// Bytes that are copied of those whose size is known.
    #[serde(default)]
    pub known_bytes: u64,
    /// Of them, from a leader in one rack to a replica in another; `None` when a rack or a size is not known.
    pub crossing_bytes: Option<u64>,
    pub crossing_usd: Option<f64>,
    /// Partitions whose preferred leader changes.
    pub leader_changes: u32,
    #[serde(deserialize_with = "by_broker")]
    pub brokers: BTreeMap<BrokerId, Load>,
}

/// JSON's keys are text, and what reads a plan inside of something else does not turn them back.
fn by_broker<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeMap<BrokerId, Load>, D::Error> {
    let texts = BTreeMap::<String, Load>::deserialize(source)?;
    let pair = |(id, load): (String, Load)| Ok((id.parse().map_err(de::Error::custom)?, load));
    texts.into_iter().map(pair).collect()
}

/// One broker now and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub leaders_now: u32,
    pub leaders_after: u32,
    pub replicas_now: u32,
    pub replicas_after: u32,
    /// Bytes that come in; they are on the disk beside what will go, until the move ends.
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
    /// Of the fullest log directory, now and at the worst moment of the plan: everything has come, nothing has gone.
    pub used_percent_now: Option<f64>,
    pub used_percent_peak: Option<f64>,
}

impl Impact {
    pub fn of(moves: &[Move], snapshot: &Snapshot) -> Self {
        let racks = racks(snapshot);
        let mut impact = Self {
            partitions: moves.len() as u32,
            bytes: Some(0),
            crossing_bytes: Some(0),
            ..Self::default()
        };
        let mut loads = now(snapshot);
        for moved in moves {
            let adding: Vec<BrokerId> = moved.adding().collect();
            impact.leader_changes += u32::from(moved.from.first() != moved.to.first());
            let copied = moved.copied_bytes();
            impact.bytes = add(impact.bytes, copied);
            impact.unknown_sizes += u32::from(copied.is_none());
            impact.known_bytes += copied.unwrap_or(0);
            let leader = placed(snapshot, moved).and_then(|partition| partition.leader);
            for id in &adding {
                let crosses = leader.and_then(|leader| Some(racks.get(&leader)? != racks.get(id)?));
                let size = crosses.and_then(|crosses| if crosses { moved.size_bytes } else { Some(0) });
                impact.crossing_bytes = add(impact.crossing_bytes, size);
            }
            shift(&mut loads, moved);
        }
        impact.crossing_usd = impact
            .crossing_bytes
            .map(|bytes| bytes as f64 / 1e9 * USD_PER_CROSSING_GB);
        let mut landing: BTreeMap<BrokerId, Vec<Option<u64>>> = BTreeMap::new();
        for moved in moves {
            for id in moved.adding() {
                landing.entry(id).or_default().push(moved.size_bytes);
            }
        }
        for (id, load) in &mut loads {
            load.used_percent_peak = peak(snapshot, *id, landing.get(id).map_or(&[][..], Vec::as_slice));
        }
        impact.brokers = loads;
        impact
    }
}

/// A sum that misses a term is not known.
pub(super) fn add(sum: Option<u64>, term: Option<u64>) -> Option<u64> {
    Some(sum? + term?)
}

fn shift(loads: &mut BTreeMap<BrokerId, Load>, moved: &Move) {
    for id in moved.adding() {
        let load = loads.entry(id).or_default();
        load.replicas_after += 1;
        load.bytes_in = add(load.bytes_in, moved.size_bytes);
    }
    for id in moved.removing() {
        let load = loads.entry(id).or_default();
        load.replicas_after = load.replicas_after.saturating_sub(1);
        load.bytes_out = add(load.bytes_out, moved.size_bytes);
    }
    if let (Some(from), Some(to)) = (moved.from.first(), moved.to.first()) {
        let before = loads.entry(*from).or_default();
        before.leaders_after = before.leaders_after.saturating_sub(1);
        loads.entry(*to).or_default().leaders_after += 1;
    }
}

/// The brokers as they are; leaders are counted as preferred, because that is what a plan decides.
fn now(snapshot: &Snapshot) -> BTreeMap<BrokerId, Load> {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let empty = |id: BrokerId| Load {
        bytes_in: Some(0),
        bytes_out: Some(0),
        used_percent_now: used_percent(snapshot, id),
        ..Load::default()
    };
    let mut loads: BTreeMap<BrokerId, Load> = brokers.iter().map(|broker| (broker.id, empty(broker.id))).collect();
    for (_, partition) in snapshot.partitions() {
        for id in &partition.replicas {
            let load = loads.entry(*id).or_default();
            load.replicas_now += 1;
            load.replicas_after += 1;
        }
        if let Some(preferred) = partition.replicas.first() {
            let load = loads.entry(*preferred).or_default();
            load.leaders_now += 1;
            load.leaders_after += 1;
        }
    }
    loads
}

fn dirs(snapshot: &Snapshot, id: BrokerId) -> Option<&Vec<crate::model::logdir::LogDir>> {
    snapshot.logdirs.get(&id).and_then(Observed::get)
}

fn used_percent(snapshot: &Snapshot, id: BrokerId) -> Option<f64> {
    dirs(snapshot, id)?
        .iter()
        .filter_map(|dir| dir.used_percent())
        .max_by(f64::total_cmp)
}

/// With what lands, each in the directory that Kafka will choose for it.
fn peak(snapshot: &Snapshot, id: BrokerId, landing: &[Option<u64>]) -> Option<f64> {
    let mut disks = Disks::of(dirs(snapshot, id)?);
    for size in landing {
        disks.land((*size)?);
    }
    disks.fullest_percent()
}

fn racks(snapshot: &Snapshot) -> BTreeMap<BrokerId, &str> {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    brokers
        .iter()
        .filter_map(|broker| Some((broker.id, broker.rack.as_deref()?)))
        .collect()
}
