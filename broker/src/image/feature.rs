//! Features of the whole cluster: which levels this program knows, and which one is finalized (KIP-584).

use super::Image;

/// The format of the metadata log, as Kafka counts it.
pub const METADATA_VERSION: &str = "metadata.version";
/// Level 1 keeps eligible leader replicas (KIP-966).
pub const ELIGIBLE_LEADER_REPLICAS: &str = "eligible.leader.replicas.version";

/// Level 1 has the consumer group protocol (KIP-848).
pub const GROUP_VERSION: &str = "group.version";

/// Level 1 writes the transaction log with tagged fields, level 2 begins an epoch with the end of every transaction (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";

/// A feature and the levels that are known here. Level 0 is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    /// The level of a new cluster.
    pub initial: i16,
}

/// All features, by name. There is one format of the metadata log, so that level cannot change.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: ELIGIBLE_LEADER_REPLICAS,
        min: 0,
        max: 1,
        initial: 1,
    },
    Feature {
        name: GROUP_VERSION,
        min: 0,
        max: 1,
        initial: 1,
    },
    Feature {
        name: METADATA_VERSION,
        // Kafka 4.1 (KIP-778).
        min: 27,
        max: 27,
        initial: 27,
    },
    Feature {
        name: TRANSACTION_VERSION,
        min: 0,
        max: 2,
        initial: 2,
    },
];

pub fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

/// The finalized level; 0 when it is off.
pub fn level(image: &Image, name: &str) -> i16 {
    image.features.get(name).copied().unwrap_or(0)
}

pub fn is_on(image: &Image, name: &str) -> bool {
    level(image, name) > 0
}
