//! What one log is told by its topic's configuration; the defaults are Kafka's.

use crate::record::Compression;

/// Who sets the timestamps of records: `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's clock.
    #[default]
    Create,
    /// The broker's clock when it appends.
    LogAppend,
}

/// One log's configuration. Sizes in bytes, times in milliseconds; `None` is "no limit" (-1 in Kafka).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it grows past this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is closed once its records span this much time.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: by how much `segment_ms` is shortened at most, differently for each segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is closed before an index grows past this.
    pub segment_index_bytes: u32,
    /// `preallocate`: room for a whole segment is reserved when it begins.
    pub preallocate: bool,
    /// `file.delete.delay.ms`: what is deleted stays on the disk so long.
    pub file_delete_delay_ms: i64,
    /// `index.interval.bytes`: an index entry every so many bytes of log.
    pub index_interval_bytes: u32,
    /// `retention.ms`.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`, for this one partition.
    pub retention_bytes: Option<i64>,
    /// `cleanup.policy` contains `delete`: retention applies.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`: every record must have a key, and of each key the newest stays.
    pub compact: bool,
    /// `delete.retention.ms`: how long tombstones stay, and the markers of transactions of which nothing is left.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: a younger record is not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: an older record is compacted, however clean the log is.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths: a log is compacted once more of it is dirty.
    pub min_cleanable_dirty_ppm: u32,
    /// `max.message.bytes`: of one batch as sent.
    pub max_message_bytes: u32,
    /// `compression.type` and its level; `None` stores batches as the producer compressed them.
    pub compression: Option<(Compression, Option<i32>)>,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far in the past a record's timestamp may be; `None` is no limit.
    pub timestamp_before_max_ms: Option<i64>,
    /// `message.timestamp.after.max.ms`: how far in the future a record's timestamp may be.
    pub timestamp_after_max_ms: i64,
    /// `flush.messages`: fsync once so many records are unflushed; `None` leaves it to the kernel.
    pub flush_messages: Option<i64>,
    /// `flush.ms`: fsync once the oldest unflushed append is so old.
    pub flush_ms: Option<i64>,
    /// `producer.id.expiration.ms`: a producer that was silent so long is forgotten.
    pub producer_id_expiration_ms: i64,
    /// How many bytes of the newest appends are kept in memory for readers at the tail.
    pub tail_cache_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            preallocate: false,
            file_delete_delay_ms: 60_000,
            index_interval_bytes: 4_096,
            retention_ms: Some(7 * DAY_MS),
            retention_bytes: None,
            delete: true,
            compact: false,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ppm: 500_000,
            max_message_bytes: 1_048_588,
            compression: None,
            timestamp_type: TimestampType::Create,
            timestamp_before_max_ms: None,
            timestamp_after_max_ms: 60 * 60 * 1_000,
            flush_messages: None,
            flush_ms: None,
            producer_id_expiration_ms: DAY_MS,
            tail_cache_bytes: 1 << 20,
        }
    }
}
