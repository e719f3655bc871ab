//! A world in memory, for a simulation: everything of a thread that has entered one runs there, at the same time and with
//! the same chance whenever the seed is the same.
//!
//! In it time is tokio's, which a paused runtime moves on only while nobody works; sockets are in memory and take a seeded
//! time; chance is seeded; work that may block is done at once. Disks are the machine's, and what a power cut does to them is
//! [`super::disk::Disk::cut_power`]'s. Whoever simulates sees to it that
//! the runtime has one thread, and that tokio's and the standard library's own chance is seeded too.

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::net::Network;
use super::random::Random;

thread_local! {
    static HERE: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// When a world begins, in ms since the Unix epoch.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// What passed over a link at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    pub at_ms: i64,
    /// Links count in the order in which they were opened.
    pub link: u64,
    pub bytes: usize,
    pub crc32c: u32,
}

/// A world. Clones of the handle are the same.
#[derive(Debug)]
pub struct World {
    began: Instant,
    pub(super) random: Random,
    pub(super) network: Network,
    passed: Mutex<Vec<Passed>>,
}

/// Leaves the world when it is dropped.
#[derive(Debug)]
pub struct Entered(Arc<World>);

impl World {
    /// Enters a new world with this thread, which runs a tokio runtime.
    pub fn enter(seed: u64) -> Entered {
        let world = Arc::new(Self {
            began: Instant::now(),
            random: Random::seeded(seed),
            network: Network::default(),
            passed: Mutex::default(),
        });
        HERE.set(Some(Arc::clone(&world)));
        Entered(world)
    }

    /// The world that this thread is in; `None` in the real one.
    pub fn here() -> Option<Arc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// Chance of its own, which goes on the same whatever else is drawn meanwhile.
    pub fn chance(&self) -> Random {
        Random::seeded(self.random.next_u64())
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        BEGINNING_MS + i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX - BEGINNING_MS)
    }

    pub(super) fn pass(&self, link: u64, bytes: &[u8]) {
        let passed = Passed {
            at_ms: self.now_ms() - BEGINNING_MS,
            link,
            bytes: bytes.len(),
            crc32c: crc32c::crc32c(bytes),
        };
        self.passed.lock().push(passed);
    }

    /// All that passed over links, in this order: of two runs with one seed the same.
    pub fn passed(&self) -> Vec<Passed> {
        self.passed.lock().clone()
    }
}

impl std::ops::Deref for Entered {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.set(None);
    }
}
