//! Facts: what Kafka, AWS, metrics endpoints and captures say, as model values or as an [`Error`], and nothing else.

pub mod aws;
pub mod backoff;
pub mod capture;
mod http;
pub mod kafka;
pub mod prometheus;

use std::time::Duration;

use crate::model::Trouble;

/// Why a source gave no answer. Each variant leads to a different next step, so they are never mixed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nothing listens, the name does not resolve, or the connection broke.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable { peer: String, reason: String },
    #[error("{peer} gave no answer to {what} within {} ms", after.as_millis())]
    TimedOut {
        peer: String,
        what: String,
        after: Duration,
    },
    /// A handshake failed: one side does not trust the other, or they do not speak the same.
    #[error("there is no secure connection to {peer}: {reason}")]
    Insecure { peer: String, reason: String },
    #[error("{peer} denies {what}: {reason}")]
    Denied { peer: String, what: String, reason: String },
    #[error("{peer} throttles {what}: {reason}")]
    Throttled { peer: String, what: String, reason: String },
    /// Credentials that were good once.
    #[error("the credentials for {peer} have expired: {reason}")]
    Expired { peer: String, reason: String },
    #[error("{peer} does not know {what}")]
    Unsupported { peer: String, what: String },
    /// An answer that is an error or that cannot be understood. `code` is the peer's own word for it.
    #[error("{peer} refused {what}: {reason} ({code})")]
    Refused {
        peer: String,
        what: String,
        code: String,
        reason: String,
    },
    /// Our own settings or files, before anybody was asked.
    #[error("{0}")]
    Local(String),
}

impl Error {
    /// The word for it in [`Health`](crate::model::Health).
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Unreachable { .. } | Self::Insecure { .. } => Trouble::Unreachable,
            Self::TimedOut { .. } => Trouble::TimedOut,
            Self::Denied { .. } => Trouble::Denied,
            Self::Throttled { .. } => Trouble::Throttled,
            Self::Expired { .. } => Trouble::Expired,
            Self::Unsupported { .. } => Trouble::Unsupported,
            // A broker that answers for a controller which did not.
            Self::Refused { code, .. } if code == "REQUEST_TIMED_OUT" => Trouble::TimedOut,
            Self::Refused { .. } | Self::Local(_) => Trouble::Refused,
        }
    }

    /// Whether a broker refused it with one of these of Kafka's codes.
    pub fn is(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(&code.as_str()))
    }

    /// True when another peer may well answer the same question.
    pub fn is_about_peer(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Insecure { .. } | Self::TimedOut { .. } | Self::Unsupported { .. }
        )
    }
}
