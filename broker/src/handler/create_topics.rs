//! CreateTopics (19): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::mutation::{self, Permits};
use super::refuse::{self, Refuse};
use super::{Call, Context, Rights, forward};
use crate::auth::Object;
use crate::id::TopicId;
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 2..=7;

/// Since this version what is above the quota is refused (KIP-599).
const STRICT: i16 = 6;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let everywhere = rights.shows(Operation::Create, Object::Cluster);
    let allowed = |name: &str| everywhere || rights.allow(Operation::Create, Object::Topic(name));
    let (granted, denied): (Vec<_>, Vec<_>) = request.topics.into_iter().partition(|topic| allowed(&topic.name));
    request.topics = granted;
    let mut response = match request.topics.is_empty() {
        true => CreateTopicsResponse::default(),
        false => within_quota(cx, call, request).await,
    };
    if call.version >= 5 {
        let made = response.topics.iter_mut().filter(|topic| topic.error_code == 0);
        for topic in made.filter(|topic| !rights.shows(Operation::DescribeConfigs, Object::Topic(&topic.name))) {
            hide_configs(topic);
        }
    }
    let why = Some(StrBytes::from_static_str("Authorization failed."));
    let denied = denied.into_iter().map(|topic| topic.name);
    let denied = refused(denied, ErrorCode::TopicAuthorizationFailed, why);
    response.topics.extend(denied.topics);
    response
}

/// Who may create a topic may still not see its configs (KIP-525).
fn hide_configs(topic: &mut CreatableTopicResult) {
    topic.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
    topic.configs = Some(Vec::new());
    topic.num_partitions = -1;
    topic.replication_factor = -1;
}

/// Creates the topics that the client's quota leaves room for.
async fn within_quota(cx: &Context, call: &Call, mut request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut permits = Permits::of(cx, call, STRICT);
    let mut above = Vec::new();
    if permits.count() {
        let image = cx.image();
        let (granted, exceeding) = std::mem::take(&mut request.topics)
            .into_iter()
            .partition(|topic| permits.take(&topic.name, partitions(cx, &image, topic)));
        request.topics = granted;
        above = exceeding;
    }
    let mut response = match request.topics.is_empty() && !above.is_empty() {
        true => CreateTopicsResponse::default(),
        false => create(cx, call, request).await,
    };
    for topic in response.topics.iter().filter(|topic| topic.error_code != 0) {
        permits.give_back(&topic.name);
    }
    let above = above.into_iter().map(|topic| topic.name);
    response
        .topics
        .extend(refused(above, mutation::EXCEEDED, mutation::why()).topics);
    response.throttle_time_ms = permits.throttle_time_ms();
    response
}

/// How many partitions the topic will have.
fn partitions(cx: &Context, image: &Image, topic: &CreatableTopic) -> usize {
    let default = || {
        cx.config
            .value(image, "num.partitions")
            .and_then(|text| text.trim().parse().ok())
    };
    match topic.assignments.len() {
        0 => usize::try_from(topic.num_partitions).ok().or_else(default).unwrap_or(1),
        assigned => assigned,
    }
}

async fn create(cx: &Context, call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
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
        Err(unanswered) => refused(names, unanswered.code, forward::why(&unanswered)),
    }
}

fn refused(names: impl IntoIterator<Item = TopicName>, code: ErrorCode, why: Option<StrBytes>) -> CreateTopicsResponse {
    let result = |name| {
        CreatableTopicResult::default()
            .with_name(name)
            .with_error_code(code.code())
            .with_error_message(why.clone())
    };
    CreateTopicsResponse::default().with_topics(names.into_iter().map(result).collect())
}

impl Refuse for CreateTopicsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> CreateTopicsResponse {
        let names = self.topics.iter().map(|topic| topic.name.clone());
        refused(names, code, refuse::why(code))
    }
}
