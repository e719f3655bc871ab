//! EBS volumes: what fills them, which limit binds, and what AWS does to them.

use crate::model::limit::{self, Load};
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
        Column::new("logdir", "log dir", 3).width(7, 28),
        Column::new("volume", "volume", 0).width(21, 22),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("volume_type", "type", 3).width(4, 8),
        Column::new("size_gib", "size", 3).width(8, 9).right(),
        Column::new("used_percent", "used", 1).width(4, 5).right().bar(7),
        Column::new("full_in_seconds", "full in", 1).width(7, 8),
        Column::new("throughput_percent", "MB/s of limit", 1)
            .width(10, 13)
            .right()
            .bar(4),
        Column::new("binding", "binds", 3).width(12, 24),
        Column::new("zone_down_percent", "AZ lost", 2).width(7, 7).right(),
        Column::new("iops_percent", "IOPS of limit", 4)
            .width(14, 15)
            .right()
            .bar(4),
        Column::new("write_latency_ms", "write ms", 4).width(8, 8).right(),
        Column::new("latency_vs_peers", "vs peers", 2).width(8, 8).right(),
        Column::new("read_latency_ms", "read ms", 5).width(7, 7).right(),
        Column::new("queue_length", "queue", 5).width(5, 6).right(),
        Column::new("health", "health", 0).width(6, 12),
        Column::new("modification", "modification", 4).width(12, 36),
        Column::new("burst_percent", "burst", 6).width(5, 5).right(),
        Column::new("instance_burst_percent", "EC2 burst", 6)
            .width(9, 9)
            .right(),
        Column::new("snapshot_age_seconds", "snapshot", 7).width(8, 8),
        Column::new("filesystem_percent", "file system", 8)
            .width(11, 11)
            .right(),
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
            Some(id) => Field::id(id),
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
        full_in(&volume.full_in_seconds, &volume.used_percent),
        of_limit(
            &volume.throughput_percent,
            &volume.throughput_mb_per_second,
            &volume.throughput_limit_mb_per_second,
        ),
        binding(&volume.binding),
        Field::of(&volume.zone_down_percent, |percent| {
            Field::new(text::percent(*percent))
                .number(*percent)
                .tone(over(*percent))
        }),
        of_limit(&volume.iops_percent, &volume.iops, &volume.iops_limit),
        number(&volume.write_latency_ms),
        Field::of(&volume.latency_vs_peers, |times| {
            let slow = is_slow(volume);
            Field::new(format!("{}×", text::milliseconds(*times)))
                .number(*times)
                .tone(if slow { Tone::Warn } else { Tone::Plain })
        }),
        number(&volume.read_latency_ms),
        number(&volume.queue_length),
        health(volume),
        match &volume.modification {
            Some(text) => Field::new(text.clone()).tone(Tone::Accent),
            None => Field::none(),
        },
        credit(&volume.burst_percent).none_when(&["does not burst"]),
        credit(&volume.instance_burst_percent).none_when(&["only types that burst"]),
        snapshot_age(&volume.snapshot_age_seconds),
        Field::of(&volume.filesystem_percent, |percent| {
            let tone = if *percent < LEAST_FILE_SYSTEM {
                Tone::Warn
            } else {
                Tone::Plain
            };
            Field::new(text::percent(*percent)).number(*percent).tone(tone)
        }),
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
            fields[at] = std::mem::take(&mut fields[at]).aged(Some(age));
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

/// A file system that takes less of its volume was not extended after the volume grew.
const LEAST_FILE_SYSTEM: f64 = 93.0;

/// `gp3 125 MiB/s 58%`, `network 71%`: what is met first, and how much of it is in use.
pub(super) fn binding(cell: &Cell<Load>) -> Field {
    Field::of(cell, |load| {
        let percent = load.percent();
        Field::new(format!("{} {}", load.kind.words(), text::percent(percent)))
            .number(percent)
            .tone(strain(percent))
    })
}

/// More than the limit is what does not go on.
pub(super) fn over(percent: f64) -> Tone {
    match percent {
        p if p >= 100.0 => Tone::Error,
        p if p >= 75.0 => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// What is left of a burst credit: under half is a warning, under a fifth an alarm.
fn credit(cell: &Cell<f64>) -> Field {
    Field::of(cell, |percent| {
        let tone = match *percent {
            p if p < 20.0 => Tone::Error,
            p if p < 50.0 => Tone::Warn,
            _ => Tone::Plain,
        };
        Field::new(text::percent(*percent)).number(*percent).tone(tone)
    })
}

fn snapshot_age(cell: &Cell<i64>) -> Field {
    let field = Field::of(cell, |age| Field::new(text::span(*age as f64)).number(*age as f64));
    match field.is_unknown() && cell.reason.as_ref().is_some_and(|why| why.starts_with("no snapshot")) {
        true => Field {
            text: "none".to_owned(),
            tone: Tone::Warn,
            ..field
        },
        false => field,
    }
}

/// Three times as slow as its peers, and slow enough to matter.
fn is_slow(volume: &VolumeRow) -> bool {
    let times = volume.latency_vs_peers.value.is_some_and(|times| times >= 3.0);
    times && volume.write_latency_ms.value.is_some_and(|ms| ms >= 2.0)
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
    let bound = volume.binding.map(|load| Some(load.percent()));
    let lost = if volume.zone_down_percent.value.is_some_and(|percent| percent >= 100.0) {
        10
    } else {
        0
    };
    let spent = [&volume.burst_percent, &volume.instance_burst_percent]
        .into_iter()
        .map(|cell| match credit(cell).tone {
            Tone::Error => 200,
            Tone::Warn => 20,
            _ => 0,
        })
        .sum::<u64>();
    let slow = if is_slow(volume) { 100 } else { 0 };
    let unextended = volume
        .filesystem_percent
        .value
        .is_some_and(|percent| percent < LEAST_FILE_SYSTEM);
    let weak = lost + spent + slow + if unextended { 20 } else { 0 } + strained(&bound);
    stalled + detached + weak + limits.into_iter().map(strained).sum::<u64>()
}

fn notes(volume: &VolumeRow) -> Vec<String> {
    let mut notes = vec![match &volume.logdir {
        Some(dir) => format!("backs {dir}, found by {}", volume.method),
        None => format!("log dir unknown: {}", volume.method),
    }];
    if let Some(growth) = volume.growth_bytes_per_second.value {
        notes.push(format!("grows by {}", text::rate(growth)));
    }
    if volume.incoming_bytes > 0 {
        notes.push(format!(
            "moves in flight bring {} more: full in counts them",
            text::bytes(volume.incoming_bytes as f64)
        ));
    }
    if let Some(load) = &volume.binding.value {
        notes.push(bound(load));
        if let (Some(percent), Some(zone)) = (volume.zone_down_percent.value, &volume.zone_down) {
            notes.push(format!("with {zone} lost {} of it", text::percent(percent)));
        }
        if let Some(raise) = &volume.raise.value {
            notes.push(format!("to raise it: {raise}"));
        }
    }
    notes.extend(limit::type_note(&volume.volume_type).map(str::to_owned));
    if volume.modifications_24h > 0 {
        let next = match volume.modification_state.as_deref() {
            Some("completed" | "failed") => "the next may begin",
            _ => "the next may begin once this one is completed",
        };
        notes.push(format!(
            "{} of 4 modifications in 24 h seen (EC2 tells the last only): {next}",
            volume.modifications_24h
        ));
    }
    let share = volume
        .filesystem_percent
        .value
        .filter(|share| *share < LEAST_FILE_SYSTEM);
    if let Some(share) = share {
        notes.push(format!(
            "the file system takes {} of the volume: extend it (growpart, then xfs_growfs or resize2fs)",
            text::percent(share)
        ));
    }
    if is_slow(volume) {
        notes.push("slower than its peers by far: nothing else may show it (gray failure)".to_owned());
    }
    notes
}

/// `bound by gp3 125 MiB/s: 76 of 131 MB/s`.
pub(super) fn bound(load: &Load) -> String {
    let number = |value: f64| text::count(value.round() as i64);
    format!(
        "bound by {}: {} of {} {}",
        load.name,
        number(load.used),
        number(load.limit),
        load.kind.unit()
    )
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
                Field::new(replica.topic.as_str()),
                Field::id(replica.partition),
                Field::new(text::bytes(replica.size_bytes as f64))
                    .number(replica.size_bytes as f64)
                    .aged(*age),
                share,
                Field::count(replica.lag_records),
            ],
            opens: Some(Place::open(Noun::Topic, replica.topic.as_str())),
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
        .flat_map(|dir| dir.replicas.iter())
        .map(|replica| (replica, age))
        .collect();
    found.sort_by_key(|(replica, _)| std::cmp::Reverse(replica.size_bytes));
    found
}
