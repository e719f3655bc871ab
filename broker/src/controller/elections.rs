//! How often leadership moves.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::NodeId;
use crate::image::{Image, Record};

/// Counted since the controller started.
#[derive(Debug, Default)]
pub(super) struct Elections {
    all: AtomicU64,
    unclean: AtomicU64,
}

impl Elections {
    /// Counts what these records change of `image`.
    pub fn count(&self, image: &Image, records: &[Record]) {
        for record in records {
            let Record::Partition {
                topic,
                partition,
                state,
            } = record
            else {
                continue;
            };
            let index = usize::try_from(*partition).ok();
            let held = image
                .topic(*topic)
                .zip(index)
                .and_then(|(topic, at)| topic.partitions.get(at));
            if let Some(held) = held
                && held.leader != state.leader
                && state.leader != NodeId::NONE
            {
                self.all.fetch_add(1, Ordering::Relaxed);
                // Replicas of the ELR hold all that was acknowledged (KIP-966).
                if !held.isr.contains(&state.leader) && !held.elr.contains(&state.leader) {
                    self.unclean.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// All, and those of replicas that were not in sync.
    pub fn counted(&self) -> (u64, u64) {
        (self.all.load(Ordering::Relaxed), self.unclean.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TopicId;
    use crate::image::Partition;

    #[test]
    fn leaders_that_come_are_counted_and_those_that_were_not_in_sync_apart() {
        let (mut image, topic) = (Image::empty(), TopicId(uuid::Uuid::from_u128(7)));
        let led_by = |leader: i32, isr: &[i32]| Record::Partition {
            topic,
            partition: 0,
            state: Partition {
                leader: NodeId(leader),
                isr: isr.iter().copied().map(NodeId).collect(),
                ..serde_json::from_str(
                    r#"{"replicas":[1,2],"isr":[],"leader":-1,"leader_epoch":0,"partition_epoch":0}"#,
                )
                .unwrap()
            },
        };
        let elections = Elections::default();
        let name = "orders".to_owned();
        let records = [
            Record::Topic { id: topic, name },
            led_by(1, &[1, 2]),
            led_by(2, &[2]),
            led_by(-1, &[2]),
            led_by(1, &[1]),
            led_by(1, &[1, 2]),
        ];
        for (offset, record) in (0..).zip(&records) {
            elections.count(&image, std::slice::from_ref(record));
            image.apply(record, offset, 1);
        }
        assert_eq!(elections.counted(), (2, 1));
    }
}
