//! One partition that a group reads: how far it is behind, in records and in time, and how long that is safe.

use std::cell::OnceCell;

use serde::Serialize;

use crate::model::backlog::{Backlog, Retention};
use crate::model::ends::Ends;
use crate::model::group::Group;
use crate::model::history::{History, Standing};
use crate::model::offset::{Offsets, Span};
use crate::model::row::Cell;
use crate::model::row::partition::{Sizes, size_of};
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::model::{Moment, Observed};

/// A timestamp ahead of the clock by more than this is none.
const AHEAD_SECONDS: i64 = 60;
/// A timestamp that is older than the append by more than this is not the time of writing.
const BEFORE_APPEND_SECONDS: i64 = 86_400;

/// One partition that the group commits or is assigned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPartition {
    pub topic: String,
    pub partition: i32,
    /// The next record it will read; unknown before the first commit.
    pub committed: Cell<i64>,
    /// The oldest record that there is.
    pub start: Cell<i64>,
    pub end: Cell<i64>,
    pub lag_records: Cell<i64>,
    /// Records per second written to it.
    pub rate_in: Cell<f64>,
    /// Since the oldest unread record was written.
    pub behind: Cell<Behind>,
    pub safe: Cell<Safe>,
    /// The committed offset does not move although there are records, since then.
    pub standing: Option<Standing>,
    /// The member that is assigned the partition.
    pub member: Option<String>,
    pub client: Option<String>,
}

/// How far behind in time, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Behind {
    pub seconds: f64,
    pub basis: BehindBasis,
}

/// Best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BehindBasis {
    /// The log's end was seen to pass the offset.
    Sampled,
    /// The leader was asked for the timestamp.
    Timestamps,
    /// Longer than the recording, which began so long ago.
    AtLeast,
    /// The lag over the present rate in.
    Rate,
}

/// When unread records are deleted, at the earliest. Kafka deletes segments, so it is never earlier than this, and may be later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Safe {
    /// The log begins after the committed offset: records were deleted unread.
    Losing,
    Until(Moment),
    /// Neither time nor size ends a record.
    Forever,
    /// Compaction keeps the last record of each key.
    Compacted,
    /// Nothing is unread.
    Read,
}

/// What all partitions of a look share.
pub(super) struct Ground<'a> {
    pub snapshot: &'a Snapshot,
    pub ends: &'a Ends<'a>,
    pub now: Moment,
    /// Of leaders' replicas; made when a limit in bytes asks for it.
    sizes: OnceCell<Sizes<'a>>,
}

/// What is known of one partition's log.
struct Log<'a> {
    /// `None` where the cluster has no such partition.
    placed: Option<&'a Partition>,
    /// What its leader told last.
    offsets: Option<&'a Observed<Offsets>>,
    /// From whoever told last.
    span: Option<Span>,
    backlog: Option<&'a Backlog>,
}

impl<'a> Ground<'a> {
    pub fn new(snapshot: &'a Snapshot, ends: &'a Ends<'a>, now: Moment) -> Self {
        Self {
            snapshot,
            ends,
            now,
            sizes: OnceCell::new(),
        }
    }

    fn history(&self) -> &History {
        &self.snapshot.history
    }

    pub fn part(&self, group: &Group, topic: &str, partition: i32, committed: Option<i64>) -> GroupPartition {
        let log = self.log(topic, partition);
        let end = self.cell(&log, topic, partition, |span| Some(span.end));
        let committed = match committed {
            Some(offset) => Cell::known(offset),
            None => Cell::unknown("nothing committed yet"),
        };
        // The end may have been asked before the commit: a group is never ahead of its log.
        let lag_records = match committed.value {
            Some(offset) => end.map(|end| Some((end - offset).max(0))),
            None => committed.clone(),
        };
        let mut part = GroupPartition {
            topic: topic.to_owned(),
            partition,
            start: self.cell(&log, topic, partition, |span| Some(span.start)),
            rate_in: self.cell(&log, topic, partition, |span| span.rate),
            end,
            standing: self.standing(group, topic, partition, committed.value),
            behind: lag_records.map(|_| None),
            safe: lag_records.map(|_| None),
            committed,
            lag_records,
            member: None,
            client: None,
        };
        part.behind = self.behind(&part, log.backlog);
        part.safe = self.safe(&part, log.backlog);
        part
    }

    /// Everything that one partition is told from, looked up once.
    fn log(&self, topic: &str, partition: i32) -> Log<'a> {
        let placed = self.snapshot.topic(topic).and_then(|topic| topic.partition(partition));
        let leader = placed.and_then(|placed| placed.leader);
        let backlogs = leader.and_then(|leader| self.snapshot.backlogs.get(&leader));
        Log {
            placed,
            offsets: leader.and_then(|leader| self.snapshot.offsets.get(&leader)),
            span: self.ends.get(topic, partition).map(|told| told.span),
            backlog: backlogs
                .and_then(Observed::get)
                .and_then(|backlogs| backlogs.get(topic, partition)),
        }
    }

    fn cell<T>(&self, log: &Log<'_>, topic: &str, partition: i32, take: impl FnOnce(Span) -> Option<T>) -> Cell<T> {
        let Some(placed) = log.placed else {
            return Cell::unknown(format!("no partition {topic}-{partition} in the cluster"));
        };
        match log.offsets {
            Some(section) => {
                let missing = if log.span.is_some() {
                    "seen only once yet"
                } else {
                    "the leader has not told its offsets"
                };
                Cell::from(section, self.now, missing, |_| log.span.and_then(take))
            }
            None => Cell {
                value: log.span.and_then(take),
                stale_seconds: None,
                reason: Some(match placed.leader {
                    Some(leader) => format!("broker {leader} has not told its offsets"),
                    None => "the partition is offline".to_owned(),
                }),
            },
        }
    }

    fn standing(&self, group: &Group, topic: &str, partition: i32, committed: Option<i64>) -> Option<Standing> {
        let standing = self.history().groups.get(&group.name)?.standing(topic, partition)?;
        (Some(standing.offset) == committed).then_some(standing)
    }

    fn ago(&self, at: Moment) -> f64 {
        self.now.duration_since(at).as_secs_f64()
    }

    fn behind(&self, part: &GroupPartition, backlog: Option<&Backlog>) -> Cell<Behind> {
        let (Some(lag), Some(committed)) = (part.lag_records.value, part.committed.value) else {
            return part.lag_records.map(|_| None);
        };
        let cell = |seconds: f64, basis| {
            part.lag_records.map(|_| {
                Some(Behind {
                    seconds: seconds.max(0.0),
                    basis,
                })
            })
        };
        if lag == 0 {
            return cell(0.0, BehindBasis::Sampled);
        }
        let sampled = self.history().trail.written(&part.topic, part.partition, committed);
        if let Some(about) = sampled.and_then(|sampled| sampled.about) {
            return cell(self.ago(about), BehindBasis::Sampled);
        }
        if let Some(written) = backlog.and_then(|backlog| backlog.written(committed)) {
            let middle = self.ago(written.earliest).midpoint(self.ago(written.latest));
            if middle < -(AHEAD_SECONDS as f64) {
                return Cell::unknown("the records' timestamps lie in the future");
            }
            return cell(middle, BehindBasis::Timestamps);
        }
        if let Some(sampled) = sampled {
            return cell(self.ago(sampled.latest), BehindBasis::AtLeast);
        }
        match part.rate_in.value {
            Some(rate) if rate >= 0.1 => cell(lag as f64 / rate, BehindBasis::Rate),
            Some(_) => Cell::unknown("nothing is written now, and the leader was not asked for timestamps yet"),
            None => part.rate_in.map(|_| None),
        }
    }

    fn safe(&self, part: &GroupPartition, backlog: Option<&Backlog>) -> Cell<Safe> {
        let (Some(lag), Some(committed)) = (part.lag_records.value, part.committed.value) else {
            return part.lag_records.map(|_| None);
        };
        let known = |safe| part.lag_records.map(|_| Some(safe));
        if lag == 0 {
            return known(Safe::Read);
        }
        let kept = self
            .snapshot
            .retentions
            .get()
            .and_then(|all| all.topics.get(&part.topic));
        // A log that was compacted from its start on begins later too, and loses nothing that way.
        let deletes = kept.is_none_or(|kept| kept.deletes);
        if deletes && part.start.value.is_some_and(|start| start > committed) {
            return known(Safe::Losing);
        }
        match kept {
            None => Cell::unknown(
                self.snapshot
                    .retentions
                    .problem()
                    .unwrap_or_else(|| format!("the retention of {} was not told", part.topic)),
            ),
            Some(kept) if !kept.deletes => known(Safe::Compacted),
            Some(kept) => self.kept_until(part, committed, kept, backlog),
        }
    }

    fn kept_until(
        &self,
        part: &GroupPartition,
        committed: i64,
        kept: &Retention,
        backlog: Option<&Backlog>,
    ) -> Cell<Safe> {
        let by_time = match kept.time_ms {
            None => None,
            Some(limit) => match self.oldest(part, committed, backlog) {
                Ok(written) => match plus_ms(written, limit) {
                    Some(until) => Some(until),
                    None => return Cell::known(Safe::Forever),
                },
                Err(reason) => return Cell::unknown(reason),
            },
        };
        let by_size = match kept.bytes {
            None => None,
            Some(limit) => match self.full_at(part, limit) {
                Ok(until) => until,
                Err(reason) => return Cell::unknown(reason),
            },
        };
        let until = [by_time, by_size].into_iter().flatten().min();
        part.lag_records.map(|_| Some(until.map_or(Safe::Forever, Safe::Until)))
    }

    /// When the oldest unread record was written, at the earliest.
    fn oldest(&self, part: &GroupPartition, committed: i64, backlog: Option<&Backlog>) -> Result<Moment, String> {
        let appended = self.history().trail.written(&part.topic, part.partition, committed);
        let appended = appended.and_then(|sampled| sampled.earliest);
        match (backlog.and_then(|backlog| backlog.written(committed)), appended) {
            (Some(written), _) if self.ago(written.earliest) < -(AHEAD_SECONDS as f64) => {
                Err("the records' timestamps lie in the future".to_owned())
            }
            (Some(written), Some(appended))
                if appended.duration_since(written.latest).as_secs() > BEFORE_APPEND_SECONDS =>
            {
                Err("the records' timestamps are more than a day older than the records".to_owned())
            }
            (Some(written), _) => Ok(written.earliest),
            (None, Some(appended)) => Ok(appended),
            (None, None) => Err("the leader was not asked for timestamps yet".to_owned()),
        }
    }

    /// When the present inflow has pushed the committed offset out of `limit` bytes; `None` while nothing comes in.
    fn full_at(&self, part: &GroupPartition, limit: i64) -> Result<Option<Moment>, String> {
        let (Some(start), Some(end), Some(lag)) = (part.start.value, part.end.value, part.lag_records.value) else {
            return Err("the log's ends are not known".to_owned());
        };
        let size = self.size(&part.topic, part.partition);
        let size = size.ok_or_else(|| "retention.bytes is set, and the size was not told".to_owned())?;
        let each = size as f64 / (end - start).max(1) as f64;
        let room = limit as f64 / each.max(1.0) - lag as f64;
        match part.rate_in.value {
            _ if room <= 0.0 => Ok(Some(self.now)),
            None => Err("retention.bytes is set, and the rate in is not known yet".to_owned()),
            Some(rate) if rate <= 0.0 => Ok(None),
            Some(rate) => Ok(plus_ms(self.now, (room / rate * 1000.0).min(9e15) as i64)),
        }
    }

    fn size(&self, topic: &str, partition: i32) -> Option<u64> {
        let leader = self.snapshot.topic(topic)?.partition(partition)?.leader?;
        let sizes = self.sizes.get_or_init(|| Sizes::of(self.snapshot));
        size_of(sizes.of_topic(topic), leader, partition)
    }
}

/// `None` beyond the end of all calendars.
fn plus_ms(at: Moment, ms: i64) -> Option<Moment> {
    Moment::from_millisecond(at.as_millisecond().checked_add(ms)?).ok()
}
