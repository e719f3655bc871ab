//! Replicas that leave: a broker or a directory is emptied, or another broker takes over.
//!
//! What is moved is exactly what is there: the lower bound. A partition that prefers the broker which goes must prefer
//! another one; it is then whichever of its replicas leads least.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{At, Layout};
use super::outcome::{Least, Outcome};
use super::{Error, few};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Observed};
use crate::plan::impact::add;

/// Everything leaves these brokers.
pub(super) fn brokers_of(layout: &mut Layout<'_>, ids: &[BrokerId]) -> Result<Outcome, Error> {
    let leaving = nodes(layout, ids)?;
    for node in &leaving {
        layout.nodes[*node].open = false;
    }
    leave(layout, |_, node| leaving.contains(&node), &BTreeMap::new())
}

/// Everything on the first of each pair goes to the second.
pub(super) fn replace(layout: &mut Layout<'_>, pairs: &[(BrokerId, BrokerId)]) -> Result<Outcome, Error> {
    let mut heirs = BTreeMap::new();
    for (old, new) in pairs {
        let heir = layout.at(*new).ok_or_else(|| unknown(layout, *new))?;
        if !layout.nodes[heir].open {
            return Err(Error::Impossible(format!(
                "broker {new} does not answer, so it cannot take over"
            )));
        }
        if pairs.iter().any(|(gone, _)| gone == new) {
            return Err(Error::Impossible(format!(
                "broker {new} cannot take over and be replaced"
            )));
        }
        let gone = nodes(layout, &[*old])?;
        heirs.extend(gone.into_iter().map(|gone| (gone, heir)));
    }
    for gone in heirs.keys() {
        layout.nodes[*gone].open = false;
    }
    leave(layout, |_, node| heirs.contains_key(&node), &heirs)
}

/// Everything leaves one directory of a broker, for other brokers.
pub(super) fn dir(
    layout: &mut Layout<'_>,
    snapshot: &Snapshot,
    id: BrokerId,
    path: Option<&str>,
) -> Result<Outcome, Error> {
    let node = layout.at(id).ok_or_else(|| unknown(layout, id))?;
    let dirs = snapshot.logdirs.get(&id);
    let told = dirs.and_then(Observed::get).ok_or_else(|| Error::Blind {
        what: "the log directories",
        why: dirs
            .and_then(Observed::problem)
            .unwrap_or_else(|| format!("broker {id} has not told them")),
    })?;
    let percent = |dir: &crate::model::logdir::LogDir| dir.used_percent().unwrap_or(0.0);
    let chosen = match path {
        Some(path) => told.iter().find(|dir| dir.path == path),
        None => told.iter().max_by(|one, other| percent(one).total_cmp(&percent(other))),
    };
    let dir = chosen.ok_or_else(|| {
        let paths: Vec<String> = told.iter().map(|dir| dir.path.clone()).collect();
        Error::Impossible(format!(
            "broker {id} has no log directory {}; it has {}",
            path.unwrap_or_default(),
            paths.join(", ")
        ))
    })?;
    let inside: BTreeSet<(&str, i32)> = dir
        .replicas
        .iter()
        .filter(|replica| !replica.future)
        .map(|replica| (replica.topic.as_str(), replica.partition))
        .collect();
    let keys: Vec<bool> = layout
        .parts
        .iter()
        .map(|part| inside.contains(&(part.topic, part.partition)))
        .collect();
    leave(layout, |part, at| at == node && keys[part], &BTreeMap::new())
}

/// Moves every replica that `goes`, to its broker's heir, or to whoever takes it best. Large ones choose first, because
/// small ones fit anywhere.
fn leave(
    layout: &mut Layout<'_>,
    goes: impl Fn(usize, At) -> bool,
    heirs: &BTreeMap<At, At>,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::new(layout);
    let mut going: Vec<(usize, usize)> = Vec::new();
    for (part, one) in layout.parts.iter().enumerate() {
        let places = one.to.iter().enumerate().filter(|(_, node)| goes(part, **node));
        for (place, _) in places {
            match one.hold {
                None => going.push((part, place)),
                Some(hold) => outcome.left(layout, part, hold),
            }
        }
    }
    going.sort_by_key(|(part, place)| (std::cmp::Reverse(layout.weight(*part)), *part, *place));
    let shares = layout.shares(&layout.open(), |part| layout.weight(part));
    let (mut bytes, mut homeless, mut headless) = (Some(0), Vec::new(), Vec::new());
    for (part, place) in going {
        let gone = layout.parts[part].to[place];
        let heir = heirs.get(&gone).copied().filter(|heir| layout.takes(part, *heir));
        if heir.is_none() && heirs.contains_key(&gone) {
            outcome.elsewhere += 1;
        }
        let Some(target) = heir.or_else(|| layout.best(part, Some(place), &shares, usize::MAX)) else {
            homeless.push(part);
            continue;
        };
        layout.replace(part, place, target);
        bytes = add(bytes, layout.parts[part].size);
        if place == 0 && heir.is_none() {
            headless.push(part);
        }
    }
    if !homeless.is_empty() {
        return Err(no_home(layout, &homeless));
    }
    for part in headless {
        lead_least(layout, part);
    }
    outcome.least = Least::Bytes(bytes);
    Ok(outcome)
}

/// The preferred leader changes anyway, so it becomes whoever leads least; one that is out of sync or gone does not.
fn lead_least(layout: &mut Layout<'_>, part: usize) {
    let one = &layout.parts[part];
    let ready = |node: At| layout.nodes[node].open && one.seen.isr.contains(&layout.nodes[node].id);
    let candidates = (0..one.to.len()).filter(|place| *place == 0 || ready(one.to[*place]));
    // The new one counts this partition already.
    let leads = |place: usize| layout.nodes[one.to[place]].leaders - u32::from(place == 0);
    if let Some(place) = candidates
        .min_by_key(|place| (leads(*place), *place))
        .filter(|place| *place > 0)
    {
        layout.prefer(part, place);
    }
}

fn no_home(layout: &Layout<'_>, parts: &[usize]) -> Error {
    let names: Vec<String> = parts.iter().map(|part| layout.name(*part)).collect();
    let open = layout.nodes.iter().filter(|node| node.open).count();
    let wide = parts.iter().map(|part| layout.parts[*part].to.len()).max().unwrap_or(0);
    let why = match wide > open {
        true => format!("they have {wide} replicas, and {open} brokers are left to take them; lower --rf first"),
        false => "every other broker holds the partition already, does not answer, or has no room below 85 % of its \
                  disk; free some, or leave topics out with --exclude"
            .to_owned(),
    };
    Error::Impossible(format!(
        "nobody can take {} replicas ({}): {why}",
        parts.len(),
        few(&names)
    ))
}

/// The places of brokers; those that are gone count while a partition names them.
pub(super) fn nodes(layout: &Layout<'_>, ids: &[BrokerId]) -> Result<Vec<At>, Error> {
    let at = |id: &BrokerId| layout.at(*id).ok_or_else(|| unknown(layout, *id));
    ids.iter().map(at).collect()
}

pub(super) fn unknown(layout: &Layout<'_>, id: BrokerId) -> Error {
    let ids: Vec<String> = layout.nodes.iter().map(|node| node.id.to_string()).collect();
    Error::Impossible(format!("there is no broker {id}; there are {}", few(&ids)))
}
