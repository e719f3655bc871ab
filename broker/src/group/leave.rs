//! Leaving a group, by the member's own wish or because it is silent; and deleting a group.

use kafka_protocol::ResponseError;

use super::consumer::Scene;
use super::{Group, Groups, Kind, Now, Outcome, Reply, Settings, State, Then, Write, record};

/// Who leaves: by id, or by instance when an operator removes a static member (KIP-345).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    pub member_id: String,
    pub instance: Option<String>,
}

impl Groups {
    /// One outcome for each leaver, in their order.
    pub fn leave(&mut self, group: &str, leavers: &[Leaver], now: Now) -> (Vec<Result<(), ResponseError>>, Vec<Write>) {
        let Some(group) = self.groups.get_mut(group) else {
            return (
                leavers.iter().map(|_| Err(ResponseError::UnknownMemberId)).collect(),
                Vec::new(),
            );
        };
        if group.consumer.is_some() {
            let scene = Scene {
                settings: &self.settings,
                image: &self.image,
                topics_version: self.topics_version,
                now,
            };
            return group.leave_classic_members(&scene, leavers);
        }
        let before = group.members.len();
        let outcomes = leavers.iter().map(|leaver| group.leave(leaver)).collect();
        let writes = if group.members.len() < before {
            group.after_removal(&self.settings, now)
        } else {
            Vec::new()
        };
        (outcomes, writes)
    }

    /// Deletes an empty group and its offsets.
    pub fn delete(&mut self, group: &str, reply: Reply<Outcome>) -> Vec<Write> {
        let refusal = match self.groups.get(group) {
            None => Some(ResponseError::GroupIdNotFound),
            Some(group) if !group.is_empty() => Some(ResponseError::NonEmptyGroup),
            Some(_) => None,
        };
        match (refusal, self.groups.get(group)) {
            (None, Some(group)) => vec![group.tombstones(Some(reply))],
            (refusal, _) => {
                let _gone = reply.send(Err(refusal.unwrap_or(ResponseError::GroupIdNotFound)));
                Vec::new()
            }
        }
    }
}

impl Group {
    fn leave(&mut self, leaver: &Leaver) -> Result<(), ResponseError> {
        let id = match &leaver.instance {
            Some(instance) => {
                let owner = self.instances.get(instance).ok_or(ResponseError::UnknownMemberId)?;
                if !leaver.member_id.is_empty() && leaver.member_id != *owner {
                    return Err(ResponseError::FencedInstanceId);
                }
                owner.clone()
            }
            None => leaver.member_id.clone(),
        };
        if self.pending.remove(&id).is_some() || self.remove(&id, ResponseError::UnknownMemberId) {
            return Ok(());
        }
        Err(ResponseError::UnknownMemberId)
    }

    /// Takes a member out and answers what it waits for; whether it was one.
    pub(super) fn remove(&mut self, id: &str, error: ResponseError) -> bool {
        let Some(mut member) = self.members.remove(id) else {
            return false;
        };
        member.answer_join_error(error);
        member.answer_sync_error(error);
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        true
    }

    /// The others share the work of who is gone.
    pub(super) fn after_removal(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        let waits_for_company = self
            .rebalance
            .as_ref()
            .is_some_and(|rebalance| rebalance.first.is_some());
        if self.members.is_empty() && !waits_for_company {
            return self.become_empty(now);
        }
        self.rebalance(settings, now)
    }

    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        match &self.consumer {
            Some(consumer) => consumer.members.is_empty(),
            None => self.state == State::Empty,
        }
    }

    /// Removes the group and all its offsets from the log.
    pub(super) fn tombstones(&self, reply: Option<Reply<Outcome>>) -> Write {
        let offsets = self
            .offsets
            .keys()
            .map(|(topic, partition)| (record::offset_key(&self.name, topic, *partition), None));
        let own = match &self.consumer {
            Some(consumer) => consumer.tombstones(&self.name),
            None => vec![record::end_of(&self.name)],
        };
        let records = offsets.chain(own).collect();
        Write {
            group: self.name.clone(),
            records,
            kind: Kind::Plain,
            then: Then::Delete { reply },
        }
    }
}
