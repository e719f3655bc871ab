//! Log offsets, asked of each leader for all its partitions at once.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::{Name, Names};

/// What one leader says of the partitions it leads. On a wide cluster that is one or two of most topics: a flat list, for which
/// maps would be mostly room of their own. In files it is a map of topics, each a map of partitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Offsets {
    /// Sorted by topic and partition.
    logs: Vec<Log>,
}

/// One log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    pub topic: Name,
    pub partition: i32,
    pub span: Span,
}

impl Offsets {
    /// Whether nothing was written for as long as rates reach back.
    pub fn stand(&self) -> bool {
        self.logs.iter().all(|log| log.span.rate == Some(0.0))
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<&Span> {
        Some(&self.logs[self.place(topic, partition)?].span)
    }

    pub fn get_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Span> {
        let place = self.place(topic, partition)?;
        Some(&mut self.logs[place].span)
    }

    fn place(&self, topic: &str, partition: i32) -> Option<usize> {
        let of = |log: &Log| log.topic.as_str().cmp(topic).then(log.partition.cmp(&partition));
        self.logs.binary_search_by(of).ok()
    }

    /// Sorted by topic and partition.
    pub fn iter(&self) -> std::slice::Iter<'_, Log> {
        self.logs.iter()
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Log> {
        self.logs.iter_mut()
    }

    /// The logs of one topic.
    pub fn of_topic(&self, topic: &str) -> &[Log] {
        let from = self.logs.partition_point(|log| log.topic.as_str() < topic);
        let own = &self.logs[from..];
        &own[..own.partition_point(|log| log.topic.as_str() == topic)]
    }

    /// The logs of one topic after another.
    pub fn by_topic(&self) -> impl Iterator<Item = (&Name, &[Log])> {
        let topics = self.logs.chunk_by(|one, other| one.topic == other.topic);
        topics.filter_map(|logs| Some((&logs.first()?.topic, logs)))
    }

    /// Puts the topics' names into the memory of those that were told before.
    pub fn share(&mut self, names: &mut Names) {
        self.logs.iter_mut().for_each(|log| names.share(&mut log.topic));
    }
}

#[cfg(test)]
impl Offsets {
    pub fn insert(&mut self, topic: &str, partition: i32, span: Span) {
        let logs = std::mem::take(&mut self.logs).into_iter();
        let logs = logs.map(|log| (log.topic, log.partition, log.span));
        *self = logs.chain([(topic.into(), partition, span)]).collect();
    }
}

/// Of two spans of one partition the later one counts.
impl<N: Into<Name>> FromIterator<(N, i32, Span)> for Offsets {
    fn from_iter<I: IntoIterator<Item = (N, i32, Span)>>(spans: I) -> Self {
        let log = |(topic, partition, span): (N, i32, Span)| Log {
            topic: topic.into(),
            partition,
            span,
        };
        let mut logs: Vec<Log> = spans.into_iter().map(log).collect();
        logs.reverse();
        logs.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        logs.dedup_by(|one, other| (&one.topic, one.partition) == (&other.topic, other.partition));
        logs.shrink_to_fit();
        Self { logs }
    }
}

impl<'a> IntoIterator for &'a Offsets {
    type Item = &'a Log;
    type IntoIter = std::slice::Iter<'a, Log>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The logs of one topic as a map.
struct Partitions<'a>(&'a [Log]);

impl Serialize for Partitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|log| (log.partition, log.span)))
    }
}

impl Serialize for Offsets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut topics = serializer.serialize_map(Some(self.by_topic().count()))?;
        for (topic, logs) in self.by_topic() {
            topics.serialize_entry(topic, &Partitions(logs))?;
        }
        topics.end()
    }
}

impl<'de> Deserialize<'de> for Offsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let topics = BTreeMap::<Name, BTreeMap<i32, Span>>::deserialize(deserializer)?;
        let logs = topics.into_iter().flat_map(|(topic, spans)| {
            let spans = spans.into_iter();
            spans.map(move |(partition, span)| (topic.clone(), partition, span))
        });
        Ok(logs.collect())
    }
}

/// First and next offset of a log, and how fast it grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub start: i64,
    /// The high watermark: the offset after the last record that a consumer may read.
    pub end: i64,
    /// Records per second over the feed's last minute; `None` until seen twice.
    pub rate: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(end: i64) -> Span {
        Span { end, ..Span::default() }
    }

    #[test]
    fn logs_are_found_by_partition_and_are_maps_in_files() {
        let offsets: Offsets = [
            ("b", 7, span(1)),
            ("b", 0, span(2)),
            ("a", 3, span(4)),
            ("b", 7, span(3)),
        ]
        .into_iter()
        .collect();
        assert_eq!(offsets.get("b", 7), Some(&span(3)));
        assert_eq!((offsets.get("b", 1), offsets.iter().len()), (None, 3));
        let topics: Vec<_> = offsets
            .by_topic()
            .map(|(topic, logs)| (topic.as_str(), logs.len()))
            .collect();
        assert_eq!(topics, [("a", 1), ("b", 2)]);
        let text = serde_json::to_string(&offsets).unwrap();
        assert!(text.starts_with(r#"{"a":{"3":"#), "{text}");
        assert_eq!(serde_json::from_str::<Offsets>(&text).unwrap(), offsets);
    }

    #[test]
    fn a_log_is_small() {
        // A wide cluster has a hundred thousand.
        assert!(size_of::<Log>() <= 48, "{}", size_of::<Log>());
    }
}
