//! What replication needs from the network: a connection to each leader, and the controller's ear.
//!
//! Both are traits so that tests can replicate without sockets and cut links where they like.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::messages::{
    AlterPartitionRequest, AlterPartitionResponse, ApiVersionsRequest, FetchRequest, FetchResponse,
};
use kafka_protocol::protocol::{Request, StrBytes, VersionRange};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::env::net::Net;
use crate::image::Endpoint;
use crate::wire::{self, ClientConfig, FrameError, FrameReader, Opened, Stream};

/// The newest Fetch that says all a follower has to say (KIP-903, KIP-853).
const FETCH_VERSION: i16 = 17;
/// The oldest that carries the follower's broker epoch.
const FETCH_VERSION_MIN: i16 = 15;
/// Every broker that has that Fetch has this.
const API_VERSIONS_VERSION: i16 = 3;

/// Why a leader or the controller did not answer, as a sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

/// Sends AlterPartition to the controller, with a deadline.
pub trait AlterPartition: Send + Sync {
    fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> BoxFuture<'_, Result<AlterPartitionResponse, LinkError>>;
}

/// Opens links to leaders.
pub trait LeaderLinks: Send + Sync {
    fn open(&self, leader: &Endpoint) -> BoxFuture<'static, Result<Box<dyn LeaderLink>, LinkError>>;
}

/// One connection to one leader; dropping it closes the connection.
pub trait LeaderLink: Send {
    /// Sends one Fetch (v16 or later) and waits for its answer, at most `deadline`.
    /// After an error, or when the future is dropped, the link is of no more use.
    fn fetch(&mut self, request: FetchRequest, deadline: Duration) -> BoxFuture<'_, Result<FetchResponse, LinkError>>;
}

/// Links over TCP.
#[derive(Debug, Clone, Default)]
pub struct WireLinks {
    net: Net,
    config: ClientConfig,
}

impl WireLinks {
    pub fn new(net: Net, config: ClientConfig) -> Self {
        Self { net, config }
    }
}

impl LeaderLinks for WireLinks {
    fn open(&self, leader: &Endpoint) -> BoxFuture<'static, Result<Box<dyn LeaderLink>, LinkError>> {
        let addr = format!("{}:{}", leader.host, leader.port);
        let (net, config) = (self.net.clone(), self.config.clone());
        Box::pin(async move {
            let opening = tokio::time::timeout(config.connect_timeout, WireLink::open(&net, &addr, &config)).await;
            let after = config.connect_timeout.as_millis();
            let link = opening.map_err(|_| LinkError(format!("{addr} did not answer within {after} ms")))??;
            Ok(Box::new(link) as Box<dyn LeaderLink>)
        })
    }
}

/// One connection of its own, used by one task that sends and receives in turns: no other task has to be woken for
/// a round, which a pipelined client needs twice.
struct WireLink {
    addr: String,
    client_id: StrBytes,
    config: ClientConfig,
    /// When to log in again.
    login: Option<Instant>,
    version: i16,
    stream: Stream,
    fault: BoxFuture<'static, ()>,
    frames: FrameReader,
    correlation: i32,
}

impl WireLink {
    async fn open(net: &Net, addr: &str, config: &ClientConfig) -> Result<Self, LinkError> {
        let Opened { stream, fault, login } = wire::open(net, addr, config).await?;
        let mut link = Self {
            addr: addr.to_owned(),
            client_id: StrBytes::from_string(config.client_id.clone()),
            config: config.clone(),
            login,
            version: FETCH_VERSION,
            stream,
            fault,
            frames: FrameReader::new(config.max_frame_bytes),
            correlation: 0,
        };
        let asked = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("azimuth"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let theirs = link.exchange(&asked, API_VERSIONS_VERSION).await?;
        let ours = VersionRange {
            min: FETCH_VERSION_MIN,
            max: FETCH_VERSION,
        };
        let common = wire::common_version(&theirs, FetchRequest::KEY, ours);
        link.version = common.ok_or_else(|| {
            let (min, max) = (ours.min, ours.max);
            LinkError(format!("{addr} has no Fetch version from {min} to {max}; upgrade it"))
        })?;
        Ok(link)
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, LinkError> {
        self.correlation = self.correlation.wrapping_add(1);
        let unreadable = |error: &dyn std::fmt::Display| LinkError(format!("{} answers badly: {error}", self.addr));
        let frame = wire::encode_request(request, version, self.correlation, &self.client_id)
            .map_err(|error| unreadable(&error))?;
        let answer = tokio::select! {
            answer = send_and_receive(&mut self.stream, &mut self.frames, &frame) => answer,
            () = &mut self.fault => Ok(None),
        };
        match answer {
            Ok(Some(answer)) if answer.starts_with(&self.correlation.to_be_bytes()) => {
                wire::decode_response::<R>(answer, version).map_err(|error| unreadable(&error))
            }
            Ok(Some(_)) => Err(unreadable(&"it is the answer to another request")),
            Ok(None) => Err(LinkError(format!("{} closed the connection", self.addr))),
            Err(FrameError::Io(error)) => {
                let why = wire::tls::sentence(&error);
                Err(LinkError(format!("the connection to {} broke: {why}", self.addr)))
            }
            Err(error) => Err(LinkError(format!("the connection to {} broke: {error}", self.addr))),
        }
    }
}

async fn send_and_receive(
    stream: &mut Stream,
    frames: &mut FrameReader,
    request: &[u8],
) -> Result<Option<Bytes>, FrameError> {
    stream.write_all(request).await?;
    stream.flush().await?;
    frames.next(stream).await
}

impl LeaderLink for WireLink {
    fn fetch(&mut self, request: FetchRequest, deadline: Duration) -> BoxFuture<'_, Result<FetchResponse, LinkError>> {
        Box::pin(async move {
            let fetched = async {
                if self.login.is_some_and(|when| when <= Instant::now()) {
                    self.login = wire::log_in_on(&mut self.stream, &self.addr, &self.config).await?;
                }
                self.exchange(&request, self.version).await
            };
            let answer = tokio::time::timeout(deadline, fetched).await;
            answer.unwrap_or_else(|_| {
                let after = deadline.as_millis();
                Err(LinkError(format!("a fetch was not answered within {after} ms")))
            })
        })
    }
}

impl From<wire::Error> for LinkError {
    fn from(error: wire::Error) -> Self {
        Self(error.to_string())
    }
}
