//! Consumer groups: how far behind, whether that grows, and why it is stuck.

use crate::model::Snapshot;
use crate::model::history::Series;
use crate::model::row::group::{GroupPartition, GroupRow};
use crate::model::row::{Cell, Rows};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;
use super::trend::spark;

/// A lag below this many records is no news when it grows.
const SMALL: f64 = 1000.0;
const SPARK: usize = 8;
/// Change is measured over this many seconds.
const WINDOW: i64 = 60;

/// All groups, most behind first.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        Column::new("group", "group", 0).width(10, 44),
        Column::new("state", "state", 0).width(8, 21),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("members", "members", 3).width(7, 7).right(),
        Column::new("lag_records", "lag", 0).width(9, 11).right(),
        Column::new("trend", "trend", 2).width(SPARK as u16, SPARK as u16),
        Column::new("change_per_second", "change/s", 1).width(9, 9).right(),
        Column::new("rate_in", "in/s", 4).width(7, 7).right(),
        Column::new("drains_in_seconds", "drains in", 2).width(9, 9),
        Column::new("behind_seconds", "behind", 1).width(8, 8),
        Column::new("cause", "stuck", 1).width(5, 14),
        Column::new("worst", "worst partition", 4).width(15, 40),
        Column::new("protocol", "protocol", 6).width(8, 20),
        Column::new("topics", "topics", 7).width(6, 6).right(),
        Column::new("coordinator", "coordinator", 8).width(11, 11).right(),
    ];
    let mut groups: Vec<&GroupRow> = rows.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.lag_records.value));
    Table {
        columns,
        rows: groups
            .into_iter()
            .map(|group| row(group, snapshot.history.group_lag.get(&group.name)))
            .collect(),
        noun: "group",
        empty: "there are no consumer groups".to_owned(),
        ..Table::default()
    }
}

fn row(group: &GroupRow, past: Option<&Series>) -> Row {
    let slope = past.and_then(|past| past.slope_per_second(WINDOW));
    let points: Vec<f64> = past
        .into_iter()
        .flat_map(Series::samples)
        .map(|sample| sample.value)
        .collect();
    let cause = cause(group, slope);
    let lag = Field::of(&group.lag_records, |lag| {
        Field::new(text::count(*lag)).number(*lag as f64)
    });
    let lag = if cause.is_empty() { lag } else { warn(lag) };
    let mut fields = vec![
        Field::new(group.name.clone()),
        state(group),
        Field::default(),
        Field::count(i64::from(group.members)),
        lag,
        Field::new(spark(&points, SPARK)).tone(Tone::Accent),
        change(slope),
        Field::of(&group.rate_in, |rate| Field::new(text::scaled(*rate)).number(*rate)),
        drains(group, slope),
        behind(group),
        match cause {
            "" => Field::default(),
            cause => Field::new(cause).tone(Tone::Warn),
        },
        match &group.worst {
            Some((topic, partition, lag)) if *lag > 0 => {
                Field::new(format!("{topic}-{partition} {}", text::count(*lag))).number(*lag as f64)
            }
            _ => Field::none(),
        },
        Field::new(protocol(group)),
        Field::count(i64::from(group.topics)),
        match group.coordinator {
            Some(id) => Field::count(i64::from(id)),
            None => Field::unknown("no coordinator answered for it"),
        },
    ];
    super::broker::set_age(&mut fields, 2);
    Row {
        key: group.name.clone(),
        badness: badness(group, cause),
        fields,
        opens: Some(Place::open(Noun::Group, group.name.clone())),
        ..Row::default()
    }
}

fn warn(field: Field) -> Field {
    if field.is_unknown() {
        field
    } else {
        field.tone(Tone::Warn)
    }
}

fn protocol(group: &GroupRow) -> String {
    match (group.kind.as_str(), group.protocol.as_str()) {
        (kind, "") => kind.to_owned(),
        (kind, protocol) => format!("{kind} {protocol}"),
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

/// Why a group does not catch up, in one word; empty when it does.
fn cause(group: &GroupRow, slope: Option<f64>) -> &'static str {
    let lag = group.lag_records.value.unwrap_or(0) as f64;
    match group.state.as_str() {
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => "rebalancing",
        _ if group.members == 0 && lag > 0.0 => "no-members",
        _ if lag >= SMALL && slope.is_some_and(|slope| slope > 0.0) => "slow",
        _ => "",
    }
}

fn badness(group: &GroupRow, cause: &str) -> u64 {
    let stuck = match cause {
        "" => 0,
        "no-members" => 300,
        "rebalancing" => 200,
        _ => 100,
    };
    stuck + u64::from(group.lag_records.value.is_none() && !group.parts.is_empty()) * 50
}

fn change(slope: Option<f64>) -> Field {
    match slope {
        None => Field::unknown("seen only once yet"),
        Some(slope) if slope.abs() < 0.5 => Field::muted("0").number(0.0),
        Some(slope) if slope > 0.0 => Field::new(format!("▲ {}", text::scaled(slope)))
            .number(slope)
            .tone(Tone::Warn),
        Some(slope) => Field::new(format!("▼ {}", text::scaled(-slope)))
            .number(slope)
            .tone(Tone::Ok),
    }
}

fn drains(group: &GroupRow, slope: Option<f64>) -> Field {
    match (group.lag_records.value, slope) {
        (Some(0), _) => Field::none(),
        (Some(lag), Some(slope)) if slope < -0.5 => {
            let seconds = lag as f64 / -slope;
            Field::new(text::span(seconds)).number(seconds)
        }
        (Some(_), Some(slope)) if slope < 0.5 => Field::muted("steady").number(f64::INFINITY),
        (Some(_), Some(_)) => Field::new("never").number(f64::INFINITY),
        (Some(_), None) => Field::unknown("seen only once yet"),
        (None, _) => Field::of(&group.lag_records, |_| Field::none()),
    }
}

/// How long producers needed to write what is unread, at their present rate.
fn behind(group: &GroupRow) -> Field {
    match (group.lag_records.value, group.rate_in.value) {
        (Some(0), _) => Field::new("0 s").number(0.0),
        (Some(lag), Some(rate)) if rate >= 0.1 => {
            let seconds = lag as f64 / rate;
            let span = if seconds < 1.0 {
                "<1 s".to_owned()
            } else {
                format!("~{}", text::span(seconds))
            };
            let field = Field::new(span).number(seconds);
            field.why(Some("lag over the present rate in".to_owned()))
        }
        (Some(_), Some(_)) => Field::unknown("nothing is written now: lag has no measure in time"),
        (Some(_), None) => Field::of(&group.rate_in, |_| Field::none()),
        (None, _) => Field::of(&group.lag_records, |_| Field::none()),
    }
}

/// One group at one of its pages.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str, tab: usize) -> Table {
    match tab {
        0 => partitions(rows, name),
        _ => members(rows, snapshot, name),
    }
}

fn partitions(rows: &Rows, name: &str) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 44),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("lag_records", "lag", 0).width(9, 14).right(),
        Column::new("share", "of the lag", 3).width(4, 5).right().bar(10),
        Column::new("committed", "committed", 1).width(9, 16).right(),
        Column::new("end", "end", 1).width(9, 16).right(),
        Column::new("client", "client", 2).width(8, 30),
        Column::new("member", "member", 4).width(8, 48),
    ];
    let group = rows.groups.iter().find(|group| group.name == name);
    let parts = group.map_or(&[][..], |group| &group.parts);
    let total: i64 = parts.iter().filter_map(|part| part.lag_records.value).sum();
    let offset = |cell: &Cell<i64>| Field::of(cell, |offset| Field::count(*offset));
    let row = |part: &&GroupPartition| {
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
                Field::count(i64::from(part.partition)),
                offset(&part.lag_records),
                if share.is_unknown() {
                    share
                } else {
                    share.tone(Tone::Plain)
                },
                offset(&part.committed),
                offset(&part.end),
                part.client.clone().map_or_else(nobody, Field::new),
                part.member.clone().map_or_else(Field::none, Field::muted),
            ],
            opens: Some(Place::open(Noun::Topic, part.topic.clone())),
            ..Row::default()
        }
    };
    let mut parts: Vec<&GroupPartition> = parts.iter().collect();
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

fn members(rows: &Rows, snapshot: &Snapshot, name: &str) -> Table {
    let columns = vec![
        Column::new("client", "client", 0).width(8, 36),
        Column::new("host", "host", 0).width(9, 40),
        Column::new("partitions", "partitions", 1).width(10, 10).right(),
        Column::new("lag_records", "lag", 1).width(9, 14).right(),
        Column::new("instance", "static instance", 3).width(15, 36),
        Column::new("topics", "assigned", 2).width(8, 60),
        Column::new("member", "member id", 5).width(9, 60),
    ];
    let groups = snapshot.groups.get().map_or(&[][..], Vec::as_slice);
    let group = groups.iter().find(|group| group.name == name);
    let parts = rows
        .groups
        .iter()
        .find(|group| group.name == name)
        .map_or(&[][..], |group| &group.parts);
    let row = |member: &crate::model::group::Member| {
        let own = parts
            .iter()
            .filter(|part| part.member.as_deref() == Some(member.id.as_str()));
        let lag: Option<i64> = own.map(|part| part.lag_records.value).sum();
        let mut topics: Vec<&str> = member.assignment.iter().map(|(topic, _)| topic.as_str()).collect();
        topics.dedup();
        Row {
            key: member.id.clone(),
            badness: u64::from(member.assignment.is_empty()),
            fields: vec![
                Field::new(member.client.clone()),
                Field::new(member.host.clone()),
                Field::count(member.assignment.len() as i64),
                match lag {
                    Some(lag) => Field::count(lag),
                    None => Field::unknown("the lag of one of its partitions is unknown"),
                },
                member.instance.clone().map_or_else(Field::none, Field::new),
                Field::new(topics.join(" ")),
                Field::muted(member.id.clone()),
            ],
            ..Row::default()
        }
    };
    Table {
        columns,
        rows: group.into_iter().flat_map(|group| &group.members).map(row).collect(),
        noun: "member",
        empty: "the group has no members".to_owned(),
        ..Table::default()
    }
}
