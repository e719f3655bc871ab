//! A disk that fills, with and without what would help.

use std::collections::BTreeMap;

use super::*;
use crate::model::Observed;
use crate::model::broker::{Broker, Link};
use crate::model::cluster::Cluster;
use crate::model::config::{Config, ConfigSource};
use crate::model::group::{Commit, Group};
use crate::model::logdir::{LogDir, Replica};
use crate::model::offset::{Offsets, Span};
use crate::model::topic::{Partition, Topic};

const GB: u64 = 1_000_000_000;

fn at(second: i64) -> Moment {
    Moment::from_second(1_800_000_000 + second).unwrap()
}

fn broker(id: BrokerId, rack: &str) -> Broker {
    Broker {
        id,
        host: "10.0.0.1".to_owned(),
        port: 9092,
        rack: Some(rack.to_owned()),
        fenced: false,
    }
}

fn dir(replicas: &[(&str, i32, u64)], used: u64, growth: f64) -> LogDir {
    let replica = |(topic, partition, size_bytes): &(&str, i32, u64)| Replica {
        topic: (*topic).into(),
        partition: *partition,
        size_bytes: *size_bytes,
        lag_records: 0,
        future: false,
    };
    let replicas: Vec<Replica> = replicas.iter().map(replica).collect();
    LogDir {
        path: "/data".to_owned(),
        total_bytes: Some(1000 * GB),
        usable_bytes: Some(1000 * GB - used),
        error: None,
        growth_bytes_per_second: Some(growth),
        top: LogDir::largest_topics(&replicas),
        copies: Vec::new(),
        replicas: replicas.into(),
    }
}

fn config(name: &str, value: &str, source: ConfigSource) -> Config {
    Config {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    }
}

/// Brokers 1 and 2 in rack a, 3 in rack b; broker 1's disk is at 92 % with `clicks` on it.
fn snapshot(growth: f64) -> Snapshot {
    let part = |partition, replicas: &[BrokerId]| Partition {
        partition,
        leader: Some(replicas[0]),
        leader_epoch: 1,
        replicas: replicas.into(),
        isr: replicas.into(),
        eligible: [].into(),
    };
    let topic = |name: &str, partitions| Topic {
        name: name.to_owned(),
        id: uuid::Uuid::nil(),
        internal: false,
        partitions,
    };
    let span = Span {
        start: 0,
        end: 700_000,
        rate: Some(1.0),
    };
    let link = || Link {
        rtt_ms: 0.4,
        release: None,
    };
    let configs = || {
        vec![
            config("log.cleanup.policy", "delete", ConfigSource::Default),
            config("log.retention.hours", "168", ConfigSource::Default),
            config("log.segment.bytes", "1000000000", ConfigSource::Default),
        ]
    };
    let commit = Commit {
        topic: "clicks".into(),
        partition: 0,
        offset: 100,
        metadata: Box::default(),
    };
    let billing = Group {
        name: "billing".to_owned(),
        state: "Stable".to_owned(),
        kind: "classic".to_owned(),
        protocol: "range".to_owned(),
        coordinator: Some(1),
        members: Vec::new(),
        commits: vec![commit],
    };
    let large = [("clicks", 0, 500 * GB), ("audit", 0, 100 * GB)];
    Snapshot {
        cluster: Observed::fresh(
            Cluster {
                id: "c".to_owned(),
                controller: Some(1),
                brokers: vec![broker(1, "a"), broker(2, "a"), broker(3, "b")],
                version: None,
            },
            at(0),
        ),
        topics: Observed::fresh(
            vec![
                topic("audit", vec![part(0, &[1, 3])]),
                topic("clicks", vec![part(0, &[1, 3])]),
            ],
            at(0),
        ),
        links: [1, 2, 3].map(|id| (id, Observed::fresh(link(), at(0)))).into(),
        logdirs: BTreeMap::from([
            (1, Observed::fresh(vec![dir(&large, 920 * GB, growth)], at(0))),
            (2, Observed::fresh(vec![dir(&[], 100 * GB, 0.0)], at(0))),
            (3, Observed::fresh(vec![dir(&large, 600 * GB, 0.0)], at(0))),
        ]),
        offsets: BTreeMap::from([(1, Observed::fresh(Offsets::from_iter([("clicks", 0, span)]), at(0)))]),
        broker_configs: [1, 2, 3].map(|id| (id, Observed::fresh(configs(), at(0)))).into(),
        topic_configs: Observed::fresh(BTreeMap::new(), at(0)),
        groups: Observed::fresh(vec![billing.into()], at(0)),
        ..Snapshot::default()
    }
}

fn advice(snapshot: &Snapshot) -> Relief {
    let rows = Rows::of(snapshot, at(1));
    relieve(snapshot, &rows, 1, "/data", at(1)).unwrap()
}

fn of(relief: &Relief, kind: Kind) -> &Remedy {
    relief.remedies.iter().find(|remedy| remedy.kind == kind).unwrap()
}

#[test]
fn a_shorter_retention_says_what_it_frees_when_and_who_loses() {
    let relief = advice(&snapshot(100_000_000.0));
    let remedy = relief
        .remedies
        .iter()
        .find(|one| one.what.starts_with("clicks"))
        .unwrap();
    assert_eq!(remedy.what, "clicks retention 7 d→3 d");
    let freed = remedy.frees_bytes.value.unwrap() / GB;
    assert!((280..=290).contains(&freed), "4 of 7 days of 500 GB, was {freed}");
    assert_eq!(remedy.helps_in_seconds.value, Some(360.0));
    assert_eq!(remedy.in_time, InTime::Yes);
    assert!(remedy.undo.contains("group billing not past them"), "{}", remedy.undo);
}

#[test]
fn compacted_topics_and_small_ones_promise_nothing() {
    let mut snapshot = snapshot(100_000_000.0);
    let compacted = vec![config("cleanup.policy", "compact", ConfigSource::Topic)];
    let configs = BTreeMap::from([("clicks".to_owned(), compacted)]);
    snapshot.topic_configs = Observed::fresh(configs, at(0));
    let mut dirs = snapshot.logdirs[&1].get().unwrap().clone();
    std::sync::Arc::make_mut(&mut dirs[0].replicas)[1].size_bytes = GB / 2;
    dirs[0].top = LogDir::largest_topics(&dirs[0].replicas);
    snapshot.logdirs.insert(1, Observed::fresh(dirs, at(0)));
    let relief = advice(&snapshot);
    let remedy = of(&relief, Kind::Retention);
    assert!(remedy.what.starts_with("audit"), "{}", remedy.what);
    assert_eq!(remedy.frees_bytes.value, Some(0), "its only segment is open");
}

#[test]
fn replicas_move_within_the_zone_only_and_name_the_command() {
    let relief = advice(&snapshot(100_000_000.0));
    let remedy = of(&relief, Kind::Move);
    assert_eq!(remedy.frees_bytes.value, Some(500 * GB));
    assert_eq!(remedy.how, ["azimuth reassign plan --move clicks:0=2,3"]);
    assert!(remedy.helps_in_seconds.value.is_none(), "no AWS: how fast is not known");
    assert_eq!(remedy.in_time, InTime::Unknown);
    assert!(remedy.undo.starts_with("full"));
}

#[test]
fn without_aws_growing_the_volume_says_why_it_cannot_be_judged() {
    let relief = advice(&snapshot(100_000_000.0));
    let remedy = of(&relief, Kind::Grow);
    assert_eq!(remedy.in_time, InTime::Blocked);
    assert!(remedy.blocked.is_some() && remedy.frees_bytes.value.is_none());
}

#[test]
fn a_disk_that_does_not_fill_is_in_no_hurry_and_the_donts_stay() {
    let relief = advice(&snapshot(0.0));
    assert_eq!(of(&relief, Kind::Retention).in_time, InTime::NoHurry);
    let donts: Vec<&str> = relief.donts.iter().map(|dont| dont.what.as_str()).collect();
    assert_eq!(
        donts,
        ["rm segment files", "restart broker 1", "reassign onto broker 1"]
    );
}

#[test]
fn the_headline_says_when_it_is_full_and_of_what() {
    let headline = advice(&snapshot(50_000_000.0)).headline();
    assert_eq!(
        headline,
        "broker 1 /data 92 % · +3.0 GB/min · full in 26 m · top: clicks 83 % · audit 17 %"
    );
}
