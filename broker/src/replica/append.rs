//! The leader's side of Produce: append, then wait as long as `acks` says.
//!
//! Appending is done before the first await, so that whoever polls calls in their order appends in their order.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::time::Instant;

use super::waiter::Reached;
use super::{Refusal, ReplicaManager};
use crate::id::{Offset, TopicPartition};
use crate::log::{Guard, Verify};
use crate::record::Header;

/// How many replicas must have a record before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// No answer at all.
    None,
    Leader,
    /// All in-sync replicas, of which there must be `min.insync.replicas`.
    All,
}

/// Who appends, and how a batch that would begin a transaction is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Client(Verify),
    Broker(Verify),
}

/// What an append gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// -1 unless the topic stamps records itself.
    pub log_append_time: i64,
    pub log_start: Offset,
}

/// Records that are in the leader's log, and perhaps not committed yet.
#[derive(Debug)]
pub struct Appending {
    produced: Produced,
    reached: Option<Reached>,
}

impl Appending {
    /// What is in the leader's log, acknowledged or not.
    pub fn produced(&self) -> &Produced {
        &self.produced
    }

    /// Waits until the records are acknowledged.
    ///
    /// # Errors
    /// `REQUEST_TIMED_OUT`, `NOT_LEADER_OR_FOLLOWER` or `NOT_ENOUGH_REPLICAS_AFTER_APPEND`; the records may still be
    /// committed later.
    pub async fn acknowledged(self, deadline: Instant) -> Result<Produced, Refusal> {
        let Some(reached) = self.reached else {
            return Ok(self.produced);
        };
        match tokio::time::timeout_at(deadline, reached).await {
            Ok(Ok(Ok(()))) => Ok(self.produced),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) => Err(ResponseError::NotLeaderOrFollower.into()),
            Err(_) => Err(ResponseError::RequestTimedOut.into()),
        }
    }
}

impl ReplicaManager {
    /// Appends a client's batches to a local leader; what is returned waits for the acknowledgement.
    ///
    /// # Errors
    /// The protocol's: nothing was appended.
    pub fn begin_append(
        &self,
        at: TopicPartition,
        records: Bytes,
        acks: Acks,
        verify: Verify,
    ) -> Result<Appending, Refusal> {
        let (produced, reached) = self.required(at)?.append(records, acks, By::Client(verify))?;
        Ok(Appending { produced, reached })
    }

    /// Announces that the coordinator is asked whether `batch` may begin a transaction in `at`; `None` if it is part of one
    /// that is open.
    ///
    /// # Errors
    /// When this node does not lead `at`, or its log cannot be used.
    pub fn begin_verification(&self, at: TopicPartition, batch: &Header) -> Result<Option<Guard>, Refusal> {
        self.required(at)?.begin_verification(batch)
    }

    /// Appends a client's batches and waits as long as `acks` says, at most `timeout`.
    ///
    /// # Errors
    /// As [`Self::begin_append`] and [`Appending::acknowledged`].
    pub async fn append(
        &self,
        at: TopicPartition,
        records: Bytes,
        acks: Acks,
        timeout: Duration,
    ) -> Result<Produced, Refusal> {
        let deadline = Instant::now() + timeout;
        self.begin_append(at, records, acks, Verify::Off)?
            .acknowledged(deadline)
            .await
    }

    /// Appends batches of the broker itself, as coordinators do, and waits until they are committed.
    ///
    /// # Errors
    /// As [`Self::begin_append`] and [`Appending::acknowledged`].
    pub async fn append_internal(
        &self,
        at: TopicPartition,
        records: Bytes,
        timeout: Duration,
        verify: Verify,
    ) -> Result<Produced, Refusal> {
        let deadline = Instant::now() + timeout;
        let (produced, reached) = self.required(at)?.append(records, Acks::All, By::Broker(verify))?;
        Appending { produced, reached }.acknowledged(deadline).await
    }
}
