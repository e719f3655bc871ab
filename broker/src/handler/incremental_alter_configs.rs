//! IncrementalAlterConfigs (44): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn handle(
    cx: &Context,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
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
            IncrementalAlterConfigsResponse::default().with_responses(asked.into_iter().map(result).collect())
        }
    }
}
