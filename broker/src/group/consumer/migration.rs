//! A group changes its protocol while it runs (KIP-848): from the classic one when a member of the consumer protocol
//! joins, and back when the last such member leaves. Its members keep what they have, its offsets stay.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::beat::refuse;
use super::{
    Change, ClassicMember, Consumer, Generation, Holding, Partitions, Progress, Refusal, Scene, Subscriber, Turn,
};
use crate::group::embedded::{self, Named, Subscription};
use crate::group::member::Member;
use crate::group::{Group, State, record};
use crate::image::Image;

/// By topic id; topics that are gone are left out.
pub(super) fn by_id(image: &Image, named: &Named) -> Partitions {
    let mut partitions = Partitions::new();
    for (topic, of) in named.iter().filter(|(_, of)| !of.is_empty()) {
        if let Some(id) = image.topic_ids.get(topic) {
            partitions.entry(*id).or_default().extend(of);
        }
    }
    partitions
}

/// By topic name; topics that are gone are left out.
pub(super) fn by_name(image: &Image, partitions: &Partitions) -> Named {
    let named = partitions.iter().filter_map(|(id, of)| {
        let topic = image.topic(*id)?;
        Some((topic.name.clone(), of.iter().copied().collect()))
    });
    let mut named: Named = named.collect();
    named.sort();
    named
}

impl Group {
    /// Makes the group one of the consumer protocol if it is not, for a member that joins.
    pub(super) fn become_consumer(&mut self, turn: &mut Turn, scene: &Scene<'_>, joins: bool) -> Result<(), Refusal> {
        if self.consumer.is_some() {
            return Ok(());
        }
        let name = self.name.clone();
        let no = |why: String| refuse(ResponseError::GroupIdNotFound, why);
        if !joins {
            return no(format!("Group {name} is not a consumer group."));
        }
        if self.members.is_empty() {
            let was_written = self.generation > 0 || self.protocol_type.is_some();
            self.leave_classic(turn, scene);
            if was_written {
                turn.records.push(record::end_of(&name));
            }
            return Ok(());
        }
        let cannot = format!("Cannot upgrade classic group {name} to consumer group because");
        if !scene.settings.consumer.upgrades {
            return no(format!("{cannot} the online upgrade is disabled."));
        }
        if self.protocol_type.as_deref() != Some("consumer") {
            return no(format!(
                "{cannot} the group does not use the consumer embedded protocol."
            ));
        }
        let subscriptions = self
            .members
            .values()
            .map(|member| subscription(member, self.protocol.as_deref()));
        let Some(subscriptions) = subscriptions.collect::<Option<Vec<Subscription>>>() else {
            return no(format!("{cannot} the subscription of a member cannot be read."));
        };
        if self.members.len() > scene.settings.consumer.size_max {
            return no(format!("{cannot} the group exceeds the consumer group max size."));
        }
        let former = self.leave_classic(turn, scene);
        turn.records.push(record::end_of(&name));
        let consumer = self.consumer.get_or_insert_default();
        consumer.take_in(&name, turn, scene, former, subscriptions);
        Ok(())
    }

    /// Sets the classic state aside, which is returned in part: generation and members.
    fn leave_classic(&mut self, turn: &mut Turn, scene: &Scene<'_>) -> Former {
        for member in self.members.values_mut() {
            member.answer_join_error(ResponseError::RebalanceInProgress);
            member.answer_sync_error(ResponseError::RebalanceInProgress);
        }
        let former = Former {
            generation: self.generation,
            members: self.members.values().map(Member::without_replies).collect(),
        };
        self.set_aside(turn, scene);
        self.consumer = Some(Box::default());
        former
    }

    /// Begins anew with the same name and offsets; the former state is kept in the turn.
    fn set_aside(&mut self, turn: &mut Turn, scene: &Scene<'_>) {
        let fresh = Self {
            offsets: std::mem::take(&mut self.offsets),
            pending_offsets: std::mem::take(&mut self.pending_offsets),
            turns: self.turns,
            ..Self::new(&self.name, scene.now)
        };
        let former = std::mem::replace(self, fresh);
        turn.former = Some(Box::new(former));
    }

    /// Makes it a classic group again if it has members and none of them speaks the consumer protocol.
    pub(super) fn become_classic_again(&mut self, turn: &mut Turn, scene: &Scene<'_>) {
        let all_classic = self.consumer.as_ref().is_some_and(|consumer| {
            !consumer.members.is_empty() && consumer.members.values().all(|member| member.classic.is_some())
        });
        if !all_classic || !scene.settings.consumer.downgrades || turn.former.is_some() {
            return;
        }
        let (name, now) = (self.name.clone(), scene.now);
        let Some(consumer) = self.consumer.as_mut() else { return };
        let generation = consumer.epoch();
        let members: Vec<Member> = consumer
            .members
            .iter()
            .map(|(id, member)| classic(id, member, consumer, scene))
            .collect();
        // The records end one by one, so that the former state is whole in what is set aside.
        turn.records.extend(consumer.tombstones(&name));
        self.set_aside(turn, scene);
        self.generation = generation;
        self.protocol_type = Some("consumer".to_owned());
        for member in members {
            if let Some(instance) = &member.instance {
                self.instances.insert(instance.clone(), member.id.clone());
            }
            self.leader.get_or_insert_with(|| member.id.clone());
            self.members.insert(member.id.clone(), member);
        }
        self.protocol = self.select_protocol();
        self.enter(State::Stable, now);
        let value = record::group_value(self, now.wall_ms);
        turn.records.push((record::group_key(&name), Some(value)));
        // Everybody is there and nobody leads: they share out what the last one had.
        let writes = self.rebalance(scene.settings, now);
        debug_assert!(writes.is_empty(), "members have to come first");
    }

    /// An empty group of the consumer protocol makes room for a classic one; the tombstones to write.
    pub(in crate::group) fn give_way(&mut self, scene: &Scene<'_>) -> Option<crate::group::Write> {
        let mut turn = Turn::default();
        let mut consumer = self.consumer.take()?;
        consumer.end(&self.name, &mut turn);
        // There is no way back: the classic group that follows writes its own state.
        turn.undo.clear();
        self.changed_ms = scene.now.wall_ms;
        self.written_later(turn, super::Told::Nobody)
    }
}

/// What a classic group leaves.
struct Former {
    generation: i32,
    members: Vec<Member>,
}

fn subscription(member: &Member, protocol: Option<&str>) -> Option<Subscription> {
    let chosen = member
        .protocols
        .iter()
        .find(|(name, _)| Some(name.as_str()) == protocol);
    let (_, metadata) = chosen.or(member.protocols.first())?;
    Subscription::parse(metadata)
}

impl Consumer {
    /// Takes the members of a classic group in with what they have.
    fn take_in(
        &mut self,
        name: &str,
        turn: &mut Turn,
        scene: &Scene<'_>,
        former: Former,
        subscriptions: Vec<Subscription>,
    ) {
        let epoch = former.generation;
        let mut sessions = BTreeMap::new();
        for (member, subscription) in former.members.into_iter().zip(subscriptions) {
            let assigned = by_id(scene.image, &embedded::assigned(&member.assignment));
            let id = member.id;
            sessions.insert(id.clone(), scene.now.mono_ms + member.session_timeout_ms);
            let subscriber = Subscriber {
                instance: member.instance,
                rack: subscription.rack,
                client_id: member.client_id,
                client_host: member.client_host,
                topics: subscription.topics.into_iter().collect(),
                regex: None,
                rebalance_timeout_ms: i32::try_from(member.rebalance_timeout_ms).unwrap_or(i32::MAX),
                assignor: None,
                classic: Some(ClassicMember {
                    session_timeout_ms: i32::try_from(member.session_timeout_ms).unwrap_or(i32::MAX),
                    protocols: member.protocols,
                }),
            };
            let held = Holding {
                epoch,
                previous_epoch: epoch,
                progress: Progress::Stable,
                assigned: assigned.clone(),
                revoking: Partitions::new(),
            };
            self.change(name, turn, Change::Member(id.clone(), Some(subscriber)));
            self.change(name, turn, Change::Target(id.clone(), Some(assigned)));
            self.change(name, turn, Change::Holding(id, Some(held)));
        }
        self.sessions = sessions;
        let generation = Generation {
            epoch,
            topics_hash: self.topics_hash(scene),
        };
        self.change(name, turn, Change::AssignmentEpoch(Some(epoch)));
        self.change(name, turn, Change::Generation(Some(generation)));
    }
}

/// A member as the classic protocol keeps it.
fn classic(id: &str, member: &Subscriber, consumer: &Consumer, scene: &Scene<'_>) -> Member {
    let of = member.classic.clone();
    let (session_timeout_ms, protocols) = of.map_or((0, Vec::new()), |of| (of.session_timeout_ms, of.protocols));
    let version = protocols
        .first()
        .and_then(|(_, metadata)| Subscription::parse(metadata))
        .map_or(0, |subscription| subscription.version);
    Member {
        id: id.to_owned(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout_ms: i64::from(session_timeout_ms),
        rebalance_timeout_ms: i64::from(member.rebalance_timeout_ms),
        protocols,
        assignment: embedded::assignment(version, &by_name(scene.image, &consumer.holding(id).assigned)),
        expires_ms: scene.now.mono_ms + i64::from(session_timeout_ms),
        joining: None,
        syncing: None,
    }
}
