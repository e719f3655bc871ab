//! What both faces show, computed purely from a snapshot: one row per broker, topic, partition, group, volume, user and quota.
//!
//! A row never invents a number: a [`Cell`] without a value says why, and one from a failing source says how old it is.

pub mod badge;
pub mod broker;
pub mod filling;
pub mod config;
pub mod dashboard;
pub mod difference;
pub mod group;
pub mod headroom;
pub mod join;
pub mod logdir;
pub mod mirror;
pub mod partition;
pub mod placement;
pub mod quota;
pub mod topic;
pub mod user;
pub mod quorum;
pub mod reassignment;
pub mod throttle;
pub mod transaction;
pub mod volume;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::ends::Ends;
use super::history::Window;
use super::logdir::LogDir;
use super::snapshot::Snapshot;
use super::{BrokerId, Health, Moment, Observed};
use broker::{BrokerRow, ZoneRow};
use group::GroupRow;
use join::Join;
use logdir::LogdirRow;
use partition::{Partitions, Sizes};
use quota::QuotaRow;
use reassignment::ReassignmentRow;
use throttle::ThrottleRow;
use topic::TopicRow;
use transaction::TransactionRow;
use user::UserRow;
use volume::VolumeRow;

/// All rows of one snapshot, in natural order (broker id, name); faces sort and filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// What rates and trends are over: the usual time, which everything is judged by.
    pub window: Window,
    /// The same rows over the time that a person wants to see, where it is another: for eyes, never for judging.
    pub wanted: Option<Arc<Rows>>,
    pub zones: Vec<ZoneRow>,
    pub brokers: Vec<BrokerRow>,
    /// Shared with the rows of the snapshot before, where nothing about topics changed.
    pub topics: Arc<Vec<TopicRow>>,
    /// As `topics`.
    pub partitions: Arc<Partitions>,
    /// Brokers that hold replicas and are registered no more; empty while the cluster is not known.
    pub unregistered: BTreeSet<BrokerId>,
    /// As `topics`, where nothing about groups changed for a while.
    pub groups: Arc<Vec<GroupRow>>,
    /// When the rows of groups were worked out.
    groups_at: Moment,
    /// What each broker holds; as `topics`.
    placed: Arc<BTreeMap<BrokerId, placement::Placed>>,
    pub volumes: Vec<VolumeRow>,
    pub users: Vec<UserRow>,
    pub quotas: Vec<QuotaRow>,
    pub logdirs: Vec<LogdirRow>,
    pub throttles: Vec<ThrottleRow>,
    pub reassignments: Vec<ReassignmentRow>,
    pub transactions: Vec<TransactionRow>,
}

impl Rows {
    /// Linear in partitions and commits; meant for a blocking thread on wide clusters.
    pub fn of(snapshot: &Snapshot, now: Moment) -> Self {
        Self::within(snapshot, now, Window::default())
    }

    /// The same, with rates and trends over another time.
    pub fn over(snapshot: &Snapshot, now: Moment, window: Window) -> Self {
        match window == Window::default() {
            true => Self::of(snapshot, now),
            false => Self::within(&snapshot.over(window), now, window),
        }
    }

    /// Rows to judge by, with what is to be shown where that is over another time.
    pub fn to_show(snapshot: &Snapshot, now: Moment, window: Window) -> Self {
        Self::of(snapshot, now).and_over(snapshot, now, window)
    }

    fn and_over(mut self, snapshot: &Snapshot, now: Moment, window: Window) -> Self {
        self.wanted = (window != Window::default()).then(|| Arc::new(Self::over(snapshot, now, window)));
        self
    }

    /// What is shown: rates over the time that a person wants.
    pub fn shown(&self) -> &Self {
        self.wanted.as_deref().unwrap_or(self)
    }

    fn within(snapshot: &Snapshot, now: Moment, window: Window) -> Self {
        let ends = Ends::of(snapshot);
        let sizes = Sizes::of(snapshot);
        let partitions = Partitions::of(snapshot, &ends, &sizes, now);
        let kept = Kept {
            unregistered: unregistered(snapshot),
            topics: Arc::new(TopicRow::all(snapshot, &partitions, &sizes)),
            placed: Arc::new(placement::Placed::count(&partitions)),
            partitions: Arc::new(partitions),
            groups: Arc::new(GroupRow::all_at(snapshot, &ends, now, window)),
            groups_at: now,
        };
        Self::with(snapshot, kept, now, window)
    }

    /// [`Rows::to_show`] for a snapshot that follows `before`, whose rows are known: what nothing changed for is taken over.
    pub fn after(before: &Snapshot, rows: &Self, snapshot: &Snapshot, now: Moment, window: Window) -> Self {
        if !placed_alike(before, snapshot) {
            return Self::to_show(snapshot, now, window);
        }
        let wide = rows.partitions.len() as i64 / 10_000;
        let young = now.duration_since(rows.groups_at).as_secs() < GROUP_AGES * (1 + wide);
        let (groups, groups_at) = match young && groups_alike(before, rows.groups_at, snapshot, now) {
            true => (Arc::clone(&rows.groups), rows.groups_at),
            false => (Arc::new(GroupRow::all(snapshot, now)), now),
        };
        let kept = Kept {
            topics: Arc::clone(&rows.topics),
            partitions: Arc::clone(&rows.partitions),
            placed: Arc::clone(&rows.placed),
            unregistered: rows.unregistered.clone(),
            groups,
            groups_at,
        };
        Self::with(snapshot, kept, now, Window::default()).and_over(snapshot, now, window)
    }

    fn with(snapshot: &Snapshot, kept: Kept, now: Moment, window: Window) -> Self {
        let join = Join::of(snapshot);
        let mut volumes = VolumeRow::all(snapshot, &join, now);
        let mut brokers = BrokerRow::all(snapshot, &join, &kept.placed, &volumes, now);
        headroom::fill(snapshot, &mut volumes, &mut brokers, now);
        Self {
            window,
            wanted: None,
            zones: ZoneRow::all(snapshot, &brokers, now),
            users: UserRow::all(snapshot, now),
            quotas: QuotaRow::all(snapshot),
            logdirs: LogdirRow::all(snapshot, now),
            throttles: ThrottleRow::all(snapshot),
            transactions: TransactionRow::all(snapshot, now),
            reassignments: ReassignmentRow::all(snapshot, &brokers, now),
            topics: kept.topics,
            partitions: kept.partitions,
            placed: kept.placed,
            unregistered: kept.unregistered,
            groups: kept.groups,
            groups_at: kept.groups_at,
            brokers,
            volumes,
        }
    }
}

/// Times that groups are told by are looked at again after so many seconds, though nothing changed; in a wide cluster after as many
/// times as long as it has ten thousands of partitions.
const GROUP_AGES: i64 = 5;
/// What stood for so many seconds has a rate of zero, however long one looks on.
const STANDS: i64 = 120;

/// What is told of topics, partitions and groups, the most of all that there is.
struct Kept {
    topics: Arc<Vec<TopicRow>>,
    partitions: Arc<Partitions>,
    placed: Arc<BTreeMap<BrokerId, placement::Placed>>,
    unregistered: BTreeSet<BrokerId>,
    groups: Arc<Vec<GroupRow>>,
    groups_at: Moment,
}

/// Whether everything that groups are told from is the same in both, beside topics and their offsets, and nothing that rows of
/// `then` tell of the past has changed since.
fn groups_alike(before: &Snapshot, then: Moment, after: &Snapshot, now: Moment) -> bool {
    let (was, is) = (&before.history, &after.history);
    let moved = is.moved_at.filter(|_| was.moved_at == is.moved_at);
    // Two numbers of each group: nothing beside the rows themselves.
    let mut all = is.group_lag.values().chain(is.group_read.values());
    let stand = moved.is_some_and(|moved| {
        now.duration_since(moved).as_secs() >= STANDS || (moved <= then && all.all(|series| series.is_flat_since(then)))
    });
    let same = Arc::ptr_eq(&was.group_lag, &is.group_lag) && Arc::ptr_eq(&was.group_read, &is.group_read);
    alike(&before.groups, &after.groups)
        && all_alike(&before.coordinators, &after.coordinators, |_, _| true)
        && all_alike(&before.backlogs, &after.backlogs, Arc::ptr_eq)
        && all_alike(&before.transactions, &after.transactions, Arc::ptr_eq)
        && all_alike(&before.broker_configs, &after.broker_configs, Arc::ptr_eq)
        && alike(&before.retentions, &after.retentions)
        && (stand || same)
        && Arc::ptr_eq(&was.groups, &is.groups)
}

/// Whether everything that topics and partitions are told from is the same in both, and nothing of it ages.
fn placed_alike(before: &Snapshot, after: &Snapshot) -> bool {
    alike(&before.cluster, &after.cluster)
        && alike(&before.topics, &after.topics)
        && alike(&before.topic_configs, &after.topic_configs)
        && alike(&before.reassignments, &after.reassignments)
        && all_alike(&before.offsets, &after.offsets, Arc::ptr_eq)
        // The file system around them changes all the time.
        && all_alike(&before.logdirs, &after.logdirs, |was, is| {
            let replicas = |dirs: &[LogDir]| dirs.iter().map(|dir| Arc::as_ptr(&dir.replicas)).collect::<Vec<_>>();
            Arc::ptr_eq(was, is) || replicas(was) == replicas(is)
        })
}

fn all_alike<T>(
    before: &BTreeMap<BrokerId, Observed<T>>,
    after: &BTreeMap<BrokerId, Observed<T>>,
    same: impl Fn(&Arc<T>, &Arc<T>) -> bool,
) -> bool {
    let mut both = before.iter().zip(after);
    before.len() == after.len() && both.all(|((one, was), (other, is))| one == other && alike_by(was, is, &same))
}

fn alike<T>(was: &Observed<T>, is: &Observed<T>) -> bool {
    alike_by(was, is, Arc::ptr_eq)
}

fn alike_by<T>(was: &Observed<T>, is: &Observed<T>, same: impl Fn(&Arc<T>, &Arc<T>) -> bool) -> bool {
    let same = match (&was.value, &is.value) {
        (Some(was), Some(is)) => same(was, is),
        (None, None) => true,
        _ => false,
    };
    // What fails tells its age.
    same && was.health == is.health && !matches!(is.health, Health::Failing { .. })
}

fn unregistered(snapshot: &Snapshot) -> BTreeSet<BrokerId> {
    let Some(cluster) = snapshot.cluster.get() else {
        return BTreeSet::new();
    };
    let known: BTreeSet<BrokerId> = cluster.brokers.iter().map(|broker| broker.id).collect();
    let holding = snapshot.partitions().flat_map(|(_, partition)| &partition.replicas);
    holding.filter(|id| !known.contains(id)).copied().collect()
}

/// A number with the reason it is missing or old. Serialises as the bare value, null when unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell<T> {
    pub value: Option<T>,
    /// The value's age in seconds, only when its source is failing.
    pub stale_seconds: Option<i64>,
    /// Why the value is missing or old.
    pub reason: Option<String>,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self {
            value: None,
            stale_seconds: None,
            reason: None,
        }
    }
}

impl<T: Serialize> Serialize for Cell<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T> Cell<T> {
    pub fn known(value: T) -> Self {
        Self {
            value: Some(value),
            stale_seconds: None,
            reason: None,
        }
    }

    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            value: None,
            stale_seconds: None,
            reason: Some(reason.into()),
        }
    }

    /// Takes one value out of an observed section and its age with it; `missing` says why a fresh section has none.
    pub fn from<S>(section: &Observed<S>, now: Moment, missing: &str, take: impl FnOnce(&S) -> Option<T>) -> Self {
        let value = section.get().and_then(take);
        let stale_seconds = match section.health {
            Health::Failing { .. } if value.is_some() => section.age_seconds(now),
            _ => None,
        };
        let reason = section
            .problem()
            .or_else(|| value.is_none().then(|| missing.to_owned()));
        Self {
            value,
            stale_seconds,
            reason,
        }
    }

    /// A value of a source that may be in doubt; `missing` says why one that is beyond doubt has none.
    fn doubted(value: Option<T>, doubt: Option<&Doubt>, missing: &str) -> Self {
        let reason = doubt.and_then(|doubt| doubt.reason.clone());
        Self {
            stale_seconds: doubt.and_then(|doubt| doubt.stale_seconds).filter(|_| value.is_some()),
            reason: reason.or_else(|| value.is_none().then(|| missing.to_owned())),
            value,
        }
    }

    /// The same provenance for a value derived from this one.
    pub fn map<U>(&self, derive: impl FnOnce(&T) -> Option<U>) -> Cell<U> {
        Cell {
            value: self.value.as_ref().and_then(derive),
            stale_seconds: self.stale_seconds,
            reason: self.reason.clone(),
        }
    }

    pub fn is_stale(&self) -> bool {
        self.stale_seconds.is_some()
    }
}

impl<T: Copy> Cell<T> {
    pub fn get(&self) -> Option<T> {
        self.value
    }
}

/// Why a value is missing or old, for all that share the reason: a wide cluster has a hundred thousand values of one broker.
#[derive(Debug, Clone, PartialEq)]
struct Doubt {
    /// The age of what is old.
    stale_seconds: Option<i64>,
    reason: Option<String>,
}

impl Doubt {
    /// What a section casts on everything in it; `None` for a fresh one.
    fn of<T>(section: &Observed<T>, now: Moment) -> Option<Self> {
        let reason = section.problem()?;
        let stale_seconds = match section.health {
            Health::Failing { .. } => section.age_seconds(now),
            _ => None,
        };
        Some(Self {
            stale_seconds,
            reason: Some(reason),
        })
    }
}

/// A percentage of a limit; unknown when either side is.
pub(crate) fn percent_of(used: &Cell<f64>, limit: &Cell<f64>) -> Cell<f64> {
    match (used.value, limit.value) {
        (Some(_), Some(_)) | (None, _) => used.map(|used| {
            limit
                .value
                .filter(|limit| *limit > 0.0)
                .map(|limit| used * 100.0 / limit)
        }),
        (Some(_), None) => limit.clone(),
    }
}
