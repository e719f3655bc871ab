//! Asking a transaction's coordinator whether partitions belong to it, or to add them (KIP-890), for the leaders of those
//! partitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{TransactionCoordinator, place_of};
use crate::coordinator::Peers;
use crate::id::NodeId;
use crate::image::Image;
use crate::txn::{Place, Producer};

/// `transaction.version` of clients whose partitions are added when they are written.
const ADDS: i16 = 2;

/// For how long the next transaction of a producer waits, at most, while the markers of the one before are being written;
/// then its client asks again.
#[derive(Debug)]
pub struct Patience {
    until: Instant,
}

impl Patience {
    const LONGEST: Duration = Duration::from_millis(500);
    const PAUSE: Duration = Duration::from_millis(10);

    pub fn begin() -> Self {
        Self {
            until: Instant::now() + Self::LONGEST,
        }
    }

    /// Waits a little; false when that has gone on for too long.
    pub async fn rest(&self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(Self::PAUSE).await;
        true
    }
}

/// An answer for each partition.
pub type Verdicts = HashMap<Place, Result<(), ResponseError>>;

/// Asks coordinators, here or elsewhere.
pub struct Verifier {
    pub node: NodeId,
    pub image: watch::Receiver<Arc<Image>>,
    pub transactions: Arc<TransactionCoordinator>,
    pub peers: Arc<Peers>,
    /// `request.timeout.ms`
    pub timeout: Duration,
}

impl Verifier {
    /// Whether `places` are part of the producer's transaction; with `add` they become so.
    pub async fn ask(&self, id: &str, by: Producer, places: &[Place], add: bool) -> Verdicts {
        let all = |error| places.iter().map(|place| (place.clone(), Err(error))).collect();
        let image = Arc::clone(&self.image.borrow());
        let state = place_of(&image, id).and_then(|at| image.partition(at));
        let Some(leader) = state.map(|state| state.leader).filter(|leader| image.is_live(*leader)) else {
            return all(ResponseError::CoordinatorNotAvailable);
        };
        if leader == self.node {
            let shard = match self.transactions.shard_of(id) {
                Ok(shard) => shard,
                Err(error) => return all(error),
            };
            if !add {
                return places.iter().cloned().zip(shard.verify(id, by, places)).collect();
            }
            let added = shard.add(id, by, places.to_vec(), ADDS).await;
            return places.iter().map(|place| (place.clone(), added)).collect();
        }
        let request = request(id, by, places, add);
        let Some(response) = self.peers.ask(&image, leader, request, self.timeout).await else {
            return all(ResponseError::CoordinatorNotAvailable);
        };
        if response.error_code != 0 {
            return all(error(response.error_code));
        }
        let topics = response
            .results_by_transaction
            .into_iter()
            .flat_map(|result| result.topic_results);
        let told = topics.flat_map(|topic| {
            let name = topic.name.to_string();
            topic.results_by_partition.into_iter().map(move |partition| {
                let verdict = match partition.partition_error_code {
                    0 => Ok(()),
                    code => Err(error(code)),
                };
                ((name.clone(), partition.partition_index), verdict)
            })
        });
        told.collect()
    }
}

fn error(code: i16) -> ResponseError {
    ResponseError::try_from_code(code).unwrap_or(ResponseError::UnknownServerError)
}

fn request(id: &str, (producer, epoch): Producer, places: &[Place], add: bool) -> AddPartitionsToTxnRequest {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for (name, partition) in places {
        match topics.iter_mut().find(|topic| topic.name.as_str() == name) {
            Some(topic) => topic.partitions.push(*partition),
            None => topics.push(
                AddPartitionsToTxnTopic::default()
                    .with_name(TopicName(StrBytes::from_string(name.clone())))
                    .with_partitions(vec![*partition]),
            ),
        }
    }
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_owned())))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_verify_only(!add)
        .with_topics(topics);
    AddPartitionsToTxnRequest::default().with_transactions(vec![transaction])
}
