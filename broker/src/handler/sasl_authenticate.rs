//! SaslAuthenticate (36) where nobody has to log in, or outside of a login: refused, as Kafka refuses it.
//!
//! On a listener with SASL the connection answers it before it comes here.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn handle(_: &Context, _: &Call, _: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(ErrorCode::IllegalSaslState.code())
        .with_error_message(Some(StrBytes::from_static_str(
            "SaslAuthenticate request received after successful authentication",
        )))
}
