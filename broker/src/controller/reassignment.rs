//! Moving partitions: AlterPartitionReassignments (45) and ListPartitionReassignments (46), KIP-455 and KIP-860.
//!
//! While a reassignment is in flight a partition's replicas are the target's, in order, then those that will go. It is
//! completed by the change of the ISR that brings the last adding replica in; the leader moves off removed replicas then.

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

use super::{Ask, Decide, Decision, State, election};
use crate::id::NodeId;
use crate::image::{Image, Partition, Topic};

type Refusal = (ErrorCode, String);

impl Decide for AlterPartitionReassignmentsRequest {
    type Response = AlterPartitionReassignmentsResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<AlterPartitionReassignmentsResponse> {
        let eligible = state.eligible();
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
                        format!(
                            "There is no partition {}-{}.",
                            asked.name.as_str(),
                            wish.partition_index
                        ),
                    )),
                    Some((topic, old)) => begin(&state.image, old, &wish, resizing, &eligible).map(|new| {
                        records.extend(election::advanced(old, new).map(|new| election::record(topic, at, new)));
                    }),
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
    image: &Image,
    old: &Partition,
    wish: &ReassignablePartition,
    resizing: bool,
    eligible: &BTreeSet<NodeId>,
) -> Result<Partition, Refusal> {
    match &wish.replicas {
        None => cancelled(old, eligible),
        Some(target) => {
            let target: Vec<NodeId> = target.iter().map(|id| NodeId(id.0)).collect();
            check_target(image, &target)?;
            started(old, &target, resizing, eligible)
        }
    }
}

/// A list of replicas that could be: registered brokers, each once.
pub(super) fn check_target(image: &Image, target: &[NodeId]) -> Result<(), Refusal> {
    let refuse = |why: String| Err((ErrorCode::InvalidReplicaAssignment, why));
    if target.is_empty() {
        return refuse("The replica list is empty; name at least one broker.".to_owned());
    }
    let distinct: BTreeSet<_> = target.iter().collect();
    if distinct.len() != target.len() {
        return refuse(format!("The replica list {} names a broker twice.", list(target)));
    }
    match target.iter().find(|id| !image.brokers.contains_key(id)) {
        Some(id) => refuse(format!(
            "The replica list {} names broker {id}, which is not registered.",
            list(target)
        )),
        None => Ok(()),
    }
}

fn list(ids: &[NodeId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(", "))
}

/// The replicas before a reassignment in flight began, if one is.
fn original(partition: &Partition) -> Vec<NodeId> {
    let replicas = partition.replicas.iter().copied();
    replicas.filter(|id| !partition.adding.contains(id)).collect()
}

fn started(
    old: &Partition,
    target: &[NodeId],
    resizing: bool,
    eligible: &BTreeSet<NodeId>,
) -> Result<Partition, Refusal> {
    let original = original(old);
    if !resizing && target.len() != original.len() {
        let why = format!(
            "The replication factor would change from {} to {}, which the request does not allow.",
            original.len(),
            target.len()
        );
        return Err((ErrorCode::InvalidReplicationFactor, why));
    }
    let without =
        |of: &[NodeId], not: &[NodeId]| -> Vec<NodeId> { of.iter().copied().filter(|id| !not.contains(id)).collect() };
    let removing = without(&original, target);
    let mut replicas = target.to_vec();
    replicas.extend(&removing);
    let new = Partition {
        adding: without(target, &original),
        isr: old.isr.iter().copied().filter(|id| replicas.contains(id)).collect(),
        removing,
        replicas,
        ..old.clone()
    };
    Ok(completed(led(new, eligible)?, eligible))
}

fn cancelled(old: &Partition, eligible: &BTreeSet<NodeId>) -> Result<Partition, Refusal> {
    if !old.is_reassigning() {
        let why = "No reassignment is in flight, so there is nothing to cancel.";
        return Err((ErrorCode::NoReassignmentInProgress, why.to_owned()));
    }
    let replicas = original(old);
    let new = Partition {
        isr: old.isr.iter().copied().filter(|id| replicas.contains(id)).collect(),
        adding: Vec::new(),
        removing: Vec::new(),
        replicas,
        ..old.clone()
    };
    led(new, eligible)
}

/// Refuses to drop the last in-sync replicas, and moves the leader if it is none any more.
fn led(mut partition: Partition, eligible: &BTreeSet<NodeId>) -> Result<Partition, Refusal> {
    if partition.isr.is_empty() {
        let why = "Only replicas that this change drops are in sync; acknowledged records would be lost. \
                   Wait until another replica has caught up.";
        return Err((ErrorCode::InvalidReplicaAssignment, why.to_owned()));
    }
    if !partition.isr.contains(&partition.leader) {
        partition.leader = election::first_of(&partition.replicas, &partition.isr, eligible);
    }
    Ok(partition)
}

/// Ends the reassignment if every adding replica is in sync and at least one replica of the target is.
///
/// As in Kafka, a replica that stays and is out of sync is not waited for: the move does not make it worse.
pub(super) fn completed(partition: Partition, eligible: &BTreeSet<NodeId>) -> Partition {
    if !partition.is_reassigning() || !partition.adding.iter().all(|id| partition.isr.contains(id)) {
        return partition;
    }
    let replicas = partition.target();
    let isr: Vec<NodeId> = partition
        .isr
        .iter()
        .copied()
        .filter(|id| replicas.contains(id))
        .collect();
    if isr.is_empty() {
        return partition;
    }
    let leader = match isr.contains(&partition.leader) {
        true => partition.leader,
        false => election::first_of(&replicas, &isr, eligible),
    };
    Partition {
        replicas,
        isr,
        adding: Vec::new(),
        removing: Vec::new(),
        leader,
        ..partition
    }
}

fn answer(index: i32, outcome: Result<(), Refusal>) -> ReassignablePartitionResponse {
    let response = ReassignablePartitionResponse::default().with_partition_index(index);
    match outcome {
        Ok(()) => response,
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
