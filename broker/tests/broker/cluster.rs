//! A whole cluster with a real client (librdkafka): what is acknowledged survives the loss of any node.

use std::collections::BTreeSet;
use std::time::Duration;

use azimuth_broker::cluster::{CONTROLLER, Cluster, ClusterConfig};
use azimuth_broker::env::disk::{Disk, Fault};
use azimuth_broker::id::NodeId;
use azimuth_broker::node::Status;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, CreateTopicsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
    MetadataRequest, TopicName,
};
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
        self.produce_padded(producer, topic, ids, 1).await;
    }

    /// As [`Home::produce`], with values of at least `width` bytes.
    async fn produce_padded(&self, producer: &FutureProducer, topic: &str, ids: std::ops::Range<u32>, width: usize) {
        let sends = ids.map(|id| async move {
            let value = format!("{id:0>width$}");
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

/// Two log directories for each broker, on a disk whose operations can be made to fail.
fn two_dirs(config: &mut ClusterConfig, disk: &Disk) {
    config.disk = disk.clone();
    for node in &mut config.nodes {
        let dir = |name: &str| config.dir.join(format!("broker-{}-{name}", node.id));
        node.log_dirs = vec![dir("a"), dir("b")];
    }
}

/// A log directory: its path, its error, and the partitions in it by topic.
type LogDir = (String, i16, Vec<(String, i32)>);

/// The log directories of the broker that `client` is connected to.
async fn log_dirs(client: &Client) -> Vec<LogDir> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let response = client.call(request, DEADLINE).await.expect("an answer");
    let dir = |dir: DescribeLogDirsResult| {
        let partitions = dir.topics.iter().flat_map(|topic| {
            let pair = |partition: &DescribeLogDirsPartition| (topic.name.to_string(), partition.partition_index);
            topic.partitions.iter().map(pair)
        });
        let partitions = partitions.collect();
        (dir.log_dir.to_string(), dir.error_code, partitions)
    };
    response.results.into_iter().map(dir).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dying_log_directory_loses_nothing_and_stops_nobody_else() {
    let disk = Disk::real().faulty();
    let mut home = Home::start_with(3, |config| two_dirs(config, &disk)).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    let producer = home.producer();
    home.produce(&producer, "orders", 0..200).await;

    // The disk dies under the partition that broker `victim` leads.
    let victim = home.leader("orders", 0).await;
    let address = home.cluster.addresses()[usize::try_from(victim.0 - 1).expect("an index")].clone();
    let client = Client::connect(&address, &ClientConfig::default())
        .await
        .expect("connects");
    let before = log_dirs(&client).await;
    let (dead, _, held) = before
        .iter()
        .find(|(_, _, held)| held.contains(&("orders".to_owned(), 0)))
        .expect("it is somewhere")
        .clone();
    let (sound, _, others) = before.iter().find(|(path, _, _)| *path != dead).expect("two").clone();
    assert!(!others.is_empty(), "partitions are spread over both: {before:?}");
    disk.inject(Fault::Write, &dead);
    home.produce(&producer, "orders", 200..400).await;
    within("leadership moves", async || {
        let partitions = home.partitions("orders").await;
        let lost = |index: i32| held.contains(&("orders".to_owned(), index));
        let good = partitions.iter().all(|partition| {
            let offline = partition.offline_replicas.iter().any(|id| id.0 == victim.0);
            let led = partition.leader_id.0 >= 0 && !(offline && partition.leader_id.0 == victim.0);
            offline == lost(partition.partition_index) && led
        });
        good.then_some(())
    })
    .await;
    let after = log_dirs(&client).await;
    let find = |path: &str| {
        after
            .iter()
            .find(|(at, _, _)| at == path)
            .expect("still listed")
            .clone()
    };
    assert_eq!(find(&dead), (dead.clone(), 56, Vec::new()), "KAFKA_STORAGE_ERROR");
    assert_eq!(find(&sound).1, 0);

    // A new disk is put in, and the broker started again.
    home.cluster.stop(victim).await;
    disk.heal();
    std::fs::remove_dir_all(&dead).expect("the old disk goes");
    home.cluster.restart(victim).await.expect("starts");
    home.in_sync("orders", 3).await;
    home.produce(&producer, "orders", 400..500).await;
    home.consume("orders", 0..500).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_last_log_directory_dies_stops_and_says_why() {
    let disk = Disk::real().faulty();
    let home = Home::start_with(3, |config| config.disk = disk.clone()).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    let producer = home.producer();
    home.produce(&producer, "orders", 0..100).await;
    let victim = home.leader("orders", 0).await;
    let mut status = home.cluster.status(victim).expect("it runs here");
    disk.inject(Fault::Write, &format!("broker-{victim}/data/orders"));
    home.produce(&producer, "orders", 100..200).await;
    let failed = status.wait_for(|status| matches!(status, Status::Failed(_))).await;
    let Ok(Status::Failed(why)) = failed.as_deref() else {
        panic!("it goes on: {failed:?}");
    };
    assert!(why.starts_with("Every log directory has failed"), "{why}");
    assert!(why.contains(&format!("broker-{victim}/data/orders")), "{why}");
    home.consume("orders", 0..200).await;
    home.cluster.shutdown().await;
}

/// Has the replica of partition 0 of `topic` at the broker of `client` moved to the directory at `path`.
async fn move_replica(client: &Client, topic: &str, path: &str) -> i16 {
    let topic = AlterReplicaLogDirTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![0]);
    let dir = AlterReplicaLogDir::default()
        .with_path(StrBytes::from_string(path.to_owned()))
        .with_topics(vec![topic]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
    let response = client.call(request, DEADLINE).await.expect("an answer");
    response.results[0].partitions[0].error_code
}

/// How far behind the future replica of partition 0 is, while there is one.
async fn future_lag(client: &Client, topic: &str) -> Option<i64> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let response = client.call(request, DEADLINE).await.expect("an answer");
    let topics = response.results.iter().flat_map(|dir| &dir.topics);
    let mut futures = topics.filter(|found| found.name == name(topic)).flat_map(|topic| {
        let futures = topic.partitions.iter();
        futures.filter(|partition| partition.is_future_key && partition.partition_index == 0)
    });
    futures.next().map(|future| future.offset_lag)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_moves_to_another_directory_under_load_and_over_a_kill() {
    let disk = Disk::real();
    let mut home = Home::start_with(3, |config| {
        two_dirs(config, &disk);
        // Slow enough to be seen and to be killed in the middle.
        let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "20000");
        config.overrides.push((rate.0.to_owned(), rate.1.to_owned()));
    })
    .await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    // Small batches, so that there are many to copy.
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", home.cluster.bootstrap())
        .set("acks", "all")
        .set("message.timeout.ms", "60000")
        .set("batch.num.messages", "5")
        .create()
        .expect("a producer");
    home.produce_padded(&producer, "orders", 0..900, 1_000).await;
    let mover = home.leader("orders", 0).await;
    let address = home.cluster.addresses()[usize::try_from(mover.0 - 1).expect("an index")].clone();
    let client = Client::connect(&address, &ClientConfig::default())
        .await
        .expect("connects");
    let is_in = |dirs: &[LogDir]| {
        let partition = ("orders".to_owned(), 0);
        let found = dirs.iter().filter(|(_, _, held)| held.contains(&partition));
        found.map(|(path, _, _)| path.clone()).collect::<Vec<_>>()
    };
    let dirs = log_dirs(&client).await;
    let [from] = is_in(&dirs).try_into().expect("it is in one");
    let to = dirs
        .iter()
        .map(|(path, _, _)| path.clone())
        .find(|path| *path != from)
        .expect("two");

    assert_eq!(
        move_replica(&client, "orders", "/nowhere").await,
        57,
        "LOG_DIR_NOT_FOUND"
    );
    assert_eq!(
        move_replica(&client, "nothing", &to).await,
        3,
        "UNKNOWN_TOPIC_OR_PARTITION"
    );
    assert_eq!(move_replica(&client, "orders", &to).await, 0);
    let lag = within("the move begins", async || future_lag(&client, "orders").await).await;
    assert!(lag > 100, "it takes seconds at this rate: {lag}");
    home.produce(&producer, "orders", 900..960).await;
    within("it goes on", async || {
        future_lag(&client, "orders")
            .await
            .filter(|now| *now > 0 && *now < lag - 50)
            .map(|_| ())
    })
    .await;
    home.cluster.kill(mover).await;
    home.produce(&producer, "orders", 960..1_000).await;
    home.cluster.restart(mover).await.expect("starts");
    home.cluster.serving(mover).await.expect("serves");
    let client = Client::connect(&address, &ClientConfig::default())
        .await
        .expect("connects");
    assert_eq!(
        is_in(&log_dirs(&client).await).len(),
        2,
        "the future replica is still there"
    );

    // Without the throttle, which is a dynamic config, it ends soon.
    let rate = "replica.alter.log.dirs.io.max.bytes.per.second";
    set_config(&client, 4, "", rate, "100000000").await;
    within("the replica is in its new directory", async || {
        (is_in(&log_dirs(&client).await) == [to.clone()]).then_some(())
    })
    .await;
    home.produce(&producer, "orders", 1_000..1_100).await;
    home.in_sync("orders", 3).await;
    home.consume("orders", 0..1_100).await;
    home.cluster.shutdown().await;
}

/// Sets one config of a resource.
async fn set_config(client: &Client, kind: i8, resource: &str, key: &str, value: &str) {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_string(key.to_owned()))
        .with_value(Some(StrBytes::from_string(value.to_owned())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(resource.to_owned()))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = client.call(request, DEADLINE).await.expect("an answer");
    assert_eq!(
        response.responses[0].error_code, 0,
        "{:?}",
        response.responses[0].error_message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamic_configs_of_all_brokers_and_of_a_topic_change_what_is_taken() {
    let home = Home::start(1).await;
    home.create("orders", 1).await;
    let (client, producer) = (home.client().await, home.producer());
    let large = "x".repeat(5_000);
    let send = async || {
        let record = FutureRecord::<(), _>::to("orders").partition(0).payload(&large);
        producer.send(record, DEADLINE).await.map_err(|(error, _)| error)
    };
    send().await.expect("1 MiB is the default");
    set_config(&client, 4, "", "message.max.bytes", "2000").await;
    within("it is too large for the brokers", async || {
        use rdkafka::error::{KafkaError, RDKafkaErrorCode};
        let refused = send().await.err()?;
        assert_eq!(
            refused,
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)
        );
        Some(())
    })
    .await;
    set_config(&client, 2, "orders", "max.message.bytes", "10000").await;
    within("the topic's own config wins", async || send().await.ok()).await;
    set_config(&client, 2, "orders", "compression.type", "zstd").await;
    let size = async || {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let response = client.call(request, DEADLINE).await.expect("an answer");
        response.results[0].topics[0].partitions[0].partition_size
    };
    within("the topic's records are compressed", async || {
        let before = size().await;
        send().await.expect("taken");
        (size().await - before < 1_000).then_some(())
    })
    .await;
    home.cluster.shutdown().await;
}
