//! GetTelemetrySubscriptions (71): a client asks which of its metrics are wanted (KIP-714).

use std::ops::RangeInclusive;

use kafka_protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, client_metrics};
use crate::env::random;
use crate::record::Compression;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

/// How a push may be compressed, the best first, as in Kafka.
pub const COMPRESSIONS: [Compression; 4] = [
    Compression::Zstd,
    Compression::Lz4,
    Compression::Gzip,
    Compression::Snappy,
];

pub async fn handle(
    cx: &Context,
    call: &Call,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let instance = match request.client_instance_id {
        new if new.is_nil() => random::uuid(),
        known => known,
    };
    let identity = client_metrics::identity(call, instance);
    let granted = identity.granted(&client_metrics::wanted(cx));
    if let Err(error) = cx.telemetry.clients.ask(identity, &granted) {
        return GetTelemetrySubscriptionsResponse::default().with_error_code(error.code());
    }
    let codes = COMPRESSIONS.iter().map(|compression| compression.code() as i8);
    GetTelemetrySubscriptionsResponse::default()
        .with_client_instance_id(instance)
        .with_subscription_id(granted.subscription_id)
        .with_accepted_compression_types(codes.collect())
        .with_push_interval_ms(granted.interval_ms)
        .with_telemetry_max_bytes(i32::try_from(cx.config.int("telemetry.max.bytes")).unwrap_or(i32::MAX))
        // Sums come as they grew since the client began, which is what is shown.
        .with_delta_temporality(false)
        .with_requested_metrics(granted.metrics.into_iter().map(StrBytes::from_string).collect())
}
