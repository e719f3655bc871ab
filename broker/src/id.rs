//! Newtypes for the things that are easy to confuse: brokers, topics, partitions.

mod base64url;

use std::fmt;

pub use base64url::Base64Url;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A node's id: a broker's or the controller's. Never negative, except for [`NodeId::NONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i32);

impl NodeId {
    /// What the protocol writes for "no node", for example as the leader of an offline partition.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic's id: survives nothing, so a topic deleted and created again has another one (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// The id of `__cluster_metadata`, reserved by KIP-516.
    pub const METADATA: Self = Self(Uuid::from_u128(1));
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one topic. Copies are free; the name is looked up in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A record's position in its partition. -1 is "unknown" on the wire.
pub type Offset = i64;

/// A leader's, partition's or broker's epoch. -1 is "unknown" on the wire.
pub type Epoch = i32;
