//! Which producers' transactions are being verified with their coordinator (KIP-890).
//!
//! A batch that waits for the coordinator's answer holds a guard. The end of the transaction, or its beginning by another
//! batch, takes the guard's worth: a batch that was held up on its way cannot begin what nobody will end.

use std::collections::HashMap;

use crate::record::Header;

/// What a batch that was verified is let in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard(pub u64);

/// How an append treats a batch that would begin a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It is taken: `transaction.partition.verification.enable=false`, or the broker's own.
    Off,
    /// It needs a guard that still holds.
    With(Option<Guard>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Verification {
    guard: Guard,
    epoch: i16,
    /// The lowest of the batches that wait.
    pub sequence: i32,
    since_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct Verifications {
    by_producer: HashMap<i64, Verification>,
    last: u64,
}

impl Verifications {
    pub fn begin(&mut self, batch: &Header, since_ms: i64) -> Guard {
        let known = self.by_producer.get_mut(&batch.producer_id);
        if let Some(known) = known.filter(|known| known.epoch == batch.producer_epoch) {
            known.sequence = known.sequence.min(batch.base_sequence);
            return known.guard;
        }
        self.last += 1;
        let guard = Guard(self.last);
        let verification = Verification {
            guard,
            epoch: batch.producer_epoch,
            sequence: batch.base_sequence,
            since_ms,
        };
        self.by_producer.insert(batch.producer_id, verification);
        guard
    }

    pub fn find(&self, producer: i64, guard: Option<Guard>) -> Option<Verification> {
        let known = self.by_producer.get(&producer).copied()?;
        Some(known).filter(|known| Some(known.guard) == guard)
    }

    pub fn end(&mut self, producer: i64) {
        self.by_producer.remove(&producer);
    }

    pub fn expire(&mut self, before: i64) {
        self.by_producer.retain(|_, known| known.since_ms >= before);
    }
}
