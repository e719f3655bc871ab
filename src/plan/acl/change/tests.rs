//! Files of rules against a cluster with an operator, brokers, and two clients.

use super::*;
use crate::model::Observed;
use crate::model::acl::{Pattern, Permission};
use crate::model::broker::Broker;
use crate::model::cluster::Cluster;
use crate::model::config::{Config, ConfigSource};
use crate::model::group::{Group, Member};

fn now() -> Moment {
    Moment::from_second(1_700_000_000).unwrap()
}

fn acls(text: &str) -> Acls {
    Acls {
        authorizer: true,
        rules: merged(Text::parse(text).unwrap().rules),
    }
}

/// One broker with an authorizer; `User:ops` looks.
fn snapshot(rules: Acls, super_users: &str) -> Snapshot {
    let cluster = Cluster {
        id: "c1".into(),
        controller: Some(1),
        brokers: vec![Broker {
            id: 1,
            host: "h".into(),
            port: 9092,
            rack: None,
            fenced: false,
        }],
        version: None,
    };
    let users = Config {
        name: "super.users".into(),
        value: Some(super_users.into()),
        source: ConfigSource::StaticBroker,
        sensitive: false,
        read_only: true,
        documentation: None,
        synonyms: Vec::new(),
    };
    let member = Member {
        id: "m".into(),
        instance: None,
        client: "app".into(),
        host: "h".into(),
        assignment: vec![("orders-eu".into(), 0)],
    };
    let group = Group {
        name: "billing".into(),
        state: "Stable".into(),
        kind: "classic".into(),
        protocol: "range".into(),
        coordinator: None,
        members: vec![member],
        commits: vec![],
    };
    Snapshot {
        cluster: Observed::fresh(cluster, now()),
        acls: Observed::fresh(rules, now()),
        broker_configs: [(1, Observed::fresh(vec![users], now()))].into(),
        groups: Observed::fresh(vec![group.into()], now()),
        principal: Some("User:ops".into()),
        ..Snapshot::default()
    }
}

const RULES: &str = "allow User:ops to All on cluster\nallow User:kafka to ClusterAction on cluster\n\
                     allow User:billing to Read,Describe on topic prefix orders-\n\
                     allow User:billing to Read on group billing\nallow User:etl to Write on topic raw";

fn wish(text: &str, prune: bool) -> Wish {
    let text = Text::parse(text).unwrap();
    Wish::Text { text, prune }
}

fn make(text: &str, prune: bool) -> Plan {
    plan(&snapshot(acls(RULES), ""), &wish(text, prune), "dev", now()).unwrap()
}

fn verdict(plan: &Plan, gate: &str) -> Verdict {
    plan.gates.iter().find(|one| one.name == gate).unwrap().verdict
}

fn texts(plan: &Plan) -> Vec<String> {
    let of = |step: &Step| match step {
        Step::AddAcls(all) => lines(all, '+'),
        Step::RemoveAcls(all) => lines(all, '-'),
        _ => Vec::new(),
    };
    plan.steps.iter().flat_map(of).map(|line| line.text).collect()
}

#[test]
fn only_what_is_in_scope_goes_and_only_when_asked_for() {
    let file = "scope topic prefix orders-\nallow User:billing to Read on topic prefix orders-\n\
                allow User:audit to Read on topic orders-eu";
    let difference = Difference::of(&Text::parse(file).unwrap(), &acls(RULES));
    let words = |rules: &[Rule]| rules.iter().map(Rule::to_string).collect::<Vec<_>>();
    assert_eq!(
        words(&difference.add),
        ["allow User:audit from * to Read on topic orders-eu"]
    );
    assert_eq!(
        words(&difference.remove),
        ["allow User:billing from * to Describe on topic prefix orders-"]
    );
    assert_eq!(difference.same, 1);
    assert_eq!(make(file, false).steps.len(), 1, "without --prune nothing goes");
    let pruned = make(file, true);
    assert!(matches!(&pruned.steps[..], [Step::AddAcls(_), Step::RemoveAcls(lines)] if !lines.whole));
    // Reading implies describing, so nobody loses anything.
    assert_eq!(verdict(&pruned, "losses"), Verdict::Pass);
    assert_eq!(
        texts(&pruned)[..2],
        [
            "  + allow User:audit from * to Read on topic orders-eu",
            "  ▲ User:audit gains Read on topic orders-eu"
        ]
    );
    let bare = Text::parse("allow User:audit to Read on topic x").unwrap();
    assert!(Difference::of(&bare, &acls(RULES)).remove.is_empty());
}

#[test]
fn who_loses_is_named_with_the_groups_that_read_there() {
    let plan = make(
        "scope principal User:billing\nallow User:billing to Read on group billing",
        true,
    );
    assert_eq!(verdict(&plan, "losses"), Verdict::Warn);
    let gate = plan.gates.iter().find(|one| one.name == "losses").unwrap();
    assert!(
        gate.evidence
            .contains("User:billing; groups that read there now: billing; producers ?"),
        "{gate:?}"
    );
    assert_eq!(
        texts(&plan),
        [
            "  - allow User:billing from * to Read,Describe on topic prefix orders-",
            "  ▼ User:billing loses Read,Describe on topic prefix orders-"
        ]
    );
}

#[test]
fn cutting_off_oneself_or_the_brokers_is_refused_without_the_typed_override() {
    let cases = [
        ("scope principal User:ops\n", true, "lockout"),
        ("deny User:* from 10.0.0.9 to Alter on cluster", false, "lockout"),
        ("deny User:ops to Describe on cluster", false, "lockout"),
        ("scope principal User:kafka\n", true, "inter-broker"),
        ("deny User:* to ClusterAction on cluster", false, "inter-broker"),
    ];
    for (text, prune, gate) in cases {
        let plan = make(text, prune);
        assert_eq!(verdict(&plan, gate), Verdict::Fail, "{text}: {:?}", plan.gates);
        assert!(plan.refused_by(&[]).any(|one| one.name == gate));
        let all = ["lockout".to_owned(), "inter-broker".to_owned()];
        assert_eq!(plan.refused_by(&all).count(), 0);
    }
    // A super user is beyond rules.
    let snapshot = snapshot(acls(RULES), "User:ops;User:kafka");
    let plan = plan(&snapshot, &wish("scope cluster\n", true), "dev", now()).unwrap();
    assert_eq!(
        (verdict(&plan, "lockout"), verdict(&plan, "inter-broker")),
        (Verdict::Pass, Verdict::Pass)
    );
}

#[test]
fn the_first_rule_on_a_cluster_that_was_open_cuts_everybody_off() {
    let mut open = snapshot(acls("allow User:a to Read on topic x"), "");
    let everyone = Config {
        name: "allow.everyone.if.no.acl.found".into(),
        value: Some("true".into()),
        source: ConfigSource::StaticBroker,
        sensitive: false,
        read_only: true,
        documentation: None,
        synonyms: Vec::new(),
    };
    open.broker_configs = [(1, Observed::fresh(vec![everyone], now()))].into();
    let text = wish("allow User:a to Describe on cluster", false);
    let made = plan(&open, &text, "dev", now()).unwrap();
    assert_eq!(
        (verdict(&made, "lockout"), verdict(&made, "inter-broker")),
        (Verdict::Fail, Verdict::Fail)
    );
    // Who we are is not known: somebody would lose, so it is not known to be open.
    open.principal = None;
    assert_eq!(
        verdict(&plan(&open, &text, "dev", now()).unwrap(), "lockout"),
        Verdict::Unknown
    );
}

#[test]
fn the_way_back_is_the_inverse() {
    let there = make(
        "scope principal User:billing\nallow User:billing to Write on topic orders-eu",
        true,
    );
    let steps: Vec<&Step> = there.steps.iter().collect();
    let Wish::Exactly { add, remove, .. } = undoing(&steps) else {
        panic!()
    };
    let (
        Wish::Exactly {
            add: added,
            remove: removed,
            ..
        },
        before,
    ) = (wish_of(&there), acls(RULES))
    else {
        panic!()
    };
    let after = effect::after(&before, &added, &removed);
    assert_ne!(after, before);
    assert_eq!(effect::after(&after, &add, &remove), before);
    let drifted = snapshot(after, "");
    assert_eq!(drift(&there.steps[0], &drifted).len(), 1);
    assert!(drift(&there.steps[0], &snapshot(before, "")).is_empty());
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn rule(&mut self) -> Rule {
        let kinds = [
            ResourceKind::Cluster,
            ResourceKind::Cluster,
            ResourceKind::Topic,
            ResourceKind::Group,
        ];
        let resource = kinds[self.below(4)];
        let cluster = resource == ResourceKind::Cluster;
        let all = [resource.operations(), &[Operation::All]].concat();
        let count = 1 + self.below(3);
        let mut operations: Vec<Operation> = (0..count).map(|_| all[self.below(all.len())]).collect();
        operations.sort_unstable();
        operations.dedup();
        Rule {
            resource,
            pattern: if cluster || self.below(2) == 0 {
                Pattern::Literal
            } else {
                Pattern::Prefixed
            },
            name: if cluster {
                "kafka-cluster"
            } else {
                ["a", "ab", "*"][self.below(3)]
            }
            .to_owned(),
            principal: ["User:ops", "User:kafka", "User:*", "User:x"][self.below(4)].to_owned(),
            host: ["*", "*", "10.0.0.7", "10.0.0.9"][self.below(4)].to_owned(),
            permission: if self.below(3) == 0 {
                Permission::Deny
            } else {
                Permission::Allow
            },
            operations,
        }
    }
}

/// The slow way, rule by rule, as `acl explain` answers.
fn may(acls: &Acls, settings: &Settings, operation: Operation, host: Option<&str>) -> Option<bool> {
    let question = crate::plan::acl::Question {
        principal: "User:ops".to_owned(),
        operation,
        resource: ResourceKind::Cluster,
        name: crate::model::acl::CLUSTER.to_owned(),
        host: host.map(str::to_owned),
    };
    crate::plan::acl::explain(acls, settings, &question).ruling.allows()
}

#[test]
fn a_thousand_random_edits_never_cut_the_operator_off() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut rules = acls(RULES);
    let (mut taken, mut refused) = (0, 0);
    for at in 0..1000 {
        if at % 50 == 0 {
            rules = acls(RULES);
        }
        let add: Vec<Rule> = (0..random.below(3)).map(|_| random.rule()).collect();
        let count = rules.rules.len().max(1);
        let remove: Vec<Rule> = (0..random.below(3))
            .filter_map(|_| rules.rules.get(random.below(count)).cloned())
            .collect();
        let exactly = Wish::Exactly {
            add,
            remove,
            whole: false,
        };
        let seen = snapshot(rules.clone(), "");
        let Ok(plan) = plan(&seen, &exactly, "dev", now()) else {
            continue;
        };
        if plan.refused_by(&[]).next().is_some() {
            refused += 1;
            continue;
        }
        taken += 1;
        let settings = Settings::of(&seen);
        let Wish::Exactly { add, remove, .. } = wish_of(&plan) else {
            panic!()
        };
        let after = effect::after(&rules, &add, &remove);
        for host in [None, Some("10.0.0.7"), Some("10.0.0.9"), Some("10.9.9.9")] {
            for operation in ResourceKind::Cluster.operations() {
                let (was, is) = (
                    may(&rules, &settings, *operation, host),
                    may(&after, &settings, *operation, host),
                );
                assert!(
                    was != Some(true) || is == Some(true),
                    "edit {at}: {operation} from {host:?}: {plan:#?}"
                );
            }
        }
        rules = after;
    }
    assert!(taken > 200 && refused > 100, "{taken} taken, {refused} refused");
}

#[test]
fn the_index_decides_as_the_explanation_does() {
    let mut random = Random(7);
    let settings = Settings {
        super_users: Some(BTreeSet::new()),
        allow_everyone: Some(false),
    };
    for _ in 0..200 {
        let rules = (0..random.below(12)).map(|_| random.rule()).collect();
        let acls = Acls {
            authorizer: true,
            rules: merged(rules),
        };
        let index = super::super::index::Index::new(&acls, &settings);
        for operation in ResourceKind::Cluster.operations() {
            for host in [None, Some("10.0.0.7")] {
                let fast = index.allows("User:ops", *operation, ResourceKind::Cluster, "kafka-cluster", host);
                assert_eq!(fast, may(&acls, &settings, *operation, host), "{acls:?}");
            }
        }
    }
}

#[test]
fn work_grows_with_the_rules_and_not_with_their_square() {
    let work = |count: usize| {
        let rule =
            |at: usize, user: &str| format!("allow User:{user}{} to Read on topic prefix t{:04}-\n", at % 97, at);
        let there: String = (0..count).map(|at| rule(at, "a")).collect();
        let file: String = (0..count).map(|at| rule(at, "b")).collect();
        let before = acls(&there);
        let text = Text::parse(&format!("scope all\n{file}")).unwrap();
        let difference = Difference::of(&text, &before);
        assert_eq!((difference.add.len(), difference.remove.len()), (count, count));
        let after = effect::after(&before, &difference.add, &difference.remove);
        let settings = Settings::default();
        let turn = Turn::new(&before, &after, &settings);
        let effects = turn.effects(difference.add.iter().chain(&difference.remove));
        assert_eq!(effects.len(), 2 * count);
        turn.looked()
    };
    let (small, large) = (work(500), work(5000));
    assert!(
        large < 11 * small,
        "{small} places were looked at for 500 rules, {large} for 5,000"
    );
    assert!(large < 40 * 5000, "{large}");
}
