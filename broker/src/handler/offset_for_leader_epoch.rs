//! OffsetForLeaderEpoch: where an epoch ended, so that a reader can find where its history differs (KIP-320).

use std::ops::RangeInclusive;

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::id::TopicPartition;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 2..=4;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    // Brokers ask as such, consumers since KIP-320.
    let broker = rights.shows(Operation::ClusterAction, Object::Cluster);
    let image = cx.image();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let granted = match broker {
            true => Ok(()),
            false => rights.demand(Operation::Describe, Object::Topic(&topic.topic)),
        };
        let id = image.topic_named(&topic.topic).map(|topic| topic.id);
        let id = granted.and_then(|()| id.ok_or(ErrorCode::UnknownTopicOrPartition));
        let answer = |asked: &OffsetForLeaderPartition| {
            let at = id.map(|topic| TopicPartition {
                topic,
                partition: asked.partition,
            });
            answer(cx, at, asked)
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        response.topics.push(
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions),
        );
    }
    response
}

fn answer(cx: &Context, at: Result<TopicPartition, ErrorCode>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset::default()
        .with_partition(asked.partition)
        .with_leader_epoch(-1)
        .with_end_offset(-1);
    let found = match at {
        Ok(at) => cx
            .replicas
            .epoch_end(at, asked.leader_epoch, asked.current_leader_epoch),
        Err(code) => Err(code.into()),
    };
    match found {
        Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch).with_end_offset(end),
        Ok(None) => answer,
        Err(refusal) if refusal.code == ErrorCode::UnknownTopicId => {
            answer.with_error_code(ErrorCode::UnknownTopicOrPartition.code())
        }
        Err(refusal) => answer.with_error_code(refusal.code.code()),
    }
}
