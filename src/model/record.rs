//! One record of a log, as bytes; what they mean is for whoever shows them.

use serde::{Deserialize, Serialize};

/// A record with its place. Absent keys and values are Kafka's null, which is not the same as empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch, set by the producer or by the broker as the topic says.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// In order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}
