//! Heartbeat (12): a member is alive, and hears whether its generation goes on.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Call, Context};

pub const VERSIONS: RangeInclusive<i16> = 0..=4;

pub async fn handle(cx: &Context, _call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let outcome = cx.groups.shard_of(&request.group_id).and_then(|shard| {
        let instance = request.group_instance_id.as_deref();
        shard.heartbeat(&request.group_id, &request.member_id, instance, request.generation_id)
    });
    HeartbeatResponse::default().with_error_code(outcome.err().map_or(0, |error| error.code()))
}
