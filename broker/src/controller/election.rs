//! Who leads: the first replica, in order of preference, that is in sync and live. Nothing else is ever elected.
//!
//! Also ElectLeaders (43), which moves leadership back to preferred replicas (KIP-460).

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Ask, Decide, Decision, State};
use crate::id::NodeId;
use crate::image::{Image, Partition, Record, Topic};

/// Counts the epochs of a changed partition on; `None` if nothing changed.
pub(super) fn advanced(old: &Partition, mut new: Partition) -> Option<Partition> {
    if new == *old {
        return None;
    }
    new.partition_epoch = old.partition_epoch + 1;
    if new.leader != old.leader {
        new.leader_epoch = old.leader_epoch + 1;
    }
    Some(new)
}

/// The first replica in order of preference that is in sync and eligible.
pub(super) fn first_of(replicas: &[NodeId], isr: &[NodeId], eligible: &BTreeSet<NodeId>) -> NodeId {
    replicas
        .iter()
        .copied()
        .find(|id| isr.contains(id) && eligible.contains(id))
        .unwrap_or(NodeId::NONE)
}

/// The record for one partition's new state.
pub(super) fn record(topic: &Topic, partition: usize, state: Partition) -> Record {
    Record::Partition {
        topic: topic.id,
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
        state,
    }
}

/// Brokers stopped being eligible: they leave ISRs, and what they led gets another leader or none.
///
/// An ISR is never emptied: its last members hold all acknowledged records and are waited for.
pub(super) fn after_loss(image: &Image, gone: &BTreeSet<NodeId>, eligible: &BTreeSet<NodeId>) -> Vec<Record> {
    let eligible: BTreeSet<NodeId> = eligible.difference(gone).copied().collect();
    changed(image, |old| {
        if !old.isr.iter().any(|id| gone.contains(id)) && !gone.contains(&old.leader) {
            return None;
        }
        let mut new = old.clone();
        let rest: Vec<NodeId> = old.isr.iter().copied().filter(|id| !gone.contains(id)).collect();
        if !rest.is_empty() {
            new.isr = rest;
        }
        if !eligible.contains(&new.leader) || !new.isr.contains(&new.leader) {
            new.leader = first_of(&new.replicas, &new.isr, &eligible);
        }
        Some(new)
    })
}

/// Brokers became eligible: partitions without a leader get one of them if it is in sync.
pub(super) fn after_return(image: &Image, eligible: &BTreeSet<NodeId>) -> Vec<Record> {
    changed(image, |old| {
        if old.leader != NodeId::NONE {
            return None;
        }
        let leader = first_of(&old.replicas, &old.isr, eligible);
        let isr = old.isr.iter().copied().filter(|id| eligible.contains(id)).collect();
        (leader != NodeId::NONE).then(|| Partition {
            leader,
            // The others of the last ISR are dead; the new leader must not wait for them.
            isr,
            ..old.clone()
        })
    })
}

/// At most `limit` moves of leadership to preferred replicas.
pub(super) fn preferred(image: &Image, eligible: &BTreeSet<NodeId>, limit: usize) -> Vec<Record> {
    let mut records = changed(image, |old| move_to_preferred(old, eligible).ok());
    records.truncate(limit);
    records
}

fn changed(image: &Image, change: impl Fn(&Partition) -> Option<Partition>) -> Vec<Record> {
    let mut records = Vec::new();
    for topic in image.topics.values() {
        for (index, old) in topic.partitions.iter().enumerate() {
            if let Some(new) = change(old).and_then(|new| advanced(old, new)) {
                records.push(record(topic, index, new));
            }
        }
    }
    records
}

fn move_to_preferred(old: &Partition, eligible: &BTreeSet<NodeId>) -> Result<Partition, (ErrorCode, String)> {
    let wanted = old.target().first().copied().unwrap_or(NodeId::NONE);
    if old.leader == wanted {
        return Err((
            ErrorCode::ElectionNotNeeded,
            "The preferred replica leads already.".to_owned(),
        ));
    }
    if !old.isr.contains(&wanted) || !eligible.contains(&wanted) {
        let why = format!("The preferred replica, broker {wanted}, is not in sync and live.");
        return Err((ErrorCode::PreferredLeaderNotAvailable, why));
    }
    Ok(Partition {
        leader: wanted,
        ..old.clone()
    })
}

/// Unclean elections are not done: a partition without an in-sync replica waits for one.
fn elect(old: &Partition, unclean: bool, eligible: &BTreeSet<NodeId>) -> Result<Partition, (ErrorCode, String)> {
    if !unclean {
        return move_to_preferred(old, eligible);
    }
    if old.leader != NodeId::NONE {
        return Err((ErrorCode::ElectionNotNeeded, "The partition has a leader.".to_owned()));
    }
    let why = "No in-sync replica is live, and unclean elections are not supported: they lose acknowledged records. \
               Bring one of the last in-sync replicas back.";
    Err((ErrorCode::EligibleLeadersNotAvailable, why.to_owned()))
}

impl Decide for ElectLeadersRequest {
    type Response = ElectLeadersResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<ElectLeadersResponse> {
        let unclean = ask.version >= 1 && self.election_type == 1;
        let eligible = state.eligible();
        let all = self.topic_partitions.is_none();
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (name, partitions) in asked(&state.image, self) {
            let topic = state.image.topic_named(&name);
            let mut answers = Vec::new();
            for index in partitions {
                let at = usize::try_from(index).ok();
                let found = topic.and_then(|topic| Some((topic, at?, topic.partitions.get(at?)?)));
                let outcome = match found {
                    None => Err((
                        ErrorCode::UnknownTopicOrPartition,
                        format!("There is no partition {name}-{index}."),
                    )),
                    Some((topic, at, old)) => elect(old, unclean, &eligible).map(|new| {
                        records.extend(advanced(old, new).map(|new| record(topic, at, new)));
                    }),
                };
                // Asked for everything, Kafka leaves out what needed nothing.
                if !(all && matches!(outcome, Err((ErrorCode::ElectionNotNeeded, _)))) {
                    answers.push(answer(index, outcome));
                }
            }
            if !answers.is_empty() {
                let result = ReplicaElectionResult::default()
                    .with_topic(TopicName(StrBytes::from_string(name)))
                    .with_partition_result(answers);
                results.push(result);
            }
        }
        Decision {
            records,
            response: ElectLeadersResponse::default().with_replica_election_results(results),
        }
    }
}

fn asked(image: &Image, request: ElectLeadersRequest) -> Vec<(String, Vec<i32>)> {
    match request.topic_partitions {
        Some(topics) => topics
            .into_iter()
            .map(|topic| (topic.topic.to_string(), topic.partitions))
            .collect(),
        None => image
            .topic_ids
            .iter()
            .filter_map(|(name, id)| Some((name.clone(), image.topic(*id)?.partitions.len())))
            .map(|(name, count)| (name, (0..i32::try_from(count).unwrap_or(i32::MAX)).collect()))
            .collect(),
    }
}

fn answer(index: i32, outcome: Result<(), (ErrorCode, String)>) -> PartitionResult {
    let result = PartitionResult::default().with_partition_id(index);
    match outcome {
        Ok(()) => result,
        Err((code, why)) => result
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(why))),
    }
}
