//! A link that goes through this process a second time, where it can be delayed, silenced and cut.

use std::io;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select, try_join};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fault::Way;
use super::memory;
use super::socket::{Socket, SocketRead, SocketWrite};

const CHUNK: usize = 64 << 10;
/// Chunks on their way in one direction; the sender waits beyond that, as on any link with a finite window.
const ON_THE_WAY: usize = 64;

/// The near end of a connection whose far end is `peer`.
pub(super) async fn through(peer: Socket, way: Way) -> io::Result<Socket> {
    let (near, inner) = match peer {
        Socket::Tcp(_) => pair().await?,
        Socket::Memory(_) => memory::pair(),
    };
    tokio::spawn(run(inner, peer, way));
    Ok(near)
}

/// Two ends of one connection within this process.
async fn pair() -> io::Result<(Socket, Socket)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (inner, from) = listener.accept().await?;
        // Anybody can connect to an open port.
        if from == near.local_addr()? {
            near.set_nodelay(true)?;
            inner.set_nodelay(true)?;
            return Ok((near.into(), inner.into()));
        }
    }
}

/// Passes everything on until both sides are done, one breaks, or the way is cut.
pub(super) async fn run(near: Socket, far: Socket, mut way: Way) {
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let both = try_join(pass(near_in, far_out, way.clone()), pass(far_in, near_out, way.clone()));
    let ended = select(Box::pin(both), Box::pin(way.cut())).await;
    if let Either::Left((Err(error), _)) = ended {
        tracing::trace!("a relayed link broke: {error}");
    }
}

async fn pass(mut from: SocketRead, mut to: SocketWrite, mut way: Way) -> io::Result<()> {
    let (queue, mut queued) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let mut delays = way.clone();
    let taken = async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            if from.read_buf(&mut chunk).await? == 0 {
                return Ok(());
            }
            // The other half is gone only together with this one.
            let _ = queue.send((Instant::now() + delays.delay(), chunk.freeze())).await;
            delays.heard().await;
        }
    };
    let given = async move {
        while let Some((due, chunk)) = queued.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            way.heard().await;
            way.passes(&chunk);
            to.write_all(&chunk).await?;
        }
        way.heard().await;
        to.shutdown().await
    };
    try_join(taken, given).await.map(|_| ())
}
