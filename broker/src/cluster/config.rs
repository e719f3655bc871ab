//! What a cluster on one host looks like: its nodes, their racks, addresses, folders and properties.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{CONTROLLER, Ground, Place};
use crate::env::disk::Disk;
use crate::env::net;
use crate::env::random::Random;
use crate::id::NodeId;
use crate::node::{Config, Invalid, escaped};

/// A cluster to start.
#[derive(Clone)]
pub struct ClusterConfig {
    pub nodes: Vec<NodeConfig>,
    /// Where the controller listens, `host:port`.
    pub controller: String,
    /// Each node has a folder of its own in here, unless its [`NodeConfig::log_dirs`] say otherwise.
    pub dir: PathBuf,
    /// Properties of all nodes; they win over what is generated. Every name of a `listener.security.protocol.map` in here
    /// is a listener of each broker, except the controller's: the first one is where [`NodeConfig::listen`] says, each
    /// other one at a free port of the same host.
    pub overrides: Vec<(String, String)>,
    /// Properties of single nodes, [`CONTROLLER`] among them; they win over those of all.
    pub own: BTreeMap<NodeId, Vec<(String, String)>>,
    /// The program that runs one node as `PROGRAM serve FILE`; `None` runs all nodes in this process.
    pub processes: Option<PathBuf>,
    /// For nodes in this process.
    pub disk: Disk,
    /// Users to add before the cluster serves, unless they are there: `SCRAM-SHA-512=[name=alice,password=secret]`.
    pub users: Vec<String>,
    /// Where brokers have their second listener and those after it.
    more: BTreeMap<NodeId, Vec<String>>,
    /// Whether [`super::Fault`]s may be injected. Each node then has threads of its own, and its links go through a relay.
    pub allow_faults: bool,
    /// All in this process, sharing images, and linked only while something is to be copied.
    pub wide: bool,
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
pub(super) async fn free_port(host: &str, random: &Random) -> std::io::Result<net::Listener> {
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
        let dir = dir.into();
        Self {
            nodes: (0..nodes).map(node).collect(),
            controller: listen(nodes),
            // As nodes name their log directories, which faults are compared with.
            dir: std::path::absolute(&dir).unwrap_or(dir),
            overrides: Vec::new(),
            own: BTreeMap::new(),
            processes: None,
            disk: Disk::real(),
            users: Vec::new(),
            more: BTreeMap::new(),
            allow_faults: false,
            wide: false,
        }
    }

    /// Replaces each port 0 by a free port, so that a node has the same one after a restart.
    pub(super) async fn take_ports(&mut self) -> std::io::Result<()> {
        let random = Random::system();
        let others = self.listener_names().len() - 1;
        let anywhere = |node: &NodeConfig| {
            let host = node
                .listen
                .rsplit_once(':')
                .map_or(node.listen.as_str(), |(host, _)| host);
            (node.id, vec![format!("{host}:0"); others])
        };
        self.more = self.nodes.iter().map(anywhere).collect();
        let listens = self.nodes.iter_mut().map(|node| &mut node.listen);
        let listens = listens.chain(self.more.values_mut().flatten());
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
        if id == CONTROLLER {
            return vec![self.controller.clone()];
        }
        self.listeners_of(id).map(|(_, address)| address.to_owned()).collect()
    }

    /// Where brokers reach a broker.
    pub(super) fn peer_address_of(&self, id: NodeId) -> Option<String> {
        let wanted = self.overridden(id, "inter.broker.listener.name");
        let mut listeners = self.listeners_of(id);
        let found = match wanted {
            Some(wanted) => listeners.find(|(name, _)| *name == wanted),
            None => listeners.next(),
        };
        found.map(|(_, address)| address.to_owned())
    }

    /// The properties that win over the generated ones of a node; of two with one name the later wins.
    pub(super) fn overrides_of(&self, id: NodeId) -> Vec<(String, String)> {
        let own = self.own.get(&id).into_iter().flatten();
        self.overrides.iter().chain(own).cloned().collect()
    }

    /// A node's properties, checked; `None` if the cluster has no such node.
    pub(super) fn parsed(&self, id: NodeId) -> Option<Result<Config, Invalid>> {
        Some(Config::parse(&self.properties(id)?, &self.overrides_of(id)))
    }

    fn overridden(&self, id: NodeId, key: &str) -> Option<String> {
        let overrides = self.overrides_of(id).into_iter().rev();
        overrides
            .into_iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    fn controller_listener(&self) -> String {
        let names = self.overridden(CONTROLLER, "controller.listener.names");
        names.unwrap_or_else(|| "CONTROLLER".to_owned())
    }

    /// What the listeners of each broker are called; never empty.
    fn listener_names(&self) -> Vec<String> {
        let map = self
            .overrides
            .iter()
            .rev()
            .find(|(key, _)| key == "listener.security.protocol.map");
        let controller = self.controller_listener();
        let names = map.into_iter().flat_map(|(_, map)| map.split(','));
        let names = names.filter_map(|item| Some(item.split_once(':')?.0.trim().to_owned()));
        let names: Vec<_> = names.filter(|name| *name != controller).collect();
        match names.is_empty() {
            true => vec!["PLAINTEXT".to_owned()],
            false => names,
        }
    }

    /// A broker's listeners, by name, with their addresses.
    fn listeners_of(&self, id: NodeId) -> impl Iterator<Item = (String, &str)> {
        let first = self.nodes.iter().find(|node| node.id == id).map(|node| &node.listen);
        let others = self.more.get(&id).into_iter().flatten();
        let addresses = first.into_iter().chain(others).map(String::as_str);
        self.listener_names().into_iter().zip(addresses)
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

    /// A node's log directories.
    pub(super) fn dirs_of(&self, id: NodeId) -> Vec<PathBuf> {
        if id == CONTROLLER {
            return vec![self.folder(id)];
        }
        match self.nodes.iter().find(|node| node.id == id) {
            Some(node) if !node.log_dirs.is_empty() => node.log_dirs.clone(),
            _ => vec![self.folder(id).join("data")],
        }
    }

    /// What faults can hit.
    pub(super) fn ground(&self) -> Ground {
        let ids = self.nodes.iter().map(|node| node.id).chain([CONTROLLER]);
        let place = |id| {
            let place = Place {
                addresses: self.addresses_of(id),
                dirs: self.dirs_of(id),
                is_tls: matches!(self.parsed(id), Some(Ok(config)) if config.has_tls()),
            };
            (id, place)
        };
        Ground(ids.map(place).collect())
    }

    /// A node's server.properties.
    pub(super) fn properties(&self, id: NodeId) -> Option<String> {
        let controller = self.controller_listener();
        let mut text = format!(
            "node.id={id}\ncontroller.quorum.voters={CONTROLLER}@{}\ncontroller.listener.names={controller}\n",
            self.controller
        );
        let mut set = |key: &str, value: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{key}={}", escaped(value));
        };
        let copies = self.nodes.len().clamp(1, 3).to_string();
        set("default.replication.factor", &copies);
        set("offsets.topic.replication.factor", &copies);
        if id == CONTROLLER {
            set("process.roles", "controller");
            set("listeners", &format!("{controller}://{}", self.controller));
            set("log.dirs", &self.folder(id).to_string_lossy());
            return Some(text);
        }
        let node = self.nodes.iter().find(|node| node.id == id)?;
        set("process.roles", "broker");
        let listeners: Vec<_> = self
            .listeners_of(id)
            .map(|(name, address)| format!("{name}://{address}"))
            .collect();
        set("listeners", &listeners.join(","));
        if let Some(rack) = &node.rack {
            set("broker.rack", rack);
        }
        let dirs = self.dirs_of(id);
        let dirs: Vec<_> = dirs.iter().map(|dir| dir.to_string_lossy()).collect();
        set("log.dirs", &dirs.join(","));
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
    fn a_directory_has_the_name_that_its_node_and_its_faults_know_it_by() {
        let here = std::env::current_dir().expect("there is one");
        let config = ClusterConfig::local(1, &[], "data", 0);
        assert_eq!(config.dirs_of(NodeId(1)), [here.join("data/broker-1/data")]);
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

    #[tokio::test]
    async fn every_listener_of_the_protocol_map_has_an_address_that_stays() {
        let mut config = ClusterConfig::local(2, &[], "/data", 0);
        let overrides = [
            (
                "listener.security.protocol.map",
                "CLIENTS:SSL,PEERS:PLAINTEXT,QUORUM:PLAINTEXT",
            ),
            ("controller.listener.names", "QUORUM"),
            ("inter.broker.listener.name", "PEERS"),
        ];
        config.overrides = overrides
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        config
            .own
            .insert(NodeId(2), vec![("broker.rack".to_owned(), "own".to_owned())]);
        config.take_ports().await.expect("ports are free");
        let addresses = config.addresses_of(NodeId(2));
        assert_eq!(addresses.len(), 2);
        assert_eq!(config.peer_address_of(NodeId(2)).as_ref(), Some(&addresses[1]));
        let text = config.properties(NodeId(2)).expect("there is one");
        assert!(
            text.contains(&format!(
                "listeners=CLIENTS://{},PEERS://{}\n",
                addresses[0], addresses[1]
            )),
            "{text}"
        );
        let node = config.parsed(NodeId(2)).expect("there is one").expect("valid");
        assert_eq!((node.rack(), node.inter_broker_listener()), (Some("own"), "PEERS"));
        assert!(config.parsed(CONTROLLER).expect("there is one").is_ok());
    }
}
