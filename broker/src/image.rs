//! The cluster's metadata as one immutable value.
//!
//! An [`Image`] is what the metadata log says up to [`Image::offset`]. It is changed only by applying
//! [`Record`]s in log order, so every node that has read as far holds the same image. Nodes share it as
//! `Arc<Image>` through a `tokio::sync::watch`; parts that did not change are shared between versions.

pub mod acl;
mod changes;
mod codec;
pub mod feature;
pub mod property;
pub mod quota;
mod record;
mod scram;
pub mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use changes::Changes;
pub use codec::{Unreadable, encode};
pub use record::Record;
pub use scram::ScramCredential;

use crate::id::{Epoch, NodeId, Offset, TopicId, TopicPartition};
use crate::wire::sasl::Scram;
use serde::{Deserialize, Serialize};

/// Everything the metadata log says up to and including `offset`.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The last applied metadata offset; -1 before the first record.
    pub offset: Offset,
    /// The controller epoch of that record.
    pub epoch: Epoch,
    pub cluster_id: String,
    pub brokers: BTreeMap<NodeId, Arc<Broker>>,
    pub topics: HashMap<TopicId, Arc<Topic>>,
    pub topic_ids: BTreeMap<String, TopicId>,
    /// Dynamic configs by resource; only what was set. Broker "" is the cluster-wide default.
    pub configs: BTreeMap<Resource, Arc<BTreeMap<String, String>>>,
    /// Finalised feature levels, for example `metadata.version`.
    pub features: BTreeMap<String, i16>,
    /// Client quotas; shared between images as long as none changes.
    pub quotas: Arc<quota::Quotas>,
    /// The first producer id that no broker was given yet.
    pub next_producer_id: i64,
    pub acls: Arc<acl::Acls>,
    /// The users' SCRAM credentials; a user without one is not in it.
    pub scram: Arc<BTreeMap<String, BTreeMap<Scram, ScramCredential>>>,
    /// Delegation tokens, by id.
    pub tokens: Arc<BTreeMap<String, token::Token>>,
    /// What its last records changed.
    history: changes::History,
}

/// A registered broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    pub id: NodeId,
    /// Identifies one run of the process; a broker that comes back has another.
    pub incarnation: uuid::Uuid,
    /// The metadata offset of its registration, so it only grows (KIP-631).
    pub epoch: i64,
    pub rack: Option<String>,
    pub listeners: Vec<Endpoint>,
    /// A fenced broker leads nothing and is in no ISR; clients do not see it.
    pub fenced: bool,
    /// Set while the broker waits for its leaders to move away before it stops.
    pub in_controlled_shutdown: bool,
    /// Ids of its log directories that are online.
    pub log_dirs: Vec<uuid::Uuid>,
    /// The levels of each feature that it knows: least and greatest.
    #[serde(default)]
    pub features: BTreeMap<String, (i16, i16)>,
}

/// Where a listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
}

/// A topic and its partitions; the index is the partition id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub id: TopicId,
    pub name: String,
    pub partitions: Vec<Arc<Partition>>,
}

/// One partition's placement and leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// In order of preference; during a reassignment it contains the adding and the removing ones.
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    #[serde(default)]
    pub adding: Vec<NodeId>,
    #[serde(default)]
    pub removing: Vec<NodeId>,
    /// Not in sync and yet with everything that was committed: who may lead when nobody in sync can (KIP-966).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elr: Vec<NodeId>,
    /// Of a partition without leader, the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_known_elr: Vec<NodeId>,
    /// Its leader was elected uncleanly and has not reported since (KIP-704).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovering: bool,
    /// [`NodeId::NONE`] when no replica may lead.
    pub leader: NodeId,
    /// Grows with every change of leader.
    pub leader_epoch: Epoch,
    /// Grows with every change of this value; the compare-and-swap of AlterPartition.
    pub partition_epoch: Epoch,
    /// In which log directory replicas lie, told by brokers with several (KIP-858); a broker that is not named has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<(NodeId, uuid::Uuid)>,
}

/// What a dynamic config belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    Topic(String),
    /// A broker's id as text; "" is the default for all brokers.
    Broker(String),
    Group(String),
    /// A subscription to the metrics of clients (KIP-714).
    ClientMetrics(String),
}

impl Image {
    /// Of no cluster yet.
    pub fn empty() -> Self {
        Self {
            offset: -1,
            ..Self::default()
        }
    }

    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topic_ids.get(name).and_then(|id| self.topics.get(id))
    }

    pub fn partition(&self, at: TopicPartition) -> Option<&Arc<Partition>> {
        self.topics
            .get(&at.topic)?
            .partitions
            .get(usize::try_from(at.partition).ok()?)
    }

    /// Registered and not fenced.
    pub fn is_live(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced)
    }

    /// Whether broker `id` is registered and the log directory of its replica is not known to have failed.
    pub fn has_directory(&self, partition: &Partition, id: NodeId) -> bool {
        let online = |broker: &Arc<Broker>| {
            partition
                .directory(id)
                .is_none_or(|directory| broker.log_dirs.contains(&directory))
        };
        self.brokers.get(&id).is_some_and(online)
    }

    /// The dynamic value of one config of one resource.
    pub fn config(&self, resource: &Resource, key: &str) -> Option<&str> {
        self.configs.get(resource)?.get(key).map(String::as_str)
    }

    /// Applies one record of the metadata log.
    pub fn apply(&mut self, record: &Record, offset: Offset, epoch: Epoch) {
        self.note(record);
        self.offset = offset;
        self.epoch = epoch;
        record.apply_to(self, offset);
    }
}

impl Partition {
    /// The replicas it will have when the reassignment in flight, if any, is done.
    pub fn target(&self) -> Vec<NodeId> {
        self.replicas
            .iter()
            .copied()
            .filter(|id| !self.removing.contains(id))
            .collect()
    }

    /// The log directory of a broker's replica, if the broker has told it.
    pub fn directory(&self, id: NodeId) -> Option<uuid::Uuid> {
        let known = self.directories.iter().find(|(broker, _)| *broker == id);
        known.map(|(_, directory)| *directory)
    }

    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }
}

impl Broker {
    /// Where the named listener can be reached.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.listeners.iter().find(|endpoint| endpoint.listener == listener)
    }
}
