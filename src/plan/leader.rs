//! Plans that change who leads: by the order of preference, without a byte moved, and by elections.
//!
//! Promises: only replicas that are in sync and answer become leaders, unless an unclean election was asked for by name;
//! nothing else of a partition changes; what stays as it is, is named with the reason.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{Class, Gate, Verdict, few};
use super::impact::Impact;
use super::reassign::{Target, is_dead, topic_pattern};
use super::{Error, Kind, Lead, Move, Plan, Step, Undo, group, known};
use crate::model::row::Rows;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::model::{BrokerId, Moment};

/// This many partitions are asked of the controller at once. Source: KRaft's MAX_RECORDS_PER_USER_OP is 10,000, and each
/// takes a record.
const BATCH: usize = 1000;

/// What shall become of who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// These brokers lead nothing, and are preferred for nothing, as far as others can.
    Leave {
        from: From,
        /// Only this broker takes over.
        to: Option<BrokerId>,
        /// Only topics whose whole name this regular expression matches.
        topics: Option<String>,
        /// Of them, none whose whole name this one matches.
        exclude: Option<String>,
    },
    /// The order of preference that was saved by an earlier plan.
    Restore(Vec<Target>),
    /// The preferred replica leads; all partitions where none is named. A name is a topic, or `TOPIC:PARTITION`.
    Prefer(Vec<String>),
    /// Any live replica leads these partitions that are offline. What only dead ones have is lost.
    Unclean(Vec<String>),
}

impl Wish {
    /// What a plan of leaders leads to, partition by partition.
    pub(super) fn of(plan: &Plan) -> Self {
        let leads = || plan.steps.iter().flat_map(Step::leads);
        let names = || {
            leads()
                .map(|lead| format!("{}:{}", lead.topic, lead.partition))
                .collect()
        };
        match plan.kind {
            Kind::LeaderElect if leads().any(|lead| lead.to.is_none()) => Self::Unclean(names()),
            Kind::LeaderElect => Self::Prefer(names()),
            _ => Self::Restore(
                plan.moves()
                    .map(|one| Target::new(&one.topic, one.partition, one.to.clone()))
                    .collect(),
            ),
        }
    }
}

/// Who is to be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    Brokers(Vec<BrokerId>),
    /// By id, name, or rack.
    Zone(String),
}

/// Works it out. Needs cluster, links, topics and reassignments; a zone that is no rack needs instances too, an unclean
/// election log dirs.
///
/// # Errors
/// When a name does not exist, nothing would change, or no replica is there to take over.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    known(&snapshot.topics, "the topics")?;
    // What is being reassigned must be left alone, so it must be known.
    known(&snapshot.reassignments, "the reassignments in flight")?;
    let draft = match wish {
        Wish::Leave {
            from,
            to,
            topics,
            exclude,
        } => leave(snapshot, from, *to, &[topics, exclude], now)?,
        Wish::Restore(order) => restore(snapshot, order)?,
        Wish::Prefer(names) => prefer(snapshot, names)?,
        Wish::Unclean(names) => unclean(snapshot, names)?,
    };
    let moves: Vec<Move> = draft.changes.iter().filter_map(|change| change.order.clone()).collect();
    Ok(Plan {
        title: draft.title,
        steps: steps(draft.changes),
        gates: draft.gates,
        impact: Impact::of(&moves, snapshot),
        undo: draft.undo,
        ..Plan::draft(snapshot, draft.kind, context, now)?
    })
}

/// Whether `zone` has to be looked up in EC2, since no broker has it for a rack.
pub fn asks_ec2(wish: &Wish, snapshot: &Snapshot) -> bool {
    let Wish::Leave {
        from: From::Zone(zone), ..
    } = wish
    else {
        return false;
    };
    in_rack(snapshot, zone).is_empty()
}

/// A plan before it has its frame.
struct Draft {
    kind: Kind,
    title: String,
    changes: Vec<Change>,
    gates: Vec<Gate>,
    undo: Undo,
}

/// What becomes of one partition: another order, another leader, or both.
#[derive(Default)]
struct Change {
    order: Option<Move>,
    lead: Option<Lead>,
}

/// Orders and elections in turn, so that what was asked for first is done first.
fn steps(changes: Vec<Change>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let (mut moves, mut leads) = (Vec::new(), Vec::new());
        for change in changes.by_ref().take(BATCH) {
            moves.extend(change.order);
            leads.extend(change.lead);
        }
        if !moves.is_empty() {
            steps.push(Step::Reassign { moves });
        }
        if !leads.is_empty() {
            steps.push(Step::Elect { leads });
        }
    }
    steps
}

fn leave(
    snapshot: &Snapshot,
    from: &From,
    to: Option<BrokerId>,
    [topics, exclude]: &[&Option<String>; 2],
    now: Moment,
) -> Result<Draft, Error> {
    let leaving = brokers(snapshot, from, now)?;
    if let Some(to) = to {
        listed(snapshot, to)?;
        if leaving.contains(&to) {
            return Err(Error::Impossible(format!("broker {to} cannot take over from itself")));
        }
    }
    let pattern = |text: &Option<String>| {
        let text = text.as_deref();
        text.map(topic_pattern).transpose().map_err(Error::Impossible)
    };
    let (topics, exclude) = (pattern(topics)?, pattern(exclude)?);
    let scope = |name: &str| {
        topics.as_ref().is_none_or(|regex| regex.is_match(name))
            && !exclude.as_ref().is_some_and(|regex| regex.is_match(name))
    };
    let concerned = |partition: &Partition| {
        let first = partition.replicas.first();
        let leads = partition.leader.is_some_and(|id| leaving.contains(&id));
        leads || first.is_some_and(|id| leaving.contains(id))
    };
    let mut leads = led(snapshot);
    let mut left = Left::default();
    let mut changes = Vec::new();
    for (topic, partition) in snapshot.partitions() {
        if !scope(topic) || !concerned(partition) {
            continue;
        }
        let name = format!("{topic}-{}", partition.partition);
        if moving(snapshot, topic, partition.partition) {
            left.moving.push(name);
            continue;
        }
        let fit = |id: &BrokerId| {
            partition.isr.contains(id)
                && !leaving.contains(id)
                && to.is_none_or(|to| to == *id)
                && !is_dead(snapshot, *id)
        };
        // Who leads already takes over the preference; otherwise whoever leads least.
        let stays = partition.leader.filter(fit);
        let heir = partition.replicas.iter().copied().filter(fit);
        let heir = stays.or_else(|| heir.min_by_key(|id| leads.get(id).copied().unwrap_or(0)));
        let Some(heir) = heir else {
            left.alone.push(name);
            continue;
        };
        if stays.is_none() {
            *leads.entry(heir).or_default() += 1;
        }
        let (others, last): (Vec<BrokerId>, Vec<BrokerId>) = partition
            .replicas
            .iter()
            .filter(|id| **id != heir)
            .partition(|id| !leaving.contains(id));
        let order = std::iter::once(heir).chain(others).chain(last).collect();
        changes.push(change(topic, partition, order));
    }
    let whom = match from {
        From::Brokers(ids) => super::reassign::brokers(ids),
        From::Zone(zone) => zone.clone(),
    };
    let moved = changes.iter().filter(|change| change.lead.is_some()).count();
    if changes.is_empty() {
        return Err(left.nothing(&whom));
    }
    Ok(Draft {
        kind: Kind::LeaderMove,
        title: format!("{} off {whom}", leaders(moved)),
        gates: left.gates(changes.len()),
        changes,
        undo: Undo::Full {
            how: "leader restore, no bytes".to_owned(),
        },
    })
}

/// Partitions that stay as they are, and why.
#[derive(Default)]
struct Left {
    /// No other replica in sync answers.
    alone: Vec<String>,
    moving: Vec<String>,
}

impl Left {
    fn gates(&self, all: usize) -> Vec<Gate> {
        let isr = match self.alone.len() {
            0 => Gate::new(
                "isr",
                Class::Hard,
                Verdict::Pass,
                format!("all {all} get a leader that is in sync and answers"),
            ),
            count => Gate::new(
                "isr",
                Class::Hard,
                Verdict::Warn,
                format!(
                    "{count} of {} stay: no other replica is in sync and answers ({})",
                    all + count,
                    few(&self.alone)
                ),
            ),
        };
        let moving = (!self.moving.is_empty()).then(|| {
            let text = format!(
                "{} stay while they are being reassigned: {}",
                self.moving.len(),
                few(&self.moving)
            );
            Gate::new("reassigning", Class::Soft, Verdict::Warn, text)
        });
        std::iter::once(isr).chain(moving).collect()
    }

    fn nothing(&self, whom: &str) -> Error {
        if self.alone.is_empty() && self.moving.is_empty() {
            return Error::Nothing(format!("{whom} leads nothing and is preferred for nothing there"));
        }
        let gates = self.gates(0);
        let why: Vec<&str> = gates
            .iter()
            .filter(|gate| gate.verdict == Verdict::Warn)
            .map(|gate| gate.evidence.as_str())
            .collect();
        Error::Impossible(format!("no leader of {whom} can be moved: {}", why.join("; ")))
    }
}

fn restore(snapshot: &Snapshot, order: &[Target]) -> Result<Draft, Error> {
    let (mut changes, mut gone, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    for target in order {
        let name = format!("{}-{}", target.topic, target.partition);
        let found = snapshot
            .topic(&target.topic)
            .and_then(|topic| topic.partition(target.partition));
        let set = |ids: &[BrokerId]| ids.iter().copied().collect::<BTreeSet<_>>();
        let same = found.filter(|partition| set(&partition.replicas) == set(&target.replicas));
        let Some(partition) = same.filter(|_| !moving(snapshot, &target.topic, target.partition)) else {
            gone.push(name);
            continue;
        };
        let mut change = change(&target.topic, partition, target.replicas.clone());
        if let Some(lead) = &change.lead
            && lead
                .to
                .is_some_and(|id| !partition.isr.contains(&id) || is_dead(snapshot, id))
        {
            behind.push(name);
            change.lead = None;
        }
        if change.order.is_some() || change.lead.is_some() {
            changes.push(change);
        }
    }
    if changes.is_empty() {
        let why = match (gone.len(), behind.len()) {
            (0, 0) => "the saved order holds, and those that it prefers lead".to_owned(),
            (0, _) => format!("those that it prefers are not in sync yet: {}", few(&behind)),
            _ => format!("these have moved to other brokers since, or are moving: {}", few(&gone)),
        };
        return Err(Error::Nothing(why));
    }
    let gate = |name: &str, names: &[String], well: &str, ill: &str| match names.len() {
        0 => Gate::new(name, Class::Soft, Verdict::Pass, well),
        count => Gate::new(
            name,
            Class::Soft,
            Verdict::Warn,
            format!("{count} {ill}: {}", few(names)),
        ),
    };
    Ok(Draft {
        kind: Kind::LeaderRestore,
        title: format!("the order of {} as it was saved", plural(changes.len())),
        gates: vec![
            gate(
                "isr",
                &behind,
                "those that are preferred again are in sync",
                "are led by others until the preferred replica is in sync (then: leader elect)",
            ),
            gate(
                "placement",
                &gone,
                "every partition is on the brokers that the saved order names",
                "are left alone, they moved to other brokers since, or are moving",
            ),
        ],
        changes,
        undo: Undo::Full {
            how: "leader move, no bytes".to_owned(),
        },
    })
}

fn prefer(snapshot: &Snapshot, names: &[String]) -> Result<Draft, Error> {
    let mut behind = Vec::new();
    let mut changes = Vec::new();
    for (topic, partition) in named(snapshot, names)? {
        let Some(first) = partition
            .replicas
            .first()
            .copied()
            .filter(|id| partition.leader != Some(*id))
        else {
            continue;
        };
        if partition.isr.contains(&first) && !is_dead(snapshot, first) {
            changes.push(change(topic, partition, partition.replicas.to_vec()));
        } else {
            behind.push(format!("{topic}-{} (broker {first})", partition.partition));
        }
    }
    if changes.is_empty() {
        return Err(match behind.is_empty() {
            true => Error::Nothing("every partition is led by its preferred replica".to_owned()),
            false => Error::Impossible(format!(
                "no preferred replica that does not lead is in sync and answers: {}",
                few(&behind)
            )),
        });
    }
    let gate = match behind.len() {
        0 => Gate::new("isr", Class::Hard, Verdict::Pass, "every preferred replica is in sync"),
        count => {
            let text = format!("{count} stay: the preferred replica is not in sync ({})", few(&behind));
            Gate::new("isr", Class::Hard, Verdict::Warn, text)
        }
    };
    Ok(Draft {
        kind: Kind::LeaderElect,
        title: format!("{} back to the preferred replica", leaders(changes.len())),
        changes,
        gates: vec![gate],
        undo: Undo::Partial {
            how: "leader move --from-broker, which changes the preference too".to_owned(),
        },
    })
}

fn unclean(snapshot: &Snapshot, names: &[String]) -> Result<Draft, Error> {
    if names.is_empty() {
        return Err(Error::Impossible(
            "an unclean election wants its partitions named: what only dead replicas have is lost".to_owned(),
        ));
    }
    let mut changes = Vec::new();
    let mut risks = Vec::new();
    for (topic, partition) in named(snapshot, names)? {
        let name = format!("{topic}-{}", partition.partition);
        if let Some(leader) = partition.leader {
            return Err(Error::Impossible(format!(
                "{name} is led by broker {leader}; an unclean election is for partitions without a leader"
            )));
        }
        let live = |id: &&BrokerId| !is_dead(snapshot, **id);
        let heirs: Vec<BrokerId> = partition.replicas.iter().filter(live).copied().collect();
        if heirs.is_empty() {
            return Err(Error::Impossible(format!(
                "no replica of {name} answers (brokers {:?}); start one of them",
                partition.replicas
            )));
        }
        risks.push(format!("{name}: {}", risk(snapshot, topic, partition, &heirs)));
        changes.push(Change {
            order: None,
            lead: Some(Lead {
                topic: topic.to_owned(),
                partition: partition.partition,
                from: None,
                to: None,
            }),
        });
    }
    if changes.is_empty() {
        return Err(Error::Nothing("there is no such partition".to_owned()));
    }
    let gate = Gate::new(
        "unclean",
        Class::Soft,
        Verdict::Fail,
        format!("acknowledged records may be lost: {}", risks.join("; ")),
    );
    Ok(Draft {
        kind: Kind::LeaderElect,
        title: format!("any live replica leads {}", plural(changes.len())),
        changes,
        gates: vec![gate],
        undo: Undo::None {
            why: "records that only the dead replicas have are cut off when those return".to_owned(),
        },
    })
}

/// What is lost at most: how far each live replica is behind what it knows to be committed, and behind the largest copy
/// that anybody told of. Of the dead, who had all that was committed: in sync, or eligible by KIP-966, which
/// takes a broker whose last run did not end in order for one that may have lost records.
fn risk(snapshot: &Snapshot, topic: &str, partition: &Partition, heirs: &[BrokerId]) -> String {
    let copy = |id: BrokerId| {
        let dirs = snapshot.logdirs.get(&id)?.get()?;
        let replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
        replicas
            .filter(|replica| !replica.future && replica.topic == topic && replica.partition == partition.partition)
            .max_by_key(|replica| replica.size_bytes)
    };
    let told = |id: BrokerId| match copy(id) {
        None => format!("broker {id} tells nothing of its copy"),
        Some(copy) => format!(
            "broker {id} has {} and lacks at least {} records",
            super::summary::size(Some(copy.size_bytes)),
            copy.lag_records.max(0)
        ),
    };
    let live: Vec<String> = heirs.iter().map(|id| told(*id)).collect();
    let dead = partition.replicas.iter().filter(|id| !heirs.contains(id));
    let dead = dead.filter_map(|id| {
        let had = copy(*id).map(|copy| format!("had {}", super::summary::size(Some(copy.size_bytes))));
        let safe = partition.safe().any(|safe| safe == *id);
        let safe = safe
            .then(|| "had all that was committed, and still has it if its end was orderly: start it first".to_owned());
        let told: Vec<String> = had.into_iter().chain(safe).collect();
        (!told.is_empty()).then(|| format!("broker {id}, dead, {}", told.join(" and ")))
    });
    live.into_iter().chain(dead).collect::<Vec<_>>().join(", ")
}

/// From what a partition is to this order, led by the first.
fn change(topic: &str, partition: &Partition, order: Vec<BrokerId>) -> Change {
    let first = order.first().copied();
    Change {
        lead: (partition.leader != first).then(|| Lead {
            topic: topic.to_owned(),
            partition: partition.partition,
            from: partition.leader,
            to: first,
        }),
        order: (partition.replicas != order).then(|| Move {
            topic: topic.to_owned(),
            partition: partition.partition,
            from: partition.replicas.to_vec(),
            to: order,
            size_bytes: None,
        }),
    }
}

/// Who is meant.
///
/// # Errors
/// When there is no such broker or zone.
pub(super) fn brokers(snapshot: &Snapshot, from: &From, now: Moment) -> Result<BTreeSet<BrokerId>, Error> {
    match from {
        From::Brokers(ids) => {
            // One that died is no longer listed, and may still be preferred everywhere.
            let known = |id: &BrokerId| {
                snapshot
                    .partitions()
                    .any(|(_, partition)| partition.replicas.contains(id))
            };
            match ids.iter().find(|id| !known(id)) {
                Some(id) => listed(snapshot, *id).map(|()| ids.iter().copied().collect()),
                None => Ok(ids.iter().copied().collect()),
            }
        }
        From::Zone(zone) => {
            let racked = in_rack(snapshot, zone);
            if !racked.is_empty() {
                return Ok(racked);
            }
            let rows = Rows::of(snapshot, now);
            let named = rows.zones.iter().find(|row| row.zone_name.as_deref() == Some(zone));
            let key = named.map_or(zone.as_str(), |row| row.key.as_str());
            let there: BTreeSet<BrokerId> = rows
                .brokers
                .iter()
                .filter(|row| row.zone == key)
                .map(|row| row.id)
                .collect();
            if there.is_empty() {
                let zones: Vec<String> = rows.zones.iter().map(|row| row.key.clone()).collect();
                return Err(Error::Impossible(format!(
                    "no broker is in zone {zone}; there are {}",
                    few(&zones)
                )));
            }
            Ok(there)
        }
    }
}

fn in_rack(snapshot: &Snapshot, rack: &str) -> BTreeSet<BrokerId> {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let there = brokers.iter().filter(|broker| broker.rack.as_deref() == Some(rack));
    there.map(|broker| broker.id).collect()
}

fn listed(snapshot: &Snapshot, id: BrokerId) -> Result<(), Error> {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    if brokers.iter().any(|broker| broker.id == id) {
        return Ok(());
    }
    let ids: Vec<String> = brokers.iter().map(|broker| broker.id.to_string()).collect();
    Err(Error::Impossible(format!(
        "there is no broker {id}; there are {}",
        few(&ids)
    )))
}

/// The partitions of these names; all where there is none.
fn named<'a>(snapshot: &'a Snapshot, names: &[String]) -> Result<Vec<(&'a str, &'a Partition)>, Error> {
    if names.is_empty() {
        return Ok(snapshot.partitions().collect());
    }
    let wanted = group::named(snapshot, names)?;
    let all = snapshot.partitions();
    Ok(all
        .filter(|(topic, one)| wanted.contains(&((*topic).to_owned(), one.partition)))
        .collect())
}

fn moving(snapshot: &Snapshot, topic: &str, partition: i32) -> bool {
    let mut flying = snapshot.reassignments.get().into_iter().flatten();
    flying.any(|one| one.topic == topic && one.partition == partition)
}

/// How many partitions each broker leads now.
fn led(snapshot: &Snapshot) -> BTreeMap<BrokerId, u32> {
    let mut led = BTreeMap::new();
    for id in snapshot.partitions().filter_map(|(_, partition)| partition.leader) {
        *led.entry(id).or_default() += 1;
    }
    led
}

fn leaders(count: usize) -> String {
    super::summary::plural(count, "leader")
}

fn plural(count: usize) -> String {
    super::summary::plural(count, "partition")
}
