//! Topics, their partitions and where the replicas are.

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// One topic. From Metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    pub name: String,
    /// The topic id; all zeroes where the cluster has none.
    pub id: uuid::Uuid,
    pub internal: bool,
    /// Sorted by partition.
    pub partitions: Vec<Partition>,
}

/// One partition's placement. During a reassignment `replicas` holds old and new ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub partition: i32,
    /// `None` when the partition is offline.
    pub leader: Option<BrokerId>,
    pub leader_epoch: i32,
    /// In order of preference.
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub offline: Vec<BrokerId>,
}

/// What a replica is to its partition; the cell of the placement matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Leader,
    InSync,
    OutOfSync,
    /// Being added by a reassignment and not in sync yet.
    Adding,
    /// Will go when the reassignment ends.
    Removing,
}

impl Topic {
    pub fn partition(&self, partition: i32) -> Option<&Partition> {
        let at = self
            .partitions
            .binary_search_by_key(&partition, |placed| placed.partition)
            .ok()?;
        Some(&self.partitions[at])
    }
}

impl Partition {
    pub fn is_offline(&self) -> bool {
        self.leader.is_none()
    }

    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }

    pub fn is_leader_preferred(&self) -> bool {
        self.leader.is_some() && self.leader == self.replicas.first().copied()
    }

    /// In the replica set, but not in sync.
    pub fn missing(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.replicas.iter().copied().filter(|id| !self.isr.contains(id))
    }
}
