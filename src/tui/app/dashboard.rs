//! The dashboard: the numbers that the article of 2018 says to monitor, each with its chart, on one screen of 80 by 24; and one
//! of them broker by broker, or the alarms.

use crate::model::history::Gauge;
use crate::model::row::Rows;
use crate::model::row::dashboard::{self, AlarmRow, CLIENTS, ChartRow, Part};
use crate::model::spark::spark;
use crate::model::{Moment, Snapshot};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// The alarms' page.
pub const ALARMS: &str = "alarms";
const SPARK: usize = 24;

/// Every number in one line. What no client pushes is one line for producers and one for consumers.
pub fn list(rows: &Rows, snapshot: &Snapshot, now: Moment) -> Table {
    let seconds = rows.window.seconds();
    let all = dashboard::all(snapshot, &rows.brokers, seconds, now);
    let is_pushed = |row: &ChartRow| CLIENTS.iter().any(|(metric, ..)| *metric == row.metric);
    let silent = all
        .iter()
        .filter(|row| is_pushed(row))
        .all(|row| row.now.value.is_none());
    let mut lines: Vec<Row> = Vec::new();
    for part in [Part::System, Part::Producer, Part::Consumer] {
        let own = all.iter().filter(|row| row.part == part);
        let (pushed, told): (Vec<&ChartRow>, Vec<&ChartRow>) = own.partition(|row| is_pushed(row));
        lines.extend(told.into_iter().map(|row| line(row, true)));
        match (silent, pushed.first()) {
            (true, Some(first)) => lines.push(Row {
                key: format!("{part} clients"),
                fields: vec![
                    Field::muted(part.to_string()),
                    Field::new("client metrics"),
                    Field::unknown(first.now.reason.clone().unwrap_or_default()),
                    Field::none(),
                    Field::none(),
                    Field::none(),
                    Field::muted(format!("{} of clients", pushed.len())),
                    Field::muted(first.source.clone()),
                    Field::muted(first.seed_ref.clone()),
                ],
                ..Row::default()
            }),
            _ => lines.extend(pushed.into_iter().map(|row| line(row, false))),
        }
    }
    lines.push(alarm_line(&dashboard::alarms(snapshot, &rows.brokers)));
    table(lines, "metric")
}

fn table(rows: Vec<Row>, noun: &'static str) -> Table {
    Table {
        columns: vec![
            Column::new("part", "", 0).width(8, 8),
            Column::new("metric", "metric", 0).width(12, 24),
            Column::new("now", "now", 0).width(8, 12).right(),
            Column::new("chart", "chart", 0).width(8, SPARK as u16),
            Column::new("limit", "limit", 1).width(6, 8).right(),
            Column::new("over", "over", 2).width(5, 6).right(),
            Column::new("subject", "of", 1).width(9, 24),
            Column::new("source", "from", 2).width(10, 18),
            Column::new("seed_ref", "row", 3).width(3, 4),
        ],
        rows,
        noun,
        empty: "no broker is known".to_owned(),
        is_fixed: true,
        ..Table::default()
    }
}

/// A number with its unit, as its name ends.
fn shown(metric: &str, value: f64) -> String {
    if metric.ends_with("_percent") {
        text::percent(value)
    } else if metric.ends_with("_bytes_per_second") {
        text::rate(value)
    } else if metric.ends_with("_bytes") {
        text::bytes(value)
    } else if metric.ends_with("_ms") || metric.contains("latency") || metric.ends_with("time_max") {
        text::milliseconds(value)
    } else if metric.ends_with("_seconds") {
        // Of a total: seconds in each second.
        text::percent(value * 100.0)
    } else {
        text::scaled(value)
    }
}

fn line(row: &ChartRow, opens: bool) -> Row {
    let beyond = match (row.now.value, row.limit) {
        (Some(value), Some(limit)) => (value > limit) != row.room && value != limit,
        _ => false,
    };
    let tone = if beyond { Tone::Warn } else { Tone::Plain };
    let limit = match row.limit {
        Some(limit) => Field::new(format!(
            "{} {}",
            if row.room { "≥" } else { "≤" },
            shown(&row.metric, limit)
        )),
        None => Field::none(),
    };
    Row {
        key: row.metric.clone(),
        badness: u64::from(beyond),
        fields: vec![
            Field::muted(row.part.to_string()),
            Field::new(row.words.clone()),
            Field::of(&row.now, |value| {
                Field::new(shown(&row.metric, *value)).number(*value).tone(tone)
            }),
            Field::new(spark(&row.chart, SPARK)).tone(Tone::Accent),
            limit,
            row.span_seconds
                .map_or_else(Field::none, |seconds| Field::muted(text::span(seconds))),
            row.subject.clone().map_or_else(Field::none, Field::new),
            Field::muted(row.source.clone()),
            Field::muted(row.seed_ref.clone()),
        ],
        opens: opens.then(|| match row.metric.as_str() {
            "lag_records" => Place::list(Noun::Group),
            metric => Place::open(Noun::Dashboard, metric),
        }),
        ..Row::default()
    }
}

fn alarm_line(alarms: &[AlarmRow]) -> Row {
    let known = alarms.iter().find_map(|row| row.alarms.reason.clone());
    let watched = alarms.iter().filter(|row| row.watched == Some(true)).count();
    let rings = alarms.iter().filter(|row| row.rings).count();
    let (now, tone) = match (known, alarms.len()) {
        (Some(why), _) => (Field::unknown(why), Tone::Plain),
        (None, 0) => (Field::unknown("no instance of a broker is known"), Tone::Plain),
        (None, all) => {
            let tone = if watched == all { Tone::Ok } else { Tone::Warn };
            (Field::new(format!("{watched}/{all}")).tone(tone), tone)
        }
    };
    Row {
        key: ALARMS.to_owned(),
        badness: u64::from(tone == Tone::Warn) + rings as u64,
        fields: vec![
            Field::muted("alarms"),
            Field::new("instances and volumes"),
            now,
            match rings {
                0 => Field::none(),
                many => Field::new(format!("✖ {} in alarm", text::plural(many, "thing"))).tone(Tone::Error),
            },
            Field::none(),
            Field::none(),
            Field::muted("watched by an alarm"),
            Field::muted("CloudWatch"),
            Field::muted("58"),
        ],
        opens: Some(Place::open(Noun::Dashboard, ALARMS)),
        ..Row::default()
    }
}

/// One number of each broker, or the alarms.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    if name == ALARMS {
        return alarms(&dashboard::alarms(snapshot, &rows.brokers));
    }
    let Ok(gauge) = name.parse::<Gauge>() else {
        return Table {
            empty: format!("there is no chart of {name}"),
            ..table(Vec::new(), "broker")
        };
    };
    let all = dashboard::of_gauge(snapshot, &rows.brokers, gauge, rows.window.seconds(), now);
    let lines = all.iter().zip(&rows.brokers).map(|(row, broker)| Row {
        key: broker.id.to_string(),
        opens: Some(Place::open(Noun::Broker, broker.id.to_string())),
        ..line(row, false)
    });
    table(lines.collect(), "broker")
}

fn alarms(all: &[AlarmRow]) -> Table {
    let line = |row: &AlarmRow| Row {
        key: row.thing.clone(),
        badness: u64::from(row.watched == Some(false)) + u64::from(row.rings) * 2,
        fields: vec![
            Field::id(row.broker),
            Field::new(row.thing.clone()),
            match row.watched {
                Some(true) => Field::new("● yes").tone(Tone::Ok),
                Some(false) => Field::new("▲ nothing").tone(Tone::Warn),
                None => Field::unknown(row.alarms.reason.clone().unwrap_or_default()),
            },
            Field::of(&row.alarms, |names| {
                let tone = if row.rings { Tone::Error } else { Tone::Plain };
                Field::new(names.join(" · ")).tone(tone)
            }),
        ],
        ..Row::default()
    };
    Table {
        columns: vec![
            Column::new("broker", "broker", 0).width(6, 8).right(),
            Column::new("thing", "instance, volume", 0).width(12, 24),
            Column::new("watched", "watched", 0).width(9, 10),
            Column::new("alarms", "alarms", 0).width(8, 100),
        ],
        rows: all.iter().map(line).collect(),
        noun: "thing",
        empty: "no instance of a broker is known".to_owned(),
        ..Table::default()
    }
}
