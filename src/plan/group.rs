//! Plans that change where a group reads on, or forget it. Only groups without members: Kafka takes no other's offsets.
//!
//! Promises: every offset is within its log; each is shown before and after; what is skipped and what is read again is
//! counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::gate::{Class, Gate, Verdict, few};
use super::summary::plural;
use super::{Error, Kind, Plan, Step, Undo, known};
use crate::model::Moment;
use crate::model::ends::Ends;
use crate::model::group::Group;
use crate::model::snapshot::Snapshot;

/// One partition's offset, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    pub topic: String,
    pub partition: i32,
    /// `None` where nothing was committed.
    pub from: Option<i64>,
    pub to: i64,
}

/// Where a group shall read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    pub group: String,
    /// Topics, or `TOPIC:PARTITION`; every partition with a commit where there is none.
    pub names: Vec<String>,
    pub to: To,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    Earliest,
    Latest,
    Offset(i64),
    /// So many records before the end.
    Last(i64),
    /// So many records on, or back where it is negative.
    Shift(i64),
    /// The first record of this time or a later one. `found` is what the leaders say of it, `None` where no record is that
    /// young; it is asked when the plan is worked out.
    Since {
        time: Moment,
        found: BTreeMap<(String, i32), Option<i64>>,
    },
    /// Exactly these.
    Saved(Vec<Offset>),
}

impl Reset {
    /// What a plan leads to, partition by partition.
    pub(super) fn of(plan: &Plan) -> Self {
        let reset = plan.steps.iter().find_map(|step| match step {
            Step::ResetOffsets { group, offsets } => Some((group.clone(), offsets.clone())),
            _ => None,
        });
        let (group, offsets) = reset.unwrap_or_default();
        Self {
            group,
            names: Vec::new(),
            to: To::Saved(offsets),
        }
    }
}

/// The groups that a plan deletes.
pub(super) fn names(plan: &Plan) -> Vec<String> {
    let name = |step: &Step| match step {
        Step::DeleteGroup { group, .. } => Some(group.clone()),
        _ => None,
    };
    plan.steps.iter().filter_map(name).collect()
}

/// Plans a reset. Needs cluster, topics, groups and offsets.
///
/// # Errors
/// When there is no such group or partition, or nothing would change.
pub fn reset(snapshot: &Snapshot, wish: &Reset, context: &str, now: Moment) -> Result<Plan, Error> {
    let found = find(snapshot, &wish.group)?;
    let none = Group {
        name: wish.group.clone(),
        state: "Dead".to_owned(),
        ..Group::default()
    };
    let group = found.unwrap_or(&none);
    let ends = Ends::of(snapshot);
    let commits: BTreeMap<(&str, i32), i64> = group
        .commits
        .iter()
        .map(|commit| ((commit.topic.as_str(), commit.partition), commit.offset))
        .collect();
    let (mut offsets, mut unknown, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for (topic, partition) in chosen(snapshot, wish, &commits)? {
        let name = format!("{topic}-{partition}");
        let Some((start, end)) = ends.get(&topic, partition).map(|told| (told.span.start, told.span.end)) else {
            unknown.push(name);
            continue;
        };
        let from = commits.get(&(topic.as_str(), partition)).copied();
        let Some(wanted) = target(&wish.to, &topic, partition, from, (start, end)) else {
            unknown.push(name);
            continue;
        };
        let to = wanted.clamp(start, end);
        if to != wanted {
            moved.push(format!("{name} {wanted} → {to}"));
        }
        if from != Some(to) {
            offsets.push(Offset {
                topic,
                partition,
                from,
                to,
            });
        }
    }
    if offsets.is_empty() && unknown.is_empty() {
        return Err(Error::Nothing(format!("group {} stands there already", wish.group)));
    }
    let saved = matches!(wish.to, To::Saved(_));
    let gates = vec![
        exists(&wish.group, found.is_some() || saved),
        members(group),
        ends_known(&unknown),
        within(&moved),
        skipped(&offsets),
    ];
    let title = format!("group {} in {}", wish.group, plural(offsets.len(), "partition"));
    let undo = match offsets.iter().all(|offset| offset.from.is_some()) {
        true => Undo::Full {
            how: "the offsets as they were".to_owned(),
        },
        false => Undo::Partial {
            how: "the offsets as they were; what had none keeps the new one".to_owned(),
        },
    };
    let steps = match offsets.is_empty() {
        true => Vec::new(),
        false => vec![Step::ResetOffsets {
            group: wish.group.clone(),
            offsets,
        }],
    };
    Ok(Plan {
        title,
        steps,
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::GroupReset, context, now)?
    })
}

/// Plans to forget groups. Needs cluster, groups and offsets.
///
/// # Errors
/// When there is no such group.
pub fn delete(snapshot: &Snapshot, names: &[String], context: &str, now: Moment) -> Result<Plan, Error> {
    let ends = Ends::of(snapshot);
    let (mut steps, mut gates) = (Vec::new(), Vec::new());
    let mut behind = Vec::new();
    for name in names {
        let group = find(snapshot, name)?;
        let group = group.ok_or_else(|| Error::Impossible(format!("there is no group {name}")))?;
        gates.push(members(group));
        let offsets = group.commits.iter().map(|commit| Offset {
            topic: commit.topic.to_string(),
            partition: commit.partition,
            from: Some(commit.offset),
            to: commit.offset,
        });
        let lag: i64 = group
            .commits
            .iter()
            .filter_map(|commit| Some(ends.get(&commit.topic, commit.partition)?.span.end - commit.offset))
            .sum();
        if lag > 0 {
            behind.push(format!("{name} has {lag} records to read"));
        }
        steps.push(Step::DeleteGroup {
            group: name.clone(),
            offsets: offsets.collect(),
        });
    }
    if steps.is_empty() {
        return Err(Error::Nothing("no group was named".to_owned()));
    }
    gates.push(match behind.is_empty() {
        true => Gate::new("unread", Class::Soft, Verdict::Pass, "they have read all there is"),
        false => Gate::new("unread", Class::Soft, Verdict::Warn, few(&behind)),
    });
    let title = match names {
        [only] => format!("group {only}"),
        many => format!("{} groups", many.len()),
    };
    let undo = Undo::Full {
        how: "the offsets as they were, committed again".to_owned(),
    };
    Ok(Plan {
        title,
        steps,
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::GroupDelete, context, now)?
    })
}

/// Where a partition's offset shall be, wherever its log is; `None` when that is not known.
pub(super) fn target(to: &To, topic: &str, partition: i32, from: Option<i64>, (start, end): (i64, i64)) -> Option<i64> {
    match to {
        To::Earliest => Some(start),
        To::Latest => Some(end),
        To::Offset(offset) => Some(*offset),
        To::Last(count) => Some(end.saturating_sub(*count)),
        // Who has committed nothing begins where the log does.
        To::Shift(by) => Some(from.unwrap_or(start).saturating_add(*by)),
        To::Since { found, .. } => Some(found.get(&(topic.to_owned(), partition))?.unwrap_or(end)),
        To::Saved(saved) => {
            let same = |one: &&Offset| one.topic == topic && one.partition == partition;
            Some(saved.iter().find(same)?.to)
        }
    }
}

/// The partitions that are meant, in order.
fn chosen(
    snapshot: &Snapshot,
    wish: &Reset,
    commits: &BTreeMap<(&str, i32), i64>,
) -> Result<BTreeSet<(String, i32)>, Error> {
    known(&snapshot.topics, "the topics")?;
    if let To::Saved(saved) = &wish.to {
        return Ok(saved.iter().map(|one| (one.topic.clone(), one.partition)).collect());
    }
    if wish.names.is_empty() {
        if commits.is_empty() {
            let group = &wish.group;
            return Err(Error::Impossible(format!(
                "group {group} has committed nothing; name topics with --topic"
            )));
        }
        return Ok(commits
            .keys()
            .map(|(topic, partition)| ((*topic).to_owned(), *partition))
            .collect());
    }
    named(snapshot, &wish.names)
}

/// The partitions of these names, each a topic or `TOPIC:PARTITION`.
pub(super) fn named(snapshot: &Snapshot, names: &[String]) -> Result<BTreeSet<(String, i32)>, Error> {
    let mut all = BTreeSet::new();
    for name in names {
        let (topic, partition) = match name.rsplit_once(':') {
            Some((topic, number)) => (topic, Some(number)),
            None => (name.as_str(), None),
        };
        let found = snapshot.topic(topic);
        let found = found.ok_or_else(|| Error::Impossible(format!("there is no topic {topic}")))?;
        let mut own = found.partitions.iter().map(|one| one.partition);
        match partition {
            None => all.extend(own.map(|partition| (topic.to_owned(), partition))),
            Some(number) => {
                let number = own.find(|one| one.to_string() == number).ok_or_else(|| {
                    let last = found.partitions.len().saturating_sub(1);
                    Error::Impossible(format!("topic {topic} has partitions 0 to {last}, no {number}"))
                })?;
                all.insert((topic.to_owned(), number));
            }
        }
    }
    Ok(all)
}

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> Result<Option<&'a Group>, Error> {
    known(&snapshot.groups, "the groups")?;
    if let Some(group) = snapshot.group(name) {
        return Ok(Some(group));
    }
    // A coordinator that was not heard may have it.
    match snapshot
        .coordinators
        .iter()
        .find_map(|(id, told)| Some((id, told.problem()?)))
    {
        Some((id, why)) => Err(Error::Blind {
            what: "the groups of all coordinators",
            why: format!("broker {id}: {why}"),
        }),
        None => Ok(None),
    }
}

/// Kafka makes a group of whatever name offsets are committed for.
fn exists(name: &str, exists: bool) -> Gate {
    match exists {
        true => Gate::new("exists", Class::Soft, Verdict::Pass, format!("group {name} is known")),
        false => Gate::new(
            "exists",
            Class::Soft,
            Verdict::Fail,
            format!("there is no group {name} yet"),
        ),
    }
}

/// Kafka refuses to change what somebody reads.
pub(super) fn members(group: &Group) -> Gate {
    let name = &group.name;
    if group.members.is_empty() && matches!(group.state.as_str(), "Empty" | "Dead") {
        return Gate::new(
            "members",
            Class::Hard,
            Verdict::Pass,
            format!("group {name} has no members"),
        );
    }
    let hosts: Vec<String> = group
        .members
        .iter()
        .map(|one| format!("{}@{}", one.client, one.host))
        .collect();
    let who = match hosts.is_empty() {
        true => String::new(),
        false => format!(": {}; stop them first", few(&hosts)),
    };
    let text = format!(
        "group {name} is {} with {}{who}",
        group.state,
        plural(group.members.len(), "member")
    );
    Gate::new("members", Class::Hard, Verdict::Fail, text)
}

/// What stays because nobody tells where its log is.
pub(super) fn ends_known(unknown: &[String]) -> Gate {
    match unknown.len() {
        0 => Gate::new(
            "ends",
            Class::Soft,
            Verdict::Pass,
            "where each log begins and ends is known",
        ),
        count => {
            let text = format!(
                "{count} stay, their leaders do not tell where the log is: {}",
                few(unknown)
            );
            Gate::new("ends", Class::Soft, Verdict::Unknown, text)
        }
    }
}

fn within(moved: &[String]) -> Gate {
    match moved.len() {
        0 => Gate::new("within", Class::Soft, Verdict::Pass, "every offset is within its log"),
        count => Gate::new(
            "within",
            Class::Soft,
            Verdict::Warn,
            format!("{count} lie outside of the log: {}", few(moved)),
        ),
    }
}

fn skipped(offsets: &[Offset]) -> Gate {
    let (mut skipped, mut again) = (0_i64, 0_i64);
    for offset in offsets {
        let by = offset.from.map_or(0, |from| offset.to - from);
        if by > 0 { skipped += by } else { again -= by }
    }
    match (skipped, again) {
        (0, 0) => Gate::new(
            "records",
            Class::Soft,
            Verdict::Pass,
            "nothing is skipped or read again",
        ),
        (0, again) => Gate::new(
            "records",
            Class::Soft,
            Verdict::Pass,
            format!("{again} records are read again"),
        ),
        (skipped, 0) => Gate::new(
            "records",
            Class::Soft,
            Verdict::Warn,
            format!("{skipped} records are never read"),
        ),
        (skipped, again) => {
            let text = format!("{skipped} records are never read, {again} are read again");
            Gate::new("records", Class::Soft, Verdict::Warn, text)
        }
    }
}
