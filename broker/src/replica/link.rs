//! What replication needs from the network: a connection to each leader, and the controller's ear.
//!
//! Both are traits so that tests can replicate without sockets and cut links where they like.

use std::time::Duration;

use futures::future::BoxFuture;
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, FetchRequest, FetchResponse};

use crate::image::Endpoint;

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
pub struct WireLinks;

impl LeaderLinks for WireLinks {
    fn open(&self, leader: &Endpoint) -> BoxFuture<'static, Result<Box<dyn LeaderLink>, LinkError>> {
        let sentence = format!("no connection to {}:{} yet", leader.host, leader.port);
        Box::pin(async move { Err(LinkError(sentence)) })
    }
}
