//! Whether records and commits move, from one look at the offsets to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::group::Group;
use crate::model::offset::Offsets;
use crate::model::pace::{GroupPace, Pace, StuckPart, Surge};
use crate::model::topic::{Partition, Topic};
use crate::model::{Moment, Snapshot};

/// A partition that has stood for so long has been given up by its producers; another takes its place.
const GIVEN_UP_SECONDS: i64 = 600;

/// Moves on what is known of one leader's busiest partitions.
pub(super) fn offsets(paces: &mut Vec<Pace>, told: &Offsets, at: Moment) {
    paces.retain_mut(|pace| {
        let span = told
            .topics
            .get(&pace.topic)
            .and_then(|topic| topic.get(&pace.partition));
        let Some(span) = span else { return false };
        let stood = at.duration_since(pace.moved_at);
        if span.end > pace.end {
            pace.longest_gap_seconds = pace.longest_gap_seconds.max(stood.as_secs_f64());
            pace.moved_at = at;
            pace.rate = span.rate.filter(|rate| *rate >= Pace::BUSY).unwrap_or(pace.rate);
        }
        // Created anew, or truncated by an unclean election.
        let is_other = span.end < pace.end;
        pace.end = span.end;
        !is_other && stood.as_secs() < GIVEN_UP_SECONDS
    });
    if paces.len() >= Pace::BUSIEST {
        return;
    }
    let known: BTreeSet<(String, i32)> = paces.iter().map(|pace| (pace.topic.clone(), pace.partition)).collect();
    let mut busiest: Vec<(f64, &String, i32, i64)> = Vec::new();
    for (topic, spans) in &told.topics {
        for (partition, span) in spans {
            let rate = span.rate.filter(|rate| *rate >= Pace::BUSY);
            if let Some(rate) = rate.filter(|_| !known.contains(&(topic.clone(), *partition))) {
                busiest.push((rate, topic, *partition, span.end));
            }
        }
    }
    busiest.sort_by(|one, other| other.0.total_cmp(&one.0));
    let room = Pace::BUSIEST - paces.len();
    paces.extend(
        busiest
            .into_iter()
            .take(room)
            .map(|(rate, topic, partition, end)| Pace {
                topic: topic.clone(),
                partition,
                rate,
                end,
                moved_at: at,
                longest_gap_seconds: 0.0,
            }),
    );
}

/// The end of a partition's log, as its present leader told it.
fn end(snapshot: &Snapshot, topic: &str, partition: &Partition) -> Option<i64> {
    let told = snapshot.offsets.get(&partition.leader?)?.get()?;
    Some(told.topics.get(topic)?.get(&partition.partition)?.end)
}

/// Looks over which a topic's present rate is taken.
const RECENT_SECONDS: f64 = 8.0;
/// The usual rate follows the present one so slowly.
const USUAL_SECONDS: f64 = 600.0;
/// So long a topic is watched before anything about it is unusual.
const WATCHED_SECONDS: f64 = 30.0;

/// How fast each topic is written, now and usually.
#[derive(Debug, Default)]
pub(super) struct Surges {
    topics: BTreeMap<String, Flow>,
    looked_at: Option<Moment>,
}

#[derive(Debug)]
struct Flow {
    at: Moment,
    total: i64,
    watched_seconds: f64,
    usual: f64,
    surge: Option<Moment>,
}

impl Surges {
    /// Takes in the ends of all partitions, as last told; the answer holds the topics whose rate is more than twice the
    /// usual one. While it is, the usual rate stays as it was.
    pub fn topics(&mut self, snapshot: &Snapshot, at: Moment) -> Option<BTreeMap<String, Surge>> {
        if self
            .looked_at
            .is_some_and(|last| at.duration_since(last).as_secs_f64() < RECENT_SECONDS)
        {
            return None;
        }
        self.looked_at = Some(at);
        // A topic of which a leader has not told everything is left to the next look.
        let total = |topic: &Topic| -> Option<i64> {
            topic
                .partitions
                .iter()
                .map(|partition| end(snapshot, &topic.name, partition))
                .sum()
        };
        let totals: BTreeMap<&str, Option<i64>> = snapshot
            .topics()
            .iter()
            .map(|topic| (topic.name.as_str(), total(topic)))
            .collect();
        self.topics.retain(|topic, _| totals.contains_key(topic.as_str()));
        let mut surges = BTreeMap::new();
        for (topic, total) in totals {
            let Some(total) = total else { continue };
            let Some(flow) = self.topics.get_mut(topic) else {
                let fresh = Flow {
                    at,
                    total,
                    watched_seconds: 0.0,
                    usual: 0.0,
                    surge: None,
                };
                self.topics.insert(topic.to_owned(), fresh);
                continue;
            };
            if let Some(surge) = flow.look(total, at) {
                surges.insert(topic.to_owned(), surge);
            }
        }
        Some(surges)
    }
}

impl Flow {
    fn look(&mut self, total: i64, at: Moment) -> Option<Surge> {
        let seconds = at.duration_since(self.at).as_secs_f64();
        let rate = (total - self.total) as f64 / seconds.max(0.001);
        (self.at, self.total) = (at, total);
        // A leader that moved tells its partitions late, or twice: the next look is right again.
        if rate < 0.0 {
            return None;
        }
        let is_surge = self.watched_seconds >= WATCHED_SECONDS && rate > 2.0 * self.usual;
        if is_surge {
            let since = *self.surge.get_or_insert(at);
            return Some(Surge {
                rate: rate.round(),
                usual: self.usual.round(),
                since,
            });
        }
        self.surge = None;
        let share = (seconds / (self.watched_seconds + seconds)).max(seconds / USUAL_SECONDS);
        self.usual += (rate - self.usual) * share.min(1.0);
        self.watched_seconds += seconds;
        None
    }
}

/// Commits of a group as last seen, by partition: the offset, and since when it is that.
type Commits = BTreeMap<(String, i32), (i64, Moment)>;

/// What is remembered of the groups' commits.
#[derive(Debug, Default)]
pub(super) struct Groups {
    commits: BTreeMap<String, Commits>,
}

impl Groups {
    /// Moves on what is known of the groups of one coordinator.
    pub fn look(&mut self, snapshot: &mut Snapshot, groups: &[Group], at: Moment) {
        for group in groups {
            let behind: BTreeSet<(String, i32)> = group
                .commits
                .iter()
                .filter(|commit| {
                    let placed = snapshot
                        .topic(&commit.topic)
                        .and_then(|topic| topic.partition(commit.partition));
                    placed
                        .and_then(|placed| end(snapshot, &commit.topic, placed))
                        .is_some_and(|end| end > commit.offset)
                })
                .map(|commit| (commit.topic.clone(), commit.partition))
                .collect();
            let known = self.commits.entry(group.name.clone()).or_default();
            let mut moved = false;
            let mut now = Commits::new();
            for commit in &group.commits {
                let key = (commit.topic.clone(), commit.partition);
                let old = known.get(&key).copied();
                moved |= old.is_none_or(|(offset, _)| offset != commit.offset);
                // One that has read everything stands for no other reason.
                let stands = old.filter(|(offset, _)| *offset == commit.offset && behind.contains(&key));
                now.insert(key, stands.unwrap_or((commit.offset, at)));
            }
            let stuck = now
                .iter()
                .filter(|(key, _)| behind.contains(key))
                .min_by_key(|(_, (_, since))| *since);
            let stuck = stuck
                .filter(|(_, (_, since))| *since < at)
                .map(|((topic, partition), (offset, since))| StuckPart {
                    topic: topic.clone(),
                    partition: *partition,
                    offset: *offset,
                    since: *since,
                });
            let pace = snapshot
                .group_paces
                .entry(group.name.clone())
                .or_insert_with(|| GroupPace {
                    moved_at: at,
                    longest_gap_seconds: 0.0,
                    had_members: false,
                    stuck: None,
                });
            if moved || behind.is_empty() {
                // A group that waited for records has made no pause.
                let gap = at.duration_since(pace.moved_at).as_secs_f64();
                pace.longest_gap_seconds = pace.longest_gap_seconds.max(if behind.is_empty() { 0.0 } else { gap });
                pace.moved_at = at;
            }
            pace.had_members |= !group.members.is_empty();
            pace.stuck = stuck;
            *known = now;
        }
    }

    /// Forgets groups that are gone.
    pub fn keep(&mut self, snapshot: &mut Snapshot) {
        let Some(groups) = snapshot.groups.get() else { return };
        let names: BTreeSet<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        self.commits.retain(|name, _| names.contains(name.as_str()));
        let gone: Vec<String> = snapshot
            .group_paces
            .keys()
            .filter(|name| !names.contains(name.as_str()))
            .cloned()
            .collect();
        for name in gone {
            snapshot.group_paces.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::group::Commit;
    use crate::model::offset::Span;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn told(ends: &[i64], rate: f64) -> Offsets {
        let span = |end: &i64| Span {
            start: 0,
            end: *end,
            rate: Some(rate),
        };
        let spans = ends
            .iter()
            .map(span)
            .enumerate()
            .map(|(at, span)| (at as i32, span))
            .collect();
        Offsets {
            topics: BTreeMap::from([("orders".to_owned(), spans)]),
        }
    }

    fn snapshot(ends: &[i64], second: i64) -> Snapshot {
        let partition = |partition| Partition {
            partition,
            leader: Some(1),
            ..Partition::default()
        };
        let topic = Topic {
            name: "orders".into(),
            id: uuid::Uuid::from_u128(1),
            internal: false,
            partitions: (0..ends.len() as i32).map(partition).collect(),
        };
        Snapshot {
            topics: Observed::fresh(vec![topic], at(0)),
            offsets: BTreeMap::from([(1, Observed::fresh(told(ends, 0.0), at(second)))]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_busiest_are_watched_and_their_stop_is_seen() {
        let mut paces = Vec::new();
        offsets(&mut paces, &told(&[10, 10, 10, 10], 50.0), at(0));
        assert_eq!(paces.len(), Pace::BUSIEST);
        offsets(&mut paces, &told(&[20, 20, 20, 20], 50.0), at(2));
        assert!(
            paces
                .iter()
                .all(|pace| pace.moved_at == at(2) && pace.longest_gap_seconds == 2.0)
        );
        offsets(&mut paces, &told(&[20, 20, 20, 20], 40.0), at(20));
        assert!(paces.iter().all(|pace| pace.has_stopped(at(20))));
        offsets(&mut paces, &told(&[20, 20, 20, 20], 0.0), at(700));
        assert!(paces.is_empty(), "nobody writes them any more");
    }

    #[test]
    fn idle_partitions_are_not_watched() {
        let mut paces = Vec::new();
        offsets(&mut paces, &told(&[10, 10], 0.2), at(0));
        assert!(paces.is_empty());
    }

    #[test]
    fn a_surge_is_measured_against_what_was_seen_before() {
        let mut surges = Surges::default();
        let mut look = |second: i64, end: i64| surges.topics(&snapshot(&[end], second), at(second));
        for second in (0..=60).step_by(10) {
            assert!(look(second, second * 100).unwrap().is_empty());
        }
        assert_eq!(look(65, 0), None, "not due");
        let surge = look(70, 6_000 + 20_000).unwrap()["orders"];
        assert_eq!((surge.rate, surge.usual, surge.since), (2_000.0, 100.0, at(70)));
        assert_eq!(look(80, 46_000).unwrap()["orders"].since, at(70), "it lasts");
        assert!(look(90, 47_000).unwrap().is_empty(), "and is over");
    }

    #[test]
    fn a_group_that_stands_and_one_partition_that_stands_are_told_apart() {
        let group = |offsets: [i64; 2]| Group {
            name: "billing".into(),
            state: "Stable".into(),
            kind: "classic".into(),
            protocol: "range".into(),
            coordinator: Some(1),
            members: Vec::new(),
            commits: (0..2)
                .map(|partition| Commit {
                    topic: "orders".into(),
                    partition,
                    offset: offsets[partition as usize],
                    metadata: String::new(),
                })
                .collect(),
        };
        let mut snapshot = snapshot(&[1000, 1000], 0);
        let mut groups = Groups::default();
        for (second, offsets) in [(0, [10, 10]), (10, [20, 10]), (60, [30, 10])] {
            groups.look(&mut snapshot, &[group(offsets)], at(second));
        }
        let pace = &snapshot.group_paces["billing"];
        assert_eq!((pace.moved_at, pace.longest_gap_seconds), (at(60), 50.0));
        let stuck = pace.stuck.clone().unwrap();
        assert_eq!((stuck.partition, stuck.offset, stuck.since), (1, 10, at(0)));
        groups.look(&mut snapshot, &[group([1000, 1000])], at(70));
        assert_eq!(snapshot.group_paces["billing"].stuck, None, "it has read everything");
    }
}
