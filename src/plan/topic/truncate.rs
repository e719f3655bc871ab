//! Deleting the records before an offset: the beginning of the log moves, for every reader.

use std::collections::BTreeMap;

use crate::model::Moment;
use crate::model::ends::Ends;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::group::{Offset, To, ends_known, named, target};
use crate::plan::summary::plural;
use crate::plan::{Error, Kind, Plan, Step, Undo, known};

/// What shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncate {
    /// Topics, or `TOPIC:PARTITION`.
    pub names: Vec<String>,
    /// What lies before it goes.
    pub before: To,
}

/// Plans it. Needs cluster, topics, groups, offsets, and the topics' configs.
///
/// # Errors
/// When a name does not exist, is Kafka's own, or nothing lies before.
pub fn truncate(snapshot: &Snapshot, wish: &Truncate, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.topics, "the topics")?;
    let ends = Ends::of(snapshot);
    let (mut offsets, mut unknown): (BTreeMap<String, Vec<Offset>>, Vec<String>) = Default::default();
    for (topic, partition) in named(snapshot, &wish.names)? {
        if snapshot.topic(&topic).is_some_and(|topic| topic.internal) {
            return Err(Error::Impossible(format!(
                "{topic} is Kafka's own topic; it is compacted, not emptied"
            )));
        }
        let name = format!("{topic}-{partition}");
        let Some((start, end)) = ends.get(&topic, partition).map(|told| (told.span.start, told.span.end)) else {
            unknown.push(name);
            continue;
        };
        match target(&wish.before, &topic, partition, None, (start, end)) {
            None => unknown.push(name),
            Some(to) if to.min(end) > start => offsets.entry(topic.clone()).or_default().push(Offset {
                topic,
                partition,
                from: Some(start),
                to: to.min(end),
            }),
            Some(_) => {}
        }
    }
    if offsets.is_empty() && unknown.is_empty() {
        return Err(Error::Nothing("no record lies before it".to_owned()));
    }
    let all: Vec<&Offset> = offsets.values().flatten().collect();
    let records: i64 = all.iter().map(|one| one.to - one.from.unwrap_or(one.to)).sum();
    let title = format!("{records} records of {}", plural(all.len(), "partition"));
    let gates = vec![
        policy(snapshot, offsets.keys()),
        unread(snapshot, &all),
        ends_known(&unknown),
    ];
    let steps = offsets.into_iter().filter_map(|(name, offsets)| {
        let id = snapshot.topic(&name)?.id;
        Some(Step::Truncate {
            topic: name,
            id,
            offsets,
        })
    });
    let undo = Undo::None {
        why: "the records are deleted".to_owned(),
    };
    Ok(Plan {
        title,
        steps: steps.collect(),
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::TopicTruncate, context, now)?
    })
}

/// Kafka refuses it where records are only compacted. Source: DeleteRecords, POLICY_VIOLATION.
fn policy<'a>(snapshot: &Snapshot, topics: impl Iterator<Item = &'a String>) -> Gate {
    let (mut compacted, mut unknown) = (Vec::new(), Vec::new());
    for topic in topics {
        match super::cleanup(snapshot, topic) {
            Ok(policy) if policy.split(',').all(|word| word.trim() != "delete") => compacted.push(topic.clone()),
            Ok(_) => {}
            Err(why) => unknown.push(format!("{topic} ({why})")),
        }
    }
    if !unknown.is_empty() {
        let text = format!("cleanup.policy is not known of {}", few(&unknown));
        return Gate::new("policy", Class::Soft, Verdict::Unknown, text);
    }
    let well = "cleanup.policy lets records be deleted";
    Gate::none_of("policy", Class::Hard, &compacted, well, "topics are only compacted")
}

/// Groups that stand before what goes.
fn unread(snapshot: &Snapshot, offsets: &[&Offset]) -> Gate {
    let Some(groups) = snapshot.groups.get() else {
        let why = snapshot.groups.problem().unwrap_or_default();
        return Gate::new("readers", Class::Soft, Verdict::Unknown, why);
    };
    let mut behind: BTreeMap<&str, i64> = BTreeMap::new();
    for group in groups {
        for commit in &group.commits {
            let same = |one: &&&Offset| one.topic == commit.topic && one.partition == commit.partition;
            let lost = offsets.iter().find(same).map_or(0, |one| one.to - commit.offset);
            if lost > 0 {
                *behind.entry(&group.name).or_default() += lost;
            }
        }
    }
    let behind: Vec<String> = behind
        .into_iter()
        .map(|(group, records)| format!("{group} has not read {records} of them"))
        .collect();
    Gate::none_of(
        "readers",
        Class::Soft,
        &behind,
        "every group has read them",
        "groups stand before it",
    )
}
