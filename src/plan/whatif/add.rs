//! More brokers: what each holds and leads when everything is spread evenly, and what must be copied for it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Error;
use crate::model::row::{Cell, Rows};
use crate::model::{BrokerId, Snapshot};

/// The cluster with more brokers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Addition {
    pub brokers_now: u32,
    pub brokers_after: u32,
    /// Brokers of each zone after, where the new ones go to the zones that have the fewest.
    pub zones: BTreeMap<String, u32>,
    /// A share for each broker, now and after, of what is even.
    pub leaders_each_now: f64,
    pub leaders_each_after: f64,
    pub replicas_each_now: f64,
    pub replicas_each_after: f64,
    /// What is copied to the new ones.
    pub copied_bytes: Cell<u64>,
    /// Of the fullest broker now, and of every broker after if all are as large as the present ones on average.
    pub used_now_percent: Cell<f64>,
    pub used_after_percent: Cell<f64>,
    /// The busiest broker's binding limit, now and with an even share.
    pub limit: Option<String>,
    pub limit_now_percent: Cell<f64>,
    pub limit_after_percent: Cell<f64>,
    /// The command that plans the moves.
    pub command: String,
}

/// With `count` more brokers like the present ones.
///
/// # Errors
/// Where the topics were not seen, or no broker is known.
pub fn add(snapshot: &Snapshot, rows: &Rows, count: u32) -> Result<Addition, Error> {
    if snapshot.topics.get().is_none() {
        let why = snapshot.topics.problem().unwrap_or_default();
        return Err(Error::Unseen(format!("topics: {why}")));
    }
    let now = rows.brokers.len() as u32;
    if now == 0 {
        return Err(Error::Unseen("no broker is known".to_owned()));
    }
    let after = now + count;
    let share = f64::from(now) / f64::from(after);
    let leaders = rows.partitions.iter().filter(|row| row.leader.is_some()).count() as f64;
    let replicas: usize = rows.partitions.iter().map(|row| row.replicas.len()).sum();
    let sum = |take: &dyn Fn(&crate::model::row::broker::BrokerRow) -> Cell<u64>| {
        let mut all = Cell::known(0_u64);
        for row in &rows.brokers {
            let cell = take(row);
            match (all.value, cell.value) {
                (Some(sum), Some(value)) => all = Cell::known(sum + value),
                (Some(_), None) => all = cell,
                (None, _) => {}
            }
        }
        all
    };
    let held = sum(&|row| row.size_bytes.clone());
    let (used, total) = (sum(&|row| row.used_bytes.clone()), sum(&|row| row.total_bytes.clone()));
    let mean = match (used.value, total.value) {
        (Some(used), Some(total)) if total > 0 => Cell::known(used as f64 * 100.0 / total as f64),
        (None, _) => used.map(|_| None),
        _ => total.map(|_| None),
    };
    let fullest = rows
        .brokers
        .iter()
        .filter_map(|row| row.used_percent.value)
        .max_by(f64::total_cmp);
    let busiest = rows
        .brokers
        .iter()
        .filter_map(|row| row.binding.value.as_ref())
        .max_by(|one, other| one.percent().total_cmp(&other.percent()));
    let untold = || {
        let reason = rows.brokers.iter().find_map(|row| row.binding.reason.clone());
        Cell::unknown(reason.unwrap_or_else(|| "no limit is known".to_owned()))
    };
    let limits: Vec<f64> = rows
        .brokers
        .iter()
        .filter_map(|row| Some(row.binding.value.as_ref()?.percent()))
        .collect();
    let even = limits.iter().sum::<f64>() / limits.len().max(1) as f64;
    Ok(Addition {
        brokers_now: now,
        brokers_after: after,
        zones: zones(rows, count),
        leaders_each_now: leaders / f64::from(now),
        leaders_each_after: leaders / f64::from(after),
        replicas_each_now: replicas as f64 / f64::from(now),
        replicas_each_after: replicas as f64 / f64::from(after),
        copied_bytes: held.map(|bytes| Some((*bytes as f64 * (1.0 - share)) as u64)),
        used_now_percent: fullest.map_or_else(|| mean.map(|_| None), Cell::known),
        used_after_percent: mean.map(|mean| Some(mean * share)),
        limit: busiest.map(|load| load.name.clone()),
        limit_now_percent: busiest.map_or_else(untold, |load| Cell::known(load.percent())),
        limit_after_percent: match limits.is_empty() {
            true => untold(),
            false => Cell::known(even * share),
        },
        command: format!("reassign plan --add-broker {}", new_ids(rows, count)),
    })
}

/// The ids after the highest: `7`, `7..9`.
fn new_ids(rows: &Rows, count: u32) -> String {
    let first = rows.brokers.iter().map(|row| row.id).max().unwrap_or(0) + 1;
    match BrokerId::try_from(count).unwrap_or(1) {
        1 => first.to_string(),
        many => format!("{first}..{}", first + many - 1),
    }
}

fn zones(rows: &Rows, count: u32) -> BTreeMap<String, u32> {
    let mut zones: BTreeMap<String, u32> = BTreeMap::new();
    for row in &rows.brokers {
        *zones.entry(row.zone.clone()).or_default() += 1;
    }
    for _ in 0..count {
        if let Some((_, least)) = zones.iter_mut().min_by_key(|(_, brokers)| **brokers) {
            *least += 1;
        }
    }
    zones
}
