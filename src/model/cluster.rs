//! The cluster as its brokers describe it.

use serde::{Deserialize, Serialize};

use super::BrokerId;
use super::broker::Broker;

/// Identity, brokers and controller. From DescribeCluster (Metadata where that is missing).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: String,
    /// The active controller as clients may know it; on KRaft a random broker stands in for a dedicated one.
    pub controller: Option<BrokerId>,
    /// Sorted by id. Fenced brokers are included where the cluster tells of them (DescribeCluster v2, Kafka 4.0).
    pub brokers: Vec<Broker>,
    /// The release the finalised `metadata.version` belongs to, for example `4.1`.
    pub version: Option<String>,
}
