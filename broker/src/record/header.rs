//! The 61 bytes that every batch begins with.
//!
//! ```text
//!  0 base offset i64        17 crc32c u32 (of 21..)     43 producer id i64
//!  8 length i32 (of 12..)   21 attributes i16           51 producer epoch i16
//! 12 leader epoch i32       23 last offset delta i32    53 base sequence i32
//! 16 magic i8 = 2           27 base timestamp i64       57 record count i32
//!                           35 max timestamp i64        61 records
//! ```

use bytes::Bytes;

use super::{Compression, Error};

/// How many bytes a header takes.
pub const HEADER_LEN: usize = 61;

/// Base offset and length: what precedes the bytes that the length counts.
const LENGTH_END: usize = 12;

const EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// A batch's header. Field by field as stored; the methods say what they mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub base_offset: i64,
    /// Of what follows this field, in bytes; at least 49.
    pub length: i32,
    /// -1 before a leader set it.
    pub leader_epoch: i32,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    /// Milliseconds since the Unix epoch; -1 for none.
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    /// -1 for a producer that is not idempotent.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

impl Header {
    /// Reads the header at the beginning of `bytes`; the records need not be there.
    ///
    /// # Errors
    /// When there are fewer than 61 bytes, the magic is not 2, or numbers contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let Some(raw) = bytes.first_chunk::<HEADER_LEN>() else {
            // The magic is at the same place in all formats, and says more than "too short".
            return Err(match bytes.get(MAGIC_AT) {
                Some(magic @ (0 | 1)) => Error::UnsupportedMagic {
                    magic: i8::from_ne_bytes([*magic]),
                },
                _ => Error::Truncated {
                    needed: HEADER_LEN,
                    found: bytes.len(),
                },
            });
        };
        let magic = i8::from_be_bytes(at(raw, MAGIC_AT));
        if magic != 2 {
            return Err(Error::UnsupportedMagic { magic });
        }
        let header = Self {
            base_offset: i64::from_be_bytes(at(raw, 0)),
            length: i32::from_be_bytes(at(raw, 8)),
            leader_epoch: i32::from_be_bytes(at(raw, EPOCH_AT)),
            crc: u32::from_be_bytes(at(raw, CRC_AT)),
            attributes: i16::from_be_bytes(at(raw, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(at(raw, 23)),
            base_timestamp: i64::from_be_bytes(at(raw, 27)),
            max_timestamp: i64::from_be_bytes(at(raw, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(at(raw, 43)),
            producer_epoch: i16::from_be_bytes(at(raw, 51)),
            base_sequence: i32::from_be_bytes(at(raw, 53)),
            count: i32::from_be_bytes(at(raw, 57)),
        };
        header.check().map(|()| header)
    }

    /// As [`Header::parse`], and all of the batch's bytes must be there.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn parse_whole(bytes: &[u8]) -> Result<Self, Error> {
        let header = Self::parse(bytes)?;
        if bytes.len() < header.size() {
            return Err(Error::Truncated {
                needed: header.size(),
                found: bytes.len(),
            });
        }
        Ok(header)
    }

    fn check(&self) -> Result<(), Error> {
        let malformed = |why| Err(Error::Malformed { why });
        if self.length < (HEADER_LEN - LENGTH_END) as i32 {
            return malformed("its length is shorter than its header");
        }
        if self.base_offset < 0
            || self
                .base_offset
                .checked_add(i64::from(self.last_offset_delta) + 1)
                .is_none()
        {
            return malformed("its base offset is out of range");
        }
        if self.last_offset_delta < 0 {
            return malformed("its last offset is before its first");
        }
        if self.count < 0 {
            return malformed("its record count is negative");
        }
        Ok(())
    }

    /// Of the whole batch, in bytes.
    pub fn size(&self) -> usize {
        // Not negative: checked when parsed.
        usize::try_from(self.length).unwrap_or(0) + LENGTH_END
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// # Errors
    /// [`Error::UnsupportedCompression`].
    pub fn compression(&self) -> Result<Compression, Error> {
        Compression::from_code(self.attributes & COMPRESSION_MASK)
    }

    /// All records have the time at which they were appended: `max_timestamp`.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Holds a transaction marker or another record that clients do not see.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Sent by an idempotent producer.
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record; numbers wrap from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last % (i64::from(i32::MAX) + 1)).unwrap_or(0)
    }

    /// Compares the CRC with that of `batch`, the bytes this was parsed from.
    ///
    /// # Errors
    /// [`Error::Crc`]; [`Error::Truncated`] when bytes are missing.
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), Error> {
        let content = batch.get(ATTRIBUTES_AT..self.size()).ok_or(Error::Truncated {
            needed: self.size(),
            found: batch.len(),
        })?;
        let computed = crc32c::crc32c(content);
        if computed == self.crc {
            return Ok(());
        }
        Err(Error::Crc {
            offset: self.base_offset,
            found: self.crc,
            computed,
        })
    }

    /// Gives the batch at the beginning of `batch` its place in the log. The CRC does not cover these.
    pub fn assign(&mut self, batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        put(batch, 0, &base_offset.to_be_bytes());
        put(batch, EPOCH_AT, &leader_epoch.to_be_bytes());
    }

    /// Gives all of its records the time `now_ms`, and the batch a new CRC.
    pub fn set_log_append_time(&mut self, batch: &mut [u8], now_ms: i64) {
        self.attributes |= LOG_APPEND_TIME;
        self.max_timestamp = now_ms;
        put(batch, ATTRIBUTES_AT, &self.attributes.to_be_bytes());
        put(batch, MAX_TIMESTAMP_AT, &now_ms.to_be_bytes());
        self.reseal(batch);
    }

    /// A batch of this header and these records, which `codec` compressed; length, codec and CRC follow from them.
    ///
    /// # Errors
    /// When it would be larger than 2 GiB.
    pub(super) fn with_content(&mut self, codec: Compression, records: &[u8]) -> Result<Bytes, Error> {
        self.length = i32::try_from(HEADER_LEN - LENGTH_END + records.len()).map_err(|_| Error::Invalid {
            why: "it is larger than 2 GiB",
        })?;
        self.attributes = (self.attributes & !COMPRESSION_MASK) | codec.code();
        let mut batch = Vec::with_capacity(HEADER_LEN + records.len());
        batch.extend_from_slice(&self.encode());
        batch.extend_from_slice(records);
        self.reseal(&mut batch);
        Ok(batch.into())
    }

    /// Computes the CRC anew after a change of the content.
    pub(super) fn reseal(&mut self, batch: &mut [u8]) {
        if let Some(content) = batch.get(ATTRIBUTES_AT..self.size()) {
            self.crc = crc32c::crc32c(content);
            put(batch, CRC_AT, &self.crc.to_be_bytes());
        }
    }

    /// Of a transactional batch whose records are not known yet.
    pub fn of_producer(producer_id: i64, producer_epoch: i16) -> Self {
        Self {
            base_offset: 0,
            length: 0,
            leader_epoch: -1,
            crc: 0,
            attributes: TRANSACTIONAL,
            last_offset_delta: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id,
            producer_epoch,
            base_sequence: -1,
            count: 0,
        }
    }

    /// The header as stored.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut raw = [0; HEADER_LEN];
        put(&mut raw, 0, &self.base_offset.to_be_bytes());
        put(&mut raw, 8, &self.length.to_be_bytes());
        put(&mut raw, EPOCH_AT, &self.leader_epoch.to_be_bytes());
        raw[MAGIC_AT] = 2;
        put(&mut raw, CRC_AT, &self.crc.to_be_bytes());
        put(&mut raw, ATTRIBUTES_AT, &self.attributes.to_be_bytes());
        put(&mut raw, 23, &self.last_offset_delta.to_be_bytes());
        put(&mut raw, 27, &self.base_timestamp.to_be_bytes());
        put(&mut raw, MAX_TIMESTAMP_AT, &self.max_timestamp.to_be_bytes());
        put(&mut raw, 43, &self.producer_id.to_be_bytes());
        put(&mut raw, 51, &self.producer_epoch.to_be_bytes());
        put(&mut raw, 53, &self.base_sequence.to_be_bytes());
        put(&mut raw, 57, &self.count.to_be_bytes());
        raw
    }
}

/// The `N` bytes at `from`; the caller names a field within the header.
fn at<const N: usize>(raw: &[u8; HEADER_LEN], from: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&raw[from..from + N]);
    field
}

/// Writes `value` at `from`, if the buffer is that long.
fn put(buffer: &mut [u8], from: usize, value: &[u8]) {
    if let Some(field) = buffer.get_mut(from..from + value.len()) {
        field.copy_from_slice(value);
    }
}
