//! Whether records still move: of the busiest partitions of each leader, when the end of the log was last seen to advance,
//! and how long it has usually taken to.

use serde::{Deserialize, Serialize};

use super::Moment;

/// One of the busiest partitions that a broker leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    pub topic: String,
    pub partition: i32,
    /// Records per second while it moved.
    pub rate: f64,
    pub end: i64,
    /// When its end was last seen to be further on than before.
    pub moved_at: Moment,
    /// The longest that it took between two such moments, in seconds, while it moved.
    pub longest_gap_seconds: f64,
}

impl Pace {
    /// Partitions watched of each leader.
    pub const BUSIEST: usize = 3;
    /// Records per second from which a partition is expected to move on between two looks.
    pub const BUSY: f64 = 1.0;
    /// What moved within so many seconds moves.
    const LIVELY_SECONDS: f64 = 3.0;
    /// Whatever it did before, so many seconds without a record are no stop yet.
    const PATIENCE_SECONDS: f64 = 6.0;

    /// Whether it moves, as of `seen_at`: it did within the time that it usually takes. In between it may have stopped or not.
    pub fn moves(&self, seen_at: Moment) -> bool {
        let stood = seen_at.duration_since(self.moved_at).as_secs_f64();
        stood <= Self::LIVELY_SECONDS.max(self.longest_gap_seconds * 1.2)
    }

    /// Whether it has stopped, as of `seen_at`, when its leader last told its offsets: it stood for three times as long
    /// as it ever did before.
    pub fn has_stopped(&self, seen_at: Moment) -> bool {
        let stood = seen_at.duration_since(self.moved_at).as_secs_f64();
        stood
            > Self::PATIENCE_SECONDS
                .max(self.longest_gap_seconds * 3.0)
                .max(10.0 / self.rate)
    }
}

/// How one group's commits move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupPace {
    /// When any of its commits was last seen to be further on than before, or when it was first seen.
    pub moved_at: Moment,
    /// The longest that it took between two such moments, in seconds.
    pub longest_gap_seconds: f64,
    /// It had members at some look.
    pub had_members: bool,
    /// Of the partitions that it has not read to the end, the one whose commit has stood longest.
    pub stuck: Option<StuckPart>,
}

/// A commit that does not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckPart {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub since: Moment,
}

impl GroupPace {
    /// Committing every few seconds is usual, and some sleep between batches: so many seconds are no stop yet.
    const PATIENCE_SECONDS: f64 = 30.0;
    /// A group whose pace was not seen yet may commit once a minute or two.
    const UNSEEN_SECONDS: f64 = 120.0;
    /// Consumers drain one partition after the other.
    const PART_SECONDS: f64 = 60.0;

    /// Whether it has stopped, as of `seen_at`: it stood for three times as long as its commits ever did before.
    pub fn has_stopped(&self, seen_at: Moment) -> bool {
        let patience = if self.longest_gap_seconds > 0.0 {
            Self::PATIENCE_SECONDS
        } else {
            Self::UNSEEN_SECONDS
        };
        self.stands(self.moved_at, seen_at, patience)
    }

    /// The partition that has stopped while the group moves on.
    pub fn stopped_part(&self, seen_at: Moment) -> Option<&StuckPart> {
        let patience = if self.longest_gap_seconds > 0.0 {
            Self::PART_SECONDS
        } else {
            Self::UNSEEN_SECONDS
        };
        self.stuck
            .as_ref()
            .filter(|part| self.stands(part.since, seen_at, patience))
    }

    fn stands(&self, since: Moment, seen_at: Moment, patience: f64) -> bool {
        let stood = seen_at.duration_since(since).as_secs_f64();
        stood > patience.max(self.longest_gap_seconds * 3.0)
    }
}

/// A topic that is written faster than it used to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Surge {
    /// Records per second over the last seconds.
    pub rate: f64,
    /// Records per second that the console has seen before.
    pub usual: f64,
    pub since: Moment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_no_stop() {
        let at = |second: i64| Moment::from_second(1_800_000_000 + second).unwrap();
        let pace = |gap| Pace {
            topic: "orders".into(),
            partition: 0,
            rate: 50.0,
            end: 7,
            moved_at: at(0),
            longest_gap_seconds: gap,
        };
        assert!(!pace(1.0).has_stopped(at(5)));
        assert!(pace(1.0).has_stopped(at(7)));
        assert!(!pace(10.0).has_stopped(at(29)), "it writes every ten seconds");
        assert!(pace(10.0).has_stopped(at(31)));
    }
}
