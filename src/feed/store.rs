//! The snapshot under construction, and when a new one is worth publishing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::rate::Rates;
use super::{event, history, pace};
use crate::model::group::Group;
use crate::model::history::History;
use crate::model::identity::Rules;
use crate::model::{BrokerId, Health, Moment, Observed, Snapshot};
use crate::source::Error;

/// What an answer changed. The order is that of urgency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    #[default]
    Nothing,
    /// Only when it was last seen.
    Age,
    /// A value or a health: something to look at.
    Value,
}

/// What became of one question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub failed: bool,
    /// It was refused for want of a right.
    pub denied: bool,
    pub change: Change,
    /// It failed before and does not now, or the other way round.
    pub turned: bool,
}

/// Shared by all pollers of one cluster.
#[derive(Debug)]
pub(super) struct Store {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub snapshot: Snapshot,
    pub rates: Rates,
    /// The last answer of each coordinator.
    pub groups: BTreeMap<BrokerId, Vec<Group>>,
    pub rules: Rules,
    /// Advertised host names and their addresses.
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    pub commits: pace::Groups,
    pub surges: pace::Surges,
    /// What was published last: the next one is compared with it.
    published: Arc<Snapshot>,
    pending: Change,
}

impl Store {
    pub fn new(snapshot: Snapshot, rules: Rules) -> Self {
        let inner = Inner {
            snapshot,
            rules,
            pending: Change::Value,
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the present state. `look` must be quick: pollers wait for it.
    pub fn read<R>(&self, look: impl FnOnce(&Snapshot) -> R) -> R {
        look(&self.lock().snapshot)
    }

    /// Changes the state and says what that changed.
    pub fn edit(&self, edit: impl FnOnce(&mut Inner) -> Change) -> Change {
        let mut inner = self.lock();
        let change = edit(&mut inner);
        let raised = change > inner.pending;
        inner.pending = inner.pending.max(change);
        drop(inner);
        if raised {
            self.changed.notify_one();
        }
        change
    }

    /// Takes in the answer for one section.
    pub fn settle<T: PartialEq>(
        &self,
        outcome: Result<T, Error>,
        section: impl FnOnce(&mut Snapshot) -> &mut Observed<T>,
    ) -> Seen {
        let at = Moment::now();
        let mut seen = Seen::default();
        self.edit(|inner| {
            seen = settle(section(&mut inner.snapshot), outcome, at);
            seen.change
        });
        seen
    }

    /// What waits to be published.
    pub fn pending(&self) -> Change {
        self.lock().pending
    }

    /// Resolves when [`Store::pending`] has risen.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The snapshot to publish; nothing is pending after it.
    pub fn publish(&self) -> Arc<Snapshot> {
        let mut inner = self.lock();
        if inner.pending == Change::Value {
            inner.snapshot.revision += 1;
        }
        inner.pending = Change::Nothing;
        let now = Moment::now();
        inner.snapshot.taken_at = Some(now);
        let before = Arc::clone(&inner.published);
        event::observe(&before, &mut inner.snapshot, now);
        inner.published = Arc::new(inner.snapshot.clone());
        Arc::clone(&inner.published)
    }

    /// Adds a sample to the history.
    pub fn sample(&self, at: Moment) {
        self.edit(|inner| {
            let mut next = History::clone(&inner.snapshot.history);
            history::sample(&mut next, &inner.snapshot, at);
            inner.snapshot.history = Arc::new(next);
            Change::Age
        });
    }
}

/// Takes in one answer: an equal value keeps its place in memory and only moves on in time.
pub(super) fn settle<T: PartialEq>(section: &mut Observed<T>, outcome: Result<T, Error>, at: Moment) -> Seen {
    let was_failing = matches!(section.health, Health::Failing { .. });
    match outcome {
        Ok(value) => {
            let same = section.health == Health::Fresh && section.get() == Some(&value);
            if same {
                section.seen_at = Some(at);
            } else {
                *section = Observed::fresh(value, at);
            }
            Seen {
                failed: false,
                denied: false,
                change: if same { Change::Age } else { Change::Value },
                turned: was_failing,
            }
        }
        Err(error) => {
            let before = section.health.clone();
            section.fail(error.trouble(), error.to_string(), at);
            Seen {
                failed: true,
                denied: matches!(error, Error::Denied { .. }),
                change: match section.health == before {
                    true => Change::Nothing,
                    false => Change::Value,
                },
                turned: !was_failing,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn dead() -> Error {
        Error::Unreachable {
            peer: "broker 4".to_owned(),
            reason: "connection refused".to_owned(),
        }
    }

    #[test]
    fn an_equal_value_only_moves_on_in_time() {
        let mut section = Observed::default();
        assert_eq!(settle(&mut section, Ok(7), at(0)).change, Change::Value);
        let first = section.value.clone().unwrap();
        assert_eq!(settle(&mut section, Ok(7), at(2)).change, Change::Age);
        assert!(Arc::ptr_eq(&first, section.value.as_ref().unwrap()));
        assert_eq!(section.seen_at, Some(at(2)));
        assert_eq!(settle(&mut section, Ok(8), at(4)).change, Change::Value);
    }

    #[test]
    fn a_failure_keeps_the_value_and_is_news_once() {
        let mut section = Observed::fresh(7, at(0));
        let first = settle(&mut section, Err(dead()), at(2));
        assert!(first.turned && first.failed && first.change == Change::Value);
        let second = settle(&mut section, Err(dead()), at(4));
        assert!(!second.turned && second.change == Change::Nothing);
        assert_eq!((section.get(), section.seen_at), (Some(&7), Some(at(0))));
        let back = settle(&mut section, Ok(7), at(6));
        assert!(back.turned && back.change == Change::Value, "its health is news");
    }

    #[test]
    fn ages_do_not_count_as_revisions() {
        let store = Store::new(Snapshot::default(), Rules::default());
        assert_eq!(store.publish().revision, 1);
        store.edit(|_| Change::Age);
        assert_eq!((store.pending(), store.publish().revision), (Change::Age, 1));
        store.edit(|_| Change::Value);
        assert_eq!(store.publish().revision, 2);
        assert_eq!(store.pending(), Change::Nothing);
    }
}
