//! DeleteGroups (42): deletes empty groups with their offsets.

use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in request.groups_names {
        let granted = rights.demand(Operation::Delete, Object::Group(&id));
        let outcome = match granted.and_then(|()| cx.groups.shard_of(&id)) {
            Ok(shard) => shard.delete(&id).await,
            Err(error) => Err(error),
        };
        let error = outcome.err().map_or(0, |error| error.code());
        results.push(DeletableGroupResult::default().with_group_id(id).with_error_code(error));
    }
    DeleteGroupsResponse::default().with_results(results)
}
