//! A value with its age and the health of where it comes from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Moment;

/// The last good value of something that is polled, kept while its source fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed<T> {
    /// `None` until the first answer.
    pub value: Option<Arc<T>>,
    /// When `value` was true; `None` with it.
    pub seen_at: Option<Moment>,
    pub health: Health,
}

/// How the source of a value is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// Nobody has asked yet.
    #[default]
    Unasked,
    /// The last question was answered.
    Fresh,
    /// The last question failed; the value, if any, is from before.
    Failing {
        trouble: Trouble,
        reason: String,
        since: Moment,
    },
    /// There is nothing to ask, for example no AWS plane in this context. Never shown as healthy.
    Absent { reason: String },
}

/// The words for a failing source; they lead to different next steps and are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Trouble {
    Unreachable,
    #[strum(to_string = "timed out")]
    TimedOut,
    Denied,
    Throttled,
    Expired,
    /// The peer does not know this API or version.
    Unsupported,
    /// An answer that is an error, or that cannot be understood.
    Refused,
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Self {
            value: None,
            seen_at: None,
            health: Health::Unasked,
        }
    }
}

impl<T> Observed<T> {
    pub fn fresh(value: T, at: Moment) -> Self {
        Self {
            value: Some(Arc::new(value)),
            seen_at: Some(at),
            health: Health::Fresh,
        }
    }

    pub fn absent(reason: impl Into<String>) -> Self {
        Self {
            value: None,
            seen_at: None,
            health: Health::Absent { reason: reason.into() },
        }
    }

    /// Keeps the last good value and remembers since when the source fails.
    pub fn fail(&mut self, trouble: Trouble, reason: impl Into<String>, at: Moment) {
        let since = match &self.health {
            Health::Failing { since, .. } => *since,
            _ => at,
        };
        self.health = Health::Failing {
            trouble,
            reason: reason.into(),
            since,
        };
    }

    /// The value, however old.
    pub fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }

    pub fn is_fresh(&self) -> bool {
        self.health == Health::Fresh
    }

    /// Age in whole seconds; `None` without a value.
    pub fn age_seconds(&self, now: Moment) -> Option<i64> {
        self.seen_at.map(|at| now.duration_since(at).as_secs().max(0))
    }

    /// Why the value is missing or old, in one sentence; `None` when it is fresh.
    pub fn problem(&self) -> Option<String> {
        self.health.problem()
    }
}

impl Health {
    /// See [`Observed::problem`].
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Fresh => None,
            Self::Unasked => Some("not asked yet".to_owned()),
            Self::Failing { trouble, reason, .. } => Some(format!("{trouble}: {reason}")),
            Self::Absent { reason } => Some(reason.clone()),
        }
    }
}
