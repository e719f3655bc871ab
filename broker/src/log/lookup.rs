//! Reading: by offset and by time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};

use super::segment::Segment;
use super::tail::cut;
use super::{Error, Log, Read, ReadChunks, State, TimedOffset};
use crate::env::disk::File;
use crate::id::Offset;
use crate::record;
use crate::record::{Batch, Header};

/// A batch is decompressed to find one record's time; a larger one is an error instead of an allocation.
const DECOMPRESSED_LIMIT: usize = 256 << 20;

/// A stretch of a segment's file to be read after the lock is released.
struct Stretch {
    file: Arc<File>,
    position: u64,
    len: usize,
}

impl Log {
    /// Whole batches from the one that contains `from`, at most `max_bytes`, all of them before `below`.
    /// With `at_least_one` the first batch is returned even if it is larger (KIP-74).
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] when `from` is before the start or after the end.
    pub fn read(&self, from: Offset, max_bytes: usize, below: Offset, at_least_one: bool) -> Result<Read, Error> {
        let mut found = self.read_chunks(from, max_bytes, below, at_least_one)?;
        let records = match found.chunks.len() {
            0 => Bytes::new(),
            1 => found.chunks.remove(0),
            _ => {
                let mut joined = BytesMut::with_capacity(found.size);
                for chunk in &found.chunks {
                    joined.extend_from_slice(chunk);
                }
                joined.freeze()
            }
        };
        Ok(Read {
            records,
            next: found.next,
        })
    }

    /// As [`Log::read`], but what is in memory in several pieces is not joined: for vectored writes.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_chunks(
        &self,
        from: Offset,
        max_bytes: usize,
        below: Offset,
        at_least_one: bool,
    ) -> Result<ReadChunks, Error> {
        let mut state = self.lock()?;
        let (start, end) = (self.start(), self.end());
        if from < start || from > end {
            return Err(Error::OffsetOutOfRange {
                offset: from,
                start,
                end,
            });
        }
        let below = below.min(end);
        let nothing = ReadChunks {
            chunks: Vec::new(),
            size: 0,
            next: from,
        };
        if from >= below {
            return Ok(nothing);
        }
        if let Some((chunks, next)) = state.tail.read(from, max_bytes, below, at_least_one) {
            let size = chunks.iter().map(Bytes::len).sum();
            return Ok(ReadChunks { chunks, size, next });
        }
        let found = self.find(&mut state, from);
        let Some((index, position, first)) = self.judge(found)? else {
            return Ok(nothing);
        };
        let fits = at_least_one || first.size() <= max_bytes;
        if first.next_offset() > below || !fits {
            return Ok(nothing);
        }
        let stretch = self.stretch(&mut state.segments[index], position, max_bytes.max(first.size()));
        let stretch = self.judge(stretch)?;
        drop(state);
        let bytes = self.fetch(&stretch)?;
        match cut(&bytes, from, max_bytes, below, at_least_one) {
            Some((records, next)) => Ok(ReadChunks {
                size: records.len(),
                chunks: vec![records],
                next,
            }),
            // Cut off by a truncation between looking and reading: the caller asks again.
            None => Ok(nothing),
        }
    }

    /// As [`Log::read_chunks`], with producer and first offset of the aborted transactions among the records.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_stable(
        &self,
        from: Offset,
        max_bytes: usize,
        below: Offset,
        at_least_one: bool,
    ) -> Result<(ReadChunks, Vec<(i64, Offset)>), Error> {
        loop {
            let swaps = self.swaps.load(Ordering::Acquire);
            let read = self.read_chunks(from, max_bytes, below, at_least_one)?;
            let aborted = match read.chunks.is_empty() {
                true => Vec::new(),
                false => self.aborted(from, read.next),
            };
            // Compaction takes aborted transactions out of logs and indexes: both have to be from before, or from after.
            if self.swaps.load(Ordering::Acquire) == swaps {
                return Ok((read, aborted));
            }
        }
    }

    /// The first batch that ends at or after `offset`: its segment, its position and its header.
    fn find(&self, state: &mut State, offset: Offset) -> Result<Option<(usize, u64, Header)>, Error> {
        let first = state
            .segments
            .partition_point(|segment| segment.base <= offset)
            .saturating_sub(1);
        for (index, segment) in state.segments.iter_mut().enumerate().skip(first) {
            // Compaction leaves gaps, also at the end of a segment: the next one goes on.
            if let Some((position, header)) = segment.find_offset(&self.disk, offset)? {
                return Ok(Some((index, position, header)));
            }
        }
        Ok(None)
    }

    fn stretch(&self, segment: &mut Segment, position: u64, len: usize) -> Result<Stretch, Error> {
        let left = usize::try_from(segment.size.saturating_sub(position)).unwrap_or(usize::MAX);
        Ok(Stretch {
            file: segment.file(&self.disk)?,
            position,
            len: len.min(left),
        })
    }

    fn fetch(&self, stretch: &Stretch) -> Result<Bytes, Error> {
        let read = stretch.file.read(stretch.len, stretch.position);
        let bytes = self.judge(read.map_err(Error::io(stretch.file.path())))?;
        Ok(bytes.into())
    }

    /// The first record whose timestamp is at or after `timestamp`.
    ///
    /// # Errors
    /// When the log cannot be read or the batch does not decompress.
    pub fn offset_for_time(&self, timestamp: i64) -> Result<Option<TimedOffset>, Error> {
        let start = self.start();
        let mut after = start;
        loop {
            let Some(stretch) = self.batch_at_time(timestamp, after)? else {
                return Ok(None);
            };
            let Some(batch) = self.only_batch(&stretch)? else {
                return Ok(None);
            };
            for record in batch.records(DECOMPRESSED_LIMIT)? {
                let record = record?;
                if record.timestamp >= timestamp && record.offset >= start {
                    return Ok(Some(timed(&batch, record.offset, record.timestamp)));
                }
            }
            // Only a batch that begins before the log's start has no such record; the next one may.
            after = batch.header.next_offset();
        }
    }

    fn batch_at_time(&self, timestamp: i64, after: Offset) -> Result<Option<Stretch>, Error> {
        let mut state = self.lock()?;
        let first = state
            .segments
            .partition_point(|segment| segment.base <= after)
            .saturating_sub(1);
        for segment in &mut state.segments[first..] {
            if segment.max_timestamp < timestamp {
                continue;
            }
            let found = segment.find_time(&self.disk, timestamp, after);
            if let Some((position, header)) = self.judge(found)? {
                return self.judge(self.stretch(segment, position, header.size()).map(Some));
            }
        }
        Ok(None)
    }

    fn only_batch(&self, stretch: &Stretch) -> Result<Option<Batch>, Error> {
        let bytes = self.fetch(stretch)?;
        Ok(record::batches(bytes).next().transpose()?)
    }

    /// The record with the largest timestamp; the first of several.
    ///
    /// # Errors
    /// When the log cannot be read or the batch does not decompress.
    pub fn max_timestamp(&self) -> Result<Option<TimedOffset>, Error> {
        let newest = {
            let state = self.lock()?;
            state
                .segments
                .iter()
                .map(|segment| segment.max_timestamp)
                .max()
                .unwrap_or(-1)
        };
        if newest < 0 {
            return Ok(None);
        }
        self.offset_for_time(newest)
    }
}

fn timed(batch: &Batch, offset: Offset, timestamp: i64) -> TimedOffset {
    TimedOffset {
        offset,
        timestamp,
        leader_epoch: batch.header.leader_epoch,
    }
}
