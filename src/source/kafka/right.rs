//! What our principal may do: the authorized operations of the cluster and of each topic (KIP-430).

use kafka_protocol::messages::{DescribeClusterRequest, MetadataRequest};

use super::answer::check;
use super::pool::Pool;
use crate::model::right::{Operations, Rights};
use crate::source::Error;

/// The protocol's word for "not asked, or not known".
const UNKNOWN: i32 = i32::MIN;

/// Two requests: DescribeCluster and Metadata.
pub(super) async fn rights(pool: &Pool) -> Result<Rights, Error> {
    let request = |_| DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    let (peer, cluster) = pool.ask_any(request).await?;
    let said = cluster.error_message.as_ref();
    check(peer.name(), "DescribeCluster", cluster.error_code, said)?;
    // Before version 8 (Kafka 2.3) nobody is told what it may do.
    let request = |version| {
        MetadataRequest::default()
            .with_topics(None)
            .with_allow_auto_topic_creation(version < 4)
            .with_include_topic_authorized_operations(version >= 8)
    };
    let (peer, metadata) = pool.ask_any(request).await?;
    check(peer.name(), "Metadata", metadata.error_code, None)?;
    let topics = metadata.topics.into_iter().filter(|topic| topic.error_code == 0);
    Ok(Rights {
        cluster: operations(cluster.cluster_authorized_operations),
        topics: topics
            .filter_map(|topic| Some((topic.name?.to_string(), operations(topic.topic_authorized_operations))))
            .collect(),
    })
}

fn operations(bits: i32) -> Option<Operations> {
    (bits != UNKNOWN).then(|| Operations::of_bits(bits))
}
