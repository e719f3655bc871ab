//! When something was written last, by the records' own timestamps: what is left of a past that nobody recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::Symptom;
use super::{BrokerId, Health, Moment, Snapshot, Trouble};

/// The newest record of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWrite {
    pub topic: String,
    pub partition: i32,
    /// Its timestamp, which its producer may have made up.
    pub at: Moment,
}

/// So many partitions of a leader are asked for at most.
const MOST: usize = 200;

impl Snapshot {
    /// Partitions that this broker leads and that take no writes, as far as can be told, where nobody saw that begin: those under
    /// their min ISR, and all of a leader through which the write probe fails. Internal topics are left out.
    pub fn silenced(&self, leader: BrokerId) -> BTreeMap<String, Vec<i32>> {
        let mut silenced: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        let fails = self.probes.get(&leader).is_some_and(|probe| {
            let stuck = matches!(
                probe.health,
                Health::Failing {
                    trouble: Trouble::TimedOut | Trouble::Unreachable | Trouble::Refused,
                    ..
                }
            );
            stuck && probe.seen_at.is_none()
        });
        let shrunk = match self.events.since(&Symptom::UnderMinIsr) {
            Some(since) => !since.recorded,
            // Nobody has compared two looks yet.
            None => self.events.watched_since.is_none(),
        };
        if !fails && !shrunk {
            return silenced;
        }
        let mut count = 0;
        for topic in self.topics().iter().filter(|topic| !topic.internal) {
            let min = self.min_isr(&topic.name);
            let own = topic
                .partitions
                .iter()
                .filter(|partition| partition.leader == Some(leader));
            for partition in own {
                let under = min.is_some_and(|min| partition.isr.len() < min as usize);
                if (fails || under) && count < MOST {
                    silenced
                        .entry(topic.name.clone())
                        .or_default()
                        .push(partition.partition);
                    count += 1;
                }
            }
        }
        silenced
    }

    /// The newest write to what takes none any more, if it was before `now`.
    pub fn last_write(&self, now: Moment) -> Option<&LastWrite> {
        let known = self.last_writes.values().filter(|last| last.at <= now);
        known.max_by_key(|last| last.at)
    }
}
