//! CreateTopics (19): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::{Call, Context, forward};
use crate::id::TopicId;

pub const VERSIONS: RangeInclusive<i16> = 2..=7;

pub async fn handle(cx: &Context, call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => {
            let made = |topic: &&CreatableTopicResult| topic.error_code == 0 && !topic.topic_id.is_nil();
            let made: Vec<TopicId> = response
                .topics
                .iter()
                .filter(made)
                .map(|topic| TopicId(topic.topic_id))
                .collect();
            forward::settle(cx, |image| made.iter().all(|id| image.topics.contains_key(id))).await;
            response
        }
        Err(unanswered) => {
            let result = |name| {
                CreatableTopicResult::default()
                    .with_name(name)
                    .with_error_code(unanswered.code.code())
                    .with_error_message(forward::why(&unanswered))
            };
            CreateTopicsResponse::default().with_topics(names.into_iter().map(result).collect())
        }
    }
}
