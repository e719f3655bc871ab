//! What would be: an availability zone lost, a broker restarted, brokers added. Pure arithmetic over a snapshot and its rows;
//! nothing is planned and nothing changes.
//!
//! The clean rule of Kafka is taken: a partition goes on where a replica that is in sync is left, led by the first of them in
//! order of preference, or else by whoever has all that was committed all the same (KIP-966), and takes acks=all while no fewer than `min.insync.replicas` are left.

mod add;
mod disk;
mod quorum;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::row::partition::PartitionRow;
use crate::model::row::{Cell, Rows};
use crate::model::{BrokerId, Snapshot, nearest};

pub use add::{Addition, add};
pub use quorum::QuorumLoss;

/// Why a question cannot be answered: what it names is not there, or was not seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    NoSuch(String),
    #[error("{0}")]
    Unseen(String),
}

/// What is left when some brokers are gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// What is lost: `euw1-az1`, `broker 4`.
    pub what: String,
    pub brokers: BTreeSet<BrokerId>,
    /// Partitions with a replica there.
    pub touched: u32,
    /// No replica that is in sync is left: nobody writes or reads.
    pub offline: Vec<Struck>,
    /// Fewer in sync are left than must be: acks=all is refused.
    pub under_min_isr: Vec<Struck>,
    /// As many as must be: the next loss refuses.
    pub at_min_isr: u32,
    /// `min.insync.replicas` of their topic is not known.
    pub unjudged: u32,
    /// Leaders that move.
    pub moving: u32,
    /// The brokers that are left, by id.
    pub left: Vec<After>,
    pub quorum: QuorumLoss,
    /// What must be copied to have as many replicas again without them; unknown where a size is.
    pub rebuild_bytes: Cell<u64>,
}

/// A partition that does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// In sync and left.
    pub left: Vec<BrokerId>,
    pub min_isr: Option<u32>,
    /// The rule that it breaks: `RF 1`, `all 3 replicas lie there`.
    pub rule: String,
}

/// A broker that is left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct After {
    pub broker: BrokerId,
    pub zone: String,
    pub leaders_now: u32,
    pub leaders_after: u32,
    /// The limit that binds, in percent of it, now and when its work has grown with its leaders.
    pub limit: Option<String>,
    pub limit_now_percent: Cell<f64>,
    pub limit_after_percent: Cell<f64>,
    /// Of its log directories together, now and after its share of what is rebuilt.
    pub used_now_percent: Cell<f64>,
    pub used_after_percent: Cell<f64>,
}

impl Struck {
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

impl Loss {
    /// Clients go on: nothing is offline and nothing refuses acks=all. `None` where a topic's `min.insync.replicas`, or who
    /// votes in which zone, is not known and nothing else fails.
    pub fn holds(&self) -> Option<bool> {
        if !self.offline.is_empty() || !self.under_min_isr.is_empty() || self.quorum.holds == Some(false) {
            return Some(false);
        }
        (self.unjudged == 0 && self.quorum.holds.is_some()).then_some(true)
    }
}

/// What is left without a zone, named by its AZ id, its name or its rack.
///
/// # Errors
/// Where there is no such zone, or the topics were not seen.
pub fn zone_loss(snapshot: &Snapshot, rows: &Rows, zone: &str) -> Result<Loss, Error> {
    let row = rows.zones.iter().find(|row| {
        let names = [
            Some(&row.key),
            row.zone_id.as_ref(),
            row.zone_name.as_ref(),
            row.rack.as_ref(),
        ];
        names.into_iter().flatten().any(|name| name == zone)
    });
    let Some(row) = row else {
        let known: Vec<&str> = rows.zones.iter().map(|row| row.key.as_str()).collect();
        let hint = match nearest(zone, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there is {}", known.join(", ")),
        };
        return Err(Error::NoSuch(format!("there is no zone {zone}; {hint}")));
    };
    let lost = rows.brokers.iter().filter(|broker| broker.zone == row.key);
    let lost: BTreeSet<BrokerId> = lost.map(|broker| broker.id).collect();
    loss(snapshot, rows, row.key.clone(), lost, true)
}

/// What is left while a broker restarts: its replicas come back, so nothing is rebuilt.
///
/// # Errors
/// Where there is no such broker, or the topics were not seen.
pub fn restart(snapshot: &Snapshot, rows: &Rows, broker: BrokerId) -> Result<Loss, Error> {
    if !rows.brokers.iter().any(|row| row.id == broker) {
        let known: Vec<String> = rows.brokers.iter().map(|row| row.id.to_string()).collect();
        let known = known.join(", ");
        return Err(Error::NoSuch(format!("there is no broker {broker}; there are {known}")));
    }
    loss(snapshot, rows, format!("broker {broker}"), [broker].into(), false)
}

/// The partitions that block the restart of each broker, in one pass; brokers that nothing blocks are left out. What is offline
/// already, and topics whose `min.insync.replicas` is not known, block nobody here.
pub fn blocked(rows: &Rows) -> BTreeMap<BrokerId, Vec<Struck>> {
    let down: BTreeSet<BrokerId> = rows
        .brokers
        .iter()
        .filter(|row| row.state.is_down())
        .map(|row| row.id)
        .collect();
    let mut all: BTreeMap<BrokerId, Vec<Struck>> = BTreeMap::new();
    for row in rows.partitions.iter() {
        let up = row.isr.iter().filter(|id| !down.contains(id)).count();
        let least = row.min_isr().value.unwrap_or(0).max(1) as usize;
        if up > least || up == 0 {
            continue;
        }
        // Whoever is in sync and stops leaves fewer than must be; who is not changes nothing.
        for id in row.isr.iter().filter(|id| !down.contains(id)) {
            let lost = BTreeSet::from([*id]);
            let stays = |other: &BrokerId| other != id && !down.contains(other);
            let mut left: Vec<BrokerId> = row.isr.iter().copied().filter(stays).collect();
            if left.is_empty() {
                // Whoever is eligible (KIP-966) is elected then, and is the only one in sync.
                left.extend(row.safe().find(stays));
            }
            let rule = match left.is_empty() {
                true => why_offline(&row, &lost),
                false => why_under(&row, least as u32, &lost),
            };
            all.entry(*id).or_default().push(Struck {
                topic: row.topic().to_owned(),
                partition: row.partition,
                replicas: row.replicas.to_vec(),
                isr: row.isr.to_vec(),
                left,
                min_isr: row.min_isr().value,
                rule,
            });
        }
    }
    for struck in all.values_mut() {
        struck.sort_by_key(|one| one.left.len());
    }
    all
}

fn loss(
    snapshot: &Snapshot,
    rows: &Rows,
    what: String,
    lost: BTreeSet<BrokerId>,
    rebuilds: bool,
) -> Result<Loss, Error> {
    if snapshot.topics.get().is_none() {
        let why = snapshot.topics.problem().unwrap_or_default();
        return Err(Error::Unseen(format!("topics: {why}")));
    }
    let down = rows.brokers.iter().filter(|row| row.state.is_down());
    let there = Among::of(lost.iter().copied());
    let gone = Among::of(down.map(|row| row.id).chain(lost.iter().copied()));
    let mut loss = Loss {
        quorum: QuorumLoss::of(snapshot, rows, &lost, rebuilds),
        what,
        touched: 0,
        offline: Vec::new(),
        under_min_isr: Vec::new(),
        at_min_isr: 0,
        unjudged: 0,
        moving: 0,
        left: Vec::new(),
        rebuild_bytes: Cell::known(0),
        brokers: lost,
    };
    let mut leaders: BTreeMap<BrokerId, (u32, u32)> = BTreeMap::new();
    for row in rows.partitions.iter() {
        let leader = one(&mut loss, &row, &there, &gone);
        if let Some(now) = row.leader {
            leaders.entry(now).or_default().0 += 1;
        }
        if let Some(after) = leader {
            leaders.entry(after).or_default().1 += 1;
        }
    }
    loss.left = survivors(rows, &loss.brokers, &leaders);
    if rebuilds {
        disk::rebuild(rows, &mut loss, &there);
    }
    Ok(loss)
}

/// Ids that are looked for with every replica of a cluster: those that are small, which is nearly all, by their place.
#[derive(Debug, Default)]
struct Among {
    small: Vec<bool>,
    others: BTreeSet<BrokerId>,
}

impl Among {
    /// Ids from here on are searched for.
    const SMALL: usize = 1 << 16;

    fn of(ids: impl Iterator<Item = BrokerId>) -> Self {
        let mut among = Self::default();
        for id in ids {
            match usize::try_from(id) {
                Ok(at) if at < Self::SMALL => {
                    among.small.resize(among.small.len().max(at + 1), false);
                    among.small[at] = true;
                }
                _ => {
                    among.others.insert(id);
                }
            }
        }
        among
    }

    fn has(&self, id: BrokerId) -> bool {
        match usize::try_from(id) {
            Ok(at) if at < self.small.len() => self.small[at],
            _ => !self.others.is_empty() && self.others.contains(&id),
        }
    }
}

/// Counts what becomes of one partition, and tells who leads it then. `there` are the lost, `gone` they
/// and those that are down already. Of 100,000 partitions most are judged without a list of their own.
fn one(loss: &mut Loss, row: &PartitionRow<'_>, there: &Among, gone: &Among) -> Option<BrokerId> {
    if !row.replicas.iter().any(|id| there.has(*id)) {
        return row.leader;
    }
    let is_left = |id: &BrokerId| !gone.has(*id);
    let stays = row.leader.filter(is_left);
    let next = || row.replicas.iter().find(|id| is_left(id) && row.isr.contains(id));
    // Where nobody in sync is left, whoever is eligible (KIP-966) is elected.
    let eligible = || row.safe().find(is_left);
    let after = stays.or_else(|| next().copied()).or_else(eligible);
    let left = row.isr.iter().filter(|id| is_left(id)).count() as u32;
    let left = left.max(u32::from(after.is_some()));
    loss.touched += 1;
    loss.moving += u32::from(row.leader.is_some() && stays.is_none() && after.is_some());
    let min_isr = row.min_isr().value;
    let struck = |rule: String| Struck {
        topic: row.topic().to_owned(),
        partition: row.partition,
        replicas: row.replicas.to_vec(),
        isr: row.isr.to_vec(),
        left: match row.isr.iter().copied().filter(is_left).collect::<Vec<BrokerId>>() {
            none if none.is_empty() => after.into_iter().collect(),
            some => some,
        },
        min_isr,
        rule,
    };
    if after.is_none() {
        let struck = struck(why_offline(row, &loss.brokers));
        loss.offline.push(struck);
        return None;
    }
    match min_isr.map(|least| left.cmp(&least)) {
        None => loss.unjudged += 1,
        Some(std::cmp::Ordering::Less) => {
            let struck = struck(why_under(row, min_isr.unwrap_or_default(), &loss.brokers));
            loss.under_min_isr.push(struck);
        }
        Some(std::cmp::Ordering::Equal) => loss.at_min_isr += 1,
        Some(std::cmp::Ordering::Greater) => {}
    }
    after
}

fn why_offline(row: &PartitionRow<'_>, lost: &BTreeSet<BrokerId>) -> String {
    let outside: Vec<String> = row
        .replicas
        .iter()
        .filter(|id| !lost.contains(id))
        .map(BrokerId::to_string)
        .collect();
    match (row.replicas.len(), outside.len()) {
        (1, _) => "RF 1".to_owned(),
        (all, 0) => format!("all {all} replicas lie there"),
        _ => format!("what is left ({}) is not in sync", outside.join(", ")),
    }
}

fn why_under(row: &PartitionRow<'_>, min_isr: u32, lost: &BTreeSet<BrokerId>) -> String {
    let all = row.replicas.len();
    let there = row.replicas.iter().filter(|id| lost.contains(id)).count();
    let missing: Vec<String> = row
        .replicas
        .iter()
        .filter(|id| !row.isr.contains(id) && !lost.contains(id))
        .map(BrokerId::to_string)
        .collect();
    match all - there {
        _ if min_isr as usize >= all => format!("min ISR {min_isr} of RF {all}"),
        outside if outside < min_isr as usize => format!("{there} of {all} replicas lie there, min ISR {min_isr}"),
        _ => format!("{} not in sync already, min ISR {min_isr}", missing.join(", ")),
    }
}

fn survivors(rows: &Rows, lost: &BTreeSet<BrokerId>, leaders: &BTreeMap<BrokerId, (u32, u32)>) -> Vec<After> {
    let left = rows.brokers.iter().filter(|row| !lost.contains(&row.id));
    left.map(|row| {
        let (now, after) = leaders.get(&row.id).copied().unwrap_or_default();
        let percent = row.binding.map(|load| Some(load.percent()));
        let grown = match now {
            0 => Cell::unknown("it leads nothing now, so what it will do is not known"),
            now => percent.map(|percent| Some(percent * f64::from(after) / f64::from(now))),
        };
        let used = match (row.used_bytes.value, row.total_bytes.value) {
            (Some(used), Some(total)) if total > 0 => Cell::known(used as f64 * 100.0 / total as f64),
            _ => row.used_percent.map(|_| None),
        };
        After {
            broker: row.id,
            zone: row.zone.clone(),
            leaders_now: now,
            leaders_after: after,
            limit: row.binding.value.as_ref().map(|load| load.name.clone()),
            limit_now_percent: percent,
            limit_after_percent: grown,
            used_after_percent: used.clone(),
            used_now_percent: used,
        }
    })
    .collect()
}
