//! DeleteTopics (20): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::{Call, Context, forward};
use crate::id::TopicId;

pub const VERSIONS: RangeInclusive<i16> = 1..=6;

pub async fn handle(cx: &Context, call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .iter()
        .map(|name| (Some(name.clone()), uuid::Uuid::nil()));
    let asked: Vec<_> = match call.version >= 6 {
        true => request
            .topics
            .iter()
            .map(|topic| (topic.name.clone(), topic.topic_id))
            .collect(),
        false => by_name.collect(),
    };
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => {
            let gone = response.responses.iter().filter(|topic| topic.error_code == 0);
            let gone: Vec<TopicId> = gone.map(|topic| TopicId(topic.topic_id)).collect();
            forward::settle(cx, |image| !gone.iter().any(|id| image.topics.contains_key(id))).await;
            response
        }
        Err(unanswered) => {
            let result = |(name, id)| {
                let result = DeletableTopicResult::default()
                    .with_name(name)
                    .with_topic_id(id)
                    .with_error_code(unanswered.code.code());
                match call.version >= 5 {
                    true => result.with_error_message(forward::why(&unanswered)),
                    false => result,
                }
            };
            DeleteTopicsResponse::default().with_responses(asked.into_iter().map(result).collect())
        }
    }
}
