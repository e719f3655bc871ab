//! Replicas that go from brokers which hold more than their share to brokers which hold less.
//!
//! Promises: no replica leaves a rack for one where its partition has more; what is moved is at most 1.05 times the least
//! that evenness takes. Followers move before preferred leaders, copies within a zone before copies between zones.

use std::cmp::Reverse;

use super::layout::{At, Layout, Racks};
use super::outcome::{Least, Outcome};
use super::wish::Measure;
use super::{Error, drain};
use crate::model::BrokerId;
use crate::plan::summary::plural;

/// A broker within so much of its share is even; below that, moving costs more than it brings.
const BAND: f64 = 0.025;

/// What is moved stays within so many times the least.
const SLACK: f64 = 1.05;

/// What is levelled: what each broker has, and the bounds between which it is even.
struct Scale {
    /// What one replica of each partition counts; 0 is not moved.
    weights: Vec<u64>,
    /// Each replica counts one, so the smallest are the cheapest to move.
    counts: bool,
    have: Vec<u64>,
    /// Below it a broker must get some.
    low: Vec<f64>,
    /// What a broker that gives keeps.
    keep: Vec<f64>,
    /// What a broker that takes holds at most.
    cap: Vec<f64>,
    /// Above it a broker must give some.
    high: Vec<f64>,
    moved: u64,
    budget: u64,
}

/// Who gives and takes in one pass over the replicas.
#[derive(Clone, Copy, PartialEq)]
enum Giving {
    /// Preferred leaders, within their zone, from brokers that lead more than so many to brokers that lead less.
    Leaders(f64),
    /// From brokers that must give.
    Excess,
    /// To brokers that must get.
    Lack,
    /// Replicas too large for both bounds, where both brokers end nearer to their shares.
    Large,
}

/// `--balance bytes|count`.
pub(super) fn balance(layout: &mut Layout<'_>, measure: Measure) -> Outcome {
    let mut outcome = Outcome::new(layout);
    let open = layout.open();
    let mut scale = match measure {
        Measure::Count => Scale::of_replicas(layout, &open),
        Measure::Bytes | Measure::Leaders => Scale::of_bytes(layout, &open),
    };
    let least = scale.excess(&open).max(scale.lack(&open)).ceil() as u64;
    scale.budget = (least as f64 * SLACK) as u64;
    for giving in [Giving::Excess, Giving::Lack, Giving::Large] {
        give(layout, &mut scale, &open, &open, giving);
    }
    outcome.least = match measure {
        Measure::Count => Least::Replicas(least),
        Measure::Bytes | Measure::Leaders => {
            note_unknown(layout, &mut outcome);
            Least::Bytes(Some(least))
        }
    };
    outcome
}

/// `--add-broker`: only these brokers take. Where nothing has a size yet, replicas are counted.
pub(super) fn add(layout: &mut Layout<'_>, ids: &[BrokerId]) -> Result<Outcome, Error> {
    let new = drain::nodes(layout, ids)?;
    if let Some(dead) = new.iter().find(|node| !layout.nodes[**node].open) {
        let id = layout.nodes[*dead].id;
        return Err(Error::Impossible(format!(
            "broker {id} does not answer, so it cannot take replicas"
        )));
    }
    let mut outcome = Outcome::new(layout);
    let open = layout.open();
    let takes: Vec<bool> = (0..layout.nodes.len()).map(|node| new.contains(&node)).collect();
    let gives: Vec<bool> = (0..layout.nodes.len()).map(|node| open[node] && !takes[node]).collect();
    let sized = layout.parts.iter().any(|part| part.size.is_some_and(|size| size > 0));
    let mut scale = match sized {
        true => Scale::of_bytes(layout, &open),
        false => Scale::of_replicas(layout, &open),
    };
    let least = scale.lack(&takes).ceil() as u64;
    scale.budget = (least as f64 * SLACK) as u64;
    let all: u32 = layout
        .nodes
        .iter()
        .filter(|node| node.open)
        .map(|node| node.leaders)
        .sum();
    let leaders = f64::from(all) / open.iter().filter(|open| **open).count().max(1) as f64;
    for giving in [Giving::Leaders(leaders), Giving::Lack, Giving::Large] {
        give(layout, &mut scale, &gives, &takes, giving);
    }
    prefer(layout, &takes, leaders);
    outcome.least = match sized {
        true => {
            note_unknown(layout, &mut outcome);
            Least::Bytes(Some(least))
        }
        false => Least::Replicas(least),
    };
    Ok(outcome)
}

impl Scale {
    fn of_bytes(layout: &Layout<'_>, open: &[bool]) -> Self {
        let weights: Vec<u64> = layout.parts.iter().map(|part| part.size.unwrap_or(0)).collect();
        let shares = layout.shares(open, |part| weights[part]);
        let times = |factor: f64| shares.iter().map(|share| share * factor).collect();
        let bounds = [times(1.0 - BAND), times(1.0), times(1.0), times(1.0 + BAND)];
        Self::new(layout, weights, false, bounds)
    }

    fn of_replicas(layout: &Layout<'_>, open: &[bool]) -> Self {
        // A share is computed to the last digit but one.
        const HAIR: f64 = 1e-6;
        let shares = layout.shares(open, |_| 1);
        let floor: Vec<f64> = shares.iter().map(|share| (share + HAIR).floor()).collect();
        let ceil: Vec<f64> = shares.iter().map(|share| (share - HAIR).ceil()).collect();
        let weights = vec![1; layout.parts.len()];
        Self::new(layout, weights, true, [floor.clone(), floor, ceil.clone(), ceil])
    }

    fn new(layout: &Layout<'_>, weights: Vec<u64>, counts: bool, bounds: [Vec<f64>; 4]) -> Self {
        let mut have = vec![0; layout.nodes.len()];
        for (part, one) in layout.parts.iter().enumerate() {
            one.to.iter().for_each(|node| have[*node] += weights[part]);
        }
        let [low, keep, cap, high] = bounds;
        Self {
            weights,
            counts,
            have,
            low,
            keep,
            cap,
            high,
            moved: 0,
            budget: 0,
        }
    }

    fn excess(&self, among: &[bool]) -> f64 {
        let nodes = (0..among.len()).filter(|node| among[*node]);
        nodes
            .map(|node| (self.have[node] as f64 - self.high[node]).max(0.0))
            .sum()
    }

    fn lack(&self, among: &[bool]) -> f64 {
        let nodes = (0..among.len()).filter(|node| among[*node]);
        nodes
            .map(|node| (self.low[node] - self.have[node] as f64).max(0.0))
            .sum()
    }

    fn is_over(&self, node: At, giving: Giving) -> bool {
        let bound = match giving {
            Giving::Excess => &self.high,
            Giving::Leaders(_) | Giving::Lack | Giving::Large => &self.keep,
        };
        self.have[node] as f64 > bound[node]
    }

    /// Whether a broker of those that take gets nearer to its share by so much more, as far as the pass is about it.
    fn suits(&self, giver: At, taker: At, weight: u64, giving: Giving) -> bool {
        let (had, got) = (self.have[taker] as f64, (self.have[taker] + weight) as f64);
        match giving {
            Giving::Excess | Giving::Leaders(_) => got <= self.cap[taker],
            Giving::Lack => had < self.low[taker] && got <= self.cap[taker],
            Giving::Large => {
                let must = self.have[giver] as f64 > self.high[giver] || had < self.low[taker];
                let off = |giver_has: f64, taker_has: f64| {
                    let (giver, taker) = (giver_has - self.keep[giver], taker_has - self.cap[taker]);
                    giver.abs().max(taker.abs())
                };
                let left = (self.have[giver] - weight) as f64;
                // A quarter nearer at least, or it is not worth the copy.
                must && off(left, got) <= 0.75 * off(self.have[giver] as f64, had)
            }
        }
    }
}

/// One pass over all replicas of those that give. What suits nobody now suits nobody later in the pass, because givers only
/// get emptier and takers fuller.
fn give(layout: &mut Layout<'_>, scale: &mut Scale, gives: &[bool], takes: &[bool], giving: Giving) {
    let takers = (0..layout.nodes.len()).filter(|node| takes[*node] && (scale.have[*node] as f64) < scale.cap[*node]);
    let takers = layout.racks_of(takers);
    let mut givers: Vec<At> = (0..layout.nodes.len())
        .filter(|node| gives[*node] && scale.is_over(*node, giving))
        .collect();
    if takers.is_empty() || givers.is_empty() {
        return;
    }
    let over = |node: At| (scale.have[node] as f64 / scale.keep[node].max(1.0) * 1e6) as u64;
    givers.sort_by_key(|node| (Reverse(over(*node)), *node));
    let held = layout.held();
    for giver in givers {
        for (part, place) in in_turn(layout, scale, &held[giver], giving) {
            if !scale.is_over(giver, giving) {
                break;
            }
            let weight = scale.weights[part];
            let kept = (scale.have[giver] - weight) as f64;
            let deep = giving != Giving::Large && kept < scale.keep[giver];
            if weight == 0 || deep || scale.moved + weight > scale.budget {
                continue;
            }
            let Some(taker) = taker(layout, scale, (part, place), giver, &takers, giving) else {
                continue;
            };
            layout.replace(part, place, taker);
            scale.have[giver] -= weight;
            scale.have[taker] += weight;
            scale.moved += weight;
        }
    }
}

/// A broker's replicas in the order in which they are tried: followers first, then whatever brings most, or costs least.
fn in_turn(layout: &Layout<'_>, scale: &Scale, held: &[(usize, usize)], giving: Giving) -> Vec<(usize, usize)> {
    let free = |(part, place): &&(usize, usize)| {
        let leads = *place == 0;
        layout.parts[*part].hold.is_none() && (leads || !matches!(giving, Giving::Leaders(_)))
    };
    let mut turn: Vec<(usize, usize)> = held.iter().filter(free).copied().collect();
    turn.sort_by_key(|(part, place)| {
        let weight = layout.weight(*part);
        let cost = if scale.counts { weight } else { u64::MAX - weight };
        (*place == 0, cost, *part)
    });
    turn
}

fn taker(
    layout: &Layout<'_>,
    scale: &Scale,
    (part, place): (usize, usize),
    giver: At,
    takers: &Racks,
    giving: Giving,
) -> Option<At> {
    let weight = scale.weights[part];
    let crowd = layout.crowd(part, Some(place), layout.rack(giver));
    let leads = |taker: At| match giving {
        Giving::Leaders(share) => {
            let more = f64::from(layout.nodes[giver].leaders) > share;
            more && f64::from(layout.nodes[taker].leaders + 1) <= share.max(1.0) && !layout.crosses(part, taker)
        }
        Giving::Excess | Giving::Lack | Giving::Large => true,
    };
    let fill = |taker: At| ((scale.have[taker] + weight) as f64 / scale.cap[taker].max(1.0) * 64.0) as u64;
    let may = |taker: At| scale.suits(giver, taker, weight, giving) && leads(taker);
    layout.choose(part, Some(place), takers, crowd, fill, may)
}

/// New brokers that got followers but lead less than their share become preferred, where the one that is leads more.
fn prefer(layout: &mut Layout<'_>, takes: &[bool], share: f64) {
    for part in 0..layout.parts.len() {
        let one = &layout.parts[part];
        let leads = |node: At| f64::from(layout.nodes[node].leaders);
        if one.hold.is_some() || one.to.is_empty() || takes[one.to[0]] || leads(one.to[0]) <= share {
            continue;
        }
        let less = |place: &usize| takes[one.to[*place]] && leads(one.to[*place]) + 1.0 <= share;
        if let Some(place) = (1..one.to.len()).find(less) {
            layout.prefer(part, place);
        }
    }
}

fn note_unknown(layout: &Layout<'_>, outcome: &mut Outcome) {
    let unknown = layout.parts.iter().filter(|part| part.size.is_none()).count();
    if unknown > 0 {
        outcome.notes.push(format!(
            "{} of unknown size count in no share and stay where they are",
            plural(unknown, "partition")
        ));
    }
}
