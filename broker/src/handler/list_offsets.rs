//! ListOffsets: the first, the last, and the first since a time.

use std::ops::RangeInclusive;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::id::TopicPartition;
use crate::image::acl::Operation;
use crate::log::TimedOffset;
use crate::replica::{At, Refusal};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=10;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on local disks (KIP-405): without tiered storage, the first.
const EARLIEST_LOCAL: i64 = -4;
/// The last offset in tiered storage (KIP-1005), which there is none of.
const LATEST_TIERED: i64 = -5;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let image = cx.image();
    let mut response = ListOffsetsResponse::default();
    for topic in request.topics {
        let granted = rights.demand(Operation::Describe, Object::Topic(&topic.name));
        let id = image.topic_named(&topic.name).map(|topic| topic.id);
        let id = granted.and_then(|()| id.ok_or(ErrorCode::UnknownTopicOrPartition));
        let answer = |asked: &ListOffsetsPartition| {
            let at = id.map(|topic| TopicPartition {
                topic,
                partition: asked.partition_index,
            });
            answer(cx, call, at, asked, request.isolation_level == 1)
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        response.topics.push(
            ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions),
        );
    }
    response
}

fn answer(
    cx: &Context,
    call: &Call,
    at: Result<TopicPartition, ErrorCode>,
    asked: &ListOffsetsPartition,
    stable: bool,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
    let found = match at {
        Ok(at) => find(cx, at, asked, stable),
        Err(code) => Err(code.into()),
    };
    match found {
        Ok(Some(found)) => {
            let answer = answer.with_offset(found.offset).with_timestamp(found.timestamp);
            if call.version >= 4 {
                answer.with_leader_epoch(found.leader_epoch)
            } else {
                answer
            }
        }
        Ok(None) => answer.with_offset(-1).with_timestamp(-1),
        Err(refusal) => answer
            .with_error_code(code(&refusal, call).code())
            .with_offset(-1)
            .with_timestamp(-1),
    }
}

fn find(
    cx: &Context,
    at: TopicPartition,
    asked: &ListOffsetsPartition,
    stable: bool,
) -> Result<Option<TimedOffset>, Refusal> {
    let position = match asked.timestamp {
        LATEST => At::Latest,
        EARLIEST | EARLIEST_LOCAL => At::Earliest,
        MAX_TIMESTAMP => At::MaxTimestamp,
        LATEST_TIERED => return Ok(None),
        time if time >= 0 => At::Time(time),
        _ => return Err(ErrorCode::UnsupportedVersion.into()),
    };
    cx.replicas.offset_at(at, position, asked.current_leader_epoch, stable)
}

fn code(refusal: &Refusal, call: &Call) -> ErrorCode {
    match refusal.code {
        // Older clients retry on this one (KIP-207).
        ErrorCode::OffsetNotAvailable if call.version < 5 => ErrorCode::LeaderNotAvailable,
        ErrorCode::UnknownTopicId => ErrorCode::UnknownTopicOrPartition,
        code => code,
    }
}
