//! Transactions over several partitions, committed and aborted in turn, and what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azimuth_broker::env::random::Random;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::home::Home;
use super::{DEADLINE, PARTITIONS, PAYMENTS};

/// One call of a transaction, which is tried again as long as it may be.
const TRY: Duration = Duration::from_secs(30);
const RECORDS_MAX: u64 = 5;
const IDS: [&str; 2] = ["transfer-a", "transfer-b"];

/// How a transaction ended, as its producer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    Unknown,
}

/// Its values, and how it ended.
pub type Transaction = (Vec<String>, Outcome);

/// Producers that make one transaction after another.
pub struct Transfers {
    stop: Arc<AtomicBool>,
    configs: Vec<rdkafka::ClientConfig>,
    threads: Vec<std::thread::JoinHandle<Vec<Transaction>>>,
}

impl Transfers {
    pub fn start(home: &Home, random: &Random) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let config = |id: &&str| {
            home.writer_in_haste()
                .set("transactional.id", *id)
                .set("transaction.timeout.ms", "20000")
                .set("message.timeout.ms", "20000")
                .clone()
        };
        let configs: Vec<_> = IDS.iter().map(config).collect();
        let begin = |(id, config): (&'static str, &rdkafka::ClientConfig)| {
            let (config, stop, random) = (config.clone(), Arc::clone(&stop), Random::seeded(random.next_u64()));
            std::thread::spawn(move || transfer(&config, id, &random, &stop))
        };
        let threads = IDS.into_iter().zip(&configs).map(begin).collect();
        Self { stop, configs, threads }
    }

    /// Ends them; what they did. No transaction is open then.
    pub fn finish(self) -> Vec<Transaction> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.threads.into_iter().map(|thread| thread.join());
        let all = ended.flat_map(|ended| ended.expect("no producer panics")).collect();
        for config in &self.configs {
            // Waits for the last one's markers.
            let producer: Producer = config.create().expect("a producer");
            producer.init_transactions(DEADLINE).expect("takes over");
        }
        all
    }
}

type Producer = ThreadedProducer<DefaultProducerContext>;

fn transfer(config: &rdkafka::ClientConfig, id: &str, random: &Random, stop: &AtomicBool) -> Vec<Transaction> {
    let mut all = Vec::new();
    // One that was fenced or failed for good is followed by another.
    while !stop.load(Ordering::Relaxed) {
        let producer: Producer = config.create().expect("a producer");
        if let Err(error) = producer.init_transactions(TRY) {
            println!("{id} does not begin: {error}");
            continue;
        }
        while !stop.load(Ordering::Relaxed) {
            if producer.begin_transaction().is_err() {
                break;
            }
            let count = 1 + random.below(RECORDS_MAX);
            let name = all.len();
            let values: Vec<String> = (0..count).map(|at| format!("{id} {name} {at}")).collect();
            let sent = values.iter().all(|value| {
                let partition = random.below(PARTITIONS as u64) as i32;
                let record = BaseRecord::<(), _>::to(PAYMENTS).partition(partition).payload(value);
                producer.send(record).is_ok()
            });
            let wanted = sent && random.below(3) > 0;
            let outcome = end(&producer, wanted);
            all.push((values, outcome));
            if outcome == Outcome::Unknown {
                println!("{id}: nobody knows how transaction {name} ended");
                break;
            }
        }
    }
    all
}

fn end(producer: &Producer, wanted: bool) -> Outcome {
    let until = std::time::Instant::now() + DEADLINE;
    let mut commits = wanted;
    loop {
        let ended = match commits {
            true => producer.commit_transaction(TRY),
            false => producer.abort_transaction(TRY),
        };
        let error = match ended {
            Ok(()) if commits => return Outcome::Committed,
            Ok(()) => return Outcome::Aborted,
            Err(error) => error,
        };
        match &error {
            KafkaError::Transaction(why) if why.is_retriable() => {}
            // A commit that was refused, before anything was decided.
            KafkaError::Transaction(why) if why.txn_requires_abort() => commits = false,
            // An abort that fails for good is made by the next producer, or its timeout.
            _ if !wanted => return Outcome::Aborted,
            _ => return Outcome::Unknown,
        }
        if std::time::Instant::now() >= until {
            return Outcome::Unknown;
        }
    }
}

/// Holds what was read, with all transactions closed, against what became of each.
pub fn judge(all: &[Transaction], committed: &[(String, (i32, i64))]) {
    let mut places: BTreeMap<&str, (i32, i64)> = BTreeMap::new();
    for (value, place) in committed {
        if let Some(first) = places.insert(value, *place) {
            panic!("{value} of a transaction is there twice: {first:?} and {place:?}");
        }
    }
    for (values, outcome) in all {
        let there = values
            .iter()
            .filter(|value| places.contains_key(value.as_str()))
            .count();
        match outcome {
            Outcome::Committed => assert_eq!(there, values.len(), "{values:?} was committed"),
            Outcome::Aborted => assert_eq!(there, 0, "{values:?} was aborted"),
            Outcome::Unknown => assert!(there == 0 || there == values.len(), "{values:?} is torn"),
        }
    }
    let known: BTreeSet<&String> = all.iter().flat_map(|(values, _)| values).collect();
    let strange = committed.iter().find(|(value, _)| !known.contains(value));
    assert!(strange.is_none(), "{strange:?} was never written");
    let count = |wanted| all.iter().filter(|(_, outcome)| *outcome == wanted).count();
    println!(
        "{} transactions committed, {} aborted, {} of which nobody knows; none is torn",
        count(Outcome::Committed),
        count(Outcome::Aborted),
        count(Outcome::Unknown)
    );
}
