//! OffsetCommit (8): remembers how far a group has read.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::coordinator::Shard;
use crate::group::{Commit, Committer};
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 2..=9;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let granted = rights.demand(Operation::Read, Object::Group(&request.group_id));
    let shard = match granted.and_then(|()| cx.groups.shard_of(&request.group_id)) {
        Ok(shard) => shard,
        Err(error) => return respond(request.topics, |_, _| error.code()),
    };
    let image = cx.image();
    let by = Committer {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        generation: request.generation_id_or_member_epoch,
    };
    let denied = denied(rights, &request.topics);
    let refusal = |topic: &OffsetCommitRequestTopic, partition: &OffsetCommitRequestPartition| {
        let denied = denied.contains(topic.name.as_str());
        let denied = denied.then_some(ErrorCode::TopicAuthorizationFailed);
        denied.or_else(|| refusal(&image, &shard, topic, partition))
    };
    let all = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    let good = all.filter(|(topic, partition)| refusal(topic, partition).is_none());
    let commits: Vec<Commit> = good.map(|(topic, partition)| commit(topic, partition)).collect();
    let outcome = shard.commit(&by, commits).await;
    respond(request.topics, |topic, partition| {
        let refused = refusal(topic, partition).map(|error| error.code());
        refused.or(outcome.err().map(|error| error.code())).unwrap_or(0)
    })
}

/// The topics that the committer may not read.
fn denied(rights: &Rights<'_>, topics: &[OffsetCommitRequestTopic]) -> HashSet<String> {
    let names = topics.iter().map(|topic| topic.name.as_str());
    let denied = names.filter(|name| !rights.allow(Operation::Read, Object::Topic(name)));
    denied.map(str::to_owned).collect()
}

/// Why one offset is not committed while the others are.
fn refusal(
    image: &Image,
    shard: &Shard,
    topic: &OffsetCommitRequestTopic,
    partition: &OffsetCommitRequestPartition,
) -> Option<ErrorCode> {
    let known = image.topic_named(&topic.name).is_some_and(|topic| {
        usize::try_from(partition.partition_index).is_ok_and(|index| index < topic.partitions.len())
    });
    if !known {
        return Some(ErrorCode::UnknownTopicOrPartition);
    }
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    (!shard.accepts_metadata(metadata)).then_some(ErrorCode::OffsetMetadataTooLarge)
}

fn commit(topic: &OffsetCommitRequestTopic, partition: &OffsetCommitRequestPartition) -> Commit {
    Commit {
        topic: topic.name.to_string(),
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition
            .committed_metadata
            .as_ref()
            .map(|metadata| metadata.to_string())
            .unwrap_or_default(),
    }
}

fn respond(
    topics: Vec<OffsetCommitRequestTopic>,
    code: impl Fn(&OffsetCommitRequestTopic, &OffsetCommitRequestPartition) -> i16,
) -> OffsetCommitResponse {
    let answer = |topic: OffsetCommitRequestTopic| {
        let partition = |partition: &OffsetCommitRequestPartition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code(&topic, partition))
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    };
    OffsetCommitResponse::default().with_topics(topics.into_iter().map(answer).collect())
}
