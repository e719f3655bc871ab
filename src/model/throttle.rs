//! What throttles replication: a rate on a broker, replicas in a topic's list; and which of it Azimuth itself has set.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// Which half of a copy is throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Side {
    Leader,
    Follower,
    /// Between directories of one broker.
    LogDirs,
}

/// The property of a rate, on a broker.
pub const RATES: [(Side, &str); 3] = [
    (Side::Leader, "leader.replication.throttled.rate"),
    (Side::Follower, "follower.replication.throttled.rate"),
    (Side::LogDirs, "replica.alter.log.dirs.io.max.bytes.per.second"),
];

/// The property of a list, on a topic. Replicas that move between directories have none.
pub const LISTS: [(Side, &str); 2] = [
    (Side::Leader, "leader.replication.throttled.replicas"),
    (Side::Follower, "follower.replication.throttled.replicas"),
];

/// One thing that is set, or shall be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    Rate(Rate),
    List(List),
}

/// So many bytes a second, of all throttled replicas of a broker together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub broker: BrokerId,
    pub side: Side,
    pub bytes_per_second: u64,
}

/// Entries of a topic's list: `partition:broker`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    pub topic: String,
    pub side: Side,
    pub replicas: BTreeSet<String>,
}

/// Something that an operation has set and nobody has taken away yet, as far as the journals of this host tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub operation: String,
    /// Whether the operation is not over: it still needs it, and takes it away itself.
    pub live: bool,
    pub setting: Setting,
}

impl Setting {
    pub fn rate(broker: BrokerId, side: Side, bytes_per_second: u64) -> Self {
        Self::Rate(Rate {
            broker,
            side,
            bytes_per_second,
        })
    }

    pub fn list(topic: &str, side: Side, replicas: BTreeSet<String>) -> Self {
        Self::List(List {
            topic: topic.to_owned(),
            side,
            replicas,
        })
    }

    /// Kafka's name of the property.
    pub fn property(&self) -> &'static str {
        let named = |known: &[(Side, &'static str)], side: Side| {
            known.iter().find(|(own, _)| *own == side).map(|(_, name)| *name)
        };
        match self {
            Self::Rate(rate) => named(&RATES, rate.side).unwrap_or(RATES[0].1),
            Self::List(list) => named(&LISTS, list.side).unwrap_or(LISTS[0].1),
        }
    }

    /// `broker 4`, `topic orders`.
    pub fn subject(&self) -> String {
        match self {
            Self::Rate(rate) => format!("broker {}", rate.broker),
            Self::List(list) => format!("topic {}", list.topic),
        }
    }
}

/// The entries of a list's value.
pub fn entries(value: &str) -> BTreeSet<String> {
    let entries = value.split(',').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

/// What is held after something more was set: entries of one list are one setting.
pub fn hold(held: &mut Vec<Setting>, more: &[Setting]) {
    for setting in more {
        if held.contains(setting) {
            continue;
        }
        let same = held.iter_mut().find_map(|known| match (known, setting) {
            (Setting::List(known), Setting::List(list)) if known.topic == list.topic && known.side == list.side => {
                Some((known, list))
            }
            _ => None,
        });
        match same {
            Some((known, list)) => known.replicas.extend(list.replicas.iter().cloned()),
            None => held.push(setting.clone()),
        }
    }
}

/// What is still held after something was taken away.
pub fn release(held: &mut Vec<Setting>, gone: &[Setting]) {
    for setting in gone {
        match setting {
            Setting::Rate(_) => held.retain(|known| known != setting),
            Setting::List(list) => {
                for known in held.iter_mut() {
                    if let Setting::List(known) = known
                        && known.topic == list.topic
                        && known.side == list.side
                    {
                        known.replicas.retain(|entry| !list.replicas.contains(entry));
                    }
                }
                held.retain(|known| !matches!(known, Setting::List(list) if list.replicas.is_empty()));
            }
        }
    }
}

/// What of `these` is among `those`: the same rate, the same entries.
pub fn among(these: &[Setting], those: &[Setting]) -> Vec<Setting> {
    let mut rest = these.to_vec();
    release(&mut rest, those);
    let mut found = these.to_vec();
    release(&mut found, &rest);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries_: &str) -> Setting {
        Setting::list("orders", Side::Leader, entries(entries_))
    }

    #[test]
    fn what_is_held_grows_and_shrinks_entry_by_entry() {
        let rate = Setting::rate(4, Side::Leader, 1000);
        let mut held = Vec::new();
        hold(&mut held, &[rate.clone(), list("0:1,1:2")]);
        hold(&mut held, &[rate.clone(), list("1:2, 2:3")]);
        assert_eq!(held, [rate.clone(), list("0:1,1:2,2:3")]);
        assert_eq!(among(&held, &[list("2:3,9:9")]), [list("2:3")]);
        // A rate of another height is another setting.
        release(&mut held, &[Setting::rate(4, Side::Leader, 999), list("0:1,2:3")]);
        assert_eq!(held, [rate.clone(), list("1:2")]);
        release(&mut held, &[rate, list("1:2")]);
        assert!(held.is_empty());
    }

    #[test]
    fn a_setting_reads_back_from_a_journals_line() {
        for setting in [Setting::rate(4, Side::LogDirs, 7), list("*")] {
            let text = serde_json::to_string(&setting).unwrap();
            assert_eq!(serde_json::from_str::<Setting>(&text).unwrap(), setting, "{text}");
        }
    }
}
