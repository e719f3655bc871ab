//! Compaction as clients see it: a topic that holds each key once, whatever was written, on every replica and after
//! a restart with SIGKILL.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};

const DEADLINE: Duration = Duration::from_secs(90);
const TOPIC: &str = "prices";
const KEYS: usize = 20;
/// Of a KiB each: more than three segments of the least size that Kafka 4 allows.
const RECORDS: usize = 3_600;

fn client(cluster: &Cluster) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    config
}

/// How many records are there, and the last one of each key.
async fn read(cluster: &Cluster) -> (usize, BTreeMap<String, String>) {
    let consumer: BaseConsumer = client(cluster)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let reading = tokio::task::spawn_blocking(move || {
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(TOPIC, 0, Offset::Beginning)
            .expect("an offset");
        consumer.assign(&all).expect("assigns");
        let (mut count, mut latest, mut before) = (0, BTreeMap::new(), -1);
        let until = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < until, "the end was not reached");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    assert!(message.offset() > before, "in order");
                    before = message.offset();
                    count += 1;
                    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("bytes").to_vec()).expect("text");
                    latest.insert(text(message.key()), text(message.payload()));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return (count, latest),
                Some(Err(error)) => eprintln!("reading: {error}"),
                None => {}
            }
        }
    });
    reading.await.expect("reads")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_holds_each_key_once_and_survives_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir.path(), 0);
    config.processes = Some(PathBuf::from(env!("CARGO_BIN_EXE_azimuth-broker")));
    let overrides = [
        ("log.cleaner.backoff.ms", "100"),
        ("broker.session.timeout.ms", "1000"),
        ("broker.heartbeat.interval.ms", "100"),
    ];
    config.overrides = overrides
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    let mut cluster = Cluster::start(config).await.expect("a cluster");
    let admin: AdminClient<DefaultClientContext> = client(&cluster).create().expect("an admin client");
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(3))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "1048576")
        .set("min.cleanable.dirty.ratio", "0.01");
    let created = admin
        .create_topics(&[topic], &AdminOptions::new())
        .await
        .expect("an answer");
    assert!(created[0].is_ok(), "{created:?}");
    let producer: BaseProducer = client(&cluster).set("acks", "all").create().expect("a producer");
    let written = tokio::task::spawn_blocking(move || {
        let mut latest = BTreeMap::new();
        for number in 0..RECORDS {
            let (key, value) = (format!("k{}", number % KEYS), format!("{number:0>1000}"));
            let record = BaseRecord::to(TOPIC).partition(0).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).expect("is queued");
            producer.poll(Duration::ZERO);
            latest.insert(key, value);
        }
        producer.flush(DEADLINE).expect("is written");
        latest
    });
    let written = written.await.expect("writes");
    // Each broker compacts its own replica: whoever leads after the others died has to hold the same.
    for victim in [1, 2, 3, 1] {
        let until = Instant::now() + DEADLINE;
        loop {
            let (count, latest) = read(&cluster).await;
            assert_eq!(latest, written);
            // What is in the active segment is not compacted.
            if count < RECORDS / 2 {
                break;
            }
            assert!(Instant::now() < until, "{count} of {RECORDS} records are left");
        }
        cluster.kill(NodeId(victim)).await;
        cluster.restart(NodeId(victim)).await.expect("comes back");
    }
}
