//! Writing the markers that end a transaction: in the partitions led here, and by asking those who lead the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{ProducerId, TopicName, WriteTxnMarkersRequest};
use kafka_protocol::protocol::StrBytes;

use super::TransactionSetup;
use crate::coordinator::{GroupCoordinator, OFFSETS_TOPIC};
use crate::group::Ended;
use crate::id::{Epoch, NodeId, TopicPartition};
use crate::image::Image;
use crate::record::Marker;
use crate::replica::{ReplicaManager, Verify};
use crate::txn::{Markers, Place, Producer};

/// How soon leaders are asked again that did not write: doubled each time up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Writes one marker into a partition that this node leads, and waits until it is committed.
///
/// # Errors
/// The protocol's.
pub async fn write_marker(
    replicas: &ReplicaManager,
    groups: &GroupCoordinator,
    image: &Image,
    (topic, partition): (&str, i32),
    ended: Ended,
    now_ms: i64,
    timeout: Duration,
) -> Result<(), ResponseError> {
    if topic == OFFSETS_TOPIC {
        // The groups write it themselves: it makes offsets visible.
        return groups.shard_at(partition)?.end_transaction(ended).await;
    }
    let id = image.topic_named(topic).map(|topic| topic.id);
    let at = TopicPartition {
        topic: id.ok_or(ResponseError::UnknownTopicOrPartition)?,
        partition,
    };
    let marker = Marker {
        committed: ended.committed,
        coordinator_epoch: ended.coordinator_epoch,
    };
    let batch = marker.batch(now_ms, ended.producer, ended.epoch);
    let batch = batch.map_err(|_| ResponseError::UnknownServerError)?;
    let written = replicas.append_internal(at, batch, timeout, Verify::Off).await;
    written.map(|_| ()).map_err(|refusal| refusal.code)
}

/// Has every partition of a transaction marked, however long that takes; false when it is not for this node any more.
pub(super) async fn write_all(
    setup: &TransactionSetup,
    markers: &Markers,
    coordinator_epoch: Epoch,
    is_closed: impl Fn() -> bool,
) -> bool {
    let ended = Ended {
        producer: markers.producer.0,
        epoch: markers.producer.1,
        committed: markers.committed,
        coordinator_epoch,
    };
    let places = markers.partitions.iter();
    let mut left: BTreeSet<Place> = places
        .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (topic.clone(), *partition)))
        .collect();
    let mut pause = RETRY.0;
    while !is_closed() {
        let image = Arc::clone(&setup.image.borrow());
        let by_leader = by_leader(&image, &left);
        let asked = by_leader
            .into_iter()
            .map(|(leader, places)| write_at(setup, &image, leader, places, ended));
        for (place, outcome) in join_all(asked).await.into_iter().flatten() {
            match outcome {
                Ok(()) => {
                    left.remove(&place);
                }
                // Gone with its topic, so there is nothing to be ended.
                Err(ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId)
                    if image.topic_named(&place.0).is_none() =>
                {
                    left.remove(&place);
                }
                Err(ResponseError::TransactionCoordinatorFenced) => return false,
                // The partition has seen a newer epoch of the producer, so its transaction was ended there.
                Err(ResponseError::InvalidProducerEpoch) => {
                    left.remove(&place);
                }
                Err(error) => tracing::debug!("the end of {} is not written yet in {place:?}: {error}", markers.id),
            }
        }
        if left.is_empty() {
            return true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
    false
}

type Outcomes = Vec<(Place, Result<(), ResponseError>)>;

fn by_leader(image: &Image, places: &BTreeSet<Place>) -> BTreeMap<Option<NodeId>, Vec<Place>> {
    let mut found: BTreeMap<Option<NodeId>, Vec<Place>> = BTreeMap::new();
    for place in places {
        let partitions = image.topic_named(&place.0).map(|topic| &topic.partitions);
        let state = usize::try_from(place.1).ok().and_then(|index| partitions?.get(index));
        let leader = state.map(|state| state.leader).filter(|leader| image.is_live(*leader));
        found.entry(leader).or_default().push(place.clone());
    }
    found
}

async fn write_at(
    setup: &TransactionSetup,
    image: &Image,
    leader: Option<NodeId>,
    places: Vec<Place>,
    ended: Ended,
) -> Outcomes {
    let fail = |places: Vec<Place>, error| places.into_iter().map(|place| (place, Err(error))).collect();
    let Some(leader) = leader else {
        let all = places.into_iter().map(|place| {
            let error = match image.topic_named(&place.0) {
                None => ResponseError::UnknownTopicOrPartition,
                Some(_) => ResponseError::LeaderNotAvailable,
            };
            (place, Err(error))
        });
        return all.collect();
    };
    if leader == setup.node {
        let now_ms = setup.clock.now_ms();
        let written = places.into_iter().map(async |place| {
            let at = (place.0.as_str(), place.1);
            let (replicas, groups) = (&setup.replicas, &setup.groups);
            let outcome = write_marker(replicas, groups, image, at, ended, now_ms, setup.timeout).await;
            (place, outcome)
        });
        return join_all(written).await;
    }
    let request = request(&places, ended);
    let Some(response) = setup.peers.ask(image, leader, request, setup.timeout).await else {
        return fail(places, ResponseError::RequestTimedOut);
    };
    let told = response.markers.into_iter().flat_map(|marker| marker.topics);
    let told = told.flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |partition| {
            let outcome = match partition.error_code {
                0 => Ok(()),
                code => Err(ResponseError::try_from_code(code).unwrap_or(ResponseError::UnknownServerError)),
            };
            ((name.clone(), partition.partition_index), outcome)
        })
    });
    told.collect()
}

fn request(places: &[Place], ended: Ended) -> WriteTxnMarkersRequest {
    let (producer, epoch): Producer = (ended.producer, ended.epoch);
    let mut topics: Vec<WritableTxnMarkerTopic> = Vec::new();
    for (name, partition) in places {
        match topics.last_mut().filter(|topic| topic.name.as_str() == name) {
            Some(topic) => topic.partition_indexes.push(*partition),
            None => topics.push(
                WritableTxnMarkerTopic::default()
                    .with_name(TopicName(StrBytes::from_string(name.clone())))
                    .with_partition_indexes(vec![*partition]),
            ),
        }
    }
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_transaction_result(ended.committed)
        .with_coordinator_epoch(ended.coordinator_epoch)
        .with_topics(topics);
    WriteTxnMarkersRequest::default().with_markers(vec![marker])
}
