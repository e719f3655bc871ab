//! Walks the batches of a segment file from a position on, reading ahead in chunks.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::env::disk::File;
use crate::record::{Batch, HEADER_LEN, Header};

/// How much is read at once when only headers matter.
const HEADER_CHUNK: usize = 4 << 10;
/// How much is read at once when every byte is checked.
const WHOLE_CHUNK: usize = 1 << 20;

/// Walks batches; see [`Scan::header`] and [`Scan::whole`].
#[derive(Debug)]
pub(super) struct Scan {
    file: Arc<File>,
    position: u64,
    end: u64,
    buffer: Bytes,
    /// Where in the file the buffer begins.
    buffer_at: u64,
}

/// What the walk met.
#[derive(Debug)]
pub(super) enum Step<T> {
    /// A batch that begins at `position`.
    Batch { position: u64, batch: T },
    /// All bytes were batches.
    End,
    /// What is at the current position is no whole batch.
    Torn { why: String },
}

impl Scan {
    /// Over the file's bytes in `from..end`.
    pub(super) fn new(file: Arc<File>, from: u64, end: u64) -> Self {
        Self {
            file,
            position: from,
            end,
            buffer: Bytes::new(),
            buffer_at: from,
        }
    }

    /// Where the next step looks.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch's header; the records are skipped, not read.
    pub(super) fn header(&mut self) -> io::Result<Step<Header>> {
        let position = self.position;
        Ok(match self.parse(HEADER_CHUNK)? {
            Step::Batch { batch: header, .. } => {
                self.position += header.size() as u64;
                Step::Batch {
                    position,
                    batch: header,
                }
            }
            other => other,
        })
    }

    /// The next batch with all of its bytes.
    pub(super) fn whole(&mut self) -> io::Result<Step<Batch>> {
        let position = self.position;
        Ok(match self.parse(WHOLE_CHUNK)? {
            Step::Batch { batch: header, .. } => {
                let bytes = self.bytes(header.size(), WHOLE_CHUNK)?;
                if bytes.len() < header.size() {
                    return Ok(Step::Torn {
                        why: "the file ends within a batch".to_owned(),
                    });
                }
                self.position += header.size() as u64;
                Step::Batch {
                    position,
                    batch: Batch { header, bytes },
                }
            }
            Step::End => Step::End,
            Step::Torn { why } => Step::Torn { why },
        })
    }

    /// The batch that begins at `position`; `None` when the file ends within it.
    pub(super) fn whole_at(&self, position: u64, header: Header) -> io::Result<Option<Batch>> {
        let mut bytes = vec![0; header.size()];
        let read = self.file.read_at(&mut bytes, position)?;
        let whole = read == bytes.len();
        Ok(whole.then(|| Batch {
            header,
            bytes: bytes.into(),
        }))
    }

    fn parse(&mut self, chunk: usize) -> io::Result<Step<Header>> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Step::End);
        }
        let raw = self.bytes(HEADER_LEN, chunk)?;
        Ok(match Header::parse(&raw) {
            Ok(header) if header.size() as u64 > left => Step::Torn {
                why: "the file ends within a batch".to_owned(),
            },
            Ok(header) => Step::Batch {
                position: self.position,
                batch: header,
            },
            Err(error) => Step::Torn { why: error.to_string() },
        })
    }

    /// `len` bytes at the position, fewer at the end; reads a chunk ahead when they are not there.
    fn bytes(&mut self, len: usize, chunk: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let len = len.min(left);
        let skip = usize::try_from(self.position.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX);
        if skip.saturating_add(len) > self.buffer.len() {
            let mut fresh = vec![0; len.max(chunk).min(left)];
            let read = self.file.read_at(&mut fresh, self.position)?;
            fresh.truncate(read);
            self.buffer = fresh.into();
            self.buffer_at = self.position;
            return Ok(self.buffer.slice(..len.min(read)));
        }
        Ok(self.buffer.slice(skip..skip + len))
    }
}
