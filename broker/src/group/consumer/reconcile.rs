//! One member's way from what it has to its target (KIP-848): what it has to give up first, then what it gets as soon
//! as others have given it up.

use std::collections::BTreeSet;

use super::{Consumer, Holding, Partitions, Progress};
use crate::id::TopicId;

impl Consumer {
    /// What the member has after a heartbeat in which it said what it owns; `None`: it said nothing about it.
    pub(super) fn reconciled(&self, id: &str, owned: Option<&Partitions>) -> Holding {
        let held = self.holding(id);
        match held.progress {
            Progress::Stable if held.epoch == self.target_epoch() => held,
            Progress::Unrevoked if owned.is_none_or(|owned| meet(owned, &held.revoking)) => held,
            // It let everything go, so it may move on.
            Progress::Unrevoked => self.next(id, held.epoch + 1, &held, owned),
            Progress::Stable | Progress::Unreleased | Progress::Unknown => self.next(id, held.epoch, &held, owned),
        }
    }

    fn next(&self, id: &str, epoch: i32, held: &Holding, owned: Option<&Partitions>) -> Holding {
        let none = Partitions::new();
        let target = self.targets.get(id).unwrap_or(&none);
        let assigned = both(&held.assigned, target);
        let revoking = without(&held.assigned, &assigned);
        let wanted = without(target, &assigned);
        let mut free = Partitions::new();
        let mut waits = false;
        for (topic, partition) in super::places(&wanted) {
            // What the member itself has let go just now is free as well.
            let own = self.owners.get(&(topic, partition)).is_some_and(|owner| owner == id);
            if own || self.is_free(topic, partition) {
                free.entry(topic).or_default().insert(partition);
            } else {
                waits = true;
            }
        }
        let gives_up = !revoking.is_empty() && owned.is_none_or(|owned| meet(owned, &revoking));
        let (epoch, progress, assigned, revoking) = if gives_up {
            (epoch, Progress::Unrevoked, assigned, revoking)
        } else {
            let progress = if waits { Progress::Unreleased } else { Progress::Stable };
            (self.target_epoch(), progress, joined(assigned, free), Partitions::new())
        };
        Holding {
            epoch,
            previous_epoch: if epoch == held.epoch {
                held.previous_epoch
            } else {
                held.epoch
            },
            progress,
            assigned,
            revoking,
        }
    }

    /// Whether what a member waits for is free by now.
    pub(super) fn is_released(&self, id: &str) -> bool {
        let held = self.holding(id);
        let Some(target) = self.targets.get(id) else {
            return true;
        };
        let mut wanted =
            super::places(target).filter(|(topic, partition)| !contains(&held.assigned, *topic, *partition));
        wanted.all(|(topic, partition)| self.is_free(topic, partition))
    }
}

fn contains(partitions: &Partitions, topic: TopicId, partition: i32) -> bool {
    partitions.get(&topic).is_some_and(|of| of.contains(&partition))
}

/// Whether two sets share a partition.
fn meet(a: &Partitions, b: &Partitions) -> bool {
    super::places(a).any(|(topic, partition)| contains(b, topic, partition))
}

/// Whether all of `a` is in `b`.
pub(super) fn is_within(a: &Partitions, b: &Partitions) -> bool {
    super::places(a).all(|(topic, partition)| contains(b, topic, partition))
}

fn both(a: &Partitions, b: &Partitions) -> Partitions {
    filtered(a, |topic, partition| contains(b, topic, partition))
}

fn without(a: &Partitions, b: &Partitions) -> Partitions {
    filtered(a, |topic, partition| !contains(b, topic, partition))
}

fn filtered(partitions: &Partitions, keep: impl Fn(TopicId, i32) -> bool) -> Partitions {
    let kept = partitions.iter().map(|(topic, of)| {
        let of: BTreeSet<i32> = of
            .iter()
            .copied()
            .filter(|partition| keep(*topic, *partition))
            .collect();
        (*topic, of)
    });
    kept.filter(|(_, of)| !of.is_empty()).collect()
}

fn joined(mut a: Partitions, b: Partitions) -> Partitions {
    for (topic, of) in b {
        a.entry(topic).or_default().extend(of);
    }
    a
}
