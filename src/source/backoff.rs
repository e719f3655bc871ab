//! Delays between attempts: they double, are jittered, and never exceed their maximum.

use std::time::Duration;

/// A jittered exponential back-off. The n-th delay lies in `[d/2, d]` with `d = min(first * 2ⁿ, max)`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    random: u64,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Self {
            first,
            max,
            next: first,
            random: seed(),
        }
    }

    /// The delay before the next attempt.
    pub fn fail(&mut self) -> Duration {
        let full = self.next.min(self.max);
        self.next = full.saturating_mul(2).min(self.max);
        self.jitter(full)
    }

    /// An attempt succeeded: the next failure starts from the beginning.
    pub fn succeed(&mut self) {
        self.next = self.first;
    }

    /// Half of `full` and a random part of the other half, so that many clients do not ask in step.
    pub fn jitter(&mut self, full: Duration) -> Duration {
        self.random = xorshift(self.random);
        let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        full.mul_f64(0.5 + share / 2.0)
    }
}

/// Marsaglia's xorshift64: spread is all that is asked of it.
fn xorshift(mut word: u64) -> u64 {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    word
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_within_the_bound() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(3));
        let mut backoff = Backoff::new(first, max);
        let mut full = first;
        for _ in 0..40 {
            let delay = backoff.fail();
            assert!(
                delay >= full / 2 && delay <= full,
                "{delay:?} is outside {:?}..={full:?}",
                full / 2
            );
            full = (full * 2).min(max);
        }
        assert_eq!(full, max);
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        for _ in 0..10 {
            backoff.fail();
        }
        backoff.succeed();
        assert!(backoff.fail() <= Duration::from_millis(100));
    }

    #[test]
    fn two_clients_do_not_ask_in_step() {
        let delays = |_| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
            [(); 8].map(|()| backoff.fail())
        };
        assert_ne!(delays(0), delays(1));
    }

    #[test]
    fn a_first_delay_above_the_maximum_is_cut() {
        let mut backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(2));
        assert!(backoff.fail() <= Duration::from_secs(2));
    }
}
