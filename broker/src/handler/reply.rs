//! An answer as the bytes to send, without copying the records in it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::Call;
use crate::wire::{self, Malformed};

/// One frame, length included, in pieces; empty for a request that wants no answer.
#[derive(Debug, Default)]
pub struct Reply {
    chunks: Vec<Bytes>,
    throttle: Duration,
    /// Where in the body it says so, if its kind of answer does not always say it at the same place.
    throttle_at: Option<usize>,
    exempt: bool,
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
        Ok(Self {
            chunks: vec![frame],
            ..Self::default()
        })
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
        Ok(Self {
            chunks,
            ..Self::default()
        })
    }

    /// Its client waits that long before its next request is read (KIP-219).
    pub fn throttled(mut self, wait: Duration) -> Self {
        self.throttle = wait;
        self
    }

    /// `throttle_time_ms` is that many bytes after the beginning of the body.
    pub(super) fn says_throttle_at(mut self, at: usize) -> Self {
        self.throttle_at = Some(at);
        self
    }

    /// To another broker: no quota is held against it.
    pub(super) fn exempt(mut self) -> Self {
        self.exempt = true;
        self
    }

    pub(super) fn is_exempt(&self) -> bool {
        self.exempt
    }

    pub(super) fn throttle_at(&self) -> Option<usize> {
        self.throttle_at
    }

    /// How long its client has to wait after it.
    pub fn throttle(&self) -> Duration {
        self.throttle
    }

    /// The number that is `at` bytes into the frame, its length included.
    pub(super) fn number(&self, at: usize) -> Option<i32> {
        let (chunk, at) = self.place(at)?;
        let bytes = self.chunks.get(chunk)?.get(at..at + 4)?;
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// Writes over the number that is `at` bytes into the frame.
    pub(super) fn set_number(&mut self, at: usize, number: i32) {
        let Some((chunk, at)) = self.place(at) else { return };
        let Some(chunk) = self.chunks.get_mut(chunk) else {
            return;
        };
        // Nobody else holds the head of an answer, so nothing is copied.
        let mut bytes = BytesMut::from(std::mem::take(chunk));
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        *chunk = bytes.freeze();
    }

    /// The piece that holds a place of the frame, and where in it.
    fn place(&self, mut at: usize) -> Option<(usize, usize)> {
        for (index, chunk) in self.chunks.iter().enumerate() {
            if at < chunk.len() {
                return Some((index, at));
            }
            at -= chunk.len();
        }
        None
    }

    /// The pieces to write, in order.
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }
}

/// A frame that is whole already.
impl From<Bytes> for Reply {
    fn from(frame: Bytes) -> Self {
        Self {
            chunks: vec![frame],
            ..Self::default()
        }
    }
}
