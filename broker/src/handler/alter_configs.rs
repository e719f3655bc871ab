//! AlterConfigs (33): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::refuse::{self, Refuse};
use super::rights::config_object;
use super::{Call, Context, Rights, forward};
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

/// A resource, by the code of its type and its name.
type Named = (i8, StrBytes);

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let mut denied = Vec::new();
    request.resources.retain(|resource| {
        // What has no configs is refused by the controller.
        let object = config_object(resource.resource_type, &resource.resource_name);
        let granted = object.map_or(Ok(()), |object| rights.demand(Operation::AlterConfigs, object));
        if let Err(code) = granted {
            denied.push((resource.resource_type, resource.resource_name.clone(), code));
        }
        granted.is_ok()
    });
    let mut response = match request.resources.is_empty() {
        true => AlterConfigsResponse::default(),
        false => alter(cx, call, request).await,
    };
    let denied = denied.into_iter();
    let denied = denied.map(|(kind, name, code)| refused((kind, name), code, refuse::why(code)));
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

fn asked(request: &AlterConfigsRequest) -> Vec<Named> {
    let resources = request.resources.iter();
    resources
        .map(|resource| (resource.resource_type, resource.resource_name.clone()))
        .collect()
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
