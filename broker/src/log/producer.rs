//! What the log remembers of idempotent producers: their epoch and their last five batches (KIP-98, KIP-360).
//!
//! A batch whose sequence numbers are among the last five of its producer is a retry and is not appended
//! again; one that leaves a gap is refused; one of an older epoch is fenced. The memory is rebuilt from a
//! snapshot and the headers of the batches after it.

mod snapshot;

use std::collections::HashMap;
use std::collections::VecDeque;

pub(super) use snapshot::Snapshots;

use super::ActiveProducer;
use super::Error;
use crate::id::Offset;
use crate::record::Header;

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

    fn admit(&self, batch: &Header) -> Result<(), Error> {
        if batch.producer_epoch < self.epoch {
            return Err(Error::FencedProducer {
                producer: batch.producer_id,
                found: batch.producer_epoch,
                current: self.epoch,
            });
        }
        let expected = if batch.producer_epoch > self.epoch {
            0
        } else {
            match self.last_sequence() {
                None => return Ok(()),
                Some(i32::MAX) => 0,
                Some(last) => last + 1,
            }
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
            self.transaction_start = None;
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
        if batch.is_transactional() {
            self.transaction_start.get_or_insert(batch.base_offset);
        }
    }
}

/// What a leader finds about the batches of one append.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// It was appended before, there.
    Duplicate(Past),
}

/// All producers of one log.
#[derive(Debug, Default)]
pub(super) struct Producers {
    known: HashMap<i64, Producer>,
}

impl Producers {
    /// Judges the batches of one append without changing anything.
    ///
    /// # Errors
    /// [`Error::OutOfOrderSequence`], [`Error::FencedProducer`].
    pub(super) fn judge(&self, batches: &[Header]) -> Result<Verdict, Error> {
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
                if let Some(past) = known.duplicate_of(batch) {
                    return Ok(Verdict::Duplicate(past));
                }
                known.admit(batch)?;
            }
            if index + 1 < batches.len() {
                let mut next = known.cloned().unwrap_or_else(|| Producer::new(batch.producer_epoch));
                next.record(batch);
                scratch.insert(batch.producer_id, next);
            }
        }
        Ok(Verdict::Append)
    }

    /// Remembers an appended batch.
    pub(super) fn record(&mut self, batch: &Header) {
        if batch.has_producer() {
            self.known
                .entry(batch.producer_id)
                .or_insert_with(|| Producer::new(batch.producer_epoch))
                .record(batch);
        }
    }

    /// Forgets who was silent since `before`, unless a transaction is open.
    pub(super) fn expire(&mut self, before: i64) {
        self.known
            .retain(|_, producer| producer.last_timestamp >= before || producer.transaction_start.is_some());
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// The first offset of the oldest open transaction.
    pub(super) fn first_open(&self) -> Option<Offset> {
        self.known
            .values()
            .filter_map(|producer| producer.transaction_start)
            .min()
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
