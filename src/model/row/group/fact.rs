//! What a partition of a group is told by, with reasons that are put in words only for those who read them: a wide cluster's groups
//! read a hundred thousand partitions, and all that most of them give is a number to add up.

use std::fmt;

use crate::model::row::Cell;
use crate::model::{BrokerId, Health, Moment, Observed};

/// A [`Cell`] whose reason is no text yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact<'a, T> {
    pub value: Option<T>,
    /// The value's age, only when its source is failing.
    pub stale_seconds: Option<i64>,
    /// Why the value is missing or old.
    pub why: Option<Why<'a>>,
}

/// Why a value is missing or old.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why<'a> {
    Words(&'static str),
    /// The section that it is taken from is not fresh.
    Section(&'a Health),
    NoPartition(&'a str, i32),
    /// This leader was not asked for its offsets.
    Unasked(BrokerId),
    /// Of this topic.
    NoRetention(&'a str),
}

impl<'a, T> Fact<'a, T> {
    pub fn known(value: T) -> Self {
        Self {
            value: Some(value),
            stale_seconds: None,
            why: None,
        }
    }

    pub fn unknown(why: Why<'a>) -> Self {
        Self::doubted(None, why)
    }

    pub fn doubted(value: Option<T>, why: Why<'a>) -> Self {
        Self {
            value,
            stale_seconds: None,
            why: Some(why),
        }
    }

    /// `value` with what the section that it was taken out of casts on it; `missing` says why a fresh one has none.
    pub fn from<S>(section: &'a Observed<S>, now: Moment, missing: &'static str, value: Option<T>) -> Self {
        let value = value.filter(|_| section.value.is_some());
        Self {
            stale_seconds: match section.health {
                Health::Failing { .. } if value.is_some() => section.age_seconds(now),
                _ => None,
            },
            why: match (section.is_fresh(), &value) {
                (true, Some(_)) => None,
                (true, None) => Some(Why::Words(missing)),
                (false, _) => Some(Why::Section(&section.health)),
            },
            value,
        }
    }

    /// Another value, as certain as this one.
    pub fn with<U>(&self, value: Option<U>) -> Fact<'a, U> {
        Fact {
            value,
            stale_seconds: self.stale_seconds,
            why: self.why,
        }
    }

    /// In words; nothing where there is nothing to say.
    pub fn reason(&self) -> String {
        self.why.map_or_else(String::new, |why| why.to_string())
    }
}

impl<T: Copy> Fact<'_, T> {
    pub fn cell(&self) -> Cell<T> {
        Cell {
            value: self.value,
            stale_seconds: self.stale_seconds,
            reason: self.why.map(|why| why.to_string()),
        }
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Section(health) => f.write_str(&health.problem().unwrap_or_default()),
            Self::NoPartition(topic, partition) => write!(f, "no partition {topic}-{partition} in the cluster"),
            Self::Unasked(leader) => write!(f, "broker {leader} has not told its offsets"),
            Self::NoRetention(topic) => write!(f, "the retention of {topic} was not told"),
        }
    }
}
