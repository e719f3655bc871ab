//! One node's replicas: who leads, who follows, which records are committed.
//!
//! What must stay true: a record acknowledged with acks=all is below the high watermark, the high watermark is at or
//! below the log end of every in-sync replica, only in-sync replicas are elected, and a follower truncates to its
//! leader's epoch history before it is counted again (KIP-101, KIP-279, KIP-320).

mod link;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::id::{Epoch, NodeId, Offset, TopicPartition};
use crate::image::Image;
use crate::image::property::TopicSettings;

pub use link::{AlterPartition, LeaderLink, LeaderLinks, LinkError, WireLinks};

/// Kafka's properties for replication; the names are the fields' comments.
#[derive(Debug, Clone)]
pub struct Options {
    pub node: NodeId,
    /// This run of the process. Nothing is led or followed until the image holds it: an older image could say that this
    /// node leads what it does not lead any more.
    pub incarnation: uuid::Uuid,
    /// `inter.broker.listener.name`
    pub listener: String,
    /// `replica.lag.time.max.ms`
    pub lag_time_max: Duration,
    /// `replica.fetch.wait.max.ms`
    pub fetch_wait_max: Duration,
    /// `replica.fetch.min.bytes`
    pub fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`, of one partition
    pub fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`
    pub fetch_response_max_bytes: i32,
    /// `replica.fetch.backoff.ms`
    pub fetch_backoff: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub checkpoint_interval: Duration,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_sessions_max: usize,
}

impl Options {
    /// Kafka's defaults.
    pub fn new(node: NodeId, incarnation: uuid::Uuid) -> Self {
        Self {
            node,
            incarnation,
            listener: "PLAINTEXT".to_owned(),
            lag_time_max: Duration::from_secs(30),
            fetch_wait_max: Duration::from_millis(500),
            fetch_min_bytes: 1,
            fetch_max_bytes: 1 << 20,
            fetch_response_max_bytes: 10 << 20,
            fetch_backoff: Duration::from_secs(1),
            checkpoint_interval: Duration::from_secs(5),
            fetch_sessions_max: 1000,
        }
    }
}

/// The effective configs of a topic, by name.
pub type Settings = Box<dyn Fn(&Image, &str) -> TopicSettings + Send + Sync>;

/// What the replicas ask of the node around them.
pub struct Surroundings {
    /// Asks the controller to change in-sync replicas.
    pub controller: Arc<dyn AlterPartition>,
    /// Opens connections to leaders; [`WireLinks`] in a real node.
    pub leaders: Arc<dyn LeaderLinks>,
    pub settings: Settings,
}

/// How many replicas must have a record before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// No answer at all.
    None,
    Leader,
    /// All in-sync replicas, of which there must be `min.insync.replicas`.
    All,
}

/// What an append gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// -1 unless the topic stamps records itself.
    pub log_append_time: i64,
    pub log_start: Offset,
}

/// An error and, if there is more to say than its name, a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", message.clone().unwrap_or_else(|| code.to_string()))]
pub struct Refusal {
    pub code: ResponseError,
    pub message: Option<String>,
}

impl From<ResponseError> for Refusal {
    fn from(code: ResponseError) -> Self {
        Self { code, message: None }
    }
}

/// The replicas of one node.
pub struct ReplicaManager {
    options: Options,
}

impl ReplicaManager {
    /// Holds no replicas until [`Self::apply`].
    pub fn new(options: Options, surroundings: Surroundings) -> Arc<Self> {
        let _ = surroundings;
        Arc::new(Self { options })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Leads, follows and deletes what `image` says. Blocks on the disk when replicas are created.
    pub fn apply(self: &Arc<Self>, image: &Arc<Image>) {
        let _ = image;
    }

    /// Ticks, checkpoints and fetches until [`Self::shutdown`].
    pub async fn run(self: Arc<Self>) {}

    /// Stops fetching and writes the high watermark checkpoint; logs stay open.
    pub async fn shutdown(&self) {}

    /// Appends to a local leader and waits as long as `acks` says, at most `timeout`.
    pub async fn append(
        &self,
        at: TopicPartition,
        records: Bytes,
        acks: Acks,
        timeout: Duration,
    ) -> Result<Produced, Refusal> {
        let _ = (at, records, acks, timeout);
        Err(ResponseError::NotLeaderOrFollower.into())
    }

    /// Committed batches of a local leader from `from` on, for coordinators; empty at the high watermark.
    pub fn read_committed(&self, at: TopicPartition, from: Offset, max_bytes: usize) -> Result<Bytes, Refusal> {
        let _ = (at, from, max_bytes);
        Err(ResponseError::NotLeaderOrFollower.into())
    }

    /// The epoch in which this node leads `at`, if it does.
    pub fn leader_epoch(&self, at: TopicPartition) -> Option<Epoch> {
        let _ = at;
        None
    }
}
