//! The wall clock, one that tests turn by hand, and one that goes wrong on request.
//!
//! Only for timestamps that are stored or sent. Deadlines and intervals use `tokio::time`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::world::World;

/// A cheap handle; clones tell the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    world: Option<Arc<World>>,
    manual: Option<Arc<AtomicI64>>,
    skew_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's time, or the world's that this thread is in.
    pub fn system() -> Self {
        Self {
            world: World::here(),
            ..Self::default()
        }
    }

    /// Stands at `ms` since the Unix epoch until [`Clock::advance_ms`] is called.
    pub fn manual(ms: i64) -> Self {
        Self {
            manual: Some(Arc::new(AtomicI64::new(ms))),
            ..Self::default()
        }
    }

    /// The same clock, which [`Clock::set_skew_ms`] makes go wrong together with its clones.
    pub fn skewable(self) -> Self {
        Self {
            skew_ms: Some(Arc::default()),
            ..self
        }
    }

    /// From now on it is `ms` ahead of the truth, or behind it if negative. Does nothing to a clock that is not
    /// [`Clock::skewable`].
    pub fn set_skew_ms(&self, ms: i64) {
        if let Some(skew) = &self.skew_ms {
            skew.store(ms, Ordering::SeqCst);
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        let now_ms = match (&self.manual, &self.world) {
            (Some(ms), _) => ms.load(Ordering::SeqCst),
            (None, Some(world)) => world.now_ms(),
            (None, None) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        };
        match &self.skew_ms {
            Some(skew) => now_ms.saturating_add(skew.load(Ordering::Relaxed)).max(0),
            None => now_ms,
        }
    }

    /// Turns a manual clock; the system's clock is not touched.
    pub fn advance_ms(&self, by: i64) {
        if let Some(ms) = &self.manual {
            ms.fetch_add(by, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_for_all_its_clones() {
        let clock = Clock::manual(1_000);
        let other = clock.clone();
        clock.advance_ms(500);
        assert_eq!(other.now_ms(), 1_500);
    }

    #[test]
    fn a_skewed_clock_is_wrong_until_it_is_set_right() {
        let clock = Clock::manual(10_000).skewable();
        let other = clock.clone();
        clock.set_skew_ms(-3_000);
        assert_eq!(other.now_ms(), 7_000);
        clock.set_skew_ms(0);
        assert_eq!(other.now_ms(), 10_000);
        let sound = Clock::manual(10_000);
        sound.set_skew_ms(5);
        assert_eq!(sound.now_ms(), 10_000);
    }

    #[test]
    fn the_system_clock_is_after_2024() {
        assert!(Clock::system().now_ms() > 1_704_067_200_000);
    }
}
