//! The controller quorum, as its leader sees it. DescribeQuorum (KIP-595).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::{Node, ReplicaState};

use super::answer::{check, known, topic_name};
use super::pool::Pool;
use crate::model::BrokerId;
use crate::model::quorum::{Quorum, Voter};
use crate::source::Error;

const METADATA_TOPIC: &str = "__cluster_metadata";

pub(super) async fn quorum(pool: &Pool) -> Result<Quorum, Error> {
    let partition = PartitionData::default().with_partition_index(0);
    let topic = TopicData::default()
        .with_topic_name(topic_name(METADATA_TOPIC))
        .with_partitions(vec![partition]);
    let topics = vec![topic];
    let (peer, response) = pool
        .ask_any(|_| DescribeQuorumRequest::default().with_topics(topics.clone()))
        .await?;
    let what = "DescribeQuorum";
    check(peer.name(), what, response.error_code, response.error_message.as_ref())?;
    let addresses = response.nodes.iter().filter_map(address).collect();
    let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let Some(partition) = partition else {
        return Err(Error::Unsupported {
            peer: peer.name().to_owned(),
            what: "a metadata quorum".to_owned(),
        });
    };
    check(
        peer.name(),
        what,
        partition.error_code,
        partition.error_message.as_ref(),
    )?;
    Ok(Quorum {
        leader: known(partition.leader_id),
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: voters(partition.current_voters),
        observers: voters(partition.observers),
        addresses,
    })
}

/// Where a voter listens first.
fn address(node: &Node) -> Option<(BrokerId, String)> {
    let listener = node.listeners.first()?;
    let host = match listener.host.contains(':') {
        true => format!("[{}]", listener.host.as_str()),
        false => listener.host.to_string(),
    };
    Some((node.node_id.0, format!("{host}:{}", listener.port)))
}

fn voters(states: Vec<ReplicaState>) -> Vec<Voter> {
    let time = |ms: i64| (ms >= 0).then_some(ms);
    let mut voters: Vec<_> = states
        .into_iter()
        .map(|state| Voter {
            id: state.replica_id.0,
            log_end_offset: state.log_end_offset,
            last_fetch_ms: time(state.last_fetch_timestamp),
            last_caught_up_ms: time(state.last_caught_up_timestamp),
            directory: directory(state.replica_directory_id),
        })
        .collect();
    voters.sort_by_key(|voter| voter.id);
    voters
}

/// Kafka's spelling of a UUID; all zeroes and its other reserved values stand for none.
fn directory(id: uuid::Uuid) -> Option<String> {
    (id.as_u128() >= 100).then(|| BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes()))
}
