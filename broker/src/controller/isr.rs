//! AlterPartition (56): a leader proposes the in-sync replicas of what it leads.
//!
//! The partition epoch is compared and swapped (KIP-497), and a replica is taken in only as the run of the broker that
//! the leader saw (KIP-903), so a broker that restarted with a shorter log is not counted by mistake.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::alter_partition_request::PartitionData as Proposal;
use kafka_protocol::messages::alter_partition_response::{PartitionData, TopicData};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId};

use super::change::{Rules, Scene};
use super::{Ask, Decide, Decision, State, election};
use crate::id::{NodeId, TopicId};
use crate::image::{Image, Partition};

impl Decide for AlterPartitionRequest {
    type Response = AlterPartitionResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<AlterPartitionResponse> {
        let leader = NodeId(self.broker_id.0);
        let epoch = state.image.brokers.get(&leader).map(|broker| broker.epoch);
        if epoch != Some(self.broker_epoch) {
            let code = ErrorCode::StaleBrokerEpoch.code();
            return Decision::only(AlterPartitionResponse::default().with_error_code(code));
        }
        let scene = Scene::of(state);
        let mut records = Vec::new();
        let mut topics = Vec::new();
        for asked in self.topics {
            let topic = state.image.topic(TopicId(asked.topic_id));
            let rules = topic.map(|topic| scene.rules(topic));
            let mut partitions = Vec::new();
            for proposal in asked.partitions {
                let Some((topic, rules)) = topic.zip(rules) else {
                    partitions.push(refused(proposal.partition_index, ErrorCode::UnknownTopicId));
                    continue;
                };
                let at = usize::try_from(proposal.partition_index).unwrap_or(usize::MAX);
                let outcome = match topic.partitions.get(at) {
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(old) => accept(&state.image, &scene, rules, old, leader, &proposal, ask.version),
                };
                match outcome {
                    Err(code) => partitions.push(refused(proposal.partition_index, code)),
                    Ok((current, changed)) => {
                        partitions.push(answer(proposal.partition_index, leader, &current));
                        records.extend(changed.map(|new| election::record(topic, at, new)));
                    }
                }
            }
            topics.push(
                TopicData::default()
                    .with_topic_id(asked.topic_id)
                    .with_partitions(partitions),
            );
        }
        Decision {
            records,
            response: AlterPartitionResponse::default().with_topics(topics),
        }
    }
}

/// The partition as it will be, and the change if there is one.
fn accept(
    image: &Image,
    scene: &Scene<'_>,
    rules: Rules,
    old: &Partition,
    leader: NodeId,
    proposal: &Proposal,
    version: i16,
) -> Result<(Partition, Option<Partition>), ErrorCode> {
    if proposal.leader_epoch > old.leader_epoch || proposal.partition_epoch > old.partition_epoch {
        // The leader knows more than this controller: it talks to an old one.
        return Err(ErrorCode::NotController);
    }
    if proposal.leader_epoch < old.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if old.leader != leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if proposal.partition_epoch < old.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let isr = proposed(proposal, version);
    let distinct: BTreeSet<NodeId> = isr.iter().map(|(id, _)| *id).collect();
    let held = isr.iter().all(|(id, _)| old.replicas.contains(id));
    if distinct.len() != isr.len() || !held || !distinct.contains(&leader) {
        return Err(ErrorCode::InvalidRequest);
    }
    // KIP-704: a leader that is recovering from an unclean election is alone, and cannot begin to recover again.
    let recovering = match proposal.leader_recovery_state {
        0 => false,
        1 if isr.len() == 1 && old.recovering => true,
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let known = |(id, epoch): &(NodeId, i64)| {
        let current = image.brokers.get(id).map(|broker| broker.epoch);
        scene.is_usable(old, *id) && (*epoch == -1 || current == Some(*epoch))
    };
    if !isr.iter().all(known) {
        return Err(ErrorCode::IneligibleReplica);
    }
    let new = Partition {
        isr: isr.into_iter().map(|(id, _)| id).collect(),
        recovering,
        ..old.clone()
    };
    let changed = scene.change(rules, rules.election(), old, new);
    Ok((changed.clone().unwrap_or_else(|| old.clone()), changed))
}

/// The proposed members with the broker epochs the leader saw; -1 is unknown.
fn proposed(proposal: &Proposal, version: i16) -> Vec<(NodeId, i64)> {
    if version >= 3 {
        let members = proposal.new_isr_with_epochs.iter();
        return members
            .map(|member| (NodeId(member.broker_id.0), member.broker_epoch))
            .collect();
    }
    proposal.new_isr.iter().map(|id| (NodeId(id.0), -1)).collect()
}

fn answer(index: i32, asked_by: NodeId, partition: &Partition) -> PartitionData {
    if partition.leader != asked_by {
        // A reassignment was completed by this change, and its leader is not among the replicas any more.
        return refused(index, ErrorCode::NewLeaderElected);
    }
    PartitionData::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader.0))
        .with_leader_epoch(partition.leader_epoch)
        .with_isr(partition.isr.iter().map(|id| BrokerId(id.0)).collect())
        .with_leader_recovery_state(i8::from(partition.recovering))
        .with_partition_epoch(partition.partition_epoch)
}

fn refused(index: i32, code: ErrorCode) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(code.code())
}
