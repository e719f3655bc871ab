//! Decoding that cannot be made to allocate more than the frame justifies.
//!
//! The generated decoders reserve an array's announced count before they read its elements, so a frame of 30
//! bytes could ask for 2^31 of them and abort the process. Every element takes at least one byte, so a count
//! above the bytes that are left is a lie. [`decode`] hands the decoders a buffer that catches it:
//!
//! - Lengths of the flexible versions are unsigned varints, read byte by byte, and nothing else is a varint:
//!   one that exceeds what is left fails at its last byte.
//! - Lengths of the older versions are plain `INT32`s, which also carry timeouts and the like. A value above what is
//!   left is first replaced by -2, which no array accepts and any number does. Decoding that way
//!   succeeds only if it was a number; then the frame is decoded again as it is.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

/// A message that does not follow its schema.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) String);

impl Malformed {
    /// A message of `bytes` bytes, more than a frame's signed length can say.
    pub fn too_long(bytes: usize) -> Self {
        Self(format!("{bytes} bytes do not fit a frame"))
    }

    /// What does not follow the schema, for decoders written by hand.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Decodes one message from the front of `frame` and leaves the rest.
pub(super) fn decode<M: Decodable>(frame: &mut Bytes, version: i16) -> Result<M, Malformed> {
    let mut guarded = Guarded::new(frame.clone(), true);
    let mut message = M::decode(&mut guarded, version).map_err(malformed)?;
    if guarded.replaced {
        guarded = Guarded::new(frame.clone(), false);
        message = M::decode(&mut guarded, version).map_err(malformed)?;
    }
    *frame = guarded.bytes;
    Ok(message)
}

fn malformed(error: impl ToString) -> Malformed {
    Malformed(error.to_string().trim_end().to_owned())
}

struct Guarded {
    bytes: Bytes,
    /// The varint being read: its value so far and its bits.
    varint: u64,
    bits: u32,
    replaces: bool,
    replaced: bool,
}

impl Guarded {
    fn new(bytes: Bytes, replaces: bool) -> Self {
        Self {
            bytes,
            varint: 0,
            bits: 0,
            replaces,
            replaced: false,
        }
    }

    fn end_varint(&mut self) {
        self.varint = 0;
        self.bits = 0;
    }

    fn short(&self, requested: usize) -> TryGetError {
        TryGetError {
            requested,
            available: self.bytes.remaining(),
        }
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.end_varint();
        self.bytes.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        // The decoders stop at a fifth byte even if it announces a sixth, which no 32-bit varint has.
        if self.bits == 28 && byte >= 0x80 {
            return Err(self.short(usize::MAX));
        }
        // A boolean byte with the high bit set is taken for the start of a varint. That only makes the value of
        // a varint that follows appear larger and longer, so it errs towards refusing such a frame.
        let part = u64::from(byte & 0x7f).checked_shl(self.bits).unwrap_or(u64::MAX);
        self.varint = self.varint.saturating_add(part);
        self.bits += 7;
        if byte < 0x80 {
            let value = self.varint;
            self.end_varint();
            // Compact lengths are written plus one.
            if value > self.bytes.remaining() as u64 + 1 {
                return Err(self.short(usize::try_from(value).unwrap_or(usize::MAX)));
            }
        }
        Ok(byte)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.end_varint();
        let value = self.bytes.try_get_i32()?;
        let fits = usize::try_from(value).is_ok_and(|value| value <= self.bytes.remaining());
        if self.replaces && value > 0 && !fits {
            self.replaced = true;
            return Ok(-2);
        }
        Ok(value)
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.end_varint();
        self.bytes.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::{CreateTopicsRequest, JoinGroupRequest, MetadataRequest};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;

    #[test]
    fn an_array_count_beyond_the_frame_is_refused() {
        let mut old = BytesMut::new();
        old.put_i32(i32::MAX);
        decode::<MetadataRequest>(&mut old.freeze(), 1).expect_err("INT32 count");

        let mut flexible = Bytes::from_static(b"\xff\xff\xff\xff\x07");
        decode::<MetadataRequest>(&mut flexible, 9).expect_err("varint count");
        let mut flexible = Bytes::from_static(b"\xff\xff\xff\xff\x07\0\0\0");
        decode::<CreateTopicsRequest>(&mut flexible, 5).expect_err("varint count");
    }

    #[test]
    fn a_number_larger_than_the_frame_is_only_a_number() {
        let request = JoinGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_session_timeout_ms(i32::MAX)
            .with_rebalance_timeout_ms(300_000);
        for version in 0..=9 {
            let mut request = request.clone();
            if version == 0 {
                request.rebalance_timeout_ms = -1;
            }
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).expect("encodes");
            let mut frame = bytes.freeze();
            let decoded = decode::<JoinGroupRequest>(&mut frame, version).expect("decodes");
            assert_eq!(decoded.session_timeout_ms, i32::MAX);
            assert!(frame.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>, version in 0_i16..14) {
            let frame = Bytes::from(bytes);
            let _ = decode::<MetadataRequest>(&mut frame.clone(), version);
            let _ = decode::<CreateTopicsRequest>(&mut frame.clone(), version);
            let _ = decode::<JoinGroupRequest>(&mut frame.clone(), version);
        }
    }
}
