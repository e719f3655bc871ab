//! What replication needs from the network: a connection to each leader, and the controller's ear.
//!
//! Both are traits so that tests can replicate without sockets and cut links where they like.

use std::time::Duration;

use futures::future::BoxFuture;
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, FetchRequest, FetchResponse};

use crate::env::net::Net;
use crate::image::Endpoint;
use crate::wire;
use crate::wire::Client;
use crate::wire::ClientConfig;

/// The newest Fetch that says all a follower has to say (KIP-903, KIP-853).
const FETCH_VERSION: i16 = 17;

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
pub trait LeaderLink: Send + Sync {
    /// Sends one Fetch (v16 or later) and waits for its answer, at most `deadline`.
    fn fetch(&self, request: FetchRequest, deadline: Duration) -> BoxFuture<'_, Result<FetchResponse, LinkError>>;
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
            let client = Client::connect_through(&net, &addr, &config).await?;
            let link: Box<dyn LeaderLink> = Box::new(WireLink { client });
            Ok(link)
        })
    }
}

struct WireLink {
    client: Client,
}

impl LeaderLink for WireLink {
    fn fetch(&self, request: FetchRequest, deadline: Duration) -> BoxFuture<'_, Result<FetchResponse, LinkError>> {
        Box::pin(async move { Ok(self.client.call_capped(request, FETCH_VERSION, deadline).await?) })
    }
}

impl From<wire::Error> for LinkError {
    fn from(error: wire::Error) -> Self {
        Self(error.to_string())
    }
}
