//! Which promises were broken.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Observed, Outcome, Place, Promises, Told};
use super::member::GROUPS;

/// A kind of broken promise, and the case.
pub type Finding = (&'static str, String);

pub const LOST: &str = "an acknowledged record is lost";
pub const TWICE: &str = "an idempotent producer's record is there twice";
pub const ORDER: &str = "a producer's records are out of order";
pub const ABORTED: &str = "a record of an aborted transaction is read";
pub const TORN: &str = "a transaction is torn";
pub const BACK: &str = "a committed offset went back";
pub const APART: &str = "replicas differ";
pub const STALE: &str = "a compacted key lost its latest value";
pub const TWO_OWNERS: &str = "a partition has two owners";
pub const SKIPPED: &str = "a group has passed by a record that no member was given";
pub const PHANTOM: &str = "a member was given what is not there";
pub const TOLD: &str = "a client was told what cannot be";

pub fn judge(promises: &Promises, observed: &Observed) -> Vec<Finding> {
    let mut findings: Vec<Finding> = promises.broken.iter().map(|what| (TOLD, what.clone())).collect();
    records(promises, observed, &mut findings);
    transactions(promises, observed, &mut findings);
    for ((place, key), latest) in &promises.latest {
        let last = observed
            .keyed
            .get(place)
            .into_iter()
            .flatten()
            .rev()
            .find(|(is, _)| is == key);
        if last.is_none_or(|(_, number)| number < latest) {
            findings.push((STALE, format!("{key} of {place:?} was {latest}, is {last:?}")));
        }
    }
    for (of, acknowledged) in &promises.offsets {
        let is = observed.offsets.get(of).copied().unwrap_or(-1);
        if is < *acknowledged {
            findings.push((BACK, format!("{of:?} was {acknowledged}, is {is}")));
        }
    }
    for (group, told) in &promises.groups {
        members(group, told, observed, &mut findings);
    }
    for (place, logs) in &observed.replicas {
        let all: BTreeSet<_> = logs.values().collect();
        if all.len() > 1 {
            let sizes: Vec<_> = logs
                .iter()
                .map(|(broker, log)| (broker, log.len(), crc32c::crc32c(log)))
                .collect();
            findings.push((APART, format!("{place:?}: {sizes:?}")));
        }
    }
    findings
}

fn counts<'a>(values: impl IntoIterator<Item = &'a String>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value.as_str()).or_default() += 1;
    }
    counts
}

fn records(promises: &Promises, observed: &Observed, findings: &mut Vec<Finding>) {
    for (place, written) in &observed.written {
        for (value, count) in counts(written) {
            if count > 1 {
                findings.push((TWICE, format!("{value} is {count} times in {place:?}")));
            }
        }
    }
    for ((place, _), acknowledged) in &promises.acknowledged {
        let written = observed.written.get(place).map_or(&[][..], Vec::as_slice);
        let at: BTreeMap<&str, usize> = written
            .iter()
            .enumerate()
            .map(|(at, value)| (value.as_str(), at))
            .collect();
        let mut last = None;
        for value in acknowledged {
            let Some(at) = at.get(value.as_str()) else {
                findings.push((LOST, format!("{value} of {place:?}")));
                continue;
            };
            if last.is_some_and(|last| last > at) {
                findings.push((
                    ORDER,
                    format!("{value} of {place:?} comes before what was written before it"),
                ));
            }
            last = Some(at);
        }
    }
}

fn transactions(promises: &Promises, observed: &Observed, findings: &mut Vec<Finding>) {
    let seen: BTreeMap<&Place, BTreeMap<&str, usize>> = observed
        .committed
        .iter()
        .map(|(place, values)| (place, counts(values)))
        .collect();
    let count = |(place, value): &(Place, String)| {
        seen.get(place)
            .and_then(|seen| seen.get(value.as_str()))
            .copied()
            .unwrap_or(0)
    };
    for (records, outcome) in &promises.transactions {
        let there: Vec<_> = records.iter().filter(|record| count(record) > 0).collect();
        let whole = there.len() == records.len();
        match outcome {
            Outcome::Committed if there.is_empty() && !records.is_empty() => {
                findings.push((LOST, format!("the transaction of {:?}", records[0])))
            }
            Outcome::Committed | Outcome::Unknown if !whole && !there.is_empty() => {
                findings.push((
                    TORN,
                    format!(
                        "{} of {} records, {:?} among them",
                        there.len(),
                        records.len(),
                        there[0]
                    ),
                ));
            }
            Outcome::Aborted if !there.is_empty() => findings.push((ABORTED, format!("{:?}", there[0]))),
            _ => {}
        }
        for record in there {
            if count(record) > 1 {
                findings.push((TWICE, format!("{record:?} of a transaction")));
            }
        }
    }
}

fn members(group: &'static str, told: &Told, observed: &Observed, findings: &mut Vec<Finding>) {
    let mut owners: BTreeMap<(i32, Place), &str> = BTreeMap::new();
    for (member, epoch, owned) in &told.owned {
        for place in owned {
            let first = *owners.entry((*epoch, *place)).or_insert(member);
            if first != member {
                let case = format!("{place:?} in epoch {epoch} of {group}: {first} and {member}");
                findings.push((TWO_OWNERS, case));
            }
        }
    }
    for (epoch, place, begins) in &told.begins {
        let before = told.commits.iter().filter(|(of, at, _)| of < epoch && at == place);
        let before = before.map(|(.., offset)| *offset).max().unwrap_or(-1);
        if *begins < before {
            let case =
                format!("epoch {epoch} of {group} begins in {place:?} at {begins}, after {before} was committed");
            findings.push((BACK, case));
        }
    }
    let committed_only = GROUPS.iter().any(|of| of.name == group && of.committed);
    for (place, offsets) in &observed.offset_of {
        let commits = told.commits.iter().filter(|(_, at, _)| at == place);
        let end = commits.map(|(.., offset)| *offset).max().unwrap_or(0);
        let is = observed.offsets.get(&(group.to_owned(), *place)).copied().unwrap_or(-1);
        if is < end {
            findings.push((BACK, format!("{group} in {place:?} was {end}, is {is}")));
        }
        let there = if committed_only {
            &observed.committed
        } else {
            &observed.written
        };
        let there: BTreeSet<&String> = there.get(place).into_iter().flatten().collect();
        let passed = there
            .iter()
            .filter(|value| offsets.get(**value).is_some_and(|at| *at < end));
        for value in passed.filter(|value| !told.seen.contains(&(*place, (**value).clone()))) {
            findings.push((SKIPPED, format!("{value} of {place:?} by {group}, which is at {end}")));
        }
        let seen = told.seen.iter().filter(|(at, _)| at == place);
        for (_, value) in seen.filter(|(_, value)| !there.contains(value)) {
            findings.push((PHANTOM, format!("{value} of {place:?} in {group}")));
        }
    }
}
