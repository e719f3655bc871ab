//! Handing out the leader's assignment, once it is written; and heartbeats.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::consumer::Scene;
use super::{Group, Groups, Now, Reply, Settings, State, Then, Write};

/// A member asks for its assignment; the leader brings everybody's.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    pub group: String,
    pub generation: i32,
    pub member_id: String,
    pub instance: Option<String>,
    /// From v5 on; must match the group's.
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignments: BTreeMap<String, Bytes>,
}

/// The answer to a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub error: Option<ResponseError>,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl Synced {
    pub fn failed(error: ResponseError) -> Self {
        Self {
            error: Some(error),
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}

impl Groups {
    /// Answers through `reply`, at once or when the assignment is written.
    pub fn sync(&mut self, request: SyncRequest, reply: Reply<Synced>, now: Now) -> Vec<Write> {
        let scene = Scene {
            settings: &self.settings,
            image: &self.image,
            topics_version: self.topics_version,
            now,
        };
        match self.groups.get_mut(&request.group) {
            Some(group) if group.consumer.is_some() => {
                let _gone = reply.send(group.sync_consumer(&scene, &request));
                Vec::new()
            }
            Some(group) => group.sync(request, reply, now),
            None => {
                let _gone = reply.send(Synced::failed(ResponseError::UnknownMemberId));
                Vec::new()
            }
        }
    }

    /// Whether the member may go on with its generation.
    pub fn heartbeat(
        &mut self,
        group: &str,
        id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Now,
    ) -> Result<(), ResponseError> {
        let scene = Scene {
            settings: &self.settings,
            image: &self.image,
            topics_version: self.topics_version,
            now,
        };
        let group = self.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        if group.consumer.is_some() {
            return group.heartbeat_consumer(&scene, id, instance, generation);
        }
        group.validate(id, instance)?;
        if generation != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if let Some(member) = group.members.get_mut(id) {
            member.heard(now.mono_ms);
        }
        match group.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    pub(super) fn assigned(
        &mut self,
        group: &str,
        generation: i32,
        outcome: Result<(), ResponseError>,
        now: Now,
    ) -> Vec<Write> {
        let Some(group) = self.groups.get_mut(group) else {
            return Vec::new();
        };
        // Another generation has begun meanwhile; its members were answered then.
        if group.generation != generation || group.state != State::CompletingRebalance || !group.assigning {
            return Vec::new();
        }
        group.assigning = false;
        match outcome {
            Ok(()) => {
                group.enter(State::Stable, now);
                let ids: Vec<String> = group.members.keys().cloned().collect();
                for id in ids {
                    let synced = group.assignment_of(&id);
                    if let Some(member) = group.members.get_mut(&id).filter(|member| member.syncing.is_some()) {
                        member.heard(now.mono_ms);
                        member.answer_sync(synced);
                    }
                }
                Vec::new()
            }
            Err(error) => {
                for member in group.members.values_mut() {
                    member.answer_sync_error(super::not_stored(error));
                }
                group.rebalance(&self.settings, now)
            }
        }
    }
}

impl Group {
    fn sync(&mut self, request: SyncRequest, reply: Reply<Synced>, now: Now) -> Vec<Write> {
        if let Err(error) = self.may_sync(&request) {
            let _gone = reply.send(Synced::failed(error));
            return Vec::new();
        }
        let id = request.member_id.clone();
        if self.state == State::Stable {
            if let Some(member) = self.members.get_mut(&id) {
                member.heard(now.mono_ms);
            }
            let _gone = reply.send(self.assignment_of(&id));
            return Vec::new();
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.answer_sync_error(ResponseError::RebalanceInProgress);
            member.syncing = Some(reply);
        }
        if self.leader.as_deref() != Some(&id) || self.assigning {
            return Vec::new();
        }
        for member in self.members.values_mut() {
            member.assignment = request.assignments.get(&member.id).cloned().unwrap_or_default();
        }
        self.assigning = true;
        vec![self.state_write(
            Then::Assign {
                generation: self.generation,
            },
            now,
        )]
    }

    fn may_sync(&self, request: &SyncRequest) -> Result<(), ResponseError> {
        self.validate(&request.member_id, request.instance.as_deref())?;
        if request.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |ours: &Option<String>, theirs: &Option<String>| theirs.is_some() && ours != theirs;
        if differs(&self.protocol_type, &request.protocol_type) || differs(&self.protocol, &request.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    fn assignment_of(&self, id: &str) -> Synced {
        Synced {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    /// Members that joined but never asked for their assignment hold the others up no longer.
    pub(super) fn end_sync_wait(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        if self.sync_deadline_ms.is_none_or(|deadline| deadline > now.mono_ms) {
            return Vec::new();
        }
        self.sync_deadline_ms = None;
        if self.state != State::CompletingRebalance || self.assigning {
            return Vec::new();
        }
        let silent: Vec<String> = self
            .members
            .values()
            .filter(|member| member.syncing.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in &silent {
            self.remove(id, ResponseError::UnknownMemberId);
        }
        if silent.is_empty() {
            Vec::new()
        } else {
            self.after_removal(settings, now)
        }
    }
}
