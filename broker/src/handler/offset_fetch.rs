//! OffsetFetch (9): how far groups have read; from v8 on many groups at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=9;

/// Topics in the order asked, each with the partitions asked; or none for everything committed.
type Asked = Option<Vec<(String, Vec<i32>)>>;

/// One committed offset, or -1 for none.
struct Answer {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error: Option<ErrorCode>,
}

/// Topics with the offsets of their partitions.
type Found = Vec<(String, Vec<Answer>)>;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if call.version >= 8 {
        let stable = request.require_stable;
        let groups = request
            .groups
            .into_iter()
            .map(|group| answer_group(cx, rights, group, stable));
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let asked = request.topics.map(|topics| {
        topics
            .into_iter()
            .map(|t| (t.name.to_string(), t.partition_indexes))
            .collect()
    });
    match fetch(cx, rights, &request.group_id, NO_MEMBER, asked, request.require_stable) {
        Ok(topics) => {
            let topics = topics.into_iter().map(|(name, partitions)| {
                let partition = |answer: Answer| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(answer.partition)
                        .with_committed_offset(answer.offset)
                        .with_committed_leader_epoch(if call.version >= 5 { answer.leader_epoch } else { -1 })
                        .with_metadata(Some(StrBytes::from_string(answer.metadata)))
                        .with_error_code(answer.error.map_or(0, |error| error.code()))
                };
                OffsetFetchResponseTopic::default()
                    .with_name(TopicName(StrBytes::from_string(name)))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        // v1 has no error for the whole answer, so it is told for each partition.
        Err((error, asked)) if call.version < 2 => {
            let topics = asked.unwrap_or_default().into_iter().map(|(name, partitions)| {
                let partition = |index| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(-1)
                        .with_metadata(Some(StrBytes::default()))
                        .with_error_code(error.code())
                };
                OffsetFetchResponseTopic::default()
                    .with_name(TopicName(StrBytes::from_string(name)))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        Err((error, _)) => OffsetFetchResponse::default().with_error_code(error.code()),
    }
}

fn answer_group(
    cx: &Context,
    rights: &Rights<'_>,
    group: OffsetFetchRequestGroup,
    stable: bool,
) -> OffsetFetchResponseGroup {
    let asked = group.topics.map(|topics| {
        topics
            .into_iter()
            .map(|t| (t.name.to_string(), t.partition_indexes))
            .collect()
    });
    let answer = OffsetFetchResponseGroup::default();
    let member = (group.member_id.as_deref().unwrap_or_default(), group.member_epoch);
    match fetch(cx, rights, &group.group_id, member, asked, stable) {
        Err((error, _)) => answer.with_group_id(group.group_id).with_error_code(error.code()),
        Ok(topics) => {
            let topics = topics.into_iter().map(|(name, partitions)| {
                let partition = |answer: Answer| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(answer.partition)
                        .with_committed_offset(answer.offset)
                        .with_committed_leader_epoch(answer.leader_epoch)
                        .with_metadata(Some(StrBytes::from_string(answer.metadata)))
                        .with_error_code(answer.error.map_or(0, |error| error.code()))
                };
                OffsetFetchResponseTopics::default()
                    .with_name(TopicName(StrBytes::from_string(name)))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            answer.with_group_id(group.group_id).with_topics(topics.collect())
        }
    }
}

/// Whoever is no member: a tool, or a client before version 9.
const NO_MEMBER: (&str, i32) = ("", -1);

/// A `member`, by id and epoch, is told only what is true for it. `stable`: an offset that a transaction may still change is an error, which is asked again for.
fn fetch(
    cx: &Context,
    rights: &Rights<'_>,
    group: &str,
    member: (&str, i32),
    asked: Asked,
    stable: bool,
) -> Result<Found, (ErrorCode, Asked)> {
    let granted = rights.demand(Operation::Describe, Object::Group(group));
    let shard = match granted.and_then(|()| cx.groups.shard_of(group)) {
        Ok(shard) => shard,
        Err(error) => return Err((error, asked)),
    };
    if let Err(error) = shard.may_fetch(group, member) {
        return Err((error, asked));
    }
    let topics = asked.unwrap_or_else(|| {
        let mut all: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in shard.committed(group) {
            all.entry(topic).or_default().push(partition);
        }
        // What was not named is left out, not refused.
        all.retain(|topic, _| rights.shows(Operation::Describe, Object::Topic(topic)));
        all.into_iter().collect()
    });
    let answer = |topic: &str, partition: i32, error: Option<ErrorCode>| {
        let unstable = stable && error.is_none() && shard.is_unstable(group, topic, partition);
        let error = error.or(unstable.then_some(ErrorCode::UnstableOffsetCommit));
        let found = shard.offset(group, topic, partition).filter(|_| error.is_none());
        let (offset, leader_epoch, metadata) = found.unwrap_or((-1, -1, String::new()));
        Answer {
            partition,
            offset,
            leader_epoch,
            metadata,
            error,
        }
    };
    let answers = topics.into_iter().map(|(topic, partitions)| {
        let error = rights.demand(Operation::Describe, Object::Topic(&topic)).err();
        let partitions = partitions
            .into_iter()
            .map(|partition| answer(&topic, partition, error))
            .collect();
        (topic, partitions)
    });
    Ok(answers.collect())
}
