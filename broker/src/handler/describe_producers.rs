//! DescribeProducers (61): which idempotent producers replicas remember, and whose transactions are open (KIP-664).

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::id::TopicPartition;
use crate::image::acl::Operation;
use crate::replica::{ActiveProducer, Refusal};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let image = cx.image();
    let topics = request.topics.into_iter().map(|topic| {
        let granted = rights.demand(Operation::Read, Object::Topic(&topic.name));
        let id = image.topic_named(&topic.name).map(|topic| topic.id);
        let id = granted.and_then(|()| id.ok_or(ErrorCode::UnknownTopicOrPartition));
        let partitions = topic.partition_indexes.iter().map(|index| {
            let producers = id.map_err(Refusal::from).and_then(|topic| {
                cx.replicas.producers(TopicPartition {
                    topic,
                    partition: *index,
                })
            });
            answer(*index, producers)
        });
        let partitions = partitions.collect();
        TopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn answer(index: i32, producers: Result<Vec<ActiveProducer>, Refusal>) -> PartitionResponse {
    let answer = PartitionResponse::default().with_partition_index(index);
    match producers {
        Ok(producers) => answer.with_active_producers(producers.into_iter().map(state).collect()),
        Err(refusal) => answer
            .with_error_code(refusal.code.code())
            .with_error_message(refusal.message.map(StrBytes::from_string)),
    }
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.transaction_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_without_a_transaction_says_so() {
        let producer = ActiveProducer {
            id: 7,
            epoch: 2,
            last_sequence: 4,
            last_timestamp: 9,
            coordinator_epoch: -1,
            transaction_start: -1,
        };
        let answer = answer(3, Ok(vec![producer]));
        let told = &answer.active_producers[0];
        assert_eq!((answer.partition_index, answer.error_code), (3, 0));
        assert_eq!((told.producer_id.0, told.producer_epoch, told.last_sequence), (7, 2, 4));
        assert_eq!(told.current_txn_start_offset, -1);
    }
}
