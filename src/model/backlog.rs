//! What consumers have not read yet: when it was written, how long it is kept, and what holds it back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Moment;

/// What one leader says of partitions whose consumers are behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Backlogs {
    /// By topic, then partition.
    pub topics: BTreeMap<String, BTreeMap<i32, Backlog>>,
}

/// One partition with unread records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// By offset: when the record there was written, as its timestamp says.
    pub unread: Vec<Written>,
    /// An open transaction that readers of committed records cannot pass.
    pub pin: Option<Pin>,
}

/// Bounds of the timestamp of the record at an offset, or of the first one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub offset: i64,
    pub earliest: Moment,
    pub latest: Moment,
}

/// A transaction that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The last stable offset: nobody who reads committed records only gets past it.
    pub stable: i64,
    /// The id of the producer; `None` where the leader does not tell.
    pub producer: Option<i64>,
}

/// How long a topic keeps records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Milliseconds; `None` without a limit in time.
    pub time_ms: Option<i64>,
    /// Of each partition; `None` without a limit in size.
    pub bytes: Option<i64>,
    /// Old records of a key are dropped, not old records.
    pub compacts: bool,
    /// Old records are dropped.
    pub deletes: bool,
}

/// How long records and offsets are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retentions {
    pub topics: BTreeMap<String, Retention>,
    /// `offsets.retention.minutes`: how long an Empty group keeps its offsets (KIP-211).
    pub offsets_minutes: Option<i64>,
}

impl Backlogs {
    pub fn get(&self, topic: &str, partition: i32) -> Option<&Backlog> {
        self.topics.get(topic)?.get(&partition)
    }

    /// The same, with what was found out `before` where that is as good: a record's timestamp stays what it is, and every search
    /// for it ends at other bounds.
    pub fn after(mut self, before: &Self) -> Self {
        for (topic, partitions) in &mut self.topics {
            for (partition, backlog) in partitions {
                if let Some(known) = before.get(topic, *partition) {
                    backlog.unread.iter_mut().for_each(|written| written.settle(known));
                }
            }
        }
        self
    }

    /// Every open transaction, with the partition that it holds back.
    pub fn pins(&self) -> impl Iterator<Item = (&str, i32, Pin)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            let pin = move |(partition, backlog): (&i32, &Backlog)| Some((topic.as_str(), *partition, backlog.pin?));
            partitions.iter().filter_map(pin)
        })
    }
}

impl Written {
    /// Takes over what was known of the same record, unless this is far closer.
    fn settle(&mut self, known: &Backlog) {
        let Ok(at) = known
            .unread
            .binary_search_by_key(&self.offset, |written| written.offset)
        else {
            return;
        };
        let before = known.unread[at];
        let width = |written: &Self| written.latest.duration_since(written.earliest);
        // Bounds that do not meet are of another record: the topic was created anew.
        let meet = before.earliest <= self.latest && self.earliest <= before.latest;
        if meet && width(&before) <= width(self) * 2 {
            *self = before;
        }
    }
}

impl Backlog {
    /// When the record at `offset` was written, as far as it was asked for: of the offsets asked, the last that is not
    /// after it, since a group moves on between a question and the next.
    pub fn written(&self, offset: i64) -> Option<Written> {
        let at = self.unread.partition_point(|known| known.offset <= offset);
        self.unread.get(at.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_was_found_to_be_stays_until_it_is_known_better() {
        let at = |second: i64| Moment::from_second(1_800_000_000 + second).unwrap();
        let found = |offset, from, to| Backlogs {
            topics: BTreeMap::from([(
                "orders".to_owned(),
                BTreeMap::from([(
                    0,
                    Backlog {
                        unread: vec![Written {
                            offset,
                            earliest: at(from),
                            latest: at(to),
                        }],
                        pin: None,
                    },
                )]),
            )]),
        };
        let known = found(7, 100, 110);
        for (told, kept) in [
            (found(7, 98, 106), known.clone()),
            (found(7, 105, 107), found(7, 105, 107)),
            (found(7, 200, 210), found(7, 200, 210)),
            (found(8, 98, 106), found(8, 98, 106)),
        ] {
            assert_eq!(told.after(&known), kept);
        }
    }

    #[test]
    fn a_group_that_moved_on_is_held_to_where_it_was() {
        let at = |second: i64| Moment::from_second(1_800_000_000 + second).unwrap();
        let written = |offset, second| Written {
            offset,
            earliest: at(second),
            latest: at(second),
        };
        let backlog = Backlog {
            unread: vec![written(10, 0), written(50, 9)],
            pin: None,
        };
        let second = |offset| backlog.written(offset).unwrap().offset;
        assert_eq!((second(10), second(49), second(50), second(99)), (10, 10, 50, 50));
        assert_eq!(second(3), 10, "rewound meanwhile: the nearest that is known");
        assert_eq!(Backlog::default().written(1), None);
    }
}
