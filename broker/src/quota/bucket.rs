//! A token bucket, for controller mutations: bursts are allowed, and cost exactly the wait they are worth (KIP-599).

use std::time::Duration;

use super::Window;

/// Tokens that come back at the rate of the quota, up to what the whole window allows. The quota is used up below zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    /// `None` is full: nothing was taken yet.
    tokens: Option<(f64, i64)>,
}

impl Bucket {
    /// Takes `permits`, also beyond zero; negative ones are given back. `bound` for each second.
    pub fn take(&mut self, permits: f64, bound: f64, window: Window, now_ms: i64) {
        let full = full(bound, window);
        let left = self.left(bound, window, now_ms);
        self.tokens = Some(((left - permits).min(full), now_ms));
    }

    /// How long until there is no debt, in whole milliseconds and never too short; zero when there is none.
    pub fn wait(&self, bound: f64, window: Window, now_ms: i64) -> Duration {
        /// Of a bound that brings nothing back.
        const FOREVER_MS: f64 = i32::MAX as f64;
        let left = self.left(bound, window, now_ms);
        if left >= 0.0 {
            return Duration::ZERO;
        }
        let wait = -left / bound.max(0.0) * 1_000.0;
        Duration::from_millis(wait.ceil().min(FOREVER_MS) as u64)
    }

    /// Whether it was left alone for so long that it says no more than a new one.
    pub fn is_full(&self, bound: f64, window: Window, now_ms: i64) -> bool {
        self.left(bound, window, now_ms) >= full(bound, window)
    }

    fn left(&self, bound: f64, window: Window, now_ms: i64) -> f64 {
        let full = full(bound, window);
        match self.tokens {
            Some((tokens, at)) => (tokens + bound * (now_ms - at).max(0) as f64 / 1_000.0).min(full),
            None => full,
        }
    }
}

fn full(bound: f64, window: Window) -> f64 {
    bound * window.span_ms() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        samples: 11,
        sample_ms: 1_000,
    };

    #[test]
    fn a_burst_is_free_and_the_debt_is_worth_its_wait() {
        let mut bucket = Bucket::default();
        // 5 for each second over 11 s: 55.
        bucket.take(55.0, 5.0, WINDOW, 0);
        assert_eq!(bucket.wait(5.0, WINDOW, 0), Duration::ZERO, "empty is not used up");
        bucket.take(10.0, 5.0, WINDOW, 0);
        assert_eq!(bucket.wait(5.0, WINDOW, 0), Duration::from_secs(2));
        assert_eq!(bucket.wait(5.0, WINDOW, 1_500), Duration::from_millis(500));
        assert_eq!(bucket.wait(5.0, WINDOW, 2_000), Duration::ZERO);
    }

    #[test]
    fn it_never_holds_more_than_the_window() {
        let mut bucket = Bucket::default();
        bucket.take(1.0, 5.0, WINDOW, 0);
        assert!(!bucket.is_full(5.0, WINDOW, 100));
        assert!(bucket.is_full(5.0, WINDOW, 1_000_000));
        bucket.take(-1_000.0, 5.0, WINDOW, 1_000_000);
        bucket.take(60.0, 5.0, WINDOW, 1_000_000);
        assert_eq!(bucket.wait(5.0, WINDOW, 1_000_000), Duration::from_secs(1));
    }
}
