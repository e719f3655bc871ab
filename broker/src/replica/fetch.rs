//! The answering side of Fetch: read, and wait for more without polling. Consumers may read from followers (KIP-392).

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
pub struct Fetch<'a> {
    /// Consumers see only what is committed.
    pub reader: Reader<'a>,
    /// A consumer that is told of aborted transactions, and nothing of open ones (`isolation.level=read_committed`).
    pub stable: bool,
    pub max_wait: Duration,
    pub min_bytes: usize,
    pub max_bytes: usize,
}

/// Who fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader<'a> {
    /// `None` is one that only a leader may serve, from before Fetch v11.
    Consumer(Option<Client<'a>>),
    Follower {
        id: NodeId,
        /// -1 before Fetch v15.
        broker_epoch: i64,
    },
}

/// A consumer that any replica may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// `client.rack`; empty when unknown.
    pub rack: &'a str,
    /// The listener that it came through: it is sent only where that exists.
    pub listener: &'a str,
}

impl Reader<'_> {
    fn is_consumer(self) -> bool {
        matches!(self, Self::Consumer(_))
    }

    /// Whether a partition gives it anything, in the epoch that it expects (-1: any).
    fn check(self, partition: &Partition, expected: Epoch) -> Result<(), ResponseError> {
        let anywhere = matches!(self, Self::Consumer(Some(_)));
        partition.check_reader(expected, anywhere)
    }
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
    /// -1 with an error.
    pub last_stable: Offset,
    /// Producer and first offset of the aborted transactions among the records, for who wants them.
    pub aborted: Vec<(i64, Offset)>,
    pub log_start: Offset,
    /// In the pieces they were appended or read in; empty when there are none.
    pub records: Vec<Bytes>,
    /// The reader's history differs from here on: the epoch it named, or the greatest before it, ends here.
    pub diverging: Option<(Epoch, Offset)>,
    /// Who leads instead, if the error says that this node does not.
    pub leader: Option<(NodeId, Epoch)>,
    /// A replica nearer to the consumer, which is to fetch there.
    pub preferred: Option<NodeId>,
}

impl Fetched {
    /// Nothing but an error.
    pub fn refused(at: TopicPartition, error: ResponseError) -> Self {
        Self {
            at,
            error: Some(error),
            high_watermark: -1,
            last_stable: -1,
            aborted: Vec::new(),
            log_start: -1,
            records: Vec::new(),
            diverging: None,
            leader: None,
            preferred: None,
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
    /// Bytes of throttled replicas.
    throttled: usize,
    /// Something is held back by the throttle.
    held: bool,
}

/// Instead of where reading ends, for a partition that the throttle holds back: nothing that is appended matters then.
const HELD: Offset = -2;

impl ReplicaManager {
    /// Reads what there is; if that is less than `min_bytes`, waits for more, at most `max_wait`.
    pub async fn fetch(&self, fetch: Fetch<'_>, from: &[FetchFrom]) -> Vec<Fetched> {
        let deadline = Instant::now() + fetch.max_wait;
        let partitions: Vec<Option<Arc<Partition>>> = from.iter().map(|from| self.partition(from.at)).collect();
        let refused = self.note_positions(fetch.reader, from, &partitions);
        let mut look = self.look(fetch, from, &partitions, &refused);
        let woken = Arc::new(Notify::new());
        while !look.urgent && look.bytes < fetch.min_bytes && Instant::now() < deadline {
            for (partition, limit) in partitions.iter().zip(&look.limits) {
                let Some(partition) = partition.as_ref().filter(|_| *limit != HELD) else {
                    continue;
                };
                match fetch.reader {
                    Reader::Consumer(_) => partition.committed.register(&woken),
                    Reader::Follower { .. } => partition.appended.register(&woken),
                }
            }
            // What came between the look and the registration woke nobody.
            let now = limits(fetch, &partitions);
            let missed = now
                .iter()
                .zip(&look.limits)
                .any(|(now, was)| *was != HELD && now != was);
            if !missed && tokio::time::timeout_at(deadline, woken.notified()).await.is_err() && !look.held {
                break;
            }
            look = self.look(fetch, from, &partitions, &refused);
        }
        self.sending.record(look.throttled);
        look.fetched
    }

    /// Takes over how far a follower is. What it asks for is what it does not have, so this is its acknowledgement.
    fn note_positions(
        &self,
        reader: Reader<'_>,
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
        fetch: Fetch<'_>,
        from: &[FetchFrom],
        partitions: &[Option<Arc<Partition>>],
        refused: &[Option<ResponseError>],
    ) -> Look {
        let mut look = Look {
            limits: limits(fetch, partitions),
            fetched: Vec::with_capacity(from.len()),
            bytes: 0,
            urgent: false,
            throttled: 0,
            held: false,
        };
        let allowance = self.sending.allowance();
        for (place, ((from, partition), refused)) in from.iter().zip(partitions).zip(refused).enumerate() {
            let throttle = match (allowance, partition) {
                (Some(allowance), Some(partition)) => throttle(partition, fetch.reader, allowance, look.throttled),
                _ => Throttle::default(),
            };
            let preferred = match (partition, fetch.reader) {
                (Some(partition), Reader::Consumer(Some(client))) => self.nearest(partition, client, from.offset),
                _ => None,
            };
            let mut fetched = match (partition, refused) {
                (None, _) => Fetched::refused(from.at, self.absent(from.at)),
                (Some(_), Some(error)) => Fetched::refused(from.at, *error),
                (Some(partition), None) => {
                    let left = fetch.max_bytes.saturating_sub(look.bytes);
                    // Whoever is sent elsewhere gets nothing here.
                    let most = throttle.most.or(preferred.map(|_| 0));
                    read(partition, fetch, from, left, look.bytes == 0, most)
                        .unwrap_or_else(|refusal| Fetched::refused(from.at, refusal.code))
                }
            };
            if throttle.most == Some(0) && fetched.error.is_none() {
                look.limits[place] = HELD;
                look.held = true;
            }
            if throttle.counts {
                look.throttled += fetched.size();
            }
            look.bytes += fetched.size();
            if fetched.error.is_none() {
                fetched.preferred = preferred;
            }
            look.urgent |= fetched.error.is_some() || fetched.diverging.is_some() || fetched.preferred.is_some();
            // A follower learns of deletions at once, so that DeleteRecords can answer.
            look.urgent |= !fetch.reader.is_consumer() && from.log_start >= 0 && fetched.log_start > from.log_start;
            look.fetched.push(fetched);
        }
        for (fetched, partition) in look.fetched.iter_mut().zip(partitions) {
            if fetched.error.is_some() {
                fetched.leader = partition.as_ref().and_then(|partition| partition.current_leader());
            }
        }
        look
    }

    /// Which other replica a consumer should read from: as Kafka's `RackAwareReplicaSelector`, the in-sync one of its
    /// rack that is furthest, unless the leader is there too. `None` without such a one, and on a follower.
    fn nearest(&self, partition: &Partition, client: Client<'_>, offset: Offset) -> Option<NodeId> {
        if !self.options.rack_aware || client.rack.is_empty() {
            return None;
        }
        let image = self.image.read();
        let is_near = |id: &NodeId| {
            let broker = image.brokers.get(id);
            broker.is_some_and(|broker| broker.rack.as_deref() == Some(client.rack))
        };
        if is_near(&self.options.node) {
            return None;
        }
        let reached = |id: &NodeId| {
            let broker = image.brokers.get(id);
            broker.is_some_and(|broker| !broker.fenced && broker.endpoint(client.listener).is_some())
        };
        let able = partition.readable_at(offset);
        able.into_iter().find(|id| is_near(id) && reached(id))
    }
}

/// What the throttle has to say of one partition of one look.
#[derive(Debug, Clone, Copy, Default)]
struct Throttle {
    /// Its bytes are counted.
    counts: bool,
    /// How much of it may be sent, if not all.
    most: Option<usize>,
}

/// As in Kafka, all followers of a throttled replica are counted, and those out of sync wait.
fn throttle(partition: &Partition, reader: Reader<'_>, allowance: usize, taken: usize) -> Throttle {
    match reader {
        Reader::Follower { id, .. } if partition.throttled().leader => Throttle {
            counts: true,
            most: (!partition.has_in_sync(id)).then(|| allowance.saturating_sub(taken)),
        },
        _ => Throttle::default(),
    }
}

/// Reads one partition. The first records of a response are given even if they are more than `max_bytes` (KIP-74).
/// `most` is what the throttle leaves, 0 for nothing at all.
fn read(
    partition: &Partition,
    fetch: Fetch<'_>,
    from: &FetchFrom,
    max_bytes: usize,
    first: bool,
    most: Option<usize>,
) -> Result<Fetched, Refusal> {
    fetch.reader.check(partition, from.current_leader_epoch)?;
    let high_watermark = partition.high_watermark();
    let mut fetched = Fetched {
        at: from.at,
        error: None,
        high_watermark,
        last_stable: partition.log.last_stable(high_watermark),
        aborted: Vec::new(),
        log_start: partition.log.start(),
        records: Vec::new(),
        diverging: diverging(partition, from),
        leader: None,
        preferred: None,
    };
    if fetched.diverging.is_some() {
        return Ok(fetched);
    }
    if !in_range(partition, from.offset) {
        fetched.error = Some(ResponseError::OffsetOutOfRange);
        return Ok(fetched);
    }
    let below = match fetch.reader {
        Reader::Consumer(_) if fetch.stable => fetched.last_stable,
        reader => limit(partition, reader),
    };
    let max_bytes = from.max_bytes.min(max_bytes);
    if from.offset < below && (max_bytes > 0 || first) && most != Some(0) {
        let max_bytes = most.map_or(max_bytes, |most| most.min(max_bytes));
        // A throttled replica gets a batch when it is its turn, however large, or it would never come forward.
        let first = first || most.is_some();
        if fetch.stable {
            let (read, aborted) = partition.log.read_stable(from.offset, max_bytes, below, first)?;
            (fetched.records, fetched.aborted) = (read.chunks, aborted);
        } else {
            fetched.records = partition.log.read_chunks(from.offset, max_bytes, below, first)?.chunks;
        }
    }
    Ok(fetched)
}

/// Where reading ends for a reader, exclusive.
fn limit(partition: &Partition, reader: Reader<'_>) -> Offset {
    match reader {
        Reader::Consumer(_) => partition.high_watermark(),
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
fn limits(fetch: Fetch<'_>, partitions: &[Option<Arc<Partition>>]) -> Vec<Offset> {
    let of = |partition: &Option<Arc<Partition>>| match partition {
        Some(partition) if fetch.reader.check(partition, -1).is_err() => -1,
        Some(partition) if fetch.stable => partition.last_stable(),
        Some(partition) => limit(partition, fetch.reader),
        _ => -1,
    };
    partitions.iter().map(of).collect()
}
