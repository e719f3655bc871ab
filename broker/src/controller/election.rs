//! Who leads when brokers go, come back, or somebody asks: ElectLeaders (43, KIP-460), and the way back to preferred
//! replicas. The rules are in [`super::change`].

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::change::{Election, Rules, Scene};
use super::{Ask, Decide, Decision, State};
use crate::id::NodeId;
use crate::image::{Image, Partition, Record, Topic};

/// The record for one partition's new state.
pub(super) fn record(topic: &Topic, partition: usize, state: Partition) -> Record {
    if state.recovering && state.leader != NodeId::NONE {
        tracing::warn!(
            topic = %topic.name, partition, leader = %state.leader,
            "led by a replica that was not in sync: acknowledged records may be lost"
        );
    }
    Record::Partition {
        topic: topic.id,
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
        state,
    }
}

/// Brokers stopped being eligible, which the scene says already: they leave ISRs, and what they led gets another leader
/// or none.
pub(super) fn after_loss(scene: &Scene<'_>, gone: &BTreeSet<NodeId>) -> Vec<Record> {
    let concerns = |id: &NodeId| gone.contains(id);
    scene.each(|old| {
        let was_eligible = scene.crashed().is_some_and(|id| old.elr.contains(&id));
        if !old.isr.iter().any(concerns) && !concerns(&old.leader) && !was_eligible {
            return None;
        }
        Some(Partition {
            isr: old.isr.iter().copied().filter(|id| !gone.contains(id)).collect(),
            ..old.clone()
        })
    })
}

/// A broker's log directories failed, which the scene says already: its replicas in them leave ISRs and lead no more.
pub(super) fn after_directory_loss(scene: &Scene<'_>, broker: NodeId) -> Vec<Record> {
    scene.each(|old| {
        if scene.is_sound(old, broker) || !(old.isr.contains(&broker) || old.leader == broker) {
            return None;
        }
        Some(Partition {
            isr: old.isr.iter().copied().filter(|id| *id != broker).collect(),
            ..old.clone()
        })
    })
}

/// Brokers became eligible, or an unclean election is allowed now: partitions without a leader may get one.
pub(super) fn after_return(scene: &Scene<'_>) -> Vec<Record> {
    scene.each(|old| {
        if old.leader != NodeId::NONE {
            return None;
        }
        let live: Vec<NodeId> = old.isr.iter().copied().filter(|id| scene.is_usable(old, *id)).collect();
        Some(Partition {
            // Others of the last ISR are dead; a new leader must not wait for them.
            isr: if live.is_empty() { old.isr.clone() } else { live },
            ..old.clone()
        })
    })
}

/// At most `limit` moves of leadership to preferred replicas, on the brokers that lead fewer than `percent` of 100 of what
/// they are preferred for (`leader.imbalance.per.broker.percentage`).
pub(super) fn rebalance(scene: &Scene<'_>, image: &Image, percent: usize, limit: usize) -> Vec<Record> {
    #[derive(Default)]
    struct Count {
        preferred: usize,
        elsewhere: usize,
    }
    let mut counts: BTreeMap<NodeId, Count> = BTreeMap::new();
    for partition in image.topics.values().flat_map(|topic| &topic.partitions) {
        let count = counts.entry(preferred(partition)).or_default();
        count.preferred += 1;
        count.elsewhere += usize::from(partition.leader != preferred(partition));
    }
    counts.retain(|_, count| count.elsewhere * 100 > count.preferred * percent);
    let mut records = Vec::new();
    for topic in image.topics.values() {
        let mut rules = None;
        for (index, old) in topic.partitions.iter().enumerate() {
            if old.leader == preferred(old) || old.is_reassigning() || !counts.contains_key(&preferred(old)) {
                continue;
            }
            if records.len() >= limit {
                return records;
            }
            let rules = *rules.get_or_insert_with(|| scene.rules(topic));
            records.extend(move_to_preferred(scene, rules, old).map(|new| record(topic, index, new)));
        }
    }
    records
}

fn preferred(partition: &Partition) -> NodeId {
    partition.replicas.first().copied().unwrap_or(NodeId::NONE)
}

fn move_to_preferred(scene: &Scene<'_>, rules: Rules, old: &Partition) -> Option<Partition> {
    scene
        .change(rules, Election::Preferred, old, old.clone())
        .filter(|new| new.leader == preferred(old))
}

/// One election that was asked for, with Kafka's errors.
fn elect(scene: &Scene<'_>, rules: Rules, old: &Partition, unclean: bool) -> Result<Partition, ErrorCode> {
    let needed = match unclean {
        true => old.leader == NodeId::NONE,
        false => old.leader != preferred(old),
    };
    if !needed {
        return Err(ErrorCode::ElectionNotNeeded);
    }
    if !unclean {
        return move_to_preferred(scene, rules, old).ok_or(ErrorCode::PreferredLeaderNotAvailable);
    }
    let new = scene.change(rules, Election::Unclean, old, old.clone());
    new.filter(|new| new.leader != NodeId::NONE)
        .ok_or(ErrorCode::EligibleLeadersNotAvailable)
}

/// Kafka's sentence for a refused election.
fn why(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ElectionNotNeeded => "Leader election not needed for topic partition.",
        ErrorCode::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        ErrorCode::EligibleLeadersNotAvailable => "Eligible topic partition leaders are not available.",
        _ => "This server does not host this topic-partition.",
    }
}

impl Decide for ElectLeadersRequest {
    type Response = ElectLeadersResponse;

    fn decide(self, state: &mut State, ask: Ask) -> Decision<ElectLeadersResponse> {
        let unclean = match (ask.version, self.election_type) {
            (0, _) | (_, 0) => false,
            (_, 1) => true,
            _ => {
                let code = ErrorCode::InvalidRequest.code();
                return Decision::only(ElectLeadersResponse::default().with_error_code(code));
            }
        };
        let scene = Scene::of(state);
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
                    None if topic.is_none() => {
                        Err((ErrorCode::UnknownTopicOrPartition, format!("No such topic as {name}")))
                    }
                    None => Err((
                        ErrorCode::UnknownTopicOrPartition,
                        format!("No such partition as {name}-{index}"),
                    )),
                    Some((topic, at, old)) => elect(&scene, scene.rules(topic), old, unclean)
                        .map(|new| records.push(record(topic, at, new)))
                        .map_err(|code| (code, why(code).to_owned())),
                };
                // Asked for everything, Kafka leaves out what needed nothing.
                if !(all && matches!(outcome, Err((ErrorCode::ElectionNotNeeded, _)))) {
                    answers.push(answer(index, outcome));
                }
            }
            if !all || !answers.is_empty() {
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
        Ok(()) => result.with_error_message(None),
        Err((code, why)) => result
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(why))),
    }
}
