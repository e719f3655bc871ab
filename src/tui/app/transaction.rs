//! Transactional ids: how long each transaction is open, which hang; one opened: the partitions it holds.

use crate::model::Snapshot;
use crate::model::row::Rows;
use crate::model::row::transaction::{TransactionRow, unseen};
use crate::model::transaction::is_open;

use super::broker::set_age;
use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// All of them, hanging ones first.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        Column::new("id", "transactional id", 0).width(16, 44),
        Column::new("state", "state", 0).width(9, 18),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("open_seconds", "open for", 0).width(8, 9).right(),
        Column::new("timeout_seconds", "timeout", 1).width(7, 9).right(),
        Column::new("partitions", "partitions", 2).width(10, 10).right(),
        Column::new("hanging", "hanging", 1).width(0, 24),
        Column::new("topics", "topics", 3).width(6, 40),
        Column::new("coordinator", "coord", 3).width(5, 6).right(),
        Column::new("producer_id", "producer", 4).width(8, 12).right(),
        Column::new("producer_epoch", "epoch", 6).width(5, 6).right(),
    ];
    let missing = unseen(snapshot);
    let mut table_rows: Vec<Row> = rows.transactions.iter().map(row).collect();
    if let (Some(why), false) = (&missing, table_rows.is_empty()) {
        table_rows.push(silent(why));
    }
    Table {
        columns,
        rows: table_rows,
        noun: "transactional id",
        empty: missing.unwrap_or_else(|| {
            "no coordinator tells of a transactional id (they leave out those that we may not describe)".to_owned()
        }),
        ..Table::default()
    }
}

/// A line that says that there may be more.
fn silent(why: &str) -> Row {
    let mut fields = vec![
        Field::new("? more, not told")
            .tone(Tone::Unknown)
            .why(Some(why.to_owned())),
        Field::new("?").tone(Tone::Unknown),
    ];
    fields.extend((0..9).map(|_| Field::default()));
    Row {
        key: "?".to_owned(),
        badness: 1,
        fields,
        notes: vec![why.to_owned()],
        ..Row::default()
    }
}

fn row(one: &TransactionRow) -> Row {
    let open = is_open(&one.state);
    let (glyph, tone) = match (&one.hanging, open) {
        (Some(_), _) => ("✖", Tone::Error),
        (None, true) => ("▸", Tone::Accent),
        (None, false) => ("·", Tone::Muted),
    };
    let seconds = |seconds: f64| Field::new(text::span(seconds)).number(seconds);
    let topics: Vec<&str> = one.topics.keys().map(String::as_str).collect();
    let mut fields = vec![
        Field::new(one.id.clone()),
        Field::new(format!("{glyph} {}", one.state)).tone(tone),
        Field::default(),
        match open {
            true => Field::of(&one.open_seconds, |open| seconds(*open)),
            false => Field::none(),
        },
        one.timeout_seconds.map_or_else(Field::none, seconds),
        match open {
            true => Field::count(one.partitions() as i64),
            false => Field::none(),
        },
        match &one.hanging {
            Some(why) => Field::new("✖ past its timeout")
                .tone(Tone::Error)
                .why(Some(why.to_owned())),
            None => Field::default(),
        },
        Field::new(topics.join(" ")),
        Field::id(one.coordinator),
        Field::new(one.producer_id.to_string()).number(one.producer_id as f64),
        match one.producer_epoch {
            Some(epoch) => Field::count(i64::from(epoch)),
            None => Field::none(),
        },
    ];
    fields[1] = std::mem::take(&mut fields[1]).aged(one.stale_seconds);
    set_age(&mut fields, 2);
    let mut notes: Vec<String> = one.hanging.iter().cloned().collect();
    if one.hanging.is_some() {
        notes.push("readers of committed records stop where it began; producers unknown to every coordinator: azimuth transaction list --hanging --topic TOPIC".to_owned());
    }
    Row {
        key: one.id.clone(),
        badness: match (&one.hanging, open) {
            (Some(_), _) => 1_000,
            _ => 0,
        },
        fields,
        notes,
        opens: Some(Place::open(Noun::Transaction, one.id.clone())),
        ..Row::default()
    }
}

/// The partitions that one transaction holds.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 60),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("leader", "leader", 1).width(6, 8).right(),
        Column::new("end", "high watermark", 1).width(14, 16).right(),
    ];
    let found = rows.transactions.iter().find(|row| row.id == name);
    let parts = found.into_iter().flat_map(|one| &one.topics);
    let parts = parts.flat_map(|(topic, partitions)| partitions.iter().map(move |partition| (topic, *partition)));
    let row = |(topic, partition): (&String, i32)| {
        let place = snapshot.topic(topic);
        let leader = place.and_then(|topic| topic.partitions.iter().find(|part| part.partition == partition)?.leader);
        Row {
            key: format!("{topic}-{partition}"),
            fields: vec![
                Field::new(topic.clone()),
                Field::id(partition),
                match leader {
                    Some(id) => Field::id(id),
                    None => Field::unknown("no leader is known"),
                },
                match snapshot.span(topic, partition) {
                    Some(span) => Field::count(span.end),
                    None => Field::unknown("its leader has not told its offsets"),
                },
            ],
            opens: Some(Place::open(Noun::Topic, topic.clone())),
            ..Row::default()
        }
    };
    Table {
        columns,
        rows: parts.map(row).collect(),
        noun: "partition",
        empty: match found {
            Some(one) if is_open(&one.state) => "it has written to no partition yet".to_owned(),
            Some(one) => format!("no transaction of it is open ({})", one.state),
            None => format!("no coordinator knows the transactional id {name}"),
        },
        ..Table::default()
    }
}
