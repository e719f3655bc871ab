//! What the console costs: bytes on the line for a key, nothing when idle; requests to the cluster for a lag. Peers send
//! 2.7 and 7.2 kB for a `down`, up to 2.6 kB a second when idle, and eight requests for each group.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use azimuth::feed::{Needs, Section, Sources, collect};
use azimuth::model::Moment;
use azimuth::model::row::group::GroupRow;
use azimuth::source::kafka::{Kafka, NewTopic, Target};
use azimuth::tui::run;
use azimuth::tui::terminal::Quiet;
use azimuth_broker::wire::{Client, ClientConfig};
use crossterm::event::Event;
use futures::{Stream, StreamExt};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use tokio::time;

use super::harness::{Console, Opening, event};
use super::kafka;

/// Counts what is written.
#[derive(Debug, Clone, Default)]
struct Line(Arc<AtomicUsize>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Wire {
    console: run::Console,
    terminal: Terminal<Quiet<CrosstermBackend<Line>>>,
    line: Line,
}

impl Wire {
    async fn open() -> Self {
        let (console, _publish) = Console::open(Opening::default()).await.into_console();
        let line = Line::default();
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 120, 40)),
        };
        let backend = Quiet::new(CrosstermBackend::new(line.clone()));
        let mut wire = Self {
            console,
            terminal: Terminal::with_options(backend, options).unwrap(),
            line,
        };
        wire.cost_of("", Duration::from_millis(300)).await;
        wire
    }

    /// The bytes written from the first of `keys` until `rest` after the last.
    async fn cost_of(&mut self, keys: &str, rest: Duration) -> usize {
        let before = self.line.0.load(Ordering::Relaxed);
        let keys: Vec<_> = keys.split_whitespace().map(event).collect();
        let keys = futures::stream::iter(keys).then(|event| async move {
            time::sleep(Duration::from_millis(50)).await;
            Ok(event)
        });
        let end = futures::stream::once(time::sleep(rest)).filter_map(|()| async { None });
        run::run(&mut self.terminal, &mut Box::pin(keys.chain(end)), &mut self.console)
            .await
            .unwrap();
        self.line.0.load(Ordering::Relaxed) - before
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_minute_costs_less_than_the_clock() {
    let mut wire = Wire::open().await;
    // One minute passes: the clock's two digits, and the ages of the dead broker's values in coarse steps.
    let bytes = wire.cost_of("", Duration::from_secs(20)).await;
    assert!(bytes < 400, "{bytes} bytes in 20 s");
}

#[tokio::test(start_paused = true)]
async fn moving_the_cursor_costs_less_than_the_peers_do() {
    let mut wire = Wire::open().await;
    wire.cost_of("3", Duration::from_millis(200)).await;
    let keys = "j ".repeat(8);
    let each = wire.cost_of(&keys, Duration::from_millis(200)).await / 8;
    println!("{each} bytes for each j");
    assert!(each < 1600, "{each} bytes for each j");
}

/// Keys as crossterm's stream gives them: it wakes whoever found nothing first, and nobody else until the next key.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    keys: VecDeque<Option<Event>>,
    waker: Option<Waker>,
}

impl Keys {
    /// `None` ends them.
    fn press(&self, key: Option<Event>) {
        let mut waiting = self.0.lock().unwrap();
        waiting.keys.push_back(key);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

impl Stream for Keys {
    type Item = io::Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut waiting = self.0.lock().unwrap();
        match waiting.keys.pop_front() {
            Some(key) => Poll::Ready(key.map(Ok)),
            None => {
                waiting.waker.get_or_insert_with(|| cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_key_is_heard_when_it_is_pressed() {
    let mut wire = Wire::open().await;
    let keys = Keys::default();
    let person = keys.clone();
    let began = time::Instant::now();
    tokio::spawn(async move {
        // Between the ticks of the clock, at which everything is looked at anyway.
        time::sleep_until(began + Duration::from_millis(2200)).await;
        for key in [Some(event("j")), Some(event("k")), None] {
            time::sleep(Duration::from_millis(100)).await;
            person.press(key);
        }
    });
    run::run(&mut wire.terminal, &mut keys.clone(), &mut wire.console)
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_millis(2600), "the last was heard after {took:?}");
}

/// So many groups have committed offsets.
async fn commit(target: &Target, topic: &str, groups: std::ops::Range<usize>) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let names: Vec<StrBytes> = groups.map(|n| StrBytes::from_string(format!("cost-{n:04}"))).collect();
    let config = ClientConfig::default();
    let first = Client::connect(&target.bootstrap[0], &config).await.unwrap();
    let patience = Duration::from_secs(30);
    for name in names {
        loop {
            let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![name.clone()]);
            let found = first.call(find, patience).await.unwrap();
            let coordinator = &found.coordinators[0];
            let outcome = match coordinator.error_code {
                0 => {
                    let address = format!("{}:{}", coordinator.host, coordinator.port);
                    let client = Client::connect(&address, &config).await.unwrap();
                    let partition = OffsetCommitRequestPartition::default()
                        .with_partition_index(0)
                        .with_committed_offset(0);
                    let topic = OffsetCommitRequestTopic::default()
                        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
                        .with_partitions(vec![partition]);
                    let request = OffsetCommitRequest::default()
                        .with_group_id(GroupId(name.clone()))
                        .with_topics(vec![topic]);
                    // The last version that names topics; later ones have their ids.
                    let answer = client.call_capped(request, 9, patience).await.unwrap();
                    answer.topics[0].partitions[0].error_code
                }
                error => error,
            };
            if outcome == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{name} cannot commit: error {outcome}");
            time::sleep(kafka::PAUSE).await;
        }
    }
}

/// What lag of all groups costs: how many there are, and the requests sent.
async fn lag(target: &Target) -> (usize, BTreeMap<String, u64>) {
    let sources = Sources::of_kafka("cost", Kafka::new(target.clone()));
    let needs = Needs::from([Section::Cluster, Section::Topics, Section::Groups, Section::Offsets]);
    let snapshot = collect(&sources, &needs, Duration::from_secs(60)).await;
    let rows = GroupRow::all(&snapshot, Moment::now());
    let ours = rows.iter().filter(|row| row.name.starts_with("cost-"));
    let known = ours.filter(|row| row.lag_records.value == Some(0)).count();
    (known, sources.kafka.requests())
}

/// Ten times the groups cost not one request more, and never more than a few for each broker.
async fn lag_costs_requests_per_broker(target: Target, brokers: u64) {
    let kafka = Kafka::new(target.clone());
    let new = NewTopic {
        name: "cost".to_owned(),
        partitions: Some(1),
        replication_factor: Some(1),
        ..NewTopic::default()
    };
    for (_, outcome) in kafka.create_topics(&[new], false).await.unwrap() {
        outcome.unwrap();
    }
    commit(&target, "cost", 0..20).await;
    let (few, before) = lag(&target).await;
    commit(&target, "cost", 20..200).await;
    let (many, after) = lag(&target).await;
    assert_eq!((few, many), (20, 200), "{before:?} {after:?}");
    for (api, most) in [
        ("ListGroups", 1),
        ("DescribeGroups", 1),
        ("OffsetFetch", 1),
        ("ListOffsets", 2),
    ] {
        let asked = after.get(api).copied().unwrap_or(0);
        assert!(
            (1..=most * brokers).contains(&asked),
            "{api}: {asked} requests for {brokers} brokers"
        );
    }
    let all: u64 = after.values().sum();
    assert!(
        all <= brokers * 7 + 4,
        "{all} requests for {brokers} brokers: {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_of_all_groups_costs_requests_per_broker_on_ours() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = crate::cluster::start(folder.path()).await;
    lag_costs_requests_per_broker(Target::new(&cluster.bootstrap()), 3).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_of_all_groups_costs_requests_per_broker_on_apache_kafka() {
    let Some(cluster) = kafka::shared().await else { return };
    lag_costs_requests_per_broker(cluster.target(), 3).await;
}
