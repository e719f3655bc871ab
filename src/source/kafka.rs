//! Kafka's control plane and its records, as model values.
//!
//! [`Kafka`] speaks the protocol itself, one pipelined connection to each broker, with a deadline on every call.
//! A question about the cluster goes to whichever broker answers first; a question about a broker goes to that
//! broker only, and fails at once while it is known to be dead. [`record`] moves records, over librdkafka.

mod change;
mod target;

pub use change::{ConfigChange, Edit, Election, Move, NewTopic, Outcomes, Resource};
pub use target::{Deadlines, Security, Target};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::BrokerId;
use crate::model::broker::Link;
use crate::model::cluster::Cluster;
use crate::model::config::Config;
use crate::model::group::Group;
use crate::model::logdir::LogDir;
use crate::model::offset::Offsets;
use crate::model::quorum::Quorum;
use crate::model::reassignment::Reassignment;
use crate::model::topic::Topic;
use crate::source::Error;

/// A cluster's control plane. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Kafka {
    target: Arc<Target>,
}

/// Partitions by topic, the unit in which offsets are asked for.
pub type Partitions = BTreeMap<String, Vec<i32>>;

impl Kafka {
    /// Connects to nobody yet.
    pub fn new(target: Target) -> Self {
        Self {
            target: Arc::new(target),
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How many requests were sent so far, by the API's name.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    /// Identity, brokers (fenced ones too from Kafka 4.0) and controller. DescribeCluster, or Metadata where it is missing.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        Err(pending())
    }

    /// Every topic with its partitions, sorted by name. Metadata, one request.
    pub async fn topics(&self) -> Result<Vec<Topic>, Error> {
        Err(pending())
    }

    /// The configs of one broker, asked of that broker. DescribeConfigs.
    pub async fn broker_configs(&self, _broker: BrokerId) -> Result<Vec<Config>, Error> {
        Err(pending())
    }

    /// What differs from the brokers' defaults, plus `min.insync.replicas`, by topic. DescribeConfigs, batched.
    pub async fn topic_configs(&self, _topics: &[String]) -> Result<BTreeMap<String, Vec<Config>>, Error> {
        Err(pending())
    }

    /// DescribeLogDirs, asked of that broker.
    pub async fn logdirs(&self, _broker: BrokerId) -> Result<Vec<LogDir>, Error> {
        Err(pending())
    }

    pub async fn quorum(&self) -> Result<Quorum, Error> {
        Err(pending())
    }

    /// The groups that this broker coordinates, with members and commits: at most four requests per thousand groups.
    pub async fn groups(&self, _coordinator: BrokerId) -> Result<Vec<Group>, Error> {
        Err(pending())
    }

    /// First and next offsets of these partitions, asked of their leader: two requests. ListOffsets.
    pub async fn offsets(&self, _leader: BrokerId, _partitions: &Partitions) -> Result<Offsets, Error> {
        Err(pending())
    }

    pub async fn reassignments(&self) -> Result<Vec<Reassignment>, Error> {
        Err(pending())
    }

    /// One ApiVersions round trip.
    pub async fn link(&self, _broker: BrokerId) -> Result<Link, Error> {
        Err(pending())
    }

    pub async fn create_topics(&self, _topics: &[NewTopic], _validate_only: bool) -> Result<Outcomes<String>, Error> {
        Err(pending())
    }

    pub async fn delete_topics(&self, _topics: &[String]) -> Result<Outcomes<String>, Error> {
        Err(pending())
    }

    pub async fn alter_partition_reassignments(&self, _moves: &[Move]) -> Result<Outcomes<(String, i32)>, Error> {
        Err(pending())
    }

    pub async fn elect_leaders(
        &self,
        _election: Election,
        _partitions: &[(String, i32)],
    ) -> Result<Outcomes<(String, i32)>, Error> {
        Err(pending())
    }

    pub async fn incremental_alter_configs(
        &self,
        _changes: &[ConfigChange],
        _validate_only: bool,
    ) -> Result<Outcomes<Resource>, Error> {
        Err(pending())
    }
}

fn pending() -> Error {
    Error::Local("the control plane is not linked yet".to_owned())
}
