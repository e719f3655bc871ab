//! Appending: validate, give offsets, one write, remember.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};

use super::config::{LogConfig, TimestampType};
use super::producer::{Guard, Verdict, Verify};
use super::segment::Segment;
use super::validate::{Origin, recompress, validate};
use super::{Appended, Error, Log, State};
use crate::id::{Epoch, Offset};
use crate::record::{Batch, Header, Marker};

impl Log {
    /// Appends one or more v2 batches from a client: checks CRC, size and sequence numbers, gives them the
    /// next offsets and `leader_epoch`.
    ///
    /// # Errors
    /// See [`Error::code`]; nothing was appended.
    pub fn append_as_leader(&self, batches: Bytes, leader_epoch: Epoch) -> Result<Appended, Error> {
        self.append_verified(batches, leader_epoch, Verify::Off)
    }

    /// As [`Log::append_as_leader`]; a batch that begins a transaction is taken only as `verify` says.
    ///
    /// # Errors
    /// See [`Error::code`]; nothing was appended.
    pub fn append_verified(&self, batches: Bytes, leader_epoch: Epoch, verify: Verify) -> Result<Appended, Error> {
        self.append_assigning(batches, leader_epoch, Origin::Client, verify)
    }

    /// Announces that the coordinator is asked whether `batch` may begin a transaction; `None` if it is part of an open one.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub fn begin_verification(&self, batch: &Header) -> Result<Option<Guard>, Error> {
        let now_ms = self.clock.now_ms();
        Ok(self.lock()?.producers.begin_verification(batch, now_ms))
    }

    /// As [`Log::append_as_leader`] for batches of the broker itself: control batches are allowed and
    /// `max.message.bytes` does not apply.
    ///
    /// # Errors
    /// See [`Error::code`]; nothing was appended.
    pub fn append_internal(&self, batches: Bytes, leader_epoch: Epoch) -> Result<Appended, Error> {
        self.append_internal_verified(batches, leader_epoch, Verify::Off)
    }

    /// As [`Log::append_internal`]; a batch that begins a transaction is taken only as `verify` says.
    ///
    /// # Errors
    /// See [`Error::code`]; nothing was appended.
    pub fn append_internal_verified(
        &self,
        batches: Bytes,
        leader_epoch: Epoch,
        verify: Verify,
    ) -> Result<Appended, Error> {
        self.append_assigning(batches, leader_epoch, Origin::Internal, verify)
    }

    fn append_assigning(
        &self,
        batches: Bytes,
        leader_epoch: Epoch,
        origin: Origin,
        verify: Verify,
    ) -> Result<Appended, Error> {
        let config = Arc::clone(&self.config.read());
        let now_ms = self.clock.now_ms();
        let mut headers = validate(&batches, &config, origin, now_ms)?;
        let mut bytes = match config.compression {
            // The one copy: the producer's bytes lie in its request's buffer, and the cache must not hold all of that.
            None => BytesMut::from(batches.as_ref()),
            Some(wanted) => {
                let (bytes, stored) = recompress(&batches, &config, wanted, origin)?;
                headers = stored;
                bytes
            }
        };

        let mut state = self.lock()?;
        if let Some(latest) = state.epochs.latest().filter(|latest| *latest > leader_epoch) {
            return Err(Error::StaleEpoch {
                found: leader_epoch,
                latest,
            });
        }
        if let Verdict::Duplicate(past) = state.producers.judge(&headers, verify)? {
            return Ok(Appended {
                first_offset: past.first_offset(),
                last_offset: past.last_offset,
                log_append_time: append_time(&config, past.timestamp),
                duplicate: true,
                log_start: self.start(),
            });
        }
        markers(&bytes, &headers, |header, marker| {
            state.producers.judge_marker(header, marker)
        })?;
        let stamp = (config.timestamp_type == TimestampType::LogAppend).then_some(now_ms);
        assign(&mut bytes, &mut headers, self.end(), leader_epoch, stamp);
        let bytes = bytes.freeze();
        self.write(&mut state, &bytes, &headers, &config, now_ms)?;
        let (first_offset, next) = span(&headers);
        state.tail.push(first_offset, next, bytes, config.tail_cache_bytes);
        let due = self.is_flush_due(&state, &config, now_ms);
        drop(state);
        if due {
            self.flush()?;
        }
        Ok(Appended {
            first_offset,
            last_offset: next - 1,
            log_append_time: append_time(&config, now_ms),
            duplicate: false,
            log_start: self.start(),
        })
    }

    /// Appends what was fetched from the leader, with offsets and epochs as they are.
    ///
    /// # Errors
    /// [`Error::NotContiguous`] when it does not continue this log; a damaged batch.
    pub fn append_as_follower(&self, batches: Bytes) -> Result<Appended, Error> {
        let config = Arc::clone(&self.config.read());
        let now_ms = self.clock.now_ms();
        let headers = validate(&batches, &config, Origin::Leader, now_ms)?;
        let mut state = self.lock()?;
        let mut end = self.end();
        for header in &headers {
            if header.base_offset < end {
                return Err(Error::NotContiguous {
                    found: header.base_offset,
                    end,
                });
            }
            end = header.next_offset();
        }
        self.write(&mut state, &batches, &headers, &config, now_ms)?;
        // These bytes are part of a response that also holds other partitions: caching would pin all of it.
        state.tail.clear();
        let due = self.is_flush_due(&state, &config, now_ms);
        drop(state);
        if due {
            self.flush()?;
        }
        let (first_offset, next) = span(&headers);
        Ok(Appended {
            first_offset,
            last_offset: next - 1,
            log_append_time: -1,
            duplicate: false,
            log_start: self.start(),
        })
    }

    /// Writes batches that have their offsets, and remembers them.
    fn write(
        &self,
        state: &mut State,
        bytes: &[u8],
        headers: &[Header],
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<(), Error> {
        if state.is_blank() {
            let made = self.make(state);
            self.judge(made)?;
        }
        if must_roll(state.active()?, bytes.len(), headers, config) {
            let rolled = self.roll(state);
            self.judge(rolled)?;
        }
        for header in headers {
            if state.epochs.latest().is_none_or(|latest| latest < header.leader_epoch) {
                let assigned = state.epochs.assign(&self.disk, header.leader_epoch, header.base_offset);
                self.judge(assigned)?;
            }
        }
        let active = state.active()?;
        self.judge(active.write(&self.disk, bytes))?;
        for header in headers {
            active.note(header, config.index_interval_bytes);
        }
        match active.spill_if_due(&self.disk) {
            // The batch is written; the entries wait in memory until there is room.
            Err(Error::Full { .. }) | Ok(()) => {}
            failed => self.judge(failed)?,
        }
        self.remember(state, bytes, headers)?;
        state.unflushed_since.get_or_insert(now_ms);
        state.appended_ms = now_ms;
        self.size.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        self.end.store(span(headers).1, Ordering::Release);
        Ok(())
    }

    /// Takes note of the producers of batches that were written.
    fn remember(&self, state: &mut State, bytes: &[u8], headers: &[Header]) -> Result<(), Error> {
        for (header, marker) in with_markers(bytes, headers) {
            let Some(aborted) = state.producers.record(header, marker) else {
                continue;
            };
            self.any_aborted.store(true, Ordering::Release);
            let noted = state.active()?.note_aborted(&self.disk, aborted);
            self.judge(noted)?;
        }
        if headers.iter().any(Header::is_transactional) {
            self.publish_unstable(state);
        }
        Ok(())
    }

    /// Closes the active segment and begins another.
    pub(super) fn roll(&self, state: &mut State) -> Result<(), Error> {
        let end = self.end();
        state.active()?.seal(&self.disk)?;
        state.active()?.rest();
        match Segment::create(&self.disk, &self.dir(), end) {
            Ok(mut segment) => {
                segment.reserve(&self.disk, &self.config.read());
                state.segments.push(segment);
            }
            Err(error) => {
                // What was active stays active.
                state.active()?.activate(&self.disk)?;
                return Err(error);
            }
        }
        state.dir_changed = true;
        let State {
            snapshots,
            producers,
            segments,
            ..
        } = state;
        let taken = snapshots.take(&self.disk, producers, end).and_then(|()| {
            snapshots.prune(&self.disk, |offset| {
                segments.iter().any(|segment| segment.base == offset)
            })
        });
        match taken.map_err(Error::io(&self.dir())) {
            // A snapshot only shortens the next start.
            Err(Error::Full { .. }) => Ok(()),
            other => other,
        }
    }

    fn is_flush_due(&self, state: &State, config: &LogConfig, now_ms: i64) -> bool {
        let records = self.end() - self.recovery_point();
        let age = state.unflushed_since.map(|since| now_ms - since);
        config.flush_messages.is_some_and(|limit| records >= limit)
            || config.flush_ms.zip(age).is_some_and(|(limit, age)| age >= limit)
    }
}

/// The headers of the batches in `bytes`, with what control batches say.
fn with_markers<'a>(bytes: &'a [u8], headers: &'a [Header]) -> impl Iterator<Item = (&'a Header, Option<Marker>)> + 'a {
    let mut at = 0;
    headers.iter().map(move |header| {
        let from = at;
        at += header.size();
        let marker = match header.is_control() && header.has_producer() {
            true => bytes.get(from..at).and_then(|bytes| {
                Marker::of(&Batch {
                    header: *header,
                    bytes: Bytes::copy_from_slice(bytes),
                })
            }),
            false => None,
        };
        (header, marker)
    })
}

/// Has every marker judged.
fn markers(
    bytes: &[u8],
    headers: &[Header],
    judge: impl Fn(&Header, Marker) -> Result<(), Error>,
) -> Result<(), Error> {
    with_markers(bytes, headers)
        .filter_map(|(header, marker)| Some((header, marker?)))
        .try_for_each(|(header, marker)| judge(header, marker))
}

/// Gives the batches in `bytes` the offsets from `next` on.
fn assign(bytes: &mut [u8], headers: &mut [Header], mut next: Offset, epoch: Epoch, stamp: Option<i64>) {
    let mut at = 0;
    for header in headers {
        let size = header.size();
        let Some(batch) = bytes.get_mut(at..at + size) else {
            return;
        };
        header.assign(batch, next, epoch);
        if let Some(now_ms) = stamp {
            header.set_log_append_time(batch, now_ms);
        }
        next = header.next_offset();
        at += size;
    }
}

/// The first offset and the one after the last.
fn span(headers: &[Header]) -> (Offset, Offset) {
    let first = headers.first().map_or(0, |header| header.base_offset);
    (first, headers.last().map_or(first, Header::next_offset))
}

fn append_time(config: &LogConfig, at: i64) -> i64 {
    if config.timestamp_type == TimestampType::LogAppend {
        at
    } else {
        -1
    }
}

/// Whether what comes does not fit into the active segment any more, by size, time or offsets.
fn must_roll(active: &Segment, size: usize, headers: &[Header], config: &LogConfig) -> bool {
    if active.size == 0 {
        // An empty segment takes anything, unless its name is too far from the offset.
        return i32::try_from(span(headers).1 - active.base).is_err();
    }
    let newest = headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1);
    active.size.saturating_add(size as u64) > u64::from(config.segment_bytes)
        || (active.first_timestamp >= 0 && newest.saturating_sub(active.first_timestamp) > active.lifetime_ms(config))
        || active.is_index_full(config.segment_index_bytes)
        || i32::try_from(span(headers).1 - active.base).is_err()
}
