//! EBS volumes: what fills them, which limit binds, and what AWS does to them.

use crate::model::logdir::Replica;
use crate::model::row::volume::VolumeRow;
use crate::model::row::{Cell, Rows};
use crate::model::{BrokerId, Moment, Snapshot};

use super::broker::{full_in, set_age};
use super::field::{Field, Tone, strain};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// All volumes that back a log directory, or might.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        Column::new("broker", "broker", 0).width(6, 6).right(),
        Column::new("logdir", "log dir", 0).width(7, 28),
        Column::new("volume", "volume", 3).width(8, 22),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("volume_type", "type", 3).width(4, 8),
        Column::new("size_gib", "size", 3).width(8, 9).right(),
        Column::new("used_percent", "used", 1).width(4, 5).right().bar(7),
        Column::new("full_in_seconds", "full in", 1).width(7, 8),
        Column::new("throughput_percent", "MB/s of limit", 1)
            .width(13, 13)
            .right()
            .bar(5),
        Column::new("iops_percent", "IOPS of limit", 3)
            .width(14, 15)
            .right()
            .bar(4),
        Column::new("write_latency_ms", "write ms", 4).width(8, 8).right(),
        Column::new("read_latency_ms", "read ms", 5).width(7, 7).right(),
        Column::new("queue_length", "queue", 5).width(5, 6).right(),
        Column::new("health", "health", 1).width(6, 12),
        Column::new("modification", "modification", 4).width(12, 36),
        Column::new("burst_percent", "burst", 7).width(5, 5).right(),
        Column::new("encrypted", "encrypted", 8).width(9, 9),
        Column::new("zone", "zone", 8).width(10, 14),
        Column::new("instance", "instance", 9).width(12, 20),
        Column::new("device", "device", 9).width(8, 14),
    ];
    Table {
        columns,
        rows: rows.volumes.iter().map(row).collect(),
        noun: "volume",
        empty: empty(snapshot),
        ..Table::default()
    }
}

/// Why there is no volume to show: the AWS plane's own words.
fn empty(snapshot: &Snapshot) -> String {
    let sections = snapshot
        .cloud
        .volumes
        .values()
        .filter_map(crate::model::Observed::problem);
    let why = snapshot.cloud.zones.problem().or_else(|| sections.into_iter().next());
    match why {
        Some(why) => format!("no volume is known: {why}"),
        None => "no volume of a broker's instance is known".to_owned(),
    }
}

fn row(volume: &VolumeRow) -> Row {
    let number = |cell: &Cell<f64>| Field::of(cell, |n| Field::new(text::milliseconds(*n)).number(*n));
    let mut fields = vec![
        match volume.broker {
            Some(id) => Field::count(i64::from(id)),
            None => Field::unknown(volume.method.clone()),
        },
        match &volume.logdir {
            Some(dir) => Field::new(dir.clone()),
            None => Field::unknown(volume.method.clone()),
        },
        Field::new(volume.id.clone()),
        Field::default(),
        Field::new(volume.volume_type.clone()),
        Field::new(format!("{} GiB", text::count(volume.size_gib))).number(volume.size_gib as f64),
        Field::gauge(&volume.used_percent),
        full_in(&volume.full_in_seconds),
        of_limit(
            &volume.throughput_percent,
            &volume.throughput_mb_per_second,
            &volume.throughput_limit_mb_per_second,
        ),
        of_limit(&volume.iops_percent, &volume.iops, &volume.iops_limit),
        number(&volume.write_latency_ms),
        number(&volume.read_latency_ms),
        number(&volume.queue_length),
        health(volume),
        match &volume.modification {
            Some(text) => Field::new(text.clone()).tone(Tone::Accent),
            None => Field::none(),
        },
        Field::percent(&volume.burst_percent).none_when(&["does not burst"]),
        match volume.encrypted {
            true => Field::new("yes"),
            false => Field::new("no").tone(Tone::Warn),
        },
        Field::new(volume.zone.clone()),
        volume.instance.clone().map_or_else(Field::none, Field::new),
        volume.device.clone().map_or_else(Field::none, Field::new),
    ];
    if let Some(age) = volume.stale_seconds {
        for at in [2, 4, 5] {
            fields[at].age = Some(age);
        }
    }
    set_age(&mut fields, 3);
    Row {
        key: volume.id.clone(),
        badness: badness(volume),
        fields,
        notes: notes(volume),
        opens: Some(Place::open(Noun::Volume, volume.id.clone())),
        ..Row::default()
    }
}

/// `38 of 131`: used of the limit, with the bar of the percentage.
fn of_limit(percent: &Cell<f64>, used: &Cell<f64>, limit: &Cell<f64>) -> Field {
    let field = Field::gauge(percent);
    match (used.value, limit.value) {
        (Some(used), Some(limit)) => {
            let text = format!(
                "{} of {}",
                text::count(used.round() as i64),
                text::count(limit.round() as i64)
            );
            Field { text, ..field }
        }
        _ => field,
    }
}

fn health(volume: &VolumeRow) -> Field {
    let stalled = volume.stalled.value;
    match (volume.state.as_str(), stalled) {
        (_, Some(true)) => Field::new("✖ stalled").tone(Tone::Error),
        ("in-use", Some(false)) => Field::new("● ok").tone(Tone::Ok),
        ("in-use", None) => {
            let field = Field::of(&volume.stalled, |_| Field::default());
            Field {
                text: "? in use".to_owned(),
                ..field
            }
        }
        (state, _) => Field::new(format!("▲ {state}")).tone(Tone::Warn),
    }
}

fn badness(volume: &VolumeRow) -> u64 {
    let stalled = if volume.stalled.value == Some(true) { 10_000 } else { 0 };
    let detached = if volume.state == "in-use" { 0 } else { 1_000 };
    let strained = |cell: &Cell<f64>| match cell.value.map(strain) {
        Some(Tone::Error) => 200,
        Some(Tone::Warn) => 20,
        _ => 0,
    };
    let limits = [&volume.used_percent, &volume.throughput_percent, &volume.iops_percent];
    stalled + detached + limits.into_iter().map(strained).sum::<u64>()
}

fn notes(volume: &VolumeRow) -> Vec<String> {
    let mut notes = vec![match &volume.logdir {
        Some(dir) => format!("backs {dir}, found by {}", volume.method),
        None => format!("log dir unknown: {}", volume.method),
    }];
    if let Some(growth) = volume.growth_bytes_per_second.value {
        notes.push(format!("grows by {}", text::rate(growth)));
    }
    notes
}

/// What lies on one volume, largest first.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 48),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("size_bytes", "size", 0).width(9, 9).right(),
        Column::new("share", "of the log dir", 1).width(5, 5).right().bar(12),
        Column::new("lag", "lag", 2).width(9, 12).right(),
    ];
    let volume = rows.volumes.iter().find(|volume| volume.id == name);
    let backing = volume.and_then(|volume| Some((volume.broker?, volume.logdir.as_deref()?)));
    let empty = match (volume, backing) {
        (None, _) => format!("volume {name} is not known"),
        (Some(volume), None) => format!("the log dir on it is unknown: {}", volume.method),
        (Some(_), Some(_)) => "no replica lies on it".to_owned(),
    };
    let found = backing
        .map(|(broker, path)| replicas(snapshot, broker, path, now))
        .unwrap_or_default();
    let total: u64 = found.iter().map(|(replica, _)| replica.size_bytes).sum();
    let row = |(replica, age): &(&Replica, Option<i64>)| {
        let percent = if total > 0 {
            replica.size_bytes as f64 * 100.0 / total as f64
        } else {
            0.0
        };
        let share = Field::gauge(&Cell::known(percent)).tone(Tone::Plain);
        Row {
            key: format!("{}-{}", replica.topic, replica.partition),
            fields: vec![
                Field::new(replica.topic.clone()),
                Field::count(i64::from(replica.partition)),
                Field {
                    age: *age,
                    ..Field::new(text::bytes(replica.size_bytes as f64)).number(replica.size_bytes as f64)
                },
                share,
                Field::count(replica.lag_records),
            ],
            opens: Some(Place::open(Noun::Topic, replica.topic.clone())),
            ..Row::default()
        }
    };
    Table {
        columns,
        rows: found.iter().map(row).collect(),
        noun: "replica",
        empty,
        ..Table::default()
    }
}

fn replicas<'a>(snapshot: &'a Snapshot, broker: BrokerId, path: &str, now: Moment) -> Vec<(&'a Replica, Option<i64>)> {
    let Some(section) = snapshot.logdirs.get(&broker) else {
        return Vec::new();
    };
    let age = (!section.is_fresh()).then(|| section.age_seconds(now)).flatten();
    let dirs = section.get().into_iter().flatten().filter(|dir| dir.path == path);
    let mut found: Vec<_> = dirs
        .flat_map(|dir| &dir.replicas)
        .map(|replica| (replica, age))
        .collect();
    found.sort_by_key(|(replica, _)| std::cmp::Reverse(replica.size_bytes));
    found
}
