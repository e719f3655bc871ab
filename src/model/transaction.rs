//! Transactions as their coordinators tell them, and producers as partitions see them (KIP-664).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One transactional id. From ListTransactions, and DescribeTransactions for those that are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// `transactional.id`.
    pub id: String,
    /// Kafka's word: `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort`, `Dead`.
    pub state: String,
    pub producer_id: i64,
    /// What only DescribeTransactions tells; `None` for those that are not open.
    pub open: Option<Open>,
}

/// An open transaction in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub producer_epoch: i16,
    /// `transaction.timeout.ms` of its producer.
    pub timeout_ms: i32,
    /// Milliseconds since the epoch, on the coordinator's clock; `None` before its first partition.
    pub started_ms: Option<i64>,
    /// The partitions it has written to, by topic.
    pub topics: BTreeMap<String, Vec<i32>>,
}

/// A producer that a partition's leader remembers. From DescribeProducers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    pub topic: String,
    pub partition: i32,
    pub producer_id: i64,
    pub producer_epoch: i32,
    /// Of the coordinator that wrote its last marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// Of its last record, milliseconds since the epoch.
    pub last_timestamp_ms: Option<i64>,
    /// Where its open transaction begins; `None` when none is open.
    pub open_from_offset: Option<i64>,
}

impl Transaction {
    /// Its partitions may hold records that readers of committed data cannot pass.
    pub fn is_open(&self) -> bool {
        is_open(&self.state)
    }
}

/// Begun and not over: `Ongoing`, and `Prepare…`, whose markers are not written everywhere.
pub fn is_open(state: &str) -> bool {
    state == "Ongoing" || state.starts_with("Prepare")
}
