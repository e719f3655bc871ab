//! Log directories: what fills them and when they are full; one opened: its topics, its replicas, and what would free it.

use std::collections::BTreeSet;

use crate::model::logdir::{Replica, TopicUse};
use crate::model::row::logdir::LogdirRow;
use crate::model::row::{Cell, Rows};
use crate::model::{BrokerId, Moment, Snapshot};
use crate::plan::relieve::{InTime, Relief, Remedy, relieve};

use super::broker::{filling, full_in, set_age};
use super::field::{Field, Tone, strain};
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};
use super::text;

/// All directories of all brokers.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let mut table = table(rows.logdirs.iter());
    table.rows.extend(silent(rows, snapshot, None));
    table.empty = "no broker has told its log directories yet".to_owned();
    table
}

/// Those of one broker: a page of its own screen.
pub(super) fn of_broker(rows: &Rows, snapshot: &Snapshot, id: BrokerId) -> Table {
    let mut table = table(rows.logdirs.iter().filter(|row| row.broker == id));
    table.rows.extend(silent(rows, snapshot, Some(id)));
    table.empty = match snapshot.logdirs.get(&id).and_then(|section| section.problem()) {
        Some(problem) => problem,
        None => "the broker names no log directory".to_owned(),
    };
    table
}

fn table<'a>(dirs: impl Iterator<Item = &'a LogdirRow>) -> Table {
    let columns = vec![
        Column::new("broker", "broker", 0).width(6, 6).right(),
        Column::new("path", "log dir", 0).width(8, 40),
        Column::new("state", "state", 0).width(4, 30),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("used_percent", "used", 0).width(4, 5).right().bar(8),
        Column::new("used_bytes", "bytes", 3).width(8, 9).right(),
        Column::new("total_bytes", "of", 4).width(8, 9).right(),
        Column::new("growth_bytes_per_second", "growth", 2).width(8, 9).right(),
        Column::new("full_in_seconds", "full in", 1).width(7, 8),
        Column::new("top", "largest topics", 2).width(14, 30),
        Column::new("replicas", "replicas", 5).width(8, 8).right(),
        Column::new("moving_in", "moving in", 1).width(0, 12),
        Column::new("volume", "volume", 6).width(6, 24),
        Column::new("usable_bytes", "usable", 7).width(8, 9).right(),
        Column::new("logs_bytes", "logs", 7).width(8, 9).right(),
    ];
    Table {
        columns,
        rows: dirs.map(row).collect(),
        noun: "log dir",
        ..Table::default()
    }
}

/// Brokers that have never told: a line of question marks, so that silence is seen.
fn silent(rows: &Rows, snapshot: &Snapshot, only: Option<BrokerId>) -> Vec<Row> {
    let told: BTreeSet<BrokerId> = rows.logdirs.iter().map(|row| row.broker).collect();
    let unheard = snapshot
        .logdirs
        .iter()
        .filter(|(id, section)| !told.contains(id) && section.get().is_none() && only.is_none_or(|only| only == **id));
    unheard
        .map(|(id, section)| {
            let why = section.problem().unwrap_or_else(|| "not asked yet".to_owned());
            let mut fields = vec![Field::id(*id), Field::unknown(why.clone())];
            fields.push(Field::new("? unknown").tone(Tone::Unknown).why(Some(why)));
            fields.push(Field::default());
            fields.extend((0..11).map(|at| match at {
                7 => Field::default(),
                _ => Field::new("?").tone(Tone::Unknown),
            }));
            Row {
                key: format!("{id}:?"),
                badness: 900,
                fields,
                ..Row::default()
            }
        })
        .collect()
}

fn size(cell: &Cell<u64>) -> Field {
    Field::of(cell, |bytes| {
        Field::new(text::bytes(*bytes as f64)).number(*bytes as f64)
    })
}

fn row(dir: &LogdirRow) -> Row {
    let state = match &dir.error {
        Some(error) => Field::new(format!("✖ {error}")).tone(Tone::Error),
        None => Field::new("● ok").tone(Tone::Ok),
    };
    let moving = match dir.future_replicas {
        0 => Field::default(),
        n => Field::new(format!("{n} · {}", text::bytes(dir.future_bytes as f64)))
            .number(f64::from(n))
            .tone(Tone::Accent),
    };
    let mut fields = vec![
        Field::id(dir.broker),
        Field::new(dir.path.clone()),
        state,
        Field::default(),
        Field::gauge(&dir.used_percent),
        size(&dir.used_bytes),
        size(&dir.total_bytes),
        growth(&dir.growth_bytes_per_second),
        full_in(&dir.full_in_seconds, &dir.used_percent),
        Field::new(largest(dir)),
        Field::count(i64::from(dir.replicas)),
        moving,
        Field::of(&dir.volumes, |volumes| Field::new(volumes.join(" "))),
        size(&dir.usable_bytes),
        Field::new(text::bytes(dir.logs_bytes as f64)).number(dir.logs_bytes as f64),
    ];
    for field in &mut fields[1..] {
        let age = field.age().or(dir.stale_seconds).filter(|_| !field.text.is_empty());
        *field = std::mem::take(field).aged(age);
    }
    set_age(&mut fields, 3);
    Row {
        key: dir.name(),
        badness: badness(dir),
        fields,
        notes: notes(dir),
        opens: Some(Place::open(Noun::Logdir, dir.name())),
        ..Row::default()
    }
}

fn growth(cell: &Cell<f64>) -> Field {
    Field::of(cell, |rate| Field::new(text::rate(*rate)).number(*rate))
}

fn badness(dir: &LogdirRow) -> u64 {
    if dir.error.is_some() {
        return 10_000;
    }
    let full_in = dir.full_in_seconds.value;
    let soon = match full_in.map(|seconds| filling(seconds, dir.used_percent.value)) {
        Some(Tone::Error) => 1_000,
        Some(Tone::Warn) => 100,
        _ => 0,
    };
    let strained = match dir.used_percent.value.map(strain) {
        Some(Tone::Error) => 200,
        Some(Tone::Warn) => 20,
        _ => 0,
    };
    soon + strained
}

/// The topics that fill a directory: `clicks 61% · audit 9%`.
fn largest(dir: &LogdirRow) -> String {
    let share = |topic: &TopicUse| format!("{} {}", topic.topic, text::percent(dir.share_percent(topic)));
    let top = dir.top.iter().filter(|topic| topic.size_bytes > 0).take(3);
    top.map(share).collect::<Vec<_>>().join(" · ")
}

/// Growth in bytes per second that is worth a word: below it would read as none.
const LISTED: f64 = 50_000.0;

fn notes(dir: &LogdirRow) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(error) = &dir.error {
        notes.push(format!("the directory is offline: {error}; its replicas are down"));
    }
    if let Some(problem) = &dir.problem {
        notes.push(problem.clone());
    }
    let growing: Vec<String> = dir
        .top
        .iter()
        .filter_map(|topic| Some((topic, topic.growth_bytes_per_second.filter(|growth| *growth >= LISTED)?)))
        .take(3)
        .map(|(topic, growth)| format!("{} {}", topic.topic, text::rate(growth)))
        .collect();
    if !growing.is_empty() {
        notes.push(format!("growing: {}", growing.join(" · ")));
    }
    if dir.future_replicas > 0 {
        notes.push(format!(
            "{} on their way from another directory, {} records behind",
            text::plural(dir.future_replicas as usize, "replica"),
            text::count(dir.future_lag_records)
        ));
    }
    notes.push("r: what would free it, in time or not".to_owned());
    notes
}

/// One directory at one of its pages; `name` is `5:/data`.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str, tab: usize, now: Moment) -> Table {
    let found = name
        .split_once(':')
        .and_then(|(broker, path)| rows.logdir(broker.parse().ok()?, path));
    let Some(dir) = found else {
        return Table {
            empty: format!("there is no log dir {name}, or its broker has not told it"),
            noun: "log dir",
            ..Table::default()
        };
    };
    match tab {
        0 => topics(dir),
        1 => replicas(snapshot, dir),
        _ => match relieve(snapshot, rows, dir.broker, &dir.path, now) {
            Some(relief) => advice(&relief),
            None => Table::default(),
        },
    }
}

fn topics(dir: &LogdirRow) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 60),
        Column::new("size_bytes", "size here", 0).width(9, 9).right(),
        Column::new("share", "of the logs", 1).width(5, 5).right().bar(14),
        Column::new("growth_bytes_per_second", "growth", 0).width(9, 9).right(),
        Column::new("replicas", "replicas", 2).width(8, 8).right(),
    ];
    let row = |topic: &TopicUse| {
        let share = Field::gauge(&Cell::known(dir.share_percent(topic))).tone(Tone::Plain);
        let growth = match topic.growth_bytes_per_second {
            Some(rate) => Field::new(text::rate(rate)).number(rate),
            None => Field::unknown("seen only once yet"),
        };
        let mut fields = vec![
            Field::new(topic.topic.clone()),
            Field::new(text::bytes(topic.size_bytes as f64)).number(topic.size_bytes as f64),
            share,
            growth,
            Field::count(i64::from(topic.replicas)),
        ];
        for field in &mut fields[1..] {
            *field = std::mem::take(field).aged(dir.stale_seconds);
        }
        Row {
            key: topic.topic.clone(),
            fields,
            opens: Some(Place::open(Noun::Topic, topic.topic.clone())),
            ..Row::default()
        }
    };
    Table {
        columns,
        rows: dir.top.iter().map(row).collect(),
        noun: "topic",
        empty: "no log lies here".to_owned(),
        ..Table::default()
    }
}

fn replicas(snapshot: &Snapshot, dir: &LogdirRow) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 60),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("size_bytes", "size", 0).width(9, 9).right(),
        Column::new("lag", "records behind", 1).width(14, 14).right(),
        Column::new("state", "", 1).width(0, 28),
    ];
    let dirs = snapshot.logdirs.get(&dir.broker).and_then(|section| section.get());
    let mut found: Vec<&Replica> = dirs
        .into_iter()
        .flatten()
        .filter(|other| other.path == dir.path)
        .flat_map(|other| other.replicas.iter())
        .collect();
    found.sort_by_key(|replica| (!replica.future, std::cmp::Reverse(replica.size_bytes)));
    let row = |replica: &&Replica| Row {
        key: format!(
            "{}-{}{}",
            replica.topic,
            replica.partition,
            if replica.future { "-future" } else { "" }
        ),
        fields: vec![
            Field::new(replica.topic.as_str()),
            Field::id(replica.partition),
            Field::new(text::bytes(replica.size_bytes as f64))
                .number(replica.size_bytes as f64)
                .aged(dir.stale_seconds),
            Field::count(replica.lag_records),
            match replica.future {
                true => Field::new("+ from another directory").tone(Tone::Accent),
                false => Field::default(),
            },
        ],
        opens: Some(Place::open(Noun::Topic, replica.topic.as_str())),
        ..Row::default()
    };
    Table {
        columns,
        rows: found.iter().map(row).collect(),
        noun: "replica",
        empty: "no replica lies here".to_owned(),
        ..Table::default()
    }
}

/// Remedies, then what must not be done.
fn advice(relief: &Relief) -> Table {
    let columns = vec![
        Column::new("remedy", "remedy", 0).width(20, 64),
        Column::new("frees_bytes", "frees", 1).width(7, 9).right(),
        Column::new("helps_in_seconds", "helps in", 0).width(8, 8),
        Column::new("in_time", "in time", 0).width(9, 24),
        Column::new("usd_per_month", "$/month", 2).width(7, 9).right(),
        Column::new("undo", "undo", 2).width(8, 32),
    ];
    let mut rows: Vec<Row> = relief
        .remedies
        .iter()
        .enumerate()
        .map(|(at, one)| remedy(at, one))
        .collect();
    rows.extend(relief.donts.iter().enumerate().map(|(at, dont)| Row {
        key: format!("dont-{at}"),
        section: "dont".to_owned(),
        fields: vec![
            Field::new(format!("✖ {}", dont.what)).tone(Tone::Error),
            Field::default(),
            Field::default(),
            Field::default(),
            Field::default(),
            Field::muted(dont.why.clone()),
        ],
        notes: vec![dont.why.clone()],
        ..Row::default()
    }));
    Table {
        columns,
        sections: vec![
            Section {
                key: "do".to_owned(),
                title: relief
                    .figures()
                    .into_iter()
                    .map(|part| Field::new(part).tone(Tone::Section))
                    .collect(),
            },
            Section {
                key: "dont".to_owned(),
                title: vec![Field::new("DON'T").tone(Tone::Section)],
            },
        ],
        rows,
        noun: "remedy",
        empty: "nothing is known that would free it".to_owned(),
        ..Table::default()
    }
}

fn remedy(at: usize, remedy: &Remedy) -> Row {
    let in_time = match remedy.in_time {
        InTime::Yes => Field::new("✓ in time").tone(Tone::Ok),
        InTime::NoHurry => Field::new("● no hurry").tone(Tone::Ok),
        InTime::Unknown => Field::new("? unknown").tone(Tone::Unknown),
        InTime::TooLate => Field::new("✖ later than full").tone(Tone::Error),
        InTime::Blocked => Field::new("✖ not now").tone(Tone::Warn),
    };
    let dollars = |usd: &f64| {
        Field::new(if *usd == 0.0 {
            "$0".to_owned()
        } else {
            format!("${usd:.0}")
        })
        .number(*usd)
    };
    let mut notes: Vec<String> = remedy.blocked.iter().cloned().collect();
    notes.extend(remedy.evidence.iter().cloned());
    notes.extend(remedy.how.iter().cloned());
    Row {
        key: (at + 1).to_string(),
        section: "do".to_owned(),
        fields: vec![
            Field::new(format!("{} {}", at + 1, remedy.what)),
            size(&remedy.frees_bytes),
            Field::of(&remedy.helps_in_seconds, |seconds| {
                Field::new(format!("~{}", text::span(*seconds))).number(*seconds)
            }),
            in_time.why(remedy.blocked.clone()),
            Field::of(&remedy.usd_per_month, dollars),
            Field::muted(remedy.undo.clone()),
        ],
        notes,
        ..Row::default()
    }
}
