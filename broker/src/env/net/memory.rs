//! The network of a [`World`](crate::env::world::World): ports by address, and links that take a seeded time.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::fault::{Faults, Latency};
use super::relay;
use super::socket::Socket;
use crate::env::world::World;

/// Of each direction, before the sender waits.
const BUFFER: usize = 64 << 10;
/// The first that is given where any will do.
const FIRST_PORT: u16 = 40_000;

type Arrival = (DuplexStream, SocketAddr);

#[derive(Debug, Default)]
struct Ports {
    open: BTreeMap<SocketAddr, mpsc::UnboundedSender<Arrival>>,
    /// Given so far, to listeners and to ends that dial.
    given: u16,
    links: u64,
}

#[derive(Debug, Default, Clone)]
pub(in crate::env) struct Network {
    ports: Arc<Mutex<Ports>>,
}

/// A port that is listened on, until it is dropped.
#[derive(Debug)]
pub struct Port {
    addr: SocketAddr,
    arrivals: tokio::sync::Mutex<mpsc::UnboundedReceiver<Arrival>>,
    network: Network,
}

impl Port {
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        // The sender lives as long as this port.
        let arrival = self.arrivals.lock().await.recv().await;
        let (stream, from) = arrival.ok_or(io::ErrorKind::NotConnected)?;
        Ok((Socket::Memory(stream), from))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.network.ports.lock().open.remove(&self.addr);
    }
}

fn parsed(addr: &str) -> io::Result<SocketAddr> {
    let no_address = |_| io::Error::new(io::ErrorKind::AddrNotAvailable, format!("{addr} is no address here"));
    addr.parse().map_err(no_address)
}

impl Ports {
    fn next(&mut self) -> u16 {
        self.given = (self.given + 1) % (u16::MAX - FIRST_PORT);
        FIRST_PORT + self.given
    }
}

impl Network {
    pub(super) fn bind(&self, addr: &str) -> io::Result<Port> {
        let mut addr = parsed(addr)?;
        let mut ports = self.ports.lock();
        if addr.port() == 0 {
            addr.set_port(ports.next());
        }
        if ports.open.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (arrive, arrivals) = mpsc::unbounded_channel();
        ports.open.insert(addr, arrive);
        Ok(Port {
            addr,
            arrivals: tokio::sync::Mutex::new(arrivals),
            network: self.clone(),
        })
    }

    pub(super) async fn connect(&self, world: &World, addr: &str) -> io::Result<Socket> {
        let to = parsed(addr)?;
        let (number, from) = {
            let mut ports = self.ports.lock();
            ports.links += 1;
            (ports.links, SocketAddr::new(to.ip(), ports.next()))
        };
        let latency = Latency::of(world.chance(), number);
        let mut way = Faults::default().way(addr).slowly(latency);
        way.open().await?;
        let (near, inner) = duplex(BUFFER);
        let (far, their) = duplex(BUFFER);
        let arrived = {
            let ports = self.ports.lock();
            ports.open.get(&to).is_some_and(|port| port.send((their, from)).is_ok())
        };
        if !arrived {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        tokio::spawn(relay::run(Socket::Memory(inner), Socket::Memory(far), way));
        Ok(Socket::Memory(near))
    }
}

/// Two ends of one connection.
pub(super) fn pair() -> (Socket, Socket) {
    let (near, far) = duplex(BUFFER);
    (Socket::Memory(near), Socket::Memory(far))
}
