//! A volume of a fixed size, kept by counting the bytes of the files under its root.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Space;

#[derive(Debug)]
pub(super) struct Volume {
    root: PathBuf,
    total: AtomicU64,
    used: AtomicU64,
}

impl Volume {
    pub(super) fn new(root: PathBuf, total: u64) -> io::Result<Self> {
        let used = if root.exists() { measure(&root)? } else { 0 };
        Ok(Self {
            root,
            total: AtomicU64::new(total),
            used: AtomicU64::new(used),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn resize(&self, total: u64) {
        self.total.store(total, Ordering::SeqCst);
    }

    /// Takes room for `bytes` more.
    ///
    /// # Errors
    /// ENOSPC, and nothing is taken, when they do not fit.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        let total = self.total.load(Ordering::SeqCst);
        self.used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                used.checked_add(bytes).filter(|after| *after <= total)
            })
            .map(|_| ())
            .map_err(|_| rustix::io::Errno::NOSPC.into())
    }

    pub(super) fn release(&self, bytes: u64) {
        let release = |used: u64| Some(used.saturating_sub(bytes));
        // The closure never refuses.
        let _ = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, release);
    }

    pub(super) fn space(&self) -> Space {
        let total = self.total.load(Ordering::SeqCst);
        Space {
            total_bytes: total,
            usable_bytes: total.saturating_sub(self.used.load(Ordering::SeqCst)),
        }
    }
}

fn measure(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() {
            measure(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(sum)
}
