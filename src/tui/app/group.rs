//! Consumer groups: how far behind, whether that grows, why it is stuck, and when records are lost.

use crate::model::row::group::{
    Behind, BehindBasis, Cause, Drain, Expiry, GroupPartition, GroupRow, MemberRow, Safe, sentence,
};
use crate::model::row::{Cell, Rows};
use crate::model::spark::spark;
use crate::model::{Moment, Snapshot};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};
use super::text;

const SPARK: usize = 8;
/// Records that are lost within this many seconds are somebody's business now.
const SOON_SECONDS: f64 = 6.0 * 3600.0;

/// So many times its delay lies between a reader and the loss that does not concern it.
const KEEPS_UP: f64 = 10.0;

/// All groups, most behind first.
pub fn list(rows: &Rows, now: Moment) -> Table {
    let columns = vec![
        Column::new("group", "group", 0).width(10, 44),
        Column::new("state", "state", 0).width(12, 21),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("members", "members", 3).width(7, 7).right(),
        Column::new("lag_records", "lag", 0).width(9, 11).right(),
        Column::new("trend", "trend", 2).width(SPARK as u16, SPARK as u16),
        Column::new("change_per_second", "change/s", 2).width(9, 9).right(),
        Column::new("rate_in", "in/s", 4).width(7, 7).right(),
        Column::new("rate_out", "out/s", 4).width(7, 7).right(),
        Column::new("drains_in_seconds", "drains in", 3).width(9, 9),
        Column::new("behind_seconds", "behind", 1).width(8, 8),
        Column::new("safe_seconds", "safe until", 1).width(10, 16),
        Column::new("cause", "stuck", 1).width(5, 13),
        Column::new("worst", "worst partition", 4).width(15, 40),
        Column::new("expire_seconds", "offsets expire", 6).width(14, 14),
        Column::new("protocol", "protocol", 6).width(8, 20),
        Column::new("topics", "topics", 7).width(6, 6).right(),
        Column::new("coordinator", "coordinator", 8).width(11, 11).right(),
    ];
    let mut groups: Vec<&GroupRow> = rows.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.lag_records.value));
    Table {
        columns,
        rows: groups.into_iter().map(|group| row(group, now)).collect(),
        noun: "group",
        empty: "there are no consumer groups".to_owned(),
        ..Table::default()
    }
}

fn row(group: &GroupRow, now: Moment) -> Row {
    let lag = Field::of(&group.lag_records, |lag| {
        Field::new(text::count(*lag)).number(*lag as f64)
    });
    let lag = if group.cause.is_none() { lag } else { warn(lag) };
    let mut fields = vec![
        Field::new(group.name.clone()),
        state(group),
        Field::default(),
        Field::count(i64::from(group.members)),
        lag,
        Field::new(spark(&group.trend, SPARK)).tone(Tone::Accent),
        change(&group.lag_change),
        rate(&group.rate_in),
        rate(&group.rate_out),
        drains(&group.drains),
        behind(&group.behind),
        safe(&group.safe, &group.behind, now),
        match &group.cause {
            None => Field::default(),
            Some(cause) => Field::new(cause.word())
                .tone(Tone::Warn)
                .why(Some(cause.to_string()).filter(|words| words != cause.word())),
        },
        match &group.worst {
            Some((topic, partition, lag)) if *lag > 0 => {
                Field::new(format!("{topic}-{partition} {}", text::count(*lag))).number(*lag as f64)
            }
            _ => Field::none(),
        },
        expiry(&group.offsets_expire, now),
        Field::new(group.protocol_words()),
        Field::count(i64::from(group.topics)),
        match group.coordinator {
            Some(id) => Field::id(id),
            None => Field::unknown("no coordinator answered for it"),
        },
    ];
    super::broker::set_age(&mut fields, 2);
    Row {
        key: group.name.clone(),
        badness: badness(group, now),
        fields,
        notes: notes(group),
        opens: Some(Place::open(Noun::Group, group.name.clone())),
        ..Row::default()
    }
}

fn notes(group: &GroupRow) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(since) = group.since {
        notes.push(format!("{} {}", group.state, since.words()));
    }
    notes.extend(group.cause.as_ref().map(|cause| format!("stuck: {cause}")));
    notes.extend(group.rate_basis.as_ref().map(|basis| format!("rates: {basis}")));
    notes
}

fn warn(field: Field) -> Field {
    if field.is_unknown() {
        field
    } else {
        field.tone(Tone::Warn)
    }
}

fn state(group: &GroupRow) -> Field {
    let (glyph, tone) = match group.state.as_str() {
        "Stable" => ("●", Tone::Ok),
        "Empty" => ("○", Tone::Muted),
        "Dead" => ("✖", Tone::Error),
        _ => ("▲", Tone::Warn),
    };
    Field::new(format!("{glyph} {}", group.state)).tone(tone)
}

fn badness(group: &GroupRow, now: Moment) -> u64 {
    let stuck = match &group.cause {
        None => 0,
        Some(Cause::NoMembers) => 300,
        Some(Cause::LsoPinned { .. }) => 250,
        Some(Cause::Rebalancing { .. }) => 200,
        Some(_) => 100,
    };
    let loses = match group.safe.value {
        Some(Safe::Losing) => 400,
        Some(Safe::Until(at)) if is_soon(&group.behind, at, now) => 350,
        _ => 0,
    };
    loses + stuck + u64::from(group.lag_records.value.is_none() && group.partitions > 0) * 50
}

/// Whether unread records are lost so soon that it is somebody's business: not while the reader is behind by a small part of
/// the time that is left.
fn is_soon(behind: &Cell<Behind>, lost_at: Moment, now: Moment) -> bool {
    let left = lost_at.duration_since(now).as_secs_f64();
    let keeps_up = behind.value.is_some_and(|behind| behind.seconds * KEEPS_UP < left);
    left < SOON_SECONDS && !keeps_up
}

fn rate(cell: &Cell<f64>) -> Field {
    Field::of(cell, |rate| Field::new(text::scaled(*rate)).number(*rate))
}

fn change(slope: &Cell<f64>) -> Field {
    Field::of(slope, |slope| match *slope {
        slope if slope.abs() < 0.5 => Field::muted("0").number(0.0),
        slope if slope > 0.0 => Field::new(format!("▲ {}", text::scaled(slope)))
            .number(slope)
            .tone(Tone::Warn),
        slope => Field::new(format!("▼ {}", text::scaled(-slope)))
            .number(slope)
            .tone(Tone::Ok),
    })
}

fn drains(cell: &Cell<Drain>) -> Field {
    Field::of(cell, |drain| match drain {
        Drain::Done => Field::none(),
        Drain::InSeconds(seconds) => Field::new(text::span(*seconds)).number(*seconds),
        Drain::Steady => Field::muted("steady").number(f64::INFINITY),
        Drain::Never => Field::new("never").number(f64::INFINITY),
    })
}

fn behind(cell: &Cell<Behind>) -> Field {
    Field::of(cell, |behind| {
        let span = match behind.seconds {
            seconds if seconds <= 0.0 => "0 s".to_owned(),
            seconds if seconds < 1.0 => "<1 s".to_owned(),
            seconds => text::span(seconds),
        };
        let (span, why) = match behind.basis {
            BehindBasis::Sampled => (span, None),
            BehindBasis::Timestamps => (span, Some("by the records' timestamps")),
            BehindBasis::AtLeast => (
                format!(">{}", text::span(behind.seconds)),
                Some("written before the recording began"),
            ),
            BehindBasis::Rate if behind.seconds < 1.0 => (span, Some("lag over the present rate in")),
            BehindBasis::Rate => (format!("~{span}"), Some("lag over the present rate in")),
        };
        Field::new(span).number(behind.seconds).why(why.map(str::to_owned))
    })
}

/// When records are lost unread: `00:44Z 3 h 40 m`, or how long yet.
fn safe(cell: &Cell<Safe>, behind: &Cell<Behind>, now: Moment) -> Field {
    Field::of(cell, |safe| match safe {
        Safe::Losing => Field::new("already losing").tone(Tone::Error).number(f64::NEG_INFINITY),
        Safe::Until(at) => until(*at, is_soon(behind, *at, now), now),
        Safe::Forever => Field::muted("forever").number(f64::INFINITY),
        Safe::Compacted => Field::muted("n/a compacted").number(f64::INFINITY),
        Safe::Read => Field::none(),
    })
}

fn until(at: Moment, soon: bool, now: Moment) -> Field {
    let left = at.duration_since(now).as_secs_f64();
    let words = match left {
        left if left <= 0.0 => "any moment".to_owned(),
        left if left < 86_400.0 => format!("{} {}", at.strftime("%H:%MZ"), text::span(left)),
        left => text::span(left),
    };
    let field = Field::new(words).number(left).why(Some(format!(
        "{} at the earliest; whole segments are deleted, so it may be later",
        at.strftime("%Y-%m-%d %H:%M:%SZ")
    )));
    if soon { field.tone(Tone::Error) } else { field }
}

fn expiry(cell: &Cell<Expiry>, now: Moment) -> Field {
    Field::of(cell, |expiry| match expiry {
        Expiry::None => Field::none(),
        Expiry::At(at) => {
            let left = at.duration_since(now).as_secs_f64();
            Field::new(text::span(left)).number(left)
        }
        Expiry::By(at) => {
            let left = at.duration_since(now).as_secs_f64();
            let why = "it was Empty when it was first seen";
            Field::new(format!("≤{}", text::span(left)))
                .number(left)
                .why(Some(why.to_owned()))
        }
    })
}

/// What to tell the people whose records these are; `None` when the group is not there.
pub fn words(rows: &Rows, snapshot: &Snapshot, name: &str, now: Moment) -> Option<String> {
    let group = rows.groups.iter().find(|group| group.name == name)?;
    Some(sentence(snapshot, group, now))
}

/// One group at one of its pages.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str, tab: usize, now: Moment) -> Table {
    match tab {
        0 => partitions(rows, snapshot, name, now),
        _ => members(rows, snapshot, name, now),
    }
}

fn partitions(rows: &Rows, snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 44),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("lag_records", "lag", 0).width(9, 14).right(),
        Column::new("share", "of the lag", 3).width(4, 5).right().bar(10),
        Column::new("behind_seconds", "behind", 1).width(8, 8),
        Column::new("safe_seconds", "safe until", 1).width(10, 16),
        Column::new("stands_seconds", "not moving", 2).width(10, 10),
        Column::new("rate_in", "in/s", 3).width(7, 7).right(),
        Column::new("committed", "committed", 2).width(9, 16).right(),
        Column::new("start", "start", 5).width(9, 16).right(),
        Column::new("end", "end", 2).width(9, 16).right(),
        Column::new("client", "client", 3).width(8, 30),
        Column::new("member", "member", 4).width(8, 48),
    ];
    let group = rows.groups.iter().find(|group| group.name == name);
    let mut parts = group.map_or_else(Vec::new, |group| group.parts_over(snapshot, now, rows.window));
    let total: i64 = parts.iter().filter_map(|part| part.lag_records.value).sum();
    let offset = |cell: &Cell<i64>| Field::of(cell, |offset| Field::count(*offset));
    let row = |part: &GroupPartition| {
        let share = part
            .lag_records
            .map(|lag| (total > 0).then(|| *lag as f64 * 100.0 / total as f64));
        let share = if total == 0 {
            Field::none()
        } else {
            Field::gauge(&share)
        };
        let nobody = || Field::new("nobody").tone(Tone::Warn);
        Row {
            key: format!("{}-{}", part.topic, part.partition),
            badness: u64::from(part.member.is_none() && part.lag_records.value.is_some_and(|lag| lag > 0)),
            fields: vec![
                Field::new(part.topic.clone()),
                Field::id(part.partition),
                offset(&part.lag_records),
                if share.is_unknown() {
                    share
                } else {
                    share.tone(Tone::Plain)
                },
                behind(&part.behind),
                safe(&part.safe, &part.behind, now),
                match part.standing {
                    None => Field::none(),
                    Some(standing) => {
                        let seconds = now.duration_since(standing.since).as_secs_f64();
                        Field::new(text::span(seconds)).number(seconds)
                    }
                },
                rate(&part.rate_in),
                offset(&part.committed),
                offset(&part.start),
                offset(&part.end),
                part.client.clone().map_or_else(nobody, Field::new),
                part.member.clone().map_or_else(Field::none, Field::muted),
            ],
            opens: Some(Place::open(Noun::Topic, part.topic.clone())),
            ..Row::default()
        }
    };
    parts.sort_by_key(|part| std::cmp::Reverse(part.lag_records.value));
    Table {
        columns,
        rows: parts.iter().map(row).collect(),
        noun: "partition",
        empty: match group {
            Some(_) => "the group has committed nothing and is assigned nothing".to_owned(),
            None => format!("there is no group {name}"),
        },
        ..Table::default()
    }
}

fn members(rows: &Rows, snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    let columns = vec![
        Column::new("client", "client", 0).width(8, 36),
        Column::new("host", "host", 0).width(9, 40),
        Column::new("zone", "zone", 1).width(8, 14),
        Column::new("partitions", "partitions", 1).width(10, 10).right(),
        Column::new("lag_records", "lag", 1).width(9, 14).right(),
        Column::new("instance", "static instance", 3).width(15, 36),
        Column::new("topics", "assigned", 2).width(8, 60),
        Column::new("member", "member id", 5).width(9, 60),
    ];
    let group = rows.groups.iter().find(|group| group.name == name);
    let members = group.map_or_else(Vec::new, |group| MemberRow::all(snapshot, group, now));
    let zone_of = |member: &MemberRow| member.zone.value.clone().unwrap_or_else(|| "?".to_owned());
    let mut zones: Vec<String> = members.iter().map(zone_of).collect();
    zones.dedup();
    let section = |zone: String| Section {
        title: vec![Field::new(zone.clone()).tone(Tone::Section), {
            let own = members.iter().filter(|member| zone_of(member) == zone);
            Field::muted(text::plural(own.count(), "member"))
        }],
        key: zone,
    };
    let row = |member: &MemberRow| {
        let mut topics: Vec<&str> = member.assignment.iter().map(|(topic, _)| topic.as_str()).collect();
        topics.dedup();
        Row {
            key: member.id.clone(),
            section: zone_of(member),
            badness: u64::from(member.assignment.is_empty()),
            fields: vec![
                Field::new(member.client.clone()),
                Field::new(member.host.clone()),
                Field::of(&member.zone, |zone| Field::new(zone.clone())),
                Field::count(member.assignment.len() as i64),
                Field::of(&member.lag_records, |lag| Field::count(*lag)),
                member.instance.clone().map_or_else(Field::none, Field::new),
                Field::new(topics.join(" ")),
                Field::muted(member.id.clone()),
            ],
            ..Row::default()
        }
    };
    Table {
        columns,
        rows: members.iter().map(row).collect(),
        sections: zones.into_iter().map(section).collect(),
        noun: "member",
        empty: match group {
            Some(_) => "the group has no members".to_owned(),
            None => format!("there is no group {name}"),
        },
        ..Table::default()
    }
}
