//! Where an engine can be made to die, for the test that kills it everywhere.
//!
//! `AZIMUTH_TEST_CRASH_AT=N` in the environment of an engine, and nowhere else, sends it SIGKILL at the N-th of these
//! points, counted from 1; `AZIMUTH_TEST_STOP_AT=N` sends it SIGSTOP instead, so that others can be killed while it is there.
//! `AZIMUTH_TEST_CRASH_RUN_AT=N` kills who carries out a runbook. Without any of them a point costs one load.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// Points until the end; 0 is never.
static LEFT: AtomicU32 = AtomicU32::new(0);
/// It stops there, and goes on when it is continued.
static STOPS: AtomicBool = AtomicBool::new(false);

/// In an engine: reads where it shall die.
pub(super) fn arm() {
    if !arm_with("AZIMUTH_TEST_CRASH_AT") && arm_with("AZIMUTH_TEST_STOP_AT") {
        STOPS.store(true, Ordering::Relaxed);
    }
}

/// In whoever carries out a runbook, whose engines hear nothing of it.
pub fn arm_run() {
    arm_with("AZIMUTH_TEST_CRASH_RUN_AT");
}

fn arm_with(variable: &str) -> bool {
    let wanted = std::env::var(variable).ok();
    let at = wanted.and_then(|text| text.parse().ok()).unwrap_or(0);
    LEFT.store(at, Ordering::Relaxed);
    at > 0
}

/// Something is about to happen, or has just happened.
pub fn point() {
    if LEFT.load(Ordering::Relaxed) > 0 && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        if STOPS.load(Ordering::Relaxed) {
            // Returns when somebody lets it go on.
            let _ = kill_process(getpid(), Signal::STOP);
            return;
        }
        // There is no answer to being killed.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
