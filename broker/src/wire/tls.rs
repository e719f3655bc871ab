//! TLS for both sides of a connection, from Kafka's `ssl.*` properties.
//!
//! An [`Acceptor`] serves a listener, a [`Connector`] opens connections; both take new certificates while they are used:
//! connections that are open keep theirs. Versions 1.2 and 1.3, by rustls with aws-lc-rs, whatever the process
//! installed as its default, and by a node's clock, which may be wrong on purpose. Sessions are not resumed, so that every connection is judged by the certificates of its time.
//! No text made here, in errors and in `Debug`, holds a password or a key.

mod certificate;
mod error;
mod expired;
mod settings;
mod store;
mod verify;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::stream::Stream;
use crate::env::clock::Clock;
use crate::env::expiry::Expiry;
use crate::env::net::Socket;

pub use certificate::Certificate;
pub use error::{Error, is_tls, sentence};
pub use settings::{ClientAuth, Secret, Settings};
use store::Identity;

/// A client that is refused has this long, and may still send this many KiB, before its connection is closed.
const FAREWELL: Duration = Duration::from_millis(500);
const FAREWELL_READS: usize = 64;

/// The server's side.
pub struct Acceptor {
    clock: Clock,
    expiry: Expiry,
    current: RwLock<Served>,
}

/// What a server can show.
struct Served {
    sound: Shown,
    /// The same, run out; only where that can be asked for.
    expired: Option<Shown>,
}

#[derive(Clone)]
struct Shown {
    config: Arc<rustls::ServerConfig>,
    /// In DER.
    certificate: CertificateDer<'static>,
}

/// The client's side.
pub struct Connector {
    clock: Clock,
    current: RwLock<Arc<rustls::ClientConfig>>,
}

/// What the validity of certificates is judged by.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.now_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

impl Acceptor {
    /// Reads the stores that `settings` names. Blocks on files.
    ///
    /// # Errors
    /// There is no key store, or a store cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::within(settings, Clock::system(), Expiry::default())
    }

    /// Like [`Acceptor::new`], by a clock that may be wrong, and with a certificate that runs out on request.
    pub fn within(settings: &Settings, clock: Clock, expiry: Expiry) -> Result<Self, Error> {
        Ok(Self {
            current: RwLock::new(server(settings, &clock, &expiry)?),
            clock,
            expiry,
        })
    }

    /// Serves connections that come from now on with what `settings` says; after an error nothing has changed.
    ///
    /// # Errors
    /// As [`Acceptor::new`].
    pub fn replace(&self, settings: &Settings) -> Result<(), Error> {
        *self.current.write() = server(settings, &self.clock, &self.expiry)?;
        Ok(())
    }

    /// The certificate that it shows now, in DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.shown().certificate
    }

    fn shown(&self) -> Shown {
        let current = self.current.read();
        let expired = current.expired.as_ref().filter(|_| self.expiry.is_over());
        expired.unwrap_or(&current.sound).clone()
    }

    /// Shakes hands with a client. The caller sets the deadline.
    ///
    /// # Errors
    /// What the connection breaks with; [`sentence`] says it for people.
    pub async fn accept(&self, stream: impl Into<Socket>) -> io::Result<Stream> {
        match TlsAcceptor::from(self.shown().config)
            .accept(stream.into())
            .into_fallible()
            .await
        {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream.into()))),
            Err((error, stream)) => {
                farewell(stream).await;
                Err(error)
            }
        }
    }
}

/// Lets the client read why it is refused: closing with unread bytes would reset the connection under that answer.
async fn farewell(mut stream: Socket) {
    let mut rest = [0; 1024];
    let drained = async {
        stream.shutdown().await?;
        for _ in 0..FAREWELL_READS {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // It is over either way.
    let _ = tokio::time::timeout(FAREWELL, drained).await;
}

impl Connector {
    /// Reads the stores that `settings` names. Without a trust store the system's roots are trusted. Blocks on files.
    ///
    /// # Errors
    /// A store cannot be used, or nothing is trusted.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::with_clock(settings, Clock::system())
    }

    /// Like [`Connector::new`], by a clock that may be wrong.
    pub fn with_clock(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        Ok(Self {
            current: RwLock::new(Arc::new(client(settings, &clock)?)),
            clock,
        })
    }

    /// Opens connections from now on with what `settings` says; after an error nothing has changed.
    ///
    /// # Errors
    /// As [`Connector::new`].
    pub fn replace(&self, settings: &Settings) -> Result<(), Error> {
        *self.current.write() = Arc::new(client(settings, &self.clock)?);
        Ok(())
    }

    /// Shakes hands with the server at `addr`, a `host:port`, whose certificate has to be for that host. The caller sets
    /// the deadline.
    ///
    /// # Errors
    /// What the connection breaks with; [`sentence`] says it for people.
    pub async fn connect(&self, addr: &str, stream: impl Into<Socket>) -> io::Result<Stream> {
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = Arc::clone(&self.current.read());
        let stream = TlsConnector::from(config).connect(name, stream.into()).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

fn server(settings: &Settings, clock: &Clock, expiry: &Expiry) -> Result<Served, Error> {
    let identity = settings.identity()?.ok_or(Error::NoKeystore)?;
    let expired = match expiry.is_settable() {
        true => Some(shown(settings, clock, expired::reissued(&identity)?)?),
        false => None,
    };
    Ok(Served {
        sound: shown(settings, clock, identity)?,
        expired,
    })
}

fn shown(settings: &Settings, clock: &Clock, identity: Identity) -> Result<Shown, Error> {
    let certificate = identity.chain.first().cloned().ok_or(Error::NoKeystore)?;
    let provider = provider(settings)?;
    let time = Arc::new(Time(clock.clone()));
    let builder = rustls::ServerConfig::builder_with_details(Arc::clone(&provider), time)
        .with_protocol_versions(&versions(settings))
        .map_err(Error::Unusable)?;
    let builder = match settings.client_auth() {
        ClientAuth::None => builder.with_no_client_auth(),
        wanted => {
            let roots = Arc::new(settings.roots()?.ok_or(Error::NoTruststore)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match wanted {
                ClientAuth::Requested => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            let verifier = verifier.build().map_err(|error| Error::Trust(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(Error::Unusable)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Shown {
        config: Arc::new(config),
        certificate,
    })
}

fn client(settings: &Settings, clock: &Clock) -> Result<rustls::ClientConfig, Error> {
    let roots = match settings.roots()? {
        Some(roots) => roots,
        None => system_roots()?,
    };
    let provider = provider(settings)?;
    let verifier = verify::server_verifier(roots, Arc::clone(&provider), settings.checks_host())?;
    let time = Arc::new(Time(clock.clone()));
    let builder = rustls::ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&versions(settings))
        .map_err(Error::Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match settings.identity()? {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(Error::Unusable)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn versions(settings: &Settings) -> Vec<&'static SupportedProtocolVersion> {
    let known = [("TLSv1.3", &version::TLS13), ("TLSv1.2", &version::TLS12)];
    known
        .into_iter()
        .filter(|(name, _)| settings.speaks(name))
        .map(|(_, version)| version)
        .collect()
}

/// With the cipher suites that are enabled, in our order.
fn provider(settings: &Settings) -> Result<Arc<CryptoProvider>, Error> {
    static ALL: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let all = ALL.get_or_init(|| Arc::new(aws_lc_rs::default_provider()));
    let wanted = settings.cipher_suites();
    if wanted.is_empty() {
        return Ok(Arc::clone(all));
    }
    // Java's names are IANA's; rustls sets those of TLS 1.3 apart.
    let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1);
    let mut some = CryptoProvider::clone(all);
    some.cipher_suites.retain(|suite| wanted.contains(&name(suite)));
    if some.cipher_suites.is_empty() {
        return Err(Error::NoSuite {
            known: all.cipher_suites.iter().map(name).collect::<Vec<_>>().join(", "),
        });
    }
    Ok(Arc::new(some))
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(Error::NoRoots);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
