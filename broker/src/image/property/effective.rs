//! Which value of a property is in force, where it comes from, and what else it could have been.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Config, Property, Scope, broker, listener_property, resource, topic};
use crate::id::NodeId;
use crate::image::{Image, Resource};

/// Where a value was set; the numbers are DescribeConfigs' (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

/// One config as DescribeConfigs shows it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The property's, or what it is called for one listener.
    pub name: Cow<'static, str>,
    pub property: &'static Property,
    pub value: Option<String>,
    pub source: Source,
    pub read_only: bool,
    /// Every place the value is set in, the one in force first: name, value, source.
    pub synonyms: Vec<Set>,
}

/// A place where a value is set: name, value, source.
type Set = (Cow<'static, str>, Option<String>, Source);

/// What topics get from the brokers' properties, worked out once for all topics that are asked about together.
pub struct Inherited<'a> {
    config: &'a Config,
    image: &'a Image,
    known: BTreeMap<&'static str, Vec<Set>>,
}

impl<'a> Inherited<'a> {
    pub fn new(config: &'a Config, image: &'a Image) -> Self {
        Self {
            config,
            image,
            known: BTreeMap::new(),
        }
    }

    pub fn image(&self) -> &'a Image {
        self.image
    }

    fn of(&mut self, property: &'static Property) -> &[Set] {
        let known = self.known.entry(property.name);
        known.or_insert_with(|| self.config.inherited(self.image, property))
    }

    /// The `wanted` configs of a topic; of one that does not exist, what it would get.
    pub fn topic_entries(&mut self, name: &str, wanted: impl Fn(&str) -> bool) -> Vec<Entry> {
        let resource = Resource::Topic(name.to_owned());
        let entries = topic::TABLE.iter().filter(|property| wanted(property.name));
        let entries = entries.map(|property| {
            let set = self.image.config(&resource, property.name);
            let own = set.map(|value| (property.name.into(), Some(value.to_owned()), Source::Topic));
            let synonyms: Vec<_> = own.into_iter().chain(self.of(property).iter().cloned()).collect();
            entry(property.name.into(), property, synonyms, false)
        });
        entries.collect()
    }
}

impl Config {
    /// All configs of a group, also of one that does not exist.
    pub fn group_entries(&self, image: &Image, name: &str) -> Vec<Entry> {
        let of = Resource::Group(name.to_owned());
        let entries = resource::GROUPS.iter().map(|property| {
            let set = image.config(&of, property.name);
            let own = set.map(|value| (property.name.into(), Some(value.to_owned()), Source::Group));
            let synonyms = own.into_iter().chain(self.inherited(image, property)).collect();
            entry(property.name.into(), property, synonyms, false)
        });
        entries.collect()
    }

    /// All configs of a client metrics subscription.
    pub fn client_metrics_entries(image: &Image, name: &str) -> Vec<Entry> {
        let of = Resource::ClientMetrics(name.to_owned());
        let entries = resource::CLIENT_METRICS.iter().map(|property| {
            let set = image
                .config(&of, property.name)
                .map(|value| (value, Source::ClientMetrics));
            let all = set
                .into_iter()
                .chain(property.default.map(|value| (value, Source::Default)));
            let synonyms = all.map(|(value, source)| (property.name.into(), Some(value.to_owned()), source));
            entry(property.name.into(), property, synonyms.collect(), false)
        });
        entries.collect()
    }

    /// All configs of one broker, and those set for single listeners of it, or with `None` those set for all brokers at once.
    pub fn broker_entries(&self, image: &Image, node: Option<NodeId>) -> Vec<Entry> {
        let Some(node) = node else {
            return cluster_default_entries(image);
        };
        let of_node = broker::TABLE.iter().map(|property| {
            let synonyms = self.chain(image, node, property.name.into(), property.default);
            entry(
                property.name.into(),
                property,
                synonyms,
                property.scope == Scope::Static,
            )
        });
        of_node.chain(self.listener_entries(image, node)).collect()
    }

    /// What is set for single listeners; where that is not set, the node's own counts.
    fn listener_entries(&self, image: &Image, node: NodeId) -> Vec<Entry> {
        let set = image.configs.get(&Resource::Broker(node.to_string()));
        let dynamic = set.into_iter().flat_map(|set| set.keys().map(String::as_str));
        let names: BTreeSet<&str> = self.names().chain(dynamic).collect();
        let entries = names.into_iter().filter_map(|name| {
            let (_, property) = listener_property(name)?;
            let mut synonyms = self.chain(image, node, Cow::Owned(name.to_owned()), None);
            synonyms.extend(self.chain(image, node, property.name.into(), property.default));
            let read_only = property.scope == Scope::Static;
            Some(entry(Cow::Owned(name.to_owned()), property, synonyms, read_only))
        });
        entries.collect()
    }

    /// A topic's config in force. The key is in the table.
    pub fn topic_value(&self, image: &Image, name: &str, key: &str) -> Option<String> {
        if let Some(value) = image.config(&Resource::Topic(name.to_owned()), key) {
            return Some(value.to_owned());
        }
        let property = super::topic_property(key)?;
        let inherited = self.inherited(image, property);
        inherited.into_iter().next().and_then(|(_, value, _)| value)
    }

    /// What a topic gets from the brokers' properties, in the topic's unit, best first.
    fn inherited(&self, image: &Image, property: &'static Property) -> Vec<Set> {
        let mut found = Vec::new();
        for synonym in property.synonyms {
            for (name, value, source) in self.chain(image, self.node_id(), synonym.name.into(), None) {
                found.push((name, value.map(|value| scaled(&value, synonym.factor)), source));
            }
        }
        let name = property.synonyms.first().map_or(property.name, |synonym| synonym.name);
        found.push((name.into(), property.default.map(str::to_owned), Source::Default));
        found
    }

    /// Where one broker property is set, best first.
    fn chain(&self, image: &Image, node: NodeId, name: Cow<'static, str>, default: Option<&'static str>) -> Vec<Set> {
        let own = Resource::Broker(node.to_string());
        let all = Resource::Broker(String::new());
        // Another node's file is not known here; DescribeConfigs of a broker is answered by that broker.
        [
            (image.config(&own, &name), Source::DynamicBroker),
            (image.config(&all, &name), Source::DynamicDefaultBroker),
            (self.set(&name), Source::StaticBroker),
            (default, Source::Default),
        ]
        .into_iter()
        .filter_map(|(value, source)| Some((name.clone(), Some(value?.to_owned()), source)))
        .collect()
    }

    /// A broker property's effective value as text: set for this node, set for all, from the file, the default.
    pub fn value(&self, image: &Image, key: &str) -> Option<String> {
        let property = super::broker_property(key)?;
        let chain = self.chain(image, self.node_id(), property.name.into(), property.default);
        chain.into_iter().next().and_then(|(_, value, _)| value)
    }
}

fn cluster_default_entries(image: &Image) -> Vec<Entry> {
    let all = Resource::Broker(String::new());
    broker::TABLE
        .iter()
        .filter_map(|property| {
            let value = image.config(&all, property.name)?.to_owned();
            let synonyms = vec![(property.name.into(), Some(value), Source::DynamicDefaultBroker)];
            Some(entry(property.name.into(), property, synonyms, false))
        })
        .collect()
}

fn entry(name: Cow<'static, str>, property: &'static Property, synonyms: Vec<Set>, read_only: bool) -> Entry {
    let (value, source) = synonyms
        .first()
        .map_or((None, Source::Default), |(_, value, source)| (value.clone(), *source));
    Entry {
        name,
        property,
        value: value.filter(|_| !property.is_sensitive()),
        source,
        read_only,
        synonyms,
    }
}

/// In the topic's unit; negative is "no limit" in any unit.
fn scaled(value: &str, factor: i64) -> String {
    match value.trim().parse::<i64>() {
        Ok(number) if factor != 1 && number >= 0 => number.saturating_mul(factor).to_string(),
        Ok(_) if factor != 1 => "-1".to_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Record;

    fn config(overrides: &[(&str, &str)]) -> Config {
        let pairs: Vec<_> = overrides
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let text = "process.roles=broker\nnode.id=1\ncontroller.quorum.voters=0@127.0.0.1:9093\n\
                    controller.listener.names=CONTROLLER\n";
        Config::parse(text, &pairs).unwrap()
    }

    fn set(image: &mut Image, resource: Resource, key: &str, value: &str) {
        let record = Record::Config {
            resource,
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        let offset = image.offset + 1;
        image.apply(&record, offset, 1);
    }

    #[test]
    fn a_topic_inherits_hours_as_milliseconds() {
        let config = config(&[("log.retention.hours", "2")]);
        let image = Image::empty();
        assert_eq!(
            config.topic_value(&image, "orders", "retention.ms").as_deref(),
            Some("7200000")
        );
        let entries = Inherited::new(&config, &image).topic_entries("orders", |key| key != "flush.ms");
        assert!(entries.iter().all(|entry| entry.name != "flush.ms"));
        let entry = entries
            .iter()
            .find(|entry| entry.property.name == "retention.ms")
            .unwrap();
        assert_eq!(entry.source, Source::StaticBroker);
        assert_eq!(entry.synonyms[0].0, "log.retention.hours");
        assert_eq!(entry.synonyms.last().unwrap().2, Source::Default);
    }

    #[test]
    fn the_nearest_setting_wins() {
        let config = config(&[("min.insync.replicas", "2")]);
        let mut image = Image::empty();
        assert_eq!(
            config.topic_value(&image, "orders", "min.insync.replicas").as_deref(),
            Some("2")
        );
        set(&mut image, Resource::Broker(String::new()), "min.insync.replicas", "3");
        assert_eq!(
            config.topic_value(&image, "orders", "min.insync.replicas").as_deref(),
            Some("3")
        );
        set(
            &mut image,
            Resource::Topic("orders".to_owned()),
            "min.insync.replicas",
            "1",
        );
        assert_eq!(
            config.topic_value(&image, "orders", "min.insync.replicas").as_deref(),
            Some("1")
        );
        assert_eq!(
            config.topic_value(&image, "other", "min.insync.replicas").as_deref(),
            Some("3")
        );
    }

    #[test]
    fn every_key_of_a_broker_is_listed_and_static_ones_are_read_only() {
        let config = config(&[]);
        let entries = config.broker_entries(&Image::empty(), Some(NodeId(1)));
        assert_eq!(entries.len(), broker::TABLE.len());
        let node = entries.iter().find(|entry| entry.property.name == "node.id").unwrap();
        assert!(node.read_only);
        assert_eq!((node.value.as_deref(), node.source), (Some("1"), Source::StaticBroker));
        assert!(config.broker_entries(&Image::empty(), None).is_empty());
    }

    #[test]
    fn what_is_set_for_a_listener_is_listed_without_secrets() {
        let name = "listener.name.plaintext.ssl.keystore.password";
        let config = config(&[(name, "swordfish"), ("ssl.keystore.location", "/a")]);
        let mut image = Image::empty();
        let location = "listener.name.plaintext.ssl.keystore.location";
        set(&mut image, Resource::Broker("1".to_owned()), location, "/b");
        let entries = config.broker_entries(&image, Some(NodeId(1)));
        let named = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(
            (named(name).value.as_deref(), named(name).source),
            (None, Source::StaticBroker)
        );
        let location = named(location);
        assert_eq!(
            (location.value.as_deref(), location.source, location.read_only),
            (Some("/b"), Source::DynamicBroker, false)
        );
        assert_eq!(location.synonyms[1].0, "ssl.keystore.location");
    }
}
