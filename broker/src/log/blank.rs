//! A log that never had a record: nothing of it is on the disk, and it costs no descriptor and no upkeep.
//!
//! Its directory and files are made by the first append. Until then its node knows of it from the metadata alone, so a
//! restart finds it there again; its epochs are in memory only, because an epoch without a record says nothing.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use parking_lot::{Mutex, RwLock};

use super::epoch::Epochs;
use super::manager::write_topic_id;
use super::producer::{Producers, Snapshots};
use super::segment::Segment;
use super::tail::Tail;
use super::{Condition, Error, Log, LogConfig, Place, Shared, State, beside};
use crate::env::disk::Disk;
use crate::id::TopicPartition;

impl Log {
    /// The log of `at`, to be made in `dir` when it gets its first record.
    pub(super) fn blank(shared: &Shared, at: TopicPartition, dir: PathBuf, config: Arc<LogConfig>) -> Self {
        let dir: Arc<Path> = dir.into();
        Self {
            at: Some(at),
            disk: shared.disk.clone(),
            clock: shared.clock.clone(),
            made: Arc::clone(&shared.made),
            config: RwLock::new(config),
            start: AtomicI64::new(0),
            end: AtomicI64::new(0),
            size: AtomicU64::new(0),
            high_watermark: AtomicI64::new(0),
            recovery_point: AtomicI64::new(0),
            unstable: AtomicI64::new(i64::MAX),
            any_aborted: AtomicBool::new(false),
            cleaned_to: AtomicI64::new(0),
            uncleanable: AtomicBool::new(false),
            halted: Arc::clone(&shared.halted),
            swaps: AtomicU64::new(0),
            state: Mutex::new(State {
                condition: Condition::Open,
                segments: Vec::new(),
                epochs: Epochs::unwritten(&dir),
                producers: Producers::default(),
                snapshots: Snapshots::none(&dir),
                tail: Tail::new(Arc::clone(&shared.budget)),
                doomed: Vec::new(),
                unflushed_since: None,
                appended_ms: 0,
                truncations: 0,
                dir_changed: false,
            }),
            place: RwLock::new(Place {
                dir,
                health: Arc::clone(&shared.health),
            }),
        }
    }

    /// Whether nothing of it is on the disk.
    pub fn is_blank(&self) -> bool {
        self.state.lock().is_blank()
    }

    /// Makes its files if it has none.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn ensure_files(&self) -> Result<(), Error> {
        let mut state = self.lock()?;
        let made = self.make(&mut state);
        self.judge(made)
    }

    /// Makes the directory and an empty first segment if there is none.
    pub(super) fn make(&self, state: &mut State) -> Result<(), Error> {
        let Some(at) = self.at.filter(|_| state.is_blank()) else {
            return Ok(());
        };
        set_aside(&self.disk, &self.dir())?;
        match self.make_files(at, state) {
            Ok(first) => {
                state.segments.push(first);
                state.dir_changed = true;
                self.made.lock().insert(at);
                Ok(())
            }
            Err(error) => {
                // It stays blank; what is left half done is set aside the next time if it cannot be removed either.
                let _ = self.disk.remove_dir(&self.dir());
                Err(error)
            }
        }
    }

    fn make_files(&self, at: TopicPartition, state: &mut State) -> Result<Segment, Error> {
        let dir = self.dir();
        self.disk.create_dir(&dir).map_err(Error::io(&dir))?;
        write_topic_id(&self.disk, &dir, at.topic)?;
        let first = Segment::create(&self.disk, &dir, self.end())?;
        state.epochs.write(&self.disk)?;
        Ok(first)
    }
}

impl State {
    pub(super) fn is_blank(&self) -> bool {
        self.segments.is_empty()
    }
}

/// Moves what is at `path` out of the way: nobody's, because a directory that says whose it is was loaded.
pub(super) fn set_aside(disk: &Disk, path: &Path) -> Result<(), Error> {
    if !disk.exists(path) {
        return Ok(());
    }
    disk.rename(path, &beside(path, "stray")).map_err(Error::io(path))
}
