//! DescribeQuorum (55): the voter and the observers of the metadata log. Answered by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use super::{Call, Context, forward};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(cx: &Context, call: &Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => DescribeQuorumResponse::default().with_error_code(unanswered.code.code()),
    }
}
