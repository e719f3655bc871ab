//! First and next offsets, two ListOffsets requests per leader however many partitions it leads.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId as WireBroker, ListOffsetsRequest, ListOffsetsResponse};

use super::Partitions;
use super::answer::topic_name;
use super::pool::{Peer, Pool};
use crate::model::Moment;
use crate::model::name::Name;
use crate::model::offset::{Log, Offsets, Span};
use crate::model::write::LastWrite;
use crate::source::Error;

/// The protocol's timestamps that stand for an end of the log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the highest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;

/// One partition of a topic.
pub(super) type At = (String, i32);

pub(super) const READ_UNCOMMITTED: i8 = 0;
pub(super) const READ_COMMITTED: i8 = 1;

/// Tells what a leader answered from what it answers later.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    starts: u64,
    ends: u64,
}

/// Asks the leader for both ends. A partition that it does not lead any more is left out. `None` where both answers are as they were
/// `before`: most of a wide cluster stands still, and first offsets hardly ever move. Answers that leave a partition out have no
/// marks, because the next ones cannot be told from them alone.
pub(super) async fn offsets(
    pool: &Pool,
    peer: &Peer,
    partitions: &Partitions,
    before: Option<(Marks, &Offsets)>,
) -> Result<Option<(Option<Marks>, Offsets)>, Error> {
    if partitions.is_empty() {
        return Ok(Some((None, Offsets::default())));
    }
    let known = before.map(|(marks, _)| marks);
    // In this order, so that a span is never negative: the end is read after the start.
    let starts = known.map(|known| known.starts);
    let starts = pool.ask_unless(peer, starts, |_| request(partitions, EARLIEST)).await?;
    let ends = known.map(|known| known.ends);
    let ends = pool.ask_unless(peer, ends, |_| request(partitions, LATEST)).await?;
    let as_before = |which: fn(&Span) -> i64| {
        let (marks, offsets) = before?;
        let told = |log: &Log| (log.topic.clone(), log.partition, which(&log.span));
        Some((marks, offsets.iter().map(told).collect::<Vec<_>>()))
    };
    let ((starts_mark, starts), (ends_mark, ends)) = match (starts, ends) {
        (None, None) => return Ok(None),
        (starts, ends) => {
            let told = |(mark, response)| (mark, told(response));
            let starts = starts.map(told);
            let starts = starts.or_else(|| as_before(|span| span.start).map(|(marks, all)| (marks.starts, all)));
            let ends = ends.map(told);
            let ends = ends.or_else(|| as_before(|span| span.end).map(|(marks, all)| (marks.ends, all)));
            (starts.unwrap_or_default(), ends.unwrap_or_default())
        }
    };
    let mut starts = starts.into_iter().peekable();
    let spans = ends.into_iter().filter_map(|(topic, partition, end)| {
        let here = |(one, of, _): &Told| one.cmp(&topic).then(of.cmp(&partition));
        while starts.next_if(|told| here(told).is_lt()).is_some() {}
        let (.., start) = starts.next_if(|told| here(told).is_eq())?;
        Some((topic, partition, Span { start, end, rate: None }))
    });
    let offsets: Offsets = spans.collect();
    let told = offsets.iter().len();
    let is_whole = told == partitions.values().map(Vec::len).sum::<usize>();
    let marks = is_whole.then_some(Marks {
        starts: starts_mark,
        ends: ends_mark,
    });
    Ok(Some((marks, offsets)))
}

/// The first record of this time or a later one, by partition; `None` where none is that young. A partition that the broker does not
/// lead any more is left out.
pub(super) async fn since(
    pool: &Pool,
    peer: &Peer,
    partitions: &[At],
    time_ms: i64,
) -> Result<BTreeMap<At, Option<i64>>, Error> {
    let asked: BTreeMap<At, i64> = partitions.iter().map(|at| (at.clone(), time_ms)).collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answers = at_times(pool, peer, &asked, READ_UNCOMMITTED).await?;
    let found = |(at, answer): (At, Option<(i64, i64)>)| Some((at, Some(answer?.0).filter(|offset| *offset >= 0)));
    Ok(answers.into_iter().filter_map(found).collect())
}

/// The timestamp of the newest record of each partition; `None` of one without any. A partition that answers with an error is one.
pub(super) async fn newest(pool: &Pool, peer: &Peer, partitions: &[At]) -> Result<BTreeMap<At, Option<i64>>, Error> {
    let asked: BTreeMap<At, i64> = partitions.iter().map(|at| (at.clone(), MAX_TIMESTAMP)).collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answers = at_times(pool, peer, &asked, READ_UNCOMMITTED).await?;
    let read = |(at, answer): (At, Option<(i64, i64)>)| {
        let Some((offset, timestamp)) = answer else {
            return Err(Error::Local(format!(
                "{}-{} does not tell its newest record",
                at.0, at.1
            )));
        };
        Ok((at, (offset >= 0 && timestamp >= 0).then_some(timestamp)))
    };
    answers.into_iter().map(read).collect()
}

/// The newest record of these partitions by its timestamp (KIP-734: offsets of the largest timestamp, Kafka 3.0); `None` where they
/// are empty, or the broker does not tell.
pub(super) async fn last_write(pool: &Pool, peer: &Peer, partitions: &Partitions) -> Result<Option<LastWrite>, Error> {
    let each = partitions
        .iter()
        .flat_map(|(topic, all)| all.iter().map(move |partition| (topic.clone(), *partition)));
    let asked: BTreeMap<At, i64> = each.map(|at| (at, MAX_TIMESTAMP)).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let answers = at_times(pool, peer, &asked, READ_UNCOMMITTED).await?;
    let found = answers.into_iter().filter_map(|((topic, partition), answer)| {
        let (offset, timestamp) = answer.filter(|(_, timestamp)| *timestamp >= 0)?;
        let at = Moment::from_millisecond(timestamp).ok()?;
        (offset >= 0).then_some(LastWrite { topic, partition, at })
    });
    Ok(found.max_by_key(|last| last.at))
}

/// One request for the given times: the first record since then, and its timestamp. `None` for a partition that answers with
/// an error; offset -1 where no record is that young.
pub(super) async fn at_times(
    pool: &Pool,
    peer: &Peer,
    asked: &BTreeMap<At, i64>,
    isolation: i8,
) -> Result<Vec<(At, Option<(i64, i64)>)>, Error> {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for ((topic, partition), time) in asked {
        if topics.last().is_none_or(|last| last.name.as_str() != topic) {
            topics.push(ListOffsetsTopic::default().with_name(topic_name(topic)));
        }
        let partition = ListOffsetsPartition::default()
            .with_partition_index(*partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(*time);
        if let Some(last) = topics.last_mut() {
            last.partitions.push(partition);
        }
    }
    let request = ListOffsetsRequest::default()
        .with_replica_id(WireBroker(-1))
        .with_isolation_level(isolation)
        .with_topics(topics);
    let response = pool.ask(peer, request).await?;
    let answers = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |partition| {
            let answer = (partition.error_code == 0).then_some((partition.offset, partition.timestamp));
            ((name.clone(), partition.partition_index), answer)
        })
    });
    Ok(answers.collect())
}

fn request(partitions: &Partitions, timestamp: i64) -> ListOffsetsRequest {
    let topics = partitions.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|partition| {
            ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp)
        });
        ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.collect())
    });
    ListOffsetsRequest::default()
        .with_replica_id(WireBroker(-1))
        .with_topics(topics.collect())
}

/// An offset of a partition.
type Told = (Name, i32, i64);

/// Sorted by topic and partition.
fn told(response: ListOffsetsResponse) -> Vec<Told> {
    let topics = response.topics.into_iter().flat_map(|topic| {
        let name = Name::from(topic.name.as_str());
        let told = topic.partitions.into_iter();
        told.filter(|partition| partition.error_code == 0 && partition.offset >= 0)
            .map(move |partition| (name.clone(), partition.partition_index, partition.offset))
    });
    let mut told: Vec<Told> = topics.collect();
    told.sort_unstable();
    told
}
