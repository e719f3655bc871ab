//! Log directories of brokers and the replicas in them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::Name;

/// One log directory of one broker. From DescribeLogDirs v4 (KIP-827).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogDir {
    pub path: String,
    /// Of the file system; `None` before Kafka 3.3.
    pub total_bytes: Option<u64>,
    pub usable_bytes: Option<u64>,
    /// Set when the directory is offline: Kafka's error.
    pub error: Option<String>,
    /// Sorted by topic and partition; shared with the answer before, where they are the same.
    pub replicas: Arc<[Replica]>,
    /// Growth of the used bytes per second over the feed's last minutes; `None` until seen twice.
    pub growth_bytes_per_second: Option<f64>,
    /// The topics that take most here, largest first, at most [`LogDir::TOP`].
    #[serde(default)]
    pub top: Vec<TopicUse>,
    /// Replicas that are being copied into this directory, from another broker or from another directory.
    #[serde(default)]
    pub copies: Vec<Copying>,
}

/// What one topic takes in a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicUse {
    pub topic: String,
    pub size_bytes: u64,
    pub replicas: u32,
    /// Bytes per second over the feed's last minutes; `None` until seen twice.
    pub growth_bytes_per_second: Option<f64>,
}

/// A replica on its way into a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copying {
    pub topic: String,
    pub partition: i32,
    pub size_bytes: u64,
    /// From another directory of the broker.
    pub future: bool,
    /// How fast it grows, over the last minute; `None` until seen twice.
    pub bytes_per_second: Option<f64>,
}

/// One replica's log in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub topic: Name,
    pub partition: i32,
    pub size_bytes: u64,
    /// Records behind the high watermark, or behind the current replica for a future one.
    pub lag_records: i64,
    /// Being moved here from another directory of the broker.
    pub future: bool,
}

impl LogDir {
    /// So many topics of a directory are followed.
    pub const TOP: usize = 20;

    /// The largest topics, from the replicas in order of topics; growth is for who looks twice.
    pub fn largest_topics(replicas: &[Replica]) -> Vec<TopicUse> {
        let of_topics = replicas.chunk_by(|one, next| one.topic == next.topic);
        let sizes = of_topics.map(|own| (own.iter().map(|replica| replica.size_bytes).sum(), own));
        let mut sizes: Vec<(u64, &[Replica])> = sizes.collect();
        sizes.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let used = |(size_bytes, own): (u64, &[Replica])| TopicUse {
            topic: own.first().map(|one| one.topic.to_string()).unwrap_or_default(),
            size_bytes,
            replicas: own.len() as u32,
            growth_bytes_per_second: None,
        };
        sizes.into_iter().take(Self::TOP).map(used).collect()
    }

    /// [`LogDir::top`], which a capture of before the source summed them does not have.
    pub fn largest(&self) -> Cow<'_, [TopicUse]> {
        match self.top.is_empty() {
            true => Self::largest_topics(&self.replicas).into(),
            false => (&self.top).into(),
        }
    }

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
