//! Members that speak the classic protocol in a group of the consumer protocol: their joins, syncs and heartbeats move
//! them along as heartbeats move the others (KIP-848, "Supporting Online Consumer Group Upgrade").

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::migration::{by_id, by_name};
use super::{ClassicMember, Consumer, Progress, Scene, Subscriber, Told, Turn};
use crate::env::random;
use crate::group::embedded::{self, Subscription};
use crate::group::{Group, JoinRequest, Joined, Leaver, Reply, SyncRequest, Synced, Write};

impl Group {
    /// A classic member joins, or joins again.
    pub(in crate::group) fn join_consumer(
        &mut self,
        scene: &Scene<'_>,
        request: JoinRequest,
        reply: Reply<Joined>,
    ) -> Vec<Write> {
        let (mut turn, id) = (Turn::default(), request.member_id.clone());
        match self.joined_consumer(&mut turn, scene, request) {
            Ok(joined) => {
                let told = Told::Joined(reply, Box::new(joined));
                self.written_later(turn, told).into_iter().collect()
            }
            Err((error, given)) => {
                self.undo(turn, scene.settings, scene.now);
                let _gone = reply.send(Joined::failed(error, given.unwrap_or(id)));
                Vec::new()
            }
        }
    }

    /// An error comes with the id that the member is to use, if it is a new one.
    fn joined_consumer(
        &mut self,
        turn: &mut Turn,
        scene: &Scene<'_>,
        request: JoinRequest,
    ) -> Result<Joined, (ResponseError, Option<String>)> {
        let (name, now_ms) = (self.name.clone(), scene.now.mono_ms);
        let Some(consumer) = self.consumer.as_mut() else {
            return Err((ResponseError::UnknownMemberId, None));
        };
        let no = |error: ResponseError| (error, None);
        if request.protocol_type != "consumer" || !consumer.shares_a_protocol(&request) {
            return Err(no(ResponseError::InconsistentGroupProtocol));
        }
        let Some((protocol, metadata)) = request.protocols.first().cloned() else {
            return Err(no(ResponseError::InconsistentGroupProtocol));
        };
        let subscription = Subscription::parse(&metadata).ok_or(no(ResponseError::InconsistentGroupProtocol))?;
        let id = consumer.admit_classic(&name, turn, scene, &request)?;
        let old = consumer.members.get(&id).cloned().unwrap_or_default();
        let updated = Subscriber {
            instance: request.instance,
            rack: subscription.rack,
            client_id: request.client_id,
            client_host: request.client_host,
            topics: subscription.topics.into_iter().collect(),
            regex: None,
            rebalance_timeout_ms: i32::try_from(request.rebalance_timeout_ms).unwrap_or(i32::MAX),
            assignor: old.assignor,
            classic: Some(ClassicMember {
                session_timeout_ms: i32::try_from(request.session_timeout_ms).unwrap_or(i32::MAX),
                protocols: request.protocols,
            }),
        };
        let subscribed = consumer.subscribe(&name, turn, scene, &id, updated, &|_| true);
        subscribed.map_err(|(error, _)| no(error))?;
        let owned = by_id(scene.image, &subscription.owned);
        consumer.advance(&name, turn, &id, Some(&owned));
        consumer.keep_time(&id, request.session_timeout_ms, now_ms);
        let joined = Joined {
            error: None,
            generation: consumer.holding(&id).epoch,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(protocol),
            leader: String::new(),
            skip_assignment: false,
            member_id: id,
            members: Vec::new(),
        };
        // A static member of the consumer protocol may have come back as a classic one, the last of its kind.
        self.become_classic_again(turn, scene);
        Ok(joined)
    }

    /// A classic member asks for what its generation gives it.
    pub(in crate::group) fn sync_consumer(&mut self, scene: &Scene<'_>, request: &SyncRequest) -> Synced {
        let Some(consumer) = self.consumer.as_mut() else {
            return Synced::failed(ResponseError::UnknownMemberId);
        };
        match consumer.synced(scene, request) {
            Ok(synced) => synced,
            Err(error) => Synced::failed(error),
        }
    }

    /// Whether a classic member may go on with its generation.
    pub(in crate::group) fn heartbeat_consumer(
        &mut self,
        scene: &Scene<'_>,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let consumer = self.consumer.as_mut().ok_or(ResponseError::UnknownMemberId)?;
        consumer.is_classic(id, instance, generation)?;
        consumer.heard_classic(id, scene.now.mono_ms);
        let held = consumer.holding(id);
        let moves = held.epoch < consumer.epoch()
            || held.progress == Progress::Unrevoked
            || (held.progress == Progress::Unreleased && consumer.is_released(id));
        if moves {
            consumer.expect_back(id, scene.now.mono_ms);
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// One outcome for each leaver, in their order.
    pub(in crate::group) fn leave_classic_members(
        &mut self,
        scene: &Scene<'_>,
        leavers: &[Leaver],
    ) -> (Vec<Result<(), ResponseError>>, Vec<Write>) {
        let mut gone = BTreeSet::new();
        let outcomes = leavers.iter().map(|leaver| {
            let consumer = self.consumer.as_ref().ok_or(ResponseError::UnknownMemberId)?;
            let id = match &leaver.instance {
                None => leaver.member_id.clone(),
                Some(instance) => {
                    let owner = consumer.instance(instance).ok_or(ResponseError::UnknownMemberId)?;
                    if !leaver.member_id.is_empty() && leaver.member_id != owner {
                        return Err(ResponseError::FencedInstanceId);
                    }
                    owner.to_owned()
                }
            };
            let member = consumer.members.get(&id).filter(|_| !gone.contains(&id));
            // Those of the consumer protocol leave by a heartbeat.
            match member.is_some_and(|member| member.classic.is_some()) {
                true => Ok(gone.insert(id)),
                false => Err(ResponseError::UnknownMemberId),
            }
        });
        let outcomes = outcomes.map(|outcome| outcome.map(|_| ())).collect();
        let mut turn = Turn::default();
        for id in gone {
            if let Some(consumer) = self.consumer.as_mut() {
                consumer.remove(&self.name, &mut turn, &id);
            }
        }
        self.changed_ms = scene.now.wall_ms;
        self.become_classic_again(&mut turn, scene);
        let write = match turn.records.is_empty() {
            true => None,
            false => self.written_later(turn, Told::Nobody),
        };
        (outcomes, write.into_iter().collect())
    }
}

impl Consumer {
    /// Whether all members of the classic protocol know an assignor of this one.
    fn shares_a_protocol(&self, request: &JoinRequest) -> bool {
        let others = || {
            let others = self.members.iter().filter(|(id, _)| **id != request.member_id);
            others.filter_map(|(_, member)| member.classic.as_ref())
        };
        let knows = |classic: &ClassicMember, name: &str| classic.protocols.iter().any(|(other, _)| other == name);
        let mut names = request.protocols.iter().map(|(name, _)| name.as_str());
        names.any(|name| others().all(|classic| knows(classic, name)))
    }

    fn admit_classic(
        &mut self,
        name: &str,
        turn: &mut Turn,
        scene: &Scene<'_>,
        request: &JoinRequest,
    ) -> Result<String, (ResponseError, Option<String>)> {
        let id = request.member_id.clone();
        let former = request
            .instance
            .as_ref()
            .and_then(|instance| self.instance(instance))
            .map(str::to_owned);
        let known = self.members.contains_key(&id) || former.is_some();
        self.has_room(scene, known).map_err(|(error, _)| (error, None))?;
        let new_id = |prefix: &str| format!("{prefix}-{}", random::uuid());
        match (&request.instance, former) {
            (None, _) if id.is_empty() => match request.needs_known_id {
                true => Err((ResponseError::MemberIdRequired, Some(new_id(&request.client_id)))),
                false => Ok(new_id(&request.client_id)),
            },
            (None, _) => Ok(id),
            (Some(instance), None) if id.is_empty() => Ok(new_id(instance)),
            (Some(_), None) => Err((ResponseError::UnknownMemberId, None)),
            (Some(instance), Some(former)) if id.is_empty() => {
                let id = new_id(instance);
                self.take_over(name, turn, &former, &id, self.target_epoch());
                Ok(id)
            }
            (Some(_), Some(former)) if former != id => Err((ResponseError::FencedInstanceId, None)),
            (Some(_), Some(_)) => Ok(id),
        }
    }

    fn synced(&mut self, scene: &Scene<'_>, request: &SyncRequest) -> Result<Synced, ResponseError> {
        let id = &request.member_id;
        let classic = self.is_classic(id, request.instance.as_deref(), request.generation)?;
        let Some((protocol, metadata)) = classic.protocols.first().cloned() else {
            return Err(ResponseError::InconsistentGroupProtocol);
        };
        let differs = |theirs: &Option<String>, ours: &str| theirs.as_deref().is_some_and(|theirs| theirs != ours);
        if differs(&request.protocol_type, "consumer") || differs(&request.protocol, &protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let held = self.holding(id);
        if held.epoch < self.epoch() && held.progress != Progress::Unrevoked {
            self.expect_back(id, scene.now.mono_ms);
            return Err(ResponseError::RebalanceInProgress);
        }
        self.heard_classic(id, scene.now.mono_ms);
        let version = Subscription::parse(&metadata).map_or(0, |subscription| subscription.version);
        Ok(Synced {
            error: None,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(protocol),
            assignment: embedded::assignment(version, &by_name(scene.image, &held.assigned)),
        })
    }

    /// The member, if it speaks the classic protocol and has that generation.
    fn is_classic(&self, id: &str, instance: Option<&str>, generation: i32) -> Result<&ClassicMember, ResponseError> {
        if let Some(instance) = instance {
            match self.instance(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(owner) if owner != id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        let classic = member.classic.as_ref().ok_or(ResponseError::UnknownMemberId)?;
        match self.holding(id).epoch == generation {
            true => Ok(classic),
            false => Err(ResponseError::IllegalGeneration),
        }
    }

    fn heard_classic(&mut self, id: &str, now_ms: i64) {
        let classic = self.members.get(id).and_then(|member| member.classic.as_ref());
        if let Some(timeout) = classic.map(|classic| classic.session_timeout_ms) {
            self.sessions.insert(id.to_owned(), now_ms + i64::from(timeout));
        }
    }

    /// Who is told to join again has its rebalance timeout for it.
    fn expect_back(&mut self, id: &str, now_ms: i64) {
        let timeout = self.members.get(id).map_or(0, |member| member.rebalance_timeout_ms);
        let epoch = self.holding(id).epoch;
        let deadline = (now_ms + i64::from(timeout), epoch);
        self.revocations.entry(id.to_owned()).or_insert(deadline);
    }
}
