//! UnregisterBroker (64): forgets a broker that will not come back. Decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(cx: &Context, call: &Call, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => UnregisterBrokerResponse::default()
            .with_error_code(unanswered.code.code())
            .with_error_message(forward::why(&unanswered)),
    }
}
