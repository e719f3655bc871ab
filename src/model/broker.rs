//! A broker: what the cluster says of it, and how it answers us.

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// One registered broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    pub id: BrokerId,
    /// The advertised address of the listener that we use.
    pub host: String,
    pub port: u16,
    /// `broker.rack`; best practice is the AZ id.
    pub rack: Option<String>,
    pub fenced: bool,
}

/// How a broker answered the last ApiVersions round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Milliseconds from request to answer on a warm connection; of a feed the median of the last few, and at least 1.
    pub rtt_ms: f64,
    /// The software's own name and version where it can be told, for example from finalised features.
    pub release: Option<String>,
}
