//! A whole cluster on one host: brokers and a controller, in this process or in one each.
//!
//! The controller is a node of its own, so that stopping any broker never stops it. Every node keeps its address over
//! restarts. In one process each node can be killed, cut off from its peers and started again; with processes each is
//! a child that ends with its parent, and the controller's is started again whenever it dies. What else can go wrong
//! ([`Fault`]) only does in a cluster that allows it.

mod config;
mod fault;
mod fill;
mod hosted;
mod metrics;
mod process;
pub mod socket;
mod wide;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::env::clock::Clock;
use crate::env::net::Effect;
use crate::env::world::World;
use crate::id::NodeId;
use crate::node::{self, Effects, NewUser, Node, Surroundings, Together};
use crate::wire;

pub use config::{ClusterConfig, NodeConfig};
pub use fault::{Active, Fault, Ground, Peer, Place, Registry, Selection};
pub use fill::{Content, Filled};
use hosted::Hosted;
pub use hosted::TASKS_MAX;
use process::Processes;

/// The controller's node id; brokers count from 1.
pub const CONTROLLER: NodeId = NodeId(1000);

const READY_DEADLINE: Duration = Duration::from_secs(60);
/// And so much longer for each broker: after a crash of all of them each takes its turn at the controller.
const READY_DEADLINE_EACH: Duration = Duration::from_secs(1);

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
    #[error("a user to add cannot be taken: {0}")]
    User(String),
    #[error(transparent)]
    Ready(#[from] node::Error),
    #[error("{0}")]
    Process(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the cluster has no node {0}")]
    Unknown(NodeId),
    #[error("{0}")]
    Fault(String),
    #[error("the cluster is not filled: {0}")]
    Fill(String),
    #[error("the cluster is not filled: {0}")]
    Wire(#[from] wire::Error),
}

/// A running cluster. Dropping it ends its nodes at once.
pub struct Cluster {
    config: ClusterConfig,
    faults: Mutex<Registry>,
    nodes: Nodes,
    together: Option<Arc<Together>>,
}

enum Nodes {
    Here(BTreeMap<NodeId, Hosted>),
    Apart(Processes),
}

impl Cluster {
    /// Starts the controller and all brokers, and waits until every broker knows of every other.
    ///
    /// # Errors
    /// A port or folder is in use, a property is bad, or it is not ready within a minute and a second for each broker.
    pub async fn start(mut config: ClusterConfig) -> Result<Self, Error> {
        users(&config)?;
        if config.wide && config.processes.is_some() {
            return Err(Error::Process("a wide cluster runs in one process".to_owned()));
        }
        if config.wide && config.allow_faults {
            return Err(Error::Fault(
                "a wide cluster does not allow faults: its nodes share threads".to_owned(),
            ));
        }
        config.take_ports().await?;
        let nodes = if config.processes.is_some() {
            Nodes::Apart(Processes::default())
        } else {
            Nodes::Here(BTreeMap::new())
        };
        let together = match config.nodes.first().map(|node| node.id) {
            Some(id) if config.wide => {
                let config = config.parsed(id).ok_or(Error::Unknown(id))??;
                Some(Together::start(config, wide::links_max()).await?)
            }
            _ => None,
        };
        let mut cluster = Self {
            config,
            faults: Mutex::default(),
            nodes,
            together,
        };
        cluster.restart(CONTROLLER).await?;
        if cluster.config.wide {
            cluster.start_all().await?;
        } else {
            for id in cluster.ids() {
                cluster.restart(id).await?;
            }
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
        let deadline = READY_DEADLINE + READY_DEADLINE_EACH * u32::try_from(brokers).unwrap_or(u32::MAX);
        Ok(node::until_known(&addresses, &config, brokers, deadline).await?)
    }

    /// The links between the brokers of a wide cluster; others keep one to each leader.
    pub fn links(&self) -> Option<node::Links> {
        self.together.as_ref().map(|together| together.links())
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
        self.faults.lock().forget(id, |fault| *fault == Fault::Freeze);
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
        self.faults.lock().forget(id, |fault| *fault == Fault::Freeze);
        match &mut self.nodes {
            Nodes::Here(running) => {
                if let Some(node) = running.remove(&id) {
                    node.stop().await;
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
        self.faults.lock().forget(id, |fault| *fault == Fault::Kill);
        let effects = self.effects(id);
        let around = self.surroundings(id)?;
        match &mut self.nodes {
            Nodes::Here(running) => {
                if running.contains_key(&id) {
                    return Ok(());
                }
                let config = self.config.parsed(id).ok_or(Error::Unknown(id))??;
                let started = match (self.config.allow_faults, World::here()) {
                    (false, _) => Hosted::start(config, around.severable(), &effects).await,
                    (true, Some(_)) => Hosted::start(config, around.at_fault(), &effects).await,
                    (true, None) => Hosted::start_apart(config, around, &effects).await,
                };
                running.insert(id, started.map_err(|source| Error::Node { id, source })?);
                Ok(())
            }
            Nodes::Apart(processes) => {
                let text = self.config.properties(id).ok_or(Error::Unknown(id))?;
                processes.start(&self.config, id, &text, effects).await
            }
        }
    }

    fn surroundings(&self, id: NodeId) -> Result<Surroundings, Error> {
        Ok(Surroundings {
            disk: self.config.disk.clone(),
            users: match id {
                CONTROLLER => users(&self.config)?,
                _ => Vec::new(),
            },
            together: self.together.clone(),
            ..Surroundings::default()
        })
    }

    /// Waits until a node that was started again serves.
    ///
    /// # Errors
    /// When it never will, or not within a minute.
    pub async fn serving(&self, id: NodeId) -> Result<(), Error> {
        match &self.nodes {
            Nodes::Here(running) => {
                let node = running.get(&id).and_then(Hosted::node).ok_or(Error::Unknown(id))?;
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
            Nodes::Here(running) => running.get(&id)?.node().map(Node::status),
            Nodes::Apart(_) => None,
        }
    }

    /// Cuts a node of this process off from its peers and the controller; clients still reach it.
    pub fn cut(&self, id: NodeId) {
        let cut = Fault::Link {
            peer: None,
            effect: Effect::Cut,
        };
        let (ground, now_ms) = (self.config.ground(), Clock::system().now_ms());
        // Nothing is refused about the cut of a node that is there, and no other has links.
        let _ = self.faults.lock().inject(&ground, id, cut, now_ms);
        self.set_here();
    }

    /// Undoes [`Cluster::cut`].
    pub fn heal(&self, id: NodeId) {
        let is_cut = |fault: &Fault| {
            matches!(
                fault,
                Fault::Link {
                    effect: Effect::Cut,
                    ..
                }
            )
        };
        self.faults.lock().forget(id, is_cut);
        self.set_here();
    }

    /// Lets something go wrong with a node, until it is mended.
    ///
    /// # Errors
    /// [`Error::Fault`] when the cluster does not allow faults, the fault cannot be, or the node does not take it.
    pub async fn inject(&mut self, node: NodeId, fault: Fault) -> Result<Active, Error> {
        self.allows_faults()?;
        let now_ms = Clock::system().now_ms();
        let injected = self.faults.lock().inject(&self.config.ground(), node, fault, now_ms);
        let active = injected.map_err(Error::Fault)?;
        let done = match active.fault {
            Fault::Kill => {
                self.kill(node).await;
                Ok(())
            }
            Fault::Freeze => self.freeze(node).await,
            _ => self.set().await,
        };
        if let Err(error) = done {
            // It is taken back where it arrived; the reason of the failure is what is told.
            let _ = self.faults.lock().heal(Selection::Number(active.number));
            let _ = self.set().await;
            return Err(error);
        }
        tracing::warn!("fault injected: {active}");
        Ok(active)
    }

    /// Ends faults; a node that was killed by one is started again.
    ///
    /// # Errors
    /// [`Error::Fault`] when there is none of that number, or what starting a node fails with.
    pub async fn mend(&mut self, selection: Selection) -> Result<Vec<Active>, Error> {
        self.allows_faults()?;
        let mended = self.faults.lock().heal(selection).map_err(Error::Fault)?;
        for active in mended.iter().filter(|active| active.fault == Fault::Freeze) {
            self.thaw(active.node);
        }
        self.set().await?;
        for active in mended.iter().filter(|active| active.fault == Fault::Kill) {
            self.restart(active.node).await?;
        }
        Ok(mended)
    }

    /// The faults that were not mended yet.
    ///
    /// # Errors
    /// [`Error::Fault`] when the cluster does not allow faults.
    pub fn faults(&self) -> Result<Vec<Active>, Error> {
        self.allows_faults()?;
        Ok(self.faults.lock().active().to_vec())
    }

    /// Does what came through the cluster's socket.
    pub async fn answer(&mut self, request: socket::Request) -> socket::Answer {
        let answer = match request {
            socket::Request::Inject {
                node: Some(node),
                fault,
            } => self.inject(node, fault).await.map(|active| vec![active]),
            socket::Request::Inject { node: None, .. } => Err(Error::Fault("say which node: --node ID".to_owned())),
            socket::Request::Heal(selection) => self.mend(selection).await,
            socket::Request::List => self.faults(),
            socket::Request::Set(_) => Err(Error::Fault("that is for a single node".to_owned())),
        };
        answer.map_err(|error| error.to_string())
    }

    fn allows_faults(&self) -> Result<(), Error> {
        if self.config.allow_faults {
            return Ok(());
        }
        Err(Error::Fault(
            "the cluster does not allow faults; start it with --allow-faults".to_owned(),
        ))
    }

    fn effects(&self, id: NodeId) -> Effects {
        self.faults.lock().effects(&self.config.ground(), id)
    }

    /// Brings what is wrong to every node that runs.
    async fn set(&mut self) -> Result<(), Error> {
        self.set_here();
        let wanted: Vec<_> = self.all_ids().into_iter().map(|id| (id, self.effects(id))).collect();
        if let Nodes::Apart(processes) = &mut self.nodes {
            for (id, effects) in wanted {
                if !self.faults.lock().is(id, &Fault::Freeze) {
                    processes.set(id, effects).await?;
                }
            }
        }
        Ok(())
    }

    fn set_here(&self) {
        if let Nodes::Here(running) = &self.nodes {
            for (id, node) in running {
                node.set(&self.effects(*id));
            }
        }
    }

    async fn freeze(&mut self, id: NodeId) -> Result<(), Error> {
        let found = match &self.nodes {
            Nodes::Here(running) => match running.get(&id) {
                Some(node) => node.freeze().await,
                None => false,
            },
            Nodes::Apart(processes) => processes.freeze(id),
        };
        if found {
            return Ok(());
        }
        Err(Error::Fault(format!(
            "node {id} does not run, or not on threads of its own, so it cannot be frozen"
        )))
    }

    fn thaw(&self, id: NodeId) {
        match &self.nodes {
            Nodes::Here(running) => {
                if let Some(node) = running.get(&id) {
                    node.thaw();
                }
            }
            Nodes::Apart(processes) => processes.thaw(id),
        }
    }

    /// The brokers and the controller.
    fn all_ids(&self) -> Vec<NodeId> {
        self.ids().into_iter().chain([CONTROLLER]).collect()
    }

    /// Stops the brokers in an orderly way, then the controller. Faults end with it. The brokers of a wide cluster stop at once:
    /// moving the leadership of a hundred thousand partitions from one to the next would take longer than anybody waits.
    pub async fn shutdown(mut self) {
        if self.config.allow_faults {
            for id in self.all_ids() {
                self.thaw(id);
            }
            *self.faults.lock() = Registry::default();
            if let Err(error) = self.set().await {
                tracing::warn!("a fault is still there while the cluster stops: {error}");
            }
        }
        match self.nodes {
            Nodes::Here(mut running) => {
                let controller = running.remove(&CONTROLLER);
                let wide = self.config.wide;
                let stop = async |node: Hosted| match wide {
                    true => node.stop_with_all().await,
                    false => node.stop().await,
                };
                futures::future::join_all(running.into_values().map(stop)).await;
                if let Some(controller) = controller {
                    controller.stop().await;
                }
            }
            Nodes::Apart(processes) => processes.shutdown(CONTROLLER).await,
        }
    }
}

/// The users to add, read.
fn users(config: &ClusterConfig) -> Result<Vec<NewUser>, Error> {
    let users = config.users.iter().map(|text| NewUser::parse(text));
    users.collect::<Result<_, _>>().map_err(Error::User)
}
