//! UpdateFeatures (57): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(cx: &Context, call: &Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => response,
        Err(unanswered) => UpdateFeaturesResponse::default()
            .with_error_code(unanswered.code.code())
            .with_error_message(forward::why(&unanswered)),
    }
}
