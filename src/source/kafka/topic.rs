//! Topics with their partitions: one Metadata request, and where hardly anybody is in sync a few that tell who may lead all the same.
//! And creating, widening, emptying and deleting them.

use std::collections::BTreeMap;

use azimuth_broker::wire::ErrorCode;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, MetadataRequest, TopicName,
};

use super::answer::{check, ids, known, text, topic_name, wire_ids};
use super::change::{NewTopic, Outcomes};
use super::pool::{Peer, Pool};
use crate::model::topic::{Partition, Topic};
use crate::source::Error;

/// Partitions in one answer to DescribeTopicPartitions. Source: Kafka's `max.request.partition.size.limit`.
const PAGE: i32 = 2000;
/// So many pages are asked for at most. Of what lies beyond, nobody is known to be eligible, and plans are the more careful.
const PAGES: usize = 10;

/// Every topic, sorted by name, partitions sorted, with the answer's mark; `None` where it is the answer that was `known` before.
pub(super) async fn topics(pool: &Pool, known: Option<u64>) -> Result<Option<(u64, Vec<Topic>)>, Error> {
    // Before version 4 the flag cannot be cleared; asking for all topics creates none anyway.
    let request = |version| {
        MetadataRequest::default()
            .with_topics(None)
            .with_allow_auto_topic_creation(version < 4)
    };
    let (peer, answer) = pool.ask_any_unless(known, request).await?;
    let Some((mark, response)) = answer else {
        return Ok(None);
    };
    check(peer.name(), "Metadata", response.error_code, None)?;
    let mut topics: Vec<_> = response.topics.into_iter().filter_map(topic).collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let thin: Vec<TopicName> = topics
        .iter()
        .filter(|topic| topic.partitions.iter().any(Partition::is_thin))
        .map(|topic| topic_name(&topic.name))
        .collect();
    if thin.is_empty() {
        return Ok(Some((mark, topics)));
    }
    // Who does not tell, or has no such API, has nobody eligible.
    let asked = eligible(pool, &thin, &mut topics);
    let _ = tokio::time::timeout(pool.deadlines().call, asked).await;
    // Who is eligible changes although this answer does not: the next one is another.
    Ok(Some((!mark, topics)))
}

/// Who has all that was committed although it is not in sync (KIP-966), of the topics named.
async fn eligible(pool: &Pool, named: &[TopicName], topics: &mut [Topic]) -> Result<(), Error> {
    let mut cursor = None;
    for _ in 0..PAGES {
        let names = named.iter().map(|name| TopicRequest::default().with_name(name.clone()));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(names.collect())
            .with_response_partition_limit(PAGE)
            .with_cursor(cursor.take());
        let (_, answer) = pool.ask_any(|_| request.clone()).await?;
        for told in answer.topics {
            let name = told.name.unwrap_or_default();
            let Ok(at) = topics.binary_search_by(|topic| topic.name.as_str().cmp(name.as_str())) else {
                continue;
            };
            let partitions = &mut topics[at].partitions;
            for one in told.partitions {
                let found = partitions.binary_search_by_key(&one.partition_index, |known| known.partition);
                if let (Ok(at), Some(elr)) = (found, &one.eligible_leader_replicas) {
                    partitions[at].eligible = ids(elr);
                }
            }
        }
        match answer.next_cursor {
            None => break,
            Some(next) => {
                cursor = Some(
                    Cursor::default()
                        .with_topic_name(next.topic_name)
                        .with_partition_index(next.partition_index),
                );
            }
        }
    }
    Ok(())
}

/// Whether there is a topic of this name, as far as we may see; asking makes none.
pub(super) async fn exists(pool: &Pool, name: &str) -> Result<bool, Error> {
    let named = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = |version| match version {
        // From here on the flag can be cleared.
        4.. => MetadataRequest::default()
            .with_topics(Some(vec![named.clone()]))
            .with_allow_auto_topic_creation(false),
        _ => MetadataRequest::default().with_topics(None),
    };
    let (peer, response) = pool.ask_any(request).await?;
    check(peer.name(), "Metadata", response.error_code, None)?;
    let mut topics = response.topics.into_iter().filter_map(topic);
    Ok(topics.any(|topic| topic.name == name))
}

/// `None` for a topic that vanished while the answer was made.
fn topic(topic: MetadataResponseTopic) -> Option<Topic> {
    if topic.error_code != 0 && topic.partitions.is_empty() {
        return None;
    }
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(partition).collect();
    // The list is made in the room of the answer, whose partitions are larger.
    partitions.shrink_to_fit();
    partitions.sort_by_key(|partition| partition.partition);
    Some(Topic {
        name: topic.name?.to_string(),
        id: topic.topic_id,
        internal: topic.is_internal,
        partitions,
    })
}

fn partition(partition: MetadataResponsePartition) -> Partition {
    // LEADER_NOT_AVAILABLE keeps the last leader's id in some releases.
    let headless = partition.error_code == ErrorCode::LeaderNotAvailable.code();
    Partition {
        partition: partition.partition_index,
        leader: known(partition.leader_id).filter(|_| !headless),
        leader_epoch: partition.leader_epoch,
        replicas: ids(&partition.replica_nodes),
        isr: ids(&partition.isr_nodes),
        eligible: [].into(),
    }
}

/// CreateTopics. With `validate_only` nothing is created, and the answer is what would have been.
pub(super) async fn create(pool: &Pool, topics: &[NewTopic], validate_only: bool) -> Result<Outcomes<String>, Error> {
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(creatable).collect())
        .with_timeout_ms(pool.patience_ms())
        .with_validate_only(validate_only);
    let (peer, response) = pool.tell(|_| request).await?;
    let outcomes = response.topics.into_iter().map(|topic| {
        let what = format!("creating topic {}", topic.name.as_str());
        let outcome = check(peer.name(), &what, topic.error_code, topic.error_message.as_ref());
        (topic.name.to_string(), outcome)
    });
    Ok(outcomes.collect())
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let placed = !topic.assignments.is_empty();
    let assignments = topic.assignments.iter().zip(0..).map(|(replicas, partition)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(wire_ids(replicas))
    });
    let configs = topic.configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions.filter(|_| !placed).unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.filter(|_| !placed).unwrap_or(-1))
        .with_assignments(assignments.collect())
        .with_configs(configs.collect())
}

/// CreatePartitions: the topic has so many afterwards; the controller places the new ones.
pub(super) async fn add_partitions(pool: &Pool, topic: &str, count: i32) -> Result<(), Error> {
    let wanted = CreatePartitionsTopic::default()
        .with_name(topic_name(topic))
        .with_count(count)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![wanted])
        .with_timeout_ms(pool.patience_ms());
    let (peer, response) = pool.tell(|_| request).await?;
    let what = format!("adding partitions to {topic}");
    response
        .results
        .into_iter()
        .try_for_each(|result| check(peer.name(), &what, result.error_code, result.error_message.as_ref()))
}

/// DeleteRecords: what lies before these offsets goes, asked of their leader.
pub(super) async fn delete_records(
    pool: &Pool,
    peer: &Peer,
    offsets: &[(String, i32, i64)],
) -> Result<Outcomes<(String, i32)>, Error> {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for (topic, partition, offset) in offsets {
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(*partition)
            .with_offset(*offset);
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        DeleteRecordsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions)
    });
    let request = DeleteRecordsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(pool.patience_ms());
    let mut outcomes = Outcomes::new();
    for topic in pool.ask(peer, request).await?.topics {
        for partition in topic.partitions {
            let key = (topic.name.to_string(), partition.partition_index);
            let what = format!("deleting records of {}-{}", key.0, key.1);
            outcomes.push((key, check(peer.name(), &what, partition.error_code, None)));
        }
    }
    Ok(outcomes)
}

/// DeleteTopics, by name.
pub(super) async fn delete(pool: &Pool, topics: &[String]) -> Result<Outcomes<String>, Error> {
    // Version 6 reads `topics`, older ones `topic_names`; the codec refuses what a version does not have.
    let names: Vec<_> = topics.iter().map(|name| topic_name(name)).collect();
    let states = names
        .iter()
        .map(|name| DeleteTopicState::default().with_name(Some(name.clone())));
    let by_state = DeleteTopicsRequest::default()
        .with_topics(states.collect())
        .with_timeout_ms(pool.patience_ms());
    let by_name = DeleteTopicsRequest::default()
        .with_topic_names(names)
        .with_timeout_ms(pool.patience_ms());
    let build = |version| if version >= 6 { by_state } else { by_name };
    let (peer, response) = pool.tell(build).await?;
    let outcomes = response.responses.into_iter().map(|topic| {
        let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
        let what = format!("deleting topic {name}");
        let outcome = check(peer.name(), &what, topic.error_code, topic.error_message.as_ref());
        (name, outcome)
    });
    Ok(outcomes.collect())
}
