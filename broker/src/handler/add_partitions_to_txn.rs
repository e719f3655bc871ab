//! AddPartitionsToTxn (24): partitions become part of a producer's transaction; from other brokers (v4 on), many transactions
//! at once, added or only verified (KIP-890).

use std::ops::RangeInclusive;

use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::{Call, Context, Rights, metadata};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::txn::{Place, Producer};
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version for brokers.
const FOR_BROKERS: i16 = 4;
/// The first version that knows `TRANSACTION_ABORTABLE`.
const KNOWS_ABORTABLE: i16 = 5;

/// `transaction.version` of a transaction whose client adds its partitions itself, and of one whose brokers do.
const BY_CLIENT: i16 = 0;
const BY_BROKER: i16 = 2;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let response = AddPartitionsToTxnResponse::default();
    if call.version >= FOR_BROKERS {
        if let Err(error) = rights.demand(Operation::ClusterAction, Object::Cluster) {
            return response.with_error_code(error.code());
        }
        let mut results = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            results.push(of_broker(cx, call, transaction).await);
        }
        return response.with_results_by_transaction(results);
    }
    let topics = request.v3_and_below_topics;
    let by = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
    let outcome = of_client(cx, rights, &request.v3_and_below_transactional_id, by, &topics).await;
    let tell = |topic: &str, partition: i32| match &outcome {
        Ok(()) => 0,
        Err(Refused::All(error)) => fenced_word(*error, call.version).code(),
        Err(Refused::Some(refused)) => {
            let found = refused
                .iter()
                .find(|(place, _)| (place.0.as_str(), place.1) == (topic, partition));
            // Nothing is added unless everything can be.
            found
                .map_or(ErrorCode::OperationNotAttempted, |(_, error)| *error)
                .code()
        }
    };
    response.with_results_by_topic_v3_and_below(results(&topics, tell))
}

/// Before version 2 clients do not know `PRODUCER_FENCED`.
pub(super) fn fenced_word(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < 2 => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

enum Refused {
    All(ErrorCode),
    Some(Vec<(Place, ErrorCode)>),
}

async fn of_client(
    cx: &Context,
    rights: &Rights<'_>,
    id: &str,
    by: Producer,
    topics: &[AddPartitionsToTxnTopic],
) -> Result<(), Refused> {
    rights
        .demand(Operation::Write, Object::TransactionalId(id))
        .map_err(Refused::All)?;
    let image = cx.image();
    let places = places(topics);
    let refusal = |place: &Place| {
        if metadata::is_internal(&place.0) {
            return Some(ErrorCode::TopicAuthorizationFailed);
        }
        if let Err(error) = rights.demand(Operation::Write, Object::Topic(&place.0)) {
            return Some(error);
        }
        let partitions = image.topic_named(&place.0).map_or(0, |topic| topic.partitions.len());
        let known = usize::try_from(place.1).is_ok_and(|index| index < partitions);
        (!known).then_some(ErrorCode::UnknownTopicOrPartition)
    };
    let refused: Vec<(Place, ErrorCode)> = places
        .iter()
        .filter_map(|place| refusal(place).map(|error| (place.clone(), error)))
        .collect();
    if !refused.is_empty() {
        return Err(Refused::Some(refused));
    }
    let shard = cx.transactions.shard_of(id).map_err(Refused::All)?;
    shard.add(id, by, places, BY_CLIENT).await.map_err(Refused::All)
}

async fn of_broker(cx: &Context, call: &Call, asked: AddPartitionsToTxnTransaction) -> AddPartitionsToTxnResult {
    let id = asked.transactional_id.as_str();
    let by = (asked.producer_id.0, asked.producer_epoch);
    let places = places(&asked.topics);
    let verdicts = match cx.transactions.shard_of(id) {
        Err(error) => vec![Err(error); places.len()],
        Ok(shard) if asked.verify_only => shard.verify(id, by, &places),
        Ok(shard) => vec![shard.add(id, by, places.clone(), BY_BROKER).await; places.len()],
    };
    let tell = |topic: &str, partition: i32| {
        let at = places
            .iter()
            .position(|place| (place.0.as_str(), place.1) == (topic, partition));
        match at.and_then(|at| verdicts.get(at)) {
            Some(Err(ErrorCode::TransactionAbortable)) if call.version < KNOWS_ABORTABLE => {
                ErrorCode::InvalidTxnState.code()
            }
            Some(Err(error)) => error.code(),
            _ => 0,
        }
    };
    let results = results(&asked.topics, tell);
    AddPartitionsToTxnResult::default()
        .with_transactional_id(asked.transactional_id.clone())
        .with_topic_results(results)
}

fn places(topics: &[AddPartitionsToTxnTopic]) -> Vec<Place> {
    let of = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.to_string();
        let partitions = topic.partitions.clone();
        partitions.into_iter().map(move |partition| (name.clone(), partition))
    };
    topics.iter().flat_map(of).collect()
}

fn results(topics: &[AddPartitionsToTxnTopic], tell: impl Fn(&str, i32) -> i16) -> Vec<AddPartitionsToTxnTopicResult> {
    let of = |topic: &AddPartitionsToTxnTopic| {
        let partitions = topic.partitions.iter().map(|partition| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(tell(&topic.name, *partition))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    };
    topics.iter().map(of).collect()
}
