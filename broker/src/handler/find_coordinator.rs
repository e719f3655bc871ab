//! FindCoordinator (10): which broker coordinates a group or a transactional id. Creates their topics when they are first
//! needed.

use std::ops::RangeInclusive;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights, metadata};
use crate::auth::Object;
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::group::record::partition_of;
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=6;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let keys = if call.version >= 4 {
        request.coordinator_keys
    } else {
        vec![request.key]
    };
    let allowed = |key: &str| match request.key_type {
        GROUP => rights.demand(Operation::Describe, Object::Group(key)),
        TRANSACTION => rights.demand(Operation::Describe, Object::TransactionalId(key)),
        _ => rights.demand(Operation::ClusterAction, Object::Cluster),
    };
    let keys: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let denied = allowed(&key).err();
            (key, denied)
        })
        .collect();
    let any = keys.iter().any(|(_, denied)| denied.is_none());
    if let Some(topic) = topic_of(request.key_type).filter(|topic| any && cx.image().topic_named(topic).is_none()) {
        // What is refused is logged; the client asks again.
        metadata::create(cx, vec![topic.to_owned()]).await;
    }
    let image = cx.image();
    let found = keys.into_iter().map(|(key, denied)| match denied {
        Some(error) => none(key, error, None),
        None => find(&image, call, request.key_type, key),
    });
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
        Err((error, why)) => none(key, error, Some(StrBytes::from_static_str(why))),
    }
}

/// No coordinator, and why.
fn none(key: StrBytes, error: ErrorCode, why: Option<StrBytes>) -> Coordinator {
    Coordinator::default()
        .with_key(key)
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(error.code())
        .with_error_message(why)
}

fn locate(
    image: &Image,
    call: &Call,
    key_type: i8,
    key: &str,
) -> Result<(i32, String, i32), (ErrorCode, &'static str)> {
    let topic = topic_of(key_type).ok_or((
        ErrorCode::InvalidRequest,
        "this broker coordinates consumer groups and transactions only",
    ))?;
    let none = (
        ErrorCode::CoordinatorNotAvailable,
        "the coordinators' topic has no leader for this key yet",
    );
    let topic = image.topic_named(topic).ok_or(none)?;
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

/// The topic whose leaders coordinate keys of a type.
fn topic_of(key_type: i8) -> Option<&'static str> {
    match key_type {
        GROUP => Some(OFFSETS_TOPIC),
        TRANSACTION => Some(TRANSACTIONS_TOPIC),
        _ => None,
    }
}
