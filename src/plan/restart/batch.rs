//! Brokers that restart at the same time: of one zone, and only where it is proven that no partition has replicas on two of them.
//!
//! So a partition misses one replica at most, as when its brokers restart one by one, and what the gates say of one broker holds for
//! all of the batch. Brokers whose zone is not known are alone, so is the active controller, and no two voters go together.
//! Source: the condition of Strimzi's proposal 103 (brokers without a partition in common), the zones of Koperator's
//! `ConcurrentBrokerRestartCountPerRack`.

use std::collections::BTreeMap;

use super::Turn;
use super::reach::TURN_SECONDS;
use crate::model::BrokerId;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::reassign::throttle::span;
use crate::plan::summary::plural;

/// The gate's name. It closes nothing: what is not proven goes one by one.
pub const GATE: &str = "parallel";

/// Partitions with replicas on both of two brokers, the lower id first: one of them, and how many.
type Shared = BTreeMap<(BrokerId, BrokerId), (String, usize)>;

/// Turns in the order in which they are carried out, with at most so many at a time.
pub(super) fn together(snapshot: &Snapshot, turns: Vec<Turn>, most: usize) -> Vec<Turn> {
    let shared = shared(snapshot, &turns);
    let mut all: Vec<Vec<Turn>> = Vec::new();
    for turn in turns {
        let fits = |batch: &&mut Vec<Turn>| {
            batch.len() < most && batch.iter().all(|other| may(snapshot, &shared, &turn, other).is_ok())
        };
        match all.iter_mut().find(fits) {
            Some(batch) => batch.push(turn),
            None => all.push(vec![turn]),
        }
    }
    let numbered = (1..).zip(all);
    let number = |(number, batch): (u32, Vec<Turn>)| {
        batch.into_iter().map(move |turn| Turn {
            batch: Some(number),
            ..turn
        })
    };
    numbered.flat_map(number).collect()
}

/// Turns that are carried out at the same time.
pub fn batches(turns: &[Turn]) -> impl Iterator<Item = &[Turn]> {
    turns.chunk_by(|one, next| one.batch.is_some() && one.batch == next.batch)
}

/// How many of the first turns of a batch may be away together as things stand now, and what is against the next.
pub fn proven(snapshot: &Snapshot, batch: &[Turn]) -> (usize, Option<String>) {
    let shared = shared(snapshot, batch);
    for (at, turn) in batch.iter().enumerate().skip(1) {
        let why = batch[..at]
            .iter()
            .find_map(|other| may(snapshot, &shared, other, turn).err());
        if let Some(why) = why {
            return (at, Some(why));
        }
    }
    (batch.len(), None)
}

/// What keeps brokers of one zone from restarting together; none where nobody asked for it.
pub(super) fn gate(snapshot: &Snapshot, turns: &[Turn]) -> Option<Gate> {
    let turns: Vec<Turn> = turns.iter().filter(|turn| turn.batch.is_some()).cloned().collect();
    if turns.is_empty() {
        return None;
    }
    let gate = |verdict, text: String| Some(Gate::new(GATE, Class::Soft, verdict, text));
    if let Some(why) = snapshot.topics.problem() {
        return gate(
            Verdict::Unknown,
            format!("where the replicas are is not known now: {why}"),
        );
    }
    let homeless = turns.iter().filter(|turn| turn.apart.is_none() && turn.zone == "?");
    let homeless: Vec<String> = homeless.map(|turn| turn.broker().to_string()).collect();
    let mut against: Vec<String> = match homeless.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "in which zone they are is not known: broker {}",
            few(&homeless)
        )],
    };
    against.extend(shared(snapshot, &turns).iter().map(in_common));
    if against.is_empty() {
        let count = snapshot.partitions().count();
        let text = format!(
            "of {}, none has replicas on two brokers of one zone",
            plural(count, "partition")
        );
        return gate(Verdict::Pass, text);
    }
    gate(Verdict::Warn, format!("one after the other: {}", few(&against)))
}

/// What a plan is thought to take, in seconds: so long for each batch, and the longest watch in it.
pub fn seconds(turns: &[Turn]) -> u64 {
    batches(turns)
        .map(|batch| TURN_SECONDS + batch.iter().map(|turn| turn.soak_seconds).max().unwrap_or(0))
        .sum()
}

/// What is saved against one by one, and what that rests on; `None` where nobody asked for it.
pub(super) fn saved(turns: &[Turn]) -> Option<String> {
    turns.iter().find(|turn| turn.batch.is_some())?;
    let sizes: Vec<usize> = batches(turns).map(<[Turn]>::len).collect();
    let most = sizes.iter().copied().max().filter(|most| *most > 1);
    let Some(most) = most else {
        return Some("no two of them at a time: nothing is saved".to_owned());
    };
    let one_by_one: u64 = turns.iter().map(|turn| TURN_SECONDS + turn.soak_seconds).sum();
    let took = seconds(turns);
    let many = match sizes.len() {
        1 => "1 batch".to_owned(),
        many => format!("{many} batches"),
    };
    Some(format!(
        "{many}, at most {most} at a time: ~{} instead of ~{}, saves ~{} (reckoned with {} for each, of the 5 to 15 m that MSK names, and its watch)",
        span(took),
        span(one_by_one),
        span(one_by_one - took),
        span(TURN_SECONDS),
    ))
}

/// Whether two brokers may be away at the same time.
fn may(snapshot: &Snapshot, shared: &Shared, one: &Turn, other: &Turn) -> Result<(), String> {
    let ids = (one.broker().min(other.broker()), one.broker().max(other.broker()));
    let quorum = snapshot.quorum.get();
    let votes = |turn: &Turn| {
        let now = quorum.is_some_and(|quorum| quorum.voters.iter().any(|voter| voter.id == turn.broker()));
        turn.voter || now
    };
    let leads = |turn: &Turn| turn.controller || quorum.and_then(|quorum| quorum.leader) == Some(turn.broker());
    let (low, high) = ids;
    if one.zone != other.zone || one.zone == "?" {
        return Err(format!("{low} and {high} are not known to be in one zone"));
    }
    if leads(one) || leads(other) {
        return Err(format!("{low} or {high} is the active controller"));
    }
    if one.apart.is_some() || other.apart.is_some() || (votes(one) && votes(other)) {
        return Err(format!("{low} and {high} are voters of the controller quorum"));
    }
    match shared.get_key_value(&ids) {
        Some(found) => Err(in_common(found)),
        None => Ok(()),
    }
}

/// Of brokers in one zone, who holds replicas of the same partition.
fn shared(snapshot: &Snapshot, turns: &[Turn]) -> Shared {
    let zones: BTreeMap<BrokerId, &str> = turns.iter().map(|turn| (turn.broker(), turn.zone.as_str())).collect();
    let mut shared = Shared::new();
    for (topic, partition) in snapshot.partitions() {
        for (at, one) in partition.replicas.iter().enumerate() {
            let Some(zone) = zones.get(one) else { continue };
            let others = partition.replicas[at + 1..].iter();
            for other in others.filter(|other| zones.get(other) == Some(zone)) {
                let found = shared
                    .entry((*one.min(other), *one.max(other)))
                    .or_insert_with(|| (format!("{topic}-{}", partition.partition), 0));
                found.1 += 1;
            }
        }
    }
    shared
}

fn in_common(((one, other), (name, count)): (&(BrokerId, BrokerId), &(String, usize))) -> String {
    match count {
        1 => format!("{one} and {other}, {name} has replicas on both"),
        many => format!(
            "{one} and {other}, {name} and {} have replicas on both",
            plural(many - 1, "more partition")
        ),
    }
}
