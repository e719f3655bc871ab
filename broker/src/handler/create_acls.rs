//! CreateAcls (30): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::{Call, Context, forward};
use crate::image::acl::{Acl, Kind, Operation, Pattern, Permission};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=3;

pub async fn handle(cx: &Context, call: &Call, request: CreateAclsRequest) -> CreateAclsResponse {
    let asked = request.creations.clone();
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => {
            let made = asked.iter().zip(&response.results);
            let made = made.filter(|(_, result)| result.error_code == 0);
            let made: Vec<Acl> = made.filter_map(|(asked, _)| acl(asked)).collect();
            forward::settle(cx, |image| made.iter().all(|acl| image.acls.contains(acl))).await;
            response
        }
        Err(unanswered) => refused(asked.len(), unanswered.code, forward::why(&unanswered)),
    }
}

/// An ACL that the controller has taken.
fn acl(asked: &AclCreation) -> Option<Acl> {
    Some(Acl {
        kind: Kind::from_code(asked.resource_type)?,
        name: asked.resource_name.to_string(),
        pattern: Pattern::from_code(asked.resource_pattern_type)?,
        principal: asked.principal.to_string(),
        host: asked.host.to_string(),
        operation: Operation::from_code(asked.operation)?,
        permission: Permission::from_code(asked.permission_type)?,
    })
}

fn refused(asked: usize, code: ErrorCode, why: Option<StrBytes>) -> CreateAclsResponse {
    let result = AclCreationResult::default()
        .with_error_code(code.code())
        .with_error_message(why);
    CreateAclsResponse::default().with_results(vec![result; asked])
}

impl Refuse for CreateAclsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> CreateAclsResponse {
        refused(self.creations.len(), code, refuse::why(code))
    }
}
