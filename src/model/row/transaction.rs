//! One transactional id: how long its transaction is open, and whether it hangs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cell;
use crate::model::snapshot::Snapshot;
use crate::model::transaction::{Producer, Transaction};
use crate::model::{BrokerId, Health, Moment, Observed, Trouble};

/// The coordinator looks for transactions past their timeout this often, in seconds. Source: Kafka's
/// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
const CLEANUP_SECONDS: f64 = 10.0;

/// One transactional id, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransactionRow {
    pub id: String,
    pub state: String,
    pub coordinator: BrokerId,
    pub producer_id: i64,
    pub producer_epoch: Option<i16>,
    /// `transaction.timeout.ms` of its producer, while it is open.
    pub timeout_seconds: Option<f64>,
    /// Since the transaction began, on the coordinator's clock against ours.
    pub open_seconds: Cell<f64>,
    /// Partitions it has written to, by topic.
    pub topics: BTreeMap<String, Vec<i32>>,
    /// Why it hangs, if it does: open longer than its timeout, so that nobody ends it by itself.
    pub hanging: Option<String>,
    pub stale_seconds: Option<i64>,
}

/// A producer whose transaction is open in a partition while no coordinator knows of one (KIP-664).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Orphan {
    pub topic: String,
    pub partition: i32,
    pub producer_id: i64,
    pub producer_epoch: i32,
    /// Where readers of committed records stop.
    pub open_from_offset: i64,
    /// Since its last record.
    pub idle_seconds: Option<f64>,
}

impl TransactionRow {
    /// Hanging ones first, then open ones by age, then the others by id.
    pub fn all(snapshot: &Snapshot, now: Moment) -> Vec<Self> {
        let told = snapshot.transactions.iter().flat_map(|(coordinator, section)| {
            let all = section.get().into_iter().flatten();
            all.map(move |one| Self::of(*coordinator, section, one, now))
        });
        let mut rows: Vec<Self> = told.collect();
        let age = |row: &Self| row.open_seconds.value.unwrap_or(-1.0);
        rows.sort_by(|one, other| {
            let hangs = (one.hanging.is_none()).cmp(&other.hanging.is_none());
            hangs.then(age(other).total_cmp(&age(one))).then(one.id.cmp(&other.id))
        });
        rows
    }

    fn of(coordinator: BrokerId, section: &Observed<Vec<Transaction>>, one: &Transaction, now: Moment) -> Self {
        let open = one.open.as_ref();
        let age = |started: i64| (now.as_millisecond() - started).max(0) as f64 / 1000.0;
        let missing = match one.is_open() {
            true => "the coordinator does not tell when it began",
            false => "no transaction is open",
        };
        let open_seconds = Cell::from(section, now, missing, |_| Some(age(open?.started_ms?)));
        let timeout_seconds = open.map(|open| f64::from(open.timeout_ms) / 1000.0);
        Self {
            id: one.id.clone(),
            state: one.state.clone(),
            coordinator,
            producer_id: one.producer_id,
            producer_epoch: open.map(|open| open.producer_epoch),
            hanging: hangs(&one.state, open_seconds.value, timeout_seconds),
            timeout_seconds,
            open_seconds,
            topics: open.map(|open| open.topics.clone()).unwrap_or_default(),
            stale_seconds: (!section.is_fresh()).then(|| section.age_seconds(now)).flatten(),
        }
    }

    /// How many partitions it has written to.
    pub fn partitions(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }
}

fn hangs(state: &str, open: Option<f64>, timeout: Option<f64>) -> Option<String> {
    let (open, timeout) = (open?, timeout?);
    if open <= timeout + 2.0 * CLEANUP_SECONDS {
        return None;
    }
    Some(match state.starts_with("Prepare") {
        true => format!("decided, and its markers are not written everywhere after {open:.0} s"),
        false => format!("open for {open:.0} s, {timeout:.0} s are allowed, and its coordinator has not ended it"),
    })
}

/// Of what leaders remember, the open transactions that no coordinator knows. Needs every coordinator's answer: while one
/// is missing, what it coordinates would be taken for orphaned, and nothing is said.
///
/// # Errors
/// Which coordinators did not answer.
pub fn orphans(snapshot: &Snapshot, producers: &[Producer], now: Moment) -> Result<Vec<Orphan>, String> {
    let silent: Vec<String> = snapshot
        .transactions
        .iter()
        .filter(|(_, section)| !section.is_fresh())
        .map(|(id, _)| id.to_string())
        .collect();
    if !silent.is_empty() {
        return Err(format!(
            "coordinator {} has not told its transactions, so none can be called orphaned",
            silent.join(", ")
        ));
    }
    let known = |producer: &Producer| {
        let all = snapshot.transactions.values().filter_map(Observed::get).flatten();
        all.into_iter()
            .any(|one| one.producer_id == producer.producer_id && one.is_open())
    };
    let orphan = |producer: &Producer| {
        Some(Orphan {
            topic: producer.topic.clone(),
            partition: producer.partition,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            open_from_offset: producer.open_from_offset?,
            idle_seconds: producer
                .last_timestamp_ms
                .map(|at| (now.as_millisecond() - at).max(0) as f64 / 1000.0),
        })
    };
    Ok(producers
        .iter()
        .filter(|producer| !known(producer))
        .filter_map(orphan)
        .collect())
}

/// Why there may be transactions that are not shown: `not served` where no broker knows the API.
pub fn unseen(snapshot: &Snapshot) -> Option<String> {
    let sections = &snapshot.transactions;
    let unsupported = |section: &Observed<Vec<Transaction>>| {
        matches!(
            section.health,
            Health::Failing {
                trouble: Trouble::Unsupported,
                ..
            }
        )
    };
    if sections.is_empty() {
        return Some("not asked yet".to_owned());
    }
    if sections.values().all(unsupported) {
        return Some("not served: these brokers do not know ListTransactions (KIP-664, Kafka 3.0)".to_owned());
    }
    let problems: Vec<String> = sections
        .iter()
        .filter_map(|(id, section)| Some(format!("coordinator {id}: {}", section.problem()?)))
        .collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::transaction::Open;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn transaction(id: &str, state: &str, started: i64) -> Transaction {
        Transaction {
            id: id.to_owned(),
            state: state.to_owned(),
            producer_id: started + 1000,
            open: crate::model::transaction::is_open(state).then(|| Open {
                producer_epoch: 3,
                timeout_ms: 60_000,
                started_ms: Some(at(started).as_millisecond()),
                topics: BTreeMap::from([("orders".to_owned(), vec![0, 1])]),
            }),
        }
    }

    fn snapshot() -> Snapshot {
        let all = vec![
            transaction("fine", "Ongoing", 290),
            transaction("hung", "Ongoing", 0),
            transaction("idle", "CompleteCommit", 5),
        ];
        Snapshot {
            transactions: BTreeMap::from([(1, Observed::fresh(all, at(300)))]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn open_past_its_timeout_is_hanging_and_comes_first() {
        let rows = TransactionRow::all(&snapshot(), at(300));
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.id.as_str(), row.hanging.is_some()))
            .collect();
        assert_eq!(seen, [("hung", true), ("fine", false), ("idle", false)]);
        assert_eq!(rows[0].open_seconds.value, Some(300.0));
        assert_eq!(rows[0].partitions(), 2);
        assert_eq!(rows[2].open_seconds.value, None);
    }

    #[test]
    fn a_producer_that_no_coordinator_knows_is_an_orphan_only_when_all_have_answered() {
        let producer = |producer_id, open| Producer {
            coordinator_epoch: 0,
            topic: "orders".to_owned(),
            partition: 0,
            producer_id,
            producer_epoch: 3,
            last_timestamp_ms: Some(at(100).as_millisecond()),
            open_from_offset: open,
        };
        let producers = [producer(1290, Some(7)), producer(77, Some(9)), producer(78, None)];
        let mut snapshot = snapshot();
        let found = orphans(&snapshot, &producers, at(300)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].producer_id, found[0].open_from_offset), (77, 9));
        assert_eq!(found[0].idle_seconds, Some(200.0));
        let mut silent = Observed::default();
        silent.fail(Trouble::TimedOut, "no answer", at(0));
        snapshot.transactions.insert(2, silent);
        assert!(
            orphans(&snapshot, &producers, at(300))
                .unwrap_err()
                .contains("coordinator 2")
        );
    }

    #[test]
    fn what_no_broker_serves_is_said_so_and_is_not_none() {
        let mut snapshot = Snapshot::default();
        let mut section = Observed::default();
        section.fail(Trouble::Unsupported, "broker 1 does not know ListTransactions", at(0));
        snapshot.transactions.insert(1, section);
        assert!(unseen(&snapshot).unwrap().starts_with("not served"));
        assert_eq!(unseen(&self::snapshot()), None);
    }
}
