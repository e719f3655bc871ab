//! What a handler may use: the node around it, and the circumstances of one request.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;

use super::ControllerLink;
use super::init_producer_id::ProducerIds;
use crate::auth::{Authorizer, Principal};
use crate::coordinator::{GroupCoordinator, TransactionCoordinator, Verifier};
use crate::env::clock::Clock;
use crate::env::net::Net;
use crate::id::NodeId;
use crate::image::Image;
use crate::image::property::Config;
use crate::quota::{ClientQuotas, ConnectionQuotas};
use crate::replica::ReplicaManager;
use crate::telemetry::Telemetry;

/// The node, as seen from one of its listeners.
pub struct Context {
    pub node: NodeId,
    pub face: Face,
    pub config: Arc<Config>,
    /// Decides who may do what; without one every client may do everything.
    pub authorizer: Option<Authorizer>,
    /// The newest metadata this node has.
    pub image: watch::Receiver<Arc<Image>>,
    /// Who decides what one broker alone cannot.
    pub controller: ControllerLink,
    /// How a controller knocks at brokers that ended their connection; without it only their silence tells that they ended.
    pub knock: Option<Net>,
    /// Empty on a node that is only a controller.
    pub replicas: Arc<ReplicaManager>,
    /// Coordinates nothing on a node that is only a controller.
    pub groups: Arc<GroupCoordinator>,
    /// As the groups.
    pub transactions: Arc<TransactionCoordinator>,
    /// Asks the coordinators of transactions.
    pub verifier: Arc<Verifier>,
    pub clock: Clock,
    /// The producer ids this broker may still hand out.
    pub producer_ids: Arc<ProducerIds>,
    /// What clients may take. A controller holds its own to none.
    pub quotas: Arc<ClientQuotas>,
    pub connections: Arc<ConnectionQuotas>,
    pub telemetry: Arc<Telemetry>,
}

/// Which APIs a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Clients and other brokers.
    Broker,
    /// Brokers, on the controller's listener.
    Controller,
}

/// One request's circumstances.
#[derive(Debug, Clone)]
pub struct Call {
    pub version: i16,
    pub correlation: i32,
    pub client_id: Option<StrBytes>,
    pub client_addr: SocketAddr,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// The name of the listener it came through; answers with addresses name those of the same listener.
    pub listener: Arc<str>,
    /// It logged in with a delegation token.
    pub by_token: bool,
    /// Name and version of the client's software, once it has told them (KIP-511); its connection's.
    pub software: Software,
}

/// What a connection's client says of its software: name and version.
pub type Software = Arc<OnceLock<(String, String)>>;

impl Call {
    /// The client's name for itself; empty if it has none.
    pub fn client(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }
}

impl Context {
    /// The newest metadata, held still.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }
}
