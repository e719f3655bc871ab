//! DescribeAcls (29): the ACLs that a filter holds, by resource.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context};
use crate::image::acl::{Acl, Acls, Filter, Kind, Pattern};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=3;

pub async fn handle(cx: &Context, _call: &Call, request: DescribeAclsRequest) -> DescribeAclsResponse {
    if cx.authorizer.is_none() {
        let why = StrBytes::from_static_str("No Authorizer is configured on the broker");
        return refused(ErrorCode::SecurityDisabled, why);
    }
    match filter(&request) {
        Ok(filter) => DescribeAclsResponse::default().with_resources(resources(&cx.image().acls, &filter)),
        Err(why) => refused(ErrorCode::InvalidRequest, StrBytes::from_string(why)),
    }
}

fn refused(code: ErrorCode, why: StrBytes) -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(code.code())
        .with_error_message(Some(why))
}

fn filter(request: &DescribeAclsRequest) -> Result<Filter, String> {
    let mut filter = Filter::from_codes(
        request.resource_type_filter,
        request.pattern_type_filter,
        request.operation,
        request.permission_type,
    )?;
    let text = |text: &Option<StrBytes>| text.as_ref().map(ToString::to_string);
    filter.name = text(&request.resource_name_filter);
    filter.principal = text(&request.principal_filter);
    filter.host = text(&request.host_filter);
    Ok(filter)
}

fn resources(acls: &Acls, filter: &Filter) -> Vec<DescribeAclsResource> {
    let mut by_resource: BTreeMap<(Kind, &str, Pattern), Vec<&Acl>> = BTreeMap::new();
    for (_, acl) in acls.iter().filter(|(_, acl)| filter.holds(acl)) {
        by_resource
            .entry((acl.kind, &acl.name, acl.pattern))
            .or_default()
            .push(acl);
    }
    let resource = |((kind, name, pattern), mut acls): ((Kind, &str, Pattern), Vec<&Acl>)| {
        acls.sort_unstable();
        DescribeAclsResource::default()
            .with_resource_type(kind.code())
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_pattern_type(pattern.code())
            .with_acls(acls.into_iter().map(described).collect())
    };
    by_resource.into_iter().map(resource).collect()
}

fn described(acl: &Acl) -> AclDescription {
    AclDescription::default()
        .with_principal(StrBytes::from_string(acl.principal.clone()))
        .with_host(StrBytes::from_string(acl.host.clone()))
        .with_operation(acl.operation.code())
        .with_permission_type(acl.permission.code())
}
