//! Where an engine can be made to die, for the test that kills it everywhere.
//!
//! `AZIMUTH_TEST_CRASH_AT=N` in the environment of an engine, and nowhere else, sends it SIGKILL at the N-th of these
//! points, counted from 1; `AZIMUTH_TEST_CRASH_RUN_AT=N` does the same to who carries out a runbook. Without it a point
//! costs one load.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// Points until the end; 0 is never.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// In an engine: reads where it shall die.
pub(super) fn arm() {
    arm_with("AZIMUTH_TEST_CRASH_AT");
}

/// In whoever carries out a runbook, whose engines hear nothing of it.
pub fn arm_run() {
    arm_with("AZIMUTH_TEST_CRASH_RUN_AT");
}

fn arm_with(variable: &str) {
    let wanted = std::env::var(variable).ok();
    let at = wanted.and_then(|text| text.parse().ok()).unwrap_or(0);
    LEFT.store(at, Ordering::Relaxed);
}

/// Something is about to happen, or has just happened.
pub fn point() {
    if LEFT.load(Ordering::Relaxed) > 0 && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        // There is no answer to being killed.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
