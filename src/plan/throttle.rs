//! Plans that set and clear replication throttles, and which settings slow the copies of a move.
//!
//! What somebody else has set stays as it is: a broker that has a rate keeps it, a list only grows by entries that it
//! lacks, and nothing is taken away that was not set from here unless it is named or asked for.

pub mod catch_up;

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{Class, Gate, Verdict, few};
use super::summary::{plural, size};
use super::{Error, Kind, Plan, Step, Undo};
use crate::model::row::throttle::{Standing, ThrottleRow};
use crate::model::snapshot::Snapshot;
use crate::model::throttle::{self, Claim, List, Rate, Setting, Side};
use crate::model::{BrokerId, Moment};
pub use catch_up::CatchUp;

/// What shall be throttled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// The copies that reassignments in flight make, whoever started them.
    InFlight { bytes_per_second: u64 },
    /// What brokers copy that come back.
    CatchUp(CatchUp),
    /// This, as it was.
    Exactly(Vec<Setting>),
}

/// Which throttles shall go: what Azimuth has set, and what else is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clear {
    /// What the journals of this host tell to be ours.
    pub claims: Vec<Claim>,
    /// Everything that is set, whoever set it.
    pub foreign: bool,
    /// All rates of these brokers, whoever set them.
    pub brokers: Vec<BrokerId>,
    /// The lists of these topics, whoever wrote them.
    pub topics: Vec<String>,
}

impl Clear {
    /// Just these, by what they are set on.
    pub fn of(settings: &[Setting]) -> Self {
        let mut clear = Self::default();
        for setting in settings {
            match setting {
                Setting::Rate(rate) => clear.brokers.push(rate.broker),
                Setting::List(list) => clear.topics.push(list.topic.clone()),
            }
        }
        clear
    }
}

/// What a plan sets or clears.
pub fn settings_of(plan: &Plan) -> Vec<Setting> {
    let of = |step: &Step| match step {
        Step::SetThrottle { settings } | Step::ClearThrottle { settings } => settings.clone(),
        _ => Vec::new(),
    };
    plan.steps.iter().flat_map(of).collect()
}

/// One partition that is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copied<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// Whoever may lead it meanwhile.
    pub from: &'a [BrokerId],
    pub to: &'a [BrokerId],
}

/// What slows these copies: both rates on the brokers that take part, and both lists. Replicas that are there already are
/// in no follower's list, so that they catch up unhindered if they fall behind.
pub(super) fn settings<'a>(copies: impl Iterator<Item = Copied<'a>>, bytes_per_second: u64) -> Vec<Setting> {
    let mut rates: BTreeSet<(BrokerId, Side)> = BTreeSet::new();
    let mut lists: BTreeMap<(&str, Side), BTreeSet<String>> = BTreeMap::new();
    for copy in copies.filter(|copy| !copy.to.is_empty()) {
        for (side, ids) in [(Side::Leader, copy.from), (Side::Follower, copy.to)] {
            rates.extend(ids.iter().map(|id| (*id, side)));
            let entries = ids.iter().map(|id| format!("{}:{id}", copy.partition));
            lists.entry((copy.topic, side)).or_default().extend(entries);
        }
    }
    let rates = rates
        .into_iter()
        .map(|(id, side)| Setting::rate(id, side, bytes_per_second));
    let lists = lists
        .into_iter()
        .map(|((topic, side), entries)| Setting::list(topic, side, entries));
    rates.chain(lists).collect()
}

/// What a plan would set to slow its copies, at no rate in particular: what takes part in it.
pub fn slowing(plan: &Plan) -> Vec<Setting> {
    let moves: Vec<(&super::Move, Vec<BrokerId>)> = plan.moves().map(|one| (one, one.adding().collect())).collect();
    let copies = moves.iter().map(|(one, to)| Copied {
        topic: &one.topic,
        partition: one.partition,
        from: &one.from,
        to,
    });
    settings(copies, 0)
}

/// What of `wanted` nobody has set yet, and what is left as others set it, in sentences.
pub fn vacant(wanted: &[Setting], there: &[Setting]) -> (Vec<Setting>, Vec<String>) {
    let (mut free, mut kept) = (Vec::new(), Vec::new());
    for setting in wanted {
        match setting {
            Setting::Rate(rate) => match there.iter().find_map(|other| same_rate(other, rate)) {
                Some(other) => kept.push(format!(
                    "broker {} has a {} rate of {} already",
                    rate.broker,
                    rate.side,
                    per_second(other.bytes_per_second)
                )),
                None => free.push(setting.clone()),
            },
            Setting::List(list) => {
                let known = there.iter().find_map(|other| same_list(other, list));
                let known = known.map(|known| known.replicas.clone()).unwrap_or_default();
                if known.contains("*") {
                    kept.push(format!(
                        "topic {} throttles all {} replicas already",
                        list.topic, list.side
                    ));
                    continue;
                }
                let missing: BTreeSet<String> = list.replicas.difference(&known).cloned().collect();
                if !missing.is_empty() {
                    free.push(Setting::list(&list.topic, list.side, missing));
                }
            }
        }
    }
    (free, kept)
}

pub(crate) fn same_rate<'a>(other: &'a Setting, rate: &Rate) -> Option<&'a Rate> {
    match other {
        Setting::Rate(other) if other.broker == rate.broker && other.side == rate.side => Some(other),
        _ => None,
    }
}

pub(crate) fn same_list<'a>(other: &'a Setting, list: &List) -> Option<&'a List> {
    match other {
        Setting::List(other) if other.topic == list.topic && other.side == list.side => Some(other),
        _ => None,
    }
}

/// Works out what setting takes. Needs cluster, topics, reassignments, and the configs of brokers and topics.
///
/// # Errors
/// When nothing is in flight that could be throttled, or all of it is throttled already.
pub fn set(snapshot: &Snapshot, wish: &Set, context: &str, now: Moment) -> Result<Plan, Error> {
    let there = there(snapshot);
    let wanted = match wish {
        Set::CatchUp(wish) => return catch_up::plan(snapshot, wish, context, now),
        Set::Exactly(settings) => settings.clone(),
        Set::InFlight { bytes_per_second } => in_flight(snapshot, *bytes_per_second)?,
    };
    let (free, kept) = vacant(&wanted, &there);
    if free.is_empty() {
        return Err(Error::Nothing(match kept.is_empty() {
            true => "all of it is set already".to_owned(),
            false => format!("all of it is throttled already: {}", few(&kept)),
        }));
    }
    let gates = vec![told(snapshot, &free), others(&kept)];
    let undo = Undo::Full {
        how: "azimuth throttle clear".to_owned(),
    };
    let title = format!("set {}", words(&free));
    Ok(Plan {
        title,
        steps: vec![Step::SetThrottle { settings: free }],
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::ThrottleSet, context, now)?
    })
}

/// What slows the reassignments in flight.
fn in_flight(snapshot: &Snapshot, bytes_per_second: u64) -> Result<Vec<Setting>, Error> {
    let moves = snapshot.reassignments.get().ok_or_else(|| Error::Blind {
        what: "the reassignments in flight",
        why: snapshot.reassignments.problem().unwrap_or_default(),
    })?;
    let sources: Vec<Vec<BrokerId>> = moves
        .iter()
        .map(|one| {
            one.replicas
                .iter()
                .copied()
                .filter(|id| !one.adding.contains(id))
                .collect()
        })
        .collect();
    let copies = moves.iter().zip(&sources).map(|(one, from)| Copied {
        topic: &one.topic,
        partition: one.partition,
        from,
        to: &one.adding,
    });
    let settings = settings(copies, bytes_per_second);
    match settings.is_empty() {
        true => Err(Error::Nothing(
            "no reassignment is in flight that copies anything".to_owned(),
        )),
        false => Ok(settings),
    }
}

/// Works out what clearing takes. Needs cluster, topics, reassignments, log dirs, and the configs of brokers and topics.
///
/// # Errors
/// When nothing of it is set, or running operations still need it.
pub fn clear(snapshot: &Snapshot, wish: &Clear, context: &str, now: Moment) -> Result<Plan, Error> {
    let rows = ThrottleRow::all(snapshot);
    let (live, idle): (Vec<&Claim>, Vec<&Claim>) = wish.claims.iter().partition(|claim| claim.live);
    let of = |claims: &[&Claim]| claims.iter().map(|claim| claim.setting.clone()).collect::<Vec<_>>();
    let (needed, ours) = (of(&live), of(&idle));
    let named = |row: &ThrottleRow| {
        wish.foreign
            || row.broker.is_some_and(|id| wish.brokers.contains(&id))
            || row.topic.as_ref().is_some_and(|topic| wish.topics.contains(topic))
    };
    // Who names some means those alone.
    let only_named = !wish.brokers.is_empty() || !wish.topics.is_empty();
    let (mut settings, mut serving, mut kept) = (Vec::new(), Vec::new(), 0);
    for row in &rows {
        let Some(setting) = row.setting() else { continue };
        let whole = vec![setting];
        let mut going = match (named(row), only_named) {
            (true, _) => whole.clone(),
            (false, true) => Vec::new(),
            (false, false) => throttle::among(&whole, &ours),
        };
        throttle::release(&mut going, &needed);
        kept += usize::from(going.is_empty() && !throttle::among(&whole, &needed).is_empty());
        if going.is_empty() {
            continue;
        }
        if row.standing == Standing::Serving {
            serving.push(format!("{} {}", row.subject, row.property));
        }
        settings.append(&mut going);
    }
    if settings.is_empty() {
        return Err(Error::Nothing(why_none(snapshot, &rows, &live, kept, wish)));
    }
    let gates = vec![
        told(snapshot, &settings),
        Gate::none_of(
            "serving",
            Class::Soft,
            &serving,
            "no reassignment in flight is under them",
            "slow a reassignment in flight, which would go on at full speed",
        ),
    ];
    let undo = Undo::Full {
        how: "set again as it was".to_owned(),
    };
    let title = format!("clear {}", words(&settings));
    Ok(Plan {
        title,
        steps: vec![Step::ClearThrottle { settings }],
        gates,
        undo,
        ..Plan::draft(snapshot, Kind::ThrottleClear, context, now)?
    })
}

fn why_none(snapshot: &Snapshot, rows: &[ThrottleRow], live: &[&Claim], kept: usize, wish: &Clear) -> String {
    if kept > 0 {
        let operations: BTreeSet<String> = live.iter().map(|claim| claim.operation.clone()).collect();
        let operations: Vec<String> = operations.into_iter().collect();
        return format!(
            "operation {} still needs what is set, and takes it away itself at its end or when it is aborted",
            few(&operations)
        );
    }
    let unknown = || -> Option<String> {
        let mut brokers = snapshot.broker_configs.iter();
        let silent = brokers.find_map(|(id, section)| {
            section
                .get()
                .is_none()
                .then(|| format!("broker {id}: {}", section.problem().unwrap_or_default()))
        });
        silent.or_else(|| {
            snapshot
                .topic_configs
                .get()
                .is_none()
                .then(|| format!("topics: {}", snapshot.topic_configs.problem().unwrap_or_default()))
        })
    };
    let unseen = unknown()
        .map(|why| format!("; not everything is seen: {why}"))
        .unwrap_or_default();
    let named = !wish.brokers.is_empty() || !wish.topics.is_empty();
    match rows.len() {
        0 => format!("no throttle is set{unseen}"),
        _ if named => format!("nothing of what was named is throttled{unseen}"),
        others => format!(
            "no throttle of ours is set{unseen}; {} of others: azimuth throttle list shows them, --foreign, --broker or --topic clears them",
            plural(others, "setting")
        ),
    }
}

/// Everything that is set.
fn there(snapshot: &Snapshot) -> Vec<Setting> {
    ThrottleRow::all(snapshot)
        .iter()
        .filter_map(ThrottleRow::setting)
        .collect()
}

/// What is set has to be known where it shall be changed.
fn told(snapshot: &Snapshot, settings: &[Setting]) -> Gate {
    let brokers: BTreeSet<BrokerId> = settings
        .iter()
        .filter_map(|setting| match setting {
            Setting::Rate(rate) => Some(rate.broker),
            Setting::List(_) => None,
        })
        .collect();
    let silent = brokers.iter().filter_map(|id| {
        let section = snapshot.broker_configs.get(id);
        let known = section.is_some_and(|section| section.get().is_some());
        (!known).then(|| {
            let why = section
                .and_then(|section| section.problem())
                .unwrap_or_else(|| "it was not asked".to_owned());
            format!("broker {id}: {why}")
        })
    });
    let mut unknown: Vec<String> = silent.collect();
    if snapshot.topic_configs.get().is_none() {
        unknown.push(format!(
            "topics: {}",
            snapshot.topic_configs.problem().unwrap_or_default()
        ));
    }
    match unknown.is_empty() {
        true => Gate::new(
            "configs",
            Class::Soft,
            Verdict::Pass,
            "what is set is known of all that is touched",
        ),
        false => Gate::new(
            "configs",
            Class::Soft,
            Verdict::Unknown,
            format!("what is set is not known of {}", few(&unknown)),
        ),
    }
}

/// What others set stays, and is told.
pub(super) fn others(kept: &[String]) -> Gate {
    match kept.is_empty() {
        true => Gate::new(
            "foreign",
            Class::Soft,
            Verdict::Pass,
            "nobody else has throttled the same",
        ),
        false => Gate::new(
            "foreign",
            Class::Soft,
            Verdict::Warn,
            format!("left as others set it: {}", few(kept)),
        ),
    }
}

/// `10 MB/s on brokers 1, 2 and the lists of 3 topics`.
pub fn words(settings: &[Setting]) -> String {
    let mut rates: BTreeMap<u64, BTreeSet<BrokerId>> = BTreeMap::new();
    let mut topics: BTreeSet<String> = BTreeSet::new();
    for setting in settings {
        match setting {
            Setting::Rate(rate) => {
                rates.entry(rate.bytes_per_second).or_default().insert(rate.broker);
            }
            Setting::List(list) => {
                topics.insert(list.topic.clone());
            }
        }
    }
    let rates = rates.into_iter().map(|(rate, ids)| {
        let ids: Vec<BrokerId> = ids.into_iter().collect();
        format!("{} on {}", per_second(rate), super::reassign::brokers(&ids))
    });
    let topics: Vec<String> = topics.into_iter().collect();
    let lists = (!topics.is_empty()).then(|| match topics.len() {
        1 => format!("the throttled replicas of {}", few(&topics)),
        count => format!("the throttled replicas of {}", plural(count, "topic")),
    });
    let parts: Vec<String> = rates.chain(lists).collect();
    parts.join(", ")
}

/// `50 MB/s`; decimal, as AWS bills.
pub fn per_second(bytes: u64) -> String {
    format!("{}/s", size(Some(bytes)))
}

/// One setting, for a list of what is done: `broker 4  leader.replication.throttled.rate  10 MB/s`.
pub(super) fn line(setting: &Setting) -> String {
    let value = match setting {
        Setting::Rate(rate) => per_second(rate.bytes_per_second),
        Setting::List(list) => few(&list.replicas.iter().cloned().collect::<Vec<_>>()),
    };
    format!("{}  {}  {value}", setting.subject(), setting.property())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(topic: &str, side: Side, text: &str) -> Setting {
        Setting::list(topic, side, throttle::entries(text))
    }

    #[test]
    fn both_halves_of_both_sides_slow_a_copy_and_an_order_alone_is_none() {
        let copies = [
            Copied {
                topic: "orders",
                partition: 0,
                from: &[1, 2],
                to: &[4],
            },
            Copied {
                topic: "orders",
                partition: 1,
                from: &[2],
                to: &[],
            },
        ];
        let made = settings(copies.into_iter(), 1000);
        let wanted = [
            Setting::rate(1, Side::Leader, 1000),
            Setting::rate(2, Side::Leader, 1000),
            Setting::rate(4, Side::Follower, 1000),
            list("orders", Side::Leader, "0:1,0:2"),
            list("orders", Side::Follower, "0:4"),
        ];
        assert_eq!(made, wanted);
    }

    #[test]
    fn what_others_set_stays_as_it_is() {
        let wanted = [
            Setting::rate(1, Side::Leader, 1000),
            Setting::rate(4, Side::Follower, 1000),
            list("orders", Side::Leader, "0:1,0:2"),
            list("clicks", Side::Leader, "0:1"),
        ];
        let there = [
            Setting::rate(1, Side::Leader, 7_000_000),
            Setting::rate(4, Side::Leader, 7_000_000),
            list("orders", Side::Leader, "0:1,9:9"),
            list("clicks", Side::Leader, "*"),
        ];
        let (free, kept) = vacant(&wanted, &there);
        assert_eq!(
            free,
            [
                Setting::rate(4, Side::Follower, 1000),
                list("orders", Side::Leader, "0:2")
            ]
        );
        assert_eq!(
            kept,
            [
                "broker 1 has a leader rate of 7.0 MB/s already",
                "topic clicks throttles all leader replicas already"
            ]
        );
    }
}
