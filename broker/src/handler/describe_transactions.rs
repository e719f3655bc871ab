//! DescribeTransactions (65): what coordinators know of transactional ids (KIP-664).

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::{Call, Context, Rights};
use crate::auth::Object;
use crate::image::acl::Operation;
use crate::txn::Transaction;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn handle(
    cx: &Context,
    _call: &Call,
    rights: &Rights<'_>,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let describe = |id: TransactionalId| match find(cx, rights, &id) {
        Ok(transaction) => state(id, &transaction, rights),
        Err(error) => TransactionState::default()
            .with_transactional_id(id)
            .with_error_code(error.code()),
    };
    let states = request.transactional_ids.into_iter().map(describe);
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

fn find(cx: &Context, rights: &Rights<'_>, id: &str) -> Result<Transaction, ErrorCode> {
    rights.demand(Operation::Describe, Object::TransactionalId(id))?;
    let found = cx.transactions.shard_of(id)?.describe(id);
    found.ok_or(ErrorCode::TransactionalIdNotFound)
}

fn state(id: TransactionalId, transaction: &Transaction, rights: &Rights<'_>) -> TransactionState {
    let topics = transaction.partitions.iter();
    let shown = topics.filter(|(topic, _)| rights.shows(Operation::Describe, Object::Topic(topic)));
    let topics = shown.map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic.clone())))
            .with_partitions(partitions.iter().copied().collect())
    });
    TransactionState::default()
        .with_transactional_id(id)
        .with_transaction_state(StrBytes::from_static_str(transaction.state.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started_ms)
        .with_producer_id(ProducerId(transaction.producer))
        .with_producer_epoch(transaction.epoch)
        .with_topics(topics.collect())
}
