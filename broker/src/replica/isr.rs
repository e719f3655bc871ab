//! Changes of the in-sync replicas, asked of the controller: AlterPartition with the epochs that guard it.
//!
//! One request at a time holds all partitions that want a change. Until the controller answers, a leader waits for
//! the old and the new in-sync replicas; a change whose fate is unknown is asked again, or cleared by the image.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::alter_partition_request::{AlterPartitionRequest, BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::alter_partition_response;
use kafka_protocol::messages::alter_partition_response::AlterPartitionResponse;

use super::ReplicaManager;
use super::leader::Proposal;
use crate::id::{NodeId, TopicId, TopicPartition};

const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Shrunk,
    Grown,
}

impl Proposal {
    /// What it did, if `isr` are in sync now.
    fn changed_to(&self, isr: usize) -> Option<Change> {
        match isr.cmp(&self.before) {
            Ordering::Less => Some(Change::Shrunk),
            Ordering::Greater => Some(Change::Grown),
            Ordering::Equal => None,
        }
    }
}

/// What became of one partition's change.
enum Fate {
    Settled,
    Again,
}

impl ReplicaManager {
    /// Has the change of a partition's in-sync replicas sent.
    pub(super) fn ask_controller(&self, at: TopicPartition) {
        self.asking.lock().insert(at);
        self.asked.notify_one();
    }

    /// Sends changes until the task is dropped.
    pub(super) async fn ask(&self) {
        let mut retry = RETRY_MIN;
        loop {
            self.asked.notified().await;
            loop {
                let asked: BTreeSet<TopicPartition> = std::mem::take(&mut *self.asking.lock());
                let proposals = self.proposals(&asked);
                if proposals.is_empty() {
                    break;
                }
                let again = self.alter(&proposals).await;
                if again.is_empty() {
                    retry = RETRY_MIN;
                    continue;
                }
                self.asking.lock().extend(again);
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }

    fn proposals(&self, asked: &BTreeSet<TopicPartition>) -> BTreeMap<TopicPartition, Proposal> {
        let proposal = |at: &TopicPartition| Some((*at, self.partition(*at)?.proposal()?));
        asked.iter().filter_map(proposal).collect()
    }

    /// Returns what must be asked again.
    async fn alter(&self, proposals: &BTreeMap<TopicPartition, Proposal>) -> Vec<TopicPartition> {
        let everything = || proposals.keys().copied().collect();
        let answer = self.controller.alter_partition(self.request(proposals)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(
                    partitions = proposals.len(),
                    "in-sync replicas stay as they are for now: {error}"
                );
                return everything();
            }
        };
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            tracing::warn!(
                partitions = proposals.len(),
                "the controller refused to change in-sync replicas: {error}"
            );
            return everything();
        }
        self.take_answer(&answer, proposals)
    }

    fn request(&self, proposals: &BTreeMap<TopicPartition, Proposal>) -> AlterPartitionRequest {
        let me = self.options.node;
        let own_epoch = self.broker_epoch(me).unwrap_or(-1);
        let mut topics: BTreeMap<TopicId, Vec<PartitionData>> = BTreeMap::new();
        for (at, proposal) in proposals {
            let state = |&(id, epoch): &(NodeId, i64)| {
                let epoch = if id == me { own_epoch } else { epoch };
                BrokerState::default()
                    .with_broker_id(BrokerId(id.0))
                    .with_broker_epoch(epoch)
            };
            let partition = PartitionData::default()
                .with_partition_index(at.partition)
                .with_leader_epoch(proposal.leader_epoch)
                .with_partition_epoch(proposal.partition_epoch)
                .with_new_isr_with_epochs(proposal.isr.iter().map(state).collect());
            topics.entry(at.topic).or_default().push(partition);
        }
        let topic = |(id, partitions): (TopicId, Vec<PartitionData>)| {
            TopicData::default().with_topic_id(id.0).with_partitions(partitions)
        };
        AlterPartitionRequest::default()
            .with_broker_id(BrokerId(me.0))
            .with_broker_epoch(own_epoch)
            .with_topics(topics.into_iter().map(topic).collect())
    }

    fn take_answer(
        &self,
        answer: &AlterPartitionResponse,
        proposals: &BTreeMap<TopicPartition, Proposal>,
    ) -> Vec<TopicPartition> {
        let mut again = Vec::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let at = TopicPartition {
                    topic: TopicId(topic.topic_id),
                    partition: partition.partition_index,
                };
                let Some(proposal) = proposals.get(&at) else { continue };
                if let Fate::Again = self.settle(at, proposal, partition) {
                    again.push(at);
                }
            }
        }
        again
    }

    fn settle(
        &self,
        at: TopicPartition,
        proposal: &Proposal,
        answer: &alter_partition_response::PartitionData,
    ) -> Fate {
        let Some(partition) = self.partition(at) else {
            return Fate::Settled;
        };
        match ResponseError::try_from_code(answer.error_code) {
            None => {
                let isr: Vec<NodeId> = answer.isr.iter().map(|id| NodeId(id.0)).collect();
                self.counters.isr(proposal.changed_to(isr.len()));
                partition.answered(proposal.leader_epoch, isr, answer.partition_epoch);
                // A second follower may have waited for the first one's change; its next fetch begins its own.
                Fate::Settled
            }
            // Somebody else decided meanwhile, or an earlier attempt of ours did: the image will say what holds.
            Some(
                ResponseError::InvalidUpdateVersion
                | ResponseError::FencedLeaderEpoch
                | ResponseError::NewLeaderElected
                | ResponseError::UnknownTopicOrPartition
                | ResponseError::UnknownTopicId,
            ) => Fate::Settled,
            Some(
                ResponseError::IneligibleReplica | ResponseError::OperationNotAttempted | ResponseError::InvalidRequest,
            ) => {
                partition.refused(proposal.leader_epoch);
                self.counters.isr_update_failed();
                Fate::Settled
            }
            Some(error) => {
                tracing::debug!(topic = %partition.topic, partition = at.partition, "asking again: {error}");
                Fate::Again
            }
        }
    }
}
