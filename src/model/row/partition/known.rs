//! What is known of a partition beside where it is placed, and what is wrong with where it is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Badge, Badges, size_of};
use crate::model::BrokerId;
use crate::model::ends;
use crate::model::offset::Span;
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;

/// What is known of one partition beside where it is placed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Known {
    /// Offsets of its log, 0 where nobody told.
    pub start: i64,
    pub end: i64,
    /// Records per second, or [`Known::NO_RATE`].
    pub rate: f64,
    /// Of the leader's replica, or [`Known::NO_SIZE`].
    pub size_bytes: u64,
    /// The place of its topic.
    pub topic: u32,
    pub badges: Badges,
    pub teller: Teller,
}

/// Who told the offsets of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Teller {
    Nobody,
    Leader,
    /// The leader has just moved: what the old one told is still the best that is known.
    OldLeader,
}

impl Known {
    // Instead of an `Option`, which takes a word of its own: no log grows or is as large as that.
    pub const NO_RATE: f64 = f64::NEG_INFINITY;
    pub const NO_SIZE: u64 = u64::MAX;

    pub fn rate(&self) -> Option<f64> {
        Some(self.rate).filter(|rate| *rate != Self::NO_RATE)
    }

    pub fn size_bytes(&self) -> Option<u64> {
        Some(self.size_bytes).filter(|size| *size != Self::NO_SIZE)
    }

    pub fn of(partition: &Partition, facts: &Facts<'_>) -> Self {
        let span = facts.told.map_or(Span::default(), |told| *told.span);
        let size = partition
            .leader
            .and_then(|leader| size_of(facts.sizes, leader, partition.partition));
        Self {
            start: span.start,
            end: span.end,
            rate: span.rate.unwrap_or(Self::NO_RATE),
            size_bytes: size.unwrap_or(Self::NO_SIZE),
            topic: facts.topic,
            badges: badges(partition, facts),
            teller: match facts.told {
                None => Teller::Nobody,
                Some(told) if Some(told.by) == partition.leader => Teller::Leader,
                Some(_) => Teller::OldLeader,
            },
        }
    }
}

/// What one partition is worked out from, beside where it is placed.
pub(super) struct Facts<'a> {
    /// The place of its topic.
    pub topic: u32,
    pub racks: &'a Racks,
    pub told: Option<ends::Told<'a>>,
    pub moving: Option<&'a Reassignment>,
    /// Of this topic.
    pub sizes: &'a [(i32, BrokerId, u64)],
    pub min_isr: Option<u32>,
}

fn badges(partition: &Partition, facts: &Facts<'_>) -> Badges {
    // A replica that is being added is expected to be missing from the ISR; it is no fault.
    let adding = facts.moving.map_or(&[][..], |moving| &moving.adding);
    let settled = match adding {
        [] => Cow::Borrowed(partition.replicas.as_slice()),
        _ => {
            let all = partition.replicas.iter().copied();
            all.filter(|id| !adding.contains(id)).collect()
        }
    };
    let in_sync = partition.isr.len() as u32;
    let min_isr = facts.min_isr;
    let under_replicated = settled.iter().any(|id| !partition.isr.contains(id));
    let mut badges = Badges::default();
    let mut raise = |badge, when| {
        if when {
            badges.insert(badge);
        }
    };
    raise(Badge::Offline, partition.is_offline());
    raise(Badge::UnderMinIsr, min_isr.is_some_and(|min| in_sync < min));
    raise(Badge::AtMinIsr, under_replicated && min_isr == Some(in_sync));
    raise(Badge::UnderReplicated, under_replicated);
    raise(Badge::RackViolation, violates_racks(&settled, facts.racks));
    raise(Badge::LowReplication, settled.len() < 3);
    let spares = settled.len() > 1;
    raise(
        Badge::MinIsrIsRf,
        spares && min_isr.is_some_and(|min| min as usize >= settled.len()),
    );
    raise(Badge::MinIsrOne, spares && min_isr == Some(1));
    raise(
        Badge::LeaderNotPreferred,
        !partition.is_offline() && !partition.is_leader_preferred(),
    );
    raise(Badge::Reassigning, facts.moving.is_some());
    badges
}

/// Whether the replicas stand in fewer racks than they could. Unknown racks are no evidence.
fn violates_racks(replicas: &[BrokerId], racks: &Racks) -> bool {
    if racks.count < 2 {
        return false;
    }
    let mut used = Vec::with_capacity(replicas.len());
    for id in replicas {
        match racks.by_broker.get(id) {
            Some(rack) if used.contains(rack) => {}
            Some(rack) => used.push(*rack),
            None => return false,
        };
    }
    used.len() < replicas.len().min(racks.count)
}

/// Which broker stands in which rack; racks are numbers, for comparing them is done for every replica.
pub(super) struct Racks {
    by_broker: BTreeMap<BrokerId, usize>,
    count: usize,
}

impl Racks {
    pub fn of(snapshot: &Snapshot) -> Self {
        let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        let names: BTreeSet<&str> = brokers.iter().filter_map(|broker| broker.rack.as_deref()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let place = |rack: &str| names.binary_search(&rack).ok();
        Self {
            by_broker: brokers
                .iter()
                .filter_map(|broker| Some((broker.id, place(broker.rack.as_deref()?)?)))
                .collect(),
            count: names.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_partitions_take_four_megabytes_beside_the_topics() {
        assert_eq!(std::mem::size_of::<Known>(), 40);
    }
}
