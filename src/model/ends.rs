//! Where every log ends, from all leaders' answers at once, so that asking for one costs no look at every broker.

use std::collections::BTreeSet;

use super::offset::{Log, Offsets, Span};
use super::places::{Cursor, Places};
use super::snapshot::Snapshot;
use super::{BrokerId, Observed};

/// The newest answer about each partition.
#[derive(Debug, Default)]
pub struct Ends<'a> {
    /// Sorted by partition, one for each.
    places: Places<'a, (i32, Told<'a>)>,
}

/// What was told of one partition, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub by: BrokerId,
    pub span: &'a Span,
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

    /// Only of these topics: each is looked up at each leader, and nothing else that they told is gone through.
    pub fn of_topics(snapshot: &'a Snapshot, topics: &BTreeSet<&'a str>) -> Self {
        let mut ends = Self::default();
        for (id, offsets) in oldest_first(snapshot, |_| true) {
            ends.add(id, topics.iter().map(|topic| (*topic, offsets.of_topic(topic))));
        }
        ends.newest()
    }

    fn told(snapshot: &'a Snapshot, by: impl Fn(&Observed<Offsets>) -> bool) -> Self {
        let mut ends = Self {
            places: Places::new(snapshot.topics()),
        };
        for (id, offsets) in oldest_first(snapshot, by) {
            ends.add(id, offsets.by_topic().map(|(topic, logs)| (topic.as_str(), logs)));
        }
        ends.newest()
    }

    /// What one leader told, after what was told before.
    fn add(&mut self, by: BrokerId, topics: impl Iterator<Item = (&'a str, &'a [Log])>) {
        let mut cursor = Cursor::default();
        for (topic, logs) in topics {
            let told = self.places.list_mut(&mut cursor, topic);
            told.extend(logs.iter().map(|log| {
                let span = &log.span;
                (log.partition, Told { by, span })
            }));
        }
    }

    fn newest(mut self) -> Self {
        for told in self.places.lists_mut() {
            told.reverse();
            told.sort_by_key(|(partition, _)| *partition);
            told.dedup_by_key(|(partition, _)| *partition);
        }
        self
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<Told<'a>> {
        of(self.of_topic(topic), partition)
    }

    /// What was told of a topic's partitions, for [`of`].
    pub fn of_topic(&self, topic: &str) -> &[(i32, Told<'a>)] {
        self.places.list(topic)
    }

    /// Every partition that was told, in no order of topics.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, i32, Told<'a>)> + '_ {
        self.places
            .iter()
            .flat_map(|(topic, told)| told.iter().map(move |(partition, told)| (topic, *partition, *told)))
    }
}

/// What leaders told. At the same moment the later broker id wins, as in [`Snapshot::span`].
fn oldest_first(
    snapshot: &Snapshot,
    by: impl Fn(&Observed<Offsets>) -> bool,
) -> impl Iterator<Item = (BrokerId, &Offsets)> {
    let mut sections: Vec<_> = snapshot.offsets.iter().filter(|(_, section)| by(section)).collect();
    sections.sort_by_key(|(id, section)| (section.seen_at, **id));
    let told = sections.into_iter();
    told.filter_map(|(id, section)| Some((*id, section.get()?)))
}

/// One partition of what [`Ends::of_topic`] gave.
pub fn of<'a>(told: &[(i32, Told<'a>)], partition: i32) -> Option<Told<'a>> {
    let at = told.binary_search_by_key(&partition, |(known, _)| *known).ok()?;
    Some(told[at].1)
}
