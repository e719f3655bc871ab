//! AlterConfigs (33): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::rights::{Named, take_denied};
use super::{Call, Context, Rights, forward};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let denied = take_denied(rights, &mut request.resources, named);
    let mut response = match request.resources.is_empty() {
        true => AlterConfigsResponse::default(),
        false => alter(cx, call, request).await,
    };
    let denied = denied.into_iter();
    let denied = denied.map(|(named, code)| refused(named, code, refuse::why(code)));
    response.responses.extend(denied);
    response
}

async fn alter(cx: &Context, call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked = asked(&request);
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => {
            let result = |named| refused(named, unanswered.code, forward::why(&unanswered));
            AlterConfigsResponse::default().with_responses(asked.into_iter().map(result).collect())
        }
    }
}

fn named(resource: &AlterConfigsResource) -> Named {
    (resource.resource_type, resource.resource_name.clone())
}

fn asked(request: &AlterConfigsRequest) -> Vec<Named> {
    request.resources.iter().map(named).collect()
}

fn refused((kind, name): Named, code: ErrorCode, why: Option<StrBytes>) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(kind)
        .with_resource_name(name)
        .with_error_code(code.code())
        .with_error_message(why)
}

impl Refuse for AlterConfigsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterConfigsResponse {
        let result = |named| refused(named, code, refuse::why(code));
        AlterConfigsResponse::default().with_responses(asked(self).into_iter().map(result).collect())
    }
}
