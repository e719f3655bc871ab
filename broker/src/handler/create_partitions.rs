//! CreatePartitions (37): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=3;

pub async fn handle(cx: &Context, call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let asked: Vec<_> = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.count))
        .collect();
    let (dry, deadline) = (request.validate_only, forward::deadline(request.timeout_ms));
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => {
            let made = |name: &str| {
                response
                    .results
                    .iter()
                    .any(|topic| topic.error_code == 0 && topic.name.as_str() == name)
            };
            let grown: Vec<_> = asked.iter().filter(|(name, _)| !dry && made(name.as_str())).collect();
            forward::settle(cx, |image| {
                grown.iter().all(|(name, count)| {
                    let topic = image.topic_named(name.as_str());
                    topic.is_none_or(|topic| i32::try_from(topic.partitions.len()).is_ok_and(|held| held >= *count))
                })
            })
            .await;
            response
        }
        Err(unanswered) => {
            let result = |(name, _)| {
                CreatePartitionsTopicResult::default()
                    .with_name(name)
                    .with_error_code(unanswered.code.code())
                    .with_error_message(forward::why(&unanswered))
            };
            CreatePartitionsResponse::default().with_results(asked.into_iter().map(result).collect())
        }
    }
}
