//! IncrementalAlterConfigs (44): decided by the controller, after this broker has tried out its own new certificates.

use std::ops::RangeInclusive;

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::broker_logger::{self, BROKER_LOGGER};
use super::refuse::{self, Refuse};
use super::rights::{Named, take_denied};
use super::{Call, Context, Rights, certificate, forward};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

const BROKER: i8 = 4;
const DELETE: i8 = 1;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    mut request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let denied = take_denied(rights, &mut request.resources, named);
    let mut bad = Vec::new();
    for resource in own(cx, &request) {
        if let Some(why) = certificate::refusal(cx, changes(resource)).await {
            bad.push(refused(
                named(resource),
                ErrorCode::InvalidConfig,
                Some(StrBytes::from_string(why)),
            ));
        }
    }
    if !bad.is_empty() {
        request.resources.retain(|resource| !is_own(cx, resource));
    }
    // Log levels are this process's own; everything else is the controller's.
    let (loggers, others) = std::mem::take(&mut request.resources)
        .into_iter()
        .partition::<Vec<_>, _>(|resource| resource.resource_type == BROKER_LOGGER);
    let set = loggers.iter().map(|asked| levels(cx, asked, request.validate_only));
    bad.extend(set);
    request.resources = others;
    let mut response = match request.resources.is_empty() {
        true => IncrementalAlterConfigsResponse::default(),
        false => alter(cx, call, request).await,
    };
    let denied = denied.into_iter();
    let denied = denied.map(|(named, code)| refused(named, code, refuse::why(code)));
    response.responses.extend(denied);
    response.responses.extend(bad);
    response
}

fn levels(cx: &Context, asked: &AlterConfigsResource, validate_only: bool) -> AlterConfigsResourceResponse {
    let named = named(asked);
    match broker_logger::alter(cx, asked, validate_only) {
        Ok(()) => AlterConfigsResourceResponse::default()
            .with_resource_type(named.0)
            .with_resource_name(named.1),
        Err((code, why)) => refused(named, code, Some(StrBytes::from_string(why))),
    }
}

fn is_own(cx: &Context, resource: &AlterConfigsResource) -> bool {
    resource.resource_type == BROKER && resource.resource_name.as_str() == cx.node.to_string()
}

/// What is asked for this broker itself.
fn own<'a>(
    cx: &'a Context,
    request: &'a IncrementalAlterConfigsRequest,
) -> impl Iterator<Item = &'a AlterConfigsResource> {
    request.resources.iter().filter(|resource| is_own(cx, resource))
}

fn changes(resource: &AlterConfigsResource) -> Vec<(String, Option<String>)> {
    let value = |config: &AlterableConfig| match config.config_operation {
        DELETE => None,
        _ => config.value.as_ref().map(StrBytes::to_string),
    };
    let configs = resource.configs.iter();
    configs.map(|config| (config.name.to_string(), value(config))).collect()
}

async fn alter(cx: &Context, call: &Call, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let asked = asked(&request);
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => {
            let result = |named| refused(named, unanswered.code, forward::why(&unanswered));
            IncrementalAlterConfigsResponse::default().with_responses(asked.into_iter().map(result).collect())
        }
    }
}

fn named(resource: &AlterConfigsResource) -> Named {
    (resource.resource_type, resource.resource_name.clone())
}

fn asked(request: &IncrementalAlterConfigsRequest) -> Vec<Named> {
    request.resources.iter().map(named).collect()
}

fn refused((kind, name): Named, code: ErrorCode, why: Option<StrBytes>) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(kind)
        .with_resource_name(name)
        .with_error_code(code.code())
        .with_error_message(why)
}

impl Refuse for IncrementalAlterConfigsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> IncrementalAlterConfigsResponse {
        let result = |named| refused(named, code, refuse::why(code));
        IncrementalAlterConfigsResponse::default().with_responses(asked(self).into_iter().map(result).collect())
    }
}
