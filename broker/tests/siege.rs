//! A cluster of processes under siege: nodes are killed, frozen and cut off while idempotent producers write with
//! acks=all, over SASL_SSL and under ACLs, and a throttled reassignment is in flight. Each acknowledged record is read
//! back exactly once.
//!
//! Three rounds in an ordinary run, thirty with `AZIMUTH_HEAVY`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig, Fault, Peer, Selection};
use azimuth_broker::env::net::Effect;
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::sasl::Sasl;
use azimuth_broker::wire::{Client, ClientConfig, Security, tls};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateAclsRequest, CreateTopicsRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(120);
const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
/// Moved back and forth, slowly, while all that goes on.
const MOVED: &str = "moved";
const MOVED_RECORDS: u64 = 400;
const MOVED_BYTES: usize = 16_000;
/// Bytes a second: slow enough to be in flight for as long as it is wanted.
const SLOWLY: &str = "20000";
const QUICKLY: &str = "100000000";
const PRODUCERS: usize = 3;
/// Records of one producer on their way at any time.
const ON_THE_WAY: usize = 16;
/// Acknowledged in each phase of a round.
const ADVANCE: usize = 300;

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"node\" \
    password=\"node-secret\" user_node=\"node-secret\";";

// Codes of the protocol.
const KIND_TOPIC: i8 = 2;
const KIND_BROKER: i8 = 4;
const KIND_GROUP: i8 = 3;
const LITERAL: i8 = 3;
const ALLOW: i8 = 3;
const READ: i8 = 3;
const WRITE: i8 = 4;

fn rounds() -> usize {
    if std::env::var_os("AZIMUTH_HEAVY").is_some() {
        30
    } else {
        3
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The partitions of a topic as one broker tells them.
async fn topic(client: &Client, name: &str) -> Option<Vec<MetadataResponsePartition>> {
    let wanted = MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
    let response = client.call(request, Duration::from_secs(5)).await.ok()?;
    let topic = response.topics.into_iter().next()?;
    (topic.error_code == 0).then_some(topic.partitions)
}

struct Home {
    cluster: Cluster,
    certificate: String,
    /// Of the brokers' own user, who may do everything.
    admin: ClientConfig,
    _dir: TempDir,
}

impl Home {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir.path(), 0);
        config.processes = Some(env!("CARGO_BIN_EXE_azimuth-broker").into());
        config.allow_faults = true;
        config.users = vec!["SCRAM-SHA-512=[name=alice,password=alice-scram]".to_owned()];
        config.overrides = [
            // Failures are noticed in test time, not in production time.
            ("broker.session.timeout.ms", "1500"),
            ("broker.heartbeat.interval.ms", "200"),
            ("replica.lag.time.max.ms", "2000"),
            (
                "listener.security.protocol.map",
                "CLIENTS:SASL_SSL,INTERNAL:SASL_SSL,CONTROLLER:SASL_SSL",
            ),
            ("inter.broker.listener.name", "INTERNAL"),
            ("sasl.mechanism.inter.broker.protocol", "PLAIN"),
            ("sasl.mechanism.controller.protocol", "PLAIN"),
            ("listener.name.clients.sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512"),
            ("listener.name.clients.plain.sasl.jaas.config", PLAIN),
            ("listener.name.internal.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.internal.plain.sasl.jaas.config", PLAIN),
            ("listener.name.controller.sasl.enabled.mechanisms", "PLAIN"),
            ("listener.name.controller.plain.sasl.jaas.config", PLAIN),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.certificate.chain", &certificate),
            ("ssl.keystore.key", &key),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", &certificate),
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            ("super.users", "User:node"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let trust = certificate.clone();
        let settings = tls::Settings::from_properties(|key| match key {
            "ssl.truststore.type" => Some("PEM".to_owned()),
            "ssl.truststore.certificates" => Some(trust.clone()),
            _ => None,
        });
        let connector = tls::Connector::new(&settings.expect("valid")).expect("a certificate");
        let admin = ClientConfig {
            security: Security::Tls(Arc::new(connector)),
            sasl: Some(Sasl::plain("node", "node-secret")),
            ..ClientConfig::default()
        };
        let cluster = Cluster::start(config).await.expect("a cluster");
        let home = Self {
            cluster,
            certificate,
            admin,
            _dir: dir,
        };
        home.create(
            TOPIC,
            (0..PARTITIONS).map(|at| (0..3).map(|next| (at + next) % 3 + 1).collect()),
        )
        .await;
        home.create(MOVED, [vec![1, 2]].into_iter()).await;
        home.allow().await;
        home.in_sync(TOPIC, 3).await;
        home
    }

    /// A connection to the first broker that answers.
    async fn client(&self) -> Option<Client> {
        for addr in self.cluster.addresses() {
            if let Ok(client) = Client::connect(&addr, &self.admin).await {
                return Some(client);
            }
        }
        None
    }

    async fn any(&self) -> Client {
        self.client().await.expect("a broker answers")
    }

    async fn create(&self, topic: &str, placement: impl Iterator<Item = Vec<i32>>) {
        let assigned = |(index, brokers): (usize, Vec<i32>)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index as i32)
                .with_broker_ids(brokers.into_iter().map(BrokerId).collect())
        };
        let min_isr = CreatableTopicConfig::default()
            .with_name(text("min.insync.replicas"))
            .with_value(Some(text("2")));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(topic)))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(placement.enumerate().map(assigned).collect())
            .with_configs(vec![min_isr]);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
    }

    /// Alice may write and read these topics, and nothing else.
    async fn allow(&self) {
        let acl = |kind, name: &str, operation| {
            AclCreation::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_resource_pattern_type(LITERAL)
                .with_principal(text("User:alice"))
                .with_host(text("*"))
                .with_operation(operation)
                .with_permission_type(ALLOW)
        };
        let acls = [
            acl(KIND_TOPIC, TOPIC, WRITE),
            acl(KIND_TOPIC, TOPIC, READ),
            acl(KIND_TOPIC, MOVED, WRITE),
            acl(KIND_TOPIC, MOVED, READ),
            acl(KIND_GROUP, "readers", READ),
        ];
        let request = CreateAclsRequest::default().with_creations(acls.to_vec());
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        for result in response.results {
            assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        }
    }

    /// librdkafka as Alice.
    fn alice(&self) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap())
            .set("security.protocol", "sasl_ssl")
            .set("ssl.ca.pem", &self.certificate)
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", "alice")
            .set("sasl.password", "alice-scram");
        config
    }

    async fn partitions(&self, name: &str) -> Option<Vec<MetadataResponsePartition>> {
        topic(&self.client().await?, name).await
    }

    async fn until(&self, what: &str, topic: &str, good: impl Fn(&MetadataResponsePartition) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            let seen = self.partitions(topic).await;
            if seen
                .as_ref()
                .is_some_and(|all| !all.is_empty() && all.iter().all(&good))
            {
                return;
            }
            assert!(Instant::now() < until, "{what}: not within {DEADLINE:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn in_sync(&self, topic: &str, replicas: usize) {
        self.until("all replicas are in sync", topic, |partition| {
            partition.isr_nodes.len() == replicas
        })
        .await;
    }

    /// Until the others have taken over from `victim`.
    async fn without(&self, victim: NodeId) {
        let until = Instant::now() + DEADLINE;
        let others = |seen: &Vec<MetadataResponsePartition>| {
            let led = |partition: &MetadataResponsePartition| ![-1, victim.0].contains(&partition.leader_id.0);
            !seen.is_empty() && seen.iter().all(led)
        };
        let addresses = self.cluster.addresses();
        let witness = &addresses[victim.0 as usize % addresses.len()];
        loop {
            let seen = match Client::connect(witness, &self.admin).await {
                Ok(client) => topic(&client, TOPIC).await,
                Err(_) => None,
            };
            if seen.as_ref().is_some_and(others) {
                return;
            }
            assert!(Instant::now() < until, "nobody takes over from {victim}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn set(&self, kind: i8, resource: &str, configs: &[(&str, &str)]) {
        let config = |(key, value): &(&str, &str)| {
            AlterableConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configs(configs.iter().map(config).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.responses[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }

    async fn throttle(&self, rate: &str) {
        for broker in ["1", "2", "3"] {
            let rates = [
                ("leader.replication.throttled.rate", rate),
                ("follower.replication.throttled.rate", rate),
            ];
            self.set(KIND_BROKER, broker, &rates).await;
        }
    }

    /// Moves the one partition of `MOVED`, or with `None` cancels that.
    async fn reassign(&self, target: Option<&[i32]>) {
        let target = target.map(|target| target.iter().copied().map(BrokerId).collect());
        let topic = ReassignableTopic::default()
            .with_name(TopicName(text(MOVED)))
            .with_partitions(vec![ReassignablePartition::default().with_replicas(target)]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.any().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }

    /// Whether a reassignment is in flight; `None` while nobody knows.
    async fn is_moving(&self) -> Option<bool> {
        let request = ListPartitionReassignmentsRequest::default()
            .with_topics(None)
            .with_timeout_ms(5_000);
        let response = self.client().await?.call(request, DEADLINE).await.ok()?;
        (response.error_code == 0).then_some(!response.topics.is_empty())
    }

    async fn still(&self) {
        let until = Instant::now() + DEADLINE;
        while self.is_moving().await != Some(false) {
            assert!(Instant::now() < until, "the reassignment does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_on(&self, brokers: [i32; 2]) {
        self.until("the replicas are where they should be", MOVED, |partition| {
            let mut ids: Vec<i32> = partition.replica_nodes.iter().map(|id| id.0).collect();
            ids.sort_unstable();
            ids == brokers && partition.isr_nodes.len() == 2
        })
        .await;
    }

    async fn fill_moved(&self) {
        let producer: FutureProducer = self
            .alice()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .create()
            .expect("a producer");
        let value = "x".repeat(MOVED_BYTES);
        let sends = (0..MOVED_RECORDS).map(|id| {
            let record = FutureRecord::to(MOVED).partition(0).payload(&value);
            let key = id.to_string();
            let producer = producer.clone();
            async move { producer.send(record.key(&key), DEADLINE).await }
        });
        for sent in futures::future::join_all(sends).await {
            sent.expect("acknowledged");
        }
    }
}

/// A record is its producer's incarnation and a number.
type Id = (usize, u64);

/// Idempotent producers that write without a pause.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<Id, (i32, i64)>>>,
    producers: JoinSet<()>,
}

impl Load {
    fn start(home: &Home) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
        let mut producers = JoinSet::new();
        for number in 0..PRODUCERS {
            let config = home
                .alice()
                .set("acks", "all")
                .set("enable.idempotence", "true")
                .set("linger.ms", "2")
                .set("message.timeout.ms", "120000")
                .set("request.timeout.ms", "3000")
                // A frozen broker that is asked for metadata holds a client up for so long.
                .set("socket.timeout.ms", "5000")
                .set("retry.backoff.ms", "50")
                .set("retry.backoff.max.ms", "500")
                .set("reconnect.backoff.max.ms", "500")
                .set("topic.metadata.refresh.interval.ms", "2000")
                .clone();
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            producers.spawn(async move {
                // One that lost its idempotence (a fatal error) is followed by another one.
                for incarnation in 0.. {
                    let producer: FutureProducer = config.create().expect("a producer");
                    let name = number + incarnation * PRODUCERS;
                    if write(&producer, name, &stop, &acknowledged).await {
                        return;
                    }
                    println!("producer {name} is followed by another");
                }
            });
        }
        Self {
            stop,
            acknowledged,
            producers,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no producer panics").len()
    }

    async fn advance(&self, by: usize) {
        let target = self.count() + by;
        let until = Instant::now() + DEADLINE;
        while self.count() < target {
            assert!(Instant::now() < until, "{} of {target} acknowledged", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn finish(mut self) -> BTreeMap<Id, (i32, i64)> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.producers.join_next().await {
            ended.expect("no producer panics");
        }
        std::mem::take(&mut self.acknowledged.lock().expect("no producer panics"))
    }
}

/// Writes until it is told to stop (true), or a record is refused (false).
async fn write(
    producer: &FutureProducer,
    name: usize,
    stop: &AtomicBool,
    acknowledged: &Mutex<BTreeMap<Id, (i32, i64)>>,
) -> bool {
    let mut waiting = std::collections::VecDeque::new();
    let mut next = 0_u64;
    loop {
        while waiting.len() < ON_THE_WAY && !stop.load(Ordering::Relaxed) {
            let value = format!("{name} {next}");
            let record = FutureRecord::<(), _>::to(TOPIC)
                .partition((next % PARTITIONS as u64) as i32)
                .payload(&value);
            let Ok(sent) = producer.send_result(record) else {
                return false;
            };
            waiting.push_back((next, sent));
            next += 1;
        }
        let Some((number, sent)) = waiting.pop_front() else {
            return true;
        };
        match sent.await {
            Ok(Ok(at)) => {
                let mut all = acknowledged.lock().expect("no producer panics");
                all.insert((name, number), (at.partition, at.offset));
            }
            Ok(Err((error, _))) => {
                println!("producer {name}: record {number} was refused: {error}");
                return false;
            }
            Err(_) => return false,
        }
    }
}

/// Every record of a topic's partitions up to their ends, as payload (or key) with its place.
fn read_all(config: &rdkafka::ClientConfig, topic: &str, partitions: i32) -> Vec<(String, (i32, i64))> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "readers")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&all).expect("assigns");
    let until = Instant::now() + DEADLINE;
    let (mut read, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
    while ended.len() < partitions as usize {
        assert!(Instant::now() < until, "{} records and no end", read.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let id = message.key().or(message.payload()).expect("a key or a value");
                let id = String::from_utf8(id.to_vec()).expect("text");
                read.push((id, (message.partition(), message.offset())));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => println!("reading: {error}"),
            None => {}
        }
    }
    read
}

/// What goes wrong in a round, with the leader of a partition; and whether clients can tell whom to ask meanwhile.
///
/// One that is cut off from all others, but not from its clients, believes that it leads, as with Apache Kafka. librdkafka
/// asks the broker for metadata that it used last, which may be that one again and again.
fn faults(round: usize, victim: NodeId) -> (Fault, bool) {
    let cut = |peer: Option<i32>, effect| {
        let peer = peer.map(|id| Peer::Node(NodeId(id)));
        Fault::Link { peer, effect }
    };
    match round % 5 {
        0 => (Fault::Kill, true),
        1 => (Fault::Freeze, true),
        2 => (cut(None, Effect::Cut), false),
        3 => (cut(Some(victim.0 % 3 + 1), Effect::Silence), true),
        _ => (cut(None, Effect::Silence), false),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_is_read_back_once() {
    let mut home = Home::start().await;
    home.fill_moved().await;
    home.set(
        KIND_TOPIC,
        MOVED,
        &[
            ("leader.replication.throttled.replicas", "*"),
            ("follower.replication.throttled.replicas", "*"),
        ],
    )
    .await;
    home.throttle(SLOWLY).await;
    home.reassign(Some(&[2, 3])).await;
    let load = Load::start(&home);
    load.advance(ADVANCE).await;
    for round in 0..rounds() {
        if round == rounds() / 2 {
            // In flight all along, and cancelled.
            assert_eq!(home.is_moving().await, Some(true), "it was too quick");
            home.reassign(None).await;
            home.still().await;
            home.is_on([1, 2]).await;
            home.reassign(Some(&[2, 3])).await;
        }
        let leaders = home.partitions(TOPIC).await.expect("metadata");
        let victim = NodeId(leaders[round % PARTITIONS as usize].leader_id.0);
        let (fault, is_seen) = faults(round, victim);
        let begun = Instant::now();
        home.cluster.inject(victim, fault.clone()).await.expect("injected");
        if is_seen {
            load.advance(ADVANCE).await;
        } else {
            home.without(victim).await;
        }
        let under = begun.elapsed();
        home.cluster.mend(Selection::All).await.expect("mended");
        load.advance(ADVANCE).await;
        home.in_sync(TOPIC, 3).await;
        println!(
            "round {round}: node {victim} {fault}: over it after {under:.1?}, in sync after {:.1?}, {} acknowledged",
            begun.elapsed(),
            load.count()
        );
    }
    assert_eq!(home.is_moving().await, Some(true), "it was too quick");
    home.throttle(QUICKLY).await;
    home.still().await;
    home.is_on([2, 3]).await;
    let acknowledged = load.finish().await;
    assert!(acknowledged.len() >= rounds() * 2 * ADVANCE);

    let (alice, count) = (home.alice(), acknowledged.len());
    let (orders, moved) =
        tokio::task::spawn_blocking(move || (read_all(&alice, TOPIC, PARTITIONS), read_all(&alice, MOVED, 1)))
            .await
            .expect("reads");
    let mut found: BTreeMap<String, (i32, i64)> = BTreeMap::new();
    for (id, place) in orders {
        if let Some(first) = found.insert(id.clone(), place) {
            panic!("record {id} is there twice: {first:?} and {place:?}");
        }
    }
    for ((name, number), place) in acknowledged {
        let id = format!("{name} {number}");
        assert_eq!(
            found.get(&id),
            Some(&place),
            "record {id} was acknowledged at {place:?}"
        );
    }
    println!("{count} acknowledged, each read back once; {} in all", found.len());
    let mut keys: Vec<u64> = moved.iter().map(|(key, _)| key.parse().expect("a number")).collect();
    keys.sort_unstable();
    assert!(
        keys.into_iter().eq(0..MOVED_RECORDS),
        "the moved records are all there, once"
    );
    home.cluster.shutdown().await;
}
