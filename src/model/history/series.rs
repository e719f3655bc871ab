//! A number over time.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::Moment;

/// Samples of one number, oldest first; at most [`Series::CAPACITY`]. What stands still takes the room of one: its samples are
/// told apart evenly between the first and the last, which are as they were.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Sample>", into = "Vec<Sample>")]
pub struct Series {
    runs: VecDeque<Run>,
    /// Samples in all of them.
    len: u32,
}

/// A number and when it was true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub at: Moment,
    pub value: f64,
}

/// Samples of the same number, as far apart from one another.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The last one's, in nanoseconds since 1970.
    last_ns: i64,
    value: f64,
    /// From the first to the last, in milliseconds.
    length_ms: u32,
    /// Besides the first.
    more: u32,
}

impl Run {
    fn of(sample: Sample) -> Self {
        Self {
            last_ns: nanoseconds(sample.at),
            value: sample.value,
            length_ms: 0,
            more: 0,
        }
    }

    /// The sample before so many others.
    fn sample(&self, others: u32) -> Sample {
        let back_ms = match others {
            0 => 0,
            _ => i64::from(self.length_ms) * i64::from(others) / i64::from(self.more.max(1)),
        };
        let at = Moment::from_nanosecond(i128::from(self.last_ns - back_ms * 1_000_000));
        Sample {
            at: at.unwrap_or(Moment::UNIX_EPOCH),
            value: self.value,
        }
    }

    fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        (0..=self.more).rev().map(|others| self.sample(others))
    }

    /// Whether a sample is the next one of this run, and then it is: the same number, a tenth earlier or later than the others.
    fn takes(&mut self, next: Sample) -> bool {
        let next_ns = nanoseconds(next.at);
        let Ok(apart_ms) = u32::try_from((next_ns - self.last_ns) / 1_000_000) else {
            return false;
        };
        let usual_ms = self.length_ms.checked_div(self.more).unwrap_or(apart_ms);
        let Some(length_ms) = self.length_ms.checked_add(apart_ms) else {
            return false;
        };
        if next.value != self.value || apart_ms.abs_diff(usual_ms) > usual_ms / 10 {
            return false;
        }
        *self = Self {
            last_ns: next_ns,
            length_ms,
            more: self.more + 1,
            ..*self
        };
        true
    }

    /// Forgets the first; `false` where it was the only one.
    fn forget_first(&mut self) -> bool {
        let Some(more) = self.more.checked_sub(1) else {
            return false;
        };
        self.length_ms = (u64::from(self.length_ms) * u64::from(more) / u64::from(self.more)) as u32;
        self.more = more;
        true
    }
}

/// Exact until the year 2262.
fn nanoseconds(at: Moment) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

impl Series {
    pub const CAPACITY: usize = 120;
    /// What stood may be told so many milliseconds earlier or later than it was seen.
    const NEAR_MS: i64 = 2000;

    /// Adds a sample; one that is not newer than the last is ignored, the oldest goes when there are too many.
    pub fn push(&mut self, at: Moment, value: f64) {
        if self.latest().is_some_and(|last| last.at >= at) {
            return;
        }
        let sample = Sample { at, value };
        if !self.runs.back_mut().is_some_and(|last| last.takes(sample)) {
            self.runs.push_back(Run::of(sample));
        }
        self.len += 1;
        while self.len() > Self::CAPACITY {
            if !self.runs.front_mut().is_some_and(Run::forget_first) {
                self.runs.pop_front();
            }
            self.len -= 1;
        }
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Oldest first.
    pub fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.runs.iter().flat_map(Run::samples)
    }

    pub fn latest(&self) -> Option<Sample> {
        Some(self.runs.back()?.sample(0))
    }

    /// What came after a sample that was the last one once; `None` where it is not among them.
    pub fn after(&self, known: Sample) -> Option<Vec<Sample>> {
        let off = |sample: &Sample| (sample.at.as_millisecond() - known.at.as_millisecond()).abs();
        let is_known = |sample: &Sample| sample.value == known.value && off(sample) <= Self::NEAR_MS;
        let nearest = self.samples().enumerate().filter(|(_, sample)| is_known(sample));
        let (place, _) = nearest.min_by_key(|(_, sample)| off(sample))?;
        Some(self.samples().skip(place + 1).collect())
    }

    /// The numbers of the last `seconds`, oldest first.
    pub fn within(&self, seconds: i64) -> impl Iterator<Item = f64> {
        let last = self.latest().map(|sample| sample.at);
        let recent = move |sample: &Sample| {
            last.is_some_and(|last| last.duration_since(sample.at).as_secs_f64() <= seconds as f64)
        };
        self.samples().filter(recent).map(|sample| sample.value)
    }

    /// The seconds that [`Series::slope_per_second`] is over.
    pub fn span_seconds(&self, seconds: i64) -> Option<f64> {
        let last = self.latest()?;
        let age = |sample: Sample| last.at.duration_since(sample.at).as_secs_f64();
        let first = self.samples().map(age).find(|age| *age <= seconds as f64)?;
        (first > 0.0).then_some(first)
    }

    /// Whether it was always the same, and that was known by then: seen twice.
    pub fn is_flat_since(&self, then: Moment) -> bool {
        let seen = self.samples().nth(1).is_some_and(|second| second.at <= then);
        let mut both = self.runs.iter().zip(self.runs.iter().skip(1));
        seen && both.all(|(one, next)| one.value == next.value)
    }

    /// Change per second over the last `seconds`; `None` until there are two samples in them.
    pub fn slope_per_second(&self, seconds: i64) -> Option<f64> {
        let last = self.latest()?;
        let age = |sample: &Sample| last.at.duration_since(sample.at).as_secs_f64();
        let first = self.samples().find(|sample| age(sample) <= seconds as f64)?;
        let span = age(&first);
        (span > 0.0).then(|| (last.value - first.value) / span)
    }
}

/// The same samples, however they came together.
impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.samples().eq(other.samples())
    }
}

impl From<Vec<Sample>> for Series {
    fn from(samples: Vec<Sample>) -> Self {
        let mut series = Self::default();
        for Sample { at, value } in samples {
            series.push(at, value);
        }
        series
    }
}

impl From<Series> for Vec<Sample> {
    fn from(series: Series) -> Self {
        series.samples().collect()
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
        assert_eq!(series.len(), Series::CAPACITY);
        assert_eq!(series.samples().next().unwrap().value, 380.0);
        assert_eq!(series.latest().unwrap().value, 499.0);
    }

    #[test]
    fn what_stands_takes_the_room_of_one_and_is_told_whole() {
        let mut series = Series::default();
        for second in (0..1000).step_by(5) {
            series.push(at(second), 7.0);
        }
        assert_eq!((series.runs.len(), series.len()), (1, Series::CAPACITY));
        let seconds: Vec<i64> = series
            .samples()
            .map(|sample| sample.at.as_second() - 1_800_000_000)
            .collect();
        assert!(seconds.into_iter().eq((400..1000).step_by(5)));
        let known = series.latest().unwrap();
        series.push(at(1000), 7.0);
        series.push(at(1005), 8.0);
        let after: Vec<f64> = series
            .after(known)
            .unwrap()
            .into_iter()
            .map(|sample| sample.value)
            .collect();
        assert_eq!(after, [7.0, 8.0]);
        assert_eq!(series.slope_per_second(60), Some(1.0 / 60.0));
        let text = serde_json::to_string(&series).unwrap();
        assert_eq!(serde_json::from_str::<Series>(&text).unwrap(), series);
        assert_eq!(series.after(Sample { value: 9.0, ..known }), None);
    }

    #[test]
    fn a_gap_is_no_standstill() {
        let mut series = Series::default();
        for second in [0, 5, 10, 100, 105] {
            series.push(at(second), 7.0);
        }
        let seconds: Vec<i64> = series
            .samples()
            .map(|sample| sample.at.as_second() - 1_800_000_000)
            .collect();
        assert_eq!(seconds, [0, 5, 10, 100, 105]);
        assert!(series.is_flat_since(at(5)) && !series.is_flat_since(at(4)));
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
