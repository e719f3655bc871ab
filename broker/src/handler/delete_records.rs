//! DeleteRecords: moves the first offset of partitions forward, here and on their in-sync replicas (KIP-107).

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::id::TopicPartition;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let image = cx.image();
    let topics = request.topics.into_iter().map(|topic| {
        let granted = rights.demand(Operation::Delete, Object::Topic(&topic.name));
        let id = image.topic_named(&topic.name).map(|topic| topic.id);
        let id = granted.and_then(|()| id.ok_or(ErrorCode::UnknownTopicOrPartition));
        async move {
            let delete = |asked: &DeleteRecordsPartition| {
                let at = id.map(|topic| TopicPartition {
                    topic,
                    partition: asked.partition_index,
                });
                delete(cx, at, asked.clone(), timeout)
            };
            let partitions = join_all(topic.partitions.iter().map(delete)).await;
            DeleteRecordsTopicResult::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        }
    });
    DeleteRecordsResponse::default().with_topics(join_all(topics).await)
}

async fn delete(
    cx: &Context,
    at: Result<TopicPartition, ErrorCode>,
    asked: DeleteRecordsPartition,
    timeout: Duration,
) -> DeleteRecordsPartitionResult {
    let answer = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
    let low_watermark = match at {
        Ok(at) => cx.replicas.delete_records(at, asked.offset, timeout).await,
        Err(code) => Err(code.into()),
    };
    match low_watermark {
        Ok(low_watermark) => answer.with_low_watermark(low_watermark),
        Err(refusal) => {
            let code = match refusal.code {
                ErrorCode::UnknownTopicId => ErrorCode::UnknownTopicOrPartition,
                code => code,
            };
            answer.with_error_code(code.code()).with_low_watermark(-1)
        }
    }
}
