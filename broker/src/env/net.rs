//! Listening and connecting, and where a network fault is injected.
//!
//! A node talks to its peers only through its [`Net`]. When [`Faults`] cuts an address off, connections from and to the
//! node that listens there fail and existing ones end, while its clients still reach it: a partition between brokers.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;

/// One node's way to the network. The default has no faults.
#[derive(Debug, Clone, Default)]
pub struct Net {
    /// Where this node listens, as peers name it; what a cut of this node is recognised by.
    local: Arc<[String]>,
    faults: Option<Faults>,
}

/// The addresses (`host:port`) that are cut off from their peers; shared by the nodes of one process.
#[derive(Debug, Clone)]
pub struct Faults {
    cut: Arc<watch::Sender<BTreeSet<String>>>,
}

/// A connection to a peer.
pub struct Link {
    pub stream: TcpStream,
    /// Resolves when a fault ends the connection; never, if there is none.
    pub fault: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            cut: Arc::new(watch::Sender::new(BTreeSet::new())),
        }
    }
}

impl Faults {
    /// Cuts the node that listens on `addresses` off from its peers.
    pub fn cut(&self, addresses: &[String]) {
        self.cut.send_modify(|cut| cut.extend(addresses.iter().cloned()));
    }

    /// Undoes [`Faults::cut`].
    pub fn heal(&self, addresses: &[String]) {
        self.cut
            .send_modify(|cut| cut.retain(|address| !addresses.contains(address)));
    }
}

impl Net {
    /// The network as the node that listens on `local` sees it.
    pub fn with_faults(local: &[String], faults: Faults) -> Self {
        Self {
            local: local.into(),
            faults: Some(faults),
        }
    }

    /// Connects to `addr`, a `host:port`. The caller sets the deadline.
    ///
    /// # Errors
    /// What the system says, or `HostUnreachable` when a fault cuts the way.
    pub async fn connect(&self, addr: &str) -> io::Result<Link> {
        let Some(faults) = &self.faults else {
            return Ok(Link {
                stream: dial(addr).await?,
                fault: Box::pin(std::future::pending()),
            });
        };
        let ends: Vec<String> = self.local.iter().cloned().chain([addr.to_owned()]).collect();
        let mut cut = faults.cut.subscribe();
        let is_cut = move |cut: &BTreeSet<String>| ends.iter().any(|end| cut.contains(end));
        if is_cut(&cut.borrow_and_update()) {
            return Err(io::Error::from(io::ErrorKind::HostUnreachable));
        }
        Ok(Link {
            stream: dial(addr).await?,
            fault: Box::pin(async move {
                if cut.wait_for(is_cut).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }),
        })
    }
}

async fn dial(addr: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Listens on `addr`, a `host:port`; port 0 takes a free one.
///
/// A port that a closed connection still lingers on can be taken again at once.
///
/// # Errors
/// What the system says, with the address in the text.
pub async fn bind(addr: &str) -> io::Result<TcpListener> {
    let said = |error: io::Error| {
        let text = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{addr} is in use by another program; choose another port in `listeners`")
            }
            _ => format!("{addr} cannot be listened on: {error}"),
        };
        io::Error::new(error.kind(), text)
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for resolved in lookup_host(addr).await.map_err(said)? {
        // tokio sets SO_REUSEADDR on Unix.
        match TcpListener::bind(resolved).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(said(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_ends_what_is_connected_and_refuses_more() {
        let listener = bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound").to_string();
        let faults = Faults::default();
        let net = Net::with_faults(&["127.0.0.1:1".to_owned()], faults.clone());
        let link = net.connect(&addr).await.expect("connects");
        faults.cut(std::slice::from_ref(&addr));
        link.fault.await;
        assert!(net.connect(&addr).await.is_err());
        faults.heal(std::slice::from_ref(&addr));
        net.connect(&addr).await.expect("connects again");
        faults.cut(&["127.0.0.1:1".to_owned()]);
        assert!(net.connect(&addr).await.is_err(), "a cut node reaches no one");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = bind("127.0.0.1:0").await.expect("binds");
        let addr = taken.local_addr().expect("bound").to_string();
        let error = bind(&addr).await.expect_err("taken");
        assert!(error.to_string().contains(&addr), "{error}");
    }
}
