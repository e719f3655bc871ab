//! Log offsets, asked of each leader for all its partitions at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one leader says of the partitions it leads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offsets {
    pub topics: BTreeMap<String, Spans>,
}

/// The logs of one topic, by partition. On a wide cluster a leader has one or two of most topics, for which a map would be mostly
/// empty room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spans {
    /// Sorted by partition.
    all: Box<[(i32, Span)]>,
}

impl Offsets {
    /// Whether nothing was written for as long as rates reach back.
    pub fn stand(&self) -> bool {
        let mut spans = self.topics.values().flat_map(Spans::iter);
        spans.all(|(_, span)| span.rate == Some(0.0))
    }
}

impl Spans {
    fn place(&self, partition: i32) -> Option<usize> {
        self.all.binary_search_by_key(&partition, |(known, _)| *known).ok()
    }

    pub fn get(&self, partition: i32) -> Option<&Span> {
        Some(&self.all[self.place(partition)?].1)
    }

    pub fn get_mut(&mut self, partition: i32) -> Option<&mut Span> {
        let at = self.place(partition)?;
        Some(&mut self.all[at].1)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i32, &Span)> {
        self.all.iter().map(|(partition, span)| (*partition, span))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut Span)> {
        self.all.iter_mut().map(|(partition, span)| (*partition, span))
    }
}

/// Of two spans of one partition the later one counts.
impl FromIterator<(i32, Span)> for Spans {
    fn from_iter<I: IntoIterator<Item = (i32, Span)>>(spans: I) -> Self {
        let mut all: Vec<(i32, Span)> = spans.into_iter().collect();
        all.reverse();
        all.sort_by_key(|(partition, _)| *partition);
        all.dedup_by_key(|(partition, _)| *partition);
        Self { all: all.into() }
    }
}

impl<const N: usize> From<[(i32, Span); N]> for Spans {
    fn from(spans: [(i32, Span); N]) -> Self {
        spans.into_iter().collect()
    }
}

impl Serialize for Spans {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Spans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<i32, Span>::deserialize(deserializer)?.into_iter().collect())
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
    fn spans_are_found_by_partition_and_are_a_map_in_files() {
        let spans: Spans = [(7, span(1)), (0, span(2)), (7, span(3))].into_iter().collect();
        assert_eq!(spans.get(7), Some(&span(3)));
        assert_eq!((spans.get(1), spans.iter().len()), (None, 2));
        let text = serde_json::to_string(&spans).unwrap();
        assert!(text.starts_with(r#"{"0":"#), "{text}");
        assert_eq!(serde_json::from_str::<Spans>(&text).unwrap(), spans);
    }
}
