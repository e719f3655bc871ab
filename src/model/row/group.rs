//! One consumer group as a story: how far it is behind, whether that grows, why, and when records are lost.

mod fact;
mod member;
mod part;
mod sentence;
#[cfg(test)]
mod tests;

pub use member::{MemberRow, zones};
pub use part::{Behind, BehindBasis, GroupPartition, Safe};
pub use sentence::sentence;

use serde::Serialize;

use super::Cell;
use crate::model::backlog::Pin;
use crate::model::ends::Ends;
use crate::model::group::Group;
use crate::model::history::{GroupPast, Series, Since, Window};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};
use part::{Ground, Part};

/// A lag below this many records is no news when it grows.
const SMALL: i64 = 1000;
/// A change of less than this many records per second is none.
const STILL: f64 = 0.5;
/// Every transaction is open for a moment; after so many seconds it is one that hangs.
const PINNED_SECONDS: i64 = 60;
/// So many rebalances in ten minutes keep a group from its work even if it is Stable at the moment.
const MANY_REBALANCES: usize = 3;

/// One group, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupRow {
    pub name: String,
    pub state: String,
    pub kind: String,
    pub protocol: String,
    pub coordinator: Option<BrokerId>,
    pub members: u32,
    pub topics: u32,
    /// Sum over all committed partitions; unknown when one leader did not tell its offsets.
    pub lag_records: Cell<i64>,
    /// Topic, partition and lag of the partition that is most behind.
    pub worst: Option<(String, i32, i64)>,
    /// Records per second written to the partitions it reads.
    pub rate_in: Cell<f64>,
    /// Records per second that it commits.
    pub rate_out: Cell<f64>,
    /// Records per second by which the lag grows.
    pub lag_change: Cell<f64>,
    /// What rates are measured over, for example `recorded, 60 s`.
    pub rate_basis: Option<String>,
    pub drains: Cell<Drain>,
    /// Of the partition that is most behind in time.
    pub behind: Cell<Behind>,
    /// Of the partition that loses records first.
    pub safe: Cell<Safe>,
    /// When an Empty group's offsets expire and the client's reset policy decides.
    pub offsets_expire: Cell<Expiry>,
    /// Why it does not catch up; `None` when it does.
    pub cause: Option<Cause>,
    /// Since when it commits nothing, where it has stopped altogether; see [`GroupPace`].
    ///
    /// [`GroupPace`]: crate::model::pace::GroupPace
    pub stopped_since: Option<Moment>,
    /// Since when it has been in its state.
    pub since: Option<Since>,
    /// Its lag over the last minutes, oldest first.
    pub trend: Vec<f64>,
    /// Partitions that it commits or is assigned.
    #[serde(skip)]
    pub partitions: u32,
    /// Unread records that are already deleted, over all partitions.
    #[serde(skip)]
    pub lost_records: i64,
    /// The first topic that loses them.
    #[serde(skip)]
    pub losing: Option<String>,
}

/// When the lag is gone at the present pace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drain {
    /// There is none.
    Done,
    InSeconds(f64),
    /// It neither grows nor shrinks.
    Steady,
    /// It grows.
    Never,
}

/// `offsets.retention.minutes` after the group was left by its last member (KIP-211).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// It has members, or nothing committed.
    None,
    At(Moment),
    /// It was Empty when it was first seen: at the latest then.
    By(Moment),
}

/// Why a group does not catch up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
pub enum Cause {
    NoMembers,
    /// So many were seen in the last ten minutes.
    Rebalancing {
        seen: usize,
    },
    /// One partition does not move, the others do.
    OnePartition {
        topic: String,
        partition: i32,
        offset: i64,
    },
    /// Its readers wait for a transaction to end.
    LsoPinned {
        producer: Option<i64>,
        seconds: Option<i64>,
    },
    Slow {
        /// Partitions that do not move at all.
        standing: usize,
    },
}

impl Cause {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoMembers => "no-members",
            Self::Rebalancing { .. } => "rebalancing",
            Self::OnePartition { .. } => "one-partition",
            Self::LsoPinned { .. } => "lso-pinned",
            Self::Slow { .. } => "slow",
        }
    }
}

/// The word, and what is known about it: `one-partition (orders-7: offset 12 not moving)`.
impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = self.word();
        match self {
            Self::NoMembers | Self::Slow { standing: 0 } => f.write_str(word),
            Self::Rebalancing { seen } => write!(f, "{word} ({seen} in 10 m)"),
            Self::OnePartition {
                topic,
                partition,
                offset,
            } => write!(f, "{word} ({topic}-{partition}: offset {offset} not moving)"),
            Self::LsoPinned { producer, seconds } => {
                let producer = producer.map_or_else(|| "?".to_owned(), |id| id.to_string());
                write!(f, "{word} (producer {producer}")?;
                match seconds {
                    Some(seconds) => write!(f, ", {} m)", seconds / 60),
                    None => f.write_str(")"),
                }
            }
            Self::Slow { standing } => write!(f, "{word} ({standing} partitions not moving)"),
        }
    }
}

impl GroupRow {
    /// In order of name.
    pub fn all(snapshot: &Snapshot, now: Moment) -> Vec<Self> {
        Self::all_over(snapshot, now, Window::default())
    }

    /// The same, with rates and trends over another time.
    pub fn all_over(snapshot: &Snapshot, now: Moment, window: Window) -> Vec<Self> {
        Self::all_at(snapshot, &Ends::of(snapshot), now, window)
    }

    pub(super) fn all_at(snapshot: &Snapshot, ends: &Ends<'_>, now: Moment, window: Window) -> Vec<Self> {
        let ground = Ground::new(snapshot, ends, now);
        let groups = snapshot.groups.get().map_or(&[][..], Vec::as_slice);
        groups.iter().map(|group| Self::of(&ground, group, window)).collect()
    }

    fn of<'a>(ground: &Ground<'a>, group: &'a Group, window: Window) -> Self {
        let (snapshot, now) = (ground.snapshot, ground.now);
        let parts = ground.parts(group);
        let worst = parts
            .iter()
            .filter_map(|part| Some((part, part.lag_records.value?)))
            .max_by_key(|(_, lag)| *lag);
        let losing = parts.iter().find(|part| part.safe.value == Some(Safe::Losing));
        let coordinator = group.coordinator.and_then(|id| snapshot.coordinators.get(&id));
        let mut lag_records = total_lag(&parts);
        if let Some(stale) = coordinator.filter(|section| !section.is_fresh()) {
            lag_records.stale_seconds = stale.age_seconds(now).or(lag_records.stale_seconds);
            lag_records.reason = stale.problem();
        }
        let history = &snapshot.history;
        let (lags, read) = (history.group_lag.get(&group.name), history.group_read.get(&group.name));
        let past = history.groups.get(&group.name);
        let (lag_change, rate_out) = (slope(lags, window), slope(read, window));
        let mut row = Self {
            name: group.name.clone(),
            state: group.state.clone(),
            kind: group.kind.clone(),
            protocol: group.protocol.clone(),
            coordinator: group.coordinator,
            members: group.members.len() as u32,
            topics: parts.chunk_by(|one, next| one.topic == next.topic).count() as u32,
            drains: drains(&lag_records, &lag_change),
            lag_records,
            worst: worst.map(|(part, lag)| (part.topic.to_owned(), part.partition, lag)),
            rate_in: rate_in(&parts, &lag_change, &rate_out, window),
            rate_out,
            lag_change,
            rate_basis: lags.and_then(|lags| basis(lags, window)),
            behind: behind(&parts),
            safe: safe(&parts),
            offsets_expire: expiry(snapshot, group, past.map(|past| past.as_ref()), now),
            cause: None,
            stopped_since: None,
            since: past.map(|past| past.since),
            trend: lags
                .into_iter()
                .flat_map(|lags| lags.within(window.seconds()))
                .collect(),
            partitions: parts.len() as u32,
            lost_records: parts.iter().filter_map(Part::lost).sum(),
            losing: losing.map(|part| part.topic.to_owned()),
        };
        // What a coordinator that does not answer told before stands still for that reason.
        let seen_at = match coordinator {
            None => Some(now),
            Some(told) => told.seen_at.filter(|_| told.is_fresh()),
        };
        let paced = past.map(|past| past.as_ref()).zip(seen_at);
        row.stopped_since = paced.and_then(|(past, seen_at)| stopped(&row, &parts, past, seen_at));
        row.cause = cause(now, &row, &parts, past.map(|past| past.as_ref()), seen_at);
        row
    }

    /// `classic range`, `consumer uniform`, `share`.
    pub fn protocol_words(&self) -> String {
        match (self.kind.as_str(), self.protocol.as_str()) {
            (kind, "") => kind.to_owned(),
            (kind, protocol) => format!("{kind} {protocol}"),
        }
    }
}

fn total_lag(parts: &[Part<'_>]) -> Cell<i64> {
    let committed = || parts.iter().filter(|part| part.committed.value.is_some());
    if let Some(part) = committed().find(|part| part.lag_records.value.is_none()) {
        let why = part.lag_records.reason();
        return Cell::unknown(format!("{}-{}: {why}", part.topic, part.partition));
    }
    if committed().next().is_none() {
        return Cell::unknown("nothing committed yet");
    }
    Cell {
        value: Some(committed().filter_map(|part| part.lag_records.value).sum()),
        stale_seconds: committed().filter_map(|part| part.lag_records.stale_seconds).max(),
        reason: committed()
            .find_map(|part| part.lag_records.why)
            .map(|why| why.to_string()),
    }
}

/// Over the usual time as the leaders tell it. Over another, what the group read and what its lag grew by came in.
fn rate_in(parts: &[Part<'_>], change: &Cell<f64>, out: &Cell<f64>, window: Window) -> Cell<f64> {
    if window != Window::default()
        && let (Some(change), Some(out)) = (change.value, out.value)
    {
        return Cell::known((change + out).max(0.0));
    }
    let mut total = 0.0;
    for part in parts {
        match part.rate_in.value {
            Some(rate) => total += rate,
            None => return Cell::unknown(format!("no rate yet for {}-{}", part.topic, part.partition)),
        }
    }
    if parts.is_empty() {
        Cell::unknown("reads nothing")
    } else {
        Cell::known(total)
    }
}

fn slope(series: Option<&Series>, window: Window) -> Cell<f64> {
    match series.and_then(|series| series.slope_per_second(window.seconds())) {
        Some(slope) => Cell::known(slope),
        None => Cell::unknown("seen only once yet"),
    }
}

/// What the slope is over.
fn basis(series: &Series, window: Window) -> Option<String> {
    let seconds = series.span_seconds(window.seconds())?;
    Some(match series.len() {
        2 => format!("seen twice, {seconds:.0} s apart"),
        _ => format!("recorded, {seconds:.0} s"),
    })
}

fn drains(lag: &Cell<i64>, change: &Cell<f64>) -> Cell<Drain> {
    match (lag.value, change.value) {
        (Some(0), _) => Cell::known(Drain::Done),
        (Some(lag), Some(change)) if change < -STILL => Cell::known(Drain::InSeconds(lag as f64 / -change)),
        (Some(_), Some(change)) if change < STILL => Cell::known(Drain::Steady),
        (Some(_), Some(_)) => Cell::known(Drain::Never),
        (Some(_), None) => change.map(|_| None),
        (None, _) => lag.map(|_| None),
    }
}

/// The longest of all partitions, if it is known of one.
fn behind(parts: &[Part<'_>]) -> Cell<Behind> {
    let known = parts.iter().filter(|part| part.behind.value.is_some());
    let most = known.max_by(|one, other| {
        let seconds = |part: &Part<'_>| part.behind.value.map_or(0.0, |behind| behind.seconds);
        seconds(one).total_cmp(&seconds(other))
    });
    let unknown = || parts.iter().find(|part| part.lag_records.value != Some(0));
    match most.or_else(unknown) {
        Some(part) => part.behind.cell(),
        None => Cell::unknown("nothing committed yet"),
    }
}

/// A loss outranks what is unknown, and that outranks every promise.
fn safe(parts: &[Part<'_>]) -> Cell<Safe> {
    let committed = || parts.iter().filter(|part| part.committed.value.is_some());
    if let Some(part) = committed().find(|part| part.safe.value == Some(Safe::Losing)) {
        return part.safe.cell();
    }
    if let Some(part) = committed().find(|part| part.safe.value.is_none()) {
        let why = part.safe.reason();
        return Cell::unknown(format!("{}-{}: {why}", part.topic, part.partition));
    }
    match committed().min_by_key(|part| part.safe.value) {
        Some(part) => part.safe.cell(),
        None => Cell::unknown("nothing committed yet"),
    }
}

fn expiry(snapshot: &Snapshot, group: &Group, past: Option<&GroupPast>, now: Moment) -> Cell<Expiry> {
    if group.state != "Empty" || group.commits.is_empty() {
        return Cell::known(Expiry::None);
    }
    let Some(minutes) = snapshot.retentions.get().and_then(|kept| kept.offsets_minutes) else {
        return Cell::unknown("offsets.retention.minutes was not told");
    };
    let after = |from: Moment| {
        from.checked_add(jiff::SignedDuration::from_secs(minutes.saturating_mul(60)))
            .ok()
    };
    let expiry = match past.filter(|past| past.state == "Empty") {
        Some(past) if past.since.basis == crate::model::history::Basis::Recorded => {
            after(past.since.at).map(Expiry::At)
        }
        Some(past) => after(past.since.at).map(Expiry::By),
        None => after(now).map(Expiry::By),
    };
    Cell::known(expiry.unwrap_or(Expiry::None))
}

/// Since when a group with members and unread records has committed nothing, if that is longer than usual.
fn stopped(row: &GroupRow, parts: &[Part<'_>], past: &GroupPast, seen_at: Moment) -> Option<Moment> {
    if row.members == 0 || row.state != "Stable" || row.lag_records.value.unwrap_or(0) == 0 {
        return None;
    }
    let grows = |part: &Part<'_>| {
        let standing = part.standing.filter(|standing| standing.end > 0);
        standing.is_some_and(|standing| part.end.value > Some(standing.end))
    };
    past.pace.stopped_since(seen_at, parts.iter().any(grows))
}

fn cause(
    now: Moment,
    row: &GroupRow,
    parts: &[Part<'_>],
    past: Option<&GroupPast>,
    seen_at: Option<Moment>,
) -> Option<Cause> {
    let seen = past.map_or(0, |past| past.rebalances(now));
    let lag = row.lag_records.value.unwrap_or(0);
    match row.state.as_str() {
        "Dead" => return None,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            return Some(Cause::Rebalancing { seen: seen.max(1) });
        }
        _ if lag == 0 => return None,
        _ if row.members == 0 => return Some(Cause::NoMembers),
        _ if seen >= MANY_REBALANCES => return Some(Cause::Rebalancing { seen }),
        _ => {}
    }
    if let Some(cause) = pinned(now, parts) {
        return Some(cause);
    }
    let behind: Vec<&Part<'_>> = parts.iter().filter(|part| part.lag_records.value > Some(0)).collect();
    let stands = |part: &&&Part<'_>| match (part.standing, past.zip(seen_at)) {
        (Some(_), Some(_)) if row.stopped_since.is_some() => true,
        (Some(standing), Some((past, seen_at))) => past.pace.is_part_stopped(standing.since, seen_at),
        _ => false,
    };
    let standing: Vec<&&Part<'_>> = behind.iter().filter(stands).collect();
    let grows = row.lag_change.value.is_some_and(|change| change > 0.0);
    match standing.as_slice() {
        [one] if parts.len() > 1 => Some(Cause::OnePartition {
            topic: one.topic.to_owned(),
            partition: one.partition,
            offset: one.committed.value.unwrap_or_default(),
        }),
        [] if lag >= SMALL && grows => Some(Cause::Slow { standing: 0 }),
        [] => None,
        some => Some(Cause::Slow { standing: some.len() }),
    }
}

/// A partition whose reader stands at an open transaction.
fn pinned(now: Moment, parts: &[Part<'_>]) -> Option<Cause> {
    let pin = |part: &Part<'_>| -> Option<(Pin, Option<i64>)> {
        let backlog = part.backlog?;
        let pin = backlog.pin.filter(|pin| part.committed.value >= Some(pin.stable))?;
        // The first unread record is the transaction's first.
        let began = backlog.written(pin.stable).map(|written| written.latest);
        let seconds = began.map(|began| now.duration_since(began).as_secs().max(0));
        Some((pin, seconds))
    };
    let mut pins: Vec<_> = parts.iter().filter_map(pin).collect();
    pins.retain(|(_, seconds)| seconds.is_none_or(|seconds| seconds >= PINNED_SECONDS));
    pins.sort_by_key(|(_, seconds)| std::cmp::Reverse(*seconds));
    let (pin, seconds) = pins.first()?;
    Some(Cause::LsoPinned {
        producer: pin.producer,
        seconds: *seconds,
    })
}
