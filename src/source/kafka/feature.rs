//! Which Kafka release a level of the `metadata.version` feature belongs to.

use kafka_protocol::messages::ApiVersionsResponse;

const FEATURE: &str = "metadata.version";

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
