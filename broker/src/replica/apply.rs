//! Takes over an image: what this node hosts, leads and follows from now on.

use std::collections::HashSet;
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

/// What changed from one image to the next, beyond the topics themselves.
#[derive(Clone, Copy)]
struct Changed {
    brokers: bool,
    /// Configs of brokers or features: settings of every topic may differ.
    defaults: bool,
}

impl ReplicaManager {
    /// Leads, follows and deletes what `image` says. Blocks on the disk when replicas are created or deleted.
    /// Must run within a tokio runtime. An image that does not hold this run's registration yet is put aside.
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
        let changed = Changed::between(&previous, image);
        if changed.defaults {
            self.throttle(image);
        }
        // First what goes, because a topic created again has the same directories.
        self.drop_unassigned(image);
        if previous.offset < 0 {
            self.drop_strays(image);
        }
        self.is_first_image.store(previous.offset < 0, Ordering::Relaxed);
        for topic in image.topics.values() {
            self.apply_topic(topic, previous.topic(topic.id), changed, &previous, image);
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

    fn apply_topic(
        self: &Arc<Self>,
        topic: &Topic,
        before: Option<&Arc<Topic>>,
        changed: Changed,
        previous: &Image,
        image: &Image,
    ) {
        let resource = Resource::Topic(topic.name.clone());
        let settings = changed.defaults || !same(previous.configs.get(&resource), image.configs.get(&resource));
        let all = changed.brokers || settings;
        if !all && before.is_some_and(|before| std::ptr::eq(before.as_ref(), topic)) {
            return;
        }
        let wanted = (self.settings)(image, &topic.name);
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
            match self.apply_partition(topic, at, state, &wanted, image) {
                Ok(()) => {
                    self.offline.write().remove(&at);
                }
                Err(refusal) => {
                    if self.offline.write().insert(at) {
                        tracing::error!(topic = %topic.name, partition, "the replica is offline: {refusal}");
                    }
                }
            }
        }
    }

    fn apply_partition(
        self: &Arc<Self>,
        topic: &Topic,
        at: TopicPartition,
        state: &Assignment,
        settings: &TopicSettings,
        image: &Image,
    ) -> Result<(), Refusal> {
        let partition = match self.partition(at) {
            Some(partition) => {
                partition.log.set_config(log_config(settings));
                partition
            }
            None => self.host(topic, at, state, settings)?,
        };
        // As in Kafka, no more than there are.
        partition.set_min_isr(settings.min_insync_replicas.min(state.replicas.len()));
        partition.set_throttled(Throttled::of(settings, at.partition, self.options.node));
        let strict = feature::is_on(image, feature::ELIGIBLE_LEADER_REPLICAS);
        match partition.update(state, strict, |id| live_epoch(image, id))? {
            Next::Follow { leader, epoch } => self.follow_only(&partition, Some((leader, epoch))),
            Next::Lead | Next::Wait => self.follow_only(&partition, None),
        }
        Ok(())
    }

    fn host(
        &self,
        topic: &Topic,
        at: TopicPartition,
        state: &Assignment,
        settings: &TopicSettings,
    ) -> Result<Arc<Partition>, Refusal> {
        if self.logs.is_offline(at) || (self.logs.get(at).is_none() && self.is_lost(at, state)) {
            return Err(Refusal {
                code: ResponseError::KafkaStorageError,
                message: Some("its log directory is offline; start the broker again when the disk is sound".to_owned()),
                records: Vec::new(),
            });
        }
        let log = self.logs.create(
            &topic.name,
            at,
            log_config(settings),
            state.directory(self.options.node),
        )?;
        log.set_config(log_config(settings));
        let partition = Arc::new(Partition::new(
            at,
            topic.name.as_str().into(),
            log,
            self.options.node,
            self.options.lag_time_max,
        ));
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
            self.follow_only(&partition, None);
            self.partitions.write().remove(&partition.at);
            partition.retire();
        }
    }

    fn drop_unassigned(self: &Arc<Self>, image: &Image) {
        self.offline.write().retain(|at| self.is_assigned(image, *at));
        let unassigned: Vec<Arc<Partition>> = {
            let partitions = self.partitions.read();
            let gone = |partition: &&Arc<Partition>| !self.is_assigned(image, partition.at);
            partitions.values().filter(gone).cloned().collect()
        };
        for partition in unassigned {
            self.follow_only(&partition, None);
            partition.retire();
            self.partitions.write().remove(&partition.at);
            self.delete_log(partition.at, &partition.topic);
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

impl Changed {
    fn between(previous: &Image, image: &Image) -> Self {
        let brokers = previous.brokers.len() != image.brokers.len()
            || previous
                .brokers
                .iter()
                .zip(&image.brokers)
                .any(|((a, before), (b, after))| a != b || !Arc::ptr_eq(before, after));
        let of_brokers = |image: &Image| -> Vec<_> {
            image
                .configs
                .iter()
                .filter(|(resource, _)| matches!(resource, Resource::Broker(_)))
                .map(|(resource, values)| (resource.clone(), Arc::clone(values)))
                .collect()
        };
        Self {
            brokers,
            defaults: previous.offset < 0
                || of_brokers(previous) != of_brokers(image)
                || previous.features != image.features,
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
