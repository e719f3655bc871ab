//! OffsetDelete (47): forgets a group's offsets of topics that it no longer subscribes to (KIP-496).

use std::collections::HashSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let granted = rights.demand(Operation::Delete, Object::Group(&request.group_id));
    let shard = match granted.and_then(|()| cx.groups.shard_of(&request.group_id)) {
        Ok(shard) => shard,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let image = cx.image();
    let exists = |topic: &str, partition: i32| {
        let partitions = image.topic_named(topic).map_or(0, |topic| topic.partitions.len());
        usize::try_from(partition).is_ok_and(|index| index < partitions)
    };
    let names = request.topics.iter().map(|topic| topic.name.to_string());
    let denied: HashSet<String> = names
        .filter(|name| !rights.allow(Operation::Read, Object::Topic(name)))
        .collect();
    let asked = request.topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |partition| (topic.name.to_string(), partition.partition_index))
    });
    let offsets: Vec<(String, i32)> = asked
        .filter(|(topic, partition)| !denied.contains(topic) && exists(topic, *partition))
        .collect();
    let subscribed = match shard.delete_offsets(&request.group_id, &offsets).await {
        Ok(subscribed) => subscribed,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let error = if denied.contains(topic.name.as_str()) {
                ErrorCode::TopicAuthorizationFailed.code()
            } else if !exists(&topic.name, partition.partition_index) {
                ErrorCode::UnknownTopicOrPartition.code()
            } else if subscribed.contains(topic.name.as_str()) {
                ErrorCode::GroupSubscribedToTopic.code()
            } else {
                0
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
