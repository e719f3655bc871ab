//! What is wrong in a cluster, by number: injected, listed and healed as a whole, and what it means for each node.
//!
//! Faults stay until they are healed, also over a restart of their node: a volume does not get well because a process
//! ended. Only a freeze ends with its process.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::env::disk::DirFault;
use crate::env::net::{Effect, Rule};
use crate::id::NodeId;
use crate::node::Effects;

/// The longest delay of an operation or a link: an hour. What is longer is a stall.
const DELAY_MAX_MS: u64 = 3_600_000;
/// The largest skew of a clock: a hundred years.
const SKEW_MAX_MS: i64 = 100 * 365 * 24 * 3_600_000;

/// Something that goes wrong with one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Operations of a log directory, or of all.
    Dir { dir: Option<PathBuf>, fault: DirFault },
    /// The links to one peer, or to all; also those that are open.
    Link { peer: Option<Peer>, effect: Effect },
    /// The node does nothing, and its connections stay open: SIGSTOP.
    Freeze,
    /// The clock is so many milliseconds ahead, or behind if negative.
    SkewClock(i64),
    /// The certificates that its listeners show have run out.
    ExpireCertificate,
    /// The node is ended as `kill -9` does; healing starts it again.
    Kill,
}

/// The other end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    Node(NodeId),
    /// `host:port` as it is dialled.
    Address(String),
}

/// A fault that was injected and not healed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// What it is healed by.
    pub number: u32,
    pub node: NodeId,
    pub fault: Fault,
    /// Milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// Which faults to heal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    Number(u32),
    Node(NodeId),
    All,
}

/// What can be hit: the nodes, with their addresses and log directories.
#[derive(Debug, Clone, Default)]
pub struct Ground(pub BTreeMap<NodeId, Place>);

/// One node's addresses, as its peers dial them, its log directories, and whether it has a certificate to show.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub addresses: Vec<String>,
    pub dirs: Vec<PathBuf>,
    pub is_tls: bool,
}

/// The faults of a cluster, or of one node.
#[derive(Debug, Default)]
pub struct Registry {
    last: u32,
    active: Vec<Active>,
}

impl Registry {
    /// In the order in which they were injected.
    pub fn active(&self) -> &[Active] {
        &self.active
    }

    /// Notes a fault. One that is of the same kind and at the same place is replaced.
    ///
    /// # Errors
    /// A sentence that names what is not there or out of range.
    pub fn inject(&mut self, ground: &Ground, node: NodeId, mut fault: Fault, now_ms: i64) -> Result<Active, String> {
        ground.check(node, &mut fault)?;
        self.active
            .retain(|active| !(active.node == node && active.fault.is_replaced_by(&fault)));
        self.last += 1;
        let active = Active {
            number: self.last,
            node,
            fault,
            since_ms: now_ms,
        };
        self.active.push(active.clone());
        Ok(active)
    }

    /// Takes out what is selected.
    ///
    /// # Errors
    /// When no fault has the number.
    pub fn heal(&mut self, selection: Selection) -> Result<Vec<Active>, String> {
        let (healed, left): (Vec<_>, _) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|active| selection.has(active));
        self.active = left;
        match selection {
            Selection::Number(number) if healed.is_empty() => Err(format!(
                "there is no fault {number}; `fault list` shows those there are"
            )),
            _ => Ok(healed),
        }
    }

    /// Takes out the faults of a node that end with its process, and with its start.
    pub fn forget(&mut self, node: NodeId, gone: impl Fn(&Fault) -> bool) {
        self.active.retain(|active| active.node != node || !gone(&active.fault));
    }

    pub fn is(&self, node: NodeId, fault: &Fault) -> bool {
        self.active
            .iter()
            .any(|active| active.node == node && active.fault == *fault)
    }

    /// What all faults together mean for one node.
    pub fn effects(&self, ground: &Ground, node: NodeId) -> Effects {
        let mut effects = Effects::default();
        for active in &self.active {
            let here = active.node == node;
            match &active.fault {
                Fault::Dir { dir, fault } if here => {
                    let all = || ground.0.get(&node).map(|place| place.dirs.clone()).unwrap_or_default();
                    let dirs = dir.as_ref().map_or_else(all, |dir| vec![dir.clone()]);
                    effects.dirs.extend(dirs.into_iter().map(|dir| (dir, *fault)));
                }
                Fault::Link { peer, effect } => {
                    let peers = if here {
                        peer.as_ref().map(|peer| ground.addresses(peer))
                    } else if peer.as_ref().is_none_or(|peer| ground.is(peer, node)) {
                        // The other end of the same links.
                        Some(ground.addresses(&Peer::Node(active.node)))
                    } else {
                        continue;
                    };
                    effects.links.push(Rule { peers, effect: *effect });
                }
                Fault::SkewClock(ms) if here => effects.skew_ms = *ms,
                Fault::ExpireCertificate if here => effects.expired = true,
                _ => {}
            }
        }
        effects
    }
}

impl Ground {
    /// Whether the fault can be; a directory's name becomes the one that the node uses.
    fn check(&self, node: NodeId, fault: &mut Fault) -> Result<(), String> {
        let Some(place) = self.0.get(&node) else {
            let there: Vec<_> = self.0.keys().map(ToString::to_string).collect();
            return Err(format!("there is no node {node}; there are {}", there.join(", ")));
        };
        match fault {
            Fault::Dir { dir: Some(dir), .. } => {
                let wanted = std::fs::canonicalize(&*dir).ok();
                let same =
                    |known: &&PathBuf| *known == dir || wanted.is_some() && std::fs::canonicalize(known).ok() == wanted;
                let Some(known) = place.dirs.iter().find(same) else {
                    let dirs: Vec<_> = place.dirs.iter().map(|dir| dir.display().to_string()).collect();
                    return Err(format!(
                        "{} is no log directory of node {node}; it has {}",
                        dir.display(),
                        dirs.join(", ")
                    ));
                };
                *dir = known.clone();
            }
            Fault::Link {
                peer: Some(Peer::Node(peer)),
                ..
            } if *peer == node => {
                return Err(format!("node {node} has no link to itself; name another node"));
            }
            Fault::Link {
                peer: Some(Peer::Node(peer)),
                ..
            } if !self.0.contains_key(peer) => {
                return Err(format!(
                    "node {peer} is not known here; name a node of the cluster, or its address as host:port"
                ));
            }
            Fault::ExpireCertificate if !place.is_tls => {
                return Err(format!(
                    "node {node} has no listener with TLS, so no certificate of it can expire"
                ));
            }
            _ => {}
        }
        match fault {
            Fault::Dir {
                fault: DirFault::Slow(ms),
                ..
            }
            | Fault::Link {
                effect: Effect::Delay(ms),
                ..
            } if !(1..=DELAY_MAX_MS).contains(ms) => {
                Err(format!("a delay of {ms} ms is not within 1..={DELAY_MAX_MS}"))
            }
            Fault::SkewClock(ms) if !(-SKEW_MAX_MS..=SKEW_MAX_MS).contains(ms) => {
                Err(format!("a skew of {ms} ms is more than a hundred years"))
            }
            _ => Ok(()),
        }
    }

    fn addresses(&self, peer: &Peer) -> Vec<String> {
        match peer {
            Peer::Node(id) => self.0.get(id).map(|place| place.addresses.clone()).unwrap_or_default(),
            Peer::Address(address) => vec![address.clone()],
        }
    }

    fn is(&self, peer: &Peer, node: NodeId) -> bool {
        match peer {
            Peer::Node(id) => *id == node,
            Peer::Address(address) => self.addresses(&Peer::Node(node)).contains(address),
        }
    }
}

impl Selection {
    fn has(self, active: &Active) -> bool {
        match self {
            Self::Number(number) => active.number == number,
            Self::Node(node) => active.node == node,
            Self::All => true,
        }
    }
}

impl Fault {
    fn is_replaced_by(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Dir { dir, fault },
                Self::Dir {
                    dir: other,
                    fault: with,
                },
            ) => dir == other && std::mem::discriminant(fault) == std::mem::discriminant(with),
            (
                Self::Link { peer, effect },
                Self::Link {
                    peer: other,
                    effect: with,
                },
            ) => peer == other && std::mem::discriminant(effect) == std::mem::discriminant(with),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir { dir, fault } => {
                match fault {
                    DirFault::Stall => f.write_str("stall-dir: nothing completes in ")?,
                    DirFault::Slow(ms) => write!(f, "slow-dir: every operation takes {ms} ms longer in ")?,
                    DirFault::Fail => f.write_str("fail-dir: everything fails with EIO in ")?,
                    DirFault::Full(bytes) => write!(f, "fill-dir: {bytes} bytes were left when it began in ")?,
                }
                match dir {
                    Some(dir) => write!(f, "{}", dir.display()),
                    None => f.write_str("all log directories"),
                }
            }
            Self::Link { peer, effect } => {
                match effect {
                    Effect::Cut => f.write_str("cut: no connection to ")?,
                    Effect::Silence => f.write_str("cut --silent: nothing arrives from or at ")?,
                    Effect::Delay(ms) => write!(f, "delay: {ms} ms in each direction to ")?,
                }
                match peer {
                    Some(Peer::Node(id)) => write!(f, "node {id}"),
                    Some(Peer::Address(address)) => f.write_str(address),
                    None => f.write_str("all other nodes"),
                }
            }
            Self::Freeze => f.write_str("freeze: it does nothing"),
            Self::SkewClock(ms) if *ms < 0 => write!(f, "skew-clock: {} ms behind", ms.unsigned_abs()),
            Self::SkewClock(ms) => write!(f, "skew-clock: {ms} ms ahead"),
            Self::ExpireCertificate => f.write_str("expire-certificate: it shows one that has run out"),
            Self::Kill => f.write_str("kill: it does not run"),
        }
    }
}

impl fmt::Display for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  node {}  {}", self.number, self.node, self.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground() -> Ground {
        let place = |id: i32| {
            let place = Place {
                addresses: vec![format!("127.0.0.1:{id}")],
                dirs: vec![format!("/data/{id}/a").into(), format!("/data/{id}/b").into()],
                is_tls: id == 1,
            };
            (NodeId(id), place)
        };
        Ground((1..=3).map(place).collect())
    }

    fn link(peer: Option<i32>, effect: Effect) -> Fault {
        Fault::Link {
            peer: peer.map(|id| Peer::Node(NodeId(id))),
            effect,
        }
    }

    #[test]
    fn a_cut_between_two_nodes_is_felt_at_both_ends_and_nowhere_else() {
        let (ground, mut registry) = (ground(), Registry::default());
        registry
            .inject(&ground, NodeId(1), link(Some(2), Effect::Cut), 0)
            .expect("good");
        let peers = |node| -> Vec<_> {
            let effects = registry.effects(&ground, NodeId(node));
            effects.links.into_iter().map(|rule| rule.peers).collect()
        };
        assert_eq!(peers(1), [Some(vec!["127.0.0.1:2".to_owned()])]);
        assert_eq!(peers(2), [Some(vec!["127.0.0.1:1".to_owned()])]);
        assert_eq!(peers(3), []);
    }

    #[test]
    fn a_cut_from_all_is_felt_by_all() {
        let (ground, mut registry) = (ground(), Registry::default());
        registry
            .inject(&ground, NodeId(1), link(None, Effect::Silence), 0)
            .expect("good");
        assert_eq!(registry.effects(&ground, NodeId(1)).links[0].peers, None);
        for other in [2, 3] {
            let links = registry.effects(&ground, NodeId(other)).links;
            assert_eq!(links[0].peers, Some(vec!["127.0.0.1:1".to_owned()]));
        }
    }

    #[test]
    fn the_same_again_replaces_what_was_there_and_numbers_are_not_used_twice() {
        let (ground, mut registry) = (ground(), Registry::default());
        let slow = |ms| Fault::Dir {
            dir: None,
            fault: DirFault::Slow(ms),
        };
        registry.inject(&ground, NodeId(1), slow(5), 0).expect("good");
        registry.inject(&ground, NodeId(2), slow(5), 0).expect("good");
        registry.inject(&ground, NodeId(1), slow(9), 0).expect("good");
        let stall = Fault::Dir {
            dir: Some("/data/1/b".into()),
            fault: DirFault::Stall,
        };
        registry.inject(&ground, NodeId(1), stall, 0).expect("good");
        let numbers: Vec<_> = registry.active().iter().map(|active| active.number).collect();
        assert_eq!(numbers, [2, 3, 4]);
        let dirs = registry.effects(&ground, NodeId(1)).dirs;
        assert_eq!(
            dirs,
            [
                ("/data/1/a".into(), DirFault::Slow(9)),
                ("/data/1/b".into(), DirFault::Slow(9)),
                ("/data/1/b".into(), DirFault::Stall)
            ]
        );
        assert_eq!(registry.heal(Selection::Node(NodeId(1))).expect("there").len(), 2);
        assert!(
            registry
                .heal(Selection::Number(3))
                .expect_err("healed")
                .contains("no fault 3")
        );
        assert_eq!(registry.heal(Selection::All).expect("there").len(), 1);
    }

    #[test]
    fn what_is_not_there_or_out_of_range_is_named() {
        let (ground, mut registry) = (ground(), Registry::default());
        let mut refused = |node, fault| registry.inject(&ground, NodeId(node), fault, 0).expect_err("refused");
        assert!(refused(9, Fault::Freeze).contains("no node 9; there are 1, 2, 3"));
        let dir = Fault::Dir {
            dir: Some("/data/2/a".into()),
            fault: DirFault::Fail,
        };
        assert!(refused(1, dir).contains("/data/1/a, /data/1/b"));
        assert!(refused(1, link(Some(1), Effect::Cut)).contains("itself"));
        assert!(refused(1, link(Some(7), Effect::Cut)).contains("node 7 is not known"));
        assert!(refused(1, link(None, Effect::Delay(0))).contains("1..=3600000"));
        assert!(refused(1, Fault::SkewClock(i64::MIN)).contains("hundred years"));
        assert!(refused(2, Fault::ExpireCertificate).contains("no listener with TLS"));
        assert!(registry.active().is_empty());
        registry
            .inject(&ground, NodeId(1), Fault::ExpireCertificate, 0)
            .expect("it has TLS");
        assert!(registry.effects(&ground, NodeId(1)).expired);
        assert!(!registry.effects(&ground, NodeId(2)).expired);
    }

    #[test]
    fn what_is_sent_is_what_arrives() {
        let fault = Fault::Link {
            peer: Some(Peer::Address("b:9092".to_owned())),
            effect: Effect::Delay(7),
        };
        let text = serde_json::to_string(&fault).expect("JSON");
        assert_eq!(serde_json::from_str::<Fault>(&text).expect("reads"), fault);
    }
}
