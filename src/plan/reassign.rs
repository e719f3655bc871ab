//! Plans that move replicas: from an explicit assignment to moves, gates and what they cost.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::gate::{Class, Gate, Verdict, few};
use super::impact::Impact;
use super::{Error, Kind, Move, Plan, Step, Undo, VALID, VERSION};
use crate::model::logdir::LogDir;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::model::{BrokerId, Moment, Observed};

/// A disk may be filled so far by a plan, at its worst moment. Source: AWS MSK best practices, alarm at 85 %.
const DISK_LIMIT_PERCENT: f64 = 85.0;
/// This many partitions are asked of the controller at once, and verified before the next.
/// Source: AWS MSK, reassignments of at most 10 partitions a call for Standard brokers.
const BATCH: usize = 10;

/// Where one partition shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<BrokerId>,
}

/// The file format of Kafka's own `kafka-reassign-partitions.sh`.
#[derive(Debug, Deserialize)]
struct File {
    version: Option<i64>,
    partitions: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    topic: String,
    partition: i32,
    replicas: Vec<BrokerId>,
}

/// Reads the assignments of a file in the format of Kafka's tool; `log_dirs` is ignored.
///
/// # Errors
/// A sentence that says where the file is wrong.
pub fn parse(text: &str) -> Result<Vec<Target>, Error> {
    let file: File = serde_json::from_str(text)
        .map_err(|error| Error::Impossible(format!("not a reassignment file of Kafka's format: {error}")))?;
    if file.version.is_some_and(|version| version != 1) {
        return Err(Error::Impossible(format!(
            "a reassignment file of version {}; only 1 is known",
            file.version.unwrap_or(0)
        )));
    }
    let target = |entry: Entry| Target {
        topic: entry.topic,
        partition: entry.partition,
        replicas: entry.replicas,
    };
    Ok(file.partitions.into_iter().map(target).collect())
}

/// Plans to bring every target's partition to exactly its replicas. Needs cluster, topics, reassignments and log dirs.
///
/// # Errors
/// When a name does not exist, the assignment makes no sense, or nothing would change.
pub fn plan(snapshot: &Snapshot, targets: &[Target], context: &str, now: Moment) -> Result<Plan, Error> {
    let cluster = known(&snapshot.cluster, "the cluster")?;
    known(&snapshot.topics, "the topics")?;
    let brokers: BTreeSet<BrokerId> = cluster.brokers.iter().map(|broker| broker.id).collect();
    let mut seen = BTreeSet::new();
    let mut moves = Vec::new();
    for target in targets {
        let partition = find(snapshot, target)?;
        check(target, &brokers)?;
        if !seen.insert((&target.topic, target.partition)) {
            return Err(Error::Impossible(format!(
                "{}-{} is in the assignment twice",
                target.topic, target.partition
            )));
        }
        if partition.replicas != target.replicas {
            moves.push(Move {
                topic: target.topic.clone(),
                partition: target.partition,
                from: partition.replicas.clone(),
                to: target.replicas.clone(),
                size_bytes: size(snapshot, target, partition),
            });
        }
    }
    if moves.is_empty() {
        return Err(Error::Nothing(
            "every partition already has these replicas in this order".to_owned(),
        ));
    }
    let impact = Impact::of(&moves, snapshot);
    Ok(Plan {
        azimuth: VERSION,
        kind: Kind::Reassign,
        title: title(&moves),
        context: context.to_owned(),
        cluster_id: cluster.id.clone(),
        made_at: now,
        expires_at: now + VALID,
        gates: gates(snapshot, &moves, &impact),
        undo: undo(&moves),
        impact,
        steps: moves
            .chunks(BATCH)
            .map(|moves| Step::Reassign { moves: moves.to_vec() })
            .collect(),
    })
}

fn known<'a, T>(section: &'a Observed<T>, what: &'static str) -> Result<&'a T, Error> {
    section.get().ok_or_else(|| Error::Blind {
        what,
        why: section.problem().unwrap_or_default(),
    })
}

fn find<'a>(snapshot: &'a Snapshot, target: &Target) -> Result<&'a Partition, Error> {
    let topic = snapshot.topic(&target.topic);
    let topic = topic.ok_or_else(|| Error::Impossible(format!("there is no topic {}", target.topic)))?;
    let partition = topic
        .partitions
        .iter()
        .find(|partition| partition.partition == target.partition);
    partition.ok_or_else(|| {
        let last = topic.partitions.len().saturating_sub(1);
        Error::Impossible(format!(
            "topic {} has partitions 0 to {last}, no {}",
            target.topic, target.partition
        ))
    })
}

fn check(target: &Target, brokers: &BTreeSet<BrokerId>) -> Result<(), Error> {
    let name = format!("{}-{}", target.topic, target.partition);
    if target.replicas.is_empty() {
        return Err(Error::Impossible(format!("{name} would have no replica")));
    }
    let distinct: BTreeSet<&BrokerId> = target.replicas.iter().collect();
    if distinct.len() < target.replicas.len() {
        return Err(Error::Impossible(format!(
            "{name} names a broker twice: {:?}",
            target.replicas
        )));
    }
    match target.replicas.iter().find(|id| !brokers.contains(id)) {
        Some(id) => Err(Error::Impossible(format!(
            "{name} names broker {id}, which is not in the cluster ({brokers:?})"
        ))),
        None => Ok(()),
    }
}

fn size(snapshot: &Snapshot, target: &Target, partition: &Partition) -> Option<u64> {
    let dirs = snapshot.logdirs.get(&partition.leader?)?.get()?;
    let mut replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
    let own = replicas.find(|r| r.topic == target.topic && r.partition == target.partition && !r.future);
    own.map(|replica| replica.size_bytes)
}

fn title(moves: &[Move]) -> String {
    match moves {
        [only] => format!("move {} from {:?} to {:?}", only.name(), only.from, only.to),
        many => format!(
            "move {} partitions of {}",
            many.len(),
            few(&many
                .iter()
                .map(|m| m.topic.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>())
        ),
    }
}

fn undo(moves: &[Move]) -> Undo {
    let bytes: Option<u64> = moves
        .iter()
        .map(|m| Some(m.size_bytes? * m.removing().count() as u64))
        .sum();
    let bytes = bytes.map_or("unknown size".to_owned(), |bytes| {
        format!("{:.1} GB", bytes as f64 / 1e9)
    });
    Undo::Full {
        how: format!("move back, {bytes}"),
    }
}

fn gates(snapshot: &Snapshot, moves: &[Move], impact: &Impact) -> Vec<Gate> {
    vec![
        alive(snapshot, moves),
        spread(snapshot, moves),
        offline(snapshot, moves),
        isr(snapshot, moves),
        idle(snapshot, moves),
        disk(snapshot, impact),
    ]
}

/// Every broker that gets a replica must be there to take it.
fn alive(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let adding: BTreeSet<BrokerId> = moves.iter().flat_map(Move::adding).collect();
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let dead = |id: &&BrokerId| {
        let fenced = brokers.iter().any(|broker| broker.id == **id && broker.fenced);
        fenced || snapshot.links.get(id).is_some_and(|link| !link.is_fresh())
    };
    let dead: Vec<String> = adding.iter().filter(dead).map(|id| format!("broker {id}")).collect();
    let all_well = match adding.len() {
        0 => "no broker gets a replica that it does not have".to_owned(),
        count => format!("all {count} brokers that get replicas answer"),
    };
    Gate::none_of("target-alive", Class::Hard, &dead, &all_well, "targets do not answer")
}

/// A partition must not end in fewer racks than it is in now.
fn spread(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let racks: BTreeMap<BrokerId, &str> = brokers
        .iter()
        .filter_map(|b| Some((b.id, b.rack.as_deref()?)))
        .collect();
    let count = |ids: &[BrokerId]| ids.iter().filter_map(|id| racks.get(id)).collect::<BTreeSet<_>>().len();
    if racks.len() < brokers.len() {
        let evidence = format!(
            "{} of {} brokers tell no rack",
            brokers.len() - racks.len(),
            brokers.len()
        );
        return Gate::new("rack-spread", Class::Hard, Verdict::Warn, evidence);
    }
    let lower: Vec<String> = moves
        .iter()
        .filter(|m| count(&m.to) < count(&m.from))
        .map(Move::name)
        .collect();
    Gate::none_of(
        "rack-spread",
        Class::Hard,
        &lower,
        "no partition ends in fewer racks",
        "partitions would end in fewer racks",
    )
}

fn offline(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let offline: Vec<String> = moves
        .iter()
        .filter(|m| placed(snapshot, m).is_none_or(Partition::is_offline))
        .map(Move::name)
        .collect();
    Gate::none_of(
        "offline",
        Class::Soft,
        &offline,
        "every partition has a leader",
        "partitions are offline and cannot be copied",
    )
}

/// A reassignment completes only when all targets are in sync, so one that starts out of sync may never end.
fn isr(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let lagging = |m: &&Move| {
        let partition = placed(snapshot, m);
        partition.is_some_and(|partition| partition.missing().any(|id| m.to.contains(&id)))
    };
    let lagging: Vec<String> = moves.iter().filter(lagging).map(Move::name).collect();
    Gate::none_of(
        "isr",
        Class::Soft,
        &lagging,
        "all replicas that stay are in sync",
        "partitions keep a replica that is out of sync",
    )
}

fn idle(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let Some(running) = snapshot.reassignments.get() else {
        let why = snapshot.reassignments.problem().unwrap_or_default();
        return Gate::new(
            "idle",
            Class::Soft,
            Verdict::Unknown,
            format!("reassignments in flight are not known: {why}"),
        );
    };
    let ours = |topic: &str, partition: i32| moves.iter().any(|m| m.topic == topic && m.partition == partition);
    let clashing: Vec<String> = running
        .iter()
        .filter(|r| ours(&r.topic, r.partition))
        .map(|r| format!("{}-{}", r.topic, r.partition))
        .collect();
    if !clashing.is_empty() {
        let evidence = format!(
            "{} partitions of this plan are already being reassigned: {}",
            clashing.len(),
            few(&clashing)
        );
        return Gate::new("idle", Class::Soft, Verdict::Fail, evidence);
    }
    match running.len() {
        0 => Gate::new("idle", Class::Soft, Verdict::Pass, "nothing is being reassigned"),
        others => Gate::new(
            "idle",
            Class::Soft,
            Verdict::Warn,
            format!("{others} other partitions are being reassigned"),
        ),
    }
}

fn disk(snapshot: &Snapshot, impact: &Impact) -> Gate {
    let receiving = || impact.brokers.iter().filter(|(_, load)| load.bytes_in != Some(0));
    let full: Vec<String> = receiving()
        .filter_map(|(id, load)| Some((id, load.used_percent_peak?)))
        .filter(|(_, peak)| *peak > DISK_LIMIT_PERCENT)
        .map(|(id, peak)| format!("broker {id} {peak:.0} %"))
        .collect();
    if !full.is_empty() {
        let what = format!("disks would pass {DISK_LIMIT_PERCENT:.0} %");
        return Gate::none_of("disk", Class::Soft, &full, "", &what);
    }
    let blind: Vec<String> = receiving()
        .filter(|(_, load)| load.used_percent_peak.is_none())
        .map(|(id, _)| why_blind(snapshot, *id))
        .collect();
    if !blind.is_empty() {
        return Gate::new("disk", Class::Soft, Verdict::Unknown, few(&blind));
    }
    let worst = receiving()
        .filter_map(|(_, load)| load.used_percent_peak)
        .max_by(f64::total_cmp);
    let evidence = worst.map_or("no disk gets fuller".to_owned(), |worst| {
        format!("no disk passes {worst:.0} % while the plan runs")
    });
    Gate::new("disk", Class::Soft, Verdict::Pass, evidence)
}

fn why_blind(snapshot: &Snapshot, id: BrokerId) -> String {
    let section = snapshot.logdirs.get(&id);
    let untold = |dirs: &Vec<LogDir>| dirs.iter().all(|dir| dir.total_bytes.is_none());
    match section {
        Some(dirs) if dirs.get().is_some_and(untold) => format!("broker {id} does not tell its disk's size"),
        Some(dirs) if dirs.get().is_some() => format!("a size of what broker {id} gets is not known"),
        Some(dirs) => format!("broker {id}: {}", dirs.problem().unwrap_or_default()),
        None => format!("broker {id} has not told its log dirs"),
    }
}

fn placed<'a>(snapshot: &'a Snapshot, moved: &Move) -> Option<&'a Partition> {
    snapshot
        .topic(&moved.topic)?
        .partitions
        .iter()
        .find(|partition| partition.partition == moved.partition)
}
