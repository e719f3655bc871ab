//! What must hold before replicas move.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::LIMIT_PERCENT;
use super::{is_dead, placed};
use crate::model::BrokerId;
use crate::model::logdir::LogDir;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::plan::Move;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::impact::Impact;

pub(super) fn gates(snapshot: &Snapshot, moves: &[Move], impact: &Impact) -> Vec<Gate> {
    let mut gates = vec![
        alive(snapshot, moves),
        spread(snapshot, moves),
        offline(snapshot, moves),
        isr(snapshot, moves),
        idle(snapshot, moves),
        disk(snapshot, impact),
    ];
    gates.extend(replication(snapshot, moves));
    gates
}

/// Every broker that gets a replica must be there to take it.
pub(super) fn alive(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let adding: BTreeSet<BrokerId> = moves.iter().flat_map(Move::adding).collect();
    let dead = adding.iter().filter(|id| is_dead(snapshot, **id));
    let dead: Vec<String> = dead.map(|id| format!("broker {id}")).collect();
    let all_well = match adding.len() {
        0 => "no broker gets a replica that it does not have".to_owned(),
        count => format!("all {count} brokers that get replicas answer"),
    };
    Gate::none_of("target-alive", Class::Hard, &dead, &all_well, "targets do not answer")
}

/// A partition must not end in fewer racks than it is in now; one that gets fewer replicas can be in no more racks than it
/// has replicas.
fn spread(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let racks: BTreeMap<BrokerId, &str> = brokers
        .iter()
        .filter_map(|b| Some((b.id, b.rack.as_deref()?)))
        .collect();
    let count = |ids: &[BrokerId]| {
        let mut of: Vec<&str> = ids.iter().filter_map(|id| racks.get(id).copied()).collect();
        of.sort_unstable();
        of.dedup();
        of.len()
    };
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
        .filter(|m| count(&m.to) < count(&m.from).min(m.to.len()))
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

pub(super) fn disk(snapshot: &Snapshot, impact: &Impact) -> Gate {
    let receiving = || impact.brokers.iter().filter(|(_, load)| load.bytes_in != Some(0));
    let full: Vec<String> = receiving()
        .filter_map(|(id, load)| Some((id, load.used_percent_peak?)))
        .filter(|(_, peak)| *peak > LIMIT_PERCENT)
        .map(|(id, peak)| format!("broker {id} {peak:.0} %"))
        .collect();
    let bursts = receiving().any(|(_, load)| load.used_percent_peak.is_some_and(|peak| peak > 100.0));
    if !full.is_empty() {
        let (class, what) = match bursts {
            true => (Class::Hard, "disks have no room for what lands on them".to_owned()),
            false => (Class::Soft, format!("disks would pass {LIMIT_PERCENT:.0} %")),
        };
        return Gate::none_of("disk", class, &full, "", &what);
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

/// Another number of replicas than before is named, so that a file that is older than the last change of it is noticed; as
/// few as `min.insync.replicas` demands leave no broker to spare, fewer refuse every acks=all.
fn replication(snapshot: &Snapshot, moves: &[Move]) -> Option<Gate> {
    let changed = || moves.iter().filter(|m| m.from.len() != m.to.len());
    let told = |m: &Move| format!("{} {}→{}", m.name(), m.from.len(), m.to.len());
    let low: Vec<String> = changed()
        .filter(|m| {
            m.to.len() < m.from.len()
                && snapshot
                    .min_isr(&m.topic)
                    .is_some_and(|least| m.to.len() < least as usize)
        })
        .map(told)
        .collect();
    if !low.is_empty() {
        let what = "partitions would have fewer replicas than min.insync.replicas, so that acks=all is refused";
        return Some(Gate::none_of("replication", Class::Soft, &low, "", what));
    }
    let names: Vec<String> = changed().map(told).collect();
    if names.is_empty() {
        return None;
    }
    let unread = changed().any(|m| m.to.len() < m.from.len() && snapshot.min_isr(&m.topic).is_none());
    let mut evidence = format!(
        "{} partitions change their number of replicas: {}",
        names.len(),
        few(&names)
    );
    if unread {
        evidence.push_str("; min.insync.replicas was not read");
    }
    Some(Gate::new("replication", Class::Soft, Verdict::Warn, evidence))
}
