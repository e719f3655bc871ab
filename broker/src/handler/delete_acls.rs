//! DeleteAcls (31): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::{Call, Context, forward};
use crate::image::acl::{Acl, Kind, Operation, Pattern, Permission};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=3;

pub async fn handle(cx: &Context, call: &Call, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let asked = request.filters.len();
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => {
            let gone = response.filter_results.iter().flat_map(|result| &result.matching_acls);
            let gone: Vec<Acl> = gone.filter_map(acl).collect();
            forward::settle(cx, |image| !gone.iter().any(|acl| image.acls.contains(acl))).await;
            response
        }
        Err(unanswered) => refused(asked, unanswered.code, forward::why(&unanswered)),
    }
}

fn acl(gone: &DeleteAclsMatchingAcl) -> Option<Acl> {
    Some(Acl {
        kind: Kind::from_code(gone.resource_type)?,
        name: gone.resource_name.to_string(),
        pattern: Pattern::from_code(gone.pattern_type)?,
        principal: gone.principal.to_string(),
        host: gone.host.to_string(),
        operation: Operation::from_code(gone.operation)?,
        permission: Permission::from_code(gone.permission_type)?,
    })
}

fn refused(asked: usize, code: ErrorCode, why: Option<StrBytes>) -> DeleteAclsResponse {
    let result = DeleteAclsFilterResult::default()
        .with_error_code(code.code())
        .with_error_message(why);
    DeleteAclsResponse::default().with_filter_results(vec![result; asked])
}

impl Refuse for DeleteAclsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DeleteAclsResponse {
        refused(self.filters.len(), code, refuse::why(code))
    }
}
