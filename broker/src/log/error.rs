//! Why a log could not do what it was asked, and the protocol's code for it.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use kafka_protocol::ResponseError;

use crate::id::{Epoch, Offset};
use crate::record;

/// Why a log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the batch is not valid: {0}")]
    Record(#[from] record::Error),
    #[error("a batch of {size} bytes is larger than max.message.bytes={max}; send smaller batches or raise it")]
    TooLarge { size: usize, max: u32 },
    #[error("{size} bytes in one append do not fit into a segment of segment.bytes={max}")]
    LargerThanSegment { size: usize, max: u32 },
    #[error(
        "timestamp {timestamp} is more than message.timestamp.after.max.ms={max_after} ms ahead of the broker's clock"
    )]
    Timestamp { timestamp: i64, max_after: i64 },
    #[error("timestamps more than message.timestamp.before.max.ms={max_before} ms behind the broker's clock")]
    TooOld { records: Vec<i32>, max_before: i64 },
    #[error("the record batch may not be written by a client: {why}")]
    Invalid { why: &'static str },
    #[error("records of a compacted topic need a key; {} of the batch have none", records.len())]
    Keyless { records: Vec<i32> },
    #[error("producer {producer} sent sequence {found}, expected {expected}; batches before it were lost")]
    OutOfOrderSequence { producer: i64, expected: i32, found: i32 },
    #[error("producer {producer} has epoch {found}, but epoch {current} is in use; a newer instance took over")]
    FencedProducer { producer: i64, found: i16, current: i16 },
    #[error(
        "producer {producer} has no transaction open here, and its coordinator was not asked whether one may begin"
    )]
    NotInTransaction { producer: i64 },
    #[error("a transaction coordinator of epoch {found} was replaced by one of epoch {current}")]
    FencedCoordinator { found: Epoch, current: Epoch },
    #[error("offset {offset} is outside of {start}..={end}")]
    OffsetOutOfRange { offset: Offset, start: Offset, end: Offset },
    #[error("a follower was given offset {found}, but its log ends at {end}")]
    NotContiguous { found: Offset, end: Offset },
    #[error("leader epoch {found} is older than {latest}, the newest in the log")]
    StaleEpoch { found: Epoch, latest: Epoch },
    #[error("the volume of {} is full; the directory is offline until there is room and the broker is started again", .path.display())]
    Full { path: PathBuf },
    #[error("{} failed: {source}; the directory is offline until the broker is restarted on a sound volume", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is offline after an earlier failure; restart the broker on a sound volume", .path.display())]
    Offline { path: PathBuf },
    #[error("{} is closed; the broker is stopping", .path.display())]
    Closed { path: PathBuf },
    #[error("{} was deleted", .path.display())]
    Deleted { path: PathBuf },
    #[error("{}: {why}", .path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("{} is already in use by another process; stop it or choose another log.dirs", .path.display())]
    InUse { path: PathBuf },
    #[error("{} belongs to {what} {found}, not to {expected}; choose another log.dirs or remove it", .path.display())]
    Foreign {
        path: PathBuf,
        what: &'static str,
        found: String,
        expected: String,
    },
    #[error("no log directory is online; all of log.dirs have failed")]
    NoDirectory,
}

impl Error {
    /// The protocol's code for it.
    pub fn code(&self) -> ResponseError {
        match self {
            Self::Record(record::Error::Invalid { .. }) | Self::Invalid { .. } | Self::Keyless { .. } => {
                ResponseError::InvalidRecord
            }
            Self::Record(record::Error::UnsupportedMagic { .. }) => ResponseError::UnsupportedForMessageFormat,
            Self::Record(record::Error::UnsupportedCompression { .. }) => ResponseError::UnsupportedCompressionType,
            Self::Record(_) => ResponseError::CorruptMessage,
            Self::TooLarge { .. } => ResponseError::MessageTooLarge,
            Self::LargerThanSegment { .. } => ResponseError::RecordListTooLarge,
            Self::Timestamp { .. } | Self::TooOld { .. } => ResponseError::InvalidTimestamp,
            Self::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
            Self::NotInTransaction { .. } => ResponseError::InvalidTxnState,
            Self::FencedCoordinator { .. } => ResponseError::TransactionCoordinatorFenced,
            Self::FencedProducer { .. } => ResponseError::InvalidProducerEpoch,
            Self::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
            Self::StaleEpoch { .. } => ResponseError::FencedLeaderEpoch,
            Self::Deleted { .. } => ResponseError::UnknownTopicOrPartition,
            Self::NotContiguous { .. }
            | Self::Full { .. }
            | Self::Io { .. }
            | Self::Offline { .. }
            | Self::Closed { .. }
            | Self::Malformed { .. }
            | Self::InUse { .. }
            | Self::Foreign { .. }
            | Self::NoDirectory => ResponseError::KafkaStorageError,
        }
    }

    /// Whether the disk is at fault, so that its directory goes offline (KIP-112). Too many open files are the process's
    /// own fault and pass.
    pub(super) fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => {
                let errno = source.raw_os_error();
                ![rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
                    .iter()
                    .any(|own| errno == Some(own.raw_os_error()))
            }
            _ => false,
        }
    }

    /// Names the file of an I/O error.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::StorageFull {
                Self::Full { path }
            } else {
                Self::Io { path, source }
            }
        }
    }
}
