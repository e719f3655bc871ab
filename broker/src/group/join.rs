//! Joining a group: who is a member, who leads, which generation and assignor.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::consumer::Scene;
use super::member::Member;
use super::{FirstWait, Group, Groups, Now, Rebalance, Reply, Settings, State, Then, Write};
use crate::env::random;

/// What a member says of itself.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    pub group: String,
    /// Empty for a new member.
    pub member_id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i64,
    pub rebalance_timeout_ms: i64,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    /// From v4 on a new dynamic member must come back with the id it was given (KIP-394).
    pub needs_known_id: bool,
    /// From v9 on a static leader that returns may be told to skip the assignment (KIP-814).
    pub can_skip_assignment: bool,
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub error: Option<ResponseError>,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// For the leader only.
    pub members: Vec<JoinedMember>,
}

/// What the leader is told of each member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub id: String,
    pub instance: Option<String>,
    pub metadata: Bytes,
}

impl Joined {
    pub fn failed(error: ResponseError, member_id: String) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

impl Groups {
    /// Answers through `reply`, at once or when the generation is complete.
    pub fn join(&mut self, request: JoinRequest, reply: Reply<Joined>, now: Now) -> Vec<Write> {
        let refuse = |reply: Reply<Joined>, error| {
            let _gone = reply.send(Joined::failed(error, request.member_id.clone()));
            Vec::new()
        };
        let sessions = self.settings.session_timeout_min_ms..=self.settings.session_timeout_max_ms;
        if request.group.is_empty() {
            return refuse(reply, ResponseError::InvalidGroupId);
        }
        if !sessions.contains(&request.session_timeout_ms) {
            return refuse(reply, ResponseError::InvalidSessionTimeout);
        }
        if !self.groups.contains_key(&request.group) {
            if !request.member_id.is_empty() {
                return refuse(reply, ResponseError::UnknownMemberId);
            }
            self.groups
                .insert(request.group.clone(), Group::new(&request.group, now));
        }
        let scene = Scene {
            settings: &self.settings,
            image: &self.image,
            topics_version: self.topics_version,
            now,
        };
        let Some(group) = self.groups.get_mut(&request.group) else {
            return Vec::new();
        };
        let Some(consumer) = &group.consumer else {
            return group.join(&self.settings, request, reply, now);
        };
        if !consumer.members.is_empty() {
            return group.join_consumer(&scene, request, reply);
        }
        let mut writes: Vec<Write> = group.give_way(&scene).into_iter().collect();
        writes.extend(group.join(&self.settings, request, reply, now));
        writes
    }
}

impl Group {
    fn join(&mut self, settings: &Settings, request: JoinRequest, reply: Reply<Joined>, now: Now) -> Vec<Write> {
        if let Err(error) = self.admits(settings, &request) {
            let _gone = reply.send(Joined::failed(error, request.member_id));
            return Vec::new();
        }
        let known = request
            .instance
            .as_ref()
            .and_then(|instance| self.instances.get(instance))
            .cloned();
        match (request.member_id.is_empty(), known) {
            (true, Some(old)) => self.replace(settings, &old, request, reply, now),
            (true, None) if request.instance.is_none() && request.needs_known_id => {
                let id = new_id(&request.client_id);
                self.pending
                    .insert(id.clone(), now.mono_ms + request.session_timeout_ms);
                let _gone = reply.send(Joined::failed(ResponseError::MemberIdRequired, id));
                Vec::new()
            }
            (true, None) => {
                let id = new_id(request.instance.as_deref().unwrap_or(&request.client_id));
                self.add(settings, id, request, reply, now)
            }
            (false, _) if self.pending.remove(&request.member_id).is_some() => {
                self.add(settings, request.member_id.clone(), request, reply, now)
            }
            (false, _) => self.rejoin(settings, request, reply, now),
        }
    }

    /// Whether the request fits the group as it is.
    fn admits(&self, settings: &Settings, request: &JoinRequest) -> Result<(), ResponseError> {
        if request.protocols.is_empty() || request.protocol_type.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let others = || self.members.values().filter(|member| member.id != request.member_id);
        if self.members.is_empty() || others().next().is_none() {
            return Ok(());
        }
        if self.protocol_type.as_deref() != Some(&request.protocol_type) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let supported = |name: &str| others().all(|member| member.protocols.iter().any(|(other, _)| other == name));
        if !request.protocols.iter().any(|(name, _)| supported(name)) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if !self.members.contains_key(&request.member_id) && self.members.len() >= settings.size_max {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        Ok(())
    }

    fn add(
        &mut self,
        settings: &Settings,
        id: String,
        request: JoinRequest,
        reply: Reply<Joined>,
        now: Now,
    ) -> Vec<Write> {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Some(instance) = &request.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        let member = Member {
            id: id.clone(),
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            expires_ms: now.mono_ms + request.session_timeout_ms,
            joining: Some(reply),
            syncing: None,
        };
        self.members.insert(id.clone(), member);
        self.leader.get_or_insert(id);
        if let Some(first) = self.rebalance.as_mut().and_then(|rebalance| rebalance.first.as_mut()) {
            first.somebody_came = true;
        }
        self.rebalance(settings, now)
    }

    /// A known member asks again: it lost the answer, has new metadata, or was told to.
    fn rejoin(&mut self, settings: &Settings, request: JoinRequest, reply: Reply<Joined>, now: Now) -> Vec<Write> {
        if let Err(error) = self.validate(&request.member_id, request.instance.as_deref()) {
            let _gone = reply.send(Joined::failed(error, request.member_id));
            return Vec::new();
        }
        let is_leader = self.leader.as_ref() == Some(&request.member_id);
        let current = self.current(&request.member_id);
        let Some(member) = self.members.get_mut(&request.member_id) else {
            return Vec::new();
        };
        member.heard(now.mono_ms);
        let changed = member.protocols != request.protocols;
        let has_all = match self.state {
            State::CompletingRebalance => !changed,
            State::Stable => !changed && !is_leader,
            State::Empty | State::PreparingRebalance => false,
        };
        if has_all {
            let _gone = reply.send(current);
            return Vec::new();
        }
        member.protocols = request.protocols;
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.answer_join_error(ResponseError::UnknownMemberId);
        member.joining = Some(reply);
        self.rebalance(settings, now)
    }

    /// A static member came back without its id: it takes the place of its former self, which is fenced.
    fn replace(
        &mut self,
        settings: &Settings,
        old: &str,
        request: JoinRequest,
        reply: Reply<Joined>,
        now: Now,
    ) -> Vec<Write> {
        let Some(mut member) = self.members.remove(old) else {
            return Vec::new();
        };
        member.answer_join_error(ResponseError::FencedInstanceId);
        member.answer_sync_error(ResponseError::FencedInstanceId);
        let instance = request.instance.clone().unwrap_or_default();
        let chosen = self.protocol.clone().unwrap_or_default();
        let before = member.metadata(&chosen);
        member.id = new_id(&instance);
        member.client_id = request.client_id;
        member.client_host = request.client_host;
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.protocols = request.protocols;
        member.heard(now.mono_ms);
        let (id, same) = (member.id.clone(), member.metadata(&chosen) == before);
        let was_leader = self.leader.as_deref() == Some(old);
        self.instances.insert(instance, id.clone());
        self.members.insert(id.clone(), member);
        if was_leader {
            self.leader = Some(id.clone());
        }
        if self.state == State::Stable && same && self.select_protocol().as_deref() == Some(chosen.as_str()) {
            let mut joined = self.current(&id);
            if was_leader && request.can_skip_assignment {
                joined.skip_assignment = true;
            } else if was_leader {
                // Told another leader's name, it will not assign: the generation goes on as it is.
                old.clone_into(&mut joined.leader);
                joined.members.clear();
            }
            return vec![self.state_write(
                Then::Replaced {
                    reply,
                    joined: Box::new(joined),
                },
                now,
            )];
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(reply);
        }
        self.rebalance(settings, now)
    }

    /// Whether the id is a member's, and the instance, if any, still its own.
    pub(super) fn validate(&self, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            return match self.instances.get(instance) {
                None => Err(ResponseError::UnknownMemberId),
                Some(owner) if owner != id => Err(ResponseError::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(ResponseError::UnknownMemberId)
        }
    }

    /// Starts the next generation, or lets one that waits go on if all are there.
    pub(super) fn rebalance(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        if self.state == State::CompletingRebalance {
            self.assigning = false;
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                member.heard(now.mono_ms);
                member.answer_sync_error(ResponseError::RebalanceInProgress);
            }
        }
        if self.state != State::PreparingRebalance {
            let timeout = self.rebalance_timeout_ms();
            let is_first = self.state == State::Empty && settings.initial_delay_ms > 0;
            self.sync_deadline_ms = None;
            self.rebalance = Some(if is_first {
                let first = FirstWait {
                    at_most_ms: now.mono_ms + timeout,
                    somebody_came: false,
                };
                Rebalance {
                    until_ms: now.mono_ms + settings.initial_delay_ms.min(timeout),
                    first: Some(first),
                }
            } else {
                Rebalance {
                    until_ms: now.mono_ms + timeout,
                    first: None,
                }
            });
            self.enter(State::PreparingRebalance, now);
        }
        let is_first = self
            .rebalance
            .as_ref()
            .is_some_and(|rebalance| rebalance.first.is_some());
        let all_joined = self.members.values().all(|member| member.joining.is_some()) && self.pending.is_empty();
        if all_joined && !is_first {
            self.complete_join(settings, now)
        } else {
            Vec::new()
        }
    }

    /// Ends the wait for members that do not come, or grants a first generation more time for company.
    pub(super) fn end_join_wait(&mut self, settings: &Settings, now: Now) -> Vec<Write> {
        let Some(rebalance) = self
            .rebalance
            .as_mut()
            .filter(|rebalance| rebalance.until_ms <= now.mono_ms)
        else {
            return Vec::new();
        };
        if let Some(first) = rebalance
            .first
            .as_mut()
            .filter(|first| first.somebody_came && now.mono_ms < first.at_most_ms)
        {
            first.somebody_came = false;
            rebalance.until_ms = first.at_most_ms.min(now.mono_ms + settings.initial_delay_ms);
            return Vec::new();
        }
        self.complete_join(settings, now)
    }

    fn complete_join(&mut self, _settings: &Settings, now: Now) -> Vec<Write> {
        let absent = |member: &&Member| member.joining.is_none() && member.instance.is_none();
        let absent: Vec<String> = self
            .members
            .values()
            .filter(absent)
            .map(|member| member.id.clone())
            .collect();
        for id in absent {
            self.remove(&id, ResponseError::UnknownMemberId);
        }
        if self.members.is_empty() {
            return self.become_empty(now);
        }
        let is_here = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !self.leader.as_ref().is_some_and(is_here) {
            let next = self
                .members
                .values()
                .find(|member| member.joining.is_some())
                .map(|member| member.id.clone());
            if next.is_none() {
                // Only static members are left and none has come yet: they keep their places until their sessions end.
                let until_ms = now.mono_ms + self.rebalance_timeout_ms().max(1);
                self.rebalance = Some(Rebalance { until_ms, first: None });
                return Vec::new();
            }
            self.leader = next;
        }
        self.rebalance = None;
        self.generation += 1;
        self.protocol = self.select_protocol();
        self.enter(State::CompletingRebalance, now);
        self.sync_deadline_ms = Some(now.mono_ms + self.rebalance_timeout_ms());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.current(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.heard(now.mono_ms);
                member.answer_join(joined);
            }
        }
        Vec::new()
    }

    pub(super) fn become_empty(&mut self, now: Now) -> Vec<Write> {
        self.rebalance = None;
        self.sync_deadline_ms = None;
        self.generation += 1;
        self.protocol = None;
        self.leader = None;
        self.enter(State::Empty, now);
        vec![self.state_write(Then::Nothing, now)]
    }

    /// The answer to a member of the present generation.
    fn current(&self, id: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let protocol = self.protocol.clone().unwrap_or_default();
        let member = |member: &Member| JoinedMember {
            id: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(&protocol),
        };
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            members: if leader == id {
                self.members.values().map(member).collect()
            } else {
                Vec::new()
            },
            leader,
            skip_assignment: false,
            member_id: id.to_owned(),
        }
    }

    /// The assignor that all members know and most prefer.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let names = |member: &Member| {
            member
                .protocols
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<BTreeSet<_>>()
        };
        let common = self.members.values().map(names).reduce(|all, own| &all & &own)?;
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| common.contains(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name.to_owned())
    }
}

/// Kafka's shape of a member id: what the client calls itself, and something random.
fn new_id(prefix: &str) -> String {
    format!("{prefix}-{}", random::uuid())
}
