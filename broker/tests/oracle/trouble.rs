//! What goes wrong with a cluster, by chance.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use azimuth_broker::cluster::{CONTROLLER, Cluster, Fault, Peer, Selection};
use azimuth_broker::env::disk::{DirFault, Disk};
use azimuth_broker::env::net::Effect;
use azimuth_broker::env::random::Random;
use azimuth_broker::id::NodeId;

use super::client::Desk;
use super::plant::Plant;

/// How long all goes on, in simulated time.
const LASTS: Duration = Duration::from_secs(40);
/// What a directory that fills up has left, at most.
const LEFT_BYTES: u64 = 30_000;

/// A cluster and what befalls it.
pub struct Trouble<'a> {
    pub cluster: &'a mut Cluster,
    pub desk: &'a Desk,
    pub disk: &'a Disk,
    pub random: Random,
    pub plant: Option<Plant>,
    down: BTreeSet<NodeId>,
    full: BTreeSet<NodeId>,
    /// A broker lost what it had not synced. Until all replicas are in sync again no other one may end: topics of
    /// `min.insync.replicas=2` promise to survive one such loss, and no more.
    is_torn: bool,
    done: Done,
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    kills: usize,
    stops: usize,
    cuts: usize,
    lost: usize,
    fills: usize,
    links: usize,
    clocks: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} stops, {} power cuts ({} files and names lost), {} disks filled, {} links broken, {} clocks turned",
            self.kills, self.stops, self.cuts, self.lost, self.fills, self.links, self.clocks
        )
    }
}

/// What a node's log directories are in.
pub fn folder(cluster: &std::path::Path, id: NodeId) -> PathBuf {
    cluster.join(if id == CONTROLLER {
        "controller".to_owned()
    } else {
        format!("broker-{id}")
    })
}

impl<'a> Trouble<'a> {
    pub fn new(cluster: &'a mut Cluster, desk: &'a Desk, disk: &'a Disk, random: Random, plant: Option<Plant>) -> Self {
        Self {
            cluster,
            desk,
            disk,
            random,
            plant,
            down: BTreeSet::new(),
            full: BTreeSet::new(),
            is_torn: false,
            done: Done::default(),
        }
    }

    /// Lets things go wrong for a while, and ends all of it; says what it did.
    pub async fn happen(mut self, folder: &std::path::Path) -> String {
        let ends = tokio::time::Instant::now() + LASTS;
        while tokio::time::Instant::now() < ends {
            tokio::time::sleep(Duration::from_millis(100 + self.random.below(2_500))).await;
            let node = NodeId(1 + self.random.below(self.cluster.ids().len() as u64) as i32);
            match self.random.below(16) {
                0..=2 => self.kill(node).await,
                3 => self.stop(node, folder).await,
                4..=5 => self.cut_power(node, folder).await,
                6 => self.fill(node).await,
                7..=10 => self.break_link(node).await,
                11 => {
                    let skew = self.random.below(20_000) as i64 - 10_000;
                    self.cluster
                        .inject(node, Fault::SkewClock(skew))
                        .await
                        .expect("a clock");
                    self.done.clocks += 1;
                }
                _ => self.mend().await,
            }
        }
        self.mend().await;
        self.done.to_string()
    }

    /// Ends the controller, one broker, or all of them at once.
    async fn kill(&mut self, node: NodeId) {
        let victims = match self.random.below(8) {
            0 => vec![CONTROLLER],
            _ if !self.may_end_brokers().await => return,
            1 => self.cluster.ids(),
            _ => vec![node],
        };
        for id in victims {
            self.cluster.kill(id).await;
            self.down.insert(id);
            self.done.kills += 1;
        }
    }

    /// Stops a node in an orderly way. If it says that it has, it holds all that it promised whatever happens to the power.
    async fn stop(&mut self, node: NodeId, cluster: &std::path::Path) {
        let id = if self.random.below(4) == 0 { CONTROLLER } else { node };
        if self.down.contains(&id) {
            return;
        }
        self.cluster.stop(id).await;
        self.down.insert(id);
        self.done.stops += 1;
        let is_clean = folder(cluster, id).join("data/.kafka_cleanshutdown").exists();
        if (is_clean || id == CONTROLLER) && self.random.below(2) == 0 {
            self.lose(id, cluster);
        }
    }

    /// Ends a node as a power cut does. The controller may lose its power at any time: nobody was told what it had not synced.
    async fn cut_power(&mut self, node: NodeId, cluster: &std::path::Path) {
        let whole = self.down.is_empty() && self.full.is_empty();
        let id = match self.random.below(4) {
            0 => CONTROLLER,
            _ if whole && self.may_end_brokers().await && self.desk.is_in_sync().await => node,
            _ => return,
        };
        self.cluster.kill(id).await;
        self.lose(id, cluster);
        self.is_torn |= id != CONTROLLER;
        if self.random.below(2) == 0 {
            // Back before its session is over.
            self.cluster.restart(id).await.expect("starts again");
        } else {
            self.down.insert(id);
        }
    }

    fn lose(&mut self, id: NodeId, cluster: &std::path::Path) {
        let folder = folder(cluster, id);
        let lost = self.disk.cut_power(&folder, &self.random).expect("a disk in memory");
        tracing::info!("node {id} loses its power: {lost:?}");
        if let Some(plant) = self.plant {
            plant.after_power_cut(&folder);
        }
        self.done.cuts += 1;
        self.done.lost += lost.files + lost.names;
    }

    /// A log directory fills up soon, which ends its node.
    async fn fill(&mut self, node: NodeId) {
        let id = match self.random.below(6) {
            0 => CONTROLLER,
            _ if self.may_end_brokers().await => node,
            _ => return,
        };
        let fault = DirFault::Full(self.random.below(LEFT_BYTES));
        let full = Fault::Dir { dir: None, fault };
        self.cluster.inject(id, full).await.expect("a directory");
        self.full.insert(id);
        self.done.fills += 1;
    }

    async fn break_link(&mut self, node: NodeId) {
        let effect = match self.random.below(3) {
            0 => Effect::Cut,
            1 => Effect::Silence,
            _ => Effect::Delay(20 + self.random.below(400)),
        };
        let other = match self.random.below(3) {
            0 => CONTROLLER,
            _ => NodeId(1 + node.0 % self.cluster.ids().len() as i32),
        };
        // From both ends, as either may dial.
        for (one, peer) in [(node, other), (other, node)] {
            let peer = Some(Peer::Node(peer));
            let fault = Fault::Link { peer, effect };
            self.cluster.inject(one, fault).await.expect("a link");
        }
        self.done.links += 1;
    }

    /// Everything works again, and whoever is down or may have given up is started again.
    async fn mend(&mut self) {
        self.cluster.mend(Selection::All).await.expect("mends");
        let mut down = std::mem::take(&mut self.down);
        down.append(&mut self.full);
        for id in down {
            self.cluster.kill(id).await;
            self.cluster.restart(id).await.expect("starts again");
        }
    }

    /// Whether brokers may end with what they have not synced, or seem to have.
    async fn may_end_brokers(&mut self) -> bool {
        if self.is_torn && self.down.is_empty() && self.full.is_empty() {
            self.is_torn = !self.desk.is_in_sync().await;
        }
        !self.is_torn
    }
}
