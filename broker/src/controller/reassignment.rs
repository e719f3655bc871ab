//! Moving partitions: AlterPartitionReassignments (45) and ListPartitionReassignments (46), KIP-455 and KIP-860.
//!
//! While a reassignment is in flight a partition's replicas are the target's, in order, then those that will go. It is
//! completed by the change of the ISR that brings the last adding replica in ([`super::change`]); the leader moves off
//! removed replicas then. It is part of the metadata, so it outlives every restart.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::change::{Election, Scene};
use super::{Ask, Decide, Decision, State, election};
use crate::id::NodeId;
use crate::image::{Image, Partition, Topic};

type Refusal = (ErrorCode, String);

impl Decide for AlterPartitionReassignmentsRequest {
    type Response = AlterPartitionReassignmentsResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<AlterPartitionReassignmentsResponse> {
        let scene = Scene::of(state);
        let resizing = ask.version < 1 || self.allow_replication_factor_change;
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for asked in self.topics {
            let topic = state.image.topic_named(asked.name.as_str());
            let mut answers = Vec::new();
            for wish in asked.partitions {
                let at = usize::try_from(wish.partition_index).unwrap_or(usize::MAX);
                let found = topic.and_then(|topic| Some((topic, topic.partitions.get(at)?)));
                let outcome = match found {
                    None => Err((
                        ErrorCode::UnknownTopicOrPartition,
                        match topic {
                            None => format!("Unable to find a topic named {}.", asked.name.as_str()),
                            Some(topic) => {
                                format!("Unable to find partition {}:{}.", topic.name, wish.partition_index)
                            }
                        },
                    )),
                    Some((topic, old)) => begin(state, &scene, topic, old, &wish, resizing)
                        .map(|new| records.extend(new.map(|new| election::record(topic, at, new)))),
                };
                answers.push(answer(wish.partition_index, outcome));
            }
            let response = ReassignableTopicResponse::default()
                .with_name(asked.name)
                .with_partitions(answers);
            responses.push(response);
        }
        Decision {
            records,
            response: AlterPartitionReassignmentsResponse::default()
                .with_allow_replication_factor_change(self.allow_replication_factor_change)
                .with_responses(responses),
        }
    }
}

fn begin(
    state: &State,
    scene: &Scene<'_>,
    topic: &Topic,
    old: &Partition,
    wish: &ReassignablePartition,
    resizing: bool,
) -> Result<Option<Partition>, Refusal> {
    let rules = scene.rules(topic);
    match &wish.replicas {
        None => {
            let place = format!("{}:{}", topic.name, wish.partition_index);
            let wish = reverted(old, rules.allows_unclean(), &place)?;
            Ok(scene.change(rules, rules.election(), old, wish))
        }
        Some(target) => {
            let target: Vec<NodeId> = target.iter().map(|id| NodeId(id.0)).collect();
            check_target(&state.image, &target)?;
            let wish = moved(old, &target, resizing)?;
            Ok(scene.change(rules, Election::Online, old, wish))
        }
    }
}

/// A list of replicas that could be: registered brokers, each once.
pub(super) fn check_target(image: &Image, target: &[NodeId]) -> Result<(), Refusal> {
    let refuse = |why: String| Err((ErrorCode::InvalidReplicaAssignment, why));
    if target.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for id in target {
        if !image.brokers.contains_key(id) {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if !seen.insert(id) {
            return refuse(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
    }
    Ok(())
}

/// On its way to `target`. What an earlier reassignment was adding goes as well if it is not wanted any more.
fn moved(old: &Partition, target: &[NodeId], resizing: bool) -> Result<Partition, Refusal> {
    // KIP-860: what counts is the factor that the partition is headed for.
    let factor = old.target().len();
    if !resizing && target.len() != factor {
        let why = format!("The replication factor is changed from {factor} to {}", target.len());
        return Err((ErrorCode::InvalidReplicationFactor, why));
    }
    let without = |of: &[NodeId], not: &[NodeId]| -> Vec<NodeId> {
        let mut rest: Vec<NodeId> = of.iter().copied().filter(|id| !not.contains(id)).collect();
        rest.sort_unstable();
        rest
    };
    let removing = without(&old.replicas, target);
    let mut replicas = target.to_vec();
    replicas.extend(&removing);
    Ok(Partition {
        adding: without(target, &old.replicas),
        removing,
        replicas,
        ..old.clone()
    })
}

/// Without what the reassignment in flight was adding.
fn reverted(old: &Partition, unclean: bool, place: &str) -> Result<Partition, Refusal> {
    if !old.is_reassigning() {
        let why = "No partition reassignment is in progress.";
        return Err((ErrorCode::NoReassignmentInProgress, why.to_owned()));
    }
    let stays = |id: &NodeId| !old.adding.contains(id);
    let replicas: Vec<NodeId> = old.replicas.iter().copied().filter(stays).collect();
    let mut isr: Vec<NodeId> = old.isr.iter().copied().filter(stays).collect();
    if isr.is_empty() && !old.isr.is_empty() {
        // Only what was added is in sync: the way back loses what was acknowledged since.
        if !unclean {
            let why = format!(
                "Unable to revert partition assignment for {place} because it would require an unclean leader election."
            );
            return Err((ErrorCode::InvalidReplicaAssignment, why));
        }
        isr.extend(replicas.first());
    }
    Ok(Partition {
        replicas,
        isr,
        adding: Vec::new(),
        removing: Vec::new(),
        ..old.clone()
    })
}

fn answer(index: i32, outcome: Result<(), Refusal>) -> ReassignablePartitionResponse {
    let response = ReassignablePartitionResponse::default().with_partition_index(index);
    match outcome {
        Ok(()) => response.with_error_message(None),
        Err((code, why)) => response
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(why))),
    }
}

impl Decide for ListPartitionReassignmentsRequest {
    type Response = ListPartitionReassignmentsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<ListPartitionReassignmentsResponse> {
        let image = &state.image;
        let topics = match self.topics {
            None => image
                .topic_ids
                .values()
                .filter_map(|id| ongoing(image.topic(*id)?, None))
                .collect(),
            Some(topics) => topics
                .into_iter()
                .filter_map(|asked| ongoing(image.topic_named(asked.name.as_str())?, Some(&asked.partition_indexes)))
                .collect(),
        };
        Decision::only(ListPartitionReassignmentsResponse::default().with_topics(topics))
    }
}

fn ongoing(topic: &Topic, only: Option<&[i32]>) -> Option<OngoingTopicReassignment> {
    let ids = |ids: &[NodeId]| ids.iter().map(|id| BrokerId(id.0)).collect();
    let partitions: Vec<_> = (0..)
        .zip(&topic.partitions)
        .filter(|(index, partition)| partition.is_reassigning() && only.is_none_or(|only| only.contains(index)))
        .map(|(index, partition)| {
            OngoingPartitionReassignment::default()
                .with_partition_index(index)
                .with_replicas(ids(&partition.replicas))
                .with_adding_replicas(ids(&partition.adding))
                .with_removing_replicas(ids(&partition.removing))
        })
        .collect();
    (!partitions.is_empty()).then(|| {
        OngoingTopicReassignment::default()
            .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
            .with_partitions(partitions)
    })
}
