//! What a cluster on one host looks like: its nodes, their racks, addresses, folders and properties.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::CONTROLLER;
use crate::env::disk::Disk;
use crate::env::net;
use crate::env::random::Random;
use crate::id::NodeId;

/// A cluster to start.
#[derive(Clone)]
pub struct ClusterConfig {
    pub nodes: Vec<NodeConfig>,
    /// Where the controller listens, `host:port`.
    pub controller: String,
    /// Each node has a folder of its own in here, unless its [`NodeConfig::log_dirs`] say otherwise.
    pub dir: PathBuf,
    /// Properties of all nodes; they win over what is generated.
    pub overrides: Vec<(String, String)>,
    /// The program that runs one node as `PROGRAM serve FILE`; `None` runs all nodes in this process.
    pub processes: Option<PathBuf>,
    /// For nodes in this process.
    pub disk: Disk,
}

/// One broker.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    pub id: NodeId,
    pub rack: Option<String>,
    /// Where it listens and is reached, `host:port`; port 0 takes a free one.
    pub listen: String,
    /// Empty: one folder in the cluster's.
    pub log_dirs: Vec<PathBuf>,
}

/// Ports that no system gives to outgoing connections (Linux: `ip_local_port_range` begins at 32768): while a node is
/// down, or not up yet, nobody's connection takes its port.
const PORTS: std::ops::Range<u64> = 10_000..32_000;
const PORT_TRIES: usize = 200;

/// Listens on a free port of `host`.
async fn free_port(host: &str, random: &Random) -> std::io::Result<tokio::net::TcpListener> {
    let mut refused = None;
    for _ in 0..PORT_TRIES {
        let port = PORTS.start + random.below(PORTS.end - PORTS.start);
        match net::bind(&format!("{host}:{port}")).await {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}

impl ClusterConfig {
    /// `nodes` brokers with ids from 1 on 127.0.0.1, spread over `racks` in turn. They listen on `port` and those after it,
    /// the controller on the next one; 0 takes free ones.
    pub fn local(nodes: u16, racks: &[String], dir: impl Into<PathBuf>, port: u16) -> Self {
        let listen = |index: u16| {
            let port = if port == 0 { 0 } else { port.saturating_add(index) };
            format!("127.0.0.1:{port}")
        };
        let node = |index: u16| NodeConfig {
            id: NodeId(i32::from(index) + 1),
            rack: racks.get(usize::from(index) % racks.len().max(1)).cloned(),
            listen: listen(index),
            log_dirs: Vec::new(),
        };
        Self {
            nodes: (0..nodes).map(node).collect(),
            controller: listen(nodes),
            dir: dir.into(),
            overrides: Vec::new(),
            processes: None,
            disk: Disk::real(),
        }
    }

    /// Replaces each port 0 by a free port, so that a node has the same one after a restart.
    pub(super) async fn take_ports(&mut self) -> std::io::Result<()> {
        let random = Random::system();
        let listens = self.nodes.iter_mut().map(|node| &mut node.listen);
        // All are held until the last one is known, or one would be given twice.
        let mut held = Vec::new();
        for listen in listens.chain([&mut self.controller]) {
            if let Some(host) = listen.strip_suffix(":0") {
                let socket = free_port(host, &random).await?;
                *listen = socket.local_addr()?.to_string();
                held.push(socket);
            }
        }
        Ok(())
    }

    /// Where a node is reached.
    pub(super) fn addresses_of(&self, id: NodeId) -> Vec<String> {
        let brokers = self.nodes.iter().filter(|node| node.id == id);
        let controller = (id == CONTROLLER).then(|| self.controller.clone());
        brokers.map(|node| node.listen.clone()).chain(controller).collect()
    }

    /// A node's folder for what is not in its log directories.
    pub(super) fn folder(&self, id: NodeId) -> PathBuf {
        let name = if id == CONTROLLER {
            "controller".to_owned()
        } else {
            format!("broker-{id}")
        };
        self.dir.join(name)
    }

    /// A node's server.properties.
    pub(super) fn properties(&self, id: NodeId) -> Option<String> {
        let mut text = format!(
            "node.id={id}\ncontroller.quorum.voters={CONTROLLER}@{}\ncontroller.listener.names=CONTROLLER\n",
            self.controller
        );
        let mut set = |key: &str, value: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{key}={value}");
        };
        let copies = self.nodes.len().clamp(1, 3).to_string();
        set("default.replication.factor", &copies);
        set("offsets.topic.replication.factor", &copies);
        if id == CONTROLLER {
            set("process.roles", "controller");
            set("listeners", &format!("CONTROLLER://{}", self.controller));
            set("log.dirs", &self.folder(id).to_string_lossy());
            return Some(text);
        }
        let node = self.nodes.iter().find(|node| node.id == id)?;
        set("process.roles", "broker");
        set("listeners", &format!("PLAINTEXT://{}", node.listen));
        if let Some(rack) = &node.rack {
            set("broker.rack", rack);
        }
        let dirs: Vec<_> = node.log_dirs.iter().map(|dir| dir.to_string_lossy()).collect();
        match dirs.as_slice() {
            [] => set("log.dirs", &self.folder(id).join("data").to_string_lossy()),
            dirs => set("log.dirs", &dirs.join(",")),
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_spread_over_the_racks_in_turn() {
        let racks = ["a".to_owned(), "b".to_owned()];
        let config = ClusterConfig::local(3, &racks, "/data", 19092);
        let racks: Vec<_> = config.nodes.iter().map(|node| node.rack.as_deref()).collect();
        assert_eq!(racks, [Some("a"), Some("b"), Some("a")]);
        assert_eq!(config.nodes[2].listen, "127.0.0.1:19094");
        assert_eq!(config.controller, "127.0.0.1:19095");
    }

    #[test]
    fn a_broker_knows_its_folder_and_its_controller() {
        let config = ClusterConfig::local(1, &[], "/data", 19092);
        let text = config.properties(NodeId(1)).expect("there is one");
        assert!(text.contains("log.dirs=/data/broker-1/data\n"), "{text}");
        assert!(
            text.contains("controller.quorum.voters=1000@127.0.0.1:19093\n"),
            "{text}"
        );
        assert!(config.properties(NodeId(2)).is_none());
    }
}
