//! Where logs ended over the last two hours, so that an offset can be turned into the time it was written.
//!
//! A tick holds what each log grew since the tick before: four bytes for a partition, none for one that stands still. The
//! last ten minutes have a tick every ten seconds, what is older one a minute: about 7 MB for 10,000 busy partitions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Moment;
use crate::model::dense::dense;

/// End offsets and when they were seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// The place of each partition in a tick.
    places: Arc<BTreeMap<String, BTreeMap<i32, u32>>>,
    /// By place.
    logs: Arc<Vec<Log>>,
    /// Oldest first.
    ticks: VecDeque<Arc<Tick>>,
}

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Log {
    /// As seen last.
    end: i64,
    /// The first tick that it was seen in, in milliseconds: of a hundred thousand logs, each with a moment that is a third larger.
    #[serde(rename = "since", with = "as_moment")]
    since_ms: i64,
}

/// In files it is a moment like any other.
mod as_moment {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::Moment;

    pub fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        let moment = Moment::from_millisecond(*ms).map_err(serde::ser::Error::custom)?;
        moment.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        Ok(Moment::deserialize(deserializer)?.as_millisecond())
    }
}

/// One look at all logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tick {
    at: Moment,
    growth: Growth,
    /// Places that nobody told of, sorted.
    unseen: Vec<u32>,
}

/// Records since the tick before, by place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Growth {
    Dense(Vec<u32>),
    /// Sorted by place; the others stood still.
    Sparse(Vec<(u32, u32)>),
}

/// Bounds of the time at which an offset was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// `None`: before the trail begins.
    pub earliest: Option<Moment>,
    pub latest: Moment,
    /// Between the two as the offset lies between the ends; `None` without `earliest`.
    pub about: Option<Moment>,
}

/// How fast logs grew.
#[derive(Debug)]
pub struct Rates<'a> {
    trail: &'a Trail,
    /// By place.
    grown: Vec<u64>,
    /// The first look in the time.
    from: Option<Moment>,
}

impl Rates<'_> {
    /// Records per second; `None` where it was not looked at twice.
    pub fn get(&self, topic: &str, partition: i32) -> Option<f64> {
        let place = self.trail.place(topic, partition)?;
        self.trail
            .per_second(place, *self.grown.get(place as usize)?, self.from?)
    }
}

impl Growth {
    fn of(mut grown: Vec<(u32, u32)>, places: usize) -> Self {
        grown.sort_unstable();
        if grown.len() * 2 < places {
            return Self::Sparse(grown);
        }
        let mut dense = vec![0; places];
        for (place, records) in grown {
            dense[place as usize] = records;
        }
        Self::Dense(dense)
    }

    fn at(&self, place: u32) -> u32 {
        match self {
            Self::Dense(all) => all.get(place as usize).copied().unwrap_or(0),
            Self::Sparse(some) => some
                .binary_search_by_key(&place, |(known, _)| *known)
                .map_or(0, |at| some[at].1),
        }
    }

    fn each(&self) -> Vec<(u32, u32)> {
        match self {
            Self::Dense(all) => (0..).zip(all.iter().copied()).filter(|(_, grown)| *grown > 0).collect(),
            Self::Sparse(some) => some.clone(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Dense(all) => all.capacity() * 4,
            Self::Sparse(some) => some.capacity() * 8,
        }
    }
}

impl Trail {
    /// Seconds between two ticks.
    pub const STEP: i64 = 10;
    /// Seconds after which a tick a minute is enough.
    const FINE: i64 = 600;
    const COARSE: i64 = 60;
    /// Seconds that are kept.
    pub const KEPT: i64 = 7200;
    /// Places of topics that are gone are forgiven up to this many.
    const SPARE: usize = 1000;

    /// When the last look was.
    pub fn latest(&self) -> Option<Moment> {
        self.ticks.back().map(|tick| tick.at)
    }

    /// When the first look was that is still kept.
    pub fn oldest(&self) -> Option<Moment> {
        self.ticks.front().map(|tick| tick.at)
    }

    /// Where the logs ended that the last look saw, each with its place.
    pub fn ends(&self) -> impl Iterator<Item = (u32, &str, i32, i64)> {
        let unseen = self.ticks.back().map_or(&[][..], |tick| &tick.unseen);
        let seen = move |place: u32| unseen.binary_search(&place).is_err();
        let places = self.places.iter();
        let all = places.flat_map(|(topic, parts)| parts.iter().map(move |(part, place)| (topic, *part, *place)));
        all.filter(move |(.., place)| seen(*place))
            .filter_map(|(topic, part, place)| {
                let log = self.logs.get(place as usize)?;
                Some((place, topic.as_str(), part, log.end))
            })
    }

    /// Adds one look at all logs that were told; one that is not newer than the last is ignored. What other trails share with this
    /// one is copied only where a log has grown.
    pub fn push<'a>(&mut self, at: Moment, ends: impl Iterator<Item = (&'a str, i32, i64)>) {
        if self.latest().is_some_and(|latest| latest >= at) {
            return;
        }
        let mut seen = vec![false; self.logs.len()];
        let mut grown = Vec::new();
        let mut new = Vec::new();
        let mut told = 0;
        // Whoever tells of many partitions tells those of a topic together.
        let mut here = None;
        for (topic, partition, end) in ends {
            told += 1;
            let of_topic = match here {
                Some((name, of_topic)) if name == topic => of_topic,
                _ => self.places.get(topic),
            };
            here = Some((topic, of_topic));
            let place = of_topic.and_then(|of_topic| of_topic.get(&partition).copied());
            // A log that is shorter than before is another log: the topic was created anew.
            match place.filter(|place| self.logs[*place as usize].end <= end) {
                Some(place) => {
                    seen[place as usize] = true;
                    let more = end - self.logs[place as usize].end;
                    if more > 0 {
                        grown.push((place, more));
                    }
                }
                None => new.push((topic, partition, end)),
            }
        }
        if self.logs.len() + new.len() > 2 * told + Self::SPARE && told > 0 {
            // Mostly topics that are gone: begin anew rather than carry them along.
            *self = Self::default();
            return;
        }
        let unseen = (0..).zip(seen).filter(|(_, seen)| !seen);
        let unseen = unseen.map(|(place, _)| place).collect();
        if !grown.is_empty() || !new.is_empty() {
            let logs = Arc::make_mut(&mut self.logs);
            grown.iter().for_each(|(place, more)| logs[*place as usize].end += more);
        }
        let many = new.len() > self.logs.len() / 2;
        if !new.is_empty() {
            let (places, logs) = (Arc::make_mut(&mut self.places), Arc::make_mut(&mut self.logs));
            for (topic, partition, end) in new {
                let of_topic = match places.get_mut(topic) {
                    Some(of_topic) => of_topic,
                    None => places.entry(topic.to_owned()).or_default(),
                };
                of_topic.insert(partition, logs.len() as u32);
                logs.push(Log {
                    end,
                    since_ms: at.as_millisecond(),
                });
            }
            if many {
                dense(places);
                logs.shrink_to_fit();
            }
        }
        let grown = grown.into_iter();
        let grown = grown.map(|(place, more)| (place, u32::try_from(more).unwrap_or(u32::MAX)));
        let growth = Growth::of(grown.collect(), self.logs.len());
        self.ticks.push_back(Arc::new(Tick { at, growth, unseen }));
        self.thin(at);
    }

    /// Adds a look at which every log that the last look saw was seen to stand where it stood.
    pub fn stand(&mut self, at: Moment) {
        let Some(last) = self.ticks.back().filter(|last| last.at < at) else {
            return;
        };
        let unseen = last.unseen.clone();
        let growth = Growth::Sparse(Vec::new());
        self.ticks.push_back(Arc::new(Tick { at, growth, unseen }));
        self.thin(at);
    }

    /// Whether the last look of both saw the same logs, and at the same ends.
    pub fn stands_with(&self, other: &Self) -> bool {
        let both = self.ticks.back().zip(other.ticks.back());
        both.is_some_and(|(own, theirs)| own.unseen == theirs.unseen)
            && Arc::ptr_eq(&self.places, &other.places)
            && Arc::ptr_eq(&self.logs, &other.logs)
    }

    /// Whether all that has a place in the other has the same one here: it has gone on from there.
    pub fn goes_on_from(&self, other: &Self) -> bool {
        let same = |(topic, theirs): (&String, &BTreeMap<i32, u32>)| {
            let own = self.places.get(topic);
            own.is_some_and(|own| theirs.iter().all(|(part, place)| own.get(part) == Some(place)))
        };
        Arc::ptr_eq(&self.places, &other.places) || other.places.iter().all(same)
    }

    /// Joins old ticks, and forgets older ones.
    fn thin(&mut self, now: Moment) {
        let age = |tick: &Tick| now.duration_since(tick.at).as_secs();
        while self.ticks.front().is_some_and(|tick| age(tick) > Self::KEPT) {
            self.ticks.pop_front();
        }
        // A tick becomes old one at a time: only the youngest of the old ones can be too near to the one before it.
        let old = self.ticks.partition_point(|tick| age(tick) > Self::FINE);
        if old >= 3 {
            let (first, middle, last) = (&self.ticks[old - 3], &self.ticks[old - 2], &self.ticks[old - 1]);
            if last.at.duration_since(first.at).as_secs() <= Self::COARSE && middle.at < last.at {
                let joined = join(middle, last, self.logs.len());
                self.ticks[old - 1] = Arc::new(joined);
                self.ticks.remove(old - 2);
            }
        }
    }

    /// When the record at `offset` was written; `None` where it is not written yet or the partition was never seen.
    pub fn written(&self, topic: &str, partition: i32, offset: i64) -> Option<Sampled> {
        let place = self.place(topic, partition)?;
        let log = self.logs.get(place as usize)?;
        if offset >= log.end {
            return None;
        }
        let mut end = log.end;
        let mut after = log.end;
        let mut latest = self.latest()?;
        for tick in self.ticks.iter().rev() {
            let unseen = tick.unseen.binary_search(&place).is_ok();
            if end <= offset && !unseen {
                let share = (offset - end) as f64 / (after - end).max(1) as f64;
                let apart = latest.duration_since(tick.at).as_millis() as f64;
                let apart = jiff::SignedDuration::from_millis((apart * share) as i64);
                return Some(Sampled {
                    earliest: Some(tick.at),
                    latest,
                    about: tick.at.checked_add(apart).ok(),
                });
            }
            if end > offset {
                latest = tick.at;
                after = end;
            }
            if tick.at.as_millisecond() <= log.since_ms {
                break;
            }
            end -= i64::from(tick.growth.at(place));
        }
        Some(Sampled {
            earliest: None,
            latest,
            about: None,
        })
    }

    /// Records per second over the last `seconds`, of all partitions at once.
    pub fn rates(&self, seconds: i64) -> Rates<'_> {
        let mut grown = vec![0_u64; self.logs.len()];
        let from = self.first_within(seconds);
        for tick in from.into_iter().flat_map(|from| self.after(from)) {
            for (place, records) in tick.growth.each() {
                grown[place as usize] += u64::from(records);
            }
        }
        Rates {
            trail: self,
            grown,
            from,
        }
    }

    /// The same of one partition.
    pub fn rate(&self, topic: &str, partition: i32, seconds: i64) -> Option<f64> {
        let place = self.place(topic, partition)?;
        let from = self.first_within(seconds)?;
        let grown = self.after(from).map(|tick| u64::from(tick.growth.at(place))).sum();
        self.per_second(place, grown, from)
    }

    /// `None` where it was not looked at twice.
    fn per_second(&self, place: u32, grown: u64, from: Moment) -> Option<f64> {
        let since_ms = self.logs.get(place as usize)?.since_ms.max(from.as_millisecond());
        let ms = self.latest()?.as_millisecond() - since_ms;
        (ms > 0).then(|| grown as f64 * 1000.0 / ms as f64)
    }

    fn place(&self, topic: &str, partition: i32) -> Option<u32> {
        self.places.get(topic)?.get(&partition).copied()
    }

    /// The first look in the last `seconds`.
    fn first_within(&self, seconds: i64) -> Option<Moment> {
        let last = self.latest()?;
        let within = |tick: &&Arc<Tick>| last.duration_since(tick.at).as_secs() <= seconds;
        Some(self.ticks.iter().find(within)?.at)
    }

    /// The ticks after a look, newest first. One holds what came since the one before it, so that the growth that the look itself
    /// tells lies outside.
    fn after(&self, look: Moment) -> impl Iterator<Item = &Arc<Tick>> {
        self.ticks.iter().rev().take_while(move |tick| tick.at > look)
    }

    /// What the ticks take in memory, in bytes; what names take comes on top of it.
    pub fn bytes(&self) -> usize {
        let ticks = self
            .ticks
            .iter()
            .map(|tick| tick.growth.bytes() + tick.unseen.capacity() * 4 + size_of::<Tick>());
        ticks.sum::<usize>() + self.logs.capacity() * size_of::<Log>()
    }
}

/// What two ticks in a row saw, as of the second.
fn join(first: &Tick, second: &Tick, places: usize) -> Tick {
    let mut grown: BTreeMap<u32, u32> = first.growth.each().into_iter().collect();
    for (place, records) in second.growth.each() {
        let sum = grown.entry(place).or_default();
        *sum = sum.saturating_add(records);
    }
    Tick {
        at: second.at,
        growth: Growth::of(grown.into_iter().collect(), places),
        unseen: second.unseen.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn second(moment: Moment) -> i64 {
        moment.as_second() - 1_800_000_000
    }

    /// `rate` records a second for `seconds`.
    fn steady(partitions: i32, seconds: i64, rate: i64) -> Trail {
        let mut trail = Trail::default();
        for now in (0..=seconds).step_by(Trail::STEP as usize) {
            trail.push(
                at(now),
                (0..partitions).map(|partition| ("orders", partition, now * rate)),
            );
        }
        trail
    }

    #[test]
    fn an_offset_is_as_old_as_the_looks_around_it() {
        let trail = steady(1, 300, 100);
        let sampled = trail.written("orders", 0, 12_345).unwrap();
        assert_eq!((sampled.earliest.map(second), second(sampled.latest)), (Some(120), 130));
        assert_eq!(sampled.about.map(second), Some(123));
        assert_eq!(trail.written("orders", 0, 30_000), None, "not written yet");
        assert_eq!(trail.written("orders", 1, 0), None, "never seen");
    }

    #[test]
    fn a_rate_is_over_the_time_that_is_wanted() {
        let mut trail = steady(1, 600, 100);
        for now in (610..=660).step_by(10) {
            trail.push(at(now), [("orders", 0, 60_000), ("late", 3, now * 2)].into_iter());
        }
        let rate = |seconds, topic, partition| {
            let rate = trail.rate(topic, partition, seconds);
            assert_eq!(trail.rates(seconds).get(topic, partition), rate);
            rate
        };
        assert_eq!(rate(60, "orders", 0), Some(0.0), "it stands still by now");
        assert_eq!(rate(120, "orders", 0), Some(50.0));
        assert_eq!(rate(600, "late", 3), Some(2.0), "since it is there");
        assert_eq!(rate(5, "orders", 0), None, "one look is no rate");
        assert_eq!(rate(600, "orders", 9), None);
        assert_eq!(Trail::default().rates(60).get("orders", 0), None);
    }

    #[test]
    fn what_is_older_than_the_trail_says_so() {
        let mut trail = Trail::default();
        trail.push(at(0), [("orders", 0, 5000)].into_iter());
        trail.push(at(10), [("orders", 0, 5100)].into_iter());
        let sampled = trail.written("orders", 0, 4000).unwrap();
        assert_eq!((sampled.earliest, second(sampled.latest)), (None, 0));
    }

    #[test]
    fn old_ticks_are_a_minute_apart_and_still_true() {
        let trail = steady(1, 7200, 100);
        assert!(trail.ticks.len() < 200, "{} ticks", trail.ticks.len());
        for offset in [0, 100_050, 400_000, 650_000, 719_999] {
            let sampled = trail.written("orders", 0, offset).unwrap();
            let (from, to) = (sampled.earliest.map(second).unwrap(), second(sampled.latest));
            let written = offset / 100;
            assert!(
                from <= written && written <= to && to - from <= 60,
                "{offset}: {from}..{to}"
            );
        }
        assert_eq!(second(trail.oldest().unwrap()), 0);
    }

    #[test]
    fn a_leader_that_does_not_answer_is_a_gap_and_not_a_standstill() {
        let mut trail = Trail::default();
        let both = |now: i64| [("orders", 0, now * 100), ("orders", 1, now * 100)];
        trail.push(at(0), both(0).into_iter());
        trail.push(at(10), both(10).into_iter());
        for now in [20, 30] {
            trail.push(at(now), [("orders", 0, now * 100)].into_iter());
        }
        trail.push(at(40), both(40).into_iter());
        let seen = |partition| {
            let sampled = trail.written("orders", partition, 2500).unwrap();
            (sampled.earliest.map(second), second(sampled.latest))
        };
        assert_eq!(seen(0), (Some(20), 30));
        assert_eq!(seen(1), (Some(10), 40));
    }

    #[test]
    fn a_topic_created_anew_begins_anew() {
        let mut trail = steady(1, 60, 100);
        trail.push(at(70), [("orders", 0, 5)].into_iter());
        let sampled = trail.written("orders", 0, 2).unwrap();
        assert_eq!((sampled.earliest, second(sampled.latest)), (None, 70));
    }

    #[test]
    fn who_stands_shares_what_stood() {
        let mut trail = steady(3, 60, 100);
        trail.push(at(70), [("orders", 0, 6000), ("orders", 1, 6000)].into_iter());
        let (before, mut told) = (trail.clone(), trail.clone());
        trail.stand(at(80));
        told.push(at(80), [("orders", 0, 6000), ("orders", 1, 6000)].into_iter());
        assert_eq!(trail, told);
        assert!(trail.stands_with(&before) && told.stands_with(&before));
        assert_eq!(trail.rates(60).get("orders", 0), Some(100.0 * 40.0 / 60.0));
        trail.stand(at(80));
        assert_eq!(trail, told, "one moment is one look");
        told.push(at(90), [("orders", 0, 6000)].into_iter());
        assert!(!told.stands_with(&before), "another leader is silent");
        trail.push(at(90), [("orders", 0, 6001), ("orders", 1, 6000)].into_iter());
        assert!(!trail.stands_with(&before));
        assert_eq!(before.ends().map(|(.., end)| end).collect::<Vec<_>>(), [6000, 6000]);
    }

    #[test]
    fn busy_partitions_take_four_bytes_a_tick() {
        let trail = steady(500, 7200, 3);
        let bytes = trail.bytes();
        assert!(bytes < 500 * 1000, "{bytes} bytes for 500 partitions");
    }
}
