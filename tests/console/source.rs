//! The sources on real brokers: the same questions and changes, the same answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use azimuth::feed::{self, Cadence, Feed, Needs, Section, Sources, collect};
use azimuth::model::record::filter::Filter;
use azimuth::model::record::{Record, TimestampType};
use azimuth::model::row::Rows;
use azimuth::model::row::transaction::{orphans, unseen};
use azimuth::model::{Health, Moment, Snapshot};
use azimuth::source::kafka::record::{Member, NewRecord, Overflow, Producer, Start, TailRequest, Until, tail};
use azimuth::source::kafka::{ConfigChange, Edit, Election, Kafka, Move, NewTopic, Of, Resource, Target};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use strum::IntoEnumIterator;

use crate::PATIENCE;
use crate::kafka;
use crate::operations::Desk;

const RECORDS: i64 = 120;
const READ: i64 = 50;

/// Asks until the answer is as wanted.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{what} did not come to pass in {PATIENCE:?}"
        );
        tokio::time::sleep(kafka::PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_answers_every_question() {
    let Some(cluster) = kafka::shared().await else { return };
    let kafka = Kafka::new(cluster.target());
    assert_eq!(kafka.cluster().await.unwrap().version.as_deref(), Some("4.3"));
    assert_eq!(kafka.link(1).await.unwrap().link.release.as_deref(), Some("4.3"));
    every_question(&cluster.target()).await;
    transactions(&kafka, &cluster.target()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_makes_every_change() {
    let Some(cluster) = kafka::shared().await else { return };
    every_change(&cluster.target()).await;
}

/// Our own broker, three nodes in this process at the addresses of three zones.
async fn ours() -> (tempfile::TempDir, Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let racks = ["a", "b", "c"].map(str::to_owned);
    let mut config = ClusterConfig::local(3, &racks, folder.path(), 0);
    for node in &mut config.nodes {
        node.listen = format!("127.0.{}.10:0", node.id.0);
    }
    (folder, Cluster::start(config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_broker_answers_every_question() {
    let (_folder, cluster) = ours().await;
    every_question(&Target::new(&cluster.bootstrap())).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_broker_makes_every_change() {
    let (_folder, cluster) = ours().await;
    every_change(&Target::new(&cluster.bootstrap())).await;
    cluster.shutdown().await;
}

/// Three brokers in racks a, b, c; asked once for everything.
async fn every_question(target: &Target) {
    let kafka = Kafka::new(target.clone());
    let overrides = BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]);
    create(
        &kafka,
        "questions",
        vec![vec![1, 2, 3], vec![2, 3, 1], vec![3, 1, 2]],
        overrides,
    )
    .await;
    // A broker refuses timestamps that are more than an hour ahead of its clock.
    let first_ms = Moment::now().as_millisecond() - 600_000;
    let written = produce(target, "questions", first_ms).await;
    tails(target, "questions", &written, first_ms).await;
    records(&kafka, target).await;
    consume(target, "questions", "readers").await;
    let sources = Sources::of_kafka("test", Kafka::new(target.clone()));
    let needs: Needs = Section::iter().filter(|section| !section.is_cloud()).collect();
    let snapshot = eventually("every section fresh and the commits visible", || async {
        let snapshot = collect(&sources, &needs, PATIENCE).await;
        let committed: i64 = group(&snapshot, "readers")?
            .commits
            .iter()
            .map(|commit| commit.offset)
            .sum();
        (committed == READ).then_some(snapshot)
    })
    .await;
    placement(&snapshot);
    offsets_and_lag(&snapshot, &written);
    configs(&snapshot);
    disks(&snapshot);
}

fn group<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a azimuth::model::group::Group> {
    snapshot.group(name)
}

async fn create(kafka: &Kafka, name: &str, assignments: Vec<Vec<i32>>, configs: BTreeMap<String, String>) {
    let topic = NewTopic {
        name: name.to_owned(),
        assignments,
        configs,
        ..NewTopic::default()
    };
    let outcomes = kafka.create_topics(std::slice::from_ref(&topic), true).await.unwrap();
    assert_eq!(outcomes, [(name.to_owned(), Ok(()))], "validation");
    assert!(
        kafka.topics().await.unwrap().iter().all(|topic| topic.name != name),
        "validating creates nothing"
    );
    let outcomes = kafka.create_topics(std::slice::from_ref(&topic), false).await.unwrap();
    assert_eq!(outcomes, [(name.to_owned(), Ok(()))]);
    eventually("the topic on all brokers", || async {
        let topics = kafka.topics().await.ok()?;
        let topic = topics.into_iter().find(|topic| topic.name == name)?;
        topic
            .partitions
            .iter()
            .all(|partition| partition.leader.is_some() && partition.isr.len() == partition.replicas.len())
            .then_some(())
    })
    .await;
}

/// Offsets by partition, in order.
async fn produce(target: &Target, topic: &str, first_ms: i64) -> BTreeMap<i32, Vec<i64>> {
    let producer = Producer::new(target, &[("linger.ms", "0")]).unwrap();
    let mut written: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for number in 0..RECORDS {
        let value = number.to_string();
        let record = NewRecord {
            topic,
            partition: Some((number % 3) as i32),
            key: Some(b"key"),
            value: Some(value.as_bytes()),
            timestamp_ms: Some(first_ms + number),
            ..NewRecord::default()
        };
        let delivered = producer.send(record).await.unwrap();
        written.entry(delivered.partition).or_default().push(delivered.offset);
    }
    producer.flush(PATIENCE).await.unwrap();
    written
}

async fn tails(target: &Target, topic: &str, written: &BTreeMap<i32, Vec<i64>>, first_ms: i64) {
    let at = Moment::from_millisecond(first_ms + RECORDS - 6).unwrap();
    for (start, expected) in [
        (Start::Beginning, RECORDS),
        (Start::Last(5), 15),
        (Start::At(at), 6),
        (Start::End, 0),
    ] {
        let request = TailRequest {
            topic: topic.to_owned(),
            partitions: written.keys().copied().collect(),
            start,
            capacity: 10,
            ..whole(topic)
        };
        let mut tail = tail(target, request).unwrap();
        let mut seen = 0;
        while let Some(record) = tokio::time::timeout(PATIENCE, tail.next()).await.unwrap() {
            let record = record.unwrap();
            assert!(written[&record.partition].contains(&record.offset));
            assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
            seen += 1;
        }
        assert_eq!(seen, expected, "{start:?}");
        assert_eq!(tail.dropped(), 0);
    }
}

/// All of partition 0, to the end of its log.
fn whole(topic: &str) -> TailRequest {
    TailRequest {
        topic: topic.to_owned(),
        partitions: vec![0],
        start: Start::Beginning,
        until: Until::End,
        filter: Filter::default(),
        limit: None,
        read_committed: false,
        capacity: 100,
        overflow: Overflow::Wait,
    }
}

async fn read(target: &Target, request: TailRequest) -> Vec<Record> {
    let mut tail = tail(target, request).unwrap();
    let mut found = Vec::new();
    while let Some(record) = tokio::time::timeout(PATIENCE, tail.next()).await.unwrap() {
        found.push(record.unwrap());
    }
    found
}

/// Every codec, a tombstone and headers, found by every filter and between every two ends.
async fn records(kafka: &Kafka, target: &Target) {
    const TOPIC: &str = "records";
    create(kafka, TOPIC, vec![vec![1]], BTreeMap::new()).await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = Producer::new(target, &[("compression.type", codec), ("linger.ms", "0")]).unwrap();
        // Long enough that a codec makes it shorter; otherwise librdkafka sends it as it is.
        let padding = "x".repeat(2000);
        let value = format!(r#"{{"codec":"{codec}","tags":["a",{{"n":1}}],"padding":"{padding}"}}"#);
        let record = NewRecord {
            topic: TOPIC,
            partition: Some(0),
            key: Some(codec.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[("codec", codec.as_bytes()), ("hostile", b"\x1b[2J")],
            ..NewRecord::default()
        };
        assert_eq!(producer.send(record).await.unwrap().partition, 0);
    }
    let producer = Producer::new(target, &[("linger.ms", "0")]).unwrap();
    let tombstone = NewRecord {
        topic: TOPIC,
        partition: Some(0),
        key: Some(b"gzip"),
        ..NewRecord::default()
    };
    producer.send(tombstone).await.unwrap();
    let all = read(target, whole(TOPIC)).await;
    assert_eq!(
        all.iter().map(|record| record.offset).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(all[4].headers[0], ("codec".to_owned(), Some(b"zstd".to_vec())));
    assert_eq!(all[5].value, None, "a tombstone is no empty value");
    assert_eq!(all[0].timestamp_type, Some(TimestampType::CreateTime));
    let offsets = async |request: TailRequest| -> Vec<i64> {
        read(target, request).await.iter().map(|record| record.offset).collect()
    };
    let with = |filter: Filter| TailRequest { filter, ..whole(TOPIC) };
    let by_json = with(Filter {
        json: vec!["codec=lz4".parse().unwrap(), "tags[1].n=1".parse().unwrap()],
        ..Filter::default()
    });
    assert_eq!(offsets(by_json).await, [3]);
    let by_key = with(Filter {
        key: Some(regex::bytes::Regex::new("^g").unwrap()),
        ..Filter::default()
    });
    assert_eq!(offsets(by_key).await, [1, 5]);
    let by_header = with(Filter {
        headers: vec![("codec".to_owned(), "snappy".to_owned())],
        ..Filter::default()
    });
    assert_eq!(offsets(by_header).await, [2]);
    let by_text = with(Filter {
        text: Some(regex::bytes::Regex::new("codec\":\"z").unwrap()),
        ..Filter::default()
    });
    assert_eq!(offsets(by_text).await, [4]);
    let ranges = [
        (
            Start::Offset(2),
            Until::Offsets(BTreeMap::from([(0, 4)])),
            None,
            vec![2, 3],
        ),
        (Start::Beginning, Until::Followed, Some(2), vec![0, 1]),
        (
            Start::Offset(99),
            Until::Offsets(BTreeMap::from([(0, 6)])),
            None,
            vec![],
        ),
        (Start::Beginning, Until::Offsets(BTreeMap::from([(0, 0)])), None, vec![]),
        (
            Start::Beginning,
            Until::At(Moment::from_second(1000).unwrap()),
            None,
            vec![],
        ),
        (
            Start::At(Moment::from_second(1000).unwrap()),
            Until::End,
            Some(1),
            vec![0],
        ),
    ];
    for (start, until, limit, expected) in ranges {
        let request = TailRequest {
            start,
            until: until.clone(),
            limit,
            ..whole(TOPIC)
        };
        assert_eq!(offsets(request).await, expected, "{start:?} {until:?}");
    }
}

/// Aborted records are there for who asks for all, and are not for who asks for what was committed.
async fn transactions(kafka: &Kafka, target: &Target) {
    use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
    const TOPIC: &str = "transactions";
    create(kafka, TOPIC, vec![vec![1]], BTreeMap::new()).await;
    let bootstrap = target.bootstrap.join(",");
    tokio::task::spawn_blocking(move || {
        let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("transactional.id", "judge")
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        for commits in [true, false, true] {
            producer.begin_transaction().unwrap();
            let value = if commits { "kept" } else { "aborted" };
            producer
                .send(BaseRecord::<[u8], str>::to(TOPIC).partition(0).payload(value))
                .unwrap();
            producer.flush(PATIENCE).unwrap();
            match commits {
                true => producer.commit_transaction(PATIENCE).unwrap(),
                false => producer.abort_transaction(PATIENCE).unwrap(),
            }
        }
    })
    .await
    .unwrap();
    let values = async |read_committed: bool| -> Vec<String> {
        let request = TailRequest {
            read_committed,
            ..whole(TOPIC)
        };
        let found = read(target, request).await;
        let value = |record: Record| String::from_utf8(record.value.unwrap_or_default()).unwrap();
        found.into_iter().map(value).collect()
    };
    assert_eq!(values(true).await, ["kept", "kept"]);
    assert_eq!(values(false).await, ["kept", "aborted", "kept"]);
}

async fn consume(target: &Target, topic: &str, group: &str) {
    let member = Member::join(target, group, &[topic], &[]).unwrap();
    for _ in 0..READ {
        let record = tokio::time::timeout(PATIENCE, member.next()).await.unwrap().unwrap();
        assert_eq!(record.topic, topic);
    }
}

fn placement(snapshot: &Snapshot) {
    let cluster = snapshot.cluster.get().unwrap();
    let racks: Vec<_> = cluster
        .brokers
        .iter()
        .map(|broker| broker.rack.as_deref().unwrap())
        .collect();
    assert_eq!(racks, ["a", "b", "c"]);
    assert!(cluster.controller.is_some());
    let topic = snapshot.topic("questions").unwrap();
    assert!(!topic.id.is_nil());
    let replicas: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| partition.replicas.clone())
        .collect();
    assert_eq!(replicas, [[1, 2, 3], [2, 3, 1], [3, 1, 2]]);
    assert!(
        topic
            .partitions
            .iter()
            .all(|partition| !partition.is_under_replicated())
    );
    let quorum = snapshot.quorum.get().unwrap();
    assert!(quorum.leader.is_some() && quorum.high_watermark > 0 && !quorum.voters.is_empty());
    assert_eq!(snapshot.reassignments.get().unwrap().as_slice(), []);
}

fn offsets_and_lag(snapshot: &Snapshot, written: &BTreeMap<i32, Vec<i64>>) {
    for (partition, offsets) in written {
        let span = snapshot.span("questions", *partition).unwrap();
        assert_eq!((span.start, span.end), (0, offsets.len() as i64));
    }
    let rows = Rows::of(snapshot, Moment::now());
    let readers = rows.groups.iter().find(|group| group.name == "readers").unwrap();
    // A partition that the group has not read from yet has no commit, and so no lag.
    let read = &group(snapshot, "readers").unwrap().commits;
    let written: usize = read.iter().map(|commit| written[&commit.partition].len()).sum();
    assert_eq!(readers.lag_records.value, Some(written as i64 - READ));
}

fn configs(snapshot: &Snapshot) {
    let topics = snapshot.topic_configs.get().unwrap();
    let names: Vec<_> = topics["questions"].iter().map(|config| config.name.as_str()).collect();
    assert_eq!(names, ["min.insync.replicas", "retention.ms"]);
    for (id, rack) in [(1, "a"), (2, "b"), (3, "c")] {
        let configs = snapshot.broker_configs[&id].get().unwrap();
        let config = configs.iter().find(|config| config.name == "broker.rack").unwrap();
        assert_eq!(config.value.as_deref(), Some(rack));
    }
}

fn disks(snapshot: &Snapshot) {
    for (id, dirs) in &snapshot.logdirs {
        let dirs = dirs
            .get()
            .unwrap_or_else(|| panic!("{:?}", snapshot.logdirs[id].health));
        let dir = &dirs[0];
        assert!(dir.total_bytes > dir.usable_bytes && dir.error.is_none());
        let held = dir.replicas.iter().filter(|replica| replica.topic == "questions");
        let sizes: Vec<_> = held.map(|replica| replica.size_bytes).collect();
        assert!(sizes.len() == 3 && sizes.iter().all(|size| *size > 0), "{sizes:?}");
    }
    let links: BTreeSet<_> = snapshot
        .links
        .iter()
        .filter(|(_, link)| link.is_fresh())
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(links, BTreeSet::from([1, 2, 3]));
}

/// Everything that can be changed, and what is refused.
async fn every_change(target: &Target) {
    let kafka = Kafka::new(target.clone());
    create(&kafka, "changes", vec![vec![1, 2], vec![2, 3]], BTreeMap::new()).await;
    refusals(&kafka).await;
    settings(&kafka).await;
    moves(&kafka).await;
    let outcomes = kafka
        .delete_topics(&["changes".to_owned(), "no-such".to_owned()])
        .await
        .unwrap();
    let outcomes: BTreeMap<_, _> = outcomes.into_iter().collect();
    assert_eq!(outcomes["changes"], Ok(()));
    let refusal = outcomes["no-such"].as_ref().unwrap_err().to_string();
    assert!(
        refusal.contains("deleting topic no-such") && refusal.contains("UNKNOWN_TOPIC_OR_PARTITION"),
        "{refusal}"
    );
    eventually("the topic gone", || async {
        let topics = kafka.topics().await.ok()?;
        topics.iter().all(|topic| topic.name != "changes").then_some(())
    })
    .await;
}

async fn refusals(kafka: &Kafka) {
    let again = NewTopic {
        name: "changes".to_owned(),
        ..NewTopic::default()
    };
    let outcomes = kafka.create_topics(&[again], false).await.unwrap();
    let refusal = outcomes[0].1.as_ref().unwrap_err().to_string();
    assert!(refusal.contains("TOPIC_ALREADY_EXISTS"), "{refusal}");
    let nothing = Move {
        topic: "changes".to_owned(),
        partition: 0,
        replicas: None,
    };
    let outcomes = kafka.alter_partition_reassignments(&[nothing]).await.unwrap();
    let refusal = outcomes[0].1.as_ref().unwrap_err().to_string();
    assert!(refusal.contains("NO_REASSIGNMENT_IN_PROGRESS"), "{refusal}");
}

async fn settings(kafka: &Kafka) {
    let change = |edit| ConfigChange {
        resource: Resource::Topic("changes".to_owned()),
        name: "retention.ms".to_owned(),
        edit,
    };
    let names = || async {
        let all = kafka.topic_configs(&["changes".to_owned()], Of::All).await.ok()?;
        let configs = &all["changes"];
        Some(configs.iter().map(|config| config.name.clone()).collect::<Vec<_>>())
    };
    let set = change(Edit::Set("3600000".to_owned()));
    let outcomes = kafka
        .incremental_alter_configs(std::slice::from_ref(&set), true)
        .await
        .unwrap();
    assert_eq!(outcomes[0].1, Ok(()));
    assert_eq!(
        names().await.unwrap(),
        ["min.insync.replicas"],
        "validating changes nothing"
    );
    let outcomes = kafka.incremental_alter_configs(&[set], false).await.unwrap();
    assert_eq!(outcomes[0].1, Ok(()));
    eventually("the override", || async {
        (names().await? == ["min.insync.replicas", "retention.ms"]).then_some(())
    })
    .await;
    let alone = kafka.topic_configs(&["changes".to_owned()], Of::MinIsr).await.unwrap();
    let told: Vec<&str> = alone["changes"].iter().map(|config| config.name.as_str()).collect();
    assert_eq!(told, ["min.insync.replicas"], "nothing else was asked for");
    let wrong = change(Edit::Set("soon".to_owned()));
    let outcomes = kafka.incremental_alter_configs(&[wrong], false).await.unwrap();
    let refusal = outcomes[0].1.as_ref().unwrap_err().to_string();
    assert!(
        refusal.contains("topic changes") && refusal.contains("INVALID_CONFIG"),
        "{refusal}"
    );
    let outcomes = kafka
        .incremental_alter_configs(&[change(Edit::Unset)], false)
        .await
        .unwrap();
    assert_eq!(outcomes[0].1, Ok(()));
    eventually("the default again", || async {
        (names().await? == ["min.insync.replicas"]).then_some(())
    })
    .await;
}

async fn moves(kafka: &Kafka) {
    let step = Move {
        topic: "changes".to_owned(),
        partition: 0,
        replicas: Some(vec![3, 2]),
    };
    let outcomes = kafka.alter_partition_reassignments(&[step]).await.unwrap();
    assert_eq!(outcomes, [(("changes".to_owned(), 0), Ok(()))]);
    eventually("the move done", || async {
        let topics = kafka.topics().await.ok()?;
        let topic = topics.into_iter().find(|topic| topic.name == "changes")?;
        let done = topic.partitions[0].replicas == [3, 2] && topic.partitions[0].isr.len() == 2;
        (done && kafka.reassignments().await.ok()?.is_empty()).then_some(())
    })
    .await;
    let everywhere = [("changes".to_owned(), 0), ("changes".to_owned(), 1)];
    let outcomes = kafka.elect_leaders(Election::Preferred, &everywhere).await.unwrap();
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    eventually("the preferred leader", || async {
        let topics = kafka.topics().await.ok()?;
        let topic = topics.into_iter().find(|topic| topic.name == "changes")?;
        topic.partitions[0].is_leader_preferred().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_apache_kafka_hangs_dies_and_returns() {
    let Some(mut cluster) = kafka::Cluster::start().await else {
        return;
    };
    let feed = Feed::start(
        Sources::of_kafka("test", Kafka::new(cluster.target())),
        Cadence::default(),
    );
    let mut snapshots = feed.snapshots();
    let mut until = async |what: &str, is: fn(&Snapshot) -> bool| {
        let seen = tokio::time::timeout(PATIENCE, snapshots.wait_for(|snapshot| is(snapshot))).await;
        seen.unwrap_or_else(|_| panic!("{what} did not come to pass"))
            .unwrap()
            .clone()
    };
    let healthy: fn(&Snapshot) -> bool = |snapshot| {
        let links = snapshot.links.values().filter(|link| link.is_fresh()).count();
        let dirs = snapshot.logdirs.values().filter(|dirs| dirs.is_fresh()).count();
        links == 3 && dirs == 3 && snapshot.topics.is_fresh()
    };
    until("three healthy brokers", healthy).await;
    cluster.pause(3, true);
    let hung = until("broker 3 failing and fenced, the rest fresh", |snapshot| {
        let fenced = |cluster: &azimuth::model::cluster::Cluster| {
            cluster.brokers.iter().any(|broker| broker.id == 3 && broker.fenced)
        };
        matches!(snapshot.links[&3].health, Health::Failing { .. })
            && snapshot.cluster.get().is_some_and(fenced)
            && snapshot.cluster.is_fresh()
            && snapshot.topics.is_fresh()
            && snapshot.links[&1].is_fresh()
            && snapshot.links[&2].is_fresh()
    })
    .await;
    assert!(hung.logdirs[&3].get().is_some(), "what was known of it stays");
    cluster.pause(3, false);
    until("broker 3 back from its pause", healthy).await;
    cluster.kill(3);
    until("broker 3 unreachable", |snapshot| {
        matches!(snapshot.links[&3].health, Health::Failing { .. })
    })
    .await;
    cluster.launch(3);
    until("broker 3 back from the dead", healthy).await;
}

/// A transaction that is open, as its coordinator and its partition's leader tell it, and after its end.
#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_tells_open_transactions_and_their_producers() {
    let Some(cluster) = kafka::shared().await else { return };
    let kafka = Kafka::new(cluster.target());
    create(&kafka, "transacted", vec![vec![1, 2, 3]], BTreeMap::new()).await;
    let producer = transact(&cluster.bootstrap, "billing-1", "transacted", 60_000).await;
    let sources = Sources::of_kafka("test", Kafka::new(cluster.target()));
    let needs = Needs::from([Section::Cluster, Section::Topics, Section::Transactions]);
    let snapshot = eventually("an open transaction", || async {
        let snapshot = collect(&sources, &needs, PATIENCE).await;
        let open = Rows::of(&snapshot, Moment::now())
            .transactions
            .iter()
            .any(|row| row.id == "billing-1" && row.state == "Ongoing" && row.partitions() == 1);
        open.then_some(snapshot)
    })
    .await;
    assert_eq!(unseen(&snapshot), None, "every coordinator has answered");
    let rows = Rows::of(&snapshot, Moment::now()).transactions;
    let row = rows.iter().find(|row| row.id == "billing-1").unwrap();
    assert_eq!(row.topics, BTreeMap::from([("transacted".to_owned(), vec![0])]));
    assert_eq!(row.timeout_seconds, Some(60.0));
    assert_eq!(row.hanging, None);
    assert!(row.open_seconds.value.unwrap() < 60.0);
    // Past its timeout it hangs, as far as this answer tells.
    let later = Moment::now() + Duration::from_secs(120);
    let rows = Rows::of(&snapshot, later).transactions;
    assert!(rows.iter().any(|row| row.id == "billing-1" && row.hanging.is_some()));

    let leader = snapshot.topic("transacted").unwrap().partitions[0].leader.unwrap();
    let led = BTreeMap::from([(leader, vec![0])]);
    let told = feed::producers(&sources, "transacted", &led, PATIENCE).await;
    let producers = told.into_iter().next().unwrap().1.unwrap();
    let own = producers.iter().find(|one| one.producer_id == row.producer_id).unwrap();
    assert_eq!(own.open_from_offset, Some(0));
    assert!(orphans(&snapshot, &producers, Moment::now()).unwrap().is_empty());
    // The same, had the coordinators never heard of it.
    let mut forgetful = snapshot.clone();
    forgetful.transactions.values_mut().for_each(|told| told.value = None);
    assert_eq!(orphans(&forgetful, &producers, Moment::now()).unwrap().len(), 1);

    aborted_by_hand(&cluster.bootstrap, row.producer_id).await;
    tokio::task::spawn_blocking(move || producer.commit_transaction(PATIENCE).unwrap())
        .await
        .unwrap();
    eventually("the end of the transaction", || async {
        let snapshot = collect(&sources, &needs, PATIENCE).await;
        let rows = Rows::of(&snapshot, Moment::now()).transactions;
        let row = rows.into_iter().find(|row| row.id == "billing-1")?;
        (row.state == "CompleteCommit" && row.open_seconds.value.is_none()).then_some(())
    })
    .await;
}

/// Its coordinator knows it, so it takes two overrides; then readers of committed records may go on.
async fn aborted_by_hand(bootstrap: &str, producer: i64) {
    let desk = Desk::of(bootstrap);
    let line = format!("transaction abort transacted:0 --producer {producer} --yes");
    desk.run(&line)
        .await
        .ends(4)
        .says("gate orphan is closed: billing-1 (Ongoing) is known to its coordinator")
        .says("gate idle is closed");
    let overridden = format!("{line} --override orphan,idle --reason drill");
    desk.run(&overridden)
        .await
        .ends(0)
        .answers("finished")
        .says(&format!("no transaction of producer {producer} is open there"));
    desk.run(&overridden)
        .await
        .ends(1)
        .says("has no open transaction in transacted-0");
    desk.run("transaction abort transacted --producer 1 --yes")
        .await
        .ends(2)
        .says("orders:3");
}

/// One record in a transaction that stays open.
pub(super) async fn transact(bootstrap: &str, id: &str, topic: &'static str, timeout_ms: u32) -> BaseProducer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", id)
        .set("transaction.timeout.ms", timeout_ms.to_string());
    let producer: BaseProducer = config.create().unwrap();
    let work = move || {
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        producer
            .send(BaseRecord::to(topic).key("k").payload("v").partition(0))
            .unwrap();
        producer.flush(PATIENCE).unwrap();
        producer
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_broker_tells_its_transactions_or_that_it_does_not_serve_them() {
    let (_folder, cluster) = ours().await;
    let sources = Sources::of_kafka("test", Kafka::new(Target::new(&cluster.bootstrap())));
    let needs = Needs::from([Section::Cluster, Section::Transactions]);
    let snapshot = collect(&sources, &needs, PATIENCE).await;
    assert!(Rows::of(&snapshot, Moment::now()).transactions.is_empty());
    let unseen = unseen(&snapshot);
    assert!(
        unseen.as_ref().is_none_or(|why| why.starts_with("not served")),
        "{unseen:?}"
    );
    cluster.shutdown().await;
}
