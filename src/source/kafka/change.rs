//! The changes that a cluster can be asked for, and the answer per item.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::BrokerId;
use crate::model::config::Owner;
use crate::source::Error;

/// What became of each item of a change. The change as a whole failed only when nobody could be asked.
pub type Outcomes<K> = Vec<(K, Result<(), Error>)>;

/// A topic to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// `None`: the broker's `num.partitions`. Ignored with `assignments`.
    pub partitions: Option<i32>,
    /// `None`: the broker's `default.replication.factor`. Ignored with `assignments`.
    pub replication_factor: Option<i16>,
    /// Replicas of each partition, preferred leader first; empty lets the controller place them.
    pub assignments: Vec<Vec<BrokerId>>,
    pub configs: BTreeMap<String, String>,
}

/// One partition and where its replicas shall be. KIP-455.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub topic: String,
    pub partition: i32,
    /// Preferred leader first; `None` cancels the move in flight.
    pub replicas: Option<Vec<BrokerId>>,
}

/// Which replica may become leader. KIP-460.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any live replica: acknowledged records may be lost.
    Unclean,
}

/// What a config belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Topic(String),
    /// `None`: the default of all brokers.
    Broker(Option<BrokerId>),
    Group(String),
}

impl Resource {
    /// The protocol's type number, `ConfigResource.Type`.
    pub(crate) fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
            Self::Group(_) => 32,
        }
    }

    /// The protocol's name of it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) => name.clone(),
            Self::Broker(id) => id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl From<&Owner> for Resource {
    fn from(owner: &Owner) -> Self {
        match owner {
            Owner::Topic(name) => Self::Topic(name.clone()),
            Owner::Broker(id) => Self::Broker(Some(*id)),
            Owner::AllBrokers => Self::Broker(None),
            Owner::Group(name) => Self::Group(name.clone()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(Some(id)) => write!(f, "broker {id}"),
            Self::Broker(None) => f.write_str("all brokers"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// One config to change. KIP-339: what is not named stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub resource: Resource,
    pub name: String,
    pub edit: Edit,
}

/// What to do with a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    Set(String),
    /// Back to the inherited value.
    Unset,
    /// Add to a list.
    Append(String),
    /// Remove from a list.
    Subtract(String),
}
