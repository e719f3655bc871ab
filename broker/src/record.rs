//! Kafka's record batch, format v2: read and patched in place, never re-encoded.
//!
//! A batch is 61 bytes of [`Header`] and its records, compressed as one block or not at all. The CRC
//! covers everything from the attributes on, so base offset and leader epoch can be set without touching
//! it. Bytes from outside are checked before use: bad ones give an [`Error`], never a panic, and
//! decompression stops at a limit.

mod builder;
mod compression;
mod entry;
mod header;
mod marker;
mod rewrite;

pub use builder::BatchBuilder;
pub use compression::Compression;
pub use entry::{Record, Records};
pub use header::{HEADER_LEN, Header};
pub use marker::Marker;

use bytes::Bytes;

/// What is wrong with bytes that should be record batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the batch ends after {found} bytes, {needed} are needed")]
    Truncated { needed: usize, found: usize },
    #[error("message format {magic} is not supported; only v2 is (Kafka 0.11 and later)")]
    UnsupportedMagic { magic: i8 },
    #[error("the batch at offset {offset} has CRC {found:#010x}, its content gives {computed:#010x}; it was damaged")]
    Crc { offset: i64, found: u32, computed: u32 },
    #[error("compression codec {codec} does not exist")]
    UnsupportedCompression { codec: i16 },
    #[error("the records do not decompress: {why}")]
    Decompress { why: String },
    #[error("the records decompress to more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the batch is malformed: {why}")]
    Malformed { why: &'static str },
    #[error("the batch breaks a rule: {why}")]
    Invalid { why: &'static str },
}

/// One batch: its header, parsed, and all of its bytes.
#[derive(Debug, Clone)]
pub struct Batch {
    pub header: Header,
    /// Header and records as stored and sent.
    pub bytes: Bytes,
}

impl Batch {
    /// Checks the CRC.
    ///
    /// # Errors
    /// [`Error::Crc`].
    pub fn check_crc(&self) -> Result<(), Error> {
        self.header.check_crc(&self.bytes)
    }

    /// Its records, decompressed to at most `limit` bytes.
    ///
    /// # Errors
    /// When they do not decompress; each record is checked as it is read.
    pub fn records(&self, limit: usize) -> Result<Records, Error> {
        Records::of(self, limit)
    }

    /// The same batch with its records compressed by `codec`, with its CRC computed anew. `limit` bounds them decompressed.
    ///
    /// # Errors
    /// When they do not decompress, or are larger than `limit`.
    pub fn recompressed(&self, codec: Compression, level: Option<i32>, limit: usize) -> Result<Self, Error> {
        let packed = self.bytes.slice(header::HEADER_LEN..);
        let plain = self.header.compression()?.decompress(&packed, limit)?;
        let records = codec.compress_at(&plain, level)?;
        let mut header = self.header;
        let bytes = header.with_content(codec, &records)?;
        Ok(Self { header, bytes })
    }
}

/// The batches in `bytes`, one after the other, without copying. Ends after the first error.
pub fn batches(bytes: Bytes) -> Batches {
    Batches { rest: bytes }
}

/// See [`batches`].
#[derive(Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let header = match Header::parse_whole(&self.rest) {
            Ok(header) => header,
            Err(error) => {
                self.rest.clear();
                return Some(Err(error));
            }
        };
        let bytes = self.rest.split_to(header.size());
        Some(Ok(Batch { header, bytes }))
    }
}

#[cfg(test)]
mod tests;
