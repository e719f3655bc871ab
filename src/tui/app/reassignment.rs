//! Reassignments in flight, whoever started them: what is left, how fast, what slows each, why one is stuck.

use crate::model::row::Rows;
use crate::model::row::reassignment::{Hold, ReassignmentRow};
use crate::model::{BrokerId, Snapshot};

use super::broker::set_age;
use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;
use super::throttle::rate_words;

/// All of them.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 40),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("move", "from → to", 0).width(9, 26),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("done_percent", "done", 1).width(4, 5).right().bar(8),
        Column::new("left_bytes", "left", 1).width(7, 9).right(),
        Column::new("bytes_per_second", "rate", 1).width(8, 9).right(),
        Column::new("eta_seconds", "ends in", 0).width(7, 8),
        Column::new("throttles", "slowed by", 3).width(9, 30),
        Column::new("stuck", "stuck", 2).width(0, 34),
        Column::new("arrived", "arrived", 5).width(7, 7),
        Column::new("size_bytes", "size", 6).width(8, 9).right(),
        Column::new("adding", "adding", 7).width(6, 14),
        Column::new("removing", "removing", 7).width(8, 14),
    ];
    Table {
        columns,
        rows: rows.reassignments.iter().map(row).collect(),
        noun: "reassignment",
        empty: match snapshot.reassignments.problem() {
            Some(problem) => format!("what is in flight is not known: {problem}"),
            None => "nothing is being reassigned".to_owned(),
        },
        ..Table::default()
    }
}

fn ids(ids: &[BrokerId]) -> String {
    ids.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(",")
}

fn row(one: &ReassignmentRow) -> Row {
    let size = |bytes: &u64| Field::new(text::bytes(*bytes as f64)).number(*bytes as f64);
    let done = Field::gauge(&one.done_percent);
    let mut fields = vec![
        Field::new(one.topic.clone()),
        Field::id(one.partition),
        Field::new(format!("{} → {}", ids(&one.from), ids(&one.to))),
        Field::default(),
        if done.is_unknown() {
            done
        } else {
            done.tone(Tone::Plain)
        },
        Field::of(&one.left_bytes, size),
        Field::of(&one.bytes_per_second, |rate| {
            Field::new(text::rate(*rate)).number(*rate)
        }),
        match &one.stuck {
            Some(why) => Field::new("✖ stuck").tone(Tone::Error).why(Some(why.clone())),
            None => Field::of(&one.eta_seconds, |seconds| {
                Field::new(text::span(*seconds)).number(*seconds)
            }),
        },
        match one.throttles.as_slice() {
            [] => Field::none(),
            holds => Field::new(holds.iter().map(hold).collect::<Vec<_>>().join(" · ")).tone(Tone::Accent),
        },
        match &one.stuck {
            Some(why) => Field::new(why.clone()).tone(Tone::Error),
            None => Field::default(),
        },
        Field::new(format!("{}/{}", one.arrived, one.adding.len())),
        Field::of(&one.size_bytes, size),
        Field::new(ids(&one.adding)),
        Field::new(ids(&one.removing)),
    ];
    set_age(&mut fields, 3);
    let mut notes: Vec<String> = one.stuck.iter().cloned().collect();
    if !one.basis.is_empty() {
        notes.push(one.basis.clone());
    }
    notes.extend(one.throttles.iter().map(|held| {
        format!(
            "the {} throttle of broker {} allows {}",
            held.side,
            held.broker,
            rate_words(held.bytes_per_second)
        )
    }));
    Row {
        key: one.name(),
        badness: match (&one.stuck, one.eta_seconds.value) {
            (Some(_), _) => 100,
            (None, None) => 1,
            (None, Some(_)) => 0,
        },
        fields,
        notes,
        opens: Some(Place::open(Noun::Topic, one.topic.clone())),
        ..Row::default()
    }
}

/// `leader 1 10 MB/s`.
fn hold(hold: &Hold) -> String {
    format!("{} {} {}", hold.side, hold.broker, rate_words(hold.bytes_per_second))
}
