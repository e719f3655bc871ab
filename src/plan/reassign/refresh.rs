//! A saved plan against the cluster as it is now: worked out again, with what differs told; or without what has drifted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Goal, MaxRate, Target, Throttle, Wish, throttle};
use crate::model::snapshot::Snapshot;
use crate::plan::drift::drifted;
use crate::plan::gate::few;
use crate::plan::summary::size;
use crate::plan::throttle::per_second;
use crate::plan::{Error, Move, Plan, Step};

/// The same targets for what is still there, at the rate that was asked for; what is gone, by name.
pub fn wish(plan: &Plan, snapshot: &Snapshot) -> (Wish, Vec<String>) {
    let is_there = |one: &&Move| super::placed(snapshot, one).is_some();
    let (there, gone): (Vec<&Move>, Vec<&Move>) = plan.moves().partition(is_there);
    let targets = there
        .iter()
        .map(|one| Target::new(&one.topic, one.partition, one.to.clone()));
    let max_rate = match &plan.throttle {
        Some(throttle) if throttle.is_solved() => MaxRate::Solved,
        Some(throttle) => MaxRate::At(throttle.bytes_per_second),
        None => MaxRate::Unlimited,
    };
    let wish = Wish {
        max_rate,
        ..Goal::Assign(targets.collect()).into()
    };
    (wish, gone.into_iter().map(Move::name).collect())
}

/// The plan without the moves that no longer fit, and why each does not.
///
/// # Errors
/// When none is left.
pub fn without_drifted(plan: &Plan, snapshot: &Snapshot) -> Result<(Plan, Vec<String>), Error> {
    let drifted: Vec<(&Move, String)> = drifted(plan, snapshot);
    if drifted.is_empty() {
        return Ok((plan.clone(), Vec::new()));
    }
    let skipped: BTreeSet<(&str, i32)> = drifted
        .iter()
        .map(|(one, _)| (one.topic.as_str(), one.partition))
        .collect();
    let stays = |topic: &str, partition: i32| !skipped.contains(&(topic, partition));
    let batches: Vec<Vec<Move>> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Reassign { moves } => {
                let left = moves.iter().filter(|one| stays(&one.topic, one.partition)).cloned();
                Some(left.collect::<Vec<Move>>()).filter(|left| !left.is_empty())
            }
            _ => None,
        })
        .collect();
    let reasons: Vec<String> = drifted.iter().map(|(_, why)| why.clone()).collect();
    if batches.is_empty() {
        return Err(Error::Nothing(format!("every move has drifted: {}", few(&reasons))));
    }
    let leads = plan.steps.iter().filter_map(|step| match step {
        Step::Elect { leads } => {
            let left = leads.iter().filter(|one| stays(&one.topic, one.partition)).cloned();
            let leads: Vec<_> = left.collect();
            (!leads.is_empty()).then_some(Step::Elect { leads })
        }
        _ => None,
    });
    let steps = throttle::around(snapshot, batches, plan.throttle.as_ref());
    let left = Plan {
        steps: steps.into_iter().chain(leads).collect(),
        title: format!("{} ({} left out)", plan.title, skipped.len()),
        ..plan.clone()
    };
    Ok((left, reasons))
}

/// What the second plan does otherwise than the first, in sentences; none where they are the same.
pub fn difference(before: &Plan, after: &Plan) -> Vec<String> {
    let by_name =
        |plan: &Plan| -> BTreeMap<String, Move> { plan.moves().map(|one| (one.name(), one.clone())).collect() };
    let (old, new) = (by_name(before), by_name(after));
    let names = |names: Vec<&String>| few(&names.into_iter().cloned().collect::<Vec<_>>());
    let mut told = Vec::new();
    let gone: Vec<&String> = old.keys().filter(|name| !new.contains_key(*name)).collect();
    if !gone.is_empty() {
        told.push(format!("{} need no move any more: {}", gone.len(), names(gone)));
    }
    let more: Vec<&String> = new.keys().filter(|name| !old.contains_key(*name)).collect();
    if !more.is_empty() {
        told.push(format!("{} move too: {}", more.len(), names(more)));
    }
    for (what, pick) in [
        (
            "are elsewhere by now",
            (|one: &Move| one.from.clone()) as fn(&Move) -> Vec<i32>,
        ),
        ("go elsewhere", |one: &Move| one.to.clone()),
    ] {
        let differs = |name: &&String| new.get(*name).is_some_and(|now| pick(now) != pick(&old[*name]));
        let changed: Vec<&String> = old.keys().filter(differs).collect();
        if !changed.is_empty() {
            told.push(format!("{} {what}: {}", changed.len(), names(changed)));
        }
    }
    let (was, is) = (before.impact.bytes, after.impact.bytes);
    if was != is {
        told.push(format!("bytes {} → {}", size(was), size(is)));
    }
    let rate = |throttle: &Option<Throttle>| {
        throttle
            .as_ref()
            .map_or("none".to_owned(), |throttle| per_second(throttle.bytes_per_second))
    };
    let (was, is) = (rate(&before.throttle), rate(&after.throttle));
    if was != is {
        told.push(format!("throttle {was} → {is}"));
    }
    for gate in &after.gates {
        let known = before.gates.iter().find(|known| known.name == gate.name);
        if let Some(known) = known.filter(|known| known.verdict != gate.verdict) {
            let (name, evidence) = (&gate.name, &gate.evidence);
            told.push(format!("gate {name} {} → {}: {evidence}", known.verdict, gate.verdict));
        }
    }
    told
}
