//! One record of a log, as bytes; what they mean is for whoever shows them.

pub mod filter;
pub mod path;
pub mod range;
pub mod view;

use serde::{Deserialize, Serialize};

/// A record with its place. Absent keys and values are Kafka's null, which is not the same as empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch, set by the producer or by the broker as the topic says.
    pub timestamp_ms: Option<i64>,
    /// Who set it; `None` with it.
    #[serde(default)]
    pub timestamp_type: Option<TimestampType>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// In order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Kafka's `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum TimestampType {
    /// The producer's clock.
    CreateTime,
    /// The broker's, when it appended the record.
    LogAppendTime,
}

impl Record {
    /// Bytes of key, value and headers together.
    pub fn size_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + length(value));
        length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }

    /// When it was written, by its timestamp.
    pub fn at(&self) -> Option<super::Moment> {
        self.timestamp_ms
            .and_then(|millis| super::Moment::from_millisecond(millis).ok())
    }
}
