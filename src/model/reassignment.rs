//! Reassignments in flight, whoever started them. From ListPartitionReassignments.

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// One partition on its way to other brokers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}
