//! One partition's log on disk, in Kafka's format, and the directories that hold them.
//!
//! A [`Log`] promises: an append that returned is in the page cache whole and survives the process; after
//! `kill -9` whatever was torn is cut off and everything before it is intact; after a failed write or fsync
//! whose effect is unknown the log refuses everything until the process restarts. Batches are stored as
//! received: only base offset and leader epoch are set.

mod aborted;
mod append;
mod blank;
mod checkpoint;
mod compact;
mod config;
mod epoch;
mod error;
mod health;
mod index;
mod load;
mod lookup;
mod manager;
mod producer;
mod relocate;
mod scan;
mod segment;
mod tail;
mod trim;
mod validate;

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard, RwLock};

pub use compact::Compacted;
pub use config::{LogConfig, TimestampType};
pub use error::Error;
pub use manager::{DirStatus, Future, Identity, Intervals, LogManager, Named, can_move};
pub use producer::{Guard, Verify};

use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::env::random;
use crate::id::{Epoch, Offset, TopicPartition};

use epoch::Epochs;
use health::Health;
use producer::{Producers, Snapshots};
use segment::Segment;
use tail::{Budget, Tail};

/// What the tail of a log that was opened by itself may hold; a [`LogManager`] shares one budget among its logs.
const OWN_BUDGET: usize = 16 << 20;

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// The time given to the records, in ms; -1 when they keep the producer's.
    pub log_append_time: i64,
    /// The batch was in the log already; nothing was written, the offsets are the earlier ones.
    pub duplicate: bool,
    pub log_start: Offset,
}

/// What a read found: whole batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Empty when there is nothing below the limit.
    pub records: Bytes,
    /// Where the next read goes on.
    pub next: Offset,
}

/// What a read found, as it lies in memory: joined, these are [`Read::records`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadChunks {
    pub chunks: Vec<Bytes>,
    /// Of all chunks, in bytes.
    pub size: usize,
    pub next: Offset,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub offset: Offset,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Of the leader that wrote it; -1 for unknown.
    pub leader_epoch: Epoch,
}

/// An idempotent producer that the log remembers (DescribeProducers, KIP-664).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    pub id: i64,
    pub epoch: i16,
    pub last_sequence: i32,
    /// Milliseconds since the Unix epoch.
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// First offset of its open transaction; -1 for none.
    pub transaction_start: Offset,
}

/// One partition's log. All methods take `&self`; they may wait for the page cache, never for a network.
#[derive(Debug)]
pub struct Log {
    place: RwLock<Place>,
    /// What it is the log of; `None` when it was opened by itself or is a future one.
    at: Option<TopicPartition>,
    disk: Disk,
    clock: Clock,
    made: Made,
    config: RwLock<Arc<LogConfig>>,
    state: Mutex<State>,
    // Copies for readers that need one number and no lock. Written while the state is locked.
    start: AtomicI64,
    end: AtomicI64,
    size: AtomicU64,
    high_watermark: AtomicI64,
    recovery_point: AtomicI64,
    /// Nothing before it is part of a transaction that may still change; the largest number without any.
    unstable: AtomicI64,
    /// Some transaction in it may have been aborted.
    any_aborted: AtomicBool,
    cleaned_to: AtomicI64,
    /// Compaction cannot read it: it is not tried again before the next start.
    uncleanable: AtomicBool,
    /// Its node stops: compaction breaks off.
    halted: Arc<AtomicBool>,
    /// Grows when compaction puts segments into the place of others.
    swaps: AtomicU64,
}

#[derive(Debug)]
struct State {
    condition: Condition,
    /// In order of their offsets, the last one is active; none as long as nothing is on the disk.
    segments: Vec<Segment>,
    epochs: Epochs,
    producers: Producers,
    snapshots: Snapshots,
    tail: Tail,
    /// Files of deleted segments, and from when on they may be unlinked.
    doomed: Vec<(i64, PathBuf)>,
    /// When the oldest append that is not on the device was made.
    unflushed_since: Option<i64>,
    /// When the last append was made.
    appended_ms: i64,
    /// Grows when the end moves back: what was being flushed meanwhile may be gone.
    truncations: u64,
    /// A segment was added since the directory was synced.
    dir_changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Open,
    Closed,
    Deleted,
}

/// Where a log is; it changes when the log moves to another directory.
#[derive(Debug, Clone)]
struct Place {
    dir: Arc<Path>,
    health: Arc<Health>,
}

/// The logs of one node that have files: all that need looking after.
type Made = Arc<Mutex<HashSet<TopicPartition>>>;

/// What the logs of a directory share.
#[derive(Debug, Clone)]
struct Shared {
    disk: Disk,
    clock: Clock,
    health: Arc<Health>,
    budget: Arc<Budget>,
    made: Made,
    halted: Arc<AtomicBool>,
}

impl Log {
    /// Opens the log in `dir`, or makes an empty one. `clean` says that the last run closed it; otherwise
    /// what lies after `recovery_point` is checked, torn tails are cut off and indexes built anew.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn open(
        disk: &Disk,
        dir: PathBuf,
        config: LogConfig,
        clock: Clock,
        recovery_point: Offset,
        clean: bool,
    ) -> Result<Self, Error> {
        let shared = Shared {
            disk: disk.clone(),
            clock,
            health: Arc::default(),
            budget: Arc::new(Budget::new(OWN_BUDGET)),
            made: Made::default(),
            halted: Arc::default(),
        };
        Self::open_shared(&shared, None, dir, config, recovery_point, clean)
    }

    fn open_shared(
        shared: &Shared,
        at: Option<TopicPartition>,
        dir: PathBuf,
        config: LogConfig,
        recovery_point: Offset,
        clean: bool,
    ) -> Result<Self, Error> {
        let dir: Arc<Path> = dir.into();
        let loaded = load::load(&shared.disk, &dir, &config, recovery_point, clean)?;
        let start = loaded.segments.first().map_or(0, |segment| segment.base);
        let unstable = loaded.producers.first_unstable().unwrap_or(Offset::MAX);
        let any_aborted = loaded.segments.iter().any(|segment| !segment.aborted().is_empty());
        let log = Self {
            place: RwLock::new(Place {
                dir,
                health: Arc::clone(&shared.health),
            }),
            at,
            disk: shared.disk.clone(),
            clock: shared.clock.clone(),
            made: Arc::clone(&shared.made),
            config: RwLock::new(Arc::new(config)),
            start: AtomicI64::new(start),
            end: AtomicI64::new(loaded.end),
            size: AtomicU64::new(loaded.segments.iter().map(|segment| segment.size).sum()),
            high_watermark: AtomicI64::new(start),
            recovery_point: AtomicI64::new(recovery_point.clamp(start, loaded.end)),
            unstable: AtomicI64::new(unstable),
            any_aborted: AtomicBool::new(any_aborted),
            cleaned_to: AtomicI64::new(0),
            uncleanable: AtomicBool::new(false),
            halted: Arc::clone(&shared.halted),
            swaps: AtomicU64::new(0),
            state: Mutex::new(State {
                condition: Condition::Open,
                segments: loaded.segments,
                epochs: loaded.epochs,
                producers: loaded.producers,
                snapshots: loaded.snapshots,
                tail: Tail::new(Arc::clone(&shared.budget)),
                doomed: Vec::new(),
                unflushed_since: None,
                appended_ms: 0,
                truncations: 0,
                dir_changed: true,
            }),
        };
        log.made.lock().extend(at);
        Ok(log)
    }

    pub fn dir(&self) -> Arc<Path> {
        Arc::clone(&self.place.read().dir)
    }

    /// The first offset that can be read.
    pub fn start(&self) -> Offset {
        self.start.load(Ordering::Acquire)
    }

    /// The offset that the next record gets.
    pub fn end(&self) -> Offset {
        self.end.load(Ordering::Acquire)
    }

    /// Of all segments, without indexes.
    pub fn size_bytes(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Remembered for retention and the checkpoint; set by whoever replicates this log. Never outside of it.
    pub fn set_high_watermark(&self, offset: Offset) {
        let offset = offset.min(self.end()).max(self.start());
        self.high_watermark.store(offset, Ordering::Release);
    }

    /// As last set, at first from the checkpoint; what follows it may be lost.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// What precedes it is on the device.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// The newest leader epoch in the log.
    pub fn latest_epoch(&self) -> Option<Epoch> {
        self.state.lock().epochs.latest()
    }

    /// Where `epoch` ended: the largest epoch that is not after it, and the offset after its last record
    /// (OffsetForLeaderEpoch, KIP-101 and KIP-279). `None` when the log knows no such epoch.
    pub fn end_offset_for(&self, epoch: Epoch) -> Option<(Epoch, Offset)> {
        let state = self.state.lock();
        state.epochs.end_offset_for(epoch, self.end())
    }

    /// `epoch` begins at `start_offset`: said by a new leader before its first append.
    ///
    /// # Errors
    /// When the checkpoint cannot be written.
    pub fn assign_epoch(&self, epoch: Epoch, start_offset: Offset) -> Result<(), Error> {
        let mut state = self.lock()?;
        let assigned = state.epochs.assign(&self.disk, epoch, start_offset);
        self.judge(assigned)
    }

    /// The idempotent producers it remembers, by id.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.state.lock().producers.active()
    }

    /// Where a read_committed consumer stops when what precedes `high_watermark` is committed: at the first offset of a
    /// transaction that is open, or whose marker is not committed.
    pub fn last_stable(&self, high_watermark: Offset) -> Offset {
        if self.unstable.load(Ordering::Acquire) >= high_watermark {
            return high_watermark;
        }
        let mut state = self.state.lock();
        state.producers.settle(high_watermark);
        self.publish_unstable(&state);
        let first = state.producers.first_unstable().unwrap_or(high_watermark);
        first.max(self.start()).min(high_watermark)
    }

    fn publish_unstable(&self, state: &State) {
        let first = state.producers.first_unstable().unwrap_or(Offset::MAX);
        self.unstable.store(first, Ordering::Release);
    }

    /// Producer and first offset of the aborted transactions that have records in `from..below`.
    pub fn aborted(&self, from: Offset, below: Offset) -> Vec<(i64, Offset)> {
        if !self.any_aborted.load(Ordering::Acquire) {
            return Vec::new();
        }
        let state = self.state.lock();
        let first = state
            .segments
            .partition_point(|segment| segment.base <= from)
            .saturating_sub(1);
        let mut found = Vec::new();
        let entries = state.segments[first..].iter().flat_map(Segment::aborted);
        for entry in entries {
            if entry.last >= from && entry.first < below {
                found.push((entry.producer, entry.first));
            }
            if entry.last_stable >= below {
                break;
            }
        }
        found
    }

    /// Logs with the same configuration share it.
    pub fn set_config(&self, config: impl Into<Arc<LogConfig>>) {
        *self.config.write() = config.into();
    }

    fn shared_config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read())
    }

    fn set_shared_config(&self, config: Arc<LogConfig>) {
        *self.config.write() = config;
    }

    pub fn config(&self) -> LogConfig {
        self.config.read().as_ref().clone()
    }

    /// The state, if the log can be used.
    fn lock(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock();
        let path = || self.dir().to_path_buf();
        match state.condition {
            Condition::Deleted => Err(Error::Deleted { path: path() }),
            Condition::Closed => Err(Error::Closed { path: path() }),
            Condition::Open if self.place.read().health.failure().is_some() => Err(Error::Offline { path: path() }),
            Condition::Open => Ok(state),
        }
    }

    /// Takes the directory offline when the disk failed, or is full: as in Kafka (KIP-112), any I/O error does.
    fn judge<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && error.is_of_the_disk()
        {
            self.place.read().health.fail(error.to_string());
        }
        result
    }

    fn publish_size(&self, state: &State) {
        let size = state.segments.iter().map(|segment| segment.size).sum();
        self.size.store(size, Ordering::Release);
    }
}

/// Another name for a log's folder: `NAME.UNIQUE-kind`, with the name cut where that would be too long for a file.
fn beside(dir: &Path, kind: &str) -> PathBuf {
    const NAME_MAX: usize = 255;
    let suffix = format!(".{}-{kind}", random::uuid().simple());
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let mut end = name.len().min(NAME_MAX - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    dir.with_file_name(format!("{}{suffix}", &name[..end]))
}

impl State {
    /// There always is one once there are files: nothing removes it without putting another.
    fn active(&mut self) -> Result<&mut Segment, Error> {
        self.segments.last_mut().ok_or(Error::Invalid {
            why: "the log has no segment",
        })
    }
}

#[cfg(test)]
mod tests;
