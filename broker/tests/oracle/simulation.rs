//! One seed: a cluster, its clients, what goes wrong, and what is left of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use azimuth_broker::cluster::{CONTROLLER, Cluster, ClusterConfig};
use azimuth_broker::env::disk::Disk;
use azimuth_broker::env::world::World;
use azimuth_broker::id::NodeId;
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use tokio::task::JoinSet;

use super::client::{Desk, text};
use super::history::{Observed, Place};
use super::plant::Plant;
use super::read::{self, values};
use super::trouble::{self, Trouble};
use super::{judge, member, spoil};

const BROKERS: u16 = 3;
pub const TOPICS: [(&str, i32); 3] = [("orders", 3), ("payments", 3), ("keys", 1)];
const GROUPS: [&str; 2] = ["billing", "audit"];
const TRANSACTIONS: [&str; 2] = ["first", "second"];
/// Until all is well again, in simulated time.
const WELL: Duration = Duration::from_secs(180);
/// Until each partition is owned in each group then.
const OWNED: Duration = Duration::from_secs(30);

fn places(topic: usize) -> Vec<Place> {
    let (name, partitions) = TOPICS[topic];
    (0..partitions).map(|partition| (name, partition)).collect()
}

/// Those that are not compacted.
fn written() -> Vec<Place> {
    [places(0), places(1)].concat()
}

/// Runs the seed, prints what it came to in a line, and fails if a promise was broken.
pub fn run_and_print(seed: u64, plant: Option<Plant>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    // Of a known stack and chance, unlike the main thread.
    let run = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed, plant))
    });
    let (said, well) = run
        .unwrap()
        .join()
        .unwrap_or_else(|_| ("it panicked".to_owned(), false));
    println!("{said}");
    // Nobody reads it further.
    let _ = std::io::stdout().flush();
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A folder of the seed's own. Errors name files and are told over the links: one run after another has the same name.
fn folder(within: &Path, seed: u64) -> tempfile::TempDir {
    let named = |number: u64| {
        let prefix = format!("azimuth-oracle-{seed}-{number}");
        tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(0)
            .tempdir_in(within)
    };
    let mut number = 0;
    loop {
        match named(number) {
            // Of a run beside this one, or left by one that was killed.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            made => return made.expect("a folder"),
        }
    }
}

async fn run(seed: u64, plant: Option<Plant>) -> (String, bool) {
    let world = World::enter(seed);
    let memory = Path::new("/dev/shm");
    let within = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = folder(&within, seed);
    let data = folder.path();
    let config = config(data);
    let disk = config.disk.clone();
    let mut cluster = Cluster::start(config).await.unwrap();
    let desk = Desk::new(cluster.addresses(), world.chance(), plant);
    create_topics(&desk).await;
    let (mut clients, mut members) = (JoinSet::new(), JoinSet::new());
    for number in 0..3 {
        clients.spawn(Arc::clone(&desk).write(number, places(0)));
    }
    for number in 0..2 {
        clients.spawn(Arc::clone(&desk).update(number, places(2)[0]));
    }
    for name in TRANSACTIONS {
        clients.spawn(Arc::clone(&desk).transact(name.to_owned(), written()));
    }
    for group in GROUPS {
        clients.spawn(Arc::clone(&desk).commit(group.to_owned(), places(0)[0]));
    }
    if plant == Some(Plant::NeverSync) {
        for id in ids() {
            disk.lie(&trouble::folder(data, id)).unwrap();
        }
    }
    for group in member::GROUPS {
        for slot in 0..member::MEMBERS {
            members.spawn(member::attend(Arc::clone(&desk), group, slot, written()));
        }
    }
    let trouble = Trouble::new(&mut cluster, &desk, &disk, world.chance(), plant);
    let wrong = trouble.happen(data).await;
    // Members only die while others do; clients end what they have begun.
    desk.end_all();
    let mut waits_for = "replicas to be in sync";
    let settled = tokio::time::timeout(WELL, async {
        settle(&desk).await;
        waits_for = "members to own every partition";
        if tokio::time::timeout(OWNED, member::all_owned(&desk, &written()))
            .await
            .is_err()
        {
            let owned = desk.owned();
            desk.refuse(format!(
                "{OWNED:?} after all works again not every partition has one owner: {owned:?}"
            ));
        }
        desk.leave_all();
        waits_for = "members to leave";
        while let Some(ended) = members.join_next().await {
            ended.expect("a member of its own");
        }
        waits_for = "clients to end what they have begun";
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client of its own");
        }
        waits_for = "transactions to end";
        close(&desk).await;
    });
    let settled = settled.await.is_ok();
    let mut observed = Observed::default();
    if settled {
        observe(&desk, &mut observed).await;
    }
    cluster.shutdown().await;
    replicas(data, &mut observed);
    let promises = desk.promises.lock().clone();
    let mut findings = match settled {
        true => judge::judge(&promises, &observed),
        false => vec![(
            "it does not get well",
            format!("within {WELL:?} it waits for {waits_for}; {} clients", clients.len()),
        )],
    };
    if findings.is_empty() && plant.is_none() {
        let unnoticed = spoil::unnoticed(&promises, &observed).into_iter();
        findings.extend(unnoticed.map(|kind| ("what was spoilt goes unnoticed", kind.to_owned())));
    }
    let records: usize = promises.acknowledged.values().map(Vec::len).sum();
    let passed = world.passed();
    let mut all = Vec::new();
    for one in &passed {
        all.extend_from_slice(format!("{one:?}\n").as_bytes());
    }
    if let Some(path) = std::env::var_os("AZIMUTH_ORACLE_PASSED") {
        std::fs::write(path, &all).unwrap();
    }
    let mut said = format!(
        "{records} records and {} transactions acknowledged, {wrong}, {} exchanges {:08x}, {} ms",
        promises.transactions.len(),
        passed.len(),
        crc32c::crc32c(&all),
        passed.last().map_or(0, |last| last.at_ms)
    );
    for (kind, case) in &findings {
        said.push_str(&format!("\n  {kind}: {case}"));
    }
    (said, findings.is_empty())
}

fn ids() -> impl Iterator<Item = NodeId> {
    (1..=i32::from(BROKERS)).map(NodeId).chain([CONTROLLER])
}

fn config(folder: &Path) -> ClusterConfig {
    let mut config = ClusterConfig::local(BROKERS, &["a", "b", "c"].map(str::to_owned), folder, 0);
    config.allow_faults = true;
    config.disk = Disk::real().volatile(ids().map(|id| trouble::folder(folder, id)));
    config.overrides = [
        ("broker.session.timeout.ms", "1500"),
        ("broker.heartbeat.interval.ms", "200"),
        ("replica.lag.time.max.ms", "2000"),
        // One broker may lose what it has not synced, whatever it is.
        ("min.insync.replicas", "2"),
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("transaction.state.log.min.isr", "2"),
        ("transaction.state.log.replication.factor", "3"),
        ("group.min.session.timeout.ms", "500"),
        ("group.initial.rebalance.delay.ms", "200"),
        ("group.consumer.session.timeout.ms", &member::SESSION_MS.to_string()),
        ("group.consumer.heartbeat.interval.ms", "200"),
        ("log.cleaner.backoff.ms", "1000"),
        ("log.index.size.max.bytes", "65536"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    config
}

async fn create_topics(desk: &Desk) {
    let setting = |name: &str, value: &str| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    };
    let topic = |(name, partitions): (&str, i32)| {
        let mut configs = vec![setting("min.insync.replicas", "2")];
        if name == "keys" {
            configs.push(setting("cleanup.policy", "compact"));
            configs.push(setting("segment.ms", "4000"));
            configs.push(setting("min.cleanable.dirty.ratio", "0.1"));
        }
        CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(partitions)
            .with_replication_factor(3)
            .with_configs(configs)
    };
    let request = CreateTopicsRequest::default()
        .with_topics(TOPICS.map(topic).to_vec())
        .with_timeout_ms(20_000);
    let client = desk.any().await.expect("a broker");
    let answer = client.call(request, Duration::from_secs(30)).await.expect("an answer");
    desk.know(&answer);
    assert!(
        answer.topics.iter().all(|topic| topic.error_code == 0),
        "{:?}",
        answer.topics
    );
}

/// Waits until every replica is in sync again.
async fn settle(desk: &Desk) {
    while !desk.is_in_sync().await {
        desk.pause().await;
    }
}

/// Waits until no transaction is open.
async fn close(desk: &Desk) {
    for name in TRANSACTIONS {
        desk.producer_id(Some(name)).await;
    }
    for place in written() {
        loop {
            let partition = desk.fetch(place, 0, true).await;
            if partition.last_stable_offset == partition.high_watermark {
                break;
            }
            tracing::info!(
                "open in {place:?}: {} of {}",
                partition.last_stable_offset,
                partition.high_watermark
            );
            desk.pause().await;
        }
    }
}

async fn observe(desk: &Desk, observed: &mut Observed) {
    for place in written() {
        let written = values(&read::all(desk, place, false).await);
        let offsets = written.iter().map(|read| (read.value.clone(), read.offset));
        observed.offset_of.insert(place, offsets.collect());
        let written = written.into_iter().map(|read| read.value);
        observed.written.insert(place, written.collect());
        let committed = values(&read::all(desk, place, true).await);
        let committed = committed.into_iter().map(|read| read.value);
        observed.committed.insert(place, committed.collect());
    }
    let place = places(2)[0];
    let keyed = values(&read::all(desk, place, false).await);
    let keyed = keyed
        .into_iter()
        .map(|read| (read.key, read.value.parse().expect("a number")));
    observed.keyed.insert(place, keyed.collect());
    for group in member::GROUPS {
        for place in written() {
            let offset = desk.committed(group.name, place).await;
            observed.offsets.insert((group.name.to_owned(), place), offset);
        }
    }
    for group in GROUPS {
        let place = places(0)[0];
        observed
            .offsets
            .insert((group.to_owned(), place), desk.committed(group, place).await);
    }
}

/// The logs as they lie on the disks of a cluster that has stopped.
fn replicas(folder: &Path, observed: &mut Observed) {
    for place in written() {
        let of = |broker: i32| {
            let dir = folder.join(format!("broker-{broker}/data/{}-{}", place.0, place.1));
            let mut segments: Vec<PathBuf> = std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            segments.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
            segments.sort();
            let bytes: Vec<u8> = segments.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
            (broker, Bytes::from(bytes))
        };
        observed
            .replicas
            .insert(place, (1..=i32::from(BROKERS)).map(of).collect());
    }
}
