//! Features of the cluster as each broker tells them, finalizing one of them, and which Kafka release a level of the
//! `metadata.version` feature belongs to. ApiVersions (KIP-584), UpdateFeatures (KIP-778).

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest};
use kafka_protocol::protocol::StrBytes;

use super::answer::{check, text};
use super::pool::{Peer, Pool};
use crate::model::feature::{METADATA_VERSION as FEATURE, Told};
use crate::source::Error;

/// The highest level of each release, from Kafka's `MetadataVersion`. Within a release more levels follow each other.
const RELEASES: [(i16, &str); 14] = [
    (1, "3.0"),
    (2, "3.1"),
    (3, "3.2"),
    (7, "3.3"),
    (8, "3.4"),
    (11, "3.5"),
    (14, "3.6"),
    (19, "3.7"),
    (20, "3.8"),
    (21, "3.9"),
    (25, "4.0"),
    (27, "4.1"),
    (29, "4.2"),
    (30, "4.3"),
];

/// The release of a level: `4.1`; a level newer than this list is `> 4.3`.
pub(super) fn release(level: i16) -> Option<String> {
    let known = RELEASES.iter().find(|(highest, _)| level <= *highest);
    match known {
        _ if level < 1 => None,
        Some((_, release)) => Some((*release).to_owned()),
        None => RELEASES.last().map(|(_, release)| format!("> {release}")),
    }
}

/// Upgrade, and downgrade where no metadata is lost, as UpdateFeatures numbers them (KIP-778).
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;

/// What a broker speaks and knows to be finalized, asked now.
pub(super) async fn told(pool: &Pool, peer: &Peer) -> Result<Told, Error> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("azimuth"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let response = pool.ask(peer, request).await?;
    check(peer.name(), "ApiVersions", response.error_code, None)?;
    let speaks = response.supported_features.iter();
    let finalized = response.finalized_features.iter();
    Ok(Told {
        speaks: speaks
            .map(|one| (one.name.to_string(), (one.min_version, one.max_version)))
            .collect(),
        finalized: finalized
            .map(|one| (one.name.to_string(), one.max_version_level))
            .collect(),
        release: software(&response),
    })
}

/// Finalizes a level; a lower one only where Kafka loses no metadata by it. With `validate_only` nothing is changed.
pub(super) async fn finalize(
    pool: &Pool,
    name: &str,
    level: i16,
    lower: bool,
    validate_only: bool,
) -> Result<(), Error> {
    let (peer, response) = pool
        .tell(|version| {
            let update = FeatureUpdateKey::default()
                .with_feature(text(name))
                .with_max_version_level(level);
            let update = match version {
                0 => update.with_allow_downgrade(lower),
                _ => update.with_upgrade_type(if lower { SAFE_DOWNGRADE } else { UPGRADE }),
            };
            let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]);
            match version {
                0 => request,
                _ => request.with_validate_only(validate_only),
            }
        })
        .await?;
    let what = format!("finalizing {name} at level {level}");
    check(peer.name(), &what, response.error_code, response.error_message.as_ref())?;
    for one in response.results {
        check(peer.name(), &what, one.error_code, one.error_message.as_ref())?;
    }
    Ok(())
}

/// The release that the cluster has finalised: what it behaves like.
pub(super) fn finalized(versions: &ApiVersionsResponse) -> Option<String> {
    let features = versions.finalized_features.iter();
    let level = features.filter(|feature| feature.name.as_str() == FEATURE);
    level.map(|feature| feature.max_version_level).next().and_then(release)
}

/// The release of the broker's software: the newest that it could be finalised to.
pub(super) fn software(versions: &ApiVersionsResponse) -> Option<String> {
    let features = versions.supported_features.iter();
    let level = features.filter(|feature| feature.name.as_str() == FEATURE);
    level.map(|feature| feature.max_version).next().and_then(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_belong_to_releases() {
        for (level, expected) in [
            (1, "3.0"),
            (4, "3.3"),
            (21, "3.9"),
            (22, "4.0"),
            (27, "4.1"),
            (30, "4.3"),
        ] {
            assert_eq!(release(level).as_deref(), Some(expected), "level {level}");
        }
        assert_eq!(release(0), None);
        assert_eq!(release(1000).as_deref(), Some("> 4.3"));
    }
}
