//! ListPartitionReassignments (46): decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(
    cx: &Context,
    call: &Call,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let deadline = forward::deadline(request.timeout_ms);
    match cx.controller.ask(request, call.version, deadline).await {
        Ok(response) => response,
        Err(unanswered) => ListPartitionReassignmentsResponse::default()
            .with_error_code(unanswered.code.code())
            .with_error_message(forward::why(&unanswered)),
    }
}
