//! What somebody wants changed, before it is worked out: the input of every plan, and what a saved plan is worked out from again.

use super::reassign::{self, Cancel, Goal, MaxRate, Target, Wish};
use super::throttle::{self, Clear, Set};
use super::topic::{self, NewTopic};
use super::transaction;
use super::{Error, Kind, Plan, Step};
use super::{acl, config, dns, feature, group, leader, quota, restart, swap, user, volume};
use crate::model::Moment;
use crate::model::snapshot::Snapshot;

/// One wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    CreateTopic(NewTopic),
    DeleteTopics(Vec<String>),
    /// The topic shall have so many.
    AddPartitions(String, i32),
    Truncate(topic::Truncate),
    AbortTransaction(transaction::Abort),
    Leaders(leader::Wish),
    ResetGroup(group::Reset),
    DeleteGroups(Vec<String>),
    Reassign(Wish),
    CancelReassign(Cancel),
    Config(config::Wish),
    SetThrottle(Set),
    ClearThrottle(Clear),
    Acl(acl::change::Wish),
    User(user::Wish),
    Quota(quota::Wish),
    Restart(restart::Wish),
    Volume(volume::Wish),
    Feature(feature::Wish),
    Dns(dns::Wish),
    Swap(swap::Wish),
}

impl Intent {
    /// What a plan was made for.
    pub fn of(plan: &Plan) -> Self {
        let create = plan.steps.iter().find_map(|step| match step {
            Step::CreateTopic {
                name,
                partitions,
                replication_factor,
                configs,
            } => Some(NewTopic {
                name: name.clone(),
                partitions: *partitions,
                replication_factor: *replication_factor,
                configs: configs.clone(),
            }),
            _ => None,
        });
        let configs = plan.steps.iter().find_map(|step| match step {
            Step::AlterConfigs(alter) => Some(Self::Config(config::wish_of(alter))),
            Step::AlterQuotas(alter) => Some(Self::Quota(quota::wish_of(alter))),
            Step::Finalize(one) => Some(Self::Feature(feature::wish_of(one))),
            _ => None,
        });
        if plan.kind == Kind::AclApply {
            return Self::Acl(acl::change::wish_of(plan));
        }
        if let Some(intent) = configs.or_else(|| user::wish_of(plan).map(Self::User)) {
            return intent;
        }
        match (plan.kind, create) {
            (Kind::TopicCreate, Some(topic)) => Self::CreateTopic(topic),
            (Kind::ThrottleSet, _) => Self::SetThrottle(Set::Exactly(throttle::settings_of(plan))),
            (Kind::ThrottleClear, _) => Self::ClearThrottle(Clear::of(&throttle::settings_of(plan))),
            (Kind::Reassign, _) => {
                let target = |m: &super::Move| Target::new(&m.topic, m.partition, m.to.clone());
                Self::Reassign(Wish {
                    max_rate: match &plan.throttle {
                        Some(throttle) => MaxRate::At(throttle.bytes_per_second),
                        None => MaxRate::Unlimited,
                    },
                    ..Goal::Assign(plan.moves().map(target).collect()).into()
                })
            }
            (Kind::ReassignCancel, _) => Self::CancelReassign(Cancel::of(plan)),
            (Kind::TopicAddPartitions, _) => {
                let wanted = plan.steps.iter().find_map(|step| match step {
                    Step::AddPartitions { topic, to, .. } => Some((topic.clone(), *to)),
                    _ => None,
                });
                let (name, count) = wanted.unwrap_or_default();
                Self::AddPartitions(name, count)
            }
            (Kind::TopicTruncate, _) => {
                let offsets: Vec<group::Offset> = plan.steps.iter().flat_map(Step::offsets).cloned().collect();
                Self::Truncate(topic::Truncate {
                    names: offsets
                        .iter()
                        .map(|one| format!("{}:{}", one.topic, one.partition))
                        .collect(),
                    before: group::To::Saved(offsets),
                })
            }
            (Kind::TransactionAbort, _) => {
                let producer = plan.steps.iter().find_map(|step| match step {
                    Step::AbortTransaction { producer } => Some(producer.clone()),
                    _ => None,
                });
                let (topic, partition, id) = producer
                    .as_ref()
                    .map(|one| (one.topic.clone(), one.partition, one.producer_id))
                    .unwrap_or_default();
                Self::AbortTransaction(transaction::Abort {
                    found: Ok(producer.into_iter().collect()),
                    ..transaction::Abort::new(topic, partition, id)
                })
            }
            (Kind::Restart | Kind::BrokerStop | Kind::BrokerStart, _) => Self::Restart(restart::wish_of(plan)),
            (
                Kind::VolumeModify
                | Kind::VolumeSnapshot
                | Kind::VolumeCreate
                | Kind::VolumeAttach
                | Kind::VolumeExtend
                | Kind::VolumeDetach,
                _,
            ) => Self::Volume(volume::wish_of(plan)),
            (Kind::BrokerReplace | Kind::VolumeEncrypt, _) => Self::Swap(swap::wish_of(plan)),
            (Kind::DnsSwitch | Kind::DnsRollback, _) => Self::Dns(dns::wish_of(plan)),
            (Kind::GroupReset, _) => Self::ResetGroup(group::Reset::of(plan)),
            (Kind::GroupDelete, _) => Self::DeleteGroups(group::names(plan)),
            (Kind::LeaderMove | Kind::LeaderRestore | Kind::LeaderElect, _) => Self::Leaders(leader::Wish::of(plan)),
            _ => Self::DeleteTopics(
                plan.steps
                    .iter()
                    .filter_map(|step| match step {
                        Step::DeleteTopic { name, .. } => Some(name.clone()),
                        _ => None,
                    })
                    .collect(),
            ),
        }
    }

    /// The same with other limits, where it moves data.
    pub fn within(self, max_rate: MaxRate, max_bytes_in_flight: Option<u64>) -> Self {
        match self {
            Self::Reassign(wish) => Self::Reassign(Wish {
                max_rate,
                max_bytes_in_flight,
                ..wish
            }),
            other => other,
        }
    }

    /// Works it out against what is seen.
    ///
    /// # Errors
    /// When a name does not exist, the wish makes no sense, or nothing would change.
    pub fn plan(&self, snapshot: &Snapshot, context: &str, now: Moment) -> Result<Plan, Error> {
        match self {
            Self::CreateTopic(topic) => topic::create(snapshot, topic, context, now),
            Self::DeleteTopics(names) => topic::delete(snapshot, names, context, now),
            Self::AddPartitions(name, count) => topic::add_partitions(snapshot, name, *count, context, now),
            Self::Truncate(wish) => topic::truncate(snapshot, wish, context, now),
            Self::AbortTransaction(wish) => transaction::abort(snapshot, wish, context, now),
            Self::ResetGroup(wish) => group::reset(snapshot, wish, context, now),
            Self::DeleteGroups(names) => group::delete(snapshot, names, context, now),
            Self::Leaders(wish) => leader::plan(snapshot, wish, context, now),
            Self::Reassign(wish) => reassign::plan(snapshot, wish, context, now),
            Self::CancelReassign(wish) => reassign::cancel(snapshot, wish, context, now),
            Self::Config(wish) => config::plan(snapshot, wish, context, now),
            Self::SetThrottle(wish) => throttle::set(snapshot, wish, context, now),
            Self::ClearThrottle(wish) => throttle::clear(snapshot, wish, context, now),
            Self::Acl(wish) => acl::change::plan(snapshot, wish, context, now),
            Self::User(wish) => user::plan(snapshot, wish, context, now),
            Self::Quota(wish) => quota::plan(snapshot, wish, context, now),
            Self::Restart(wish) => restart::plan(snapshot, wish, context, now),
            Self::Volume(wish) => volume::plan(snapshot, wish, context, now),
            Self::Dns(wish) => dns::plan(snapshot, wish, context, now),
            Self::Swap(wish) => swap::plan(snapshot, wish, context, now),
            Self::Feature(wish) => feature::plan(snapshot, wish, context, now),
        }
    }
}

impl Plan {
    /// The same plan with gates and impact as they stand now; it keeps the moment at which it was made. A file that says a
    /// gate is open is not believed.
    ///
    /// # Errors
    /// When it can no longer be worked out.
    pub fn renewed(&self, snapshot: &Snapshot, now: Moment) -> Result<Self, Error> {
        if self.kind == Kind::Reassign {
            return reassign::renew(self, snapshot);
        }
        if restart::turns(self).next().is_some() {
            return Ok(restart::renew(self, snapshot, now));
        }
        let fresh = Intent::of(self).plan(snapshot, &self.context, now)?;
        Ok(Self {
            kind: self.kind,
            title: self.title.clone(),
            made_at: self.made_at,
            expires_at: self.expires_at,
            ..fresh
        })
    }
}
