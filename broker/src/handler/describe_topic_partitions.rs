//! DescribeTopicPartitions (75): topics in order of name, in pages (KIP-966).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights, metadata};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::image::{Image, Partition, Topic};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

/// As in Kafka (`max.request.partition.size.limit`).
const PARTITIONS_MAX: usize = 2_000;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    page(&cx.image(), call, rights, request)
}

fn page(
    image: &Image,
    call: &Call,
    rights: &Rights<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let all = request.topics.is_empty();
    let names: BTreeSet<String> = match all {
        true => image.topic_ids.keys().cloned().collect(),
        false => request.topics.iter().map(|topic| topic.name.to_string()).collect(),
    };
    // Of all topics those are shown that may be; the named ones are refused.
    let (names, denied): (BTreeSet<String>, BTreeSet<String>) = names.into_iter().partition(|name| match all {
        true => rights.shows(Operation::Describe, Object::Topic(name)),
        false => rights.allow(Operation::Describe, Object::Topic(name)),
    });
    let (from, first) = request.cursor.map_or((String::new(), 0), |cursor| {
        (
            cursor.topic_name.to_string(),
            usize::try_from(cursor.partition_index).unwrap_or(0),
        )
    });
    let asked = usize::try_from(request.response_partition_limit).unwrap_or(PARTITIONS_MAX);
    let mut room = asked.clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= from) {
        let Some(topic) = image.topic_named(&name) else {
            response.topics.push(unknown(&name));
            continue;
        };
        let start = if name == from { first } else { 0 };
        let end = topic.partitions.len().min(start.saturating_add(room));
        if room == 0 {
            response.next_cursor = Some(cursor(topic, 0));
            break;
        }
        let mut shown = described(image, call, topic, start..end);
        shown.topic_authorized_operations = rights.operations(Object::Topic(&name));
        response.topics.push(shown);
        room -= end.saturating_sub(start);
        if end < topic.partitions.len() {
            response.next_cursor = Some(cursor(topic, end));
            break;
        }
    }
    if !all {
        let denied = denied
            .iter()
            .map(|name| refused(name, ErrorCode::TopicAuthorizationFailed));
        response.topics.extend(denied);
    }
    response
}

fn cursor(topic: &Topic, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(TopicName(StrBytes::from_string(topic.name.clone())))
        .with_partition_index(i32::try_from(partition).unwrap_or(i32::MAX))
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let code = match metadata::is_legal(name) {
        true => ErrorCode::UnknownTopicOrPartition,
        false => ErrorCode::InvalidTopicException,
    };
    refused(name, code)
}

fn refused(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_error_code(code.code())
}

fn described(
    image: &Image,
    call: &Call,
    topic: &Topic,
    range: std::ops::Range<usize>,
) -> DescribeTopicPartitionsResponseTopic {
    let start = range.start;
    let partitions = topic.partitions.get(range).unwrap_or_default();
    let partitions = (start..)
        .zip(partitions)
        .map(|(index, state)| partition(image, call, index, state));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id.0)
        .with_is_internal(metadata::is_internal(&topic.name))
        .with_partitions(partitions.collect())
}

fn partition(image: &Image, call: &Call, index: usize, state: &Partition) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(metadata::leader_error(image, state, call).map_or(0, |code| code.code()))
        .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
        .with_leader_id(BrokerId(state.leader.0))
        .with_leader_epoch(state.leader_epoch)
        .with_replica_nodes(metadata::wire_ids(&state.replicas))
        .with_isr_nodes(metadata::wire_ids(&state.isr))
        .with_eligible_leader_replicas(Some(metadata::wire_ids(&state.elr)))
        .with_last_known_elr(Some(metadata::wire_ids(&state.last_known_elr)))
        .with_offline_replicas(metadata::offline(image, state))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_topic_partitions_request;

    use super::*;
    use crate::id::{NodeId, TopicId};
    use crate::image::Record;

    fn image() -> Image {
        let mut image = Image::empty();
        let mut offset = 0;
        for (id, name, partitions) in [(1, "a", 3), (2, "b", 2)] {
            let topic = TopicId(uuid::Uuid::from_u128(id));
            let name = name.to_owned();
            let mut records = vec![Record::Topic { id: topic, name }];
            records.extend((0..partitions).map(|partition| Record::Partition {
                topic,
                partition,
                state: Partition {
                    replicas: vec![NodeId(1)],
                    isr: vec![NodeId(1)],
                    adding: Vec::new(),
                    removing: Vec::new(),
                    elr: Vec::new(),
                    last_known_elr: Vec::new(),
                    recovering: false,
                    leader: NodeId::NONE,
                    leader_epoch: 0,
                    partition_epoch: 0,
                    directories: Vec::new(),
                },
            }));
            for record in records {
                image.apply(&record, offset, 1);
                offset += 1;
            }
        }
        image
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let image = image();
        let call = Call {
            version: 0,
            correlation: 0,
            client_id: None,
            client_addr: ([127, 0, 0, 1], 1).into(),
            principal: std::sync::Arc::new(crate::auth::Principal::anonymous()),
            listener: "PLAINTEXT".into(),
            by_token: false,
            software: crate::handler::Software::default(),
        };
        let mut seen = Vec::new();
        let mut next = None;
        loop {
            let request = DescribeTopicPartitionsRequest::default()
                .with_response_partition_limit(2)
                .with_cursor(next);
            let response = page(&image, &call, &Rights::unguarded(&call), request);
            for topic in &response.topics {
                let name = topic.name.as_ref().unwrap().to_string();
                seen.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|partition| (name.clone(), partition.partition_index)),
                );
            }
            let Some(cursor) = response.next_cursor else { break };
            next = Some(
                describe_topic_partitions_request::Cursor::default()
                    .with_topic_name(cursor.topic_name)
                    .with_partition_index(cursor.partition_index),
            );
        }
        let expected: Vec<_> = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
            .map(|(name, index)| (name.to_owned(), index))
            .to_vec();
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_may_not_be_described_is_left_out_or_refused_when_it_is_named() {
        use super::super::rights::testing::Caller;
        use crate::image::acl::Kind;
        let caller = Caller::new(0, &["a", "b"], &[(Operation::Write, Kind::Topic, "b")]);
        let ask = |names: &[&'static str]| {
            let topic = |name: &&'static str| {
                describe_topic_partitions_request::TopicRequest::default()
                    .with_name(TopicName(StrBytes::from_static_str(name)))
            };
            let request = DescribeTopicPartitionsRequest::default()
                .with_topics(names.iter().map(topic).collect())
                .with_response_partition_limit(10);
            let response = page(&caller.image, &caller.call, &caller.rights(), request);
            let told = response.topics.into_iter();
            told.map(|topic| {
                (
                    topic.name.unwrap().to_string(),
                    topic.error_code,
                    topic.topic_authorized_operations,
                )
            })
            .collect::<Vec<_>>()
        };
        let write = 1 << Operation::Write.code() | 1 << Operation::Describe.code();
        assert_eq!(ask(&[]), [("b".to_owned(), 0, write)]);
        let told = ask(&["a", "b", "c"]);
        let codes: Vec<_> = told.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
        let denied = ErrorCode::TopicAuthorizationFailed.code();
        assert_eq!(codes, [("b", 0), ("a", denied), ("c", denied)], "existing or not");
    }
}
