//! DescribeQuorum (55): the voter and the observers of the metadata log. Answered by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use super::refuse::{self, Refuse};
use super::{Call, Context, forward};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(cx: &Context, call: &Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => response,
        Err(unanswered) => DescribeQuorumResponse::default().with_error_code(unanswered.code.code()),
    }
}

impl Refuse for DescribeQuorumRequest {
    fn refuse(&self, version: i16, code: ErrorCode) -> DescribeQuorumResponse {
        DescribeQuorumResponse::default()
            .with_error_code(code.code())
            .with_error_message(refuse::why(code).filter(|_| version >= 2))
    }
}
