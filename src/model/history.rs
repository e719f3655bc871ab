//! The last hours of what matters, bounded: spark lines, rates, ages of offsets, and since when things are as they are.

pub mod gauge;
mod series;
mod standing;
mod trail;

pub use gauge::{Gauge, Teller};
pub use series::{Sample, Series};
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
