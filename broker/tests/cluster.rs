//! A whole cluster with a real client (librdkafka): what is acknowledged survives the loss of any node.

use std::collections::BTreeSet;
use std::time::Duration;

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
use tempfile::TempDir;

#[path = "cluster/replication.rs"]
mod replication;

const DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;

/// A cluster and the folder it lives in.
struct Home {
    cluster: Cluster,
    _dir: TempDir,
}

impl Home {
    async fn start(nodes: u16) -> Self {
        Self::start_with(nodes, |_| {}).await
    }

    /// As [`Home::start`], of a configuration that is changed first.
    async fn start_with(nodes: u16, change: impl FnOnce(&mut ClusterConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let racks = ["a", "b", "c"].map(str::to_owned);
        let mut config = ClusterConfig::local(nodes, &racks, dir.path(), 0);
        // Failures are noticed in test time, not in production time.
        config.overrides = [
            ("broker.session.timeout.ms", "1500"),
            ("broker.heartbeat.interval.ms", "200"),
            ("replica.lag.time.max.ms", "1500"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        change(&mut config);
        let cluster = Cluster::start(config).await.expect("a cluster");
        Self { cluster, _dir: dir }
    }

    /// A connection to the first broker that answers.
    async fn client(&self) -> Client {
        self.client_besides(NodeId::NONE).await
    }

    async fn client_besides(&self, not: NodeId) -> Client {
        let brokers = self.cluster.ids().into_iter().zip(self.cluster.addresses());
        let asked: Vec<String> = brokers.filter(|(id, _)| *id != not).map(|(_, addr)| addr).collect();
        within("a broker answers", async || {
            for addr in &asked {
                if let Ok(client) = Client::connect(addr, &ClientConfig::default()).await {
                    return Some(client);
                }
            }
            None
        })
        .await
    }

    async fn create(&self, topic: &str, replicas: i16) {
        let min_isr = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("min.insync.replicas"))
            .with_value(Some(StrBytes::from_string(((replicas + 1) / 2).to_string())));
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(PARTITIONS)
            .with_replication_factor(replicas)
            .with_configs(vec![min_isr]);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.client().await.call(request, DEADLINE).await.expect("an answer");
        assert_eq!(
            response.topics[0].error_code, 0,
            "{:?}",
            response.topics[0].error_message
        );
    }

    async fn partitions(&self, topic: &str) -> Vec<MetadataResponsePartition> {
        Self::partitions_as_seen_by(&self.client().await, topic).await
    }

    async fn partitions_as_seen_by(client: &Client, topic: &str) -> Vec<MetadataResponsePartition> {
        let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let mut response = client.call(request, DEADLINE).await.expect("an answer");
        response.topics.remove(0).partitions
    }

    /// Waits until every partition has a leader and `isr` replicas in sync.
    async fn in_sync(&self, topic: &str, isr: usize) {
        within("all replicas are in sync", async || {
            let partitions = self.partitions(topic).await;
            let good =
                |partition: &MetadataResponsePartition| partition.leader_id.0 >= 0 && partition.isr_nodes.len() == isr;
            (partitions.len() == PARTITIONS as usize && partitions.iter().all(good)).then_some(())
        })
        .await;
    }

    async fn leader(&self, topic: &str, partition: usize) -> NodeId {
        within("the partition has a leader", async || {
            let partitions = self.partitions(topic).await;
            let leader = partitions.get(partition)?.leader_id.0;
            (leader >= 0).then_some(NodeId(leader))
        })
        .await
    }

    fn producer(&self) -> FutureProducer {
        Self::producer_at(&self.cluster.bootstrap())
    }

    fn producer_at(bootstrap: &str) -> FutureProducer {
        rdkafka::ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("acks", "all")
            .set("message.timeout.ms", "60000")
            .create()
            .expect("a producer")
    }

    /// Produces `ids` as values, and returns when all are acknowledged.
    async fn produce(&self, producer: &FutureProducer, topic: &str, ids: std::ops::Range<u32>) {
        let sends = ids.map(|id| async move {
            let value = id.to_string();
            let record = FutureRecord::<(), _>::to(topic)
                .partition(id as i32 % PARTITIONS)
                .payload(&value);
            producer.send(record, DEADLINE).await
        });
        for sent in futures::future::join_all(sends).await {
            sent.expect("acknowledged");
        }
    }

    /// Reads every record of the topic, until all of `ids` were seen.
    async fn consume(&self, topic: &str, ids: std::ops::Range<u32>) {
        let bootstrap = self.cluster.bootstrap();
        let topic = topic.to_owned();
        let read = tokio::task::spawn_blocking(move || read_all(&bootstrap, &topic, &ids.collect()));
        let missing = read.await.expect("reads");
        assert_eq!(missing, BTreeSet::new(), "acknowledged and not there");
    }
}

/// What of `expected` is not in the topic after all of it was read.
fn read_all(bootstrap: &str, topic: &str, expected: &BTreeSet<u32>) -> BTreeSet<u32> {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&all).expect("assigns");
    let mut missing = expected.clone();
    let until = std::time::Instant::now() + DEADLINE;
    while !missing.is_empty() && std::time::Instant::now() < until {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let value = message.payload_view::<str>().expect("a value").expect("text");
            missing.remove(&value.parse().expect("a number"));
        }
    }
    missing
}

fn name(topic: &str) -> TopicName {
    StrBytes::from_string(topic.to_owned()).into()
}

/// Asks again until there is an answer.
async fn within<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    asked
        .await
        .unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_serves_what_was_produced_also_after_a_restart() {
    let mut home = Home::start(1).await;
    home.create("orders", 1).await;
    home.produce(&home.producer(), "orders", 0..300).await;
    home.consume("orders", 0..300).await;

    home.cluster.stop(NodeId(1)).await;
    home.cluster.restart(NodeId(1)).await.expect("starts");
    home.cluster.serving(NodeId(1)).await.expect("serves");
    home.produce(&home.producer(), "orders", 300..400).await;
    home.consume("orders", 0..400).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let mut home = Home::start(3).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    let producer = home.producer();
    home.produce(&producer, "orders", 0..200).await;
    for round in 1..=3_u32 {
        let leader = home.leader("orders", 0).await;
        home.cluster.kill(leader).await;
        home.produce(&producer, "orders", round * 200..(round + 1) * 200).await;
        home.cluster.restart(leader).await.expect("starts");
        home.cluster.serving(leader).await.expect("serves");
        home.in_sync("orders", 3).await;
    }
    home.consume("orders", 0..800).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_controller_produce_goes_on_and_elections_wait() {
    let mut home = Home::start(3).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    let producer = home.producer();
    home.cluster.kill(CONTROLLER).await;
    home.produce(&producer, "orders", 0..100).await;

    let leader = home.leader("orders", 1).await;
    home.cluster.kill(leader).await;
    home.cluster.restart(CONTROLLER).await.expect("starts");
    home.produce(&producer, "orders", 100..200).await;
    assert_ne!(home.leader("orders", 1).await, leader);
    home.cluster.restart(leader).await.expect("starts");
    home.in_sync("orders", 3).await;
    home.consume("orders", 0..200).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_from_its_peers_is_replaced_and_comes_back() {
    let home = Home::start(3).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    let producer = home.producer();
    home.produce(&producer, "orders", 0..100).await;
    let leader = home.leader("orders", 2).await;
    home.cluster.cut(leader);
    let other = home.client_besides(leader).await;
    within("another broker leads", async || {
        let seen = Home::partitions_as_seen_by(&other, "orders").await;
        (seen[2].leader_id.0 >= 0 && seen[2].leader_id.0 != leader.0).then_some(())
    })
    .await;
    // The one that is cut off does not know it. A client that asks it first is told to wait, as by Kafka, so ask another.
    let producer = Home::producer_at(other.addr());
    home.produce(&producer, "orders", 100..200).await;
    home.cluster.heal(leader);
    home.in_sync("orders", 3).await;
    home.consume("orders", 0..200).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_everything_keeps_topics_and_records() {
    let mut home = Home::start(3).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    home.produce(&home.producer(), "orders", 0..100).await;
    for id in home.cluster.ids().into_iter().chain([CONTROLLER]) {
        home.cluster.kill(id).await;
    }
    for id in [CONTROLLER].into_iter().chain(home.cluster.ids()) {
        home.cluster.restart(id).await.expect("starts");
    }
    home.in_sync("orders", 3).await;
    home.consume("orders", 0..100).await;
    home.cluster.shutdown().await;
}
