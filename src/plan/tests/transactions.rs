//! A transaction that nobody ends.

use super::*;
use crate::model::transaction::{Producer, Transaction};
use crate::plan::transaction::{Abort, abort};

const NOW_MS: i64 = 1_700_000_000_000;

fn producer(last_ms: i64) -> Producer {
    Producer {
        topic: "orders".into(),
        partition: 0,
        producer_id: 4711,
        producer_epoch: 3,
        coordinator_epoch: 7,
        last_timestamp_ms: Some(last_ms),
        open_from_offset: Some(120),
    }
}

fn planned(snapshot: &Snapshot, found: Result<Vec<Producer>, String>) -> Result<Plan, Error> {
    let wish = Abort {
        found,
        ..Abort::new("orders".into(), 0, 4711)
    };
    abort(snapshot, &wish, "dev", now())
}

/// One coordinator, with these transactions.
fn known(transactions: Vec<Transaction>) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.transactions.insert(1, Observed::fresh(transactions, now()));
    snapshot
}

fn refused_by(plan: &Plan) -> Vec<&str> {
    plan.refused_by(&[]).map(|gate| gate.name.as_str()).collect()
}

#[test]
fn what_no_coordinator_knows_and_nobody_writes_may_be_ended() {
    let plan = planned(&known(Vec::new()), Ok(vec![producer(NOW_MS - 1_000_000)])).unwrap();
    assert!(refused_by(&plan).is_empty(), "{:?}", plan.gates);
    assert!(matches!(plan.undo, Undo::None { .. }));
    assert_eq!(plan.title, "transaction of producer 4711 in orders-0");
    let young = planned(&known(Vec::new()), Ok(vec![producer(NOW_MS - 5_000)])).unwrap();
    assert_eq!(refused_by(&young), ["idle"]);
}

#[test]
fn what_its_coordinator_knows_is_left_to_it() {
    let own = Transaction {
        id: "billing-1".into(),
        state: "Ongoing".into(),
        producer_id: 4711,
        open: None,
    };
    let plan = planned(&known(vec![own]), Ok(vec![producer(NOW_MS - 1_000_000)])).unwrap();
    assert_eq!(refused_by(&plan), ["orphan"]);
    let told = &plan.gates[0].evidence;
    assert_eq!(
        told,
        "billing-1 (Ongoing) is known to its coordinator, which ends it at its timeout"
    );
    // One that does not answer may be the one that knows it.
    let mut silent = known(Vec::new());
    let mut section = Observed::<Vec<Transaction>>::default();
    section.fail(Trouble::TimedOut, "did not answer", now());
    silent.transactions.insert(2, section);
    let plan = planned(&silent, Ok(vec![producer(NOW_MS - 1_000_000)])).unwrap();
    assert_eq!(verdict(&plan, "orphan"), Verdict::Unknown);
}

#[test]
fn what_is_not_open_is_not_ended() {
    let snapshot = known(Vec::new());
    let mut over = producer(NOW_MS - 1_000_000);
    over.open_from_offset = None;
    let nothing = planned(&snapshot, Ok(vec![over])).unwrap_err();
    assert_eq!(
        nothing.to_string(),
        "nothing to do: producer 4711 has no open transaction in orders-0"
    );
    let blind = planned(&snapshot, Err("broker 1 did not answer".into())).unwrap_err();
    assert!(matches!(blind, Error::Blind { .. }), "{blind}");
}
