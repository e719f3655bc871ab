//! What deciders see: the image, and what only the running controller knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::env::clock::Clock;
use crate::env::random::Random;
use crate::id::{Epoch, NodeId, Offset};
use crate::image::property::Config;
use crate::image::{Endpoint, Image, Record};

/// The image, the brokers' sessions and the readers of the metadata log.
pub struct State {
    pub image: Arc<Image>,
    pub(super) node: NodeId,
    pub(super) endpoint: Endpoint,
    pub(super) config: Arc<Config>,
    pub(super) sessions: HashMap<NodeId, Session>,
    pub(super) observers: BTreeMap<NodeId, Observer>,
    pub(super) random: Random,
    pub(super) clock: Clock,
    /// When leadership was last moved back to preferred replicas.
    pub(super) rebalanced: Option<Instant>,
}

/// A broker's life as its heartbeats tell it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub heard: Instant,
    /// The last metadata offset it applied.
    pub applied: Offset,
    /// Set in a controlled shutdown: all others must have applied this before it may stop.
    pub leaves_after: Option<Offset>,
}

/// A reader of the metadata log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observer {
    /// Its end of the log.
    pub end: Offset,
    /// Milliseconds since the Unix epoch.
    pub fetched_at: i64,
    pub caught_up_at: i64,
}

impl State {
    pub(super) fn new(node: NodeId, endpoint: Endpoint, config: Arc<Config>, image: Image, clock: Clock) -> Self {
        Self {
            image: Arc::new(image),
            node,
            endpoint,
            config,
            sessions: HashMap::new(),
            observers: BTreeMap::new(),
            random: Random::system(),
            clock,
            rebalanced: None,
        }
    }

    /// Applies records that are in the log from `first` on.
    pub(super) fn apply(&mut self, records: &[Record], first: Offset, epoch: Epoch) {
        let image = Arc::make_mut(&mut self.image);
        for (offset, record) in (first..).zip(records) {
            image.apply(record, offset, epoch);
        }
    }

    /// Gives every broker that was live before a restart a whole session to report again.
    pub(super) fn expect_all(&mut self, now: Instant) {
        let session = Session {
            heard: now,
            applied: -1,
            leaves_after: None,
        };
        let live = self.image.brokers.values().filter(|broker| !broker.fenced);
        self.sessions = live.map(|broker| (broker.id, session)).collect();
    }

    /// Notes that `node` has applied everything up to `applied`, as its heartbeat says. In a wide cluster it does not fetch itself.
    pub(super) fn observe_applied(&mut self, node: NodeId, applied: Offset) {
        let from = applied + 1;
        if self.observers.get(&node).is_none_or(|known| from >= known.end) {
            self.observe(node, from, self.clock.now_ms());
        }
    }

    /// Notes that `node` reads on from `from`, so it holds everything before.
    pub(super) fn observe(&mut self, node: NodeId, from: Offset, now_ms: i64) {
        if node == NodeId::NONE {
            return;
        }
        let end = self.image.offset + 1;
        let known = self.observers.get(&node).map_or(-1, |observer| observer.caught_up_at);
        let observer = Observer {
            end: from,
            fetched_at: now_ms,
            caught_up_at: if from >= end { now_ms } else { known },
        };
        self.observers.insert(node, observer);
        /// As in Kafka: an observer that is silent for so long is not shown any more.
        const FORGET_MS: i64 = 300_000;
        self.observers
            .retain(|_, observer| now_ms - observer.fetched_at < FORGET_MS);
    }

    pub(super) fn session_timeout(&self) -> Duration {
        self.config.millis("broker.session.timeout.ms")
    }

    /// Short enough that a fence comes within a tenth of the session after its end.
    pub(super) fn tick_interval(&self) -> Duration {
        (self.session_timeout() / 10).clamp(Duration::from_millis(10), Duration::from_millis(500))
    }

    pub(super) fn has_session(&self, id: NodeId, now: Instant) -> bool {
        self.sessions
            .get(&id)
            .is_some_and(|session| now.duration_since(session.heard) < self.session_timeout())
    }

    /// The brokers that may lead or join an ISR.
    pub(super) fn eligible(&self) -> BTreeSet<NodeId> {
        let brokers = self.image.brokers.values();
        brokers
            .filter(|broker| !broker.fenced && !broker.in_controlled_shutdown)
            .map(|broker| broker.id)
            .collect()
    }

    /// The offset that the first record of the next decision gets.
    pub(super) fn next_offset(&self) -> Offset {
        self.image.offset + 1
    }
}
