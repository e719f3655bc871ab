//! What must go on to hold while a reassignment runs: the plan's own gates seen again, and what others did meanwhile.
//!
//! A gate has the name of the plan's, so that whoever went on against it when the plan was applied has gone on against it
//! for good. What was so already when the operation began is its [`Baseline`] and holds nothing up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{gate, placed};
use crate::model::snapshot::Snapshot;
use crate::model::throttle::Setting;
use crate::model::topic::Partition;
use crate::model::{BrokerId, Observed};
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::impact::Impact;
use crate::plan::throttle::words;
use crate::plan::{Move, Plan};

/// What is in flight goes back when it alone would fill a disk so far; below, it ends and only no more begins.
/// Source: ten points over the alarm at 85 %, so that a broker is left with room to write while it goes back.
const RETREAT_PERCENT: f64 = 95.0;

/// How things stood when the operation began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// Partitions that others were moving.
    pub moving: BTreeSet<String>,
    /// From how many partitions' ISRs each broker was missing.
    #[serde(deserialize_with = "by_broker")]
    pub missing: BTreeMap<BrokerId, u32>,
    /// Throttles that others had set on brokers and topics that take part.
    pub throttles: Vec<Setting>,
    /// `min.insync.replicas` of the moved topics.
    pub min_isr: BTreeMap<String, u32>,
    /// Of the moved topics.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, Overrides>,
}

/// JSON's keys are text, and a journal's line does not turn them back.
fn by_broker<'de, D: serde::Deserializer<'de>>(source: D) -> Result<BTreeMap<BrokerId, u32>, D::Error> {
    let texts = BTreeMap::<String, u32>::deserialize(source)?;
    let pair = |(id, count): (String, u32)| Ok((id.parse().map_err(serde::de::Error::custom)?, count));
    texts.into_iter().map(pair).collect()
}

/// What configs show of what takes part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configs {
    /// Throttles that others have set.
    pub strangers: Vec<Setting>,
    /// Ours that is no longer as it was set.
    pub lost: Vec<Setting>,
    /// Of each moved topic that tells them.
    pub overrides: BTreeMap<String, Overrides>,
}

/// The [`GUARDED`] configs that a topic has of its own.
pub type Overrides = BTreeMap<String, String>;

/// Topic configs that decide whether records are lost while replicas move, beside `min.insync.replicas`: what a leader may
/// lack, and what is deleted meanwhile, which no undo brings back.
pub const GUARDED: [&str; 4] = [
    "cleanup.policy",
    "retention.bytes",
    "retention.ms",
    "unclean.leader.election.enable",
];

/// Whether a plan copies anything, so that what others do meanwhile matters to it.
pub fn is_watched(plan: &Plan) -> bool {
    plan.kind == crate::plan::Kind::Reassign && plan.moves().any(|one| one.adding().next().is_some())
}

impl Baseline {
    /// Needs topics, reassignments and what the moved topics must have in sync.
    pub fn of(plan: &Plan, snapshot: &Snapshot, configs: &Configs) -> Self {
        Self {
            moving: moving(plan, snapshot),
            missing: missing(plan, snapshot)
                .into_iter()
                .map(|(id, names)| (id, names.len() as u32))
                .collect(),
            throttles: configs.strangers.clone(),
            min_isr: min_isr(plan, snapshot),
            overrides: configs.overrides.clone(),
        }
    }
}

/// How the gates stand now. Needs cluster, links, topics, reassignments, log dirs and min ISRs.
pub fn gates(plan: &Plan, snapshot: &Snapshot, baseline: &Baseline, configs: &Configs) -> Vec<Gate> {
    if let Some(blind) = blind(snapshot) {
        return vec![blind];
    }
    let left = left(plan, snapshot);
    let alive = gate::alive(snapshot, &left);
    let disk = gate::disk(snapshot, &Impact::of(&left, snapshot));
    // Of who is dead nothing more is known, and that is said already.
    let disk = (alive.verdict == Verdict::Pass || disk.verdict != Verdict::Unknown).then_some(disk);
    let gates = [
        alive,
        shrunk(plan, snapshot, baseline),
        others(plan, snapshot, baseline),
        throttled(baseline, configs),
        guarded(plan, snapshot, baseline, configs),
    ];
    gates.into_iter().chain(disk).collect()
}

/// What is in flight would fill a disk before it ends: the sentence why it must go back.
pub fn retreat(plan: &Plan, snapshot: &Snapshot) -> Option<String> {
    let flying = snapshot.reassignments.get()?;
    let is_flying = |one: &Move| {
        flying
            .iter()
            .any(|r| r.topic == one.topic && r.partition == one.partition)
    };
    let moves: Vec<Move> = left(plan, snapshot).into_iter().filter(is_flying).collect();
    let impact = Impact::of(&moves, snapshot);
    let full = impact.brokers.iter().filter(|(_, load)| load.bytes_in != Some(0));
    let full = full.filter_map(|(id, load)| Some((id, load.used_percent_peak.filter(|peak| *peak > RETREAT_PERCENT)?)));
    let full: Vec<String> = full.map(|(id, peak)| format!("broker {id} to {peak:.0} %")).collect();
    (!full.is_empty()).then(|| format!("what is in flight would fill {}", few(&full)))
}

/// Partitions that have lost a replica from their ISR since it began, the moved ones' new replicas left out: the sign on
/// which less is moved at once. At or under min ISR counts wherever it is known.
pub fn strain(plan: &Plan, snapshot: &Snapshot, baseline: &Baseline) -> Option<String> {
    let gate = shrunk(plan, snapshot, baseline);
    (gate.verdict != Verdict::Pass).then_some(gate.evidence)
}

/// The moves that are not done, with what is still to come of each.
fn left(plan: &Plan, snapshot: &Snapshot) -> Vec<Move> {
    let mut left = Vec::new();
    for one in plan.moves() {
        let Some(partition) = placed(snapshot, one) else {
            continue;
        };
        let there = partition.replicas == one.to && one.adding().all(|id| partition.isr.contains(&id));
        if there {
            continue;
        }
        // Which broker has least of it decides: what is reckoned with is never too little.
        let arrived = one.adding().map(|id| arrived(snapshot, one, id)).min().unwrap_or(0);
        left.push(Move {
            size_bytes: one.size_bytes.map(|size| size.saturating_sub(arrived)),
            ..one.clone()
        });
    }
    left
}

fn arrived(snapshot: &Snapshot, one: &Move, id: BrokerId) -> u64 {
    let dirs = snapshot.logdirs.get(&id).and_then(Observed::get).into_iter().flatten();
    dirs.flat_map(|dir| dir.replicas.iter())
        .filter(|replica| replica.topic == one.topic && replica.partition == one.partition)
        .map(|replica| replica.size_bytes)
        .sum()
}

/// What must be seen is not.
fn blind(snapshot: &Snapshot) -> Option<Gate> {
    let unseen = [
        (
            "the cluster",
            snapshot.cluster.get().is_none(),
            snapshot.cluster.problem(),
        ),
        ("the topics", snapshot.topics.get().is_none(), snapshot.topics.problem()),
        (
            "the reassignments in flight",
            snapshot.reassignments.get().is_none(),
            snapshot.reassignments.problem(),
        ),
    ];
    let (what, _, why) = unseen.into_iter().find(|(_, missing, _)| *missing)?;
    let why = why.unwrap_or_else(|| "no answer yet".to_owned());
    Some(Gate::new(
        "seen",
        Class::Hard,
        Verdict::Unknown,
        format!("{what} cannot be seen: {why}"),
    ))
}

/// Replicas that should be in sync and are not, by broker. Of a moved partition only those count that stay, and what
/// others copy is not there yet.
fn missing(plan: &Plan, snapshot: &Snapshot) -> BTreeMap<BrokerId, Vec<String>> {
    let moves: BTreeMap<(&str, i32), &Move> = plan
        .moves()
        .map(|one| ((one.topic.as_str(), one.partition), one))
        .collect();
    let flying = snapshot.reassignments.get().into_iter().flatten();
    let coming: BTreeSet<(&str, i32, BrokerId)> = flying
        .flat_map(|one| one.adding.iter().map(|id| (one.topic.as_str(), one.partition, *id)))
        .collect();
    let mut missing: BTreeMap<BrokerId, Vec<String>> = BTreeMap::new();
    for (topic, partition) in snapshot.partitions() {
        let moved = moves.get(&(topic, partition.partition));
        let counts = |id: &BrokerId| match moved {
            Some(one) => one.from.contains(id) && one.to.contains(id),
            None => !coming.contains(&(topic, partition.partition, *id)),
        };
        for id in Partition::missing(partition).filter(counts) {
            missing
                .entry(id)
                .or_default()
                .push(format!("{topic}-{}", partition.partition));
        }
    }
    missing
}

fn shrunk(plan: &Plan, snapshot: &Snapshot, baseline: &Baseline) -> Gate {
    let more = missing(plan, snapshot).into_iter().filter_map(|(id, names)| {
        let before = baseline.missing.get(&id).copied().unwrap_or(0);
        let more = (names.len() as u32).saturating_sub(before);
        (more > 0).then(|| format!("broker {id} is missing from {more} more: {}", few(&names)))
    });
    let more: Vec<String> = more.collect();
    match more.is_empty() {
        true => Gate::new("isr", Class::Soft, Verdict::Pass, "no ISR has shrunk since it began"),
        false => Gate::new(
            "isr",
            Class::Soft,
            Verdict::Fail,
            format!("ISRs have shrunk since it began: {}", more.join("; ")),
        ),
    }
}

/// What others move.
fn moving(plan: &Plan, snapshot: &Snapshot) -> BTreeSet<String> {
    let ours: BTreeSet<(&str, i32)> = plan.moves().map(|one| (one.topic.as_str(), one.partition)).collect();
    let flying = snapshot.reassignments.get().into_iter().flatten();
    flying
        .filter(|one| !ours.contains(&(one.topic.as_str(), one.partition)))
        .map(|one| format!("{}-{}", one.topic, one.partition))
        .collect()
}

fn others(plan: &Plan, snapshot: &Snapshot, baseline: &Baseline) -> Gate {
    let now = moving(plan, snapshot);
    let new: Vec<String> = now.difference(&baseline.moving).cloned().collect();
    Gate::none_of(
        "idle",
        Class::Soft,
        &new,
        "nobody else has begun to move anything",
        "partitions are being moved by somebody else since it began",
    )
}

fn throttled(baseline: &Baseline, configs: &Configs) -> Gate {
    let mut new = configs.strangers.clone();
    crate::model::throttle::release(&mut new, &baseline.throttles);
    let mut told = Vec::new();
    if !new.is_empty() {
        told.push(format!("somebody else has set {}", words(&new)));
    }
    if !configs.lost.is_empty() {
        told.push(format!(
            "somebody else has taken away or changed {}",
            words(&configs.lost)
        ));
    }
    match told.is_empty() {
        true => Gate::new(
            "foreign",
            Class::Soft,
            Verdict::Pass,
            "nobody else has changed a throttle",
        ),
        false => Gate::new("foreign", Class::Soft, Verdict::Fail, told.join("; ")),
    }
}

fn min_isr(plan: &Plan, snapshot: &Snapshot) -> BTreeMap<String, u32> {
    let topics: BTreeSet<&str> = plan.moves().map(|one| one.topic.as_str()).collect();
    let told = topics
        .into_iter()
        .filter_map(|topic| Some((topic.to_owned(), snapshot.min_isr(topic)?)));
    told.collect()
}

fn guarded(plan: &Plan, snapshot: &Snapshot, baseline: &Baseline, configs: &Configs) -> Gate {
    let now = min_isr(plan, snapshot);
    let changed = baseline.min_isr.iter().filter_map(|(topic, before)| {
        let now = now.get(topic)?;
        (now != before).then(|| format!("min.insync.replicas of {topic} {before}→{now}"))
    });
    let mut changed: Vec<String> = changed.collect();
    for (topic, before) in &baseline.overrides {
        // A topic that was deleted has none.
        let Some(now) = configs.overrides.get(topic) else {
            continue;
        };
        for name in GUARDED {
            let value = |of: &Overrides| of.get(name).cloned();
            let (before, now) = (value(before), value(now));
            if before != now {
                let word = |value: Option<String>| value.unwrap_or_else(|| "inherited".to_owned());
                changed.push(format!("{name} of {topic} {}→{}", word(before), word(now)));
            }
        }
    }
    Gate::none_of(
        "configs",
        Class::Soft,
        &changed,
        "what guards the records of the moved topics is as it was",
        "somebody has changed what guards records since it began",
    )
}
