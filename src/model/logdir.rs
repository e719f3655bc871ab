//! Log directories of brokers and the replicas in them.

use serde::{Deserialize, Serialize};

/// One log directory of one broker. From DescribeLogDirs v4 (KIP-827).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogDir {
    pub path: String,
    /// Of the file system; `None` before Kafka 3.3.
    pub total_bytes: Option<u64>,
    pub usable_bytes: Option<u64>,
    /// Set when the directory is offline: Kafka's error.
    pub error: Option<String>,
    pub replicas: Vec<Replica>,
    /// Growth of the used bytes per second over the feed's last minutes; `None` until seen twice.
    pub growth_bytes_per_second: Option<f64>,
}

/// One replica's log in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub topic: String,
    pub partition: i32,
    pub size_bytes: u64,
    /// Records behind the high watermark, or behind the current replica for a future one.
    pub lag_records: i64,
    /// Being moved here from another directory of the broker.
    pub future: bool,
}

impl LogDir {
    /// Bytes of the file system in use by anybody.
    pub fn used_bytes(&self) -> Option<u64> {
        Some(self.total_bytes?.saturating_sub(self.usable_bytes?))
    }

    /// 0..=100.
    pub fn used_percent(&self) -> Option<f64> {
        let total = self.total_bytes.filter(|total| *total > 0)?;
        Some(self.used_bytes()? as f64 * 100.0 / total as f64)
    }

    /// Seconds until the directory is full at its present growth; `None` when it does not grow.
    pub fn full_in_seconds(&self) -> Option<f64> {
        let growth = self.growth_bytes_per_second.filter(|growth| *growth > 1.0)?;
        Some(self.usable_bytes? as f64 / growth)
    }
}
