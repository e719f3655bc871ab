//! How much is moved at once, by the rule that keeps networks stable: a little more while all is well, half when it is not.
//!
//! A pure function of what was seen. It decides twice: how many bytes are in flight, and how fast they are copied.
//! Source: additive increase, multiplicative decrease as in RFC 5681; Cruise Control adjusts how many partitions move at
//! once likewise (`ConcurrencyAdjuster`), by min ISR and request times.

/// What was seen since the last decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// No ISR has shrunk, and writes are taken as before.
    Fine,
    /// Something suffers, in words.
    Strained(String),
}

/// An amount between a least and a most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aimd {
    now: u64,
    least: u64,
    most: u64,
}

/// It grows by this part of the most.
const STEP: u64 = 8;

impl Aimd {
    /// Begins at half of the most.
    pub fn halfway(most: u64) -> Self {
        Self::new(most / 2, 0, most)
    }

    /// Begins at the most, and never goes below `least`.
    pub fn full(least: u64, most: u64) -> Self {
        Self::new(most, least, most)
    }

    fn new(now: u64, least: u64, most: u64) -> Self {
        // A sixteenth at the least, so that it never stands still.
        let least = least.max(most / 16).min(most);
        Self {
            now: now.clamp(least, most),
            least,
            most,
        }
    }

    /// After one look: the new amount.
    pub fn decide(&mut self, sign: &Sign) -> u64 {
        self.now = match sign {
            Sign::Fine => self.now.saturating_add((self.most / STEP).max(1)).min(self.most),
            Sign::Strained(_) => (self.now / 2).max(self.least),
        };
        self.now
    }

    /// Another most and least, as the cluster's load has it by now; what it is stays in proportion.
    pub fn bound(&mut self, least: u64, most: u64) {
        let share = self.now as f64 / self.most.max(1) as f64;
        *self = Self::new((most as f64 * share) as u64, least, most);
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    /// How many of the next may begin beside what is in flight: as many as fit, one at least where nothing is.
    /// A size that is not known takes all there is.
    pub fn admits(&self, flying: u64, is_idle: bool, next: impl Iterator<Item = Option<u64>>) -> usize {
        let (mut sum, mut count) = (flying, 0);
        for bytes in next {
            sum = sum.saturating_add(bytes.unwrap_or(self.now));
            if sum > self.now && !(is_idle && count == 0) {
                break;
            }
            count += 1;
        }
        count
    }
}

/// Whether a rate is so different that brokers are told: a quarter, so that configs are not written all the time.
pub(super) fn is_material(before: u64, after: u64) -> bool {
    after.abs_diff(before) as f64 > before as f64 * 0.25
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strained() -> Sign {
        Sign::Strained("broker 2 is missing".into())
    }

    #[test]
    fn it_grows_by_steps_and_halves() {
        let mut window = Aimd::halfway(800);
        let seen: Vec<u64> = (0..6).map(|_| window.decide(&Sign::Fine)).collect();
        assert_eq!(seen, [500, 600, 700, 800, 800, 800]);
        let seen: Vec<u64> = (0..6).map(|_| window.decide(&strained())).collect();
        assert_eq!(seen, [400, 200, 100, 50, 50, 50]);
        assert_eq!(window.decide(&Sign::Fine), 150);
    }

    #[test]
    fn a_rate_never_falls_below_what_clients_write() {
        let mut rate = Aimd::full(300, 800);
        assert_eq!(
            (rate.now(), rate.decide(&strained()), rate.decide(&strained())),
            (800, 400, 300)
        );
        // Clients leave less room: it stays in proportion, and within the new bounds.
        rate.bound(100, 400);
        assert_eq!(rate.now(), 150);
        rate.bound(900, 400);
        assert_eq!(rate.now(), 400, "the most is the most");
    }

    #[test]
    fn as_many_begin_as_fit_and_one_where_nothing_is_in_flight() {
        let window = Aimd::full(0, 100);
        let sizes = |sizes: &[u64]| sizes.iter().map(|size| Some(*size)).collect::<Vec<_>>().into_iter();
        assert_eq!(window.admits(0, true, sizes(&[40, 40, 40])), 2);
        assert_eq!(window.admits(70, false, sizes(&[40, 10])), 0);
        assert_eq!(window.admits(60, false, sizes(&[40, 10])), 1);
        assert_eq!(window.admits(0, true, sizes(&[500, 1])), 1);
        assert_eq!(window.admits(0, true, sizes(&[0; 5])), 5);
        assert_eq!(window.admits(0, true, [None, Some(1)].into_iter()), 1);
        assert_eq!(window.admits(1, false, [None].into_iter()), 0);
    }

    #[test]
    fn only_a_rate_that_differs_by_a_quarter_is_worth_writing() {
        assert!(!is_material(100, 125) && is_material(100, 126) && is_material(100, 74));
    }
}
