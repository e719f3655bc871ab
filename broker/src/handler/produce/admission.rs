//! Whether the batches of a transaction may be written (KIP-890): each either continues a transaction that is open in its
//! partition, or its coordinator says that the partition belongs to the transaction. From version 12 on the coordinator
//! adds it.

use std::collections::HashMap;

use kafka_protocol::messages::produce_request::TopicProduceData;

use super::find;
use crate::coordinator::Patience;
use crate::handler::{Call, Context, Rights};
use crate::id::TopicPartition;
use crate::image::Image;
use crate::record::Header;
use crate::replica::{Guard, Refusal, Verify};
use crate::txn::{Place, Producer};
use crate::wire::ErrorCode;

/// The first version whose partitions are added by being written.
const ADDS: i16 = 12;
/// The first version that knows `TRANSACTION_ABORTABLE`.
const KNOWS_ABORTABLE: i16 = 11;

/// What was found out about a request's partitions before it is appended.
#[derive(Debug, Default)]
pub(super) struct Admission {
    by_partition: HashMap<TopicPartition, Result<Option<Guard>, ErrorCode>>,
}

impl Admission {
    /// Of a request that begins no transaction.
    pub fn none() -> Self {
        Self::default()
    }

    pub async fn ask(
        cx: &Context,
        call: &Call,
        rights: &Rights<'_>,
        image: &Image,
        id: &str,
        topics: &[TopicProduceData],
    ) -> Self {
        let mut admission = Self::none();
        let verifies = call.version >= ADDS || cx.config.boolean("transaction.partition.verification.enable");
        let batches = match verifies {
            true => transactional(call, rights, image, topics),
            false => Vec::new(),
        };
        // One request has one producer.
        let Some((_, _, first)) = batches.first() else {
            return admission;
        };
        let by: Producer = (first.producer_id, first.producer_epoch);
        let patience = Patience::begin();
        loop {
            let asked = admission.begin(cx, &batches);
            if asked.is_empty() {
                return admission;
            }
            let places: Vec<Place> = asked.iter().map(|(_, place)| (*place).clone()).collect();
            let verdicts = cx.verifier.ask(id, by, &places, call.version >= ADDS).await;
            let busy = Err(ErrorCode::ConcurrentTransactions);
            let waits = verdicts.values().any(|verdict| *verdict == busy) || !admission.holds(cx, &batches);
            if waits && patience.rest().await {
                continue;
            }
            for (at, place) in asked {
                let verdict = verdicts
                    .get(place)
                    .copied()
                    .unwrap_or(Err(ErrorCode::UnknownServerError));
                if let Err(error) = verdict {
                    admission.by_partition.insert(at, Err(known(error, call.version)));
                }
            }
            return admission;
        }
    }

    /// Announces to the logs that their batches are being verified; those that have to be asked for are returned.
    fn begin<'a>(&mut self, cx: &Context, batches: &'a [Batch]) -> Vec<(TopicPartition, &'a Place)> {
        self.by_partition.clear();
        let mut asked = Vec::new();
        for (at, place, batch) in batches {
            let guard = cx.replicas.begin_verification(*at, batch);
            if let Ok(Some(_)) = guard {
                asked.push((*at, place));
            }
            self.by_partition.insert(*at, guard.map_err(|refusal| refusal.code));
        }
        asked
    }

    /// Whether the guards are still worth something: the marker of the transaction before may have been written meanwhile,
    /// and takes them.
    fn holds(&self, cx: &Context, batches: &[Batch]) -> bool {
        batches.iter().all(|(at, _, batch)| {
            let held = self.by_partition.get(at);
            match cx.replicas.begin_verification(*at, batch) {
                // Open by now, or as it was.
                Ok(None) => true,
                Ok(guard) => held == Some(&Ok(guard)),
                Err(_) => true,
            }
        })
    }

    /// How the batch for a partition is treated.
    pub fn of(&self, cx: &Context, at: TopicPartition) -> Result<Verify, Refusal> {
        match self.by_partition.get(&at) {
            Some(Ok(guard)) => Ok(Verify::With(*guard)),
            Some(Err(error)) => Err((*error).into()),
            None if cx.config.boolean("transaction.partition.verification.enable") => Ok(Verify::With(None)),
            None => Ok(Verify::Off),
        }
    }
}

/// The coordinator's errors as producers of a version know them. Those that pass become one that every producer sends its
/// batch again for, without asking for metadata.
fn known(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::ConcurrentTransactions if version >= ADDS => error,
        ErrorCode::ConcurrentTransactions
        | ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        ErrorCode::TransactionAbortable if version < KNOWS_ABORTABLE => ErrorCode::InvalidTxnState,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// A transaction's batch, by its header, and where it belongs.
type Batch = (TopicPartition, Place, Header);

fn transactional(call: &Call, rights: &Rights<'_>, image: &Image, topics: &[TopicProduceData]) -> Vec<Batch> {
    let mut found = Vec::new();
    for topic in topics {
        let Ok(topic_id) = find(image, call, rights, topic) else {
            continue;
        };
        let name = image.topic(topic_id).map(|topic| topic.name.clone());
        for partition in &topic.partition_data {
            let header = partition
                .records
                .as_deref()
                .and_then(|records| Header::parse(records).ok());
            let Some(header) = header.filter(Header::is_transactional) else {
                continue;
            };
            let at = TopicPartition {
                topic: topic_id,
                partition: partition.index,
            };
            let place = (name.clone().unwrap_or_default(), partition.index);
            found.push((at, place, header));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_sent_again_and_what_does_not_is_said_in_known_words() {
        assert_eq!(known(ErrorCode::NotCoordinator, 10), ErrorCode::NotEnoughReplicas);
        assert_eq!(
            known(ErrorCode::ConcurrentTransactions, 11),
            ErrorCode::NotEnoughReplicas
        );
        assert_eq!(
            known(ErrorCode::ConcurrentTransactions, 12),
            ErrorCode::ConcurrentTransactions
        );
        assert_eq!(known(ErrorCode::TransactionAbortable, 10), ErrorCode::InvalidTxnState);
        assert_eq!(
            known(ErrorCode::TransactionAbortable, 11),
            ErrorCode::TransactionAbortable
        );
        assert_eq!(known(ErrorCode::ProducerFenced, 9), ErrorCode::InvalidProducerEpoch);
    }
}
