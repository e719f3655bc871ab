//! The brokers' life: registration (62), heartbeats (63), fencing, controlled shutdown, unregistration (64).
//!
//! KIP-631: a broker registers fenced, is unfenced once it has applied its own registration, and is fenced again when it
//! is silent for `broker.session.timeout.ms`.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::change::Scene;
use super::state::Session;
use super::{Ask, Decide, Decision, Instant, State, directory, election, feature};
use crate::id::NodeId;
use crate::image::{Broker, Endpoint, Record, feature as levels};

impl Decide for BrokerRegistrationRequest {
    type Response = BrokerRegistrationResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<BrokerRegistrationResponse> {
        let id = NodeId(self.broker_id.0);
        let answer = |epoch: i64| BrokerRegistrationResponse::default().with_broker_epoch(epoch);
        let refuse = |code: ErrorCode| Decision::only(answer(-1).with_error_code(code.code()));
        if self.cluster_id.as_str() != state.image.cluster_id {
            return refuse(ErrorCode::InconsistentClusterId);
        }
        if id.0 < 0 || self.listeners.is_empty() {
            return refuse(ErrorCode::InvalidRequest);
        }
        if id == state.node {
            return refuse(ErrorCode::DuplicateBrokerRegistration);
        }
        if let Some(known) = state.image.brokers.get(&id) {
            if known.incarnation == self.incarnation_id {
                return Decision::only(answer(known.epoch));
            }
            if state.has_session(id, ask.now) && !is_successor(known, &self) {
                return refuse(ErrorCode::DuplicateBrokerRegistration);
            }
        }
        let broker = registration(&self);
        if let Some(why) = feature::lacking(&state.image, &broker.features) {
            tracing::warn!("broker {id}: {why}");
            return refuse(ErrorCode::UnsupportedVersion);
        }
        let epoch = state.next_offset();
        let last = state.image.brokers.get(&id).map(|known| known.epoch);
        let mut records = vec![Record::Broker(broker)];
        if let Some(last) = last {
            // KIP-966: a run that did not end cleanly may have lost what it had, so it cannot lead by that.
            let crashed = eligible_leaders(state) && last != self.previous_broker_epoch;
            // A fenced one has lost its leaderships already, and may still be the one that an offline partition waits for.
            if crashed || state.image.is_live(id) {
                records.extend(after_end(state, id, crashed));
            }
        }
        let session = Session {
            heard: ask.now,
            applied: -1,
            leaves_after: None,
        };
        state.sessions.insert(id, session);
        Decision {
            records,
            response: answer(epoch),
        }
    }
}

fn eligible_leaders(state: &State) -> bool {
    levels::is_on(&state.image, levels::ELIGIBLE_LEADER_REPLICAS)
}

/// What follows from the end of a broker's run.
fn after_end(state: &State, id: NodeId, crashed: bool) -> Vec<Record> {
    let gone = BTreeSet::from([id]);
    let scene = Scene::of(state).without(&gone);
    match crashed {
        true => election::after_loss(&scene.without_crashed(id), &gone),
        false => election::after_loss(&scene, &gone),
    }
}

/// Whether the registered run has certainly ended although its session has not: it said goodbye, or the new one holds the
/// same log directories, which only one process can lock.
fn is_successor(known: &Broker, request: &BrokerRegistrationRequest) -> bool {
    let same_dir = known.log_dirs.iter().any(|dir| request.log_dirs.contains(dir));
    // Without a directory left it has stopped.
    let none_left = known.fenced && known.log_dirs.is_empty();
    known.in_controlled_shutdown || same_dir || none_left
}

fn registration(request: &BrokerRegistrationRequest) -> Broker {
    let endpoint = |listener: &kafka_protocol::messages::broker_registration_request::Listener| Endpoint {
        listener: listener.name.to_string(),
        host: listener.host.to_string(),
        port: listener.port,
    };
    Broker {
        id: NodeId(request.broker_id.0),
        incarnation: request.incarnation_id,
        epoch: -1,
        rack: request.rack.as_ref().map(ToString::to_string),
        listeners: request.listeners.iter().map(endpoint).collect(),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: request.log_dirs.clone(),
        features: (request.features.iter())
            .map(|known| {
                (
                    known.name.to_string(),
                    (known.min_supported_version, known.max_supported_version),
                )
            })
            .collect(),
    }
}

impl Decide for BrokerHeartbeatRequest {
    type Response = BrokerHeartbeatResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<BrokerHeartbeatResponse> {
        let id = NodeId(self.broker_id.0);
        let refuse = |code: ErrorCode| {
            Decision::only(
                BrokerHeartbeatResponse::default()
                    .with_error_code(code.code())
                    .with_is_fenced(true),
            )
        };
        let Some(broker) = state.image.brokers.get(&id).cloned() else {
            return refuse(ErrorCode::BrokerIdNotRegistered);
        };
        if broker.epoch != self.broker_epoch {
            return refuse(ErrorCode::StaleBrokerEpoch);
        }
        let leaves_after = state.sessions.get(&id).and_then(|session| session.leaves_after);
        let session = Session {
            heard: ask.now,
            applied: self.current_metadata_offset,
            leaves_after,
        };
        state.sessions.insert(id, session);
        state.observe_applied(id, self.current_metadata_offset);
        let caught_up = self.current_metadata_offset >= broker.epoch;
        let online = directory::online_after(&broker, &self.offline_log_dirs);
        let next = match &online {
            Some(online) if online.is_empty() => Step::Fence,
            // What else it wants waits for the next heartbeat, which sees the new image.
            Some(_) => Step::Stay,
            // All of its directories failed.
            None if broker.log_dirs.is_empty() && !self.offline_log_dirs.is_empty() && !self.want_shut_down => {
                Step::Stay
            }
            None => next_step(state, &broker, &self, caught_up),
        };
        let mut records = act(state, &broker, next);
        if let Some(online) = online {
            records.extend(directory::lost(state, &broker, online));
        }
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(caught_up)
            .with_is_fenced(match next {
                Step::Unfence => false,
                Step::Fence | Step::Leave => true,
                Step::Stay | Step::BeginLeaving => broker.fenced,
            })
            .with_should_shut_down(next == Step::Leave);
        Decision { records, response }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Stay,
    Unfence,
    Fence,
    /// Its leaderships move away.
    BeginLeaving,
    /// It may stop now.
    Leave,
}

fn next_step(state: &State, broker: &Broker, beat: &BrokerHeartbeatRequest, caught_up: bool) -> Step {
    if broker.fenced {
        return match (beat.want_shut_down, beat.want_fence) {
            (true, _) => Step::Leave,
            (false, false) if caught_up => Step::Unfence,
            _ => Step::Stay,
        };
    }
    if beat.want_shut_down {
        let session = state.sessions.get(&broker.id);
        return match session.and_then(|session| session.leaves_after) {
            None => Step::BeginLeaving,
            Some(offset) if others_applied(state, broker.id, offset) => Step::Leave,
            Some(_) => Step::Stay,
        };
    }
    if beat.want_fence { Step::Fence } else { Step::Stay }
}

/// Whether every other live broker knows who leads since `offset`.
fn others_applied(state: &State, leaving: NodeId, offset: i64) -> bool {
    state
        .image
        .brokers
        .values()
        .filter(|other| !other.fenced && other.id != leaving)
        .all(|other| {
            state
                .sessions
                .get(&other.id)
                .is_some_and(|session| session.applied >= offset)
        })
}

fn act(state: &mut State, broker: &Broker, step: Step) -> Vec<Record> {
    match step {
        Step::Stay => Vec::new(),
        Step::Unfence => {
            let mut records = vec![condition(broker.id, false, false)];
            records.extend(election::after_return(&Scene::of(state).with(broker.id)));
            records
        }
        Step::Fence => fence(state, &BTreeSet::from([broker.id])),
        Step::BeginLeaving => {
            let mut records = vec![condition(broker.id, false, true)];
            records.extend(after_end(state, broker.id, false));
            let last = state.image.offset + i64::try_from(records.len()).unwrap_or(i64::MAX);
            if let Some(session) = state.sessions.get_mut(&broker.id) {
                session.leaves_after = Some(last);
            }
            records
        }
        Step::Leave => {
            state.sessions.remove(&broker.id);
            match broker.fenced {
                true => Vec::new(),
                false => fence(state, &BTreeSet::from([broker.id])),
            }
        }
    }
}

fn condition(id: NodeId, fenced: bool, in_controlled_shutdown: bool) -> Record {
    Record::BrokerState {
        id,
        fenced,
        in_controlled_shutdown,
    }
}

fn fence(state: &State, gone: &BTreeSet<NodeId>) -> Vec<Record> {
    let leaving = |id: NodeId| {
        state
            .image
            .brokers
            .get(&id)
            .is_some_and(|broker| broker.in_controlled_shutdown)
    };
    let mut records: Vec<Record> = gone.iter().map(|id| condition(*id, true, leaving(*id))).collect();
    records.extend(election::after_loss(&Scene::of(state).without(gone), gone));
    records
}

/// Nobody listens for a broker any more that ended its connection.
pub struct Gone {
    pub id: NodeId,
    /// Of which run of it that is known.
    pub epoch: i64,
    /// When it ended its connection. Who was heard from since is another, or has another connection.
    pub since: Instant,
}

impl Decide for Gone {
    type Response = ();

    fn decide(self, state: &mut State, _: Ask) -> Decision<()> {
        let known = state.image.brokers.get(&self.id);
        let is_live = known.is_some_and(|broker| broker.epoch == self.epoch && !broker.fenced);
        let is_heard = state
            .sessions
            .get(&self.id)
            .is_some_and(|session| session.heard > self.since);
        if !is_live || is_heard {
            return Decision::only(());
        }
        tracing::warn!("fencing broker {}: it has ended", self.id);
        state.sessions.remove(&self.id);
        Decision {
            records: fence(state, &BTreeSet::from([self.id])),
            response: (),
        }
    }
}

/// Time passed: fence the silent, and now and then move leadership back.
pub(super) struct Tick;

impl Decide for Tick {
    type Response = ();

    fn decide(self, state: &mut State, ask: Ask) -> Decision<()> {
        let live = state.image.brokers.values().filter(|broker| !broker.fenced);
        let silent: BTreeSet<NodeId> = live
            .map(|broker| broker.id)
            .filter(|id| !state.has_session(*id, ask.now))
            .collect();
        if !silent.is_empty() {
            let names: Vec<String> = silent.iter().map(NodeId::to_string).collect();
            tracing::warn!(
                "fencing brokers {}: no heartbeat within {:?}",
                names.join(", "),
                state.session_timeout()
            );
            state.sessions.retain(|id, _| !silent.contains(id));
            return Decision {
                records: fence(state, &silent),
                response: (),
            };
        }
        Decision {
            records: rebalance(state, ask),
            response: (),
        }
    }
}

/// `auto.leader.rebalance.enable`, every `leader.imbalance.check.interval.seconds`.
fn rebalance(state: &mut State, ask: Ask) -> Vec<Record> {
    /// As in Kafka, so that one batch of elections does not stall the cluster.
    const MOVES_MAX: usize = 1_000;
    let every = state.config.millis("leader.imbalance.check.interval.seconds") * 1_000;
    let since = *state.rebalanced.get_or_insert(ask.now);
    if !state.config.boolean("auto.leader.rebalance.enable") || ask.now.duration_since(since) < every {
        return Vec::new();
    }
    state.rebalanced = Some(ask.now);
    let percent = state.config.size("leader.imbalance.per.broker.percentage");
    election::rebalance(&Scene::of(state), &state.image, percent, MOVES_MAX)
}

impl Decide for UnregisterBrokerRequest {
    type Response = UnregisterBrokerResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<UnregisterBrokerResponse> {
        let id = NodeId(self.broker_id.0);
        if !state.image.brokers.contains_key(&id) {
            let why = StrBytes::from_string(format!("Broker ID {id} is not currently registered"));
            return Decision::only(
                UnregisterBrokerResponse::default()
                    .with_error_code(ErrorCode::BrokerIdNotRegistered.code())
                    .with_error_message(Some(why)),
            );
        }
        // As in Kafka whether it is live or not: a broker that runs registers again, and is in sync with nothing then.
        let mut records = after_end(state, id, true);
        records.push(Record::UnregisterBroker { id });
        state.sessions.remove(&id);
        Decision {
            records,
            response: UnregisterBrokerResponse::default(),
        }
    }
}
