//! CreatePartitions (37): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::mutation::{self, Permits};
use super::refuse::{self, Refuse};
use super::{Call, Context, Rights, forward};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=3;

/// Since this version what is above the quota is refused (KIP-599).
const STRICT: i16 = 3;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let allowed = |name: &str| rights.allow(Operation::Alter, Object::Topic(name));
    let (granted, denied): (Vec<_>, Vec<_>) = request.topics.into_iter().partition(|topic| allowed(&topic.name));
    request.topics = granted;
    let mut response = match request.topics.is_empty() {
        true => CreatePartitionsResponse::default(),
        false => within_quota(cx, call, request).await,
    };
    let denied = denied.into_iter().map(|topic| topic.name);
    let denied = refused(denied, ErrorCode::TopicAuthorizationFailed, None);
    response.results.extend(denied.results);
    response
}

/// Creates the partitions that the client's quota leaves room for.
async fn within_quota(cx: &Context, call: &Call, mut request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut permits = Permits::of(cx, call, STRICT);
    let mut above = Vec::new();
    if permits.count() {
        let image = cx.image();
        let more = |topic: &CreatePartitionsTopic| {
            let held = image.topic_named(&topic.name).map(|held| held.partitions.len());
            // Of a topic that is not there the controller says so.
            held.map_or(0, |held| usize::try_from(topic.count).unwrap_or(0).saturating_sub(held))
        };
        let (granted, exceeding) = std::mem::take(&mut request.topics)
            .into_iter()
            .partition(|topic| permits.take(&topic.name, more(topic)));
        request.topics = granted;
        above = exceeding;
    }
    let mut response = match request.topics.is_empty() && !above.is_empty() {
        true => CreatePartitionsResponse::default(),
        false => create(cx, call, request).await,
    };
    for topic in response.results.iter().filter(|topic| topic.error_code != 0) {
        permits.give_back(&topic.name);
    }
    let above = above.into_iter().map(|topic| topic.name);
    response
        .results
        .extend(refused(above, mutation::EXCEEDED, mutation::why()).results);
    response.throttle_time_ms = permits.throttle_time_ms();
    response
}

async fn create(cx: &Context, call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
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
            let names = asked.into_iter().map(|(name, _)| name);
            refused(names, unanswered.code, forward::why(&unanswered))
        }
    }
}

fn refused(names: impl Iterator<Item = TopicName>, code: ErrorCode, why: Option<StrBytes>) -> CreatePartitionsResponse {
    let result = |name| {
        CreatePartitionsTopicResult::default()
            .with_name(name)
            .with_error_code(code.code())
            .with_error_message(why.clone())
    };
    CreatePartitionsResponse::default().with_results(names.map(result).collect())
}

impl Refuse for CreatePartitionsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> CreatePartitionsResponse {
        let names = self.topics.iter().map(|topic| topic.name.clone());
        refused(names, code, refuse::why(code))
    }
}
