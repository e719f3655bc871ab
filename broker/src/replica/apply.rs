//! Takes over an image: what this node hosts, leads and follows from now on.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_protocol::ResponseError;

use super::partition::{Next, Partition};
use super::throttle::{Meter, Throttled};
use super::{Assignment, Refusal, ReplicaManager, TopicSettings};
use crate::id::{NodeId, TopicId, TopicPartition};
use crate::image::{Image, Resource, Topic, feature};
use crate::log::LogConfig;
use crate::log::TimestampType;

/// A topic's settings as its partitions take them.
#[derive(Clone)]
struct Wanted {
    settings: Arc<TopicSettings>,
    log: Arc<LogConfig>,
}

/// The settings of topics in one image. Those without configs of their own share theirs, which are looked up once.
struct Settled<'a> {
    manager: &'a ReplicaManager,
    image: &'a Image,
    plain: OnceCell<Wanted>,
}

impl Settled<'_> {
    fn of(&self, topic: &str) -> Wanted {
        let look_up = || {
            let settings = (self.manager.settings)(self.image, topic);
            Wanted {
                log: Arc::new(log_config(&settings)),
                settings: Arc::new(settings),
            }
        };
        match self.image.configs.contains_key(&Resource::Topic(topic.to_owned())) {
            true => look_up(),
            false => self.plain.get_or_init(look_up).clone(),
        }
    }
}

impl ReplicaManager {
    /// Leads, follows and deletes what `image` says, looking only at what changed. Blocks on the disk when replicas are
    /// deleted. Must run within a tokio runtime. An image that does not hold this run's registration yet is put aside.
    pub fn apply(self: &Arc<Self>, image: &Arc<Image>) {
        let _one_at_a_time = self.applying.lock();
        let registered = image
            .brokers
            .get(&self.options.node)
            .is_some_and(|broker| broker.incarnation == self.options.incarnation);
        if !registered {
            return;
        }
        let previous = std::mem::replace(&mut *self.image.write(), Arc::clone(image));
        let changes = image.changed_since(&previous);
        if changes.defaults || previous.offset < 0 {
            self.throttle(image);
        }
        // First what goes, because a topic created again has the same directories.
        self.offline.write().retain(|at| self.is_assigned(image, *at));
        for id in &changes.topics {
            self.drop_unassigned(*id, &previous, image);
        }
        if previous.offset < 0 {
            self.drop_strays(image);
        }
        self.is_first_image.store(previous.offset < 0, Ordering::Relaxed);
        let settled = Settled {
            manager: self,
            image,
            plain: OnceCell::new(),
        };
        for id in &changes.topics {
            if let Some(topic) = image.topic(*id) {
                self.apply_topic(topic, &previous, &settled);
            }
        }
        if changes.defaults {
            self.apply_defaults(&settled);
        }
        if !changes.brokers.is_empty() {
            for partition in self.hosted() {
                partition.ringing(|| partition.observe(&changes.brokers, |id| live_epoch(image, id)));
            }
        }
    }

    /// Takes over the rates of throttled replication.
    fn throttle(&self, image: &Image) {
        let set = |meter: &Meter, key: &str| {
            let rate = (self.property)(image, key).and_then(|rate| rate.trim().parse().ok());
            meter.set_bound(rate);
        };
        set(&self.sending, "leader.replication.throttled.rate");
        set(&self.receiving, "follower.replication.throttled.rate");
    }

    fn apply_topic(self: &Arc<Self>, topic: &Topic, previous: &Image, settled: &Settled<'_>) {
        let before = previous.topic(topic.id);
        let resource = Resource::Topic(topic.name.clone());
        let all = !same(previous.configs.get(&resource), settled.image.configs.get(&resource));
        let mut wanted: Option<(Arc<str>, Wanted)> = None;
        for (index, state) in topic.partitions.iter().enumerate() {
            let known = before.and_then(|before| before.partitions.get(index));
            let unchanged = known.is_some_and(|known| Arc::ptr_eq(known, state));
            if !state.replicas.contains(&self.options.node) || (unchanged && !all) {
                continue;
            }
            let Ok(partition) = i32::try_from(index) else { continue };
            let at = TopicPartition {
                topic: topic.id,
                partition,
            };
            let (name, wanted) = wanted.get_or_insert_with(|| (topic.name.as_str().into(), settled.of(&topic.name)));
            self.settle_offline(at, name, self.apply_partition(name, at, state, wanted, settled.image));
        }
    }

    /// Settings of every topic may have changed.
    fn apply_defaults(self: &Arc<Self>, settled: &Settled<'_>) {
        let mut by_topic: HashMap<TopicId, Wanted> = HashMap::new();
        for partition in self.hosted() {
            let Some(state) = settled.image.partition(partition.at) else {
                continue;
            };
            let wanted = by_topic
                .entry(partition.at.topic)
                .or_insert_with(|| settled.of(&partition.topic));
            let done = self.apply_partition(&partition.topic, partition.at, state, wanted, settled.image);
            self.settle_offline(partition.at, &partition.topic, done);
        }
    }

    fn settle_offline(&self, at: TopicPartition, topic: &str, done: Result<(), Refusal>) {
        match done {
            Ok(()) => {
                // Nearly always there is none.
                if !self.offline.read().is_empty() {
                    self.offline.write().remove(&at);
                }
            }
            Err(refusal) => {
                if self.offline.write().insert(at) {
                    tracing::error!(topic, partition = at.partition, "the replica is offline: {refusal}");
                }
            }
        }
    }

    fn apply_partition(
        self: &Arc<Self>,
        topic: &Arc<str>,
        at: TopicPartition,
        state: &Assignment,
        wanted: &Wanted,
        image: &Image,
    ) -> Result<(), Refusal> {
        let partition = match self.partition(at) {
            Some(partition) => partition,
            None => self.host(topic, at, state, wanted)?,
        };
        partition.log.set_config(Arc::clone(&wanted.log));
        // As in Kafka, no more than there are.
        partition.set_min_isr(wanted.settings.min_insync_replicas.min(state.replicas.len()));
        partition.set_throttled(Throttled::of(&wanted.settings, at.partition, self.options.node));
        let strict = feature::is_on(image, feature::ELIGIBLE_LEADER_REPLICAS);
        let left = partition.following();
        match partition.ringing(|| partition.update(state, strict, |id| live_epoch(image, id)))? {
            Next::Follow { leader, epoch } => {
                // First, or a ring in between would be forgotten.
                let stays = |left: NodeId| left == leader && self.site.nearby.is_none();
                self.unfollow(&partition, left.filter(|left| !stays(*left)));
                if self.must_fetch(&partition, leader) {
                    self.follow(&partition, leader, epoch);
                }
            }
            Next::Lead | Next::Wait => self.unfollow(&partition, left),
        }
        Ok(())
    }

    fn host(
        &self,
        topic: &Arc<str>,
        at: TopicPartition,
        state: &Assignment,
        wanted: &Wanted,
    ) -> Result<Arc<Partition>, Refusal> {
        if self.logs.is_offline(at) || (self.logs.get(at).is_none() && self.is_lost(at, state)) {
            return Err(Refusal {
                code: ResponseError::KafkaStorageError,
                message: Some("its log directory is offline; start the broker again when the disk is sound".to_owned()),
                records: Vec::new(),
            });
        }
        let dir = state.directory(self.options.node);
        let log = self.logs.create(topic, at, Arc::clone(&wanted.log), dir)?;
        let partition = Arc::new(Partition::new(at, Arc::clone(topic), log, &self.site));
        self.partitions.write().insert(at, Arc::clone(&partition));
        Ok(partition)
    }

    /// Whether a replica without a log here has, or may have, one in a directory that failed. A new and empty log must not
    /// take its place: as a member of the ISR it counts as complete.
    fn is_lost(&self, at: TopicPartition, state: &Assignment) -> bool {
        if !self.logs.has_failed_dir() {
            return false;
        }
        match state.directory(self.options.node) {
            Some(directory) => !self.logs.is_online(directory),
            None => {
                let may_be_older = self.is_first_image.load(Ordering::Relaxed) || self.offline.read().contains(&at);
                may_be_older && state.isr.contains(&self.options.node)
            }
        }
    }

    /// Takes the replicas offline whose log directory failed: they lead and follow nothing, and answer with
    /// `KAFKA_STORAGE_ERROR`, until the broker is started again. Blocks while an image is applied.
    pub fn drop_failed(self: &Arc<Self>) {
        let _one_at_a_time = self.applying.lock();
        for partition in self.hosted() {
            if !self.logs.is_offline(partition.at) {
                continue;
            }
            tracing::error!(
                topic = %partition.topic,
                partition = partition.at.partition,
                "the replica is offline: its log directory failed"
            );
            self.offline.write().insert(partition.at);
            self.unfollow(&partition, partition.following());
            self.partitions.write().remove(&partition.at);
            partition.retire();
        }
    }

    fn drop_unassigned(self: &Arc<Self>, id: TopicId, previous: &Image, image: &Image) {
        let Some(before) = previous.topic(id) else { return };
        for (state, index) in before.partitions.iter().zip(0..) {
            let at = TopicPartition {
                topic: id,
                partition: index,
            };
            if !state.replicas.contains(&self.options.node) || self.is_assigned(image, at) {
                continue;
            }
            let Some(partition) = self.partition(at) else { continue };
            self.unfollow(&partition, partition.following());
            partition.retire();
            self.partitions.write().remove(&at);
            self.delete_log(at, &partition.topic);
        }
    }

    /// Logs that were on the disk at the start and that the image does not place here: deleted while this node was
    /// away. The image is trusted because it holds the registration of this run.
    fn drop_strays(&self, image: &Image) {
        let hosted: HashSet<TopicPartition> = self.partitions.read().keys().copied().collect();
        for (at, topic, _) in self.logs.logs() {
            if at.topic != TopicId::METADATA && !hosted.contains(&at) && !self.is_assigned(image, at) {
                self.delete_log(at, &topic);
            }
        }
    }

    fn is_assigned(&self, image: &Image, at: TopicPartition) -> bool {
        image
            .partition(at)
            .is_some_and(|state| state.replicas.contains(&self.options.node))
    }

    fn delete_log(&self, at: TopicPartition, topic: &str) {
        tracing::info!(
            topic,
            partition = at.partition,
            "deleting a replica that is not placed here any more"
        );
        if let Err(error) = self.logs.remove(at) {
            tracing::error!(topic, partition = at.partition, "the replica's files stay: {error}");
        }
    }
}

fn same<T>(before: Option<&Arc<T>>, after: Option<&Arc<T>>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => Arc::ptr_eq(before, after),
        (None, None) => true,
        _ => false,
    }
}

/// The epoch of a broker that may be in sync.
fn live_epoch(image: &Image, id: NodeId) -> Option<i64> {
    let broker = image.brokers.get(&id)?;
    (!broker.fenced && !broker.in_controlled_shutdown).then_some(broker.epoch)
}

/// What a topic's settings mean for its logs.
pub fn log_config(settings: &TopicSettings) -> LogConfig {
    LogConfig {
        segment_bytes: settings.segment_bytes,
        segment_ms: settings.segment_ms,
        segment_jitter_ms: settings.segment_jitter_ms,
        segment_index_bytes: settings.segment_index_bytes,
        preallocate: settings.preallocate,
        file_delete_delay_ms: settings.file_delete_delay_ms,
        producer_id_expiration_ms: settings.producer_id_expiration_ms,
        compression: settings.compression,
        index_interval_bytes: settings.index_interval_bytes,
        retention_ms: settings.retention_ms,
        retention_bytes: settings.retention_bytes,
        delete: settings.delete,
        compact: settings.compact,
        delete_retention_ms: settings.delete_retention_ms,
        min_compaction_lag_ms: settings.min_compaction_lag_ms,
        max_compaction_lag_ms: settings.max_compaction_lag_ms,
        min_cleanable_dirty_ppm: settings.min_cleanable_dirty_ppm,
        max_message_bytes: settings.max_message_bytes,
        timestamp_type: if settings.log_append_time {
            TimestampType::LogAppend
        } else {
            TimestampType::Create
        },
        timestamp_before_max_ms: finite(settings.timestamp_before_max_ms),
        timestamp_after_max_ms: settings.timestamp_after_max_ms,
        flush_messages: finite(settings.flush_messages),
        flush_ms: finite(settings.flush_ms),
        ..LogConfig::default()
    }
}

/// Kafka writes "never" as the largest number.
fn finite(value: i64) -> Option<i64> {
    (value < i64::MAX).then_some(value)
}
