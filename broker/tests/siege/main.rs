//! A cluster of processes under siege: by a seed nodes are killed, frozen, cut off, slowed down, run out of room, or lose what
//! they had not synced, while idempotent producers write with acks=all, transactions are committed and aborted, groups of both
//! protocols read, over SASL_SSL and under ACLs, and a throttled reassignment is in flight. In the end each acknowledged
//! record is there exactly once, no transaction is torn, no committed offset went back or passed by a record that nobody was
//! given, and replicas are equal byte by byte.
//!
//! Three rounds in an ordinary run, thirty with `AZIMUTH_HEAVY`, or as many as `AZIMUTH_SIEGE_ROUNDS` says; the seed is 1 or
//! `AZIMUTH_SIEGE_SEED`.

mod home;
mod load;
mod members;
mod transfers;
mod wrong;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use azimuth_broker::id::NodeId;

use home::{Home, KIND_TOPIC};
use load::{Load, read_all};
use members::Members;
use transfers::Transfers;
use wrong::Deck;

const DEADLINE: Duration = Duration::from_secs(120);
const TOPIC: &str = "orders";
/// Written to in transactions.
const PAYMENTS: &str = "payments";
/// Of each of these two.
const PARTITIONS: i32 = 3;
/// Moved back and forth, slowly, while all that goes on.
const MOVED: &str = "moved";
const MOVED_BYTES: usize = 16_000;
/// Bytes a second.
const QUICKLY: &str = "100000000";
/// Acknowledged in each phase of a round.
const ADVANCE: usize = 300;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn rounds() -> usize {
    let usual = if std::env::var_os("AZIMUTH_HEAVY").is_some() {
        30
    } else {
        3
    };
    number("AZIMUTH_SIEGE_ROUNDS").map_or(usual, |rounds| rounds as usize)
}

fn seed() -> u64 {
    number("AZIMUTH_SIEGE_SEED").unwrap_or(1)
}

/// So many records are moved: whoever begins anew may take some at once, whatever the throttle says.
fn moved_records() -> u64 {
    400 * (rounds() as u64).div_ceil(10)
}

/// Bytes a second, so slow that the move is in flight for as long as it is wanted.
fn slowly() -> u64 {
    const ROUND_SECONDS: u64 = 40;
    (moved_records() * MOVED_BYTES as u64 / (rounds() as u64 * ROUND_SECONDS)).clamp(500, 20_000)
}

/// A partition's segments, one after another.
fn log(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).expect("a partition");
    let mut segments: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
    segments.sort();
    segments
        .iter()
        .flat_map(|path| std::fs::read(path).expect("a segment"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_is_read_back_once() {
    let mut home = Home::start().await;
    home.fill_moved().await;
    home.set(
        KIND_TOPIC,
        MOVED,
        &[
            ("leader.replication.throttled.replicas", "*"),
            ("follower.replication.throttled.replicas", "*"),
        ],
    )
    .await;
    home.throttle(&slowly().to_string()).await;
    home.reassign(Some(&[2, 3])).await;
    let seed = seed();
    println!("seed {seed}");
    let mut deck = Deck::new(seed);
    let load = Load::start(&home);
    let transfers = Transfers::start(&home, &deck.random);
    let members = Members::start(&home, &deck.random);
    load.advance(ADVANCE).await;
    let rounds = rounds();
    for round in 0..rounds {
        if round == rounds / 2 {
            // In flight all along, and cancelled.
            assert_eq!(home.is_moving().await, Some(true), "it was too quick");
            home.reassign(None).await;
            home.still().await;
            home.is_on([1, 2]).await;
            home.reassign(Some(&[2, 3])).await;
        }
        let leaders = home.partitions(TOPIC).await.expect("metadata");
        let led = deck.random.below(PARTITIONS as u64) as usize;
        let victim = NodeId(leaders[led].leader_id.0);
        let wrong = deck.draw();
        let begun = Instant::now();
        wrong.begin(&mut home, victim, &deck.random).await;
        if wrong.is_seen() {
            load.advance(ADVANCE).await;
        } else {
            home.without(victim).await;
        }
        let under = begun.elapsed();
        wrong.end(&mut home, victim).await;
        load.advance(ADVANCE).await;
        for topic in [TOPIC, PAYMENTS, "__consumer_offsets", "__transaction_state"] {
            home.in_sync(topic, 3).await;
        }
        println!(
            "round {round}: node {victim} {wrong:?}: over it after {under:.1?}, in sync after {:.1?}, {} acknowledged",
            begun.elapsed(),
            load.count()
        );
    }
    assert_eq!(home.is_moving().await, Some(true), "it was too quick");
    home.throttle(QUICKLY).await;
    home.still().await;
    home.is_on([2, 3]).await;
    let acknowledged = load.finish().await;
    assert!(acknowledged.len() >= rounds * 2 * ADVANCE);

    let (alice, count) = (home.alice(), acknowledged.len());
    let (orders, payments, moved) = tokio::task::spawn_blocking(move || {
        let transactions = transfers.finish();
        let orders = read_all(&alice, TOPIC, PARTITIONS);
        let places = orders.iter().map(|(_, place)| *place).collect();
        members.finish(&alice, &places);
        let payments = read_all(&alice, PAYMENTS, PARTITIONS);
        transfers::judge(&transactions, &payments);
        (orders, payments, read_all(&alice, MOVED, 1))
    })
    .await
    .expect("reads");
    let mut found: BTreeMap<String, (i32, i64)> = BTreeMap::new();
    for (id, place) in orders {
        if let Some(first) = found.insert(id.clone(), place) {
            panic!("record {id} is there twice: {first:?} and {place:?}");
        }
    }
    for ((name, number), place) in acknowledged {
        let id = format!("{name} {number}");
        assert_eq!(
            found.get(&id),
            Some(&place),
            "record {id} was acknowledged at {place:?}"
        );
    }
    println!("{count} acknowledged, each read back once; {} in all", found.len());
    let mut keys: Vec<u64> = moved.iter().map(|(key, _)| key.parse().expect("a number")).collect();
    keys.sort_unstable();
    assert!(
        keys.into_iter().eq(0..moved_records()),
        "the moved records are all there, once"
    );
    println!("{} records of committed transactions", payments.len());
    let data: Vec<PathBuf> = (1..=3).map(|id| home.data(NodeId(id))).collect();
    let _folders = home.end().await;
    for topic in [TOPIC, PAYMENTS] {
        for partition in 0..PARTITIONS {
            let logs = data.iter().map(|data| log(&data.join(format!("{topic}-{partition}"))));
            let logs: Vec<Vec<u8>> = logs.collect();
            let sizes: Vec<usize> = logs.iter().map(Vec::len).collect();
            assert!(
                logs.iter().all(|log| *log == logs[0]),
                "replicas of {topic}-{partition} differ: {sizes:?}"
            );
        }
    }
}
