//! An answer as the bytes to send, without copying the records in it.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::Call;
use crate::wire::{self, Malformed};

/// One frame, length included, in pieces; empty for a request that wants no answer.
#[derive(Debug, Default)]
pub struct Reply {
    chunks: Vec<Bytes>,
}

impl Reply {
    /// No answer at all: Produce with acks=0.
    pub fn none() -> Self {
        Self::default()
    }

    /// A generated message with its header.
    ///
    /// # Errors
    /// The message cannot be written in the version asked for.
    pub fn message<M: Encodable + HeaderVersion>(message: &M, call: &Call) -> Result<Self, Malformed> {
        let frame = wire::encode_response(message, call.version, call.correlation)?;
        Ok(Self { chunks: vec![frame] })
    }

    /// A body in pieces, for answers that carry records. `flexible`: the response header ends with tagged fields.
    ///
    /// # Errors
    /// The pieces are too long for one frame together.
    pub fn pieces(call: &Call, flexible: bool, body: Vec<Bytes>) -> Result<Self, Malformed> {
        let header = 4 + usize::from(flexible);
        let length = header + body.iter().map(Bytes::len).sum::<usize>();
        let announced = i32::try_from(length).map_err(|_| Malformed::too_long(length))?;
        let mut start = BytesMut::with_capacity(4 + header);
        start.put_i32(announced);
        start.put_i32(call.correlation);
        if flexible {
            start.put_u8(0);
        }
        let mut chunks = Vec::with_capacity(body.len() + 1);
        chunks.push(start.freeze());
        chunks.extend(body.into_iter().filter(|piece| !piece.is_empty()));
        Ok(Self { chunks })
    }

    /// The pieces to write, in order.
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }
}
