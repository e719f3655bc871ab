//! A short memory of numbers that change, for spark lines and for what cannot be known from one look.

use std::collections::{BTreeMap, VecDeque};

use crate::model::Moment;

const POINTS: usize = 24;

/// The last points of each series; series that are no longer told are forgotten.
#[derive(Debug, Clone, Default)]
pub struct Trends {
    series: BTreeMap<String, VecDeque<(Moment, f64)>>,
}

impl Trends {
    /// Adds one look at all series at once.
    pub fn push(&mut self, at: Moment, now: impl IntoIterator<Item = (String, Option<f64>)>) {
        let mut series = BTreeMap::new();
        for (name, value) in now {
            let mut points = self.series.remove(&name).unwrap_or_default();
            let newer = points.back().is_none_or(|(last, _)| at > *last);
            if let Some(value) = value.filter(|_| newer) {
                points.push_back((at, value));
                while points.len() > POINTS {
                    points.pop_front();
                }
            }
            series.insert(name, points);
        }
        self.series = series;
    }

    /// The newest points, oldest first.
    pub fn points(&self, name: &str) -> Vec<f64> {
        self.series
            .get(name)
            .map(|points| points.iter().map(|(_, value)| *value).collect())
            .unwrap_or_default()
    }

    /// Change per second over the points; `None` until two of them are 5 s apart.
    pub fn slope(&self, name: &str) -> Option<f64> {
        let points = self.series.get(name)?;
        let ((from, first), (to, last)) = (points.front()?, points.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds >= 5.0).then(|| (last - first) / seconds)
    }
}

/// `▁▂▅▇` of the last `width` points; scaled from 0, so that a flat line is low when it is low.
pub fn spark(points: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let points = &points[points.len().saturating_sub(width)..];
    let most = points.iter().copied().fold(0.0, f64::max);
    let block = |value: &f64| match most > 0.0 {
        true => BLOCKS[((value / most * 7.0).round() as usize).min(7)],
        false => BLOCKS[0],
    };
    points.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(second).unwrap()
    }

    #[test]
    fn a_slope_needs_time_between_its_points() {
        let mut trends = Trends::default();
        trends.push(at(0), [("a".to_owned(), Some(100.0))]);
        trends.push(at(2), [("a".to_owned(), Some(90.0))]);
        assert_eq!(trends.slope("a"), None);
        trends.push(at(10), [("a".to_owned(), Some(50.0))]);
        assert_eq!(trends.slope("a"), Some(-5.0));
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_what_is_gone() {
        let mut trends = Trends::default();
        for second in 0..1000 {
            trends.push(at(second), [("a".to_owned(), Some(1.0))]);
        }
        assert_eq!(trends.points("a").len(), POINTS);
        trends.push(at(2000), [("b".to_owned(), Some(1.0))]);
        assert!(trends.points("a").is_empty());
    }

    #[test]
    fn a_spark_line_is_scaled_from_zero() {
        assert_eq!(spark(&[0.0, 50.0, 100.0], 8), "▁▅█");
        assert_eq!(spark(&[0.0, 0.0], 8), "▁▁");
        assert_eq!(spark(&[1.0, 2.0, 4.0], 2), "▅█");
    }
}
