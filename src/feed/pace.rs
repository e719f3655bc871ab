//! Whether records move, from one look at the offsets to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::history::Tellers;
use crate::model::dense::dense;
use crate::model::offset::{Log, Offsets};
use crate::model::pace::{Pace, Surge};
use crate::model::topic::{Partition, Topic};
use crate::model::{Moment, Snapshot};

/// A partition that has stood for so long has been given up by its producers; another takes its place.
const GIVEN_UP_SECONDS: i64 = 600;

/// Moves on what is known of one leader's busiest partitions.
pub(super) fn offsets(paces: &mut Vec<Pace>, told: &Offsets, at: Moment) {
    paces.retain_mut(|pace| {
        let span = told.get(&pace.topic, pace.partition);
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
    let mut busiest: Vec<(f64, &Log)> = Vec::new();
    for log in told {
        let rate = log.span.rate.filter(|rate| *rate >= Pace::BUSY);
        if let Some(rate) = rate.filter(|_| !known.contains(&(log.topic.to_string(), log.partition))) {
            busiest.push((rate, log));
        }
    }
    busiest.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let room = Pace::BUSIEST - paces.len();
    paces.extend(busiest.into_iter().take(room).map(|(rate, log)| Pace {
        topic: log.topic.to_string(),
        partition: log.partition,
        rate,
        end: log.span.end,
        moved_at: at,
        longest_gap_seconds: 0.0,
    }));
}

/// The end of a partition's log, as its present leader told it.
fn end(snapshot: &Snapshot, topic: &str, partition: &Partition) -> Option<i64> {
    let told = snapshot.offsets.get(&partition.leader?)?.get()?;
    Some(told.get(topic, partition.partition)?.end)
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
    /// Whose answers they were taken from.
    tellers: Tellers,
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
    /// usual one. While it is, the usual rate stays as it was. `stretch`: leaders are asked so much rarer than usual.
    pub fn topics(&mut self, snapshot: &Snapshot, stretch: f64, at: Moment) -> Option<BTreeMap<String, Surge>> {
        if self
            .looked_at
            .is_some_and(|last| at.duration_since(last).as_secs_f64() < RECENT_SECONDS * stretch)
        {
            return None;
        }
        self.looked_at = Some(at);
        // Where no leader told anything new every topic has what it had.
        let tellers = Tellers::of(snapshot, |_| true);
        if self.tellers.are(&tellers) {
            let flows = self.topics.iter_mut();
            let surges = flows.filter_map(|(topic, flow)| Some((topic.clone(), flow.look(flow.total, at)?)));
            return Some(surges.collect());
        }
        self.tellers = tellers;
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
        let known = self.topics.len();
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
        if self.topics.len() > 2 * known {
            dense(&mut self.topics);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
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
        let spans = (0..).zip(ends.iter().map(span));
        spans.map(|(partition, span)| ("orders", partition, span)).collect()
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
        let mut look = |second: i64, end: i64| surges.topics(&snapshot(&[end], second), 1.0, at(second));
        for second in (0..=60).step_by(10) {
            assert!(look(second, second * 100).unwrap().is_empty());
        }
        assert_eq!(look(65, 0), None, "not due");
        let surge = look(70, 6_000 + 20_000).unwrap()["orders"];
        assert_eq!((surge.rate, surge.usual, surge.since), (2_000.0, 100.0, at(70)));
        assert_eq!(look(80, 46_000).unwrap()["orders"].since, at(70), "it lasts");
        assert!(look(90, 47_000).unwrap().is_empty(), "and is over");
    }
}
