//! Kafka's control plane and its records, as model values.
//!
//! [`Kafka`] speaks the protocol itself, one pipelined connection to each broker, with a deadline on every call.
//! A question about the cluster goes to whichever broker answers first; a question about a broker goes to that
//! broker only, and fails at once while it is known to be dead. [`record`] moves records, over librdkafka.

mod acl;
mod answer;
mod backlog;
mod change;
mod cluster;
mod config;
mod door;
#[cfg(test)]
pub(crate) mod fake;
mod feature;
mod group;
mod leader;
mod link;
mod logdir;
mod offset;
mod pool;
pub mod presence;
mod quorum;
mod quota;
mod reassignment;
pub mod record;
mod right;
mod security;
mod target;
#[cfg(test)]
mod tests;
mod token;
mod topic;
mod user;
mod transaction;

pub use backlog::{Unread, UnreadPart};
pub use change::{ConfigChange, Edit, Election, Move, NewTopic, Outcomes, Resource};
pub use config::Of;
pub use door::Handshake;
pub use link::Probe;
pub use offset::Marks;
pub use security::Security;
pub use target::{Deadlines, Target};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;

use crate::model::acl::{Acls, Rule};
use crate::model::backlog::{Backlogs, Retentions};
use crate::model::cluster::Cluster;
use crate::model::config::{Config, Owner};
use crate::model::feature::Told;
use crate::model::group::Group;
use crate::model::logdir::LogDir;
use crate::model::offset::Offsets;
use crate::model::quorum::Quorum;
use crate::model::quota::{Entity, Quota};
use crate::model::reassignment::Reassignment;
use crate::model::right::Rights;
use crate::model::topic::Topic;
use crate::model::transaction::{Producer, Transaction};
use crate::model::user::User;
use crate::model::write::LastWrite;
use crate::model::{BrokerId, Moment};
use crate::source::Error;
use pool::{Peer, Pool};

/// A cluster's control plane. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Kafka {
    target: Arc<Target>,
    pool: Arc<Pool>,
}

/// Partitions by topic, the unit in which offsets are asked for.
pub type Partitions = BTreeMap<String, Vec<i32>>;

impl Kafka {
    /// Connects to nobody yet.
    pub fn new(target: Target) -> Self {
        Self {
            pool: Arc::new(Pool::new(&target)),
            target: Arc::new(target),
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How many requests were sent so far, by the API's name.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.pool.requests()
    }

    /// Identity, brokers (fenced ones too from Kafka 4.0) and controller. DescribeCluster, or Metadata where it is missing.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        cluster::cluster(&self.pool).await
    }

    /// Every topic with its partitions, sorted by name. Metadata, one request.
    pub async fn topics(&self) -> Result<Vec<Topic>, Error> {
        let topics = topic::topics(&self.pool, None).await?;
        Ok(topics.map(|(_, topics)| topics).unwrap_or_default())
    }

    /// The same with a mark of the answer; `None` where it is the answer that had the mark `known`.
    pub async fn topics_unless(&self, known: Option<u64>) -> Result<Option<(u64, Vec<Topic>)>, Error> {
        topic::topics(&self.pool, known).await
    }

    /// Whether there is a topic of this name, as far as we may see. Metadata, of that topic alone.
    pub async fn has_topic(&self, name: &str) -> Result<bool, Error> {
        topic::exists(&self.pool, name).await
    }

    /// The configs of one broker, sorted by name, asked of that broker. DescribeConfigs.
    pub async fn broker_configs(&self, broker: BrokerId) -> Result<Vec<Config>, Error> {
        let peer = self.peer(broker).await?;
        config::of_broker(&self.pool, &peer, broker).await
    }

    /// Every config of one owner, sorted by name; a broker is asked for its own. DescribeConfigs.
    pub async fn configs_of(&self, owner: &Owner) -> Result<Vec<Config>, Error> {
        match owner {
            Owner::Broker(id) => self.broker_configs(*id).await,
            owner => config::of_resource(&self.pool, &owner.into()).await,
        }
    }

    /// What differs from the brokers' defaults, plus `min.insync.replicas`, by topic; or that one alone. DescribeConfigs, batched.
    pub async fn topic_configs(&self, topics: &[String], of: Of) -> Result<BTreeMap<String, Vec<Config>>, Error> {
        config::of_topics(&self.pool, topics, of).await
    }

    /// The names of the client metrics subscriptions (KIP-714), sorted: one request. ListClientMetricsResources, which is also
    /// ListConfigResources (KIP-1142); `Unsupported` before Kafka 3.7.
    pub async fn client_metrics(&self) -> Result<Vec<String>, Error> {
        config::client_metrics(&self.pool).await
    }

    /// DescribeLogDirs, asked of that broker.
    pub async fn logdirs(&self, broker: BrokerId) -> Result<Vec<LogDir>, Error> {
        let peer = self.peer(broker).await?;
        logdir::logdirs(&self.pool, &peer).await
    }

    /// DescribeQuorum; `Unsupported` on a cluster that still has ZooKeeper.
    pub async fn quorum(&self) -> Result<Quorum, Error> {
        quorum::quorum(&self.pool).await
    }

    /// The groups that this broker coordinates, with members and commits: at most four requests per thousand groups.
    pub async fn groups(&self, coordinator: BrokerId) -> Result<Vec<Group>, Error> {
        let peer = self.peer(coordinator).await?;
        group::groups(&self.pool, &peer, coordinator).await
    }

    /// The broker that coordinates this group. FindCoordinator.
    pub async fn coordinator(&self, group: &str) -> Result<BrokerId, Error> {
        group::coordinator(&self.pool, group).await
    }

    /// Commits offsets, by topic and partition, for a group that has no members. OffsetCommit, to its coordinator.
    pub async fn commit_offsets(
        &self,
        coordinator: BrokerId,
        group: &str,
        offsets: &[(String, i32, i64)],
    ) -> Result<Outcomes<(String, i32)>, Error> {
        let peer = self.peer(coordinator).await?;
        group::commit_for(&self.pool, &peer, group, offsets).await
    }

    /// Deletes groups that have no members, with their offsets. DeleteGroups, to their coordinator.
    pub async fn delete_groups(&self, coordinator: BrokerId, groups: &[String]) -> Result<Outcomes<String>, Error> {
        let peer = self.peer(coordinator).await?;
        group::delete(&self.pool, &peer, groups).await
    }

    /// The first records since `time_ms`, asked of the leader in one request; `None` where none is that young. ListOffsets.
    pub async fn offsets_since(
        &self,
        leader: BrokerId,
        partitions: &[(String, i32)],
        time_ms: i64,
    ) -> Result<BTreeMap<(String, i32), Option<i64>>, Error> {
        let peer = self.peer(leader).await?;
        offset::since(&self.pool, &peer, partitions, time_ms).await
    }

    /// The timestamp of the newest record of each partition that a leader leads, in ms; `None` of one without any. ListOffsets
    /// (KIP-734).
    pub async fn newest(
        &self,
        leader: BrokerId,
        partitions: &[(String, i32)],
    ) -> Result<BTreeMap<(String, i32), Option<i64>>, Error> {
        let peer = self.peer(leader).await?;
        offset::newest(&self.pool, &peer, partitions).await
    }

    /// Aborts the producer's open transaction in its partition, whatever its coordinator knows. WriteTxnMarkers, to the leader.
    pub async fn abort_transaction(&self, leader: BrokerId, producer: &Producer) -> Result<(), Error> {
        let peer = self.peer(leader).await?;
        transaction::abort(&self.pool, &peer, producer).await
    }

    /// First and next offsets of these partitions, asked of their leader: two requests. ListOffsets.
    pub async fn offsets(&self, leader: BrokerId, partitions: &Partitions) -> Result<Offsets, Error> {
        let told = self.offsets_unless(leader, partitions, None).await?;
        Ok(told.map(|(_, offsets)| offsets).unwrap_or_default())
    }

    /// The same with the marks of the answers; `None` where they are those that were `known` before.
    pub async fn offsets_unless(
        &self,
        leader: BrokerId,
        partitions: &Partitions,
        known: Option<(Marks, &Offsets)>,
    ) -> Result<Option<(Option<Marks>, Offsets)>, Error> {
        let peer = self.peer(leader).await?;
        offset::offsets(&self.pool, &peer, partitions, known).await
    }

    /// The transactional ids that this broker coordinates: one request, and one more for each 500 that are open.
    /// ListTransactions, DescribeTransactions; `Unsupported` before Kafka 3.0.
    pub async fn transactions(&self, coordinator: BrokerId) -> Result<Vec<Transaction>, Error> {
        let peer = self.peer(coordinator).await?;
        transaction::transactions(&self.pool, &peer).await
    }

    /// The producers that the leader of these partitions remembers: one request. DescribeProducers.
    pub async fn producers(&self, leader: BrokerId, partitions: &Partitions) -> Result<Vec<Producer>, Error> {
        let peer = self.peer(leader).await?;
        transaction::producers(&self.pool, &peer, partitions).await
    }

    /// When the records at these offsets were written, and which transactions hold readers back: at most eight requests to
    /// their leader however many there are. ListOffsets, DescribeProducers.
    pub async fn backlogs(&self, leader: BrokerId, unread: &Unread, now: Moment) -> Result<Backlogs, Error> {
        let peer = self.peer(leader).await?;
        backlog::backlogs(&self.pool, &peer, unread, now).await
    }

    /// The newest record of these partitions, by its timestamp: one request to their leader. ListOffsets.
    pub async fn last_write(&self, leader: BrokerId, partitions: &Partitions) -> Result<Option<LastWrite>, Error> {
        let peer = self.peer(leader).await?;
        offset::last_write(&self.pool, &peer, partitions).await
    }

    /// How long these topics keep records, and groups their offsets: a request per thousand topics and one more. DescribeConfigs.
    pub async fn retentions(&self, topics: &[String]) -> Result<Retentions, Error> {
        config::retentions(&self.pool, topics).await
    }

    /// Moves in flight, whoever started them. ListPartitionReassignments.
    pub async fn reassignments(&self) -> Result<Vec<Reassignment>, Error> {
        reassignment::reassignments(&self.pool).await
    }

    /// The authorizer's rules, one request; that there is no authorizer is an answer too. DescribeAcls.
    pub async fn acls(&self) -> Result<Acls, Error> {
        acl::acls(&self.pool).await
    }

    /// The rules as this broker knows them. DescribeAcls.
    pub async fn acls_of(&self, broker: BrokerId) -> Result<Acls, Error> {
        let peer = self.peer(broker).await?;
        acl::of_broker(&self.pool, &peer).await
    }

    /// CreateAcls; one that is there already is no error.
    pub async fn create_acls(&self, rules: &[Rule]) -> Result<(), Error> {
        acl::create(&self.pool, rules).await
    }

    /// DeleteAcls, each named in full; one that is gone already is no error.
    pub async fn delete_acls(&self, rules: &[Rule]) -> Result<(), Error> {
        acl::delete(&self.pool, rules).await
    }

    /// Who we are to the brokers, where that follows from how we log in. `None`: from a certificate, whose name they map.
    pub fn principal(&self) -> Option<String> {
        self.pool.security().principal()
    }

    /// Users with SCRAM credentials, one request; never a secret. DescribeUserScramCredentials.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        user::users(&self.pool).await
    }

    /// Gives a user a SCRAM password; only what is derived from it is sent. AlterUserScramCredentials.
    pub async fn set_scram(&self, user: &str, mechanism: &str, iterations: i32, password: &str) -> Result<(), Error> {
        user::set(&self.pool, user, mechanism, iterations, password).await
    }

    /// Takes a SCRAM credential away; one that is gone already is no error. AlterUserScramCredentials.
    pub async fn delete_scram(&self, user: &str, mechanism: &str) -> Result<(), Error> {
        user::delete(&self.pool, user, mechanism).await
    }

    /// Sets limits of one entity, `None` takes one away; those that are not named stay. AlterClientQuotas.
    pub async fn alter_quota(&self, entity: &Entity, limits: &BTreeMap<String, Option<f64>>) -> Result<(), Error> {
        quota::alter(&self.pool, entity, limits).await
    }

    /// Client quotas of all entities, one request. DescribeClientQuotas.
    pub async fn quotas(&self) -> Result<Vec<Quota>, Error> {
        quota::quotas(&self.pool).await
    }

    /// Levels of features that this broker speaks, and those that it knows to be finalized. ApiVersions.
    pub async fn features(&self, broker: BrokerId) -> Result<Told, Error> {
        let peer = self.peer(broker).await?;
        feature::told(&self.pool, &peer).await
    }

    /// Finalizes a level of a feature for the whole cluster; a `lower` one only where no metadata is lost. UpdateFeatures.
    pub async fn finalize(&self, name: &str, level: i16, lower: bool, validate_only: bool) -> Result<(), Error> {
        feature::finalize(&self.pool, name, level, lower, validate_only).await
    }

    /// One ApiVersions round trip.
    pub async fn link(&self, broker: BrokerId) -> Result<Probe, Error> {
        let peer = self.peer(broker).await?;
        link::link(&self.pool, &peer).await
    }

    /// The same of a controller that is no broker, at its own listener. It may want another login than brokers do, or none that we have.
    pub async fn controller_link(&self, address: &str) -> Result<Probe, Error> {
        link::link(&self.pool, &self.pool.controller(address)).await
    }

    /// As [`Self::connections`], of a controller that is no broker.
    pub fn controller_connections(&self, address: &str) -> u64 {
        self.pool.controller(address).connections()
    }

    /// How many connections were made to this broker. While the process that we talk to lives, and nobody is impatient with
    /// it, there is one; a process that was started anew takes another.
    pub fn connections(&self, broker: BrokerId) -> u64 {
        self.pool.broker(broker).map_or(0, |peer| peer.connections())
    }

    /// Shakes hands at this address and hangs up; `None` where connections are not encrypted.
    pub async fn handshake(&self, address: &str) -> Result<Option<Handshake>, Error> {
        door::handshake(&self.pool, address).await
    }

    /// Logs in at this address and hangs up: the mechanism, and the user where one is known. `None` where nobody logs in.
    pub async fn login(&self, address: &str) -> Result<Option<(String, Option<String>)>, Error> {
        door::login(&self.pool, address).await
    }

    /// What we may do on the cluster and on each topic that we see.
    pub async fn rights(&self) -> Result<Rights, Error> {
        right::rights(&self.pool).await
    }

    /// CreateTopics. With `validate_only` nothing is created, and the answer is what would have been.
    pub async fn create_topics(&self, topics: &[NewTopic], validate_only: bool) -> Result<Outcomes<String>, Error> {
        topic::create(&self.pool, topics, validate_only).await
    }

    /// The topic has `count` partitions afterwards. CreatePartitions.
    pub async fn add_partitions(&self, topic: &str, count: i32) -> Result<(), Error> {
        topic::add_partitions(&self.pool, topic, count).await
    }

    /// Deletes the records before these offsets, by topic and partition, all led by this broker. DeleteRecords.
    pub async fn delete_records(
        &self,
        leader: BrokerId,
        offsets: &[(String, i32, i64)],
    ) -> Result<Outcomes<(String, i32)>, Error> {
        let peer = self.peer(leader).await?;
        topic::delete_records(&self.pool, &peer, offsets).await
    }

    /// DeleteTopics, by name.
    pub async fn delete_topics(&self, topics: &[String]) -> Result<Outcomes<String>, Error> {
        topic::delete(&self.pool, topics).await
    }

    /// Starts or cancels moves; they go on in the cluster after the answer. AlterPartitionReassignments.
    pub async fn alter_partition_reassignments(&self, moves: &[Move]) -> Result<Outcomes<(String, i32)>, Error> {
        reassignment::alter(&self.pool, moves).await
    }

    /// ElectLeaders. A partition that needs no election counts as done.
    pub async fn elect_leaders(
        &self,
        election: Election,
        partitions: &[(String, i32)],
    ) -> Result<Outcomes<(String, i32)>, Error> {
        leader::elect(&self.pool, election, partitions).await
    }

    /// IncrementalAlterConfigs; per resource its changes happen together or not at all. What belongs to one broker goes to
    /// that broker.
    pub async fn incremental_alter_configs(
        &self,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<Outcomes<Resource>, Error> {
        let own = |change: &ConfigChange| match change.resource {
            Resource::Broker(id) => id,
            _ => None,
        };
        let mut by_broker: BTreeMap<Option<BrokerId>, Vec<ConfigChange>> = BTreeMap::new();
        for change in changes {
            by_broker.entry(own(change)).or_default().push(change.clone());
        }
        // One broker that cannot be asked leaves the others theirs.
        let alone = by_broker.len() == 1;
        let asked = by_broker.into_iter().map(|(broker, changes)| async move {
            let told = async {
                let peer = match broker {
                    Some(id) => Some(self.peer(id).await?),
                    None => None,
                };
                config::change(&self.pool, peer.as_deref(), &changes, validate_only).await
            };
            match told.await {
                Err(error) if !alone => {
                    let resources: BTreeSet<Resource> = changes.into_iter().map(|change| change.resource).collect();
                    Ok(resources
                        .into_iter()
                        .map(|resource| (resource, Err(error.clone())))
                        .collect())
                }
                told => told,
            }
        });
        let mut outcomes = Outcomes::new();
        for told in join_all(asked).await {
            outcomes.extend(told?);
        }
        Ok(outcomes)
    }

    /// The connection to a broker; the cluster is asked for its address when it is not known yet.
    async fn peer(&self, broker: BrokerId) -> Result<Arc<Peer>, Error> {
        if let Some(peer) = self.pool.broker(broker) {
            return Ok(peer);
        }
        self.cluster().await?;
        self.pool.broker(broker).ok_or_else(|| Error::Unreachable {
            peer: format!("broker {broker}"),
            reason: "the cluster does not list it".to_owned(),
        })
    }
}
