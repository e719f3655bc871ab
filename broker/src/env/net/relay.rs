//! A link that goes through this process a second time, where it can be delayed, silenced and cut.

use std::io;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select, try_join};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fault::Way;

const CHUNK: usize = 64 << 10;
/// Chunks on their way in one direction; the sender waits beyond that, as on any link with a finite window.
const ON_THE_WAY: usize = 64;

/// The near end of a connection whose far end is `peer`.
pub(super) async fn through(peer: TcpStream, way: Way) -> io::Result<TcpStream> {
    let (near, inner) = pair().await?;
    tokio::spawn(run(inner, peer, way));
    Ok(near)
}

/// Two ends of one connection within this process.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (inner, from) = listener.accept().await?;
        // Anybody can connect to an open port.
        if from == near.local_addr()? {
            near.set_nodelay(true)?;
            inner.set_nodelay(true)?;
            return Ok((near, inner));
        }
    }
}

/// Passes everything on until both sides are done, one breaks, or the way is cut.
async fn run(near: TcpStream, far: TcpStream, mut way: Way) {
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let both = try_join(pass(near_in, far_out, way.clone()), pass(far_in, near_out, way.clone()));
    let ended = select(Box::pin(both), Box::pin(way.cut())).await;
    if let Either::Left((Err(error), _)) = ended {
        tracing::trace!("a relayed link broke: {error}");
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: Way) -> io::Result<()> {
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
            to.write_all(&chunk).await?;
        }
        way.heard().await;
        to.shutdown().await
    };
    try_join(taken, given).await.map(|_| ())
}
