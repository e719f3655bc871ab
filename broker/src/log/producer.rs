//! What the log remembers of idempotent producers: their epoch, their last five batches and their open transaction
//! (KIP-98, KIP-360).
//!
//! A batch whose sequence numbers are among the last five of its producer is a retry and is not appended
//! again; one that leaves a gap is refused; one of an older epoch is fenced. A batch that would begin a transaction needs
//! the coordinator's word for it, or nobody would ever end that transaction (KIP-890). The memory is rebuilt from a
//! snapshot, the headers of the batches after it, and the markers among them.

mod snapshot;
mod verification;

use std::collections::VecDeque;
use std::collections::{BTreeMap, HashMap};

pub(super) use snapshot::Snapshots;
use verification::Verifications;
pub use verification::{Guard, Verify};

use super::ActiveProducer;
use super::Error;
use super::aborted::Aborted;
use super::compact::LastBatch;
use crate::id::Offset;
use crate::record::{Header, Marker};

/// Kafka keeps as many: a producer has at most five requests in flight.
const REMEMBERED: usize = 5;

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: i64,
}

impl Past {
    pub(super) fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        let wrap = i64::from(i32::MAX) + 1;
        i32::try_from(first.rem_euclid(wrap)).unwrap_or(0)
    }
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub epoch: i16,
    /// The newest last.
    pub batches: VecDeque<Past>,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// First offset of the open transaction.
    pub transaction_start: Option<Offset>,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            batches: VecDeque::with_capacity(1),
            last_timestamp: -1,
            coordinator_epoch: -1,
            transaction_start: None,
        }
    }

    fn last_sequence(&self) -> Option<i32> {
        self.batches.back().map(|past| past.last_sequence)
    }

    /// The earlier append of the same batch.
    fn duplicate_of(&self, batch: &Header) -> Option<Past> {
        if batch.producer_epoch != self.epoch {
            return None;
        }
        let same =
            |past: &&Past| past.first_sequence() == batch.base_sequence && past.last_sequence == batch.last_sequence();
        self.batches.iter().find(same).copied()
    }

    fn not_older(&self, batch: &Header) -> Result<(), Error> {
        if batch.producer_epoch >= self.epoch {
            return Ok(());
        }
        Err(Error::FencedProducer {
            producer: batch.producer_id,
            found: batch.producer_epoch,
            current: self.epoch,
        })
    }

    fn has_open(&self, epoch: i16) -> bool {
        self.transaction_start.is_some() && self.epoch == epoch
    }

    fn admit(&self, batch: &Header) -> Result<(), Error> {
        self.not_older(batch)?;
        let expected = match self.last_sequence() {
            // A marker may have begun the epoch: its first batch is still to come.
            None | Some(i32::MAX) => 0,
            Some(_) if batch.producer_epoch > self.epoch => 0,
            Some(last) => last + 1,
        };
        if batch.base_sequence == expected {
            return Ok(());
        }
        Err(Error::OutOfOrderSequence {
            producer: batch.producer_id,
            expected,
            found: batch.base_sequence,
        })
    }

    fn record(&mut self, batch: &Header) {
        if batch.producer_epoch > self.epoch {
            self.epoch = batch.producer_epoch;
            self.batches.clear();
        }
        self.last_timestamp = batch.max_timestamp;
        if batch.is_control() {
            return;
        }
        if self.batches.len() == REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(Past {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        });
    }
}

/// What a leader finds about the batches of one append.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// It was appended before, there.
    Duplicate(Past),
}

/// A transaction that ended, while its marker may not be committed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    first: Offset,
    /// Of the marker.
    last: Offset,
}

/// All producers of one log.
#[derive(Debug, Default)]
pub(super) struct Producers {
    known: HashMap<i64, Producer>,
    /// First offset and producer of each open transaction.
    open: BTreeMap<Offset, i64>,
    /// In the order of their markers.
    ended: VecDeque<Ended>,
    verifying: Verifications,
}

impl Producers {
    /// Judges the batches of one append without changing anything.
    ///
    /// # Errors
    /// [`Error::OutOfOrderSequence`], [`Error::FencedProducer`], [`Error::NotInTransaction`].
    pub(super) fn judge(&self, batches: &[Header], verify: Verify) -> Result<Verdict, Error> {
        // Clients send one batch per partition and request; more are followed in a scratch copy.
        let mut scratch: HashMap<i64, Producer> = HashMap::new();
        for (index, batch) in batches.iter().enumerate().filter(|(_, batch)| batch.has_producer()) {
            if batch.is_control() {
                continue;
            }
            let known = scratch
                .get(&batch.producer_id)
                .or_else(|| self.known.get(&batch.producer_id));
            if let Some(known) = known {
                if batch.base_sequence < 0 {
                    // A coordinator's, which numbers nothing.
                    known.not_older(batch)?;
                } else if let Some(past) = known.duplicate_of(batch) {
                    return Ok(Verdict::Duplicate(past));
                } else {
                    known.admit(batch)?;
                }
            }
            self.verified(known, batch, verify)?;
            if index + 1 < batches.len() {
                let mut next = known.cloned().unwrap_or_else(|| Producer::new(batch.producer_epoch));
                next.record(batch);
                scratch.insert(batch.producer_id, next);
            }
        }
        Ok(Verdict::Append)
    }

    /// Whether a batch belongs to an open transaction, or may begin one.
    fn verified(&self, known: Option<&Producer>, batch: &Header, verify: Verify) -> Result<(), Error> {
        let Verify::With(guard) = verify else { return Ok(()) };
        let producer = batch.producer_id;
        let open = known.is_some_and(|known| known.has_open(batch.producer_epoch));
        match (batch.is_transactional(), open) {
            (true, true) | (false, false) => Ok(()),
            (false, true) => Err(Error::NotInTransaction { producer }),
            (true, false) => {
                let verification = self.verifying.find(producer, guard);
                let verification = verification.ok_or(Error::NotInTransaction { producer })?;
                let fresh = known.is_none_or(|known| known.batches.is_empty());
                match fresh && verification.sequence < batch.base_sequence {
                    // An earlier batch is still on its way.
                    true => Err(Error::OutOfOrderSequence {
                        producer,
                        expected: verification.sequence,
                        found: batch.base_sequence,
                    }),
                    false => Ok(()),
                }
            }
        }
    }

    /// Announces that the coordinator is asked whether `batch` may begin a transaction; `None` if it is part of an open one.
    pub(super) fn begin_verification(&mut self, batch: &Header, now_ms: i64) -> Option<Guard> {
        let known = self.known.get(&batch.producer_id);
        if known.is_some_and(|known| known.has_open(batch.producer_epoch)) {
            return None;
        }
        Some(self.verifying.begin(batch, now_ms))
    }

    /// Whether a marker may end the producer's transaction.
    ///
    /// # Errors
    /// [`Error::FencedCoordinator`], [`Error::FencedProducer`].
    pub(super) fn judge_marker(&self, batch: &Header, marker: Marker) -> Result<(), Error> {
        let Some(known) = self.known.get(&batch.producer_id) else {
            return Ok(());
        };
        if marker.coordinator_epoch < known.coordinator_epoch {
            return Err(Error::FencedCoordinator {
                found: marker.coordinator_epoch,
                current: known.coordinator_epoch,
            });
        }
        known.not_older(batch)
    }

    /// Remembers an appended batch, of which a control batch says `marker`; returns the transaction that it aborts.
    pub(super) fn record(&mut self, batch: &Header, marker: Option<Marker>) -> Option<Aborted> {
        if !batch.has_producer() {
            return None;
        }
        let id = batch.producer_id;
        let producer = self
            .known
            .entry(id)
            .or_insert_with(|| Producer::new(batch.producer_epoch));
        producer.record(batch);
        if !batch.is_transactional() {
            return None;
        }
        self.verifying.end(id);
        if !batch.is_control() {
            if producer.transaction_start.is_none() {
                producer.transaction_start = Some(batch.base_offset);
                self.open.insert(batch.base_offset, id);
            }
            return None;
        }
        let marker = marker?;
        producer.coordinator_epoch = marker.coordinator_epoch;
        let first = producer.transaction_start.take()?;
        self.open.remove(&first);
        let last = batch.last_offset();
        self.ended.push_back(Ended { first, last });
        (!marker.committed).then(|| Aborted {
            producer: id,
            first,
            last,
            last_stable: self.open.keys().next().copied().unwrap_or(last + 1),
        })
    }

    /// Forgets who was silent since `before`, unless a transaction is open.
    pub(super) fn expire(&mut self, before: i64) {
        self.known
            .retain(|_, producer| producer.last_timestamp >= before || producer.transaction_start.is_some());
        self.verifying.expire(before);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn insert(&mut self, id: i64, producer: Producer) {
        if let Some(first) = producer.transaction_start {
            self.open.insert(first, id);
        }
        self.known.insert(id, producer);
    }

    /// The first offset of a transaction that is open, or ended by a marker that is not committed.
    pub(super) fn first_unstable(&self) -> Option<Offset> {
        let open = self.open.keys().next().copied();
        let ended = self.ended.iter().map(|ended| ended.first).min();
        open.into_iter().chain(ended).min()
    }

    /// Forgets ended transactions whose markers are before `high_watermark`.
    pub(super) fn settle(&mut self, high_watermark: Offset) {
        while self.ended.front().is_some_and(|ended| ended.last < high_watermark) {
            self.ended.pop_front();
        }
    }

    /// By what each producer is remembered: the last offset of its data, and its epoch.
    pub(super) fn last_batches(&self) -> HashMap<i64, LastBatch> {
        let last = |producer: &Producer| (producer.batches.back().map(|past| past.last_offset), producer.epoch);
        self.known.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    pub(super) fn active(&self) -> Vec<ActiveProducer> {
        let mut active: Vec<ActiveProducer> = self
            .known
            .iter()
            .map(|(id, producer)| ActiveProducer {
                id: *id,
                epoch: producer.epoch,
                last_sequence: producer.last_sequence().unwrap_or(-1),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start: producer.transaction_start.unwrap_or(-1),
            })
            .collect();
        active.sort_unstable_by_key(|producer| producer.id);
        active
    }
}

#[cfg(test)]
mod tests;
