//! Fetch (1) on the controller's listener: the metadata log, which every broker follows (KIP-595, KIP-631).
//!
//! There is one voter, so an observer's log never diverges; what is fetched is synced already.

use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};

use super::{Call, Context, ControllerLink};
use crate::controller::Error;
use crate::id::{NodeId, TopicId};
use crate::wire::ErrorCode;

/// From 13 on topics are named by id.
pub const VERSIONS: RangeInclusive<i16> = 13..=18;

/// An answer is held for at most so long, whatever the request says.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The largest piece of the log in one answer.
const MAX_BYTES: usize = 8 * 1024 * 1024;

pub async fn handle(cx: &Context, call: &Call, request: FetchRequest) -> FetchResponse {
    let observer = if call.version >= 15 {
        request.replica_state.replica_id.0
    } else {
        request.replica_id.0
    };
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let mut response = FetchResponse::default();
    for topic in &request.topics {
        let mut answer = FetchableTopicResponse::default().with_topic_id(topic.topic_id);
        for asked in &topic.partitions {
            let data = match &cx.controller {
                _ if topic.topic_id != TopicId::METADATA.0 || asked.partition != 0 => {
                    refusal(asked, ErrorCode::UnknownTopicId)
                }
                ControllerLink::Remote(_) => refusal(asked, ErrorCode::NotLeaderOrFollower),
                ControllerLink::Local(_) => read(cx, NodeId(observer), asked, wait).await,
            };
            answer.partitions.push(data);
        }
        response.responses.push(answer);
    }
    response
}

async fn read(cx: &Context, observer: NodeId, asked: &FetchPartition, wait: Duration) -> PartitionData {
    let ControllerLink::Local(controller) = &cx.controller else {
        return refusal(asked, ErrorCode::NotLeaderOrFollower);
    };
    let max_bytes = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(MAX_BYTES);
    match controller
        .fetch_metadata(observer, asked.fetch_offset, max_bytes, wait)
        .await
    {
        Ok(read) => PartitionData::default()
            .with_partition_index(asked.partition)
            .with_high_watermark(read.high_watermark)
            .with_last_stable_offset(read.high_watermark)
            .with_log_start_offset(read.log_start)
            .with_current_leader(
                LeaderIdAndEpoch::default()
                    .with_leader_id(BrokerId(cx.node.0))
                    .with_leader_epoch(read.epoch),
            )
            .with_records(Some(read.records)),
        Err(Error::OutOfRange { .. }) => refusal(asked, ErrorCode::OffsetOutOfRange),
        Err(error) => {
            tracing::warn!("node {observer} cannot follow the metadata log: {error}");
            refusal(asked, ErrorCode::KafkaStorageError)
        }
    }
}

fn refusal(asked: &FetchPartition, code: ErrorCode) -> PartitionData {
    PartitionData::default()
        .with_partition_index(asked.partition)
        .with_error_code(code.code())
        .with_high_watermark(-1)
        .with_records(Some(bytes::Bytes::new()))
}
