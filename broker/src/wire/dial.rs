//! Opening a connection: TCP through the node's network, then what its security asks for.

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::client::{ClientConfig, Security};
use super::error::Error;
use super::login::log_in_on;
use super::stream::Stream;
use super::tls;
use crate::env::net::Net;

/// A connection that requests can be sent on.
pub struct Opened {
    pub stream: Stream,
    /// Resolves when a fault ends the connection; never, if there is none.
    pub fault: BoxFuture<'static, ()>,
    /// When to log in again, if the login does not hold for ever (KIP-368).
    pub login: Option<Instant>,
}

/// Connects to `addr`, a `host:port`, as `config` says. The caller sets the deadline.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Closed`], [`Error::Tls`] with what is wrong with whose certificate, or [`Error::Login`].
pub async fn open(net: &Net, addr: &str, config: &ClientConfig) -> Result<Opened, Error> {
    let unreachable = |source| Error::Unreachable {
        addr: addr.to_owned(),
        source,
    };
    let link = net.connect(addr).await.map_err(unreachable)?;
    let mut fault = link.fault;
    let mut stream = match &config.security {
        Security::Plaintext => Stream::Plain(link.stream),
        Security::Tls(connector) => {
            let shaken = tokio::select! {
                shaken = connector.connect(addr, link.stream) => shaken,
                () = &mut fault => return Err(Error::Closed { addr: addr.to_owned() }),
            };
            shaken.map_err(|error| match tls::is_tls(&error) {
                true => Error::Tls {
                    addr: addr.to_owned(),
                    reason: tls::sentence(&error),
                },
                false => unreachable(error),
            })?
        }
    };
    let login = tokio::select! {
        login = log_in_on(&mut stream, addr, config) => login?,
        () = &mut fault => return Err(Error::Closed { addr: addr.to_owned() }),
    };
    Ok(Opened { stream, fault, login })
}
