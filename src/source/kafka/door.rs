//! The way in at one address, step by step, on connections of its own: for telling a person where it ends.

use azimuth_broker::env::net::Net;
use azimuth_broker::wire::tls::Certificate;
use azimuth_broker::wire::{self, ClientConfig};
use tokio::time::timeout;

use super::pool::{Peer, Pool};
use crate::model::Moment;
use crate::source::Error;

/// What a TLS handshake agreed on, and with whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Handshake {
    /// `TLSv1.3`.
    pub version: String,
    pub subject: String,
    pub issuer: String,
    /// Host names and addresses that the certificate is for.
    pub names: Vec<String>,
    pub ends_at: Option<Moment>,
    /// Whether the certificate had to be for the address that was asked.
    pub checks_host: bool,
}

/// Shakes hands and hangs up; `None` where connections are not encrypted.
pub(super) async fn handshake(pool: &Pool, address: &str) -> Result<Option<Handshake>, Error> {
    if !pool.security().has_tls() {
        return Ok(None);
    }
    let config = ClientConfig {
        sasl: None,
        ..pool.config()
    };
    let opened = open(pool, address, &config, "the TLS handshake").await?;
    let unread = |reason: String| Error::Insecure {
        peer: address.to_owned(),
        reason,
    };
    let der = opened
        .stream
        .peer_certificate()
        .ok_or_else(|| unread("it shows no certificate".to_owned()))?;
    let certificate = Certificate::of_der(der).map_err(unread)?;
    Ok(Some(Handshake {
        version: opened.stream.tls_version().unwrap_or_else(|| "TLS".to_owned()),
        subject: certificate.subject,
        issuer: certificate.issuer,
        names: certificate.names,
        ends_at: Moment::from_second(certificate.not_after).ok(),
        checks_host: pool.security().checks_host(),
    }))
}

/// Logs in and hangs up; the mechanism and, where it is known, the user. `None` where nobody logs in.
pub(super) async fn login(pool: &Pool, address: &str) -> Result<Option<(String, Option<String>)>, Error> {
    let config = pool.config();
    let Some(login) = &config.sasl else {
        return Ok(None);
    };
    open(pool, address, &config, "the login").await?;
    Ok(Some((login.mechanism().to_string(), pool.security().now().user())))
}

async fn open(pool: &Pool, address: &str, config: &ClientConfig, what: &str) -> Result<wire::Opened, Error> {
    let net = Net::default();
    let opening = timeout(config.connect_timeout, wire::open(&net, address, config)).await;
    let opened = opening.map_err(|_| Error::TimedOut {
        peer: address.to_owned(),
        what: what.to_owned(),
        after: config.connect_timeout,
    })?;
    let peer = Peer::new(address.to_owned(), pool.deadlines().retry);
    opened.map_err(|error| pool.refusal(&peer, error))
}
