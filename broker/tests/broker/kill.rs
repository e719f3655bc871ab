//! One process for each node, ended with SIGKILL while a real client produces: every acknowledged record is read back,
//! at the offset that was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{CONTROLLER, Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::task::JoinSet;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const DEADLINE: Duration = Duration::from_secs(90);
/// `broker.session.timeout.ms`. A controller that is back gives every broker this long to tell that it is alive.
const SESSION: Duration = Duration::from_millis(1000);
/// What an election may take beyond that.
const ELECTED_WITHIN: Duration = Duration::from_secs(1);
/// Records on their way at any time.
const SENDERS: u64 = 64;

/// Three rounds in an ordinary run, twenty in a heavy one.
fn rounds() -> usize {
    if std::env::var_os("AZIMUTH_HEAVY").is_some() {
        20
    } else {
        3
    }
}

/// What was acknowledged: partition and offset by the record's id.
type Acknowledged = BTreeMap<u64, (i32, i64)>;

async fn start(dir: &Path) -> Cluster {
    start_with(dir, SESSION).await
}

async fn start_with(dir: &Path, session: Duration) -> Cluster {
    let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir, 0);
    config.processes = Some(env!("CARGO_BIN_EXE_azimuth-broker").into());
    // Failures are noticed in test time, not in production time.
    config.overrides = [
        ("broker.session.timeout.ms", session.as_millis().to_string()),
        ("broker.heartbeat.interval.ms", "100".to_owned()),
        ("replica.lag.time.max.ms", "2000".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    let cluster = Cluster::start(config).await.expect("a cluster");
    create(&cluster).await;
    in_sync(&cluster).await;
    cluster
}

async fn create(cluster: &Cluster) {
    let min_isr = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("min.insync.replicas"))
        .with_value(Some(StrBytes::from_static_str("2")));
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_num_partitions(PARTITIONS)
        .with_replication_factor(3)
        .with_configs(vec![min_isr]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let client = client(cluster).await.expect("a broker answers");
    let response = client.call(request, DEADLINE).await.expect("an answer");
    assert_eq!(
        response.topics[0].error_code, 0,
        "{:?}",
        response.topics[0].error_message
    );
}

async fn client(cluster: &Cluster) -> Option<Client> {
    for addr in cluster.addresses() {
        if let Ok(client) = Client::connect(&addr, &ClientConfig::default()).await {
            return Some(client);
        }
    }
    None
}

async fn partitions(cluster: &Cluster) -> Option<Vec<MetadataResponsePartition>> {
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let client = client(cluster).await?;
    let response = client.call(request, Duration::from_secs(5)).await.ok()?;
    let topic = response.topics.into_iter().next()?;
    (topic.partitions.len() == PARTITIONS as usize).then_some(topic.partitions)
}

/// Waits until `good` holds for every partition.
async fn until(cluster: &Cluster, what: &str, good: impl Fn(&MetadataResponsePartition) -> bool) {
    let until = Instant::now() + DEADLINE;
    loop {
        if partitions(cluster).await.is_some_and(|all| all.iter().all(&good)) {
            return;
        }
        assert!(Instant::now() < until, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn in_sync(cluster: &Cluster) {
    until(cluster, "all replicas are in sync", |partition| {
        partition.isr_nodes.len() == 3
    })
    .await;
}

/// Clients that send numbered records, one after the other each, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    senders: JoinSet<()>,
}

impl Load {
    fn start(cluster: &Cluster) -> Self {
        let producer: FutureProducer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap())
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "60000")
            .set("retry.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a producer");
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Acknowledged::new()));
        let next = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (producer, stop) = (producer.clone(), Arc::clone(&stop));
            let (acknowledged, next) = (Arc::clone(&acknowledged), Arc::clone(&next));
            senders.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    let value = id.to_string();
                    let record = FutureRecord::<(), _>::to(TOPIC)
                        .partition((id % PARTITIONS as u64) as i32)
                        .payload(&value);
                    if let Ok(at) = producer.send(record, DEADLINE).await {
                        let mut all = acknowledged.lock().expect("no sender panics");
                        all.insert(id, (at.partition, at.offset));
                    }
                }
            });
        }
        Self {
            stop,
            acknowledged,
            senders,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no sender panics").len()
    }

    /// Waits until so many more are acknowledged.
    async fn advance(&self, by: usize) {
        let target = self.count() + by;
        let until = Instant::now() + DEADLINE;
        while self.count() < target {
            assert!(Instant::now() < until, "{} of {target} acknowledged", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn finish(mut self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(sender) = self.senders.join_next().await {
            sender.expect("no sender panics");
        }
        std::mem::take(&mut self.acknowledged.lock().expect("no sender panics"))
    }
}

/// What of `acknowledged` is not in the topic where it was acknowledged.
fn missing(bootstrap: &str, mut acknowledged: Acknowledged) -> Acknowledged {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&all).expect("assigns");
    let until = Instant::now() + DEADLINE;
    while !acknowledged.is_empty() && Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let id = message.payload_view::<str>().expect("a value").expect("text");
            let id: u64 = id.parse().expect("a number");
            // Sent again after a timeout it may be there twice; one of them is where it was acknowledged.
            if acknowledged.get(&id) == Some(&(message.partition(), message.offset())) {
                acknowledged.remove(&id);
            }
        }
    }
    acknowledged
}

/// Reads everything back: whatever was acknowledged must be where it was acknowledged.
async fn nothing_is_lost(cluster: &Cluster, acknowledged: Acknowledged) {
    let bootstrap = cluster.bootstrap();
    let count = acknowledged.len();
    let lost = tokio::task::spawn_blocking(move || missing(&bootstrap, acknowledged)).await;
    assert_eq!(lost.expect("reads"), Acknowledged::new(), "acknowledged and not there");
    println!("{count} acknowledged, none lost");
}

/// How long it takes until a partition that `dead` led is led by another.
async fn replaced(cluster: &Cluster, dead: NodeId) -> Duration {
    let begun = Instant::now();
    until(cluster, "another leads", |partition| {
        partition.leader_id.0 >= 0 && partition.leader_id.0 != dead.0
    })
    .await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_record_is_lost_when_leaders_are_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = start(dir.path()).await;
    let load = Load::start(&cluster);
    load.advance(500).await;
    for round in 0..rounds() {
        let leaders = partitions(&cluster).await.expect("metadata");
        let leader = NodeId(leaders[round % PARTITIONS as usize].leader_id.0);
        cluster.kill(leader).await;
        let replaced = replaced(&cluster, leader).await;
        // Under load, with another leader, before and after the killed one is back.
        load.advance(500).await;
        cluster.restart(leader).await.expect("starts");
        load.advance(500).await;
        let returned = Instant::now();
        in_sync(&cluster).await;
        println!(
            "round {round}: another leader after {replaced:.1?}, in sync {:.1?} after the restart, {} acknowledged",
            returned.elapsed(),
            load.count()
        );
    }
    let acknowledged = load.finish().await;
    assert!(acknowledged.len() > rounds() * 1000);
    nothing_is_lost(&cluster, acknowledged).await;
    cluster.shutdown().await;
}

/// Its session would go on for an hour: that its process has ended is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_killed_is_replaced_before_its_session_is_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = start_with(dir.path(), Duration::from_secs(3600)).await;
    let load = Load::start(&cluster);
    load.advance(500).await;
    let leader = NodeId(partitions(&cluster).await.expect("metadata")[0].leader_id.0);
    cluster.kill(leader).await;
    replaced(&cluster, leader).await;
    load.advance(500).await;
    cluster.restart(leader).await.expect("starts");
    in_sync(&cluster).await;
    nothing_is_lost(&cluster, load.finish().await).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn produce_goes_on_while_the_controller_is_killed_and_elections_follow() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = start(dir.path()).await;
    let load = Load::start(&cluster);
    load.advance(500).await;
    for round in 0..rounds() {
        cluster.kill(CONTROLLER).await;
        load.advance(1000).await;
        let leaders = partitions(&cluster).await.expect("metadata");
        let leader = NodeId(leaders[round % PARTITIONS as usize].leader_id.0);
        cluster.kill(leader).await;
        cluster.restart(CONTROLLER).await.expect("starts");
        let replaced = replaced(&cluster, leader).await;
        println!("round {round}: another leader {replaced:.1?} after the controller was back");
        assert!(replaced < SESSION + ELECTED_WITHIN, "{replaced:?}");
        load.advance(500).await;
        cluster.restart(leader).await.expect("starts");
        in_sync(&cluster).await;
    }
    let acknowledged = load.finish().await;
    assert!(acknowledged.len() > rounds() * 1500);
    nothing_is_lost(&cluster, acknowledged).await;
    cluster.shutdown().await;
}
