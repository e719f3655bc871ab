//! WriteTxnMarkers (27): the ends of transactions, from their coordinator or from an operator who aborts one that hangs
//! (KIP-664).

use std::ops::RangeInclusive;

use futures::future::join_all;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::refuse::Refuse;
use super::{Call, Context, forward};
use crate::coordinator::write_marker;
use crate::group::Ended;
use crate::wire::ErrorCode;

pub const VERSIONS: RangeInclusive<i16> = 1..=1;

pub async fn handle(cx: &Context, _call: &Call, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let markers = request.markers.into_iter().map(|marker| write(cx, marker));
    WriteTxnMarkersResponse::default().with_markers(join_all(markers).await)
}

impl Refuse for WriteTxnMarkersRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> WriteTxnMarkersResponse {
        let partition = |index: &i32| {
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(*index)
                .with_error_code(code.code())
        };
        let topic = |topic: &WritableTxnMarkerTopic| {
            WritableTxnMarkerTopicResult::default()
                .with_name(topic.name.clone())
                .with_partitions(topic.partition_indexes.iter().map(partition).collect())
        };
        let marker = |marker: &WritableTxnMarker| {
            WritableTxnMarkerResult::default()
                .with_producer_id(marker.producer_id)
                .with_topics(marker.topics.iter().map(topic).collect())
        };
        WriteTxnMarkersResponse::default().with_markers(self.markers.iter().map(marker).collect())
    }
}

async fn write(cx: &Context, marker: WritableTxnMarker) -> WritableTxnMarkerResult {
    let ended = Ended {
        producer: marker.producer_id.0,
        epoch: marker.producer_epoch,
        committed: marker.transaction_result,
        coordinator_epoch: marker.coordinator_epoch,
    };
    let topics = marker.topics.into_iter().map(|topic| write_in(cx, topic, ended));
    WritableTxnMarkerResult::default()
        .with_producer_id(marker.producer_id)
        .with_topics(join_all(topics).await)
}

async fn write_in(cx: &Context, topic: WritableTxnMarkerTopic, ended: Ended) -> WritableTxnMarkerTopicResult {
    let (image, now_ms, patience) = (cx.image(), cx.clock.now_ms(), forward::patience(cx));
    let partitions = topic.partition_indexes.iter().map(async |partition| {
        let at = (topic.name.as_str(), *partition);
        let written = write_marker(&cx.replicas, &cx.groups, &image, at, ended, now_ms, patience).await;
        WritableTxnMarkerPartitionResult::default()
            .with_partition_index(*partition)
            .with_error_code(written.map_or_else(|error| error.code(), |()| 0))
    });
    let partitions = join_all(partitions).await;
    WritableTxnMarkerTopicResult::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions)
}
