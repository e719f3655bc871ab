//! Reading a topic: records of some partitions from a place on, through a channel bounded in records and in bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::{Live, close_aside, config, failure, record};
use crate::model::Moment;
use crate::model::record::Record;
use crate::model::record::filter::Filter;
use crate::model::record::range::{Start, Until};
use crate::source::Error;
use crate::source::kafka::Target;
use crate::source::kafka::security::Callbacks;

/// Bytes of records held for a reader that is slower than the log.
const HELD_BYTES: usize = 16 << 20;

/// What to read.
#[derive(Debug, Clone)]
pub struct TailRequest {
    pub topic: String,
    pub partitions: Vec<i32>,
    pub start: Start,
    pub until: Until,
    /// Only these records arrive; the others are counted in [`Tail::read`].
    pub filter: Filter,
    /// Stop after so many records that arrived.
    pub limit: Option<u64>,
    /// Leave out records of transactions that are open or were aborted.
    pub read_committed: bool,
    /// Records held for a reader that is slower than the log; bytes are bounded too.
    pub capacity: usize,
    pub overflow: Overflow,
}

/// What happens when the reader is slower than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The log waits: every record arrives.
    Wait,
    /// New records are dropped and counted: a screen shows what is going on now.
    Drop,
}

/// A record with its share of the bytes that may be held.
type Held = (Result<Record, Error>, Option<OwnedSemaphorePermit>);

/// A running tail. It stops when dropped.
#[derive(Debug)]
pub struct Tail {
    records: mpsc::Receiver<Held>,
    counts: Arc<Counts>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    dropped: AtomicU64,
}

impl Tail {
    /// The next record, or what goes wrong meanwhile; reading goes on after an error unless `None` follows.
    pub async fn next(&mut self) -> Option<Result<Record, Error>> {
        self.records.recv().await.map(|(item, _)| item)
    }

    /// The next record if one is waiting.
    pub fn try_next(&mut self) -> Option<Result<Record, Error>> {
        self.records.try_recv().ok().map(|(item, _)| item)
    }

    /// Records that a slow reader has missed so far.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Records read so far, wanted or not.
    pub fn read(&self) -> u64 {
        self.counts.read.load(Ordering::Relaxed)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts reading on the current tokio runtime. Nothing is committed and no group is joined.
pub fn tail(target: &Target, request: TailRequest) -> Result<Tail, Error> {
    let isolation = match request.read_committed {
        true => "read_committed",
        false => "read_uncommitted",
    };
    // librdkafka assigns partitions only to a consumer with a group id, although assigning joins no group.
    let ours = [
        ("group.id", "azimuth-tail"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", isolation),
        ("queued.min.messages", "1000"),
        ("queued.max.messages.kbytes", "16384"),
    ];
    let patience = target.deadlines.call;
    let live = Live::new();
    let consumer: StreamConsumer<Callbacks> = config(target, &ours)
        .create_with_context(target.security.context())
        .map_err(|error| failure("the tail", &error, patience))?;
    let (sender, records) = mpsc::channel(request.capacity.max(1));
    let counts = Arc::new(Counts::default());
    let run = Run {
        consumer: Some(Arc::new(consumer)),
        live: Some(live),
        request,
        sender,
        counts: Arc::clone(&counts),
        bytes: Arc::new(Semaphore::new(HELD_BYTES)),
        patience,
    };
    let task = tokio::spawn(run.run()).abort_handle();
    Ok(Tail { records, counts, task })
}

struct Run {
    /// `None` only while it is being closed.
    consumer: Option<Arc<StreamConsumer<Callbacks>>>,
    live: Option<Live>,
    request: TailRequest,
    sender: mpsc::Sender<Held>,
    counts: Arc<Counts>,
    bytes: Arc<Semaphore>,
    patience: Duration,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            close_aside((consumer, self.live.take()));
        }
    }
}

/// The first error that no waiting will mend.
async fn refusal(consumer: &StreamConsumer<Callbacks>) -> KafkaError {
    loop {
        if let Err(error) = consumer.recv().await
            && matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
            )
        {
            return error;
        }
    }
}

impl Run {
    async fn run(self) {
        if let Err(error) = self.read().await {
            // Nobody reads any more when this fails.
            let _ = self.sender.send((Err(error), None)).await;
        }
    }

    async fn read(&self) -> Result<(), Error> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let ends = self.ends(consumer).await?;
        let places = self.places(consumer).await?;
        let wrong = |error| failure("the tail", &error, self.patience);
        consumer.assign(&places).map_err(wrong)?;
        let mut left = self.request.limit.unwrap_or(u64::MAX);
        let follows = self.request.until == Until::Followed;
        // An offset beyond the end is out of range, and librdkafka then begins at the earliest.
        let first = match self.request.start {
            Start::Offset(offset) => i64::try_from(offset).unwrap_or(i64::MAX),
            _ => 0,
        };
        let mut unfinished: BTreeSet<i32> = self.request.partitions.iter().copied().collect();
        unfinished.retain(|partition| ends.get(partition) != Some(&0));
        while follows || !unfinished.is_empty() {
            let message = match consumer.recv().await {
                Ok(message) => message,
                Err(KafkaError::PartitionEOF(partition)) => {
                    if !follows {
                        unfinished.remove(&partition);
                    }
                    continue;
                }
                Err(error) => {
                    if !self.hand_over(Err(wrong(error))).await {
                        return Ok(());
                    }
                    continue;
                }
            };
            let record = record(&message);
            let partition = record.partition;
            if !follows && !unfinished.contains(&partition) {
                continue;
            }
            let end = ends.get(&partition).copied().unwrap_or(i64::MAX);
            let is_past = record.offset >= end;
            let is_last = is_past || record.offset == end - 1;
            if !is_past && record.offset >= first {
                self.counts.read.fetch_add(1, Ordering::Relaxed);
                if self.request.filter.lets(&record) {
                    left -= 1;
                    if !self.hand_over(Ok(record)).await || left == 0 {
                        return Ok(());
                    }
                }
            }
            if is_last && unfinished.remove(&partition) {
                // What it still sends is not wanted, and must not hold up the others.
                let done = self.list_of([partition], Offset::Invalid)?;
                consumer.pause(&done).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// False once nobody reads any more.
    async fn hand_over(&self, item: Result<Record, Error>) -> bool {
        let size = item.as_ref().map_or(0, Record::size_bytes);
        // One record larger than all that may be held goes alone.
        let wanted = size.min(HELD_BYTES) as u32;
        let permit = match self.request.overflow {
            Overflow::Wait => Arc::clone(&self.bytes).acquire_many_owned(wanted).await.ok(),
            Overflow::Drop => match Arc::clone(&self.bytes).try_acquire_many_owned(wanted) {
                Ok(permit) => Some(permit),
                Err(_) => return self.missed(),
            },
        };
        if self.request.overflow == Overflow::Wait {
            return self.sender.send((item, permit)).await.is_ok();
        }
        match self.sender.try_send((item, permit)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => self.missed(),
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    fn missed(&self) -> bool {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        !self.sender.is_closed()
    }

    /// The offset before which each partition ends, as far as one was asked for.
    async fn ends(&self, consumer: &Arc<StreamConsumer<Callbacks>>) -> Result<BTreeMap<i32, i64>, Error> {
        match &self.request.until {
            Until::Followed | Until::End => Ok(BTreeMap::new()),
            Until::Offsets(ends) => Ok(ends.clone()),
            Until::At(moment) => {
                let found = self.at(consumer, *moment).await?;
                let ends = found.elements().into_iter().filter_map(|place| match place.offset() {
                    Offset::Offset(offset) => Some((place.partition(), offset)),
                    // Nothing is that late: the log's end is the end.
                    _ => None,
                });
                Ok(ends.collect())
            }
        }
    }

    async fn places(&self, consumer: &Arc<StreamConsumer<Callbacks>>) -> Result<TopicPartitionList, Error> {
        match self.request.start {
            Start::At(moment) => self.at(consumer, moment).await,
            _ => self.list(self.offset()),
        }
    }

    /// The offsets of the first records with this timestamp or a later one.
    async fn at(&self, consumer: &Arc<StreamConsumer<Callbacks>>, moment: Moment) -> Result<TopicPartitionList, Error> {
        let times = self.list(Offset::Offset(moment.as_millisecond()))?;
        let (blocked, patience) = (Arc::clone(consumer), self.patience);
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = blocked.offsets_for_times(times, patience);
            // Closing waits for librdkafka's threads, which is for this thread when the tail is gone meanwhile.
            drop(blocked);
            found
        });
        let wrong = |error| failure("looking up the time", &error, self.patience);
        // Nothing is assigned yet: what arrives meanwhile is a request for a token, or why there is no login.
        tokio::select! {
            found = looked_up => found
                .map_err(|error| Error::Local(format!("cannot look up the time: {error}")))?
                .map_err(wrong),
            error = refusal(consumer) => Err(wrong(error)),
        }
    }

    fn offset(&self) -> Offset {
        match self.request.start {
            Start::Beginning => Offset::Beginning,
            Start::Last(records) if records > 0 => Offset::OffsetTail(i64::from(records)),
            Start::Offset(offset) => Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)),
            Start::End | Start::Last(_) | Start::At(_) => Offset::End,
        }
    }

    fn list(&self, offset: Offset) -> Result<TopicPartitionList, Error> {
        self.list_of(self.request.partitions.iter().copied(), offset)
    }

    fn list_of(&self, partitions: impl IntoIterator<Item = i32>, offset: Offset) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(&self.request.topic, partition, offset)
                .map_err(|error| failure("the tail", &error, self.patience))?;
        }
        Ok(list)
    }
}
