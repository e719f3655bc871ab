//! One connection's bytes, plain or encrypted: the same type for servers, clients and followers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::env::net::{Socket, SocketRead, SocketWrite, read_through, write_through};

/// A connection, both ways.
pub enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// What arrives.
pub enum ReadHalf {
    Plain(SocketRead),
    Tls(tokio::io::ReadHalf<TlsStream<Socket>>),
}

/// What is sent. TLS holds bytes back until they are flushed.
pub enum WriteHalf {
    Plain(SocketWrite),
    Tls(tokio::io::WriteHalf<TlsStream<Socket>>),
}

impl Stream {
    /// Both ways apart. The halves of a plain connection share no lock.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (input, output) = stream.into_split();
                (ReadHalf::Plain(input), WriteHalf::Plain(output))
            }
            Self::Tls(stream) => {
                let (input, output) = tokio::io::split(*stream);
                (ReadHalf::Tls(input), WriteHalf::Tls(output))
            }
        }
    }

    /// The version of TLS that is spoken, as `TLSv1.3`; `None` if none is.
    pub fn tls_version(&self) -> Option<String> {
        let Self::Tls(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        let version = session.protocol_version()?;
        Some(format!("{version:?}").replace("v1_", "v1."))
    }

    /// The certificate that the other side showed, checked and in DER; `None` if it showed none.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => {
                let (_, session) = stream.get_ref();
                session
                    .peer_certificates()?
                    .first()
                    .map(|certificate| certificate.as_ref())
            }
        }
    }
}

impl From<Socket> for Stream {
    fn from(stream: Socket) -> Self {
        Self::Plain(stream)
    }
}

read_through!(Stream: Plain Tls);
read_through!(ReadHalf: Plain Tls);
write_through!(Stream: Plain Tls);
write_through!(WriteHalf: Plain Tls);
