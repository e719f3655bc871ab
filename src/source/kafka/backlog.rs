//! When the records that a group has not read were written: ListOffsets by timestamp, all partitions of a leader in one
//! request, at most [`ROUNDS`] of them however many there are. And the transactions that hold readers back.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::describe_producers_request::TopicRequest;

use super::answer::topic_name;
use super::offset::{At, READ_COMMITTED, READ_UNCOMMITTED, at_times};
use super::pool::{Peer, Pool};
use crate::model::Moment;
use crate::model::backlog::{Backlog, Backlogs, Pin, Written};
use crate::source::Error;

/// What groups have not read, by topic and partition.
pub type Unread = BTreeMap<String, BTreeMap<i32, UnreadPart>>;

/// One partition with unread records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadPart {
    /// Where the log ends.
    pub end: i64,
    /// Offsets that groups have committed and not passed.
    pub offsets: Vec<i64>,
}

/// The longest search, in requests.
const ROUNDS: usize = 6;

/// Close enough: a second, or a fiftieth of the age.
const CLOSE_MS: i64 = 1000;
const CLOSE_SHARE: i64 = 50;

const LATEST: i64 = -1;

/// Asks the leader. A partition that it does not lead any more is left out.
pub(super) async fn backlogs(pool: &Pool, peer: &Peer, unread: &Unread, now: Moment) -> Result<Backlogs, Error> {
    let mut searches = searches(unread, now.as_millisecond());
    for _ in 0..ROUNDS {
        let next = |(at, search): (&At, &Search)| Some((at.clone(), search.next()?));
        let asked: BTreeMap<At, i64> = searches.iter().filter_map(next).collect();
        if asked.is_empty() {
            break;
        }
        for (at, answer) in at_times(pool, peer, &asked, READ_UNCOMMITTED).await? {
            match (answer, asked.get(&at), searches.get_mut(&at)) {
                (Some((offset, timestamp)), Some(time), Some(search)) => search.learn(*time, offset, timestamp),
                _ => drop(searches.remove(&at)),
            }
        }
    }
    let pins = pins(pool, peer, unread).await?;
    let mut backlogs = Backlogs::default();
    for ((topic, partition), search) in searches {
        let pin = pins.get(&(topic.clone(), partition)).copied();
        let unread = search.found();
        let backlog = Backlog { unread, pin };
        backlogs.topics.entry(topic).or_default().insert(partition, backlog);
    }
    Ok(backlogs)
}

fn searches(unread: &Unread, now_ms: i64) -> BTreeMap<At, Search> {
    let all = unread.iter().flat_map(|(topic, partitions)| {
        let search =
            move |(partition, part): (&i32, &UnreadPart)| ((topic.clone(), *partition), Search::new(part, now_ms));
        partitions.iter().map(search)
    });
    all.collect()
}

/// Partitions where a group stands at the last stable offset although there are records after it.
async fn pins(pool: &Pool, peer: &Peer, unread: &Unread) -> Result<BTreeMap<At, Pin>, Error> {
    let all = unread
        .iter()
        .flat_map(|(topic, partitions)| partitions.keys().map(|partition| ((topic.clone(), *partition), LATEST)));
    let all: BTreeMap<At, i64> = all.collect();
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let pinned = |(at, answer): (At, Option<(i64, i64)>)| {
        let (stable, _) = answer?;
        // Whoever asked knows that there are records from its offset on.
        let last = unread.get(&at.0)?.get(&at.1)?.offsets.iter().max()?;
        let pin = Pin { stable, producer: None };
        (stable >= 0 && *last >= stable).then_some((at, pin))
    };
    let stable = at_times(pool, peer, &all, READ_COMMITTED).await?;
    let mut pins: BTreeMap<At, Pin> = stable.into_iter().filter_map(pinned).collect();
    if !pins.is_empty() {
        name_producers(pool, peer, &mut pins).await?;
    }
    Ok(pins)
}

/// DescribeProducers (KIP-664). Who cannot or must not say leaves the producers unknown.
async fn name_producers(pool: &Pool, peer: &Peer, pins: &mut BTreeMap<At, Pin>) -> Result<(), Error> {
    let mut topics: Vec<TopicRequest> = Vec::new();
    for (topic, partition) in pins.keys() {
        if topics.last().is_none_or(|last| last.name.as_str() != topic) {
            topics.push(TopicRequest::default().with_name(topic_name(topic)));
        }
        if let Some(last) = topics.last_mut() {
            last.partition_indexes.push(*partition);
        }
    }
    let request = DescribeProducersRequest::default().with_topics(topics);
    let response = match pool.ask(peer, request).await {
        Ok(response) => response,
        Err(Error::Unsupported { .. } | Error::Denied { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    for topic in response.topics {
        for partition in topic.partitions {
            if let Some(pin) = pins.get_mut(&(topic.name.to_string(), partition.partition_index)) {
                let open = partition.active_producers.iter();
                let open = open.filter(|producer| producer.current_txn_start_offset >= 0);
                let first = open.min_by_key(|producer| producer.current_txn_start_offset);
                pin.producer = first.map(|producer| producer.producer_id.0);
            }
        }
    }
    Ok(())
}

/// The search for the timestamps at some offsets of one partition. "The first record since T" is all that can be asked.
#[derive(Debug)]
struct Search {
    now_ms: i64,
    /// By offset.
    targets: Vec<Bounds>,
    round: usize,
}

/// What is known of when the record at `offset` was written.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    offset: i64,
    /// Offset and timestamp of a record not after it; `None` before the first answer.
    low: Option<(i64, i64)>,
    /// Offset of a record after it, and a time that it is not younger than.
    high: (i64, i64),
}

impl Bounds {
    fn latest(&self) -> i64 {
        match self.low {
            Some((offset, time)) if offset == self.offset => time,
            _ => self.high.1,
        }
    }

    fn earliest(&self) -> i64 {
        self.low.map_or(0, |(_, time)| time).min(self.latest())
    }

    fn learn(&mut self, asked_ms: i64, offset: i64, timestamp: i64) {
        if (0..=self.offset).contains(&offset) {
            if self.low.is_none_or(|(known, _)| offset >= known) {
                self.low = Some((offset, timestamp));
            }
        } else if asked_ms < self.high.1 {
            // The first record since then lies after this one, or there is none at all.
            self.high = (if offset < 0 { self.high.0 } else { offset }, asked_ms);
        }
    }

    /// What is left to find out, in milliseconds.
    fn doubt(&self, now_ms: i64) -> i64 {
        let doubt = self.latest() - self.earliest();
        let enough = CLOSE_MS.max((now_ms - self.latest()) / CLOSE_SHARE);
        if doubt <= enough { 0 } else { doubt }
    }
}

impl Search {
    fn new(part: &UnreadPart, now_ms: i64) -> Self {
        let mut offsets = part.offsets.clone();
        offsets.sort_unstable();
        offsets.dedup();
        let bounds = |offset| Bounds {
            offset,
            low: None,
            high: (part.end, now_ms),
        };
        Self {
            now_ms,
            targets: offsets.into_iter().map(bounds).collect(),
            round: 0,
        }
    }

    /// The time to ask for next; `None` when all is known well enough.
    fn next(&self) -> Option<i64> {
        if self.round == 0 {
            // The first record of all: its timestamp is the earliest that there is.
            return Some(0);
        }
        let widest = self.targets.iter().max_by_key(|target| target.doubt(self.now_ms))?;
        if widest.doubt(self.now_ms) == 0 {
            return None;
        }
        let (from, low) = widest.low?;
        let (to, high) = widest.high;
        // Steady writing makes offsets a straight line over time: a little before it and a little after it are two near bounds.
        // The middle in between them is for whoever writes otherwise.
        let share = (widest.offset - from) as f64 / (to - from).max(1) as f64;
        let line = low + ((high - low) as f64 * share) as i64;
        let margin = (high - low) / CLOSE_SHARE;
        let guess = match self.round % 3 {
            0 => low + (high - low) / 2,
            1 => line - margin,
            _ => line + margin,
        };
        Some(guess.clamp(low + 1, high.max(low + 2) - 1))
    }

    fn learn(&mut self, asked_ms: i64, offset: i64, timestamp: i64) {
        self.round += 1;
        for target in &mut self.targets {
            target.learn(asked_ms, offset, timestamp);
        }
    }

    /// What is known. Where no record has a timestamp, nothing is.
    fn found(&self) -> Vec<Written> {
        let written = |target: &Bounds| {
            target.low.filter(|(_, time)| *time >= 0)?;
            Some(Written {
                offset: target.offset,
                earliest: Moment::from_millisecond(target.earliest()).ok()?,
                latest: Moment::from_millisecond(target.latest()).ok()?,
            })
        };
        self.targets.iter().filter_map(written).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    /// The answer of a log whose record `n` was written at `time(n)`.
    fn log(start: i64, end: i64, time: impl Fn(i64) -> i64, asked_ms: i64) -> (i64, i64) {
        let first = (start..end).find(|offset| time(*offset) >= asked_ms);
        first.map_or((-1, -1), |offset| (offset, time(offset)))
    }

    fn search(offsets: &[i64], start: i64, end: i64, time: impl Fn(i64) -> i64 + Copy) -> (Vec<Written>, usize) {
        let part = UnreadPart {
            end,
            offsets: offsets.to_vec(),
        };
        let mut search = Search::new(&part, NOW);
        let mut asked = 0;
        while asked < ROUNDS
            && let Some(at) = search.next()
        {
            let (offset, timestamp) = log(start, end, time, at);
            search.learn(at, offset, timestamp);
            asked += 1;
        }
        (search.found(), asked)
    }

    fn check(written: &Written, time: i64, within_ms: i64) {
        let (earliest, latest) = (written.earliest.as_millisecond(), written.latest.as_millisecond());
        assert!(earliest <= time && time <= latest, "{written:?} does not hold {time}");
        assert!(latest - earliest <= within_ms, "{written:?} is too wide");
    }

    #[test]
    fn steady_writing_is_found_in_a_few_rounds() {
        // Ten records a second for a day; the group is an hour behind.
        let end = 864_000;
        let time = |offset: i64| NOW - (end - offset) * 100;
        let (found, asked) = search(&[end - 36_000], 0, end, time);
        check(&found[0], time(end - 36_000), 3_600_000 / 40);
        assert!(asked <= ROUNDS, "{asked}");
    }

    #[test]
    fn the_first_record_is_exact_at_once() {
        let time = |offset: i64| NOW - 1_000_000 + offset;
        let (found, asked) = search(&[500], 500, 900, time);
        check(&found[0], time(500), 0);
        assert_eq!(asked, 1);
    }

    #[test]
    fn bursts_and_silence_stay_within_bounds() {
        // A thousand records in one second, an hour of nothing, a thousand more a minute ago.
        let time = |offset: i64| match offset {
            0..1000 => NOW - 3_700_000 + offset,
            _ => NOW - 60_000 + (offset - 1000),
        };
        for offset in [0, 400, 999, 1000, 1500] {
            let (found, _) = search(&[offset], 0, 2000, time);
            check(&found[0], time(offset), 3_700_000);
        }
    }

    #[test]
    fn several_groups_share_the_rounds() {
        let end = 100_000;
        let time = |offset: i64| NOW - (end - offset) * 1000;
        let (found, asked) = search(&[100, 50_000, 99_990], 0, end, time);
        assert_eq!(found.len(), 3);
        for written in &found {
            check(written, time(written.offset), end * 1000);
        }
        assert!(asked <= ROUNDS);
    }

    #[test]
    fn records_without_timestamps_tell_nothing() {
        let part = UnreadPart {
            end: 9,
            offsets: vec![5],
        };
        let mut search = Search::new(&part, NOW);
        search.learn(0, -1, -1);
        assert!(search.found().is_empty());
    }
}
