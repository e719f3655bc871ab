//! Plans of configs on one broker and one topic of three replicas.

use super::*;
use crate::model::Observed;
use crate::model::broker::Broker;
use crate::model::cluster::Cluster;
use crate::model::config::{ConfigSource, Synonym};
use crate::model::topic::{Partition, Topic};

fn now() -> Moment {
    Moment::from_second(1_700_000_000).unwrap()
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

/// `orders` has three replicas, keeps records for a day of its own, and wants two in sync as the brokers do.
fn snapshot() -> Snapshot {
    let broker = Broker {
        id: 1,
        host: "h".into(),
        port: 9092,
        rack: None,
        fenced: false,
    };
    let cluster = Cluster {
        id: "c1".into(),
        controller: Some(1),
        brokers: vec![broker],
        version: None,
    };
    let topic = Topic {
        name: "orders".into(),
        id: uuid::Uuid::from_u128(7),
        internal: false,
        partitions: vec![Partition {
            replicas: [1, 2, 3].into(),
            ..Partition::default()
        }],
    };
    let own = |name: &str, value: &str, below: &str| Config {
        synonyms: vec![
            Synonym {
                name: name.to_owned(),
                value: Some(value.to_owned()),
                source: ConfigSource::Topic,
            },
            Synonym {
                name: format!("log.{name}"),
                value: Some(below.to_owned()),
                source: ConfigSource::StaticBroker,
            },
        ],
        ..config(name, value, ConfigSource::Topic)
    };
    let of_topic = vec![
        own("cleanup.policy", "compact", "delete"),
        config("min.insync.replicas", "2", ConfigSource::StaticBroker),
        own("retention.ms", "86400000", "604800000"),
        config("unclean.leader.election.enable", "false", ConfigSource::Default),
    ];
    let of_broker = vec![
        Config {
            read_only: true,
            ..config("log.dirs", "/data", ConfigSource::StaticBroker)
        },
        config("message.max.bytes", "1000000", ConfigSource::Default),
        Config {
            sensitive: true,
            value: None,
            ..config("ssl.keystore.password", "", ConfigSource::DynamicBroker)
        },
    ];
    Snapshot {
        cluster: Observed::fresh(cluster, now()),
        topics: Observed::fresh(vec![topic], now()),
        owned_configs: [
            (Owner::Topic("orders".into()), Observed::fresh(of_topic, now())),
            (Owner::Broker(1), Observed::fresh(of_broker, now())),
            (Owner::AllBrokers, Observed::fresh(Vec::new(), now())),
        ]
        .into(),
        ..Snapshot::default()
    }
}

fn orders() -> Owner {
    Owner::Topic("orders".into())
}

fn wish(owner: Owner, edits: &[(&str, Option<&str>)]) -> Wish {
    let edit = |(name, value): &(&str, Option<&str>)| {
        let value = value.map(|value| Value::Text(value.to_owned()));
        ((*name).to_owned(), value)
    };
    Wish {
        owner,
        edits: edits.iter().map(edit).collect(),
        found: BTreeMap::new(),
    }
}

fn make(snapshot: &Snapshot, wish: &Wish) -> Result<Plan, Error> {
    plan(snapshot, wish, "dev", now())
}

fn alter(plan: &Plan) -> &Alter {
    match plan.steps.as_slice() {
        [Step::AlterConfigs(alter)] => alter,
        other => panic!("{other:?}"),
    }
}

/// The snapshot after the plan.
fn after(plan: &Plan) -> Snapshot {
    let mut next = snapshot();
    let alter = alter(plan);
    let mut told = next.owned_configs[&alter.owner].get().unwrap().clone();
    for one in alter.changes() {
        told.retain(|config| config.name != one.name);
        if let Some(Value::Text(value)) = &one.after {
            told.push(config(&one.name, value, alter.owner.source()));
        } else if let Some(value) = &one.inherited {
            told.push(config(&one.name, value, ConfigSource::StaticBroker));
        }
    }
    next.owned_configs
        .insert(alter.owner.clone(), Observed::fresh(told, now()));
    next
}

fn refusal(edits: &[(&str, Option<&str>)], owner: Owner) -> String {
    make(&snapshot(), &wish(owner, edits)).unwrap_err().to_string()
}

#[test]
fn every_override_is_shown_before_and_after() {
    let wish = wish(
        orders(),
        &[("retention.ms", Some("172800000")), ("min.insync.replicas", Some("3"))],
    );
    let plan = make(&snapshot(), &wish).unwrap();
    let text: Vec<String> = lines(alter(&plan)).into_iter().map(|line| line.text).collect();
    assert_eq!(
        text,
        [
            "    topic orders         before         after",
            "    cleanup.policy       compact        =",
            "  + min.insync.replicas  (2 inherited)  3          dynamic: no restart",
            "  ~ retention.ms         86400000       172800000  dynamic: no restart",
        ]
    );
    assert_eq!(plan.kind, Kind::ConfigSet);
    let how = "unset min.insync.replicas, set retention.ms=86400000".to_owned();
    assert_eq!(plan.undo, Undo::Full { how });
}

#[test]
fn the_undo_gives_back_what_was_set_and_takes_away_what_was_not() {
    let there = wish(orders(), &[("retention.ms", None), ("min.insync.replicas", Some("3"))]);
    let plan = make(&snapshot(), &there).unwrap();
    let back = undoing(alter(&plan)).unwrap();
    let undo = make(&after(&plan), &back).unwrap();
    let changes: Vec<_> = alter(&undo)
        .changes()
        .map(|one| (one.name.as_str(), one.after.clone()))
        .collect();
    assert_eq!(
        changes,
        [
            ("min.insync.replicas", None),
            ("retention.ms", Some(Value::Text("86400000".into())))
        ]
    );
    let meanwhile = wish(orders(), &[("retention.ms", Some("5"))]);
    let other = after(&make(&snapshot(), &meanwhile).unwrap());
    let refused = make(&other, &back).unwrap_err().to_string();
    assert!(refused.contains("somebody has changed it since"), "{refused}");
}

#[test]
fn drift_is_another_value_than_the_plan_saw() {
    let plan = make(&snapshot(), &wish(orders(), &[("retention.ms", Some("172800000"))])).unwrap();
    assert!(drift(alter(&plan), &snapshot()).is_empty());
    let other = make(&snapshot(), &wish(orders(), &[("retention.ms", Some("5"))])).unwrap();
    assert_eq!(
        drift(alter(&plan), &after(&other)),
        ["retention.ms on topic orders was 86400000 and is 5"]
    );
    // Another config of the same topic is nobody's business.
    let elsewhere = make(&snapshot(), &wish(orders(), &[("cleanup.policy", None)])).unwrap();
    assert!(drift(alter(&plan), &after(&elsewhere)).is_empty());
}

#[test]
fn names_that_do_not_exist_offer_the_nearest() {
    let text = refusal(&[("retention.m", Some("1"))], orders());
    assert_eq!(
        text,
        "there is no config retention.m on topic orders; did you mean retention.ms?"
    );
    let text = refusal(&[("retention.ms", Some("1"))], Owner::Topic("order".into()));
    assert_eq!(text, "there is no topic order; did you mean orders?");
    let text = refusal(&[("message.max.byte", Some("1"))], Owner::AllBrokers);
    assert!(text.contains("did you mean message.max.bytes?"), "{text}");
    let text = refusal(&[("log.dirs", Some("/x"))], Owner::Broker(1));
    assert!(text.contains("needs a restart"), "{text}");
    let text = refusal(&[("x", Some("1"))], Owner::Broker(9));
    assert_eq!(text, "the cluster lists no broker 9");
}

#[test]
fn what_is_so_already_is_nothing_to_do() {
    let error = make(&snapshot(), &wish(orders(), &[("retention.ms", Some("086400000"))])).unwrap_err();
    assert_eq!(
        error,
        Error::Nothing("retention.ms on topic orders is so already".into())
    );
    let error = make(&snapshot(), &wish(orders(), &[("min.insync.replicas", None)])).unwrap_err();
    assert!(matches!(error, Error::Nothing(_)));
}

#[test]
fn a_sensitive_value_is_in_no_plan_and_has_no_undo() {
    let text = refusal(&[("ssl.keystore.password", Some("sesame"))], Owner::Broker(1));
    assert!(
        text.contains("--from-file ssl.keystore.password=FILE") && !text.contains("sesame"),
        "{text}"
    );
    let mut hidden = wish(Owner::Broker(1), &[]);
    hidden.edits.insert("ssl.keystore.password".into(), Some(Value::Hidden));
    let plan = make(&snapshot(), &hidden).unwrap();
    assert!(matches!(plan.undo, Undo::None { .. }));
    assert!(undoing(alter(&plan)).is_err());
    let text: Vec<String> = lines(alter(&plan)).into_iter().map(|line| line.text).collect();
    assert!(
        text[1].contains("~ ssl.keystore.password  (sensitive)  (sensitive)"),
        "{text:?}"
    );
    let mut plain = wish(Owner::AllBrokers, &[]);
    plain.edits.insert("message.max.bytes".into(), Some(Value::Hidden));
    assert!(
        make(&snapshot(), &plain)
            .unwrap_err()
            .to_string()
            .contains("may be shown")
    );
}

#[test]
fn what_triage_warns_of_is_a_gate() {
    let verdict = |edits: &[(&str, Option<&str>)], gate: &str| {
        let plan = make(&snapshot(), &wish(orders(), edits)).unwrap();
        let found = plan.gates.iter().find(|one| one.name == gate);
        found.map(|gate| (gate.class, gate.verdict))
    };
    let soft = |verdict| Some((Class::Soft, verdict));
    assert_eq!(
        verdict(&[("min.insync.replicas", Some("1"))], "min-isr"),
        soft(Verdict::Fail)
    );
    assert_eq!(
        verdict(&[("min.insync.replicas", Some("3"))], "min-isr"),
        soft(Verdict::Warn)
    );
    assert_eq!(
        verdict(&[("min.insync.replicas", Some("4"))], "min-isr"),
        soft(Verdict::Fail)
    );
    let unclean = "unclean.leader.election.enable";
    assert_eq!(verdict(&[(unclean, Some("true"))], "unclean"), soft(Verdict::Fail));
    assert_eq!(
        verdict(&[("retention.ms", Some("5"))], "retention"),
        soft(Verdict::Warn)
    );
    assert_eq!(verdict(&[("retention.ms", Some("-1"))], "retention"), None);
    assert_eq!(verdict(&[("retention.ms", None)], "retention"), None);
    assert_eq!(verdict(&[("cleanup.policy", None)], "retention"), soft(Verdict::Warn));
}
