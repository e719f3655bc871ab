//! More partitions, and fewer records.

use super::*;
use crate::model::config::{Config, ConfigSource, Owner};
use crate::model::group::{Commit, Group};
use crate::model::offset::{Offsets, Span};
use crate::plan::group::To;
use crate::plan::topic::{Truncate, add_partitions, truncate};

/// `orders` with this cleanup.policy; logs from 100 to 900 and from 50 to 90.
fn read(policy: &str) -> Snapshot {
    let mut snapshot = snapshot();
    let config = Config {
        name: "cleanup.policy".into(),
        value: Some(policy.into()),
        source: ConfigSource::Topic,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    };
    let owner = Owner::Topic("orders".into());
    snapshot
        .owned_configs
        .insert(owner, Observed::fresh(vec![config], now()));
    for (leader, partition, (start, end)) in [(1, 0, (100, 900)), (2, 1, (50, 90))] {
        let span = Span { start, end, rate: None };
        let offsets = Offsets::from_iter([("orders", partition, span)]);
        snapshot.offsets.insert(leader, Observed::fresh(offsets, now()));
    }
    snapshot
}

fn before(snapshot: &Snapshot, before: To, names: &[&str]) -> Result<Plan, Error> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    truncate(snapshot, &Truncate { names, before }, "dev", now())
}

#[test]
fn partitions_are_added_with_a_word_about_keys() {
    let plan = add_partitions(&read("delete"), "orders", 6, "dev", now()).unwrap();
    assert_eq!(plan.title, "topic orders from 2 to 6 partitions");
    assert_eq!(verdict(&plan, "keys"), Verdict::Warn);
    assert!(evidence(&plan, "keys").contains("4 of 6 are new"));
    assert!(matches!(plan.undo, Undo::None { .. }));
    let compacted = add_partitions(&read("compact,delete"), "orders", 6, "dev", now()).unwrap();
    assert_eq!(
        compacted.refused_by(&[]).count(),
        1,
        "a key would have two newest records"
    );
    let blind = add_partitions(&snapshot(), "orders", 6, "dev", now()).unwrap();
    assert_eq!(verdict(&blind, "keys"), Verdict::Unknown);
    let told = |count| {
        add_partitions(&read("delete"), "orders", count, "dev", now())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(told(2), "nothing to do: topic orders has 2 partitions");
    assert!(told(1).contains("none can be taken away"), "{}", told(1));
    // Somebody else widened it meanwhile.
    let mut snapshot = read("delete");
    let mut topics = snapshot.topics.get().unwrap().clone();
    let one = topics[0].partitions[0].clone();
    topics[0].partitions.push(Partition { partition: 2, ..one });
    snapshot.topics = Observed::fresh(topics, now());
    assert!(drift::since(&plan, &snapshot, now()).iter().any(|drift| drift.material));
}

#[test]
fn records_go_before_an_offset_and_readers_that_stand_there_are_named() {
    let mut snapshot = read("delete");
    let plan = before(&snapshot, To::Offset(80), &["orders"]).unwrap();
    assert_eq!(offsets(&plan), [(1, Some(50), 80)], "the other begins later already");
    assert_eq!(plan.title, "30 records of 1 partition");
    assert!(plan.closed_gates().next().is_none(), "{:?}", plan.gates);
    let group = Group {
        name: "billing".into(),
        state: "Stable".into(),
        commits: vec![Commit {
            topic: "orders".into(),
            partition: 0,
            offset: 500,
            metadata: Box::default(),
        }],
        ..Group::default()
    };
    snapshot.groups = Observed::fresh(vec![group.into()], now());
    let plan = before(&snapshot, To::Latest, &["orders"]).unwrap();
    assert_eq!(offsets(&plan), [(0, Some(100), 900), (1, Some(50), 90)]);
    assert_eq!(
        evidence(&plan, "readers"),
        "1 groups stand before it: billing has not read 400 of them"
    );
    assert_eq!(plan.refused_by(&[]).count(), 1);
    let plan = before(&snapshot, To::Offset(500), &["orders:0"]).unwrap();
    assert_eq!(plan.refused_by(&[]).count(), 0, "it has read up to there");
    assert!(matches!(
        before(&snapshot, To::Earliest, &["orders"]),
        Err(Error::Nothing(_))
    ));
}

#[test]
fn a_compacted_topic_is_not_emptied() {
    let plan = before(&read("compact"), To::Latest, &["orders"]).unwrap();
    assert_eq!(plan.refused_by(&["policy".to_owned()]).count(), 1, "Kafka would refuse");
    assert_eq!(
        before(&read("compact,delete"), To::Latest, &["orders"])
            .unwrap()
            .refused_by(&[])
            .count(),
        0
    );
}
