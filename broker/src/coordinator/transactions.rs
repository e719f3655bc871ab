//! Binds transactional ids to their partitions of `__transaction_state`: loads them when this node becomes the leader,
//! writes what they decide, has the markers of ended transactions written by all leaders, and lets them go when another
//! node leads.
//!
//! What must stay true: nothing is answered before it is committed, a transaction is over only when every partition of
//! it has its marker, and whoever leads next goes on where this node stopped.

mod marker;
mod shard;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::watch;

use super::keeper::{Keeper, Tasks};
use super::{GroupCoordinator, Peers, TRANSACTIONS_TOPIC};
use crate::env::clock::Clock;
use crate::group::record::partition_of;
use crate::id::{NodeId, TopicPartition};
use crate::image::Image;
use crate::replica::ReplicaManager;
use crate::txn::Settings;

pub use marker::write_marker;
pub use shard::TransactionShard;
pub use verify::{Patience, Verdicts, Verifier};

/// What the transaction coordinator of one node needs.
pub struct TransactionSetup {
    pub node: NodeId,
    pub settings: Settings,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub expire_interval: Duration,
    /// `request.timeout.ms`: how long a write or another broker may take.
    pub timeout: Duration,
    pub clock: Clock,
    pub image: watch::Receiver<Arc<Image>>,
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupCoordinator>,
    pub peers: Arc<Peers>,
}

/// The transactional ids this node coordinates. Dropping it ends what is at work for them.
pub struct TransactionCoordinator {
    setup: Arc<TransactionSetup>,
    keeper: Keeper<TransactionShard>,
}

impl TransactionCoordinator {
    /// Coordinates nothing until [`Self::run`].
    pub fn new(setup: TransactionSetup) -> Arc<Self> {
        Arc::new(Self {
            keeper: Keeper::new(TRANSACTIONS_TOPIC, setup.node),
            setup: Arc::new(setup),
        })
    }

    /// Takes over and lets go of partitions as the image says, until the node stops publishing images.
    pub async fn run(self: Arc<Self>) {
        let mut images = self.setup.image.clone();
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            self.follow(&image);
            if images.changed().await.is_err() {
                break;
            }
        }
        self.resign();
    }

    /// Lets every id go, for example before the node stops.
    pub fn resign(&self) {
        self.keeper.resign();
    }

    /// Lets every id go, and returns when nothing is at work for them. [`Self::run`] must have ended.
    pub async fn stop(&self) {
        self.keeper.stop().await;
    }

    fn follow(&self, image: &Image) {
        self.keeper.follow(image, |at, epoch| {
            TransactionShard::new(at, epoch, Arc::clone(&self.setup), self.keeper.tasks())
        });
    }

    /// The shard that coordinates `id`.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` before the topic exists, `NOT_COORDINATOR` when another node leads the id's partition,
    /// `COORDINATOR_LOAD_IN_PROGRESS` while it is read.
    pub fn shard_of(&self, id: &str) -> Result<Arc<TransactionShard>, ResponseError> {
        let image = Arc::clone(&self.setup.image.borrow());
        let at = place_of(&image, id).ok_or(ResponseError::CoordinatorNotAvailable)?;
        self.keeper.at(at.partition, ResponseError::NotCoordinator)
    }

    /// All loaded shards; an error while one is still read, because a list would not be whole.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS`
    pub fn shards(&self) -> Result<Vec<Arc<TransactionShard>>, ResponseError> {
        self.keeper.all_loaded()
    }
}

/// The partition of the transactions topic that holds `id`.
fn place_of(image: &Image, id: &str) -> Option<TopicPartition> {
    let topic = image.topic_named(TRANSACTIONS_TOPIC)?;
    let partition = partition_of(id, i32::try_from(topic.partitions.len()).ok()?);
    Some(TopicPartition {
        topic: topic.id,
        partition,
    })
}
