//! One topic: its partitions' faults added up, and its line of the placement matrix.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::Cell;
use super::badge::{Badge, Badges};
use super::partition::{PartitionRow, Sizes, size_of};
use crate::model::BrokerId;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Role;

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
    pub cells: TopicCells,
}

/// By broker that holds a replica. A list and no map, which for a wide cluster's ten thousand topics would be half empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicCells {
    /// Sorted by broker.
    all: Box<[(BrokerId, TopicCell)]>,
}

impl TopicCells {
    pub fn get(&self, broker: BrokerId) -> Option<&TopicCell> {
        let at = self.all.binary_search_by_key(&broker, |(id, _)| *id).ok()?;
        Some(&self.all[at].1)
    }
}

impl Serialize for TopicCells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.all.iter().map(|(id, cell)| (id, cell)))
    }
}

/// What one broker holds of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
    pub(super) fn all(snapshot: &Snapshot, partitions: &[PartitionRow], sizes: &Sizes<'_>) -> Vec<Self> {
        let silent = silent_brokers(snapshot);
        let mut rest = partitions;
        let mut rows = Vec::with_capacity(snapshot.topics().len());
        for topic in snapshot.topics() {
            let (own, others) = rest.split_at(topic.partitions.len().min(rest.len()));
            rest = others;
            let count = |badge| own.iter().filter(|row| row.badges.contains(badge)).count() as u32;
            let sizes = sizes.of_topic(&topic.name);
            let mut cells: BTreeMap<BrokerId, TopicCell> = BTreeMap::new();
            for row in own {
                for (id, role) in row.roles() {
                    let size = size_of(sizes, id, row.partition).unwrap_or(0);
                    cells.entry(id).or_default().add(role, size);
                }
            }
            rows.push(Self {
                name: topic.name.clone(),
                id: topic.id,
                internal: topic.internal,
                partitions: topic.partitions.len() as u32,
                replication_factor: own.iter().map(|row| row.replicas.len() as u32).max().unwrap_or(0),
                min_isr: own.first().map(|row| row.min_isr.clone()).unwrap_or_default(),
                offline: count(Badge::Offline),
                under_min_isr: count(Badge::UnderMinIsr),
                at_min_isr: count(Badge::AtMinIsr),
                under_replicated: count(Badge::UnderReplicated),
                rack_violations: count(Badge::RackViolation),
                leaders_not_preferred: count(Badge::LeaderNotPreferred),
                size_bytes: size(&cells, &silent),
                rate: rate(own),
                badges: own.iter().fold(Badges::default(), |all, row| all.union(row.badges)),
                cells: TopicCells {
                    all: cells.into_iter().collect(),
                },
            });
        }
        rows
    }
}

impl TopicCell {
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
fn size(cells: &BTreeMap<BrokerId, TopicCell>, silent: &BTreeMap<BrokerId, String>) -> Cell<u64> {
    match cells.keys().find_map(|id| silent.get(id).map(|why| (id, why))) {
        Some((id, why)) => Cell::unknown(format!("log dirs of broker {id}: {why}")),
        None => Cell::known(cells.values().map(|cell| cell.size_bytes).sum()),
    }
}

fn rate(partitions: &[PartitionRow]) -> Cell<f64> {
    match partitions.iter().find(|row| row.rate.value.is_none()) {
        Some(row) => Cell {
            value: None,
            ..row.rate.clone()
        },
        None => Cell {
            value: Some(partitions.iter().filter_map(|row| row.rate.value).sum()),
            stale_seconds: partitions.iter().filter_map(|row| row.rate.stale_seconds).max(),
            reason: partitions.iter().find_map(|row| row.rate.reason.clone()),
        },
    }
}
