//! Members of consumer groups, of both protocols: they join, read, commit, leave, or are not heard of any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use azimuth_broker::env::world::World;
use azimuth_broker::wire::Client;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponse;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, StrBytes};

use super::client::{Desk, OFFSETS_VERSION, Whom, fetch_from, text, topic_name};
use super::history::Place;
use super::read::{kept, values};

/// After which a member that is not heard of is none.
pub const SESSION_MS: i32 = 3_000;
const REBALANCE_MS: i32 = 4_000;
/// Between two turns, at most.
const REST_MS: u64 = 600;
/// Of one request of a member, which has to go on.
const ANSWER: Duration = Duration::from_secs(1);
/// A rebalance holds its joins up.
const JOIN_ANSWER: Duration = Duration::from_secs(8);
const PROTOCOL: &str = "range";
/// Of the two messages that only clients read.
const EMBEDDED_VERSION: i16 = 0;

// Codes of the protocol.
const NONE: i16 = 0;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const ILLEGAL_GENERATION: i16 = 22;
const MEMBER_ID_REQUIRED: i16 = 79;
const FENCED_MEMBER_EPOCH: i16 = 110;
/// Coordinators that move or load.
const ELSEWHERE: [i16; 3] = [14, 15, 16];

/// A group that has members.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub name: &'static str,
    /// KIP-848, else the classic protocol.
    pub consumer: bool,
    /// Its members read what is committed, else all.
    pub committed: bool,
}

pub const GROUPS: [Group; 2] = [
    Group {
        name: "classics",
        consumer: false,
        committed: false,
    },
    Group {
        name: "moderns",
        consumer: true,
        committed: true,
    },
];
/// Of each group at a time.
pub const MEMBERS: u32 = 2;

struct Member {
    desk: Arc<Desk>,
    group: Group,
    slot: u32,
    all: Vec<Place>,
    id: StrBytes,
    /// Its generation or epoch.
    epoch: i32,
    /// What it owns, and where it reads on.
    positions: BTreeMap<Place, i64>,
    coordinator: Option<Client>,
    leaders: BTreeMap<Place, Client>,
}

/// Why a member of a generation does not go on in it.
enum Leaves {
    Rebalance,
    Lost,
    /// Its time has come.
    Ends,
}

/// One member after another, until they are asked to leave.
pub async fn attend(desk: Arc<Desk>, group: Group, slot: u32, all: Vec<Place>) {
    while !desk.leave() {
        let mut member = Member {
            desk: Arc::clone(&desk),
            group,
            slot,
            all: all.clone(),
            id: StrBytes::default(),
            epoch: 0,
            positions: BTreeMap::new(),
            coordinator: None,
            leaders: BTreeMap::new(),
        };
        let lives = Duration::from_millis(1_000 + desk.below(12_000));
        let dies = tokio::time::Instant::now() + lives;
        match group.consumer {
            true => member.consume(dies).await,
            false => member.attend_generations(dies).await,
        }
        member.own(BTreeMap::new());
        desk.pause().await;
    }
}

impl Member {
    /// Whether its time has come. Nobody dies any more once all works again.
    fn is_over(&self, dies: tokio::time::Instant) -> bool {
        self.desk.leave() || (!self.desk.is_calm() && tokio::time::Instant::now() >= dies)
    }

    fn own(&mut self, positions: BTreeMap<Place, i64>) {
        self.positions = positions;
        self.belief(self.positions.keys().copied().collect());
    }

    fn belief(&self, owned: BTreeSet<Place>) {
        self.desk.believe((self.group.name, self.slot), owned);
    }

    async fn coordinator(&mut self) -> Option<Client> {
        if self.coordinator.as_ref().is_none_or(Client::is_closed) {
            let addr = self.desk.address(Whom::Group(self.group.name)).await?;
            self.coordinator = self.desk.connect(&addr).await;
        }
        self.coordinator.clone()
    }

    /// Takes note of a code that passes: whether the coordinator has to be found again.
    fn passes(&mut self, code: Option<i16>) {
        if code.is_none_or(|code| ELSEWHERE.contains(&code)) {
            self.coordinator = None;
        }
    }

    fn name(&self) -> GroupId {
        GroupId(text(self.group.name))
    }

    // The classic protocol.

    async fn attend_generations(&mut self, dies: tokio::time::Instant) {
        while !self.is_over(dies) {
            let Some(owned) = self.join().await else {
                self.desk.pause().await;
                continue;
            };
            self.desk.told(self.group.name, |told| {
                told.owned.push((self.id.to_string(), self.epoch, owned.clone()));
            });
            let Some(positions) = self.begin(&owned, None, -1).await else {
                self.desk.pause().await;
                continue;
            };
            self.own(positions);
            let why = self.attend_generation(dies).await;
            if !matches!(why, Leaves::Lost) {
                self.read().await;
                self.commit().await;
            }
            self.own(BTreeMap::new());
            match why {
                Leaves::Rebalance => {}
                Leaves::Lost => self.id = StrBytes::default(),
                // Half of them without a word.
                Leaves::Ends if self.desk.leave() || self.desk.below(2) == 0 => return self.leave().await,
                Leaves::Ends => return,
            }
        }
    }

    /// What it owns in the next generation.
    async fn join(&mut self) -> Option<BTreeSet<Place>> {
        let client = self.coordinator().await?;
        let topics = self.all.iter().map(|place| place.0).collect::<BTreeSet<_>>();
        let subscription = ConsumerProtocolSubscription::default().with_topics(topics.into_iter().map(text).collect());
        let mut metadata = BytesMut::new();
        metadata.put_i16(EMBEDDED_VERSION);
        subscription.encode(&mut metadata, EMBEDDED_VERSION).expect("it fits");
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(PROTOCOL))
            .with_metadata(metadata.freeze());
        let request = JoinGroupRequest::default()
            .with_group_id(self.name())
            .with_member_id(self.id.clone())
            .with_session_timeout_ms(SESSION_MS)
            .with_rebalance_timeout_ms(REBALANCE_MS)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let answer = client.call(request, JOIN_ANSWER).await.ok();
        self.passes(answer.as_ref().map(|answer| answer.error_code));
        let answer = answer?;
        match answer.error_code {
            NONE => {}
            MEMBER_ID_REQUIRED => {
                self.id = answer.member_id;
                return None;
            }
            UNKNOWN_MEMBER_ID => {
                self.id = StrBytes::default();
                return None;
            }
            _ => return None,
        }
        self.id = answer.member_id.clone();
        self.epoch = answer.generation_id;
        let request = SyncGroupRequest::default()
            .with_group_id(self.name())
            .with_member_id(self.id.clone())
            .with_generation_id(self.epoch)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text(PROTOCOL)))
            .with_assignments(self.assign(&answer));
        let answer = client.call(request, JOIN_ANSWER).await.ok();
        self.passes(answer.as_ref().map(|answer| answer.error_code));
        let answer = answer?;
        if [UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION].contains(&answer.error_code) {
            self.id = StrBytes::default();
        }
        (answer.error_code == NONE).then(|| self.assigned(answer.assignment))
    }

    /// What the leader of a generation decides; nothing of others.
    fn assign(&self, joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
        if joined.leader != joined.member_id {
            return Vec::new();
        }
        let count = joined.members.len();
        let of = |(number, id): (usize, &StrBytes)| {
            let places = self.all.iter().skip(number).step_by(count);
            let partition = |place: &Place| {
                TopicPartition::default()
                    .with_topic(topic_name(place.0))
                    .with_partitions(vec![place.1])
            };
            let assignment =
                ConsumerProtocolAssignment::default().with_assigned_partitions(places.map(partition).collect());
            let mut bytes = BytesMut::new();
            bytes.put_i16(EMBEDDED_VERSION);
            assignment.encode(&mut bytes, EMBEDDED_VERSION).expect("it fits");
            SyncGroupRequestAssignment::default()
                .with_member_id(id.clone())
                .with_assignment(bytes.freeze())
        };
        joined
            .members
            .iter()
            .map(|member| &member.member_id)
            .enumerate()
            .map(of)
            .collect()
    }

    fn assigned(&self, mut bytes: Bytes) -> BTreeSet<Place> {
        if bytes.len() < 2 {
            return BTreeSet::new();
        }
        let version = bytes.get_i16();
        let assignment = ConsumerProtocolAssignment::decode(&mut bytes, version).expect("what a member sent");
        let assigned = assignment.assigned_partitions.iter().flat_map(|topic| {
            let place = |partition: &i32| self.place(&topic.topic.0, *partition);
            topic.partitions.iter().filter_map(place).collect::<Vec<_>>()
        });
        assigned.collect()
    }

    fn place(&self, topic: &str, partition: i32) -> Option<Place> {
        self.all.iter().copied().find(|place| *place == (topic, partition))
    }

    async fn attend_generation(&mut self, dies: tokio::time::Instant) -> Leaves {
        while !self.is_over(dies) {
            if let Some(client) = self.coordinator().await {
                let request = HeartbeatRequest::default()
                    .with_group_id(self.name())
                    .with_member_id(self.id.clone())
                    .with_generation_id(self.epoch);
                let answer = client.call(request, ANSWER).await.ok().map(|answer| answer.error_code);
                self.passes(answer);
                match answer {
                    Some(REBALANCE_IN_PROGRESS) => return Leaves::Rebalance,
                    Some(UNKNOWN_MEMBER_ID | ILLEGAL_GENERATION) => return Leaves::Lost,
                    _ => {}
                }
            }
            self.read().await;
            match self.commit().await {
                Some(REBALANCE_IN_PROGRESS) => return Leaves::Rebalance,
                Some(UNKNOWN_MEMBER_ID | ILLEGAL_GENERATION) => return Leaves::Lost,
                _ => self.rest().await,
            }
        }
        Leaves::Ends
    }

    async fn leave(&mut self) {
        let Some(client) = self.coordinator().await else { return };
        let member = MemberIdentity::default().with_member_id(self.id.clone());
        let request = LeaveGroupRequest::default()
            .with_group_id(self.name())
            .with_members(vec![member]);
        // Without an answer its session runs out.
        let _ = client.call(request, ANSWER).await;
    }

    // The consumer protocol.

    async fn consume(&mut self, dies: tokio::time::Instant) {
        self.id = text(&World::here().expect("a simulation").chance().uuid().to_string());
        // What it is to own; what it has no position for yet is not read.
        let mut target = BTreeSet::new();
        while !self.is_over(dies) {
            let answer = self.heartbeat(self.epoch, &target).await;
            match answer {
                Some((NONE, epoch, assignment)) => {
                    self.epoch = epoch;
                    if let Some(assignment) = assignment {
                        target = self.desk.named(&assignment).into_iter().collect();
                        self.positions.retain(|place, _| target.contains(place));
                        self.belief(target.clone());
                    }
                    self.desk.told(self.group.name, |told| {
                        told.owned.push((self.id.to_string(), self.epoch, target.clone()));
                    });
                }
                Some((UNKNOWN_MEMBER_ID | FENCED_MEMBER_EPOCH, ..)) => {
                    self.own(BTreeMap::new());
                    target.clear();
                    self.epoch = 0;
                    self.desk.pause().await;
                    continue;
                }
                _ => {}
            }
            let missing: BTreeSet<Place> = target
                .iter()
                .copied()
                .filter(|place| !self.positions.contains_key(place))
                .collect();
            if !missing.is_empty() {
                let begun = self.begin(&missing, Some(self.id.clone()), self.epoch).await;
                self.positions.extend(begun.unwrap_or_default());
            }
            self.read().await;
            self.commit().await;
            self.rest().await;
        }
        if self.epoch > 0 && (self.desk.leave() || self.desk.below(2) == 0) {
            self.heartbeat(-1, &BTreeSet::new()).await;
        }
    }

    async fn heartbeat(&mut self, epoch: i32, owned: &BTreeSet<Place>) -> Option<(i16, i32, Option<Assignment>)> {
        let client = self.coordinator().await?;
        let topics: BTreeSet<&str> = self.all.iter().map(|place| place.0).collect();
        let ids = self.desk.topic_ids();
        let of = |topic: &&str| {
            let partitions = owned.iter().filter(|place| place.0 == *topic).map(|place| place.1);
            TopicPartitions::default()
                .with_topic_id(ids[*topic])
                .with_partitions(partitions.collect())
        };
        let owned = topics.iter().map(of).filter(|of| !of.partitions.is_empty()).collect();
        // All of it each time, as after an answer that was lost.
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(self.name())
            .with_member_id(self.id.clone())
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(REBALANCE_MS)
            .with_subscribed_topic_names(Some(topics.iter().map(|topic| topic_name(topic)).collect()))
            .with_topic_partitions(Some(owned));
        let answer = client.call(request, ANSWER).await.ok();
        self.passes(answer.as_ref().map(|answer| answer.error_code));
        answer.map(|answer| (answer.error_code, answer.member_epoch, answer.assignment))
    }

    // Both.

    /// Where its group goes on in these partitions; `None` if nobody says.
    async fn begin(
        &mut self,
        owned: &BTreeSet<Place>,
        member: Option<StrBytes>,
        epoch: i32,
    ) -> Option<BTreeMap<Place, i64>> {
        if owned.is_empty() {
            return Some(BTreeMap::new());
        }
        let client = self.coordinator().await?;
        let topic = |place: &Place| {
            OffsetFetchRequestTopics::default()
                .with_name(topic_name(place.0))
                .with_partition_indexes(vec![place.1])
        };
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(self.name())
            .with_member_id(member)
            .with_member_epoch(epoch)
            .with_topics(Some(owned.iter().map(topic).collect()));
        let request = OffsetFetchRequest::default()
            .with_groups(vec![wanted])
            .with_require_stable(true);
        let answer = client.call_capped(request, OFFSETS_VERSION, ANSWER).await.ok();
        let group = answer.and_then(|answer| answer.groups.into_iter().next());
        self.passes(group.as_ref().map(|group| group.error_code));
        let group = group.filter(|group| group.error_code == NONE)?;
        let mut begins = BTreeMap::new();
        for topic in &group.topics {
            for partition in &topic.partitions {
                let place = self.place(&topic.name.0, partition.partition_index)?;
                if partition.error_code != NONE {
                    return None;
                }
                begins.insert(place, partition.committed_offset);
            }
        }
        self.desk.told(self.group.name, |told| {
            let all = begins.iter().map(|(place, offset)| (self.epoch, *place, *offset));
            told.begins.extend(all);
        });
        Some(
            begins
                .into_iter()
                .map(|(place, offset)| (place, offset.max(0)))
                .collect(),
        )
    }

    /// Reads on in each of its partitions, until a leader does not answer at once.
    async fn read(&mut self) {
        let places: Vec<(Place, i64)> = self
            .positions
            .iter()
            .map(|(place, position)| (*place, *position))
            .collect();
        for (place, position) in places {
            let leader = match self.leaders.get(&place).filter(|leader| !leader.is_closed()) {
                Some(leader) => Some(leader.clone()),
                None => self.desk.find(Whom::Leader(place)).await,
            };
            let Some(leader) = leader else { return };
            let read = fetch_from(&leader, place, position, self.group.committed, ANSWER).await;
            let Some(partition) = read else {
                self.leaders.remove(&place);
                return;
            };
            self.leaders.insert(place, leader);
            let (batches, next) = kept(partition, position, self.group.committed);
            let read = values(&batches);
            self.desk.told(self.group.name, |told| {
                let read = read.into_iter().filter(|record| record.offset >= position);
                told.seen.extend(read.map(|record| (place, record.value)));
            });
            self.positions.insert(place, next);
        }
    }

    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(100 + self.desk.below(REST_MS))).await;
    }

    /// Commits where it is; the first code that is no success.
    async fn commit(&mut self) -> Option<i16> {
        if self.positions.is_empty() {
            return None;
        }
        let client = self.coordinator().await?;
        let topic = |(place, position): (&Place, &i64)| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(place.1)
                .with_committed_offset(*position);
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(place.0))
                .with_partitions(vec![partition])
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(self.name())
            .with_member_id(self.id.clone())
            .with_generation_id_or_member_epoch(self.epoch)
            .with_topics(self.positions.iter().map(topic).collect());
        let answer = client.call_capped(request, OFFSETS_VERSION, ANSWER).await.ok();
        let Some(answer) = answer else {
            self.passes(None);
            return None;
        };
        let mut failed = None;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let Some(place) = self.place(&topic.name.0, partition.partition_index) else {
                    continue;
                };
                if partition.error_code != NONE {
                    failed = failed.or(Some(partition.error_code));
                } else if let Some(position) = self.positions.get(&place) {
                    let commit = (self.epoch, place, *position);
                    self.desk.told(self.group.name, |told| told.commits.push(commit));
                }
            }
        }
        if let Some(code) = failed {
            self.passes(Some(code));
        }
        failed
    }
}

/// Waits until each partition has one owner in each group.
pub async fn all_owned(desk: &Desk, all: &[Place]) {
    loop {
        let owned = |group: &Group| {
            let mut owned: Vec<Place> = desk.owned_in(group.name);
            owned.sort_unstable();
            let mut all = all.to_vec();
            all.sort_unstable();
            owned == all
        };
        if GROUPS.iter().all(owned) {
            return;
        }
        desk.pause().await;
    }
}
