//! One node's replicas: who leads, who follows, which records are committed.
//!
//! What must stay true: a record acknowledged with acks=all is below the high watermark, the high watermark is at or
//! below the log end of every in-sync replica, only in-sync replicas are elected, and a follower truncates to its
//! leader's epoch history before it is counted again (KIP-101, KIP-279, KIP-320).

mod apply;
mod append;
mod fetch;
mod follower;
mod isr;
mod leader;
mod link;
mod lookup;
mod mover;
mod nearby;
mod partition;
mod session;
mod stats;
mod throttle;
mod told;
mod waiter;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::env::origin;
use crate::id::{Epoch, NodeId, TopicPartition};
use crate::image::property::TopicSettings;
use crate::image::{Image, Partition as Assignment};
use crate::log;
use crate::log::LogManager;

pub use crate::log::{ActiveProducer, Guard, Verify};
pub use append::{Acks, Appending, Produced};
pub use apply::log_config;
pub use fetch::{Client, Fetch, FetchFrom, Fetched, Reader};
pub use link::{AlterPartition, LeaderLink, LeaderLinks, LinkError, WireLinks};
pub use lookup::{At, Position};
pub use nearby::{Links, Nearby};
pub use session::{Name, Session, SessionAsk, Sessions, Wanted};
pub use stats::{Kept, Stats};
pub use throttle::QuotaWindow;

use append::By;
use follower::Fetcher;
use mover::Moves;
use partition::{Isr, Partition, Site};
use throttle::Meter;

/// Kafka's properties for replication; the names are the fields' comments.
#[derive(Debug, Clone)]
pub struct Options {
    pub node: NodeId,
    /// This run of the process. Nothing is led or followed until the image holds it: an older image could say that this
    /// node leads what it does not lead any more.
    pub incarnation: uuid::Uuid,
    /// `inter.broker.listener.name`
    pub listener: String,
    /// `replica.lag.time.max.ms`
    pub lag_time_max: Duration,
    /// `replica.fetch.wait.max.ms`
    pub fetch_wait_max: Duration,
    /// `replica.fetch.min.bytes`
    pub fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`, of one partition
    pub fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`
    pub fetch_response_max_bytes: i32,
    /// `replica.fetch.backoff.ms`
    pub fetch_backoff: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub checkpoint_interval: Duration,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_sessions_max: usize,
    /// `replica.selector.class` is the rack-aware one: consumers are sent to replicas of their rack.
    pub rack_aware: bool,
    /// How replication throttles measure.
    pub quota_window: QuotaWindow,
}

impl Options {
    /// Kafka's defaults.
    pub fn new(node: NodeId, incarnation: uuid::Uuid) -> Self {
        Self {
            node,
            incarnation,
            listener: "PLAINTEXT".to_owned(),
            lag_time_max: Duration::from_secs(30),
            fetch_wait_max: Duration::from_millis(500),
            fetch_min_bytes: 1,
            fetch_max_bytes: 1 << 20,
            fetch_response_max_bytes: 10 << 20,
            fetch_backoff: Duration::from_secs(1),
            checkpoint_interval: Duration::from_secs(5),
            fetch_sessions_max: 1000,
            rack_aware: false,
            quota_window: QuotaWindow::default(),
        }
    }
}

/// The effective configs of a topic, by name.
pub type Settings = Box<dyn Fn(&Image, &str) -> TopicSettings + Send + Sync>;

/// A property of this broker in force, by name.
pub type Property = Box<dyn Fn(&Image, &str) -> Option<String> + Send + Sync>;

/// What the replicas ask of the node around them.
pub struct Surroundings {
    pub logs: Arc<LogManager>,
    /// Asks the controller to change in-sync replicas.
    pub controller: Arc<dyn AlterPartition>,
    /// Opens connections to leaders; [`WireLinks`] in a real node.
    pub leaders: Arc<dyn LeaderLinks>,
    pub settings: Settings,
    pub property: Property,
    /// The nodes of this process, if it is a wide cluster's.
    pub nearby: Option<Arc<Nearby>>,
}

/// An error and, if there is more to say than its name, a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", message.clone().unwrap_or_else(|| code.to_string()))]
pub struct Refusal {
    pub code: ResponseError,
    pub message: Option<String>,
    /// The records of a batch that are to blame, counted from 0, if only some of them are (KIP-467).
    pub records: Vec<i32>,
}

impl From<ResponseError> for Refusal {
    fn from(code: ResponseError) -> Self {
        Self {
            code,
            message: None,
            records: Vec::new(),
        }
    }
}

impl From<log::Error> for Refusal {
    fn from(error: log::Error) -> Self {
        Self {
            code: error.code(),
            message: Some(error.to_string()),
            records: match error {
                log::Error::Keyless { records } | log::Error::TooOld { records, .. } => records,
                _ => Vec::new(),
            },
        }
    }
}

/// The replicas of one node.
pub struct ReplicaManager {
    options: Options,
    logs: Arc<LogManager>,
    controller: Arc<dyn AlterPartition>,
    leaders: Arc<dyn LeaderLinks>,
    settings: Settings,
    property: Property,
    /// What throttled replicas took from this node.
    sending: Meter,
    /// What throttled replicas of this node took.
    receiving: Meter,
    site: Arc<Site>,
    partitions: RwLock<HashMap<TopicPartition, Arc<Partition>>>,
    /// Replicas that belong here and whose logs cannot be used.
    offline: RwLock<BTreeSet<TopicPartition>>,
    /// What the image being applied places here may have been here before this run.
    is_first_image: AtomicBool,
    /// The image last applied; empty before the first.
    image: RwLock<Arc<Image>>,
    /// One image at a time.
    applying: Mutex<()>,
    fetchers: Mutex<Fetchers>,
    asking: Mutex<BTreeSet<TopicPartition>>,
    asked: Notify,
    sessions: Sessions,
    counters: stats::Counters,
    moves: Moves,
    stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Fetchers {
    by_leader: HashMap<NodeId, Arc<Fetcher>>,
    tasks: Vec<JoinHandle<()>>,
    stopped: bool,
}

impl ReplicaManager {
    /// Holds no replicas until [`Self::apply`].
    pub fn new(options: Options, surroundings: Surroundings) -> Arc<Self> {
        let site = Site {
            me: options.node,
            lag_time_max: options.lag_time_max,
            nearby: surroundings.nearby.clone(),
        };
        let manager = Arc::new(Self {
            sessions: Sessions::new(options.fetch_sessions_max),
            sending: Meter::new(options.quota_window),
            receiving: Meter::new(options.quota_window),
            site: Arc::new(site),
            options,
            logs: surroundings.logs,
            controller: surroundings.controller,
            leaders: surroundings.leaders,
            settings: surroundings.settings,
            property: surroundings.property,
            partitions: RwLock::default(),
            offline: RwLock::default(),
            is_first_image: AtomicBool::new(true),
            image: RwLock::new(Arc::new(Image::empty())),
            applying: Mutex::default(),
            fetchers: Mutex::default(),
            asking: Mutex::default(),
            asked: Notify::new(),
            counters: stats::Counters::default(),
            moves: Moves::default(),
            stop: watch::Sender::new(false),
        });
        if let Some(nearby) = surroundings.nearby {
            nearby.join(manager.options.node, &manager);
        }
        manager
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The sessions of those who fetch from here.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The logs below the replicas.
    pub fn logs(&self) -> &Arc<LogManager> {
        &self.logs
    }

    /// Asks the controller for changes and looks for lagging followers, until [`Self::shutdown`].
    pub async fn run(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            () = self.ask() => {}
            () = self.tick() => {}
            () = Arc::clone(&self).relocate() => {}
            // An error means that the manager is gone.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Stops fetching and leading; logs stay open for whoever closes them.
    pub async fn shutdown(&self) {
        let tasks = {
            let mut fetchers = self.fetchers.lock();
            fetchers.stopped = true;
            fetchers.by_leader.clear();
            std::mem::take(&mut fetchers.tasks)
        };
        for task in tasks {
            task.abort();
            // Aborted is what was asked for.
            let _ = task.await;
        }
        self.stop.send_replace(true);
        for partition in self.hosted() {
            partition.retire();
        }
    }

    async fn tick(&self) {
        let period = (self.options.lag_time_max / 2).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(period).await;
            for partition in self.hosted() {
                if partition.tick() == Isr::Ask {
                    self.ask_controller(partition.at);
                }
            }
        }
    }

    fn hosted(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }

    fn partition(&self, at: TopicPartition) -> Option<Arc<Partition>> {
        self.partitions.read().get(&at).cloned()
    }

    fn required(&self, at: TopicPartition) -> Result<Arc<Partition>, ResponseError> {
        self.partition(at).ok_or_else(|| self.absent(at))
    }

    fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.read())
    }

    fn broker_epoch(&self, id: NodeId) -> Option<i64> {
        self.image.read().brokers.get(&id).map(|broker| broker.epoch)
    }

    /// Why there is no replica of `at` here.
    fn absent(&self, at: TopicPartition) -> ResponseError {
        if self.offline.read().contains(&at) {
            return ResponseError::KafkaStorageError;
        }
        let image = self.image.read();
        match (image.topic(at.topic), image.partition(at)) {
            (Some(_), None) => ResponseError::UnknownTopicOrPartition,
            // Hosted elsewhere, or here soon: whoever asks may have read newer metadata than was applied. A client
            // retries on this, while old ones take an unknown topic id for a failure.
            _ => ResponseError::NotLeaderOrFollower,
        }
    }

    /// Fetches `partition` from `leader` from now on.
    fn follow(self: &Arc<Self>, partition: &Arc<Partition>, leader: NodeId, epoch: Epoch) {
        let mut fetchers = self.fetchers.lock();
        if fetchers.stopped {
            return;
        }
        if let Some(fetcher) = fetchers.by_leader.get(&leader) {
            fetcher.follow(partition, epoch);
            return;
        }
        let fetcher = Arc::new(Fetcher::new(leader));
        fetcher.follow(partition, epoch);
        fetchers.by_leader.insert(leader, Arc::clone(&fetcher));
        // Perhaps in a task of the leader's, which rang.
        let work = origin::of(self.options.node.0, fetcher.run(Arc::clone(self)));
        let task = origin::spawn(work);
        fetchers.tasks.retain(|task| !task.is_finished());
        fetchers.tasks.push(task);
    }

    fn unfollow(&self, partition: &Partition, leader: Option<NodeId>) {
        let fetcher = leader.and_then(|leader| self.fetchers.lock().by_leader.get(&leader).cloned());
        if let Some(fetcher) = fetcher {
            fetcher.unfollow(partition.at);
        }
    }

    /// Lets a fetcher go that has nothing to fetch; false if that has changed.
    fn dismiss(&self, fetcher: &Fetcher) -> bool {
        let mut fetchers = self.fetchers.lock();
        let idle = fetcher.is_idle();
        if idle {
            fetchers.by_leader.remove(&fetcher.leader());
        }
        idle
    }

    /// How many leaders are fetched from at the moment.
    pub fn fetcher_count(&self) -> usize {
        self.fetchers.lock().by_leader.len()
    }
}

#[cfg(test)]
mod tests;
