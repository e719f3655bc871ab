//! Lag as a story on real brokers: a consumer that hangs at one partition, a group whose members are gone, and a group whose
//! records are deleted before it reads them; recorded by one console and recalled by the next.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Instant;

use azimuth::feed::{Cadence, Feed, Needs, Section, Sources, collect};
use azimuth::model::row::group::{BehindBasis, Expiry, GroupRow, MemberRow, Safe};
use azimuth::model::{Moment, Snapshot};
use azimuth::settings::Paths;
use azimuth::source::kafka::record::{Member, NewRecord, Producer};
use azimuth::source::kafka::{ConfigChange, Edit, Kafka, NewTopic, Resource, Target};

use super::PATIENCE;
use super::kafka;
use super::scripts::Home;

/// So long ago the records were written, as their timestamps say.
const AGE_SECONDS: i64 = 600;

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

async fn create(kafka: &Kafka, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        configs: configs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..NewTopic::default()
    };
    for (_, outcome) in kafka.create_topics(&[topic], false).await.unwrap() {
        outcome.unwrap();
    }
    eventually("the topic", || async {
        let topics = kafka.topics().await.ok()?;
        let topic = topics.into_iter().find(|topic| topic.name == name)?;
        let led = topic.partitions.iter().all(|partition| partition.leader.is_some());
        (led && topic.partitions.len() == partitions as usize).then_some(())
    })
    .await;
}

async fn produce(target: &Target, topic: &str, partition: i32, records: usize, bytes: usize) {
    let producer = Producer::new(target, &[("linger.ms", "0")]).unwrap();
    let value = vec![b'x'; bytes];
    let written = Moment::now().as_millisecond() - AGE_SECONDS * 1000;
    for number in 0..records {
        let record = NewRecord {
            topic,
            partition: Some(partition),
            key: None,
            value: Some(&value),
            timestamp_ms: Some(written + number as i64),
            ..NewRecord::default()
        };
        producer.send(record).await.unwrap();
    }
    producer.flush(PATIENCE).await.unwrap();
}

async fn read(member: &Member, records: usize) {
    for _ in 0..records {
        tokio::time::timeout(PATIENCE, member.next()).await.unwrap().unwrap();
    }
}

async fn look(sources: &Sources) -> Snapshot {
    let needs = Needs::from([
        Section::Cluster,
        Section::Topics,
        Section::Groups,
        Section::Offsets,
        Section::Backlogs,
        Section::Retentions,
    ]);
    collect(sources, &needs, PATIENCE).await
}

fn row(snapshot: &Snapshot, name: &str, now: Moment) -> Option<GroupRow> {
    GroupRow::all(snapshot, now).into_iter().find(|row| row.name == name)
}

/// Asks until the group is as described.
async fn group(sources: &Sources, name: &str, what: &str, is: impl Fn(&GroupRow) -> bool) -> (Snapshot, GroupRow) {
    eventually(&format!("{name}: {what}"), || async {
        let snapshot = look(sources).await;
        let row = row(&snapshot, name, Moment::now()).filter(|row| is(row))?;
        Some((snapshot, row))
    })
    .await
}

/// Its member lives and polls no more: one of two partitions has records that nobody reads.
async fn a_hanging_consumer(target: &Target, sources: &Sources) -> Member {
    create(&Kafka::new(target.clone()), "hanging", 2, &[]).await;
    for partition in [0, 1] {
        produce(target, "hanging", partition, 20, 10).await;
    }
    let member = Member::join(target, "hangs", &["hanging"], &[]).unwrap();
    read(&member, 40).await;
    group(sources, "hangs", "all read", |row| row.lag_records.value == Some(0)).await;
    produce(target, "hanging", 1, 30, 10).await;
    let (snapshot, row) = group(sources, "hangs", "behind", |row| row.lag_records.value == Some(30)).await;
    assert_eq!((row.state.as_str(), row.members), ("Stable", 1));
    assert_eq!(row.worst, Some(("hanging".to_owned(), 1, 30)));
    let members = MemberRow::all(&snapshot, &row, Moment::now());
    assert_eq!(
        members[0].zone.value, None,
        "three brokers in three racks share this host"
    );
    member
}

/// It read a little, left, and the rest waits.
async fn a_group_without_members(target: &Target, sources: &Sources) {
    create(&Kafka::new(target.clone()), "left", 1, &[]).await;
    produce(target, "left", 0, 100, 10).await;
    let member = Member::join(target, "leaves", &["left"], &[]).unwrap();
    read(&member, 10).await;
    group(sources, "leaves", "a commit", |row| row.lag_records.value == Some(90)).await;
    drop(member);
    let (_, row) = group(sources, "leaves", "empty", |row| row.state == "Empty").await;
    assert_eq!(row.cause.as_ref().map(|cause| cause.word()), Some("no-members"));
    let behind = row.behind.value.unwrap();
    assert_eq!(behind.basis, BehindBasis::Timestamps);
    let seconds = behind.seconds as i64;
    assert!(
        (AGE_SECONDS * 97 / 100..AGE_SECONDS + 120).contains(&seconds),
        "{seconds} s behind"
    );
    let Some(Safe::Until(until)) = row.safe.value else {
        panic!("{:?}", row.safe);
    };
    // The brokers' default is a week.
    let left = until.duration_since(Moment::now()).as_secs();
    assert!((604_800 - AGE_SECONDS - 120..604_800).contains(&left), "{left} s left");
    assert!(
        matches!(row.offsets_expire.value, Some(Expiry::By(_))),
        "{:?}",
        row.offsets_expire
    );
}

/// Its topic is limited in size too.
async fn a_group_of_a_limited_topic(target: &Target, sources: &Sources) {
    let limit = [("retention.bytes", "100000000")];
    create(&Kafka::new(target.clone()), "sized", 1, &limit).await;
    produce(target, "sized", 0, 100, 10).await;
    let member = Member::join(target, "measures", &["sized"], &[]).unwrap();
    read(&member, 10).await;
    let (_, row) = group(sources, "measures", "a commit", |row| row.lag_records.value == Some(90)).await;
    let why = row.safe.reason.unwrap_or_default();
    assert!(
        why.contains("rate in"),
        "sizes were asked for, and one look has no rate: {why}"
    );
}

/// Retention is cut while it is behind.
async fn a_group_that_loses_records(target: &Target, sources: &Sources) {
    let kafka = Kafka::new(target.clone());
    create(&kafka, "lost", 1, &[("segment.bytes", "1048576")]).await;
    produce(target, "lost", 0, 300, 10_000).await;
    let member = Member::join(target, "loses", &["lost"], &[]).unwrap();
    read(&member, 10).await;
    group(sources, "loses", "a commit", |row| row.lag_records.value == Some(290)).await;
    drop(member);
    let change = ConfigChange {
        resource: Resource::Topic("lost".to_owned()),
        name: "retention.ms".to_owned(),
        edit: Edit::Set("1000".to_owned()),
    };
    for (_, outcome) in kafka.incremental_alter_configs(&[change], false).await.unwrap() {
        outcome.unwrap();
    }
    let (_, row) = group(sources, "loses", "losing", |row| row.safe.value == Some(Safe::Losing)).await;
    assert!(row.lost_records > 0, "{row:?}");
}

/// A console saw the commit stand; seen a minute and a half later it is the cause. What it recorded is there for the next.
async fn recorded_and_recalled(sources: &Sources) {
    let mut sources = sources.clone();
    let folder = tempfile::tempdir().unwrap();
    sources.record = Some(Paths::under(folder.path()));
    let feed = Feed::start(sources.clone(), Cadence::default());
    let mut snapshots = feed.snapshots();
    let stands = |snapshot: &std::sync::Arc<Snapshot>| {
        let past = snapshot.history.groups.get("hangs");
        past.is_some_and(|past| past.standing.get("hanging", 1).is_some())
    };
    let snapshot = tokio::time::timeout(PATIENCE, snapshots.wait_for(stands))
        .await
        .unwrap()
        .unwrap()
        .clone();
    let later = Moment::now() + jiff::SignedDuration::from_secs(90);
    let mut snapshot = Snapshot::clone(&snapshot);
    for told in snapshot.coordinators.values_mut() {
        told.seen_at = Some(later);
    }
    let cause = row(&snapshot, "hangs", later).unwrap().cause.unwrap().to_string();
    assert_eq!(cause, "one-partition (hanging-1: offset 20 not moving)");
    let other = feed_recalls(&sources).await;
    drop(feed);
    assert_eq!(other.rate_out.value, Some(0.0));
    assert!(other.rate_basis.unwrap().contains("recorded"));
}

/// Another look, by a process that has seen nothing itself.
async fn feed_recalls(sources: &Sources) -> GroupRow {
    let recorded = |row: &GroupRow| row.rate_basis.as_ref().is_some_and(|basis| basis.contains("recorded"));
    group(sources, "hangs", "a recording", recorded).await.1
}

/// The same in the words of the command line.
async fn printed(bootstrap: &str) {
    let home = std::sync::Arc::new(Home::new());
    let run = |line: String| {
        let home = home.clone();
        async move { tokio::task::spawn_blocking(move || home.run(&line)).await.unwrap() }
    };
    let ran = run(format!("group list --window 1s --bootstrap {bootstrap} -o json")).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let envelope = ran.envelope("group.list");
    let items: BTreeMap<&str, &serde_json::Value> = envelope["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["group"].as_str().unwrap(), item))
        .collect();
    assert_eq!(items["leaves"]["cause"], "no-members");
    assert_eq!(items["leaves"]["behind_basis"], "timestamps");
    assert_eq!(items["loses"]["safe_until"], "losing");
    // Nothing is written: time is what ends its records.
    let until = items["measures"]["safe_until"].as_str().unwrap_or_default();
    assert!(until.parse::<Moment>().is_ok(), "{}", items["measures"]);
    assert_eq!(items["hangs"]["rate_out_per_second"], 0.0);
    assert!(ran.stderr.contains("seen twice"), "{}", ran.stderr);
    let ran = run(format!("group show loses --bootstrap {bootstrap}")).await;
    assert!(ran.stdout.contains("already losing"), "{}", ran.stdout);
    assert!(ran.stderr.contains("--window 5s"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_tell_their_stories() {
    let folder = tempfile::tempdir().unwrap();
    let racks = ["a", "b", "c"].map(str::to_owned);
    let mut config = azimuth_broker::cluster::ClusterConfig::local(3, &racks, folder.path(), 0);
    config.overrides = vec![("log.retention.check.interval.ms".to_owned(), "500".to_owned())];
    let cluster = azimuth_broker::cluster::Cluster::start(config).await.unwrap();
    let target = Target::new(&cluster.bootstrap());
    let sources = Sources::of_kafka("lag", Kafka::new(target.clone()));
    let member = a_hanging_consumer(&target, &sources).await;
    a_group_without_members(&target, &sources).await;
    a_group_of_a_limited_topic(&target, &sources).await;
    a_group_that_loses_records(&target, &sources).await;
    recorded_and_recalled(&sources).await;
    printed(&cluster.bootstrap()).await;
    drop(member);
    cluster.shutdown().await;
}
