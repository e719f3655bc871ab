//! Where a group reads on, and forgetting it.

use std::sync::Arc;

use super::*;
use crate::model::group::{Commit, Group, Member};
use crate::model::offset::{Offsets, Span};
use crate::plan::group::{Offset, Reset, To, delete, reset};

fn span(start: i64, end: i64) -> Span {
    Span { start, end, rate: None }
}

/// Group `billing` has read `orders` up to 500 and 90, of logs from 100 to 900 and from 50 to 90.
fn read() -> Snapshot {
    let mut snapshot = snapshot();
    let commit = |partition, offset| Commit {
        topic: "orders".into(),
        partition,
        offset,
        metadata: Box::default(),
    };
    let group = Group {
        name: "billing".into(),
        state: "Empty".into(),
        kind: "classic".into(),
        protocol: String::new(),
        coordinator: Some(1),
        members: Vec::new(),
        commits: vec![commit(0, 500), commit(1, 90)],
    };
    snapshot.groups = Observed::fresh(vec![group.into()], now());
    for (leader, partition, span) in [(1, 0, span(100, 900)), (2, 1, span(50, 90))] {
        let offsets = Offsets::from_iter([("orders", partition, span)]);
        snapshot.offsets.insert(leader, Observed::fresh(offsets, now()));
    }
    snapshot
}

fn planned(snapshot: &Snapshot, to: To, names: &[&str]) -> Result<Plan, Error> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let group = "billing".to_owned();
    reset(snapshot, &Reset { group, names, to }, "dev", now())
}

#[test]
fn every_way_to_say_where_leads_there() {
    let snapshot = read();
    let to = |to: To| offsets(&planned(&snapshot, to, &[]).unwrap());
    assert_eq!(to(To::Earliest), [(0, Some(500), 100), (1, Some(90), 50)]);
    assert_eq!(
        to(To::Latest),
        [(0, Some(500), 900)],
        "who is there already is left out"
    );
    assert_eq!(
        to(To::Offset(120)),
        [(0, Some(500), 120)],
        "90 is the end of the other's log"
    );
    assert_eq!(to(To::Last(10)), [(0, Some(500), 890), (1, Some(90), 80)]);
    assert_eq!(to(To::Shift(-20)), [(0, Some(500), 480), (1, Some(90), 70)]);
    let found = [(("orders".to_owned(), 0), Some(333)), (("orders".to_owned(), 1), None)].into();
    let since = To::Since { time: now(), found };
    assert_eq!(to(since), [(0, Some(500), 333)], "no record is that young in the other");
    let plan = planned(&snapshot, To::Earliest, &["orders:1"]).unwrap();
    assert_eq!(offsets(&plan), [(1, Some(90), 50)]);
    let nothing = planned(&snapshot, To::Latest, &["orders:1"]).unwrap_err();
    assert_eq!(nothing.to_string(), "nothing to do: group billing stands there already");
}

#[test]
fn what_is_skipped_and_read_again_is_counted_and_no_offset_leaves_its_log() {
    let plan = planned(&read(), To::Shift(-1_000), &[]).unwrap();
    assert_eq!(offsets(&plan), [(0, Some(500), 100), (1, Some(90), 50)]);
    assert_eq!(
        evidence(&plan, "within"),
        "2 lie outside of the log: orders-0 -500 → 100, orders-1 -910 → 50"
    );
    assert_eq!(evidence(&plan, "records"), "440 records are read again");
    let plan = planned(&read(), To::Latest, &[]).unwrap();
    assert_eq!(evidence(&plan, "records"), "400 records are never read");
    assert_eq!(verdict(&plan, "records"), Verdict::Warn);
    let shown: Vec<String> = crate::plan::summary::lines(&plan)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert!(
        shown[0].starts_with("PLAN reset group billing in 1 partition   1 offset · undo: full"),
        "{}",
        shown[0]
    );
    assert!(
        shown.contains(&"  orders-0  500 → 900  (+400)".to_owned()),
        "{shown:#?}"
    );
}

#[test]
fn a_group_that_reads_is_left_alone() {
    let mut snapshot = read();
    let mut groups = snapshot.groups.get().unwrap().clone();
    let group = Arc::make_mut(&mut groups[0]);
    group.state = "Stable".into();
    group.members = vec![Member {
        id: "m-1".into(),
        instance: None,
        client: "billing-1".into(),
        host: "10.0.0.9".into(),
        assignment: Vec::new(),
    }];
    snapshot.groups = Observed::fresh(groups, now());
    for plan in [
        planned(&snapshot, To::Earliest, &[]).unwrap(),
        delete(&snapshot, &["billing".to_owned()], "dev", now()).unwrap(),
    ] {
        let told = evidence(&plan, "members");
        assert_eq!(
            told,
            "group billing is Stable with 1 member: billing-1@10.0.0.9; stop them first"
        );
        assert_eq!(plan.refused_by(&["members".to_owned()]).count(), 1, "never overridden");
    }
    // One who came while the plan lay about is material.
    let plan = planned(&read(), To::Earliest, &[]).unwrap();
    let drifts = drift::since(&plan, &snapshot, now());
    assert!(
        drifts
            .iter()
            .any(|drift| drift.material && drift.what.contains("billing-1")),
        "{drifts:?}"
    );
}

#[test]
fn a_log_that_nobody_tells_of_closes_the_gate() {
    let mut snapshot = read();
    snapshot.offsets.remove(&2);
    let plan = planned(&snapshot, To::Earliest, &[]).unwrap();
    assert_eq!(offsets(&plan), [(0, Some(500), 100)]);
    assert_eq!(verdict(&plan, "ends"), Verdict::Unknown);
    assert_eq!(plan.refused_by(&[]).count(), 1);
    assert_eq!(plan.refused_by(&["ends".to_owned()]).count(), 0);
}

#[test]
fn names_that_are_not_there_are_said() {
    let snapshot = read();
    let told = |names: &[&str]| planned(&snapshot, To::Earliest, names).unwrap_err().to_string();
    assert_eq!(told(&["nothing"]), "there is no topic nothing");
    assert_eq!(told(&["orders:7"]), "topic orders has partitions 0 to 1, no 7");
    let stranger = delete(&snapshot, &["biling".to_owned()], "dev", now()).unwrap_err();
    assert_eq!(stranger.to_string(), "there is no group biling");
    let mut half = read();
    let mut silent = Observed::<()>::default();
    silent.fail(Trouble::TimedOut, "did not answer", now());
    half.coordinators.insert(2, silent);
    let unseen = delete(&half, &["biling".to_owned()], "dev", now()).unwrap_err();
    assert!(matches!(unseen, Error::Blind { .. }), "it may be there: {unseen}");
}

#[test]
fn what_a_deleted_group_had_read_is_kept_and_counted() {
    let plan = delete(&read(), &["billing".to_owned()], "dev", now()).unwrap();
    assert_eq!(offsets(&plan), [(0, Some(500), 500), (1, Some(90), 90)]);
    assert_eq!(evidence(&plan, "unread"), "billing has 400 records to read");
    let saved: Vec<Offset> = plan.steps.iter().flat_map(Step::offsets).cloned().collect();
    // The way back makes the group anew.
    let mut snapshot = read();
    snapshot.groups = Observed::fresh(Vec::new(), now());
    let back = planned(&snapshot, To::Saved(saved), &[]).unwrap();
    assert_eq!(offsets(&back), [(0, None, 500), (1, None, 90)]);
    assert_eq!(back.refused_by(&[]).count(), 0);
    // A new one that nobody had is perhaps a typing error.
    let new = planned(&snapshot, To::Earliest, &["orders"]).unwrap();
    assert_eq!(
        new.refused_by(&[]).map(|gate| gate.name.as_str()).collect::<Vec<_>>(),
        ["exists"]
    );
}
