//! SyncGroup (14): the leader brings the assignment, everybody gets its own part.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::group::{SyncRequest, Synced};
use crate::image::acl::Operation;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let granted = rights.demand(Operation::Read, Object::Group(&request.group_id));
    let sync = SyncRequest {
        group: request.group_id.to_string(),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        protocol_type: request.protocol_type.map(|kind| kind.to_string()),
        protocol: request.protocol_name.map(|name| name.to_string()),
        assignments: request
            .assignments
            .into_iter()
            .map(|a| (a.member_id.to_string(), a.assignment))
            .collect(),
    };
    let synced = match granted.and_then(|()| cx.groups.shard_of(&sync.group)) {
        Ok(shard) => shard.sync(sync).await,
        Err(error) => Synced::failed(error),
    };
    let text = |value: Option<String>| value.map(StrBytes::from_string).filter(|_| call.version >= 5);
    SyncGroupResponse::default()
        .with_error_code(synced.error.map_or(0, |error| error.code()))
        .with_protocol_type(text(synced.protocol_type))
        .with_protocol_name(text(synced.protocol))
        .with_assignment(synced.assignment)
}
