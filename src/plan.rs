//! Decisions, pure: from an intent and what was seen to a [`Plan`] that a person can read, save, and have carried out.
//!
//! A plan is pinned to the cluster's id and to what it saw of everything it touches. Nothing here asks or changes
//! anything; what has changed since is found again by [`drift::since`] before the first act.

pub mod acl;
pub mod config;
pub mod cost;
pub mod dns;
pub mod drift;
pub mod feature;
pub mod gate;
pub mod group;
pub mod impact;
pub mod intent;
pub mod leader;
pub mod quota;
pub mod reassign;
pub mod relieve;
pub mod restart;
pub mod schedule;
pub mod summary;
pub mod swap;
pub mod throttle;
pub mod topic;
pub mod transaction;
pub mod undo;
pub mod user;
pub mod volume;
pub mod whatif;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::throttle::Setting;
use crate::model::{BrokerId, Moment, Observed, Snapshot};
use gate::{Class, Gate, Verdict};
use impact::Impact;

/// The version of the plan file's shape.
pub const VERSION: u32 = 1;

/// How long a plan may wait for its `apply`.
pub const VALID: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// A change that was worked out and not made yet. The file that `… plan -o json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub azimuth: u32,
    pub kind: Kind,
    /// One line: what it does, for example `move 12 partitions off broker 4`.
    pub title: String,
    pub context: String,
    pub cluster_id: String,
    pub made_at: Moment,
    pub expires_at: Moment,
    pub steps: Vec<Step>,
    pub gates: Vec<Gate>,
    pub impact: Impact,
    pub undo: Undo,
    /// Of a reassignment that was worked out from a goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aim: Option<reassign::Aim>,
    /// Of a reassignment that copies anything and is not to do so as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<reassign::Throttle>,
}

/// The noun and verb a plan belongs to; `reassign apply` runs only reassignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Kind {
    #[serde(rename = "reassign.plan")]
    #[strum(serialize = "reassign.plan")]
    Reassign,
    #[serde(rename = "reassign.cancel")]
    #[strum(serialize = "reassign.cancel")]
    ReassignCancel,
    #[serde(rename = "record.send")]
    #[strum(serialize = "record.send")]
    RecordSend,
    #[serde(rename = "record.check")]
    #[strum(serialize = "record.check")]
    RecordCheck,
    #[serde(rename = "topic.create")]
    #[strum(serialize = "topic.create")]
    TopicCreate,
    #[serde(rename = "topic.delete")]
    #[strum(serialize = "topic.delete")]
    TopicDelete,
    #[serde(rename = "topic.add-partitions")]
    #[strum(serialize = "topic.add-partitions")]
    TopicAddPartitions,
    #[serde(rename = "topic.truncate")]
    #[strum(serialize = "topic.truncate")]
    TopicTruncate,
    #[serde(rename = "transaction.abort")]
    #[strum(serialize = "transaction.abort")]
    TransactionAbort,
    #[serde(rename = "leader.move")]
    #[strum(serialize = "leader.move")]
    LeaderMove,
    #[serde(rename = "leader.restore")]
    #[strum(serialize = "leader.restore")]
    LeaderRestore,
    #[serde(rename = "leader.elect")]
    #[strum(serialize = "leader.elect")]
    LeaderElect,
    #[serde(rename = "group.reset")]
    #[strum(serialize = "group.reset")]
    GroupReset,
    #[serde(rename = "group.delete")]
    #[strum(serialize = "group.delete")]
    GroupDelete,
    #[serde(rename = "config.set")]
    #[strum(serialize = "config.set")]
    ConfigSet,
    #[serde(rename = "config.unset")]
    #[strum(serialize = "config.unset")]
    ConfigUnset,
    #[serde(rename = "throttle.set")]
    #[strum(serialize = "throttle.set")]
    ThrottleSet,
    #[serde(rename = "throttle.clear")]
    #[strum(serialize = "throttle.clear")]
    ThrottleClear,
    #[serde(rename = "acl.apply")]
    #[strum(serialize = "acl.apply")]
    AclApply,
    #[serde(rename = "user.set")]
    #[strum(serialize = "user.set")]
    UserSet,
    #[serde(rename = "user.delete")]
    #[strum(serialize = "user.delete")]
    UserDelete,
    #[serde(rename = "quota.set")]
    #[strum(serialize = "quota.set")]
    QuotaSet,
    #[serde(rename = "feature.finalize")]
    #[strum(serialize = "feature.finalize")]
    FeatureFinalize,
    #[serde(rename = "restart.plan")]
    #[strum(serialize = "restart.plan")]
    Restart,
    #[serde(rename = "broker.stop")]
    #[strum(serialize = "broker.stop")]
    BrokerStop,
    #[serde(rename = "broker.start")]
    #[strum(serialize = "broker.start")]
    BrokerStart,
    #[serde(rename = "broker.replace")]
    #[strum(serialize = "broker.replace")]
    BrokerReplace,
    #[serde(rename = "volume.encrypt")]
    #[strum(serialize = "volume.encrypt")]
    VolumeEncrypt,
    #[serde(rename = "volume.modify")]
    #[strum(serialize = "volume.modify")]
    VolumeModify,
    #[serde(rename = "volume.snapshot")]
    #[strum(serialize = "volume.snapshot")]
    VolumeSnapshot,
    #[serde(rename = "volume.create")]
    #[strum(serialize = "volume.create")]
    VolumeCreate,
    #[serde(rename = "volume.attach")]
    #[strum(serialize = "volume.attach")]
    VolumeAttach,
    #[serde(rename = "volume.extend")]
    #[strum(serialize = "volume.extend")]
    VolumeExtend,
    #[serde(rename = "volume.detach")]
    #[strum(serialize = "volume.detach")]
    VolumeDetach,
    #[serde(rename = "dns.switch")]
    #[strum(serialize = "dns.switch")]
    DnsSwitch,
    #[serde(rename = "dns.rollback")]
    #[strum(serialize = "dns.rollback")]
    DnsRollback,
}

/// One act: what is sent to Kafka at once, and verified before the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Moves replicas; done when every partition has exactly its target replicas, all in sync.
    Reassign {
        moves: Vec<Move>,
    },
    /// Sends back what is in flight, whoever started it: from where each partition goes to where it was. Done when none is
    /// in flight any more.
    CancelReassign {
        moves: Vec<Move>,
    },
    /// Elects leaders; done when each partition is led as wanted.
    Elect {
        leads: Vec<Lead>,
    },
    /// The topic has more partitions; only while it still has this id and as many as before.
    AddPartitions {
        topic: String,
        id: uuid::Uuid,
        from: i32,
        to: i32,
    },
    /// The records before these offsets go; only while the topic still has this id.
    Truncate {
        topic: String,
        id: uuid::Uuid,
        offsets: Vec<group::Offset>,
    },
    /// Writes an abort marker for one producer into one partition.
    AbortTransaction {
        producer: crate::model::transaction::Producer,
    },
    /// Commits offsets for a group that has no members.
    ResetOffsets {
        group: String,
        offsets: Vec<group::Offset>,
    },
    /// Deletes a group that has no members; the offsets are what it had committed.
    DeleteGroup {
        group: String,
        offsets: Vec<group::Offset>,
    },
    /// `None` leaves the number to the brokers' defaults.
    CreateTopic {
        name: String,
        partitions: Option<i32>,
        replication_factor: Option<i16>,
        configs: BTreeMap<String, String>,
    },
    /// Deletes the topic only while it still has this id.
    DeleteTopic {
        name: String,
        id: uuid::Uuid,
        partitions: u32,
    },
    /// Sets or unsets configs of one owner, together or not at all; done when brokers tell them so.
    AlterConfigs(config::Alter),
    /// Sets what nobody else has set; the operation holds it until it clears it, or `throttle clear` does.
    SetThrottle {
        settings: Vec<Setting>,
    },
    /// Done when a broker is in sync again wherever it was not.
    AwaitIsr(throttle::catch_up::Return),
    /// Takes settings away while they are still so. Empty: what the operation itself has set.
    ClearThrottle {
        settings: Vec<Setting>,
    },
    /// Adds access rules; done when every broker has them.
    AddAcls(acl::change::Lines),
    /// Removes access rules; done when no broker has them.
    RemoveAcls(acl::change::Lines),
    /// Gives a user a password, which is not here.
    SetCredential(user::Credential),
    DeleteCredential(user::Credential),
    /// Sets limits of one entity, or takes them away.
    AlterQuotas(quota::Alter),
    /// Finalizes a level of a feature; done when every broker that is alive knows of it.
    Finalize(feature::Finalize),
    /// Restarts, stops or starts one broker; done when it is back in sync and leads what prefers it, or is gone.
    Restart(restart::Turn),
    /// What a command did itself while somebody waited for it; no engine takes it up.
    ByCommand {
        what: String,
    },
    /// Changes an EBS volume, or extends the file system on one; done when EC2, or the broker, tells it.
    Volume(volume::Act),
    /// Changes which cluster a name leads to; done when all of Route 53 answers so, or resolvers have had the time to ask again.
    Dns(dns::Act),
}

/// One partition's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    pub topic: String,
    pub partition: i32,
    /// As it was seen, in order of preference.
    pub from: Vec<BrokerId>,
    pub to: Vec<BrokerId>,
    /// Of the leader's replica, or of an in-sync follower's; `None` when none told.
    pub size_bytes: Option<u64>,
}

/// Who shall lead one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lead {
    pub topic: String,
    pub partition: i32,
    /// As it was seen; `None` of a partition that is offline.
    pub from: Option<BrokerId>,
    /// The first in the order of preference. `None` is whoever is alive: an unclean election (KIP-460).
    pub to: Option<BrokerId>,
}

/// What can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    Full { how: String },
    Partial { how: String },
    None { why: String },
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("nothing to do: {0}")]
    Nothing(String),
    #[error("{0}")]
    Impossible(String),
    /// What must be known to plan is not.
    #[error("cannot plan without {what}: {why}")]
    Blind { what: &'static str, why: String },
}

impl Move {
    /// Brokers that get a copy they do not have.
    pub fn adding(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.to.iter().copied().filter(|id| !self.from.contains(id))
    }

    /// Brokers whose copy goes.
    pub fn removing(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.from.iter().copied().filter(|id| !self.to.contains(id))
    }

    /// Only the order of preference changes: no replica comes or goes.
    pub fn is_order(&self) -> bool {
        self.adding().next().is_none() && self.removing().next().is_none()
    }

    /// Bytes that come to new replicas; `None` when the size is not known and there are any.
    pub fn copied_bytes(&self) -> Option<u64> {
        match self.adding().count() as u64 {
            0 => Some(0),
            copies => Some(self.size_bytes? * copies),
        }
    }

    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

/// What must have been seen to plan, however old it is.
fn known<'a, T>(section: &'a Observed<T>, what: &'static str) -> Result<&'a T, Error> {
    section.get().ok_or_else(|| Error::Blind {
        what,
        why: section.problem().unwrap_or_default(),
    })
}

impl Step {
    /// The offsets of a group that it changes or forgets, or where it lets a log begin.
    pub fn offsets(&self) -> &[group::Offset] {
        match self {
            Self::ResetOffsets { offsets, .. } | Self::DeleteGroup { offsets, .. } | Self::Truncate { offsets, .. } => {
                offsets
            }
            _ => &[],
        }
    }

    /// The leaders that it elects.
    pub fn leads(&self) -> &[Lead] {
        match self {
            Self::Elect { leads } => leads,
            _ => &[],
        }
    }
}

impl Lead {
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

impl Plan {
    /// A plan of nothing, pinned to the cluster that is seen.
    ///
    /// # Errors
    /// When that is not known.
    pub fn draft(snapshot: &Snapshot, kind: Kind, context: &str, now: Moment) -> Result<Self, Error> {
        let cluster = known(&snapshot.cluster, "the cluster")?;
        Ok(Self {
            azimuth: VERSION,
            kind,
            title: String::new(),
            context: context.to_owned(),
            cluster_id: cluster.id.clone(),
            made_at: now,
            expires_at: now + VALID,
            steps: Vec::new(),
            gates: Vec::new(),
            impact: Impact::default(),
            undo: Undo::None { why: String::new() },
            aim: None,
            throttle: None,
        })
    }

    /// Whether it takes a broker from its instance or volumes, so that it starts elsewhere than it was seen.
    pub fn is_swap(&self) -> bool {
        matches!(self.kind, Kind::BrokerReplace | Kind::VolumeEncrypt)
    }

    /// Whether the context's name must be typed, whatever its class: what is done cannot be undone, or whatever a file
    /// leaves out goes.
    pub fn wants_name(&self) -> bool {
        let whole = |step: &Step| matches!(step, Step::RemoveAcls(lines) if lines.whole);
        matches!(self.undo, Undo::None { .. }) || self.steps.iter().any(whole)
    }

    /// Gates that stand in the way: failed or not known. Warnings do not.
    pub fn closed_gates(&self) -> impl Iterator<Item = &Gate> {
        self.gates
            .iter()
            .filter(|gate| matches!(gate.verdict, Verdict::Fail | Verdict::Unknown))
    }

    /// Closed gates that these overrides do not open; hard gates are never opened.
    pub fn refused_by<'a>(&'a self, overrides: &'a [String]) -> impl Iterator<Item = &'a Gate> {
        self.closed_gates()
            .filter(move |gate| gate.class == Class::Hard || !overrides.contains(&gate.name))
    }

    pub fn is_expired(&self, now: Moment) -> bool {
        now > self.expires_at
    }

    /// Every move of the plan.
    pub fn moves(&self) -> impl Iterator<Item = &Move> {
        self.steps.iter().flat_map(|step| match step {
            Step::Reassign { moves } => moves.as_slice(),
            _ => &[],
        })
    }
}

impl std::fmt::Display for Undo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full { how } => write!(f, "full: {how}"),
            Self::Partial { how } => write!(f, "partial: {how}"),
            Self::None { why } => write!(f, "none: {why}"),
        }
    }
}
