//! One listener: accepts connections, and answers each one's requests in order.
//!
//! A connection that misbehaves costs itself and one log line; others do not notice. Stopping lets
//! requests that are being worked on finish, for a bounded time; dropping a [`Server`] cuts everything at once.

mod connection;
mod entry;
mod login;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::env::net::{Listener, Socket};
use crate::env::origin;
use crate::handler::Context;
use crate::quota::{Denied, Slot};
use connection::Connection;
use entry::Entry;

pub use entry::{Security, Tls};
pub use login::Sasl;

/// A pause after `accept` failed, for example because the process has no file descriptors left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Connections of addresses that connect too often are held open for up to a second, but not more than so many.
const TURNED_AWAY_MAX: usize = 100;

/// What one listener grants its clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `socket.request.max.bytes`
    pub frame_bytes: usize,
    /// `connections.max.idle.ms`
    pub idle: Duration,
}

/// How a server goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serve,
    /// Requests that are being worked on finish.
    Drain,
    /// Connections end at once.
    Cut,
}

/// A listener that is being served.
pub struct Server {
    addr: SocketAddr,
    phase: watch::Sender<Phase>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `listener`, which clients know as `name`, until it is stopped.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(
        listener: Listener,
        name: &str,
        cx: Arc<Context>,
        limits: Limits,
        security: Security,
    ) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let (phase, watched) = watch::channel(Phase::Serve);
        let name: Arc<str> = name.into();
        let acceptor = Acceptor {
            entry: Arc::new(Entry::new(&name, security)),
            name,
            cx,
            arrived: None,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            limits,
            phase: watched,
        };
        let task = Some(origin::spawn(acceptor.run(listener)));
        Ok(Self { addr, phase, task })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts nothing more, finishes what is being worked on, at most `grace`, and closes every connection.
    pub async fn stop(mut self, grace: Duration) {
        self.phase.send_replace(Phase::Drain);
        if let Some(task) = &mut self.task
            && tokio::time::timeout(grace, task).await.is_ok()
        {
            self.task = None;
        }
        self.kill().await;
    }

    /// Ends every connection at once; returns when nothing of them runs.
    pub async fn kill(mut self) {
        self.phase.send_replace(Phase::Cut);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!("a listener's task failed, which is a bug: {error}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Acceptor {
    name: Arc<str>,
    entry: Arc<Entry>,
    cx: Arc<Context>,
    limits: Limits,
    /// Accepted, and waiting for its turn.
    arrived: Option<Arrived>,
    /// Room for connections that are held a little before they are closed.
    turned_away: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

struct Arrived {
    stream: Socket,
    client: SocketAddr,
    /// The rate of the listener or of the node lets it in then.
    turn: Instant,
}

/// What becomes of a connection.
enum Accepted {
    Taken(Slot, Socket, SocketAddr),
    /// Closed after a while, so that a client that comes back at once is slowed down.
    Late(Socket, Duration),
}

impl Acceptor {
    async fn run(mut self, listener: Listener) {
        // Aborting this task drops the set, and with it every connection.
        let mut connections = JoinSet::new();
        loop {
            let mut phase = self.phase.clone();
            tokio::select! {
                () = reached(&mut phase, |phase| phase != Phase::Serve) => break,
                Some(ended) = connections.join_next() => report(ended),
                accepted = self.accept(&listener) => match accepted {
                    Some(Accepted::Taken(slot, stream, client)) => {
                        let connection = Connection::new(client, &self.name, &self.cx, &self.limits, self.entry.sasl());
                        let (entry, mut phase) = (Arc::clone(&self.entry), self.phase.clone());
                        connections.spawn(origin::inherited(async move {
                            let admitted = tokio::select! {
                                admitted = entry.admit(stream, client) => admitted,
                                () = reached(&mut phase, |phase| phase != Phase::Serve) => None,
                            };
                            if let Some(admitted) = admitted {
                                connection.run(admitted, phase).await;
                            }
                            drop(slot);
                        }));
                    }
                    Some(Accepted::Late(stream, wait)) => {
                        // When too many are held, the others are closed at once.
                        if let Ok(room) = Arc::clone(&self.turned_away).try_acquire_owned() {
                            connections.spawn(origin::inherited(async move {
                                tokio::time::sleep(wait).await;
                                drop((stream, room));
                            }));
                        }
                    }
                    None => {}
                }
            }
        }
        drop(listener);
        loop {
            tokio::select! {
                () = reached(&mut self.phase, |phase| phase == Phase::Cut) => break,
                ended = connections.join_next() => match ended {
                    Some(ended) => report(ended),
                    None => break,
                },
            }
        }
        connections.shutdown().await;
    }

    /// The next connection, once there is room for it. Dropping this future loses none: what was accepted is kept.
    async fn accept(&mut self, listener: &Listener) -> Option<Accepted> {
        if self.arrived.is_none() {
            match listener.accept().await {
                Ok((stream, client)) => {
                    // Fails only on a connection that is gone, which its first read tells.
                    let _ = stream.set_nodelay();
                    let turn = Instant::now() + self.cx.connections.arrived(&self.name);
                    self.arrived = Some(Arrived { stream, client, turn });
                }
                Err(error) => {
                    tracing::warn!("listener {} cannot accept: {error}", self.name);
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    return None;
                }
            }
        }
        let turn = self.arrived.as_ref()?.turn;
        tokio::time::sleep_until(turn).await;
        let slot = self.cx.connections.slot(&self.name).await;
        let Arrived { stream, client, .. } = self.arrived.take()?;
        match slot.admit(client.ip()) {
            Ok(slot) => Some(Accepted::Taken(slot, stream, client)),
            Err(denied) => {
                tracing::debug!("{client} on {} is turned away: {denied}", self.name);
                match denied {
                    Denied::TooFast(wait) => Some(Accepted::Late(stream, wait)),
                    Denied::TooMany(_) => None,
                }
            }
        }
    }
}

/// Waits for a phase; a server that is gone has reached them all.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: impl Fn(Phase) -> bool) {
    let _ = phase.wait_for(|phase| wanted(*phase)).await;
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection's task panicked, which is a bug: {error}");
    }
}
