//! Moves of replicas: what is in flight, starting and cancelling. KIP-455.

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest};

use super::answer::{check, ids, topic_name, wire_ids};
use super::change::{Move, Outcomes};
use super::pool::Pool;
use crate::model::reassignment::Reassignment;
use crate::source::Error;

/// Everything in flight, whoever started it, sorted by topic and partition.
pub(super) async fn reassignments(pool: &Pool) -> Result<Vec<Reassignment>, Error> {
    let request = |_| {
        ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(pool.patience_ms())
            .with_topics(None)
    };
    let (peer, response) = pool.ask_any(request).await?;
    check(
        peer.name(),
        "ListPartitionReassignments",
        response.error_code,
        response.error_message.as_ref(),
    )?;
    let mut all: Vec<_> = response
        .topics
        .into_iter()
        .flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |partition| Reassignment {
                topic: name.clone(),
                partition: partition.partition_index,
                replicas: ids(&partition.replicas),
                adding: ids(&partition.adding_replicas),
                removing: ids(&partition.removing_replicas),
            })
        })
        .collect();
    all.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    Ok(all)
}

/// Starts or cancels moves; they go on in the cluster after the answer.
pub(super) async fn alter(pool: &Pool, moves: &[Move]) -> Result<Outcomes<(String, i32)>, Error> {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for step in moves {
        let partition = ReassignablePartition::default()
            .with_partition_index(step.partition)
            .with_replicas(step.replicas.as_deref().map(wire_ids));
        topics.entry(&step.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        ReassignableTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions)
    });
    let request = AlterPartitionReassignmentsRequest::default()
        .with_timeout_ms(pool.patience_ms())
        .with_topics(topics.collect());
    let (peer, response) = pool.tell(|_| request).await?;
    check(
        peer.name(),
        "AlterPartitionReassignments",
        response.error_code,
        response.error_message.as_ref(),
    )?;
    let mut outcomes = Outcomes::new();
    for topic in response.responses {
        for partition in topic.partitions {
            let key = (topic.name.to_string(), partition.partition_index);
            let what = format!("the move of {}-{}", key.0, key.1);
            let outcome = check(
                peer.name(),
                &what,
                partition.error_code,
                partition.error_message.as_ref(),
            );
            outcomes.push((key, outcome));
        }
    }
    Ok(outcomes)
}
