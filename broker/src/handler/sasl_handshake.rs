//! SaslHandshake (17) where nobody has to log in, or somebody is logged in for good: refused, as Kafka refuses it.
//!
//! On a listener with SASL the connection answers it before it comes here.

use std::ops::RangeInclusive;

use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::{Call, Context};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn handle(_: &Context, _: &Call, _: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_error_code(ErrorCode::IllegalSaslState.code())
}
