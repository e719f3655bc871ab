//! One seed: a cluster, its clients, what goes wrong, and what is left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use azimuth_broker::cluster::{CONTROLLER, Cluster, ClusterConfig, Fault, Peer, Selection};
use azimuth_broker::env::net::Effect;
use azimuth_broker::env::random::Random;
use azimuth_broker::env::world::World;
use azimuth_broker::id::NodeId;
use azimuth_broker::record::{Batch, batches};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, TopicName};
use tokio::task::JoinSet;

use super::client::{Desk, text};
use super::history::{Observed, Place};
use super::{judge, spoil};

const BROKERS: u16 = 3;
const TOPICS: [(&str, i32); 3] = [("orders", 3), ("payments", 3), ("keys", 1)];
const GROUPS: [&str; 2] = ["billing", "audit"];
const TRANSACTIONS: [&str; 2] = ["first", "second"];
/// How long all goes on, in simulated time.
const LASTS: Duration = Duration::from_secs(40);
/// Until all is well again, in simulated time.
const WELL: Duration = Duration::from_secs(120);
const DECOMPRESSED_MAX: usize = 16 << 20;

fn places(topic: usize) -> Vec<Place> {
    let (name, partitions) = TOPICS[topic];
    (0..partitions).map(|partition| (name, partition)).collect()
}

/// Runs the seed, prints what it came to in a line, and fails if a promise was broken.
pub fn run_and_print(seed: u64) -> ExitCode {
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
        runtime.block_on(run(seed))
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

async fn run(seed: u64) -> (String, bool) {
    let world = World::enter(seed);
    let memory = Path::new("/dev/shm");
    let within = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::Builder::new()
        .prefix("azimuth-oracle-")
        .tempdir_in(within)
        .unwrap();
    let mut cluster = Cluster::start(config(folder.path())).await.unwrap();
    let desk = Desk::new(cluster.addresses(), world.chance());
    create_topics(&desk).await;
    let mut clients = JoinSet::new();
    for number in 0..3 {
        clients.spawn(Arc::clone(&desk).write(number, places(0)));
    }
    for number in 0..2 {
        clients.spawn(Arc::clone(&desk).update(number, places(2)[0]));
    }
    for name in TRANSACTIONS {
        clients.spawn(Arc::clone(&desk).transact(name.to_owned(), [places(0), places(1)].concat()));
    }
    for group in GROUPS {
        clients.spawn(Arc::clone(&desk).commit(group.to_owned(), places(0)[0]));
    }
    let wrong = go_wrong(&mut cluster, &world.chance()).await;
    desk.end_all();
    let settled = tokio::time::timeout(WELL, async {
        settle(&mut cluster, &desk).await;
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client of its own");
        }
        close(&desk).await;
    });
    let settled = settled.await.is_ok();
    let mut observed = Observed::default();
    if settled {
        observe(&desk, &mut observed).await;
    }
    cluster.shutdown().await;
    replicas(folder.path(), &mut observed);
    let promises = desk.promises.lock().clone();
    let mut findings = match settled {
        true => judge::judge(&promises, &observed),
        false => vec![(
            "it does not get well",
            format!("within {WELL:?}; {} clients wait", clients.len()),
        )],
    };
    if findings.is_empty() {
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

fn config(folder: &Path) -> ClusterConfig {
    let mut config = ClusterConfig::local(BROKERS, &["a", "b", "c"].map(str::to_owned), folder, 0);
    config.allow_faults = true;
    config.overrides = [
        ("broker.session.timeout.ms", "1500"),
        ("broker.heartbeat.interval.ms", "200"),
        ("replica.lag.time.max.ms", "2000"),
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("transaction.state.log.min.isr", "2"),
        ("transaction.state.log.replication.factor", "3"),
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
    assert!(
        answer.topics.iter().all(|topic| topic.error_code == 0),
        "{:?}",
        answer.topics
    );
}

/// Kills, cuts, silences, delays and turns clocks by chance; says what it did.
async fn go_wrong(cluster: &mut Cluster, random: &Random) -> String {
    let ends = tokio::time::Instant::now() + LASTS;
    let mut down = BTreeSet::new();
    let (mut kills, mut links, mut clocks) = (0, 0, 0);
    while tokio::time::Instant::now() < ends {
        tokio::time::sleep(Duration::from_millis(100 + random.below(2_500))).await;
        let node = NodeId(1 + random.below(u64::from(BROKERS)) as i32);
        match random.below(10) {
            0..=2 => {
                // The controller, one broker, or all of them at once.
                let victims = match random.below(8) {
                    0 => vec![CONTROLLER],
                    1 => cluster.ids(),
                    _ => vec![node],
                };
                for id in victims {
                    cluster.kill(id).await;
                    down.insert(id);
                    kills += 1;
                }
            }
            3..=5 => {
                let effect = match random.below(3) {
                    0 => Effect::Cut,
                    1 => Effect::Silence,
                    _ => Effect::Delay(20 + random.below(400)),
                };
                let other = match random.below(3) {
                    0 => CONTROLLER,
                    _ => NodeId(1 + (node.0 + 1) % i32::from(BROKERS)),
                };
                // From both ends, as either may dial.
                for (one, peer) in [(node, other), (other, node)] {
                    let peer = Some(Peer::Node(peer));
                    cluster.inject(one, Fault::Link { peer, effect }).await.expect("a link");
                }
                links += 1;
            }
            6 => {
                let skew = random.below(20_000) as i64 - 10_000;
                cluster.inject(node, Fault::SkewClock(skew)).await.expect("a clock");
                clocks += 1;
            }
            _ => {
                cluster.mend(Selection::All).await.expect("mends");
                for id in std::mem::take(&mut down) {
                    cluster.restart(id).await.expect("starts again");
                }
            }
        }
    }
    for id in down {
        cluster.restart(id).await.expect("starts again");
    }
    format!("{kills} kills, {links} links broken, {clocks} clocks turned")
}

/// Waits until every replica is in sync again.
async fn settle(cluster: &mut Cluster, desk: &Desk) {
    cluster.mend(Selection::All).await.expect("mends");
    loop {
        desk.pause().await;
        let Some(client) = desk.any().await else { continue };
        let request = MetadataRequest::default().with_topics(None);
        let answer = match client.call_capped(request, 9, Duration::from_secs(3)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!("no metadata: {error}");
                continue;
            }
        };
        let all = || answer.topics.iter().flat_map(|topic| &topic.partitions);
        if all().count() > 7 && all().all(|one| one.isr_nodes.len() == one.replica_nodes.len() && one.leader_id.0 > 0) {
            break;
        }
        tracing::info!(
            "not in sync: {:?}",
            all()
                .filter(|one| one.isr_nodes.len() < one.replica_nodes.len())
                .collect::<Vec<_>>()
        );
    }
}

/// Waits until no transaction is open.
async fn close(desk: &Desk) {
    for name in TRANSACTIONS {
        desk.producer_id(Some(name)).await;
    }
    for place in [places(0), places(1)].concat() {
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

/// All batches of a partition, and which of them a reader of what is committed leaves out.
async fn read(desk: &Desk, place: Place, committed: bool) -> Vec<Batch> {
    let (mut all, mut offset) = (Vec::new(), 0);
    let mut aborted: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    let mut leaving_out = BTreeSet::new();
    loop {
        let partition = desk.fetch(place, offset, committed).await;
        for one in partition.aborted_transactions.into_iter().flatten() {
            aborted.entry(*one.producer_id).or_default().insert(one.first_offset);
        }
        let got: Vec<Batch> = batches(partition.records.unwrap_or_default())
            .map_while(Result::ok)
            .collect();
        let Some(last) = got.last() else { return all };
        let next = last.header.next_offset();
        for batch in got.into_iter().filter(|batch| batch.header.next_offset() > offset) {
            batch.check_crc().expect("a whole batch");
            let id = batch.header.producer_id;
            let begins = aborted.get_mut(&id).is_some_and(|first| {
                let begun = first
                    .iter()
                    .next()
                    .is_some_and(|first| *first <= batch.header.last_offset());
                begun && first.pop_first().is_some()
            });
            if begins {
                leaving_out.insert(id);
            }
            if batch.header.is_control() {
                leaving_out.remove(&id);
            } else if !(committed && batch.header.is_transactional() && leaving_out.contains(&id)) {
                all.push(batch);
            }
        }
        offset = next;
    }
}

fn values(batches: &[Batch]) -> Vec<(String, String)> {
    let string = |bytes: Option<Bytes>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let records = batches
        .iter()
        .flat_map(|batch| batch.records(DECOMPRESSED_MAX).expect("readable"));
    let records = records.map(|record| record.expect("readable"));
    records
        .map(|record| (string(record.key), string(record.value)))
        .collect()
}

async fn observe(desk: &Desk, observed: &mut Observed) {
    for place in [places(0), places(1)].concat() {
        let written = values(&read(desk, place, false).await);
        observed
            .written
            .insert(place, written.into_iter().map(|(_, value)| value).collect());
        let committed = values(&read(desk, place, true).await);
        observed
            .committed
            .insert(place, committed.into_iter().map(|(_, value)| value).collect());
    }
    let place = places(2)[0];
    let keyed = values(&read(desk, place, false).await);
    let keyed = keyed
        .into_iter()
        .map(|(key, value)| (key, value.parse().expect("a number")));
    observed.keyed.insert(place, keyed.collect());
    for group in GROUPS {
        let place = places(0)[0];
        observed
            .offsets
            .insert((group.to_owned(), place), desk.committed(group, place).await);
    }
}

/// The logs as they lie on the disks of a cluster that has stopped.
fn replicas(folder: &Path, observed: &mut Observed) {
    for place in [places(0), places(1)].concat() {
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
