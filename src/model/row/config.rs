//! Configs against each other: a property over all brokers, and a topic's overrides over the brokers' defaults.
//!
//! What most brokers have is the measure; a broker that differs from it drifts, except where brokers differ by nature.
//! Sensitive values are never here: of them only where they are set is compared.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cell;
use crate::model::config::{Config, ConfigSource, Synonym, broker_defaults, differs_by_nature};
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment, Observed};

/// One property on every broker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigRow {
    pub name: String,
    /// What most brokers have; unknown when nobody told, or when no value has more brokers than any other.
    pub usual: Cell<Held>,
    /// In order of broker.
    pub cells: Vec<ConfigCell>,
    /// Brokers differ by nature: identity, addresses, places.
    pub by_nature: bool,
    /// Some broker has it from elsewhere than the default.
    pub is_set: bool,
    /// Takes a restart to change.
    pub read_only: bool,
    /// Topics that have a value of their own instead; unknown while topic configs are.
    pub topics: Cell<u32>,
}

/// One property on one broker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigCell {
    pub broker: BrokerId,
    pub held: Cell<Held>,
    /// From what most brokers have.
    pub differs: bool,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// `None` when it is sensitive or unset.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub sensitive: bool,
}

/// One config of a topic and what the brokers have in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverrideRow {
    pub topic: String,
    pub name: String,
    pub held: Held,
    /// The broker property it stands in for; `None` for what exists on topics only.
    pub default_name: Option<String>,
    /// What most brokers have there, in the topic config's unit.
    pub default: Cell<String>,
    /// Set on the topic, and not to what the brokers have.
    pub differs: bool,
}

impl Held {
    fn of(config: &Config) -> Self {
        Self {
            value: config.value.clone(),
            source: config.source,
            sensitive: config.sensitive,
        }
    }

    /// Of a broker that does not tell the property: some, such as replication throttles, are told only where they are set.
    fn unset() -> Self {
        Self {
            value: None,
            source: ConfigSource::Default,
            sensitive: false,
        }
    }

    /// For people: `(sensitive)`, `(unset)`, `""` or the value.
    pub fn words(&self) -> String {
        match &self.value {
            _ if self.sensitive => "(sensitive)".to_owned(),
            None => "(unset)".to_owned(),
            Some(value) if value.is_empty() => "\"\"".to_owned(),
            Some(value) => value.clone(),
        }
    }
}

/// What makes two brokers' configs the same; one that is not told is unset.
fn measure(config: Option<&Config>) -> (Option<&str>, bool) {
    let set = config.is_some_and(|config| config.sensitive && config.source != ConfigSource::Default);
    (config.and_then(|config| config.value.as_deref()), set)
}

impl ConfigRow {
    /// Drifting ones first, then what is set, then defaults; by name in each.
    pub fn all(snapshot: &Snapshot, now: Moment) -> Vec<Self> {
        let mut found: BTreeMap<&str, BTreeMap<BrokerId, &Config>> = BTreeMap::new();
        for (broker, section) in &snapshot.broker_configs {
            for config in section.get().into_iter().flatten() {
                found.entry(&config.name).or_default().insert(*broker, config);
            }
        }
        let overrides = overridden(snapshot);
        let mut rows: Vec<Self> = found
            .into_iter()
            .map(|(name, configs)| Self::of(snapshot, name, &configs, &overrides, now))
            .collect();
        rows.sort_by_key(|row| (!row.drifts(), !row.is_set));
        rows
    }

    fn of(
        snapshot: &Snapshot,
        name: &str,
        configs: &BTreeMap<BrokerId, &Config>,
        overrides: &BTreeMap<String, u32>,
        now: Moment,
    ) -> Self {
        let by_nature = differs_by_nature(name);
        let told = || {
            let brokers = snapshot.broker_configs.iter();
            brokers.filter(|(_, section)| section.get().is_some())
        };
        let usual = most(told().map(|(broker, _)| configs.get(broker).copied()));
        let cell = |(broker, section): (&BrokerId, &Observed<Vec<Config>>)| {
            let own = configs.get(broker).copied();
            let same = usual.is_some_and(|usual| measure(usual) == measure(own));
            ConfigCell {
                broker: *broker,
                // A broker that never answered is unknown, not different.
                differs: section.get().is_some() && !by_nature && !same,
                held: Cell::from(section, now, "", |_| Some(own.map_or_else(Held::unset, Held::of))),
            }
        };
        Self {
            usual: match usual {
                Some(config) => Cell::known(config.map_or_else(Held::unset, Held::of)),
                None => Cell::unknown("no value has more brokers than any other"),
            },
            cells: snapshot.broker_configs.iter().map(cell).collect(),
            is_set: configs.values().any(|config| config.source != ConfigSource::Default),
            read_only: configs.values().any(|config| config.read_only),
            topics: Cell::from(&snapshot.topic_configs, now, "", |_| {
                Some(overrides.get(name).copied().unwrap_or(0))
            }),
            name: name.to_owned(),
            by_nature,
        }
    }

    pub fn drifts(&self) -> bool {
        self.cells.iter().any(|cell| cell.differs)
    }

    /// The brokers that differ from what most have.
    pub fn outliers(&self) -> impl Iterator<Item = &ConfigCell> {
        self.cells.iter().filter(|cell| cell.differs)
    }

    /// Who else has what, said to `broker`: `2, 3 have 8`. Empty when it does not differ.
    pub fn against(&self, broker: BrokerId) -> String {
        let own = self.cells.iter().find(|cell| cell.broker == broker);
        let Some(own) = own.filter(|cell| cell.differs || (self.drifts() && cell.held.value.is_some())) else {
            return String::new();
        };
        let mut others: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for cell in self.cells.iter().filter(|cell| cell.broker != broker) {
            let Some(held) = &cell.held.value else { continue };
            if own
                .held
                .value
                .as_ref()
                .is_none_or(|mine| mine.value != held.value || mine.words() != held.words())
            {
                others.entry(held.words()).or_default().push(cell.broker.to_string());
            }
        }
        let says = |(value, peers): (String, Vec<String>)| {
            let verb = if peers.len() == 1 { "has" } else { "have" };
            format!("{} {verb} {value}", peers.join(", "))
        };
        others.into_iter().map(says).collect::<Vec<_>>().join(" · ")
    }
}

/// The config that more brokers have than any other; `None` on a tie.
fn most<'a>(configs: impl Iterator<Item = Option<&'a Config>>) -> Option<Option<&'a Config>> {
    let mut counts: Vec<(Option<&Config>, usize)> = Vec::new();
    for config in configs {
        match counts.iter_mut().find(|(known, _)| measure(*known) == measure(config)) {
            Some((_, count)) => *count += 1,
            None => counts.push((config, 1)),
        }
    }
    let (config, best) = counts.iter().max_by_key(|(_, count)| *count)?;
    let rivals = counts.iter().filter(|(_, count)| count == best).count();
    (rivals == 1).then_some(*config)
}

/// How many topics have a value of their own, by broker property.
fn overridden(snapshot: &Snapshot) -> BTreeMap<String, u32> {
    let mut by_config: BTreeMap<&str, u32> = BTreeMap::new();
    let topics = snapshot.topic_configs.get().into_iter().flat_map(BTreeMap::values);
    for config in topics.flatten().filter(|config| config.source == ConfigSource::Topic) {
        *by_config.entry(&config.name).or_default() += 1;
    }
    let mut by_property = BTreeMap::new();
    for (name, count) in by_config {
        for (property, _) in broker_defaults(name) {
            *by_property.entry(property).or_default() += count;
        }
    }
    by_property
}

impl OverrideRow {
    /// Everything told of one topic's configs, or of all topics'; by topic and name.
    pub fn all(snapshot: &Snapshot, topic: Option<&str>, now: Moment) -> Vec<Self> {
        let topics = snapshot.topic_configs.get().into_iter().flatten();
        let wanted = topics.filter(|(name, _)| topic.is_none_or(|topic| topic == name.as_str()));
        let rows = wanted
            .flat_map(|(topic, configs)| configs.iter().map(move |config| Self::of(snapshot, topic, config, now)));
        rows.collect()
    }

    /// The topics that override a broker property.
    pub fn of_property(snapshot: &Snapshot, property: &str, now: Moment) -> Vec<Self> {
        let topics = snapshot.topic_configs.get().into_iter().flatten();
        let rows = topics.flat_map(|(topic, configs)| {
            let own = configs.iter().filter(|config| config.source == ConfigSource::Topic);
            let here = own.filter(|config| broker_defaults(&config.name).iter().any(|(name, _)| name == property));
            here.map(move |config| Self::of(snapshot, topic, config, now))
        });
        rows.collect()
    }

    fn of(snapshot: &Snapshot, topic: &str, config: &Config, now: Moment) -> Self {
        let names = broker_defaults(&config.name);
        let told: Vec<(&String, Cell<String>)> = names
            .iter()
            .map(|(name, factor)| (name, broker_value(snapshot, name, *factor, now)))
            .collect();
        let found = told.iter().find(|(_, cell)| cell.value.is_some()).or(told.first());
        let default = match found {
            Some((_, cell)) => cell.clone(),
            None => Cell::unknown("brokers have no such property"),
        };
        let own = config.source == ConfigSource::Topic;
        Self {
            topic: topic.to_owned(),
            name: config.name.clone(),
            differs: own && config.value.is_some() && config.value != default.value,
            held: Held::of(config),
            default_name: found.map(|(name, _)| (*name).clone()),
            default,
        }
    }
}

/// What most brokers have of a property, times `factor`.
pub fn broker_value(snapshot: &Snapshot, name: &str, factor: i64, now: Moment) -> Cell<String> {
    let sections = snapshot.broker_configs.values();
    let told: Vec<(&Observed<Vec<Config>>, &Config)> = sections
        .filter_map(|section| Some((section, section.get()?.iter().find(|config| config.name == name)?)))
        .collect();
    if told.is_empty() {
        let why = snapshot.broker_configs.values().find_map(Observed::problem);
        return Cell::unknown(why.unwrap_or_else(|| format!("no broker has told {name}")));
    }
    let Some(Some(usual)) = most(told.iter().map(|(_, config)| Some(*config))) else {
        return Cell::unknown(format!("brokers differ in {name}"));
    };
    let ages = told.iter().map(|(section, _)| match section.is_fresh() {
        true => None,
        false => section.age_seconds(now),
    });
    let scaled = |value: &String| match (factor, value.parse::<i64>()) {
        (1, _) | (_, Err(_)) => value.clone(),
        (factor, Ok(number)) if number >= 0 => number.saturating_mul(factor).to_string(),
        (_, Ok(number)) => number.to_string(),
    };
    match &usual.value {
        Some(value) => Cell {
            value: Some(scaled(value)),
            // One that answers now is enough.
            stale_seconds: ages.min().flatten(),
            reason: None,
        },
        None => Cell::unknown(format!("{name} is not set")),
    }
}

/// One property of one broker in full.
pub fn synonyms<'a>(snapshot: &'a Snapshot, broker: BrokerId, name: &str) -> &'a [Synonym] {
    let configs = snapshot.broker_configs.get(&broker).and_then(|section| section.get());
    let found = configs.and_then(|configs| configs.iter().find(|config| config.name == name));
    found.map_or(&[], |config| config.synonyms.as_slice())
}

/// What the brokers say a property is for.
pub fn documentation<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a str> {
    let sections = snapshot.broker_configs.values().filter_map(Observed::get);
    let mut configs = sections.flat_map(|configs| configs.iter().filter(|config| config.name == name));
    configs.find_map(|config| config.documentation.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Trouble;

    fn config(name: &str, value: Option<&str>, source: ConfigSource) -> Config {
        Config {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            source,
            sensitive: name.ends_with("password"),
            read_only: false,
            documentation: None,
            synonyms: Vec::new(),
        }
    }

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    /// Name, value, source.
    type Told<'a> = (&'a str, Option<&'a str>, ConfigSource);

    fn snapshot(each: &[&[Told<'_>]]) -> Snapshot {
        let broker = |(at_id, configs): (usize, &&[Told<'_>])| {
            let configs = configs
                .iter()
                .map(|(name, value, source)| config(name, *value, *source));
            (
                at_id as BrokerId + 1,
                Observed::fresh(configs.collect::<Vec<_>>(), at(0)),
            )
        };
        Snapshot {
            broker_configs: each.iter().enumerate().map(broker).collect(),
            ..Snapshot::default()
        }
    }

    use ConfigSource::{Default as Builtin, DynamicBroker, StaticBroker};

    #[test]
    fn the_odd_one_out_drifts_and_identity_never_does() {
        let each: Vec<Vec<_>> = ["1", "2", "3"]
            .iter()
            .map(|id| {
                let threads = if *id == "2" { "3" } else { "8" };
                vec![
                    ("broker.id", Some(*id), StaticBroker),
                    ("num.io.threads", Some(threads), DynamicBroker),
                ]
            })
            .collect();
        let each: Vec<&[_]> = each.iter().map(Vec::as_slice).collect();
        let rows = ConfigRow::all(&snapshot(&each), at(1));
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["num.io.threads", "broker.id"], "drift comes first");
        assert_eq!(rows[0].outliers().map(|cell| cell.broker).collect::<Vec<_>>(), [2]);
        assert_eq!(rows[0].against(2), "1, 3 have 8");
        assert!(!rows[1].drifts());
    }

    #[test]
    fn two_brokers_have_no_majority_and_both_are_marked() {
        let snapshot = snapshot(&[
            &[("num.io.threads", Some("8"), StaticBroker)],
            &[("num.io.threads", Some("3"), StaticBroker)],
        ]);
        let rows = ConfigRow::all(&snapshot, at(1));
        assert_eq!(rows[0].outliers().count(), 2);
        assert!(rows[0].usual.value.is_none());
    }

    #[test]
    fn a_broker_that_never_answered_is_unknown_and_no_outlier() {
        let mut snapshot = snapshot(&[
            &[("num.io.threads", Some("8"), StaticBroker)],
            &[("num.io.threads", Some("8"), StaticBroker)],
        ]);
        let mut silent = Observed::default();
        silent.fail(Trouble::TimedOut, "no answer", at(0));
        snapshot.broker_configs.insert(3, silent);
        let rows = ConfigRow::all(&snapshot, at(1));
        assert!(!rows[0].drifts());
        assert_eq!(rows[0].cells[2].held.reason.as_deref(), Some("timed out: no answer"));
    }

    #[test]
    fn of_a_secret_only_where_it_is_set_is_compared() {
        let snapshot = snapshot(&[
            &[("ssl.keystore.password", None, StaticBroker)],
            &[("ssl.keystore.password", None, StaticBroker)],
            &[("ssl.keystore.password", None, Builtin)],
        ]);
        let rows = ConfigRow::all(&snapshot, at(1));
        assert_eq!(rows[0].outliers().map(|cell| cell.broker).collect::<Vec<_>>(), [3]);
        assert_eq!(rows[0].usual.value.as_ref().unwrap().words(), "(sensitive)");
    }

    #[test]
    fn an_override_is_measured_against_the_brokers_default_in_its_own_unit() {
        let mut snapshot = snapshot(&[&[
            ("log.retention.hours", Some("168"), Builtin),
            ("log.retention.ms", None, Builtin),
        ]]);
        let week = config("retention.ms", Some("604800000"), ConfigSource::Topic);
        let day = config("retention.ms", Some("86400000"), ConfigSource::Topic);
        let topics = BTreeMap::from([("clicks".to_owned(), vec![day]), ("orders".to_owned(), vec![week])]);
        snapshot.topic_configs = Observed::fresh(topics, at(0));
        let rows = OverrideRow::all(&snapshot, None, at(1));
        assert_eq!(rows[0].default.value.as_deref(), Some("604800000"));
        assert_eq!(rows[0].default_name.as_deref(), Some("log.retention.hours"));
        assert_eq!(rows.iter().map(|row| row.differs).collect::<Vec<_>>(), [true, false]);
        let property = OverrideRow::of_property(&snapshot, "log.retention.hours", at(1));
        assert_eq!(property.len(), 2);
        let rows = ConfigRow::all(&snapshot, at(1));
        let row = rows.iter().find(|row| row.name == "log.retention.hours").unwrap();
        assert_eq!(row.topics.value, Some(2));
    }
}
