//! FindCoordinator (10): which broker coordinates a group. Creates the offsets topic when it is first needed.

use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, FindCoordinatorRequest, FindCoordinatorResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context};
use crate::coordinator::OFFSETS_TOPIC;
use crate::group::record::partition_of;
use crate::image::Image;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=6;

/// The version of CreateTopics in which the offsets topic is asked for.
const CREATE_TOPICS_VERSION: i16 = 5;
const GROUP: i8 = 0;

pub async fn handle(cx: &Context, call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let keys = if call.version >= 4 {
        request.coordinator_keys
    } else {
        vec![request.key]
    };
    if request.key_type == GROUP && cx.image().topic_named(OFFSETS_TOPIC).is_none() {
        create_offsets_topic(cx).await;
    }
    let image = cx.image();
    let found = keys.into_iter().map(|key| find(&image, call, request.key_type, key));
    if call.version >= 4 {
        return FindCoordinatorResponse::default().with_coordinators(found.collect());
    }
    let Some(one) = found.last() else {
        return FindCoordinatorResponse::default();
    };
    FindCoordinatorResponse::default()
        .with_error_code(one.error_code)
        .with_error_message(one.error_message.filter(|_| call.version >= 1))
        .with_node_id(one.node_id)
        .with_host(one.host)
        .with_port(one.port)
}

fn find(image: &Image, call: &Call, key_type: i8, key: StrBytes) -> Coordinator {
    match locate(image, call, key_type, &key) {
        Ok((id, host, port)) => Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_string(host))
            .with_port(port),
        Err((error, why)) => Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(why))),
    }
}

fn locate(
    image: &Image,
    call: &Call,
    key_type: i8,
    key: &str,
) -> Result<(i32, String, i32), (ErrorCode, &'static str)> {
    if key_type != GROUP {
        return Err((
            ErrorCode::InvalidRequest,
            "this broker coordinates consumer groups only",
        ));
    }
    let none = (
        ErrorCode::CoordinatorNotAvailable,
        "the offsets topic has no leader for this group yet",
    );
    let topic = image.topic_named(OFFSETS_TOPIC).ok_or(none)?;
    let partition = partition_of(key, topic.partitions.len() as i32);
    let state = usize::try_from(partition)
        .ok()
        .and_then(|at| topic.partitions.get(at))
        .ok_or(none)?;
    let leader = Some(state.leader).filter(|leader| image.is_live(*leader)).ok_or(none)?;
    let endpoint = image
        .brokers
        .get(&leader)
        .and_then(|broker| broker.endpoint(&call.listener))
        .ok_or(none)?;
    Ok((leader.0, endpoint.host.clone(), i32::from(endpoint.port)))
}

/// Asks the controller for the topic and waits a moment for this node to hear of it; the client tries again anyway.
async fn create_offsets_topic(cx: &Context) {
    let config = |name: &'static str, value: String| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(OFFSETS_TOPIC)))
        .with_num_partitions(cx.config.int("offsets.topic.num.partitions") as i32)
        .with_replication_factor(cx.config.int("offsets.topic.replication.factor") as i16)
        .with_configs(vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", "producer".to_owned()),
            config(
                "segment.bytes",
                cx.config.int("offsets.topic.segment.bytes").to_string(),
            ),
        ]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    let deadline = Duration::from_secs(5);
    match cx.controller.ask(request, CREATE_TOPICS_VERSION, deadline).await {
        Ok(response) => {
            let refused = response
                .topics
                .iter()
                .find(|topic| topic.error_code != 0 && topic.error_code != ErrorCode::TopicAlreadyExists.code());
            if let Some(topic) = refused {
                let why = topic.error_message.as_ref().map_or("", |message| message.as_str());
                tracing::warn!(code = topic.error_code, why, "the offsets topic was not created");
                return;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the offsets topic was not created");
            return;
        }
    }
    let mut image = cx.image.clone();
    let heard = image.wait_for(|image| image.topic_named(OFFSETS_TOPIC).is_some());
    // Not hearing of it in time is no error: the client asks again.
    let _ = tokio::time::timeout(deadline, heard).await;
}
