//! The consumer protocol (KIP-848) on the wire: members that are played by hand, a coordinator that is killed in the
//! middle of a rebalance, a group that changes its protocol, and Kafka's own reading of what is in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::id::NodeId;
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, CreateTopicsRequest, FindCoordinatorRequest, GroupId,
    ListGroupsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::dump;

const DEADLINE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const GROUP: &str = "billing";
const PARTITIONS: i32 = 12;
/// The protocol's error codes.
const UNKNOWN_MEMBER_ID: i16 = 25;
const FENCED_MEMBER_EPOCH: i16 = 110;

async fn start(dir: &Path, processes: bool, session: &str) -> Cluster {
    let mut config = ClusterConfig::local(3, &["a", "b", "c"].map(str::to_owned), dir, 0);
    config.processes = processes.then(|| env!("CARGO_BIN_EXE_azimuth-broker").into());
    config.overrides = [
        ("broker.session.timeout.ms", "1000"),
        ("broker.heartbeat.interval.ms", "100"),
        ("offsets.topic.num.partitions", "1"),
        ("group.initial.rebalance.delay.ms", "100"),
        ("group.consumer.heartbeat.interval.ms", "100"),
        ("group.consumer.session.timeout.ms", session),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    let cluster = Cluster::start(config).await.expect("a cluster");
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_num_partitions(PARTITIONS)
        .with_replication_factor(3);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let client = Client::connect(&cluster.addresses()[0], &ClientConfig::default())
        .await
        .expect("connects");
    let response = client.call(request, DEADLINE).await.expect("an answer");
    assert_eq!(response.topics[0].error_code, 0);
    cluster
}

/// Asks every broker in turn who coordinates the group.
async fn coordinator(addresses: &[String]) -> Option<(NodeId, Client)> {
    for addr in addresses {
        let Ok(client) = Client::connect(addr, &ClientConfig::default()).await else {
            continue;
        };
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![StrBytes::from_static_str(GROUP)]);
        let Ok(response) = client.call(request, Duration::from_secs(5)).await else {
            continue;
        };
        let Some(found) = response.coordinators.first().filter(|found| found.error_code == 0) else {
            continue;
        };
        let addr = format!("{}:{}", found.host.as_str(), found.port);
        if let Ok(client) = Client::connect(&addr, &ClientConfig::default()).await {
            return Some((NodeId(found.node_id.0), client));
        }
    }
    None
}

/// Who owns which partition, by the members' own account.
type Ledger = Arc<Mutex<BTreeMap<(Uuid, i32), String>>>;

/// A member that is played by hand: it lets partitions go before it says so, and notes every change in the ledger.
struct Member {
    id: String,
    epoch: i32,
    owned: BTreeSet<(Uuid, i32)>,
    ledger: Ledger,
}

impl Member {
    fn new(id: String, ledger: &Ledger) -> Self {
        Self {
            id,
            epoch: 0,
            owned: BTreeSet::new(),
            ledger: Arc::clone(ledger),
        }
    }

    fn own(&mut self, wanted: BTreeSet<(Uuid, i32)>) {
        let mut ledger = self.ledger.lock().expect("nobody panics");
        for gone in self.owned.difference(&wanted) {
            ledger.remove(gone);
        }
        for new in wanted.difference(&self.owned) {
            let before = ledger.insert(*new, self.id.clone());
            assert_eq!(before, None, "{new:?} of {} has two owners", self.id);
        }
        self.owned = wanted;
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        let mut owned: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in self.owned.iter().filter(|_| epoch != 0) {
            owned.entry(*topic).or_default().push(*partition);
        }
        let owned = owned
            .into_iter()
            .map(|(topic, partitions)| Owned::default().with_topic_id(topic).with_partitions(partitions));
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(StrBytes::from_static_str(GROUP)))
            .with_member_id(StrBytes::from_string(self.id.clone()))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(Some(vec![TopicName(StrBytes::from_static_str(TOPIC))]))
            .with_topic_partitions(Some(owned.collect()))
    }

    /// Beats once; `None` when the coordinator has to be looked up again.
    async fn beat(&mut self, client: &Client) -> Option<()> {
        let request = self.request(self.epoch);
        let response = client.call(request, Duration::from_secs(5)).await.ok()?;
        match response.error_code {
            0 => {}
            UNKNOWN_MEMBER_ID | FENCED_MEMBER_EPOCH => {
                self.own(BTreeSet::new());
                self.epoch = 0;
                return Some(());
            }
            _ => return None,
        }
        self.epoch = response.member_epoch;
        if let Some(assignment) = response.assignment {
            let topics = assignment.topic_partitions.into_iter();
            let wanted = topics.flat_map(|topic| {
                let id = topic.topic_id;
                topic.partitions.into_iter().map(move |partition| (id, partition))
            });
            self.own(wanted.collect());
        }
        Some(())
    }

    async fn live(mut self, addresses: Vec<String>, leave: Arc<AtomicBool>) {
        while !leave.load(Ordering::Relaxed) {
            let Some((_, client)) = coordinator(&addresses).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !leave.load(Ordering::Relaxed) && self.beat(&client).await.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.own(BTreeSet::new());
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some((_, client)) = coordinator(&addresses).await
                && let Ok(left) = client.call(self.request(-1), Duration::from_secs(5)).await
                && [0, UNKNOWN_MEMBER_ID].contains(&left.error_code)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// State, group epoch, and what each member has: assigned and targeted partitions.
async fn describe(addresses: &[String]) -> Option<(String, i32, Vec<(usize, usize)>)> {
    let (_, client) = coordinator(addresses).await?;
    let request =
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(StrBytes::from_static_str(GROUP))]);
    let response = client.call(request, Duration::from_secs(5)).await.ok()?;
    let group = response
        .groups
        .into_iter()
        .next()
        .filter(|group| group.error_code == 0)?;
    let count = |topics: &[kafka_protocol::messages::consumer_group_describe_response::TopicPartitions]| {
        topics.iter().map(|topic| topic.partitions.len()).sum()
    };
    let members = group.members.iter().map(|member| {
        let (assigned, target) = (
            &member.assignment.topic_partitions,
            &member.target_assignment.topic_partitions,
        );
        (count(assigned), count(target))
    });
    Some((group.group_state.to_string(), group.group_epoch, members.collect()))
}

async fn stable(addresses: &[String], ledger: &Ledger, members: usize) {
    let until = Instant::now() + DEADLINE;
    let share = PARTITIONS as usize / members;
    loop {
        let seen = describe(addresses).await;
        let owned = ledger.lock().expect("nobody panics").len();
        if let Some((state, _, of)) = &seen
            && state == "Stable"
            && *of == vec![(share, share); members]
            && owned == PARTITIONS as usize
        {
            return;
        }
        assert!(
            Instant::now() < until,
            "not stable with {members}: {seen:?}, {owned} owned"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_converges_when_its_coordinator_is_killed_and_no_partition_has_two_owners() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cluster = start(dir.path(), true, "45000").await;
    let (addresses, ledger) = (cluster.addresses(), Ledger::default());
    let mut members = JoinSet::new();
    let (some, all) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut join = |id: usize, leave: &Arc<AtomicBool>| {
        let member = Member::new(format!("member-{id}"), &ledger);
        members.spawn(member.live(addresses.clone(), Arc::clone(leave)));
    };
    join(1, &all);
    join(2, &all);
    stable(&addresses, &ledger, 2).await;
    // Two more join: partitions are on their way when the coordinator dies.
    join(3, &some);
    join(4, &some);
    let (dead, _) = coordinator(&addresses).await.expect("a coordinator");
    cluster.kill(dead).await;
    stable(&addresses, &ledger, 4).await;
    cluster.restart(dead).await.expect("starts");
    // Two leave, and the next one dies.
    some.store(true, Ordering::Relaxed);
    let (dead, _) = coordinator(&addresses).await.expect("a coordinator");
    cluster.kill(dead).await;
    stable(&addresses, &ledger, 2).await;
    all.store(true, Ordering::Relaxed);
    while let Some(ended) = members.join_next().await {
        ended.expect("no partition has two owners");
    }
    cluster.shutdown().await;
}

/// What ListGroups says of the group: state and type.
async fn listed(addresses: &[String]) -> Option<(String, String)> {
    let (_, client) = coordinator(addresses).await?;
    let response = client.call(ListGroupsRequest::default(), DEADLINE).await.ok()?;
    let mut groups = response.groups.into_iter();
    let group = groups.find(|group| group.group_id.as_str() == GROUP)?;
    Some((group.group_state.to_string(), group.group_type.to_string()))
}

fn consumer(cluster: &Cluster, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("subscribes");
    consumer
}

fn count(consumer: &BaseConsumer) -> usize {
    let _ = consumer.poll(Duration::from_millis(20));
    consumer.assignment().expect("an assignment").count()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < until, "not within {DEADLINE:?}: {what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_group_goes_to_the_consumer_protocol_and_back_and_kafka_reads_its_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let cluster = start(dir.path(), false, "45000").await;
    let addresses = cluster.addresses();
    let classic = [
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("heartbeat.interval.ms", "100"),
    ];
    let old = consumer(&cluster, &classic);
    eventually("the classic consumer has everything", async || count(&old) == 12).await;
    assert_eq!(listed(&addresses).await.expect("it is listed").1, "classic");

    let new = consumer(&cluster, &[("group.protocol", "consumer")]);
    let half = PARTITIONS as usize / 2;
    eventually("each has a half", async || {
        let (old, new) = (count(&old), count(&new));
        (old, new) == (half, half)
    })
    .await;
    assert_eq!(
        listed(&addresses).await,
        Some(("Stable".to_owned(), "consumer".to_owned()))
    );
    for (consumer, partition_of) in [(&old, 0), (&new, 0)] {
        let mut offsets = consumer.assignment().expect("an assignment");
        let name = offsets.elements()[partition_of].partition();
        offsets
            .set_partition_offset(TOPIC, name, rdkafka::Offset::Offset(0))
            .expect("sets");
        let mut one = rdkafka::TopicPartitionList::new();
        one.add_partition_offset(TOPIC, name, rdkafka::Offset::Offset(0))
            .expect("sets");
        consumer.commit(&one, CommitMode::Sync).expect("its epoch is known");
    }

    if let Some(jars) = dump::jars() {
        let log = dir
            .path()
            .join("broker-1/data/__consumer_offsets-0/00000000000000000000.log");
        let text = dump::dump(&jars, &[log], &["--offsets-decoder"]);
        for sound in [
            "\"type\":\"2\"",
            "\"type\":\"3\"",
            "\"type\":\"5\"",
            "\"type\":\"6\"",
            "\"type\":\"7\"",
            "\"type\":\"8\"",
            "\"classicMemberMetadata\":{",
            "\"subscribedTopicNames\":[\"orders\"]",
        ] {
            assert!(text.contains(sound), "`{sound}` is missing in {text}");
        }
        for complaint in ["rror", "xception", "nknown"] {
            assert!(!text.contains(complaint), "{text}");
        }
    }

    drop(new);
    eventually("the classic consumer has everything again", async || count(&old) == 12).await;
    assert_eq!(listed(&addresses).await.expect("it is listed").1, "classic");
    drop(old);
    cluster.shutdown().await;
}
