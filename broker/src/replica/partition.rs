//! One replica: its log, its role, and its high watermark.
//!
//! The role is held for reading while the log is written, so that nothing is appended in an epoch that has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::leader::{Commit, Leader, Position, Proposal};
use super::nearby::Nearby;
use super::throttle::Throttled;
use super::waiter::{Fetches, Offsets, Reached};
use super::{Acks, By, Produced, Refusal};
use crate::id::{Epoch, NodeId, Offset, TopicPartition};
use crate::image;
use crate::log::{Guard, Log};
use crate::record::Header;

/// What all replicas of one node share.
pub(super) struct Site {
    pub me: NodeId,
    pub lag_time_max: Duration,
    /// The other nodes of this process, if they ring each other.
    pub nearby: Option<Arc<Nearby>>,
}

/// A replica on this node.
pub(super) struct Partition {
    pub at: TopicPartition,
    pub topic: Arc<str>,
    pub log: Arc<Log>,
    site: Arc<Site>,
    role: RwLock<Role>,
    high_watermark: AtomicI64,
    min_isr: AtomicUsize,
    throttled_leader: AtomicBool,
    throttled_follower: AtomicBool,
    /// Whether the image counts this replica as in sync.
    in_sync: AtomicBool,
    /// Followers that wait for records.
    pub appended: Fetches,
    /// Consumers that wait for committed records.
    pub committed: Fetches,
}

enum Role {
    /// No leader is known: nothing is appended and nothing is fetched.
    Offline,
    Following {
        leader: NodeId,
        epoch: Epoch,
    },
    Leading {
        epoch: Epoch,
        leading: Mutex<Leading>,
    },
}

struct Leading {
    leader: Leader,
    /// Producers with acks=all.
    producers: Offsets,
    /// DeleteRecords, for the low watermark.
    deletions: Offsets,
    strict_min_isr: bool,
}

/// What a replica must do next, after a new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Lead,
    Follow { leader: NodeId, epoch: Epoch },
    Wait,
}

/// What a fetch did to the in-sync replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isr {
    Unchanged,
    /// A change was begun; the controller must be asked.
    Ask,
}

impl Partition {
    pub fn new(at: TopicPartition, topic: Arc<str>, log: Arc<Log>, site: &Arc<Site>) -> Self {
        let high_watermark = log.high_watermark().clamp(log.start(), log.end());
        Self {
            at,
            topic,
            log,
            site: Arc::clone(site),
            role: RwLock::new(Role::Offline),
            high_watermark: AtomicI64::new(high_watermark),
            min_isr: AtomicUsize::new(1),
            throttled_leader: AtomicBool::new(false),
            throttled_follower: AtomicBool::new(false),
            in_sync: AtomicBool::new(false),
            appended: Fetches::default(),
            committed: Fetches::default(),
        }
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    fn set_high_watermark(&self, to: Offset) {
        self.high_watermark.store(to, Ordering::Release);
        self.log.set_high_watermark(to);
    }

    pub fn set_min_isr(&self, min: usize) {
        self.min_isr.store(min, Ordering::Relaxed);
    }

    pub fn set_throttled(&self, throttled: Throttled) {
        self.throttled_leader.store(throttled.leader, Ordering::Relaxed);
        self.throttled_follower.store(throttled.follower, Ordering::Relaxed);
    }

    /// On which sides its replication is throttled while it is out of sync.
    pub fn throttled(&self) -> Throttled {
        Throttled {
            leader: self.throttled_leader.load(Ordering::Relaxed),
            follower: self.throttled_follower.load(Ordering::Relaxed),
        }
    }

    /// Whether this node leads and `follower` is in sync.
    pub fn has_in_sync(&self, follower: NodeId) -> bool {
        match &*self.role.read() {
            Role::Leading { leading, .. } => leading.lock().leader.isr().contains(&follower),
            _ => false,
        }
    }

    pub fn min_isr(&self) -> usize {
        self.min_isr.load(Ordering::Relaxed)
    }

    /// Takes a state of the image. `live` gives the epochs of the brokers that are up.
    pub fn update(
        &self,
        state: &image::Partition,
        strict_min_isr: bool,
        live: impl Fn(NodeId) -> Option<i64>,
    ) -> Result<Next, Refusal> {
        let now = Instant::now();
        let mut role = self.role.write();
        self.in_sync.store(state.isr.contains(&self.site.me), Ordering::Release);
        if state.leader != self.site.me {
            if let Role::Following { leader, epoch } = &*role
                && (*leader, *epoch) == (state.leader, state.leader_epoch)
            {
                return Ok(Next::Follow {
                    leader: *leader,
                    epoch: *epoch,
                });
            }
            let next = if state.leader == NodeId::NONE {
                *role = Role::Offline;
                Next::Wait
            } else {
                *role = Role::Following {
                    leader: state.leader,
                    epoch: state.leader_epoch,
                };
                Next::Follow {
                    leader: state.leader,
                    epoch: state.leader_epoch,
                }
            };
            drop(role);
            // Whoever waits here must learn that this is not the leader any more.
            self.appended.wake();
            self.committed.wake();
            return Ok(next);
        }
        match &*role {
            Role::Leading { epoch, leading } if *epoch == state.leader_epoch => {
                let mut leading = leading.lock();
                leading.leader.update(state, now);
                leading.leader.observe(live);
                leading.strict_min_isr = strict_min_isr;
                self.advance(&mut leading, now);
            }
            _ => {
                let end = self.log.end();
                self.log.assign_epoch(state.leader_epoch, end)?;
                let mut leader = Leader::new(self.site.me, state, end, now);
                leader.observe(live);
                // Who waits for what this leader wrote goes on waiting in its next epoch.
                let (producers, deletions) = match &mut *role {
                    Role::Leading { leading, .. } => {
                        let leading = leading.get_mut();
                        (
                            std::mem::take(&mut leading.producers),
                            std::mem::take(&mut leading.deletions),
                        )
                    }
                    _ => Default::default(),
                };
                let mut leading = Leading {
                    leader,
                    producers,
                    deletions,
                    strict_min_isr,
                };
                self.advance(&mut leading, now);
                *role = Role::Leading {
                    epoch: state.leader_epoch,
                    leading: Mutex::new(leading),
                };
            }
        }
        Ok(Next::Lead)
    }

    /// Runs `act` while nothing is appended to the log and nothing cut off.
    pub fn while_still<T>(&self, act: impl FnOnce(&Log) -> T) -> T {
        let _still = self.role.write();
        act(&self.log)
    }

    /// Takes over which of the `changed` brokers are up.
    pub fn observe(&self, changed: &BTreeSet<NodeId>, live: impl Fn(NodeId) -> Option<i64>) {
        if let Role::Leading { leading, .. } = &*self.role.read() {
            let mut leading = leading.lock();
            if changed.iter().any(|id| leading.leader.follows(*id)) {
                leading.leader.observe(live);
                self.advance(&mut leading, Instant::now());
            }
        }
    }

    /// The leader that this replica follows.
    pub fn following(&self) -> Option<NodeId> {
        match &*self.role.read() {
            Role::Following { leader, .. } => Some(*leader),
            _ => None,
        }
    }

    /// Whether the image counts this replica as in sync.
    pub fn is_in_sync(&self) -> bool {
        self.in_sync.load(Ordering::Acquire)
    }

    /// Tells the followers in this process that there is something to fetch.
    fn ring(&self) {
        let Some(nearby) = &self.site.nearby else { return };
        let followers = match &*self.role.read() {
            Role::Leading { leading, .. } => leading.lock().leader.followers(),
            _ => return,
        };
        for follower in followers {
            nearby.ring(follower, self.at);
        }
    }

    /// Stops leading and following, before the replica is deleted or the node stops.
    pub fn retire(&self) {
        *self.role.write() = Role::Offline;
        self.appended.wake();
        self.committed.wake();
    }

    /// Moves the watermark as far as the rules allow and answers those who waited for it.
    fn advance(&self, leading: &mut Leading, now: Instant) {
        let min_isr = self.min_isr.load(Ordering::Relaxed);
        let commit = Commit {
            log_end: self.log.end(),
            now,
            lag_time_max: self.site.lag_time_max,
            min_isr: leading.strict_min_isr.then_some(min_isr),
        };
        let Some(to) = leading.leader.committable(commit) else {
            return;
        };
        if to <= self.high_watermark() {
            return;
        }
        self.set_high_watermark(to);
        let enough = if leading.leader.isr().len() >= min_isr {
            Ok(())
        } else {
            Err(ResponseError::NotEnoughReplicasAfterAppend)
        };
        leading.producers.reach(to, enough);
        self.committed.wake();
    }

    /// Appends as the leader. With acks=all, `Some` is to be awaited.
    pub fn append(&self, records: Bytes, acks: Acks, by: By) -> Result<(Produced, Option<Reached>), Refusal> {
        let role = self.role.read();
        let Role::Leading { epoch, leading } = &*role else {
            return Err(ResponseError::NotLeaderOrFollower.into());
        };
        if acks == Acks::All {
            let min = self.min_isr.load(Ordering::Relaxed);
            let isr = leading.lock().leader.isr().len();
            if isr < min {
                return Err(Refusal {
                    code: ResponseError::NotEnoughReplicas,
                    message: Some(format!("{isr} replicas are in sync, min.insync.replicas={min}")),
                    records: Vec::new(),
                });
            }
        }
        let appended = match by {
            By::Client(verify) => self.log.append_verified(records, *epoch, verify)?,
            By::Broker(verify) => self.log.append_internal_verified(records, *epoch, verify)?,
        };
        let reached = {
            let mut leading = leading.lock();
            self.advance(&mut leading, Instant::now());
            let needed = appended.last_offset + 1;
            (acks == Acks::All && self.high_watermark() < needed).then(|| leading.producers.wait_for(needed))
        };
        drop(role);
        self.appended.wake();
        self.ring();
        let produced = Produced {
            base_offset: appended.first_offset,
            last_offset: appended.last_offset,
            log_append_time: appended.log_append_time,
            log_start: appended.log_start,
        };
        Ok((produced, reached))
    }

    /// Announces that the coordinator is asked whether a batch may begin a transaction; `None` if it is part of an open one.
    pub fn begin_verification(&self, batch: &Header) -> Result<Option<Guard>, Refusal> {
        let role = self.role.read();
        let Role::Leading { .. } = &*role else {
            return Err(ResponseError::NotLeaderOrFollower.into());
        };
        Ok(self.log.begin_verification(batch)?)
    }

    /// Where a read_committed consumer stops.
    pub fn last_stable(&self) -> Offset {
        self.log.last_stable(self.high_watermark())
    }

    /// The epoch this node leads in, if `expected` (-1: any) is the same.
    pub fn check_leader(&self, expected: Epoch) -> Result<Epoch, ResponseError> {
        match &*self.role.read() {
            Role::Leading { epoch, .. } => check_epoch(expected, *epoch).map(|()| *epoch),
            Role::Following { epoch, .. } => {
                check_epoch(expected, *epoch)?;
                Err(ResponseError::NotLeaderOrFollower)
            }
            Role::Offline => Err(ResponseError::NotLeaderOrFollower),
        }
    }

    /// Whether a consumer may read here: from the leader, or with `anywhere` also from a follower (KIP-392).
    pub fn check_reader(&self, expected: Epoch, anywhere: bool) -> Result<(), ResponseError> {
        match &*self.role.read() {
            Role::Leading { epoch, .. } => check_epoch(expected, *epoch),
            Role::Following { epoch, .. } => {
                check_epoch(expected, *epoch)?;
                if anywhere {
                    Ok(())
                } else {
                    Err(ResponseError::NotLeaderOrFollower)
                }
            }
            Role::Offline => Err(ResponseError::NotLeaderOrFollower),
        }
    }

    /// Of a leader: the in-sync followers that have what is at `offset`, the one that is furthest first.
    pub fn readable_at(&self, offset: Offset) -> Vec<NodeId> {
        match &*self.role.read() {
            Role::Leading { leading, .. } => leading.lock().leader.readable_at(offset),
            _ => Vec::new(),
        }
    }

    /// Whether everything from before this leader's epoch is committed.
    pub fn is_settled(&self) -> bool {
        match &*self.role.read() {
            Role::Leading { leading, .. } => self.high_watermark() >= leading.lock().leader.epoch_start(),
            _ => false,
        }
    }

    /// Who leads, as far as this replica knows.
    pub fn current_leader(&self) -> Option<(NodeId, Epoch)> {
        match &*self.role.read() {
            Role::Leading { epoch, .. } => Some((self.site.me, *epoch)),
            Role::Following { leader, epoch } => Some((*leader, *epoch)),
            Role::Offline => None,
        }
    }

    /// Notes that a follower has everything below `position`.
    pub fn fetched(&self, position: Position) -> Result<Isr, ResponseError> {
        self.ringing(|| self.note_fetch(position))
    }

    /// Rings the followers if `act` moved the watermark to the end: one that asks no more would not learn of it.
    pub fn ringing<T>(&self, act: impl FnOnce() -> T) -> T {
        let before = self.high_watermark();
        let done = act();
        let after = self.high_watermark();
        if after > before && after == self.log.end() {
            self.ring();
        }
        done
    }

    fn note_fetch(&self, position: Position) -> Result<Isr, ResponseError> {
        let now = Instant::now();
        let role = self.role.read();
        let Role::Leading { leading, .. } = &*role else {
            return Err(ResponseError::NotLeaderOrFollower);
        };
        let mut leading = leading.lock();
        if !leading.leader.follows(position.follower) {
            // It knows of an assignment that this leader has not read yet, or the other way round.
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        if !leading.leader.fetched(position, self.log.end(), now) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        self.advance(&mut leading, now);
        let low = leading.leader.low_watermark(self.log.start());
        leading.deletions.reach(low, Ok(()));
        if leading.leader.may_join(position.follower, self.high_watermark(), now) {
            leading.leader.join(position.follower);
            return Ok(Isr::Ask);
        }
        Ok(Isr::Unchanged)
    }

    /// Begins to drop the in-sync replicas that lag, and looks after those who wait.
    pub fn tick(&self) -> Isr {
        // Nobody lags behind a log without records, and nobody waits for it.
        if self.log.end() == 0 {
            return Isr::Unchanged;
        }
        let now = Instant::now();
        let role = self.role.read();
        let Role::Leading { leading, .. } = &*role else {
            return Isr::Unchanged;
        };
        let mut leading = leading.lock();
        leading.producers.prune();
        leading.deletions.prune();
        // A follower that was about to join may have run out of time.
        self.advance(&mut leading, now);
        match leading.leader.shrink(self.log.end(), now, self.site.lag_time_max) {
            Some(_) => Isr::Ask,
            None => Isr::Unchanged,
        }
    }

    /// The change of the in-sync replicas to ask the controller for.
    pub fn proposal(&self) -> Option<Proposal> {
        match &*self.role.read() {
            Role::Leading { leading, .. } => leading.lock().leader.proposal(),
            _ => None,
        }
    }

    /// The controller's answer: what is in force since `partition_epoch`.
    pub fn answered(&self, leader_epoch: Epoch, isr: Vec<NodeId>, partition_epoch: Epoch) {
        self.ringing(|| {
            self.with_leading(leader_epoch, |partition, leading| {
                leading.leader.commit(isr, partition_epoch);
                partition.advance(leading, Instant::now());
            });
        });
    }

    /// The controller refused what was asked in `leader_epoch`.
    pub fn refused(&self, leader_epoch: Epoch) {
        self.with_leading(leader_epoch, |partition, leading| {
            let now = Instant::now();
            leading.leader.give_up(now);
            partition.advance(leading, now);
        });
    }

    fn with_leading(&self, leader_epoch: Epoch, act: impl FnOnce(&Self, &mut Leading)) {
        if let Role::Leading { epoch, leading } = &*self.role.read()
            && *epoch == leader_epoch
        {
            act(self, &mut leading.lock());
        }
    }

    /// Deletes everything below `before` (-1: all that is committed). The low watermark is then to be awaited.
    pub fn delete_records(&self, before: Offset) -> Result<Option<Reached>, Refusal> {
        let role = self.role.read();
        let Role::Leading { leading, .. } = &*role else {
            return Err(ResponseError::NotLeaderOrFollower.into());
        };
        let high_watermark = self.high_watermark();
        let before = if before == -1 { high_watermark } else { before };
        if before < 0 || before > high_watermark {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        self.log.advance_start(before)?;
        let reached = {
            let mut leading = leading.lock();
            let low = leading.leader.low_watermark(self.log.start());
            (low < before).then(|| leading.deletions.wait_for(before))
        };
        drop(role);
        // Followers learn the new start from the answer to a fetch.
        self.appended.wake();
        self.ring();
        Ok(reached)
    }

    /// The least log start of the in-sync replicas.
    pub fn low_watermark(&self) -> Offset {
        let own = self.log.start();
        match &*self.role.read() {
            Role::Leading { leading, .. } => leading.lock().leader.low_watermark(own),
            _ => own,
        }
    }

    /// Appends what the leader of `epoch` sent for a fetch from `from`. False if it is not wanted any more.
    pub fn replicate(&self, epoch: Epoch, from: Offset, piece: Piece) -> Result<bool, Refusal> {
        let role = self.role.read();
        match &*role {
            Role::Following { epoch: current, .. } if *current == epoch && self.log.end() == from => {}
            _ => return Ok(false),
        }
        if !piece.records.is_empty() {
            self.log.append_as_follower(piece.records)?;
        }
        let to = piece.high_watermark.min(self.log.end());
        if to > self.high_watermark() {
            self.set_high_watermark(to);
            // Consumers may read from a follower.
            self.committed.wake();
        }
        if piece.log_start > self.log.start() && piece.log_start <= self.high_watermark() {
            self.log.advance_start(piece.log_start)?;
        }
        Ok(true)
    }

    /// Cuts the log back to where it agrees with the leader's history, which has `diverging` as the end of the epoch
    /// that the last fetch named, or of the greatest before it (KIP-595). More than one round may be needed.
    pub fn truncate(&self, epoch: Epoch, diverging: (Epoch, Offset)) -> Result<bool, Refusal> {
        let role = self.role.write();
        match &*role {
            Role::Following { epoch: current, .. } if *current == epoch => {}
            _ => return Ok(false),
        }
        let (leader_epoch, leader_end) = diverging;
        let own = self.log.end_offset_for(leader_epoch);
        let to = own.map_or(leader_end, |(_, own_end)| own_end.min(leader_end));
        let to = to.clamp(self.log.start(), self.log.end());
        tracing::info!(
            topic = %self.topic, partition = self.at.partition, from = self.log.end(), to,
            "truncated to the leader's history"
        );
        let before = (self.log.end(), self.log.latest_epoch());
        self.log.truncate_to(to)?;
        if (self.log.end(), self.log.latest_epoch()) == before {
            // The next round would ask the same and be told the same.
            return Err(Refusal {
                code: ResponseError::UnknownLeaderEpoch,
                message: Some(format!(
                    "the leader's history differs at {leader_end}, this log's does not end there"
                )),
                records: Vec::new(),
            });
        }
        // A batch goes whole, so the end may be before what was asked for.
        self.set_high_watermark(self.high_watermark().min(self.log.end()));
        Ok(true)
    }

    /// Starts over at the leader's log start, because the leader deleted what comes next here.
    pub fn restart(&self, epoch: Epoch, leader_start: Offset) -> Result<bool, Refusal> {
        let role = self.role.write();
        match &*role {
            Role::Following { epoch: current, .. } if *current == epoch => {}
            _ => return Ok(false),
        }
        // Anything else would have been told as a divergence, unless there is no history to compare.
        if leader_start < 0 || (leader_start <= self.log.end() && self.log.latest_epoch().is_some()) {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        tracing::warn!(
            topic = %self.topic, partition = self.at.partition, end = self.log.end(), leader_start,
            "the leader deleted what comes next here: starting over"
        );
        self.log.restart_at(leader_start)?;
        self.set_high_watermark(leader_start);
        Ok(true)
    }
}

/// What a leader sent for one partition.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub records: Bytes,
    pub high_watermark: Offset,
    pub log_start: Offset,
}

fn check_epoch(expected: Epoch, current: Epoch) -> Result<(), ResponseError> {
    match expected {
        -1 => Ok(()),
        older if older < current => Err(ResponseError::FencedLeaderEpoch),
        newer if newer > current => Err(ResponseError::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
