//! Clients under a quota: how fast they get on, what they are told, and that others do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::wire::{Client, ClientConfig, ErrorCode};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, CreateTopicsRequest, CreateTopicsResponse, DescribeClientQuotasRequest,
    ListGroupsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
/// One request each. The smaller, the closer a client keeps to its quota in each second.
const RECORD_BYTES: usize = 16_000;
const QUOTA: f64 = 1_000_000.0;
/// What a few seconds may differ from the quota.
const TOLERANCE: f64 = 0.1;
/// What [`Home::quick`] keeps quotas over.
const WINDOW: Duration = Duration::from_secs(2);
/// How long throughput is measured, and how often: on a machine that is busy with something else a client may fall behind.
const MEASURED: Duration = Duration::from_secs(6);
const ATTEMPTS: usize = 4;

/// One broker in this process.
struct Home {
    cluster: Cluster,
    _dir: TempDir,
}

impl Home {
    async fn start(properties: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(1, &[], dir.path(), 0);
        config.overrides = properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let cluster = Cluster::start(config).await.expect("a cluster");
        Self { cluster, _dir: dir }
    }

    /// Quotas over two samples of a second, so that they settle within seconds.
    async fn quick() -> Self {
        Self::start(&[
            ("quota.window.num", "2"),
            ("controller.quota.window.num", "1"),
            ("num.partitions", "1"),
        ])
        .await
    }

    async fn connect(&self, client_id: &str) -> Client {
        let config = ClientConfig {
            client_id: client_id.to_owned(),
            ..ClientConfig::default()
        };
        Client::connect(&self.cluster.bootstrap(), &config)
            .await
            .expect("connects")
    }

    /// Sets one quota, or removes it.
    async fn set(&self, entity: &[(&str, Option<&str>)], key: &str, value: Option<f64>) {
        let part = |(kind, name): &(&str, Option<&str>)| {
            EntityData::default()
                .with_entity_type(text(kind))
                .with_entity_name(name.map(text))
        };
        let op = OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none());
        let entry = EntryData::default()
            .with_entity(entity.iter().map(part).collect())
            .with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let answer = self
            .connect("admin")
            .await
            .call(request, DEADLINE)
            .await
            .expect("an answer");
        assert_eq!(answer.entries[0].error_code, 0, "{:?}", answer.entries[0].error_message);
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What a client of librdkafka was told and given.
#[derive(Clone, Default)]
struct Seen {
    bytes: Arc<AtomicU64>,
    /// The longest `throttle_time_ms` of any answer.
    throttle_ms: Arc<AtomicU64>,
}

impl ClientContext for Seen {
    fn stats(&self, statistics: Statistics) {
        for broker in statistics.brokers.values() {
            let longest = broker.throttle.as_ref().map_or(0, |window| window.max);
            self.throttle_ms
                .fetch_max(u64::try_from(longest).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

impl ProducerContext for Seen {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => self.bytes.fetch_add(record.payload_len() as u64, Ordering::Relaxed),
            Err((error, _)) => panic!("it is not delivered: {error}"),
        };
    }
}

impl ConsumerContext for Seen {}

impl Seen {
    fn bytes(&self) -> f64 {
        self.bytes.load(Ordering::Relaxed) as f64
    }

    fn throttle_ms(&self) -> u64 {
        self.throttle_ms.load(Ordering::Relaxed)
    }
}

fn settings(home: &Home, client_id: &str) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", home.cluster.bootstrap())
        .set("client.id", client_id)
        .set("statistics.interval.ms", "100");
    config
}

/// Produces until it is told to stop, in requests of one record.
fn produce(producer: &BaseProducer<Seen>, mut more: impl FnMut() -> bool) {
    let payload = vec![b'x'; RECORD_BYTES];
    while more() {
        match producer.send(BaseRecord::<(), [u8]>::to(TOPIC).partition(0).payload(&payload)) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("{error}"),
        }
        producer.poll(Duration::ZERO);
    }
}

fn producer(home: &Home, client_id: &str, in_flight: usize) -> BaseProducer<Seen> {
    settings(home, client_id)
        .set("batch.num.messages", "1")
        .set("max.in.flight", in_flight.to_string())
        .set("queue.buffering.max.messages", "20")
        .set("linger.ms", "0")
        .create_with_context(Seen::default())
        .expect("a producer")
}

/// Measures until a measurement is within the tolerance. None may be above it by more than what a client may catch up that
/// fell behind: a quota is kept over its window, so what was not used of the window is there at once.
fn holds(mut go_on: impl FnMut(Duration), bytes: impl Fn() -> f64) {
    // What the window leaves is spent first.
    while bytes() < 2.0 * QUOTA {
        go_on(Duration::from_millis(50));
    }
    let mut measured = Vec::new();
    for _ in 0..ATTEMPTS {
        let (began, before) = (Instant::now(), bytes());
        while began.elapsed() < MEASURED {
            go_on(Duration::from_millis(20));
        }
        let rate = (bytes() - before) / began.elapsed().as_secs_f64();
        measured.push(rate);
        let most = QUOTA * (1.0 + TOLERANCE) + QUOTA * WINDOW.as_secs_f64() / began.elapsed().as_secs_f64();
        assert!(rate <= most, "too fast: {measured:?}");
        if (rate - QUOTA).abs() <= QUOTA * TOLERANCE {
            return;
        }
    }
    panic!("never at the quota: {measured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_keeps_to_its_quota_and_another_client_does_not_notice() {
    let home = Home::quick().await;
    home.set(&[("client-id", Some("limited"))], "producer_byte_rate", Some(QUOTA))
        .await;
    tokio::task::block_in_place(|| {
        let limited = producer(&home, "limited", 1);
        let seen = limited.context().clone();
        let go_on = |pause: Duration| {
            let until = Instant::now() + pause;
            produce(&limited, || Instant::now() < until);
        };
        holds(go_on, || seen.bytes());
        assert!(seen.throttle_ms() > 0, "it was told why");
        limited.flush(DEADLINE).expect("all is delivered");

        let free = producer(&home, "free", 5);
        let began = Instant::now();
        produce(&free, || free.context().bytes() < 8.0 * QUOTA);
        let rate = free.context().bytes() / began.elapsed().as_secs_f64();
        assert!(rate > 1.2 * QUOTA, "{rate} bytes for each second");
        assert_eq!(free.context().throttle_ms(), 0);
        free.flush(DEADLINE).expect("all is delivered");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_keeps_to_its_quota_until_the_quota_goes() {
    let home = Home::quick().await;
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let writer = producer(&home, "writer", 5);
        produce(&writer, || writer.context().bytes() < 40.0 * QUOTA);
        writer.flush(DEADLINE).expect("all is delivered");
        let entity = [("user", Some("ANONYMOUS")), ("client-id", None)];
        handle.block_on(home.set(&entity, "consumer_byte_rate", Some(QUOTA)));

        let reader: BaseConsumer<Seen> = settings(&home, "reader")
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("fetch.message.max.bytes", RECORD_BYTES.to_string())
            .set("queued.max.messages.kbytes", "64")
            // Else a reader that is late once waits for a second.
            .set("fetch.queue.backoff.ms", "5")
            .set("check.crcs", "true")
            .create_with_context(Seen::default())
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(TOPIC, 0, Offset::Beginning)
            .expect("an offset");
        reader.assign(&all).expect("assigns");
        let seen = reader.context().as_ref().clone();
        let read = |pause: Duration| {
            let until = Instant::now() + pause;
            while Instant::now() < until {
                if let Some(record) = reader.poll(Duration::from_millis(5)) {
                    let length = record.expect("a record").payload_len() as u64;
                    seen.bytes.fetch_add(length, Ordering::Relaxed);
                }
            }
        };
        holds(read, || seen.bytes());
        assert!(seen.throttle_ms() > 0, "it was told why");

        handle.block_on(home.set(&entity, "consumer_byte_rate", None));
        let (began, before) = (Instant::now(), seen.bytes());
        while seen.bytes() < before + 8.0 * QUOTA {
            assert!(began.elapsed() < DEADLINE, "it is still slow");
            read(Duration::from_millis(20));
        }
        let rate = (seen.bytes() - before) / began.elapsed().as_secs_f64();
        assert!(rate > 1.2 * QUOTA, "{rate} bytes for each second");
    });
}

fn creation(topic: &str, partitions: i32) -> CreateTopicsRequest {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(topic)))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000)
}

#[tokio::test]
async fn a_newer_admin_is_refused_what_is_above_its_quota_and_an_older_one_waits() {
    let home = Home::quick().await;
    home.set(&[("client-id", Some("maker"))], "controller_mutation_rate", Some(2.0))
        .await;
    let maker = home.connect("maker").await;
    let code = |answer: &CreateTopicsResponse| answer.topics[0].error_code;
    // Two are there; who takes more is let through once, and owes three.
    let first = maker
        .call_at(creation("first", 5), 7, DEADLINE)
        .await
        .expect("an answer");
    assert_eq!((code(&first), first.throttle_time_ms), (0, 0));
    let second = maker
        .call_at(creation("second", 1), 7, DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(code(&second), ErrorCode::ThrottlingQuotaExceeded.code());
    let wait = u64::try_from(second.throttle_time_ms).expect("not negative");
    assert!((1..=1_500).contains(&wait), "{wait} ms");

    let began = Instant::now();
    let third = maker
        .call_at(creation("second", 4), 7, DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(code(&third), 0, "the debt is paid: it was not heard before");
    // The answer to the second request took a moment to get here.
    assert!(began.elapsed() + Duration::from_millis(250) >= Duration::from_millis(wait));

    let older = maker
        .call_at(creation("third", 2), 5, DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(code(&older), 0, "it does not know of quotas");
    assert!(older.throttle_time_ms > 0);
    let other = home.connect("other").await;
    let free = other
        .call_at(creation("fourth", 9), 7, DEADLINE)
        .await
        .expect("an answer");
    assert_eq!((code(&free), free.throttle_time_ms), (0, 0));
}

#[tokio::test]
async fn time_that_is_taken_has_to_be_paid_for() {
    let home = Home::quick().await;
    let busy = home.connect("busy").await;
    let answer = busy
        .call(ListGroupsRequest::default(), DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(answer.throttle_time_ms, 0);
    // A ten-thousandth of a percent is a microsecond for each second.
    home.set(&[("user", None)], "request_percentage", Some(0.000_1)).await;
    let first = busy
        .call(ListGroupsRequest::default(), DEADLINE)
        .await
        .expect("an answer");
    assert_eq!(first.throttle_time_ms, 1_000, "never more than a sample");
    let began = Instant::now();
    busy.call(ListGroupsRequest::default(), DEADLINE)
        .await
        .expect("an answer");
    assert!(began.elapsed() >= Duration::from_millis(750), "it was not heard before");
}

#[tokio::test]
async fn quotas_are_described_as_they_were_set() {
    let home = Home::quick().await;
    home.set(
        &[("user", Some("alice")), ("client-id", None)],
        "producer_byte_rate",
        Some(5e6),
    )
    .await;
    home.set(&[("user", Some("alice"))], "request_percentage", Some(12.5))
        .await;
    home.set(&[("ip", Some("10.1.2.3"))], "connection_creation_rate", Some(7.0))
        .await;
    let filter = ComponentData::default()
        .with_entity_type(text("user"))
        .with_match_type(0)
        .with_match(Some(text("alice")));
    let request = DescribeClientQuotasRequest::default().with_components(vec![filter]);
    let admin = home.connect("admin").await;
    let answer = admin.call(request.clone(), DEADLINE).await.expect("an answer");
    assert_eq!(answer.entries.expect("some").len(), 2);
    let strict = admin
        .call(request.with_strict(true), DEADLINE)
        .await
        .expect("an answer");
    let entries = strict.entries.expect("some");
    let [entry] = &entries[..] else {
        panic!("only the one without a client id: {entries:?}")
    };
    assert_eq!(
        (entry.values[0].key.as_str(), entry.values[0].value),
        ("request_percentage", 12.5)
    );
}

/// Whether the broker answers on a new connection; it closes those that it turns away.
async fn answers(address: &str) -> bool {
    // ApiVersions v0, correlation id 1, no client id.
    const REQUEST: &[u8] = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // A connection that is closed already may refuse the bytes.
    let _ = stream.write_all(REQUEST).await;
    let mut length = [0; 4];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut length))
        .await
        .expect("an answer or an end")
        .is_ok()
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_turned_away_until_its_quota_goes() {
    let home = Home::quick().await;
    let address = home.cluster.bootstrap();
    for _ in 0..20 {
        assert!(answers(&address).await, "there is no quota");
    }
    let entity = [("ip", Some("127.0.0.1"))];
    home.set(&entity, "connection_creation_rate", Some(1.0)).await;
    let admin = home.connect("held").await;
    let mut turned_away = 0;
    for _ in 0..10 {
        turned_away += usize::from(!answers(&address).await);
    }
    assert!(turned_away >= 3, "{turned_away} of 10");
    // Whoever is connected is not touched.
    let part = EntityData::default()
        .with_entity_type(text("ip"))
        .with_entity_name(Some(text("127.0.0.1")));
    let op = OpData::default()
        .with_key(text("connection_creation_rate"))
        .with_remove(true);
    let entry = EntryData::default().with_entity(vec![part]).with_ops(vec![op]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let answer = admin.call(request, DEADLINE).await.expect("an answer");
    assert_eq!(answer.entries[0].error_code, 0);
    for _ in 0..20 {
        assert!(answers(&address).await, "the quota is gone");
    }
}

#[tokio::test]
async fn a_broker_takes_only_so_many_connections_from_an_address() {
    let home = Home::start(&[("max.connections.per.ip.overrides", "127.0.0.1:6")]).await;
    let address = home.cluster.bootstrap();
    let mut held = Vec::new();
    let turned_away = loop {
        let client = Client::connect(&address, &ClientConfig::default()).await;
        match client {
            Ok(client) => held.push(client),
            Err(_) => break held.len(),
        }
        assert!(held.len() <= 6, "all were taken");
    };
    assert!((1..=6).contains(&turned_away), "{turned_away} were taken");
    drop(held);
    let until = Instant::now() + DEADLINE;
    while !answers(&address).await {
        assert!(Instant::now() < until, "places do not become free");
    }
}
