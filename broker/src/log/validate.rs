//! What a batch must be before it is appended.

use bytes::{Bytes, BytesMut};

use super::Error;
use super::config::LogConfig;
use crate::record;
use crate::record::{Batch, Compression, Header};

/// Records are only looked at on compacted topics, and then only so much of them at once.
const DECOMPRESSED_LIMIT: usize = 64 << 20;

/// Who made the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client: every rule applies.
    Client,
    /// This broker: control batches and large ones are fine.
    Internal,
    /// The leader, which has judged them.
    Leader,
}

/// The batches as `compression.type` wants them stored, and their headers. Control batches stay as they are.
///
/// # Errors
/// When the records do not decompress, or are larger than `max.message.bytes` then.
pub(super) fn recompress(
    bytes: &Bytes,
    config: &LogConfig,
    (codec, level): (Compression, Option<i32>),
    origin: Origin,
) -> Result<(BytesMut, Vec<Header>), Error> {
    let max = config.max_message_bytes;
    let limit = match codec {
        Compression::None => max as usize,
        _ => DECOMPRESSED_LIMIT,
    };
    let mut stored = BytesMut::with_capacity(bytes.len());
    let mut headers = Vec::with_capacity(1);
    for batch in record::batches(bytes.clone()) {
        let mut batch = batch?;
        if !batch.header.is_control() && batch.header.compression()? != codec {
            batch = match batch.recompressed(codec, level, limit) {
                Err(record::Error::TooLarge { limit: size }) => return Err(Error::TooLarge { size, max }),
                other => other?,
            };
            if origin == Origin::Client && batch.header.size() > max as usize {
                let size = batch.header.size();
                return Err(Error::TooLarge { size, max });
            }
        }
        stored.extend_from_slice(&batch.bytes);
        headers.push(batch.header);
    }
    Ok((stored, headers))
}

/// Checks every batch, and returns their headers.
pub(super) fn validate(bytes: &Bytes, config: &LogConfig, origin: Origin, now_ms: i64) -> Result<Vec<Header>, Error> {
    let mut headers = Vec::with_capacity(1);
    for batch in record::batches(bytes.clone()) {
        let batch = batch?;
        if origin == Origin::Client {
            client_rules(&batch, config, now_ms)?;
        }
        batch.check_crc()?;
        if origin == Origin::Client {
            if config.compact {
                keys(&batch)?;
            }
            ages(&batch, config, now_ms)?;
        }
        headers.push(batch.header);
    }
    if headers.is_empty() {
        return Err(Error::Invalid {
            why: "there is no batch",
        });
    }
    let max = config.segment_bytes;
    if origin == Origin::Client && bytes.len() > max as usize {
        return Err(Error::LargerThanSegment { size: bytes.len(), max });
    }
    Ok(headers)
}

fn client_rules(batch: &Batch, config: &LogConfig, now_ms: i64) -> Result<(), Error> {
    let header = &batch.header;
    if header.size() > config.max_message_bytes as usize {
        return Err(Error::TooLarge {
            size: header.size(),
            max: config.max_message_bytes,
        });
    }
    header.compression()?;
    let invalid = |why| Err(Error::Invalid { why });
    if header.count <= 0 || header.last_offset_delta != header.count - 1 {
        return invalid("its record count does not agree with its offsets");
    }
    if header.is_control() {
        return invalid("control batches are the broker's own");
    }
    if header.has_producer() && (header.producer_epoch < 0 || header.base_sequence < 0) {
        return invalid("a producer id needs an epoch and a sequence number");
    }
    if header.is_transactional() && !header.has_producer() {
        return invalid("a transaction needs a producer id");
    }
    let create_time = config.timestamp_type == super::TimestampType::Create;
    if create_time && header.max_timestamp.saturating_sub(now_ms) > config.timestamp_after_max_ms {
        let max_after = config.timestamp_after_max_ms;
        return Err(Error::Timestamp {
            timestamp: header.max_timestamp,
            max_after,
        });
    }
    Ok(())
}

/// `message.timestamp.before.max.ms`, which is looked at only where it is set: the header tells the newest record alone.
fn ages(batch: &Batch, config: &LogConfig, now_ms: i64) -> Result<(), Error> {
    let Some(max_before) = config.timestamp_before_max_ms else {
        return Ok(());
    };
    if config.timestamp_type == super::TimestampType::LogAppend {
        return Ok(());
    }
    let mut records = Vec::new();
    for (index, record) in (0..).zip(batch.records(DECOMPRESSED_LIMIT)?) {
        let timestamp = record?.timestamp;
        // -1 is "no timestamp".
        if timestamp >= 0 && now_ms.saturating_sub(timestamp) > max_before {
            records.push(index);
        }
    }
    if records.is_empty() {
        return Ok(());
    }
    Err(Error::TooOld { records, max_before })
}

fn keys(batch: &Batch) -> Result<(), Error> {
    let mut keyless = Vec::new();
    for (index, record) in (0..).zip(batch.records(DECOMPRESSED_LIMIT)?) {
        if record?.key.is_none() {
            keyless.push(index);
        }
    }
    if keyless.is_empty() {
        return Ok(());
    }
    Err(Error::Keyless { records: keyless })
}
