//! What a leader knows of its followers, and the rules that follow: who is in sync, and what is committed.
//!
//! No I/O and no clock, so that the rules can be tested alone. The in-sync replicas have two values (KIP-497): the
//! committed ones, which the controller wrote and which count against `min.insync.replicas`; and the maximal ones,
//! which add those of a change in flight. The watermark waits for the maximal ones, because the controller may
//! already have taken the change and elect any of them.

use std::time::Duration;

use tokio::time::Instant;

use crate::id::{Epoch, NodeId, Offset};
use crate::image::Partition;

/// How long a leader keeps quiet after the controller refused a change.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// One epoch of one leader.
#[derive(Debug)]
pub(super) struct Leader {
    me: NodeId,
    pub epoch: Epoch,
    /// The log end when this epoch began. A follower that does not have all of what came before cannot be elected.
    epoch_start: Offset,
    partition_epoch: Epoch,
    isr: Vec<NodeId>,
    /// The in-sync replicas asked of the controller, which has not answered yet.
    change: Option<Vec<NodeId>>,
    /// After a refusal nobody is asked for until then, or every fetch would ask again.
    quiet_until: Option<Instant>,
    followers: Vec<Follower>,
}

/// A follower as seen from its fetches.
#[derive(Debug)]
struct Follower {
    id: NodeId,
    /// Everything below is on the follower's disk; -1 before its first fetch in this epoch.
    end: Offset,
    log_start: Offset,
    /// The run of the broker that fetched (KIP-903).
    broker_epoch: i64,
    /// The run that the image says is up: not fenced and not shutting down.
    live: Option<i64>,
    /// When it last had everything that the leader had.
    caught_up_at: Option<Instant>,
    last_fetch: Option<(Instant, Offset)>,
}

/// A proposal for the controller: AlterPartition for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub leader_epoch: Epoch,
    pub partition_epoch: Epoch,
    /// With the broker epoch each was seen with; -1 when it has not fetched, for the leader the caller's.
    pub isr: Vec<(NodeId, i64)>,
    /// How many are in sync without the change.
    pub before: usize,
}

/// One fetch of a follower.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub follower: NodeId,
    pub broker_epoch: i64,
    pub offset: Offset,
    pub log_start: Offset,
}

/// The circumstances under which a watermark may move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commit {
    pub log_end: Offset,
    pub now: Instant,
    pub lag_time_max: Duration,
    /// With eligible leader replicas (KIP-966) nothing is committed below `min.insync.replicas`.
    pub min_isr: Option<usize>,
}

impl Leader {
    pub fn new(me: NodeId, state: &Partition, epoch_start: Offset, now: Instant) -> Self {
        let mut leader = Self {
            me,
            epoch: state.leader_epoch,
            epoch_start,
            partition_epoch: state.partition_epoch,
            isr: state.isr.clone(),
            change: None,
            quiet_until: None,
            followers: Vec::new(),
        };
        leader.follow(&state.replicas, now);
        leader
    }

    /// Takes a newer state of the same epoch, from the metadata log or from the controller's answer.
    pub fn update(&mut self, state: &Partition, now: Instant) {
        if state.partition_epoch > self.partition_epoch {
            self.commit(state.isr.clone(), state.partition_epoch);
        }
        self.follow(&state.replicas, now);
    }

    /// The controller took a change: `isr` is in force since `partition_epoch`.
    pub fn commit(&mut self, isr: Vec<NodeId>, partition_epoch: Epoch) {
        if partition_epoch > self.partition_epoch {
            self.isr = isr;
            self.partition_epoch = partition_epoch;
            self.change = None;
        }
    }

    /// The controller refused the change for good.
    pub fn give_up(&mut self, now: Instant) {
        self.change = None;
        self.quiet_until = Some(now + REFUSED_PAUSE);
    }

    fn follow(&mut self, replicas: &[NodeId], now: Instant) {
        self.followers.retain(|follower| replicas.contains(&follower.id));
        for &id in replicas {
            if id == self.me || self.followers.iter().any(|follower| follower.id == id) {
                continue;
            }
            // A new leader gives the in-sync ones the benefit of the doubt for one lag time.
            let caught_up_at = self.isr.contains(&id).then_some(now);
            self.followers.push(Follower {
                id,
                end: -1,
                log_start: -1,
                broker_epoch: -1,
                live: None,
                caught_up_at,
                last_fetch: None,
            });
        }
    }

    /// Takes over which brokers are up, as their epochs. Only those may join, or the watermark would wait for the dead.
    pub fn observe(&mut self, live: impl Fn(NodeId) -> Option<i64>) {
        for follower in &mut self.followers {
            follower.live = live(follower.id);
        }
    }

    /// The log end when this epoch began.
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    pub fn isr(&self) -> &[NodeId] {
        &self.isr
    }

    pub fn followers(&self) -> Vec<NodeId> {
        self.followers.iter().map(|follower| follower.id).collect()
    }

    pub fn follows(&self, id: NodeId) -> bool {
        self.followers.iter().any(|follower| follower.id == id)
    }

    fn is_maximal(&self, id: NodeId) -> bool {
        self.isr.contains(&id) || self.change.as_ref().is_some_and(|isr| isr.contains(&id))
    }

    /// Notes a fetch; false if it comes from an older run of the follower than one seen before.
    pub fn fetched(&mut self, position: Position, log_end: Offset, now: Instant) -> bool {
        let Some(follower) = self.followers.iter_mut().find(|f| f.id == position.follower) else {
            return false;
        };
        if position.broker_epoch >= 0 && position.broker_epoch < follower.broker_epoch {
            return false;
        }
        // Having all that the leader had at the previous fetch counts as caught up then, or a busy leader would
        // never see anyone in sync.
        match follower.last_fetch {
            _ if position.offset >= log_end => follower.caught_up_at = Some(now),
            Some((at, end)) if position.offset >= end => {
                follower.caught_up_at = follower.caught_up_at.max(Some(at));
            }
            _ => {}
        }
        follower.end = position.offset;
        follower.log_start = position.log_start;
        follower.broker_epoch = position.broker_epoch;
        follower.last_fetch = Some((now, log_end));
        true
    }

    /// Where the high watermark may move to: the least log end of the maximal in-sync replicas and of those about to
    /// join. Waiting for the latter lets them meet the watermark while records keep coming.
    pub fn committable(&self, commit: Commit) -> Option<Offset> {
        if commit.min_isr.is_some_and(|min| self.isr.len() < min) {
            return None;
        }
        let mut least = commit.log_end;
        for follower in &self.followers {
            let counts = self.is_maximal(follower.id) || (follower.is_eligible() && follower.is_caught_up(commit));
            if counts && follower.end < least {
                least = follower.end;
            }
        }
        (least >= 0).then_some(least)
    }

    /// Whether a follower has all that is committed, and all from before this epoch, so that it may be elected.
    pub fn may_join(&self, id: NodeId, high_watermark: Offset, now: Instant) -> bool {
        self.change.is_none()
            && self.quiet_until.is_none_or(|until| now >= until)
            && !self.isr.contains(&id)
            && self
                .followers
                .iter()
                .any(|f| f.id == id && f.is_eligible() && f.end >= high_watermark && f.end >= self.epoch_start)
    }

    /// Begins adding a follower.
    pub fn join(&mut self, id: NodeId) -> Proposal {
        let mut isr = self.isr.clone();
        isr.push(id);
        self.propose(isr)
    }

    /// Begins removing the followers that did not catch up for the lag time, if there are any.
    pub fn shrink(&mut self, log_end: Offset, now: Instant, lag_time_max: Duration) -> Option<Proposal> {
        if self.change.is_some() {
            return None;
        }
        let commit = Commit {
            log_end,
            now,
            lag_time_max,
            min_isr: None,
        };
        let isr: Vec<NodeId> = self
            .isr
            .iter()
            .copied()
            .filter(|&id| id == self.me || self.followers.iter().any(|f| f.id == id && f.is_caught_up(commit)))
            .collect();
        (isr.len() < self.isr.len()).then(|| self.propose(isr))
    }

    fn propose(&mut self, isr: Vec<NodeId>) -> Proposal {
        let proposal = self.as_proposal(&isr);
        self.change = Some(isr);
        proposal
    }

    /// The change in flight.
    pub fn proposal(&self) -> Option<Proposal> {
        self.change.as_ref().map(|isr| self.as_proposal(isr))
    }

    fn as_proposal(&self, isr: &[NodeId]) -> Proposal {
        let epoch_of = |id| {
            self.followers
                .iter()
                .find(|f| f.id == id)
                .map_or(-1, |f| f.broker_epoch)
        };
        Proposal {
            leader_epoch: self.epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.iter().map(|&id| (id, epoch_of(id))).collect(),
            before: self.isr.len(),
        }
    }

    /// The in-sync followers that have what is at `offset`, the one that is furthest and was caught up last first.
    pub fn readable_at(&self, offset: Offset) -> Vec<NodeId> {
        let mut able: Vec<&Follower> = self
            .followers
            .iter()
            .filter(|follower| self.isr.contains(&follower.id) && follower.live.is_some())
            .filter(|follower| follower.end >= offset && follower.log_start <= offset)
            .collect();
        able.sort_by_key(|follower| std::cmp::Reverse((follower.end, follower.caught_up_at, follower.id)));
        able.into_iter().map(|follower| follower.id).collect()
    }

    /// The least log start of the in-sync replicas, `own` for this one: what is certainly deleted (DeleteRecords).
    pub fn low_watermark(&self, own: Offset) -> Offset {
        self.followers
            .iter()
            .filter(|follower| self.isr.contains(&follower.id))
            .map(|follower| follower.log_start)
            .fold(own, Offset::min)
    }
}

impl Follower {
    fn is_eligible(&self) -> bool {
        self.live
            .is_some_and(|epoch| self.broker_epoch < 0 || self.broker_epoch == epoch)
    }

    fn is_caught_up(&self, commit: Commit) -> bool {
        // Of an empty log nobody misses anything, even before the first fetch.
        self.end == commit.log_end
            || commit.log_end == 0
            || self
                .caught_up_at
                .is_some_and(|at| commit.now.duration_since(at) <= commit.lag_time_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const LAG: Duration = Duration::from_secs(30);

    fn state(isr: &[i32], partition_epoch: Epoch) -> Partition {
        Partition {
            replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
            isr: isr.iter().copied().map(NodeId).collect(),
            adding: Vec::new(),
            removing: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            recovering: false,
            leader: ME,
            leader_epoch: 5,
            partition_epoch,
            directories: Vec::new(),
        }
    }

    fn leader(isr: &[i32], epoch_start: Offset, now: Instant) -> Leader {
        let mut leader = Leader::new(ME, &state(isr, 7), epoch_start, now);
        leader.observe(|id| Some(i64::from(id.0)));
        leader
    }

    fn at(follower: i32, offset: Offset) -> Position {
        Position {
            follower: NodeId(follower),
            broker_epoch: i64::from(follower),
            offset,
            log_start: 0,
        }
    }

    fn commit(log_end: Offset, now: Instant) -> Commit {
        Commit {
            log_end,
            now,
            lag_time_max: LAG,
            min_isr: None,
        }
    }

    #[test]
    fn the_watermark_is_the_least_end_of_the_in_sync_replicas() {
        let now = Instant::now();
        let mut leader = leader(&[1, 2, 3], 0, now);
        assert_eq!(leader.committable(commit(10, now)), None, "nobody has fetched yet");
        leader.fetched(at(2, 8), 10, now);
        leader.fetched(at(3, 6), 10, now);
        assert_eq!(leader.committable(commit(10, now)), Some(6));
        leader.fetched(at(3, 10), 10, now);
        assert_eq!(leader.committable(commit(10, now)), Some(8));
    }

    #[test]
    fn a_lagging_replica_out_of_sync_does_not_hold_the_watermark_but_one_about_to_join_does() {
        let now = Instant::now();
        let mut leader = leader(&[1, 2], 0, now);
        leader.fetched(at(2, 10), 10, now);
        leader.fetched(at(3, 2), 10, now);
        assert_eq!(leader.committable(commit(10, now)), Some(10));
        leader.fetched(at(3, 10), 10, now);
        leader.fetched(at(2, 20), 20, now);
        assert_eq!(
            leader.committable(commit(20, now)),
            Some(10),
            "3 was caught up just now"
        );
        leader.observe(|id| (id == NodeId(2)).then_some(2));
        assert_eq!(leader.committable(commit(20, now)), Some(20), "3 is down");
    }

    #[test]
    fn a_replica_being_added_holds_the_watermark_before_the_controller_answers() {
        let now = Instant::now();
        let mut leader = leader(&[1], 0, now);
        leader.fetched(at(2, 10), 10, now);
        assert!(leader.may_join(NodeId(2), 10, now));
        let proposal = leader.join(NodeId(2));
        assert_eq!(proposal.isr, [(ME, -1), (NodeId(2), 2)]);
        assert_eq!((proposal.leader_epoch, proposal.partition_epoch), (5, 7));
        let later = now + LAG * 2;
        assert_eq!(leader.committable(commit(20, later)), Some(10));
        assert_eq!(leader.isr(), [ME], "min.insync.replicas counts what is committed");
        assert!(!leader.may_join(NodeId(3), 0, now), "one change at a time");
        leader.give_up(now);
        assert_eq!(leader.committable(commit(20, later)), Some(20));
    }

    #[test]
    fn a_follower_joins_only_with_all_from_before_the_epoch() {
        let now = Instant::now();
        let mut leader = leader(&[1], 12, now);
        leader.fetched(at(2, 11), 20, now);
        assert!(
            !leader.may_join(NodeId(2), 10, now),
            "committed 10, but the epoch began at 12"
        );
        leader.fetched(at(2, 12), 20, now);
        assert!(leader.may_join(NodeId(2), 10, now));
        leader.observe(|_| Some(99));
        assert!(!leader.may_join(NodeId(2), 10, now), "it fetched in an earlier run");
    }

    #[test]
    fn a_silent_follower_leaves_after_the_lag_time_and_the_watermark_waits_for_the_answer() {
        let now = Instant::now();
        let mut leader = leader(&[1, 2, 3], 0, now);
        leader.fetched(at(2, 10), 10, now);
        leader.fetched(at(3, 5), 10, now);
        let later = now + LAG + Duration::from_secs(1);
        leader.fetched(at(2, 10), 10, later);
        let proposal = leader.shrink(10, later, LAG).expect("3 lags");
        assert_eq!(proposal.isr, [(ME, -1), (NodeId(2), 2)]);
        assert_eq!(leader.committable(commit(10, later)), Some(5), "3 may still be elected");
        assert_eq!(leader.shrink(10, later, LAG), None, "already asked");
        leader.commit(vec![ME, NodeId(2)], 8);
        assert_eq!(leader.committable(commit(10, later)), Some(10));
    }

    #[test]
    fn a_follower_that_keeps_up_with_a_busy_leader_stays_in_sync() {
        let start = Instant::now();
        let mut leader = leader(&[1, 2], 0, start);
        for round in 0..100 {
            let now = start + Duration::from_secs(round);
            let offset = Offset::try_from(round).expect("small") * 10;
            // It always asks for what was the end one round before.
            leader.fetched(at(2, offset), offset + 10, now);
            assert_eq!(leader.shrink(offset + 10, now, LAG), None, "round {round}");
        }
    }

    #[test]
    fn an_older_run_of_a_follower_is_not_believed() {
        let now = Instant::now();
        let mut leader = leader(&[1, 2], 0, now);
        assert!(leader.fetched(at(2, 10), 10, now));
        let stale = Position {
            broker_epoch: 1,
            ..at(2, 20)
        };
        assert!(!leader.fetched(stale, 20, now));
        assert_eq!(leader.committable(commit(20, now)), Some(10));
    }

    #[test]
    fn with_eligible_leader_replicas_nothing_is_committed_below_the_minimum() {
        let now = Instant::now();
        let leader = leader(&[1], 0, now);
        let strict = Commit {
            min_isr: Some(2),
            ..commit(10, now)
        };
        assert_eq!(leader.committable(strict), None);
        assert_eq!(leader.committable(commit(10, now)), Some(10));
    }

    #[test]
    fn an_older_answer_of_the_controller_changes_nothing() {
        let now = Instant::now();
        let mut leader = leader(&[1, 2, 3], 0, now);
        leader.commit(vec![ME], 6);
        assert_eq!(leader.isr().len(), 3);
        leader.update(&state(&[1, 2], 9), now);
        assert_eq!(leader.isr(), [ME, NodeId(2)]);
    }
}
