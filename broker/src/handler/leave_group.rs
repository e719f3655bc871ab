//! LeaveGroup (13): one member leaves, or from v3 on an operator removes several (KIP-345).

use std::ops::RangeInclusive;

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::group::Leaver;
use crate::image::acl::Operation;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let granted = rights.demand(Operation::Read, Object::Group(&request.group_id));
    let shard = match granted.and_then(|()| cx.groups.shard_of(&request.group_id)) {
        Ok(shard) => shard,
        Err(error) => return LeaveGroupResponse::default().with_error_code(error.code()),
    };
    if call.version < 3 {
        let leaver = Leaver {
            member_id: request.member_id.to_string(),
            instance: None,
        };
        let outcome = shard.leave(&request.group_id, &[leaver]).pop();
        let error = outcome.and_then(Result::err).map_or(0, |error| error.code());
        return LeaveGroupResponse::default().with_error_code(error);
    }
    let leaver = |member: &kafka_protocol::messages::leave_group_request::MemberIdentity| Leaver {
        member_id: member.member_id.to_string(),
        instance: member.group_instance_id.as_ref().map(|instance| instance.to_string()),
    };
    let leavers: Vec<Leaver> = request.members.iter().map(leaver).collect();
    let outcomes = shard.leave(&request.group_id, &leavers);
    let answers = request.members.into_iter().zip(outcomes).map(|(member, outcome)| {
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(outcome.err().map_or(0, |error| error.code()))
    });
    LeaveGroupResponse::default().with_members(answers.collect())
}
