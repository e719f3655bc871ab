//! One partition's log on disk, in Kafka's format, and the directories that hold them.
//!
//! A [`Log`] promises: an append that returned is in the page cache whole and survives the process; after
//! `kill -9` whatever was torn is cut off and everything before it is intact; after a failed write or fsync
//! whose effect is unknown the log refuses everything until the process restarts. Batches are stored as
//! received: only base offset and leader epoch are set.

mod config;
mod error;
mod manager;

use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;

pub use config::{LogConfig, TimestampType};
pub use error::Error;
pub use manager::{DirStatus, Identity, LogManager};

use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::id::{Epoch, Offset};

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
    dir: PathBuf,
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
        let _ = (config, clock, recovery_point, clean);
        disk.create_dir(&dir).map_err(Error::io(&dir))?;
        Ok(Self { dir })
    }

    fn offline<T>(&self) -> Result<T, Error> {
        Err(Error::Offline { path: self.dir.clone() })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends one or more v2 batches from a client: checks CRC, size and sequence numbers, gives them the
    /// next offsets and `leader_epoch`.
    ///
    /// # Errors
    /// See [`Error::code`]; nothing was appended.
    pub fn append_as_leader(&self, batches: Bytes, leader_epoch: Epoch) -> Result<Appended, Error> {
        let _ = (batches, leader_epoch);
        self.offline()
    }

    /// As [`Log::append_as_leader`] for batches of the broker itself: control batches are allowed and
    /// `max.message.bytes` does not apply.
    ///
    /// # Errors
    /// See [`Error::code`]; nothing was appended.
    pub fn append_internal(&self, batches: Bytes, leader_epoch: Epoch) -> Result<Appended, Error> {
        let _ = (batches, leader_epoch);
        self.offline()
    }

    /// Appends what was fetched from the leader, with offsets and epochs as they are.
    ///
    /// # Errors
    /// [`Error::NotContiguous`] when it does not continue this log; a damaged batch.
    pub fn append_as_follower(&self, batches: Bytes) -> Result<Appended, Error> {
        let _ = batches;
        self.offline()
    }

    /// Whole batches from the one that contains `from`, at most `max_bytes`, all of them before `below`.
    /// With `at_least_one` the first batch is returned even if it is larger (KIP-74).
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] when `from` is before the start or after the end.
    pub fn read(&self, from: Offset, max_bytes: usize, below: Offset, at_least_one: bool) -> Result<Read, Error> {
        let _ = (from, max_bytes, below, at_least_one);
        self.offline()
    }

    /// The first offset that can be read.
    pub fn start(&self) -> Offset {
        0
    }

    /// The offset that the next record gets.
    pub fn end(&self) -> Offset {
        0
    }

    /// Of all segments, without indexes.
    pub fn size_bytes(&self) -> u64 {
        0
    }

    /// Remembered for retention and the checkpoint; set by whoever replicates this log. Never moves past the end.
    pub fn set_high_watermark(&self, offset: Offset) {
        let _ = offset;
    }

    /// As last set, at first from the checkpoint; what follows it may be lost.
    pub fn high_watermark(&self) -> Offset {
        0
    }

    /// What precedes it is on the device.
    pub fn recovery_point(&self) -> Offset {
        0
    }

    /// The newest leader epoch in the log.
    pub fn latest_epoch(&self) -> Option<Epoch> {
        None
    }

    /// Where `epoch` ended: the largest epoch that is not after it, and the offset after its last record
    /// (OffsetForLeaderEpoch, KIP-101 and KIP-279). `None` when the log knows no such epoch.
    pub fn end_offset_for(&self, epoch: Epoch) -> Option<(Epoch, Offset)> {
        let _ = epoch;
        None
    }

    /// The first record whose timestamp is at or after `timestamp`.
    ///
    /// # Errors
    /// When the log cannot be read or the batch does not decompress.
    pub fn offset_for_time(&self, timestamp: i64) -> Result<Option<TimedOffset>, Error> {
        let _ = timestamp;
        self.offline()
    }

    /// The record with the largest timestamp; the first of several.
    ///
    /// # Errors
    /// When the log cannot be read or the batch does not decompress.
    pub fn max_timestamp(&self) -> Result<Option<TimedOffset>, Error> {
        self.offline()
    }

    /// Cuts off `offset` and all after it. A batch that contains it goes whole, so the end may be smaller.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn truncate_to(&self, offset: Offset) -> Result<(), Error> {
        let _ = offset;
        self.offline()
    }

    /// Removes everything; the next record gets `offset`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn restart_at(&self, offset: Offset) -> Result<(), Error> {
        let _ = offset;
        self.offline()
    }

    /// Records before `offset` can no longer be read (DeleteRecords); their segments go with time.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] after the end.
    pub fn advance_start(&self, offset: Offset) -> Result<(), Error> {
        let _ = offset;
        self.offline()
    }

    /// `epoch` begins at `start_offset`: said by a new leader before its first append.
    ///
    /// # Errors
    /// When the checkpoint cannot be written.
    pub fn assign_epoch(&self, epoch: Epoch, start_offset: Offset) -> Result<(), Error> {
        let _ = (epoch, start_offset);
        self.offline()
    }

    /// Applies retention by time and size to what lies before `high_watermark`; returns the bytes deleted.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn retain(&self, high_watermark: Offset) -> Result<u64, Error> {
        let _ = high_watermark;
        self.offline()
    }

    /// Returns once everything appended so far is on the device.
    ///
    /// # Errors
    /// When fsync fails; the log is offline then.
    pub fn flush(&self) -> Result<(), Error> {
        self.offline()
    }

    pub fn set_config(&self, config: LogConfig) {
        let _ = config;
    }

    pub fn config(&self) -> LogConfig {
        LogConfig::default()
    }

    /// Flushes and leaves everything as a clean start needs it; the log is not used afterwards.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn close(&self) -> Result<(), Error> {
        self.offline()
    }

    /// Removes it from the disk; everything else returns [`Error::Deleted`] afterwards.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete(&self) -> Result<(), Error> {
        self.offline()
    }

    /// The idempotent producers it remembers.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        Vec::new()
    }
}
