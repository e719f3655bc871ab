//! Committed offsets: who may commit, what is kept, when it expires.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::{Group, Groups, InTransaction, Kind, Now, Outcome, Reply, Settings, State, Then, Write, record};
use crate::id::{Epoch, Offset};

/// A committed offset as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: Offset,
    pub leader_epoch: Epoch,
    pub metadata: String,
    /// Wall clock.
    pub at_ms: i64,
    /// Where the commit is in the log, so that the later of two concurrent ones wins.
    pub position: Offset,
}

/// Who commits. A generation below 0 is a consumer that manages itself and is no member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committer {
    pub group: String,
    pub member_id: String,
    pub instance: Option<String>,
    pub generation: i32,
}

/// One offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub topic: String,
    pub partition: i32,
    pub offset: Offset,
    pub leader_epoch: Epoch,
    pub metadata: String,
}

/// Why offsets are not deleted, with the reply that is still to be given.
pub type Refused = (ResponseError, Reply<Outcome>);

impl Groups {
    /// Whether a committer may commit at all now.
    pub fn may_commit(&mut self, by: &Committer, now: Now) -> Result<(), ResponseError> {
        let Some(group) = self.groups.get_mut(&by.group) else {
            return if by.generation < 0 {
                Ok(())
            } else {
                Err(ResponseError::IllegalGeneration)
            };
        };
        if by.generation < 0 && by.member_id.is_empty() && by.instance.is_none() {
            let is_managed = !matches!(group.state, State::Empty);
            return if is_managed {
                Err(ResponseError::UnknownMemberId)
            } else {
                Ok(())
            };
        }
        if group.state == State::Empty && by.generation < 0 {
            return Ok(());
        }
        group.validate(&by.member_id, by.instance.as_deref())?;
        if by.generation != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if let Some(member) = group.members.get_mut(&by.member_id) {
            member.heard(now.mono_ms);
        }
        match group.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
            State::PreparingRebalance | State::Stable => Ok(()),
        }
    }

    /// Whether the commit's metadata is small enough to keep.
    pub fn accepts_metadata(&self, metadata: &str) -> bool {
        metadata.len() <= self.settings.metadata_max_bytes
    }

    /// Writes the commits; `reply` is answered when they are durable. Call after [`Self::may_commit`].
    pub fn commit(&mut self, group: &str, commits: Vec<Commit>, reply: Reply<Outcome>, now: Now) -> Write {
        let mut records = Vec::with_capacity(commits.len());
        let mut offsets = Vec::with_capacity(commits.len());
        for commit in commits {
            let committed = Committed {
                offset: commit.offset,
                leader_epoch: commit.leader_epoch,
                metadata: commit.metadata,
                at_ms: now.wall_ms,
                position: -1,
            };
            records.push((
                record::offset_key(group, &commit.topic, commit.partition),
                Some(record::offset_value(&committed)),
            ));
            offsets.push((commit.topic, commit.partition, committed));
        }
        Write {
            group: group.to_owned(),
            records,
            kind: Kind::Plain,
            then: Then::Commit { offsets, reply },
        }
    }

    pub(super) fn committed(
        &mut self,
        name: &str,
        offsets: Vec<(String, i32, Committed)>,
        outcome: Result<Offset, ResponseError>,
        reply: Reply<Outcome>,
        now: Now,
    ) {
        if let Ok(position) = outcome {
            let group = self
                .groups
                .entry(name.to_owned())
                .or_insert_with(|| Group::new(name, now));
            for (topic, partition, committed) in offsets {
                group.keep(topic, partition, Committed { position, ..committed });
            }
        }
        let _gone = reply.send(outcome.map(|_| ()).map_err(super::not_stored));
    }

    /// All offsets of a group, in order; none for a group that is not known.
    pub fn offsets(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Committed)> {
        let offsets = self.groups.get(group).into_iter().flat_map(|group| &group.offsets);
        offsets.map(|((topic, partition), committed)| (topic.as_str(), *partition, committed))
    }

    pub fn offset(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.offsets.get(&(topic.to_owned(), partition))
    }

    /// Deletes offsets of topics that no member subscribes to: an outcome for each topic, and the write.
    pub fn delete_offsets(
        &mut self,
        name: &str,
        offsets: &[(String, i32)],
        reply: Reply<Outcome>,
    ) -> Result<(BTreeSet<String>, Write), Refused> {
        let Some(group) = self.groups.get(name) else {
            return Err((ResponseError::GroupIdNotFound, reply));
        };
        if group.state != State::Empty && group.protocol_type.as_deref() != Some("consumer") {
            return Err((ResponseError::NonEmptyGroup, reply));
        }
        let subscribed = group.subscriptions();
        let free: Vec<(String, i32)> = offsets
            .iter()
            .filter(|(topic, partition)| {
                !subscribed.contains(topic) && group.offsets.contains_key(&(topic.clone(), *partition))
            })
            .cloned()
            .collect();
        Ok((subscribed, group.forget(free, Some(reply))))
    }

    /// Forgets the offsets of topics that were deleted.
    pub fn forget_topics(&self, exists: impl Fn(&str) -> bool) -> Vec<Write> {
        let gone = |group: &Group| -> Vec<(String, i32)> {
            group
                .offsets
                .keys()
                .filter(|(topic, _)| !exists(topic))
                .cloned()
                .collect()
        };
        let groups = self.groups.values().map(|group| (group, gone(group)));
        groups
            .filter(|(_, gone)| !gone.is_empty())
            .map(|(group, gone)| group.forget(gone, None))
            .collect()
    }

    pub(super) fn forgotten(&mut self, group: &str, offsets: &[(String, i32)]) {
        if let Some(group) = self.groups.get_mut(group) {
            group.offsets.retain(|key, _| !offsets.contains(key));
        }
    }

    /// Applies a record of the log while it is loaded; `position` is its offset.
    pub fn load(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        position: Offset,
        transaction: Option<InTransaction>,
        now: Now,
    ) -> Result<(), record::Malformed> {
        match record::Key::parse(key)? {
            record::Key::Offset {
                group,
                topic,
                partition,
            } => match value {
                Some(value) => {
                    let committed = Committed {
                        position,
                        ..record::parse_offset(value)?
                    };
                    let group = self
                        .groups
                        .entry(group.clone())
                        .or_insert_with(|| Group::new(&group, now));
                    match transaction {
                        Some(by) => group.keep_for_later(by, topic, partition, committed),
                        None => group.keep(topic, partition, committed),
                    }
                }
                None => self.forgotten(&group, &[(topic, partition)]),
            },
            record::Key::Group { group } => match value {
                Some(value) => {
                    let loaded = record::parse_group(&group, value, now)?;
                    let old = self.groups.remove(&group);
                    let (offsets, pending_offsets) =
                        old.map(|old| (old.offsets, old.pending_offsets)).unwrap_or_default();
                    let loaded = Group {
                        offsets,
                        pending_offsets,
                        ..loaded
                    };
                    self.groups.insert(group, loaded);
                }
                None => {
                    self.groups.remove(&group);
                }
            },
            record::Key::Other => {}
        }
        Ok(())
    }
}

impl Group {
    pub(super) fn keep(&mut self, topic: String, partition: i32, committed: Committed) {
        let newer = self
            .offsets
            .get(&(topic.clone(), partition))
            .is_none_or(|old| old.position <= committed.position);
        if newer {
            self.offsets.insert((topic, partition), committed);
        }
    }

    fn forget(&self, offsets: Vec<(String, i32)>, reply: Option<Reply<Outcome>>) -> Write {
        let records = offsets
            .iter()
            .map(|(topic, partition)| (record::offset_key(&self.name, topic, *partition), None))
            .collect();
        Write {
            group: self.name.clone(),
            records,
            kind: Kind::Plain,
            then: Then::Forget { offsets, reply },
        }
    }

    /// The topics that members subscribe to, from the consumer protocol's metadata.
    fn subscriptions(&self) -> BTreeSet<String> {
        let protocol = self.protocol.clone().unwrap_or_default();
        self.members
            .values()
            .flat_map(|member| record::subscription(&member.metadata(&protocol)))
            .collect()
    }

    /// Kafka's rule (KIP-211): a group's offsets expire when it has been empty, or never had members, for the whole
    /// retention. The group goes with its last offset.
    pub(super) fn expire_offsets(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        let limit = now.wall_ms - settings.retention_ms;
        if self.state != State::Empty
            || self.offsets.is_empty()
            || !self.pending_offsets.is_empty()
            || self.changed_ms > limit
        {
            return Vec::new();
        }
        let old: Vec<(String, i32)> = self
            .offsets
            .iter()
            .filter(|(_, c)| c.at_ms <= limit)
            .map(|(key, _)| key.clone())
            .collect();
        match old.len() {
            0 => Vec::new(),
            all if all == self.offsets.len() => vec![self.tombstones(None)],
            _ => vec![self.forget(old, None)],
        }
    }
}
