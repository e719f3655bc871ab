//! Throttles: set without touching what others set, read back, and taken away again entry by entry.
//!
//! Kafka has no way to change a config only if it is still as it was read. A rate is set only where none was read, and
//! taken away only while it is the one that we set; lists change by entries (APPEND, SUBTRACT). What somebody else sets in
//! the instant between looking and asking is the one thing that this cannot see.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use crate::model::BrokerId;
use crate::model::config::{Config, ConfigSource};
use crate::model::throttle::{self, LISTS, RATES, Setting};
use crate::plan::throttle::catch_up::{Named, Return};
use crate::plan::throttle::{same_list, same_rate, vacant, words};
use crate::source::kafka::{ConfigChange, Edit, Kafka, Of, Resource};
use crate::source::{self, Error};

use super::status::Progress;
use super::step::{Act, Seen, act_of, is_passing};

/// What is set of what somebody wants to know about.
struct There {
    settings: Vec<Setting>,
    /// Lists that are set and empty.
    empty: BTreeSet<(String, &'static str)>,
    /// Brokers that did not tell.
    silent: BTreeMap<BrokerId, Error>,
    /// Of the topics: what each has of its own, and what it must have in sync.
    configs: BTreeMap<String, Vec<Config>>,
}

/// What is set of what somebody wants to know about, and who did not tell.
pub(super) struct Read {
    pub settings: Vec<Setting>,
    pub silent: BTreeSet<BrokerId>,
    /// All configs that these topics have of their own, and what each must have in sync.
    pub configs: BTreeMap<String, Vec<Config>>,
}

/// Reads what is set of these brokers and topics, whoever set it.
pub(super) async fn there(kafka: &Kafka, about: &[Setting]) -> Result<Read, Error> {
    let there = look(kafka, about).await?;
    Ok(Read {
        settings: there.settings,
        silent: there.silent.into_keys().collect(),
        configs: there.configs,
    })
}

/// What of `wanted` is not set by anybody, so that it may be set and is ours.
pub(super) async fn free(kafka: &Kafka, wanted: &[Setting]) -> Result<Vec<Setting>, Error> {
    let there = look(kafka, wanted).await?;
    match there.silent.into_values().next() {
        Some(error) => Err(error),
        None => Ok(vacant(wanted, &there.settings).0),
    }
}

/// Sets what is ours and not set yet. A rate that has one of another height by now is somebody else's and stays, unless
/// it is among `ours`.
pub(super) async fn set(kafka: &Kafka, settings: &[Setting], ours: &[Setting]) -> Act {
    let there = match look(kafka, settings).await {
        Ok(there) => there,
        Err(error) => return act_of(error),
    };
    if let Some(error) = there.silent.into_values().next() {
        return act_of(error);
    }
    let strangers: Vec<Setting> = {
        let mut rest = there.settings.clone();
        rest.retain(|setting| !matches!(setting, Setting::Rate(_)) || !ours.contains(setting));
        rest
    };
    let (missing, _) = vacant(settings, &strangers);
    let missing: Vec<Setting> = missing
        .into_iter()
        .filter(|one| !there.settings.contains(one))
        .collect();
    let change = |setting: &Setting| match setting {
        Setting::Rate(rate) => edit(setting, Edit::Set(rate.bytes_per_second.to_string())),
        Setting::List(list) => edit(setting, Edit::Append(joined(&list.replicas))),
    };
    alter(kafka, missing.iter().map(change).collect()).await
}

/// Whether all of it can be read back.
pub(super) async fn is_set(kafka: &Kafka, settings: &[Setting], step: usize) -> Seen {
    let there = match look(kafka, settings).await {
        Ok(there) => there,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    if let Some((broker, error)) = there.silent.into_iter().next() {
        return Seen::Unknown(format!("broker {broker}: {error}"));
    }
    let missing = vacant(settings, &there.settings).0;
    match missing.as_slice() {
        [] => Seen::Done(format!("{} read back", words(settings))),
        // Brokers learn of it one after the other.
        missing => Seen::Waiting(Progress {
            step,
            done: (settings.len() - missing.len().min(settings.len())) as u32,
            total: settings.len() as u32,
            note: format!("waiting to read back {}", words(missing)),
            ..Progress::default()
        }),
    }
}

/// Sets rates of ours to another height, broker by broker, where ours is what is set: a rate that somebody else has changed
/// meanwhile is theirs. Returns which of the old are no longer set.
///
/// # Errors
/// Why nobody could be asked, in words; then nothing is known.
pub(super) async fn change(kafka: &Kafka, old: &[Setting], new: &[Setting]) -> Result<Vec<Setting>, String> {
    let before = look(kafka, old).await.map_err(|error| error.to_string())?;
    let is_ours = |wanted: &&Setting| match wanted {
        Setting::Rate(rate) => {
            let there = before.settings.iter().find(|there| same_rate(there, rate).is_some());
            there.is_some_and(|there| old.contains(there))
        }
        Setting::List(_) => false,
    };
    let change = |setting: &Setting| match setting {
        Setting::Rate(rate) => Some(edit(setting, Edit::Set(rate.bytes_per_second.to_string()))),
        Setting::List(_) => None,
    };
    let changes: Vec<ConfigChange> = new.iter().filter(is_ours).filter_map(change).collect();
    if let Act::Later(why) | Act::Refused(why) = alter(kafka, changes).await {
        return Err(why);
    }
    let after = look(kafka, old).await.map_err(|error| error.to_string())?;
    let still = |setting: &&Setting| match setting {
        Setting::Rate(rate) => after.settings.contains(setting) || after.silent.contains_key(&rate.broker),
        Setting::List(_) => true,
    };
    Ok(old.iter().filter(|setting| !still(setting)).cloned().collect())
}

/// Whether a broker is in sync wherever it was not. What it no longer replicates, and what was deleted, is not waited for.
pub(super) async fn is_back(kafka: &Kafka, back: &Return, step: usize) -> Seen {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let waits = |named: &&Named| {
        let topic = topics.iter().find(|topic| topic.name == named.topic);
        let partition = topic.and_then(|topic| topic.partition(named.partition));
        partition.is_some_and(|partition| partition.missing().any(|id| id == back.broker))
    };
    let (total, left) = (back.partitions.len(), back.partitions.iter().filter(waits).count());
    let broker = back.broker;
    match left {
        0 => Seen::Done(format!("broker {broker} is in sync for all {total}")),
        left => Seen::Waiting(Progress {
            step,
            done: (total - left) as u32,
            total: total as u32,
            note: format!("waiting for broker {broker} to be in sync for {left} of {total}"),
            ..Progress::default()
        }),
    }
}

/// What a look after taking away shows.
pub(super) struct Cleared {
    /// No longer set, or no longer ours.
    pub gone: Vec<Setting>,
    pub left: Vec<Left>,
}

/// A setting that is still there, or nobody knows.
pub(super) struct Left {
    pub setting: Setting,
    pub why: String,
    /// Whether it may well go a little later.
    pub passing: bool,
}

/// Takes away what is still as it was set, and looks what of it is gone.
pub(super) async fn clear(kafka: &Kafka, settings: &[Setting]) -> Cleared {
    let before = match look(kafka, settings).await {
        Ok(there) => there,
        Err(error) => return all_left(settings, &error),
    };
    let mut present = throttle::among(settings, &before.settings);
    let changes: Vec<ConfigChange> = present.iter().map(removal).chain(emptied(settings, &before)).collect();
    if changes.is_empty() {
        return cleared(settings, present, &before, None);
    }
    let asked = match alter(kafka, changes).await {
        Act::Asked => None,
        Act::Later(why) => Some((why, true)),
        Act::Refused(why) => Some((why, false)),
    };
    let after = match look(kafka, settings).await {
        Ok(there) => there,
        Err(error) => return all_left(settings, &error),
    };
    present = throttle::among(settings, &after.settings);
    cleared(settings, present, &after, asked)
}

fn removal(setting: &Setting) -> ConfigChange {
    match setting {
        Setting::Rate(_) => edit(setting, Edit::Unset),
        Setting::List(list) => edit(setting, Edit::Subtract(joined(&list.replicas))),
    }
}

/// A list from which the last entry was taken is still set, to nothing; it goes as a whole.
fn emptied<'a>(settings: &'a [Setting], there: &There) -> impl Iterator<Item = ConfigChange> + use<'a> {
    let empty = there.empty.clone();
    settings
        .iter()
        .filter(move |setting| is_empty(setting, &empty))
        .map(|setting| edit(setting, Edit::Unset))
}

fn is_empty(setting: &Setting, empty: &BTreeSet<(String, &'static str)>) -> bool {
    match setting {
        Setting::Rate(_) => false,
        Setting::List(list) => empty.contains(&(list.topic.clone(), setting.property())),
    }
}

fn cleared(settings: &[Setting], present: Vec<Setting>, there: &There, asked: Option<(String, bool)>) -> Cleared {
    let mut gone = settings.to_vec();
    throttle::release(&mut gone, &present);
    let mut left = Vec::new();
    for setting in present {
        let (why, passing) = asked.clone().unwrap_or_else(|| ("it is still set".to_owned(), true));
        left.push(Left { setting, why, passing });
    }
    gone.retain(|setting| {
        let silent = match setting {
            Setting::Rate(rate) => there.silent.get(&rate.broker),
            Setting::List(_) => None,
        };
        let still = match silent {
            Some(error) => Some((error.to_string(), false)),
            None => is_empty(setting, &there.empty).then(|| ("its list is empty and still set".to_owned(), true)),
        };
        match still {
            Some((why, passing)) => {
                let setting = setting.clone();
                left.push(Left { setting, why, passing });
                false
            }
            None => true,
        }
    });
    Cleared { gone, left }
}

fn all_left(settings: &[Setting], error: &Error) -> Cleared {
    let left = settings.iter().map(|setting| Left {
        setting: setting.clone(),
        why: error.to_string(),
        passing: is_passing(error),
    });
    Cleared {
        gone: Vec::new(),
        left: left.collect(),
    }
}

fn joined(entries: &BTreeSet<String>) -> String {
    entries.iter().cloned().collect::<Vec<_>>().join(",")
}

fn edit(setting: &Setting, edit: Edit) -> ConfigChange {
    ConfigChange {
        resource: match setting {
            Setting::Rate(rate) => Resource::Broker(Some(rate.broker)),
            Setting::List(list) => Resource::Topic(list.topic.clone()),
        },
        name: setting.property().to_owned(),
        edit,
    }
}

async fn alter(kafka: &Kafka, changes: Vec<ConfigChange>) -> Act {
    if changes.is_empty() {
        return Act::Asked;
    }
    let outcomes = match kafka.incremental_alter_configs(&changes, false).await {
        Ok(outcomes) => outcomes,
        Err(error) => return act_of(error),
    };
    let failed: Vec<(Resource, Error)> = outcomes
        .into_iter()
        .filter_map(|(resource, outcome)| Some((resource, outcome.err()?)))
        // A topic that was deleted takes its lists with it.
        .filter(|(resource, error)| !(matches!(resource, Resource::Topic(_)) && is_unknown(error)))
        .collect();
    let reasons = failed.iter().map(|(resource, error)| format!("{resource}: {error}"));
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    match failed.as_slice() {
        [] => Act::Asked,
        some if some.iter().all(|(_, error)| is_passing(error)) => Act::Later(reasons),
        _ => Act::Refused(reasons),
    }
}

fn is_unknown(error: &Error) -> bool {
    error.is(&["UNKNOWN_TOPIC_OR_PARTITION"])
}

/// Reads what is set of the brokers and topics that these settings are about.
async fn look(kafka: &Kafka, about: &[Setting]) -> Result<There, source::Error> {
    let mut brokers = BTreeSet::new();
    let mut topics = BTreeSet::new();
    for setting in about {
        match setting {
            Setting::Rate(rate) => {
                brokers.insert(rate.broker);
            }
            Setting::List(list) => {
                topics.insert(list.topic.clone());
            }
        }
    }
    let mut there = There {
        settings: Vec::new(),
        empty: BTreeSet::new(),
        silent: BTreeMap::new(),
        configs: BTreeMap::new(),
    };
    let told = join_all(brokers.iter().map(|id| kafka.broker_configs(*id))).await;
    for (broker, told) in brokers.into_iter().zip(told) {
        match told {
            Ok(configs) => there.settings.extend(rates(broker, &configs)),
            Err(error) => {
                there.silent.insert(broker, error);
            }
        }
    }
    if !topics.is_empty() {
        let topics: Vec<String> = topics.into_iter().collect();
        let told = match kafka.topic_configs(&topics, Of::All).await {
            // All of them were deleted.
            Err(error) if is_unknown(&error) => BTreeMap::new(),
            told => told?,
        };
        for (topic, configs) in told {
            for (side, name) in LISTS {
                let Some(value) = own(&configs, name) else { continue };
                let entries = throttle::entries(value);
                if entries.is_empty() {
                    there.empty.insert((topic.clone(), name));
                } else {
                    there.settings.push(Setting::list(&topic, side, entries));
                }
            }
            there.configs.insert(topic, configs);
        }
    }
    // What nobody asked about is left out, so that nobody acts on it.
    there.settings.retain(|found| {
        about.iter().any(|setting| match setting {
            Setting::Rate(rate) => same_rate(found, rate).is_some(),
            Setting::List(list) => same_list(found, list).is_some(),
        })
    });
    Ok(there)
}

/// Rates that are set for this broker; what all brokers have by default is nobody's to change here, but it counts.
fn rates(broker: BrokerId, configs: &[Config]) -> impl Iterator<Item = Setting> {
    RATES.iter().filter_map(move |(side, name)| {
        let config = configs.iter().find(|config| config.name == *name)?;
        let rate: u64 = config.value.as_deref()?.parse().ok()?;
        let set = config.source != ConfigSource::Default && rate != i64::MAX as u64;
        set.then(|| Setting::rate(broker, *side, rate))
    })
}

/// A topic's own value.
fn own<'a>(configs: &'a [Config], name: &str) -> Option<&'a str> {
    let config = configs.iter().find(|config| config.name == name)?;
    (config.source == ConfigSource::Topic).then(|| config.value.as_deref().unwrap_or_default())
}
