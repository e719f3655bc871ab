//! Groups as their members live them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::*;

/// A group under test: time stands still until told, and every write succeeds at once unless told otherwise.
pub(super) struct House {
    pub groups: Groups,
    pub now: Now,
    position: i64,
    pub log: Vec<(Bytes, Option<Bytes>)>,
    pub failing: Option<ResponseError>,
}

impl House {
    pub fn new() -> Self {
        let now = Now {
            mono_ms: 1_000,
            wall_ms: 1_700_000_000_000,
        };
        Self {
            groups: Groups::new(Settings::default()),
            now,
            position: 0,
            log: Vec::new(),
            failing: None,
        }
    }

    pub fn write(&mut self, writes: Vec<Write>) {
        let mut pending = VecDeque::from(writes);
        while let Some(write) = pending.pop_front() {
            self.position += 1;
            let outcome = self.failing.take().map_or(Ok(self.position), Err);
            if outcome.is_ok() {
                self.log.extend(write.records.iter().cloned());
            }
            pending.extend(self.groups.written(write, outcome, self.now));
        }
    }

    pub fn pass(&mut self, ms: i64) {
        self.now = Now {
            mono_ms: self.now.mono_ms + ms,
            wall_ms: self.now.wall_ms + ms,
        };
        let writes = self.groups.tick(self.now);
        self.write(writes);
    }

    fn join(&mut self, id: &str, instance: Option<&str>) -> oneshot::Receiver<Joined> {
        self.join_with(id, instance, &[("range", "m")])
    }

    fn join_with(&mut self, id: &str, instance: Option<&str>, protocols: &[(&str, &str)]) -> oneshot::Receiver<Joined> {
        let request = JoinRequest {
            group: "billing".into(),
            member_id: id.into(),
            instance: instance.map(str::to_owned),
            client_id: "app".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: protocols
                .iter()
                .map(|(name, meta)| ((*name).to_owned(), Bytes::copy_from_slice(meta.as_bytes())))
                .collect(),
            needs_known_id: true,
            can_skip_assignment: true,
        };
        let (reply, answer) = oneshot::channel();
        let writes = self.groups.join(request, reply, self.now);
        self.write(writes);
        answer
    }

    /// Asks for an id and joins with it, as clients do since KIP-394.
    fn arrive(&mut self) -> (String, oneshot::Receiver<Joined>) {
        let refused = self.join("", None).try_recv().unwrap();
        assert_eq!(refused.error, Some(ResponseError::MemberIdRequired));
        let answer = self.join(&refused.member_id, None);
        (refused.member_id, answer)
    }

    fn sync(&mut self, id: &str, generation: i32, assignments: &[(&str, &str)]) -> oneshot::Receiver<Synced> {
        let assignments: BTreeMap<String, Bytes> = assignments
            .iter()
            .map(|(id, a)| ((*id).to_owned(), Bytes::copy_from_slice(a.as_bytes())))
            .collect();
        let request = SyncRequest {
            group: "billing".into(),
            generation,
            member_id: id.into(),
            instance: None,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments,
        };
        let (reply, answer) = oneshot::channel();
        let writes = self.groups.sync(request, reply, self.now);
        self.write(writes);
        answer
    }

    pub fn heartbeat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.groups.heartbeat("billing", id, None, generation, self.now)
    }

    pub fn commit(&mut self, by: Committer, offset: i64) -> Result<(), ResponseError> {
        self.groups.may_commit(&by, self.now)?;
        let (reply, mut answer) = oneshot::channel();
        let commit = Commit {
            topic: "orders".into(),
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let write = self.groups.commit(&by.group, vec![commit], reply, self.now);
        self.write(vec![write]);
        answer.try_recv().unwrap()
    }

    pub fn state(&self) -> &'static str {
        let mut list = self.groups.list().into_iter();
        list.find(|group| group.name == "billing")
            .map_or("Dead", |group| group.state)
    }

    /// Two members, a leader and a follower, in a stable generation.
    fn stable_pair(&mut self) -> (String, String, i32) {
        let (one, mut first) = self.arrive();
        let (two, mut second) = self.arrive();
        self.pass(3_000);
        self.pass(3_000);
        let (first, second) = (first.try_recv().unwrap(), second.try_recv().unwrap());
        assert_eq!((first.generation, second.generation), (1, 1));
        let (leader, follower) = if first.leader == one { (one, two) } else { (two, one) };
        let mut waiting = self.sync(&follower, 1, &[]);
        assert!(waiting.try_recv().is_err(), "the follower waits for the leader");
        let led = self
            .sync(&leader, 1, &[(&leader, "l"), (&follower, "f")])
            .try_recv()
            .unwrap();
        assert_eq!(led.assignment, "l");
        assert_eq!(waiting.try_recv().unwrap().assignment, "f");
        assert_eq!(self.state(), "Stable");
        (leader, follower, 1)
    }
}

pub(super) fn member(id: &str, generation: i32) -> Committer {
    Committer {
        group: "billing".into(),
        member_id: id.into(),
        instance: None,
        generation,
    }
}

#[test]
fn a_first_generation_waits_for_company_and_then_hands_out_the_leaders_assignment() {
    let mut house = House::new();
    let (_, mut answer) = house.arrive();
    house.pass(2_999);
    assert!(answer.try_recv().is_err(), "3 s are not over");
    house.stable_pair_after(answer);
}

impl House {
    fn stable_pair_after(&mut self, mut first: oneshot::Receiver<Joined>) {
        let (_, mut second) = self.arrive();
        self.pass(1);
        assert!(first.try_recv().is_err(), "somebody came, so it waits once more");
        self.pass(3_000);
        let joined = [first.try_recv().unwrap(), second.try_recv().unwrap()];
        assert!(
            joined
                .iter()
                .all(|joined| joined.generation == 1 && joined.protocol.as_deref() == Some("range"))
        );
        let told: Vec<usize> = joined.iter().map(|joined| joined.members.len()).collect();
        assert!(
            told.contains(&2) && told.contains(&0),
            "only the leader is told the members: {told:?}"
        );
    }
}

#[test]
fn an_assignment_is_not_handed_out_before_it_is_written() {
    let mut house = House::new();
    let (id, mut joined) = house.arrive();
    house.pass(3_000);
    house.pass(3_000);
    assert_eq!(joined.try_recv().unwrap().generation, 1);
    house.failing = Some(ResponseError::NotEnoughReplicas);
    let refused = house.sync(&id, 1, &[(&id, "all")]).try_recv().unwrap();
    assert_eq!(refused.error, Some(ResponseError::CoordinatorNotAvailable));
    assert_eq!(house.state(), "PreparingRebalance");
}

#[test]
fn a_member_that_goes_silent_is_replaced_by_the_others() {
    let mut house = House::new();
    let (leader, follower, generation) = house.stable_pair();
    house.pass(9_000);
    assert_eq!(house.heartbeat(&leader, generation), Ok(()));
    house.pass(1_000);
    assert_eq!(
        house.heartbeat(&follower, generation),
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        house.heartbeat(&leader, generation),
        Err(ResponseError::RebalanceInProgress)
    );
    let again = house.join(&leader, None).try_recv().unwrap();
    assert_eq!((again.error, again.generation, again.members.len()), (None, 2, 1));
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let mut house = House::new();
    let (leader, follower, generation) = house.stable_pair();
    let mut waiting = house.join_with(&leader, None, &[("range", "other topics")]);
    for _ in 0..11 {
        house.pass(5_500);
        let _ = house.heartbeat(&follower, generation);
    }
    let joined = waiting.try_recv().unwrap();
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
    assert_eq!(house.heartbeat(&follower, 2), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_lost_answer_is_given_again_without_a_rebalance() {
    let mut house = House::new();
    let (_, follower, generation) = house.stable_pair();
    let joined = house.join(&follower, None).try_recv().unwrap();
    assert_eq!((joined.generation, house.state()), (generation, "Stable"));
}

#[test]
fn a_stale_generation_neither_beats_nor_commits() {
    let mut house = House::new();
    let (leader, _, generation) = house.stable_pair();
    assert_eq!(
        house.heartbeat(&leader, generation - 1),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        house.commit(member(&leader, generation - 1), 5),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(house.commit(member(&leader, generation), 5), Ok(()));
    assert_eq!(house.groups.offset("billing", "orders", 0).map(|c| c.offset), Some(5));
}

#[test]
fn a_consumer_that_manages_itself_commits_only_to_groups_without_members() {
    let mut house = House::new();
    assert_eq!(house.commit(member("", -1), 3), Ok(()));
    assert_eq!(house.state(), "Empty");
    house.stable_pair();
    assert_eq!(house.commit(member("", -1), 4), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_commit_that_was_not_written_is_not_seen() {
    let mut house = House::new();
    house.failing = Some(ResponseError::NotLeaderOrFollower);
    assert_eq!(house.commit(member("", -1), 3), Err(ResponseError::NotCoordinator));
    assert_eq!(house.groups.offset("billing", "orders", 0), None);
}

#[test]
fn a_static_member_returns_without_a_rebalance_and_fences_its_former_self() {
    let mut house = House::new();
    let mut first = house.join("", Some("host-1"));
    house.pass(3_000);
    house.pass(3_000);
    let first = first.try_recv().unwrap();
    assert_eq!(
        house
            .sync(&first.member_id, 1, &[(&first.member_id, "all")])
            .try_recv()
            .unwrap()
            .assignment,
        "all"
    );
    let back = house.join("", Some("host-1")).try_recv().unwrap();
    assert_eq!((back.error, back.generation, back.skip_assignment), (None, 1, true));
    assert_ne!(back.member_id, first.member_id);
    let old = house
        .groups
        .heartbeat("billing", &first.member_id, Some("host-1"), 1, house.now);
    assert_eq!(old, Err(ResponseError::FencedInstanceId));
    assert_eq!(house.state(), "Stable");
}

#[test]
fn assignors_that_no_two_members_share_are_refused() {
    let mut house = House::new();
    house.stable_pair();
    let refused = house.join_with("", None, &[("sticky", "m")]).try_recv().unwrap();
    assert_eq!(refused.error, Some(ResponseError::InconsistentGroupProtocol));
}

#[test]
fn leaving_by_instance_and_by_id_empties_the_group() {
    let mut house = House::new();
    let (leader, follower, _) = house.stable_pair();
    let leavers = [leader, follower, "nobody".to_owned()].map(|member_id| Leaver {
        member_id,
        instance: None,
    });
    let (outcomes, writes) = house.groups.leave("billing", &leavers, house.now);
    house.write(writes);
    assert_eq!(outcomes, [Ok(()), Ok(()), Err(ResponseError::UnknownMemberId)]);
    assert_eq!(house.state(), "Empty");
}

#[test]
fn the_next_coordinator_finds_members_and_offsets_in_the_log() {
    let mut house = House::new();
    let (leader, _, generation) = house.stable_pair();
    house.commit(member(&leader, generation), 42).unwrap();
    let mut heir = House::new();
    for (position, (key, value)) in house.log.iter().enumerate() {
        heir.groups
            .load(key, value.as_deref(), position as i64, None, heir.now)
            .unwrap();
    }
    assert_eq!(heir.state(), "Stable");
    assert_eq!(heir.heartbeat(&leader, generation), Ok(()));
    assert_eq!(heir.groups.offset("billing", "orders", 0).map(|c| c.offset), Some(42));
}

#[test]
fn a_deleted_group_leaves_nothing_in_the_log() {
    let mut house = House::new();
    house.commit(member("", -1), 3).unwrap();
    let (reply, mut answer) = oneshot::channel();
    let writes = house.groups.delete("billing", reply);
    house.write(writes);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
    let mut heir = House::new();
    for (key, value) in &house.log {
        heir.groups.load(key, value.as_deref(), 0, None, heir.now).unwrap();
    }
    heir.groups.loaded(heir.now);
    assert!(heir.groups.is_empty());
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut house = House::new();
    house.stable_pair();
    let (reply, mut answer) = oneshot::channel();
    assert!(house.groups.delete("billing", reply).is_empty());
    assert_eq!(answer.try_recv().unwrap(), Err(ResponseError::NonEmptyGroup));
}

#[test]
fn offsets_of_a_group_that_is_long_empty_expire() {
    let mut house = House::new();
    house.commit(member("", -1), 3).unwrap();
    house.pass(7 * 24 * 3_600_000 - 1);
    assert_eq!(house.state(), "Empty");
    house.pass(1);
    assert_eq!(house.state(), "Dead");
}

const OF: InTransaction = InTransaction {
    producer: 7,
    epoch: 0,
    ticket: None,
};

impl House {
    fn commit_later(&mut self, offset: i64) -> Outcome {
        let commit = Commit {
            topic: "orders".into(),
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let (reply, mut answer) = oneshot::channel();
        let write = self.groups.commit_later("billing", OF, vec![commit], reply, self.now);
        assert_eq!(write.kind, Kind::InTransaction(OF));
        self.write(vec![write]);
        answer.try_recv().unwrap()
    }

    fn end_transaction(&mut self, committed: bool) -> Outcome {
        let ended = Ended {
            producer: OF.producer,
            epoch: OF.epoch,
            committed,
            coordinator_epoch: 0,
        };
        let (reply, mut answer) = oneshot::channel();
        let write = self.groups.end_transaction(ended, reply);
        self.write(vec![write]);
        answer.try_recv().unwrap()
    }

    fn seen(&self) -> (Option<i64>, bool) {
        let offset = self
            .groups
            .offset("billing", "orders", 0)
            .map(|committed| committed.offset);
        (offset, self.groups.is_unstable("billing", "orders", 0))
    }
}

#[test]
fn offsets_of_a_transaction_are_seen_when_it_is_committed_and_never_when_it_is_aborted() {
    let mut house = House::new();
    assert_eq!(house.commit_later(5), Ok(()));
    assert_eq!(house.seen(), (None, true));
    assert_eq!(house.end_transaction(true), Ok(()));
    assert_eq!(house.seen(), (Some(5), false));
    assert_eq!(house.commit_later(9), Ok(()));
    assert_eq!(
        house.seen(),
        (Some(5), true),
        "what was committed before stays until then"
    );
    assert_eq!(house.end_transaction(false), Ok(()));
    assert_eq!(house.seen(), (Some(5), false));
    assert_eq!(house.end_transaction(true), Ok(()), "there is nothing left of it");
    assert_eq!(house.seen(), (Some(5), false));
}

#[test]
fn offsets_of_a_transaction_that_were_not_written_are_not_waited_for() {
    let mut house = House::new();
    house.failing = Some(ResponseError::NotLeaderOrFollower);
    assert_eq!(house.commit_later(5), Err(ResponseError::NotCoordinator));
    assert_eq!(house.seen(), (None, false));
    house.commit_later(6).unwrap();
    house.failing = Some(ResponseError::InvalidProducerEpoch);
    assert_eq!(house.end_transaction(true), Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(house.seen(), (None, true), "a marker of an older epoch ends nothing");
}

#[test]
fn a_group_that_only_an_aborted_transaction_named_never_was() {
    let mut house = House::new();
    house.commit_later(5).unwrap();
    house.end_transaction(false).unwrap();
    assert!(house.groups.is_empty());
}
