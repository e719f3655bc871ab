//! Following a topic: records of some partitions from a place on, through a bounded channel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::{Live, close_aside, config, failure, record};
use crate::model::Moment;
use crate::model::record::Record;
use crate::source::Error;
use crate::source::kafka::Target;
use crate::source::kafka::security::Callbacks;

/// What to read.
#[derive(Debug, Clone)]
pub struct TailRequest {
    pub topic: String,
    pub partitions: Vec<i32>,
    pub start: Start,
    /// Go on at the end of the log; otherwise the tail ends there.
    pub follow: bool,
    /// Records held for a reader that is slower than the log.
    pub capacity: usize,
    pub overflow: Overflow,
}

/// Where to begin, in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Beginning,
    End,
    /// So many records before the end.
    Last(u32),
    /// This offset, or the next that there is.
    Offset(u64),
    /// The first record with this timestamp or a later one.
    At(Moment),
}

/// What happens when the reader is slower than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The log waits: every record arrives.
    Wait,
    /// New records are dropped and counted: a screen shows what is going on now.
    Drop,
}

/// A running tail. It stops when dropped.
#[derive(Debug)]
pub struct Tail {
    records: mpsc::Receiver<Result<Record, Error>>,
    dropped: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Tail {
    /// The next record, or what goes wrong meanwhile; reading goes on after an error unless `None` follows.
    pub async fn next(&mut self) -> Option<Result<Record, Error>> {
        self.records.recv().await
    }

    /// Records that a slow reader has missed so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts reading on the current tokio runtime. Nothing is committed and no group is joined.
pub fn tail(target: &Target, request: TailRequest) -> Result<Tail, Error> {
    // librdkafka assigns partitions only to a consumer with a group id, although assigning joins no group.
    let ours = [
        ("group.id", "azimuth-tail"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "earliest"),
        ("queued.min.messages", "1000"),
        ("queued.max.messages.kbytes", "16384"),
    ];
    let patience = target.deadlines.call;
    let live = Live::new();
    let consumer: StreamConsumer<Callbacks> = config(target, &ours)
        .create_with_context(target.security.context())
        .map_err(|error| failure("the tail", &error, patience))?;
    let (sender, records) = mpsc::channel(request.capacity.max(1));
    let dropped = Arc::new(AtomicU64::new(0));
    let run = Run {
        consumer: Some(Arc::new(consumer)),
        live: Some(live),
        request,
        sender,
        dropped: Arc::clone(&dropped),
        patience,
    };
    let task = tokio::spawn(run.run()).abort_handle();
    Ok(Tail { records, dropped, task })
}

struct Run {
    /// `None` only while it is being closed.
    consumer: Option<Arc<StreamConsumer<Callbacks>>>,
    live: Option<Live>,
    request: TailRequest,
    sender: mpsc::Sender<Result<Record, Error>>,
    dropped: Arc<AtomicU64>,
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
            let _ = self.sender.send(Err(error)).await;
        }
    }

    async fn read(&self) -> Result<(), Error> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let places = self.places(consumer).await?;
        let wrong = |error| failure("the tail", &error, self.patience);
        consumer.assign(&places).map_err(wrong)?;
        let mut unfinished: BTreeSet<i32> = self.request.partitions.iter().copied().collect();
        loop {
            if !self.request.follow && unfinished.is_empty() {
                return Ok(());
            }
            let item = match consumer.recv().await {
                Ok(message) => Ok(record(&message)),
                Err(KafkaError::PartitionEOF(partition)) => {
                    unfinished.remove(&partition);
                    continue;
                }
                Err(error) => Err(wrong(error)),
            };
            if !self.hand_over(item).await {
                return Ok(());
            }
        }
    }

    /// False once nobody reads any more.
    async fn hand_over(&self, item: Result<Record, Error>) -> bool {
        if self.request.overflow == Overflow::Wait {
            return self.sender.send(item).await.is_ok();
        }
        match self.sender.try_send(item) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    async fn places(&self, consumer: &Arc<StreamConsumer<Callbacks>>) -> Result<TopicPartitionList, Error> {
        let Start::At(moment) = self.request.start else {
            return self.list(self.offset());
        };
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
        let mut list = TopicPartitionList::new();
        for partition in &self.request.partitions {
            list.add_partition_offset(&self.request.topic, *partition, offset)
                .map_err(|error| failure("the tail", &error, self.patience))?;
        }
        Ok(list)
    }
}
