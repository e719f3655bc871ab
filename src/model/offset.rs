//! Log offsets, asked of each leader for all its partitions at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one leader says of the partitions it leads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offsets {
    /// By topic, then partition.
    pub topics: BTreeMap<String, BTreeMap<i32, Span>>,
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
