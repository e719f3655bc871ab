//! Changes per second of numbers that are looked at every few seconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::logdir::LogDir;
use crate::model::offset::Offsets;
use crate::model::{BrokerId, Moment};

/// Records per second are over the last minute.
const RECORDS: Window = Window {
    length: Duration::from_secs(60),
    points: 6,
};

/// A disk's growth is over the last five minutes: segments are deleted in steps.
const GROWTH: Window = Window {
    length: Duration::from_secs(300),
    points: 10,
};

#[derive(Debug, Clone, Copy)]
struct Window {
    length: Duration,
    /// So many points are kept, however often it is looked at.
    points: u32,
}

/// A copy under way: over the last minute.
const COPY: Window = Window {
    length: Duration::from_secs(60),
    points: 6,
};

/// The last points of one number.
#[derive(Debug, Default)]
struct Slope {
    points: VecDeque<(Moment, f64)>,
}

impl Slope {
    /// The change per second since the oldest point within the window; `None` on the first look.
    fn add(&mut self, window: Window, at: Moment, value: f64) -> Option<f64> {
        let age = |from: Moment| at.duration_since(from).as_secs_f64();
        let length = window.length.as_secs_f64();
        // The first point outside of the window stays: it is where the window's first change starts from.
        while self.points.len() > 1 && age(self.points[1].0) >= length {
            self.points.pop_front();
        }
        if self
            .points
            .front()
            .is_some_and(|(oldest, _)| age(*oldest) > 2.0 * length)
        {
            // Nobody looked for so long that a mean would say nothing of now.
            self.points.clear();
        }
        let rate = self.points.front().and_then(|(from, before)| {
            let seconds = age(*from);
            (seconds > 0.0).then(|| (value - before) / seconds)
        });
        let spacing = length / f64::from(window.points);
        // Of what stands still the first and the last point say everything, and most of a wide cluster does.
        let still = self.points.len() >= 2 && self.points.iter().rev().take(2).all(|(_, before)| *before == value);
        if still {
            if let (2, Ok(begin)) = (self.points.len(), at.checked_sub(window.length)) {
                self.points[0].0 = self.points[0].0.max(begin);
            }
            if let Some(last) = self.points.back_mut() {
                last.0 = at;
            }
        } else if self.points.back().is_none_or(|(last, _)| age(*last) >= spacing) {
            self.points.push_back((at, value));
        }
        rate
    }

    fn last(&self) -> Option<f64> {
        self.points.back().map(|(_, value)| *value)
    }
}

/// Three significant digits: a rate that wavers by less is the same rate.
fn rounded(rate: f64) -> f64 {
    if rate == 0.0 || !rate.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powf(2.0 - rate.abs().log10().floor());
    (rate * scale).round() / scale
}

/// Remembers the ends of logs and the bytes on disks between two looks.
#[derive(Debug, Default)]
pub(super) struct Rates {
    ends: BTreeMap<String, BTreeMap<i32, Slope>>,
    used: BTreeMap<(BrokerId, String), Slope>,
    /// Of the largest topics of each directory.
    topics: BTreeMap<(BrokerId, String), BTreeMap<String, Slope>>,
    copies: BTreeMap<(BrokerId, String), BTreeMap<(String, i32), Slope>>,
}

impl Rates {
    /// Fills in `Span::rate`.
    pub fn offsets(&mut self, offsets: &mut Offsets, at: Moment) {
        for (topic, spans) in &mut offsets.topics {
            // Most topics are known: no copy of their names.
            let slopes = match self.ends.get_mut(topic) {
                Some(slopes) => slopes,
                None => self.ends.entry(topic.clone()).or_default(),
            };
            for (partition, span) in spans.iter_mut() {
                let slope = slopes.entry(partition).or_default();
                let end = span.end as f64;
                if slope.last().is_some_and(|last| end < last) {
                    // The topic was created anew, or truncated by an unclean election.
                    *slope = Slope::default();
                }
                span.rate = slope.add(RECORDS, at, end).map(rounded);
            }
        }
    }

    /// Fills in `LogDir::growth_bytes_per_second`: of the file system, or of the replicas where that is not told.
    pub fn logdirs(&mut self, broker: BrokerId, dirs: &mut [LogDir], at: Moment) {
        for dir in dirs {
            let replicas = || dir.replicas.iter().map(|replica| replica.size_bytes).sum();
            let used: u64 = dir.used_bytes().unwrap_or_else(replicas);
            let slope = self.used.entry((broker, dir.path.clone())).or_default();
            dir.growth_bytes_per_second = slope.add(GROWTH, at, used as f64).map(rounded);
            self.topics_of(broker, dir, at);
            self.copies_of(broker, dir, at);
        }
    }

    /// Topics that are no longer among the largest are forgotten.
    fn topics_of(&mut self, broker: BrokerId, dir: &mut LogDir, at: Moment) {
        let known = self.topics.entry((broker, dir.path.clone())).or_default();
        let mut slopes = BTreeMap::new();
        for topic in &mut dir.top {
            let mut slope = known.remove(&topic.topic).unwrap_or_default();
            topic.growth_bytes_per_second = slope.add(GROWTH, at, topic.size_bytes as f64).map(rounded);
            slopes.insert(topic.topic.clone(), slope);
        }
        *known = slopes;
    }

    /// A copy that began anew is smaller than it was, and is measured anew.
    fn copies_of(&mut self, broker: BrokerId, dir: &mut LogDir, at: Moment) {
        let known = self.copies.entry((broker, dir.path.clone())).or_default();
        let mut slopes = BTreeMap::new();
        for copy in &mut dir.copies {
            let key = (copy.topic.clone(), copy.partition);
            let size = copy.size_bytes as f64;
            let slope = known
                .remove(&key)
                .filter(|slope| slope.last().is_none_or(|last| size >= last));
            let mut slope = slope.unwrap_or_default();
            copy.bytes_per_second = slope.add(COPY, at, size).map(rounded);
            slopes.insert(key, slope);
        }
        *known = slopes;
    }

    /// Forgets topics that are gone.
    pub fn keep_topics(&mut self, exists: impl Fn(&str) -> bool) {
        self.ends.retain(|topic, _| exists(topic));
    }

    pub fn forget_broker(&mut self, broker: BrokerId) {
        self.used.retain(|(id, _), _| *id != broker);
        self.topics.retain(|(id, _), _| *id != broker);
        self.copies.retain(|(id, _), _| *id != broker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::offset::Span;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn rate(rates: &mut Rates, second: i64, end: i64) -> Option<f64> {
        let span = Span {
            start: 0,
            end,
            rate: None,
        };
        let mut offsets = Offsets {
            topics: BTreeMap::from([("orders".to_owned(), [(0, span)].into())]),
        };
        rates.offsets(&mut offsets, at(second));
        offsets.topics["orders"].get(0).unwrap().rate
    }

    #[test]
    fn a_rate_needs_two_looks_and_follows_the_last_minute() {
        let mut rates = Rates::default();
        assert_eq!(rate(&mut rates, 0, 100), None);
        assert_eq!(rate(&mut rates, 2, 300), Some(100.0));
        for second in (4..=200).step_by(2) {
            rate(&mut rates, second, 300);
        }
        assert_eq!(rate(&mut rates, 202, 300), Some(0.0), "the burst is long over");
    }

    #[test]
    fn a_topic_created_anew_starts_over_and_never_shrinks() {
        let mut rates = Rates::default();
        rate(&mut rates, 0, 1_000_000);
        assert_eq!(rate(&mut rates, 5, 10), None);
        assert_eq!(rate(&mut rates, 10, 60), Some(10.0));
    }

    #[test]
    fn a_pause_does_not_smear_an_old_point_over_it() {
        let mut rates = Rates::default();
        rate(&mut rates, 0, 0);
        assert_eq!(rate(&mut rates, 3600, 3_600_000), None);
        assert_eq!(rate(&mut rates, 3602, 3_600_002), Some(1.0));
    }

    #[test]
    fn points_are_bounded_however_often_it_is_looked_at() {
        let mut slope = Slope::default();
        for millis in 0..100_000 {
            let at = Moment::from_millisecond(1_800_000_000_000 + millis * 10).unwrap();
            slope.add(RECORDS, at, millis as f64);
        }
        assert!(
            slope.points.len() <= RECORDS.points as usize + 2,
            "{}",
            slope.points.len()
        );
    }

    #[test]
    fn what_stands_still_takes_two_points_and_its_first_change_has_a_rate() {
        let mut slope = Slope::default();
        slope.add(RECORDS, at(0), 50.0);
        for second in (5..=3600).step_by(5) {
            assert_eq!(slope.add(RECORDS, at(second), 100.0), slope_to(50.0, second));
            assert!(slope.points.len() <= 3);
        }
        assert_eq!(slope.points.len(), 2);
        let rate = slope.add(RECORDS, at(3605), 750.0).unwrap();
        assert!((rate - 10.0).abs() < 1.0, "{rate}: 650 in the last minute");
    }

    /// Of 50 more since the first second, as long as that is within the window.
    fn slope_to(more: f64, second: i64) -> Option<f64> {
        // The first of the points that stand still was kept after ten seconds.
        let within = second < 10 + 60;
        Some(if within { more / second as f64 } else { 0.0 })
    }

    #[test]
    fn a_disk_may_grow_and_shrink() {
        let mut rates = Rates::default();
        let mut look = |second, used: u64| {
            let mut dirs = [LogDir {
                path: "/data".to_owned(),
                total_bytes: Some(1000),
                usable_bytes: Some(1000 - used),
                error: None,
                replicas: [].into(),
                growth_bytes_per_second: None,
                top: Vec::new(),
                copies: Vec::new(),
            }];
            rates.logdirs(1, &mut dirs, at(second));
            dirs[0].growth_bytes_per_second
        };
        assert_eq!(look(0, 100), None);
        assert_eq!(look(10, 200), Some(10.0));
        assert_eq!(look(20, 60), Some(-2.0));
    }

    #[test]
    fn small_waverings_are_rounded_away() {
        assert_eq!(rounded(12_345.6), 12_300.0);
        assert_eq!(rounded(-0.012_345), -0.0123);
        assert_eq!(rounded(0.0), 0.0);
    }
}
