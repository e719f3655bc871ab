//! One partition that a group reads: how far it is behind, in records and in time, and how long that is safe.

use std::cell::OnceCell;

use serde::Serialize;

use super::GroupRow;
use super::fact::{Fact, Why};
use crate::model::backlog::{Backlog, Retention};
use crate::model::ends::{self, Ends};
use crate::model::group::{Group, Member};
use crate::model::history::{GroupPast, Sampled, Standing, Window};
use crate::model::offset::Span;
use crate::model::row::Cell;
use crate::model::row::partition::{Sizes, size_of};
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Partition, Topic};
use crate::model::{BrokerId, Moment, Observed};

/// Why there is no rate yet.
const ONCE: &str = "seen only once yet";
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

/// A [`GroupPartition`] before anybody reads it: what is only added up needs no names of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub committed: Fact<'a, i64>,
    pub start: Fact<'a, i64>,
    pub end: Fact<'a, i64>,
    pub lag_records: Fact<'a, i64>,
    pub rate_in: Fact<'a, f64>,
    pub behind: Fact<'a, Behind>,
    pub safe: Fact<'a, Safe>,
    pub standing: Option<Standing>,
    pub owner: Option<&'a Member>,
    leader: Option<BrokerId>,
    /// What the leader told of unread records.
    pub backlog: Option<&'a Backlog>,
}

impl Part<'_> {
    /// Unread records that are already deleted.
    pub fn lost(&self) -> Option<i64> {
        match self.safe.value {
            Some(Safe::Losing) => Some(self.start.value? - self.committed.value?),
            _ => None,
        }
    }
}

impl From<&Part<'_>> for GroupPartition {
    fn from(part: &Part<'_>) -> Self {
        Self {
            topic: part.topic.to_owned(),
            partition: part.partition,
            committed: part.committed.cell(),
            start: part.start.cell(),
            end: part.end.cell(),
            lag_records: part.lag_records.cell(),
            rate_in: part.rate_in.cell(),
            behind: part.behind.cell(),
            safe: part.safe.cell(),
            standing: part.standing,
            member: part.owner.map(|owner| owner.id.clone()),
            client: part.owner.map(|owner| owner.client.clone()),
        }
    }
}

/// What a group has to do with one partition.
struct Reads<'a> {
    topic: &'a str,
    partition: i32,
    committed: Option<i64>,
    owner: Option<&'a Member>,
}

impl<'a> Reads<'a> {
    /// What the group commits or is assigned, in order of topic and partition.
    fn of(group: &'a Group) -> Vec<Self> {
        let commits = group.commits.iter().map(|commit| Self {
            topic: &commit.topic,
            partition: commit.partition,
            committed: Some(commit.offset),
            owner: None,
        });
        let assigned = group.members.iter().flat_map(|member| {
            member.assignment.iter().map(move |(topic, partition)| Self {
                topic,
                partition: *partition,
                committed: None,
                owner: Some(member),
            })
        });
        let mut all: Vec<Self> = commits.chain(assigned).collect();
        // Each member's partitions are sorted, and so are the commits: this merges them.
        all.sort_by_key(|one| (one.topic, one.partition));
        all.dedup_by(|next, kept| {
            let same = (next.topic, next.partition) == (kept.topic, kept.partition);
            if same {
                kept.committed = next.committed.or(kept.committed);
                kept.owner = next.owner.or(kept.owner);
            }
            same
        });
        all
    }
}

/// What all partitions of a look share.
pub(super) struct Ground<'a> {
    pub snapshot: &'a Snapshot,
    pub ends: &'a Ends<'a>,
    pub now: Moment,
    /// What the rate of writing is over, where it is not the usual time.
    window: Option<Window>,
    /// Of leaders' replicas; made when a limit in bytes asks for it. `None` for a single group, whose few are looked for.
    sizes: Option<OnceCell<Sizes<'a>>>,
}

/// Of a partition where there is something to read.
#[derive(Clone, Copy)]
struct Unread {
    /// In records.
    lag: i64,
    /// The committed offset.
    offset: i64,
    /// When the record there was written.
    sampled: Option<Sampled>,
}

/// What the partitions of one topic share.
struct Log<'a> {
    topic: &'a str,
    /// `None` where the cluster has no such topic.
    placed: Option<&'a Topic>,
    /// From whoever told last.
    ends: &'a [(i32, ends::Told<'a>)],
    past: Option<&'a GroupPast>,
    retention: Option<&'a Retention>,
}

impl<'a> Ground<'a> {
    /// Of all groups.
    pub fn new(snapshot: &'a Snapshot, ends: &'a Ends<'a>, now: Moment) -> Self {
        Self {
            snapshot,
            ends,
            now,
            window: None,
            sizes: Some(OnceCell::new()),
        }
    }

    /// Of one group: `ends` are those of its topics.
    fn of_one(snapshot: &'a Snapshot, ends: &'a Ends<'a>, now: Moment, window: Window) -> Self {
        Self {
            snapshot,
            ends,
            now,
            window: (window != Window::default()).then_some(window),
            sizes: None,
        }
    }

    /// In order of topic and partition.
    pub fn parts(&self, group: &'a Group) -> Vec<Part<'a>> {
        let past = self.snapshot.history.groups.get(&group.name);
        let past = past.map(|past| past.as_ref());
        let reads = Reads::of(group);
        let mut parts = Vec::with_capacity(reads.len());
        for of_topic in reads.chunk_by(|one, next| one.topic == next.topic) {
            let Some(first) = of_topic.first() else { continue };
            let log = self.log(first.topic, past);
            parts.extend(of_topic.iter().map(|reads| self.part(&log, reads)));
        }
        parts
    }

    fn log(&self, topic: &'a str, past: Option<&'a GroupPast>) -> Log<'a> {
        let retentions = self.snapshot.retentions.get();
        Log {
            topic,
            placed: self.snapshot.topic(topic),
            ends: self.ends.of_topic(topic),
            past,
            retention: retentions.and_then(|all| all.topics.get(topic)),
        }
    }

    fn part(&self, log: &Log<'a>, reads: &Reads<'a>) -> Part<'a> {
        let partition = reads.partition;
        let placed = log.placed.and_then(|topic| topic.partition(partition));
        let leader = placed.and_then(|placed| placed.leader);
        let told = self.told(log, partition, placed);
        let end = told.with(told.value.map(|span| span.end));
        let committed = match reads.committed {
            Some(offset) => Fact::known(offset),
            None => Fact::unknown(Why::Words("nothing committed yet")),
        };
        // The end may have been asked before the commit: a group is never ahead of its log.
        let lag_records = match committed.value {
            Some(offset) => end.with(end.value.map(|end| (end - offset).max(0))),
            None => committed,
        };
        let backlogs = leader.and_then(|leader| self.snapshot.backlogs.get(&leader));
        let standing = log.past.and_then(|past| past.standing.get(log.topic, partition));
        let mut part = Part {
            topic: log.topic,
            partition,
            committed,
            start: told.with(told.value.map(|span| span.start)),
            end,
            lag_records,
            rate_in: match told.value.and_then(|span| span.rate) {
                None if told.why.is_none() => Fact::unknown(Why::Words(ONCE)),
                None => Fact {
                    stale_seconds: None,
                    ..told.with(None)
                },
                rate => told.with(rate),
            },
            behind: lag_records.with(None),
            safe: lag_records.with(None),
            standing: standing.filter(|standing| Some(standing.offset) == committed.value),
            owner: reads.owner,
            leader,
            backlog: backlogs
                .and_then(Observed::get)
                .and_then(|backlogs| backlogs.get(log.topic, partition)),
        };
        match (lag_records.value, committed.value) {
            (Some(0), Some(_)) => {
                let seconds = 0.0;
                let basis = BehindBasis::Sampled;
                part.behind = lag_records.with(Some(Behind { seconds, basis }));
                part.safe = lag_records.with(Some(Safe::Read));
            }
            (Some(lag), Some(offset)) => {
                let sampled = self.snapshot.history.trail.written(log.topic, partition, offset);
                let unread = Unread { lag, offset, sampled };
                part.behind = self.behind(&part, unread);
                part.safe = self.safe(log.retention, &part, unread);
            }
            _ => {}
        }
        part
    }

    /// The log's ends.
    fn told(&self, log: &Log<'a>, partition: i32, placed: Option<&Partition>) -> Fact<'a, Span> {
        let Some(placed) = placed else {
            return Fact::unknown(Why::NoPartition(log.topic, partition));
        };
        let span = ends::of(log.ends, partition).map(|told| self.over(log.topic, partition, *told.span));
        let Some(leader) = placed.leader else {
            return Fact::doubted(span, Why::Words("the partition is offline"));
        };
        match self.snapshot.offsets.get(&leader) {
            Some(section) => {
                let missing = match span {
                    Some(_) => ONCE,
                    None => "the leader has not told its offsets",
                };
                Fact::from(section, self.now, missing, span)
            }
            None => Fact::doubted(span, Why::Unasked(leader)),
        }
    }

    /// With the rate over the time that is wanted, as far as that is remembered.
    fn over(&self, topic: &str, partition: i32, span: Span) -> Span {
        let trail = &self.snapshot.history.trail;
        let rate = self
            .window
            .and_then(|window| trail.rate(topic, partition, window.seconds()));
        Span {
            rate: rate.or(span.rate),
            ..span
        }
    }

    fn ago(&self, at: Moment) -> f64 {
        self.now.duration_since(at).as_secs_f64()
    }

    fn behind(&self, part: &Part<'a>, unread: Unread) -> Fact<'a, Behind> {
        let known = |seconds: f64, basis| {
            part.lag_records.with(Some(Behind {
                seconds: seconds.max(0.0),
                basis,
            }))
        };
        if let Some(about) = unread.sampled.and_then(|sampled| sampled.about) {
            return known(self.ago(about), BehindBasis::Sampled);
        }
        if let Some(written) = part.backlog.and_then(|backlog| backlog.written(unread.offset)) {
            let middle = self.ago(written.earliest).midpoint(self.ago(written.latest));
            if middle < -(AHEAD_SECONDS as f64) {
                return Fact::unknown(Why::Words("the records' timestamps lie in the future"));
            }
            return known(middle, BehindBasis::Timestamps);
        }
        if let Some(sampled) = unread.sampled {
            return known(self.ago(sampled.latest), BehindBasis::AtLeast);
        }
        match part.rate_in.value {
            Some(rate) if rate >= 0.1 => known(unread.lag as f64 / rate, BehindBasis::Rate),
            Some(_) => Fact::unknown(Why::Words(
                "nothing is written now, and the leader was not asked for timestamps yet",
            )),
            None => part.rate_in.with(None),
        }
    }

    fn safe(&self, kept: Option<&Retention>, part: &Part<'a>, unread: Unread) -> Fact<'a, Safe> {
        // A log that was compacted from its start on begins later too, and loses nothing that way.
        let deletes = kept.is_none_or(|kept| kept.deletes);
        if deletes && part.start.value.is_some_and(|start| start > unread.offset) {
            return part.lag_records.with(Some(Safe::Losing));
        }
        match kept {
            None if self.snapshot.retentions.is_fresh() => Fact::unknown(Why::NoRetention(part.topic)),
            None => Fact::unknown(Why::Section(&self.snapshot.retentions.health)),
            Some(kept) if !kept.deletes => part.lag_records.with(Some(Safe::Compacted)),
            Some(kept) => match self.kept_until(kept, part, unread) {
                Ok(safe) => safe,
                Err(why) => Fact::unknown(Why::Words(why)),
            },
        }
    }

    /// Or why that is not known.
    fn kept_until(&self, kept: &Retention, part: &Part<'a>, unread: Unread) -> Result<Fact<'a, Safe>, &'static str> {
        let by_time = match kept.time_ms {
            None => None,
            Some(limit) => match plus_ms(self.oldest(part, unread)?, limit) {
                Some(until) => Some(until),
                None => return Ok(Fact::known(Safe::Forever)),
            },
        };
        let by_size = match kept.bytes {
            None => None,
            Some(limit) => self.full_at(part, unread.lag, limit)?,
        };
        let until = [by_time, by_size].into_iter().flatten().min();
        Ok(part.lag_records.with(Some(until.map_or(Safe::Forever, Safe::Until))))
    }

    /// When the oldest unread record was written, at the earliest.
    fn oldest(&self, part: &Part<'a>, unread: Unread) -> Result<Moment, &'static str> {
        let appended = unread.sampled.and_then(|sampled| sampled.earliest);
        let written = part.backlog.and_then(|backlog| backlog.written(unread.offset));
        match (written, appended) {
            (Some(written), _) if self.ago(written.earliest) < -(AHEAD_SECONDS as f64) => {
                Err("the records' timestamps lie in the future")
            }
            (Some(written), Some(appended))
                if appended.duration_since(written.latest).as_secs() > BEFORE_APPEND_SECONDS =>
            {
                Err("the records' timestamps are more than a day older than the records")
            }
            (Some(written), _) => Ok(written.earliest),
            (None, Some(appended)) => Ok(appended),
            (None, None) => Err("the leader was not asked for timestamps yet"),
        }
    }

    /// When the present inflow has pushed the committed offset out of `limit` bytes; `None` while nothing comes in.
    fn full_at(&self, part: &Part<'a>, lag: i64, limit: i64) -> Result<Option<Moment>, &'static str> {
        let (Some(start), Some(end)) = (part.start.value, part.end.value) else {
            return Err("the log's ends are not known");
        };
        let size = self
            .size(part)
            .ok_or("retention.bytes is set, and the size was not told")?;
        let each = size as f64 / (end - start).max(1) as f64;
        let room = limit as f64 / each.max(1.0) - lag as f64;
        match part.rate_in.value {
            _ if room <= 0.0 => Ok(Some(self.now)),
            None => Err("retention.bytes is set, and the rate in is not known yet"),
            Some(rate) if rate <= 0.0 => Ok(None),
            Some(rate) => Ok(plus_ms(self.now, (room / rate * 1000.0).min(9e15) as i64)),
        }
    }

    fn size(&self, part: &Part<'a>) -> Option<u64> {
        let leader = part.leader?;
        match &self.sizes {
            Some(sizes) => {
                let sizes = sizes.get_or_init(|| Sizes::of(self.snapshot));
                size_of(sizes.of_topic(part.topic), leader, part.partition)
            }
            None => leader_bytes(self.snapshot, part.topic, part.partition),
        }
    }
}

/// Bytes of the leader's replica, found among all that it has.
pub(super) fn leader_bytes(snapshot: &Snapshot, topic: &str, partition: i32) -> Option<u64> {
    let leader = snapshot.topic(topic)?.partition(partition)?.leader?;
    let dirs = snapshot.logdirs.get(&leader)?.get()?;
    let mut replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
    let own = replicas.find(|replica| !replica.future && replica.partition == partition && replica.topic == topic)?;
    Some(own.size_bytes)
}

/// `None` beyond the end of all calendars.
fn plus_ms(at: Moment, ms: i64) -> Option<Moment> {
    Moment::from_millisecond(at.as_millisecond().checked_add(ms)?).ok()
}

impl GroupRow {
    /// The partitions that it commits or is assigned, in order of topic and partition. Worked out for whoever looks into the group:
    /// that costs what it reads, and not what the cluster has.
    pub fn parts(&self, snapshot: &Snapshot, now: Moment) -> Vec<GroupPartition> {
        self.parts_over(snapshot, now, Window::default())
    }

    /// The same, with the rates of writing over another time.
    pub fn parts_over(&self, snapshot: &Snapshot, now: Moment, window: Window) -> Vec<GroupPartition> {
        let Some(group) = snapshot.group(&self.name) else {
            return Vec::new();
        };
        let ends = Ends::of_topics(snapshot, &group.topics());
        let ground = Ground::of_one(snapshot, &ends, now, window);
        ground.parts(group).iter().map(GroupPartition::from).collect()
    }
}

impl GroupPartition {
    /// Those of many groups, each with the name of its group. Linear in the partitions of the cluster.
    pub fn all<'a>(
        snapshot: &Snapshot,
        groups: impl IntoIterator<Item = &'a GroupRow>,
        now: Moment,
    ) -> Vec<(&'a str, Self)> {
        let ends = Ends::of(snapshot);
        let ground = Ground::new(snapshot, &ends, now);
        let mut all = Vec::new();
        for row in groups {
            let parts = snapshot.group(&row.name).map(|group| ground.parts(group));
            all.extend(parts.iter().flatten().map(|part| (row.name.as_str(), Self::from(part))));
        }
        all
    }
}
