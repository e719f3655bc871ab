//! Kafka's property names: one table for server.properties, DescribeConfigs and the validation of changes.
//!
//! Names, defaults and ranges are those of Apache Kafka 4.1. A property this broker does not act upon can only be left
//! at its default: set dynamically it is refused with the reason, set in server.properties it is a warning.

mod broker;
mod config;
mod effective;
#[cfg(test)]
mod guide;
mod listener;
mod resource;
mod topic;

use std::fmt;
use std::net::IpAddr;

pub use config::{Config, Role, TopicSettings, escaped};
pub use effective::{Entry, Inherited, Source};
pub use listener::{Listener, Protocol, listener_key, listener_property};
pub use resource::client_match;

/// `replica.selector.class`: consumers read from the leader only, which is the default.
pub const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";
/// `replica.selector.class`: consumers read from a replica of their rack (KIP-392).
pub const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// A property that cannot be taken, as a sentence with the key, the value and the range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    pub name: &'static str,
    pub kind: Kind,
    /// `None` is Kafka's null: not set.
    pub default: Option<&'static str>,
    pub range: Range,
    pub scope: Scope,
    /// For a topic property, the broker properties it falls back to, best first, each with the factor to the topic's unit.
    pub synonyms: &'static [Synonym],
    /// Why only the default is possible; `None` for a property that is honoured.
    pub fixed: Option<&'static str>,
    pub doc: &'static str,
}

/// A broker property that gives a topic property its default.
#[derive(Debug, Clone, Copy)]
pub struct Synonym {
    pub name: &'static str,
    /// `log.retention.hours` times 3 600 000 is `retention.ms`.
    pub factor: i64,
}

impl Synonym {
    const fn same(name: &'static str) -> Self {
        Self { name, factor: 1 }
    }
}

/// A value's type; the numbers are DescribeConfigs' (KIP-569).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// Which values are valid.
#[derive(Debug, Clone, Copy)]
pub enum Range {
    Any,
    /// A whole number between the two, inclusive.
    Whole(i64, i64),
    /// The first, which stands for something else, or a whole number between the other two, inclusive.
    Or(i64, i64, i64),
    /// A number between the two, inclusive.
    Real(f64, f64),
    OneOf(&'static [&'static str]),
    /// A list of these.
    SomeOf(&'static [&'static str]),
    /// A list of addresses, each with a number after a colon.
    IpLimits,
    /// A list of `partition:broker`, or `*`.
    Replicas,
    /// A list of `attribute=regular expression` of clients.
    Matches,
}

/// Where a property is set, and whether it can change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Topic,
    Group,
    /// Only in server.properties.
    Static,
    /// Also per broker, or for all of them, while they run.
    Dynamic,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Whole(i64::MIN, i64::MAX) => f.write_str("a whole number"),
            Self::Whole(i64::MIN, high) => write!(f, "a whole number of at most {high}"),
            Self::Whole(low, i64::MAX) => write!(f, "a whole number of at least {low}"),
            Self::Whole(low, high) => write!(f, "a whole number between {low} and {high}"),
            Self::Or(special, low, high) => write!(f, "{special} or a whole number between {low} and {high}"),
            Self::Real(low, high) => write!(f, "a number between {low} and {high}"),
            Self::OneOf(values) => write!(f, "one of {}", values.join(", ")),
            Self::SomeOf(values) => write!(f, "a list of {}", values.join(", ")),
            Self::IpLimits => f.write_str("a list of address:limit, for example 10.0.0.7:20"),
            Self::Matches => write!(
                f,
                "a list of attribute=regular expression, with the attributes {}",
                resource::CLIENT_ATTRIBUTES.join(", ")
            ),
            Self::Replicas => f.write_str(
                "the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        }
    }
}

/// All topic properties, by name.
pub fn topic_properties() -> &'static [Property] {
    topic::TABLE
}

/// All broker properties, by name.
pub fn broker_properties() -> &'static [Property] {
    broker::TABLE
}

/// All properties of single groups, by name.
pub fn group_properties() -> &'static [Property] {
    resource::GROUPS
}

/// All properties of client metrics subscriptions, by name.
pub fn client_metrics_properties() -> &'static [Property] {
    resource::CLIENT_METRICS
}

pub fn topic_property(name: &str) -> Option<&'static Property> {
    topic::TABLE.iter().find(|property| property.name == name)
}

pub fn broker_property(name: &str) -> Option<&'static Property> {
    broker::TABLE.iter().find(|property| property.name == name)
}

/// Checks a topic's config as it would be set by CreateTopics or IncrementalAlterConfigs.
pub fn check_topic(name: &str, value: &str) -> Result<(), Invalid> {
    let property = topic_property(name).ok_or_else(|| unknown("topic config", name, topic::TABLE))?;
    property.check(value)?;
    property.check_honoured(value)
}

/// Checks a broker's config as it would be set by IncrementalAlterConfigs.
pub fn check_broker(name: &str, value: &str) -> Result<(), Invalid> {
    if let Some((_, property)) = listener_property(name).filter(|(_, property)| property.scope == Scope::Dynamic) {
        property.check(value)?;
        return property.check_honoured(value);
    }
    let property = broker_property(name).ok_or_else(|| unknown("broker config", name, broker::TABLE))?;
    if property.scope == Scope::Dynamic && name.starts_with("ssl.") {
        return Err(Invalid(format!(
            "{name} can change only for one listener while a broker runs; set listener.name.<name in small letters>.{name}."
        )));
    }
    if property.scope == Scope::Static {
        return Err(Invalid(format!(
            "{name} cannot change while a broker runs; set it in server.properties and restart the broker."
        )));
    }
    property.check(value)?;
    property.check_honoured(value)
}

/// Checks the config of a group or of a client metrics subscription as IncrementalAlterConfigs sets it.
pub fn check_resource(table: &'static [Property], what: &str, name: &str, value: &str) -> Result<(), Invalid> {
    let property = table.iter().find(|property| property.name == name);
    property.ok_or_else(|| unknown(what, name, table))?.check(value)
}

/// The sentence for a name that is in no table, with the nearest one that is.
fn unknown(what: &str, name: &str, table: &[Property]) -> Invalid {
    match nearest(name, table) {
        Some(near) => Invalid(format!("There is no {what} named {name}; did you mean {near}?")),
        None => Invalid(format!("There is no {what} named {name}.")),
    }
}

/// The name in the table that is the fewest edits away, if that is near enough to be a slip of the hand.
pub fn nearest(name: &str, table: &[Property]) -> Option<&'static str> {
    table
        .iter()
        .map(|property| (edit_distance(name, property.name), property.name))
        .min()
        .filter(|(distance, _)| *distance <= (name.len() / 3).clamp(1, 6))
        .map(|(_, near)| near)
}

/// Levenshtein's distance in bytes; names are ASCII.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Property {
    const fn new(
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        range: Range,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            range,
            scope: Scope::Static,
            synonyms: &[],
            fixed: None,
            doc,
        }
    }

    const fn of_topic(mut self, synonyms: &'static [Synonym]) -> Self {
        self.scope = Scope::Topic;
        self.synonyms = synonyms;
        self
    }

    const fn of_group(mut self, synonyms: &'static [Synonym]) -> Self {
        self.scope = Scope::Group;
        self.synonyms = synonyms;
        self
    }

    const fn dynamic(mut self) -> Self {
        self.scope = Scope::Dynamic;
        self
    }

    const fn fixed(mut self, why: &'static str) -> Self {
        self.fixed = Some(why);
        self
    }

    /// Whether the value parses and is in range.
    pub fn check(&self, value: &str) -> Result<(), Invalid> {
        let value = value.trim();
        let fits = match (self.kind, self.range) {
            (Kind::Boolean, _) => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
            (Kind::Int, range) => value.parse::<i32>().is_ok_and(|n| range.holds(n.into())),
            (Kind::Short, range) => value.parse::<i16>().is_ok_and(|n| range.holds(n.into())),
            (Kind::Long, range) => value.parse::<i64>().is_ok_and(|n| range.holds(n)),
            (Kind::Double, Range::Real(low, high)) => value.parse::<f64>().is_ok_and(|n| n >= low && n <= high),
            (Kind::Double, _) => value.parse::<f64>().is_ok_and(f64::is_finite),
            (_, Range::OneOf(values)) => values.contains(&value),
            (_, Range::SomeOf(values)) => items(value).all(|item| values.contains(&item)),
            (_, Range::IpLimits) => items(value).all(|item| ip_limit(item).is_some()),
            (_, Range::Matches) => items(value).all(|item| client_match(item).is_some()),
            (_, Range::Replicas) => value == "*" || items(value).all(is_replica),
            _ => true,
        };
        if fits {
            return Ok(());
        }
        let expected = match (self.kind, self.range) {
            (Kind::Boolean, _) => "true or false".to_owned(),
            (Kind::Int | Kind::Short | Kind::Long, Range::Any) => "a whole number".to_owned(),
            (Kind::Int, Range::Whole(low, i64::MAX)) => Range::Whole(low, i32::MAX.into()).to_string(),
            (_, range) => range.to_string(),
        };
        Err(Invalid(format!(
            "Invalid value {value} for configuration {}: must be {expected}.",
            self.name
        )))
    }

    /// Whether the value is one this broker acts upon.
    fn check_honoured(&self, value: &str) -> Result<(), Invalid> {
        match self.fixed {
            Some(why) if Some(value.trim()) != self.default => Err(Invalid(format!(
                "{}={value} is not supported: {why} Leave it at its default, {}.",
                self.name,
                self.default.filter(|value| !value.is_empty()).unwrap_or("empty")
            ))),
            _ => Ok(()),
        }
    }

    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }
}

impl Range {
    fn holds(self, value: i64) -> bool {
        match self {
            Self::Whole(low, high) => value >= low && value <= high,
            Self::Or(special, low, high) => value == special || (value >= low && value <= high),
            _ => true,
        }
    }
}

/// The limits of single addresses, of a list of `address:limit`. Items that are no such thing are left out.
pub fn ip_limits(list: &str) -> impl Iterator<Item = (IpAddr, usize)> {
    items(list).filter_map(ip_limit)
}

/// An IPv6 address holds colons itself; the last one stands before the limit.
fn ip_limit(item: &str) -> Option<(IpAddr, usize)> {
    let (ip, limit) = item.rsplit_once(':')?;
    let ip: IpAddr = ip.trim().trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some((ip.to_canonical(), limit.trim().parse().ok()?))
}

/// `partition:broker`.
fn is_replica(item: &str) -> bool {
    let number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit()) && text.parse::<i32>().is_ok();
    item.split_once(':')
        .is_some_and(|(partition, broker)| number(partition) && number(broker))
}

/// A list's items.
fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_every_name_is_there_once() {
        for table in [topic::TABLE, broker::TABLE, resource::GROUPS, resource::CLIENT_METRICS] {
            for property in table {
                if let Some(default) = property.default {
                    assert_eq!(property.check(default), Ok(()), "{}", property.name);
                }
            }
            assert!(
                table.windows(2).all(|pair| pair[0].name < pair[1].name),
                "sorted by name"
            );
        }
    }

    #[test]
    fn every_synonym_is_a_broker_property() {
        for property in topic::TABLE.iter().chain(resource::GROUPS) {
            for synonym in property.synonyms {
                assert!(broker_property(synonym.name).is_some(), "{}", synonym.name);
            }
        }
    }

    #[test]
    fn a_bad_value_names_key_value_and_range() {
        let error = check_topic("retention.ms", "-5").unwrap_err().to_string();
        assert_eq!(
            error,
            "Invalid value -5 for configuration retention.ms: must be a whole number of at least -1."
        );
        let error = check_topic("cleanup.policy", "keep").unwrap_err().to_string();
        assert_eq!(
            error,
            "Invalid value keep for configuration cleanup.policy: must be a list of compact, delete."
        );
        assert!(check_topic("min.insync.replicas", "two").is_err());
    }

    #[test]
    fn throttled_replicas_are_pairs_or_a_star() {
        for value in ["*", "", "0:1", "0:1,12:3", "0:1, 1:2"] {
            assert_eq!(
                check_topic("leader.replication.throttled.replicas", value),
                Ok(()),
                "{value}"
            );
        }
        for value in ["0", "0:", "a:b", "*,0:1", "0:1;1:2", "-1:2"] {
            assert!(
                check_topic("leader.replication.throttled.replicas", value).is_err(),
                "{value}"
            );
        }
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let error = check_topic("retension.ms", "1").unwrap_err().to_string();
        assert_eq!(
            error,
            "There is no topic config named retension.ms; did you mean retention.ms?"
        );
        let error = check_topic("colour", "red").unwrap_err().to_string();
        assert_eq!(error, "There is no topic config named colour.");
    }

    #[test]
    fn limits_of_addresses_are_read_and_checked() {
        let key = "max.connections.per.ip.overrides";
        assert_eq!(check_broker(key, "10.0.0.2:2, [::1]:0,::1:5"), Ok(()));
        assert_eq!(
            ip_limits("10.0.0.2:2, x:1").collect::<Vec<_>>(),
            [(IpAddr::from([10, 0, 0, 2]), 2)]
        );
        let error = check_broker(key, "everyone:4").unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("10.0.0.7:20"), "{error}");
    }

    #[test]
    fn what_is_not_honoured_is_refused_with_the_reason() {
        let error = check_topic("remote.storage.enable", "true").unwrap_err().to_string();
        assert!(
            error.starts_with("remote.storage.enable=true is not supported: "),
            "{error}"
        );
        assert_eq!(check_topic("remote.storage.enable", "false"), Ok(()));
        assert!(
            check_broker("log.dirs", "/x")
                .unwrap_err()
                .to_string()
                .contains("restart the broker")
        );
    }
}
