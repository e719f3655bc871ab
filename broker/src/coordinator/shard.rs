//! One partition of `__consumer_offsets` while this node leads it.
//!
//! Everything that is decided goes through one queue and one task, which appends what has gathered as one batch
//! (group commit), so the log has the order of the decisions and a busy partition needs few round trips.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::Base;
use crate::group::record::Malformed;
use crate::group::{
    Commit, Committer, Description, Groups, JoinRequest, Joined, Leaver, Listing, Now, Outcome, SyncRequest, Synced,
    Write,
};
use crate::id::{Epoch, Offset, TopicPartition};
use crate::image::Image;
use crate::record::{self, BatchBuilder};

/// How much is read from the log at once while loading.
const LOAD_BYTES: usize = 4 << 20;
/// A batch of gathered writes is closed at this size; one write alone may be larger.
const BATCH_BYTES: usize = 512 << 10;
/// Decompressed records of one batch while loading.
const BATCH_LIMIT: usize = 64 << 20;
/// While loading: how soon to look again for leadership to be applied, or for the watermark to move.
const LOAD_RETRY: Duration = Duration::from_millis(10);
/// Without any deadline: how often to look for expired offsets (`offsets.retention.check.interval.ms`).
const IDLE: Duration = Duration::from_secs(600);

/// The groups of one partition in one leader epoch.
pub struct Shard {
    pub(super) at: TopicPartition,
    pub(super) epoch: Epoch,
    base: Arc<Base>,
    groups: Mutex<Groups>,
    queue: Mutex<Vec<Write>>,
    wake: Notify,
    loaded: AtomicBool,
    closed: AtomicBool,
}

impl Shard {
    pub(super) fn new(at: TopicPartition, epoch: Epoch, base: Arc<Base>) -> Arc<Self> {
        Arc::new(Self {
            at,
            epoch,
            groups: Mutex::new(Groups::new(base.setup.settings.clone())),
            base,
            queue: Mutex::default(),
            wake: Notify::new(),
            loaded: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire) && !self.is_closed()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.groups.lock().resign();
        self.queue.lock().clear();
        self.wake.notify_one();
    }

    pub(super) fn topics_changed(&self, image: &Image) {
        if self.is_loaded() {
            let writes = self
                .groups
                .lock()
                .forget_topics(|topic| image.topic_named(topic).is_some());
            self.enqueue(writes);
        }
    }

    /// Loads, then writes and keeps time until closed.
    pub(super) async fn run(self: Arc<Self>) {
        if let Err(error) = self.load().await {
            tracing::error!(partition = self.at.partition, %error, "groups cannot be read and are not served");
            return;
        }
        self.loaded.store(true, Ordering::Release);
        // Topics may have been deleted while nobody led the partition, or while it was read.
        let image = Arc::clone(&self.base.setup.image.borrow());
        self.topics_changed(&image);
        while !self.is_closed() {
            let writes = self.gathered();
            if writes.is_empty() {
                self.rest().await;
            } else {
                self.write(writes).await;
            }
        }
    }

    async fn load(&self) -> Result<(), Malformed> {
        let replicas = &self.base.setup.replicas;
        let position = loop {
            if self.is_closed() {
                return Ok(());
            }
            match replicas.position(self.at) {
                Some(position) if replicas.leader_epoch(self.at) == Some(self.epoch) => break position,
                _ => tokio::time::sleep(LOAD_RETRY).await,
            }
        };
        // What is in the log now may have been acknowledged by the former leader, even above our watermark.
        let (mut next, end) = (position.log_start, position.log_end);
        while next < end && !self.is_closed() {
            match replicas.read_committed(self.at, next, LOAD_BYTES) {
                Ok(batches) if !batches.is_empty() => next = self.replay(batches, next)?,
                _ => tokio::time::sleep(LOAD_RETRY).await,
            }
        }
        Ok(())
    }

    fn replay(&self, batches: Bytes, from: Offset) -> Result<Offset, Malformed> {
        let now = self.base.now();
        let mut groups = self.groups.lock();
        let mut next = from;
        for batch in record::batches(batches) {
            let Ok(batch) = batch else { break };
            next = batch.header.next_offset();
            if batch.header.is_control() {
                continue;
            }
            for record in batch.records(BATCH_LIMIT).into_iter().flatten().flatten() {
                let Some(key) = &record.key else { continue };
                if let Err(error) = groups.load(key, record.value.as_deref(), record.offset, now) {
                    // One unreadable record loses one group's state, not all groups of the partition.
                    tracing::warn!(partition = self.at.partition, offset = record.offset, %error, "skipped");
                }
            }
        }
        Ok(next)
    }

    /// What is to be written next: at least one write if there is any, more up to a batch.
    fn gathered(&self) -> Vec<Write> {
        let mut queue = self.queue.lock();
        let mut size = 0;
        let fits = queue.iter().take_while(|write| {
            let first = size == 0;
            size += write
                .records
                .iter()
                .map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len))
                .sum::<usize>();
            first || size <= BATCH_BYTES
        });
        let count = fits.count();
        queue.drain(..count).collect()
    }

    async fn write(&self, writes: Vec<Write>) {
        let outcome = self.append(&writes).await;
        let now = self.base.now();
        let mut more = Vec::new();
        {
            let mut groups = self.groups.lock();
            for write in writes {
                more.extend(groups.written(write, outcome, now));
            }
        }
        self.enqueue(more);
    }

    async fn append(&self, writes: &[Write]) -> Result<Offset, ResponseError> {
        let timestamp = self.base.setup.clock.now_ms();
        let mut batch = BatchBuilder::new();
        for (key, value) in writes.iter().flat_map(|write| &write.records) {
            batch.add(timestamp, Some(key), value.as_deref());
        }
        if batch.is_empty() {
            return Ok(-1);
        }
        let batch = batch.build().map_err(|_| ResponseError::InvalidRecord)?;
        let setup = &self.base.setup;
        let produced = setup
            .replicas
            .append_internal(self.at, batch, setup.write_timeout)
            .await;
        produced
            .map(|produced| produced.last_offset)
            .map_err(|refusal| refusal.code)
    }

    async fn rest(&self) {
        let deadline = self.groups.lock().next_deadline_ms().map(|at| self.base.instant(at));
        let idle = tokio::time::Instant::now() + IDLE;
        tokio::select! {
            () = self.wake.notified() => return,
            () = tokio::time::sleep_until(deadline.map_or(idle, |deadline| deadline.min(idle))) => {}
        }
        let now = self.base.now();
        let writes = self.groups.lock().tick(now);
        self.enqueue(writes);
    }

    fn enqueue(&self, writes: Vec<Write>) {
        if !writes.is_empty() {
            self.queue.lock().extend(writes);
            self.wake.notify_one();
        }
    }

    /// Lets the groups decide and queues what they want written. Wakes the task, because deadlines may have come nearer.
    fn decide<T>(&self, act: impl FnOnce(&mut Groups, Now) -> (T, Vec<Write>)) -> T {
        let now = self.base.now();
        let mut groups = self.groups.lock();
        let (result, writes) = act(&mut groups, now);
        // Queued under the lock, or two decisions could be written in the other order.
        self.queue.lock().extend(writes);
        drop(groups);
        self.wake.notify_one();
        result
    }

    pub async fn join(&self, request: JoinRequest) -> Joined {
        let (reply, answer) = oneshot::channel();
        let id = request.member_id.clone();
        self.decide(|groups, now| ((), groups.join(request, reply, now)));
        answer
            .await
            .unwrap_or_else(|_| Joined::failed(ResponseError::NotCoordinator, id))
    }

    pub async fn sync(&self, request: SyncRequest) -> Synced {
        let (reply, answer) = oneshot::channel();
        self.decide(|groups, now| ((), groups.sync(request, reply, now)));
        answer
            .await
            .unwrap_or_else(|_| Synced::failed(ResponseError::NotCoordinator))
    }

    /// # Errors
    /// The protocol's.
    pub fn heartbeat(
        &self,
        group: &str,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        // A heartbeat only moves a deadline away, so the task need not wake.
        self.groups
            .lock()
            .heartbeat(group, id, instance, generation, self.base.now())
    }

    /// One outcome for each leaver.
    pub fn leave(&self, group: &str, leavers: &[Leaver]) -> Vec<Outcome> {
        self.decide(|groups, now| groups.leave(group, leavers, now))
    }

    /// Commits what `accepts` lets through; each refused one is told by the caller.
    ///
    /// # Errors
    /// The protocol's, for all of them.
    pub async fn commit(&self, by: &Committer, commits: Vec<Commit>) -> Outcome {
        let (reply, answer) = oneshot::channel();
        self.decide(|groups, now| match groups.may_commit(by, now) {
            Ok(()) => (Ok(()), vec![groups.commit(&by.group, commits, reply, now)]),
            Err(error) => (Err(error), Vec::new()),
        })?;
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    pub fn accepts_metadata(&self, metadata: &str) -> bool {
        self.groups.lock().accepts_metadata(metadata)
    }

    /// Offset, leader epoch and metadata of one commit.
    pub fn offset(&self, group: &str, topic: &str, partition: i32) -> Option<(Offset, Epoch, String)> {
        let groups = self.groups.lock();
        groups
            .offset(group, topic, partition)
            .map(|c| (c.offset, c.leader_epoch, c.metadata.clone()))
    }

    /// Every topic and partition the group has committed, in order.
    pub fn committed(&self, group: &str) -> Vec<(String, i32)> {
        self.groups
            .lock()
            .offsets(group)
            .map(|(topic, partition, _)| (topic.to_owned(), partition))
            .collect()
    }

    /// # Errors
    /// The protocol's.
    pub async fn delete(&self, group: &str) -> Outcome {
        let (reply, answer) = oneshot::channel();
        self.decide(|groups, _| ((), groups.delete(group, reply)));
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    /// Deletes offsets; what is returned are the topics that members still subscribe to, whose offsets stay.
    ///
    /// # Errors
    /// The protocol's, for all of them.
    pub async fn delete_offsets(
        &self,
        group: &str,
        offsets: &[(String, i32)],
    ) -> Result<std::collections::BTreeSet<String>, ResponseError> {
        let (reply, answer) = oneshot::channel();
        let subscribed = self.decide(|groups, _| match groups.delete_offsets(group, offsets, reply) {
            Ok((subscribed, write)) => (Ok(subscribed), vec![write]),
            Err((error, _)) => (Err(error), Vec::new()),
        })?;
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))?;
        Ok(subscribed)
    }

    pub fn list(&self) -> Vec<Listing> {
        self.groups.lock().list()
    }

    pub fn describe(&self, group: &str) -> Option<Description> {
        self.groups.lock().describe(group)
    }
}
