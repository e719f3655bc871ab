//! Listening and connecting, and where a network fault is injected.
//!
//! A node talks to its peers only through its [`Net`], so a rule of its [`Faults`] hits what it opens to them: a cut ends
//! and refuses, silence loses what is sent, a delay holds it up. Both ends of a link need the rule, since either may
//! have opened it. Clients still reach the node.

mod fault;
mod memory;
mod relay;
mod socket;

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::world::World;

pub use fault::{Effect, Faults, Rule};
pub(super) use memory::Network;
pub use socket::{Listener, Socket, SocketRead, SocketWrite};
pub(crate) use socket::{read_through, write_through};

/// One node's way to the network. The default has no faults.
#[derive(Debug, Clone, Default)]
pub struct Net {
    faults: Option<Faults>,
}

/// A connection to a peer.
pub struct Link {
    pub stream: Socket,
    /// Resolves when a fault ends the connection; never, if there is none.
    pub fault: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Net {
    /// The network with the faults that a node has.
    pub fn with_faults(faults: Faults) -> Self {
        Self { faults: Some(faults) }
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
        let mut way = faults.way(addr);
        way.open().await?;
        let mut stream = dial(addr).await?;
        if faults.is_relaying() {
            stream = relay::through(stream, way.clone()).await?;
        }
        Ok(Link {
            stream,
            fault: Box::pin(async move { way.cut().await }),
        })
    }
}

async fn dial(addr: &str) -> io::Result<Socket> {
    if let Some(world) = World::here() {
        return world.network.connect(&world, addr).await;
    }
    let stream = Socket::from(TcpStream::connect(addr).await?);
    stream.set_nodelay()?;
    Ok(stream)
}

/// Listens on `addr`, a `host:port`; port 0 takes a free one.
///
/// A port that a closed connection still lingers on can be taken again at once.
///
/// # Errors
/// What the system says, with the address in the text.
pub async fn bind(addr: &str) -> io::Result<Listener> {
    let said = |error: io::Error| {
        let text = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{addr} is in use by another program; choose another port in `listeners`")
            }
            _ => format!("{addr} cannot be listened on: {error}"),
        };
        io::Error::new(error.kind(), text)
    };
    if let Some(world) = World::here() {
        return world.network.bind(addr).map(Listener::Memory).map_err(said);
    }
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for resolved in lookup_host(addr).await.map_err(said)? {
        // tokio sets SO_REUSEADDR on Unix.
        match TcpListener::bind(resolved).await {
            Ok(listener) => return Ok(Listener::Tcp(listener)),
            Err(error) => last = error,
        }
    }
    Err(said(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A listener that sends back what it gets.
    async fn echo() -> String {
        let listener = bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound").to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut input, mut output) = stream.into_split();
                    tokio::io::copy(&mut input, &mut output).await
                });
            }
        });
        addr
    }

    async fn round(stream: &mut Socket, text: &[u8]) -> Vec<u8> {
        stream.write_all(text).await.expect("writes");
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.expect("reads");
        back
    }

    fn only(addr: &str, effect: Effect) -> Vec<Rule> {
        vec![Rule {
            peers: Some(vec![addr.to_owned()]),
            effect,
        }]
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_connected_and_refuses_more() {
        let addr = echo().await;
        for faults in [Faults::default(), Faults::relaying()] {
            let net = Net::with_faults(faults.clone());
            let link = net.connect(&addr).await.expect("connects");
            faults.set(only("127.0.0.1:1", Effect::Cut));
            net.connect(&addr).await.expect("another is cut");
            faults.set(only(&addr, Effect::Cut));
            link.fault.await;
            assert!(net.connect(&addr).await.is_err());
            faults.set(Vec::new());
            net.connect(&addr).await.expect("connects again");
            faults.set(vec![Rule {
                peers: None,
                effect: Effect::Cut,
            }]);
            assert!(net.connect(&addr).await.is_err(), "a cut node reaches no one");
        }
    }

    #[tokio::test]
    async fn a_delay_holds_up_both_directions_of_what_is_connected() {
        let addr = echo().await;
        let faults = Faults::relaying();
        let mut link = Net::with_faults(faults.clone()).connect(&addr).await.expect("connects");
        assert_eq!(round(&mut link.stream, b"quick").await, b"quick");
        faults.set(only(&addr, Effect::Delay(40)));
        let begun = Instant::now();
        assert_eq!(round(&mut link.stream, b"slow").await, b"slow");
        assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn silence_loses_nothing_that_is_sent_again_later() {
        let addr = echo().await;
        let faults = Faults::relaying();
        let net = Net::with_faults(faults.clone());
        let mut link = net.connect(&addr).await.expect("connects");
        faults.set(only(&addr, Effect::Silence));
        link.stream.write_all(b"lost?").await.expect("the socket takes it");
        let mut back = [0; 5];
        let short = Duration::from_millis(50);
        assert!(
            tokio::time::timeout(short, link.stream.read_exact(&mut back))
                .await
                .is_err()
        );
        assert!(
            tokio::time::timeout(short, net.connect(&addr)).await.is_err(),
            "no answer to a SYN"
        );
        faults.set(Vec::new());
        link.stream.read_exact(&mut back).await.expect("TCP sends it again");
        assert_eq!(&back, b"lost?");
    }

    #[tokio::test]
    async fn a_relay_passes_the_end_on() {
        let addr = echo().await;
        let mut link = Net::with_faults(Faults::relaying())
            .connect(&addr)
            .await
            .expect("connects");
        link.stream.write_all(b"last").await.expect("writes");
        link.stream.shutdown().await.expect("shuts down");
        let mut back = Vec::new();
        link.stream.read_to_end(&mut back).await.expect("reads");
        assert_eq!(back, b"last");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = bind("127.0.0.1:0").await.expect("binds");
        let addr = taken.local_addr().expect("bound").to_string();
        let error = bind(&addr).await.expect_err("taken");
        assert!(error.to_string().contains(&addr), "{error}");
    }
}
