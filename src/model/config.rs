//! Configs of brokers and topics as DescribeConfigs tells them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::BrokerId;
use super::name::Name;

/// One config entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub name: String,
    /// `None` when it is sensitive or unset.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub sensitive: bool,
    pub read_only: bool,
    pub documentation: Option<Name>,
    /// Where the value could come from, the highest precedence first; empty when there is only one place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synonyms: Vec<Synonym>,
}

/// One place that sets a config, under the name it has there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synonym {
    pub name: String,
    /// `None` when it is sensitive or unset.
    pub value: Option<String>,
    pub source: ConfigSource,
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

/// What a config is set on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Topic(String),
    Broker(BrokerId),
    /// The default of all brokers; one that has its own keeps it.
    AllBrokers,
    Group(String),
}

impl Owner {
    /// Where a config comes from that is set on it.
    pub fn source(&self) -> ConfigSource {
        match self {
            Self::Topic(_) => ConfigSource::Topic,
            Self::Broker(_) => ConfigSource::DynamicBroker,
            Self::AllBrokers => ConfigSource::DynamicDefaultBroker,
            Self::Group(_) => ConfigSource::Group,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::AllBrokers => f.write_str("all brokers"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// Whether brokers read these as the same: they tell numbers, truths and lists in a form of their own.
pub fn is_same(one: &str, other: &str) -> bool {
    let list = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
    let truth = |text: &str| text.trim().to_ascii_lowercase().parse::<bool>().ok();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let equal = |pair: (Option<f64>, Option<f64>)| matches!(pair, (Some(one), Some(other)) if one == other);
    one == other
        || list(one) == list(other)
        || (truth(one).is_some() && truth(one) == truth(other))
        || equal((number(one), number(other)))
}

/// Properties that differ from broker to broker by nature: identity, addresses and places on disk. They never drift.
pub fn differs_by_nature(name: &str) -> bool {
    const OWN: [&str; 7] = [
        "broker.id",
        "node.id",
        "broker.rack",
        "host.name",
        "port",
        "advertised.host.name",
        "advertised.port",
    ];
    OWN.contains(&name) || name.ends_with("listeners") || name.ends_with(".dirs") || name.ends_with(".dir")
}

/// The broker properties that a topic's config defaults to, the first that has a value first, each with what its number is
/// to be multiplied by: `retention.ms` → `log.retention.ms` × 1, `.minutes` × 60,000, `.hours` × 3,600,000. Empty for what
/// exists on topics only, such as `leader.replication.throttled.replicas`. Kafka's own table: `ServerTopicConfigSynonyms`.
pub fn broker_defaults(topic_config: &str) -> Vec<(String, i64)> {
    const HOUR: i64 = 3_600_000;
    const UNLIKE: &[(&str, &[(&str, i64)])] = &[
        (
            "retention.ms",
            &[
                ("log.retention.ms", 1),
                ("log.retention.minutes", 60_000),
                ("log.retention.hours", HOUR),
            ],
        ),
        ("segment.ms", &[("log.roll.ms", 1), ("log.roll.hours", HOUR)]),
        (
            "segment.jitter.ms",
            &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR)],
        ),
        (
            "flush.ms",
            &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        ),
        ("flush.messages", &[("log.flush.interval.messages", 1)]),
        ("max.message.bytes", &[("message.max.bytes", 1)]),
        ("segment.index.bytes", &[("log.index.size.max.bytes", 1)]),
        ("delete.retention.ms", &[("log.cleaner.delete.retention.ms", 1)]),
        ("min.compaction.lag.ms", &[("log.cleaner.min.compaction.lag.ms", 1)]),
        ("max.compaction.lag.ms", &[("log.cleaner.max.compaction.lag.ms", 1)]),
        ("min.cleanable.dirty.ratio", &[("log.cleaner.min.cleanable.ratio", 1)]),
        ("file.delete.delay.ms", &[("log.segment.delete.delay.ms", 1)]),
        (
            "unclean.leader.election.enable",
            &[("unclean.leader.election.enable", 1)],
        ),
        ("min.insync.replicas", &[("min.insync.replicas", 1)]),
        ("leader.replication.throttled.replicas", &[]),
        ("follower.replication.throttled.replicas", &[]),
    ];
    if let Some((_, names)) = UNLIKE.iter().find(|(topic, _)| *topic == topic_config) {
        return names
            .iter()
            .map(|(name, factor)| ((*name).to_owned(), *factor))
            .collect();
    }
    match topic_config {
        own if own.starts_with("compression.") => vec![(own.to_owned(), 1)],
        none if none.starts_with("remote.") => Vec::new(),
        log => vec![(format!("log.{log}"), 1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_in_whatever_form_a_broker_tells_them() {
        for (one, other) in [
            ("7", "007"),
            ("compact, delete", "compact,delete"),
            ("TRUE", "true"),
            ("0.50", "0.5"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("7", "8"),
            ("delete,compact", "compact,delete"),
            ("true", "false"),
            ("", "0"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_topic_config_names_its_default() {
        let first = |name: &str| broker_defaults(name).into_iter().next().map(|(name, _)| name);
        assert_eq!(first("retention.ms").as_deref(), Some("log.retention.ms"));
        assert_eq!(first("max.message.bytes").as_deref(), Some("message.max.bytes"));
        assert_eq!(first("compression.type").as_deref(), Some("compression.type"));
        assert_eq!(first("leader.replication.throttled.replicas"), None);
    }
}
