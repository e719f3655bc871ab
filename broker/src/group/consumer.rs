//! A group of the consumer protocol (KIP-848): the coordinator assigns, and every member moves to its assignment on its
//! own, by its heartbeats.
//!
//! The state is a set of values by key, one for each record in the log, and changes only by a [`Change`], which is such
//! a record. What a change replaced is kept in its [`Turn`] until the log has it: changes that could not be written are
//! taken back. What must stay true: a partition has at most one owner, who owns it until it says itself that it let it go
//! or is no member any more.

pub mod assignor;
mod beat;
mod classic;
mod describe;
mod migration;
mod reconcile;
pub(super) mod record;
mod regex;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Committer, Group, Joined, Kind, Reply, Settings, Then, Write};
use crate::id::TopicId;
use crate::image::{Image, Resource};

pub use assignor::Assignor;
pub use beat::{Beat, Beaten, Refusal};
pub use describe::{ConsumerDescription, ConsumerMember};
pub use regex::Resolved;

/// Partitions by topic; no topic without any.
pub type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;

/// Kafka's limits for groups of the consumer protocol.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// `group.consumer.session.timeout.ms`; a group's own `consumer.session.timeout.ms` wins.
    pub session_timeout_ms: i64,
    /// `group.consumer.heartbeat.interval.ms`; a group's own `consumer.heartbeat.interval.ms` wins.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`
    pub size_max: usize,
    /// `group.consumer.assignors`; the first is what a group without a preference uses.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`: a classic group becomes one of the consumer protocol with its first such member.
    pub upgrades: bool,
    /// And back with its last.
    pub downgrades: bool,
    /// `group.consumer.regex.refresh.interval.ms`
    pub regex_refresh_ms: i64,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            size_max: i32::MAX as usize,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            upgrades: true,
            downgrades: true,
            regex_refresh_ms: 600_000,
        }
    }
}

/// The epoch of a static member that is away and may come back.
const AWAY: i32 = -2;

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    pub regex: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<String>,
    /// Of a member that speaks the classic protocol.
    pub classic: Option<ClassicMember>,
}

/// What the classic protocol says of a member besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClassicMember {
    pub session_timeout_ms: i32,
    /// Assignor names with their metadata, in the member's order of preference.
    pub protocols: Vec<(String, Bytes)>,
}

/// Where a member stands on the way to its target; the numbers are those of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has all that its epoch gives it.
    #[default]
    Stable = 0,
    /// It has to let partitions go before it gets a new epoch.
    Unrevoked = 1,
    /// It waits for partitions that others have not let go.
    Unreleased = 2,
    /// Of a later version of Kafka.
    Unknown = 127,
}

/// What a member has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub progress: Progress,
    pub assigned: Partitions,
    /// To be let go by the member.
    pub revoking: Partitions,
}

impl Default for Holding {
    fn default() -> Self {
        Self {
            epoch: 0,
            previous_epoch: -1,
            progress: Progress::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
        }
    }
}

/// Of a whole group, what its first record says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Generation {
    pub epoch: i32,
    /// Of the subscribed topics: another value is another assignment.
    pub topics_hash: i64,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// `None` until its record was read.
    pub generation: Option<Generation>,
    /// The epoch that the targets were computed for.
    pub assignment_epoch: Option<i32>,
    pub members: BTreeMap<String, Subscriber>,
    pub targets: BTreeMap<String, Partitions>,
    pub holdings: BTreeMap<String, Holding>,
    pub regexes: BTreeMap<String, Resolved>,
    /// Who has a partition, or has not let it go yet; by the holdings.
    owners: HashMap<(TopicId, i32), String>,
    /// When members end unless they are heard of, on the clock that never jumps. Not in the log.
    sessions: BTreeMap<String, i64>,
    /// Until when members have to have let their partitions go, and the epoch they had then. Not in the log.
    revocations: BTreeMap<String, (i64, i32)>,
    /// The version of the topics that the hash was computed with.
    topics_version: u64,
}

/// One record: a key's new value, `None` for its end.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Generation(Option<Generation>),
    AssignmentEpoch(Option<i32>),
    Member(String, Option<Subscriber>),
    Target(String, Option<Partitions>),
    Holding(String, Option<Holding>),
    Regex(String, Option<Resolved>),
}

/// What is decided at once, with the way back.
#[derive(Debug, Default)]
pub struct Turn {
    records: Vec<(Bytes, Option<Bytes>)>,
    /// What was there before each record.
    undo: Vec<Change>,
    /// The group as it was in the other protocol.
    former: Option<Box<Group>>,
}

/// Who is told when a turn is written.
#[derive(Debug)]
pub enum Told {
    Nobody,
    Beat(Reply<Beaten>, Box<Beaten>),
    Joined(Reply<Joined>, Box<Joined>),
}

impl Told {
    pub(super) fn tell(self, outcome: Result<(), ResponseError>) {
        match self {
            Self::Nobody => {}
            Self::Beat(reply, beaten) => {
                let _gone = reply.send(match outcome {
                    Ok(()) => *beaten,
                    Err(error) => Beaten::refused((error, None)),
                });
            }
            Self::Joined(reply, joined) => {
                let _gone = reply.send(match outcome {
                    Ok(()) => *joined,
                    Err(error) => Joined::failed(error, joined.member_id),
                });
            }
        }
    }
}

/// Where a request finds itself: the limits, the topics, the time.
pub(super) struct Scene<'a> {
    pub settings: &'a Settings,
    pub image: &'a Image,
    pub topics_version: u64,
    pub now: super::Now,
}

impl Scene<'_> {
    fn of_group(&self, group: &str, key: &str) -> Option<i64> {
        let set = self.image.config(&Resource::Group(group.to_owned()), key)?;
        set.trim().parse().ok()
    }

    fn session_timeout_ms(&self, group: &str) -> i64 {
        let own = self.of_group(group, "consumer.session.timeout.ms");
        own.unwrap_or(self.settings.consumer.session_timeout_ms)
    }

    fn heartbeat_interval_ms(&self, group: &str) -> i32 {
        let own = self.of_group(group, "consumer.heartbeat.interval.ms");
        own.and_then(|own| i32::try_from(own).ok())
            .unwrap_or(self.settings.consumer.heartbeat_interval_ms)
    }
}

/// Kafka's words for the state of such a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Empty,
    /// The targets are of an earlier epoch.
    Assigning,
    /// Members are on their way to their targets.
    Reconciling,
    Stable,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl Consumer {
    pub fn epoch(&self) -> i32 {
        self.generation.unwrap_or_default().epoch
    }

    pub fn target_epoch(&self) -> i32 {
        self.assignment_epoch.unwrap_or(0)
    }

    pub fn phase(&self) -> Phase {
        let reconciled = |held: &Holding| {
            held.progress == Progress::Stable && (held.epoch == self.target_epoch() || held.epoch == AWAY)
        };
        if self.members.is_empty() {
            Phase::Empty
        } else if self.epoch() > self.target_epoch() {
            Phase::Assigning
        } else if self.members.keys().all(|id| reconciled(&self.holding(id))) {
            Phase::Stable
        } else {
            Phase::Reconciling
        }
    }

    pub fn holding(&self, id: &str) -> Holding {
        self.holdings.get(id).cloned().unwrap_or_default()
    }

    /// The member with a `group.instance.id`.
    pub fn instance(&self, instance: &str) -> Option<&str> {
        let mut members = self.members.iter();
        let found = members.find(|(_, member)| member.instance.as_deref() == Some(instance));
        found.map(|(id, _)| id.as_str())
    }

    /// The topics of a member, those of its regular expression included.
    pub fn topics_of<'a>(&'a self, member: &'a Subscriber) -> BTreeSet<&'a str> {
        let resolved = member.regex.as_ref().and_then(|regex| self.regexes.get(regex));
        let named = member.topics.iter().map(String::as_str);
        named
            .chain(
                resolved
                    .into_iter()
                    .flat_map(|found| found.topics.iter().map(String::as_str)),
            )
            .collect()
    }

    /// The topics of all members.
    pub fn subscribed(&self) -> BTreeSet<&str> {
        self.members
            .values()
            .flat_map(|member| self.topics_of(member))
            .collect()
    }

    /// Sets a key to a value; what it was before is returned.
    fn apply(&mut self, change: Change) -> Change {
        match change {
            Change::Generation(value) => Change::Generation(std::mem::replace(&mut self.generation, value)),
            Change::AssignmentEpoch(value) => {
                Change::AssignmentEpoch(std::mem::replace(&mut self.assignment_epoch, value))
            }
            Change::Member(id, value) => {
                if value.is_none() {
                    self.sessions.remove(&id);
                    self.revocations.remove(&id);
                }
                let before = put(&mut self.members, &id, value);
                Change::Member(id, before)
            }
            Change::Target(id, value) => {
                let before = put(&mut self.targets, &id, value);
                Change::Target(id, before)
            }
            Change::Holding(id, value) => {
                let before = self.hold(&id, value);
                Change::Holding(id, before)
            }
            Change::Regex(pattern, value) => {
                let before = put(&mut self.regexes, &pattern, value);
                Change::Regex(pattern, before)
            }
        }
    }

    fn hold(&mut self, id: &str, value: Option<Holding>) -> Option<Holding> {
        let before = put(&mut self.holdings, id, None);
        if let Some(before) = &before {
            for place in places(&before.assigned).chain(places(&before.revoking)) {
                if self.owners.get(&place).is_some_and(|owner| owner == id) {
                    self.owners.remove(&place);
                }
            }
        }
        if let Some(held) = value {
            for place in places(&held.assigned).chain(places(&held.revoking)) {
                self.owners.insert(place, id.to_owned());
            }
            self.holdings.insert(id.to_owned(), held);
        }
        before
    }

    /// Changes a key and notes the record and the way back.
    fn change(&mut self, group: &str, turn: &mut Turn, change: Change) {
        turn.records.push(record::encode(group, &change));
        let before = self.apply(change);
        turn.undo.push(before);
    }

    /// Whether a partition has no owner.
    fn is_free(&self, topic: TopicId, partition: i32) -> bool {
        !self.owners.contains_key(&(topic, partition))
    }

    /// Takes a member out of the group; the others get its partitions with the next epoch.
    fn remove(&mut self, group: &str, turn: &mut Turn, id: &str) {
        let regex = self.members.get(id).and_then(|member| member.regex.clone());
        self.change(group, turn, Change::Holding(id.to_owned(), None));
        self.change(group, turn, Change::Target(id.to_owned(), None));
        self.change(group, turn, Change::Member(id.to_owned(), None));
        self.drop_regex(group, turn, regex);
        self.bump(group, turn, self.generation.unwrap_or_default().topics_hash);
    }

    /// Forgets what a regular expression stands for once nobody subscribes to it.
    fn drop_regex(&mut self, group: &str, turn: &mut Turn, regex: Option<String>) {
        let Some(regex) = regex else { return };
        let used = self
            .members
            .values()
            .any(|member| member.regex.as_ref() == Some(&regex));
        if !used && self.regexes.contains_key(&regex) {
            self.change(group, turn, Change::Regex(regex, None));
        }
    }

    /// The next epoch of the group.
    fn bump(&mut self, group: &str, turn: &mut Turn, topics_hash: i64) {
        let next = Generation {
            epoch: self.epoch() + 1,
            topics_hash,
        };
        self.change(group, turn, Change::Generation(Some(next)));
    }

    /// Ends every record of the group.
    fn end(&mut self, group: &str, turn: &mut Turn) {
        let keys = |map: Vec<&String>| map.into_iter().cloned().collect::<Vec<_>>();
        for id in keys(self.holdings.keys().collect()) {
            self.change(group, turn, Change::Holding(id, None));
        }
        for id in keys(self.targets.keys().collect()) {
            self.change(group, turn, Change::Target(id, None));
        }
        self.change(group, turn, Change::AssignmentEpoch(None));
        for regex in keys(self.regexes.keys().collect()) {
            self.change(group, turn, Change::Regex(regex, None));
        }
        for id in keys(self.members.keys().collect()) {
            self.change(group, turn, Change::Member(id, None));
        }
        self.change(group, turn, Change::Generation(None));
    }

    /// The tombstones of all its records.
    pub fn tombstones(&self, group: &str) -> Vec<(Bytes, Option<Bytes>)> {
        let holdings = self.holdings.keys().map(|id| Change::Holding(id.clone(), None));
        let targets = self.targets.keys().map(|id| Change::Target(id.clone(), None));
        let regexes = self.regexes.keys().map(|regex| Change::Regex(regex.clone(), None));
        let members = self.members.keys().map(|id| Change::Member(id.clone(), None));
        let whole = [Change::AssignmentEpoch(None), Change::Generation(None)];
        let changes = holdings.chain(targets).chain(regexes).chain(members).chain(whole);
        changes.map(|change| record::encode(group, &change)).collect()
    }

    /// Applies a record while the log is read.
    pub fn load(&mut self, change: Change) {
        self.apply(change);
    }

    /// All of the log was applied.
    pub fn loaded(&mut self, name: &str, scene: &Scene<'_>) {
        let now_ms = scene.now.mono_ms;
        let session_ms = scene.session_timeout_ms(name);
        for (id, member) in self.members.clone() {
            let own = member.classic.map(|classic| i64::from(classic.session_timeout_ms));
            self.keep_time(&id, own.unwrap_or(session_ms), now_ms);
        }
    }

    /// Whether a committer may commit now; offsets of a group without members anybody may.
    pub fn may_commit(&self, by: &Committer) -> Result<(), ResponseError> {
        if by.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(&by.member_id).ok_or(ResponseError::UnknownMemberId)?;
        if by.generation == self.holding(&by.member_id).epoch {
            return Ok(());
        }
        Err(match member.classic {
            Some(_) => ResponseError::IllegalGeneration,
            None => ResponseError::StaleMemberEpoch,
        })
    }

    /// Whether a member is told offsets.
    pub fn may_fetch(&self, id: &str, epoch: i32) -> Result<(), ResponseError> {
        if !self.members.contains_key(id) {
            return Err(ResponseError::UnknownMemberId);
        }
        match self.holding(id).epoch == epoch {
            true => Ok(()),
            false => Err(ResponseError::StaleMemberEpoch),
        }
    }

    /// When something is due, on the clock that never jumps.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let revocations = self.revocations.values().map(|(at, _)| *at);
        self.sessions.values().copied().chain(revocations).min()
    }
}

impl Group {
    /// What is to be written of a turn. Without any record and with nothing of the group under way, it is told at once.
    fn written_later(&mut self, turn: Turn, told: Told) -> Option<Write> {
        if turn.records.is_empty() && self.turns == 0 {
            told.tell(Ok(()));
            return None;
        }
        self.turns += 1;
        let Turn { records, undo, former } = turn;
        Some(Write {
            group: self.name.clone(),
            records,
            kind: Kind::Plain,
            then: Then::Turn {
                undo: Turn {
                    records: Vec::new(),
                    undo,
                    former,
                },
                told,
            },
        })
    }

    /// Takes back what a turn did, the last such turn first.
    pub(super) fn undo(&mut self, turn: Turn, settings: &Settings, now: super::Now) {
        if let Some(former) = turn.former {
            let offsets = std::mem::take(&mut self.offsets);
            let pending_offsets = std::mem::take(&mut self.pending_offsets);
            let turns = self.turns;
            *self = Self {
                offsets,
                pending_offsets,
                turns,
                ..*former
            };
        }
        let Some(consumer) = self.consumer.as_mut() else { return };
        for change in turn.undo.into_iter().rev() {
            consumer.apply(change);
        }
        // Members that are back have to be heard of again.
        for id in consumer.members.keys() {
            let expires = now.mono_ms + settings.consumer.session_timeout_ms;
            consumer.sessions.entry(id.clone()).or_insert(expires);
        }
    }
}

fn put<V>(map: &mut BTreeMap<String, V>, key: &str, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key.to_owned(), value),
        None => map.remove(key),
    }
}

/// Every partition of a set.
fn places(partitions: &Partitions) -> impl Iterator<Item = (TopicId, i32)> + '_ {
    partitions
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(move |partition| (*topic, *partition)))
}
