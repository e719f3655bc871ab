//! Fewer replicas: to another directory of the broker, or to other brokers of its zone. Either frees the source only at
//! its end.

use std::collections::BTreeMap;

use super::{AIM_PERCENT, InTime, Kind, Remedy, Scene};
use crate::model::BrokerId;
use crate::model::logdir::Replica;
use crate::model::row::Cell;
use crate::model::row::broker::{BrokerRow, BrokerState};
use crate::model::row::logdir::LogdirRow;
use crate::plan::reassign::throttle::SHARE;

/// More moves at once are no remedy for a disk that fills.
const MOVES: usize = 20;

pub(super) fn remedies(scene: &Scene<'_>) -> Vec<Remedy> {
    directory(scene).into_iter().chain(brokers(scene)).collect()
}

/// The largest replicas here, as many as are wanted.
fn chosen<'a>(scene: &'a Scene<'_>, fits: impl Fn(&Replica) -> bool) -> Vec<&'a Replica> {
    let dirs = scene
        .snapshot
        .logdirs
        .get(&scene.dir.broker)
        .and_then(|section| section.get());
    let dir = dirs.into_iter().flatten().find(|dir| dir.path == scene.dir.path);
    let mut replicas: Vec<&Replica> = dir
        .into_iter()
        .flat_map(|dir| dir.replicas.iter())
        .filter(|replica| !replica.future && replica.size_bytes > 0 && fits(replica))
        .collect();
    replicas.sort_by_key(|replica| std::cmp::Reverse(replica.size_bytes));
    let wanted = scene.wanted().unwrap_or(0);
    let mut sum = 0;
    replicas
        .into_iter()
        .take_while(|replica| {
            let more = sum < wanted;
            sum += replica.size_bytes;
            more
        })
        .take(MOVES)
        .collect()
}

/// To the emptiest other directory of the broker, when that is clearly emptier.
fn directory(scene: &Scene<'_>) -> Option<Remedy> {
    let own = scene.dir.used_percent.value?;
    let others = scene
        .rows
        .logdirs
        .iter()
        .filter(|row| row.broker == scene.dir.broker && row.path != scene.dir.path && row.error.is_none());
    let used = |row: &&LogdirRow| row.used_percent.value;
    let other = others
        .filter(|row| used(row).is_some_and(|used| used + 10.0 < own))
        .min_by(|one, other| used(one).unwrap_or(100.0).total_cmp(&used(other).unwrap_or(100.0)))?;
    let mut room = room(other.used_bytes.value?, other.total_bytes.value?);
    let replicas: Vec<&Replica> = chosen(scene, |_| true)
        .into_iter()
        .filter(|replica| {
            let fits = replica.size_bytes <= room;
            room -= if fits { replica.size_bytes } else { 0 };
            fits
        })
        .collect();
    if replicas.is_empty() {
        return None;
    }
    let bytes: u64 = replicas.iter().map(|replica| replica.size_bytes).sum();
    let rate = scene
        .rows
        .brokers
        .iter()
        .find(|row| row.id == scene.dir.broker)
        .map(disk_headroom);
    Some(Remedy {
        kind: Kind::Directory,
        what: format!("move {} to {}, same broker", count(replicas.len()), other.path),
        frees_bytes: Cell::known(bytes),
        helps_in_seconds: time(bytes, &rate.unwrap_or_default()),
        in_time: InTime::Unknown,
        usd_per_month: Cell::known(0.0),
        undo: "full (move back)".to_owned(),
        blocked: None,
        how: vec![format!(
            "kafka-reassign-partitions.sh --execute with log_dirs {} for: {}",
            other.path,
            names(&replicas)
        )],
        evidence: vec!["frees the source only at its end; no byte leaves the broker".to_owned()],
    })
}

/// A replica and the broker that takes it over.
struct Step<'a> {
    replica: &'a Replica,
    replicas: Vec<BrokerId>,
}

fn brokers(scene: &Scene<'_>) -> Option<Remedy> {
    let source = scene.rows.brokers.iter().find(|row| row.id == scene.dir.broker)?;
    let zone = &source.zone;
    let peers: Vec<&BrokerRow> = scene
        .rows
        .brokers
        .iter()
        .filter(|row| row.id != source.id && row.zone == *zone && row.state == BrokerState::Up)
        .collect();
    let mut rooms: BTreeMap<BrokerId, u64> = peers
        .iter()
        .filter_map(|row| Some((row.id, room(row.used_bytes.value?, row.total_bytes.value?))))
        .collect();
    let what = |moves: usize| format!("move {} within {zone}", count(moves));
    if rooms.is_empty() {
        let why = match peers.is_empty() {
            true => format!("no other broker of {zone} is up; elsewhere the rack spread would suffer"),
            false => format!("how full the other brokers of {zone} are is not known"),
        };
        return Some(impossible("move replicas".to_owned(), why));
    }
    let steps: Vec<Step<'_>> = chosen(scene, |replica| is_at_rest(scene, replica))
        .into_iter()
        .filter_map(|replica| step(scene, replica, &mut rooms))
        .collect();
    if steps.is_empty() {
        let why =
            format!("no other broker of {zone} has room below {AIM_PERCENT:.0} % for one of the largest replicas");
        return Some(impossible("move replicas".to_owned(), why));
    }
    let bytes: u64 = steps.iter().map(|step| step.replica.size_bytes).sum();
    let ends = peers
        .iter()
        .filter(|row| steps.iter().any(|step| step.replicas.contains(&row.id)));
    let rate = slowest(std::iter::once(source).chain(ends.copied()));
    let moves = steps.iter().map(|step| {
        let ids: Vec<String> = step.replicas.iter().map(BrokerId::to_string).collect();
        format!(
            "--move {}:{}={}",
            step.replica.topic,
            step.replica.partition,
            ids.join(",")
        )
    });
    Some(Remedy {
        kind: Kind::Move,
        what: what(steps.len()),
        frees_bytes: Cell::known(bytes),
        helps_in_seconds: time(bytes, &rate),
        in_time: InTime::Unknown,
        usd_per_month: Cell::known(0.0),
        undo: "full (move back)".to_owned(),
        blocked: None,
        how: vec![format!("azimuth reassign plan {}", moves.collect::<Vec<_>>().join(" "))],
        evidence: vec![
            "frees the source only at its end, and reads from it meanwhile".to_owned(),
            match rate.value {
                Some(rate) => format!("at {:.0} MB/s, 70 % of what the tightest limit leaves", rate / 1e6),
                None => format!(
                    "how fast is not known: {}",
                    rate.reason.as_deref().unwrap_or("no limit is known")
                ),
            },
        ],
    })
}

fn impossible(what: String, why: String) -> Remedy {
    Remedy {
        kind: Kind::Move,
        what,
        frees_bytes: Cell::unknown(why.clone()),
        helps_in_seconds: Cell::unknown(why.clone()),
        in_time: InTime::Blocked,
        usd_per_month: Cell::known(0.0),
        undo: "full (move back)".to_owned(),
        blocked: Some(why),
        how: Vec::new(),
        evidence: Vec::new(),
    }
}

fn is_at_rest(scene: &Scene<'_>, replica: &Replica) -> bool {
    let moves = scene.snapshot.reassignments.get().into_iter().flatten();
    !moves
        .into_iter()
        .any(|one| one.topic == replica.topic && one.partition == replica.partition)
}

/// The replica goes to the roomiest broker that holds none of its partition.
fn step<'a>(scene: &Scene<'_>, replica: &'a Replica, rooms: &mut BTreeMap<BrokerId, u64>) -> Option<Step<'a>> {
    let topic = scene.snapshot.topic(&replica.topic)?;
    let partition = topic
        .partitions
        .iter()
        .find(|part| part.partition == replica.partition)?;
    let free = rooms
        .iter_mut()
        .filter(|(id, room)| !partition.replicas.contains(id) && **room >= replica.size_bytes)
        .max_by_key(|(_, room)| **room);
    let (target, room) = free?;
    *room -= replica.size_bytes;
    let replicas = partition.replicas.iter();
    Some(Step {
        replica,
        replicas: replicas
            .map(|id| if *id == scene.dir.broker { *target } else { *id })
            .collect(),
    })
}

/// Bytes until a disk is at its aim.
fn room(used: u64, total: u64) -> u64 {
    ((total as f64 * AIM_PERCENT / 100.0) as u64).saturating_sub(used)
}

fn time(bytes: u64, rate: &Cell<f64>) -> Cell<f64> {
    rate.map(|rate| (*rate > 0.0).then(|| bytes as f64 / rate))
}

/// What the disk's limit leaves, in bytes per second.
fn disk_headroom(row: &BrokerRow) -> Cell<f64> {
    let limit = &row.throughput_limit_mb_per_second;
    match (row.throughput_mb_per_second.value, limit.value) {
        (Some(used), Some(limit)) => Cell::known(SHARE * (limit - used).max(0.0) * 1e6),
        (None, _) => row.throughput_mb_per_second.clone(),
        (_, None) => limit.clone(),
    }
}

/// The network's baseline less its traffic, in bytes per second; `None` where AWS does not tell.
fn network_headroom(row: &BrokerRow) -> Option<f64> {
    let busier = row
        .network_in_bytes_per_second
        .value?
        .max(row.network_out_bytes_per_second.value?);
    let percent = row.network_percent.value.filter(|percent| *percent > 0.0)?;
    Some(SHARE * (busier * 100.0 / percent - busier).max(0.0))
}

fn slowest<'a>(rows: impl Iterator<Item = &'a BrokerRow>) -> Cell<f64> {
    let mut least: Option<f64> = None;
    for row in rows {
        let disk = disk_headroom(row);
        let Some(disk) = disk.value else { return disk };
        let here = network_headroom(row).map_or(disk, |network| network.min(disk));
        least = Some(least.map_or(here, |least| least.min(here)));
    }
    least.map_or_else(|| Cell::unknown("no limit is known"), Cell::known)
}

fn count(replicas: usize) -> String {
    match replicas {
        1 => "1 replica".to_owned(),
        several => format!("{several} replicas"),
    }
}

fn names(replicas: &[&Replica]) -> String {
    let names = replicas
        .iter()
        .map(|replica| format!("{}-{}", replica.topic, replica.partition));
    names.collect::<Vec<_>>().join(" ")
}
