//! A rate over the last seconds, measured in whole samples as Apache Kafka's quotas measure it.
//!
//! No clock inside: every call is told the time, in milliseconds of any clock that does not go back.

use std::collections::VecDeque;
use std::time::Duration;

/// The span a rate is measured over: the sample being filled and the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// `quota.window.num`, at least 1.
    pub samples: usize,
    /// `quota.window.size.seconds`, in milliseconds, at least 1.
    pub sample_ms: i64,
}

/// What was recorded in the last window, divided by its length.
///
/// Samples that nobody filled count as empty ones, so a burst after silence is measured against the whole window and
/// not against the moment it took (KAFKA-1644). Memory is bounded by the number of samples.
#[derive(Debug, Clone)]
pub struct Rate {
    window: Window,
    /// Oldest first.
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    start: i64,
    last: i64,
    sum: f64,
}

impl Window {
    /// The longest wait that Kafka imposes for time taken (`request_percentage`) and for connections: one sample.
    pub fn sample(&self) -> Duration {
        Duration::from_millis(self.sample_ms.unsigned_abs())
    }

    /// What a quota of `bound` for each second leaves for the whole window, the sample being filled not counted.
    pub fn allowance(&self, bound: f64) -> f64 {
        bound * (self.full_samples() * self.sample_ms) as f64 / 1_000.0
    }

    /// At least one sample of at least a millisecond.
    fn checked(self) -> Self {
        Self {
            samples: self.samples.max(1),
            sample_ms: self.sample_ms.max(1),
        }
    }

    /// How long a sample can still matter.
    pub(super) fn span_ms(&self) -> i64 {
        (self.full_samples() + 1).saturating_mul(self.sample_ms)
    }

    /// The samples before the one being filled.
    fn full_samples(&self) -> i64 {
        i64::try_from(self.samples).unwrap_or(i64::MAX).saturating_sub(1).max(0)
    }
}

impl Default for Window {
    /// Kafka's: 11 samples of one second.
    fn default() -> Self {
        Self {
            samples: 11,
            sample_ms: 1_000,
        }
    }
}

impl Rate {
    pub fn new(window: Window) -> Self {
        Self {
            window: window.checked(),
            samples: VecDeque::new(),
        }
    }

    /// Goes on with another window; what was counted stays.
    pub fn set_window(&mut self, window: Window) {
        self.window = window.checked();
    }

    /// Counts `amount`, which is negative when what was counted did not happen after all.
    pub fn record(&mut self, amount: f64, now_ms: i64) {
        let filling = self
            .samples
            .back()
            .filter(|sample| now_ms - sample.start < self.window.sample_ms);
        if filling.is_none() {
            self.purge(now_ms);
            // One more than the window has, because the oldest overlaps its beginning.
            if self.samples.len() > self.window.samples {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample {
                start: now_ms,
                last: now_ms,
                sum: 0.0,
            });
        }
        if let Some(sample) = self.samples.back_mut() {
            sample.sum += amount;
            sample.last = now_ms;
        }
    }

    /// Per second.
    pub fn rate(&mut self, now_ms: i64) -> f64 {
        self.purge(now_ms);
        let sum: f64 = self.samples.iter().map(|sample| sample.sum).sum();
        sum * 1_000.0 / self.elapsed_ms(now_ms) as f64
    }

    /// How long nothing may be recorded until the rate is back at `bound` (for each second); zero when it is not above.
    ///
    /// As Kafka computes it: the excess over the bound, as a share of the bound, of the time measured.
    pub fn throttle(&mut self, bound: f64, now_ms: i64) -> Duration {
        /// Of a bound that leaves nothing.
        const FOREVER_MS: f64 = i32::MAX as f64;
        let rate = self.rate(now_ms);
        if rate <= bound {
            return Duration::ZERO;
        }
        let wait = (rate - bound) / bound.max(0.0) * self.elapsed_ms(now_ms) as f64;
        Duration::from_millis(wait.round().clamp(0.0, FOREVER_MS) as u64)
    }

    /// When something was last recorded that still counts.
    pub fn last_ms(&self) -> Option<i64> {
        self.samples.back().map(|sample| sample.last)
    }

    /// The time measured, with the samples that are missing.
    fn elapsed_ms(&self, now_ms: i64) -> i64 {
        let sample_ms = self.window.sample_ms;
        let elapsed = self.samples.front().map_or(0, |oldest| now_ms - oldest.start).max(0);
        let missing = self.window.full_samples() - elapsed / sample_ms;
        (elapsed + missing.max(0).saturating_mul(sample_ms)).max(1)
    }

    fn purge(&mut self, now_ms: i64) {
        let span = self.window.span_ms();
        while self.samples.front().is_some_and(|oldest| now_ms - oldest.last >= span) {
            self.samples.pop_front();
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::new(Window::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn a_burst_is_measured_against_the_whole_window() {
        let mut rate = Rate::default();
        rate.record(1_000.0, 5_000);
        assert!(close(rate.rate(5_000), 100.0), "ten empty seconds before it");
        assert!(close(rate.rate(5_500), 1_000.0 / 10.5));
        assert!(close(rate.rate(15_999), 1_000.0 / 10.999));
        assert!(close(rate.rate(16_000), 0.0), "eleven seconds later it is forgotten");
    }

    #[test]
    fn an_even_flow_has_its_own_rate() {
        let mut rate = Rate::default();
        for at in 0..600_i64 {
            rate.record(10.0, at * 100);
        }
        let measured = rate.rate(59_900);
        assert!((95.0..=105.0).contains(&measured), "{measured}");
        assert!(rate.samples.len() <= 12);
    }

    #[test]
    fn the_wait_brings_the_rate_back_to_the_bound() {
        let mut rate = Rate::default();
        rate.record(2_000.0, 0);
        // 200/s measured over 10 s where 100/s is allowed: 10 s too much.
        assert_eq!(rate.throttle(100.0, 0), Duration::from_secs(10));
        assert!(close(rate.rate(10_000), 200.0), "the window has not grown yet");
        assert_eq!(rate.throttle(200.0, 0), Duration::ZERO, "at the bound is not above it");
        assert_eq!(rate.throttle(0.0, 0).as_millis(), i32::MAX as u128);
    }

    #[test]
    fn whoever_waits_as_told_keeps_to_the_bound() {
        let (mut rate, bound) = (Rate::default(), 1_000_000.0);
        let (mut now, mut sent) = (0_i64, 0.0);
        while now < 60_000 {
            rate.record(100_000.0, now);
            sent += 100_000.0;
            now += i64::try_from(rate.throttle(bound, now).as_millis()).unwrap() + 1;
        }
        let over_a_minute = sent / 60.0;
        // The first window may be spent at once.
        assert!((1_000_000.0..=1_250_000.0).contains(&over_a_minute), "{over_a_minute}");
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut rate = Rate::default();
        rate.record(500.0, 100);
        rate.record(-500.0, 100);
        assert!(close(rate.rate(100), 0.0));
        assert_eq!(rate.last_ms(), Some(100));
    }

    #[test]
    fn a_clock_that_goes_back_and_a_window_of_nothing_do_no_harm() {
        let mut rate = Rate::new(Window {
            samples: 0,
            sample_ms: 0,
        });
        rate.record(1.0, 1_000);
        rate.record(1.0, 500);
        assert!(rate.rate(400).is_finite());
    }
}
