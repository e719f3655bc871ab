//! How a connection begins on a listener: the TLS handshake, and who the client is by its certificate.
//!
//! A handshake that fails costs its connection and, at most every ten seconds for each listener, one line in the log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::login::Sasl;
use crate::auth::{self, Mapping, Principal};
use crate::env::net::Socket;
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
    /// Without it a client is who its certificate says, or nobody.
    pub sasl: Option<Arc<Sasl>>,
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
pub(super) struct Failures {
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

    pub fn sasl(&self) -> Option<&Arc<Sasl>> {
        self.security.sasl.as_ref()
    }

    /// Lets a client in; `None` if it does not get in, which is logged.
    pub async fn admit(&self, stream: impl Into<Socket>, client: SocketAddr) -> Option<Admitted> {
        let stream = stream.into();
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
    pub fn count(&mut self, now: Instant) -> Option<u64> {
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
    use rcgen::{CertificateParams, DnType, KeyPair};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Properties with a certificate of its own authority, which is trusted.
    fn properties(name: &str) -> Vec<(&'static str, String)> {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a host");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signs").pem();
        vec![
            ("ssl.keystore.certificate.chain", pem.clone()),
            ("ssl.keystore.key", key.serialize_pem()),
            ("ssl.truststore.certificates", pem),
        ]
    }

    fn settings(pairs: &[(&'static str, String)]) -> tls::Settings {
        let get = |key: &str| Some(pairs.iter().rev().find(|(name, _)| *name == key)?.1.clone());
        tls::Settings::from_properties(get).expect("valid")
    }

    /// Who a client with `client`'s properties is to a server that trusts what `server`'s say.
    async fn admitted(
        server: &[(&'static str, String)],
        client: &[(&'static str, String)],
        rules: &str,
    ) -> Option<String> {
        let security = Security {
            tls: Some(Tls {
                acceptor: Arc::new(tls::Acceptor::new(&settings(server)).expect("a server")),
                mapping: Mapping::parse(rules).expect("valid"),
            }),
            sasl: None,
        };
        let entry = Entry::new(&"CLIENTS".into(), security);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound").to_string();
        let connector = tls::Connector::new(&settings(client)).expect("a client");
        let asking = async {
            let stream = TcpStream::connect(&addr).await.expect("connects");
            // With TLS 1.3 the client is done before the server has judged it.
            connector.connect(&addr, stream).await.is_ok()
        };
        let answering = async {
            let (stream, client) = listener.accept().await.expect("accepts");
            entry.admit(stream, client).await
        };
        let (_, admitted) = tokio::join!(asking, answering);
        admitted.map(|admitted| admitted.principal.to_string())
    }

    #[tokio::test]
    async fn a_client_is_who_its_certificate_says_after_the_rules() {
        let (server, client) = (properties("broker"), properties("client"));
        let anchor = |pairs: &[(&'static str, String)]| pairs[2].clone();
        let mut asking = server.clone();
        asking.extend([anchor(&client), ("ssl.client.auth", "requested".to_owned())]);
        let mut showing = client.clone();
        showing.push(anchor(&server));
        let nameless = [anchor(&server)];
        assert_eq!(admitted(&asking, &showing, "").await.as_deref(), Some("User:CN=client"));
        let rules = "RULE:^CN=(.*)$/$1/U";
        assert_eq!(admitted(&asking, &showing, rules).await.as_deref(), Some("User:CLIENT"));
        assert_eq!(admitted(&asking, &showing, "RULE:^CN=x$/x/").await, None);
        assert_eq!(
            admitted(&asking, &nameless, "").await.as_deref(),
            Some("User:ANONYMOUS")
        );
        asking.push(("ssl.client.auth", "required".to_owned()));
        assert_eq!(admitted(&asking, &nameless, "").await, None);
    }

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
