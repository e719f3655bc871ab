//! A whole cluster on one host: brokers and a controller, in this process or in one each.
//!
//! The controller is a node of its own, so that stopping any broker never stops it. Every node keeps its address over
//! restarts. In one process each node can be killed, cut off from its peers and started again; with processes each is
//! a child that ends with its parent, and the controller's is started again whenever it dies.

mod config;
mod process;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use crate::env::net::{Faults, Net};
use crate::id::NodeId;
use crate::node::{self, Node, Surroundings};

pub use config::{ClusterConfig, NodeConfig};
use process::Processes;

/// The controller's node id; brokers count from 1.
pub const CONTROLLER: NodeId = NodeId(1000);

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Why a cluster does not start, or a node of it not again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] node::Invalid),
    #[error("node {id}: {source}")]
    Node {
        id: NodeId,
        #[source]
        source: node::Error,
    },
    #[error(transparent)]
    Ready(#[from] node::Error),
    #[error("{0}")]
    Process(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the cluster has no node {0}")]
    Unknown(NodeId),
}

/// A running cluster. Dropping it ends its nodes at once.
pub struct Cluster {
    config: ClusterConfig,
    faults: Faults,
    nodes: Nodes,
}

enum Nodes {
    Here(BTreeMap<NodeId, Node>),
    Apart(Processes),
}

impl Cluster {
    /// Starts the controller and all brokers, and waits until every broker knows of every other.
    ///
    /// # Errors
    /// A port or folder is in use, a property is bad, or it is not ready within a minute.
    pub async fn start(mut config: ClusterConfig) -> Result<Self, Error> {
        config.take_ports().await?;
        let nodes = if config.processes.is_some() {
            Nodes::Apart(Processes::default())
        } else {
            Nodes::Here(BTreeMap::new())
        };
        let mut cluster = Self {
            config,
            faults: Faults::default(),
            nodes,
        };
        cluster.restart(CONTROLLER).await?;
        for id in cluster.ids() {
            cluster.restart(id).await?;
        }
        let ids = cluster.ids();
        cluster.until_known(&ids, ids.len()).await?;
        Ok(cluster)
    }

    /// Waits until each of the brokers `ids` knows of at least `brokers`.
    async fn until_known(&self, ids: &[NodeId], brokers: usize) -> Result<(), Error> {
        let Some(id) = ids.first() else { return Ok(()) };
        let config = self.config.parsed(*id).ok_or(Error::Unknown(*id))??;
        let addresses: Vec<_> = ids.iter().filter_map(|id| self.config.peer_address_of(*id)).collect();
        Ok(node::until_known(&addresses, &config, brokers, READY_DEADLINE).await?)
    }

    /// The brokers' ids, ascending.
    pub fn ids(&self) -> Vec<NodeId> {
        self.config.nodes.iter().map(|node| node.id).collect()
    }

    /// Where clients reach the brokers, `host:port`, in the order of their ids.
    pub fn addresses(&self) -> Vec<String> {
        self.config.nodes.iter().map(|node| node.listen.clone()).collect()
    }

    /// What a client is given to begin with: all addresses with commas.
    pub fn bootstrap(&self) -> String {
        self.addresses().join(",")
    }

    /// Ends a node as `kill -9` does; nothing if it does not run.
    pub async fn kill(&mut self, id: NodeId) {
        match &mut self.nodes {
            Nodes::Here(running) => {
                if let Some(node) = running.remove(&id) {
                    node.kill().await;
                }
            }
            Nodes::Apart(processes) => processes.kill(id).await,
        }
    }

    /// Stops a node in an orderly way; nothing if it does not run.
    pub async fn stop(&mut self, id: NodeId) {
        match &mut self.nodes {
            Nodes::Here(running) => {
                if let Some(node) = running.remove(&id) {
                    node.shutdown().await;
                }
            }
            Nodes::Apart(processes) => processes.stop(id).await,
        }
    }

    /// Starts a node that does not run, at the address and with the folder it had. Returns when it listens.
    ///
    /// # Errors
    /// [`Error::Unknown`], or what the node fails with.
    pub async fn restart(&mut self, id: NodeId) -> Result<(), Error> {
        match &mut self.nodes {
            Nodes::Here(running) => {
                if running.contains_key(&id) {
                    return Ok(());
                }
                let around = Surroundings {
                    disk: self.config.disk.clone(),
                    net: Net::with_faults(&self.config.addresses_of(id), self.faults.clone()),
                    ..Surroundings::default()
                };
                let config = self.config.parsed(id).ok_or(Error::Unknown(id))??;
                let node = Node::start(config, around)
                    .await
                    .map_err(|source| Error::Node { id, source })?;
                running.insert(id, node);
                Ok(())
            }
            Nodes::Apart(processes) => {
                let text = self.config.properties(id).ok_or(Error::Unknown(id))?;
                processes.start(&self.config, id, &text).await
            }
        }
    }

    /// Waits until a node that was started again serves.
    ///
    /// # Errors
    /// When it never will, or not within a minute.
    pub async fn serving(&self, id: NodeId) -> Result<(), Error> {
        match &self.nodes {
            Nodes::Here(running) => {
                let node = running.get(&id).ok_or(Error::Unknown(id))?;
                let served = tokio::time::timeout(READY_DEADLINE, node.serving()).await;
                served
                    .unwrap_or_else(|_| Err(node::Error::Failed("it does not serve within a minute".to_owned())))
                    .map_err(|source| Error::Node { id, source })
            }
            Nodes::Apart(_) => self.until_known(&[id], 1).await,
        }
    }

    /// How far a node in this process is; `None` if it does not run here.
    pub fn status(&self, id: NodeId) -> Option<watch::Receiver<node::Status>> {
        match &self.nodes {
            Nodes::Here(running) => running.get(&id).map(Node::status),
            Nodes::Apart(_) => None,
        }
    }

    /// Cuts a node of this process off from its peers and the controller; clients still reach it.
    pub fn cut(&self, id: NodeId) {
        self.faults.cut(&self.config.addresses_of(id));
    }

    /// Undoes [`Cluster::cut`].
    pub fn heal(&self, id: NodeId) {
        self.faults.heal(&self.config.addresses_of(id));
    }

    /// Stops the brokers in an orderly way, then the controller.
    pub async fn shutdown(self) {
        match self.nodes {
            Nodes::Here(mut running) => {
                let controller = running.remove(&CONTROLLER);
                futures::future::join_all(running.into_values().map(Node::shutdown)).await;
                if let Some(controller) = controller {
                    controller.shutdown().await;
                }
            }
            Nodes::Apart(processes) => processes.shutdown(CONTROLLER).await,
        }
    }
}
