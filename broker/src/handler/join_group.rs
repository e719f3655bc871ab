//! JoinGroup (11): becomes a member of the next generation.

use std::ops::RangeInclusive;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::group::{JoinRequest, Joined};
use crate::image::acl::Operation;

pub const VERSIONS: RangeInclusive<i16> = 0..=9;

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    if let Err(error) = rights.demand(Operation::Read, Object::Group(&request.group_id)) {
        return encode(call.version, Joined::failed(error, request.member_id.to_string()));
    }
    let session = i64::from(request.session_timeout_ms);
    let join = JoinRequest {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        client_id: call.client_id.as_ref().map(|id| id.to_string()).unwrap_or_default(),
        client_host: format!("/{}", call.client_addr.ip()),
        session_timeout_ms: session,
        // Before v1 the session timeout was both.
        rebalance_timeout_ms: if call.version >= 1 {
            i64::from(request.rebalance_timeout_ms)
        } else {
            session
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|p| (p.name.to_string(), p.metadata))
            .collect(),
        needs_known_id: call.version >= 4,
        can_skip_assignment: call.version >= 9,
    };
    let joined = match cx.groups.shard_of(&join.group) {
        Ok(shard) => shard.join(join).await,
        Err(error) => Joined::failed(error, join.member_id),
    };
    encode(call.version, joined)
}

fn encode(version: i16, joined: Joined) -> JoinGroupResponse {
    let text = StrBytes::from_string;
    let member = |member: crate::group::JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(member.instance.map(text).filter(|_| version >= 5))
            .with_metadata(member.metadata)
    };
    // Fields that a version lacks must keep their defaults, and the name may be null only from v7 on.
    let protocol = joined.protocol.map(text);
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(text).filter(|_| version >= 7))
        .with_protocol_name(if version >= 7 {
            protocol
        } else {
            Some(protocol.unwrap_or_default())
        })
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}
