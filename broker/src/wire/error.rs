//! Why a call to another node failed, as sentences that name the node.

use std::io;
use std::time::Duration;

/// Why a connection or a call failed. The protocol's own error codes are not here: they are in the responses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{addr} cannot be reached: {source}")]
    Unreachable {
        addr: String,
        #[source]
        source: io::Error,
    },
    #[error("{addr} did not answer ({what}) within {} ms", after.as_millis())]
    TimedOut {
        addr: String,
        what: String,
        after: Duration,
    },
    #[error("{addr} closed the connection")]
    Closed { addr: String },
    /// A handshake failed, or the other side refused our certificate.
    #[error("there is no TLS connection to {addr}: {reason}")]
    Tls { addr: String, reason: String },
    /// The other side does not let us in, or does not prove that it knows us.
    #[error("the login at {addr} with {mechanism} failed: {reason}")]
    Login {
        addr: String,
        mechanism: &'static str,
        reason: String,
    },
    #[error("{addr} does not support {api} in a version we speak (it has {theirs}, we have {ours})")]
    Unsupported {
        addr: String,
        api: String,
        theirs: String,
        ours: String,
    },
    #[error("{addr} sent a {what} that cannot be read: {reason}")]
    Malformed { addr: String, what: String, reason: String },
    #[error(
        "{addr} announced a frame of {bytes} bytes, more than the limit of {limit}; is it a Kafka listener without TLS?"
    )]
    TooLarge { addr: String, bytes: u64, limit: usize },
    #[error("a {what} for {addr} cannot be written: {reason}")]
    Unwritable { addr: String, what: String, reason: String },
}

impl Error {
    /// Whether the same call on a new connection may succeed.
    pub fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Closed { .. }
        )
    }
}
