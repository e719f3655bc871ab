//! `azimuth logdir …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Field, Rank, bytes};
use crate::command::Line;
use crate::command::logdir::Verb;
use crate::feed::Section;
use crate::model::logdir::LogDir;
use crate::model::row::Cell;
use crate::model::{BrokerId, Snapshot};

/// One log directory and whose it is.
pub struct Row {
    pub broker: BrokerId,
    pub dir: LogDir,
}

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List { broker } = verb;
    let mut facts = gather(line, &[Section::Cluster, Section::Logdirs]).await?;
    if let Some(id) = broker {
        let own = format!("broker {id} log dirs");
        facts = facts.only(|subject| !subject.starts_with("broker ") || subject == own);
        let brokers = facts.snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        if !brokers.iter().any(|broker| broker.id == *id) {
            return Err(facts.unknown("broker", &id.to_string(), &[]));
        }
    }
    let rows = rows(&facts.snapshot, *broker);
    let answer = Answer::list(COLUMNS, &rows, "log dir", |row| {
        format!("{}:{}", row.broker, row.dir.path)
    });
    Ok(facts.seal(answer))
}

/// The directories of one broker or of all.
pub fn rows(snapshot: &Snapshot, broker: Option<BrokerId>) -> Vec<Row> {
    let wanted = snapshot
        .logdirs
        .iter()
        .filter(|(id, _)| broker.is_none_or(|broker| broker == **id));
    let each = wanted.flat_map(|(id, seen)| {
        let dirs = seen.get().into_iter().flatten();
        dirs.map(|dir| Row {
            broker: *id,
            dir: dir.clone(),
        })
    });
    each.collect()
}

fn told<T>(value: Option<T>) -> Cell<T> {
    value.map_or_else(
        || Cell::unknown("the broker does not tell its disk's size (before Kafka 3.3)"),
        Cell::known,
    )
}

pub const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |row| Field::number(row.broker, row.broker),
    },
    Column {
        key: "path",
        title: "LOG DIR",
        rank: Rank::Always,
        field: |row| Field::text(&row.dir.path),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |row| Field::text(if row.dir.error.is_some() { "offline" } else { "online" }),
    },
    Column {
        key: "used_percent",
        title: "DISK",
        rank: Rank::Always,
        field: |row| Field::cell(&told(row.dir.used_percent()), |value| super::output::percent(*value)),
    },
    Column {
        key: "used_bytes",
        title: "USED",
        rank: Rank::Usual,
        field: |row| Field::cell(&told(row.dir.used_bytes()), |value| bytes(*value)),
    },
    Column {
        key: "total_bytes",
        title: "SIZE",
        rank: Rank::Usual,
        field: |row| Field::cell(&told(row.dir.total_bytes), |value| bytes(*value)),
    },
    Column {
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Usual,
        field: |row| {
            let here = row.dir.replicas.iter().filter(|replica| !replica.future).count();
            Field::number(here as i64, here)
        },
    },
    Column {
        key: "replicas_bytes",
        title: "LOGS",
        rank: Rank::Usual,
        field: |row| {
            let size: u64 = row.dir.replicas.iter().map(|replica| replica.size_bytes).sum();
            Field::number(size, bytes(size))
        },
    },
    Column {
        key: "moving_in",
        title: "MOVING IN",
        rank: Rank::Wide,
        field: |row| {
            let coming = row.dir.replicas.iter().filter(|replica| replica.future).count();
            Field::number(coming as i64, coming)
        },
    },
    Column {
        key: "error",
        title: "ERROR",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.dir.error.as_ref()),
    },
];
