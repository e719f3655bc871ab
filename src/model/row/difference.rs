//! Two clusters beside each other: what only one has, and what both have otherwise. Before clients move from one to the other,
//! nothing that they use may be missing there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::acl::{Acls, ResourceKind, Rule};
use crate::model::config::{Config, ConfigSource};
use crate::model::mirror::{is_own, original};
use crate::model::snapshot::Snapshot;
use crate::model::topic::Topic;

/// What is compared.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Part {
    Topics,
    Configs,
    Acls,
    Quotas,
    Users,
    Offsets,
}

/// How the two stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Side {
    OnlyA,
    OnlyB,
    Differs,
}

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub part: Part,
    /// `orders`, `User:billing …`, `group billing orders-3`.
    pub name: String,
    /// What of it: `partitions`, `retention.ms`; empty where it is the thing itself.
    pub field: String,
    pub side: Side,
    pub a: Option<String>,
    pub b: Option<String>,
}

/// Values by name and field; the field is empty where it is the thing itself.
type Facts = BTreeMap<(String, String), String>;

/// What differs in these parts, sorted. A part that one of them does not tell is left out: its reason is in the snapshot.
pub fn between(a: &Snapshot, b: &Snapshot, parts: &[Part]) -> Vec<Difference> {
    let mut differences: Vec<Difference> = parts
        .iter()
        .filter_map(|part| Some((*part, facts(a, *part)?, facts(b, *part)?)))
        .flat_map(|(part, a, b)| compared(part, &a, &b))
        .collect();
    differences.sort();
    differences
}

/// The same where `b` is a mirror of `a` by MirrorMaker 2 under this alias: a copy goes by the name of what it copies, and
/// MirrorMaker's own topics are left out. Offsets are those of another log, so that only a commit that is missing differs.
pub fn between_mirrored(a: &Snapshot, b: &Snapshot, alias: &str, parts: &[Part]) -> Vec<Difference> {
    let (a, b) = (
        renamed(a, str::to_owned),
        renamed(b, |topic| original(alias, topic).to_owned()),
    );
    let mut differences = between(&a, &b, parts);
    differences.retain(|one| one.part != Part::Offsets || one.side != Side::Differs);
    differences
}

/// Without MirrorMaker's own topics, and with other names for the rest.
fn renamed(snapshot: &Snapshot, name: impl Fn(&str) -> String) -> Snapshot {
    let mut snapshot = snapshot.clone();
    if let Some(value) = snapshot.topics.value.take() {
        let mut topics: Vec<Topic> = value.iter().filter(|topic| !is_own(&topic.name)).cloned().collect();
        for topic in &mut topics {
            topic.name = name(&topic.name);
        }
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        snapshot.topics.value = Some(topics.into());
    }
    if let Some(value) = snapshot.topic_configs.value.take() {
        let kept = value.iter().filter(|(topic, _)| !is_own(topic));
        let configs: BTreeMap<_, _> = kept.map(|(topic, configs)| (name(topic), configs.clone())).collect();
        snapshot.topic_configs.value = Some(configs.into());
    }
    if let Some(value) = snapshot.groups.value.take() {
        let mut groups = Vec::clone(&value);
        for commit in groups.iter_mut().flat_map(|group| &mut Arc::make_mut(group).commits) {
            commit.topic = name(&commit.topic).into();
        }
        snapshot.groups.value = Some(groups.into());
    }
    if let Some(value) = snapshot.acls.value.take() {
        let mut acls = Acls::clone(&value);
        for rule in acls
            .rules
            .iter_mut()
            .filter(|rule| rule.resource == ResourceKind::Topic)
        {
            rule.name = name(&rule.name);
        }
        snapshot.acls.value = Some(acls.into());
    }
    snapshot
}

fn compared(part: Part, a: &Facts, b: &Facts) -> Vec<Difference> {
    let mut keys: Vec<&(String, String)> = a.keys().chain(b.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    // Of what one side does not have at all, that is said once.
    let lacks = |facts: &Facts, name: &str| !facts.keys().any(|(known, _)| known == name);
    let difference = |(name, field): &(String, String)| {
        let (in_a, in_b) = (
            a.get(&(name.clone(), field.clone())),
            b.get(&(name.clone(), field.clone())),
        );
        let side = match (in_a, in_b) {
            (Some(one), Some(other)) if one == other => return None,
            (Some(_), Some(_)) => Side::Differs,
            (Some(_), None) => Side::OnlyA,
            _ => Side::OnlyB,
        };
        let whole = !field.is_empty() && (lacks(a, name) || lacks(b, name)) && part == Part::Topics;
        (!whole).then(|| Difference {
            part,
            name: name.clone(),
            field: field.clone(),
            side,
            a: in_a.cloned(),
            b: in_b.cloned(),
        })
    };
    keys.into_iter().filter_map(difference).collect()
}

fn facts(snapshot: &Snapshot, part: Part) -> Option<Facts> {
    match part {
        Part::Topics => Some(topics(snapshot)).filter(|_| snapshot.topics.get().is_some()),
        Part::Configs => configs(snapshot),
        Part::Acls => Some(snapshot.acls.get()?.rules.iter().flat_map(rules).collect()),
        Part::Quotas => {
            let quotas = snapshot.quotas.get()?.iter();
            let limits = quotas.flat_map(|quota| {
                quota
                    .limits
                    .iter()
                    .map(|(name, value)| (quota.entity.words(), name, value))
            });
            Some(
                limits
                    .map(|(entity, name, value)| ((entity, name.clone()), value.to_string()))
                    .collect(),
            )
        }
        Part::Users => {
            let users = snapshot.users.get()?.iter();
            let keys = users.flat_map(|user| user.credentials.iter().map(|one| (user.name.clone(), one)));
            // Brokers tell no secrets, so two passwords cannot be compared.
            Some(
                keys.map(|(name, one)| ((name, one.mechanism.clone()), format!("{} iterations", one.iterations)))
                    .collect(),
            )
        }
        Part::Offsets => {
            let groups = snapshot.groups.get()?.iter();
            let commits = groups.flat_map(|group| group.commits.iter().map(|commit| (group.name.clone(), commit)));
            let fact = |(group, commit): (String, &crate::model::group::Commit)| {
                (
                    (group, format!("{}-{}", commit.topic, commit.partition)),
                    commit.offset.to_string(),
                )
            };
            Some(commits.map(fact).collect())
        }
    }
}

fn topics(snapshot: &Snapshot) -> Facts {
    let mut facts = Facts::new();
    for topic in snapshot.topics().iter().filter(|topic| !topic.internal) {
        let replicas = topic.partitions.iter().map(|one| one.replicas.len()).max().unwrap_or(0);
        let mut add = |field: &str, value: String| facts.insert((topic.name.clone(), field.to_owned()), value);
        add("", "there".to_owned());
        add("partitions", topic.partitions.len().to_string());
        add("replication factor", replicas.to_string());
    }
    facts
}

/// What topics have set themselves, and the min ISR that follows for each; of topics that both have.
fn configs(snapshot: &Snapshot) -> Option<Facts> {
    let own = |config: &&Config| config.source == ConfigSource::Topic || config.name == "min.insync.replicas";
    let value = |config: &Config| match (&config.value, config.sensitive) {
        (_, true) => "hidden".to_owned(),
        (Some(value), false) => value.clone(),
        (None, false) => String::new(),
    };
    let internal = |name: &str| snapshot.topic(name).is_none_or(|topic| topic.internal);
    let topics = snapshot.topic_configs.get()?.iter().filter(|(name, _)| !internal(name));
    let configs = topics.flat_map(|(name, configs)| configs.iter().filter(own).map(move |config| (name, config)));
    Some(
        configs
            .map(|(name, config)| ((name.clone(), config.name.clone()), value(config)))
            .collect(),
    )
}

/// One for each operation, so that two lines that say the same in other ways are the same.
fn rules(rule: &Rule) -> Vec<((String, String), String)> {
    let one = |operation| {
        let single = Rule {
            operations: vec![operation],
            ..rule.clone()
        };
        ((single.to_string(), String::new()), "there".to_owned())
    };
    rule.operations.iter().copied().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::topic::Partition;
    use crate::model::user::{Credential, User};
    use crate::model::{Moment, Observed};

    fn topic(name: &str, partitions: i32) -> Topic {
        let partition = |partition| Partition {
            partition,
            replicas: [1, 2, 3].into(),
            ..Partition::default()
        };
        Topic {
            name: name.to_owned(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: (0..partitions).map(partition).collect(),
        }
    }

    fn snapshot(topics: Vec<Topic>, iterations: i32) -> Snapshot {
        let now = Moment::from_second(1_700_000_000).unwrap();
        let user = User {
            name: "anna".to_owned(),
            credentials: vec![Credential {
                mechanism: "SCRAM-SHA-512".to_owned(),
                iterations,
            }],
        };
        Snapshot {
            topics: Observed::fresh(topics, now),
            users: Observed::fresh(vec![user], now),
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_one_lacks_is_said_once_and_what_differs_with_both_values() {
        let a = snapshot(vec![topic("clicks", 3), topic("orders", 6)], 4096);
        let b = snapshot(vec![topic("clicks", 4), topic("payments", 1)], 8192);
        let parts = [Part::Topics, Part::Users, Part::Acls];
        let told: Vec<String> = between(&a, &b, &parts)
            .iter()
            .map(|one| {
                let value = |value: &Option<String>| value.clone().unwrap_or_default();
                format!(
                    "{} {} {} {} {}|{}",
                    one.part,
                    one.name,
                    one.field,
                    one.side,
                    value(&one.a),
                    value(&one.b)
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "topics clicks partitions differs 3|4",
                "topics orders  only_a there|",
                "topics payments  only_b |there",
                "users anna SCRAM-SHA-512 differs 4096 iterations|8192 iterations",
            ]
        );
        assert_eq!(between(&a, &a, &parts), []);
    }

    #[test]
    fn a_copy_goes_by_the_name_of_what_it_copies() {
        let a = snapshot(vec![topic("clicks", 3), topic("orders", 6)], 4096);
        let own = ["mm2-status.a.internal", "a.heartbeats", "a.checkpoints.internal"].map(|name| topic(name, 1));
        let mut topics = vec![topic("a.orders", 6)];
        topics.extend(own);
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        let b = snapshot(topics, 4096);
        let told = between_mirrored(&a, &b, "a", &[Part::Topics]);
        let told: Vec<_> = told.iter().map(|one| (one.name.as_str(), one.side)).collect();
        assert_eq!(told, [("clicks", Side::OnlyA)]);
    }
}
