//! Restarts: in which order, and what stands in the way of each.

use std::collections::BTreeMap;

use super::*;
use crate::model::cloud::{Event, Instance};
use crate::model::config::{Config, ConfigSource};
use crate::model::driver::{Action, DriverName, Way};
use crate::model::identity::{Confidence, Identity, Method};
use crate::model::quorum::{Quorum, Voter};
use crate::plan::restart::{Turn, Whom, Wish, all_gates, batch, gates, is_of, plan, turns};

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
    partitions(&mut snapshot, |one| one.isr = [1].into());
    assert_eq!(closed(&snapshot, 1), ["last-safe-copy", "min-isr", "in-sync"]);
    partitions(&mut snapshot, |one| (one.leader, one.isr) = (None, [2, 3].into()));
    assert!(closed(&snapshot, 4).contains(&"offline".to_owned()));
}

#[test]
fn who_is_eligible_to_lead_is_a_safe_copy_too() {
    let mut snapshot = well();
    partitions(&mut snapshot, |one| (one.isr, one.eligible) = ([1].into(), [3].into()));
    assert_eq!(
        closed(&snapshot, 1),
        ["min-isr", "in-sync"],
        "3 is elected when 1 stops"
    );
    // Nobody is in sync, and 3 has it all.
    partitions(&mut snapshot, |one| (one.leader, one.isr) = (None, [].into()));
    assert!(closed(&snapshot, 3).contains(&"last-safe-copy".to_owned()));
    assert!(!closed(&snapshot, 2).contains(&"last-safe-copy".to_owned()));
    // Where 3 does not answer, 1 is the last again.
    partitions(&mut snapshot, |one| (one.leader, one.isr) = (Some(1), [1].into()));
    snapshot
        .links
        .get_mut(&3)
        .unwrap()
        .fail(Trouble::Unreachable, "refused", now());
    assert!(closed(&snapshot, 1).contains(&"last-safe-copy".to_owned()));
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
    partitions(&mut snapshot, |one| {
        (one.replicas, one.isr) = ([1, 2].into(), [1, 2].into())
    });
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

fn in_parallel(snapshot: &Snapshot, whom: Whom, most: u32) -> Plan {
    let wish = Wish {
        parallel: Some(most),
        ..wish(whom)
    };
    plan(snapshot, &wish, "dev", now()).unwrap()
}

/// Who restarts at the same time, in order.
fn together(plan: &Plan) -> Vec<Vec<BrokerId>> {
    let turns: Vec<Turn> = turns(plan).cloned().collect();
    let ids = |batch: &[Turn]| batch.iter().map(Turn::broker).collect();
    batch::batches(&turns).map(ids).collect()
}

#[test]
fn brokers_of_a_zone_go_together_where_no_partition_is_on_two_of_them() {
    let mut snapshot = well();
    let plan = in_parallel(&snapshot, Whom::All, 2);
    assert_eq!(together(&plan), [vec![1, 4], vec![3, 6], vec![5], vec![2]]);
    assert_eq!(plan.title, "6 brokers in 3 zones, in 4 batches");
    assert_eq!(verdict(&plan, batch::GATE), Verdict::Pass);
    assert!(plan.closed_gates().next().is_none(), "{:?}", plan.gates);
    let figures = crate::plan::restart::figures(&plan).join(" · ");
    assert!(
        figures.contains("4 batches, at most 2 at a time: ~24 m instead of ~36 m, saves ~12 m (reckoned with 5 m"),
        "{figures}"
    );
    // It may be planned again from what it is, and saved.
    assert_eq!(crate::plan::restart::wish_of(&plan).parallel, Some(2));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert_eq!(together(&plan_of(Whom::All)).len(), 6, "nobody asked for it");

    // One partition on both of them, and they go one after the other, which is said.
    let mut topics = snapshot.topics.get().unwrap().clone();
    topics[0].partitions[1].replicas = [1, 4, 2].into();
    snapshot.topics = Observed::fresh(topics, now());
    let apart = in_parallel(&snapshot, Whom::Zone("a".into()), 2);
    assert_eq!(together(&apart), [[1], [4]]);
    assert_eq!(apart.title, "2 brokers in 1 zone, one by one");
    let gate = apart.gates.iter().find(|gate| gate.name == batch::GATE).unwrap();
    assert_eq!(
        (gate.verdict, gate.evidence.as_str()),
        (
            Verdict::Warn,
            "one after the other: 1 and 4, orders-1 has replicas on both"
        )
    );
    let figures = crate::plan::restart::figures(&apart).join(" · ");
    assert!(figures.contains("nothing is saved"), "{figures}");

    // A plan that was made before is told the same, and its engine goes on with as many as are proven.
    let [one, four] = [1, 4].map(|id| turns(&plan).find(|turn| turn.broker() == id).unwrap().clone());
    let (count, against) = batch::proven(&snapshot, &[one.clone(), four.clone()]);
    assert_eq!(count, 1);
    assert!(against.unwrap().contains("orders-1 has replicas on both"));
    assert_eq!(batch::proven(&well(), &[one.clone(), four.clone()]), (2, None));
    let renewed = crate::plan::restart::renew(&plan, &snapshot, now());
    assert_eq!(verdict(&renewed, batch::GATE), Verdict::Warn);

    // Who has become the active controller, or a voter beside another, goes alone.
    let mut led = well();
    quorum(&mut led, |quorum| quorum.leader = Some(1));
    let against = batch::proven(&led, &[one.clone(), four.clone()]).1;
    assert_eq!(against.as_deref(), Some("1 or 4 is the active controller"));
    let mut voters = well();
    quorum(&mut voters, |quorum| {
        let fourth = quorum.voters[0].clone();
        quorum.voters.push(Voter { id: 4, ..fourth });
    });
    assert_eq!(batch::proven(&voters, &[one, four]).0, 1);
    assert_eq!(together(&in_parallel(&voters, Whom::Zone("a".into()), 2)), [[1], [4]]);
}

#[test]
fn brokers_of_no_known_zone_go_alone() {
    let mut snapshot = well();
    let mut cluster = snapshot.cluster.get().unwrap().clone();
    cluster.brokers.iter_mut().for_each(|broker| broker.rack = None);
    snapshot.cluster = Observed::fresh(cluster, now());
    let mut wish = Wish {
        parallel: Some(3),
        ..wish(Whom::All)
    };
    let words = ["ctl", "{action}", "{broker}"].map(str::to_owned).to_vec();
    wish.way.as_mut().unwrap().templates = BTreeMap::from([(Action::Restart, words)]);
    let plan = plan(&snapshot, &wish, "dev", now()).unwrap();
    assert_eq!(together(&plan).len(), 6);
    let gate = evidence(&plan, batch::GATE);
    assert!(gate.contains("in which zone they are is not known: broker 1"), "{gate}");
}

/// Whatever is placed where: a batch is of one zone, no partition misses two replicas for it, it has one voter at most, the active
/// controller is alone and last, and everybody restarts once.
#[test]
fn no_batch_takes_two_replicas_of_a_partition() {
    let mut state = 7_u64;
    let mut below = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut batched = 0;
    for _ in 0..300 {
        let mut snapshot = well();
        let (brokers, most) = (6 + below(13) as BrokerId, 2 + below(4) as u32);
        let mut cluster = snapshot.cluster.get().unwrap().clone();
        let like = cluster.brokers[0].clone();
        let racks = 1 + below(4);
        cluster.brokers = (1..=brokers)
            .map(|id| Broker {
                id,
                rack: Some(["a", "b", "c", "d"][id as usize % racks].to_owned()),
                ..like.clone()
            })
            .collect();
        snapshot.cluster = Observed::fresh(cluster, now());
        let link = snapshot.links[&1].clone();
        snapshot.links = (1..=brokers).map(|id| (id, link.clone())).collect();
        let mut topics = snapshot.topics.get().unwrap().clone();
        topics[0].partitions = (0..below(40) as i32)
            .map(|partition| {
                let mut replicas: Vec<BrokerId> = (0..3).map(|_| 1 + below(brokers as usize) as BrokerId).collect();
                replicas.dedup();
                Partition {
                    partition,
                    leader: Some(replicas[0]),
                    isr: replicas.clone().into(),
                    replicas: replicas.into(),
                    ..Partition::default()
                }
            })
            .collect();
        snapshot.topics = Observed::fresh(topics, now());
        let plan = in_parallel(&snapshot, Whom::All, most);
        let batches = together(&plan);
        let mut all: Vec<BrokerId> = batches.iter().flatten().copied().collect();
        assert_eq!(all.last(), Some(&2), "the active controller last: {batches:?}");
        all.sort_unstable();
        assert_eq!(all, (1..=brokers).collect::<Vec<_>>());
        for batch in &batches {
            assert!(batch.len() <= most as usize);
            batched += usize::from(batch.len() > 1);
            let of = |id: &BrokerId| turns(&plan).find(|turn| turn.broker() == *id).unwrap();
            let zones: std::collections::BTreeSet<&str> = batch.iter().map(|id| of(id).zone.as_str()).collect();
            assert_eq!(zones.len(), 1, "{batches:?}");
            assert!(batch.iter().filter(|id| of(id).voter).count() <= 1, "{batches:?}");
            assert!(batch.len() == 1 || !batch.contains(&2), "{batches:?}");
            for (topic, partition) in snapshot.partitions() {
                let distinct: std::collections::BTreeSet<_> = partition.replicas.iter().collect();
                let lost = distinct.into_iter().filter(|id| batch.contains(id)).count();
                assert!(lost <= 1, "{topic} {partition:?} loses {lost} to {batch:?}");
            }
            let planned: Vec<Turn> = batch.iter().map(|id| of(id).clone()).collect();
            assert_eq!(batch::proven(&snapshot, &planned), (batch.len(), None));
        }
    }
    assert!(batched > 100, "only {batched} batches of several");
}
