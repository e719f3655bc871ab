//! Consumer groups as a state machine: the classic protocol (join, sync, heartbeat, leave) here, the consumer protocol
//! (KIP-848) in [`consumer`], and the offsets that groups of both commit.
//!
//! One [`Groups`] holds the groups of one `__consumer_offsets` partition. It waits for nothing and writes nothing:
//! what must be durable comes out as a [`Write`], whose outcome is told back with [`Groups::written`]; a member that
//! has to wait leaves its [`Reply`] behind; time comes in as [`Now`]. What must stay true: a generation's assignment is
//! handed out only after it was written, a member is in one group generation at a time, and an offset is answered
//! only after it was written.

mod consumer;
mod describe;
mod embedded;
mod join;
mod leave;
mod member;
mod offset;
pub mod record;
mod sync;
mod transaction;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use crate::id::Offset;
use crate::image::Image;

pub use consumer::{
    Assignor, Beat, Beaten, ConsumerDescription, ConsumerMember, ConsumerSettings, Partitions, Refusal,
};
use consumer::{Consumer, Told, Turn};
pub use describe::{Description, Listing, MemberDescription};
pub use join::{JoinRequest, Joined, JoinedMember};
pub use leave::Leaver;
use member::Member;
pub use offset::{Commit, Committed, Committer, Refused};
pub use sync::{SyncRequest, Synced};
pub use transaction::{Ended, InTransaction};

/// Where a waiting member's answer goes; a connection that is gone just drops its end.
pub type Reply<T> = oneshot::Sender<T>;

/// Whether something was done.
pub type Outcome = Result<(), ResponseError>;

/// Kafka's limits for groups.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i64,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i64,
    /// `group.initial.rebalance.delay.ms`
    pub initial_delay_ms: i64,
    /// `group.max.size`
    pub size_max: usize,
    /// `offset.metadata.max.bytes`
    pub metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds
    pub retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_ms: i64,
    /// Of groups of the consumer protocol.
    pub consumer: ConsumerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_delay_ms: 3_000,
            size_max: i32::MAX as usize,
            metadata_max_bytes: 4_096,
            retention_ms: 7 * 24 * 3_600_000,
            retention_check_ms: 600_000,
            consumer: ConsumerSettings::default(),
        }
    }
}

/// The time: one clock that never jumps, for deadlines, and one that people read, for what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub mono_ms: i64,
    pub wall_ms: i64,
}

/// Records that must be committed before the group goes on.
#[derive(Debug)]
pub struct Write {
    pub group: String,
    /// Key and value; no value is a tombstone.
    pub records: Vec<(Bytes, Option<Bytes>)>,
    pub kind: Kind,
    pub then: Then,
}

impl Write {
    /// Whether it is a turn of a group of the consumer protocol, which builds on the turns before it.
    pub fn is_turn(&self) -> bool {
        matches!(self.then, Then::Turn { .. })
    }
}

/// What kind of batch a write belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With others.
    Plain,
    /// A batch of its own, of a producer's transaction.
    InTransaction(InTransaction),
    /// The end of a producer's transaction, without records of the groups.
    End(Ended),
}

/// What a finished write means.
#[derive(Debug)]
pub enum Then {
    /// The leader's assignment for this generation is handed out.
    Assign { generation: i32 },
    /// The state was written for the next coordinator only.
    Nothing,
    /// A static member took over its predecessor's place and gets its answer.
    Replaced { reply: Reply<Joined>, joined: Box<Joined> },
    /// Offsets become visible; each (topic, partition) with what was committed.
    Commit {
        offsets: Vec<(String, i32, Committed)>,
        reply: Reply<Outcome>,
    },
    /// Offsets that become visible when their transaction is committed.
    CommitLater {
        by: InTransaction,
        offsets: Vec<(String, i32, Committed)>,
        reply: Reply<Outcome>,
    },
    /// A transaction is over.
    EndTransaction { ended: Ended, reply: Reply<Outcome> },
    /// These offsets are gone.
    Forget {
        offsets: Vec<(String, i32)>,
        reply: Option<Reply<Outcome>>,
    },
    /// What a group of the consumer protocol decided stands.
    Turn { undo: Turn, told: Told },
    /// The whole group is gone.
    Delete { reply: Option<Reply<Outcome>> },
}

/// Kafka's words for a classic group's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members; kept for its offsets.
    Empty,
    /// Waiting for all members to join the next generation.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    Stable,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub struct Groups {
    settings: Settings,
    groups: BTreeMap<String, Group>,
    /// The topics.
    image: Arc<Image>,
    /// Grows when topics come, go or get partitions.
    topics_version: u64,
}

#[derive(Debug)]
struct Group {
    name: String,
    state: State,
    /// When the state changed, on the wall clock.
    changed_ms: i64,
    protocol_type: Option<String>,
    protocol: Option<String>,
    generation: i32,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Ids that were handed out (KIP-394) and not used yet, with their deadline.
    pending: BTreeMap<String, i64>,
    /// Member by `group.instance.id`.
    instances: BTreeMap<String, String>,
    rebalance: Option<Rebalance>,
    /// Until when members of the new generation must ask for their assignment.
    sync_deadline_ms: Option<i64>,
    /// The leader's assignment is being written.
    assigning: bool,
    offsets: BTreeMap<(String, i32), Committed>,
    /// Offsets of open transactions, by producer id.
    pending_offsets: BTreeMap<i64, BTreeMap<(String, i32), Committed>>,
    /// Of a group of the consumer protocol, which then is nothing of the above but its offsets.
    consumer: Option<Box<Consumer>>,
    /// How many turns of it are being written.
    turns: usize,
}

/// How long a rebalance waits for its members.
#[derive(Debug)]
struct Rebalance {
    /// The next look; at the last one who has not joined is removed.
    until_ms: i64,
    /// Set for a group's first generation, which waits `group.initial.rebalance.delay.ms` for company.
    first: Option<FirstWait>,
}

#[derive(Debug)]
struct FirstWait {
    at_most_ms: i64,
    somebody_came: bool,
}

impl Groups {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            topics_version: 1,
            ..Self::default()
        }
    }

    /// Tells the outcome of a write: `Ok` holds the offset of its last record.
    pub fn written(&mut self, write: Write, outcome: Result<Offset, ResponseError>, now: Now) -> Vec<Write> {
        let Write { group, then, .. } = write;
        match then {
            Then::Nothing => Vec::new(),
            Then::Assign { generation } => self.assigned(&group, generation, outcome.map(|_| ()), now),
            Then::Replaced { reply, joined } => {
                let failed = |error| Joined::failed(error, joined.member_id.clone());
                let _gone = reply.send(outcome.map_or_else(|error| failed(not_stored(error)), |_| *joined.clone()));
                Vec::new()
            }
            Then::Commit { offsets, reply } => {
                self.committed(&group, offsets, outcome, reply, now);
                Vec::new()
            }
            Then::CommitLater { by, offsets, reply } => {
                self.kept_for_later(&group, by, offsets, outcome, reply);
                Vec::new()
            }
            Then::EndTransaction { ended, reply } => {
                if outcome.is_ok() {
                    self.transaction_ended(ended);
                }
                let _gone = reply.send(outcome.map(|_| ()).map_err(|error| match error {
                    error @ (ResponseError::InvalidProducerEpoch | ResponseError::TransactionCoordinatorFenced) => {
                        error
                    }
                    error => not_stored(error),
                }));
                Vec::new()
            }
            Then::Forget { offsets, reply } => {
                if outcome.is_ok() {
                    self.forgotten(&group, &offsets);
                }
                answer(reply, outcome);
                Vec::new()
            }
            Then::Turn { undo, told } => {
                self.turned(&group, undo, told, outcome, now);
                Vec::new()
            }
            Then::Delete { reply } => {
                if outcome.is_ok() {
                    self.groups.remove(&group);
                }
                answer(reply, outcome);
                Vec::new()
            }
        }
    }

    /// Sees newer metadata. `moved`: topics came, went or got partitions since the last one.
    pub fn see(&mut self, image: &Arc<Image>, moved: bool) {
        self.image = Arc::clone(image);
        self.topics_version += u64::from(moved);
    }

    /// A turn that is not in the log is taken back; one that may be in it stands.
    fn turned(&mut self, group: &str, undo: Turn, told: Told, outcome: Result<Offset, ResponseError>, now: Now) {
        if let Some(group) = self.groups.get_mut(group) {
            group.turns = group.turns.saturating_sub(1);
            if outcome.is_err_and(is_not_written) {
                group.undo(undo, &self.settings, now);
            }
        }
        told.tell(outcome.map(|_| ()).map_err(not_stored));
    }

    /// Does what is due: ends waits, removes silent members, expires offsets of groups that are long empty.
    pub fn tick(&mut self, now: Now) -> Vec<Write> {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        let mut writes = Vec::new();
        for name in names {
            let Some(group) = self.groups.get_mut(&name) else {
                continue;
            };
            let scene = consumer::Scene {
                settings: &self.settings,
                image: &self.image,
                topics_version: self.topics_version,
                now,
            };
            writes.extend(group.tick_consumer(&scene));
            writes.extend(group.tick(&self.settings, now));
        }
        writes
    }

    /// When [`Self::tick`] has something to do next, on the clock that never jumps.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.groups.values().filter_map(Group::next_deadline_ms).min()
    }

    /// Ends every wait because this node is no longer the coordinator.
    pub fn resign(&mut self) {
        for group in self.groups.values_mut() {
            for member in group.members.values_mut() {
                member.answer_join_error(ResponseError::NotCoordinator);
                member.answer_sync_error(ResponseError::NotCoordinator);
            }
        }
        self.groups.clear();
    }

    /// Whether a member waits here; a test's and an operator's question.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    fn new(name: &str, now: Now) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Empty,
            changed_ms: now.wall_ms,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            instances: BTreeMap::new(),
            rebalance: None,
            sync_deadline_ms: None,
            assigning: false,
            offsets: BTreeMap::new(),
            pending_offsets: BTreeMap::new(),
            consumer: None,
            turns: 0,
        }
    }

    fn enter(&mut self, state: State, now: Now) {
        if self.state != state {
            self.state = state;
            self.changed_ms = now.wall_ms;
        }
    }

    /// The longest of the members' rebalance timeouts.
    fn rebalance_timeout_ms(&self) -> i64 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        let sessions = self
            .members
            .values()
            .filter(|member| !member.is_waiting())
            .map(|member| member.expires_ms);
        let rebalance = self.rebalance.as_ref().map(|rebalance| rebalance.until_ms);
        let consumer = self.consumer.as_ref().and_then(|consumer| consumer.next_deadline_ms());
        sessions
            .chain(self.pending.values().copied())
            .chain(rebalance)
            .chain(self.sync_deadline_ms)
            .chain(consumer)
            .min()
    }

    fn tick(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        let mut writes = Vec::new();
        self.pending.retain(|_, expires| *expires > now.mono_ms);
        let silent = |member: &&Member| !member.is_waiting() && member.expires_ms <= now.mono_ms;
        let silent: Vec<String> = self
            .members
            .values()
            .filter(silent)
            .map(|member| member.id.clone())
            .collect();
        if !silent.is_empty() {
            for id in silent {
                self.remove(&id, ResponseError::UnknownMemberId);
            }
            writes.extend(self.after_removal(settings, now));
        }
        writes.extend(self.end_sync_wait(settings, now));
        writes.extend(self.end_join_wait(settings, now));
        writes.extend(self.expire_offsets(settings, now));
        writes
    }

    /// The record that lets the next coordinator go on with this generation.
    fn state_write(&self, then: Then, now: Now) -> Write {
        let key = record::group_key(&self.name);
        let value = record::group_value(self, now.wall_ms);
        Write {
            group: self.name.clone(),
            records: vec![(key, Some(value))],
            kind: Kind::Plain,
            then,
        }
    }
}

fn answer(reply: Option<Reply<Outcome>>, outcome: Result<Offset, ResponseError>) {
    if let Some(reply) = reply {
        let _gone = reply.send(outcome.map(|_| ()).map_err(not_stored));
    }
}

/// Whether the log certainly lacks what could not be written; what only was not acknowledged in time may be in it.
pub fn is_not_written(error: ResponseError) -> bool {
    !matches!(
        error,
        ResponseError::RequestTimedOut | ResponseError::NotEnoughReplicasAfterAppend
    )
}

/// What a client is told when its group's log could not be written; it looks the coordinator up again or retries.
fn not_stored(error: ResponseError) -> ResponseError {
    match error {
        // Of a producer that is not the one of its transaction.
        error @ (ResponseError::InvalidProducerEpoch | ResponseError::InvalidTxnState) => error,
        ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch | ResponseError::KafkaStorageError => {
            ResponseError::NotCoordinator
        }
        ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge | ResponseError::InvalidRecord => {
            ResponseError::InvalidCommitOffsetSize
        }
        _ => ResponseError::CoordinatorNotAvailable,
    }
}
