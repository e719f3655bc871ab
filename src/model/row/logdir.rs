//! One log directory with the volume behind it, what fills it and when it is full.

use serde::Serialize;

use super::join::Join;
use super::{Cell, Rows};
use crate::model::logdir::{LogDir, TopicUse};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment, Observed};

/// Why a disk's size is missing.
pub(super) const UNTOLD: &str = "the broker does not tell its disk's size (before Kafka 3.3)";

/// One directory, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogdirRow {
    pub broker: BrokerId,
    pub path: String,
    /// Kafka's error, when the directory is offline.
    pub error: Option<String>,
    /// The EBS volumes it lies on; unknown with the reason.
    pub volumes: Cell<Vec<String>>,
    pub used_percent: Cell<f64>,
    pub used_bytes: Cell<u64>,
    pub total_bytes: Cell<u64>,
    pub usable_bytes: Cell<u64>,
    pub growth_bytes_per_second: Cell<f64>,
    pub full_in_seconds: Cell<f64>,
    /// Without those on their way from another directory.
    pub replicas: u32,
    /// Bytes of all logs, those on their way too.
    pub logs_bytes: u64,
    /// The largest topics, largest first.
    pub top: Vec<TopicUse>,
    /// Replicas on their way here from another directory of the broker.
    pub future_replicas: u32,
    pub future_bytes: u64,
    /// Records that those still miss.
    pub future_lag_records: i64,
    /// Age of the broker's answer, when it fails to answer again.
    pub stale_seconds: Option<i64>,
    /// Why the broker does not answer.
    pub problem: Option<String>,
}

impl LogdirRow {
    /// In order of broker and path. A broker that never answered has no row.
    pub fn all(snapshot: &Snapshot, now: Moment) -> Vec<Self> {
        let join = Join::of(snapshot);
        let sections = snapshot.logdirs.iter();
        sections
            .flat_map(|(broker, section)| {
                let dirs = section.get().map_or(&[][..], Vec::as_slice);
                dirs.iter()
                    .map(|dir| Self::of(&join, *broker, section, dir, now))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn of(join: &Join<'_>, broker: BrokerId, section: &Observed<Vec<LogDir>>, dir: &LogDir, now: Moment) -> Self {
        let future = || dir.replicas.iter().filter(|replica| replica.future);
        let future_replicas = future().count() as u32;
        Self {
            broker,
            path: dir.path.clone(),
            error: dir.error.clone(),
            volumes: match join.volumes_of(broker, &dir.path) {
                Ok(volumes) => Cell::known(volumes),
                Err(reason) => Cell::unknown(reason),
            },
            used_percent: Cell::from(section, now, UNTOLD, |_| dir.used_percent()),
            used_bytes: Cell::from(section, now, UNTOLD, |_| dir.used_bytes()),
            total_bytes: Cell::from(section, now, UNTOLD, |_| dir.total_bytes),
            usable_bytes: Cell::from(section, now, UNTOLD, |_| dir.usable_bytes),
            growth_bytes_per_second: Cell::from(section, now, "seen only once yet", |_| dir.growth_bytes_per_second),
            full_in_seconds: Cell::from(section, now, full_in_missing(dir), |_| dir.full_in_seconds()),
            replicas: dir.replicas.len() as u32 - future_replicas,
            logs_bytes: dir.replicas.iter().map(|replica| replica.size_bytes).sum(),
            top: dir.largest().into_owned(),
            future_bytes: future().map(|replica| replica.size_bytes).sum(),
            future_lag_records: future().map(|replica| replica.lag_records.max(0)).sum(),
            future_replicas,
            stale_seconds: (!section.is_fresh()).then(|| section.age_seconds(now)).flatten(),
            problem: section.problem(),
        }
    }

    /// How both faces call it: `5:/data`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.broker, self.path)
    }

    /// Of all logs here, 0..=100.
    pub fn share_percent(&self, topic: &TopicUse) -> f64 {
        match self.logs_bytes {
            0 => 0.0,
            all => topic.size_bytes as f64 * 100.0 / all as f64,
        }
    }
}

fn full_in_missing(dir: &LogDir) -> &'static str {
    match (dir.usable_bytes, dir.growth_bytes_per_second) {
        (None, _) => UNTOLD,
        (_, None) => "seen only once yet",
        _ => "not growing",
    }
}

impl Rows {
    /// A directory by broker and path.
    pub fn logdir(&self, broker: BrokerId, path: &str) -> Option<&LogdirRow> {
        self.logdirs.iter().find(|row| row.broker == broker && row.path == path)
    }
}
