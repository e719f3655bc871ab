//! What librdkafka does with a cluster in ordinary life: every codec, groups that change, administration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::record::{self, Compression};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
/// When the records of these tests were made, by their own account: milliseconds since 1970.
const MADE_AT: i64 = 1_700_000_000_000;

/// Three brokers in this process.
struct Home {
    cluster: Cluster,
    dir: TempDir,
    admin: AdminClient<DefaultClientContext>,
}

impl Home {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir.path(), 0);
        config.overrides = [
            ("group.initial.rebalance.delay.ms", "100"),
            ("offsets.topic.num.partitions", "4"),
            ("group.consumer.heartbeat.interval.ms", "100"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let cluster = Cluster::start(config).await.expect("a cluster");
        let admin = client(&cluster, &[]).create().expect("an admin client");
        Self { cluster, dir, admin }
    }

    fn client(&self, settings: &[(&str, &str)]) -> rdkafka::ClientConfig {
        client(&self.cluster, settings)
    }

    fn producer(&self, settings: &[(&str, &str)]) -> FutureProducer {
        self.client(&[&[("acks", "all"), ("linger.ms", "20")], settings].concat())
            .create()
            .expect("a producer")
    }

    async fn create(&self, topic: &str, partitions: i32) {
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        let created = self.admin.create_topics(&[topic], &options).await.expect("an answer");
        assert!(created[0].is_ok(), "{created:?}");
    }

    /// Reads `count` records of partition 0 and gives each to `take`.
    async fn read(&self, topic: &str, count: usize, take: impl FnMut(&BorrowedMessage<'_>) + Send + 'static) {
        let consumer: BaseConsumer = self
            .client(&[("group.id", "unused"), ("enable.auto.commit", "false")])
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(topic, 0, Offset::Beginning)
            .expect("an offset");
        consumer.assign(&all).expect("assigns");
        let mut take = take;
        let reading = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + DEADLINE;
            let mut left = count;
            while left > 0 {
                assert!(Instant::now() < until, "{left} of {count} records are missing");
                if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                    take(&message.expect("a record"));
                    left -= 1;
                }
            }
        });
        reading.await.expect("reads");
    }

    /// How the batches of partition 0 are stored on every broker.
    fn stored(&self, topic: &str) -> Vec<(usize, Compression)> {
        let mut found = Vec::new();
        for broker in 1..=3 {
            let folder = self.dir.path().join(format!("broker-{broker}/data/{topic}-0"));
            let segment = std::fs::read(folder.join("00000000000000000000.log")).expect("a segment");
            for batch in record::batches(segment.into()) {
                let compression = batch.expect("a batch").header.compression().expect("a codec");
                found.push((broker, compression));
            }
        }
        found.dedup();
        found
    }
}

fn client(cluster: &Cluster, settings: &[(&str, &str)]) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// Asks again until the answer is yes.
async fn until(what: &str, mut ask: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !ask() {
        assert!(Instant::now() < until, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_is_stored_as_it_was_sent_and_read_back() {
    let home = Home::start().await;
    let codecs = [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (codec, compression) in codecs {
        home.create(codec, 1).await;
        let producer = home.producer(&[("compression.type", codec), ("enable.idempotence", "true")]);
        let sends = (0..100).map(|number: i64| {
            let producer = &producer;
            async move {
                let value = format!("record {number} ").repeat(50);
                let headers = OwnedHeaders::new()
                    .insert(Header {
                        key: "twice",
                        value: Some("1"),
                    })
                    .insert(Header {
                        key: "twice",
                        value: Some("2"),
                    })
                    .insert(Header::<&str> {
                        key: "none",
                        value: None,
                    });
                let record = FutureRecord::to(codec)
                    .key(codec)
                    .payload(&value)
                    .headers(headers)
                    .timestamp(MADE_AT + number);
                producer.send(record, DEADLINE).await.expect("acknowledged");
            }
        });
        futures::future::join_all(sends).await;
        assert_eq!(
            home.stored(codec),
            [1, 2, 3].map(|broker| (broker, compression)),
            "{codec}"
        );
        let mut next = 0;
        home.read(codec, 100, move |message| {
            assert_eq!(message.offset(), next);
            assert_eq!(message.timestamp(), Timestamp::CreateTime(MADE_AT + next));
            assert_eq!(message.key(), Some(codec.as_bytes()));
            let value = format!("record {next} ").repeat(50);
            assert_eq!(message.payload(), Some(value.as_bytes()));
            let headers = message.headers().expect("headers");
            let headers: Vec<_> = headers.iter().map(|header| (header.key, header.value)).collect();
            assert_eq!(
                headers,
                [("twice", Some(&b"1"[..])), ("twice", Some(b"2")), ("none", None)]
            );
            next += 1;
        })
        .await;
    }
    home.cluster.shutdown().await;
}

/// A member of a group on a thread of its own, which reads until it is told to leave.
struct Member {
    leave: Arc<AtomicBool>,
    assigned: Arc<Mutex<BTreeSet<i32>>>,
    thread: std::thread::JoinHandle<()>,
}

/// How often each record was read, by all members of a group.
type Readings = Arc<Mutex<BTreeMap<u32, usize>>>;

impl Member {
    fn join(home: &Home, assignor: &str, readings: &Readings) -> Self {
        let protocol: &[(&str, &str)] = match assignor {
            "uniform" => &[("group.protocol", "consumer"), ("group.remote.assignor", "uniform")],
            _ => &[
                ("partition.assignment.strategy", assignor),
                ("heartbeat.interval.ms", "100"),
            ],
        };
        let always = [
            ("group.id", assignor),
            ("auto.offset.reset", "earliest"),
            ("auto.commit.interval.ms", "100"),
        ];
        let consumer: BaseConsumer = home
            .client(&[&always[..], protocol].concat())
            .create()
            .expect("a consumer");
        consumer.subscribe(&[assignor]).expect("subscribes");
        let (leave, assigned) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let thread = {
            let (leave, assigned, readings) = (Arc::clone(&leave), Arc::clone(&assigned), Arc::clone(readings));
            std::thread::spawn(move || read_on(&consumer, &leave, &assigned, &readings))
        };
        Self {
            leave,
            assigned,
            thread,
        }
    }

    fn count(&self) -> usize {
        self.assigned.lock().expect("no member panics").len()
    }

    async fn leave(self) {
        self.leave.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| self.thread.join().expect("the member does not panic"))
            .await
            .expect("it ends");
    }
}

fn read_on(consumer: &BaseConsumer, leave: &AtomicBool, assigned: &Mutex<BTreeSet<i32>>, readings: &Readings) {
    while !leave.load(Ordering::Relaxed) {
        if let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let message = message.expect("a record");
            let value = message.payload_view::<str>().expect("a value").expect("text");
            let mut readings = readings.lock().expect("no member panics");
            *readings.entry(value.parse().expect("a number")).or_default() += 1;
        }
        let assignment = consumer.assignment().expect("an assignment");
        let partitions = assignment.elements().iter().map(|one| one.partition()).collect();
        *assigned.lock().expect("no member panics") = partitions;
    }
}

async fn produce(home: &Home, topic: &str, ids: std::ops::Range<u32>) {
    let producer = home.producer(&[]);
    let sends = ids.map(|id| {
        let producer = &producer;
        async move {
            let value = id.to_string();
            let record = FutureRecord::<(), _>::to(topic)
                .partition((id % PARTITIONS as u32) as i32)
                .payload(&value);
            producer.send(record, DEADLINE).await.expect("acknowledged");
        }
    });
    futures::future::join_all(sends).await;
}

async fn rebalance(assignor: &str) {
    let home = Home::start().await;
    home.create(assignor, PARTITIONS).await;
    let readings = Readings::default();
    let all_read = |count: usize| {
        let readings = Arc::clone(&readings);
        move || readings.lock().expect("no member panics").len() == count
    };
    let one = Member::join(&home, assignor, &readings);
    until("one has everything", || one.count() == 4).await;
    produce(&home, assignor, 0..200).await;
    until("it reads", all_read(200)).await;
    let two = Member::join(&home, assignor, &readings);
    until("both have a half", || (one.count(), two.count()) == (2, 2)).await;
    produce(&home, assignor, 200..400).await;
    until("both read", all_read(400)).await;
    one.leave().await;
    until("two has everything", || two.count() == 4).await;
    produce(&home, assignor, 400..600).await;
    until("it reads on", all_read(600)).await;
    two.leave().await;
    // Every member committed what it had read before it gave a partition up.
    let readings = std::mem::take(&mut *readings.lock().expect("no member panics"));
    assert!(readings.values().all(|times| *times == 1), "{readings:?}");
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_rebalances_as_members_come_and_go() {
    rebalance("range").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cooperative_group_rebalances_as_members_come_and_go() {
    rebalance("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_the_consumer_protocol_rebalances_as_members_come_and_go() {
    rebalance("uniform").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_configs_records_and_groups_are_administered() {
    let home = Home::start().await;
    home.create("orders", 1).await;
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let admin = &home.admin;

    let again = NewTopic::new("orders", 1, TopicReplication::Fixed(3));
    let refused = admin.create_topics(&[again], &options).await.expect("an answer");
    assert_eq!(
        refused[0],
        Err(("orders".to_owned(), RDKafkaErrorCode::TopicAlreadyExists))
    );
    let more = NewPartitions::new("orders", PARTITIONS as usize);
    let grown = admin.create_partitions(&[more], &options).await.expect("an answer");
    assert_eq!(grown[0], Ok("orders".to_owned()));
    until("all partitions are there", || {
        let metadata = admin
            .inner()
            .fetch_metadata(Some("orders"), DEADLINE)
            .expect("metadata");
        let partitions = metadata.topics()[0].partitions();
        partitions.len() == PARTITIONS as usize && partitions.iter().all(|one| one.isr().len() == 3)
    })
    .await;

    let change = AlterConfig::new(ResourceSpecifier::Topic("orders")).set("retention.ms", "3600000");
    let changed = admin.alter_configs(&[change], &options).await.expect("an answer");
    assert!(changed[0].is_ok(), "{changed:?}");
    let described = admin
        .describe_configs(&[ResourceSpecifier::Topic("orders")], &options)
        .await;
    let described = described.expect("an answer").remove(0).expect("configs");
    let retention = described.get("retention.ms").expect("it is there");
    assert_eq!(retention.value.as_deref(), Some("3600000"));
    assert_eq!(retention.source, ConfigSource::DynamicTopic);

    produce(&home, "orders", 0..400).await;
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset("orders", 1, Offset::Offset(60))
        .expect("an offset");
    admin.delete_records(&before, &options).await.expect("an answer");
    let marks = admin
        .inner()
        .fetch_watermarks("orders", 1, DEADLINE)
        .expect("watermarks");
    assert_eq!(marks, (60, 100));

    let committer: BaseConsumer = home.client(&[("group.id", "billing")]).create().expect("a consumer");
    committer
        .commit(&before, rdkafka::consumer::CommitMode::Sync)
        .expect("commits");
    let committed = committer.committed_offsets(before.clone(), DEADLINE).expect("offsets");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(60));
    let groups = committer.fetch_group_list(None, DEADLINE).expect("groups");
    assert!(groups.groups().iter().any(|group| group.name() == "billing"));
    drop(committer);
    let deleted = admin.delete_groups(&["billing"], &options).await.expect("an answer");
    assert_eq!(deleted[0], Ok("billing".to_owned()));

    let gone = admin.delete_topics(&["orders"], &options).await.expect("an answer");
    assert_eq!(gone[0], Ok("orders".to_owned()));
    let again = admin.delete_topics(&["orders"], &options).await.expect("an answer");
    assert_eq!(
        again[0],
        Err(("orders".to_owned(), RDKafkaErrorCode::UnknownTopicOrPartition))
    );
    home.cluster.shutdown().await;
}
