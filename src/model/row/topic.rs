//! One topic: its partitions' faults added up, and its line of the placement matrix.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cell;
use super::badge::{Badge, Badges};
use super::partition::{PartitionRow, Partitions, Sizes, size_of};
use crate::model::BrokerId;
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Role, Topic};

/// One topic, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicRow {
    pub name: String,
    pub id: uuid::Uuid,
    pub internal: bool,
    pub partitions: u32,
    /// The largest of its partitions.
    pub replication_factor: u32,
    pub min_isr: Cell<u32>,
    pub offline: u32,
    pub under_min_isr: u32,
    pub at_min_isr: u32,
    pub under_replicated: u32,
    /// Partitions in fewer racks than they could be.
    pub rack_violations: u32,
    /// Partitions led by another than their preferred replica.
    pub leaders_not_preferred: u32,
    /// Of all replicas that were told.
    pub size_bytes: Cell<u64>,
    /// Records per second over all partitions.
    pub rate: Cell<f64>,
    pub badges: Badges,
}

/// What some brokers hold of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicCell {
    pub leaders: u32,
    pub replicas: u32,
    pub out_of_sync: u32,
    pub adding: u32,
    pub removing: u32,
    pub size_bytes: u64,
}

impl TopicRow {
    /// In order of name. `partitions` are the rows of the same snapshot.
    pub(super) fn all(snapshot: &Snapshot, partitions: &Partitions, sizes: &Sizes<'_>) -> Vec<Self> {
        let silent = silent_brokers(snapshot);
        let mut rows = Vec::with_capacity(snapshot.topics().len());
        for (topic, own) in partitions.by_topic() {
            let own = || own.clone();
            let count = |badge| own().filter(|row| row.badges().contains(badge)).count() as u32;
            let sizes = sizes.of_topic(&topic.name);
            rows.push(Self {
                name: topic.name.clone(),
                id: topic.id,
                internal: topic.internal,
                partitions: topic.partitions.len() as u32,
                replication_factor: topic
                    .partitions
                    .iter()
                    .map(|one| one.replicas.len() as u32)
                    .max()
                    .unwrap_or(0),
                min_isr: own().next().map(|row| row.min_isr().clone()).unwrap_or_default(),
                offline: count(Badge::Offline),
                under_min_isr: count(Badge::UnderMinIsr),
                at_min_isr: count(Badge::AtMinIsr),
                under_replicated: count(Badge::UnderReplicated),
                rack_violations: count(Badge::RackViolation),
                leaders_not_preferred: count(Badge::LeaderNotPreferred),
                size_bytes: size(topic, sizes, &silent),
                rate: rate(own()),
                badges: own().fold(Badges::default(), |all, row| all.union(row.badges())),
            });
        }
        rows
    }
}

/// What groups of brokers hold of each topic: a cell for each group, topic by topic in the order of their rows. `partitions`
/// are the rows of the same snapshot. Not kept with the rows: of a wide cluster it would be most of them.
pub fn cells(snapshot: &Snapshot, partitions: &Partitions, groups: &[&[BrokerId]]) -> Vec<TopicCell> {
    let all = groups.iter().enumerate();
    let group_of: BTreeMap<BrokerId, usize> = all
        .flat_map(|(at, group)| group.iter().map(move |id| (*id, at)))
        .collect();
    let sizes = Sizes::of(snapshot);
    let mut cells = Vec::with_capacity(snapshot.topics().len() * groups.len());
    for (topic, own) in partitions.by_topic() {
        let first = cells.len();
        cells.resize(first + groups.len(), TopicCell::default());
        let sizes = sizes.of_topic(&topic.name);
        for row in own {
            for (id, role) in row.roles() {
                if let Some(at) = group_of.get(&id) {
                    let size = size_of(sizes, id, row.partition).unwrap_or(0);
                    cells[first + at].add(role, size);
                }
            }
        }
    }
    cells
}

impl TopicCell {
    /// Both together.
    pub fn join(&mut self, other: &Self) {
        self.leaders += other.leaders;
        self.replicas += other.replicas;
        self.out_of_sync += other.out_of_sync;
        self.adding += other.adding;
        self.removing += other.removing;
        self.size_bytes += other.size_bytes;
    }

    fn add(&mut self, role: Role, size_bytes: u64) {
        self.replicas += 1;
        self.size_bytes += size_bytes;
        match role {
            Role::Leader => self.leaders += 1,
            Role::InSync => {}
            Role::OutOfSync => self.out_of_sync += 1,
            Role::Adding => self.adding += 1,
            Role::Removing => self.removing += 1,
        }
    }
}

/// Brokers whose log dirs were never told, and why.
fn silent_brokers(snapshot: &Snapshot) -> BTreeMap<BrokerId, String> {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let silent = |id: BrokerId| match snapshot.logdirs.get(&id) {
        Some(dirs) if dirs.get().is_some() => None,
        Some(dirs) => Some(dirs.problem().unwrap_or_default()),
        None => Some("not asked yet".to_owned()),
    };
    brokers
        .iter()
        .filter_map(|broker| Some((broker.id, silent(broker.id)?)))
        .collect()
}

/// A sum that misses a broker is no answer, so it is unknown and names the broker.
fn size(topic: &Topic, sizes: &[(i32, BrokerId, u64)], silent: &BTreeMap<BrokerId, String>) -> Cell<u64> {
    let replicas = || {
        let all = topic.partitions.iter();
        all.flat_map(|one| one.replicas.iter().map(|id| (one.partition, *id)))
    };
    let unknown = match silent.is_empty() {
        true => None,
        false => replicas().filter_map(|(_, id)| silent.get_key_value(&id)).min(),
    };
    match unknown {
        Some((id, why)) => Cell::unknown(format!("log dirs of broker {id}: {why}")),
        None => Cell::known(
            replicas()
                .filter_map(|(partition, id)| size_of(sizes, id, partition))
                .sum(),
        ),
    }
}

fn rate<'a>(partitions: impl Iterator<Item = PartitionRow<'a>>) -> Cell<f64> {
    let rates: Vec<Cell<f64>> = partitions.map(|row| row.rate()).collect();
    match rates.iter().find(|rate| rate.value.is_none()) {
        Some(unknown) => unknown.clone(),
        None => Cell {
            value: Some(rates.iter().filter_map(|rate| rate.value).sum()),
            stale_seconds: rates.iter().filter_map(|rate| rate.stale_seconds).max(),
            reason: rates.into_iter().find_map(|rate| rate.reason),
        },
    }
}
