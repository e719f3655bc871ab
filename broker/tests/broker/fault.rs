//! Faults on request: each one hits what it names and nothing else, and is gone when it is healed.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig, Fault, Peer, Selection};
use azimuth_broker::env::disk::DirFault;
use azimuth_broker::env::net::Effect;
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const DEADLINE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";

/// A cluster that allows faults, with one partition led by each of its three brokers.
struct Home {
    cluster: Cluster,
    _dir: TempDir,
}

impl Home {
    async fn start(processes: bool) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = ClusterConfig::local(3, &[], dir.path(), 0);
        config.allow_faults = true;
        config.processes = processes.then(|| env!("CARGO_BIN_EXE_azimuth-broker").into());
        // Failures are noticed in test time, not in production time.
        config.overrides = [
            ("broker.session.timeout.ms", "1500"),
            ("broker.heartbeat.interval.ms", "200"),
            ("replica.lag.time.max.ms", "1500"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let cluster = Cluster::start(config).await.expect("a cluster");
        let home = Self { cluster, _dir: dir };
        home.create(&[]).await;
        home.until("all replicas are in sync", 1, |partition| {
            partition.isr_nodes.len() == 3
        })
        .await;
        home
    }

    /// Partition 0 is led by broker 1, and so on.
    async fn create(&self, configs: &[(&'static str, &'static str)]) {
        let assigned = |partition: i32| {
            CreatableReplicaAssignment::default()
                .with_partition_index(partition)
                .with_broker_ids((0..3).map(|next| BrokerId((partition + next) % 3 + 1)).collect())
        };
        let config = |(key, value): &(&'static str, &'static str)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(key))
                .with_value(Some(StrBytes::from_static_str(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(name(TOPIC))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments((0..3).map(assigned).collect())
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.client(1).await.call(request, DEADLINE).await.expect("an answer");
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
    }

    fn addr(&self, broker: i32) -> String {
        self.cluster.addresses()[broker as usize - 1].clone()
    }

    async fn client(&self, broker: i32) -> Client {
        Client::connect(self.addr(broker), &ClientConfig::default())
            .await
            .expect("connects")
    }

    /// The partitions as `broker` sees them; `None` when it does not answer.
    async fn partitions(&self, broker: i32) -> Option<Vec<MetadataResponsePartition>> {
        let topic = MetadataRequestTopic::default().with_name(Some(name(TOPIC)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let client = Client::connect(self.addr(broker), &ClientConfig::default())
            .await
            .ok()?;
        let response = client.call(request, Duration::from_secs(2)).await.ok()?;
        let topic = response.topics.into_iter().next()?;
        (topic.partitions.len() == 3).then_some(topic.partitions)
    }

    async fn until(&self, what: &str, seen_by: i32, good: impl Fn(&MetadataResponsePartition) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            let seen = self.partitions(seen_by).await;
            if seen.as_ref().is_some_and(|all| all.iter().all(&good)) {
                return;
            }
            assert!(Instant::now() < until, "{what}: not within {DEADLINE:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn producer(&self, acks: &str) -> FutureProducer {
        rdkafka::ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap())
            .set("acks", acks)
            .set("linger.ms", "0")
            .set("message.timeout.ms", "50000")
            .create()
            .expect("a producer")
    }
}

fn name(topic: &'static str) -> TopicName {
    StrBytes::from_static_str(topic).into()
}

/// Sends one record to a partition; how long its acknowledgement took.
async fn send(producer: &FutureProducer, partition: i32) -> Duration {
    let begun = Instant::now();
    let record = FutureRecord::<(), _>::to(TOPIC).partition(partition).payload("x");
    producer.send(record, DEADLINE).await.expect("acknowledged");
    begun.elapsed()
}

fn dir(fault: DirFault) -> Fault {
    Fault::Dir { dir: None, fault }
}

fn link(peer: Option<i32>, effect: Effect) -> Fault {
    let peer = peer.map(|id| Peer::Node(NodeId(id)));
    Fault::Link { peer, effect }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_refused_where_they_are_not_allowed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::start(ClusterConfig::local(1, &[], dir.path(), 0))
        .await
        .expect("a cluster");
    for error in [
        cluster.inject(NodeId(1), Fault::Freeze).await.map(|_| ()),
        cluster.mend(Selection::All).await.map(|_| ()),
        cluster.faults().map(|_| ()),
    ] {
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("--allow-faults"), "{error}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_volume_holds_up_its_own_partitions_and_its_node_stays_registered() {
    let mut home = Home::start(false).await;
    let producer = home.producer("1");
    for partition in 0..3 {
        send(&producer, partition).await;
    }
    home.cluster
        .inject(NodeId(2), dir(DirFault::Stall))
        .await
        .expect("injected");
    let stalled = {
        let producer = home.producer("1");
        tokio::spawn(async move { send(&producer, 1).await })
    };
    // Others go on, and drop the follower that does not.
    for _ in 0..50 {
        send(&producer, 0).await;
        send(&producer, 2).await;
    }
    home.until("the stalled follower is out of sync", 1, |partition| {
        partition.partition_index == 1 || !partition.isr_nodes.contains(&BrokerId(2))
    })
    .await;
    // The failure that is not noticed: it leads, answers about itself, and does no work.
    let seen = home.partitions(2).await.expect("it answers");
    assert_eq!(seen[1].leader_id, BrokerId(2));
    assert!(!stalled.is_finished());
    home.cluster.mend(Selection::All).await.expect("mended");
    let took = stalled.await.expect("sent");
    assert!(took > Duration::from_secs(1), "{took:?}");
    home.until("all replicas are in sync", 1, |partition| {
        partition.isr_nodes.len() == 3
    })
    .await;
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_stops_and_a_node_dies_while_its_volume_is_stalled() {
    let mut home = Home::start(false).await;
    let stall = dir(DirFault::Stall);
    home.cluster.inject(NodeId(2), stall.clone()).await.expect("injected");
    home.cluster.inject(NodeId(3), stall).await.expect("injected");
    let producer = home.producer("1");
    let stalled = tokio::spawn(async move { send(&producer, 1).await });
    home.cluster.inject(NodeId(2), Fault::Kill).await.expect("killed");
    home.until("another leads", 1, |partition| partition.leader_id != BrokerId(2))
        .await;
    stalled.abort();
    let begun = Instant::now();
    home.cluster.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_volume_and_a_failed_one_cost_their_nodes_the_partitions() {
    let mut home = Home::start(false).await;
    let quick: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", home.cluster.bootstrap())
        .set("acks", "1")
        .set("message.timeout.ms", "1500")
        .create()
        .expect("a producer");
    let producer = home.producer("all");
    for (node, partition, fault) in [(2, 1, DirFault::Full(0)), (3, 2, DirFault::Fail)] {
        home.cluster.inject(NodeId(node), dir(fault)).await.expect("injected");
        // Its write fails and takes the directory offline; whether the record arrives is up to how soon another leads.
        let record = FutureRecord::<(), _>::to(TOPIC).partition(partition).payload("x");
        let _ = quick.send(record, DEADLINE).await;
        home.until("another leads", 1, |partition| partition.leader_id != BrokerId(node))
            .await;
        send(&producer, partition).await;
        // Its content is not trusted any more: a restart has to read it.
        home.cluster.mend(Selection::All).await.expect("mended");
        home.cluster.kill(NodeId(node)).await;
        home.cluster.restart(NodeId(node)).await.expect("starts");
        home.until("all replicas are in sync", 1, |partition| {
            partition.isr_nodes.len() == 3
        })
        .await;
        send(&producer, partition).await;
    }
    home.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_is_replaced_keeps_its_connections_and_comes_back() {
    for processes in [false, true] {
        let mut home = Home::start(processes).await;
        let mut open = TcpStream::connect(home.addr(2)).await.expect("connects");
        home.cluster.inject(NodeId(2), Fault::Freeze).await.expect("injected");
        home.until("another leads", 1, |partition| {
            partition.leader_id != BrokerId(2) && partition.isr_nodes.len() == 2
        })
        .await;
        // ApiVersions v0 without a client id: taken by the kernel, answered by nobody.
        open.write_all(b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff")
            .await
            .expect("writes");
        let mut answer = [0; 8];
        let early = tokio::time::timeout(Duration::from_millis(100), open.read_exact(&mut answer)).await;
        assert!(early.is_err(), "a frozen node answers");
        assert!(home.partitions(2).await.is_none());
        home.cluster.mend(Selection::All).await.expect("mended");
        tokio::time::timeout(DEADLINE, open.read_exact(&mut answer))
            .await
            .expect("in time")
            .expect("the connection is still there");
        assert_eq!(answer[4..], 7_i32.to_be_bytes());
        home.until("all replicas are in sync", 1, |partition| {
            partition.isr_nodes.len() == 3
        })
        .await;

        // SIGKILL works on what is stopped.
        home.cluster.inject(NodeId(3), Fault::Freeze).await.expect("injected");
        home.cluster.inject(NodeId(3), Fault::Kill).await.expect("injected");
        let kinds: Vec<_> = home
            .cluster
            .faults()
            .expect("allowed")
            .into_iter()
            .map(|active| active.fault)
            .collect();
        assert_eq!(kinds, [Fault::Kill]);
        home.cluster.mend(Selection::All).await.expect("started again");
        home.until("all replicas are in sync", 1, |partition| {
            partition.isr_nodes.len() == 3
        })
        .await;
        home.cluster.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_between_two_nodes_leaves_the_third_with_both() {
    for (processes, effect) in [(false, Effect::Silence), (true, Effect::Cut)] {
        let mut home = Home::start(processes).await;
        home.cluster
            .inject(NodeId(1), link(Some(2), effect))
            .await
            .expect("injected");
        let producer = home.producer("1");
        home.until("each lost the other as a follower", 3, |partition| {
            for partition in 0..3 {
                let _ = producer.send_result(FutureRecord::<(), _>::to(TOPIC).partition(partition).payload("x"));
            }
            let isr: Vec<i32> = partition.isr_nodes.iter().map(|id| id.0).collect();
            match partition.leader_id.0 {
                1 => !isr.contains(&2),
                2 => !isr.contains(&1),
                _ => isr.len() == 3,
            }
        })
        .await;
        home.cluster.mend(Selection::All).await.expect("mended");
        home.until("all replicas are in sync", 1, |partition| {
            partition.isr_nodes.len() == 3
        })
        .await;
        home.cluster.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_link_delays_acknowledgements_and_a_skewed_clock_stamps_wrongly() {
    let mut home = Home::start(false).await;
    let producer = home.producer("all");
    send(&producer, 0).await;
    home.cluster
        .inject(NodeId(1), link(None, Effect::Delay(150)))
        .await
        .expect("injected");
    send(&producer, 0).await;
    let slow = send(&producer, 0).await;
    assert!(slow >= Duration::from_millis(150), "{slow:?}");
    home.cluster.mend(Selection::All).await.expect("mended");

    let hour = 3_600_000;
    home.cluster
        .inject(NodeId(1), Fault::SkewClock(-hour))
        .await
        .expect("injected");
    home.cluster
        .inject(NodeId(2), Fault::SkewClock(hour))
        .await
        .expect("injected");
    let stamped = stamped_topic(&home, &producer).await;
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as i64;
    let off = stamped.map(|stamp| (stamp - now_ms + hour / 2).div_euclid(hour));
    assert_eq!(off, [-1, 1, 0]);
    home.cluster.shutdown().await;
}

/// The time that each broker gives a record of a topic with LogAppendTime.
async fn stamped_topic(home: &Home, producer: &FutureProducer) -> [i64; 3] {
    const STAMPED: &str = "stamped";
    let assigned = |partition: i32| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(vec![BrokerId(partition + 1)])
    };
    let by_append = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("message.timestamp.type"))
        .with_value(Some(StrBytes::from_static_str("LogAppendTime")));
    let topic = CreatableTopic::default()
        .with_name(name(STAMPED))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments((0..3).map(assigned).collect())
        .with_configs(vec![by_append]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let response = home.client(3).await.call(request, DEADLINE).await.expect("an answer");
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
    for partition in 0..3 {
        let record = FutureRecord::<(), _>::to(STAMPED).partition(partition).payload("x");
        producer.send(record, DEADLINE).await.expect("acknowledged");
    }
    let bootstrap = home.cluster.bootstrap();
    let read = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "unused")
            .create()
            .expect("a consumer");
        let mut all = rdkafka::TopicPartitionList::new();
        for partition in 0..3 {
            all.add_partition_offset(STAMPED, partition, rdkafka::Offset::Beginning)
                .expect("an offset");
        }
        consumer.assign(&all).expect("assigns");
        let mut stamps = [None; 3];
        let until = Instant::now() + DEADLINE;
        while stamps.iter().any(Option::is_none) && Instant::now() < until {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                stamps[message.partition() as usize] = message.timestamp().to_millis();
            }
        }
        stamps.map(|stamp| stamp.expect("read"))
    });
    read.await.expect("reads")
}

/// `azimuth-broker`, and what it prints.
struct Program(Child);

impl Program {
    async fn cluster(dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_azimuth-broker"))
            .args(["cluster", "--nodes", "2", "--port", "0", "--dir"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .expect("in time");
        assert!(ready.expect("a line").expect("a line").starts_with("ready "));
        Self(child)
    }

    async fn end(mut self) {
        let pid = self.0.id().expect("it runs");
        let pid = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let status = tokio::time::timeout(DEADLINE, self.0.wait()).await.expect("in time");
        assert!(status.expect("ends").success());
    }
}

/// What `azimuth-broker fault` says: whether it went well, and its text.
async fn fault(dir: &Path, words: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_azimuth-broker"))
        .args(["fault", "--dir"])
        .arg(dir)
        .args(words.split(' '))
        .output()
        .await
        .expect("runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_injects_lists_and_heals() {
    for more in [&["--allow-faults"][..], &["--allow-faults", "--processes"]] {
        let dir = tempfile::tempdir().expect("a folder");
        let program = Program::cluster(dir.path(), more).await;
        let dir = dir.path();
        assert_eq!(fault(dir, "list").await, (true, "no faults\n".to_owned()));
        for words in [
            "stall-dir --node 1",
            "slow-dir --node 2 --by-ms 5",
            "fill-dir --node 2 --free-bytes 1000000000",
            "cut --node 1 --peer 2",
            "cut --node 1 --silent",
            "delay --node 1 --peer 1000 --by-ms 3",
            "skew-clock --node 1 --by-ms -5000",
            "freeze --node 2",
            "kill --node 2",
        ] {
            let (good, text) = fault(dir, words).await;
            assert!(good, "{words}: {text}");
            let kind = words.split(' ').next().expect("a word");
            assert!(text.contains(kind), "{words}: {text}");
        }
        for (words, said) in [
            ("freeze --node 2", "node 2 does not run"),
            ("freeze --node 7", "there is no node 7; there are 1, 2, 1000"),
            ("freeze", "--node"),
            (
                "stall-dir --node 1 --log-dir /nowhere",
                "/nowhere is no log directory of node 1",
            ),
            ("cut --node 1 --peer 1", "no link to itself"),
            ("cut --node 1 --peer x", "neither a node's id nor host:port"),
            ("heal 99", "there is no fault 99"),
            ("heal", "required"),
        ] {
            let (good, text) = fault(dir, words).await;
            assert!(!good && text.contains(said), "{words}: {text}");
        }
        let (_, list) = fault(dir, "list").await;
        // The freeze ended with its process.
        assert_eq!(list.lines().count(), 8, "{list}");
        assert!(fault(dir, "heal 1").await.1.contains("stall-dir"));
        assert!(fault(dir, "heal --all").await.0);
        assert_eq!(fault(dir, "list").await, (true, "no faults\n".to_owned()));
        program.end().await;
        let (good, text) = fault(dir, "list").await;
        assert!(
            !good && text.contains("start the cluster or node there with --allow-faults"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_takes_its_own_faults() {
    let dir = tempfile::tempdir().expect("a folder");
    let properties = dir.path().join("server.properties");
    let data = dir.path().join("data");
    let text = format!(
        "node.id=9\nprocess.roles=controller\nlisteners=CONTROLLER://127.0.0.1:0\n\
         controller.quorum.voters=9@127.0.0.1:1\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\n",
        data.display()
    );
    std::fs::write(&properties, text).expect("writes");
    let mut child = Command::new(env!("CARGO_BIN_EXE_azimuth-broker"))
        .arg("serve")
        .arg(&properties)
        .arg("--allow-faults")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let listening = tokio::time::timeout(DEADLINE, lines.next_line())
        .await
        .expect("in time");
    assert!(listening.expect("a line").is_some());
    assert!(fault(&data, "slow-dir --by-ms 1").await.0);
    assert!(fault(&data, "cut --peer 127.0.0.1:9092").await.0);
    let (good, text) = fault(&data, "cut --peer 3").await;
    assert!(!good && text.contains("host:port"), "{text}");
    let (good, text) = fault(&data, "freeze").await;
    assert!(
        !good && text.contains(&format!("kill -STOP {}", child.id().expect("runs"))),
        "{text}"
    );
    assert_eq!(fault(&data, "list").await.1.lines().count(), 2);
    assert!(fault(&data, "stall-dir --node 9").await.0);
    Program(child).end().await;
}

/// A node of this process that is killed keeps nothing, or it could not come back: not even as coordinator of groups.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_was_killed_comes_back_at_once() {
    let mut home = Home::start(false).await;
    send(&home.producer("all"), 0).await;
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", home.cluster.bootstrap())
        .set("group.id", "billing")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets
        .add_partition_offset(TOPIC, 0, rdkafka::Offset::Offset(1))
        .expect("a new partition");
    // The topic of the offsets is made for the first who asks for a coordinator.
    let commit = || consumer.commit(&offsets, rdkafka::consumer::CommitMode::Sync);
    let until = Instant::now() + DEADLINE;
    while let Err(error) = tokio::task::block_in_place(commit) {
        assert!(Instant::now() < until, "no commit within {DEADLINE:?}: {error}");
    }
    // Its partitions are led by all, so each of them coordinates some.
    for broker in 1..=3 {
        home.cluster.kill(NodeId(broker)).await;
        home.cluster.restart(NodeId(broker)).await.expect("starts again");
    }
    home.cluster.shutdown().await;
}
