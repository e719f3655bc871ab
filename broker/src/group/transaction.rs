//! Offsets that are committed by transactions: kept aside until the transaction ends (KIP-98, KIP-447).

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::{Commit, Committed, Committer, Group, Groups, Kind, Now, Outcome, Reply, Then, Write, record};
use crate::id::{Epoch, Offset};

/// Whose transaction offsets belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InTransaction {
    pub producer: i64,
    pub epoch: i16,
    /// What the transaction coordinator's word for it is kept under in the log; `None` when it needs none.
    pub ticket: Option<u64>,
}

/// A producer's transaction that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub producer: i64,
    pub epoch: i16,
    pub committed: bool,
    pub coordinator_epoch: Epoch,
}

impl Groups {
    /// Whether a member of a group may have offsets committed by a transaction; a producer that names none may (KIP-447).
    pub fn may_commit_later(&mut self, by: &Committer, now: Now) -> Result<(), ResponseError> {
        let names_none = by.generation < 0 && by.member_id.is_empty() && by.instance.is_none();
        if names_none {
            return Ok(());
        }
        // Producers know of no member epochs.
        self.may_commit(by, now).map_err(|error| match error {
            ResponseError::StaleMemberEpoch => ResponseError::IllegalGeneration,
            error => error,
        })
    }

    /// Writes the offsets of a transaction; `reply` is answered when they are durable. Nobody sees them before it is
    /// committed. Call after [`Self::may_commit_later`].
    pub fn commit_later(
        &mut self,
        group: &str,
        by: InTransaction,
        commits: Vec<Commit>,
        reply: Reply<Outcome>,
        now: Now,
    ) -> Write {
        let offsets: Vec<(String, i32, Committed)> = commits
            .into_iter()
            .map(|commit| {
                let committed = Committed {
                    offset: commit.offset,
                    leader_epoch: commit.leader_epoch,
                    metadata: commit.metadata,
                    at_ms: now.wall_ms,
                    position: -1,
                };
                (commit.topic, commit.partition, committed)
            })
            .collect();
        let record = |(topic, partition, committed): &(String, i32, Committed)| {
            let key = record::offset_key(group, topic, *partition);
            (key, Some(record::offset_value(committed)))
        };
        let records = offsets.iter().map(record).collect();
        // Whoever asks for stable offsets waits from now on.
        let held = self
            .groups
            .entry(group.to_owned())
            .or_insert_with(|| Group::new(group, now));
        for (topic, partition, committed) in &offsets {
            held.keep_for_later(by, topic.clone(), *partition, committed.clone());
        }
        Write {
            group: group.to_owned(),
            records,
            kind: Kind::InTransaction(by),
            then: Then::CommitLater { by, offsets, reply },
        }
    }

    pub(super) fn kept_for_later(
        &mut self,
        name: &str,
        by: InTransaction,
        offsets: Vec<(String, i32, Committed)>,
        outcome: Result<Offset, ResponseError>,
        reply: Reply<Outcome>,
    ) {
        if let Some(group) = self.groups.get_mut(name) {
            for (topic, partition, committed) in offsets {
                match outcome {
                    Ok(position) => {
                        group.keep_for_later(by, topic, partition, Committed { position, ..committed });
                    }
                    Err(_) => group.drop_later(by, &(topic, partition), &committed),
                }
            }
        }
        let _gone = reply.send(outcome.map(|_| ()).map_err(super::not_stored));
    }

    /// Writes that a transaction is over; `reply` is answered when that is durable and its offsets are visible, or gone.
    pub fn end_transaction(&self, ended: Ended, reply: Reply<Outcome>) -> Write {
        Write {
            group: String::new(),
            records: Vec::new(),
            kind: Kind::End(ended),
            then: Then::EndTransaction { ended, reply },
        }
    }

    /// Makes the offsets of a transaction visible, or forgets them; also while the log is loaded.
    pub fn transaction_ended(&mut self, ended: Ended) {
        self.groups.retain(|_, group| {
            let Some(pending) = group.pending_offsets.remove(&ended.producer) else {
                return true;
            };
            for ((topic, partition), committed) in pending.into_iter().filter(|_| ended.committed) {
                group.keep(topic, partition, committed);
            }
            // A group that only an aborted transaction named never was.
            !group.is_nothing()
        });
    }

    /// Whether a transaction may still change an offset.
    pub fn is_unstable(&self, group: &str, topic: &str, partition: i32) -> bool {
        let place = (topic.to_owned(), partition);
        self.groups.get(group).is_some_and(|group| {
            let mut pending = group.pending_offsets.values();
            pending.any(|offsets| offsets.contains_key(&place))
        })
    }
}

impl Group {
    pub(super) fn keep_for_later(&mut self, by: InTransaction, topic: String, partition: i32, committed: Committed) {
        let pending = self.pending_offsets.entry(by.producer).or_default();
        pending.insert((topic, partition), committed);
    }

    /// Takes back what could not be written, unless the transaction committed another offset there since.
    fn drop_later(&mut self, by: InTransaction, place: &(String, i32), committed: &Committed) {
        if let Some(pending) = self.pending_offsets.get_mut(&by.producer) {
            if pending.get(place) == Some(committed) {
                pending.remove(place);
            }
            if pending.is_empty() {
                self.pending_offsets.remove(&by.producer);
            }
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.generation == 0
            && self.members.is_empty()
            && self.pending.is_empty()
            && self.rebalance.is_none()
            && self.offsets.is_empty()
            && self.pending_offsets.values().all(BTreeMap::is_empty)
            && self.protocol_type.is_none()
            && self.consumer.is_none()
    }
}
