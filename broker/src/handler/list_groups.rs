//! ListGroups (16): the groups that this broker coordinates.

use std::ops::RangeInclusive;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

pub async fn handle(cx: &Context, call: &Call, rights: &Rights<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let shards = match cx.groups.shards() {
        Ok(shards) => shards,
        Err(error) => return ListGroupsResponse::default().with_error_code(error.code()),
    };
    let wanted =
        |filter: &[StrBytes], value: &str| filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(value));
    let groups = shards.iter().flat_map(|shard| shard.list());
    let groups =
        groups.filter(|group| wanted(&request.states_filter, group.state) && wanted(&request.types_filter, group.kind));
    // Who may describe the cluster sees all groups, all others those they may describe.
    let all = rights.shows(Operation::Describe, Object::Cluster);
    let groups = groups.filter(|group| all || rights.shows(Operation::Describe, Object::Group(&group.name)));
    let listed = groups.map(|group| {
        let listed = ListedGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.name)))
            .with_protocol_type(StrBytes::from_string(group.protocol_type));
        let listed = if call.version >= 4 {
            listed.with_group_state(StrBytes::from_static_str(group.state))
        } else {
            listed
        };
        if call.version >= 5 {
            listed.with_group_type(StrBytes::from_static_str(group.kind))
        } else {
            listed
        }
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}
