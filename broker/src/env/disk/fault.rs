//! What a dying volume does: operations that fail on request, and directories that stall, slow down, fail or fill up.
//!
//! A stalled operation blocks its thread, as on a device that completes nothing; on a runtime with several threads the
//! other tasks of that thread move to another one first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Handle, RuntimeFlavor};

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Open,
    Read,
    Write,
    /// Half of the bytes reach the file, then the write fails.
    TornWrite,
    Truncate,
    Sync,
    Rename,
    Remove,
}

/// What befalls everything under a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirFault {
    /// Nothing completes.
    Stall,
    /// Each operation takes so many milliseconds longer.
    Slow(u64),
    /// Everything fails with EIO.
    Fail,
    /// Files may grow by so many bytes more, then writes fail with ENOSPC. What is removed can be written again.
    Full(u64),
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Whether there is any: all that an operation on a sound disk looks at.
    any: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    operations: Vec<(Fault, String)>,
    dirs: Vec<Sick>,
    /// The node is gone: what waits ends, and nothing is done any more.
    abandoned: bool,
}

#[derive(Debug)]
struct Sick {
    root: PathBuf,
    fault: DirFault,
    /// Of [`DirFault::Full`].
    free: u64,
}

/// What an operation has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Proceed,
    Fail,
    /// Wait for a change.
    Stall,
    Delay(Duration),
}

impl Faults {
    pub(super) fn inject(&self, fault: Fault, needle: &str) {
        self.change(|state| state.operations.push((fault, needle.to_owned())));
    }

    pub(super) fn heal(&self) {
        self.change(|state| state.operations.clear());
    }

    /// Replaces the directories' faults. One that stays the same keeps count of what was written.
    pub(super) fn set_dirs(&self, dirs: &[(PathBuf, DirFault)]) {
        self.change(|state| {
            let before = std::mem::take(&mut state.dirs);
            state.dirs = dirs
                .iter()
                .map(|(root, fault)| {
                    let same = before.iter().find(|sick| sick.root == *root && sick.fault == *fault);
                    let fresh = if let DirFault::Full(free) = fault { *free } else { 0 };
                    Sick {
                        root: root.clone(),
                        fault: *fault,
                        free: same.map_or(fresh, |sick| sick.free),
                    }
                })
                .collect();
        });
    }

    pub(super) fn abandon(&self) {
        self.change(|state| state.abandoned = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let any = state.abandoned || !state.operations.is_empty() || !state.dirs.is_empty();
        self.any.store(any, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Does to an operation what was injected for its path: nothing, a wait, or EIO.
    pub(super) fn check(&self, fault: Fault, path: &Path) -> io::Result<()> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let verdict = self.state.lock().verdict(fault, path);
        match verdict {
            Verdict::Proceed => Ok(()),
            Verdict::Fail => Err(rustix::io::Errno::IO.into()),
            Verdict::Stall | Verdict::Delay(_) => aside(|| self.wait(fault, path)),
        }
    }

    fn wait(&self, fault: Fault, path: &Path) -> io::Result<()> {
        let begun = Instant::now();
        let mut state = self.state.lock();
        loop {
            match state.verdict(fault, path) {
                Verdict::Proceed => return Ok(()),
                Verdict::Fail => return Err(rustix::io::Errno::IO.into()),
                Verdict::Stall => self.changed.wait(&mut state),
                Verdict::Delay(by) if begun.elapsed() >= by => return Ok(()),
                Verdict::Delay(by) => {
                    self.changed.wait_until(&mut state, begun + by);
                }
            }
        }
    }

    /// Takes room for `bytes` more at `path`.
    ///
    /// # Errors
    /// ENOSPC, and nothing is taken, when a full directory has not so much left.
    pub(super) fn take(&self, path: &Path, bytes: u64) -> io::Result<()> {
        if bytes == 0 || !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.state.lock().full(path) {
            Some(sick) if sick.free < bytes => Err(rustix::io::Errno::NOSPC.into()),
            Some(sick) => {
                sick.free -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn release(&self, path: &Path, bytes: u64) {
        if bytes > 0
            && self.any.load(Ordering::Relaxed)
            && let Some(sick) = self.state.lock().full(path)
        {
            sick.free = sick.free.saturating_add(bytes);
        }
    }

    /// What a full directory has left; `None` where none is full.
    pub(super) fn free(&self, path: &Path) -> Option<u64> {
        self.state.lock().full(path).map(|sick| sick.free)
    }
}

impl State {
    fn verdict(&self, fault: Fault, path: &Path) -> Verdict {
        if self.abandoned {
            return Verdict::Fail;
        }
        let text = path.to_string_lossy();
        let hit = |(active, needle): &(Fault, String)| *active == fault && text.contains(needle.as_str());
        if self.operations.iter().any(hit) {
            return Verdict::Fail;
        }
        // Asked in the middle of a write that was let through.
        if fault == Fault::TornWrite {
            return Verdict::Proceed;
        }
        let here = || self.dirs.iter().filter(|sick| path.starts_with(&sick.root));
        if here().any(|sick| sick.fault == DirFault::Stall) {
            return Verdict::Stall;
        }
        if here().any(|sick| sick.fault == DirFault::Fail) {
            return Verdict::Fail;
        }
        let slow = here().filter_map(|sick| match sick.fault {
            DirFault::Slow(ms) => Some(Duration::from_millis(ms)),
            _ => None,
        });
        slow.max().map_or(Verdict::Proceed, Verdict::Delay)
    }

    fn full(&mut self, path: &Path) -> Option<&mut Sick> {
        self.dirs
            .iter_mut()
            .find(|sick| matches!(sick.fault, DirFault::Full(_)) && path.starts_with(&sick.root))
    }
}

/// Blocks this thread, after its other tasks have moved elsewhere where that is possible.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}
