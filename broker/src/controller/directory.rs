//! Which replica lies in which log directory, and what follows when a directory fails (KIP-858).
//!
//! Brokers with several directories tell where their replicas are (AssignReplicasToDirs, 73), and in their heartbeats
//! which directories failed. A replica in a failed directory is out of the ISR and leads nothing, while its broker goes on.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use kafka_protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use uuid::Uuid;

use super::change::Scene;
use super::{Ask, Decide, Decision, State, election};
use crate::id::{NodeId, TopicId};
use crate::image::{Broker, Partition, Record};

/// The directories that are left when `offline` failed; `None` if that is no news.
pub(super) fn online_after(broker: &Broker, offline: &[Uuid]) -> Option<Vec<Uuid>> {
    let online: Vec<Uuid> = broker
        .log_dirs
        .iter()
        .copied()
        .filter(|dir| !offline.contains(dir))
        .collect();
    (online.len() < broker.log_dirs.len()).then_some(online)
}

/// Notes the directories that are left, and moves leadership away from the others. A broker without any is fenced by
/// the caller, which does the same for all of its replicas.
pub(super) fn lost(state: &State, broker: &Broker, online: Vec<Uuid>) -> Vec<Record> {
    let mut records = Vec::new();
    if !online.is_empty() {
        tracing::warn!(
            "broker {} lost a log directory; its replicas there are offline",
            broker.id
        );
        let scene = Scene::of(state).with_directories(broker.id, online.clone());
        records = election::after_directory_loss(&scene, broker.id);
    }
    records.push(Record::BrokerDirectories { id: broker.id, online });
    records
}

impl Decide for AssignReplicasToDirsRequest {
    type Response = AssignReplicasToDirsResponse;

    fn decide(self, state: &mut State, _: Ask) -> Decision<AssignReplicasToDirsResponse> {
        let id = NodeId(self.broker_id.0);
        let refuse =
            |code: ErrorCode| Decision::only(AssignReplicasToDirsResponse::default().with_error_code(code.code()));
        match state.image.brokers.get(&id).map(|broker| broker.epoch) {
            None => return refuse(ErrorCode::BrokerIdNotRegistered),
            Some(epoch) if epoch != self.broker_epoch => return refuse(ErrorCode::StaleBrokerEpoch),
            Some(_) => {}
        }
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let mut directories = Vec::new();
        for directory in self.directories {
            let mut topics = Vec::new();
            for asked in directory.topics {
                let mut partitions = Vec::new();
                for partition in asked.partitions {
                    let index = partition.partition_index;
                    let outcome = match seen.insert((asked.topic_id, index)) {
                        true => assign(state, id, (TopicId(asked.topic_id), index), directory.id),
                        // Two changes of one partition cannot both be decided from the same image.
                        false => Err(ErrorCode::InvalidRequest),
                    };
                    let code = outcome.map(|change| records.extend(change)).err();
                    partitions.push(
                        PartitionData::default()
                            .with_partition_index(index)
                            .with_error_code(code.map_or(0, |code| code.code())),
                    );
                }
                let topic = TopicData::default().with_topic_id(asked.topic_id);
                topics.push(topic.with_partitions(partitions));
            }
            directories.push(DirectoryData::default().with_id(directory.id).with_topics(topics));
        }
        Decision {
            records,
            response: AssignReplicasToDirsResponse::default().with_directories(directories),
        }
    }
}

/// Notes that broker `id` has the replica in `directory`.
fn assign(
    state: &State,
    id: NodeId,
    (topic, index): (TopicId, i32),
    directory: Uuid,
) -> Result<Option<Record>, ErrorCode> {
    let topic = state.image.topic(topic).ok_or(ErrorCode::UnknownTopicId)?;
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let old = topic.partitions.get(at).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !old.replicas.contains(&id) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    if old.directory(id) == Some(directory) {
        return Ok(None);
    }
    let mut wish = Partition::clone(old);
    wish.directories.retain(|(broker, _)| *broker != id);
    wish.directories.push((id, directory));
    let mut scene = Scene::of(state);
    if !scene.is_sound(old, id) && old.replicas.len() > 1 {
        // The copy that may have been complete is gone, and the one told of now was made anew: electing it would delete what
        // other replicas hold. If it was the only complete one, the old directory or an unclean election is waited for.
        let complete: BTreeSet<NodeId> = (old.isr.iter())
            .chain(&old.elr)
            .chain(&old.last_known_elr)
            .copied()
            .collect();
        if complete == BTreeSet::from([id]) {
            return Err(ErrorCode::KafkaStorageError);
        }
        for members in [&mut wish.isr, &mut wish.elr, &mut wish.last_known_elr] {
            members.retain(|member| *member != id);
        }
        scene = scene.without_crashed(id);
    }
    if !scene.is_sound(&wish, id) {
        // It failed before it was told of.
        wish.isr.retain(|member| *member != id);
    }
    let rules = scene.rules(topic);
    let changed = scene.change(rules, rules.election(), old, wish);
    Ok(changed.map(|new| election::record(topic, at, new)))
}
