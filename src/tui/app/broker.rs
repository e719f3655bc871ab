//! Brokers by availability zone, and one broker opened: its partitions, log directories and configs.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::config::{ConfigSource, differs_by_nature};
use crate::model::row::broker::{BrokerRow, BrokerState, ZoneRow};
use crate::model::row::{Cell, Rows};
use crate::model::topic::Role;
use crate::model::{BrokerId, Moment, Snapshot};

use super::field::{Field, Tone, strain};
use super::logdir;
use super::partition;
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};
use super::text;
use super::volume;

/// All brokers, a section for each zone.
pub fn list(rows: &Rows) -> Table {
    Table {
        columns: columns(),
        sections: rows.zones.iter().map(section).collect(),
        rows: rows.brokers.iter().map(row).collect(),
        noun: "broker",
        empty: "no broker has told of itself yet".to_owned(),
        folds: true,
        ..Table::default()
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("id", "id", 0).width(3, 6).right(),
        Column::new("state", "state", 0).width(6, 18),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("leaders", "lead", 3).width(4, 7).right(),
        Column::new("replicas", "repl", 4).width(4, 7).right(),
        Column::new("isr_misses", "miss", 1).width(4, 6).right(),
        Column::new("leader_skew_percent", "lead ±", 7).width(6, 6).right(),
        Column::new("size_skew_percent", "bytes ±", 7).width(7, 7).right(),
        Column::new("led_elsewhere", "led elsewhere", 8).width(4, 7).right(),
        Column::new("rack_violations", "rack", 8).width(4, 6).right(),
        Column::new("used_percent", "disk used", 1).width(4, 5).right().bar(7),
        Column::new("full_in_seconds", "full in", 3).width(7, 8),
        Column::new("throughput_percent", "EBS throughput", 2)
            .width(10, 12)
            .bar(5),
        Column::new("binding", "binds", 6).width(12, 24),
        Column::new("zone_down_percent", "AZ lost", 4).width(7, 7).right(),
        Column::new("iops_percent", "IOPS", 6).width(4, 5).right(),
        Column::new("network_percent", "net", 5).width(4, 5).right().bar(4),
        Column::new("cpu_percent", "cpu", 4).width(4, 5).right(),
        Column::new("rtt_ms", "rtt ms", 3).width(6, 6).right(),
        Column::new("instance_type", "instance", 6).width(8, 14),
        Column::new("up_seconds", "up", 7).width(4, 6),
        Column::new("instance", "instance id", 8).width(12, 20),
        Column::new("host", "address", 8).width(9, 34),
        Column::new("used_bytes", "used", 9).width(7, 9).right(),
        Column::new("total_bytes", "of", 9).width(7, 9).right(),
        Column::new("growth_bytes_per_second", "growth", 9).width(8, 10).right(),
        Column::new("network_in_bytes_per_second", "net in", 9)
            .width(8, 10)
            .right(),
        Column::new("network_out_bytes_per_second", "net out", 9)
            .width(8, 10)
            .right(),
        Column::new("bytes_in_per_second", "bytes in", 9).width(8, 10).right(),
        Column::new("bytes_out_per_second", "bytes out", 9).width(8, 10).right(),
        Column::new("request_idle_percent", "req idle", 9).width(4, 8).right(),
        Column::new("produce_p99_ms", "produce p99 ms", 9).width(6, 8).right(),
        Column::new("fetch_p99_ms", "fetch p99 ms", 9).width(6, 8).right(),
        Column::new("disk_write_ms", "disk write ms", 9).width(6, 8).right(),
        Column::new("host_cpu_percent", "host cpu", 9).width(4, 8).right(),
        Column::new("rack", "rack", 9).width(4, 14),
    ]
}

fn row(broker: &BrokerRow) -> Row {
    let of_count = |cell: &Cell<u32>| Field::of(cell, |n| Field::count(i64::from(*n)));
    let of_bytes = |cell: &Cell<u64>| Field::of(cell, |n| Field::new(text::bytes(*n as f64)).number(*n as f64));
    let of_rate = |cell: &Cell<f64>| Field::of(cell, |n| Field::new(text::rate(*n)).number(*n));
    let of_ms = |cell: &Cell<f64>| Field::of(cell, |ms| Field::new(text::milliseconds(*ms)).number(*ms));
    let misses = of_count(&broker.isr_misses);
    let misses = if misses.number.is_some_and(|n| n > 0.0) {
        misses.tone(Tone::Error)
    } else {
        misses
    };
    let throughput = Field::gauge(&broker.throughput_percent);
    let throughput = match broker.throughput_limit_mb_per_second.value {
        Some(limit) if !throughput.is_unknown() => Field {
            text: format!("{} of {limit:.0}", throughput.text),
            ..throughput
        },
        _ => throughput,
    };
    let mut fields = vec![
        Field::id(broker.id),
        state(broker),
        Field::default(),
        of_count(&broker.leaders),
        of_count(&broker.replicas),
        misses,
        skew(&broker.leader_skew_percent),
        skew(&broker.size_skew_percent),
        of_count(&broker.led_elsewhere),
        of_count(&broker.rack_violations),
        Field::gauge(&broker.used_percent),
        full_in(&broker.full_in_seconds, &broker.used_percent),
        throughput,
        volume::binding(&broker.binding),
        Field::of(&broker.zone_down_percent, |percent| {
            Field::new(text::percent(*percent))
                .number(*percent)
                .tone(volume::over(*percent))
        }),
        Field::percent(&broker.iops_percent),
        Field::gauge(&broker.network_percent),
        Field::percent(&broker.cpu_percent),
        of_ms(&broker.rtt_ms),
        Field::of(&broker.instance_type, |kind| Field::new(kind.clone())),
        Field::of(&broker.up_seconds, |s| {
            Field::new(text::span(*s as f64)).number(*s as f64)
        }),
        Field::of(&broker.instance, |id| Field::new(id.clone())),
        Field::new(format!("{}:{}", broker.host, broker.port)),
        of_bytes(&broker.used_bytes),
        of_bytes(&broker.total_bytes),
        of_rate(&broker.growth_bytes_per_second),
        of_rate(&broker.network_in_bytes_per_second),
        of_rate(&broker.network_out_bytes_per_second),
        of_rate(&broker.bytes_in_per_second),
        of_rate(&broker.bytes_out_per_second),
        Field::percent(&broker.request_idle_percent),
        of_ms(&broker.produce_p99_ms),
        of_ms(&broker.fetch_p99_ms),
        of_ms(&broker.disk_write_ms),
        Field::percent(&broker.host_cpu_percent),
        broker
            .rack
            .clone()
            .map_or_else(|| Field::unknown("broker.rack is not set"), Field::new),
    ];
    set_age(&mut fields, 2);
    Row {
        key: broker.id.to_string(),
        section: broker.zone.clone(),
        badness: badness(broker),
        notes: notes(broker),
        opens: Some(Place::open(Noun::Broker, broker.id.to_string())),
        fields,
    }
}

/// A quarter off the fair share is a warning.
fn skew(cell: &Cell<f64>) -> Field {
    Field::of(cell, |skew| {
        let tone = if skew.abs() >= 25.0 { Tone::Warn } else { Tone::Plain };
        Field::new(partition::skew(*skew)).number(*skew).tone(tone)
    })
}

/// The age column: the oldest value of the row, in coarse steps; empty while all are fresh.
pub(super) fn set_age(fields: &mut [Field], column: usize) {
    if let Some(age) = fields.iter().filter_map(Field::age).max() {
        fields[column] = Field::new(text::age(age)).tone(Tone::Warn).number(age as f64);
    }
}

fn state(broker: &BrokerRow) -> Field {
    let (glyph, tone) = match broker.state {
        BrokerState::Up => ("●", Tone::Ok),
        BrokerState::Fenced => ("○", Tone::Error),
        BrokerState::Unreachable => ("✖", Tone::Error),
        BrokerState::Unknown => ("?", Tone::Unknown),
    };
    let controller = if broker.is_controller { " ctrl" } else { "" };
    Field::new(format!("{glyph} {}{controller}", broker.state))
        .tone(tone)
        .why(broker.state_reason.clone())
}

/// Within a day is an alarm, within three a warning; but while most of the disk is free, only within the half hour.
pub(super) fn filling(seconds: f64, used_percent: Option<f64>) -> Tone {
    match (seconds, used_percent) {
        (s, Some(used)) if used < 20.0 || (used < 60.0 && s >= 1800.0) => Tone::Plain,
        (s, _) if s < 86_400.0 => Tone::Error,
        (s, _) if s < 3.0 * 86_400.0 => Tone::Warn,
        _ => Tone::Plain,
    }
}

pub(super) fn full_in(cell: &Cell<f64>, used: &Cell<f64>) -> Field {
    let show = |seconds: &f64| {
        let tone = filling(*seconds, used.value);
        Field::new(text::span(*seconds)).number(*seconds).tone(tone)
    };
    Field::of(cell, show).none_when(&["not growing"])
}

fn badness(broker: &BrokerRow) -> u64 {
    let state = match broker.state {
        BrokerState::Unreachable => 10_000,
        BrokerState::Fenced => 9_000,
        BrokerState::Unknown => 5_000,
        BrokerState::Up => 0,
    };
    let offline = if broker.offline_dirs.value.is_some_and(|dirs| dirs > 0) {
        4_000
    } else {
        0
    };
    let misses = if broker.isr_misses.value.is_some_and(|misses| misses > 0) {
        1_000
    } else {
        0
    };
    let strained = |cell: &Cell<f64>| match cell.value.map(strain) {
        Some(Tone::Error) => 200,
        Some(Tone::Warn) => 20,
        _ => 0,
    };
    let limits = [
        &broker.used_percent,
        &broker.throughput_percent,
        &broker.iops_percent,
        &broker.network_percent,
    ];
    state + offline + misses + limits.into_iter().map(strained).sum::<u64>() + strained(&broker.cpu_percent)
}

fn notes(broker: &BrokerRow) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reason) = &broker.state_reason {
        notes.push(reason.clone());
    }
    if let (Some(id), Some(method)) = (&broker.instance.value, &broker.instance_method) {
        let state = broker.instance_state.value.as_deref().unwrap_or("state unknown");
        notes.push(format!("{id} {state}, found by {method}"));
    }
    if let Some(elsewhere) = broker.led_elsewhere.value.filter(|n| *n > 0) {
        notes.push(format!(
            "{elsewhere} partitions prefer it as their leader and are led elsewhere"
        ));
    }
    if let Some(violations) = broker.rack_violations.value.filter(|n| *n > 0) {
        notes.push(format!("{violations} replicas here lie in fewer racks than they could"));
    }
    if !broker.volumes.is_empty() {
        notes.push(format!("volumes {}", broker.volumes.join(" ")));
    }
    if let Some(load) = &broker.binding.value {
        let lost = match (broker.zone_down_percent.value, &broker.zone_down) {
            (Some(percent), Some(zone)) => format!(" · with {zone} lost {}", text::percent(percent)),
            _ => String::new(),
        };
        notes.push(format!("{}{lost}", volume::bound(load)));
    } else if let (Some(name), Some(limit)) = (
        &broker.throughput_limit_name,
        broker.throughput_limit_mb_per_second.value,
    ) {
        notes.push(format!("throughput is bound by {name}: {limit:.0} MB/s"));
    }
    notes
}

fn section(zone: &ZoneRow) -> Section {
    let name = zone.zone_name.clone().unwrap_or_default();
    let all_up = zone.up == zone.brokers;
    let up = format!("{}/{} up", zone.up, zone.brokers);
    let rate = |label: &str, cell: &Cell<f64>| {
        let field = Field::of(cell, |bytes| Field::new(text::rate(*bytes)));
        Field {
            text: format!("{label} {}", field.text),
            ..field
        }
    };
    let leaders = Field::of(&zone.leaders, |leaders| {
        let share = zone
            .leader_percent
            .value
            .map(|p| format!(" ({})", text::percent(p)))
            .unwrap_or_default();
        Field::new(format!("{}{share}", text::count(i64::from(*leaders))))
    });
    let replicas = Field::of(&zone.replicas, |replicas| Field::count(i64::from(*replicas)));
    let mut title = vec![Field::new(zone.key.clone()).tone(Tone::Section)];
    if !name.is_empty() && name != zone.key {
        title.push(Field::muted(name));
    }
    title.push(Field::new(up).tone(if all_up { Tone::Ok } else { Tone::Error }));
    title.push(Field {
        text: format!("leaders {}", leaders.text),
        ..leaders
    });
    title.push(Field {
        text: format!("replicas {}", replicas.text),
        ..replicas
    });
    if zone.in_bytes_per_second.value.is_some() {
        title.push(rate("in", &zone.in_bytes_per_second));
        title.push(rate("out", &zone.out_bytes_per_second));
    }
    let bytes = Field::of(&zone.size_bytes, |bytes| Field::new(text::bytes(*bytes as f64)));
    let share = zone.size_skew_percent.value.map(partition::skew);
    title.push(Field {
        text: match share {
            Some(share) => format!("bytes {} ({share})", bytes.text),
            None => format!("bytes {}", bytes.text),
        },
        ..bytes
    });
    if let Some(false) = zone.ec2.value {
        let age = zone.ec2.stale_seconds.map(text::age).unwrap_or_default();
        title.push(
            Field::new(format!("EC2 facts {age} old"))
                .tone(Tone::Warn)
                .why(zone.ec2.reason.clone()),
        );
    }
    Section {
        key: zone.key.clone(),
        title,
    }
}

/// One broker at one of its pages.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str, tab: usize, now: Moment) -> Table {
    let Ok(id) = name.parse::<BrokerId>() else {
        return Table {
            empty: format!("{name} is no broker id"),
            ..Table::default()
        };
    };
    match tab {
        0 => partitions(rows, snapshot, id, now),
        1 => logdir::of_broker(rows, snapshot, id),
        _ => configs(snapshot, id, now),
    }
}

fn partitions(rows: &Rows, snapshot: &Snapshot, id: BrokerId, now: Moment) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 48),
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("role", "role", 0).width(11, 13),
        Column::new("isr", "ISR", 1).width(5, 5).right(),
        Column::new("size_bytes", "size here", 2).width(9, 9).right(),
        Column::new("share", "of log dirs", 4).width(5, 5).right().bar(8),
        Column::new("rate", "records/s", 2).width(9, 9).right(),
        Column::new("faults", "", 1).width(0, 40),
    ];
    let section = snapshot.logdirs.get(&id);
    let mut sizes: BTreeMap<(&str, i32), u64> = BTreeMap::new();
    for replica in section
        .and_then(|dirs| dirs.get())
        .into_iter()
        .flatten()
        .flat_map(|dir| dir.replicas.iter())
    {
        sizes.insert((replica.topic.as_str(), replica.partition), replica.size_bytes);
    }
    let total: u64 = sizes.values().sum();
    let row = |(part, role): (partition::PartitionRow<'_>, Role)| {
        let size = match section {
            Some(dirs) => Cell::from(dirs, now, "the broker names no log of it", |_| {
                sizes.get(&(part.topic(), part.partition)).copied()
            }),
            None => Cell::unknown("not asked yet"),
        };
        let share = size.map(|size| (total > 0).then(|| *size as f64 * 100.0 / total as f64));
        let share = Field::gauge(&share);
        Row {
            key: format!("{}-{}", part.topic(), part.partition),
            badness: partition::badness(part.badges()),
            fields: vec![
                Field::new(part.topic()),
                Field::id(part.partition),
                partition::role_in_words(role),
                partition::isr(&part),
                Field::of(&size, |size| Field::new(text::bytes(*size as f64)).number(*size as f64)),
                if share.is_unknown() {
                    share
                } else {
                    share.tone(Tone::Plain)
                },
                Field::of(&part.rate(), |rate| Field::new(text::scaled(*rate)).number(*rate)),
                partition::badges(part.badges()),
            ],
            notes: partition::notes(&part),
            opens: Some(Place::open(Noun::Topic, part.topic())),
            ..Row::default()
        }
    };
    let here = rows.partitions.iter().filter_map(|part| Some((part, part.role(id)?)));
    Table {
        columns,
        rows: here.map(row).collect(),
        noun: "replica",
        empty: format!("broker {id} holds no replica"),
        ..Table::default()
    }
}

fn configs(snapshot: &Snapshot, id: BrokerId, now: Moment) -> Table {
    let columns = vec![
        Column::new("name", "config", 0).width(30, 54),
        Column::new("value", "value", 0).width(8, 60),
        Column::new("source", "source", 1).width(8, 22),
        Column::new("drift", "against peers", 1).width(13, 40),
        Column::new("read_only", "changes", 3).width(12, 12),
    ];
    let Some(section) = snapshot.broker_configs.get(&id) else {
        let empty = "the configs of this broker were not asked yet".to_owned();
        return Table {
            columns,
            noun: "config",
            empty,
            ..Table::default()
        };
    };
    let age = (!section.is_fresh()).then(|| section.age_seconds(now)).flatten();
    let row = |config: &crate::model::config::Config| {
        let drift = drift(snapshot, id, &config.name, config.value.as_deref());
        let set = !matches!(config.source, ConfigSource::Default);
        let value = match (&config.value, config.sensitive) {
            (_, true) => Field::muted("sensitive"),
            (Some(value), _) if value.is_empty() => Field::muted("\"\""),
            (Some(value), _) => Field::new(value.clone()),
            (None, _) => Field::none(),
        };
        Row {
            key: config.name.clone(),
            badness: u64::from(!drift.is_empty()),
            fields: vec![
                Field::new(config.name.clone()).tone(if set { Tone::Title } else { Tone::Plain }),
                value.aged(age).why(section.problem()),
                Field::new(config.source.to_string()).tone(if set { Tone::Accent } else { Tone::Muted }),
                match drift.is_empty() {
                    true => Field::muted(""),
                    false => Field::new(format!("▲ {drift}")).tone(Tone::Warn),
                },
                Field::muted(if config.read_only { "with restart" } else { "live" }),
            ],
            notes: config.documentation.iter().map(|words| words.to_string()).collect(),
            opens: Some(Place::open(Noun::Config, config.name.clone())),
            ..Row::default()
        }
    };
    let mut all: Vec<_> = section.get().into_iter().flatten().collect();
    all.sort_by_key(|config| (matches!(config.source, ConfigSource::Default), &config.name));
    Table {
        columns,
        rows: all.into_iter().map(row).collect(),
        noun: "config",
        empty: section
            .problem()
            .unwrap_or_else(|| "the broker tells no configs".to_owned()),
        ..Table::default()
    }
}

/// Peers whose value differs: `2, 3 have 8`. Empty when all agree or by nature differ.
fn drift(snapshot: &Snapshot, id: BrokerId, name: &str, value: Option<&str>) -> String {
    if differs_by_nature(name) {
        return String::new();
    }
    let mut others: BTreeMap<&str, BTreeSet<BrokerId>> = BTreeMap::new();
    for (peer, configs) in snapshot.broker_configs.iter().filter(|(peer, _)| **peer != id) {
        let theirs = configs.get().into_iter().flatten().find(|config| config.name == name);
        if let Some(theirs) = theirs.filter(|theirs| theirs.value.as_deref() != value) {
            others
                .entry(theirs.value.as_deref().unwrap_or("unset"))
                .or_default()
                .insert(*peer);
        }
    }
    let says = |(value, peers): (&str, BTreeSet<BrokerId>)| {
        let peers: Vec<String> = peers.iter().map(BrokerId::to_string).collect();
        let verb = if peers.len() == 1 { "has" } else { "have" };
        format!("{} {verb} {value}", peers.join(", "))
    };
    others.into_iter().map(says).collect::<Vec<_>>().join(" · ")
}
