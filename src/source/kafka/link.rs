//! How a broker answers: one ApiVersions round trip on a warm connection, which needs no right.

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::answer::check;
use super::feature;
use super::pool::{Peer, Pool, locked};
use crate::model::broker::Link;
use crate::source::Error;

/// A round trip, and whether it had to queue behind another request of ours, which makes its time meaningless.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub link: Link,
    pub queued: bool,
}

pub(super) async fn link(pool: &Pool, peer: &Peer) -> Result<Probe, Error> {
    pool.warm(peer).await?;
    let queued = peer.is_busy();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("azimuth"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let said = locked(&peer.said).clone();
    let started = Instant::now();
    let answer = pool
        .ask_unless(peer, said.as_ref().map(|(mark, _)| *mark), |_| request)
        .await?;
    let rtt_ms = started.elapsed().as_secs_f64() * 1000.0;
    let release = match answer {
        Some((mark, response)) => {
            check(peer.name(), "ApiVersions", response.error_code, None)?;
            let release = feature::software(&response);
            *locked(&peer.said) = Some((mark, release.clone()));
            release
        }
        None => said.and_then(|(_, release)| release),
    };
    let link = Link { rtt_ms, release };
    Ok(Probe { link, queued })
}
