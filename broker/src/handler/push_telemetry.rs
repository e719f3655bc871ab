//! PushTelemetry (72): a client sends the metrics that it was asked for (KIP-714).

use std::ops::RangeInclusive;

use kafka_protocol::messages::{PushTelemetryRequest, PushTelemetryResponse};

use super::get_telemetry_subscriptions::COMPRESSIONS;
use super::{Call, Context, client_metrics};
use crate::record::Compression;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

/// How much larger than `telemetry.max.bytes` a push may be once it is unpacked.
const UNPACKED: usize = 8;

pub async fn handle(cx: &Context, call: &Call, request: PushTelemetryRequest) -> PushTelemetryResponse {
    let taken = take(cx, call, &request);
    PushTelemetryResponse::default().with_error_code(taken.err().map_or(0, |error| error.code()))
}

fn take(cx: &Context, call: &Call, request: &PushTelemetryRequest) -> Result<(), ErrorCode> {
    let instance = request.client_instance_id;
    if instance.is_nil() {
        return Err(ErrorCode::InvalidRequest);
    }
    let clients = &cx.telemetry.clients;
    let identity = client_metrics::identity(call, instance);
    let granted = identity.granted(&client_metrics::wanted(cx));
    clients.admit(identity, &granted, request.subscription_id, request.terminating)?;
    let limit = cx.config.size("telemetry.max.bytes");
    let unpacked = match compression(request.compression_type) {
        None => Err(ErrorCode::UnsupportedCompressionType),
        Some(_) if request.metrics.len() > limit => Err(ErrorCode::TelemetryTooLarge),
        Some(compression) => compression
            .decompress(&request.metrics, limit.saturating_mul(UNPACKED))
            .map_err(|_| ErrorCode::InvalidRecord),
    };
    let stored = unpacked.and_then(|pushed| clients.store(instance, &pushed).map_err(|_| ErrorCode::InvalidRecord));
    if stored.is_err() {
        clients.refuse(instance);
    }
    stored
}

fn compression(code: i8) -> Option<Compression> {
    let mut known = COMPRESSIONS.into_iter().chain([Compression::None]);
    known.find(|compression| compression.code() == i16::from(code))
}
