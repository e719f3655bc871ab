//! Plans that move replicas: from what somebody wants, or an explicit assignment, to moves, gates and what they cost.
//!
//! A pure function of snapshot and wish: the same both times gives the same plan. Promises: replicas of a partition on
//! distinct brokers; racks never less evenly used than before, unless there are fewer replicas or no other brokers, and
//! then the gate `rack-spread` says so; bytes within 1.05 times the least that the goal takes, which the plan shows;
//! another preferred leader only where the goal needs one; nothing for brokers that are dead, fenced or being emptied, nor
//! for disks that it would fill beyond their limit.

mod cancel;
pub(super) mod disk;
mod drain;
mod factor;
mod gate;
mod json;
mod layout;
mod leaders;
mod level;
mod outcome;
pub mod refresh;
mod spread;
pub(in crate::plan) mod throttle;
#[cfg(test)]
mod tests;
pub mod watch;
mod wish;

use std::collections::{BTreeMap, BTreeSet};

pub use cancel::{Cancel, cancel};
pub use json::{parse, write};
pub use outcome::{Aim, Least, Skew};
pub use throttle::{MaxRate, Throttle};
pub(super) use wish::brokers;
pub use wish::{Goal, Measure, Wish, topic_pattern};

use super::gate::few;
use super::impact::Impact;
use super::summary::size;
use super::{Error, Kind, Lead, Move, Plan, Step, Undo, known};
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::model::{BrokerId, Moment};
use layout::{Layout, Sizes};
use outcome::Outcome;

/// This many partitions are asked of the controller at once, and verified before the next.
/// Source: AWS MSK, reassignments of at most 10 partitions a call for Standard brokers.
const BATCH: usize = 10;
/// So many where the bytes in flight are limited instead.
const BATCH_OF_BYTES: usize = 100;

/// Where one partition shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<BrokerId>,
    /// Of the file that says so, counted from 1.
    pub line: Option<usize>,
}

impl Target {
    pub fn new(topic: &str, partition: i32, replicas: Vec<BrokerId>) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            replicas,
            line: None,
        }
    }

    /// `line 12: `, or nothing.
    fn origin(&self) -> String {
        self.line.map(|line| format!("line {line}: ")).unwrap_or_default()
    }

    /// `line 12: orders-3`.
    fn name(&self) -> String {
        format!("{}{}-{}", self.origin(), self.topic, self.partition)
    }
}

/// Works out what a wish takes. Needs cluster, topics, reassignments and log dirs; fewer replicas need topic configs too.
///
/// # Errors
/// When a name does not exist, the wish makes no sense or cannot be fulfilled, or nothing would change.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    known(&snapshot.topics, "the topics")?;
    let sizes = Sizes::of(snapshot);
    let (targets, aim) = match &wish.goal {
        Goal::Assign(targets) => (targets.clone(), None),
        _ => {
            let (targets, aim) = work_out(snapshot, &sizes, wish)?;
            (targets, Some(aim))
        }
    };
    let moves = moves(snapshot, &sizes, &targets)?;
    if moves.is_empty() {
        return Err(nothing(wish, aim.as_ref()));
    }
    let impact = Impact::of(&moves, snapshot);
    let mut gates = gate::gates(snapshot, &moves, &impact);
    let undo = undo(&moves);
    let title = wish.goal.title().unwrap_or_else(|| title(&moves));
    let leads = elections(snapshot, &moves);
    let batches = batches(moves, wish.max_bytes_in_flight);
    let (throttle, its_gates) = throttle::solve(snapshot, &batches, wish.max_rate, now);
    gates.extend(its_gates);
    Ok(Plan {
        title,
        gates,
        undo,
        impact,
        steps: throttle::around(snapshot, batches, throttle.as_ref())
            .into_iter()
            .chain(leads)
            .collect(),
        aim,
        throttle,
        ..Plan::draft(snapshot, Kind::Reassign, context, now)?
    })
}

/// A partition whose leader stays goes on being led by it, however its order changes: whom it prefers then is elected. One
/// whose leader goes is led by the first of its new order anyway.
fn elections(snapshot: &Snapshot, moves: &[Move]) -> Option<Step> {
    let lead = |m: &Move| {
        let leader = placed(snapshot, m)?.leader?;
        let first = m.to.first().copied().filter(|first| *first != leader)?;
        m.to.contains(&leader).then(|| Lead {
            topic: m.topic.clone(),
            partition: m.partition,
            from: Some(leader),
            to: Some(first),
        })
    };
    // Who did not prefer its leader before is none of this plan's business.
    let turned = moves.iter().filter(|m| m.from.first() != m.to.first());
    let leads: Vec<Lead> = turned.filter_map(lead).collect();
    (!leads.is_empty()).then_some(Step::Elect { leads })
}

/// Where partitions shall be for a goal, and how near that comes to the least.
fn work_out(snapshot: &Snapshot, sizes: &Sizes<'_>, wish: &Wish) -> Result<(Vec<Target>, Aim), Error> {
    let scope = wish.scope()?;
    if !snapshot.topics().iter().any(|topic| scope(&topic.name)) {
        return Err(Error::Impossible(
            "there is no topic that --topic and --exclude leave".to_owned(),
        ));
    }
    // Who asks for another number of replicas means topics of people, unless internal ones are named.
    let named = wish.topics.is_some();
    let internal = |name: &str| snapshot.topic(name).is_some_and(|topic| topic.internal);
    let spare = matches!(wish.goal, Goal::Factor(_)) && !named;
    let mut layout = Layout::of(snapshot, sizes, |name| scope(name) && !(spare && internal(name)));
    let layout = &mut layout;
    let outcome: Outcome = match &wish.goal {
        Goal::Assign(_) => Outcome::new(layout),
        Goal::Drain(ids) => drain::brokers_of(layout, ids)?,
        Goal::Replace(pairs) => drain::replace(layout, pairs)?,
        Goal::DrainDir { broker, path } => drain::dir(layout, snapshot, *broker, path.as_deref())?,
        Goal::Add(ids) => level::add(layout, ids)?,
        Goal::Spread => spread::racks(layout),
        Goal::Balance(Measure::Leaders) => leaders::balance(layout),
        Goal::Balance(measure) => level::balance(layout, *measure),
        Goal::Factor(count) => factor::set(layout, usize::try_from(*count).unwrap_or(0).max(1))?,
    };
    let aim = Aim {
        least: outcome.least,
        skew_now: outcome.now,
        skew_after: Skew::of(layout, &layout.open()),
        notes: outcome.sentences(),
    };
    Ok((layout.targets(), aim))
}

fn nothing(wish: &Wish, aim: Option<&Aim>) -> Error {
    let why = match &wish.goal {
        Goal::Assign(_) => "every partition already has these replicas in this order",
        Goal::Drain(_) | Goal::Replace(_) | Goal::DrainDir { .. } => "no replica is there that could be moved",
        Goal::Add(_) => "the new brokers hold their share already, or nothing of theirs is small enough to be moved",
        Goal::Spread => "every partition is spread over the racks as evenly as they allow",
        Goal::Balance(_) => "every broker is within 2.5 % of its share, or no move brings one nearer without waste",
        Goal::Factor(_) => "every partition has that number of replicas already",
    };
    let first = match wish.goal.title() {
        Some(title) => format!("{title}: {why}"),
        None => why.to_owned(),
    };
    let notes = aim.into_iter().flat_map(|aim| aim.notes.clone());
    let parts: Vec<String> = std::iter::once(first).chain(notes).collect();
    Error::Nothing(parts.join("; "))
}

/// From where each target's partition is to where it shall be, those that are there left out.
fn moves(snapshot: &Snapshot, sizes: &Sizes<'_>, targets: &[Target]) -> Result<Vec<Move>, Error> {
    let listed = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let brokers: BTreeSet<BrokerId> = listed.iter().map(|broker| broker.id).collect();
    let mut seen = BTreeSet::new();
    let mut moves = Vec::new();
    for target in targets {
        let partition = find(snapshot, target)?;
        check(target, partition, &brokers)?;
        if !seen.insert((&target.topic, target.partition)) {
            let name = target.name();
            return Err(Error::Impossible(format!("{name} is in the assignment twice")));
        }
        if partition.replicas != target.replicas {
            moves.push(Move {
                topic: target.topic.clone(),
                partition: target.partition,
                from: partition.replicas.to_vec(),
                to: target.replicas.clone(),
                size_bytes: sizes.get(&target.topic, target.partition),
            });
        }
    }
    Ok(moves)
}

/// What is asked of the controller at once: ten partitions, or as many as copy the bytes that may be in flight.
fn batches(moves: Vec<Move>, limit: Option<u64>) -> Vec<Vec<Move>> {
    let Some(limit) = limit else {
        return moves.chunks(BATCH).map(<[Move]>::to_vec).collect();
    };
    let (mut batches, mut flying): (Vec<Vec<Move>>, u64) = (Vec::new(), 0);
    for one in moves {
        // What is not known may be as much as is allowed.
        let bytes = one.copied_bytes().unwrap_or(limit);
        let full = |batch: &Vec<Move>| batch.len() >= BATCH_OF_BYTES || flying.saturating_add(bytes) > limit;
        match batches.last_mut().filter(|batch| !full(batch)) {
            Some(batch) => {
                batch.push(one);
                flying += bytes;
            }
            None => {
                batches.push(vec![one]);
                flying = bytes;
            }
        }
    }
    batches
}

fn find<'a>(snapshot: &'a Snapshot, target: &Target) -> Result<&'a Partition, Error> {
    let line = target.origin();
    let topic = snapshot.topic(&target.topic);
    let topic = topic.ok_or_else(|| Error::Impossible(format!("{line}there is no topic {}", target.topic)))?;
    topic.partition(target.partition).ok_or_else(|| {
        let last = topic.partitions.len().saturating_sub(1);
        Error::Impossible(format!(
            "{line}topic {} has partitions 0 to {last}, no {}",
            target.topic, target.partition
        ))
    })
}

fn check(target: &Target, partition: &Partition, brokers: &BTreeSet<BrokerId>) -> Result<(), Error> {
    let wrong = |what: String| Err(Error::Impossible(format!("{} {what}", target.name())));
    let replicas = &target.replicas;
    if replicas.is_empty() {
        return wrong(format!("would have no replica; it has {}", partition.replicas.len()));
    }
    // They are few.
    let is_again = |(at, id): (usize, &BrokerId)| replicas[..at].contains(id);
    if replicas.iter().enumerate().any(is_again) {
        return wrong(format!("names a broker twice: {replicas:?}"));
    }
    match replicas.iter().find(|id| !brokers.contains(id)) {
        Some(id) => wrong(format!(
            "names broker {id}, which is not in the cluster ({})",
            few(&brokers.iter().map(BrokerId::to_string).collect::<Vec<_>>())
        )),
        None => Ok(()),
    }
}

fn title(moves: &[Move]) -> String {
    match moves {
        [only] => format!("move {} from {:?} to {:?}", only.name(), only.from, only.to),
        many => {
            let topics: BTreeSet<String> = many.iter().map(|m| m.topic.clone()).collect();
            let topics: Vec<String> = topics.into_iter().collect();
            format!("move {} partitions of {}", many.len(), few(&topics))
        }
    }
}

fn undo(moves: &[Move]) -> Undo {
    let removed: usize = moves.iter().map(|m| m.removing().count()).sum();
    let bytes: Option<u64> = moves
        .iter()
        .map(|m| Some(m.size_bytes? * m.removing().count() as u64))
        .sum();
    let how = match removed {
        0 if moves.iter().any(|m| m.adding().next().is_some()) => "remove what was added, no bytes".to_owned(),
        0 => "put the order back, no bytes".to_owned(),
        _ => format!("move back, {}", size(bytes)),
    };
    Undo::Full { how }
}

/// Gone, fenced, or it does not answer us.
pub(super) fn is_dead(snapshot: &Snapshot, id: BrokerId) -> bool {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let listed = brokers.iter().find(|broker| broker.id == id);
    listed.is_none_or(|broker| broker.fenced) || snapshot.links.get(&id).is_some_and(|link| !link.is_fresh())
}

/// The partition that is moved, as it is.
pub(super) fn placed<'a>(snapshot: &'a Snapshot, moved: &Move) -> Option<&'a Partition> {
    snapshot.topic(&moved.topic)?.partition(moved.partition)
}

/// The same plan with gates and impact as they stand now. What it is for, its batches and its bound stay as they were
/// worked out: its moves are pinned, and what differs from what they saw is drift.
pub(super) fn renew(plan: &Plan, snapshot: &Snapshot) -> Result<Plan, Error> {
    let target = |m: &Move| Target::new(&m.topic, m.partition, m.to.clone());
    let targets: Vec<Target> = plan.moves().map(target).collect();
    let fresh = moves(snapshot, &Sizes::of(snapshot), &targets)?;
    if fresh.is_empty() {
        return Err(nothing(&Wish::from(Goal::Assign(targets)), None));
    }
    let impact = Impact::of(&fresh, snapshot);
    let mut by_name: BTreeMap<(String, i32), Move> = fresh
        .iter()
        .map(|m| ((m.topic.clone(), m.partition), m.clone()))
        .collect();
    let mut renewed = |step: &Step| match step {
        Step::Reassign { moves } => {
            let take = |m: &Move| by_name.remove(&(m.topic.clone(), m.partition));
            let moves: Vec<Move> = moves.iter().filter_map(take).collect();
            (!moves.is_empty()).then_some(Step::Reassign { moves })
        }
        other => Some(other.clone()),
    };
    let steps: Vec<Step> = plan.steps.iter().filter_map(&mut renewed).collect();
    let mut gates = gate::gates(snapshot, &fresh, &impact);
    let batch = |step: &Step| match step {
        Step::Reassign { moves } => Some(moves.clone()),
        _ => None,
    };
    let batches: Vec<Vec<Move>> = steps.iter().filter_map(batch).collect();
    let throttle = match &plan.throttle {
        Some(throttle) => {
            let (throttle, its_gates) = throttle::renew(snapshot, &batches, throttle);
            gates.extend(its_gates);
            Some(throttle)
        }
        None => {
            // Its steps set none, whatever the limits would leave by now.
            let (now, its_gates) = throttle::solve(snapshot, &batches, MaxRate::Solved, plan.made_at);
            let unlimited = || throttle::solve(snapshot, &batches, MaxRate::Unlimited, plan.made_at).1;
            gates.extend(if now.is_some() { unlimited() } else { its_gates });
            None
        }
    };
    Ok(Plan {
        gates,
        undo: undo(&fresh),
        impact,
        steps,
        throttle,
        ..plan.clone()
    })
}

/// How a plan comes to its least: for the lines below the first.
pub(super) fn aim_lines(plan: &Plan) -> Vec<String> {
    let impact = &plan.impact;
    let leaders = match impact.leader_changes {
        0 => "preferred leaders stay".to_owned(),
        1 => "1 preferred leader changes".to_owned(),
        changes => format!("{changes} preferred leaders change"),
    };
    let Some(aim) = &plan.aim else { return vec![leaders] };
    let percent = |now: Option<f64>, after: Option<f64>| match (now, after) {
        (Some(now), Some(after)) => format!("{now:.0}→{after:.0} %"),
        _ => "?".to_owned(),
    };
    let (now, after) = (&aim.skew_now, &aim.skew_after);
    let skew = format!(
        "fullest over mean: bytes {}, replicas {}, leaders {}",
        percent(now.bytes_percent, after.bytes_percent),
        percent(Some(now.replicas_percent), Some(after.replicas_percent)),
        percent(Some(now.leaders_percent), Some(after.leaders_percent)),
    );
    vec![format!("least possible {} · {leaders} · {skew}", aim.least)]
}
