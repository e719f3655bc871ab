//! RenewDelegationToken (39): its owner, or a renewer of it, lets a token hold for longer. Decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{RenewDelegationTokenRequest, RenewDelegationTokenResponse};

use super::{Call, Context, forward, tokens};

pub const VERSIONS: RangeInclusive<i16> = 1..=2;

pub async fn handle(cx: &Context, call: &Call, request: RenewDelegationTokenRequest) -> RenewDelegationTokenResponse {
    let asked = match tokens::own(cx, call, &request.hmac) {
        Ok(_) => cx.controller.ask(request, call.version, forward::patience(cx)).await,
        Err(code) => return RenewDelegationTokenResponse::default().with_error_code(code.code()),
    };
    asked.unwrap_or_else(|unanswered| RenewDelegationTokenResponse::default().with_error_code(unanswered.code.code()))
}
