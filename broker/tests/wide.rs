//! A wide cluster: many brokers in one process, most partitions without a record, and nothing lost all the same.
//!
//! With `AZIMUTH_HEAVY=1` also the full size, as a process under `ulimit -n 4096`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig, Content};
use azimuth_broker::id::NodeId;
use azimuth_broker::record::{self, BatchBuilder};
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DescribeLogDirsRequest, DescribeQuorumRequest, FetchRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest,
    MetadataRequest, MetadataResponse, OffsetFetchRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);

/// As `cluster::fill` names and fills them.
const TOPICS_WITH_RECORDS: usize = 20;
const OFFSETS_PARTITIONS: usize = 50;

struct Home {
    cluster: Cluster,
    dir: TempDir,
}

impl Home {
    async fn start(nodes: u16, content: Content) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let racks = ["a", "b", "c"].map(str::to_owned);
        let mut config = ClusterConfig::local(nodes, &racks, dir.path(), 0);
        config.wide = true;
        config.overrides = [
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "300"),
            ("replica.lag.time.max.ms", "3000"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let cluster = Cluster::start(config).await.expect("a cluster");
        let filled = cluster.fill(&content).await.expect("content");
        assert_eq!((filled.topics, filled.groups), (content.topics, content.groups));
        assert!(filled.records > 0);
        Self { cluster, dir }
    }

    async fn client(&self, besides: NodeId) -> Client {
        let mut brokers = self.cluster.ids().into_iter().zip(self.cluster.addresses());
        let (_, address) = brokers.find(|(id, _)| *id != besides).expect("another broker");
        connect(&address).await
    }

    async fn partition(&self, topic: &str, besides: NodeId) -> MetadataResponsePartition {
        let client = self.client(besides).await;
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let answer = client.call(request, DEADLINE).await.expect("metadata");
        answer.topics[0].partitions[0].clone()
    }

    async fn to_leader(&self, partition: &MetadataResponsePartition) -> Client {
        let at = self.cluster.ids().iter().position(|id| id.0 == partition.leader_id.0);
        connect(&self.cluster.addresses()[at.expect("a leader")]).await
    }
}

async fn connect(address: &str) -> Client {
    Client::connect(address, &ClientConfig::default())
        .await
        .expect("it answers")
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Looks until there is something.
async fn within<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The directories of partitions below a cluster's folder.
fn partition_dirs(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for broker in std::fs::read_dir(dir).expect("the cluster's folder") {
        let data = broker.expect("an entry").path().join("data");
        let Ok(entries) = std::fs::read_dir(data) else { continue };
        for entry in entries {
            let entry = entry.expect("an entry");
            if entry.path().is_dir() {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn descriptors(process: &str) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

async fn all_topics(client: &Client) -> MetadataResponse {
    let request = MetadataRequest::default().with_topics(None);
    client.call_capped(request, 12, DEADLINE).await.expect("metadata")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_without_records_cost_no_file_no_task_and_no_request() {
    const NODES: usize = 20;
    let content = Content {
        topics: 500,
        partitions: 10,
        groups: 60,
    };
    let home = Home::start(NODES as u16, content).await;
    let client = home.client(NodeId::NONE).await;
    let metadata = all_topics(&client).await;
    let partitions: usize = metadata.topics.iter().map(|topic| topic.partitions.len()).sum();
    assert_eq!(partitions, content.topics * content.partitions + OFFSETS_PARTITIONS);

    let dirs = partition_dirs(home.dir.path());
    let most = 3 * (TOPICS_WITH_RECORDS * content.partitions + OFFSETS_PARTITIONS);
    assert!(dirs.len() <= most, "{} directories", dirs.len());
    let empty = |dir: &&String| dir.contains("-00020-") || dir.contains("-00499-");
    assert_eq!(dirs.iter().find(empty), None, "no record was written there");

    // Followers let go of their links when nothing is missing, and then nobody asks.
    let links = || home.cluster.links().expect("a wide cluster");
    within("the links close", async || (links().open == 0).then_some(())).await;
    let opened = links().opened;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks < NODES * 40, "{tasks} tasks");
    let open = descriptors("self");
    assert!(open < NODES * 25 + most, "{open} descriptors");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(links().opened, opened, "an idle cluster opens no link");

    // The controller hears how far every broker is although one task reads for all of them.
    let request = DescribeQuorumRequest::default().with_topics(vec![
        kafka_protocol::messages::describe_quorum_request::TopicData::default()
            .with_topic_name(name("__cluster_metadata"))
            .with_partitions(vec![Default::default()]),
    ]);
    let quorum = client.call(request, DEADLINE).await.expect("the quorum");
    let observers = &quorum.topics[0].partitions[0].observers;
    assert_eq!(observers.len(), NODES);

    let groups = groups(&home, &metadata).await;
    assert_eq!(groups, content.groups);
    home.cluster.shutdown().await;
}

/// How many groups all brokers list together; each is seen to have read something, and some have not read all.
async fn groups(home: &Home, metadata: &MetadataResponse) -> usize {
    let mut names = BTreeSet::new();
    for address in home.cluster.addresses() {
        let answer = connect(&address)
            .await
            .call(ListGroupsRequest::default(), DEADLINE)
            .await;
        names.extend(
            answer
                .expect("groups")
                .groups
                .into_iter()
                .map(|group| group.group_id.to_string()),
        );
    }
    let keys = names.iter().map(|name| StrBytes::from_string(name.clone())).collect();
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
    let client = home.client(NodeId::NONE).await;
    let found = client.call(request, DEADLINE).await.expect("coordinators");
    let addresses: BTreeMap<i32, String> = metadata
        .brokers
        .iter()
        .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
        .collect();
    for coordinator in &found.coordinators {
        let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(coordinator.key.clone()));
        let request = OffsetFetchRequest::default().with_groups(vec![group.with_topics(None)]);
        let client = connect(&addresses[&coordinator.node_id.0]).await;
        let answer = client.call_capped(request, 9, DEADLINE).await.expect("offsets");
        let partitions: usize = answer.groups[0].topics.iter().map(|topic| topic.partitions.len()).sum();
        assert!((10..=50).contains(&partitions), "{partitions}");
    }
    names.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_survives_its_leader_and_the_leader_comes_back() {
    let content = Content {
        topics: 30,
        partitions: 4,
        groups: 10,
    };
    let mut home = Home::start(6, content).await;
    // Without a record so far.
    let topic = "payments-00025";
    let before = home.partition(topic, NodeId::NONE).await;
    let leader = NodeId(before.leader_id.0);
    let client = home.to_leader(&before).await;
    for number in 0..20 {
        let mut batch = BatchBuilder::new();
        batch.add(1, None, Some(format!("v{number}").as_bytes()));
        let data = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(batch.build().expect("a batch")));
        let data = TopicProduceData::default()
            .with_name(name(topic))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![data]);
        let answer = client.call_capped(request, 12, DEADLINE).await.expect("an answer");
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, number));
    }
    home.cluster.kill(leader).await;
    let after = within("another broker leads", async || {
        let now = home.partition(topic, leader).await;
        (now.leader_id != before.leader_id && now.leader_id.0 >= 0).then_some(now)
    })
    .await;
    let client = home.to_leader(&after).await;
    let values = within("all is read", async || {
        let values = read(&client, topic).await;
        (values.len() == 20).then_some(values)
    })
    .await;
    assert_eq!(values.last().map(String::as_str), Some("v19"));

    home.cluster.restart(leader).await.expect("it starts again");
    home.cluster.serving(leader).await.expect("it serves");
    within("all replicas are in sync again", async || {
        let client = home.client(NodeId::NONE).await;
        let metadata = all_topics(&client).await;
        let mut partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.all(|partition| partition.isr_nodes.len() == 3).then_some(())
    })
    .await;
    let links = || home.cluster.links().expect("a wide cluster");
    within("the links close", async || (links().open == 0).then_some(())).await;
    home.cluster.shutdown().await;
}

/// The values that a consumer can read.
async fn read(client: &Client, topic: &str) -> Vec<String> {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(0)
        .with_partition_max_bytes(1 << 20);
    let wanted = FetchTopic::default()
        .with_topic(name(topic))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![wanted]);
    let answer = client.call_capped(request, 12, DEADLINE).await.expect("an answer");
    let records = answer.responses[0].partitions[0].records.clone().unwrap_or_default();
    let mut values = Vec::new();
    for batch in record::batches(records) {
        for record in batch.expect("whole").records(1 << 20).expect("records") {
            let value = record.expect("a record").value.expect("a value");
            values.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_cluster_is_found_again_and_not_filled_twice() {
    let content = Content {
        topics: 24,
        partitions: 5,
        groups: 8,
    };
    let home = Home::start(5, content).await;
    home.cluster.shutdown().await;
    let racks = ["a", "b", "c"].map(str::to_owned);
    let mut config = ClusterConfig::local(5, &racks, home.dir.path(), 0);
    config.wide = true;
    let cluster = Cluster::start(config).await.expect("a cluster");
    let filled = cluster.fill(&content).await.expect("content");
    assert_eq!((filled.topics, filled.records, filled.groups), (0, 0, 0));
    let client = connect(&cluster.addresses()[0]).await;
    within("every partition has a leader and all replicas", async || {
        let metadata = all_topics(&client).await;
        let mut partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
        let whole = partitions.all(|partition| partition.leader_id.0 > 0 && partition.isr_nodes.len() == 3);
        whole.then_some(())
    })
    .await;
    // The first topic has its records, the last one never had any.
    let sizes = DescribeLogDirsRequest::default().with_topics(None);
    let answer = client.call(sizes, DEADLINE).await.expect("sizes");
    let topics = answer.results.iter().flat_map(|dir| &dir.topics);
    for topic in topics.filter(|topic| !topic.name.starts_with("__")) {
        let number: usize = topic.name[topic.name.len() - 5..].parse().expect("a number");
        for partition in &topic.partitions {
            assert_eq!(
                partition.partition_size > 0,
                number < TOPICS_WITH_RECORDS,
                "{}",
                topic.name.0
            );
        }
    }
    cluster.shutdown().await;
}

/// The size that consoles are measured on, with a hundred brokers.
const FULL: Content = Content {
    topics: 10_000,
    partitions: 10,
    groups: 1_000,
};

/// A cluster as its own process; killed with this value.
struct Process {
    child: Child,
    bootstrap: Vec<String>,
    started: Duration,
}

impl Process {
    fn start(dir: &Path, nodes: usize, content: Content) -> Self {
        let began = Instant::now();
        let program = env!("CARGO_BIN_EXE_azimuth-broker");
        let Content {
            topics,
            partitions,
            groups,
        } = content;
        let line = format!(
            "ulimit -n 4096 && exec {program} cluster --wide --nodes {nodes} --topics {topics} --partitions {partitions} --groups {groups} --port 0 --dir {}",
            dir.display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut said).expect("it says when it is ready");
        let addresses = said.strip_prefix("ready ").expect("it is ready").trim();
        Self {
            bootstrap: addresses.split(',').map(str::to_owned).collect(),
            started: began.elapsed(),
            child,
        }
    }

    /// A number of `/proc/PID/status`, for example `VmHWM` in kB.
    fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = text.lines().find(|line| line.starts_with(key)).expect("it is there");
        let number = line.split_whitespace().nth(1).expect("a number");
        number.parse().expect("a number")
    }

    /// Of the processor, in all its threads.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = text.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: u64 = fields[11..13]
            .iter()
            .map(|field| field.parse::<u64>().expect("ticks"))
            .sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_brokers_and_a_hundred_thousand_partitions_fit_into_one_process() {
    if std::env::var_os("AZIMUTH_HEAVY").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let process = Process::start(dir.path(), 100, FULL);
    let memory = process.status("VmHWM") / 1024;
    let pid = process.child.id().to_string();
    println!(
        "ready after {:?}, {memory} MiB at the peak, {} descriptors, {} threads",
        process.started,
        descriptors(&pid),
        process.status("Threads")
    );
    assert!(memory < 2_000, "{memory} MiB");
    assert_eq!(process.bootstrap.len(), 100);
    // Unoptimised code is several times slower.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 240 } else { 20 });
    assert!(process.started < limit, "ready after {:?}", process.started);

    let client = connect(&process.bootstrap[0]).await;
    let began = Instant::now();
    let metadata = all_topics(&client).await;
    println!("metadata of all topics after {:?}", began.elapsed());
    let partitions: usize = metadata.topics.iter().map(|topic| topic.partitions.len()).sum();
    assert_eq!(partitions, 100_000 + OFFSETS_PARTITIONS);
    let began = Instant::now();
    let sizes = DescribeLogDirsRequest::default().with_topics(None);
    let answer = client.call(sizes, DEADLINE).await.expect("sizes");
    let replicas: usize = answer.results[0]
        .topics
        .iter()
        .map(|topic| topic.partitions.len())
        .sum();
    println!("sizes of {replicas} replicas of one broker after {:?}", began.elapsed());
    assert!((2_500..=3_500).contains(&replicas), "{replicas}");

    let before = process.cpu();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = process.cpu() - before;
    println!("{idle:?} of the processor in 10 s of idleness");
    assert!(
        idle < Duration::from_secs(if cfg!(debug_assertions) { 8 } else { 2 }),
        "{idle:?}"
    );
    assert!(descriptors(&pid) < 4_096);
    assert!(partition_dirs(dir.path()).len() <= 3 * (TOPICS_WITH_RECORDS * 10 + OFFSETS_PARTITIONS));
}

/// Waits until every partition has a leader and all its replicas in sync, asked of the first broker.
async fn until_whole(process: &Process, deadline: Duration) {
    let client = connect(&process.bootstrap[0]).await;
    let until = Instant::now() + deadline;
    loop {
        let metadata = all_topics(&client).await;
        let partitions = || metadata.topics.iter().flat_map(|topic| &topic.partitions);
        let lacking = partitions().filter(|one| one.leader_id.0 < 0 || one.isr_nodes.len() < one.replica_nodes.len());
        match lacking.count() {
            0 => return,
            lacking => assert!(
                Instant::now() < until,
                "{lacking} partitions are not whole after {deadline:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_nodes_were_all_killed_is_whole_again_after_its_next_start() {
    let heavy = std::env::var_os("AZIMUTH_HEAVY").is_some();
    let few = Content {
        topics: 300,
        partitions: 10,
        groups: 30,
    };
    let (nodes, content, deadline) = match heavy {
        true => (100, FULL, Duration::from_secs(240)),
        false => (30, few, DEADLINE),
    };
    let dir = tempfile::tempdir().expect("a folder");
    // Dropped at once, which kills it.
    drop(Process::start(dir.path(), nodes, content));
    let process = Process::start(dir.path(), nodes, content);
    println!("ready again after {:?}", process.started);
    until_whole(&process, deadline).await;
    println!("whole again, with {:?} of processor", process.cpu());
}
