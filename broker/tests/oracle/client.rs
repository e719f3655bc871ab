//! Clients of the simulated cluster: they try again as a client must, and keep what they were promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azimuth_broker::env::random::Random;
use azimuth_broker::env::world::World;
use azimuth_broker::record::BatchBuilder;
use azimuth_broker::wire::{Client, ClientConfig};
use bytes::Bytes;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::end_txn_request::EndTxnRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsResponse, FetchRequest, FindCoordinatorRequest, GroupId, InitProducerIdRequest, MetadataRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Request, StrBytes};
use parking_lot::Mutex;
use uuid::Uuid;

use super::history::{Outcome, Place, Promises, Told};
use super::plant::Plant;
use super::simulation::TOPICS;

const ANSWER: Duration = Duration::from_secs(3);
/// Between two tries, at most.
const PAUSE_MS: u64 = 300;
/// The newest Produce and Fetch that name a topic by its name.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;
/// The newest commit and fetch of offsets that do so.
pub const OFFSETS_VERSION: i16 = 9;
/// After which a transaction that its producer forgot is aborted.
const TRANSACTION_MS: i32 = 10_000;
/// Partitions of the topics that are written to.
const WRITTEN: usize = 7;
/// Of a fetch, at most.
const FETCH_BYTES: i32 = 4 << 20;

// Codes of the protocol.
const NONE: i16 = 0;
const DUPLICATE_SEQUENCE: i16 = 46;
/// What passes: leaders and coordinators that move, replicas that are missing, transactions that still end, and sequences that
/// are out of order for a leader that does not know yet that it is none any more. Whoever waits for ever is found in the end.
const PASSES: [i16; 19] = [2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 45, 51, 56, 72, 74, 75];

fn now_ms() -> i64 {
    World::here().expect("a simulation").now_ms()
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Whom to ask for something.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    Leader(Place),
    Group(&'a str),
    Transaction(&'a str),
}

/// What all clients share: the way to the brokers, and what was promised.
pub struct Desk {
    addresses: Vec<String>,
    open: Mutex<BTreeMap<String, Client>>,
    random: Random,
    ending: AtomicBool,
    /// Members leave.
    leaving: AtomicBool,
    plant: Option<Plant>,
    topics: Mutex<BTreeMap<&'static str, Uuid>>,
    /// What each member that lives believes to own, by group and number.
    owned: Mutex<BTreeMap<(&'static str, u32), BTreeSet<Place>>>,
    pub promises: Mutex<Promises>,
}

impl Desk {
    pub fn new(addresses: Vec<String>, random: Random, plant: Option<Plant>) -> Arc<Self> {
        Arc::new(Self {
            addresses,
            open: Mutex::default(),
            random,
            ending: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            plant,
            topics: Mutex::default(),
            owned: Mutex::default(),
            promises: Mutex::default(),
        })
    }

    /// Clients end what they have begun, and no more.
    pub fn end_all(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    pub fn is_calm(&self) -> bool {
        !self.goes_on()
    }

    pub fn leave_all(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub fn leave(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// Takes note of the ids that topics were given.
    pub fn know(&self, created: &CreateTopicsResponse) {
        let mut topics = self.topics.lock();
        for topic in &created.topics {
            let known = TOPICS.iter().find(|(name, _)| **name == *topic.name.0);
            topics.extend(known.map(|(name, _)| (*name, topic.topic_id)));
        }
    }

    pub fn topic_ids(&self) -> BTreeMap<&'static str, Uuid> {
        self.topics.lock().clone()
    }

    pub fn named(&self, assignment: &Assignment) -> Vec<Place> {
        let topics = self.topics.lock();
        let mut places = Vec::new();
        for assigned in &assignment.topic_partitions {
            let name = topics
                .iter()
                .find(|(_, id)| **id == assigned.topic_id)
                .map(|(name, _)| *name);
            let name = name.expect("a topic that there is");
            places.extend(assigned.partitions.iter().map(|partition| (name, *partition)));
        }
        places
    }

    pub fn believe(&self, who: (&'static str, u32), owned: BTreeSet<Place>) {
        self.owned.lock().insert(who, owned);
    }

    pub fn owned(&self) -> BTreeMap<(&'static str, u32), BTreeSet<Place>> {
        self.owned.lock().clone()
    }

    /// What all members of a group believe to own, twice where two do.
    pub fn owned_in(&self, group: &str) -> Vec<Place> {
        let owned = self.owned.lock();
        let of = owned.iter().filter(|((is, _), _)| *is == group);
        of.flat_map(|(_, places)| places.iter().copied()).collect()
    }

    /// Takes note of what a member of a group was told.
    pub fn told(&self, group: &'static str, note: impl FnOnce(&mut Told)) {
        note(self.promises.lock().groups.entry(group).or_default());
    }

    fn goes_on(&self) -> bool {
        !self.ending.load(Ordering::Relaxed)
    }

    /// A connection of one's own: a join that waits holds up what is asked after it.
    pub async fn connect(&self, addr: &str) -> Option<Client> {
        let config = ClientConfig {
            connect_timeout: Duration::from_secs(1),
            ..ClientConfig::default()
        };
        Client::connect(addr, &config).await.ok()
    }

    /// A connection that is there already, or a new one.
    async fn at(&self, addr: &str) -> Option<Client> {
        let known = self.open.lock().get(addr).cloned();
        if let Some(client) = known.filter(|client| !client.is_closed()) {
            return Some(client);
        }
        let client = self.connect(addr).await?;
        self.open.lock().insert(addr.to_owned(), client.clone());
        Some(client)
    }

    pub async fn any(&self) -> Option<Client> {
        let first = self.random.below(self.addresses.len() as u64) as usize;
        for next in 0..self.addresses.len() {
            let addr = &self.addresses[(first + next) % self.addresses.len()];
            if let Some(client) = self.at(addr).await {
                return Some(client);
            }
        }
        None
    }

    pub async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(1 + self.random.below(PAUSE_MS))).await;
    }

    /// Whether every broker says that all replicas of all partitions are in sync.
    pub async fn is_in_sync(&self) -> bool {
        for addr in &self.addresses {
            let Some(client) = self.at(addr).await else {
                tracing::info!("{addr} cannot be reached");
                return false;
            };
            let request = MetadataRequest::default().with_topics(None);
            let Ok(answer) = client.call_capped(request, 9, ANSWER).await else {
                tracing::info!("{addr} does not answer");
                return false;
            };
            let all = || answer.topics.iter().flat_map(|topic| &topic.partitions);
            let sound = all().all(|one| one.isr_nodes.len() == one.replica_nodes.len() && one.leader_id.0 > 0);
            // Those of the coordinators beside those that are written to.
            if !sound || all().count() <= WRITTEN {
                tracing::info!("not in sync at {addr}");
                return false;
            }
        }
        true
    }

    /// A connection to who leads or coordinates something.
    pub async fn find(&self, whom: Whom<'_>) -> Option<Client> {
        let addr = self.address(whom).await?;
        self.at(&addr).await
    }

    /// Where who leads or coordinates something is, as some broker says.
    pub async fn address(&self, whom: Whom<'_>) -> Option<String> {
        let client = self.any().await?;
        match whom {
            Whom::Leader((topic, partition)) => {
                let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
                let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
                let answer = client.call_capped(request, 9, ANSWER).await.ok()?;
                let partitions = &answer.topics.first()?.partitions;
                let leader = partitions
                    .iter()
                    .find(|one| one.partition_index == partition)?
                    .leader_id;
                let broker = answer.brokers.iter().find(|broker| broker.node_id == leader)?;
                Some(format!("{}:{}", &*broker.host, broker.port))
            }
            Whom::Group(key) | Whom::Transaction(key) => {
                let kind = i8::from(matches!(whom, Whom::Transaction(_)));
                let request = FindCoordinatorRequest::default()
                    .with_key_type(kind)
                    .with_coordinator_keys(vec![text(key)]);
                let answer = client.call(request, ANSWER).await.ok()?;
                let found = answer.coordinators.first().filter(|found| found.error_code == NONE)?;
                Some(format!("{}:{}", &*found.host, found.port))
            }
        }
    }

    /// Asks until there is an answer that `ends` takes.
    async fn ask<R: Request + Clone, T>(
        &self,
        whom: Whom<'_>,
        request: R,
        version: i16,
        ends: impl Fn(R::Response) -> Option<T>,
    ) -> T {
        loop {
            match self.find(whom).await {
                Some(client) => match client.call_capped(request.clone(), version, ANSWER).await.map(&ends) {
                    Ok(Some(ended)) => return ended,
                    Ok(None) => {}
                    Err(error) => tracing::debug!("{}: {error}", std::any::type_name::<R>()),
                },
                None => tracing::debug!("nobody to ask: {whom:?}"),
            }
            self.pause().await;
        }
    }

    /// An id for a producer: new, or the next epoch of a transactional one, whose open transaction is aborted.
    pub async fn producer_id(&self, transactional: Option<&str>) -> (i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional.map(|id| TransactionalId(text(id))))
            .with_transaction_timeout_ms(TRANSACTION_MS)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let whom = transactional.map_or(Whom::Leader(("orders", 0)), Whom::Transaction);
        self.ask(whom, request, 5, |answer| {
            tracing::debug!("an id for {transactional:?}: {}", answer.error_code);
            (answer.error_code == NONE).then_some((*answer.producer_id, answer.producer_epoch))
        })
        .await
    }

    /// Has records acknowledged by all replicas; the code that says why that will never be.
    async fn produce(&self, place: Place, transactional: Option<&str>, records: Bytes) -> Result<(), i16> {
        let data = PartitionProduceData::default()
            .with_index(place.1)
            .with_records(Some(records));
        let topic = TopicProduceData::default()
            .with_name(topic_name(place.0))
            .with_partition_data(vec![data]);
        let acks = match self.plant {
            Some(Plant::AcknowledgeEarly) => 1,
            _ => -1,
        };
        let request = ProduceRequest::default()
            .with_transactional_id(transactional.map(|id| TransactionalId(text(id))))
            .with_acks(acks)
            .with_timeout_ms(2_000)
            .with_topic_data(vec![topic]);
        self.ask(Whom::Leader(place), request, PRODUCE_VERSION, |answer| {
            let partition = answer.responses.first()?.partition_responses.first()?;
            if partition.error_code != NONE {
                tracing::debug!("{place:?}: {} {:?}", partition.error_code, partition.error_message);
            }
            match partition.error_code {
                NONE | DUPLICATE_SEQUENCE => Some(Ok(())),
                code if PASSES.contains(&code) => None,
                code => Some(Err(code)),
            }
        })
        .await
    }

    pub fn refuse(&self, what: String) {
        self.promises.lock().broken.push(what);
    }

    /// Writes one record after another to each partition, each until it is acknowledged.
    pub async fn write(self: Arc<Self>, number: u32, places: Vec<Place>) {
        let (id, epoch) = self.producer_id(None).await;
        let mut sequences = vec![0; places.len()];
        for count in (0..).take_while(|_| self.goes_on()) {
            let at = self.random.below(places.len() as u64) as usize;
            let place = places[at];
            let values: Vec<String> = (0..=self.random.below(3))
                .map(|more| format!("w{number}-{count}-{more}"))
                .collect();
            let mut batch = BatchBuilder::new().producer(id, epoch, sequences[at]);
            for value in &values {
                batch.add(now_ms(), None, Some(value.as_bytes()));
            }
            let records = batch.build().expect("small");
            if let Err(code) = self.produce(place, None, records).await {
                return self.refuse(format!("producer {number} is refused in {place:?}: error {code}"));
            }
            sequences[at] += values.len() as i32;
            self.promises
                .lock()
                .acknowledged
                .entry((place, number))
                .or_default()
                .extend(values);
            self.pause().await;
        }
    }

    /// Writes ever higher numbers for a few keys.
    pub async fn update(self: Arc<Self>, number: u32, place: Place) {
        let (id, epoch) = self.producer_id(None).await;
        for count in (0..).take_while(|_| self.goes_on()) {
            let key = format!("k{number}-{}", self.random.below(4));
            let mut batch = BatchBuilder::new().producer(id, epoch, count as i32);
            batch.add(now_ms(), Some(key.as_bytes()), Some(count.to_string().as_bytes()));
            let records = batch.build().expect("small");
            if let Err(code) = self.produce(place, None, records).await {
                return self.refuse(format!("updater {number} is refused in {place:?}: error {code}"));
            }
            self.promises.lock().latest.insert((place, key), count);
            self.pause().await;
        }
    }

    /// Commits or aborts transactions over several partitions.
    pub async fn transact(self: Arc<Self>, name: String, places: Vec<Place>) {
        let (mut id, mut epoch) = self.producer_id(Some(&name)).await;
        for count in (0..).take_while(|_| self.goes_on()) {
            let noted = {
                let mut promises = self.promises.lock();
                promises.transactions.push((Vec::new(), Outcome::Unknown));
                promises.transactions.len() - 1
            };
            let mut failed = None;
            let mut sequences = vec![0; places.len()];
            for more in 0..=self.random.below(4) {
                let at = self.random.below(places.len() as u64) as usize;
                let value = format!("{name}-{count}-{more}");
                self.promises.lock().transactions[noted]
                    .0
                    .push((places[at], value.clone()));
                let mut batch = BatchBuilder::new().producer(id, epoch, sequences[at]).transactional();
                batch.add(now_ms(), None, Some(value.as_bytes()));
                failed = self
                    .produce(places[at], Some(&name), batch.build().expect("small"))
                    .await
                    .err();
                if failed.is_some() {
                    break;
                }
                sequences[at] += 1;
                if self.random.below(3) == 0 {
                    self.pause().await;
                }
            }
            let wanted = failed.is_none() && self.random.below(3) > 0;
            let ended = match failed {
                Some(code) => Err(code),
                None => self.end(&name, id, epoch, wanted).await,
            };
            let outcome = match (ended.is_ok(), wanted) {
                (true, true) => Outcome::Committed,
                (_, false) => Outcome::Aborted,
                (false, true) => Outcome::Unknown,
            };
            self.promises.lock().transactions[noted].1 = outcome;
            (id, epoch) = match ended {
                Ok(next) => next,
                Err(_) => self.producer_id(Some(&name)).await,
            };
            self.pause().await;
        }
    }

    /// Ends a transaction: the id and epoch of the next one, or why it cannot be ended.
    async fn end(&self, name: &str, id: i64, epoch: i16, committed: bool) -> Result<(i64, i16), i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(name)))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_committed(committed);
        self.ask(Whom::Transaction(name), request, 5, |answer| match answer.error_code {
            NONE => Some(Ok((*answer.producer_id, answer.producer_epoch))),
            code if PASSES.contains(&code) => None,
            code => Some(Err(code)),
        })
        .await
    }

    /// Commits ever higher offsets. They are asked for in the end only: a coordinator that does not know yet that it is none any
    /// more answers from what it has, as Apache Kafka's does.
    pub async fn commit(self: Arc<Self>, group: String, place: Place) {
        for offset in (1..).take_while(|_| self.goes_on()) {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(place.1)
                .with_committed_offset(offset);
            let topic = OffsetCommitRequestTopic::default()
                .with_name(topic_name(place.0))
                .with_partitions(vec![partition]);
            let request = OffsetCommitRequest::default()
                .with_group_id(GroupId(text(&group)))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(vec![topic]);
            let code = self
                .ask(Whom::Group(&group), request, OFFSETS_VERSION, |answer| {
                    let code = answer.topics.first()?.partitions.first()?.error_code;
                    (!PASSES.contains(&code)).then_some(code)
                })
                .await;
            if code != NONE {
                return self.refuse(format!("a commit of {group} is refused: error {code}"));
            }
            self.promises.lock().offsets.insert((group.clone(), place), offset);
            self.pause().await;
        }
    }

    /// The committed offset of a group; -1 for none.
    pub async fn committed(&self, group: &str, place: Place) -> i64 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name(place.0))
            .with_partition_indexes(vec![place.1]);
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
        self.ask(Whom::Group(group), request, OFFSETS_VERSION, |answer| {
            let group = answer.groups.first().filter(|group| group.error_code == NONE)?;
            let partition = group.topics.first()?.partitions.first()?;
            (partition.error_code == NONE).then_some(partition.committed_offset)
        })
        .await
    }

    /// What is in a partition from `offset` on, as one answer gives it: all of it, or what is committed.
    pub async fn fetch(&self, place: Place, offset: i64, committed: bool) -> PartitionData {
        loop {
            if let Some(client) = self.find(Whom::Leader(place)).await
                && let Some(partition) = fetch_from(&client, place, offset, committed, ANSWER).await
            {
                return partition;
            }
            self.pause().await;
        }
    }
}

/// As [`Desk::fetch`], of a broker that leads and answers in time.
pub async fn fetch_from(
    client: &Client,
    place: Place,
    offset: i64,
    committed: bool,
    deadline: Duration,
) -> Option<PartitionData> {
    let partition = FetchPartition::default()
        .with_partition(place.1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(FETCH_BYTES);
    let topic = FetchTopic::default()
        .with_topic(topic_name(place.0))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_wait_ms(0)
        .with_max_bytes(FETCH_BYTES)
        .with_isolation_level(i8::from(committed))
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    let answer = client.call_capped(request, FETCH_VERSION, deadline).await.ok()?;
    let partition = answer.responses.into_iter().next()?.partitions.into_iter().next()?;
    (partition.error_code == NONE).then_some(partition)
}
