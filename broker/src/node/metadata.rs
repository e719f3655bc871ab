//! Follows the metadata log: fetches it from the controller, applies it, publishes the image.
//!
//! The image only grows with the log. While the controller is down the node keeps the last one.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use tokio::sync::watch;

use crate::handler::RemoteController;
use crate::id::{NodeId, Offset, TopicId};
use crate::image::Image;
use crate::wire::ErrorCode;

/// The controller holds an answer back so long while there is nothing new.
const LONG_POLL: Duration = Duration::from_millis(500);
/// Over which the answer is overdue.
const DEADLINE: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_millis(100);
const FETCH_BYTES: i32 = 8 * 1024 * 1024;

/// What is known of the cluster; clones share it.
#[derive(Clone)]
pub struct Known {
    pub images: watch::Sender<Arc<Image>>,
    /// True once the image holds all that the controller had decided.
    pub caught_up: watch::Sender<bool>,
}

impl Default for Known {
    /// Nothing yet.
    fn default() -> Self {
        Self {
            images: watch::Sender::new(Arc::new(Image::empty())),
            caught_up: watch::Sender::new(false),
        }
    }
}

/// Follows until it is dropped.
pub async fn follow(node: NodeId, controller: RemoteController, known: Known) {
    let images = &known.images;
    let mut said = String::new();
    loop {
        match advance(node, &controller, images).await {
            Ok(high_watermark) => {
                said.clear();
                if images.borrow().offset + 1 >= high_watermark {
                    known
                        .caught_up
                        .send_if_modified(|known| !std::mem::replace(known, true));
                }
            }
            Err(reason) => {
                // Once per reason: the controller may be down for long.
                if said != reason {
                    tracing::warn!("node {node} does not see new metadata: {reason}");
                    said = reason;
                }
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}

/// One fetch and what it brings; returns the end of what the controller has decided.
async fn advance(
    node: NodeId,
    controller: &RemoteController,
    images: &watch::Sender<Arc<Image>>,
) -> Result<Offset, String> {
    let image = Arc::clone(&images.borrow());
    let response = controller
        .call(request(node, &image), DEADLINE)
        .await
        .map_err(|error| error.to_string())?;
    let data = partition(response)?;
    match ErrorCode::try_from_code(data.error_code) {
        None => {}
        Some(ErrorCode::OffsetOutOfRange) => {
            images.send_replace(Arc::new(Image::empty()));
            return Err("the controller's log is another than the one followed so far; it is read again".to_owned());
        }
        Some(code) => return Err(meaning(code)),
    }
    if let Some(records) = data.records.filter(|records| !records.is_empty()) {
        let mut next = Image::clone(&image);
        next.replay(records).map_err(|error| error.to_string())?;
        images.send_replace(Arc::new(next));
    }
    Ok(data.high_watermark)
}

/// What a refusal of the controller means to the operator of this node.
pub(super) fn meaning(code: ErrorCode) -> String {
    match code {
        ErrorCode::ClusterAuthorizationFailed => "the controller does not let this node act for the cluster: the principal that the node connects as has to be in the controller's super.users, or needs an ACL for ClusterAction on the cluster".to_owned(),
        code => format!("the controller answers {code}"),
    }
}

fn request(node: NodeId, image: &Image) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(image.offset + 1)
        .with_last_fetched_epoch(-1)
        .with_partition_max_bytes(FETCH_BYTES);
    let topic = FetchTopic::default()
        .with_topic_id(TopicId::METADATA.0)
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_state(ReplicaState::default().with_replica_id(BrokerId(node.0)))
        .with_max_wait_ms(i32::try_from(LONG_POLL.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(FETCH_BYTES)
        .with_topics(vec![topic])
}

fn partition(response: FetchResponse) -> Result<PartitionData, String> {
    response
        .responses
        .into_iter()
        .flat_map(|topic| topic.partitions)
        .next()
        .ok_or_else(|| match ErrorCode::try_from_code(response.error_code) {
            Some(code) => meaning(code),
            None => "the controller answers without the metadata partition".to_owned(),
        })
}
