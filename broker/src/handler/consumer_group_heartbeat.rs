//! ConsumerGroupHeartbeat (68): members of the consumer protocol join, tell what they own, hear what they may have, and
//! leave (KIP-848).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights, refuse};
use crate::auth::Object;
use crate::env::random;
use crate::group::{Beat, Beaten, Partitions, Refusal};
use crate::id::TopicId;
use crate::image::acl::Operation;
use crate::image::feature;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let beat = beat(call, request);
    if let Err(refusal) = admit(cx, rights, &beat) {
        return respond(Beaten::refused(refusal));
    }
    let beaten = match cx.groups.shard_of(&beat.group) {
        Ok(shard) => {
            let visible = |topic: &str| rights.shows(Operation::Describe, Object::Topic(topic));
            shard.beat(beat, visible).await
        }
        Err(error) => Beaten::refused((error, None)),
    };
    respond(beaten)
}

fn admit(cx: &Context, rights: &Rights<'_>, beat: &Beat) -> Result<(), Refusal> {
    if !feature::is_on(&cx.image(), feature::GROUP_VERSION) {
        return Err((ErrorCode::UnsupportedVersion, None));
    }
    let told = |code: ErrorCode| (code, refuse::why(code).map(|why| why.to_string()));
    rights
        .demand(Operation::Read, Object::Group(&beat.group))
        .map_err(told)?;
    for topic in beat.topics.iter().flatten() {
        rights.demand(Operation::Describe, Object::Topic(topic)).map_err(told)?;
    }
    Ok(())
}

fn beat(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Beat {
    let text = |text: Option<StrBytes>| text.map(|text| text.to_string());
    let joins_without_id = call.version == 0 && request.member_epoch == 0 && request.member_id.is_empty();
    Beat {
        group: request.group_id.to_string(),
        // From version 1 on the member makes its own (KIP-1082).
        member_id: match joins_without_id {
            true => random::uuid().to_string(),
            false => request.member_id.to_string(),
        },
        epoch: request.member_epoch,
        instance: text(request.instance_id),
        rack: text(request.rack_id),
        rebalance_timeout_ms: (request.rebalance_timeout_ms >= 0).then_some(request.rebalance_timeout_ms),
        topics: request
            .subscribed_topic_names
            .map(|topics| topics.iter().map(|topic| topic.to_string()).collect::<BTreeSet<_>>()),
        regex: text(request.subscribed_topic_regex),
        assignor: text(request.server_assignor),
        owned: request.topic_partitions.map(owned),
        client_id: call.client().to_owned(),
        client_host: format!("/{}", call.client_addr.ip()),
    }
}

fn owned(topics: Vec<Owned>) -> Partitions {
    let mut owned = Partitions::new();
    for topic in topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        owned
            .entry(TopicId(topic.topic_id))
            .or_default()
            .extend(topic.partitions);
    }
    owned
}

fn respond(beaten: Beaten) -> ConsumerGroupHeartbeatResponse {
    let response = ConsumerGroupHeartbeatResponse::default();
    if let Some((code, why)) = beaten.error {
        return response
            .with_error_code(code.code())
            .with_error_message(why.map(StrBytes::from_string));
    }
    let assignment = beaten.assignment.map(|partitions| {
        let topics = partitions.into_iter().map(|(topic, partitions)| {
            TopicPartitions::default()
                .with_topic_id(topic.0)
                .with_partitions(partitions.into_iter().collect())
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    response
        .with_member_id(Some(StrBytes::from_string(beaten.member_id)))
        .with_member_epoch(beaten.epoch)
        .with_heartbeat_interval_ms(beaten.interval_ms)
        .with_assignment(assignment)
}
