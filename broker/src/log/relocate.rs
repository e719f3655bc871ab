//! A log's move to another directory of the same node (KIP-113): a future log follows it there, and takes its place.
//!
//! Killed at any point, a start finds either the old log and a future one that goes on where it was, or the new log; for
//! the moment between the two renames both are there and hold the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::load::load;
use super::{Error, Log, Place, beside};
use crate::id::Offset;
use crate::record;

impl Log {
    /// Copies at most `max_bytes`, but at least a batch, of what this future log lacks of `current`, after cutting off what
    /// `current` does not hold any more. Returns the bytes copied, and whether that was all.
    ///
    /// # Errors
    /// When one of the two directories fails.
    pub fn follow(&self, current: &Log, max_bytes: usize) -> Result<(usize, bool), Error> {
        let config = current.shared_config();
        if !Arc::ptr_eq(&config, &self.shared_config()) {
            self.set_shared_config(config);
        }
        self.agree(current)?;
        let (from, end) = (self.end(), current.end());
        let read = current.read(from, max_bytes, end, true)?;
        let Some(first) = record::batches(read.records.clone()).next() else {
            return Ok((0, from >= end));
        };
        let first = first?.header.base_offset;
        if first < from && self.size_bytes() == 0 {
            // The log's start is within this batch.
            self.restart_at(first)?;
        }
        let size = read.records.len();
        self.append_as_follower(read.records)?;
        self.start_with(current)?;
        Ok((size, self.end() >= end))
    }

    /// Cuts this future log back to where it agrees with `current`, as a follower does with its leader (KIP-101).
    fn agree(&self, current: &Log) -> Result<(), Error> {
        if let Some(epoch) = self.latest_epoch() {
            let to = match current.end_offset_for(epoch) {
                Some((known, end)) if known == epoch => end.min(self.end()),
                Some((known, end)) => {
                    let own = self.end_offset_for(known).map_or(end, |(_, own)| own);
                    own.min(end).min(self.end() - 1)
                }
                None => current.start(),
            };
            if to < self.end() {
                self.truncate_to(to.max(self.start()))?;
            }
        }
        if self.end() > current.end() {
            self.truncate_to(current.end())?;
        }
        // A start after a crash may find what was deleted before it.
        if self.end() < current.start() || self.start() > current.start() {
            self.restart_at(current.start())?;
        }
        self.start_with(current)
    }

    fn start_with(&self, current: &Log) -> Result<(), Error> {
        self.advance_start(current.start().min(self.end()))
    }

    /// How many offsets of `current` this future log lacks.
    pub fn lag_behind(&self, current: &Log) -> Offset {
        (current.end() - self.end()).max(0)
    }

    /// Takes over `future`, which holds all that this log does, as its own files, under the name `to`. Nothing may be appended
    /// meanwhile; readers wait. Returns what is left of the old files, to be removed.
    pub(super) fn take_over(&self, future: &Log, to: &Path) -> Result<Option<PathBuf>, Error> {
        // Durable before it replaces anything.
        future.close()?;
        let mut state = self.lock()?;
        let from = future.dir();
        let end = self.end();
        future.judge(state.epochs.copy_to(&self.disk, &from))?;
        let moved = self.disk.rename(&from, to);
        future.judge(moved.map_err(Error::io(&from)))?;
        if let Some(parent) = to.parent() {
            future.judge(self.disk.sync_dir(parent).map_err(Error::io(parent)))?;
        }
        let config = self.shared_config();
        let loaded = future.judge(load(&self.disk, &to.into(), &config, end, true))?;
        if loaded.end != end {
            return Err(Error::Malformed {
                path: to.to_owned(),
                why: format!("it ends at {} and not at {end}", loaded.end),
            });
        }
        let left = beside(&self.dir(), "delete");
        // A start would find both, and that they are the same.
        let renamed = self.disk.rename(&self.dir(), &left);
        state.segments = loaded.segments;
        state.epochs = loaded.epochs;
        state.snapshots = loaded.snapshots;
        state.tail.clear();
        state.doomed.clear();
        state.unflushed_since = None;
        // What was being flushed meanwhile was of the old files.
        state.truncations += 1;
        state.dir_changed = false;
        *self.place.write() = Place {
            dir: to.into(),
            health: Arc::clone(&future.place.read().health),
        };
        self.recovery_point.store(end, Ordering::Release);
        self.publish_size(&state);
        if let Err(error) = renamed {
            tracing::warn!("{} stays until the next start: {error}", left.display());
            return Ok(None);
        }
        Ok(Some(left))
    }
}
