//! Configs of brokers and topics as DescribeConfigs tells them.

use serde::{Deserialize, Serialize};

/// One config entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub name: String,
    /// `None` when it is sensitive or unset.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub sensitive: bool,
    pub read_only: bool,
    pub documentation: Option<String>,
}

/// Where a config's value comes from; the order is Kafka's precedence, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ConfigSource {
    Topic,
    Group,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    Unknown,
}
