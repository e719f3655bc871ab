//! Operations that fail on request, for tests of what a dying volume does.

use std::io;
use std::path::Path;

use parking_lot::Mutex;

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

#[derive(Debug, Default)]
pub(super) struct Faults {
    active: Mutex<Vec<(Fault, String)>>,
}

impl Faults {
    pub(super) fn inject(&self, fault: Fault, needle: &str) {
        self.active.lock().push((fault, needle.to_owned()));
    }

    pub(super) fn heal(&self) {
        self.active.lock().clear();
    }

    /// EIO when `fault` was injected for this path.
    pub(super) fn check(&self, fault: Fault, path: &Path) -> io::Result<()> {
        let path = path.to_string_lossy();
        let hit = self
            .active
            .lock()
            .iter()
            .any(|(active, needle)| *active == fault && path.contains(needle.as_str()));
        if hit { Err(rustix::io::Errno::IO.into()) } else { Ok(()) }
    }
}
