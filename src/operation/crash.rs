//! Where an engine can be made to die, for the test that kills it everywhere.
//!
//! `AZIMUTH_TEST_CRASH_AT=N` in the environment of an engine, and nowhere else, sends it SIGKILL at the N-th of these
//! points, counted from 1. Without it a point costs one load.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// Points until the end; 0 is never.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// In an engine: reads where it shall die.
pub(super) fn arm() {
    let wanted = std::env::var("AZIMUTH_TEST_CRASH_AT").ok();
    let at = wanted.and_then(|text| text.parse().ok()).unwrap_or(0);
    LEFT.store(at, Ordering::Relaxed);
}

/// Something is about to happen, or has just happened.
pub(super) fn point() {
    if LEFT.load(Ordering::Relaxed) > 0 && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        // There is no answer to being killed.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
