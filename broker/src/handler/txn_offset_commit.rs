//! TxnOffsetCommit (28): offsets that count when a producer's transaction is committed (KIP-98, KIP-447). From version 5 on
//! they become part of the transaction by being committed (KIP-890).

use std::ops::RangeInclusive;

use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::coordinator::{OFFSETS_TOPIC, Patience, Shard};
use crate::group::{Commit, Committer, InTransaction};
use crate::image::Image;
use crate::image::acl::Operation;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version whose offsets join the transaction by themselves.
const ADDS: i16 = 5;

pub async fn handle(
    cx: &Context,
    call: &Call,
    rights: &Rights<'_>,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let (id, group) = (request.transactional_id.as_str(), request.group_id.as_str());
    let granted = rights.demand(Operation::Write, Object::TransactionalId(id));
    let granted = granted.and_then(|()| rights.demand(Operation::Read, Object::Group(group)));
    let shard = match granted.and_then(|()| cx.groups.shard_of(group)) {
        Ok(shard) => shard,
        Err(error) => return respond(request.topics, |_, _| Err(error)),
    };
    let image = cx.image();
    let refusal = |topic: &str, partition: &TxnOffsetCommitRequestPartition| {
        rights.demand(Operation::Read, Object::Topic(topic))?;
        acceptable(&image, &shard, topic, partition)
    };
    let mut commits = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if refusal(&topic.name, partition).is_ok() {
                commits.push(commit(&topic.name, partition));
            }
        }
    }
    let outcome = match commits.is_empty() {
        true => Ok(()),
        false => store(cx, call, &shard, &request, commits).await,
    };
    respond(request.topics, |topic, partition| {
        refusal(topic, partition).and(outcome)
    })
}

async fn store(
    cx: &Context,
    call: &Call,
    shard: &Shard,
    request: &TxnOffsetCommitRequest,
    commits: Vec<Commit>,
) -> Result<(), ErrorCode> {
    let (producer, epoch) = (request.producer_id.0, request.producer_epoch);
    let adds = call.version >= ADDS;
    let verifies = adds || cx.config.boolean("transaction.partition.verification.enable");
    let places = vec![(OFFSETS_TOPIC.to_owned(), shard.partition())];
    let patience = Patience::begin();
    let ticket = loop {
        let ticket = match verifies {
            true => shard.begin_verification(producer, epoch)?,
            false => None,
        };
        if ticket.is_none() {
            break ticket;
        }
        let verdicts = cx
            .verifier
            .ask(&request.transactional_id, (producer, epoch), &places, adds)
            .await;
        let verdict = verdicts
            .into_values()
            .next()
            .unwrap_or(Err(ErrorCode::UnknownServerError));
        // The marker of the transaction before may have been written meanwhile, and takes what was announced.
        let waits = match verdict {
            Ok(()) => shard
                .begin_verification(producer, epoch)?
                .is_some_and(|now| Some(now) != ticket),
            Err(error) => error == ErrorCode::ConcurrentTransactions,
        };
        if waits && patience.rest().await {
            continue;
        }
        verdict.map_err(|error| known(error, call.version))?;
        break ticket;
    };
    let by = Committer {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(|instance| instance.to_string()),
        generation: request.generation_id,
    };
    let transaction = InTransaction {
        producer,
        epoch,
        ticket,
    };
    shard.commit_later(&by, transaction, commits).await
}

/// Errors of the transaction's coordinator as clients of a version know them; who is busy or moves is asked again.
fn known(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::ConcurrentTransactions if version < ADDS => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::TransactionAbortable if version < 4 => ErrorCode::InvalidTxnState,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// Whether one offset can be committed.
fn acceptable(
    image: &Image,
    shard: &Shard,
    topic: &str,
    partition: &TxnOffsetCommitRequestPartition,
) -> Result<(), ErrorCode> {
    let partitions = image.topic_named(topic).map_or(0, |topic| topic.partitions.len());
    if usize::try_from(partition.partition_index).map_or(true, |index| index >= partitions) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    match shard.accepts_metadata(metadata) {
        true => Ok(()),
        false => Err(ErrorCode::OffsetMetadataTooLarge),
    }
}

fn commit(topic: &str, partition: &TxnOffsetCommitRequestPartition) -> Commit {
    let metadata = partition.committed_metadata.as_ref();
    Commit {
        topic: topic.to_owned(),
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.map(|metadata| metadata.to_string()).unwrap_or_default(),
    }
}

fn respond(
    topics: Vec<TxnOffsetCommitRequestTopic>,
    outcome: impl Fn(&str, &TxnOffsetCommitRequestPartition) -> Result<(), ErrorCode>,
) -> TxnOffsetCommitResponse {
    let answer = |topic: TxnOffsetCommitRequestTopic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let code = outcome(&topic.name, partition).map_or_else(|error| error.code(), |()| 0);
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    };
    TxnOffsetCommitResponse::default().with_topics(topics.into_iter().map(answer).collect())
}
