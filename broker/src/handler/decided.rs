//! What the controller decides whole: decode, decide, encode.
//!
//! Served on the controller's listener only. When the controller cannot decide, the connection closes, which a broker
//! takes for a controller that is down and says so to its client.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Message, Request};

use super::refuse::Refuse;
use super::{Call, Context, Refused, Reply, Rights};
use crate::auth::Object;
use crate::controller::Decide;
use crate::image::acl::Operation;
use crate::wire::{self, ErrorCode};

/// Deciding takes a sync of the metadata log; a disk that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// All versions of the protocol.
pub fn versions<R: Message>() -> RangeInclusive<i16> {
    R::VERSIONS.min..=R::VERSIONS.max
}

/// `operations`: any of them on the cluster lets the caller ask.
pub async fn handle<R>(
    cx: &Context,
    call: &Call,
    key: ApiKey,
    body: Bytes,
    operations: &[Operation],
) -> Result<Reply, Refused>
where
    R: Refuse + Decide<Response = <R as Request>::Response>,
{
    let api = || format!("{key:?}");
    let request: R =
        wire::decode_message(body, call.version).map_err(|reason| Refused::Malformed { api: api(), reason })?;
    if !Rights::of(cx, call, key).allow_one_of(operations, Object::Cluster) {
        let response = request.refuse(call.version, ErrorCode::ClusterAuthorizationFailed);
        return Reply::message(&response, call).map_err(|reason| Refused::Unwritable { api: api(), reason });
    }
    let response = cx
        .controller
        .ask(request, call.version, DEADLINE)
        .await
        .map_err(|error| Refused::Undecided {
            api: api(),
            reason: error.to_string(),
        })?;
    Reply::message(&response, call).map_err(|reason| Refused::Unwritable { api: api(), reason })
}
