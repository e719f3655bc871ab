//! The simulated cloud's time: AWS's own, or faster than that by one factor, from the start on.
//!
//! Everything inside (periods, delays, how long a modification takes) is in this time; what goes out and comes in is in
//! everybody's. So a factor of ten shows a measurement 6 to 12 s after it was taken, where AWS takes one to two minutes, and
//! changes no rate: work is told as what it would have been in a whole minute.

/// How the cloud's clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tempo {
    /// Seconds since the epoch at which both clocks show the same.
    origin: i64,
    factor: u32,
}

impl Tempo {
    /// AWS's own.
    pub fn new(origin: i64, factor: u32) -> Self {
        Self {
            origin,
            factor: factor.max(1),
        }
    }

    pub fn factor(self) -> u32 {
        self.factor
    }

    /// The cloud's time at a moment.
    pub fn inside(self, at: i64) -> i64 {
        match at - self.origin {
            since if since > 0 => self.origin.saturating_add(since.saturating_mul(i64::from(self.factor))),
            _ => at,
        }
    }

    /// The moment at which the cloud's clock shows this.
    pub fn outside(self, at: i64) -> i64 {
        match at - self.origin {
            since if since > 0 => self.origin + since.div_euclid(i64::from(self.factor)),
            _ => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_as_it_was_and_what_comes_is_faster() {
        let tempo = Tempo::new(1000, 10);
        assert_eq!((tempo.inside(940), tempo.inside(1006)), (940, 1060));
        for at in [0, 999, 1000, 1001, 5000] {
            assert_eq!(tempo.outside(tempo.inside(at)), at);
        }
        assert_eq!(Tempo::new(1000, 0).inside(1006), 1006);
    }
}
