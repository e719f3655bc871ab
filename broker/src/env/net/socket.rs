//! A connection's and a listener's two kinds: the system's and those of a [`World`](crate::env::world::World).

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::memory::Port;

/// A connection, both ways.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

/// What arrives.
#[derive(Debug)]
pub enum SocketRead {
    Tcp(OwnedReadHalf),
    Memory(tokio::io::ReadHalf<DuplexStream>),
}

/// What is sent.
#[derive(Debug)]
pub enum SocketWrite {
    Tcp(OwnedWriteHalf),
    Memory(tokio::io::WriteHalf<DuplexStream>),
}

/// A port that is listened on.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Memory(Port),
}

impl Socket {
    /// Both ways apart. The halves of the system's connections share no lock.
    pub fn into_split(self) -> (SocketRead, SocketWrite) {
        match self {
            Self::Tcp(stream) => {
                let (input, output) = stream.into_split();
                (SocketRead::Tcp(input), SocketWrite::Tcp(output))
            }
            Self::Memory(stream) => {
                let (input, output) = tokio::io::split(stream);
                (SocketRead::Memory(input), SocketWrite::Memory(output))
            }
        }
    }

    /// Sends what is written at once.
    ///
    /// # Errors
    /// Only for a connection that is gone.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Memory(_) => Ok(()),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Listener {
    /// The next connection and where it comes from. Dropping this future loses none.
    ///
    /// # Errors
    /// What the system says.
    pub async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, from)| (stream.into(), from)),
            Self::Memory(port) => port.accept().await,
        }
    }

    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Memory(port) => Ok(port.addr()),
        }
    }
}

/// Hands each poll to the variant that is there.
macro_rules! read_through {
    ($type:ident: $($variant:ident)*) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => Pin::new(stream).poll_read(cx, into),)*
                }
            }
        }
    };
}

/// Hands each poll to the variant that is there.
macro_rules! write_through {
    ($type:ident: $($variant:ident)*) => {
        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => Pin::new(stream).poll_write(cx, bytes),)*
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),)*
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $(Self::$variant(stream) => stream.is_write_vectored(),)*
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => Pin::new(stream).poll_flush(cx),)*
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => Pin::new(stream).poll_shutdown(cx),)*
                }
            }
        }
    };
}

pub(crate) use {read_through, write_through};

read_through!(Socket: Tcp Memory);
read_through!(SocketRead: Tcp Memory);
write_through!(Socket: Tcp Memory);
write_through!(SocketWrite: Tcp Memory);
