//! Length-delimited frames: four bytes of length, big endian, then that many bytes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Kafka's default of `socket.request.max.bytes`: 100 MiB.
pub const MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// Memory grows with what arrived, not with what was announced: at most this much ahead of it.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Free space kept for the next read while the length is not known.
const IDLE_BYTES: usize = 8 * 1024;

/// The same of a lean reader: a longer frame takes one read more.
const LEAN_IDLE_BYTES: usize = 256;

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a frame of {bytes} bytes is announced; the limit is {limit}")]
    TooLarge { bytes: u64, limit: usize },
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
    /// Lets go of a frame's room once it is taken.
    lean: bool,
}

impl FrameReader {
    /// `limit`: the largest frame accepted, in bytes without the length field.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
            lean: false,
        }
    }

    /// For one of many connections that mostly rest: it keeps no room of its largest frame. Others use it again, which spares
    /// an allocation for each.
    pub fn lean(limit: usize) -> Self {
        Self {
            lean: true,
            ..Self::new(limit)
        }
    }

    /// Another limit for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The next frame without its length; `None` when the stream ended between frames.
    ///
    /// Cancel safe: bytes that arrived stay in the reader.
    pub async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            self.make_room();
            let ended = match stream.read_buf(&mut self.buffer).await {
                Ok(read) => read == 0,
                // TLS without a farewell: frames have lengths, so nothing can be cut off unseen.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
                Err(error) => return Err(error.into()),
            };
            if ended {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// A frame that is already here.
    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.announced()? else {
            return Ok(None);
        };
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(4 + length).freeze();
        if self.lean && self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame.split_off(4)))
    }

    fn announced(&self) -> Result<Option<usize>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        // A negative length reads as more than 2 GiB and is refused like any other that is too large.
        let bytes = u32::from_be_bytes(*length);
        match usize::try_from(bytes) {
            Ok(length) if length <= self.limit => Ok(Some(length)),
            _ => Err(FrameError::TooLarge {
                bytes: bytes.into(),
                limit: self.limit,
            }),
        }
    }

    fn make_room(&mut self) {
        let missing = match self.announced() {
            Ok(Some(length)) => (4 + length).saturating_sub(self.buffer.len()),
            _ if self.lean => LEAN_IDLE_BYTES,
            _ => IDLE_BYTES,
        };
        // Doubling keeps the copying linear; the read-ahead spares it for ordinary frames.
        let step = READ_AHEAD_BYTES.max(self.buffer.len());
        self.buffer.reserve(missing.clamp(1, step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_cut_wherever_the_stream_was() {
        let (mut client, mut server) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            client.write_all(b"\0\0\0\x05hello\0\0\0\0\0\0\0\x01!").await
        });
        let mut frames = FrameReader::new(16);
        let mut seen = Vec::new();
        while let Some(frame) = frames.next(&mut server).await.expect("whole frames") {
            seen.push(frame);
        }
        writer.await.expect("joins").expect("writes");
        assert_eq!(seen, [&b"hello"[..], b"", b"!"]);
    }

    #[tokio::test]
    async fn a_length_past_the_limit_is_refused_before_it_is_read() {
        for length in [17_u32, u32::MAX] {
            let mut stream = &length.to_be_bytes()[..];
            let error = FrameReader::new(16).next(&mut stream).await.expect_err("refused");
            assert!(matches!(error, FrameError::TooLarge { limit: 16, .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn an_announced_length_alone_costs_little_memory() {
        let length = u32::try_from(MAX_FRAME_BYTES).expect("fits");
        let mut stream = &length.to_be_bytes()[..];
        let mut frames = FrameReader::new(MAX_FRAME_BYTES);
        frames
            .next(&mut stream)
            .await
            .expect_err("the stream ends inside the frame");
        assert!(frames.buffer.capacity() <= 2 * READ_AHEAD_BYTES);
    }
}
