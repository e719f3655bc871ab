//! Batches made by the broker itself: the metadata log, internal topics, tests.

use bytes::Bytes;

use super::entry::{put_slice, put_varint};
use super::header::{HEADER_LEN, Header};
use super::{Compression, Error};

/// Collects records into one batch. Offsets count from 0: the log assigns the real ones.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: Header,
    records: Vec<u8>,
    compression: Compression,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    pub fn new() -> Self {
        let header = Header {
            base_offset: 0,
            length: 0,
            leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: 0,
        };
        Self {
            header,
            records: Vec::new(),
            compression: Compression::None,
        }
    }

    /// Compresses the records.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Marks it as an idempotent producer's, with the sequence number of its first record.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.header.attributes |= 0x10;
        self
    }

    /// Holds control records, for example a transaction's end.
    pub fn control(mut self) -> Self {
        self.header.attributes |= 0x20;
        self
    }

    /// Sets the first offset and the leader epoch; otherwise 0 and -1, for the log to assign.
    pub fn place(mut self, base_offset: i64, leader_epoch: i32) -> Self {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        self
    }

    /// Adds a record; `timestamp` in milliseconds since the Unix epoch.
    pub fn add(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> &mut Self {
        self.add_with_headers(timestamp, key, value, &[])
    }

    /// As [`BatchBuilder::add`], with headers.
    pub fn add_with_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> &mut Self {
        if self.header.count == 0 {
            self.header.base_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.header.last_offset_delta += 1;
        let mut body = vec![0]; // attributes
        put_varint(&mut body, timestamp.wrapping_sub(self.header.base_timestamp));
        put_varint(&mut body, i64::from(self.header.last_offset_delta));
        put_slice(&mut body, key);
        put_slice(&mut body, value);
        put_varint(&mut body, headers.len() as i64);
        for (key, value) in headers {
            put_slice(&mut body, Some(key));
            put_slice(&mut body, *value);
        }
        put_varint(&mut self.records, body.len() as i64);
        self.records.extend_from_slice(&body);
        self.header.count += 1;
        self
    }

    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// Of the records so far, uncompressed and with the header.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The batch as stored and sent.
    ///
    /// # Errors
    /// When it is empty, larger than 2 GiB, or the codec refuses.
    pub fn build(&self) -> Result<Bytes, Error> {
        if self.is_empty() {
            return Err(Error::Invalid {
                why: "it has no records",
            });
        }
        let mut header = self.header;
        match self.compression {
            Compression::None => header.with_content(Compression::None, &self.records),
            codec => header.with_content(codec, &codec.compress(&self.records)?),
        }
    }
}
