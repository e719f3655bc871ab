//! AlterConfigs (33): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(cx: &Context, call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked = request.resources.iter();
    let asked: Vec<_> = asked
        .map(|resource| (resource.resource_type, resource.resource_name.clone()))
        .collect();
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => {
            let result = |(kind, name)| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_error_code(unanswered.code.code())
                    .with_error_message(forward::why(&unanswered))
            };
            AlterConfigsResponse::default().with_responses(asked.into_iter().map(result).collect())
        }
    }
}
