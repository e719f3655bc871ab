//! Stories of groups: one on time, one stuck at a partition, one without members, one that loses records.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::model::backlog::{Backlog, Backlogs, Retention, Retentions, Written};
use crate::model::broker::Broker;
use crate::model::cluster::Cluster;
use crate::model::group::{Commit, Member};
use crate::model::history::{Basis, History, Standing};
use crate::model::logdir::{LogDir, Replica};
use crate::model::offset::{Offsets, Span};
use crate::model::row::Rows;
use crate::model::topic::{Partition, Topic};
use crate::model::{Observed, Trouble};

const DAY_MS: i64 = 86_400_000;

fn at(second: i64) -> Moment {
    Moment::from_second(1_800_000_000 + second).unwrap()
}

fn group(name: &str, state: &str, members: usize, commits: &[(i32, i64)]) -> Group {
    let member = |n: usize| Member {
        id: format!("{name}-{n}"),
        instance: None,
        client: format!("client-{n}"),
        host: format!("10.0.{}.10", n + 1),
        assignment: commits
            .iter()
            .filter(|(partition, _)| *partition as usize % members == n)
            .map(|(partition, _)| ("orders".into(), *partition))
            .collect(),
    };
    let commit = |(partition, offset): &(i32, i64)| Commit {
        topic: "orders".into(),
        partition: *partition,
        offset: *offset,
        metadata: Box::default(),
    };
    Group {
        name: name.to_owned(),
        state: state.to_owned(),
        kind: "classic".to_owned(),
        protocol: "range".to_owned(),
        coordinator: Some(1),
        members: (0..members).map(member).collect(),
        commits: commits.iter().map(commit).collect(),
    }
}

fn shared(groups: Vec<Group>) -> Vec<Arc<Group>> {
    groups.into_iter().map(Arc::new).collect()
}

/// `orders` has three partitions of 1000..9000, all led by broker 1, written at 10 records a second up to now.
fn snapshot(groups: Vec<Group>) -> Snapshot {
    let partition = |partition| Partition {
        partition,
        leader: Some(1),
        replicas: [1].into(),
        isr: [1].into(),
        ..Partition::default()
    };
    let orders = Topic {
        name: "orders".to_owned(),
        id: uuid::Uuid::nil(),
        internal: false,
        partitions: (0..3).map(partition).collect(),
    };
    let span = Span {
        start: 1000,
        end: 9000,
        rate: Some(10.0),
    };
    let broker = Broker {
        id: 1,
        host: "10.0.1.10".to_owned(),
        port: 9092,
        rack: Some("az1".to_owned()),
        fenced: false,
    };
    let mut history = History::default();
    for second in (0..=600).step_by(10) {
        let end = 9000 - (600 - second) * 10;
        history
            .trail
            .push(at(second), (0..3).map(|partition| ("orders", partition, end)));
    }
    let retention = Retention {
        time_ms: Some(DAY_MS),
        bytes: None,
        compacts: false,
        deletes: true,
    };
    Snapshot {
        taken_at: Some(at(600)),
        cluster: Observed::fresh(
            Cluster {
                id: "c".to_owned(),
                controller: Some(1),
                brokers: vec![broker],
                version: None,
            },
            at(600),
        ),
        topics: Observed::fresh(vec![orders], at(600)),
        offsets: BTreeMap::from([(
            1,
            Observed::fresh((0..3).map(|n| ("orders", n, span)).collect::<Offsets>(), at(600)),
        )]),
        groups: Observed::fresh(shared(groups), at(600)),
        coordinators: BTreeMap::from([(1, Observed::fresh((), at(600)))]),
        retentions: Observed::fresh(
            Retentions {
                topics: BTreeMap::from([("orders".to_owned(), retention)]),
                offsets_minutes: Some(10_080),
            },
            at(600),
        ),
        history: history.into(),
        ..Snapshot::default()
    }
}

fn only(snapshot: &Snapshot) -> GroupRow {
    let mut rows = GroupRow::all(snapshot, at(600));
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn past(state: &str, second: i64) -> GroupPast {
    GroupPast {
        state: state.to_owned(),
        since: Since {
            at: at(second),
            basis: Basis::Recorded,
        },
        rebalances: Default::default(),
        standing: Default::default(),
        shape: 0,
        commits: 3,
        pace: Default::default(),
    }
}

/// Changes what is remembered.
fn remember(snapshot: &mut Snapshot, change: impl FnOnce(&mut History)) {
    let mut history = History::clone(&snapshot.history);
    change(&mut history);
    snapshot.history = history.into();
}

fn stand(snapshot: &mut Snapshot, partitions: &[(i32, i64)], second: i64) {
    remember(snapshot, |history| {
        let mut past = past("Stable", 0);
        let standing = |(partition, offset): &(i32, i64)| {
            let standing = Standing {
                offset: *offset,
                since: at(second),
                end: 0,
            };
            ("orders".into(), *partition, standing)
        };
        past.standing = partitions.iter().map(standing).collect();
        Arc::make_mut(&mut history.groups).insert("billing".to_owned(), past.into());
    });
}

fn backlog(snapshot: &mut Snapshot, backlog: Backlog) {
    let backlogs = Backlogs {
        topics: BTreeMap::from([("orders".to_owned(), BTreeMap::from([(0, backlog)]))]),
    };
    snapshot.backlogs.insert(1, Observed::fresh(backlogs, at(600)));
}

fn written(offset: i64, second: i64) -> Written {
    Written {
        offset,
        earliest: at(second),
        latest: at(second),
    }
}

#[test]
fn a_group_that_has_read_all_is_safe_and_not_stuck() {
    let row = only(&snapshot(vec![group(
        "billing",
        "Stable",
        2,
        &[(0, 9000), (1, 9000), (2, 9000)],
    )]));
    assert_eq!((row.lag_records.value, row.drains.value), (Some(0), Some(Drain::Done)));
    assert_eq!((row.safe.value, row.cause), (Some(Safe::Read), None));
    assert_eq!(row.behind.value.unwrap().seconds, 0.0);
}

#[test]
fn time_behind_is_read_off_the_recording() {
    let row = only(&snapshot(vec![group(
        "billing",
        "Stable",
        2,
        &[(0, 9000), (1, 6000), (2, 8900)],
    )]));
    let behind = row.behind.value.unwrap();
    assert_eq!((behind.seconds, behind.basis), (300.0, BehindBasis::Sampled));
    // A day after it was written.
    assert_eq!(row.safe.value, Some(Safe::Until(at(300 + 86_400))));
}

#[test]
fn what_is_older_than_the_recording_is_asked_of_the_leader() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 1500)])]);
    let row = only(&snapshot);
    let behind = row.behind.value.unwrap();
    assert_eq!((behind.seconds, behind.basis), (600.0, BehindBasis::AtLeast));
    assert_eq!(row.safe.value, None, "unknown is no promise");
    backlog(
        &mut snapshot,
        Backlog {
            unread: vec![written(1500, -3000)],
            pin: None,
        },
    );
    let row = only(&snapshot);
    let behind = row.behind.value.unwrap();
    assert_eq!((behind.seconds, behind.basis), (3600.0, BehindBasis::Timestamps));
    assert_eq!(row.safe.value, Some(Safe::Until(at(86_400 - 3000))));
}

#[test]
fn timestamps_that_cannot_be_are_unknown() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 8500)])]);
    let of = |second| Backlog {
        unread: vec![written(8500, second)],
        pin: None,
    };
    backlog(&mut snapshot, of(7200));
    let future = only(&snapshot).safe;
    assert!(future.value.is_none() && future.reason.unwrap().contains("in the future"));
    backlog(&mut snapshot, of(-2 * 86_400));
    let old = only(&snapshot).safe;
    assert!(old.value.is_none() && old.reason.unwrap().contains("more than a day older"));
}

#[test]
fn records_deleted_unread_outrank_everything() {
    let snapshot = snapshot(vec![group("billing", "Empty", 0, &[(0, 400), (1, 9000)])]);
    let row = only(&snapshot);
    assert_eq!((row.safe.value, row.lost_records), (Some(Safe::Losing), 600));
    let words = sentence(&snapshot, &row, at(600));
    assert!(words.contains("600 records were already deleted unread"), "{words}");
}

#[test]
fn compacted_topics_and_topics_without_a_limit_lose_nothing() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 400)])]);
    let mut keep = |retention| {
        let mut kept = snapshot.retentions.get().unwrap().clone();
        kept.topics.insert("orders".to_owned(), retention);
        snapshot.retentions = Observed::fresh(kept, at(600));
        only(&snapshot).safe.value
    };
    let compacted = Retention {
        compacts: true,
        ..Retention::default()
    };
    assert_eq!(keep(compacted), Some(Safe::Compacted));
    let endless = Retention {
        deletes: true,
        ..Retention::default()
    };
    assert_eq!(
        keep(endless),
        Some(Safe::Losing),
        "the log begins after the commit, whoever cut it"
    );
}

#[test]
fn retention_of_an_unanswered_question_is_unknown() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 8500)])]);
    snapshot.retentions = Observed::default();
    snapshot.retentions.fail(Trouble::Denied, "not authorized", at(590));
    let safe = only(&snapshot).safe;
    assert!(safe.value.is_none() && safe.reason.unwrap().contains("not authorized"));
}

#[test]
fn nobody_reads_an_empty_group_and_its_offsets_expire() {
    let mut snapshot = snapshot(vec![group("billing", "Empty", 0, &[(0, 8000)])]);
    let row = only(&snapshot);
    assert_eq!(row.cause, Some(Cause::NoMembers));
    assert_eq!(row.offsets_expire.value, Some(Expiry::By(at(600 + 604_800))));
    remember(&mut snapshot, |history| {
        Arc::make_mut(&mut history.groups).insert("billing".to_owned(), past("Empty", 100).into());
    });
    let row = only(&snapshot);
    assert_eq!(row.offsets_expire.value, Some(Expiry::At(at(100 + 604_800))));
    assert!(row.since.unwrap().words().ends_with("recorded"));
}

#[test]
fn one_partition_that_stands_is_named() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 2, &[(0, 9000), (1, 7000), (2, 8990)])]);
    stand(&mut snapshot, &[(1, 7000)], 400);
    let row = only(&snapshot);
    assert_eq!(
        row.cause.unwrap().to_string(),
        "one-partition (orders-1: offset 7000 not moving)"
    );
    stand(&mut snapshot, &[(1, 7000)], 590);
    assert_eq!(only(&snapshot).cause, None, "ten seconds are nothing");
    stand(&mut snapshot, &[(1, 6999)], 400);
    assert_eq!(only(&snapshot).cause, None, "it has moved since");
    stand(&mut snapshot, &[(1, 7000), (2, 8990)], 400);
    let cause = only(&snapshot).cause.unwrap();
    assert_eq!(cause.to_string(), "slow (2 partitions not moving)");
}

#[test]
fn an_open_transaction_is_the_cause_once_it_is_old() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 8000)])]);
    let pinned = |second| Backlog {
        unread: vec![written(8000, second)],
        pin: Some(Pin {
            stable: 8000,
            producer: Some(4711),
        }),
    };
    backlog(&mut snapshot, pinned(-2220));
    let cause = only(&snapshot).cause.unwrap();
    assert_eq!(cause.to_string(), "lso-pinned (producer 4711, 47 m)");
    backlog(&mut snapshot, pinned(595));
    assert_eq!(only(&snapshot).cause, None, "every transaction is open for a moment");
}

#[test]
fn rebalances_are_counted() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 8000)])]);
    remember(&mut snapshot, |history| {
        let mut past = past("Stable", 0);
        past.rebalances = [100, 200, 300, 400].map(at).into();
        Arc::make_mut(&mut history.groups).insert("billing".to_owned(), past.into());
    });
    assert_eq!(only(&snapshot).cause.unwrap().to_string(), "rebalancing (4 in 10 m)");
    let rebalances = vec![group("billing", "PreparingRebalance", 1, &[(0, 9000)])];
    snapshot.groups = Observed::fresh(shared(rebalances), at(600));
    assert_eq!(only(&snapshot).cause.unwrap().word(), "rebalancing");
}

#[test]
fn rows_of_groups_are_taken_over_while_nothing_moves() {
    let mut before = snapshot(vec![group("billing", "Stable", 1, &[(0, 90)])]);
    // Told at 600 and again at 605, then whatever comes.
    let read = |snapshot: &mut Snapshot, second, value| {
        remember(snapshot, |history| {
            history.moved_at = Some(at(600));
            for series in [&mut history.group_lag, &mut history.group_read] {
                let series = Arc::make_mut(series).entry("billing".to_owned()).or_default();
                series.push(at(second), value);
            }
        });
    };
    read(&mut before, 600, 10.0);
    let taken_over = |before: &Snapshot, rows: &Rows, after: &Snapshot, second| {
        let next = Rows::after(before, rows, after, at(second), Window::default());
        Arc::ptr_eq(&rows.groups, &next.groups)
    };
    let first = Rows::of(&before, at(600));
    let mut twice = before.clone();
    read(&mut twice, 602, 10.0);
    assert!(
        !taken_over(&before, &first, &twice, 602),
        "the second sample makes a rate of it"
    );
    let rows = Rows::after(&before, &first, &twice, at(602), Window::default());
    let mut still = twice.clone();
    read(&mut still, 604, 10.0);
    assert!(taken_over(&twice, &rows, &still, 604));
    assert!(
        !taken_over(&twice, &rows, &still, 607),
        "what is told by the clock ages"
    );
    let mut moved = twice.clone();
    read(&mut moved, 604, 11.0);
    assert!(!taken_over(&twice, &rows, &moved, 604));
}

#[test]
fn rates_and_draining_come_from_the_recording() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 8000)])]);
    let row = only(&snapshot);
    assert_eq!(
        (row.rate_out.value, row.drains.value, row.rate_basis),
        (None, None, None)
    );
    remember(&mut snapshot, |history| {
        for second in (540..=600).step_by(10) {
            let (lag, read) = (1000 + (600 - second) * 5, 8000 - (600 - second) * 15);
            let name = || "billing".to_owned();
            Arc::make_mut(&mut history.group_lag)
                .entry(name())
                .or_default()
                .push(at(second), lag as f64);
            Arc::make_mut(&mut history.group_read)
                .entry(name())
                .or_default()
                .push(at(second), read as f64);
        }
    });
    let row = only(&snapshot);
    assert_eq!((row.rate_in.value, row.rate_out.value), (Some(10.0), Some(15.0)));
    assert_eq!(row.drains.value, Some(Drain::InSeconds(200.0)));
    assert_eq!(row.rate_basis.as_deref(), Some("recorded, 60 s"));
    assert_eq!(row.trend.len(), 7);
}

#[test]
fn a_group_that_is_looked_into_is_told_as_its_row_was() {
    let mut snapshot = snapshot(vec![
        group("audit", "Empty", 0, &[(0, 400), (1, 9000)]),
        group("billing", "Stable", 2, &[(0, 8500), (1, 1500), (2, 9000), (7, 1)]),
    ]);
    // A leader from before, and one that fails by now.
    let old = snapshot.offsets[&1].get().unwrap().clone();
    snapshot.offsets.insert(2, Observed::fresh(old, at(100)));
    snapshot
        .offsets
        .get_mut(&1)
        .unwrap()
        .fail(Trouble::TimedOut, "no answer", at(610));
    // As much as there is fills it.
    let mut retentions = snapshot.retentions.get().unwrap().clone();
    retentions.topics.get_mut("orders").unwrap().bytes = Some(8_000_000);
    snapshot.retentions = Observed::fresh(retentions, at(600));
    snapshot
        .logdirs
        .insert(1, Observed::fresh(vec![disk(8_000_000)], at(600)));
    let now = at(620);
    let rows = GroupRow::all(&snapshot, now);
    let all = GroupPartition::all(&snapshot, &rows, now);
    for row in &rows {
        let parts = row.parts(&snapshot, now);
        assert_eq!(parts.len() as u32, row.partitions);
        let own = all.iter().filter(|(name, _)| *name == row.name);
        assert_eq!(parts, own.map(|(_, part)| part.clone()).collect::<Vec<_>>());
    }
    assert_eq!((rows[0].lost_records, rows[0].losing.as_deref()), (600, Some("orders")));
    let parts = rows[1].parts(&snapshot, now);
    assert_eq!(parts[0].end.value, Some(9000));
    assert_eq!(
        (parts[0].end.stale_seconds, parts[0].lag_records.stale_seconds),
        (Some(20), Some(20))
    );
    assert_eq!(parts[0].end.reason.as_deref(), Some("timed out: no answer"));
    assert!(
        matches!(parts[0].safe.value, Some(Safe::Until(until)) if until < at(86_400)),
        "{:?}",
        parts[0].safe
    );
    assert_eq!(
        parts[3].end.reason.as_deref(),
        Some("no partition orders-7 in the cluster")
    );
    assert_eq!(rows[1].lag_records.value, None);
}

/// Both replicas of partition 0 that a broker may have: the one that is there, and the one that is to be.
fn disk(size_bytes: u64) -> LogDir {
    let replica = |future| Replica {
        topic: "orders".into(),
        partition: 0,
        size_bytes: if future { 1 } else { size_bytes },
        lag_records: 0,
        future,
    };
    LogDir {
        path: "/data".to_owned(),
        error: None,
        total_bytes: None,
        usable_bytes: None,
        growth_bytes_per_second: None,
        replicas: [true, false].map(replica).into(),
        top: Vec::new(),
        copies: Vec::new(),
    }
}

#[test]
fn a_partition_is_told_once_whether_it_is_committed_or_assigned() {
    let mut group = group("billing", "Stable", 2, &[(0, 9000), (2, 9000)]);
    group.members[0].assignment.push(("orders".into(), 1));
    group.members[1].assignment = vec![("clicks".into(), 0), ("orders".into(), 2)];
    let snapshot = snapshot(vec![group]);
    let row = only(&snapshot);
    let parts = row.parts(&snapshot, at(600));
    let told: Vec<_> = parts
        .iter()
        .map(|part| {
            (
                part.topic.as_str(),
                part.partition,
                part.committed.value,
                part.client.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("clicks", 0, None, Some("client-1")),
            ("orders", 0, Some(9000), Some("client-0")),
            ("orders", 1, None, Some("client-0")),
            ("orders", 2, Some(9000), Some("client-1")),
        ]
    );
    assert_eq!((row.partitions, row.topics), (4, 2));
    assert_eq!(row.lag_records.value, Some(0), "what is only assigned has no lag");
}

#[test]
fn what_is_written_is_told_over_the_time_that_is_wanted() {
    let mut snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 9000)])]);
    remember(&mut snapshot, |history| {
        for second in (610..=660).step_by(10) {
            history.trail.push(at(second), [("orders", 0, 9000)].into_iter());
        }
    });
    let rate = |window| only(&snapshot).parts_over(&snapshot, at(660), window)[0].rate_in.value;
    assert_eq!(rate(Window::default()), Some(10.0));
    assert_eq!(rate(Window::of(120)), Some(5.0));
}

#[test]
fn members_are_placed_by_the_hosts_that_are_known() {
    let snapshot = snapshot(vec![group("billing", "Stable", 2, &[(0, 8000), (1, 9000)])]);
    let row = only(&snapshot);
    let members = MemberRow::all(&snapshot, &row, at(600));
    let told: Vec<_> = members
        .iter()
        .map(|member| {
            (
                member.client.as_str(),
                member.zone.value.as_deref(),
                member.lag_records.value,
            )
        })
        .collect();
    assert_eq!(
        told,
        [("client-0", Some("az1"), Some(1000)), ("client-1", None, Some(0))]
    );
    assert!(members[1].zone.reason.as_ref().unwrap().contains("10.0.2.10"));
}

#[test]
fn the_sentence_names_records_time_and_assumption() {
    let snapshot = snapshot(vec![group("billing", "Stable", 1, &[(0, 6000)])]);
    let words = sentence(&snapshot, &only(&snapshot), at(600));
    assert_eq!(
        words,
        "At 2027-01-15 08:10 UTC consumer group billing has not read 3,000 records, the oldest of them written 5 minutes \
         ago. They are kept until 2027-01-16 08:05 UTC at the earliest, assuming that retention and the rate of writing \
         stay as they are."
    );
}
