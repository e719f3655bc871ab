//! Where every log ends, from all leaders' answers at once, so that asking for one costs no look at every broker.

use std::collections::{BTreeMap, HashMap};

use super::offset::{Offsets, Span};
use super::snapshot::Snapshot;
use super::{BrokerId, Moment, Observed};

/// The newest answer about each partition.
#[derive(Debug, Default)]
pub struct Ends<'a> {
    by_topic: HashMap<&'a str, BTreeMap<i32, Told>>,
}

/// What was told of one partition, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub by: BrokerId,
    at: Option<Moment>,
    pub span: Span,
}

impl<'a> Ends<'a> {
    /// Linear in the partitions that were told.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self::told(snapshot, |_| true)
    }

    /// Only from leaders that answer.
    pub fn fresh(snapshot: &'a Snapshot) -> Self {
        Self::told(snapshot, Observed::is_fresh)
    }

    fn told(snapshot: &'a Snapshot, by: impl Fn(&Observed<Offsets>) -> bool) -> Self {
        let mut by_topic: HashMap<&str, BTreeMap<i32, Told>> = HashMap::with_capacity(snapshot.topics().len());
        for (id, section) in snapshot.offsets.iter().filter(|(_, section)| by(section)) {
            let topics = section.get().into_iter().flat_map(|offsets| &offsets.topics);
            for (topic, spans) in topics {
                let told = by_topic.entry(topic.as_str()).or_default();
                for (partition, span) in spans {
                    let news = Told {
                        by: *id,
                        at: section.seen_at,
                        span: *span,
                    };
                    // At the same moment the later broker id wins, as in `Snapshot::span`.
                    let kept = told.entry(*partition).or_insert(news);
                    if news.at >= kept.at {
                        *kept = news;
                    }
                }
            }
        }
        Self { by_topic }
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<Told> {
        self.by_topic.get(topic)?.get(&partition).copied()
    }

    /// Every partition that was told, in no order of topics.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, i32, Told)> + '_ {
        self.by_topic.iter().flat_map(|(topic, told)| {
            let topic = *topic;
            told.iter().map(move |(partition, told)| (topic, *partition, *told))
        })
    }
}
