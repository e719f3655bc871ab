//! What was denied, said once for each principal and resource, and again after a while with a count.
//!
//! A client without rights asks again for as long as it runs. Memory is bounded: what does not fit is counted together.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Principal;
use crate::image::acl::Kind;

/// Between two lines about the same principal and resource.
const AGAIN: Duration = Duration::from_secs(600);
/// Principals with resources that are remembered.
const REMEMBERED: usize = 1_000;
/// A client chooses the names it asks for; of longer ones the beginning is enough to tell them apart.
const NAME_BYTES: usize = 300;

/// What to say of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It was said not long ago.
    Silent,
    First,
    /// It was denied `since` more times since it was last said.
    Again {
        since: u64,
    },
    /// There are too many different ones to remember; `unsaid` were not said.
    Full {
        unsaid: u64,
    },
}

#[derive(Debug, Default)]
pub struct Denials {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_place: HashMap<(Principal, Kind, String), Said>,
    /// Those that were not remembered.
    rest: Option<Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    since: u64,
}

impl Said {
    fn now(at: Instant) -> Self {
        Self { at, since: 0 }
    }

    /// Counts one more, and gives how many there were if it is time to say so.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if now.duration_since(self.at) < AGAIN {
            return None;
        }
        let since = std::mem::replace(self, Self::now(now)).since;
        Some(since)
    }
}

impl Denials {
    pub fn note(&self, principal: &Principal, kind: Kind, name: &str, now: Instant) -> Report {
        let name = name[..name.floor_char_boundary(NAME_BYTES)].to_owned();
        let place = (principal.clone(), kind, name);
        let mut known = self.known.lock();
        if let Some(said) = known.by_place.get_mut(&place) {
            return said.count(now).map_or(Report::Silent, |since| Report::Again { since });
        }
        if known.by_place.len() >= REMEMBERED {
            known.by_place.retain(|_, said| now.duration_since(said.at) < AGAIN);
        }
        if known.by_place.len() < REMEMBERED {
            known.by_place.insert(place, Said::now(now));
            return Report::First;
        }
        match &mut known.rest {
            Some(said) => said.count(now).map_or(Report::Silent, |unsaid| Report::Full { unsaid }),
            None => {
                known.rest = Some(Said::now(now));
                Report::Full { unsaid: 1 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_then_a_count_after_a_while() {
        let denials = Denials::default();
        let start = Instant::now();
        let alice = Principal::user("alice");
        let note = |name: &str, after: Duration| denials.note(&alice, Kind::Topic, name, start + after);
        assert_eq!(note("orders", Duration::ZERO), Report::First);
        for second in 1..=9 {
            assert_eq!(note("orders", Duration::from_secs(second)), Report::Silent);
        }
        assert_eq!(
            note("payments", Duration::from_secs(1)),
            Report::First,
            "another resource"
        );
        assert_eq!(note("orders", AGAIN), Report::Again { since: 10 });
        assert_eq!(note("orders", AGAIN + Duration::from_secs(1)), Report::Silent);
    }

    #[test]
    fn many_different_ones_do_not_grow_without_bound() {
        let denials = Denials::default();
        let start = Instant::now();
        let note = |at: usize, now| denials.note(&Principal::user(format!("u{at}")), Kind::Group, "g", now);
        for at in 0..REMEMBERED {
            assert_eq!(note(at, start), Report::First);
        }
        assert_eq!(note(REMEMBERED, start), Report::Full { unsaid: 1 });
        for at in 1..=5 {
            assert_eq!(note(REMEMBERED + at, start), Report::Silent);
        }
        assert_eq!(denials.known.lock().by_place.len(), REMEMBERED);
        assert_eq!(note(9 * REMEMBERED, start + AGAIN), Report::First, "old ones make room");
        assert_eq!(denials.known.lock().by_place.len(), 1);
    }
}
