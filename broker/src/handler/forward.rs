//! What handlers share that pass a request on to the controller.

use std::time::Duration;

use kafka_protocol::protocol::StrBytes;

use super::{Context, Unanswered};
use crate::image::Image;

/// How long a client that gave `timeout_ms` lets its request take; bounded, because it holds up its connection.
pub(super) fn deadline(timeout_ms: i32) -> Duration {
    let wanted = u64::try_from(timeout_ms).unwrap_or(0);
    Duration::from_millis(wanted).clamp(Duration::from_millis(100), Duration::from_secs(60))
}

/// How long a request takes whose client gave no time-out: `request.timeout.ms`.
pub(super) fn patience(cx: &Context) -> Duration {
    cx.config.millis("request.timeout.ms")
}

/// Why there is no answer, for a response's error message.
pub(super) fn why(unanswered: &Unanswered) -> Option<StrBytes> {
    Some(StrBytes::from_string(unanswered.to_string()))
}

/// Waits a little until this broker knows what the controller has just decided, so that the client's next request to
/// it finds it. What comes late is not an error: other brokers may be later still.
pub(super) async fn settle(cx: &Context, known: impl Fn(&Image) -> bool) {
    const AT_MOST: Duration = Duration::from_secs(1);
    let mut image = cx.image.clone();
    let _ = tokio::time::timeout(AT_MOST, image.wait_for(|image| known(image))).await;
}
