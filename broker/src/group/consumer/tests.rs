//! Groups of the consumer protocol as their members live them.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;
use crate::env::random::Random;
use crate::group::tests::{House, member};
use crate::group::{JoinRequest, Leaver, Outcome, SyncRequest, embedded};
use crate::id::NodeId;
use crate::image::{Partition, Record};

const ORDERS: u128 = 1;
const PAYMENTS: u128 = 2;

fn topic(id: u128) -> TopicId {
    TopicId(Uuid::from_u128(id))
}

fn image(topics: &[(u128, &str, i32)]) -> Arc<Image> {
    let mut image = Image::empty();
    let mut offset = 0;
    let mut apply = |record: Record| {
        image.apply(&record, offset, 1);
        offset += 1;
    };
    for (id, name, partitions) in topics {
        apply(Record::Topic {
            id: topic(*id),
            name: (*name).to_owned(),
        });
        for partition in 0..*partitions {
            apply(Record::Partition {
                topic: topic(*id),
                partition,
                state: Partition {
                    replicas: vec![NodeId(1)],
                    isr: vec![NodeId(1)],
                    adding: Vec::new(),
                    removing: Vec::new(),
                    elr: Vec::new(),
                    last_known_elr: Vec::new(),
                    recovering: false,
                    leader: NodeId(1),
                    leader_epoch: 0,
                    partition_epoch: 0,
                    directories: Vec::new(),
                },
            });
        }
    }
    Arc::new(image)
}

/// A consumer of the consumer protocol, as far as its coordinator sees it.
#[derive(Debug, Clone, Default)]
struct Client {
    id: String,
    instance: Option<String>,
    topics: Vec<&'static str>,
    regex: Option<&'static str>,
    epoch: i32,
    owned: Partitions,
}

impl Client {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            topics: vec!["orders"],
            ..Self::default()
        }
    }

    fn matching(id: &str, regex: &'static str) -> Self {
        Self {
            topics: Vec::new(),
            regex: Some(regex),
            ..Self::new(id)
        }
    }

    fn beat(&self, epoch: i32) -> Beat {
        Beat {
            group: "billing".to_owned(),
            member_id: self.id.clone(),
            epoch,
            instance: self.instance.clone(),
            rebalance_timeout_ms: Some(60_000),
            topics: Some(self.topics.iter().map(|name| (*name).to_owned()).collect()),
            regex: self.regex.map(str::to_owned),
            owned: Some(if epoch == 0 {
                Partitions::new()
            } else {
                self.owned.clone()
            }),
            client_id: "app".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            ..Beat::default()
        }
    }

    /// What it does with an answer: it lets go at once what it may not have any more.
    fn hear(&mut self, beaten: &Beaten) {
        match &beaten.error {
            Some(_) => {
                self.epoch = 0;
                self.owned.clear();
            }
            None => {
                self.epoch = beaten.epoch;
                if let Some(assignment) = &beaten.assignment {
                    self.owned = assignment.clone();
                }
            }
        }
    }

    fn has(&self) -> usize {
        self.owned.values().map(BTreeSet::len).sum()
    }
}

impl House {
    fn with_topics() -> Self {
        let mut house = Self::new();
        house
            .groups
            .see(&image(&[(ORDERS, "orders", 6), (PAYMENTS, "payments", 3)]), true);
        house
    }

    fn send(&mut self, beat: Beat) -> Beaten {
        let (reply, mut answer) = oneshot::channel();
        let writes = self.groups.beat(beat, &|_| true, reply, self.now);
        self.write(writes);
        answer.try_recv().unwrap()
    }

    fn beat(&mut self, client: &mut Client) -> Beaten {
        let beaten = self.send(client.beat(client.epoch));
        client.hear(&beaten);
        beaten
    }

    /// Everybody beats until nothing changes any more.
    fn settle(&mut self, clients: &mut [&mut Client]) {
        for _ in 0..8 {
            for client in clients.iter_mut() {
                self.beat(client);
            }
        }
        assert_eq!(self.state(), "Stable");
    }

    /// The next coordinator, which has only the log.
    fn heir(&self) -> Self {
        let mut heir = Self::with_topics();
        heir.now = self.now;
        for (position, (key, value)) in (0..).zip(&self.log) {
            heir.groups
                .load(key, value.as_deref(), position, None, heir.now)
                .unwrap();
        }
        heir.groups.loaded(heir.now);
        heir.log = self.log.clone();
        heir
    }

    fn epoch(&self) -> i32 {
        self.groups.describe_consumer("billing", self.now).unwrap().epoch
    }

    fn kind(&self) -> &'static str {
        self.groups.list()[0].kind
    }
}

fn code(beaten: &Beaten) -> Option<ResponseError> {
    beaten.error.as_ref().map(|(code, _)| *code)
}

#[test]
fn partitions_go_to_a_new_member_only_after_the_old_one_let_them_go() {
    let mut house = House::with_topics();
    let (mut one, mut two) = (Client::new("one"), Client::new("two"));
    house.beat(&mut one);
    assert_eq!((one.epoch, one.has(), house.state()), (1, 6, "Stable"));
    house.beat(&mut two);
    assert_eq!((two.epoch, two.has(), house.state()), (2, 0, "Reconciling"));
    let told = house.send(one.beat(one.epoch));
    assert_eq!(
        (told.epoch, told.assignment.as_ref().unwrap()[&topic(ORDERS)].len()),
        (1, 3)
    );
    house.beat(&mut two);
    assert_eq!(two.has(), 0, "it was told, but did not say that it let go");
    one.hear(&told);
    house.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.epoch, one.has(), two.epoch, two.has()), (2, 3, 2, 3));
}

#[test]
fn a_member_that_does_not_let_go_in_time_is_out() {
    let mut house = House::with_topics();
    let (mut one, mut two) = (Client::new("one"), Client::new("two"));
    house.beat(&mut one);
    house.beat(&mut two);
    for _ in 0..4 {
        house.send(one.beat(one.epoch));
        house.beat(&mut two);
        house.pass(16_000);
    }
    assert_eq!(
        code(&house.send(one.beat(one.epoch))),
        Some(ResponseError::UnknownMemberId)
    );
    house.beat(&mut two);
    assert_eq!(two.has(), 6);
}

#[test]
fn a_silent_member_is_out_and_one_that_leaves_is_out_at_once() {
    let mut house = House::with_topics();
    let mut clients = [Client::new("one"), Client::new("two"), Client::new("three")];
    let [one, two, three] = &mut clients;
    house.settle(&mut [one, two, three]);
    assert_eq!(code(&house.send(two.beat(-1))), None);
    house.settle(&mut [one, three]);
    assert_eq!((one.has(), three.has()), (3, 3));
    house.pass(30_000);
    house.beat(one);
    house.pass(15_000);
    house.settle(&mut [one]);
    assert_eq!(one.has(), 6);
    assert_eq!(code(&house.beat(three)), Some(ResponseError::UnknownMemberId));
    house.send(one.beat(-1));
    assert_eq!(house.state(), "Empty");
}

#[test]
fn an_answer_that_was_lost_is_given_again_and_a_stale_epoch_is_fenced() {
    let mut house = House::with_topics();
    let (mut one, mut two) = (Client::new("one"), Client::new("two"));
    house.settle(&mut [&mut one]);
    house.beat(&mut two);
    house.beat(&mut one);
    let before = one.clone();
    let lost = house.send(one.beat(one.epoch));
    assert_eq!(lost.epoch, before.epoch + 1);
    let again = house.send(before.beat(before.epoch));
    assert_eq!((code(&again), again.epoch), (None, lost.epoch));
    assert_eq!(code(&house.send(one.beat(99))), Some(ResponseError::FencedMemberEpoch));
    let mut greedy = before.clone();
    greedy.owned = [(topic(ORDERS), (0..6).collect())].into();
    assert_eq!(
        code(&house.send(greedy.beat(before.epoch))),
        Some(ResponseError::FencedMemberEpoch)
    );
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had() {
    let mut house = House::with_topics();
    let mut host = Client {
        instance: Some("host".to_owned()),
        ..Client::new("first life")
    };
    let mut other = Client::new("other");
    house.settle(&mut [&mut host, &mut other]);
    let had = host.owned.clone();
    let mut next = Client {
        id: "second life".to_owned(),
        epoch: 0,
        ..host.clone()
    };
    assert_eq!(
        code(&house.send(next.beat(0))),
        Some(ResponseError::UnreleasedInstanceId)
    );
    assert_eq!(code(&house.send(host.beat(-2))), None);
    let epoch = house.epoch();
    house.beat(&mut next);
    assert_eq!((&next.owned, house.epoch()), (&had, epoch), "nobody else moved");
    assert_eq!(
        code(&house.send(host.beat(host.epoch))),
        Some(ResponseError::FencedInstanceId)
    );
}

#[test]
fn a_regular_expression_follows_the_topics() {
    let mut house = House::with_topics();
    let mut one = Client::matching("one", "pay.*|orders-[0-9]");
    house.beat(&mut one);
    assert_eq!(one.has(), 3);
    let more = image(&[
        (ORDERS, "orders", 6),
        (PAYMENTS, "payments", 4),
        (3, "orders-7", 2),
        (4, "my-payments", 1),
    ]);
    house.groups.see(&more, true);
    house.settle(&mut [&mut one]);
    assert_eq!(one.owned[&topic(3)].len() + one.owned[&topic(PAYMENTS)].len(), 6);
    assert!(!one.owned.contains_key(&topic(4)), "a topic matches as a whole");
    let bad = house.send(Client::matching("two", "(").beat(0));
    assert_eq!(code(&bad), Some(ResponseError::InvalidRegularExpression));
}

#[test]
fn offsets_are_committed_in_the_members_epoch() {
    let mut house = House::with_topics();
    let mut one = Client::new("one");
    house.settle(&mut [&mut one]);
    assert_eq!(house.commit(member("one", one.epoch), 5), Ok(()));
    assert_eq!(
        house.commit(member("one", one.epoch - 1), 6),
        Err(ResponseError::StaleMemberEpoch)
    );
    assert_eq!(house.commit(member("", -1), 6), Err(ResponseError::UnknownMemberId));
    let fetch = |house: &House, who: (&str, i32)| -> Outcome { house.groups.may_fetch("billing", who) };
    assert_eq!(fetch(&house, ("one", one.epoch)), Ok(()));
    assert_eq!(
        fetch(&house, ("one", one.epoch + 1)),
        Err(ResponseError::StaleMemberEpoch)
    );
    assert_eq!(fetch(&house, ("two", 1)), Err(ResponseError::UnknownMemberId));
    assert_eq!(fetch(&house, ("", -1)), Ok(()));
    house.send(one.beat(-1));
    assert_eq!(house.commit(member("", -1), 6), Ok(()), "nobody is in the group");
}

#[test]
fn what_could_not_be_written_is_taken_back() {
    let mut house = House::with_topics();
    let (mut one, two) = (Client::new("one"), Client::new("two"));
    house.settle(&mut [&mut one]);
    let before = house.groups.describe_consumer("billing", house.now);
    house.failing = Some(ResponseError::NotEnoughReplicas);
    assert_eq!(
        code(&house.send(two.beat(0))),
        Some(ResponseError::CoordinatorNotAvailable)
    );
    assert_eq!(house.groups.describe_consumer("billing", house.now), before);
    house.failing = Some(ResponseError::NotEnoughReplicas);
    house.send(one.beat(-1));
    assert_eq!(house.groups.describe_consumer("billing", house.now), before);
    assert_eq!(code(&house.beat(&mut one)), None);
}

#[test]
fn the_next_coordinator_goes_on_in_the_middle_of_a_rebalance() {
    let mut house = House::with_topics();
    let (mut one, mut two) = (Client::new("one"), Client::new("two"));
    house.settle(&mut [&mut one]);
    house.beat(&mut two);
    house.beat(&mut one);
    house.commit(member("one", one.epoch), 42).unwrap();
    let mut heir = house.heir();
    assert_eq!(
        heir.groups.describe_consumer("billing", heir.now),
        house.groups.describe_consumer("billing", house.now)
    );
    heir.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.has(), two.has()), (3, 3));
    assert_eq!(heir.groups.offset("billing", "orders", 0).map(|c| c.offset), Some(42));
}

#[test]
fn a_deleted_group_leaves_nothing_in_the_log() {
    let mut house = House::with_topics();
    let mut one = Client::new("one");
    house.settle(&mut [&mut one]);
    house.commit(member("one", one.epoch), 42).unwrap();
    let (reply, mut answer) = oneshot::channel();
    assert!(house.groups.delete("billing", reply).is_empty());
    assert_eq!(answer.try_recv().unwrap(), Err(ResponseError::NonEmptyGroup));
    house.send(one.beat(-1));
    let (reply, mut answer) = oneshot::channel();
    let writes = house.groups.delete("billing", reply);
    house.write(writes);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
    assert!(house.heir().groups.is_empty());
}

#[test]
fn offsets_expire_unless_a_member_subscribes_to_their_topic() {
    let mut house = House::with_topics();
    let mut one = Client::new("one");
    house.settle(&mut [&mut one]);
    house.commit(member("one", one.epoch), 42).unwrap();
    for _ in 0..7 * 24 * 60 * 2 {
        house.beat(&mut one);
        house.pass(30_000);
    }
    assert!(house.groups.offset("billing", "orders", 0).is_some());
    one.topics = vec!["payments"];
    house.settle(&mut [&mut one]);
    house.pass(1);
    assert!(house.groups.offset("billing", "orders", 0).is_none());
    house.send(one.beat(-1));
    house.pass(600_000);
    assert_eq!(house.state(), "Dead", "an empty group without offsets is forgotten");
}

// ------------------------------------------------------------------------------------------------------ migration

/// The metadata of a cooperative consumer.
fn metadata(topics: &[&str], owned: &embedded::Named) -> Bytes {
    let mut to = BytesMut::new();
    let text = |to: &mut BytesMut, text: &str| {
        to.put_i16(text.len() as i16);
        to.put_slice(text.as_bytes());
    };
    to.put_i16(1);
    to.put_i32(topics.len() as i32);
    for topic in topics {
        text(&mut to, topic);
    }
    to.put_i32(-1);
    to.put_i32(owned.len() as i32);
    for (topic, partitions) in owned {
        text(&mut to, topic);
        to.put_i32(partitions.len() as i32);
        for partition in partitions {
            to.put_i32(*partition);
        }
    }
    to.freeze()
}

fn joining(id: &str, owned: &embedded::Named) -> JoinRequest {
    JoinRequest {
        group: "billing".to_owned(),
        member_id: id.to_owned(),
        instance: None,
        client_id: "app".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("cooperative-sticky".to_owned(), metadata(&["orders"], owned))],
        needs_known_id: true,
        can_skip_assignment: true,
    }
}

impl House {
    fn join_classic(&mut self, id: &str, owned: &embedded::Named) -> oneshot::Receiver<Joined> {
        let (reply, answer) = oneshot::channel();
        let writes = self.groups.join(joining(id, owned), reply, self.now);
        self.write(writes);
        answer
    }

    fn sync_classic(&mut self, id: &str, generation: i32, assignments: BTreeMap<String, Bytes>) -> embedded::Named {
        let request = SyncRequest {
            group: "billing".to_owned(),
            generation,
            member_id: id.to_owned(),
            instance: None,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some("cooperative-sticky".to_owned()),
            assignments,
        };
        let (reply, mut answer) = oneshot::channel();
        let writes = self.groups.sync(request, reply, self.now);
        self.write(writes);
        let synced = answer.try_recv().unwrap();
        assert_eq!(synced.error, None);
        embedded::assigned(&synced.assignment)
    }

    /// A classic group with one member that has all of `orders`.
    fn classic(&mut self) -> String {
        let id = self.join_classic("", &Vec::new()).try_recv().unwrap().member_id;
        let mut answer = self.join_classic(&id, &Vec::new());
        self.pass(3_000);
        self.pass(3_000);
        let generation = answer.try_recv().unwrap().generation;
        let all = vec![("orders".to_owned(), (0..6).collect())];
        let own = BTreeMap::from([(id.clone(), embedded::assignment(1, &all))]);
        assert_eq!(self.sync_classic(&id, generation, own), all);
        id
    }
}

#[test]
fn a_classic_group_is_upgraded_while_it_runs_and_downgraded_when_the_last_new_member_leaves() {
    let mut house = House::with_topics();
    let id = house.classic();
    house.commit(member(&id, 1), 42).unwrap();
    let mut new = Client::new("new");
    house.beat(&mut new);
    assert_eq!(
        (house.kind(), new.has()),
        ("consumer", 0),
        "the classic member has everything still"
    );
    assert_eq!(house.heartbeat(&id, 1), Err(ResponseError::RebalanceInProgress));

    // It joins with what it has, is told what is left to it, lets go the rest, and joins again.
    let all = vec![("orders".to_owned(), (0..6).collect())];
    let joined = house.join_classic(&id, &all).try_recv().unwrap();
    assert_eq!((joined.error, joined.generation), (None, 1));
    let rest = house.sync_classic(&id, 1, BTreeMap::new());
    assert_eq!(rest[0].1.len(), 3);
    house.beat(&mut new);
    assert_eq!(new.has(), 0, "it did not join again yet");
    assert_eq!(house.heartbeat(&id, 1), Err(ResponseError::RebalanceInProgress));
    let joined = house.join_classic(&id, &rest).try_recv().unwrap();
    assert_eq!(joined.generation, 2);
    assert_eq!(house.sync_classic(&id, 2, BTreeMap::new()), rest);
    assert_eq!(house.heartbeat(&id, 2), Ok(()));
    house.beat(&mut new);
    assert_eq!((new.has(), house.state()), (3, "Stable"));
    assert_eq!(house.commit(member(&id, 2), 43), Ok(()));
    assert_eq!(house.heir().kind(), "consumer");

    house.send(new.beat(-1));
    assert_eq!((house.kind(), house.state()), ("classic", "PreparingRebalance"));
    let generation = house.groups.groups["billing"].generation;
    assert_eq!(
        house.heartbeat(&id, generation),
        Err(ResponseError::RebalanceInProgress)
    );
    let joined = house.join_classic(&id, &rest).try_recv().unwrap();
    assert_eq!(
        (joined.error, joined.generation, joined.leader),
        (None, generation + 1, id)
    );
    for house in [house.heir(), house] {
        assert_eq!(house.kind(), "classic");
        assert_eq!(house.groups.offset("billing", "orders", 0).map(|c| c.offset), Some(43));
    }
}

#[test]
fn an_upgrade_that_could_not_be_written_is_taken_back() {
    let mut house = House::with_topics();
    let id = house.classic();
    house.failing = Some(ResponseError::NotEnoughReplicas);
    house.send(Client::new("new").beat(0));
    assert_eq!((house.kind(), house.state()), ("classic", "Stable"));
    assert_eq!(house.heartbeat(&id, 1), Ok(()));
}

#[test]
fn classic_members_leave_and_empty_groups_change_their_protocol_freely() {
    let mut house = House::with_topics();
    let id = house.classic();
    let mut new = Client::new("new");
    house.beat(&mut new);
    let leaver = |id: &str| Leaver {
        member_id: id.to_owned(),
        instance: None,
    };
    let (outcomes, writes) = house.groups.leave("billing", &[leaver(&id), leaver("new")], house.now);
    house.write(writes);
    assert_eq!(
        outcomes,
        [Ok(()), Err(ResponseError::UnknownMemberId)],
        "new ones leave by heartbeat"
    );
    house.settle(&mut [&mut new]);
    assert_eq!(new.has(), 6);
    house.send(new.beat(-1));
    house.classic();
    assert_eq!((house.kind(), house.state()), ("classic", "Stable"));
    assert_eq!(house.heir().kind(), "classic");
}

#[test]
fn without_the_policy_the_protocols_do_not_mix() {
    let mut house = House::with_topics();
    house.groups.settings.consumer.upgrades = false;
    house.classic();
    let refused = house.send(Client::new("new").beat(0));
    assert_eq!(code(&refused), Some(ResponseError::GroupIdNotFound));
    assert_eq!(house.state(), "Stable");
}

// ------------------------------------------------------------------------------------------------------ at random

/// Members come, go, change their minds and lose answers, the coordinator's log fails and its node is replaced: never do two
/// members own one partition, and once it is quiet everything is shared out.
#[test]
fn no_partition_ever_has_two_owners() {
    for seed in 0..300 {
        let random = Random::seeded(seed);
        let mut house = House::with_topics();
        let mut clients: Vec<Client> = Vec::new();
        for step in 0..80 {
            let pick = random.below(clients.len() as u64) as usize;
            match random.below(12) {
                0 if clients.len() < 6 => clients.push(Client::new(&format!("m{step}"))),
                1 if !clients.is_empty() => {
                    let gone = clients.swap_remove(pick);
                    house.send(gone.beat(-1));
                }
                2 => house = house.heir(),
                3 => house.failing = Some(ResponseError::NotEnoughReplicas),
                4 if !clients.is_empty() => {
                    let topics: [&[&'static str]; 3] = [&["orders"], &["payments"], &["orders", "payments"]];
                    clients[pick].topics = topics[random.below(3) as usize].to_vec();
                }
                5 if !clients.is_empty() => {
                    // The answer is lost.
                    house.send(clients[pick].beat(clients[pick].epoch));
                }
                _ if !clients.is_empty() => {
                    let (beat, failing) = (clients[pick].beat(clients[pick].epoch), house.failing.is_some());
                    let beaten = house.send(beat);
                    let unwritten = failing && code(&beaten) == Some(ResponseError::CoordinatorNotAvailable);
                    if !unwritten {
                        clients[pick].hear(&beaten);
                    }
                }
                _ => {}
            }
            let mut owners = std::collections::BTreeSet::new();
            for place in clients.iter().flat_map(|client| places(&client.owned)) {
                assert!(
                    owners.insert(place),
                    "seed {seed}, step {step}: {place:?} has two owners"
                );
            }
        }
        house.failing = None;
        // Members whose goodbye was lost are missed after a while.
        for _ in 0..12 {
            for client in &mut clients {
                house.beat(client);
            }
            house.pass(10_000);
        }
        let wanted: BTreeSet<&str> = clients.iter().flat_map(|client| client.topics.clone()).collect();
        let all: usize = wanted.iter().map(|topic| if *topic == "orders" { 6 } else { 3 }).sum();
        let owned: usize = clients.iter().map(Client::has).sum();
        assert_eq!(owned, all, "seed {seed}");
    }
}
