//! One node: a broker or the controller, built from its configuration, running until it is shut down or killed.
//!
//! Nodes speak to each other over TCP in the Kafka protocol only, so any number of them in one process and one
//! process each are the same thing.

mod broker;
mod ready;
mod controller;
mod directory;
mod dynamic;
mod error;
mod fault;
mod listener;
mod metadata;
mod metrics;
mod quotas;
mod registration;
mod security;
mod task;
mod together;

use std::sync::Arc;

use tokio::sync::watch;

use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::env::expiry::Expiry;
use crate::env::net::Net;
use crate::env::origin;
use crate::env::random::Random;
use crate::id::NodeId;

pub use crate::controller::NewUser;
pub use crate::image::property::{Config, Invalid, Role, escaped};
pub use crate::replica::Links;
pub use error::Error;
pub use fault::{Effects, Faults};
pub use ready::until_known;
pub use security::peer_client;
pub use together::Together;

/// What a node takes from the outside world; a test replaces parts of it.
#[derive(Clone)]
pub struct Surroundings {
    pub disk: Disk,
    pub clock: Clock,
    pub expiry: Expiry,
    pub random: Random,
    pub net: Net,
    /// Each node of the cluster is a process of its own. Of those in one process a killed one stands for a lost host.
    pub apart: bool,
    /// For a controller: users to add, unless they are there, before it serves.
    pub users: Vec<NewUser>,
    /// For a node of a wide cluster.
    pub together: Option<Arc<Together>>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            disk: Disk::real(),
            clock: Clock::system(),
            expiry: Expiry::default(),
            random: Random::system(),
            net: Net::default(),
            apart: false,
            users: Vec::new(),
            together: None,
        }
    }
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It listens, and waits for the controller.
    Starting,
    /// A controller decides; a broker is registered and unfenced.
    Serving,
    /// It cannot go on; the sentence says why.
    Failed(String),
}

/// A running node. Dropping it is [`Node::kill`] without waiting for the end.
pub struct Node {
    id: NodeId,
    addresses: Vec<String>,
    status: watch::Receiver<Status>,
    part: Part,
}

enum Part {
    Broker(broker::Broker),
    Controller(controller::ControllerNode),
}

impl Node {
    /// Opens the data folders, listens, and begins to register. Returns when it listens; [`Node::serving`] waits for more.
    ///
    /// # Errors
    /// A folder or port is in use, or the folder is another node's.
    pub async fn start(config: Config, around: Surroundings) -> Result<Self, Error> {
        let id = config.node_id();
        origin::of(id.0, Self::open(Arc::new(config), around)).await
    }

    async fn open(config: Arc<Config>, around: Surroundings) -> Result<Self, Error> {
        let id = config.node_id();
        let (publish, status) = watch::channel(Status::Starting);
        let (part, addresses) = match config.role() {
            Role::Broker => {
                let (broker, addresses) = broker::Broker::start(config, around, publish).await?;
                (Part::Broker(broker), addresses)
            }
            Role::Controller => {
                let (node, addresses) = controller::ControllerNode::start(config, around, publish).await?;
                (Part::Controller(node), addresses)
            }
        };
        Ok(Self {
            id,
            addresses,
            status,
            part,
        })
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where its listeners are reached, as `host:port`, in the order of `listeners`.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// [`Error::Failed`] when it never will.
    pub async fn serving(&self) -> Result<(), Error> {
        let mut status = self.status.clone();
        let reached = status.wait_for(|status| *status != Status::Starting).await;
        match reached.as_deref() {
            Ok(Status::Failed(reason)) => Err(Error::Failed(reason.clone())),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Failed("it was stopped".to_owned())),
        }
    }

    /// Waits until it cannot go on, and says why.
    pub async fn failed(&self) -> Error {
        let mut status = self.status.clone();
        let failed = status.wait_for(|status| matches!(status, Status::Failed(_))).await;
        match failed.as_deref() {
            Ok(Status::Failed(reason)) => Error::Failed(reason.clone()),
            _ => Error::Failed("it was stopped".to_owned()),
        }
    }

    /// Stops in an orderly way: leadership moves first, then requests in flight finish, then the logs close. Bounded in time.
    pub async fn shutdown(self) {
        origin::of(self.id.0, async {
            match self.part {
                Part::Broker(broker) => broker.shutdown().await,
                Part::Controller(controller) => controller.shutdown().await,
            }
        })
        .await;
    }

    /// As [`Node::shutdown`], when the whole cluster stops: nobody is left that leadership could move to.
    pub async fn shutdown_with_all(self) {
        match self.part {
            Part::Broker(broker) => broker.shutdown_with_all().await,
            Part::Controller(controller) => controller.shutdown().await,
        }
    }

    /// Stops as a power cut would, except that what the system has cached is not lost. Returns when nothing of it runs.
    pub async fn kill(self) {
        origin::of(self.id.0, async {
            match self.part {
                Part::Broker(broker) => broker.kill().await,
                Part::Controller(controller) => controller.kill().await,
            }
        })
        .await;
    }
}
