//! The feed's promises, on brokers that can be killed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Cadence, Feed, Needs, Section, Sources, collect};
use crate::model::event::{Event, EventKind};
use crate::model::row::Rows;
use crate::model::{Health, Moment, Observed, Snapshot, Trouble};
use crate::settings::Paths;
use crate::source::kafka::Kafka;
use crate::source::kafka::fake::{Fake, Shape};

/// No test needs longer, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn sources(fake: &Fake) -> Sources {
    Sources::of_kafka("test", Kafka::new(fake.target()))
}

fn quick() -> Cadence {
    let beat = Duration::from_millis(50);
    Cadence {
        cluster: beat,
        links: beat,
        topics: beat,
        offsets: beat,
        offsets_unseen: beat,
        groups: beat,
        logdirs: beat,
        configs: beat,
        quorum: beat,
        reassignments: beat,
        max_backoff: beat,
        ..Cadence::default()
    }
}

/// Waits until a snapshot is as described.
async fn until(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    what: &str,
    is: impl FnMut(&Arc<Snapshot>) -> bool,
) -> Arc<Snapshot> {
    match tokio::time::timeout(PATIENCE, snapshots.wait_for(is)).await {
        Ok(Ok(snapshot)) => Arc::clone(&snapshot),
        Ok(Err(_)) => panic!("the feed ended before {what}"),
        Err(_) => panic!("{what} did not come to pass"),
    }
}

/// Every section that broker `id` tells of itself is as described.
fn all_of(snapshot: &Snapshot, id: i32, is: fn(&Health) -> bool) -> bool {
    fn health<T>(section: Option<&Observed<T>>) -> Health {
        section.map_or(Health::Unasked, |section| section.health.clone())
    }
    [
        health(snapshot.links.get(&id)),
        health(snapshot.offsets.get(&id)),
        health(snapshot.coordinators.get(&id)),
        health(snapshot.logdirs.get(&id)),
    ]
    .iter()
    .all(is)
}

fn fresh(health: &Health) -> bool {
    *health == Health::Fresh
}

fn failing(health: &Health) -> bool {
    matches!(health, Health::Failing { .. })
}

/// Lag of all groups: what it needs, and how many requests that took.
async fn lag(shape: Shape) -> (Snapshot, u64) {
    let fake = Fake::start(shape).await;
    let mut sources = sources(&fake);
    let mut target = fake.target();
    target.bootstrap.truncate(1);
    target.deadlines.call = PATIENCE;
    target.deadlines.connect = PATIENCE;
    target.deadlines.hedge = PATIENCE;
    sources.kafka = Kafka::new(target);
    let needs = Needs::from([Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
    let snapshot = collect(&sources, &needs, PATIENCE).await;
    let requests = sources.kafka.requests().values().sum();
    (snapshot, requests)
}

#[tokio::test]
async fn lag_takes_requests_per_broker_not_per_group_or_partition() {
    let small = Shape {
        brokers: 4,
        topics: 8,
        partitions: 4,
        groups: 8,
        committed: 2,
        ..Shape::default()
    };
    let large = Shape {
        topics: 200,
        partitions: 10,
        groups: 400,
        committed: 10,
        ..small
    };
    let (snapshot, few) = lag(small).await;
    let rows = Rows::of(&snapshot, Moment::now());
    assert_eq!(rows.groups.len(), 8);
    assert!(
        rows.groups
            .iter()
            .all(|group| group.lag_records.value == Some(2 * 4 * 90)),
        "{rows:?}"
    );
    let (snapshot, many) = lag(large).await;
    let rows = Rows::of(&snapshot, Moment::now());
    assert_eq!(rows.groups.len(), 400);
    assert!(
        rows.groups
            .iter()
            .all(|group| group.lag_records.value == Some(10 * 10 * 90))
    );
    assert_eq!(few, many, "requests grow with topics or groups");
    // A connection each; ListGroups, DescribeGroups, OffsetFetch and twice ListOffsets each; DescribeCluster, Metadata.
    assert!(many <= 4 * 6 + 2, "{many} requests for 4 brokers");
}

#[tokio::test]
async fn one_look_says_what_did_not_arrive() {
    let mut fake = Fake::start(Shape::default()).await;
    let sources = sources(&fake);
    fake.kill(2);
    fake.hang(3);
    let needs = Needs::from([Section::Cluster, Section::Topics, Section::Offsets, Section::Logdirs]);
    let snapshot = collect(&sources, &needs, PATIENCE).await;
    assert!(snapshot.topics.is_fresh() && snapshot.offsets[&1].is_fresh());
    for (id, expected) in [(2, Trouble::Unreachable), (3, Trouble::TimedOut)] {
        match &snapshot.offsets[&id].health {
            Health::Failing { trouble, reason, .. } => {
                assert_eq!(*trouble, expected);
                assert!(reason.contains(&format!("broker {id}")), "{reason}");
            }
            other => panic!("broker {id} is {other:?}"),
        }
    }
    assert!(snapshot.links.is_empty(), "links were not asked for");
}

#[tokio::test]
async fn one_look_ends_with_its_deadline() {
    let fake = Fake::start(Shape::default()).await;
    let mut sources = sources(&fake);
    let mut target = fake.target();
    target.deadlines.call = PATIENCE * 10;
    target.deadlines.connect = PATIENCE * 10;
    sources.kafka = Kafka::new(target);
    (1..=3).for_each(|id| fake.hang(id));
    let needs = Needs::from([Section::Topics]);
    let look = collect(&sources, &needs, Duration::from_millis(200));
    let snapshot = tokio::time::timeout(PATIENCE, look).await.unwrap();
    let problem = snapshot.topics.problem().unwrap();
    assert!(problem.contains("timed out") && problem.contains("0.2 s"), "{problem}");
}

#[tokio::test]
async fn a_dead_broker_ages_its_own_cells_and_recovers_by_itself() {
    let mut fake = Fake::start(Shape::default()).await;
    let feed = Feed::start(sources(&fake), quick());
    let mut snapshots = feed.snapshots();
    let all = |snapshot: &Arc<Snapshot>| (1..=3).all(|id| all_of(snapshot, id, fresh));
    until(&mut snapshots, "a complete snapshot", all).await;
    fake.kill(2);
    let dead = until(&mut snapshots, "broker 2 failing", |snapshot| {
        all_of(snapshot, 2, failing)
    })
    .await;
    let spans = dead.offsets[&2].get().expect("its last offsets stay");
    assert!(spans.iter().len() > 0);
    assert_eq!(dead.groups.get().unwrap().len(), 4, "its groups keep their last state");
    let before = dead.offsets[&1].seen_at;
    let later = until(&mut snapshots, "the others going on", |snapshot| {
        snapshot.offsets[&1].seen_at > before && snapshot.offsets[&3].seen_at > before
    })
    .await;
    assert!([1, 3].into_iter().all(|id| all_of(&later, id, fresh)));
    assert_eq!(
        later.offsets[&2].seen_at, dead.offsets[&2].seen_at,
        "a dead broker's cells age"
    );
    fake.revive(2).await;
    until(&mut snapshots, "broker 2 back", all).await;
}

#[tokio::test]
async fn an_idle_cluster_moves_on_in_time_and_nothing_else() {
    let fake = Fake::start(Shape::default()).await;
    let feed = Feed::start(sources(&fake), quick());
    let mut snapshots = feed.snapshots();
    // The round trip may still settle, and rates need a second look.
    let mut settled = until(&mut snapshots, "a complete snapshot", |snapshot| {
        (1..=3).all(|id| all_of(snapshot, id, fresh))
            && snapshot.span("topic-00000", 0).is_some_and(|s| s.rate.is_some())
    })
    .await;
    let mut quiet = 0;
    let watched = async {
        while quiet < 3 {
            snapshots.changed().await.unwrap();
            let next = Arc::clone(&snapshots.borrow_and_update());
            assert!(next.taken_at > settled.taken_at);
            quiet = if next.revision == settled.revision {
                quiet + 1
            } else {
                0
            };
            settled = next;
        }
    };
    tokio::time::timeout(PATIENCE, watched)
        .await
        .expect("an idle cluster keeps making news");
}

#[tokio::test]
async fn logs_that_stood_and_move_on_have_a_rate() {
    let fake = Fake::start(Shape::default()).await;
    let feed = Feed::start(sources(&fake), quick());
    let mut snapshots = feed.snapshots();
    let span = |snapshot: &Snapshot| snapshot.span("topic-00000", 0);
    let stood = until(&mut snapshots, "logs that stand", |snapshot| {
        span(snapshot).is_some_and(|span| span.rate == Some(0.0))
    })
    .await;
    // Told again and again, each time by the same answer.
    let told = stood.offsets.values().filter_map(|told| told.seen_at).max();
    until(&mut snapshots, "the same again", |snapshot| {
        let again = snapshot.offsets.values().filter_map(|told| told.seen_at).min();
        again > told && snapshot.revision.drifts == stood.revision.drifts
    })
    .await;
    fake.append(1000);
    let moved = until(&mut snapshots, "the logs' new ends", |snapshot| {
        span(snapshot).is_some_and(|span| span.end == 1100)
    })
    .await;
    let rate = span(&moved).and_then(|span| span.rate).expect("it is no first look");
    assert!(rate > 0.0, "{rate}");
}

#[tokio::test]
async fn a_pause_asks_nothing_and_a_refresh_asks_at_once() {
    let fake = Fake::start(Shape::default()).await;
    let mut slow = quick();
    slow.topics = Duration::from_secs(3600);
    let feed = Feed::start(sources(&fake), slow);
    let mut snapshots = feed.snapshots();
    let first = until(&mut snapshots, "the topics", |snapshot| snapshot.topics.is_fresh()).await;
    feed.refresh(Section::Topics);
    until(&mut snapshots, "the topics again", |snapshot| {
        snapshot.topics.seen_at > first.topics.seen_at
    })
    .await;
    feed.pause(true);
    feed.refresh(Section::Topics);
    feed.pause(false);
    let paused_at = snapshots.borrow().topics.seen_at;
    until(&mut snapshots, "the topics after the pause", |snapshot| {
        snapshot.topics.seen_at > paused_at
    })
    .await;
}

#[tokio::test]
async fn without_an_aws_plane_the_section_says_so() {
    let fake = Fake::start(Shape::default()).await;
    let snapshot = collect(&sources(&fake), &Needs::from([Section::Volumes]), PATIENCE).await;
    assert_eq!(
        snapshot.cloud.zones.health,
        Health::Absent {
            reason: "this context has no AWS plane".to_owned()
        }
    );
}

/// What one console saw happen, and what it was told of, is known to a command and to the console after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_recorded_for_whoever_comes_later() {
    let mut fake = Fake::start(Shape::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut sources = sources(&fake);
    sources.record = Some(Paths::under(folder.path()));
    let feed = Feed::start(sources.clone(), quick());
    let mut snapshots = feed.snapshots();
    let whole = |snapshot: &Arc<Snapshot>| (1..=3).all(|id| all_of(snapshot, id, fresh));
    let first = until(&mut snapshots, "a complete snapshot", whole).await;
    let began = first.events.watched_since.unwrap();
    fake.kill(2);
    let told = |snapshot: &Snapshot, what: &str| snapshot.events.iter().any(|event| event.sentence().contains(what));
    let gone = |snapshot: &Arc<Snapshot>| told(snapshot, "broker 2 stopped answering");
    until(&mut snapshots, "broker 2 gone", gone).await;
    feed.note(Event::new(
        Moment::now(),
        EventKind::Finding,
        "broker-down: broker 2",
        "found",
        1,
    ));
    let needs = Needs::from([Section::Cluster, Section::Groups]);
    let knows = async {
        while !told(
            &collect(&sources, &needs, PATIENCE).await,
            "broker-down: broker 2 found",
        ) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, knows)
        .await
        .expect("a command that knows it");
    drop(feed);
    let next = Feed::start(sources, quick());
    let recalled = |snapshot: &Arc<Snapshot>| gone(snapshot) && told(snapshot, "broker-down: broker 2 found");
    let later = until(&mut next.snapshots(), "the next console to know it", recalled).await;
    assert!(later.events.watched_since.unwrap() <= began);
    assert!(later.events.gaps.is_empty(), "nobody was away for long");
}
