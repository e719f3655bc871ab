//! One meter for each group of clients, or each address, under a quota, and a bound on how many there are.

use std::collections::HashMap;
use std::hash::Hash;

/// More groups than that share one meter: whoever makes up client ids to escape a quota ends up under one.
const METERS_MAX: usize = 20_000;
/// How many there may be before those that say nothing any more are looked for.
const SWEEP_FROM: usize = 1_000;

/// Meters by whom they belong to.
#[derive(Debug)]
pub(super) struct Meters<K, M> {
    meters: HashMap<K, M>,
    crowd: M,
    /// The number of meters at which the next sweep is due.
    sweep_at: usize,
}

impl<K: Hash + Eq, M: Default> Meters<K, M> {
    pub fn new() -> Self {
        Self {
            meters: HashMap::new(),
            crowd: M::default(),
            sweep_at: SWEEP_FROM,
        }
    }

    /// The group's meter; a new one, if there is room after those that are `spent` were thrown away.
    pub fn of(&mut self, group: K, spent: impl Fn(&M) -> bool) -> &mut M {
        if self.meters.len() >= self.sweep_at && !self.meters.contains_key(&group) {
            self.meters.retain(|_, meter| !spent(meter));
            // At twice what is in use, sweeping costs each new group a constant.
            self.sweep_at = (self.meters.len() * 2).clamp(SWEEP_FROM, METERS_MAX);
        }
        if self.meters.len() >= METERS_MAX && !self.meters.contains_key(&group) {
            return &mut self.crowd;
        }
        self.meters.entry(group).or_default()
    }

    pub fn clear(&mut self) {
        self.meters = HashMap::new();
        self.sweep_at = SWEEP_FROM;
    }

    pub fn len(&self) -> usize {
        self.meters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_that_say_nothing_make_room() {
        let mut meters: Meters<usize, usize> = Meters::new();
        for n in 0..100_000 {
            // Of each ten, nine are spent at once.
            *meters.of(n, |used| used % 10 != 0) = n;
            assert!(meters.len() <= METERS_MAX);
        }
        assert!(meters.len() >= 10_000, "those in use are kept");
        assert_eq!(*meters.of(500, |_| false), 500);
    }

    #[test]
    fn too_many_in_use_share_one() {
        let mut meters: Meters<usize, usize> = Meters::new();
        for n in 0..METERS_MAX + 10 {
            *meters.of(n, |_| false) += 1;
        }
        assert_eq!((meters.len(), meters.crowd), (METERS_MAX, 10));
        assert_eq!(*meters.of(3, |_| false), 1, "who had a meter keeps it");
    }
}
