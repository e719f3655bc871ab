//! The controller quorum. From DescribeQuorum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// The metadata log's leader and who follows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    pub leader: Option<BrokerId>,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<Voter>,
    pub observers: Vec<Voter>,
    /// `host:port` of each voter's first listener (KIP-853); empty where the quorum does not tell (before Kafka 3.9).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<BrokerId, String>,
}

/// A voter or an observer and how far it has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    pub id: BrokerId,
    pub log_end_offset: i64,
    /// Milliseconds since the epoch, on the leader's clock; `None` when it never fetched.
    pub last_fetch_ms: Option<i64>,
    pub last_caught_up_ms: Option<i64>,
    /// The id of its metadata log directory, as Kafka writes it (KIP-853); `None` where the quorum does not tell.
    #[serde(default)]
    pub directory: Option<String>,
}
