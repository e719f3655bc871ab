//! Heartbeat (12): a member is alive, and hears whether its generation goes on.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;

pub const VERSIONS: RangeInclusive<i16> = 0..=4;

pub async fn handle(cx: &Context, _call: &Call, rights: &Rights<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let granted = rights.demand(Operation::Read, Object::Group(&request.group_id));
    let outcome = granted.and_then(|()| {
        let shard = cx.groups.shard_of(&request.group_id)?;
        let instance = request.group_instance_id.as_deref();
        shard.heartbeat(&request.group_id, &request.member_id, instance, request.generation_id)
    });
    HeartbeatResponse::default().with_error_code(outcome.err().map_or(0, |error| error.code()))
}
