//! Topics, their partitions and where the replicas are.

use serde::{Deserialize, Serialize};

use super::{BrokerId, BrokerIds};

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
    pub replicas: BrokerIds,
    pub isr: BrokerIds,
    /// Not in sync, and all the same with all that was committed: the eligible leader replicas of KIP-966. Asked for where hardly
    /// anybody is in sync; empty where there is none, and where nobody tells.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub eligible: BrokerIds,
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
        Some(&self.partitions[self.place(partition)?])
    }

    /// Where a partition is in the list: a topic that is told whole has no gaps.
    pub fn place(&self, partition: i32) -> Option<usize> {
        let at = usize::try_from(partition).ok()?;
        match self.partitions.get(at) {
            Some(placed) if placed.partition == partition => Some(at),
            _ => self
                .partitions
                .binary_search_by_key(&partition, |placed| placed.partition)
                .ok(),
        }
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

    /// One is in sync or none, of several: who else has all that was committed is worth a question.
    pub fn is_thin(&self) -> bool {
        self.isr.len() <= 1 && self.replicas.len() > 1
    }

    /// Replicas that have all that was committed, those in sync first: what is on none of them is lost.
    pub fn safe(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let eligible = self.eligible.iter().filter(|id| !self.isr.contains(id));
        self.isr.iter().chain(eligible).copied()
    }

    /// In the replica set, but not in sync.
    pub fn missing(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.replicas.iter().copied().filter(|id| !self.isr.contains(id))
    }
}
