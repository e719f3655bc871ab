//! Transactions that end: by their producer, by the next one of the same id, or because they took too long.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::{Held, NO_EPOCH, NONE, Producer, Reply, State, Then, Transaction, Transactions, Write};

/// A producer's wish to end its transaction.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub by: Producer,
    pub commit: bool,
    /// Every end begins a new epoch (KIP-890), with this producer id when the epochs are used up.
    pub bumps: Option<i64>,
}

/// What the leaders of all partitions of a transaction have to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    pub id: String,
    pub producer: Producer,
    pub committed: bool,
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
}

/// What an end comes to.
enum End {
    /// It had ended that way.
    Already,
    To(State),
    /// Nothing was added, and the abort begins a new epoch all the same.
    ToOfNothing(State),
}

impl Transactions {
    /// Ends the producer's transaction; the answer is who it is from now on.
    pub fn end(&mut self, id: &str, ending: Ending, reply: Reply<Producer>, now_ms: i64) -> Option<Write> {
        match self.ending(id, ending, now_ms) {
            Ok((to, true)) => {
                let answer = Ok(match to.next_producer {
                    NONE => (to.producer, to.epoch),
                    next => (next, 0),
                });
                let then = Then::Prepared {
                    reply: Some(reply),
                    answer,
                    fence: false,
                };
                Some(self.held.get_mut(id)?.change(id, to, then))
            }
            Ok((now, false)) => {
                let _gone = reply.send(Ok((now.producer, now.epoch)));
                None
            }
            Err(error) => {
                let _gone = reply.send(Err(error));
                None
            }
        }
    }

    /// The state to be written, or the one that it is in already.
    fn ending(&mut self, id: &str, ending: Ending, now_ms: i64) -> Result<(Transaction, bool), ResponseError> {
        let held = self.held.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let again = ending.bumps.is_some() && held.now.missed_the_end(ending.by);
        if !again {
            held.now.is_by(ending.by)?;
        }
        let now = &self.idle(id)?.now;
        let (state, nothing) = match now.end(ending, again)? {
            End::Already => return Ok((now.clone(), false)),
            End::To(state) => (state, false),
            End::ToOfNothing(state) => (state, true),
        };
        let mut to = Transaction {
            state,
            updated_ms: now_ms,
            ..now.clone()
        };
        if nothing {
            to.partitions.clear();
            to.started_ms = now_ms;
        }
        if let Some(fresh) = ending.bumps {
            to.version = 2;
            to.next_producer = if now.is_exhausted() { fresh } else { NONE };
            to.last_epoch = now.epoch;
            to.epoch = now.epoch.saturating_add(1);
        }
        Ok((to, true))
    }

    /// Aborts an open transaction in an epoch that fences its producer; `reply` is told to ask again.
    pub(super) fn fence(&mut self, id: &str, reply: Option<Reply<Producer>>, now_ms: i64) -> Option<Write> {
        let held = self.held.get_mut(id)?;
        // Where every end begins an epoch, the next one would be taken for that of a producer that missed an answer.
        let steps = if held.now.version >= 2 { 2 } else { 1 };
        let epoch = match held.fence_failed {
            true => held.now.epoch,
            false => held.now.epoch.saturating_add(steps),
        };
        held.now.epoch = epoch;
        let to = Transaction {
            state: State::PrepareAbort,
            epoch,
            last_epoch: NO_EPOCH,
            updated_ms: now_ms,
            ..held.now.clone()
        };
        let then = Then::Prepared {
            reply,
            answer: Err(ResponseError::ConcurrentTransactions),
            fence: true,
        };
        Some(held.change(id, to, then))
    }

    /// Aborts the transactions that have been open for longer than their timeout.
    pub fn abort_timed_out(&mut self, now_ms: i64) -> Vec<Write> {
        let is_late = |held: &Held| {
            let deadline = held.now.started_ms.saturating_add(i64::from(held.now.timeout_ms));
            !held.busy && held.now.state == State::Ongoing && deadline < now_ms
        };
        let late = self.held.iter().filter(|(_, held)| is_late(held));
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        late.iter().filter_map(|id| self.fence(id, None, now_ms)).collect()
    }

    /// Forgets the ids that were not used for `transactional.id.expiration.ms`.
    pub fn expire(&mut self, now_ms: i64) -> Vec<Write> {
        let limit = now_ms.saturating_sub(self.settings.expiration_ms);
        let old = |held: &Held| !held.busy && held.now.state.is_settled() && held.now.updated_ms <= limit;
        let old = self.held.iter_mut().filter(|(_, held)| old(held));
        old.map(|(id, held)| {
            held.busy = true;
            Write {
                id: id.clone(),
                to: None,
                then: Then::Forgotten,
            }
        })
        .collect()
    }

    /// What is to be written for a transaction whose end is decided; nothing else happens to it until then.
    pub(super) fn markers(&mut self, id: &str) -> Option<Markers> {
        let held = self.held.get_mut(id)?;
        let committed = match held.now.state {
            State::PrepareCommit => true,
            State::PrepareAbort => false,
            _ => return None,
        };
        Some(Markers {
            id: id.to_owned(),
            producer: (held.now.producer, held.now.epoch),
            committed,
            partitions: held.now.partitions.clone(),
        })
    }

    /// The markers that a former coordinator may not have had written.
    pub fn unfinished(&mut self) -> Vec<Markers> {
        let ids: Vec<String> = self.held.keys().cloned().collect();
        ids.iter().filter_map(|id| self.markers(id)).collect()
    }

    /// All markers are written: the transaction is over once `reply` says so; dropped, it was over before.
    pub fn complete(&mut self, done: &Markers, reply: Reply<()>, now_ms: i64) -> Option<Write> {
        let held = self.held.get_mut(&done.id).filter(|held| !held.busy)?;
        if (held.now.producer, held.now.epoch) != done.producer {
            return None;
        }
        let state = match held.now.state {
            State::PrepareCommit => State::CompleteCommit,
            State::PrepareAbort => State::CompleteAbort,
            _ => return None,
        };
        let mut to = Transaction {
            state,
            updated_ms: now_ms,
            partitions: BTreeMap::new(),
            ..held.now.clone()
        };
        if to.next_producer != NONE {
            to.previous_producer = to.producer;
            to.producer = to.next_producer;
            to.next_producer = NONE;
            to.epoch = 0;
        }
        Some(held.change(&done.id, to, Then::Told { reply }))
    }
}

impl Transaction {
    /// Whether the producer is of the epoch before the last end, whose answer it may have missed.
    fn missed_the_end(&self, (producer, epoch): Producer) -> bool {
        let ends = !matches!(self.state, State::Ongoing | State::Empty) && self.version >= 2;
        let same = producer == self.producer && epoch.checked_add(1) == Some(self.epoch);
        let renamed = producer == self.previous_producer && epoch == super::LAST_EPOCH && self.epoch == 0;
        ends && (same || renamed)
    }

    /// What ending it comes to. `again`: its producer is of the epoch before.
    fn end(&self, ending: Ending, again: bool) -> Result<End, ResponseError> {
        let invalid = Err(ResponseError::InvalidTxnState);
        let bumps = ending.bumps.is_some();
        match (self.state, ending.commit) {
            (State::Ongoing, true) => Ok(End::To(State::PrepareCommit)),
            (State::Ongoing, false) => Ok(End::To(State::PrepareAbort)),
            (State::CompleteCommit, true) if again || !bumps => Ok(End::Already),
            (State::CompleteAbort, false) if again || !bumps => Ok(End::Already),
            (State::CompleteCommit | State::CompleteAbort | State::Empty, false) if bumps && !again => {
                Ok(End::ToOfNothing(State::PrepareAbort))
            }
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(ResponseError::ConcurrentTransactions),
            // The next transaction has to wait until the markers of this one are written.
            (State::PrepareCommit | State::PrepareAbort, _) if bumps && !again => {
                Err(ResponseError::ConcurrentTransactions)
            }
            _ => invalid,
        }
    }
}
