//! Transactions of one coordinator, and the producers that a leader remembers. KIP-664.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest, ProducerId, TransactionalId,
    WriteTxnMarkersRequest,
};

use super::Partitions;
use super::answer::{check, text, topic_name};
use super::pool::{Peer, Pool};
use crate::model::transaction::{Open, Producer, Transaction};
use crate::source::Error;

/// Open transactions described by one request.
const DESCRIBED_AT_ONCE: usize = 500;

/// The broker's code for an id that another broker coordinates, or that is gone.
const GONE: [i16; 3] = [14, 15, 16];

/// All transactional ids of this coordinator, sorted; of the open ones everything.
pub(super) async fn transactions(pool: &Pool, peer: &Peer) -> Result<Vec<Transaction>, Error> {
    let request = ListTransactionsRequest::default().with_duration_filter(-1);
    let response = pool.ask(peer, request).await?;
    check(peer.name(), "ListTransactions", response.error_code, None)?;
    let mut all: Vec<Transaction> = response
        .transaction_states
        .into_iter()
        .map(|listed| Transaction {
            id: listed.transactional_id.to_string(),
            state: listed.transaction_state.to_string(),
            producer_id: listed.producer_id.0,
            open: None,
        })
        .collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let open: Vec<String> = all
        .iter()
        .filter(|one| one.is_open())
        .map(|one| one.id.clone())
        .collect();
    for ids in open.chunks(DESCRIBED_AT_ONCE) {
        for (id, state, described) in describe(pool, peer, ids).await? {
            if let Some(one) = all.iter_mut().find(|one| one.id == id) {
                one.open = crate::model::transaction::is_open(&state).then_some(described);
                one.state = state;
            }
        }
    }
    Ok(all)
}

async fn describe(pool: &Pool, peer: &Peer, ids: &[String]) -> Result<Vec<(String, String, Open)>, Error> {
    let ids = ids.iter().map(|id| TransactionalId(text(id))).collect();
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    let response = pool.ask(peer, request).await?;
    let mut described = Vec::new();
    for state in response.transaction_states {
        let id = state.transactional_id.to_string();
        match state.error_code {
            0 => described.push((id, state.transaction_state.to_string(), open(state))),
            // It ended between the two questions, or moved with its coordinator.
            code if GONE.contains(&code) || code == TRANSACTIONAL_ID_NOT_FOUND => {}
            code => check(peer.name(), &format!("transaction {id}"), code, None)?,
        }
    }
    Ok(described)
}

const TRANSACTIONAL_ID_NOT_FOUND: i16 = 105;

fn open(state: TransactionState) -> Open {
    let topics = state.topics.into_iter().map(|topic| {
        let mut partitions = topic.partitions;
        partitions.sort_unstable();
        (topic.topic.to_string(), partitions)
    });
    Open {
        producer_epoch: state.producer_epoch,
        timeout_ms: state.transaction_timeout_ms,
        started_ms: (state.transaction_start_time_ms >= 0).then_some(state.transaction_start_time_ms),
        topics: topics.collect::<BTreeMap<_, _>>(),
    }
}

/// The producers of these partitions, asked of their leader: one request. Partitions that it does not lead are left out.
pub(super) async fn producers(pool: &Pool, peer: &Peer, partitions: &Partitions) -> Result<Vec<Producer>, Error> {
    let topics = partitions.iter().map(|(topic, partitions)| {
        TopicRequest::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(partitions.clone())
    });
    let request = DescribeProducersRequest::default().with_topics(topics.collect());
    let response = pool.ask(peer, request).await?;
    let mut producers = Vec::new();
    for topic in response.topics {
        let name = topic.name.to_string();
        for partition in topic.partitions {
            if partition.error_code == NOT_LEADER_OR_FOLLOWER {
                continue;
            }
            let what = format!("the producers of {name}-{}", partition.partition_index);
            check(
                peer.name(),
                &what,
                partition.error_code,
                partition.error_message.as_ref(),
            )?;
            producers.extend(partition.active_producers.into_iter().map(|state| Producer {
                topic: name.clone(),
                partition: partition.partition_index,
                producer_id: state.producer_id.0,
                producer_epoch: state.producer_epoch,
                coordinator_epoch: state.coordinator_epoch,
                last_timestamp_ms: (state.last_timestamp >= 0).then_some(state.last_timestamp),
                open_from_offset: (state.current_txn_start_offset >= 0).then_some(state.current_txn_start_offset),
            }));
        }
    }
    Ok(producers)
}

const NOT_LEADER_OR_FOLLOWER: i16 = 6;

/// Ends the open transaction of one producer in one partition, as its coordinator would. WriteTxnMarkers, to the leader.
pub(super) async fn abort(pool: &Pool, peer: &Peer, producer: &Producer) -> Result<(), Error> {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name(&producer.topic))
        .with_partition_indexes(vec![producer.partition]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(producer.producer_epoch as i16)
        .with_transaction_result(false)
        // Kafka's own tool takes 0 where no marker was written yet.
        .with_coordinator_epoch(producer.coordinator_epoch.max(0))
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let what = format!("aborting the transaction in {}-{}", producer.topic, producer.partition);
    for marker in pool.ask(peer, request).await?.markers {
        for topic in marker.topics {
            for partition in topic.partitions {
                check(peer.name(), &what, partition.error_code, None)?;
            }
        }
    }
    Ok(())
}
