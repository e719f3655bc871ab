//! The cluster's identity and brokers. DescribeCluster (KIP-700, fenced brokers by KIP-1073), or Metadata.

use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse};

use super::answer::{check, known};
use super::pool::Pool;
use crate::model::broker::Broker;
use crate::model::cluster::Cluster;
use crate::source::Error;
use crate::source::kafka::feature;

/// Ask for brokers' endpoints, not for controllers'. KIP-919.
const BROKER_ENDPOINTS: i8 = 1;

/// Asks, and teaches the pool the brokers' addresses.
pub(super) async fn cluster(pool: &Pool) -> Result<Cluster, Error> {
    let request = |version| {
        DescribeClusterRequest::default()
            .with_endpoint_type(BROKER_ENDPOINTS)
            .with_include_fenced_brokers(version >= 2)
    };
    let (peer, mut cluster) = match pool.ask_any(request).await {
        Ok((peer, response)) => {
            check(
                peer.name(),
                "DescribeCluster",
                response.error_code,
                response.error_message.as_ref(),
            )?;
            (peer, described(response))
        }
        // Before Kafka 2.8.
        Err(Error::Unsupported { .. }) => {
            let request = |_| MetadataRequest::default().with_topics(Some(Vec::new()));
            let (peer, response) = pool.ask_any(request).await?;
            check(peer.name(), "Metadata", response.error_code, None)?;
            (peer, from_metadata(response))
        }
        Err(error) => return Err(error),
    };
    cluster.version = pool.versions(&peer).await.ok().as_ref().and_then(feature::finalized);
    cluster.brokers.sort_by_key(|broker| broker.id);
    pool.learn(&cluster);
    Ok(cluster)
}

fn described(response: DescribeClusterResponse) -> Cluster {
    let brokers = response.brokers.into_iter().map(|broker| Broker {
        id: broker.broker_id.0,
        host: broker.host.to_string(),
        port: port(broker.port),
        rack: broker.rack.map(|rack| rack.to_string()),
        fenced: broker.is_fenced,
    });
    Cluster {
        id: response.cluster_id.to_string(),
        controller: known(response.controller_id),
        brokers: brokers.collect(),
        version: None,
    }
}

fn from_metadata(response: MetadataResponse) -> Cluster {
    let brokers = response.brokers.into_iter().map(|broker| Broker {
        id: broker.node_id.0,
        host: broker.host.to_string(),
        port: port(broker.port),
        rack: broker.rack.map(|rack| rack.to_string()),
        fenced: false,
    });
    Cluster {
        id: response.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
        controller: known(response.controller_id),
        brokers: brokers.collect(),
        version: None,
    }
}

/// A port outside of 0..=65535 cannot be connected to; 0 says so.
fn port(port: i32) -> u16 {
    u16::try_from(port).unwrap_or(0)
}
