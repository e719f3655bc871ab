//! The nodes of one process that ring each other: what makes a wide cluster quiet.
//!
//! In an ordinary cluster each follower keeps a fetch waiting at each leader. A hundred nodes would hold ten thousand
//! connections that way. Nodes of one process instead ring the followers of a partition when it gets records, and a
//! follower opens a link only while it misses bytes. All that is replicated still goes over the wire; a ring that comes
//! to nothing, for example because metadata is read late, is made up for when the follower takes over the metadata.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ReplicaManager;
use super::partition::Partition;
use crate::id::{NodeId, TopicPartition};

/// A link stays open so long after nothing is missing, or a busy partition would open one for every append.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// Between fetches of a replica that has everything and waits to be counted as in sync.
pub(super) const REJOIN_PAUSE: Duration = Duration::from_millis(100);

/// The nodes of this process.
#[derive(Debug)]
pub struct Nearby {
    nodes: RwLock<HashMap<NodeId, Weak<ReplicaManager>>>,
    /// Links that may be open at once: each takes two descriptors of the process.
    links: Arc<Semaphore>,
    links_max: usize,
    opened: AtomicUsize,
}

/// The links between the nodes of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    /// At the moment.
    pub open: usize,
    /// Since the start.
    pub opened: usize,
}

impl Nearby {
    /// At most `links` links at once.
    pub fn new(links: usize) -> Arc<Self> {
        Arc::new(Self {
            nodes: RwLock::default(),
            links: Arc::new(Semaphore::new(links)),
            links_max: links,
            opened: AtomicUsize::new(0),
        })
    }

    /// How many links there are and were.
    pub fn links(&self) -> Links {
        Links {
            open: self.links_max - self.links.available_permits(),
            opened: self.opened.load(Ordering::Relaxed),
        }
    }

    pub(super) fn join(&self, node: NodeId, manager: &Arc<ReplicaManager>) {
        self.nodes.write().insert(node, Arc::downgrade(manager));
    }

    fn node(&self, id: NodeId) -> Option<Arc<ReplicaManager>> {
        self.nodes.read().get(&id)?.upgrade()
    }

    /// `follower` may miss something of `at`.
    pub(super) fn ring(&self, follower: NodeId, at: TopicPartition) {
        if let Some(manager) = self.node(follower) {
            manager.rung(at);
        }
    }

    /// Whether there is anything in `leader`'s log of `at`.
    fn has_records(&self, leader: NodeId, at: TopicPartition) -> bool {
        self.node(leader)
            .and_then(|manager| manager.partition(at))
            .is_some_and(|partition| partition.log.end() > 0)
    }

    /// Waits until one more link may be opened.
    pub(super) async fn link(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.links).acquire_owned().await.ok();
        self.opened.fetch_add(1, Ordering::Relaxed);
        permit
    }

    /// Whether others may be waiting for a link.
    pub(super) fn is_crowded(&self) -> bool {
        self.links.available_permits() == 0
    }
}

impl ReplicaManager {
    /// Whether a follower has to ask its leader: always, unless its leader would ring, nothing is there on either side and it
    /// is counted as in sync.
    pub(super) fn must_fetch(&self, partition: &Partition, leader: NodeId) -> bool {
        match &self.site.nearby {
            None => true,
            Some(nearby) => {
                !partition.is_in_sync() || partition.log.end() > 0 || nearby.has_records(leader, partition.at)
            }
        }
    }

    /// A leader in this process says that there is something to fetch.
    fn rung(self: &Arc<Self>, at: TopicPartition) {
        if let Some(partition) = self.partition(at)
            && let Some((leader, epoch)) = partition.current_leader()
            && leader != self.options.node
        {
            self.follow(&partition, leader, epoch);
        }
    }
}
