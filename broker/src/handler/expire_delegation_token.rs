//! ExpireDelegationToken (40): its owner, or a renewer of it, ends a token. Decided by the controller.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse};

use super::{Call, Context, forward, tokens};

pub const VERSIONS: RangeInclusive<i16> = 1..=2;

pub async fn handle(cx: &Context, call: &Call, request: ExpireDelegationTokenRequest) -> ExpireDelegationTokenResponse {
    let token = match tokens::own(cx, call, &request.hmac) {
        Ok(token) => token,
        Err(code) => return ExpireDelegationTokenResponse::default().with_error_code(code.code()),
    };
    match cx.controller.ask(request, call.version, forward::patience(cx)).await {
        Ok(response) => {
            if response.error_code == 0 {
                let before = token.expires_ms;
                let known = |known: Option<i64>| known.is_none_or(|expires_ms| expires_ms != before);
                forward::settle(cx, |image| {
                    known(image.tokens.get(&token.id).map(|token| token.expires_ms))
                })
                .await;
            }
            response
        }
        Err(unanswered) => ExpireDelegationTokenResponse::default().with_error_code(unanswered.code.code()),
    }
}
