//! Binds the groups to their partitions of `__consumer_offsets`: loads them when this node becomes the leader, writes
//! what they decide, tells them when it is committed, and lets them go when another node leads.
//!
//! What must stay true: a group answers only from a log that was read to the end it had at the election, the writes of
//! one partition reach the log in the order they were decided, and nothing is answered before its write is committed.

mod keeper;
mod loading;
mod peer;
mod shard;
mod tenure;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::env::clock::Clock;
use crate::group::record::partition_of;
use crate::group::{Now, Settings};
use crate::id::NodeId;
use crate::image::Image;
use crate::replica::ReplicaManager;

use keeper::Keeper;
pub use peer::Peers;
pub use shard::Shard;
pub use transactions::{
    Patience, TransactionCoordinator, TransactionSetup, TransactionShard, Verdicts, Verifier, write_marker,
};

/// The topic that groups and their offsets live in.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The topic that transactional ids and their transactions live in.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// What the coordinator of one node needs.
pub struct Setup {
    pub node: NodeId,
    pub settings: Settings,
    /// `offsets.commit.timeout.ms`
    pub write_timeout: Duration,
    /// `transaction.partition.verification.enable`
    pub verify_transactions: bool,
    pub clock: Clock,
    pub image: watch::Receiver<Arc<Image>>,
    pub replicas: Arc<ReplicaManager>,
}

/// What every shard needs of its coordinator, without holding it: a node that is killed lets go of its logs only then.
struct Base {
    setup: Setup,
    started: Instant,
}

/// The groups this node coordinates. Dropping it ends what is at work for them.
pub struct GroupCoordinator {
    base: Arc<Base>,
    keeper: Keeper<Shard>,
}

impl GroupCoordinator {
    /// Coordinates nothing until [`Self::run`].
    pub fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            keeper: Keeper::new(OFFSETS_TOPIC, setup.node),
            base: Arc::new(Base {
                setup,
                started: Instant::now(),
            }),
        })
    }

    /// Takes over and lets go of partitions as the image says, until the node stops publishing images.
    pub async fn run(self: Arc<Self>) {
        let mut images = self.base.setup.image.clone();
        let mut previous = Arc::new(Image::empty());
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            self.follow(&image, &previous);
            previous = image;
            if images.changed().await.is_err() {
                break;
            }
        }
        self.resign();
    }

    /// Lets every group go, for example before the node stops.
    pub fn resign(&self) {
        self.keeper.resign();
    }

    /// Lets every group go, and returns when nothing is at work for them. [`Self::run`] must have ended.
    pub async fn stop(&self) {
        self.keeper.stop().await;
    }

    fn follow(&self, image: &Arc<Image>, previous: &Image) {
        self.keeper.follow(image, |at, epoch| {
            let shard = Shard::new(at, epoch, Arc::clone(&self.base));
            shard.see(image, true);
            shard
        });
        let shards = self.keeper.all();
        // What moved besides may be thousands of leaders, which are no business of groups: after a crash of many nodes each of
        // them is told of all, again and again.
        let resized = image.is_resized_since(previous);
        for shard in &shards {
            shard.see(image, resized);
        }
        if resized
            && image
                .changed_since(previous)
                .topics
                .iter()
                .any(|id| image.topic(*id).is_none())
        {
            for shard in &shards {
                shard.topics_changed(image);
            }
        }
    }

    /// The shard that coordinates `group`.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` before the offsets topic exists, `NOT_COORDINATOR` when another node leads the
    /// group's partition, `COORDINATOR_LOAD_IN_PROGRESS` while it is read.
    pub fn shard_of(&self, group: &str) -> Result<Arc<Shard>, ResponseError> {
        let image = Arc::clone(&self.base.setup.image.borrow());
        let topic = image
            .topic_named(OFFSETS_TOPIC)
            .ok_or(ResponseError::CoordinatorNotAvailable)?;
        let partition = partition_of(group, topic.partitions.len() as i32);
        self.keeper.at(partition, ResponseError::NotCoordinator)
    }

    /// The loaded shard of a partition of the offsets topic.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER` when another node leads it, `COORDINATOR_LOAD_IN_PROGRESS` while it is read.
    pub fn shard_at(&self, partition: i32) -> Result<Arc<Shard>, ResponseError> {
        self.keeper.at(partition, ResponseError::NotLeaderOrFollower)
    }

    /// All loaded shards; an error while one is still read, because a list would not be whole.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS`
    pub fn shards(&self) -> Result<Vec<Arc<Shard>>, ResponseError> {
        self.keeper.all_loaded()
    }
}

impl Base {
    fn now(&self) -> Now {
        let mono = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Now {
            mono_ms: mono,
            wall_ms: self.setup.clock.now_ms(),
        }
    }

    fn instant(&self, mono_ms: i64) -> Instant {
        self.started + Duration::from_millis(u64::try_from(mono_ms).unwrap_or(0))
    }
}
