//! Heartbeats of the consumer protocol: joining, changing a subscription, moving towards the target, leaving.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::assignor::Candidate;
use super::reconcile::is_within;
use super::{AWAY, Assignor, Change, Consumer, Holding, Partitions, Progress, Scene, Subscriber, Told, Turn, regex};
use crate::group::{Group, Groups, Now, Reply, Write};
use crate::id::TopicId;

/// Joining, or joining again.
const JOINS: i32 = 0;
/// Leaving for good.
const LEAVES: i32 = -1;

/// An error, with a sentence if there is more to say.
pub type Refusal = (ResponseError, Option<String>);

/// One heartbeat; what did not change since the last one may be left out.
#[derive(Debug, Clone, Default)]
pub struct Beat {
    pub group: String,
    pub member_id: String,
    /// The member's, 0 to join, -1 to leave, -2 to leave as a static member that will be back.
    pub epoch: i32,
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<BTreeSet<String>>,
    pub regex: Option<String>,
    pub assignor: Option<String>,
    /// What it owns.
    pub owned: Option<Partitions>,
    pub client_id: String,
    pub client_host: String,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beaten {
    pub error: Option<Refusal>,
    pub member_id: String,
    pub epoch: i32,
    pub interval_ms: i32,
    /// What the member may have now; `None`: as before.
    pub assignment: Option<Partitions>,
}

impl Beaten {
    pub fn refused(error: Refusal) -> Self {
        Self {
            error: Some(error),
            member_id: String::new(),
            epoch: 0,
            interval_ms: 0,
            assignment: None,
        }
    }
}

pub(super) fn refuse<T>(error: ResponseError, why: impl Into<String>) -> Result<T, Refusal> {
    Err((error, Some(why.into())))
}

impl Groups {
    /// Answers through `reply`, once what it decides is written. Only topics that are `visible` to the member count for its
    /// regular expression.
    pub fn beat(&mut self, beat: Beat, visible: &dyn Fn(&str) -> bool, reply: Reply<Beaten>, now: Now) -> Vec<Write> {
        let name = beat.group.clone();
        let had = self.groups.contains_key(&name);
        let (mut turn, scene) = (
            Turn::default(),
            Scene {
                settings: &self.settings,
                image: &self.image,
                topics_version: self.topics_version,
                now,
            },
        );
        let outcome = check(&beat).and_then(|()| {
            if !had && beat.epoch != JOINS {
                return unknown_group(&name);
            }
            let group = self
                .groups
                .entry(name.clone())
                .or_insert_with(|| Group::new(&name, now));
            match beat.epoch {
                LEAVES | AWAY => group.leave_consumer(&mut turn, &scene, &beat),
                _ => group.beat(&mut turn, &scene, &beat, visible),
            }
        });
        let Some(group) = self.groups.get_mut(&name) else {
            Told::Beat(reply, Box::new(refused(outcome))).tell(Ok(()));
            return Vec::new();
        };
        match outcome {
            Ok(beaten) => {
                let told = Told::Beat(reply, Box::new(beaten));
                group.written_later(turn, told).into_iter().collect()
            }
            Err(refusal) => {
                group.undo(turn, &self.settings, now);
                if !had {
                    self.groups.remove(&name);
                }
                let _gone = reply.send(Beaten::refused(refusal));
                Vec::new()
            }
        }
    }
}

fn refused(outcome: Result<Beaten, Refusal>) -> Beaten {
    outcome.unwrap_or_else(Beaten::refused)
}

fn unknown_group<T>(name: &str) -> Result<T, Refusal> {
    refuse(ResponseError::GroupIdNotFound, format!("Group {name} not found."))
}

pub(super) fn unknown_member<T>(group: &str, id: &str) -> Result<T, Refusal> {
    let why = format!("Member {id} is not a member of group {group}.");
    refuse(ResponseError::UnknownMemberId, why)
}

/// What a heartbeat has to hold, as Kafka wants it.
fn check(beat: &Beat) -> Result<(), Refusal> {
    let bad = |why: &str| refuse(ResponseError::InvalidRequest, why);
    if beat.group.trim().is_empty() {
        return refuse(ResponseError::InvalidGroupId, "GroupId can't be empty.");
    }
    if beat
        .instance
        .as_deref()
        .is_some_and(|instance| instance.trim().is_empty())
    {
        return bad("InstanceId can't be empty.");
    }
    if beat.rack.as_deref().is_some_and(|rack| rack.trim().is_empty()) {
        return bad("RackId can't be empty.");
    }
    if beat.member_id.trim().is_empty() {
        return bad("MemberId can't be empty.");
    }
    match beat.epoch {
        JOINS => {
            if beat.rebalance_timeout_ms.is_none() {
                return bad("RebalanceTimeoutMs must be provided in first request.");
            }
            if beat.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return bad("TopicPartitions must be empty when (re-)joining.");
            }
            let matched = beat.regex.as_ref().is_some_and(|regex| !regex.is_empty());
            if !matched && beat.topics.is_none() {
                return bad("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
            }
        }
        AWAY if beat.instance.is_none() => return bad("InstanceId can't be null."),
        ..AWAY => return bad("MemberEpoch is invalid."),
        _ => {}
    }
    Ok(())
}

impl Group {
    fn beat(
        &mut self,
        turn: &mut Turn,
        scene: &Scene<'_>,
        beat: &Beat,
        visible: &dyn Fn(&str) -> bool,
    ) -> Result<Beaten, Refusal> {
        let assignor = beat.assignor.as_ref().map(|name| {
            let known = name
                .parse()
                .ok()
                .filter(|assignor| scene.settings.consumer.assignors.contains(assignor));
            known.ok_or_else(|| {
                let all: Vec<&str> = scene
                    .settings
                    .consumer
                    .assignors
                    .iter()
                    .map(|assignor| assignor.name())
                    .collect();
                let why = format!(
                    "ServerAssignor {name} is not supported. Supported assignors: {}.",
                    all.join(", ")
                );
                (ResponseError::UnsupportedAssignor, Some(why))
            })
        });
        assignor.transpose()?;
        if let Some(pattern) = beat.regex.as_ref().filter(|pattern| !pattern.is_empty()) {
            regex::compile(pattern)?;
        }
        let joins = beat.epoch == JOINS;
        self.become_consumer(turn, scene, joins)?;
        let name = self.name.clone();
        let consumer = self.consumer.get_or_insert_default();
        let id = consumer.admit(&name, turn, scene, beat)?;
        let updated = consumer.updated(&id, beat);
        consumer.subscribe(&name, turn, scene, &id, updated, visible)?;
        let before = consumer.holding(&id);
        consumer.advance(&name, turn, &id, beat.owned.as_ref());
        let held = consumer.holding(&id);
        let session_ms = scene.session_timeout_ms(&name);
        consumer.keep_time(&id, session_ms, scene.now.mono_ms);
        let whole = beat.rebalance_timeout_ms.is_some()
            && (beat.topics.is_some() || beat.regex.is_some())
            && beat.owned.is_some();
        let changed = before.assigned != held.assigned;
        self.enter_phase(scene.now);
        Ok(Beaten {
            error: None,
            member_id: id,
            epoch: held.epoch,
            interval_ms: scene.heartbeat_interval_ms(&name),
            assignment: (joins || whole || changed).then_some(held.assigned),
        })
    }

    /// Remembers since when it is empty.
    pub(super) fn enter_phase(&mut self, now: Now) {
        let empty = self
            .consumer
            .as_ref()
            .is_some_and(|consumer| consumer.members.is_empty());
        if !empty {
            self.changed_ms = now.wall_ms;
        }
    }

    fn leave_consumer(&mut self, turn: &mut Turn, scene: &Scene<'_>, beat: &Beat) -> Result<Beaten, Refusal> {
        let name = self.name.clone();
        let Some(consumer) = self.consumer.as_mut() else {
            return unknown_group(&name);
        };
        let id = match &beat.instance {
            None if consumer.members.contains_key(&beat.member_id) => beat.member_id.clone(),
            None => return unknown_member(&name, &beat.member_id),
            Some(instance) => match consumer.instance(instance) {
                None => {
                    let why = format!("Instance id {instance} is unknown.");
                    return refuse(ResponseError::UnknownMemberId, why);
                }
                Some(owner) if owner != beat.member_id => return fenced(instance, &beat.member_id),
                Some(owner) => owner.to_owned(),
            },
        };
        if beat.epoch == AWAY {
            let held = Holding {
                epoch: AWAY,
                revoking: Partitions::new(),
                progress: Progress::Stable,
                ..consumer.holding(&id)
            };
            consumer.change(&name, turn, Change::Holding(id.clone(), Some(held)));
            consumer.revocations.remove(&id);
        } else {
            self.remove_consumer(turn, scene, &id);
        }
        Ok(Beaten {
            error: None,
            member_id: id,
            epoch: beat.epoch,
            interval_ms: 0,
            assignment: None,
        })
    }

    /// Takes a member out; a group that has only members of the classic protocol left speaks that again.
    pub(super) fn remove_consumer(&mut self, turn: &mut Turn, scene: &Scene<'_>, id: &str) {
        let name = self.name.clone();
        if let Some(consumer) = self.consumer.as_mut() {
            consumer.remove(&name, turn, id);
        }
        self.changed_ms = scene.now.wall_ms;
        self.become_classic_again(turn, scene);
    }

    /// Members that were silent for too long, or did not let their partitions go in time, are out.
    pub(in crate::group) fn tick_consumer(&mut self, scene: &Scene<'_>) -> Vec<Write> {
        let now_ms = scene.now.mono_ms;
        let Some(consumer) = self.consumer.as_mut() else {
            return Vec::new();
        };
        let silent = consumer
            .sessions
            .iter()
            .filter(|(_, at)| **at <= now_ms)
            .map(|(id, _)| id.clone());
        let late = consumer.revocations.iter().filter(|(_, (at, _))| *at <= now_ms);
        let late: Vec<(String, i32)> = late.map(|(id, (_, epoch))| (id.clone(), *epoch)).collect();
        let mut out: BTreeSet<String> = silent.collect();
        for (id, epoch) in late {
            consumer.revocations.remove(&id);
            if consumer.holding(&id).epoch == epoch {
                out.insert(id);
            }
        }
        let mut turn = Turn::default();
        for id in out {
            // The last one that speaks the consumer protocol may have gone before it.
            if self
                .consumer
                .as_ref()
                .is_some_and(|consumer| consumer.members.contains_key(&id))
            {
                self.remove_consumer(&mut turn, scene, &id);
            }
        }
        match turn.records.is_empty() {
            true => Vec::new(),
            false => self.written_later(turn, Told::Nobody).into_iter().collect(),
        }
    }
}

fn fenced<T>(instance: &str, id: &str) -> Result<T, Refusal> {
    let why = format!("Static member {id} with instance id {instance} was fenced by another member.");
    refuse(ResponseError::FencedInstanceId, why)
}

impl Consumer {
    /// The id of the member that a heartbeat is of, which may be new, or the next life of a static one.
    fn admit(&mut self, name: &str, turn: &mut Turn, scene: &Scene<'_>, beat: &Beat) -> Result<String, Refusal> {
        let (id, joins) = (beat.member_id.clone(), beat.epoch == JOINS);
        let known = self.members.contains_key(&id);
        let former = beat
            .instance
            .as_ref()
            .and_then(|instance| self.instance(instance))
            .map(str::to_owned);
        if joins {
            self.has_room(scene, known || former.is_some())?;
        }
        match (&beat.instance, former) {
            (None, _) if joins => {}
            (None, _) if !known => return unknown_member(name, &id),
            (None, _) => self.check_epoch(&id, beat)?,
            (Some(_), None) if joins => {}
            (Some(instance), None) => {
                let why = format!("Instance id {instance} is unknown.");
                return refuse(ResponseError::UnknownMemberId, why);
            }
            (Some(instance), Some(former)) if joins && former != id => {
                if self.holding(&former).epoch != AWAY {
                    let why = format!(
                        "Static member {id} with instance id {instance} cannot join the group because the instance id is \
                         owned by member {former}."
                    );
                    return refuse(ResponseError::UnreleasedInstanceId, why);
                }
                self.take_over(name, turn, &former, &id, 0);
            }
            (Some(_), Some(_)) if joins => {}
            (Some(instance), Some(former)) if former != id => return fenced(instance, &id),
            (Some(_), Some(_)) => self.check_epoch(&id, beat)?,
        }
        Ok(id)
    }

    pub(super) fn has_room(&self, scene: &Scene<'_>, known: bool) -> Result<(), Refusal> {
        let max = scene.settings.consumer.size_max;
        if !known && self.members.len() >= max {
            let why = format!("The consumer group has reached its maximum capacity of {max} members.");
            return refuse(ResponseError::GroupMaxSizeReached, why);
        }
        Ok(())
    }

    /// Gives a static member's place to its next life.
    pub(super) fn take_over(&mut self, name: &str, turn: &mut Turn, former: &str, id: &str, epoch: i32) {
        let member = self.members.get(former).cloned();
        let target = self.targets.get(former).cloned();
        let held = Holding {
            epoch,
            previous_epoch: 0,
            ..self.holding(former)
        };
        for gone in [
            Change::Holding(former.to_owned(), None),
            Change::Target(former.to_owned(), None),
        ] {
            self.change(name, turn, gone);
        }
        self.change(name, turn, Change::Member(former.to_owned(), None));
        self.change(name, turn, Change::Member(id.to_owned(), member));
        if target.is_some() {
            self.change(name, turn, Change::Target(id.to_owned(), target));
        }
        self.change(name, turn, Change::Holding(id.to_owned(), Some(held)));
    }

    /// A member may be one epoch behind if the answer that told it the next one may have been lost.
    fn check_epoch(&self, id: &str, beat: &Beat) -> Result<(), Refusal> {
        let held = self.holding(id);
        let lost_answer = || {
            beat.epoch == held.previous_epoch
                && beat
                    .owned
                    .as_ref()
                    .is_some_and(|owned| is_within(owned, &held.assigned))
        };
        if beat.epoch == held.epoch || (beat.epoch < held.epoch && lost_answer()) {
            return Ok(());
        }
        let relation = if beat.epoch > held.epoch { "greater" } else { "smaller" };
        let why = format!(
            "The consumer group member has a {relation} member epoch ({}) than the one known by the group coordinator ({}). \
             The member must abandon all its partitions and rejoin.",
            beat.epoch, held.epoch
        );
        refuse(ResponseError::FencedMemberEpoch, why)
    }

    /// The member as its heartbeat changes it.
    fn updated(&self, id: &str, beat: &Beat) -> Subscriber {
        let old = self.members.get(id).cloned().unwrap_or_default();
        let given = |new: &Option<String>, old: Option<String>| new.clone().or(old);
        Subscriber {
            instance: given(&beat.instance, old.instance),
            rack: given(&beat.rack, old.rack),
            client_id: beat.client_id.clone(),
            client_host: beat.client_host.clone(),
            topics: beat.topics.clone().unwrap_or(old.topics),
            // An empty one ends it.
            regex: given(&beat.regex, old.regex).filter(|regex| !regex.is_empty()),
            rebalance_timeout_ms: beat.rebalance_timeout_ms.unwrap_or(old.rebalance_timeout_ms),
            assignor: given(&beat.assignor, old.assignor),
            classic: None,
        }
    }

    /// Notes what a member subscribes to, and shares out anew if that, or the topics, changed.
    pub(super) fn subscribe(
        &mut self,
        name: &str,
        turn: &mut Turn,
        scene: &Scene<'_>,
        id: &str,
        updated: Subscriber,
        visible: &dyn Fn(&str) -> bool,
    ) -> Result<(), Refusal> {
        let old = self.members.get(id).cloned();
        let is_new = old.is_none() || !self.holdings.contains_key(id);
        let old = old.unwrap_or_default();
        let changed = is_new || old.topics != updated.topics || old.regex != updated.regex;
        let pattern = updated.regex.clone();
        if is_new || old != updated {
            self.change(name, turn, Change::Member(id.to_owned(), Some(updated)));
        }
        if old.regex != pattern {
            self.drop_regex(name, turn, old.regex);
        }
        if let Some(pattern) = pattern {
            self.resolve(name, turn, &pattern, visible, scene)?;
        }
        let resolved = turn.records.iter().any(|(key, _)| super::record::is_regex(key));
        let mut hash = self.generation.unwrap_or_default().topics_hash;
        let mut moved = changed;
        if changed || resolved || self.topics_version != scene.topics_version {
            let now = self.topics_hash(scene);
            moved |= now != hash || resolved;
            hash = now;
            self.topics_version = scene.topics_version;
        }
        if moved || self.generation.is_none() {
            self.bump(name, turn, hash);
        }
        if self.epoch() > self.target_epoch() || self.assignment_epoch.is_none() {
            self.share_out(name, turn, scene);
        }
        Ok(())
    }

    /// Computes everybody's target for this epoch.
    fn share_out(&mut self, name: &str, turn: &mut Turn, scene: &Scene<'_>) {
        let mut sizes: BTreeMap<TopicId, i32> = BTreeMap::new();
        for topic in self
            .subscribed()
            .into_iter()
            .filter_map(|name| scene.image.topic_named(name))
        {
            sizes.insert(topic.id, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
        }
        let candidates: Vec<Candidate> = self
            .members
            .iter()
            .map(|(id, member)| Candidate {
                id: id.clone(),
                instance: member.instance.clone(),
                topics: self
                    .topics_of(member)
                    .into_iter()
                    .filter_map(|topic| scene.image.topic_ids.get(topic).copied())
                    .collect(),
                has: self.targets.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        let given = self.assignor(scene).assign(&candidates, &sizes);
        for (candidate, target) in candidates.into_iter().zip(given) {
            if self.targets.get(&candidate.id) != Some(&target) {
                self.change(name, turn, Change::Target(candidate.id, Some(target)));
            }
        }
        let epoch = self.epoch();
        self.change(name, turn, Change::AssignmentEpoch(Some(epoch)));
    }

    /// What most members want, else the first of the broker's list.
    pub(super) fn assignor(&self, scene: &Scene<'_>) -> Assignor {
        let default = scene
            .settings
            .consumer
            .assignors
            .first()
            .copied()
            .unwrap_or(Assignor::Uniform);
        self.preferred().unwrap_or(default)
    }

    pub(super) fn preferred(&self) -> Option<Assignor> {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for vote in self
            .members
            .values()
            .filter_map(|member| member.assignor.as_ref()?.parse().ok())
        {
            *votes.entry(vote).or_default() += 1;
        }
        votes
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(assignor, _)| assignor)
    }

    /// Moves a member on towards its target.
    pub(super) fn advance(&mut self, name: &str, turn: &mut Turn, id: &str, owned: Option<&Partitions>) {
        let next = self.reconciled(id, owned);
        if self.holdings.get(id) != Some(&next) {
            self.change(name, turn, Change::Holding(id.to_owned(), Some(next)));
        }
    }

    /// The member was heard of; who has to let partitions go has its rebalance timeout for it.
    pub(super) fn keep_time(&mut self, id: &str, session_ms: i64, now_ms: i64) {
        self.sessions.insert(id.to_owned(), now_ms + session_ms);
        let held = self.holding(id);
        if held.progress != Progress::Unrevoked {
            self.revocations.remove(id);
            return;
        }
        let timeout = self.members.get(id).map_or(0, |member| member.rebalance_timeout_ms);
        let fresh = (now_ms + i64::from(timeout), held.epoch);
        let entry = self.revocations.entry(id.to_owned()).or_insert(fresh);
        if entry.1 != held.epoch {
            *entry = fresh;
        }
    }
}
