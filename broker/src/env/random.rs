//! Random numbers: seeded from the operating system, or by hand for a repeatable run.
//!
//! Not for secrets: ids and jitter only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::world::World;

/// A cheap handle; clones draw from the same sequence (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random {
    state: Arc<AtomicU64>,
}

/// A version 4 id of the operating system's, or of the world's that this thread is in.
pub fn uuid() -> Uuid {
    World::here().map_or_else(Uuid::new_v4, |world| world.random.uuid())
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// Seeded by the operating system, or by the world that this thread is in.
    pub fn system() -> Self {
        if let Some(world) = World::here() {
            return world.chance();
        }
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self::seeded(high ^ low.rotate_left(32))
    }

    /// The same seed gives the same sequence.
    pub fn seeded(seed: u64) -> Self {
        Self {
            state: Arc::new(AtomicU64::new(seed)),
        }
    }

    pub fn next_u64(&self) -> u64 {
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub fn below(&self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// A version 4 id. Kafka refuses ids whose text begins with a dash, so none does.
    pub fn uuid(&self) -> Uuid {
        loop {
            let id = uuid::Builder::from_random_bytes(
                ((u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())).to_be_bytes(),
            )
            .into_uuid();
            // '-' is 62 in base64url, the first six bits of the id.
            if id.as_bytes()[0] >> 2 != 62 {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
        assert_ne!(Random::seeded(8).next_u64(), Random::seeded(7).next_u64());
    }

    #[test]
    fn below_stays_below() {
        let random = Random::seeded(1);
        assert!((1..1_000).all(|bound| random.below(bound) < bound));
        assert_eq!(random.below(0), 0);
    }
}
