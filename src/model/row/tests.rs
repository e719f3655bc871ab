//! Rows of a small cluster in three racks, with one broker that does not answer.

use std::collections::BTreeMap;

use super::broker::BrokerState;
use super::partition::Badge;
use super::*;
use crate::model::broker::{Broker, Link};
use crate::model::cluster::Cluster;
use crate::model::config::{Config, ConfigSource};
use crate::model::group::{Commit, Group};
use crate::model::logdir::{LogDir, Replica};
use crate::model::offset::{Offsets, Span};
use crate::model::topic::{Partition, Topic};
use crate::model::{BrokerId, Trouble};

fn at(second: i64) -> Moment {
    Moment::from_second(1_700_000_000 + second).unwrap()
}

fn partition(partition: i32, leader: Option<BrokerId>, replicas: &[BrokerId], isr: &[BrokerId]) -> Partition {
    Partition {
        partition,
        leader,
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        ..Partition::default()
    }
}

fn topic(name: &str, partitions: Vec<Partition>) -> Topic {
    Topic {
        name: name.into(),
        id: uuid::Uuid::nil(),
        internal: false,
        partitions,
    }
}

fn logdir(replicas: &[(&str, i32, u64)]) -> Vec<LogDir> {
    let replica = |(topic, partition, size_bytes): &(&str, i32, u64)| Replica {
        topic: (*topic).into(),
        partition: *partition,
        size_bytes: *size_bytes,
        lag_records: 0,
        future: false,
    };
    vec![LogDir {
        path: "/data".into(),
        total_bytes: Some(1000),
        usable_bytes: Some(400),
        error: None,
        replicas: replicas.iter().map(replica).collect(),
        growth_bytes_per_second: Some(2.0),
    }]
}

/// Broker 3 died 40 s ago; it led nothing, and is missing from the ISR of `orders-0`.
fn snapshot() -> Snapshot {
    let broker = |id: BrokerId| Broker {
        id,
        host: format!("127.0.{id}.10"),
        port: 9092,
        rack: Some(format!("az{id}")),
        fenced: false,
    };
    let cluster = Cluster {
        id: "c".into(),
        controller: Some(1),
        brokers: (1..=3).map(broker).collect(),
        version: None,
    };
    let topics = vec![
        topic("audit", vec![partition(0, None, &[3], &[3])]),
        topic(
            "orders",
            vec![
                partition(0, Some(1), &[1, 2, 3], &[1, 2]),
                partition(1, Some(2), &[1, 2], &[1, 2]),
            ],
        ),
    ];
    let min_isr = |value: &str| Config {
        name: "min.insync.replicas".into(),
        value: Some(value.into()),
        source: ConfigSource::Topic,
        sensitive: false,
        read_only: false,
        documentation: None,
    };
    let spans = |spans: &[(i32, i64)]| {
        let span = |(p, end): &(i32, i64)| {
            (
                *p,
                Span {
                    start: 0,
                    end: *end,
                    rate: Some(10.0),
                },
            )
        };
        Offsets {
            topics: BTreeMap::from([("orders".to_owned(), spans.iter().map(span).collect())]),
        }
    };
    let mut snapshot = Snapshot {
        cluster: Observed::fresh(cluster, at(0)),
        topics: Observed::fresh(topics, at(0)),
        topic_configs: Observed::fresh(BTreeMap::from([("orders".to_owned(), vec![min_isr("2")])]), at(0)),
        ..Snapshot::default()
    };
    for id in 1..=3 {
        snapshot.links.insert(
            id,
            Observed::fresh(
                Link {
                    rtt_ms: 0.4,
                    release: None,
                },
                at(0),
            ),
        );
        snapshot.logdirs.insert(
            id,
            Observed::fresh(logdir(&[("orders", 0, 100), ("orders", 1, 50)]), at(0)),
        );
    }
    snapshot.offsets.insert(1, Observed::fresh(spans(&[(0, 500)]), at(0)));
    snapshot.offsets.insert(2, Observed::fresh(spans(&[(1, 80)]), at(0)));
    let dirs = snapshot.logdirs.get_mut(&3).unwrap();
    dirs.fail(Trouble::TimedOut, "no answer in 2 s", at(0));
    snapshot
        .links
        .get_mut(&3)
        .unwrap()
        .fail(Trouble::Unreachable, "connection refused", at(0));
    snapshot
}

#[test]
fn a_dead_broker_ages_its_own_cells_and_no_others() {
    let rows = Rows::of(&snapshot(), at(40));
    let states: Vec<BrokerState> = rows.brokers.iter().map(|row| row.state).collect();
    assert_eq!(states, [BrokerState::Up, BrokerState::Up, BrokerState::Unreachable]);
    assert_eq!(rows.brokers[2].used_percent.stale_seconds, Some(40));
    assert_eq!(
        rows.brokers[2].used_percent.value,
        Some(60.0),
        "the last answer is kept"
    );
    assert_eq!(rows.brokers[0].used_percent, Cell::known(60.0));
    assert_eq!(rows.brokers[2].isr_misses.value, Some(1));
    assert_eq!(
        rows.zones
            .iter()
            .map(|zone| (zone.brokers, zone.up))
            .collect::<Vec<_>>(),
        [(1, 1), (1, 1), (1, 0)]
    );
}

#[test]
fn badges_name_what_is_wrong_and_nothing_else() {
    let rows = Rows::of(&snapshot(), at(0));
    let badges: Vec<Vec<Badge>> = rows
        .partitions
        .iter()
        .map(|row| row.badges.iter().copied().collect())
        .collect();
    assert_eq!(badges[0], [Badge::Offline, Badge::LowReplication]);
    assert_eq!(badges[1], [Badge::AtMinIsr, Badge::UnderReplicated]);
    assert_eq!(
        badges[2],
        [Badge::MinIsrIsRf, Badge::LowReplication, Badge::LeaderNotPreferred]
    );
    assert_eq!((rows.topics[1].under_replicated, rows.topics[1].at_min_isr), (1, 1));
}

#[test]
fn min_isr_is_weighed_against_rf() {
    let mut snapshot = snapshot();
    let configs = snapshot.topic_configs.get().unwrap().clone();
    let mut weak = configs;
    weak.get_mut("orders").unwrap()[0].value = Some("1".into());
    snapshot.topic_configs = Observed::fresh(weak, at(0));
    let rows = Rows::of(&snapshot, at(0));
    assert!(rows.partitions[1].badges.contains(&Badge::MinIsrOne));
    assert!(!rows.partitions[1].badges.contains(&Badge::MinIsrIsRf));
    assert!(
        !rows.partitions[0].badges.contains(&Badge::MinIsrOne),
        "one replica has nothing to spare, and its min ISR was not told"
    );
}

#[test]
fn a_broker_and_a_zone_know_their_distance_from_a_fair_share() {
    let rows = Rows::of(&snapshot(), at(0));
    // orders-0 is led by 1, orders-1 (which prefers 1) by 2; 3 leads nothing, and audit-0 has no leader at all.
    let skews: Vec<_> = rows
        .brokers
        .iter()
        .map(|row| row.leader_skew_percent.value.unwrap().round())
        .collect();
    assert_eq!(skews, [50.0, 50.0, -100.0]);
    let elsewhere: Vec<_> = rows
        .brokers
        .iter()
        .map(|row| row.led_elsewhere.value.unwrap())
        .collect();
    assert_eq!(elsewhere, [1, 0, 1]);
    assert_eq!(rows.brokers[0].size_bytes.value, Some(150));
    assert_eq!(rows.zones[0].size_skew_percent.value, Some(0.0));
    assert_eq!(rows.zones[2].leader_skew_percent.value, Some(-100.0));
    assert_eq!(rows.topics[1].leaders_not_preferred, 1);
    assert_eq!(rows.topics[1].rack_violations, 0);
}

#[test]
fn replicas_in_one_rack_are_counted_by_topic_and_broker() {
    let mut snapshot = snapshot();
    let mut cluster = snapshot.cluster.get().unwrap().clone();
    cluster.brokers[1].rack = Some("az1".into());
    snapshot.cluster = Observed::fresh(cluster, at(0));
    let rows = Rows::of(&snapshot, at(0));
    // Two racks are left: orders-0 uses both, orders-1 on 1 and 2 one of them.
    assert_eq!(rows.topics[1].rack_violations, 1);
    let here: Vec<_> = rows
        .brokers
        .iter()
        .map(|row| row.rack_violations.value.unwrap())
        .collect();
    assert_eq!(here, [1, 1, 0]);
}

#[test]
fn a_replica_that_is_being_added_is_no_fault() {
    let mut snapshot = snapshot();
    let moving = crate::model::reassignment::Reassignment {
        topic: "orders".into(),
        partition: 0,
        replicas: vec![1, 2, 3],
        adding: vec![3],
        removing: vec![],
    };
    snapshot.reassignments = Observed::fresh(vec![moving], at(0));
    let rows = Rows::of(&snapshot, at(0));
    assert!(!rows.partitions[1].badges.contains(&Badge::UnderReplicated));
    assert_eq!(rows.topics[1].cells[&3].adding, 1);
    assert_eq!(rows.brokers[2].isr_misses.value, Some(0));
}

#[test]
fn without_any_aws_plane_nothing_of_it_is_a_number() {
    let mut snapshot = snapshot();
    snapshot.cloud.zones = Observed::absent("no AWS region in this context");
    let row = &Rows::of(&snapshot, at(0)).brokers[0];
    assert_eq!(row.cpu_percent.value, None);
    assert_eq!(row.instance.reason.as_deref(), Some("no AWS region in this context"));
    assert_eq!(row.throughput_percent.value, None);
}

#[test]
fn lag_is_unknown_as_soon_as_one_leader_is_silent() {
    let commit = |partition, offset| Commit {
        topic: "orders".into(),
        partition,
        offset,
        metadata: String::new(),
    };
    let group = Group {
        name: "billing".into(),
        state: "Stable".into(),
        kind: "classic".into(),
        protocol: "range".into(),
        coordinator: None,
        members: vec![],
        commits: vec![commit(0, 450), commit(1, 90)],
    };
    let mut snapshot = snapshot();
    snapshot.groups = Observed::fresh(vec![group], at(0));
    let row = &Rows::of(&snapshot, at(0)).groups[0];
    assert_eq!(
        row.lag_records.value,
        Some(50),
        "a commit ahead of the end we saw is no lag"
    );
    assert_eq!(row.worst, Some(("orders".into(), 0, 50)));
    snapshot.offsets.remove(&2);
    let row = &Rows::of(&snapshot, at(0)).groups[0];
    assert_eq!(row.lag_records.value, None);
    assert!(
        row.lag_records.reason.as_deref().unwrap().contains("orders-1"),
        "{:?}",
        row.lag_records.reason
    );
}
