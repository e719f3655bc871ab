//! Keeps the shards of a coordinators' topic: one for each partition of it that this node leads, as long as it does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;

use crate::env::origin;
use crate::id::{Epoch, NodeId, TopicPartition};
use crate::image::Image;

/// What is at work for the shards of a topic, also for those that were let go and have not ended yet. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<Vec<JoinHandle<()>>>>);

/// One partition in one leader epoch.
pub(super) trait Kept: Send + Sync + 'static {
    fn place(&self) -> (TopicPartition, Epoch);
    /// Whether it was read to its end and was not let go.
    fn is_loaded(&self) -> bool;
    fn close(&self);
    /// Works until it is closed.
    fn work(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static;
}

/// The shards of one topic. Dropping it ends what is at work for them.
pub(super) struct Keeper<S> {
    topic: &'static str,
    node: NodeId,
    shards: RwLock<HashMap<i32, Arc<S>>>,
    tasks: Tasks,
}

impl<S: Kept> Keeper<S> {
    pub fn new(topic: &'static str, node: NodeId) -> Self {
        Self {
            topic,
            node,
            shards: RwLock::default(),
            tasks: Tasks::default(),
        }
    }

    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Lets go of what another node leads now, and makes what this one leads since.
    pub fn follow(&self, image: &Image, make: impl Fn(TopicPartition, Epoch) -> Arc<S>) {
        let led = led_by(image, self.topic, self.node);
        let mut shards = self.shards.write();
        shards.retain(|partition, shard| {
            let stays = led.get(partition) == Some(&shard.place());
            if !stays {
                shard.close();
            }
            stays
        });
        for (partition, (at, epoch)) in led {
            shards.entry(partition).or_insert_with(|| {
                let shard = make(at, epoch);
                self.tasks.spawn(Arc::clone(&shard).work());
                shard
            });
        }
    }

    /// Lets all go, for example before the node stops.
    pub fn resign(&self) {
        for (_, shard) in self.shards.write().drain() {
            shard.close();
        }
    }

    /// Lets all go, and returns when nothing is at work for them. Nobody may follow images any more.
    pub async fn stop(&self) {
        self.resign();
        self.tasks.end().await;
    }

    /// The shard of a partition.
    ///
    /// # Errors
    /// `missing` when another node leads it, `COORDINATOR_LOAD_IN_PROGRESS` while it is read.
    pub fn at(&self, partition: i32, missing: ResponseError) -> Result<Arc<S>, ResponseError> {
        let shard = self.shards.read().get(&partition).cloned().ok_or(missing)?;
        match shard.is_loaded() {
            true => Ok(shard),
            false => Err(ResponseError::CoordinatorLoadInProgress),
        }
    }

    /// All of them, also those that are still read.
    pub fn all(&self) -> Vec<Arc<S>> {
        self.shards.read().values().cloned().collect()
    }

    /// All of them; an error while one is still read, because a list would not be whole.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS`
    pub fn all_loaded(&self) -> Result<Vec<Arc<S>>, ResponseError> {
        let shards = self.all();
        match shards.iter().all(|shard| shard.is_loaded()) {
            true => Ok(shards),
            false => Err(ResponseError::CoordinatorLoadInProgress),
        }
    }
}

impl<S> Drop for Keeper<S> {
    fn drop(&mut self) {
        for task in self.tasks.0.lock().iter() {
            task.abort();
        }
    }
}

impl Tasks {
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(origin::spawn(work));
    }

    async fn end(&self) {
        loop {
            let tasks = std::mem::take(&mut *self.0.lock());
            if tasks.is_empty() {
                return;
            }
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                // Aborted is what was asked for.
                let _ = task.await;
            }
        }
    }
}

/// The partitions of a coordinators' topic that `node` leads, each with its identity and epoch.
fn led_by(image: &Image, topic: &str, node: NodeId) -> BTreeMap<i32, (TopicPartition, Epoch)> {
    let Some(topic) = image.topic_named(topic) else {
        return BTreeMap::new();
    };
    let led = topic
        .partitions
        .iter()
        .zip(0..)
        .filter(|(state, _)| state.leader == node);
    led.map(|(state, partition)| {
        let at = TopicPartition {
            topic: topic.id,
            partition,
        };
        (partition, (at, state.leader_epoch))
    })
    .collect()
}
