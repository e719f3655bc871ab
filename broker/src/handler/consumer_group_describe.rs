//! ConsumerGroupDescribe (69): members, epochs, assignments and targets of groups of the consumer protocol (KIP-848).

use std::ops::RangeInclusive;

use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights, refuse};
use crate::auth::Object;
use crate::group::{ConsumerMember, Partitions};
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

/// KIP-1099: how a member of version 1 tells its protocol.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let tells_operations = request.include_authorized_operations;
    let groups = request.group_ids.into_iter().map(|id| {
        let group = match describe(cx, call.version, rights, &id) {
            Ok(group) => group,
            Err((code, why)) => DescribedGroup::default()
                .with_error_code(code.code())
                .with_error_message(why.map(StrBytes::from_string)),
        };
        let operations = match tells_operations && group.error_code == 0 {
            true => rights.operations(Object::Group(&id)),
            false => i32::MIN,
        };
        group.with_group_id(id).with_authorized_operations(operations)
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}

fn describe(
    cx: &Context,
    version: i16,
    rights: &Rights<'_>,
    id: &GroupId,
) -> Result<DescribedGroup, (ErrorCode, Option<String>)> {
    let told = |code: ErrorCode| (code, refuse::why(code).map(|why| why.to_string()));
    rights.demand(Operation::Describe, Object::Group(id)).map_err(told)?;
    let shard = cx.groups.shard_of(id).map_err(|code| (code, None))?;
    let group = shard.describe_consumer(id).ok_or_else(|| {
        let why = format!("Group {} is not a consumer group.", id.as_str());
        (ErrorCode::GroupIdNotFound, Some(why))
    })?;
    let image = cx.image();
    let topics = group.members.iter().flat_map(|member| {
        let held = member.assigned.keys().chain(member.target.keys());
        let held = held.filter_map(|id| Some(image.topic(*id)?.name.as_str()));
        member.topics.iter().map(String::as_str).chain(held)
    });
    if topics
        .into_iter()
        .any(|topic| !rights.shows(Operation::Describe, Object::Topic(topic)))
    {
        let why = "The group has described topic(s) that the client is not authorized to describe.";
        return Err((ErrorCode::TopicAuthorizationFailed, Some(why.to_owned())));
    }
    let members = group.members.into_iter().map(|of| member(&image, version, of));
    Ok(DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(group.assignor))
        .with_members(members.collect()))
}

fn member(image: &Image, version: i16, of: ConsumerMember) -> Member {
    let text = StrBytes::from_string;
    let member = Member::default()
        .with_member_id(text(of.id))
        .with_instance_id(of.instance.map(text))
        .with_rack_id(of.rack.map(text))
        .with_member_epoch(of.epoch)
        .with_client_id(text(of.client_id))
        .with_client_host(text(of.client_host))
        .with_subscribed_topic_names(of.topics.into_iter().map(|topic| TopicName(text(topic))).collect())
        .with_subscribed_topic_regex(of.regex.map(text))
        .with_assignment(assignment(image, of.assigned))
        .with_target_assignment(assignment(image, of.target));
    match version {
        0 => member,
        _ => member.with_member_type(if of.is_classic { CLASSIC } else { CONSUMER }),
    }
}

/// Topics that are gone are left out.
fn assignment(image: &Image, partitions: Partitions) -> Assignment {
    let topics = partitions.into_iter().filter_map(|(id, partitions)| {
        let name = image.topic(id)?.name.clone();
        let topic = TopicPartitions::default()
            .with_topic_id(id.0)
            .with_topic_name(TopicName(StrBytes::from_string(name)))
            .with_partitions(partitions.into_iter().collect());
        Some(topic)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
