//! The last minutes of a few numbers, bounded, for spark lines and trends.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{BrokerId, Moment};

/// What the feed remembers besides the present. Captures carry it too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Records behind, by group.
    pub group_lag: BTreeMap<String, Series>,
    /// Bytes in use on a broker's log directories' file systems.
    pub broker_bytes: BTreeMap<BrokerId, Series>,
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
