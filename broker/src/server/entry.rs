//! How a connection begins on a listener: the TLS handshake, and who the client is by its certificate.
//!
//! A handshake that fails costs its connection and, at most every ten seconds for each listener, one line in the log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::auth::{self, Mapping, Principal};
use crate::wire::{Stream, tls};

/// From the TCP connection to the end of the handshake, waiting for its turn included.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes of one listener that go on at the same time; more wait for their turn.
const HANDSHAKES: usize = 256;
/// How often a listener logs that handshakes fail.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What a listener asks of its clients before their first request.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// `None` is plaintext.
    pub tls: Option<Tls>,
}

/// TLS on a listener.
#[derive(Debug, Clone)]
pub struct Tls {
    pub acceptor: Arc<tls::Acceptor>,
    /// How the subject of a client's certificate becomes a user name.
    pub mapping: Mapping,
}

/// One listener's entry.
pub(super) struct Entry {
    listener: Arc<str>,
    security: Security,
    turns: Semaphore,
    failures: Mutex<Failures>,
}

/// A connection that may send requests, and who is behind it.
pub(super) struct Admitted {
    pub stream: Stream,
    pub principal: Principal,
}

/// Failed handshakes, and when one was last logged.
#[derive(Default)]
struct Failures {
    logged: Option<Instant>,
    /// Since then.
    silent: u64,
}

impl Entry {
    pub fn new(listener: &Arc<str>, security: Security) -> Self {
        Self {
            listener: Arc::clone(listener),
            security,
            turns: Semaphore::new(HANDSHAKES),
            failures: Mutex::default(),
        }
    }

    /// Lets a client in; `None` if it does not get in, which is logged.
    pub async fn admit(&self, stream: TcpStream, client: SocketAddr) -> Option<Admitted> {
        let Some(tls) = &self.security.tls else {
            return Some(Admitted {
                stream: stream.into(),
                principal: Principal::anonymous(),
            });
        };
        let shaken = tokio::time::timeout(HANDSHAKE_DEADLINE, async {
            // Closed never: it lives as long as this.
            let _turn = self.turns.acquire().await;
            tls.acceptor.accept(stream).await
        });
        let admitted = match shaken.await {
            Ok(Ok(stream)) => tls.identify(stream),
            Ok(Err(error)) => Err(tls::sentence(&error)),
            Err(_) => Err(format!("it takes more than {} s", HANDSHAKE_DEADLINE.as_secs())),
        };
        admitted.inspect_err(|reason| self.report(client, reason)).ok()
    }

    fn report(&self, client: SocketAddr, reason: &str) {
        let listener = &self.listener;
        match self.failures.lock().count(Instant::now()) {
            Some(0) => tracing::warn!("{client} on {listener} fails its TLS handshake: {reason}"),
            Some(silent) => tracing::warn!(
                "{client} on {listener} fails its TLS handshake: {reason}; so did {silent} others since the last such line"
            ),
            None => tracing::debug!("{client} on {listener} fails its TLS handshake: {reason}"),
        }
    }
}

impl Failures {
    /// Takes one in; if it is to be logged, how many were not since the last.
    fn count(&mut self, now: Instant) -> Option<u64> {
        let due = self
            .logged
            .is_none_or(|last| now.duration_since(last) >= FAILURE_LOG_INTERVAL);
        if !due {
            self.silent += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}

impl Tls {
    /// Who a client is by the certificate that it showed, if it did.
    fn identify(&self, stream: Stream) -> Result<Admitted, String> {
        let principal = match stream.peer_certificate() {
            None => Principal::anonymous(),
            Some(certificate) => {
                let subject = auth::subject(certificate).ok_or("the subject of its certificate cannot be read")?;
                let name = self.mapping.name(&subject);
                let none = || format!("no rule of ssl.principal.mapping.rules fits the subject {subject}");
                Principal::user(name.ok_or_else(none)?)
            }
        };
        Ok(Admitted { stream, principal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_between_the_lines() {
        let mut failures = Failures::default();
        let start = Instant::now();
        assert_eq!(failures.count(start), Some(0));
        assert_eq!(failures.count(start + FAILURE_LOG_INTERVAL / 2), None);
        assert_eq!(failures.count(start + FAILURE_LOG_INTERVAL / 2), None);
        assert_eq!(failures.count(start + FAILURE_LOG_INTERVAL), Some(2));
        assert_eq!(failures.count(start + FAILURE_LOG_INTERVAL * 2), Some(0));
    }
}
