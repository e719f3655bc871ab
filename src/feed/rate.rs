//! Changes per second of numbers that are looked at every few seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::logdir::LogDir;
use crate::model::name::Name;
use crate::model::offset::{Log, Offsets};
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

impl Window {
    fn begin(&self, end_ms: i64) -> i64 {
        let length = i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX);
        end_ms.saturating_sub(length)
    }
}

/// A copy under way: over the last minute.
const COPY: Window = Window {
    length: Duration::from_secs(60),
    points: 6,
};

/// A number, and when it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Point {
    at_ms: i64,
    value: f64,
}

/// The last points of one number. Most of a wide cluster stands still, which takes no room beside this.
#[derive(Debug, Default)]
enum Slope {
    #[default]
    Unseen,
    /// The same at two moments, or seen once.
    Still { from_ms: i64, until: After, value: f64 },
    /// Oldest first.
    Moving(Box<[Point]>),
}

/// Milliseconds after another moment: a window's length, not years.
type After = u32;

impl Slope {
    fn still(from_ms: i64, until_ms: i64, value: f64) -> Self {
        let until = After::try_from(until_ms - from_ms).unwrap_or(After::MAX);
        let from_ms = until_ms - i64::from(until);
        Self::Still { from_ms, until, value }
    }

    /// The change per second since the oldest point within the window; `None` on the first look.
    fn add(&mut self, window: Window, at: Moment, value: f64) -> Option<f64> {
        let at_ms = at.as_millisecond();
        let age = |point: &Point| (at_ms - point.at_ms) as f64 / 1e3;
        let length = window.length.as_secs_f64();
        // Nobody looked for so long that a mean would say nothing of now.
        let stale = |point: &Point| age(point) > 2.0 * length;
        if self.last().as_ref().is_some_and(stale) {
            *self = Self::Unseen;
        }
        let mut points = match std::mem::take(self) {
            Self::Unseen => Vec::new(),
            // Of what stands still the first and the last point say everything.
            Self::Still {
                from_ms, value: was, ..
            } if was == value => {
                *self = Self::still(from_ms.max(window.begin(at_ms)), at_ms, value);
                return (at_ms > from_ms).then_some(0.0);
            }
            Self::Still { from_ms, until, value } => {
                let mut points = vec![from_ms, from_ms + i64::from(until)];
                // Seen once it is one point.
                points.dedup();
                points.into_iter().map(|at_ms| Point { at_ms, value }).collect()
            }
            Self::Moving(points) => points.into_vec(),
        };
        // The first point outside of the window stays: it is where the window's first change starts from.
        let old = points.iter().skip(1).take_while(|point| age(point) >= length).count();
        points.drain(..old);
        if points.first().is_some_and(stale) {
            points.clear();
        }
        let rate = points.first().and_then(|from| {
            let seconds = age(from);
            (seconds > 0.0).then(|| (value - from.value) / seconds)
        });
        let spacing = length / f64::from(window.points);
        match points.as_mut_slice() {
            [.., one, last] if one.value == value && last.value == value => last.at_ms = at_ms,
            [.., last] if age(last) < spacing => {}
            _ => points.push(Point { at_ms, value }),
        }
        *self = match points.as_slice() {
            [first, rest @ ..] if rest.iter().all(|point| point.value == first.value) => {
                Self::still(first.at_ms, rest.last().unwrap_or(first).at_ms, first.value)
            }
            _ => Self::Moving(points.into()),
        };
        rate
    }

    /// The number has been this since the last look, as that one said it was before.
    fn stand(&mut self, window: Window, until: Moment, value: f64) {
        let at_ms = until.as_millisecond();
        let begin = window.begin(at_ms);
        let first = match self {
            Self::Unseen => begin,
            Self::Still { from_ms, .. } => *from_ms,
            Self::Moving(points) => points.first().map_or(begin, |first| first.at_ms),
        };
        *self = Self::still(first.max(begin), at_ms, value);
    }

    /// It stood for the whole window: that its rate is zero says all of it.
    fn has_stood(&self, window: Window) -> bool {
        matches!(self, Self::Still { until, .. } if u128::from(*until) >= window.length.as_millis())
    }

    fn last(&self) -> Option<Point> {
        match self {
            Self::Unseen => None,
            Self::Still { from_ms, until, value } => Some(Point {
                at_ms: from_ms + i64::from(*until),
                value: *value,
            }),
            Self::Moving(points) => points.last().copied(),
        }
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

/// The logs whose rate was zero.
fn stood(told: &Offsets) -> impl Iterator<Item = &Log> {
    told.iter().filter(|log| log.span.rate == Some(0.0))
}

/// Remembers the ends of logs and the bytes on disks between two looks.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Of logs that moved within the window. That another one stood is told with it.
    ends: BTreeMap<Name, BTreeMap<i32, Slope>>,
    used: BTreeMap<(BrokerId, String), Slope>,
    /// Of the largest topics of each directory.
    topics: BTreeMap<(BrokerId, String), BTreeMap<String, Slope>>,
    copies: BTreeMap<(BrokerId, String), BTreeMap<(String, i32), Slope>>,
}

impl Rates {
    /// Fills in `Span::rate`. `before`: what the same leader told last, and when.
    pub fn offsets(&mut self, offsets: &mut Offsets, before: Option<(&Offsets, Moment)>, at: Moment) {
        let until = before.map_or(at, |(_, until)| until);
        let mut stood = before.into_iter().flat_map(|(before, _)| stood(before)).peekable();
        for log in offsets.iter_mut() {
            let place = (&log.topic, log.partition);
            while stood.next_if(|one| (&one.topic, one.partition) < place).is_some() {}
            let before = stood.next_if(|one| (&one.topic, one.partition) == place);
            let kept = self.ends.get_mut(&log.topic);
            let kept = kept.and_then(|slopes| slopes.get_mut(&log.partition));
            let (mut anew, is_kept) = (Slope::default(), kept.is_some());
            let slope = kept.unwrap_or(&mut anew);
            if let Some(before) = before {
                slope.stand(RECORDS, until, before.span.end as f64);
            }
            let end = log.span.end as f64;
            if slope.last().is_some_and(|last| end < last.value) {
                // The topic was created anew, or truncated by an unclean election.
                *slope = Slope::default();
            }
            log.span.rate = slope.add(RECORDS, at, end).map(rounded);
            match (slope.has_stood(RECORDS), is_kept) {
                (true, true) => self.drop_slope(&log.topic, log.partition),
                (false, false) => {
                    self.ends
                        .entry(log.topic.clone())
                        .or_default()
                        .insert(log.partition, anew);
                }
                _ => {}
            }
        }
    }

    /// Whether what has stood since then has a rate of zero for all that is remembered.
    pub fn have_stood(since: Moment, at: Moment) -> bool {
        at.duration_since(since).unsigned_abs() >= RECORDS.length
    }

    /// These logs have stood for so long that what was told of them says all of it.
    pub fn forget(&mut self, told: &Offsets) {
        for log in told {
            self.drop_slope(&log.topic, log.partition);
        }
    }

    fn drop_slope(&mut self, topic: &Name, partition: i32) {
        if let Some(slopes) = self.ends.get_mut(topic) {
            slopes.remove(&partition);
            if slopes.is_empty() {
                self.ends.remove(topic);
            }
        }
    }

    /// Where other leaders may go on: logs that stood up to when this one was told are remembered too.
    pub fn settle(&mut self, told: &Offsets, until: Moment) {
        for log in stood(told) {
            let slopes = self.ends.entry(log.topic.clone()).or_default();
            let slope = slopes.entry(log.partition).or_default();
            slope.stand(RECORDS, until, log.span.end as f64);
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
                .filter(|slope| slope.last().is_none_or(|last| size >= last.value));
            let mut slope = slope.unwrap_or_default();
            copy.bytes_per_second = slope.add(COPY, at, size).map(rounded);
            slopes.insert(key, slope);
        }
        *known = slopes;
    }

    /// Logs with points of their own.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.ends.values().map(BTreeMap::len).sum()
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
        let mut offsets = Offsets::from_iter([("orders", 0, span)]);
        rates.offsets(&mut offsets, None, at(second));
        offsets.get("orders", 0).unwrap().rate
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
    fn a_log_that_stood_is_remembered_by_what_was_told_of_it() {
        let span = |end| Span {
            start: 0,
            end,
            rate: None,
        };
        let told = |quiet, busy| Offsets::from_iter([("quiet", 0, span(quiet)), ("busy", 0, span(busy))]);
        let mut rates = Rates::default();
        let mut known: Option<(Offsets, Moment)> = None;
        let mut tell = |rates: &mut Rates, mut offsets: Offsets, second| {
            let before = known.as_ref().map(|(offsets, until)| (offsets, *until));
            rates.offsets(&mut offsets, before, at(second));
            let rate = |topic| offsets.get(topic, 0).unwrap().rate;
            let both = (rate("quiet"), rate("busy"));
            known = Some((offsets.clone(), at(second)));
            (both, offsets)
        };
        for second in (0..=120).step_by(10) {
            tell(&mut rates, told(70, second), second);
        }
        let remembered = |rates: &Rates| rates.ends.keys().map(Name::to_string).collect::<Vec<_>>();
        assert_eq!(remembered(&rates), ["busy"]);
        let (rate, _) = tell(&mut rates, told(140, 130), 130);
        assert_eq!(
            rate,
            (Some(1.0), Some(1.0)),
            "70 in the 70 s since the last minute began"
        );
        for second in (140..=260).step_by(10) {
            tell(&mut rates, told(140, 130), second);
        }
        assert!(remembered(&rates).is_empty());
        // Another leader tells of it next.
        let (_, last) = tell(&mut rates, told(140, 130), 270);
        rates.settle(&last, at(270));
        let mut elsewhere = told(210, 130);
        rates.offsets(&mut elsewhere, None, at(280));
        assert_eq!(elsewhere.get("quiet", 0).unwrap().rate, Some(1.0));
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
        let Slope::Moving(points) = &slope else {
            panic!("{slope:?}")
        };
        assert!(points.len() <= RECORDS.points as usize + 2, "{slope:?}");
    }

    #[test]
    fn what_stands_still_takes_two_points_and_its_first_change_has_a_rate() {
        let mut slope = Slope::default();
        slope.add(RECORDS, at(0), 50.0);
        for second in (5..=3600).step_by(5) {
            assert_eq!(slope.add(RECORDS, at(second), 100.0), slope_to(50.0, second));
            assert!(
                !matches!(&slope, Slope::Moving(points) if points.len() > 3),
                "{slope:?}"
            );
        }
        assert!(matches!(slope, Slope::Still { .. }), "{slope:?}");
        let rate = slope.add(RECORDS, at(3605), 750.0).unwrap();
        assert!((rate - 10.0).abs() < 1.0, "{rate}: 650 in the last minute");
    }

    #[test]
    fn a_number_that_stands_still_takes_a_few_words() {
        assert!(size_of::<Slope>() <= 24, "{}", size_of::<Slope>());
        let mut slope = Slope::default();
        for second in 0..30 {
            slope.add(RECORDS, at(second * 20), f64::from(second as u8));
        }
        assert!(matches!(slope, Slope::Moving(_)), "{slope:?}");
        for second in (600..800).step_by(20) {
            slope.add(RECORDS, at(second), 29.0);
        }
        assert!(matches!(slope, Slope::Still { .. }), "{slope:?}");
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
