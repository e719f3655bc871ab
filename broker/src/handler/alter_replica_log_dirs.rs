//! AlterReplicaLogDirs (34): replicas move between this broker's log directories (KIP-113).

use std::ops::RangeInclusive;
use std::path::Path;

use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};

use super::refuse::Refuse;
use super::{Call, Context};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=2;

pub async fn handle(cx: &Context, _: &Call, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    answer(&request, |dir, topic, partition| moved(cx, topic, partition, dir))
}

/// The answer with a result for each partition.
fn answer(
    request: &AlterReplicaLogDirsRequest,
    result: impl Fn(&Path, &TopicName, i32) -> AlterReplicaLogDirPartitionResult,
) -> AlterReplicaLogDirsResponse {
    let mut results: Vec<(TopicName, Vec<AlterReplicaLogDirPartitionResult>)> = Vec::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            let asked = topic.partitions.iter();
            let moved = asked.map(|partition| result(Path::new(dir.path.as_str()), &topic.name, *partition));
            match results.iter_mut().find(|(name, _)| *name == topic.name) {
                Some((_, partitions)) => partitions.extend(moved),
                None => results.push((topic.name.clone(), moved.collect())),
            }
        }
    }
    let topic = |(name, partitions)| {
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(name)
            .with_partitions(partitions)
    };
    AlterReplicaLogDirsResponse::default().with_results(results.into_iter().map(topic).collect())
}

impl Refuse for AlterReplicaLogDirsRequest {
    fn refuse(&self, _: i16, code: ErrorCode) -> AlterReplicaLogDirsResponse {
        answer(self, |_, _, partition| {
            AlterReplicaLogDirPartitionResult::default()
                .with_partition_index(partition)
                .with_error_code(code.code())
        })
    }
}

fn moved(cx: &Context, topic: &TopicName, partition: i32, dir: &Path) -> AlterReplicaLogDirPartitionResult {
    let result = AlterReplicaLogDirPartitionResult::default().with_partition_index(partition);
    match cx.replicas.move_replica(topic, partition, dir) {
        Ok(()) => result,
        Err(refusal) => {
            tracing::info!(
                "{}-{partition} is not moved to {}: {refusal}",
                topic.as_str(),
                dir.display()
            );
            result.with_error_code(refusal.code.code())
        }
    }
}
