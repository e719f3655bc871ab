//! Plans on a small cluster: three racks with two brokers each, one topic.

mod group;
mod leader;
mod restarts;
mod topics;
mod transactions;

use super::gate::{Gate, Verdict};
use super::reassign::{Goal, MaxRate, Target};
use super::*;
use crate::model::broker::{Broker, Link};
use crate::model::cluster::Cluster;
use crate::model::logdir::{LogDir, Replica};
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Partition, Topic};
use crate::model::{Observed, Trouble};

const GB: u64 = 1_000_000_000;

fn now() -> Moment {
    Moment::from_second(1_700_000_000).unwrap()
}

/// Brokers 1 and 4 in rack a, 2 and 5 in b, 3 and 6 in c; `orders` has 100 GB partitions on 1, 2, 3.
fn snapshot() -> Snapshot {
    let rack = |id: BrokerId| ["c", "a", "b"][id as usize % 3].to_owned();
    let broker = |id| Broker {
        id,
        host: "h".into(),
        port: 9092,
        rack: Some(rack(id)),
        fenced: false,
    };
    let cluster = Cluster {
        id: "c1".into(),
        controller: Some(1),
        brokers: (1..=6).map(broker).collect(),
        version: None,
    };
    let partition = |partition, replicas: [BrokerId; 3]| Partition {
        partition,
        leader: Some(replicas[0]),
        replicas: replicas.into(),
        isr: replicas.into(),
        ..Partition::default()
    };
    let partitions = vec![partition(0, [1, 2, 3]), partition(1, [2, 3, 1])];
    let topics = vec![Topic {
        name: "orders".into(),
        id: uuid::Uuid::from_u128(7),
        internal: false,
        partitions,
    }];
    let mut snapshot = Snapshot {
        cluster: Observed::fresh(cluster, now()),
        topics: Observed::fresh(topics, now()),
        reassignments: Observed::fresh(vec![], now()),
        groups: Observed::fresh(vec![], now()),
        ..Snapshot::default()
    };
    for id in 1..=6 {
        snapshot.links.insert(
            id,
            Observed::fresh(
                Link {
                    rtt_ms: 1.0,
                    release: None,
                },
                now(),
            ),
        );
        let replica = |partition| Replica {
            topic: "orders".into(),
            partition,
            size_bytes: 100 * GB,
            lag_records: 0,
            future: false,
        };
        let dir = LogDir {
            path: "/data".into(),
            total_bytes: Some(1000 * GB),
            usable_bytes: Some(500 * GB),
            error: None,
            replicas: if id <= 3 {
                [replica(0), replica(1)].into()
            } else {
                [].into()
            },
            growth_bytes_per_second: None,
            top: Vec::new(),
            copies: Vec::new(),
        };
        snapshot.logdirs.insert(id, Observed::fresh(vec![dir], now()));
    }
    snapshot
}

fn target(partition: i32, replicas: &[BrokerId]) -> Target {
    Target::new("orders", partition, replicas.to_vec())
}

fn plan(snapshot: &Snapshot, targets: &[Target]) -> Plan {
    reassign::plan(snapshot, &Goal::Assign(targets.to_vec()).into(), "dev", now()).unwrap()
}

/// Partition, offset before and after.
fn offsets(plan: &Plan) -> Vec<(i32, Option<i64>, i64)> {
    let offsets = plan.steps.iter().flat_map(Step::offsets);
    offsets.map(|one| (one.partition, one.from, one.to)).collect()
}

fn evidence<'a>(plan: &'a Plan, name: &str) -> &'a str {
    &plan.gates.iter().find(|gate| gate.name == name).unwrap().evidence
}

fn verdict(plan: &Plan, gate: &str) -> Verdict {
    plan.gates
        .iter()
        .find(|g| g.name == gate)
        .unwrap_or_else(|| panic!("no gate {gate}"))
        .verdict
}

#[test]
fn a_move_within_its_rack_copies_one_replica_and_crosses_nothing_it_need_not() {
    let plan = plan(&snapshot(), &[target(0, &[4, 2, 3])]);
    assert_eq!(
        (plan.impact.bytes, plan.impact.crossing_bytes),
        (Some(100 * GB), Some(0))
    );
    assert_eq!(plan.impact.leader_changes, 1);
    let load = &plan.impact.brokers[&4];
    assert_eq!((load.leaders_now, load.leaders_after, load.replicas_after), (0, 1, 1));
    assert_eq!(load.used_percent_peak, Some(60.0));
    assert!(plan.closed_gates().next().is_none(), "{:?}", plan.gates);
    assert_eq!(plan.undo.to_string(), "full: move back, 100 GB");
}

#[test]
fn a_copy_into_another_zone_is_priced_in_both_directions() {
    // The leader is in rack a, the new replica in rack b.
    let plan = plan(&snapshot(), &[target(0, &[1, 5, 3])]);
    assert_eq!(plan.impact.crossing_bytes, Some(100 * GB));
    assert_eq!(plan.impact.crossing_usd, Some(2.0));
}

#[test]
fn a_plan_that_lowers_the_rack_spread_can_not_be_overridden() {
    let plan = plan(&snapshot(), &[target(0, &[1, 4, 3])]);
    assert_eq!(verdict(&plan, "rack-spread"), Verdict::Fail);
    let overrides = ["rack-spread".to_owned()];
    assert_eq!(plan.refused_by(&overrides).count(), 1);
}

#[test]
fn a_disk_that_would_fill_up_closes_a_soft_gate() {
    let mut snapshot = snapshot();
    let mut dirs = snapshot.logdirs[&4].get().unwrap().clone();
    dirs[0].usable_bytes = Some(200 * GB);
    snapshot.logdirs.insert(4, Observed::fresh(dirs, now()));
    let plan = plan(&snapshot, &[target(0, &[4, 2, 3])]);
    assert_eq!(verdict(&plan, "disk"), Verdict::Fail);
    assert_eq!(plan.refused_by(&["disk".to_owned()]).count(), 0);
    assert_eq!(plan.refused_by(&[]).count(), 1);
}

#[test]
fn a_disk_that_nobody_knows_is_no_pass() {
    let mut snapshot = snapshot();
    snapshot.logdirs.get_mut(&4).unwrap().value = None;
    assert_eq!(
        verdict(&plan(&snapshot, &[target(0, &[4, 2, 3])]), "disk"),
        Verdict::Unknown
    );
}

#[test]
fn a_dead_target_is_refused() {
    let mut snapshot = snapshot();
    snapshot
        .links
        .get_mut(&4)
        .unwrap()
        .fail(Trouble::Unreachable, "refused", now());
    assert_eq!(
        verdict(&plan(&snapshot, &[target(0, &[4, 2, 3])]), "target-alive"),
        Verdict::Fail
    );
}

#[test]
fn assignments_that_make_no_sense_are_told_by_name() {
    let refused = |targets: &[Target]| {
        reassign::plan(&snapshot(), &Goal::Assign(targets.to_vec()).into(), "dev", now())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&[target(0, &[])]).contains("orders-0 would have no replica"));
    assert!(refused(&[target(0, &[1, 1])]).contains("names a broker twice"));
    assert!(refused(&[target(0, &[1, 9])]).contains("broker 9, which is not in the cluster"));
    assert!(refused(&[target(7, &[1])]).contains("partitions 0 to 1, no 7"));
    assert!(refused(&[target(0, &[1, 2, 3])]).starts_with("nothing to do"));
    assert!(refused(&[target(0, &[4]), target(0, &[5])]).contains("twice"));
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    let refused = |entry: &str| {
        let text = format!("{{\"partitions\": [\n{entry}\n]}}");
        let goal = Goal::Assign(reassign::parse(&text).unwrap());
        reassign::plan(&snapshot(), &goal.into(), "dev", now())
            .unwrap_err()
            .to_string()
    };
    let entry = r#"{"topic":"order","partition":0,"replicas":[1]}"#;
    assert_eq!(refused(entry), "line 2: there is no topic order");
    let entry = r#"{"topic":"orders","partition":2,"replicas":[1]}"#;
    assert!(refused(entry).starts_with("line 2: topic orders has partitions 0 to 1"));
    let entry = r#"{"topic":"orders","partition":0,"replicas":[1,9]}"#;
    assert!(refused(entry).starts_with("line 2: orders-0 names broker 9"));
}

#[test]
fn another_number_of_replicas_is_named_and_too_few_are_refused() {
    let mut snapshot = snapshot();
    let named = |plan: &Plan| plan.gates.iter().find(|gate| gate.name == "replication").cloned();
    assert_eq!(named(&plan(&snapshot, &[target(0, &[4, 2, 3])])), None);
    let fewer = named(&plan(&snapshot, &[target(0, &[1, 2])])).unwrap();
    assert_eq!(fewer.verdict, Verdict::Warn);
    assert!(fewer.evidence.contains("orders-0 3→2"), "{}", fewer.evidence);
    let config = crate::model::config::Config {
        name: "min.insync.replicas".into(),
        value: Some("2".into()),
        source: crate::model::config::ConfigSource::Topic,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    };
    snapshot.topic_configs = Observed::fresh([("orders".to_owned(), vec![config])].into(), now());
    assert_eq!(
        verdict(&plan(&snapshot, &[target(0, &[1, 2])]), "rack-spread"),
        Verdict::Pass
    );
    assert_eq!(
        verdict(&plan(&snapshot, &[target(0, &[1])]), "replication"),
        Verdict::Fail
    );
}

#[test]
fn what_does_not_fit_on_a_disk_can_not_be_overridden() {
    let mut snapshot = snapshot();
    let mut dirs = snapshot.logdirs[&4].get().unwrap().clone();
    dirs[0].usable_bytes = Some(50 * GB);
    snapshot.logdirs.insert(4, Observed::fresh(dirs, now()));
    let plan = plan(&snapshot, &[target(0, &[4, 2, 3])]);
    assert_eq!(plan.refused_by(&["disk".to_owned()]).count(), 1);
}

#[test]
fn sizes_that_nobody_tells_are_counted_and_no_zeroes() {
    let mut snapshot = snapshot();
    for id in 1..=3 {
        let mut dirs = snapshot.logdirs[&id].get().unwrap().clone();
        dirs[0].replicas = dirs[0]
            .replicas
            .iter()
            .filter(|replica| replica.partition != 1)
            .cloned()
            .collect();
        snapshot.logdirs.insert(id, Observed::fresh(dirs, now()));
    }
    let plan = plan(&snapshot, &[target(0, &[4, 2, 3]), target(1, &[5, 3, 1])]);
    assert_eq!((plan.impact.bytes, plan.impact.unknown_sizes), (None, 1));
    let told = summary::headline(&plan);
    assert!(told.contains("over 100 GB and 1 partition of unknown size"), "{told}");
}

#[test]
fn a_plan_is_renewed_with_its_goal_and_its_batches() {
    let snapshot = snapshot();
    let wish = reassign::Wish {
        max_bytes_in_flight: Some(100 * GB),
        max_rate: MaxRate::Solved,
        ..Goal::Drain(vec![1]).into()
    };
    let plan = reassign::plan(&snapshot, &wish, "dev", now()).unwrap();
    assert_eq!(plan.steps.len(), 2, "100 GB each");
    let mut forged = plan.clone();
    forged.gates.clear();
    assert_eq!(forged.renewed(&snapshot, now()).unwrap(), plan);
}

#[test]
fn a_saved_plan_reads_back_the_same_and_knows_its_drift() {
    let snapshot = snapshot();
    let plan = plan(&snapshot, &[target(0, &[4, 2, 3])]);
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(read, plan);
    assert_eq!(drift::since(&plan, &snapshot, now()), []);

    let mut moved = snapshot.clone();
    let mut topics = moved.topics().to_vec();
    topics[0].partitions[0].replicas = [2, 1, 3].into();
    moved.topics = Observed::fresh(topics, now());
    assert!(drift::since(&plan, &moved, now())[0].material);

    let mut running = snapshot.clone();
    let other = Reassignment {
        topic: "orders".into(),
        partition: 0,
        replicas: vec![],
        adding: vec![],
        removing: vec![],
    };
    running.reassignments = Observed::fresh(vec![other], now());
    assert!(
        drift::since(&plan, &running, now())[0]
            .what
            .contains("being reassigned")
    );

    let late = now() + jiff::SignedDuration::from_hours(25);
    assert!(drift::since(&plan, &snapshot, late)[0].what.contains("valid until"));
}

#[test]
fn a_topic_name_that_kafka_would_refuse_is_refused_here() {
    let create = |name: &str| {
        let topic = topic::NewTopic {
            name: name.into(),
            ..topic::NewTopic::default()
        };
        topic::create(&snapshot(), &topic, "dev", now()).map(|plan| plan.steps.len())
    };
    assert_eq!(create("audit"), Ok(1));
    assert!(create("or ders").is_err() && create("..").is_err() && create(&"x".repeat(250)).is_err());
    assert!(create("orders").unwrap_err().to_string().contains("exists already"));
}

#[test]
fn deleting_a_topic_has_no_undo_and_names_who_reads_it() {
    let mut snapshot = snapshot();
    let member = crate::model::group::Member {
        id: "m".into(),
        instance: None,
        client: "app".into(),
        host: "h".into(),
        assignment: vec![("orders".into(), 0)],
    };
    let group = crate::model::group::Group {
        name: "billing".into(),
        state: "Stable".into(),
        kind: "classic".into(),
        protocol: "range".into(),
        coordinator: None,
        members: vec![member],
        commits: vec![],
    };
    snapshot.groups = Observed::fresh(vec![group.into()], now());
    let plan = topic::delete(&snapshot, &["orders".to_owned()], "dev", now()).unwrap();
    assert!(matches!(plan.undo, Undo::None { .. }));
    assert_eq!(verdict(&plan, "readers"), Verdict::Fail);
    assert!(plan.gates[0].evidence.contains("billing"));
}

#[test]
fn who_is_preferred_is_elected_where_the_leader_stays() {
    let leads = |replicas: &[BrokerId]| {
        let plan = plan(&snapshot(), &[target(0, replicas)]);
        let leads = plan.steps.iter().flat_map(Step::leads);
        leads.map(|lead| (lead.from, lead.to)).collect::<Vec<_>>()
    };
    assert_eq!(leads(&[3, 2, 1]), [(Some(1), Some(3))]);
    assert_eq!(leads(&[4, 1, 3]), [(Some(1), Some(4))], "once it is in sync");
    assert!(leads(&[4, 2, 3]).is_empty(), "the controller does, as 1 goes");
    assert!(leads(&[1, 3, 2]).is_empty(), "the leader is preferred as before");
}
