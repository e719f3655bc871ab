//! The properties of single groups and of client metrics subscriptions, each table sorted by name.

use super::Kind::{Int, List};
use super::Range::{Any, Matches, Whole};
use super::{Property, Synonym};

pub(super) const GROUPS: &[Property] = &[
    Property::new(
        "consumer.heartbeat.interval.ms",
        Int,
        Some("5000"),
        Whole(1, i64::MAX),
        "The heartbeat interval of the group's members of the consumer protocol, in ms.",
    )
    .of_group(&[Synonym::same("group.consumer.heartbeat.interval.ms")]),
    Property::new(
        "consumer.session.timeout.ms",
        Int,
        Some("45000"),
        Whole(1, i64::MAX),
        "How long a member of the consumer protocol may be silent, in ms.",
    )
    .of_group(&[Synonym::same("group.consumer.session.timeout.ms")]),
];

pub(super) const CLIENT_METRICS: &[Property] = &[
    Property::new(
        "interval.ms",
        Int,
        Some("300000"),
        Whole(100, 3_600_000),
        "How often a matching client pushes its metrics, in ms.",
    )
    .dynamic(),
    Property::new(
        "match",
        List,
        Some(""),
        Matches,
        "Which clients push: a list of attribute=regular expression, all of which have to match; empty is every client.",
    )
    .dynamic(),
    Property::new(
        "metrics",
        List,
        Some(""),
        Any,
        "Which metrics they push: a list of prefixes of names, or * for all; empty is none.",
    )
    .dynamic(),
];

/// What a client can be matched by (KIP-714).
pub const CLIENT_ATTRIBUTES: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// A pattern of `match`: the attribute and the expression, which has to match its whole value.
pub fn client_match(item: &str) -> Option<(&str, regex::Regex)> {
    let (attribute, pattern) = item.split_once('=')?;
    let attribute = attribute.trim();
    if !CLIENT_ATTRIBUTES.contains(&attribute) {
        return None;
    }
    let whole = format!("^(?:{})$", pattern.trim());
    let built = regex::RegexBuilder::new(&whole).size_limit(1 << 20).build().ok()?;
    Some((attribute, built))
}
