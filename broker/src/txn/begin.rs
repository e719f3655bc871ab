//! Producers that come, and partitions that they add.

use kafka_protocol::ResponseError;

use super::{Held, NO_EPOCH, NONE, Place, Producer, Reply, State, Then, Transaction, Transactions, Write};

/// A producer that wants to be the one of its id.
#[derive(Debug, Clone, Copy)]
pub struct Init {
    pub timeout_ms: i32,
    /// What it was before, when it only wants to go on in a new epoch.
    pub expected: Option<Producer>,
    /// For an id without a producer, or whose epochs are used up.
    pub fresh_producer: i64,
}

impl Transactions {
    /// Makes the asker the only producer of `id`. A transaction that is open is aborted first, and it asks again.
    pub fn init(&mut self, id: &str, init: Init, reply: Reply<Producer>, now_ms: i64) -> Option<Write> {
        match self.begin(id, init, now_ms) {
            Ok(Begin::As(to)) => {
                let held = self.held.get_mut(id)?;
                Some(held.change(id, to, Then::Initialised { reply }))
            }
            Ok(Begin::AfterAbort) => self.fence(id, Some(reply), now_ms),
            Err(error) => {
                let _gone = reply.send(Err(error));
                None
            }
        }
    }

    fn begin(&mut self, id: &str, init: Init, now_ms: i64) -> Result<Begin, ResponseError> {
        if init.timeout_ms <= 0 || init.timeout_ms > self.settings.timeout_max_ms {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let fresh = || Held::new(Transaction::new(init.fresh_producer, init.timeout_ms, now_ms));
        self.held.entry(id.to_owned()).or_insert_with(fresh);
        let now = &self.idle(id)?.now;
        if !now.is_expected(init.expected) {
            return Err(ResponseError::ProducerFenced);
        }
        match now.state {
            State::PrepareCommit | State::PrepareAbort => Err(ResponseError::ConcurrentTransactions),
            State::Ongoing => Ok(Begin::AfterAbort),
            State::Empty | State::CompleteCommit | State::CompleteAbort => now.next(init, now_ms).map(Begin::As),
            State::Dead | State::PrepareEpochFence => Err(ResponseError::UnknownServerError),
        }
    }

    /// Adds partitions to the producer's transaction, which begins with the first.
    pub fn add(
        &mut self,
        id: &str,
        by: Producer,
        places: Vec<Place>,
        version: i16,
        reply: Reply<()>,
        now_ms: i64,
    ) -> Option<Write> {
        match self.adding(id, by, places, version, now_ms) {
            Ok(Some(to)) => {
                let held = self.held.get_mut(id)?;
                Some(held.change(id, to, Then::Told { reply }))
            }
            Ok(None) => {
                let _gone = reply.send(Ok(()));
                None
            }
            Err(error) => {
                let _gone = reply.send(Err(error));
                None
            }
        }
    }

    fn adding(
        &mut self,
        id: &str,
        by: Producer,
        places: Vec<Place>,
        version: i16,
        now_ms: i64,
    ) -> Result<Option<Transaction>, ResponseError> {
        self.held.get(id).map_or(Ok(()), |held| held.now.is_by(by))?;
        let now = &self.idle(id)?.now;
        match now.state {
            State::PrepareCommit | State::PrepareAbort => return Err(ResponseError::ConcurrentTransactions),
            State::Ongoing if places.iter().all(|place| now.holds(place)) => return Ok(None),
            State::Dead | State::PrepareEpochFence => return Err(ResponseError::UnknownServerError),
            _ => {}
        }
        let mut to = now.clone();
        if now.state != State::Ongoing {
            to.partitions.clear();
            to.started_ms = now_ms;
        }
        to.state = State::Ongoing;
        to.updated_ms = now_ms;
        to.version = version;
        for (topic, partition) in places {
            to.partitions.entry(topic).or_default().insert(partition);
        }
        Ok(Some(to))
    }

    /// Whether partitions are part of the producer's transaction; one answer for each.
    pub fn verify(&self, id: &str, by: Producer, places: &[Place]) -> Vec<Result<(), ResponseError>> {
        let Some(held) = self.held.get(id) else {
            return vec![Err(ResponseError::InvalidProducerIdMapping); places.len()];
        };
        let answer = |place: &Place| {
            held.now.is_by(by)?;
            match held.now.state {
                State::PrepareCommit | State::PrepareAbort => Err(ResponseError::ConcurrentTransactions),
                State::Ongoing if held.now.holds(place) => Ok(()),
                _ => Err(ResponseError::TransactionAbortable),
            }
        };
        places.iter().map(answer).collect()
    }
}

enum Begin {
    As(Transaction),
    AfterAbort,
}

impl Transaction {
    /// # Errors
    /// `INVALID_PRODUCER_ID_MAPPING`, `PRODUCER_FENCED`.
    pub(super) fn is_by(&self, by: Producer) -> Result<(), ResponseError> {
        match by {
            (producer, _) if producer != self.producer => Err(ResponseError::InvalidProducerIdMapping),
            (_, epoch) if epoch != self.epoch => Err(ResponseError::ProducerFenced),
            _ => Ok(()),
        }
    }

    /// Whether who says what it was before can be whom this is about; its epoch is looked at later.
    fn is_expected(&self, expected: Option<Producer>) -> bool {
        let Some((producer, epoch)) = expected else {
            return true;
        };
        // It may have missed the answer that gave it another id.
        let before = producer == self.previous_producer && epoch >= super::LAST_EPOCH;
        self.epoch == NO_EPOCH || producer == self.producer || before
    }

    /// The next producer of the id.
    fn next(&self, init: Init, now_ms: i64) -> Result<Self, ResponseError> {
        let mut to = Self {
            state: State::Empty,
            timeout_ms: init.timeout_ms,
            partitions: Default::default(),
            started_ms: -1,
            updated_ms: now_ms,
            next_producer: NONE,
            ..self.clone()
        };
        let expected = init.expected.map(|(_, epoch)| epoch);
        if self.is_exhausted() && expected.is_none_or(|epoch| epoch == self.epoch) {
            to.previous_producer = self.producer;
            to.producer = init.fresh_producer;
            to.last_epoch = expected.map_or(NO_EPOCH, |_| self.epoch);
            to.epoch = 0;
            return Ok(to);
        }
        match expected {
            // Asked again by who missed the answer.
            Some(epoch) if self.epoch != NO_EPOCH && epoch != self.epoch => {
                if epoch != self.last_epoch || self.last_epoch == NO_EPOCH {
                    return Err(ResponseError::ProducerFenced);
                }
            }
            Some(_) => {
                to.last_epoch = self.epoch;
                to.epoch = self.epoch + 1;
            }
            None => {
                to.last_epoch = NO_EPOCH;
                to.epoch = self.epoch + 1;
            }
        }
        Ok(to)
    }
}
