//! Restarts: in which order, and what stands in the way of each.

use std::collections::BTreeMap;

use super::*;
use crate::model::cloud::{Event, Instance};
use crate::model::config::{Config, ConfigSource};
use crate::model::driver::{Action, DriverName, Way};
use crate::model::identity::{Confidence, Identity, Method};
use crate::model::quorum::{Quorum, Voter};
use crate::plan::restart::{Turn, Whom, Wish, all_gates, gates, is_of, plan, turns};

/// As long as all is well: min ISR 2, one voter of three brokers is the active controller.
fn well() -> Snapshot {
    let mut snapshot = snapshot();
    let min_isr = Config {
        name: "min.insync.replicas".into(),
        value: Some("2".into()),
        source: ConfigSource::Topic,
        sensitive: false,
        read_only: false,
        documentation: None,
        synonyms: Vec::new(),
    };
    let configs = BTreeMap::from([("orders".to_owned(), vec![min_isr])]);
    snapshot.topic_configs = Observed::fresh(configs, now());
    let voter = |id| Voter {
        id,
        log_end_offset: 100,
        last_fetch_ms: Some(1_000_000),
        last_caught_up_ms: Some(1_000_000),
        directory: None,
    };
    let quorum = Quorum {
        leader: Some(2),
        voters: vec![voter(1), voter(2), voter(3)],
        ..Quorum::default()
    };
    snapshot.quorum = Observed::fresh(quorum, now());
    snapshot
}

fn partitions(snapshot: &mut Snapshot, change: impl Fn(&mut Partition)) {
    let mut topics = snapshot.topics.get().unwrap().clone();
    topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .for_each(change);
    snapshot.topics = Observed::fresh(topics, now());
}

fn quorum(snapshot: &mut Snapshot, change: impl Fn(&mut Quorum)) {
    let mut quorum = snapshot.quorum.get().unwrap().clone();
    change(&mut quorum);
    snapshot.quorum = Observed::fresh(quorum, now());
}

fn wish(whom: Whom) -> Wish {
    let words = ["ctl", "{action}", "{broker}", "{az}"].map(str::to_owned).to_vec();
    Wish {
        way: Some(Way {
            driver: DriverName::Command,
            templates: BTreeMap::from([(Action::Restart, words)]),
            deadline_seconds: 900,
            soak_seconds: 60,
            grow: None,
            upgrade: None,
        }),
        ..Wish::new(Action::Restart, whom)
    }
}

fn plan_of(whom: Whom) -> Plan {
    plan(&well(), &wish(whom), "dev", now()).unwrap()
}

fn closed(snapshot: &Snapshot, id: BrokerId) -> Vec<String> {
    let all = gates(snapshot, Action::Restart, &[id]);
    let shut = |gate: &&Gate| matches!(gate.verdict, Verdict::Fail | Verdict::Unknown);
    all.iter().filter(shut).map(|gate| gate.name.clone()).collect()
}

#[test]
fn brokers_go_zone_by_zone_and_the_active_controller_last() {
    let plan = plan_of(Whom::All);
    let order: Vec<BrokerId> = turns(&plan).map(Turn::broker).collect();
    assert_eq!(order, [1, 4, 3, 6, 5, 2]);
    let last = turns(&plan).last().unwrap();
    assert!(last.controller && last.voter);
    assert_eq!(last.words, ["ctl", "restart", "2", "b"]);
    assert_eq!(plan.title, "6 brokers in 3 zones, one by one");
    assert_eq!(plan.closed_gates().count(), 0, "{:?}", plan.gates);
    let zone = plan_of(Whom::Zone("a".into()));
    assert_eq!(turns(&zone).map(Turn::broker).collect::<Vec<_>>(), [1, 4]);
    // What is saved is what is run.
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn controllers_that_are_no_brokers_go_one_by_one_the_active_one_last_and_never_against_the_majority() {
    let mut seen = well();
    quorum(&mut seen, |quorum| {
        for (voter, id) in quorum.voters.iter_mut().zip(101..) {
            voter.id = id;
        }
        quorum.leader = Some(101);
        quorum.addresses = (101..=103).map(|id| (id, format!("10.0.0.{id}:9093"))).collect();
    });
    let why = plan(&well(), &wish(Whom::Controllers), "dev", now())
        .unwrap_err()
        .to_string();
    assert!(why.contains("is a broker, too"), "{why}");
    // Kafka tells no rack of a controller that is no broker, so a driver cannot be told its zone.
    let zoned = plan(&seen, &wish(Whom::Controllers), "dev", now()).unwrap_err();
    assert!(zoned.to_string().contains("availability zone of broker 102"), "{zoned}");
    let planned = |seen: &Snapshot, whom| {
        let mut wish = wish(whom);
        let words = ["ctl", "{action}", "{broker}"].map(str::to_owned).to_vec();
        wish.way.as_mut().unwrap().templates = BTreeMap::from([(Action::Restart, words)]);
        plan(seen, &wish, "dev", now()).unwrap()
    };
    let blind = planned(&seen, Whom::Controllers);
    assert_eq!(turns(&blind).map(Turn::broker).collect::<Vec<_>>(), [102, 103, 101]);
    assert_eq!(blind.title, "3 controllers, one by one");
    let last = turns(&blind).last().unwrap();
    assert_eq!(
        (last.name().as_str(), last.controller, last.voter),
        ("restart controller 101", true, true)
    );
    assert_eq!(
        (last.place.host.as_str(), last.apart.as_deref()),
        ("10.0.0.101", Some("10.0.0.101:9093"))
    );
    assert_eq!(
        blind.closed_gates().map(|gate| gate.name.as_str()).collect::<Vec<_>>(),
        ["controllers"]
    );

    let link = Link {
        rtt_ms: 1.0,
        release: None,
    };
    for id in 101..=103 {
        seen.links.insert(id, Observed::fresh(link.clone(), now()));
    }
    assert_eq!(planned(&seen, Whom::Controllers).closed_gates().count(), 0);
    let mixed = planned(&seen, Whom::Brokers(vec![102, 4]));
    assert_eq!(mixed.title, "1 broker in 1 zone and 1 controller, one by one");
    assert_eq!(turns(&mixed).map(Turn::broker).collect::<Vec<_>>(), [4, 102]);
    assert_eq!(planned(&seen, Whom::All).title, "6 brokers in 3 zones, one by one");

    // One that does not answer is gone, whatever the quorum's leader still thinks of it.
    seen.links
        .get_mut(&103)
        .unwrap()
        .fail(Trouble::Unreachable, "refused", now());
    let refused = planned(&seen, Whom::Brokers(vec![102]));
    assert_eq!(
        refused
            .closed_gates()
            .map(|gate| gate.name.as_str())
            .collect::<Vec<_>>(),
        ["quorum"]
    );
    quorum(&mut seen, |quorum| quorum.addresses.clear());
    let why = plan(&seen, &wish(Whom::Controllers), "dev", now());
    assert!(why.unwrap_err().to_string().contains("where controller 102 listens"));
}

#[test]
fn an_upgrade_is_a_roll_with_other_words_and_a_release_that_must_be_told() {
    let mut wanted = wish(Whom::All);
    wanted.upgrade_to = Some("4.3.1".to_owned());
    let why = plan(&well(), &wanted, "dev", now()).unwrap_err().to_string();
    assert!(why.contains("nothing of how to upgrade"), "{why}");
    let words = ["up", "{broker}", "{version}"].map(str::to_owned).to_vec();
    wanted.way.as_mut().unwrap().upgrade = Some(words);
    let plan = plan(&well(), &wanted, "dev", now()).unwrap();
    assert!(
        plan.title.starts_with("kafka ") && plan.title.contains("→4.3.1, 6 brokers"),
        "{}",
        plan.title
    );
    let last = turns(&plan).last().unwrap();
    assert_eq!(last.words, ["up", "2", "4.3.1"]);
    assert_eq!(last.name(), "upgrade broker 2 to 4.3.1");
    for (release, version, is) in [
        ("4.3", "4.3.1", true),
        ("4.3", "4.3", true),
        ("4.2", "4.3.1", false),
        ("> 4.3", "4.4.0", true),
        ("> 4.3", "4.3.1", false),
        ("?", "4.3", false),
    ] {
        assert_eq!(is_of(release, version), is, "{release} {version}");
    }
}

#[test]
fn a_stranger_is_named_and_a_capture_has_no_driver() {
    let error = plan(&well(), &wish(Whom::Brokers(vec![9])), "dev", now()).unwrap_err();
    assert!(
        error.to_string().contains("there is no broker 9; there are 1, 2"),
        "{error}"
    );
    let error = plan(&well(), &Wish::new(Action::Restart, Whom::All), "dev", now()).unwrap_err();
    assert!(error.to_string().contains("driver"), "{error}");
}

#[test]
fn another_replica_that_is_missing_closes_what_it_bears_on() {
    let mut snapshot = well();
    partitions(&mut snapshot, |one| one.isr.retain(|id| *id != 3));
    assert_eq!(closed(&snapshot, 1), ["min-isr", "in-sync"]);
    assert_eq!(closed(&snapshot, 4), ["in-sync"], "it holds nothing of it");
    partitions(&mut snapshot, |one| one.isr = vec![1]);
    assert_eq!(closed(&snapshot, 1), ["last-safe-copy", "min-isr", "in-sync"]);
    partitions(&mut snapshot, |one| (one.leader, one.isr) = (None, vec![2, 3]));
    assert!(closed(&snapshot, 4).contains(&"offline".to_owned()));
}

#[test]
fn what_is_missing_for_want_of_the_broker_itself_is_what_it_is_restarted_for() {
    let mut snapshot = well();
    partitions(&mut snapshot, |one| one.isr.retain(|id| *id != 3));
    snapshot
        .links
        .get_mut(&3)
        .unwrap()
        .fail(Trouble::Unreachable, "refused", now());
    assert_eq!(closed(&snapshot, 3), Vec::<String>::new());
    let rest = ["min-isr", "in-sync", "brokers", "quorum"];
    assert_eq!(
        closed(&snapshot, 1),
        rest,
        "a voter that has just died is level no more"
    );
}

#[test]
fn partitions_that_can_spare_nobody_are_named() {
    let mut snapshot = well();
    partitions(&mut snapshot, |one| (one.replicas, one.isr) = (vec![1, 2], vec![1, 2]));
    assert_eq!(closed(&snapshot, 1), ["blast-radius"]);
    let gates = gates(&snapshot, Action::Restart, &[1]);
    let gate = gates.iter().find(|gate| gate.name == "blast-radius").unwrap();
    assert!(
        gate.evidence.contains("orders-0 (RF 2), orders-1 (RF 2)"),
        "{}",
        gate.evidence
    );
    snapshot.topic_configs = Observed::default();
    assert_eq!(closed(&snapshot, 1), ["min-isr", "blast-radius"], "unknown is closed");
}

#[test]
fn a_majority_of_voters_stays_level() {
    let mut snapshot = well();
    quorum(&mut snapshot, |quorum| {
        quorum.voters[2].last_caught_up_ms = Some(900_000)
    });
    assert_eq!(closed(&snapshot, 1), ["quorum"]);
    assert_eq!(
        closed(&snapshot, 3),
        Vec::<String>::new(),
        "the one that is behind may go"
    );
    assert_eq!(closed(&snapshot, 4), Vec::<String>::new(), "no voter");
    quorum(&mut snapshot, |quorum| quorum.leader = None);
    assert_eq!(closed(&snapshot, 4), ["quorum"]);
    snapshot.quorum = Observed::default();
    assert_eq!(closed(&snapshot, 4), ["quorum"], "unknown is closed");
}

#[test]
fn reassignments_and_what_ec2_announces_are_heeded() {
    let mut snapshot = well();
    let moving = Reassignment {
        topic: "orders".into(),
        partition: 0,
        replicas: vec![1, 2, 3, 4],
        adding: vec![4],
        removing: vec![3],
    };
    snapshot.reassignments = Observed::fresh(vec![moving], now());
    assert_eq!(closed(&snapshot, 4), ["idle"]);
    assert_eq!(closed(&snapshot, 5), Vec::<String>::new());
    let event = Event {
        code: "system-reboot".into(),
        description: String::new(),
        not_before: None,
        deadline: None,
    };
    let instance = Instance {
        id: "i-1".into(),
        events: vec![event],
        ..Instance::default()
    };
    let zone = BTreeMap::from([("i-1".to_owned(), instance)]);
    snapshot
        .cloud
        .instances
        .insert("az".into(), Observed::fresh(zone, now()));
    let identity = Identity::Identified {
        instance: "i-1".into(),
        method: Method::Address,
        confidence: Confidence::High,
    };
    snapshot.cloud.identities.insert(6, identity);
    assert_eq!(closed(&snapshot, 5), ["ec2"]);
    let mismatch = Identity::Mismatch {
        instance: "i-1".into(),
        reason: "its tag says broker 7".into(),
    };
    snapshot.cloud.identities.insert(6, mismatch);
    assert!(closed(&snapshot, 6).contains(&"identity".to_owned()));

    // A broker that was moved registers from its new instance only once it runs there.
    let plan = plan_of(Whom::Brokers(vec![6]));
    let mut turn = turns(&plan).next().unwrap().clone();
    let mut holds = |action, on: &str| {
        (turn.action, turn.place.instance) = (action, Some(on.to_owned()));
        let all = all_gates(&snapshot, action, std::slice::from_ref(&turn), now());
        all.iter()
            .any(|gate| gate.name == "identity" && gate.verdict == Verdict::Fail)
    };
    assert!(!holds(Action::Start, "i-2"), "started elsewhere");
    assert!(holds(Action::Start, "i-1"));
    assert!(holds(Action::Stop, "i-2"));
}
