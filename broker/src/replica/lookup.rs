//! Questions about a partition that this node leads: offsets by position, time and epoch, and deletion up to an offset.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::time::Instant;

use super::{Refusal, ReplicaManager};
use crate::id::{Epoch, NodeId, Offset, TopicPartition};
use crate::log::{ActiveProducer, TimedOffset};

/// Which offset is asked for (ListOffsets).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Earliest,
    /// The high watermark, or what is stable.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after, in ms.
    Time(i64),
}

/// Where a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub log_end: Offset,
}

impl ReplicaManager {
    /// The epoch in which this node leads `at`, if it does.
    pub fn leader_epoch(&self, at: TopicPartition) -> Option<Epoch> {
        self.partition(at)?.check_leader(-1).ok()
    }

    /// Who leads `at`, as far as its replica here knows.
    pub fn current_leader(&self, at: TopicPartition) -> Option<(NodeId, Epoch)> {
        self.partition(at)?.current_leader()
    }

    /// Where the replica of `at` here stands, whatever its role.
    pub fn position(&self, at: TopicPartition) -> Option<Position> {
        let partition = self.partition(at)?;
        Some(Position {
            log_start: partition.log.start(),
            high_watermark: partition.high_watermark(),
            log_end: partition.log.end(),
        })
    }

    /// Committed batches of a local leader from the one that holds `from` on; empty at the high watermark.
    ///
    /// # Errors
    /// When this node does not lead `at`, or `from` is outside of the log.
    pub fn read_committed(&self, at: TopicPartition, from: Offset, max_bytes: usize) -> Result<Bytes, Refusal> {
        let partition = self.required(at)?;
        partition.check_leader(-1)?;
        let below = partition.high_watermark();
        if from >= below {
            return Ok(Bytes::new());
        }
        Ok(partition.log.read(from, max_bytes, below, true)?.records)
    }

    /// Answers ListOffsets; `None` when there is no such record. `expected` is the client's leader epoch, or -1; to `stable`
    /// readers nothing exists from the first open transaction on.
    ///
    /// # Errors
    /// When this node does not lead `at` in the epoch expected, or the log cannot be read.
    pub fn offset_at(
        &self,
        at: TopicPartition,
        asked: At,
        expected: Epoch,
        stable: bool,
    ) -> Result<Option<TimedOffset>, Refusal> {
        let partition = self.required(at)?;
        let epoch = partition.check_leader(expected)?;
        let below = match stable {
            true => partition.last_stable(),
            false => partition.high_watermark(),
        };
        let bound = |offset, leader_epoch| TimedOffset {
            offset,
            timestamp: -1,
            leader_epoch,
        };
        match asked {
            At::Earliest => Ok(Some(bound(partition.log.start(), -1))),
            // Until followers of a new leader have fetched, its watermark may be behind what was read before (KIP-207).
            At::Latest if !partition.is_settled() => Err(ResponseError::OffsetNotAvailable.into()),
            At::Latest => Ok(Some(bound(below, epoch))),
            At::MaxTimestamp => Ok(partition.log.max_timestamp()?.filter(|at| at.offset < below)),
            At::Time(time) => {
                let found = partition.log.offset_for_time(time)?;
                Ok(found.filter(|at| at.offset < below))
            }
        }
    }

    /// The idempotent producers that a replica here remembers, whatever its role, by id.
    ///
    /// # Errors
    /// When there is no replica of `at` here.
    pub fn producers(&self, at: TopicPartition) -> Result<Vec<ActiveProducer>, Refusal> {
        Ok(self.required(at)?.log.active_producers())
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch not after `epoch`, and where it ended.
    ///
    /// # Errors
    /// When this node does not lead `at` in the epoch expected.
    pub fn epoch_end(
        &self,
        at: TopicPartition,
        epoch: Epoch,
        expected: Epoch,
    ) -> Result<Option<(Epoch, Offset)>, Refusal> {
        let partition = self.required(at)?;
        partition.check_leader(expected)?;
        Ok(partition.log.end_offset_for(epoch))
    }

    /// Deletes the records before `before` (-1: all that are committed) and waits until the in-sync replicas have done
    /// so too; returns the low watermark.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` past the high watermark; `REQUEST_TIMED_OUT` when followers take longer.
    pub async fn delete_records(
        &self,
        at: TopicPartition,
        before: Offset,
        timeout: Duration,
    ) -> Result<Offset, Refusal> {
        let deadline = Instant::now() + timeout;
        let partition = self.required(at)?;
        if let Some(reached) = partition.delete_records(before)? {
            match tokio::time::timeout_at(deadline, reached).await {
                Ok(Ok(answer)) => answer?,
                Ok(Err(_)) => return Err(ResponseError::NotLeaderOrFollower.into()),
                Err(_) => return Err(ResponseError::RequestTimedOut.into()),
            }
        }
        Ok(partition.low_watermark())
    }
}
