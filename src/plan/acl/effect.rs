//! What a change of rules does: who gains and loses what, and whether it cuts off the person who makes it, or the brokers
//! from each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Settings;
use super::index::Index;
use crate::model::acl::{self, Acls, Operation, Permission, ResourceKind, Rule};

/// What one principal gains or loses on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Effect {
    pub principal: String,
    pub gains: bool,
    /// Sorted.
    pub operations: Vec<Operation>,
    /// `topic prefix orders-`, `cluster`; with the address where the rule names one.
    pub target: String,
    /// For what is lost on topics, to find who reads them.
    pub resource: ResourceKind,
}

/// Somebody that cannot be seen: no rule names it.
const STRANGER: &str = "User:\u{0}nobody";

/// Before and after a change.
pub struct Turn<'a> {
    before: Index<'a>,
    after: Index<'a>,
}

impl<'a> Turn<'a> {
    pub fn new(before: &'a Acls, after: &'a Acls, settings: &'a Settings) -> Self {
        Self {
            before: Index::new(before, settings),
            after: Index::new(after, settings),
        }
    }

    /// Who gains and who loses by these rules; a rule that changes nothing, because others say the same, is in neither.
    pub fn effects<'b>(&self, rules: impl Iterator<Item = &'b Rule>) -> Vec<Effect> {
        let mut found: BTreeMap<(String, bool, String, ResourceKind), BTreeSet<Operation>> = BTreeMap::new();
        for rule in rules {
            let host = (rule.host != acl::ANY).then_some(rule.host.as_str());
            let all = rule.operations.contains(&Operation::All);
            let operations = if all {
                rule.resource.operations()
            } else {
                &rule.operations
            };
            for operation in operations {
                let ask =
                    |index: &Index<'_>| index.allows(&rule.principal, *operation, rule.resource, &rule.name, host);
                let gains = match (ask(&self.before), ask(&self.after)) {
                    (Some(true), Some(true)) | (Some(false), Some(false)) | (None, None) => continue,
                    (_, Some(true)) => true,
                    (_, Some(false)) => false,
                    (Some(true), None) => false,
                    (Some(false), None) => true,
                };
                let from = host.map_or(String::new(), |host| format!(" from {host}"));
                let key = (
                    rule.principal.clone(),
                    gains,
                    format!("{}{from}", rule.target()),
                    rule.resource,
                );
                found.entry(key).or_default().insert(*operation);
            }
        }
        let effect = |((principal, gains, target, resource), operations): (_, BTreeSet<Operation>)| Effect {
            principal,
            gains,
            operations: operations.into_iter().collect(),
            target,
            resource,
        };
        found.into_iter().map(effect).collect()
    }

    /// What this principal may do on the cluster now and could not be sure of afterwards, from any address that rules name.
    pub fn lost_on_cluster(&self, principal: &str, hosts: &[&str], operations: &[Operation]) -> Vec<Operation> {
        let lost = |operation: &&Operation| {
            let places = [None].into_iter().chain(hosts.iter().map(|host| Some(*host)));
            places.into_iter().any(|host| {
                let ask =
                    |index: &Index<'_>| index.allows(principal, **operation, ResourceKind::Cluster, acl::CLUSTER, host);
                match (ask(&self.before), ask(&self.after)) {
                    (Some(false), _) | (_, Some(true)) | (None, None) => false,
                    (Some(true) | None, Some(false)) | (Some(true), None) => true,
                }
            })
        };
        operations.iter().filter(lost).copied().collect()
    }

    pub fn looked(&self) -> u64 {
        self.before.looked() + self.after.looked()
    }
}

/// The cluster's rules after a change.
pub fn after(acls: &Acls, add: &[Rule], remove: &[Rule]) -> Acls {
    let key = |rule: &Rule| Rule {
        operations: Vec::new(),
        ..rule.clone()
    };
    let mut by_key: BTreeMap<Rule, BTreeSet<Operation>> = BTreeMap::new();
    for rule in acls.rules.iter().chain(add) {
        by_key.entry(key(rule)).or_default().extend(&rule.operations);
    }
    for rule in remove {
        if let Some(operations) = by_key.get_mut(&key(rule)) {
            rule.operations.iter().for_each(|operation| {
                operations.remove(operation);
            });
        }
    }
    let whole = |(rule, operations): (Rule, BTreeSet<Operation>)| Rule {
        operations: operations.into_iter().collect(),
        ..rule
    };
    Acls {
        authorizer: acls.authorizer,
        rules: by_key
            .into_iter()
            .filter(|(_, operations)| !operations.is_empty())
            .map(whole)
            .collect(),
    }
}

/// Whether the person who makes the change is cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lockout {
    /// It keeps what it may do on the cluster.
    No,
    /// What it loses there.
    Yes(String, Vec<Operation>),
    /// Who it is cannot be seen, and somebody loses something there.
    Unknown(String),
}

/// The addresses that rules on the cluster name.
fn hosts<'a>(all: impl Iterator<Item = &'a Rule>) -> Vec<&'a str> {
    let on_cluster = all.filter(|rule| rule.resource == ResourceKind::Cluster && rule.host != acl::ANY);
    let hosts: BTreeSet<&str> = on_cluster.map(|rule| rule.host.as_str()).collect();
    hosts.into_iter().collect()
}

/// Whether `own` loses a right on the cluster. Without its name: whether anybody does.
pub fn lockout(turn: &Turn<'_>, before: &Acls, after: &Acls, own: Option<&str>) -> Lockout {
    let hosts = hosts(before.rules.iter().chain(&after.rules));
    let operations = ResourceKind::Cluster.operations();
    if let Some(own) = own {
        let lost = turn.lost_on_cluster(own, &hosts, operations);
        return match lost.is_empty() {
            true => Lockout::No,
            false => Lockout::Yes(own.to_owned(), lost),
        };
    }
    let loser = principals(before).find(|who| !turn.lost_on_cluster(who, &hosts, operations).is_empty());
    match loser {
        None => Lockout::No,
        Some(STRANGER) => Lockout::Unknown("whoever no rule names".to_owned()),
        Some(who) => Lockout::Unknown(who.to_owned()),
    }
}

/// Everybody whom rules on the cluster name, and somebody whom none does.
fn principals(acls: &Acls) -> impl Iterator<Item = &str> {
    let on_cluster = acls.rules.iter().filter(|rule| rule.resource == ResourceKind::Cluster);
    let named: BTreeSet<&str> = on_cluster.map(|rule| rule.principal.as_str()).collect();
    named.into_iter().chain([STRANGER])
}

/// Principals that lose ClusterAction, without which a broker neither fetches from another nor registers. Who may have it by
/// a rule, or because no rule speaks of the cluster, is taken for one; super users keep everything.
pub fn brokers_cut_off(turn: &Turn<'_>, before: &Acls, after: &Acls) -> Vec<String> {
    let hosts = hosts(before.rules.iter().chain(&after.rules));
    let lost = |who: &&str| {
        !turn
            .lost_on_cluster(who, &hosts, &[Operation::ClusterAction])
            .is_empty()
    };
    let words = |who: &str| match who {
        STRANGER => "brokers that no rule names".to_owned(),
        who => who.to_owned(),
    };
    // Who has it by All on the cluster may be an operator; that is its own gate's to say, and named here too.
    let bearing = |who: &&str| {
        *who == STRANGER
            || before.rules.iter().any(|rule| {
                rule.resource == ResourceKind::Cluster
                    && rule.permission == Permission::Allow
                    && rule.principal == **who
                    && rule.covers(Operation::ClusterAction)
            })
    };
    principals(before).filter(bearing).filter(lost).map(words).collect()
}

/// Whether all of these are among the cluster's.
pub fn has_all(acls: &Acls, rules: &[Rule]) -> bool {
    count(acls, rules) == rules.iter().map(|rule| rule.operations.len()).sum::<usize>()
}

/// Whether none of these is.
pub fn has_none(acls: &Acls, rules: &[Rule]) -> bool {
    count(acls, rules) == 0
}

fn count(acls: &Acls, rules: &[Rule]) -> usize {
    let key = |rule: &Rule, operation: Operation| Rule {
        operations: vec![operation],
        ..rule.clone()
    };
    let atoms = |rule: &Rule| rule.operations.iter().map(|one| key(rule, *one)).collect::<Vec<_>>();
    let there: std::collections::HashSet<Rule> = acls.rules.iter().flat_map(atoms).collect();
    rules.iter().flat_map(atoms).filter(|atom| there.contains(atom)).count()
}
