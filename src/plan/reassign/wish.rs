//! What a reassignment is for, and its limits.

use regex::Regex;

use super::{Error, MaxRate, Target};
use crate::model::BrokerId;

/// A goal, for some topics, and how much of it at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub goal: Goal,
    /// Only topics whose whole name this regular expression matches.
    pub topics: Option<String>,
    /// Of them, none whose whole name this one matches.
    pub exclude: Option<String>,
    /// A step copies at most so many bytes, unless one partition alone has more.
    pub max_bytes_in_flight: Option<u64>,
    /// How fast it may copy.
    pub max_rate: MaxRate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Exactly this.
    Assign(Vec<Target>),
    /// These brokers end with no replica.
    Drain(Vec<BrokerId>),
    /// These brokers get their share of bytes and of preferred leaders, from those that hold more than theirs.
    Add(Vec<BrokerId>),
    /// Every partition is spread over the racks as evenly as they allow.
    Spread,
    /// Every broker holds its share.
    Balance(Measure),
    /// Every partition has so many replicas.
    Factor(i16),
    /// The second takes over what the first holds, places in the order of preference included.
    Replace(Vec<(BrokerId, BrokerId)>),
    /// The replicas of one log directory go to other brokers; `None` is the fullest.
    DrainDir { broker: BrokerId, path: Option<String> },
}

/// What is levelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Measure {
    /// Bytes of replicas.
    Bytes,
    /// Preferred leaders.
    Leaders,
    /// Replicas.
    Count,
}

impl From<Goal> for Wish {
    fn from(goal: Goal) -> Self {
        Self {
            goal,
            topics: None,
            exclude: None,
            max_bytes_in_flight: None,
            max_rate: MaxRate::Solved,
        }
    }
}

impl Wish {
    /// Which topics may be touched.
    ///
    /// # Errors
    /// When an expression is none.
    pub(super) fn scope(&self) -> Result<impl Fn(&str) -> bool + use<>, Error> {
        let whole = |text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| topic_pattern(text))
                .transpose()
                .map_err(Error::Impossible)
        };
        let (topics, exclude) = (whole(&self.topics)?, whole(&self.exclude)?);
        Ok(move |name: &str| {
            topics.as_ref().is_none_or(|regex| regex.is_match(name))
                && !exclude.as_ref().is_some_and(|regex| regex.is_match(name))
        })
    }
}

/// A regular expression for whole names.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn topic_pattern(text: &str) -> Result<Regex, String> {
    let wrong = |error: regex::Error| format!("{text:?} is no regular expression for topics: {error}");
    // By itself first: brackets of ours must not close one of its own.
    Regex::new(text)
        .and_then(|_| Regex::new(&format!("^(?:{text})$")))
        .map_err(wrong)
}

impl Goal {
    /// In words, for the first line.
    pub(super) fn title(&self) -> Option<String> {
        Some(match self {
            Self::Assign(_) => return None,
            Self::Drain(ids) => format!("drain {}", brokers(ids)),
            Self::Add(ids) => format!("give {} their share", brokers(ids)),
            Self::Spread => "spread replicas over racks".to_owned(),
            Self::Balance(Measure::Bytes) => "balance bytes".to_owned(),
            Self::Balance(Measure::Leaders) => "balance preferred leaders".to_owned(),
            Self::Balance(Measure::Count) => "balance the number of replicas".to_owned(),
            Self::Factor(1) => "1 replica of each partition".to_owned(),
            Self::Factor(count) => format!("{count} replicas of each partition"),
            Self::Replace(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(old, new)| format!("broker {old} by {new}"))
                    .collect();
                format!("replace {}", pairs.join(", "))
            }
            Self::DrainDir { broker, path } => {
                let path = path.as_deref().unwrap_or("the fullest directory");
                format!("drain {path} of broker {broker}")
            }
        })
    }
}

/// `broker 4`, `brokers 4, 5`.
pub(in crate::plan) fn brokers(ids: &[BrokerId]) -> String {
    let list = ids.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(", ");
    match ids {
        [_] => format!("broker {list}"),
        _ => format!("brokers {list}"),
    }
}
