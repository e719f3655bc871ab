//! Samples of the numbers whose past matters.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::history::History;
use crate::model::{Moment, Snapshot};

/// One sample every five seconds: a series holds ten minutes.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// Adds what is known and fresh now, and forgets what is gone. Unknown adds nothing: a gap is not zero.
pub(super) fn sample(history: &mut History, snapshot: &Snapshot, at: Moment) {
    if let Some(groups) = snapshot.groups.get() {
        history
            .group_lag
            .retain(|name, _| groups.binary_search_by(|group| group.name.as_str().cmp(name)).is_ok());
        let ends = ends(snapshot);
        for group in groups {
            let lags = group.commits.iter().map(|commit| {
                let end = ends.get(commit.topic.as_str())?.get(&commit.partition)?;
                Some((end - commit.offset).max(0))
            });
            let lag: Option<i64> = lags.sum();
            if let Some(lag) = lag.filter(|_| !group.commits.is_empty()) {
                let series = history.group_lag.entry(group.name.clone()).or_default();
                series.push(at, lag as f64);
            }
        }
    }
    history.broker_bytes.retain(|id, _| snapshot.logdirs.contains_key(id));
    for (id, dirs) in &snapshot.logdirs {
        let used = dirs.get().filter(|_| dirs.is_fresh()).map(|dirs| {
            let used = dirs.iter().map(|dir| {
                dir.used_bytes()
                    .unwrap_or_else(|| dir.replicas.iter().map(|replica| replica.size_bytes).sum())
            });
            used.sum::<u64>()
        });
        if let Some(used) = used {
            history.broker_bytes.entry(*id).or_default().push(at, used as f64);
        }
    }
}

/// The ends of all logs, the newest answer winning, and only from leaders that answer.
fn ends(snapshot: &Snapshot) -> BTreeMap<&str, BTreeMap<i32, i64>> {
    let mut told: Vec<_> = snapshot.offsets.values().filter(|told| told.is_fresh()).collect();
    told.sort_by_key(|told| told.seen_at);
    let mut ends: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
    for offsets in told.into_iter().filter_map(|told| told.get()) {
        for (topic, spans) in &offsets.topics {
            let spans = spans.iter().map(|(partition, span)| (*partition, span.end));
            ends.entry(topic).or_default().extend(spans);
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::group::{Commit, Group};
    use crate::model::offset::{Offsets, Span};

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn snapshot() -> Snapshot {
        let commit = |partition, offset| Commit {
            topic: "orders".to_owned(),
            partition,
            offset,
            metadata: String::new(),
        };
        let group = Group {
            name: "billing".to_owned(),
            state: "Stable".to_owned(),
            kind: "classic".to_owned(),
            protocol: "range".to_owned(),
            coordinator: Some(1),
            members: Vec::new(),
            commits: vec![commit(0, 90), commit(1, 5)],
        };
        let span = |end| Span {
            start: 0,
            end,
            rate: None,
        };
        let leader = |partition, end| Offsets {
            topics: BTreeMap::from([("orders".to_owned(), BTreeMap::from([(partition, span(end))]))]),
        };
        Snapshot {
            groups: Observed::fresh(vec![group], at(0)),
            offsets: BTreeMap::from([
                (1, Observed::fresh(leader(0, 100), at(0))),
                (2, Observed::fresh(leader(1, 3), at(0))),
            ]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn lag_is_summed_and_never_negative() {
        let mut history = History::default();
        sample(&mut history, &snapshot(), at(1));
        assert_eq!(history.group_lag["billing"].latest().unwrap().value, 10.0);
    }

    #[test]
    fn a_leader_that_does_not_answer_leaves_a_gap() {
        let mut history = History::default();
        let mut snapshot = snapshot();
        sample(&mut history, &snapshot, at(1));
        let offsets = snapshot.offsets.get_mut(&2).unwrap();
        offsets.fail(crate::model::Trouble::TimedOut, "gone", at(2));
        sample(&mut history, &snapshot, at(6));
        assert_eq!(history.group_lag["billing"].samples().len(), 1);
    }

    #[test]
    fn a_group_that_is_gone_is_forgotten() {
        let mut history = History::default();
        let mut snapshot = snapshot();
        sample(&mut history, &snapshot, at(1));
        snapshot.groups = Observed::fresh(Vec::new(), at(2));
        sample(&mut history, &snapshot, at(6));
        assert!(history.group_lag.is_empty());
    }
}
