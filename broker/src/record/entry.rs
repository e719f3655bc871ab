//! The records inside a batch: lengths and deltas as zigzag varints, keys and values as slices.

use bytes::Bytes;

use super::{Batch, Error, HEADER_LEN};

/// One record. Key, value and headers point into the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// The records of one batch in order. Ends after the first error.
#[derive(Debug)]
pub struct Records {
    rest: Cursor,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    /// Set when the batch says that all records have one time.
    timestamp: Option<i64>,
}

impl Records {
    pub(super) fn of(batch: &Batch, limit: usize) -> Result<Self, Error> {
        let header = &batch.header;
        let packed = batch.bytes.slice(HEADER_LEN..header.size());
        let plain = header.compression()?.decompress(&packed, limit)?;
        Ok(Self {
            rest: Cursor(plain),
            left: header.count,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            timestamp: header.is_log_append_time().then_some(header.max_timestamp),
        })
    }

    fn read(&mut self) -> Result<Record, Error> {
        let length = self.rest.length()?.ok_or(Error::Malformed {
            why: "a record has no length",
        })?;
        let mut body = Cursor(self.rest.take(length)?);
        body.take(1)?; // attributes, unused in v2
        let timestamp_delta = body.varint()?;
        let offset_delta = body.varint()?;
        let key = body.slice()?;
        let value = body.slice()?;
        let count = body.varint()?;
        let mut headers = Vec::new();
        // Each header takes two bytes at least, so the count cannot make this grow beyond the input.
        if count < 0 || count > body.0.len() as i64 {
            return Err(Error::Malformed {
                why: "a record's header count is out of range",
            });
        }
        for _ in 0..count {
            let key = body.slice()?.ok_or(Error::Malformed {
                why: "a header has no key",
            })?;
            headers.push((key, body.slice()?));
        }
        if !body.0.is_empty() {
            return Err(Error::Malformed {
                why: "a record is longer than its fields",
            });
        }
        Ok(Record {
            offset: self.base_offset.wrapping_add(offset_delta),
            timestamp: self
                .timestamp
                .unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            key,
            value,
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        let record = self.read();
        self.left = if record.is_ok() { self.left - 1 } else { 0 };
        Some(record)
    }
}

#[derive(Debug)]
struct Cursor(Bytes);

impl Cursor {
    fn take(&mut self, length: usize) -> Result<Bytes, Error> {
        if length > self.0.len() {
            return Err(Error::Truncated {
                needed: length,
                found: self.0.len(),
            });
        }
        Ok(self.0.split_to(length))
    }

    /// A length in front of bytes; -1 is null.
    fn length(&mut self) -> Result<Option<usize>, Error> {
        match self.varint()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Error::Malformed {
                why: "a length is negative",
            }),
        }
    }

    fn slice(&mut self) -> Result<Option<Bytes>, Error> {
        self.length()?.map(|length| self.take(length)).transpose()
    }

    fn varint(&mut self) -> Result<i64, Error> {
        let mut value = 0_u64;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = self.0.split_off(index + 1);
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Error::Malformed {
            why: "a varint does not end",
        })
    }
}

/// Appends `value` in zigzag varint form.
pub(super) fn put_varint(into: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        into.push((zigzag as u8 & 0x7f) | 0x80);
        zigzag >>= 7;
    }
    into.push(zigzag as u8);
}

/// Appends a length and the bytes; -1 for none.
pub(super) fn put_slice(into: &mut Vec<u8>, slice: Option<&[u8]>) {
    match slice {
        None => put_varint(into, -1),
        Some(slice) => {
            put_varint(into, slice.len() as i64);
            into.extend_from_slice(slice);
        }
    }
}
