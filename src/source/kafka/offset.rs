//! First and next offsets, two ListOffsets requests per leader however many partitions it leads.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId as WireBroker, ListOffsetsRequest, ListOffsetsResponse};

use super::Partitions;
use super::answer::topic_name;
use super::pool::{Peer, Pool};
use crate::model::offset::{Offsets, Span};
use crate::source::Error;

/// The protocol's timestamps that stand for an end of the log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Asks the leader for both ends. A partition that it does not lead any more is left out.
pub(super) async fn offsets(pool: &Pool, peer: &Peer, partitions: &Partitions) -> Result<Offsets, Error> {
    if partitions.is_empty() {
        return Ok(Offsets::default());
    }
    // In this order, so that a span is never negative: the end is read after the start.
    let starts = pool.ask(peer, request(partitions, EARLIEST)).await?;
    let ends = pool.ask(peer, request(partitions, LATEST)).await?;
    let starts = by_topic(starts);
    let topics = by_topic(ends).into_iter().filter_map(|(topic, ends)| {
        let starts = starts.get(&topic)?;
        let spans = ends.into_iter().filter_map(|(partition, end)| {
            let start = *starts.get(&partition)?;
            let span = Span { start, end, rate: None };
            Some((partition, span))
        });
        Some((topic, spans.collect()))
    });
    Ok(Offsets {
        topics: topics.collect(),
    })
}

fn request(partitions: &Partitions, timestamp: i64) -> ListOffsetsRequest {
    let topics = partitions.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|partition| {
            ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp)
        });
        ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.collect())
    });
    ListOffsetsRequest::default()
        .with_replica_id(WireBroker(-1))
        .with_topics(topics.collect())
}

fn by_topic(response: ListOffsetsResponse) -> BTreeMap<String, BTreeMap<i32, i64>> {
    let topics = response.topics.into_iter().map(|topic| {
        let offsets = topic
            .partitions
            .into_iter()
            .filter(|partition| partition.error_code == 0 && partition.offset >= 0)
            .map(|partition| (partition.partition_index, partition.offset));
        (topic.name.to_string(), offsets.collect())
    });
    topics.collect()
}
