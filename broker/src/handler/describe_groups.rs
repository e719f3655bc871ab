//! DescribeGroups (15): members and assignments of classic groups.

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::group::MemberDescription;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=6;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let tells_operations = request.include_authorized_operations;
    let groups = request.groups.into_iter().map(|id| {
        let mut group = describe(cx, call.version, rights, id);
        if tells_operations && group.error_code == 0 {
            group.authorized_operations = rights.operations(Object::Group(&group.group_id));
        }
        group
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe(cx: &Context, version: i16, rights: &Rights<'_>, id: GroupId) -> DescribedGroup {
    let text = StrBytes::from_string;
    let granted = rights.demand(Operation::Describe, Object::Group(&id));
    let shard = match granted.and_then(|()| cx.groups.shard_of(&id)) {
        Ok(shard) => shard,
        Err(error) => {
            return DescribedGroup::default()
                .with_group_id(id)
                .with_error_code(error.code());
        }
    };
    let Some(group) = shard.describe(&id) else {
        // Until v5 an unknown group was told as dead; since v6 it is an error (KIP-1043).
        let dead = DescribedGroup::default().with_group_state(StrBytes::from_static_str("Dead"));
        let why = format!("Group {} not found.", id.as_str());
        return match version {
            ..=5 => dead.with_group_id(id),
            _ => dead
                .with_group_id(id)
                .with_error_code(ErrorCode::GroupIdNotFound.code())
                .with_error_message(Some(text(why))),
        };
    };
    let member = |member: MemberDescription| {
        DescribedGroupMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(member.instance.map(text).filter(|_| version >= 4))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}
