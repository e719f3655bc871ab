//! What the APIs of delegation tokens share (KIP-48): who may ask, and whose a token is.

use super::{Call, Context};
use crate::auth::Principal;
use crate::image::token::{Party, Token};
use crate::wire::ErrorCode;

pub fn party(principal: &Principal) -> Party {
    Party {
        kind: principal.kind.clone(),
        name: principal.name.clone(),
    }
}

/// The cluster's secret, for somebody who has logged in with something else than a token.
///
/// # Errors
/// `DELEGATION_TOKEN_AUTH_DISABLED` without a secret, `DELEGATION_TOKEN_REQUEST_NOT_ALLOWED` for anybody else.
pub fn secret<'a>(cx: &'a Context, call: &Call) -> Result<&'a str, ErrorCode> {
    if call.by_token || *call.principal == Principal::anonymous() {
        return Err(ErrorCode::DelegationTokenRequestNotAllowed);
    }
    match cx.config.text("delegation.token.secret.key") {
        "" => Err(ErrorCode::DelegationTokenAuthDisabled),
        secret => Ok(secret),
    }
}

/// The caller's token with that secret.
///
/// # Errors
/// As [`secret`], or `DELEGATION_TOKEN_NOT_FOUND`, `DELEGATION_TOKEN_OWNER_MISMATCH`.
pub fn own(cx: &Context, call: &Call, hmac: &[u8]) -> Result<Token, ErrorCode> {
    let secret = secret(cx, call)?;
    let image = cx.image();
    let token = image.token_of(secret, hmac).ok_or(ErrorCode::DelegationTokenNotFound)?;
    match token.is_of(&party(&call.principal)) {
        true => Ok(token.clone()),
        false => Err(ErrorCode::DelegationTokenOwnerMismatch),
    }
}
