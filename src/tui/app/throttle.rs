//! Replication throttles: which are set, which do something, and whom they slow.

use crate::model::Snapshot;
use crate::model::row::Rows;
use crate::model::row::throttle::{Slowed, Standing, ThrottleRow};
use crate::model::throttle::Claim;

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// Everything that is set.
pub fn list(rows: &Rows, snapshot: &Snapshot, claims: &[Claim]) -> Table {
    let columns = vec![
        Column::new("subject", "set on", 0).width(8, 30),
        Column::new("side", "side", 0).width(8, 8),
        Column::new("value", "value", 0).width(9, 24),
        Column::new("standing", "standing", 0).width(9, 9),
        Column::new("slows", "slows now", 1).width(9, 30),
        Column::new("whose", "whose", 3).width(7, 22),
        Column::new("why", "why", 2).width(10, 34),
        Column::new("source", "source", 5).width(7, 22),
        Column::new("property", "property", 6).width(12, 48),
    ];
    Table {
        columns,
        rows: rows.throttles.iter().map(|throttle| row(throttle, claims)).collect(),
        noun: "throttle",
        empty: empty(snapshot),
        ..Table::default()
    }
}

/// Nothing is set, as far as it is known.
fn empty(snapshot: &Snapshot) -> String {
    let brokers = snapshot.broker_configs.iter();
    let untold = brokers.filter_map(|(id, section)| Some(format!("broker {id}: {}", section.problem()?)));
    let topics = snapshot
        .topic_configs
        .problem()
        .map(|problem| format!("topics: {problem}"));
    let mut unknown: Vec<String> = untold.chain(topics).collect();
    if snapshot.broker_configs.values().all(|section| section.get().is_none()) && unknown.is_empty() {
        unknown.push("the brokers were not asked yet".to_owned());
    }
    match unknown.first() {
        None => "no replication throttle is set".to_owned(),
        Some(why) => format!("no throttle is seen, and not everything is: {why}"),
    }
}

fn row(throttle: &ThrottleRow, claims: &[Claim]) -> Row {
    let whose = throttle.whose(claims);
    let value = match throttle.bytes_per_second {
        Some(rate) => Field::new(rate_words(rate)).number(rate as f64),
        None => Field::new(throttle.value.clone()),
    };
    let (glyph, tone) = match (throttle.standing, throttle.slows.is_empty()) {
        (Standing::Stale, false) => ("✖", Tone::Error),
        (Standing::Stale, true) | (Standing::Inert, _) => ("▲", Tone::Warn),
        (Standing::Unknown, _) => ("?", Tone::Unknown),
        (Standing::Serving, _) => ("▸", Tone::Accent),
    };
    let slows = match throttle.slows.as_slice() {
        [] => Field::none().number(0.0),
        [one] => Field::new(name(one)).number(1.0),
        [one, rest @ ..] => {
            Field::new(format!("{} and {} more", name(one), rest.len())).number(rest.len() as f64 + 1.0)
        }
    };
    let slows_tone = if throttle.slows.is_empty() { Tone::Muted } else { tone };
    let mut notes = vec![throttle.why.clone()];
    if !throttle.slows.is_empty() {
        let names: Vec<String> = throttle.slows.iter().take(20).map(name).collect();
        notes.push(format!("slows {}", names.join(", ")));
    }
    notes.push(match whose.strip_prefix("mine ") {
        Some(operation) => format!("set by operation {operation} of this host"),
        None => "foreign: no operation of this host has set it; D clears it all the same".to_owned(),
    });
    Row {
        key: key(throttle),
        badness: match (throttle.standing, throttle.slows.len() as u64) {
            (Standing::Stale, slows) if slows > 0 => 1_000 + slows,
            (Standing::Stale, _) => 100,
            (Standing::Inert, _) => 10,
            (Standing::Unknown, _) => 50,
            (Standing::Serving, _) => 0,
        },
        fields: vec![
            Field::new(throttle.subject.clone()),
            Field::new(throttle.side.to_string().replace('_', " ")),
            value,
            Field::new(format!("{glyph} {}", throttle.standing)).tone(tone),
            slows.tone(slows_tone),
            Field::muted(whose),
            Field::new(throttle.why.clone()),
            Field::muted(throttle.source.to_string()),
            Field::muted(throttle.property.clone()),
        ],
        notes,
        opens: Some(match (&throttle.topic, throttle.broker) {
            (Some(topic), _) => Place {
                tab: 1,
                ..Place::open(Noun::Topic, topic.clone())
            },
            (None, _) => Place::open(Noun::Config, throttle.property.clone()),
        }),
        ..Row::default()
    }
}

/// How a row is named.
pub(super) fn key(throttle: &ThrottleRow) -> String {
    format!("{} {}", throttle.subject, throttle.property)
}

/// A throttle may be far below a megabyte.
pub(super) fn rate_words(bytes_per_second: u64) -> String {
    match bytes_per_second {
        small if small < 1_000_000 => format!("{}/s", text::bytes(small as f64)),
        rate => text::rate(rate as f64),
    }
}

fn name(slowed: &Slowed) -> String {
    format!("{}-{} on {}", slowed.topic, slowed.partition, slowed.replica)
}
