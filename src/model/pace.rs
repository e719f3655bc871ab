//! Whether records still move: of the busiest partitions of each leader, when the end of the log was last seen to advance,
//! and how long it has usually taken to.

use std::collections::VecDeque;

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

/// How one group's commits move, all partitions together.
///
/// **When a group has stopped.** The answer that carries the symptom is the first OffsetFetch in which nothing was committed for
/// longer than this group ever took in the last hour, while log ends that it reads have moved on. A group whose pace was watched
/// for [`GroupPace::WATCHED_SECONDS`] is named half of that time later, and not before [`GroupPace::QUICK_SECONDS`]: with the
/// default `auto.commit.interval.ms` of 5 s, looked at every 5 s, the longest pause seen is at most 10 s, so it is named 15 s
/// after its last commit and within 10 s of that answer. What is not known that well gets the patience that Kafka itself has:
/// 30 s and three times the longest pause, or two minutes for a group that was never seen to commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupPace {
    /// When it was first looked at without a break up to now.
    watched_since: Option<Moment>,
    /// The last look.
    looked_at: Option<Moment>,
    /// When any commit was last seen to be further on than before, when there was nothing to read, or when its members changed.
    moved_at: Option<Moment>,
    /// Pauses of the last hour while it had members and records to read, those that a later one exceeds left out: the first is
    /// the longest.
    pauses: VecDeque<Pause>,
    /// How many there were.
    seen: u32,
    /// Tells one set of commits from another.
    commits: u64,
}

/// From one commit to the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pause {
    at: Moment,
    seconds: f64,
}

/// What one look at a group showed.
#[derive(Debug, Clone, Copy)]
pub struct GroupLook {
    /// Tells one set of commits from another.
    pub commits: u64,
    /// It has read everything.
    pub has_read_all: bool,
    /// It is Stable, with the members and assignments that it had at the look before.
    pub is_settled: bool,
}

impl GroupPace {
    /// Seconds that a group is watched before its pace is known.
    pub const WATCHED_SECONDS: i64 = 45;
    /// However fast it commits, so many seconds without a commit are no stop yet.
    pub const QUICK_SECONDS: f64 = 10.0;
    /// Pauses that tell a pace.
    const ENOUGH: u32 = 5;
    /// Committing every few seconds is usual, and some sleep between batches: so many seconds are no stop yet.
    const PATIENCE_SECONDS: f64 = 30.0;
    /// A group whose pace was not seen yet may commit once a minute or two.
    const UNSEEN_SECONDS: f64 = 120.0;
    /// Consumers drain one partition after the other.
    const PART_SECONDS: f64 = 60.0;
    /// A pause is remembered for so long.
    const HOUR: i64 = 3600;
    /// Longer between two looks, and what lies between them is not known.
    const GAP_SECONDS: i64 = 30;

    /// Moves on what is known.
    pub fn look(&mut self, look: GroupLook, at: Moment) {
        let unbroken = self
            .looked_at
            .is_some_and(|last| at.duration_since(last).as_secs() <= Self::GAP_SECONDS);
        self.looked_at = Some(at);
        if !unbroken || self.watched_since.is_none() {
            self.watched_since = Some(at);
        }
        let moved = self.commits != look.commits;
        self.commits = look.commits;
        let Some(before) = self.moved_at else {
            self.moved_at = Some(at);
            return;
        };
        if moved && unbroken && look.is_settled {
            self.pause(at, at.duration_since(before).as_secs_f64());
        }
        if moved || look.has_read_all || !look.is_settled {
            self.moved_at = Some(at);
        }
    }

    fn pause(&mut self, at: Moment, seconds: f64) {
        self.seen = self.seen.saturating_add(1);
        while self.pauses.back().is_some_and(|last| last.seconds <= seconds) {
            self.pauses.pop_back();
        }
        self.pauses.push_back(Pause { at, seconds });
        let old = |pause: &Pause| at.duration_since(pause.at).as_secs() > Self::HOUR;
        while self.pauses.front().is_some_and(old) {
            self.pauses.pop_front();
        }
    }

    /// The longest pause of the last hour, in seconds; 0 before any was seen.
    pub fn longest_pause_seconds(&self) -> f64 {
        self.pauses.front().map_or(0.0, |pause| pause.seconds)
    }

    /// Since when nothing was committed, if it has stopped as of `seen_at`, when its coordinator last told its offsets.
    /// `grows`: log ends that it reads have moved on meanwhile.
    pub fn stopped_since(&self, seen_at: Moment, grows: bool) -> Option<Moment> {
        let since = self.moved_at?;
        let longest = self.longest_pause_seconds();
        let known = self.seen >= Self::ENOUGH
            && self
                .watched_since
                .is_some_and(|since| seen_at.duration_since(since).as_secs() >= Self::WATCHED_SECONDS);
        let patience = match (self.seen, known && grows) {
            (_, true) => Self::QUICK_SECONDS.max(longest * 1.5),
            (0, _) => Self::UNSEEN_SECONDS,
            _ => Self::PATIENCE_SECONDS.max(longest * 3.0),
        };
        (stood(since, seen_at) > patience).then_some(since)
    }

    /// Whether a commit that stands since then has stopped while others move, as of `seen_at`.
    pub fn is_part_stopped(&self, since: Moment, seen_at: Moment) -> bool {
        stood(since, seen_at) > Self::PART_SECONDS.max(self.longest_pause_seconds() * 3.0)
    }

    /// Whether it may have stopped just now: worth another look soon.
    pub fn is_suspect(&self, seen_at: Moment) -> bool {
        let stood = self.moved_at.map_or(0.0, |since| stood(since, seen_at));
        self.seen >= Self::ENOUGH && stood > self.longest_pause_seconds() && stood < Self::PART_SECONDS
    }
}

fn stood(since: Moment, seen_at: Moment) -> f64 {
    seen_at.duration_since(since).as_secs_f64()
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

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn bursts_are_no_stop() {
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

    const LOOK: GroupLook = GroupLook {
        commits: 0,
        has_read_all: false,
        is_settled: true,
    };

    /// Looked at every `apart` seconds for `seconds`, and commits every `every`.
    fn watched(seconds: i64, apart: usize, every: i64) -> GroupPace {
        let mut pace = GroupPace::default();
        for second in (0..=seconds).step_by(apart) {
            let commits = (second / every) as u64;
            pace.look(GroupLook { commits, ..LOOK }, at(second));
        }
        pace
    }

    #[test]
    fn a_group_that_commits_every_five_seconds_has_stopped_after_fifteen() {
        let pace = watched(60, 5, 5);
        assert_eq!(pace.longest_pause_seconds(), 5.0);
        assert_eq!(pace.stopped_since(at(70), true), None);
        assert_eq!(pace.stopped_since(at(71), true), Some(at(60)));
        assert_eq!(pace.stopped_since(at(89), false), None, "nothing came: it waits");
        assert_eq!(pace.stopped_since(at(91), false), Some(at(60)));
        assert!(pace.is_suspect(at(66)) && !pace.is_suspect(at(65)));
    }

    #[test]
    fn looks_that_miss_a_commit_make_nobody_stop() {
        // Commits every five seconds, looked at a little oftener: one look in ten shows nothing new.
        let mut pace = GroupPace::default();
        for look in 0..60 {
            let ms = look * 4_600;
            let now = Moment::from_millisecond(1_800_000_000_000 + ms).unwrap();
            let commits = (ms / 5_000) as u64;
            pace.look(GroupLook { commits, ..LOOK }, now);
            assert_eq!(pace.stopped_since(now, true), None, "after {ms} ms");
        }
        assert!(pace.longest_pause_seconds() < 10.0);
    }

    #[test]
    fn a_pace_that_is_not_known_gets_more_patience() {
        let pace = watched(20, 5, 5);
        assert_eq!(pace.stopped_since(at(49), true), None, "watched too shortly");
        assert_eq!(pace.stopped_since(at(51), true), Some(at(20)));
        let pace = watched(60, 5, 1000);
        assert_eq!(
            pace.stopped_since(at(119), true),
            None,
            "it may commit once a minute or two"
        );
        assert_eq!(pace.stopped_since(at(121), true), Some(at(0)));
    }

    #[test]
    fn batches_are_learned_and_forgotten() {
        let pace = watched(400, 5, 40);
        assert_eq!(pace.longest_pause_seconds(), 40.0);
        assert_eq!(pace.stopped_since(at(459), true), None);
        assert!(pace.stopped_since(at(461), true).is_some());
        let mut pace = pace;
        for second in (405..=4200).step_by(5) {
            pace.look(
                GroupLook {
                    commits: second as u64,
                    ..LOOK
                },
                at(second),
            );
        }
        assert_eq!(pace.longest_pause_seconds(), 5.0, "an hour later");
    }

    #[test]
    fn what_was_not_seen_and_what_a_rebalance_takes_is_no_pause() {
        let mut pace = watched(60, 5, 5);
        let next = GroupLook { commits: 99, ..LOOK };
        pace.look(next, at(600));
        assert_eq!(pace.longest_pause_seconds(), 5.0, "nobody looked in between");
        let away = GroupLook {
            is_settled: false,
            ..next
        };
        for second in (605..=650).step_by(5) {
            pace.look(away, at(second));
        }
        pace.look(GroupLook { commits: 100, ..LOOK }, at(655));
        assert_eq!(pace.longest_pause_seconds(), 5.0);
    }
}
