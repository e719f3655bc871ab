//! OffsetForLeaderEpoch: where an epoch ended, so that a reader can find where its history differs (KIP-320).

use std::ops::RangeInclusive;

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Call, Context};
use crate::id::TopicPartition;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 2..=4;

pub async fn handle(cx: &Context, _call: &Call, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let image = cx.image();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let id = image.topic_named(&topic.topic).map(|topic| topic.id);
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

fn answer(cx: &Context, at: Option<TopicPartition>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset::default()
        .with_partition(asked.partition)
        .with_leader_epoch(-1)
        .with_end_offset(-1);
    let found = match at {
        Some(at) => cx
            .replicas
            .epoch_end(at, asked.leader_epoch, asked.current_leader_epoch),
        None => Err(ErrorCode::UnknownTopicOrPartition.into()),
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
