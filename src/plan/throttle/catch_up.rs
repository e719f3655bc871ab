//! A throttle for what comes back: brokers that were away copy what they missed from their peers, and would take all that
//! disks and network give.
//!
//! Set before they start, on the peers that they will copy from: a leader's rate holds for every replica that is out of sync
//! and listed, and for none that is in sync. What can be set only on the broker itself, because it answers, is set there
//! too. It goes broker by broker as each is in sync again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{others, per_second, there, told, vacant, words};
use crate::model::snapshot::Snapshot;
use crate::model::throttle::{Setting, Side};
use crate::model::topic::Partition;
use crate::model::{BrokerId, Moment};
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::leader::{self, From};
use crate::plan::reassign::{self, throttle as reckoned};
use crate::plan::summary::{plural, size};
use crate::plan::{Error, Kind, Move, Plan, Step, Undo, known};

/// Who comes back, and how fast they may copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatchUp {
    pub from: From,
    /// Bytes a second on each peer; `None` is 70 % of what the limits of the tightest peer leave.
    pub bytes_per_second: Option<u64>,
}

/// One broker that is to be in sync again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Return {
    pub broker: BrokerId,
    /// Where it was out of sync.
    pub partitions: Vec<Named>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub topic: String,
    pub partition: i32,
}

/// What one broker has missed.
struct Missed<'a> {
    broker: BrokerId,
    partitions: Vec<(&'a str, &'a Partition)>,
}

/// Works it out. Needs what [`super::set`] needs, and offsets twice.
///
/// # Errors
/// When nobody of those is out of sync, or no rate can be worked out.
pub fn plan(snapshot: &Snapshot, wish: &CatchUp, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.topics, "the topics")?;
    let brokers = leader::brokers(snapshot, &wish.from, now)?;
    let missed: Vec<Missed<'_>> = brokers
        .iter()
        .map(|id| Missed::of(snapshot, *id))
        .filter(|missed| !missed.partitions.is_empty())
        .collect();
    if missed.is_empty() {
        let ids: Vec<String> = brokers.iter().map(BrokerId::to_string).collect();
        return Err(Error::Nothing(format!(
            "broker {} is in every ISR that it belongs to; nothing is to be caught up with",
            few(&ids)
        )));
    }
    let moves: Vec<Move> = missed.iter().flat_map(|one| one.moves(snapshot)).collect();
    let batches = [moves];
    let rate = match wish.bytes_per_second {
        Some(rate) => rate,
        None => reckoned::left_on_sources(snapshot, &batches, now).map_err(|why| {
            Error::Impossible(format!(
                "what the limits leave is not known ({why}); --rate RATE sets one"
            ))
        })?,
    };
    let all: Vec<Setting> = missed.iter().flat_map(|one| one.settings(snapshot, rate)).collect();
    let mut whole = Vec::new();
    crate::model::throttle::hold(&mut whole, &all);
    let (free, kept) = vacant(&whole, &there(snapshot));
    if free.is_empty() {
        return Err(Error::Nothing(format!(
            "all of it is throttled already: {}",
            few(&kept)
        )));
    }
    let ingest = reckoned::ingest(snapshot, &batches);
    let seconds = reckoned::seconds(snapshot, &batches, rate);
    let behind: Option<u64> = batches[0].iter().map(|one| one.size_bytes).sum();
    let gates = vec![
        converges(rate, ingest, behind, seconds),
        told(snapshot, &free),
        others(&kept),
    ];
    let mut steps = vec![Step::SetThrottle { settings: free.clone() }];
    for (at, one) in missed.iter().enumerate() {
        steps.push(Step::AwaitIsr(one.awaited()));
        let last = at + 1 == missed.len();
        let lists = one
            .settings(snapshot, rate)
            .into_iter()
            .filter(|setting| match setting {
                Setting::Rate(rate) => rate.broker == one.broker,
                Setting::List(_) => true,
            });
        let own: Vec<Setting> = if last { Vec::new() } else { lists.collect() };
        steps.push(Step::ClearThrottle { settings: own });
    }
    let ids: Vec<BrokerId> = missed.iter().map(|one| one.broker).collect();
    Ok(Plan {
        title: format!("catch up {}: {}", reassign::brokers(&ids), words(&free)),
        steps,
        gates,
        undo: Undo::Full {
            how: "it goes by itself; azimuth operation abort takes it away at once".to_owned(),
        },
        ..Plan::draft(snapshot, Kind::ThrottleSet, context, now)?
    })
}

impl<'a> Missed<'a> {
    fn of(snapshot: &'a Snapshot, broker: BrokerId) -> Self {
        let out = |(_, partition): &(&str, &Partition)| partition.missing().any(|id| id == broker);
        Self {
            broker,
            partitions: snapshot.partitions().filter(out).collect(),
        }
    }

    /// As if each were copied from its leader, with what is missing: nothing is known of a broker that does not answer, so
    /// that it may be all.
    fn moves(&self, snapshot: &Snapshot) -> Vec<Move> {
        let of = |(topic, partition): &(&str, &Partition)| {
            let others: Vec<BrokerId> = partition
                .replicas
                .iter()
                .copied()
                .filter(|id| *id != self.broker)
                .collect();
            let whole = partition
                .leader
                .and_then(|leader| held(snapshot, leader, topic, partition.partition));
            let own = held(snapshot, self.broker, topic, partition.partition).unwrap_or(0);
            Move {
                topic: (*topic).to_owned(),
                partition: partition.partition,
                to: others.iter().copied().chain([self.broker]).collect(),
                from: others,
                size_bytes: whole.map(|whole| whole.saturating_sub(own)),
            }
        };
        self.partitions.iter().map(of).collect()
    }

    /// Leaders' rates and lists on whoever may lead meanwhile; followers' on the broker itself where it answers.
    fn settings(&self, snapshot: &Snapshot, rate: u64) -> Vec<Setting> {
        let answers = !reassign::is_dead(snapshot, self.broker);
        let mut peers: BTreeSet<BrokerId> = BTreeSet::new();
        let mut lists: BTreeMap<(&str, Side), BTreeSet<String>> = BTreeMap::new();
        for (topic, partition) in &self.partitions {
            let number = partition.partition;
            for peer in partition.isr.iter().filter(|id| !reassign::is_dead(snapshot, **id)) {
                peers.insert(*peer);
                lists
                    .entry((topic, Side::Leader))
                    .or_default()
                    .insert(format!("{number}:{peer}"));
            }
            if answers {
                let entry = format!("{number}:{}", self.broker);
                lists.entry((topic, Side::Follower)).or_default().insert(entry);
            }
        }
        let rates = peers.into_iter().map(|peer| Setting::rate(peer, Side::Leader, rate));
        let own = answers.then(|| Setting::rate(self.broker, Side::Follower, rate));
        let lists = lists
            .into_iter()
            .map(|((topic, side), entries)| Setting::list(topic, side, entries));
        rates.chain(own).chain(lists).collect()
    }

    fn awaited(&self) -> Return {
        let named = |(topic, partition): &(&str, &Partition)| Named {
            topic: (*topic).to_owned(),
            partition: partition.partition,
        };
        Return {
            broker: self.broker,
            partitions: self.partitions.iter().map(named).collect(),
        }
    }
}

/// Bytes of one replica, as its broker tells.
fn held(snapshot: &Snapshot, broker: BrokerId, topic: &str, partition: i32) -> Option<u64> {
    let mut replicas = snapshot
        .logdirs
        .get(&broker)?
        .get()?
        .iter()
        .flat_map(|dir| dir.replicas.iter());
    let found = replicas.find(|replica| replica.topic == topic && replica.partition == partition);
    found.map(|replica| replica.size_bytes)
}

/// Too slow a rate keeps a broker out of sync for good.
fn converges(rate: u64, ingest: Option<u64>, behind: Option<u64>, seconds: Option<u64>) -> Gate {
    let gate = |verdict, evidence| Gate::new("throttle", Class::Soft, verdict, evidence);
    let rate_words = per_second(rate);
    match ingest {
        None => gate(
            Verdict::Unknown,
            format!("what clients write to what is missed is not known, nor so whether {rate_words} ever catches up"),
        ),
        Some(ingest) if ingest >= rate => gate(
            Verdict::Fail,
            format!(
                "never catches up: clients write {}, and {rate_words} is not more",
                per_second(ingest)
            ),
        ),
        Some(ingest) => {
            let time = seconds.map_or("?".to_owned(), reckoned::span);
            let what = format!("at most {} in at most {time}", size(behind));
            gate(
                Verdict::Pass,
                format!(
                    "{what} to ISR at {rate_words}, more than the {} that clients write",
                    per_second(ingest)
                ),
            )
        }
    }
}

impl Return {
    /// `broker 4 in sync for 12 partitions`.
    pub fn words(&self) -> String {
        let count = plural(self.partitions.len(), "partition");
        format!(
            "wait until broker {} is in sync for {count}, once it is started",
            self.broker
        )
    }
}
