//! One partition of `__consumer_offsets` while this node leads it.
//!
//! Everything that is decided goes through one queue and one task, which appends what has gathered as one batch
//! (group commit), so the log has the order of the decisions and a busy partition needs few round trips.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::Base;
use super::keeper::Kept;
use super::loading::load;
use super::tenure::{State, Tenure};
use crate::group::{
    Beat, Beaten, Commit, Committer, ConsumerDescription, Description, Ended, Groups, InTransaction, JoinRequest,
    Joined, Kind, Leaver, Listing, Now, Outcome, SyncRequest, Synced, Write, is_not_written,
};
use crate::id::{Epoch, Offset, TopicPartition};
use crate::image::Image;
use crate::record::{self, Batch, BatchBuilder, Marker};
use crate::replica::{Guard, Verify};

/// A batch of gathered writes is closed at this size; one write alone may be larger.
const BATCH_BYTES: usize = 512 << 10;
/// Decompressed records of one batch while loading.
const BATCH_LIMIT: usize = 64 << 20;
/// Without any deadline: how often to look for expired offsets (`offsets.retention.check.interval.ms`).
const IDLE: Duration = Duration::from_secs(600);

/// The groups of one partition in one leader epoch.
pub struct Shard {
    at: TopicPartition,
    epoch: Epoch,
    base: Arc<Base>,
    tenure: Tenure<Groups>,
}

impl State for Groups {
    type Write = Write;

    fn resign(&mut self) {
        Groups::resign(self);
    }
}

impl Kept for Shard {
    fn place(&self) -> (TopicPartition, Epoch) {
        (self.at, self.epoch)
    }

    fn is_loaded(&self) -> bool {
        self.tenure.is_loaded()
    }

    fn close(&self) {
        self.tenure.close();
    }

    fn work(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        self.run()
    }
}

impl Shard {
    pub(super) fn new(at: TopicPartition, epoch: Epoch, base: Arc<Base>) -> Arc<Self> {
        Arc::new(Self {
            at,
            epoch,
            tenure: Tenure::of(Groups::new(base.setup.settings.clone())),
            base,
        })
    }

    pub(super) fn topics_changed(&self, image: &Image) {
        if self.is_loaded() {
            self.decide(|groups, _| ((), groups.forget_topics(|topic| image.topic_named(topic).is_some())));
        }
    }

    /// Metadata changed; `moved`: topics came, went or got partitions.
    pub(super) fn see(&self, image: &Arc<Image>, moved: bool) {
        self.tenure.state().see(image, moved);
    }

    /// Loads, then writes and keeps time until closed.
    async fn run(self: Arc<Self>) {
        self.load().await;
        self.tenure.state().loaded(self.base.now());
        self.tenure.begin();
        // Topics may have been deleted while nobody led the partition, or while it was read.
        let image = Arc::clone(&self.base.setup.image.borrow());
        self.topics_changed(&image);
        while !self.tenure.is_closed() {
            let writes = self.gathered();
            if writes.is_empty() {
                self.rest().await;
            } else {
                self.write(writes).await;
            }
        }
        // What was written last may have had consequences.
        self.close();
    }

    async fn load(&self) {
        let replicas = &self.base.setup.replicas;
        load(
            replicas,
            self.at,
            self.epoch,
            || self.tenure.is_closed(),
            |batch| self.replay(&batch),
        )
        .await;
    }

    fn replay(&self, batch: &Batch) {
        let now = self.base.now();
        let mut groups = self.tenure.state();
        let header = &batch.header;
        if let Some(marker) = Marker::of(batch) {
            groups.transaction_ended(Ended {
                producer: header.producer_id,
                epoch: header.producer_epoch,
                committed: marker.committed,
                coordinator_epoch: marker.coordinator_epoch,
            });
        }
        if header.is_control() {
            return;
        }
        let transaction = header.is_transactional().then_some(InTransaction {
            producer: header.producer_id,
            epoch: header.producer_epoch,
            ticket: None,
        });
        for record in batch.records(BATCH_LIMIT).into_iter().flatten().flatten() {
            let Some(key) = &record.key else { continue };
            if let Err(error) = groups.load(key, record.value.as_deref(), record.offset, transaction, now) {
                // One unreadable record loses one group's state, not all groups of the partition.
                tracing::warn!(partition = self.at.partition, offset = record.offset, %error, "skipped");
            }
        }
    }

    /// What is to be written next: at least one write if there is any, more up to a batch. What belongs to a transaction is
    /// written alone.
    fn gathered(&self) -> Vec<Write> {
        let mut queue = self.tenure.queue();
        if queue.first().is_some_and(|write| write.kind != Kind::Plain) {
            return queue.drain(..1).collect();
        }
        let mut size = 0;
        let plain = queue.iter().take_while(|write| write.kind == Kind::Plain);
        let fits = plain.take_while(|write| {
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
        self.decide(|groups, now| {
            let mut more = Vec::new();
            if outcome.is_err_and(is_not_written) {
                // What was decided upon it later goes with it, the last first.
                let later = self.built_on(&writes);
                for write in writes.into_iter().chain(later).rev() {
                    more.extend(groups.written(write, outcome, now));
                }
            } else {
                for write in writes {
                    more.extend(groups.written(write, outcome, now));
                }
            }
            ((), more)
        });
    }

    /// Takes out of the queue what builds on turns that could not be written. The groups are locked, so nothing follows.
    fn built_on(&self, failed: &[Write]) -> Vec<Write> {
        let groups: BTreeSet<&str> = failed
            .iter()
            .filter(|write| write.is_turn())
            .map(|write| write.group.as_str())
            .collect();
        let builds = |write: &mut Write| write.is_turn() && groups.contains(write.group.as_str());
        self.tenure.queue().extract_if(.., builds).collect()
    }

    async fn append(&self, writes: &[Write]) -> Result<Offset, ResponseError> {
        let timestamp = self.base.setup.clock.now_ms();
        let (batch, verify) = match writes.first().map_or(Kind::Plain, |write| write.kind) {
            Kind::Plain => (records(BatchBuilder::new(), writes, timestamp), Verify::Off),
            Kind::InTransaction(by) => {
                // Offsets are not numbered in sequence: the batch has none, as in Kafka.
                let batch = BatchBuilder::new().producer(by.producer, by.epoch, -1).transactional();
                let verify = match self.base.setup.verify_transactions {
                    true => Verify::With(by.ticket.map(Guard)),
                    false => Verify::Off,
                };
                (records(batch, writes, timestamp), verify)
            }
            Kind::End(ended) => {
                let marker = Marker {
                    committed: ended.committed,
                    coordinator_epoch: ended.coordinator_epoch,
                };
                let batch = marker.batch(timestamp, ended.producer, ended.epoch);
                (batch.map(Some), Verify::Off)
            }
        };
        let Some(batch) = batch.map_err(|_| ResponseError::InvalidRecord)? else {
            return Ok(-1);
        };
        let setup = &self.base.setup;
        let produced = setup
            .replicas
            .append_internal(self.at, batch, setup.write_timeout, verify)
            .await;
        produced
            .map(|produced| produced.last_offset)
            .map_err(|refusal| refusal.code)
    }

    async fn rest(&self) {
        let deadline = self.tenure.state().next_deadline_ms();
        let deadline = deadline.map(|at| self.base.instant(at));
        let idle = tokio::time::Instant::now() + IDLE;
        tokio::select! {
            () = self.tenure.woken() => return,
            () = tokio::time::sleep_until(deadline.map_or(idle, |deadline| deadline.min(idle))) => {}
        }
        self.decide(|groups, now| ((), groups.tick(now)));
    }

    /// Lets the groups decide and queues what they want written.
    fn decide<T>(&self, act: impl FnOnce(&mut Groups, Now) -> (T, Vec<Write>)) -> T {
        let now = self.base.now();
        self.tenure.decide(|groups| act(groups, now))
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
        self.tenure
            .state()
            .heartbeat(group, id, instance, generation, self.base.now())
    }

    /// A heartbeat of the consumer protocol; only topics that are `visible` count for its regular expression.
    pub async fn beat(&self, beat: Beat, visible: impl Fn(&str) -> bool) -> Beaten {
        let (reply, answer) = oneshot::channel();
        self.decide(|groups, now| ((), groups.beat(beat, &visible, reply, now)));
        answer
            .await
            .unwrap_or_else(|_| Beaten::refused((ResponseError::NotCoordinator, None)))
    }

    /// Whether a member, by id and epoch, may ask for its group's offsets; who names none may.
    ///
    /// # Errors
    /// The protocol's.
    pub fn may_fetch(&self, group: &str, member: (&str, i32)) -> Result<(), ResponseError> {
        self.tenure.state().may_fetch(group, member)
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

    /// Commits offsets when a producer's transaction is committed.
    ///
    /// # Errors
    /// The protocol's, for all of them.
    pub async fn commit_later(&self, by: &Committer, transaction: InTransaction, commits: Vec<Commit>) -> Outcome {
        let (reply, answer) = oneshot::channel();
        self.decide(|groups, now| match groups.may_commit_later(by, now) {
            Ok(()) => {
                let write = groups.commit_later(&by.group, transaction, commits, reply, now);
                (Ok(()), vec![write])
            }
            Err(error) => (Err(error), Vec::new()),
        })?;
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    /// Ends a producer's transaction in this partition.
    ///
    /// # Errors
    /// The protocol's.
    pub async fn end_transaction(&self, ended: Ended) -> Outcome {
        let (reply, answer) = oneshot::channel();
        self.decide(|groups, _| ((), vec![groups.end_transaction(ended, reply)]));
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    /// Announces that the transaction coordinator is asked whether offsets may begin a producer's transaction here; `None` if
    /// they are part of one that is open.
    ///
    /// # Errors
    /// The protocol's.
    pub fn begin_verification(&self, producer: i64, epoch: i16) -> Result<Option<u64>, ResponseError> {
        let header = record::Header::of_producer(producer, epoch);
        let guard = self.base.setup.replicas.begin_verification(self.at, &header);
        guard
            .map(|guard| guard.map(|guard| guard.0))
            .map_err(|refusal| refusal.code)
    }

    /// Whether a transaction may still change an offset.
    pub fn is_unstable(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.tenure.state().is_unstable(group, topic, partition)
    }

    /// The partition of the offsets topic that this is.
    pub fn partition(&self) -> i32 {
        self.at.partition
    }

    pub fn accepts_metadata(&self, metadata: &str) -> bool {
        self.tenure.state().accepts_metadata(metadata)
    }

    /// Offset, leader epoch and metadata of one commit.
    pub fn offset(&self, group: &str, topic: &str, partition: i32) -> Option<(Offset, Epoch, String)> {
        let groups = self.tenure.state();
        groups
            .offset(group, topic, partition)
            .map(|c| (c.offset, c.leader_epoch, c.metadata.clone()))
    }

    /// Every topic and partition the group has committed, in order.
    pub fn committed(&self, group: &str) -> Vec<(String, i32)> {
        self.tenure
            .state()
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
        self.tenure.state().list()
    }

    pub fn describe_consumer(&self, group: &str) -> Option<ConsumerDescription> {
        self.tenure.state().describe_consumer(group, self.base.now())
    }

    pub fn describe(&self, group: &str) -> Option<Description> {
        self.tenure.state().describe(group)
    }
}

/// A batch of all records of `writes`; `None` without any.
fn records(mut batch: BatchBuilder, writes: &[Write], timestamp: i64) -> Result<Option<Bytes>, record::Error> {
    for (key, value) in writes.iter().flat_map(|write| &write.records) {
        batch.add(timestamp, Some(key), value.as_deref());
    }
    match batch.is_empty() {
        true => Ok(None),
        false => batch.build().map(Some),
    }
}
