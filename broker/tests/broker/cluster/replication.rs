//! Replicas under the operator's hand: throttled moves, their way through failures, elections, reads from followers.

use std::sync::Arc;
use std::time::Instant;

use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_partition_reassignments_response::OngoingPartitionReassignment;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeTopicPartitionsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
};
use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::statistics::Statistics;

use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const VALUE_BYTES: usize = 16_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Home {
    /// A topic with one partition on these brokers.
    async fn place(&self, topic: &str, replicas: &[i32], configs: &[(&str, &str)]) {
        let assignment = CreatableReplicaAssignment::default()
            .with_partition_index(0)
            .with_broker_ids(replicas.iter().copied().map(BrokerId).collect());
        let config = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment])
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.client().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.topics[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
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
        let response = self.client().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.responses[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }

    /// Throttles the moves of partition 0 of a topic as Kafka's tool does.
    async fn throttle(&self, topic: &str, from: &[i32], to: &[i32], rate: &str) {
        for broker in from.iter().chain(to) {
            let rates = [
                "leader.replication.throttled.rate",
                "follower.replication.throttled.rate",
            ];
            self.set(BROKER, &broker.to_string(), &rates.map(|key| (key, rate)))
                .await;
        }
        let list = |brokers: &[i32]| brokers.iter().map(|id| format!("0:{id}")).collect::<Vec<_>>().join(",");
        let lists = [
            ("leader.replication.throttled.replicas", &*list(from)),
            ("follower.replication.throttled.replicas", &*list(to)),
        ];
        self.set(TOPIC, topic, &lists).await;
    }

    /// Moves partition 0 of a topic, or with `None` cancels that.
    async fn reassign(&self, topic: &str, target: Option<&[i32]>) {
        let target = target.map(|target| target.iter().copied().map(BrokerId).collect());
        let partition = ReassignablePartition::default().with_replicas(target);
        let topic = ReassignableTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.client().await.call(request, DEADLINE).await.expect("an answer");
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }

    /// `None` while no broker or the controller answers.
    async fn moving(&self) -> Option<Vec<OngoingPartitionReassignment>> {
        let request = ListPartitionReassignmentsRequest::default()
            .with_topics(None)
            .with_timeout_ms(5_000);
        let response = self.client().await.call(request, DEADLINE).await.ok()?;
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
        (response.error_code == 0).then(|| partitions.collect())
    }

    async fn moved(&self) {
        within("the reassignment is done", async || {
            self.moving().await.filter(Vec::is_empty).map(drop)
        })
        .await;
    }

    async fn fill(&self, topic: &str, records: usize) {
        let producer = self.producer();
        let value = "x".repeat(VALUE_BYTES);
        let sends = (0..records).map(|_| {
            let record = FutureRecord::<(), _>::to(topic).partition(0).payload(&value);
            producer.send(record, DEADLINE)
        });
        for sent in futures::future::join_all(sends).await {
            sent.expect("acknowledged");
        }
    }

    async fn replicas(&self, topic: &str) -> Vec<i32> {
        let partitions = self.partitions(topic).await;
        partitions[0].replica_nodes.iter().map(|id| id.0).collect()
    }

    async fn described(&self, topic: &str) -> Option<DescribeTopicPartitionsResponsePartition> {
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(vec![TopicRequest::default().with_name(name(topic))])
            .with_response_partition_limit(10);
        let mut response = self.client().await.call(request, DEADLINE).await.ok()?;
        Some(response.topics.remove(0).partitions.remove(0))
    }

    /// Where a broker keeps partition 0 of a topic.
    fn folder(&self, broker: i32, topic: &str) -> std::path::PathBuf {
        let data = self._dir.path().join(format!("broker-{broker}")).join("data");
        data.join(format!("{topic}-0"))
    }

    async fn deleted(&self, broker: i32, topic: &str) {
        let folder = self.folder(broker, topic);
        within("the replica's files are gone", async || {
            (!folder.exists()).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_move_keeps_to_its_rate_and_holds_up_nothing_else() {
    const RATE: f64 = 2_000_000.0;
    const RECORDS: usize = 1_000;
    let home = Home::start(3).await;
    home.place("moved", &[1], &[]).await;
    home.create("orders", 3).await;
    home.in_sync("orders", 3).await;
    home.fill("moved", RECORDS).await;
    home.throttle("moved", &[1], &[2], &RATE.to_string()).await;

    let began = Instant::now();
    home.reassign("moved", Some(&[2])).await;
    // The same links carry what is in sync, at once.
    let producer = home.producer();
    home.produce(&producer, "orders", 0..300).await;
    let others = began.elapsed();
    let moving = home.moving().await.expect("an answer");
    assert_eq!(moving[0].adding_replicas, [BrokerId(2)], "not done yet");
    home.moved().await;
    let took = began.elapsed().as_secs_f64();
    let rate = (RECORDS * VALUE_BYTES) as f64 / took;
    println!("{rate:.0} bytes/s in {took:.2} s, others took {others:?}");
    assert!(
        (0.9 * RATE..=1.1 * RATE).contains(&rate),
        "{rate:.0} bytes/s in {took:.2} s"
    );
    assert_eq!(home.replicas("moved").await, [2]);
    assert_eq!(home.leader("moved", 0).await, NodeId(2), "its leader had to move");
    home.deleted(1, "moved").await;
    home.fill("moved", 1).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_in_flight_survives_restarts_and_can_be_taken_back() {
    let mut home = Home::start(3).await;
    home.place("moved", &[1], &[]).await;
    home.fill("moved", 200).await;
    // Slow enough to be there for all that follows.
    home.throttle("moved", &[1], &[2, 3], "50000").await;
    home.reassign("moved", Some(&[2, 3])).await;
    home.cluster.kill(CONTROLLER).await;
    home.cluster.restart(CONTROLLER).await.expect("starts");
    home.cluster.kill(NodeId(2)).await;
    home.cluster.restart(NodeId(2)).await.expect("starts");
    home.cluster.serving(NodeId(2)).await.expect("serves");
    let moving = within("the controller answers", async || home.moving().await).await;
    assert_eq!(moving.len(), 1, "still in flight");
    assert_eq!(moving[0].removing_replicas, [BrokerId(1)]);
    home.throttle("moved", &[1], &[2, 3], "1000000000").await;
    home.moved().await;
    assert_eq!(home.replicas("moved").await, [2, 3]);
    home.deleted(1, "moved").await;

    home.throttle("moved", &[2, 3], &[1], "50000").await;
    home.reassign("moved", Some(&[1, 3])).await;
    let folder = home.folder(1, "moved");
    within("the new replica is begun", async || folder.exists().then_some(())).await;
    home.reassign("moved", None).await;
    home.moved().await;
    assert_eq!(home.replicas("moved").await, [3, 2]);
    home.deleted(1, "moved").await;
    home.fill("moved", 1).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_minimum_nothing_is_committed_and_who_left_may_lead() {
    let mut home = Home::start(3).await;
    home.place("orders", &[1, 2], &[("min.insync.replicas", "2")]).await;
    home.fill("orders", 10).await;
    home.cluster.stop(NodeId(2)).await;
    let alone = within("2 has left", async || {
        home.described("orders")
            .await
            .filter(|seen| seen.isr_nodes == [BrokerId(1)])
    })
    .await;
    assert_eq!(alone.eligible_leader_replicas.as_deref(), Some(&[BrokerId(2)][..]));
    home.cluster.stop(NodeId(1)).await;
    home.cluster.restart(NodeId(2)).await.expect("starts");
    let led = within("2 leads though it was not in sync", async || {
        home.described("orders")
            .await
            .filter(|seen| seen.leader_id == BrokerId(2))
    })
    .await;
    assert_eq!(led.isr_nodes, [BrokerId(2)]);
    home.cluster.restart(NodeId(1)).await.expect("starts");
    within("enough are in sync again", async || {
        let seen = home.described("orders").await?;
        (seen.isr_nodes.len() == 2 && seen.eligible_leader_replicas.is_some_and(|ids| ids.is_empty())).then_some(())
    })
    .await;
    home.fill("orders", 10).await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclean_election_brings_a_partition_back_without_its_last_records() {
    let mut home = Home::start(3).await;
    home.place("orders", &[1, 2], &[]).await;
    home.fill("orders", 5).await;
    within("2 has everything", async || {
        home.described("orders").await.filter(|seen| seen.isr_nodes.len() == 2)
    })
    .await;
    home.cluster.kill(NodeId(2)).await;
    home.fill("orders", 5).await;
    home.cluster.kill(NodeId(1)).await;
    home.cluster.restart(NodeId(2)).await.expect("starts");
    home.cluster.serving(NodeId(2)).await.expect("serves");
    within("nobody leads", async || {
        home.described("orders")
            .await
            .filter(|seen| seen.leader_id == BrokerId(-1))
    })
    .await;
    let asked = TopicPartitions::default()
        .with_topic(name("orders"))
        .with_partitions(vec![0]);
    let request = ElectLeadersRequest::default()
        .with_election_type(1)
        .with_topic_partitions(Some(vec![asked]));
    let response = home.client().await.call(request, DEADLINE).await.expect("an answer");
    assert_eq!(response.replica_election_results[0].partition_result[0].error_code, 0);
    assert_eq!(home.leader("orders", 0).await, NodeId(2));
    home.fill("orders", 2).await;
    home.cluster.restart(NodeId(1)).await.expect("starts");
    within("1 gives up what only it had, and is in sync", async || {
        home.described("orders").await.filter(|seen| seen.isr_nodes.len() == 2)
    })
    .await;
    let bootstrap = home.cluster.bootstrap();
    let end = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .create()
            .expect("a consumer");
        consumer.fetch_watermarks("orders", 0, DEADLINE).expect("offsets").1
    });
    assert_eq!(end.await.expect("asks"), 7);
    home.cluster.shutdown().await;
}

/// Remembers from which broker librdkafka fetches.
#[derive(Clone, Default)]
struct Fetching(Arc<std::sync::atomic::AtomicI32>);

impl ClientContext for Fetching {
    fn stats(&self, statistics: Statistics) {
        if let Some(partition) = statistics.topics.get("near").and_then(|topic| topic.partitions.get(&0)) {
            self.0.store(partition.broker, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl ConsumerContext for Fetching {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_reads_from_the_replica_of_its_rack_and_from_the_leader_when_that_is_gone() {
    let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let mut home = Home::start_with(3, |config| {
        let property = ("replica.selector.class".to_owned(), selector.to_owned());
        config.overrides.push(property);
    })
    .await;
    home.place("near", &[1, 2, 3], &[]).await;
    home.fill("near", 50).await;
    let fetching = Fetching::default();
    let seen = Arc::clone(&fetching.0);
    let bootstrap = home.cluster.bootstrap();
    let (report, mut reads) = tokio::sync::mpsc::unbounded_channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer<Fetching> = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("client.rack", "c")
            .set("statistics.interval.ms", "50")
            .create_with_context(fetching)
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset("near", 0, Offset::Beginning)
            .expect("an offset");
        consumer.assign(&all).expect("assigns");
        while stopped.try_recv().is_err() {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                let _ = report.send((message.offset(), seen.load(std::sync::atomic::Ordering::Relaxed)));
            }
        }
    });
    let mut next = 0;
    let mut produced = 50;
    let mut read_from = async |home: &Home, broker: i32| {
        within("records come from that broker", async || {
            home.fill("near", 1).await;
            produced += 1;
            let mut last = -1;
            while next < produced {
                let (offset, from) = reads.recv().await.expect("reads on");
                assert_eq!(offset, next, "none is lost or read twice");
                next += 1;
                last = from;
            }
            (last == broker).then_some(())
        })
        .await;
    };
    read_from(&home, 3).await;
    home.cluster.kill(NodeId(3)).await;
    read_from(&home, 1).await;
    stop.send(()).expect("still reads");
    reader.await.expect("ends");
    home.cluster.shutdown().await;
}
