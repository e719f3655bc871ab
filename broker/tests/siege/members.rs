//! Members of groups of both protocols: they read, commit, leave and come again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use azimuth_broker::env::random::Random;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::home::Home;
use super::{DEADLINE, PARTITIONS, TOPIC};

/// Of each group at a time.
const MEMBERS: usize = 2;
/// Records between two commits, at most.
const COMMIT_MAX: u64 = 40;

/// The groups, and their protocol.
pub const GROUPS: [(&str, &str); 2] = [("classics", "classic"), ("moderns", "consumer")];

/// What the members of one group were told.
#[derive(Debug, Default)]
struct Told {
    seen: BTreeSet<(i32, i64)>,
    /// The highest offset that was acknowledged for each partition.
    committed: BTreeMap<i32, i64>,
}

pub struct Members {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    told: Arc<Mutex<BTreeMap<&'static str, Told>>>,
}

impl Members {
    pub fn start(home: &Home, random: &Random) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told: Arc<Mutex<BTreeMap<&'static str, Told>>> = Arc::default();
        let mut threads = Vec::new();
        for (group, protocol) in GROUPS {
            for _ in 0..MEMBERS {
                let mut config = home.alice_in_haste();
                config
                    .set("group.id", group)
                    .set("group.protocol", protocol)
                    .set("enable.auto.commit", "false")
                    .set("enable.auto.offset.store", "false")
                    .set("auto.offset.reset", "earliest");
                if protocol == "classic" {
                    config
                        .set("session.timeout.ms", "6000")
                        .set("heartbeat.interval.ms", "500");
                }
                let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
                let random = Random::seeded(random.next_u64());
                threads.push(std::thread::spawn(move || {
                    attend(&config, group, &random, &stop, &told)
                }));
            }
        }
        Self { stop, threads, told }
    }

    /// Ends them, and holds what they were told against the log's records and the offsets that the groups have.
    pub fn finish(self, alice: &rdkafka::ClientConfig, records: &BTreeSet<(i32, i64)>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no member panics");
        }
        let told = self.told.lock().expect("no member panics");
        for (group, _) in GROUPS {
            let told = told.get(group).expect("it had members");
            let is = committed(alice, group);
            for (partition, acknowledged) in &told.committed {
                let is = is.get(partition).copied().unwrap_or(-1);
                assert!(
                    is >= *acknowledged,
                    "{group} was at {acknowledged} of {partition}, is at {is}"
                );
            }
            let passed = |place: &&(i32, i64)| told.committed.get(&place.0).is_some_and(|end| place.1 < *end);
            let skipped = records.iter().filter(passed).find(|place| !told.seen.contains(place));
            assert!(
                skipped.is_none(),
                "{group} has passed by {skipped:?}, which no member was given"
            );
            let phantom = told.seen.iter().find(|place| !records.contains(place));
            assert!(
                phantom.is_none(),
                "a member of {group} was given {phantom:?}, which is not there"
            );
            println!(
                "{group}: {} records were seen, committed: {:?}",
                told.seen.len(),
                told.committed
            );
        }
    }
}

fn attend(
    config: &rdkafka::ClientConfig,
    group: &'static str,
    random: &Random,
    stop: &AtomicBool,
    told: &Mutex<BTreeMap<&'static str, Told>>,
) {
    while !stop.load(Ordering::Relaxed) {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[TOPIC]).expect("subscribes");
        let leaves = Instant::now() + Duration::from_millis(3_000 + random.below(20_000));
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        let mut until_commit = 1 + random.below(COMMIT_MAX);
        while Instant::now() < leaves && !stop.load(Ordering::Relaxed) {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let (partition, offset) = (message.partition(), message.offset());
            told.lock()
                .expect("no member panics")
                .entry(group)
                .or_default()
                .seen
                .insert((partition, offset));
            next.insert(partition, offset + 1);
            until_commit -= 1;
            if until_commit == 0 {
                until_commit = 1 + random.below(COMMIT_MAX);
                commit(&consumer, group, &std::mem::take(&mut next), told);
            }
        }
        // Dropped without a commit; it leaves, or its session runs out where nobody answers.
    }
}

fn commit(
    consumer: &BaseConsumer,
    group: &'static str,
    next: &BTreeMap<i32, i64>,
    told: &Mutex<BTreeMap<&'static str, Told>>,
) {
    let positions = consumer.position().unwrap_or_default();
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in next {
        // What it lost meanwhile is another's to commit, also if it has got it back.
        let position = positions.find_partition(TOPIC, *partition);
        if position.is_some_and(|position| position.offset() == Offset::Offset(*offset)) {
            offsets
                .add_partition_offset(TOPIC, *partition, Offset::Offset(*offset))
                .expect("an offset");
        }
    }
    if offsets.count() == 0 || consumer.commit(&offsets, CommitMode::Sync).is_err() {
        return;
    }
    let mut told = told.lock().expect("no member panics");
    let committed = &mut told.entry(group).or_default().committed;
    for element in offsets.elements() {
        if let Offset::Offset(offset) = element.offset() {
            let highest = committed.entry(element.partition()).or_insert(offset);
            *highest = offset.max(*highest);
        }
    }
}

/// What a group has committed.
fn committed(alice: &rdkafka::ClientConfig, group: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = alice.clone().set("group.id", group).create().expect("a consumer");
    let mut wanted = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        wanted.add_partition(TOPIC, partition);
    }
    let found = consumer.committed_offsets(wanted, DEADLINE).expect("an answer");
    let offset = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    };
    found.elements().into_iter().filter_map(offset).collect()
}
