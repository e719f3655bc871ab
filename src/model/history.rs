//! The last hours of what matters, bounded: spark lines, rates, ages of offsets, and since when things are as they are.

pub mod gauge;
mod standing;
mod trail;

pub use gauge::{Gauge, Teller};
pub use standing::{Standing, Standings};
pub use trail::{Sampled, Trail};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pace::GroupPace;
use super::{BrokerId, Moment};

/// What the feed remembers besides the present. Captures carry it too. A copy shares what has not changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Records behind, by group.
    pub group_lag: Arc<BTreeMap<String, Series>>,
    /// The sum of a group's committed offsets; it begins anew when the group commits other partitions.
    #[serde(default)]
    pub group_read: Arc<BTreeMap<String, Series>>,
    #[serde(default)]
    pub groups: Arc<BTreeMap<String, Arc<GroupPast>>>,
    /// Bytes in use on a broker's log directories' file systems.
    pub broker_bytes: Arc<BTreeMap<BrokerId, Series>>,
    /// The numbers whose charts are kept.
    #[serde(default)]
    pub gauges: Arc<BTreeMap<BrokerId, BTreeMap<Gauge, Series>>>,
    /// Bytes in use of each log directory, as `broker_bytes`.
    #[serde(default)]
    pub dir_bytes: Arc<BTreeMap<BrokerId, BTreeMap<String, Series>>>,
    /// What clients produced and fetched, where brokers are scraped.
    #[serde(default)]
    pub traffic: Arc<BTreeMap<BrokerId, Traffic>>,
    /// Where logs ended.
    #[serde(default)]
    pub trail: Trail,
    /// When lags were last worked out from something new; since then all groups and logs stand. `None` of what was recorded.
    #[serde(skip)]
    pub moved_at: Option<Moment>,
    /// The first look that is remembered without a gap up to now; `None` before it.
    #[serde(default)]
    pub began: Option<Moment>,
}

/// Totals of one broker since it started, in bytes; they begin anew when it does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    pub in_bytes: Series,
    pub out_bytes: Series,
}

/// What a group did, as every answer of its coordinator has told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupPast {
    pub state: String,
    pub since: Since,
    /// Rebalances that were seen, oldest first, of the last [`GroupPast::WINDOW`] seconds.
    pub rebalances: VecDeque<Moment>,
    /// Where a partition's commit stands, and since when; only where there was more to read.
    pub standing: Standings,
    /// Tells one set of members and assignments from another.
    pub shape: u64,
    /// Partitions with a commit.
    pub commits: usize,
    #[serde(default)]
    pub pace: GroupPace,
}

/// When something began, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub at: Moment,
    pub basis: Basis,
}

/// How the beginning is known, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It was seen to begin.
    Recorded,
    /// It was there at the first look.
    Seen,
}

impl Since {
    /// `since 21:02:10 recorded`, `seen 21:04:29`; UTC.
    pub fn words(&self) -> String {
        let time = self.at.strftime("%H:%M:%S");
        match self.basis {
            Basis::Recorded => format!("since {time} recorded"),
            Basis::Seen => format!("seen {time}"),
        }
    }
}

impl GroupPast {
    /// Seconds over which rebalances are counted.
    pub const WINDOW: i64 = 600;

    /// Rebalances seen in the last ten minutes.
    pub fn rebalances(&self, now: Moment) -> usize {
        let recent = |at: &&Moment| now.duration_since(**at).as_secs() <= Self::WINDOW;
        self.rebalances.iter().filter(recent).count()
    }
}

/// The time that rates, trends and changes are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// At least one.
    seconds: i64,
}

impl Window {
    /// What the screens go through; the last is as long as a [`Series`] with a sample every five seconds.
    const CHOICES: [i64; 3] = [60, 300, 600];

    /// What changed is told of the last hour, unless somebody wants less or more; nothing is kept for longer than the last.
    pub const CHANGES: Self = Self { seconds: 3600 };
    const CHANGES_CHOICES: [i64; 3] = [600, 3600, 7200];

    /// So many seconds, at least one.
    pub fn of(seconds: i64) -> Self {
        Self {
            seconds: seconds.max(1),
        }
    }

    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// The next longer choice for rates; after the longest the shortest.
    pub fn next(self) -> Self {
        self.after(Self::CHOICES)
    }

    /// The same for what changed.
    pub fn next_changes(self) -> Self {
        self.after(Self::CHANGES_CHOICES)
    }

    fn after(self, choices: [i64; 3]) -> Self {
        let longer = choices.into_iter().find(|seconds| *seconds > self.seconds);
        Self::of(longer.unwrap_or(choices[0]))
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::of(Self::CHOICES[0])
    }
}

/// As a command takes it: `5m`, `90s`.
impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.seconds {
            seconds if seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            seconds if seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

/// Samples of one number, oldest first; at most [`Series::CAPACITY`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Series {
    samples: VecDeque<Sample>,
}

/// A number and when it was true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub at: Moment,
    pub value: f64,
}

impl Series {
    pub const CAPACITY: usize = 120;

    /// Adds a sample; one that is not newer than the last is ignored, the oldest goes when there are too many.
    pub fn push(&mut self, at: Moment, value: f64) {
        if self.samples.back().is_some_and(|last| last.at >= at) {
            return;
        }
        self.samples.push_back(Sample { at, value });
        while self.samples.len() > Self::CAPACITY {
            self.samples.pop_front();
        }
    }

    /// Oldest first.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample> + ExactSizeIterator {
        self.samples.iter()
    }

    pub fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// The numbers of the last `seconds`, oldest first.
    pub fn within(&self, seconds: i64) -> impl Iterator<Item = f64> {
        let last = self.samples.back().map(|sample| sample.at);
        let recent = move |sample: &&Sample| {
            last.is_some_and(|last| last.duration_since(sample.at).as_secs_f64() <= seconds as f64)
        };
        self.samples.iter().filter(recent).map(|sample| sample.value)
    }

    /// The seconds that [`Series::slope_per_second`] is over.
    pub fn span_seconds(&self, seconds: i64) -> Option<f64> {
        let last = self.samples.back()?;
        let age = |sample: &Sample| last.at.duration_since(sample.at).as_secs_f64();
        let first = self.samples.iter().map(age).find(|age| *age <= seconds as f64)?;
        (first > 0.0).then_some(first)
    }

    /// Whether it was always the same, and that was known by then: seen twice.
    pub fn is_flat_since(&self, then: Moment) -> bool {
        let seen = self.samples.get(1).is_some_and(|second| second.at <= then);
        seen && self
            .samples
            .iter()
            .zip(self.samples.iter().skip(1))
            .all(|(one, next)| one.value == next.value)
    }

    /// Change per second over the last `seconds`; `None` until there are two samples in them.
    pub fn slope_per_second(&self, seconds: i64) -> Option<f64> {
        let last = self.samples.back()?;
        let age = |sample: &&Sample| last.at.duration_since(sample.at).as_secs_f64();
        let first = self.samples.iter().find(|sample| age(sample) <= seconds as f64)?;
        let span = age(&first);
        (span > 0.0).then(|| (last.value - first.value) / span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn the_oldest_goes_first_and_time_never_turns_back() {
        let mut series = Series::default();
        for second in 0..500 {
            series.push(at(second), second as f64);
        }
        series.push(at(3), 0.0);
        assert_eq!(series.samples().len(), Series::CAPACITY);
        assert_eq!(series.samples().next().unwrap().value, 380.0);
        assert_eq!(series.latest().unwrap().value, 499.0);
    }

    #[test]
    fn windows_go_round_and_are_written_as_a_command_takes_them() {
        let mut window = Window::default();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(window.to_string());
            window = window.next();
        }
        assert_eq!(seen, ["1m", "5m", "10m", "1m"]);
        assert_eq!(Window::CHANGES.next_changes().to_string(), "2h");
        assert_eq!(Window::CHANGES.next_changes().next_changes().to_string(), "10m");
        assert_eq!(Window::of(90).to_string(), "90s");
        assert_eq!(Window::of(90).next(), Window::of(300));
    }

    #[test]
    fn a_trend_is_of_the_window_only() {
        let mut series = Series::default();
        for second in [0, 250, 290, 300] {
            series.push(at(second), second as f64);
        }
        assert_eq!(series.within(60).collect::<Vec<_>>(), [250.0, 290.0, 300.0]);
        assert_eq!(series.within(300).count(), 4);
    }

    #[test]
    fn a_slope_is_over_the_window_only() {
        let mut series = Series::default();
        assert_eq!(series.slope_per_second(60), None);
        series.push(at(0), 1_000_000.0);
        assert_eq!(series.slope_per_second(60), None);
        for second in [100, 110, 120] {
            series.push(at(second), (second * 3) as f64);
        }
        assert_eq!(series.slope_per_second(60), Some(3.0));
    }
}
