//! How fast a plan may copy, and whether it then ever ends.
//!
//! A rate holds for every broker that takes part, in each direction. It is given, or 70 % of what the limits of the
//! tightest pair of source and target leave beside their present traffic. A throttled replica that takes less than clients
//! write to it never gets in sync, so the rate must exceed that.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{is_dead, placed};
use crate::model::limit::Load;
use crate::model::row::headroom;
use crate::model::row::throttle::ThrottleRow;
use crate::model::snapshot::Snapshot;
use crate::model::throttle::Setting;
use crate::model::{BrokerId, Moment};
use crate::plan::gate::{Class, Gate, Verdict};
use crate::plan::throttle::{Copied, others, per_second, settings, vacant};
use crate::plan::{Move, Plan, Step};

/// Of what is left at the tightest pair, so that clients keep the rest.
pub(in crate::plan) const SHARE: f64 = 0.7;

/// How fast somebody wants it to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxRate {
    /// What the limits leave, where they are known; otherwise as fast as it goes, which a gate says.
    #[default]
    Solved,
    /// Bytes a second on each broker.
    At(u64),
    /// As fast as it goes.
    Unlimited,
}

/// The throttle of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// On every broker that takes part, for what it sends and for what it takes.
    pub bytes_per_second: u64,
    /// Where the rate comes from, in words.
    pub basis: String,
    /// The most that clients write to partitions that one broker copies at once; `None` when that is not known.
    pub ingest_bytes_per_second: Option<u64>,
    /// All of it; `None` when it is not known, or never ends.
    pub seconds: Option<u64>,
}

/// Where a rate comes from that somebody gave.
const ASKED: &str = "as asked";

impl Throttle {
    /// Whether the limits of machines decided it, so that clients' traffic changes it.
    pub fn is_solved(&self) -> bool {
        self.basis != ASKED
    }

    /// The same as clients' traffic has it by now: what cannot be seen stays as it was.
    #[must_use]
    pub fn again(&self, plan: &Plan, snapshot: &Snapshot, now: Moment) -> Self {
        let batches: Vec<Vec<Move>> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Reassign { moves } => Some(moves.clone()),
                _ => None,
            })
            .collect();
        let ingest = ingest(snapshot, &batches).or(self.ingest_bytes_per_second);
        let mut fresh = Self {
            ingest_bytes_per_second: ingest,
            ..self.clone()
        };
        if self.is_solved()
            && let Ok((rate, basis)) = tightest(snapshot, &pairs(snapshot, &batches), now)
        {
            // What it copies is part of the traffic by now, and is not taken off twice: the more it is, the less is left.
            (fresh.bytes_per_second, fresh.basis) = (rate.max(self.bytes_per_second / 4), basis);
        }
        fresh
    }
}

/// Works the throttle out for batches of moves; the gate says why there is none, or whether the plan ends.
pub(super) fn solve(
    snapshot: &Snapshot,
    batches: &[Vec<Move>],
    wish: MaxRate,
    now: Moment,
) -> (Option<Throttle>, Vec<Gate>) {
    let pairs = pairs(snapshot, batches);
    if pairs.is_empty() {
        return (None, Vec::new());
    }
    let warn = |evidence: String| (None, vec![Gate::new("throttle", Class::Soft, Verdict::Warn, evidence)]);
    let (rate, basis) = match wish {
        MaxRate::Unlimited => return warn("none, as asked: copies take whatever disks and network give".to_owned()),
        MaxRate::At(rate) => (rate, ASKED.to_owned()),
        MaxRate::Solved => match tightest(snapshot, &pairs, now) {
            Ok((rate, basis)) => (rate, basis),
            Err(why) => {
                return warn(format!(
                    "none: what the limits leave is not known ({why}); --max-rate RATE sets one"
                ));
            }
        },
    };
    let throttle = Throttle {
        bytes_per_second: rate,
        basis,
        ingest_bytes_per_second: ingest(snapshot, batches),
        seconds: seconds(snapshot, batches, rate),
    };
    let gates = gates(snapshot, batches, &throttle);
    (Some(throttle), gates)
}

/// The same throttle against what is seen now.
pub(super) fn renew(snapshot: &Snapshot, batches: &[Vec<Move>], throttle: &Throttle) -> (Throttle, Vec<Gate>) {
    let throttle = Throttle {
        ingest_bytes_per_second: ingest(snapshot, batches),
        seconds: seconds(snapshot, batches, throttle.bytes_per_second),
        ..throttle.clone()
    };
    let gates = gates(snapshot, batches, &throttle);
    (throttle, gates)
}

/// The steps around the batches: set before anything moves, taken away after everything has.
pub(super) fn around(snapshot: &Snapshot, batches: Vec<Vec<Move>>, throttle: Option<&Throttle>) -> Vec<Step> {
    let settings = throttle.map(|throttle| all(snapshot, &batches, throttle.bytes_per_second));
    let moves = batches.into_iter().map(|moves| Step::Reassign { moves });
    match settings {
        None => moves.collect(),
        Some(settings) => std::iter::once(Step::SetThrottle { settings })
            .chain(moves)
            .chain([Step::ClearThrottle { settings: Vec::new() }])
            .collect(),
    }
}

/// What slows the copies; a broker that is dead cannot be told its rate, and copies nothing.
fn all(snapshot: &Snapshot, batches: &[Vec<Move>], rate: u64) -> Vec<Setting> {
    let moves: Vec<&Move> = batches.iter().flatten().collect();
    let adding: Vec<Vec<BrokerId>> = moves.iter().map(|one| one.adding().collect()).collect();
    let copies = moves.iter().zip(&adding).map(|(one, to)| Copied {
        topic: &one.topic,
        partition: one.partition,
        from: &one.from,
        to,
    });
    let dead = |setting: &Setting| matches!(setting, Setting::Rate(rate) if is_dead(snapshot, rate.broker));
    settings(copies, rate)
        .into_iter()
        .filter(|setting| !dead(setting))
        .collect()
}

/// Whoever leads a partition, and whoever gets it.
fn pairs(snapshot: &Snapshot, batches: &[Vec<Move>]) -> BTreeSet<(BrokerId, BrokerId)> {
    let of = |one: &Move| {
        let leader = source(snapshot, one);
        let targets: Vec<BrokerId> = one.adding().collect();
        targets.into_iter().filter_map(move |target| Some((leader?, target)))
    };
    batches.iter().flatten().flat_map(of).collect()
}

fn source(snapshot: &Snapshot, one: &Move) -> Option<BrokerId> {
    placed(snapshot, one)
        .and_then(|partition| partition.leader)
        .or_else(|| one.from.first().copied())
}

/// 70 % of what is left at the pair that has least, and the arithmetic.
fn tightest(snapshot: &Snapshot, pairs: &BTreeSet<(BrokerId, BrokerId)>, now: Moment) -> Result<(u64, String), String> {
    let loads = headroom::copying(snapshot, now)?;
    let mut worst: Option<(f64, (BrokerId, BrokerId), &[Load])> = None;
    for (source, target) in pairs {
        for id in [source, target] {
            let known = loads.get(id).ok_or_else(|| format!("broker {id} is not known"))?;
            let known = known.as_ref().map_err(|why| format!("broker {id}: {why}"))?;
            let left = known
                .iter()
                .map(|load| load.limit - load.used)
                .fold(f64::INFINITY, f64::min);
            if worst.is_none_or(|(least, _, _)| left < least) {
                worst = Some((left, (*source, *target), known));
            }
        }
    }
    let Some((left, (source, target), loads)) = worst.filter(|(left, _, _)| left.is_finite()) else {
        return Err("no limit is known".to_owned());
    };
    let terms: Vec<String> = loads
        .iter()
        .map(|load| {
            format!(
                "{} {:.0}−{:.0}",
                load.kind.words().trim_end_matches(" MB/s"),
                load.limit,
                load.used
            )
        })
        .collect();
    let basis = format!(
        "70 % of min({}) at the tightest pair {source}→{target}",
        terms.join(", ")
    );
    Ok(((left.max(0.0) * SHARE * 1e6) as u64, basis))
}

/// 70 % of what the limits leave on the broker that has least of those that are copied from.
pub(in crate::plan) fn left_on_sources(snapshot: &Snapshot, batches: &[Vec<Move>], now: Moment) -> Result<u64, String> {
    let sources: BTreeSet<(BrokerId, BrokerId)> = pairs(snapshot, batches)
        .into_iter()
        .map(|(source, _)| (source, source))
        .collect();
    tightest(snapshot, &sources, now).map(|(rate, _)| rate)
}

/// Bytes a second that clients write to a partition: its new records at the mean size of those it holds.
fn writes(snapshot: &Snapshot, one: &Move) -> Option<f64> {
    let span = snapshot.span(&one.topic, one.partition)?;
    let rate = span.rate?;
    if rate <= 0.0 {
        return Some(0.0);
    }
    let records = span.end - span.start;
    (records > 0).then_some(())?;
    Some(rate * one.size_bytes? as f64 / records as f64)
}

/// What each broker takes and gives in one batch: bytes to copy, and what clients write meanwhile.
#[derive(Default, Clone, Copy)]
struct Work {
    bytes: u64,
    ingest: f64,
}

fn work(snapshot: &Snapshot, batch: &[Move]) -> Option<Vec<Work>> {
    let mut sides: BTreeMap<(bool, BrokerId), Work> = BTreeMap::new();
    for one in batch {
        let targets: Vec<BrokerId> = one.adding().collect();
        if targets.is_empty() {
            continue;
        }
        let (bytes, ingest) = (one.size_bytes?, writes(snapshot, one)?);
        let source = source(snapshot, one)?;
        let ends = targets.iter().flat_map(|target| [(true, *target), (false, source)]);
        for end in ends {
            let work = sides.entry(end).or_default();
            work.bytes += bytes;
            work.ingest += ingest;
        }
    }
    Some(sides.into_values().collect())
}

pub(in crate::plan) fn ingest(snapshot: &Snapshot, batches: &[Vec<Move>]) -> Option<u64> {
    let mut most = 0.0;
    for batch in batches {
        for work in work(snapshot, batch)? {
            most = f64::max(most, work.ingest);
        }
    }
    Some(most.ceil() as u64)
}

/// Batches follow each other; in each the broker that has most to do decides.
pub(in crate::plan) fn seconds(snapshot: &Snapshot, batches: &[Vec<Move>], rate: u64) -> Option<u64> {
    let mut sum = 0.0;
    for batch in batches {
        let mut longest = 0.0;
        for work in work(snapshot, batch)? {
            let left = rate as f64 - work.ingest;
            if left <= 0.0 {
                return None;
            }
            longest = f64::max(longest, work.bytes as f64 / left);
        }
        sum += longest;
    }
    Some(sum.ceil() as u64)
}

fn gates(snapshot: &Snapshot, batches: &[Vec<Move>], throttle: &Throttle) -> Vec<Gate> {
    let there: Vec<Setting> = ThrottleRow::all(snapshot)
        .iter()
        .filter_map(ThrottleRow::setting)
        .collect();
    let (_, kept) = vacant(&all(snapshot, batches, throttle.bytes_per_second), &there);
    let mut gates = vec![converges(throttle)];
    if !kept.is_empty() {
        gates.push(others(&kept));
    }
    gates
}

fn converges(throttle: &Throttle) -> Gate {
    let rate = per_second(throttle.bytes_per_second);
    let gate = |verdict, evidence| Gate::new("throttle", Class::Soft, verdict, evidence);
    match throttle.ingest_bytes_per_second {
        None => gate(
            Verdict::Unknown,
            format!("what clients write to the moved partitions is not known, nor so whether {rate} ever ends"),
        ),
        Some(ingest) if ingest >= throttle.bytes_per_second => gate(
            Verdict::Fail,
            format!(
                "never ends: clients write {} to what one broker copies at once, and {rate} is not more",
                per_second(ingest)
            ),
        ),
        Some(ingest) => gate(
            Verdict::Pass,
            format!(
                "{rate} is more than the {} that clients write to what is copied at once",
                per_second(ingest)
            ),
        ),
    }
}

/// `throttle 50 MB/s = 70 % of min(…) at the tightest pair 4→5 > ingest of moved partitions 31 MB/s: converges, ~6 h 50 m`.
pub(in crate::plan) fn line(throttle: &Throttle) -> String {
    let rate = per_second(throttle.bytes_per_second);
    let time = throttle
        .seconds
        .map(|seconds| format!(", ~{}", span(seconds)))
        .unwrap_or_default();
    let against = match throttle.ingest_bytes_per_second {
        None => "ingest of moved partitions not known".to_owned(),
        Some(ingest) if ingest >= throttle.bytes_per_second => {
            format!("≤ ingest of moved partitions {}: never ends", per_second(ingest))
        }
        Some(ingest) => format!("> ingest of moved partitions {}: converges{time}", per_second(ingest)),
    };
    format!("throttle {rate} = {} {against}", throttle.basis)
}

/// `6 h 50 m`, `12 m`, `40 s`.
pub(in crate::plan) fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{} s", seconds.max(1)),
        (0, minutes, _) => format!("{minutes} m"),
        (hours, minutes, _) => format!("{hours} h {minutes} m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::offset::{Offsets, Span};
    use crate::model::topic::{Partition, Topic};

    const MB: u64 = 1_000_000;

    fn now() -> Moment {
        Moment::from_second(1_700_000_000).unwrap()
    }

    /// `orders-0` and `orders-1`, both led by 1: 1,000 records in 100 MB, of which so many a second are new.
    fn snapshot(records_per_second: f64) -> Snapshot {
        let partition = |partition| Partition {
            partition,
            leader: Some(1),
            replicas: [1, 2].into(),
            isr: [1, 2].into(),
            ..Partition::default()
        };
        let orders = Topic {
            name: "orders".into(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: vec![partition(0), partition(1)],
        };
        let span = Span {
            start: 0,
            end: 1000,
            rate: Some(records_per_second),
        };
        let offsets = Offsets::from_iter([("orders", 0, span), ("orders", 1, span)]);
        Snapshot {
            topics: Observed::fresh(vec![orders], now()),
            offsets: BTreeMap::from([(1, Observed::fresh(offsets, now()))]),
            ..Snapshot::default()
        }
    }

    fn a_move(partition: i32) -> Move {
        Move {
            topic: "orders".into(),
            partition,
            from: vec![1, 2],
            to: vec![3, 2],
            size_bytes: Some(100 * MB),
        }
    }

    #[test]
    fn what_is_copied_at_once_must_be_less_than_what_clients_write() {
        // 10 records of 100 kB a second are 1 MB/s for each partition.
        let snapshot = snapshot(10.0);
        let apart = [vec![a_move(0)], vec![a_move(1)]];
        let together = [vec![a_move(0), a_move(1)]];
        let solved = |batches: &[Vec<Move>], rate| {
            let (throttle, gates) = solve(&snapshot, batches, MaxRate::At(rate), now());
            (throttle.unwrap(), gates.into_iter().next().unwrap())
        };
        let (throttle, gate) = solved(&apart, 2 * MB);
        assert_eq!(
            (throttle.ingest_bytes_per_second, throttle.seconds),
            (Some(MB), Some(200))
        );
        assert_eq!(gate.verdict, Verdict::Pass);
        assert_eq!(
            line(&throttle),
            "throttle 2.0 MB/s = as asked > ingest of moved partitions 1.0 MB/s: converges, ~3 m"
        );
        let (throttle, gate) = solved(&together, 2 * MB);
        assert_eq!(
            (throttle.ingest_bytes_per_second, throttle.seconds),
            (Some(2 * MB), None)
        );
        assert_eq!((gate.verdict, gate.class), (Verdict::Fail, Class::Soft));
        assert!(
            gate.evidence.starts_with("never ends: clients write 2.0 MB/s"),
            "{}",
            gate.evidence
        );
    }

    #[test]
    fn what_is_not_known_is_not_well() {
        let mut blind = snapshot(10.0);
        blind.offsets.clear();
        let batches = [vec![a_move(0)]];
        let (throttle, gates) = solve(&blind, &batches, MaxRate::At(MB), now());
        assert_eq!((throttle.unwrap().seconds, gates[0].verdict), (None, Verdict::Unknown));
        // Without a cloud the limits are not known; that is said, and nothing is throttled.
        let (throttle, gates) = solve(&snapshot(0.0), &batches, MaxRate::Solved, now());
        assert!(throttle.is_none());
        assert_eq!(gates[0].verdict, Verdict::Warn);
        assert!(gates[0].evidence.contains("--max-rate"), "{}", gates[0].evidence);
    }

    #[test]
    fn an_order_alone_is_not_throttled() {
        let turned = Move {
            to: vec![2, 1],
            ..a_move(0)
        };
        let (throttle, gates) = solve(&snapshot(0.0), &[vec![turned]], MaxRate::At(MB), now());
        assert!(throttle.is_none() && gates.is_empty());
    }

    #[test]
    fn the_throttle_is_set_first_and_taken_away_last() {
        let snapshot = snapshot(0.0);
        let batches = vec![vec![a_move(0)], vec![a_move(1)]];
        let (throttle, _) = solve(&snapshot, &batches, MaxRate::At(MB), now());
        let steps = around(&snapshot, batches, throttle.as_ref());
        assert!(matches!(steps[0], Step::SetThrottle { .. }));
        assert!(matches!(&steps[3], Step::ClearThrottle { settings } if settings.is_empty()));
        assert_eq!(steps.len(), 4);
    }
}
