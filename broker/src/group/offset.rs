//! Committed offsets: who may commit, what is kept, when it expires.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::embedded::Subscription;
use super::{Group, Groups, InTransaction, Kind, Now, Outcome, Reply, Settings, State, Then, Write, consumer, record};
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
        if let Some(consumer) = &group.consumer {
            return consumer.may_commit(by);
        }
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

    /// Whether a member, by id and epoch, may ask for its group's offsets. Who names none may, and in a classic group everybody.
    pub fn may_fetch(&self, group: &str, (id, epoch): (&str, i32)) -> Result<(), ResponseError> {
        let consumer = self.groups.get(group).and_then(|group| group.consumer.as_ref());
        match consumer {
            Some(consumer) if !id.is_empty() || epoch >= 0 => consumer.may_fetch(id, epoch),
            _ => Ok(()),
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
        if group.consumer.is_none() && group.state != State::Empty && group.protocol_type.as_deref() != Some("consumer")
        {
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
                    self.replace(group, loaded);
                }
                None => {
                    let nothing = Group::new(&group, now);
                    self.replace(group, nothing);
                }
            },
            record::Key::Consumer => {
                let (name, change) = consumer::record::decode(key, value)?;
                let group = self
                    .groups
                    .entry(name.clone())
                    .or_insert_with(|| Group::new(&name, now));
                group.consumer.get_or_insert_default().load(change);
            }
            record::Key::Other => {}
        }
        Ok(())
    }
}

impl Groups {
    /// Puts a classic state in the place of another; offsets and what the consumer protocol knows of the group stay.
    fn replace(&mut self, name: String, state: Group) {
        let old = self.groups.remove(&name);
        let loaded = match old {
            Some(old) => Group {
                offsets: old.offsets,
                pending_offsets: old.pending_offsets,
                consumer: old.consumer,
                ..state
            },
            None => state,
        };
        self.groups.insert(name, loaded);
    }

    /// All of the log was applied: groups that ended are forgotten, and members have their whole session to be heard of.
    pub fn loaded(&mut self, now: Now) {
        let scene = consumer::Scene {
            settings: &self.settings,
            image: &self.image,
            topics_version: self.topics_version,
            now,
        };
        self.groups.retain(|name, group| {
            let ended = |consumer: &mut Box<consumer::Consumer>| {
                consumer.generation.is_none() || (consumer.members.is_empty() && group.generation > 0)
            };
            group.consumer.take_if(ended);
            if let Some(consumer) = &mut group.consumer {
                consumer.loaded(name, &scene);
            }
            !group.is_nothing()
        });
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
        if let Some(consumer) = &self.consumer {
            return consumer.subscribed().into_iter().map(str::to_owned).collect();
        }
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.values();
        let subscriptions = members.filter_map(|member| Subscription::parse(&member.metadata(&protocol)));
        subscriptions.flat_map(|subscription| subscription.topics).collect()
    }

    /// Kafka's rule (KIP-211, KIP-848): a group's offsets expire when it has been empty, or never had members, for the whole
    /// retention. The group goes with its last offset.
    pub(super) fn expire_offsets(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        let limit = now.wall_ms - settings.retention_ms;
        let is_consumer = self.consumer.is_some();
        let waits = if is_consumer {
            false
        } else {
            !self.is_empty() || self.changed_ms > limit
        };
        let under_way = !self.pending_offsets.is_empty() || self.turns > 0;
        if is_consumer && !under_way && self.is_empty() && self.offsets.is_empty() {
            let forgotten = now.wall_ms - self.changed_ms >= settings.retention_check_ms;
            return forgotten.then(|| self.tombstones(None)).into_iter().collect();
        }
        if waits || self.offsets.is_empty() || under_way {
            return Vec::new();
        }
        // A group of the consumer protocol keeps what its members subscribe to, and loses the rest also while it has members.
        let subscribed = match is_consumer {
            true => self.subscriptions(),
            false => BTreeSet::new(),
        };
        let old: Vec<(String, i32)> = self
            .offsets
            .iter()
            .filter(|((topic, _), c)| c.at_ms <= limit && !subscribed.contains(topic))
            .map(|(key, _)| key.clone())
            .collect();
        match old.len() {
            0 => Vec::new(),
            all if all == self.offsets.len() && self.is_empty() => vec![self.tombstones(None)],
            _ => vec![self.forget(old, None)],
        }
    }
}
