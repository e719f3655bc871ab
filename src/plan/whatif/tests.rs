//! Questions on small clusters whose answers are counted by hand.

use std::collections::BTreeMap;

use super::*;
use crate::model::broker::Broker;
use crate::model::cluster::Cluster;
use crate::model::config::{Config, ConfigSource};
use crate::model::quorum::{Quorum, Voter};
use crate::model::topic::{Partition, Topic};
use crate::model::{Moment, Observed};

fn at() -> Moment {
    "2026-11-22T21:04:00Z".parse().unwrap()
}

/// Brokers 1 to 6, two a zone; partitions as given, min ISR 2.
fn cluster(partitions: &[&[BrokerId]]) -> Snapshot {
    let broker = |id: BrokerId| Broker {
        id,
        host: format!("10.0.0.{id}"),
        port: 9092,
        rack: Some(format!("az{}", (id + 1) / 2)),
        fenced: false,
    };
    let partition = |(at, replicas): (usize, &&[BrokerId])| Partition {
        partition: at as i32,
        leader: Some(replicas[0]),
        leader_epoch: 1,
        replicas: (*replicas).into(),
        isr: (*replicas).into(),
        eligible: [].into(),
    };
    let topic = Topic {
        name: "orders".into(),
        id: uuid::Uuid::from_u128(7),
        internal: false,
        partitions: partitions.iter().enumerate().map(partition).collect(),
    };
    let least = Config {
        name: "min.insync.replicas".into(),
        value: Some("2".into()),
        source: ConfigSource::Topic,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    };
    let voter = |id| Voter {
        id,
        log_end_offset: 5,
        last_fetch_ms: Some(1),
        last_caught_up_ms: Some(1),
        directory: None,
    };
    Snapshot {
        cluster: Observed::fresh(
            Cluster {
                id: "six".into(),
                controller: Some(1),
                brokers: (1..=6).map(broker).collect(),
                version: None,
            },
            at(),
        ),
        topics: Observed::fresh(vec![topic], at()),
        topic_configs: Observed::fresh(BTreeMap::from([("orders".to_owned(), vec![least])]), at()),
        quorum: Observed::fresh(
            Quorum {
                leader: Some(1),
                leader_epoch: 3,
                high_watermark: 5,
                voters: vec![voter(1), voter(3), voter(5)],
                observers: Vec::new(),
                ..Quorum::default()
            },
            at(),
        ),
        ..Snapshot::default()
    }
}

fn lose(snapshot: &Snapshot, zone: &str) -> Loss {
    zone_loss(snapshot, &Rows::of(snapshot, at()), zone).unwrap()
}

#[test]
fn one_replica_a_zone_survives_a_zone_and_leaders_land_in_order_of_preference() {
    let snapshot = cluster(&[&[1, 3, 5], &[2, 4, 6], &[3, 5, 1]]);
    let loss = lose(&snapshot, "az1");
    assert_eq!((loss.touched, loss.moving, loss.at_min_isr), (3, 2, 3));
    assert!(loss.offline.is_empty() && loss.under_min_isr.is_empty());
    assert_eq!(loss.holds(), Some(true), "2 of 3 voters are left");
    let landed: Vec<_> = loss
        .left
        .iter()
        .map(|after| (after.broker, after.leaders_after))
        .collect();
    assert_eq!(landed, [(3, 2), (4, 1), (5, 0), (6, 0)]);
}

#[test]
fn what_does_not_go_on_says_which_rule_it_breaks() {
    let mut snapshot = cluster(&[&[1], &[1, 2], &[1, 2, 3], &[1, 3], &[3, 4, 5]]);
    let loss = lose(&snapshot, "az1");
    let rules = |struck: &[Struck]| struck.iter().map(|one| one.rule.clone()).collect::<Vec<_>>();
    assert_eq!(rules(&loss.offline), ["RF 1", "all 2 replicas lie there"]);
    assert_eq!(
        rules(&loss.under_min_isr),
        ["2 of 3 replicas lie there, min ISR 2", "min ISR 2 of RF 2"]
    );
    assert_eq!(loss.holds(), Some(false));
    // The replica that is left has fallen behind: it may not lead.
    let mut topics = snapshot.topics.get().unwrap().clone();
    topics[0].partitions[3].isr = [1].into();
    snapshot.topics = Observed::fresh(topics, at());
    assert_eq!(
        rules(&lose(&snapshot, "az1").offline)[2],
        "what is left (3) is not in sync"
    );
}

#[test]
fn a_restart_is_blocked_by_what_has_nobody_else() {
    let snapshot = cluster(&[&[1, 3, 5], &[1], &[1, 3]]);
    let rows = Rows::of(&snapshot, at());
    let loss = restart(&snapshot, &rows, 1).unwrap();
    assert_eq!(loss.offline[0].name(), "orders-1");
    assert_eq!(loss.under_min_isr[0].rule, "min ISR 2 of RF 2");
    assert_eq!(
        restart(&snapshot, &rows, 2).unwrap().holds(),
        Some(true),
        "it has no replica"
    );
    let error = restart(&snapshot, &rows, 9).unwrap_err().to_string();
    assert_eq!(error, "there is no broker 9; there are 1, 2, 3, 4, 5, 6");
}

#[test]
fn what_blocks_each_broker_in_one_pass_is_what_its_restart_says() {
    let mut snapshot = cluster(&[&[1, 3, 5], &[1], &[1, 3], &[2, 4, 6]]);
    let mut topics = snapshot.topics.get().unwrap().clone();
    topics[0].partitions[3].isr = [2, 4].into();
    snapshot.topics = Observed::fresh(topics, at());
    let rows = Rows::of(&snapshot, at());
    let all = blocked(&rows);
    for broker in 1..=6 {
        let loss = restart(&snapshot, &rows, broker).unwrap();
        let names = |struck: &[Struck]| {
            struck
                .iter()
                .map(|one| (one.name(), one.rule.clone()))
                .collect::<Vec<_>>()
        };
        let told = [names(&loss.offline), names(&loss.under_min_isr)].concat();
        // A replica that is out of sync already is not what a restart changes.
        let told: Vec<_> = told
            .into_iter()
            .filter(|(name, _)| !(broker == 6 && name == "orders-3"))
            .collect();
        assert_eq!(
            all.get(&broker).map(|struck| names(struck)).unwrap_or_default(),
            told,
            "broker {broker}"
        );
    }
}

#[test]
fn a_quorum_that_loses_its_majority_fails_and_one_nobody_can_place_is_unknown() {
    let mut snapshot = cluster(&[&[1, 3, 5]]);
    let vote = |ids: &[BrokerId], snapshot: &mut Snapshot| {
        let mut quorum = snapshot.quorum.get().unwrap().clone();
        let first = quorum.voters[0].clone();
        quorum.voters = ids
            .iter()
            .map(|id| Voter {
                id: *id,
                ..first.clone()
            })
            .collect();
        snapshot.quorum = Observed::fresh(quorum, at());
    };
    vote(&[1, 2, 5], &mut snapshot);
    assert_eq!(lose(&snapshot, "az1").quorum.holds, Some(false));
    vote(&[101, 102, 103], &mut snapshot);
    let loss = lose(&snapshot, "az1");
    assert_eq!((loss.quorum.holds, loss.holds()), (None, None), "{}", loss.quorum.text);
}

#[test]
fn zones_and_topics_that_are_not_known_are_named() {
    let mut snapshot = cluster(&[&[1, 3, 5]]);
    let rows = Rows::of(&snapshot, at());
    let error = zone_loss(&snapshot, &rows, "az4").unwrap_err().to_string();
    assert!(error.contains("no zone az4"), "{error}");
    snapshot.topics = Observed::absent("nobody tells");
    let error = zone_loss(&snapshot, &Rows::of(&snapshot, at()), "az1").unwrap_err();
    assert_eq!(error, Error::Unseen("topics: nobody tells".to_owned()));
    // Without the topics' configs nothing is promised.
    let mut snapshot = cluster(&[&[1, 3, 5]]);
    snapshot.topic_configs = Observed::default();
    let loss = lose(&snapshot, "az1");
    assert_eq!((loss.unjudged, loss.holds()), (1, None));
}

#[test]
fn more_brokers_share_what_there_is() {
    let snapshot = cluster(&[&[1, 3, 5], &[2, 4, 6], &[3, 5, 1]]);
    let more = add(&snapshot, &Rows::of(&snapshot, at()), 3).unwrap();
    assert_eq!((more.brokers_now, more.brokers_after), (6, 9));
    assert_eq!((more.replicas_each_now, more.replicas_each_after), (1.5, 1.0));
    assert_eq!(more.zones.values().copied().collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(more.command, "reassign plan --add-broker 7..9");
    assert_eq!(more.copied_bytes.value, None, "sizes were not seen");
}

#[test]
fn ids_of_every_size_are_found_again() {
    let ids = [0, 7, 1001, 65_535, 65_536, i32::MAX];
    let among = Among::of(ids.into_iter());
    assert!(ids.into_iter().all(|id| among.has(id)));
    assert!(
        [1, 1000, 65_534, 65_537, i32::MAX - 1, -1]
            .into_iter()
            .all(|id| !among.has(id))
    );
}
