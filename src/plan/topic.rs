//! Plans that create, widen, empty or delete topics.

mod truncate;
mod widen;

use std::collections::BTreeMap;

use super::gate::{Class, Gate, Verdict};
use super::{Error, Kind, Plan, Step, Undo, known};
use crate::model::Moment;
use crate::model::config::Owner;
use crate::model::group::Group;
use crate::model::snapshot::Snapshot;

pub use truncate::{Truncate, truncate};
pub use widen::add_partitions;

/// What a new topic shall be; `None` leaves it to the brokers' defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    pub configs: BTreeMap<String, String>,
}

/// Plans one new topic. Needs cluster and topics.
///
/// # Errors
/// When the name is taken or not a topic's name, or there are too few brokers.
pub fn create(snapshot: &Snapshot, topic: &NewTopic, context: &str, now: Moment) -> Result<Plan, Error> {
    check_name(&topic.name)?;
    known(&snapshot.topics, "the topics")?;
    if snapshot.topic(&topic.name).is_some() {
        return Err(Error::Impossible(format!("topic {} exists already", topic.name)));
    }
    // Kafka refuses such a pair because their metrics would have one name.
    let folded = |name: &str| name.replace('.', "_");
    if let Some(other) = snapshot
        .topics()
        .iter()
        .find(|other| folded(&other.name) == folded(&topic.name))
    {
        return Err(Error::Impossible(format!(
            "{} collides with {}: '.' and '_' are one in metrics",
            topic.name, other.name
        )));
    }
    let step = Step::CreateTopic {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.configs.clone(),
    };
    let gates = vec![brokers(snapshot, topic), replication(topic)];
    let undo = Undo::Partial {
        how: "delete the topic, with all records written meanwhile".to_owned(),
    };
    Ok(Plan {
        title: format!("create topic {}", topic.name),
        steps: vec![step],
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::TopicCreate, context, now)?
    })
}

/// Plans the deletion of topics, pinned to their ids. Needs cluster, topics and groups.
///
/// # Errors
/// When a name does not exist, or is Kafka's own.
pub fn delete(snapshot: &Snapshot, names: &[String], context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.topics, "the topics")?;
    let mut steps = Vec::new();
    for name in names {
        let topic = snapshot
            .topic(name)
            .ok_or_else(|| Error::Impossible(format!("there is no topic {name}")))?;
        if topic.internal {
            return Err(Error::Impossible(format!(
                "{name} is Kafka's own topic; deleting it loses every group's offsets"
            )));
        }
        steps.push(Step::DeleteTopic {
            name: name.clone(),
            id: topic.id,
            partitions: topic.partitions.len() as u32,
        });
    }
    if steps.is_empty() {
        return Err(Error::Nothing("no topic was named".to_owned()));
    }
    let gates = vec![readers(snapshot, names), writers(snapshot, names)];
    let undo = Undo::None {
        why: "the records are deleted".to_owned(),
    };
    let title = match names {
        [only] => format!("delete topic {only}"),
        many => format!("delete {} topics", many.len()),
    };
    Ok(Plan {
        title,
        steps,
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::TopicDelete, context, now)?
    })
}

/// The topic's `cleanup.policy`, or why it is not known.
fn cleanup<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a str, String> {
    let told = snapshot.owned_configs.get(&Owner::Topic(name.to_owned()));
    let told = told.ok_or("its configs were not asked for")?;
    let configs = told.get().ok_or_else(|| told.problem().unwrap_or_default())?;
    let policy = configs.iter().find(|config| config.name == "cleanup.policy");
    let policy = policy.and_then(|config| config.value.as_deref());
    policy.ok_or_else(|| "its brokers do not tell cleanup.policy".to_owned())
}

/// Kafka's rule for names: 1 to 249 of letters, digits, `.`, `_`, `-`, and neither `.` nor `..`.
fn check_name(name: &str) -> Result<(), Error> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        let rule = "1 to 249 of the letters a-z A-Z, digits, '.', '_' and '-'";
        return Err(Error::Impossible(format!("{name:?} is no topic name: {rule}")));
    }
    Ok(())
}

fn brokers(snapshot: &Snapshot, topic: &NewTopic) -> Gate {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let live = brokers.iter().filter(|broker| !broker.fenced).count();
    let Some(factor) = topic.replication_factor else {
        let verdict = if live > 0 { Verdict::Pass } else { Verdict::Fail };
        let evidence = format!("{live} brokers; how many replicas is left to their default");
        return Gate::new("brokers", Class::Hard, verdict, evidence);
    };
    let enough = usize::try_from(factor).is_ok_and(|wanted| live >= wanted);
    let verdict = if enough { Verdict::Pass } else { Verdict::Fail };
    Gate::new(
        "brokers",
        Class::Hard,
        verdict,
        format!("{live} brokers, {factor} replicas wanted"),
    )
}

fn replication(topic: &NewTopic) -> Gate {
    match topic.replication_factor {
        Some(factor) if factor < 3 => {
            let evidence = format!("replication factor {factor}: the loss of one zone and one broker loses records");
            Gate::new("replication", Class::Soft, Verdict::Warn, evidence)
        }
        Some(factor) => Gate::new(
            "replication",
            Class::Soft,
            Verdict::Pass,
            format!("replication factor {factor}"),
        ),
        None => Gate::new(
            "replication",
            Class::Soft,
            Verdict::Warn,
            "replication factor is left to the brokers' default",
        ),
    }
}

/// Groups with members that read one of the topics.
fn readers(snapshot: &Snapshot, names: &[String]) -> Gate {
    let Some(groups) = snapshot.groups.get() else {
        let why = snapshot.groups.problem().unwrap_or_default();
        return Gate::new(
            "readers",
            Class::Soft,
            Verdict::Unknown,
            format!("groups are not known: {why}"),
        );
    };
    let reads = |group: &Group| {
        group
            .members
            .iter()
            .flat_map(|member| &member.assignment)
            .any(|(topic, _)| names.iter().any(|name| topic == name))
    };
    let reading: Vec<String> = groups
        .iter()
        .filter(|group| reads(group))
        .map(|group| group.name.clone())
        .collect();
    Gate::none_of(
        "readers",
        Class::Soft,
        &reading,
        "no group has a member that reads it",
        "groups read it now",
    )
}

/// Partitions that grow right now. A rate needs two looks; without them nothing is known.
fn writers(snapshot: &Snapshot, names: &[String]) -> Gate {
    let topics = names.iter().filter_map(|name| snapshot.topic(name));
    let rates: Vec<(String, Option<f64>)> = topics
        .flat_map(|topic| topic.partitions.iter().map(move |p| (topic.name.as_str(), p.partition)))
        .map(|(topic, partition)| {
            let rate = snapshot.span(topic, partition).and_then(|span| span.rate);
            (format!("{topic}-{partition}"), rate)
        })
        .collect();
    let growing: Vec<String> = rates
        .iter()
        .filter(|(_, rate)| rate.is_some_and(|rate| rate > 0.0))
        .map(|(name, _)| name.clone())
        .collect();
    let blind: Vec<String> = rates
        .iter()
        .filter(|(_, rate)| rate.is_none())
        .map(|(name, _)| name.clone())
        .collect();
    if growing.is_empty() && !blind.is_empty() {
        let evidence = format!("whether somebody writes is not known of {}", super::gate::few(&blind));
        return Gate::new("writers", Class::Soft, Verdict::Warn, evidence);
    }
    Gate::none_of(
        "writers",
        Class::Soft,
        &growing,
        "nothing was written while it was looked at",
        "partitions are written now",
    )
}
