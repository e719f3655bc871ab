//! The leader's side of Fetch: read, and wait for more without polling.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::leader::Position;
use super::partition::{Isr, Partition};
use super::{Refusal, ReplicaManager};
use crate::id::{Epoch, NodeId, Offset, TopicPartition};

/// One fetch of many partitions.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    /// Consumers see only what is committed.
    pub reader: Reader,
    pub max_wait: Duration,
    pub min_bytes: usize,
    pub max_bytes: usize,
}

/// Who fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Consumer,
    Follower {
        id: NodeId,
        /// -1 before Fetch v15.
        broker_epoch: i64,
    },
}

/// What is asked of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchFrom {
    pub at: TopicPartition,
    pub offset: Offset,
    pub max_bytes: usize,
    /// -1 for any.
    pub current_leader_epoch: Epoch,
    /// The epoch of the record before `offset`; -1 when unknown.
    pub last_fetched_epoch: Epoch,
    /// The follower's; -1 from a consumer.
    pub log_start: Offset,
}

/// What one partition has to give.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub at: TopicPartition,
    pub error: Option<ResponseError>,
    /// -1 with an error.
    pub high_watermark: Offset,
    pub log_start: Offset,
    /// In the pieces they were appended or read in; empty when there are none.
    pub records: Vec<Bytes>,
    /// The reader's history differs from here on: the epoch it named, or the greatest before it, ends here.
    pub diverging: Option<(Epoch, Offset)>,
    /// Who leads instead, if the error says that this node does not.
    pub leader: Option<(NodeId, Epoch)>,
}

impl Fetched {
    /// Nothing but an error.
    pub fn refused(at: TopicPartition, error: ResponseError) -> Self {
        Self {
            at,
            error: Some(error),
            high_watermark: -1,
            log_start: -1,
            records: Vec::new(),
            diverging: None,
            leader: None,
        }
    }
}

impl Fetched {
    /// Of the records, in bytes.
    pub fn size(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

/// One look at all partitions.
struct Look {
    fetched: Vec<Fetched>,
    bytes: usize,
    /// Something to be told at once, whatever `min_bytes` says.
    urgent: bool,
    /// Where reading ended in each partition, before it was read.
    limits: Vec<Offset>,
}

impl ReplicaManager {
    /// Reads what there is; if that is less than `min_bytes`, waits for more, at most `max_wait`.
    pub async fn fetch(&self, fetch: Fetch, from: &[FetchFrom]) -> Vec<Fetched> {
        let deadline = Instant::now() + fetch.max_wait;
        let partitions: Vec<Option<Arc<Partition>>> = from.iter().map(|from| self.partition(from.at)).collect();
        let refused = self.note_positions(fetch.reader, from, &partitions);
        let mut look = self.look(fetch, from, &partitions, &refused);
        let woken = Arc::new(Notify::new());
        while !look.urgent && look.bytes < fetch.min_bytes && Instant::now() < deadline {
            for partition in partitions.iter().flatten() {
                match fetch.reader {
                    Reader::Consumer => partition.committed.register(&woken),
                    Reader::Follower { .. } => partition.appended.register(&woken),
                }
            }
            // What came between the look and the registration woke nobody.
            let missed = limits(fetch.reader, &partitions) != look.limits;
            if !missed && tokio::time::timeout_at(deadline, woken.notified()).await.is_err() {
                break;
            }
            look = self.look(fetch, from, &partitions, &refused);
        }
        look.fetched
    }

    /// Takes over how far a follower is. What it asks for is what it does not have, so this is its acknowledgement.
    fn note_positions(
        &self,
        reader: Reader,
        from: &[FetchFrom],
        partitions: &[Option<Arc<Partition>>],
    ) -> Vec<Option<ResponseError>> {
        let Reader::Follower { id, broker_epoch } = reader else {
            return vec![None; from.len()];
        };
        from.iter()
            .zip(partitions)
            .map(|(from, partition)| {
                let partition = partition.as_ref()?;
                if let Err(error) = partition.check_leader(from.current_leader_epoch) {
                    return Some(error);
                }
                if diverging(partition, from).is_some() || !in_range(partition, from.offset) {
                    // It does not have what this leader has below its offset, so this acknowledges nothing.
                    return None;
                }
                let position = Position {
                    follower: id,
                    broker_epoch,
                    offset: from.offset,
                    log_start: from.log_start,
                };
                match partition.fetched(position) {
                    Ok(Isr::Ask) => {
                        self.ask_controller(from.at);
                        None
                    }
                    Ok(Isr::Unchanged) => None,
                    Err(error) => Some(error),
                }
            })
            .collect()
    }

    fn look(
        &self,
        fetch: Fetch,
        from: &[FetchFrom],
        partitions: &[Option<Arc<Partition>>],
        refused: &[Option<ResponseError>],
    ) -> Look {
        let mut look = Look {
            limits: limits(fetch.reader, partitions),
            fetched: Vec::with_capacity(from.len()),
            bytes: 0,
            urgent: false,
        };
        for ((from, partition), refused) in from.iter().zip(partitions).zip(refused) {
            let fetched = match (partition, refused) {
                (None, _) => Fetched::refused(from.at, self.absent(from.at)),
                (Some(_), Some(error)) => Fetched::refused(from.at, *error),
                (Some(partition), None) => {
                    let left = fetch.max_bytes.saturating_sub(look.bytes);
                    read(partition, fetch.reader, from, left, look.bytes == 0)
                        .unwrap_or_else(|refusal| Fetched::refused(from.at, refusal.code))
                }
            };
            look.bytes += fetched.size();
            look.urgent |= fetched.error.is_some() || fetched.diverging.is_some();
            // A follower learns of deletions at once, so that DeleteRecords can answer.
            look.urgent |=
                fetch.reader != Reader::Consumer && from.log_start >= 0 && fetched.log_start > from.log_start;
            look.fetched.push(fetched);
        }
        for (fetched, partition) in look.fetched.iter_mut().zip(partitions) {
            if fetched.error.is_some() {
                fetched.leader = partition.as_ref().and_then(|partition| partition.current_leader());
            }
        }
        look
    }
}

/// Reads one partition. The first records of a response are given even if they are more than `max_bytes` (KIP-74).
fn read(
    partition: &Partition,
    reader: Reader,
    from: &FetchFrom,
    max_bytes: usize,
    first: bool,
) -> Result<Fetched, Refusal> {
    partition.check_leader(from.current_leader_epoch)?;
    let high_watermark = partition.high_watermark();
    let mut fetched = Fetched {
        at: from.at,
        error: None,
        high_watermark,
        log_start: partition.log.start(),
        records: Vec::new(),
        diverging: diverging(partition, from),
        leader: None,
    };
    if fetched.diverging.is_some() {
        return Ok(fetched);
    }
    if !in_range(partition, from.offset) {
        fetched.error = Some(ResponseError::OffsetOutOfRange);
        return Ok(fetched);
    }
    let below = limit(partition, reader);
    let max_bytes = from.max_bytes.min(max_bytes);
    if from.offset < below && (max_bytes > 0 || first) {
        fetched.records = partition.log.read_chunks(from.offset, max_bytes, below, first)?.chunks;
    }
    Ok(fetched)
}

/// Where reading ends for a reader, exclusive.
fn limit(partition: &Partition, reader: Reader) -> Offset {
    match reader {
        Reader::Consumer => partition.high_watermark(),
        Reader::Follower { .. } => partition.log.end(),
    }
}

fn in_range(partition: &Partition, offset: Offset) -> bool {
    (partition.log.start()..=partition.log.end()).contains(&offset)
}

/// Where the reader's history leaves the leader's, if it does (KIP-595).
fn diverging(partition: &Partition, from: &FetchFrom) -> Option<(Epoch, Offset)> {
    if from.last_fetched_epoch < 0 {
        return None;
    }
    match partition.log.end_offset_for(from.last_fetched_epoch) {
        Some((epoch, end)) if epoch == from.last_fetched_epoch && end >= from.offset => None,
        Some(diverging) => Some(diverging),
        // This log has no history at all, and the reader has more than it.
        None if from.offset > partition.log.end() => Some((from.last_fetched_epoch, partition.log.end())),
        None => None,
    }
}

/// Where reading ends in each partition; -1 where nothing can be read.
fn limits(reader: Reader, partitions: &[Option<Arc<Partition>>]) -> Vec<Offset> {
    let of = |partition: &Option<Arc<Partition>>| match partition {
        Some(partition) if partition.check_leader(-1).is_ok() => limit(partition, reader),
        _ => -1,
    };
    partitions.iter().map(of).collect()
}
