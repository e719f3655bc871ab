//! One partition of `__transaction_state` while this node leads it.
//!
//! Everything that is decided goes through one queue and one task, which appends what has gathered as one batch; the
//! markers of ended transactions are written by tasks of their own, so that a leader that is gone holds up its own
//! transactions and no others.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Tasks, TransactionSetup, marker};
use crate::coordinator::keeper::Kept;
use crate::coordinator::loading::load;
use crate::coordinator::tenure::{State, Tenure};
use crate::id::{Epoch, TopicPartition};
use crate::image::feature;
use crate::record::BatchBuilder;
use crate::replica::Verify;
use crate::txn::{Ending, Init, Listing, Markers, Place, Producer, Transaction, Transactions, Write, record};

/// A batch of gathered writes is closed at so many; each is some hundred bytes.
const BATCH_WRITES: usize = 1_000;
/// Decompressed records of one batch while loading.
const BATCH_LIMIT: usize = 64 << 20;
/// How soon an end is written again that could not be: the log has no leader, or too few replicas.
const COMPLETE_RETRY: Duration = Duration::from_millis(100);

/// The transactional ids of one partition in one leader epoch.
pub struct TransactionShard {
    at: TopicPartition,
    epoch: Epoch,
    setup: Arc<TransactionSetup>,
    tasks: Tasks,
    tenure: Tenure<Transactions>,
}

impl State for Transactions {
    type Write = Write;

    fn resign(&mut self) {
        Transactions::resign(self);
    }
}

impl Kept for TransactionShard {
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

impl TransactionShard {
    pub(super) fn new(at: TopicPartition, epoch: Epoch, setup: Arc<TransactionSetup>, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            at,
            epoch,
            tenure: Tenure::of(Transactions::new(setup.settings)),
            setup,
            tasks,
        })
    }

    /// Loads, finishes what the former leader decided, then writes and keeps time until closed.
    async fn run(self: Arc<Self>) {
        let replay = |batch: crate::record::Batch| {
            if batch.header.is_control() {
                return;
            }
            let mut transactions = self.tenure.state();
            for record in batch.records(BATCH_LIMIT).into_iter().flatten().flatten() {
                let Some(key) = &record.key else { continue };
                if let Err(error) = transactions.load(key, record.value.as_deref()) {
                    // One unreadable record loses one id's state, not all ids of the partition.
                    tracing::warn!(partition = self.at.partition, offset = record.offset, %error, "skipped");
                }
            }
        };
        load(
            &self.setup.replicas,
            self.at,
            self.epoch,
            || self.tenure.is_closed(),
            replay,
        )
        .await;
        let unfinished = self.tenure.state().unfinished();
        for markers in unfinished {
            self.send(markers);
        }
        self.tenure.begin();
        let mut abort_at = Instant::now() + self.setup.abort_interval;
        let mut expire_at = Instant::now() + self.setup.expire_interval;
        while !self.tenure.is_closed() {
            let writes = self.gathered();
            if !writes.is_empty() {
                self.write(writes).await;
            } else {
                tokio::select! {
                    () = self.tenure.woken() => {}
                    () = tokio::time::sleep_until(abort_at.min(expire_at)) => {}
                }
            }
            let now = Instant::now();
            if now >= abort_at {
                abort_at = now + self.setup.abort_interval;
                self.decide(|transactions, now_ms| ((), transactions.abort_timed_out(now_ms)));
            }
            if now >= expire_at {
                expire_at = now + self.setup.expire_interval;
                self.decide(|transactions, now_ms| ((), transactions.expire(now_ms)));
            }
        }
        // What was written last may have had consequences.
        self.close();
    }

    fn gathered(&self) -> Vec<Write> {
        let mut queue = self.tenure.queue();
        let count = queue.len().min(BATCH_WRITES);
        queue.drain(..count).collect()
    }

    async fn write(self: &Arc<Self>, writes: Vec<Write>) {
        let outcome = self.append(&writes).await;
        let markers: Vec<Markers> = {
            let mut transactions = self.tenure.state();
            let told = writes.into_iter().map(|write| transactions.written(write, outcome));
            told.flatten().collect()
        };
        for markers in markers {
            self.send(markers);
        }
    }

    async fn append(&self, writes: &[Write]) -> Result<(), ResponseError> {
        let setup = &self.setup;
        let timestamp = setup.clock.now_ms();
        let flexible = feature::is_on(&setup.image.borrow(), feature::TRANSACTION_VERSION);
        let mut batch = BatchBuilder::new();
        for write in writes {
            let value = write.to.as_ref().map(|to| record::value(to, flexible));
            batch.add(timestamp, Some(&record::key(&write.id)), value.as_deref());
        }
        let batch = batch.build().map_err(|_| ResponseError::InvalidRecord)?;
        let appended = setup
            .replicas
            .append_internal(self.at, batch, setup.timeout, Verify::Off);
        appended.await.map(|_| ()).map_err(|refusal| refusal.code)
    }

    /// Has markers written by all leaders, and then the end of the transaction.
    fn send(self: &Arc<Self>, markers: Markers) {
        let shard = Arc::clone(self);
        self.tasks.spawn(async move {
            let epoch = shard.epoch;
            if !marker::write_all(&shard.setup, &markers, epoch, || shard.tenure.is_closed()).await {
                return;
            }
            while !shard.tenure.is_closed() {
                let (reply, answer) = oneshot::channel();
                shard.decide(|transactions, now_ms| {
                    let write = transactions.complete(&markers, reply, now_ms);
                    ((), write.into_iter().collect())
                });
                match answer.await {
                    Ok(Err(_)) => tokio::time::sleep(COMPLETE_RETRY).await,
                    _ => return,
                }
            }
        });
    }

    /// Lets the transactions decide and queues what they want written.
    fn decide<T>(&self, act: impl FnOnce(&mut Transactions, i64) -> (T, Vec<Write>)) -> T {
        let now_ms = self.setup.clock.now_ms();
        self.tenure.decide(|transactions| act(transactions, now_ms))
    }

    /// Makes the asker the only producer of `id`.
    ///
    /// # Errors
    /// The protocol's.
    pub async fn init(&self, id: &str, init: Init) -> Result<Producer, ResponseError> {
        let (reply, answer) = oneshot::channel();
        self.decide(|transactions, now_ms| ((), transactions.init(id, init, reply, now_ms).into_iter().collect()));
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    /// Adds partitions to a producer's transaction, which begins with the first.
    ///
    /// # Errors
    /// The protocol's.
    pub async fn add(&self, id: &str, by: Producer, places: Vec<Place>, version: i16) -> Result<(), ResponseError> {
        let (reply, answer) = oneshot::channel();
        self.decide(|transactions, now_ms| {
            let write = transactions.add(id, by, places, version, reply, now_ms);
            ((), write.into_iter().collect())
        });
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    /// Whether partitions are part of a producer's transaction; one answer for each.
    pub fn verify(&self, id: &str, by: Producer, places: &[Place]) -> Vec<Result<(), ResponseError>> {
        self.tenure.state().verify(id, by, places)
    }

    /// Ends a producer's transaction; the answer is who it is from now on.
    ///
    /// # Errors
    /// The protocol's.
    pub async fn end(&self, id: &str, ending: Ending) -> Result<Producer, ResponseError> {
        let (reply, answer) = oneshot::channel();
        self.decide(|transactions, now_ms| ((), transactions.end(id, ending, reply, now_ms).into_iter().collect()));
        answer.await.unwrap_or(Err(ResponseError::NotCoordinator))
    }

    /// All ids, in order.
    pub fn list(&self) -> Vec<Listing> {
        self.tenure.state().list(self.setup.clock.now_ms())
    }

    pub fn describe(&self, id: &str) -> Option<Transaction> {
        self.tenure.state().describe(id).cloned()
    }
}
