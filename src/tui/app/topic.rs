//! Topics and partitions as a placement matrix: rows are topics (or one topic's partitions), columns are brokers by zone.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthStr;

use crate::model::config::ConfigSource;
use crate::model::row::broker::{BrokerRow, BrokerState, ZoneRow};
use crate::model::row::config::OverrideRow;
use crate::model::row::partition::PartitionRow;
use crate::model::row::topic::{self, TopicCell, TopicRow};
use crate::model::row::{Cell, Rows};
use crate::model::{BrokerId, Moment, Snapshot, spark};

use super::config;
use super::field::{Field, Tone};
use super::partition::{self, Badge};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// With more brokers than this the matrix has a column for each zone, and for each faulty or marked broker.
const WIDE_ABOVE: usize = 20;

/// So much of a topic's name stays, whatever is wrong with it.
const NAME: u16 = 14;

/// A column of the matrix: one broker, or the folded brokers of a zone.
struct Slot {
    /// Of the column.
    id: String,
    title: String,
    group: String,
    brokers: Vec<BrokerId>,
}

/// All topics. `marked` are brokers marked on their own screen; `heat` shows bytes instead of roles.
pub fn list(rows: &Rows, snapshot: &Snapshot, marked: &BTreeSet<String>, heat: bool) -> Table {
    let slots = slots(rows, marked);
    let mut bare: Vec<Row> = rows.topics.iter().map(row).collect();
    let longest = rows.topics.iter().map(|topic| topic.name.width()).max().unwrap_or(0);
    let longest = u16::try_from(longest).unwrap_or(u16::MAX);
    let mut columns = vec![
        Column::new("topic", "topic", 0).width(NAME.min(longest).max(8), 40),
        Column::new("partitions", "part", 2).width(4, 6).right(),
        Column::new("replication", "RF/min", 4).width(6, 6),
        Column::new("size_bytes", "size", 3).width(8, 8).right(),
        Column::new("rate", "records/s", 4).width(9, 9).right(),
        partition::faults(bare.iter().filter_map(|row| row.fields.last())),
    ];
    let fixed = columns.len();
    columns.extend(slot_columns(&slots));
    let brokers: Vec<&[BrokerId]> = slots.iter().map(|slot| slot.brokers.as_slice()).collect();
    let cells = topic::cells(snapshot, &rows.partitions, &brokers);
    let most = cells.iter().map(|cell| cell.size_bytes).max().unwrap_or(0);
    let mut totals = vec![TopicCell::default(); slots.len()];
    // Without slots there is no cell, and every topic is as it is.
    for (row, cells) in bare.iter_mut().zip(cells.chunks(slots.len().max(1))) {
        let shown = |cell: &TopicCell| if heat { warmth(cell, most) } else { roles(cell) };
        row.fields.reserve_exact(cells.len());
        row.fields.extend(cells.iter().map(shown));
        totals.iter_mut().zip(cells).for_each(|(total, cell)| total.join(cell));
    }
    // A cell that is cut says nothing.
    for (at, column) in columns.iter_mut().enumerate().skip(fixed) {
        let cells = bare.iter().filter_map(|row| row.fields.get(at));
        let widest = cells.map(|cell| cell.text.width()).max().unwrap_or(0);
        column.min = column
            .min
            .max(u16::try_from(widest).unwrap_or(u16::MAX))
            .min(column.max);
    }
    Table {
        rows: bare,
        feet: feet(rows, &slots, &totals, fixed),
        columns,
        noun: "topic",
        empty: "there are no topics".to_owned(),
        ..Table::default()
    }
}

fn slots(rows: &Rows, marked: &BTreeSet<String>) -> Vec<Slot> {
    let is_marked = |broker: &BrokerRow| marked.contains(&broker.id.to_string());
    let is_odd = |broker: &BrokerRow| broker.state != BrokerState::Up;
    let wide = rows.brokers.len() > WIDE_ABOVE;
    // As long as nobody knows who is up, or when a zone is gone, those are folded too: columns that find no room say nothing.
    let many = rows.brokers.iter().filter(|broker| is_odd(broker)).count() > WIDE_ABOVE;
    let folds = |broker: &BrokerRow| wide && !is_marked(broker) && (many || !is_odd(broker));
    let mut slots = Vec::new();
    for zone in &rows.zones {
        let here = rows.brokers.iter().filter(|broker| broker.zone == zone.key);
        let (folded, apart): (Vec<_>, Vec<_>) = here.partition(|broker| folds(broker));
        for broker in apart {
            slots.push(Slot {
                id: format!("broker_{}", broker.id),
                title: match glyph(broker.state) {
                    UP => broker.id.to_string(),
                    odd => format!("{odd}{}", broker.id),
                },
                group: zone.key.clone(),
                brokers: vec![broker.id],
            });
        }
        for (suffix, state) in [("_down", DOWN), ("_unknown", UNKNOWN), ("", UP)] {
            let of_state = folded.iter().filter(|broker| glyph(broker.state) == state);
            let brokers: Vec<BrokerId> = of_state.map(|broker| broker.id).collect();
            if !brokers.is_empty() {
                slots.push(Slot {
                    id: format!("zone_{}{suffix}", zone.key),
                    title: format!("{} {state}", brokers.len()),
                    group: zone.key.clone(),
                    brokers,
                });
            }
        }
    }
    slots
}

const UP: &str = "●";
const DOWN: &str = "✖";
const UNKNOWN: &str = "?";

fn glyph(state: BrokerState) -> &'static str {
    match state {
        BrokerState::Up => UP,
        BrokerState::Unknown => UNKNOWN,
        BrokerState::Unreachable | BrokerState::Fenced => DOWN,
    }
}

/// A zone of one column is as wide as its name.
fn slot_columns(slots: &[Slot]) -> Vec<Column> {
    let column = |slot: &Slot| {
        let alone = slots.iter().filter(|other| other.group == slot.group).count() == 1;
        let least = if alone {
            (slot.group.chars().count() as u16).min(12)
        } else {
            4
        };
        Column::new(&slot.id, &slot.title, 1)
            .width(least, 12)
            .group(&slot.group)
    };
    slots.iter().map(column).collect()
}

/// How many replicas in each role: `L2●4○1`. One partition has no numbers.
fn roles(cell: &TopicCell) -> Field {
    let in_sync = cell
        .replicas
        .saturating_sub(cell.leaders + cell.out_of_sync + cell.adding + cell.removing);
    let parts = [
        ("L", cell.leaders),
        ("●", in_sync),
        ("○", cell.out_of_sync),
        ("+", cell.adding),
        ("-", cell.removing),
    ];
    let show = |(glyph, n): (&str, u32)| match n {
        0 => String::new(),
        1 if cell.replicas == 1 => glyph.to_owned(),
        n => format!("{glyph}{n}"),
    };
    let tone = match cell {
        TopicCell { replicas: 0, .. } => return Field::muted("·").number(0.0),
        TopicCell { out_of_sync: 1.., .. } => Tone::Error,
        TopicCell { adding: 1.., .. } | TopicCell { removing: 1.., .. } => Tone::Accent,
        TopicCell { leaders: 1.., .. } => Tone::Plain,
        _ => Tone::Ok,
    };
    Field::new(parts.map(show).concat())
        .tone(tone)
        .number(f64::from(cell.replicas))
}

fn warmth(cell: &TopicCell, most: u64) -> Field {
    if cell.replicas == 0 {
        return Field::muted("·").number(0.0);
    }
    let block = spark::spark(&[most as f64, cell.size_bytes as f64], 2)
        .chars()
        .last()
        .unwrap_or(' ');
    let hot = cell.size_bytes as f64 >= most as f64 * 0.75;
    let tone = if hot { Tone::Warn } else { Tone::Plain };
    let size = text::scaled(cell.size_bytes as f64).replace(' ', "");
    Field::new(format!("{block}{size}"))
        .tone(tone)
        .number(cell.size_bytes as f64)
}

fn row(topic: &TopicRow) -> Row {
    let min = topic
        .min_isr
        .value
        .map_or_else(|| "?".to_owned(), |min| min.to_string());
    Row {
        key: topic.name.clone(),
        badness: if topic.internal {
            partition::badness(topic.badges).saturating_sub(10)
        } else {
            partition::badness(topic.badges)
        },
        fields: vec![
            Field::new(topic.name.clone()).tone(if topic.internal { Tone::Muted } else { Tone::Plain }),
            Field::count(i64::from(topic.partitions)),
            Field::new(format!("{}/{min}", topic.replication_factor))
                .number(f64::from(topic.replication_factor))
                .why(topic.min_isr.reason.clone()),
            Field::of(&topic.size_bytes, |size| {
                Field::new(text::bytes(*size as f64)).number(*size as f64)
            }),
            Field::of(&topic.rate, |rate| Field::new(text::scaled(*rate)).number(*rate)),
            partition::worded(topic.badges, |badge| count(topic, badge)),
        ],
        notes: counts(topic),
        opens: Some(Place::open(Noun::Topic, topic.name.clone())),
        ..Row::default()
    }
}

/// How many partitions share a trouble; one of one needs no number.
fn count(topic: &TopicRow, badge: Badge) -> String {
    let partitions = match badge {
        Badge::Offline => topic.offline,
        Badge::UnderMinIsr => topic.under_min_isr,
        Badge::AtMinIsr => topic.at_min_isr,
        Badge::UnderReplicated => topic.under_replicated,
        Badge::RackViolation => topic.rack_violations,
        Badge::LeaderNotPreferred => topic.leaders_not_preferred,
        _ => return String::new(),
    };
    if topic.partitions > 1 {
        format!("{partitions} ")
    } else {
        String::new()
    }
}

fn counts(topic: &TopicRow) -> Vec<String> {
    let parts = [
        (topic.offline, "offline"),
        (topic.under_min_isr, "under min ISR"),
        (topic.at_min_isr, "at min ISR"),
        (topic.under_replicated, "under-replicated"),
        (topic.rack_violations, "in too few racks"),
        (topic.leaders_not_preferred, "not led by the preferred replica"),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    match words.is_empty() {
        true => Vec::new(),
        false => vec![format!("{} of {} partitions", words.join(" · "), topic.partitions)],
    }
}

/// Below each broker: skew of bytes against the mean, leaders, replicas, bytes, over all topics; then the zones.
fn feet(rows: &Rows, slots: &[Slot], totals: &[TopicCell], fixed: usize) -> Vec<Vec<Field>> {
    let brokers: usize = slots.iter().map(|slot| slot.brokers.len()).sum();
    let mean = totals.iter().map(|total| total.size_bytes as f64).sum::<f64>() / brokers.max(1) as f64;
    let skew = |(slot, total): (&Slot, &TopicCell)| {
        if mean <= 0.0 {
            return Field::none();
        }
        let skew = (total.size_bytes as f64 / slot.brokers.len() as f64 / mean - 1.0) * 100.0;
        Field::new(partition::skew(skew)).tone(unequal(skew)).number(skew)
    };
    let line = |label: &str, fields: Vec<Field>| {
        let mut line = vec![Field::muted(label)];
        line.resize(fixed, Field::default());
        line.extend(fields);
        line
    };
    let count = |n: u32| Field::muted(text::count(i64::from(n)));
    let bytes = |bytes: u64| Field::muted(text::scaled(bytes as f64).replace(' ', ""));
    let zones = zone_feet(rows, slots);
    let [zone_skew, zone_leaders, zone_replicas, zone_bytes] = zones;
    // The frame shows as many as it has room for, the first ones first.
    vec![
        line("skew of bytes", slots.iter().zip(totals).map(skew).collect()),
        line("leaders", totals.iter().map(|total| count(total.leaders)).collect()),
        line("AZ skew of bytes", zone_skew),
        line("AZ leaders", zone_leaders),
        line("replicas", totals.iter().map(|total| count(total.replicas)).collect()),
        line("bytes", totals.iter().map(|total| bytes(total.size_bytes)).collect()),
        line("AZ replicas", zone_replicas),
        line("AZ bytes", zone_bytes),
    ]
}

/// Below the first column of each zone, what the whole zone has: skew of bytes against an equal share, leaders with
/// a warning where they are unequal, replicas, bytes.
fn zone_feet(rows: &Rows, slots: &[Slot]) -> [Vec<Field>; 4] {
    let zone_of = |at: usize| {
        let first = at == 0 || slots[at - 1].group != slots[at].group;
        rows.zones.iter().find(|zone| first && zone.key == slots[at].group)
    };
    let each = |show: fn(&ZoneRow) -> Field| -> Vec<Field> {
        let fields = (0..slots.len()).map(|at| zone_of(at).map_or_else(Field::default, show));
        fields.collect()
    };
    [
        each(|zone| {
            Field::of(&zone.size_skew_percent, |skew| {
                Field::new(partition::skew(*skew)).tone(unequal(*skew)).number(*skew)
            })
        }),
        each(|zone| {
            let tone = zone.leader_skew_percent.value.map_or(Tone::Muted, unequal);
            Field::of(&zone.leaders, |leaders| Field::count(i64::from(*leaders)).tone(tone))
        }),
        each(|zone| Field::of(&zone.replicas, |n| Field::count(i64::from(*n)).tone(Tone::Muted))),
        each(|zone| {
            Field::of(&zone.size_bytes, |bytes| {
                Field::muted(text::scaled(*bytes as f64).replace(' ', "")).number(*bytes as f64)
            })
        }),
    ]
}

/// A quarter off the fair share is a warning.
fn unequal(skew: f64) -> Tone {
    if skew.abs() >= 25.0 { Tone::Warn } else { Tone::Muted }
}

/// One topic at one of its pages.
pub fn open(
    rows: &Rows,
    snapshot: &Snapshot,
    name: &str,
    tab: usize,
    marked: &BTreeSet<String>,
    heat: bool,
    now: Moment,
) -> Table {
    match tab {
        0 => partitions(rows, snapshot, name, marked, heat),
        _ => configs(snapshot, name, now),
    }
}

fn partitions(rows: &Rows, snapshot: &Snapshot, name: &str, marked: &BTreeSet<String>, heat: bool) -> Table {
    let slots = slots(rows, marked);
    let own: Vec<PartitionRow<'_>> = rows.partitions.of_topic(name).collect();
    let mut bare: Vec<Row> = own.iter().map(partition_row).collect();
    let mut columns = vec![
        Column::new("partition", "part", 0).width(4, 6).right(),
        Column::new("leader", "lead", 2).width(4, 6).right(),
        Column::new("epoch", "epoch", 5).width(5, 7).right(),
        Column::new("isr", "ISR", 1).width(4, 5).right(),
        Column::new("size_bytes", "size", 3).width(8, 8).right(),
        Column::new("rate", "records/s", 3).width(9, 9).right(),
        Column::new("start", "start", 6).width(8, 16).right(),
        Column::new("end", "end", 5).width(8, 16).right(),
        partition::faults(bare.iter().filter_map(|row| row.fields.last())),
    ];
    columns.extend(slot_columns(&slots));
    let sizes = sizes(snapshot, name);
    let most = sizes.values().copied().max().unwrap_or(0);
    let heat = heat.then_some((&sizes, most));
    for (row, part) in bare.iter_mut().zip(&own) {
        row.fields.extend(slots.iter().map(|slot| slot_field(part, slot, heat)));
    }
    Table {
        rows: bare,
        columns,
        noun: "partition",
        empty: match snapshot.topics.get() {
            Some(_) => format!("there is no topic {name}"),
            None => snapshot.topics.problem().unwrap_or_default(),
        },
        ..Table::default()
    }
}

type Sizes = BTreeMap<(BrokerId, i32), u64>;

fn sizes(snapshot: &Snapshot, topic: &str) -> Sizes {
    let dirs = snapshot
        .logdirs
        .iter()
        .filter_map(|(id, dirs)| Some((*id, dirs.get()?)));
    dirs.flat_map(|(id, dirs)| {
        let replicas = dirs
            .iter()
            .flat_map(|dir| dir.replicas.iter())
            .filter(|replica| replica.topic == topic);
        replicas.map(move |replica| ((id, replica.partition), replica.size_bytes))
    })
    .collect()
}

fn slot_field(part: &PartitionRow<'_>, slot: &Slot, heat: Option<(&Sizes, u64)>) -> Field {
    let here: Vec<(BrokerId, crate::model::topic::Role)> = slot
        .brokers
        .iter()
        .filter_map(|id| Some((*id, part.role(*id)?)))
        .collect();
    match (here.as_slice(), heat) {
        ([], _) => Field::muted("·").number(0.0),
        (here, Some((sizes, most))) => {
            let size_bytes = here
                .iter()
                .filter_map(|(id, _)| sizes.get(&(*id, part.partition)))
                .sum();
            warmth(
                &TopicCell {
                    replicas: here.len() as u32,
                    size_bytes,
                    ..TopicCell::default()
                },
                most,
            )
        }
        ([(_, role)], None) => partition::role_as_glyph(*role).number(1.0),
        (several, None) => {
            let glyphs: String = several
                .iter()
                .map(|(_, role)| partition::role_as_glyph(*role).text)
                .collect();
            Field::new(glyphs).number(several.len() as f64)
        }
    }
}

fn partition_row(part: &PartitionRow<'_>) -> Row {
    let offset = |cell: &Cell<i64>| Field::of(cell, |offset| Field::count(*offset));
    Row {
        key: part.partition.to_string(),
        badness: partition::badness(part.badges()),
        fields: vec![
            Field::id(part.partition),
            match part.leader {
                Some(leader) => Field::id(leader),
                None => Field::new("none").tone(Tone::Error),
            },
            Field::count(i64::from(part.leader_epoch)),
            partition::isr(part),
            Field::of(&part.size_bytes(), |size| {
                Field::new(text::bytes(*size as f64)).number(*size as f64)
            }),
            Field::of(&part.rate(), |rate| Field::new(text::scaled(*rate)).number(*rate)),
            offset(&part.start()),
            offset(&part.end()),
            partition::badges(part.badges()),
        ],
        notes: partition::notes(part),
        ..Row::default()
    }
}

fn configs(snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    let columns = vec![
        Column::new("name", "config", 0).width(12, 50),
        Column::new("value", "value", 0).width(8, 60),
        Column::new("source", "source", 1).width(8, 22),
        Column::new("default", "brokers have", 1).width(12, 40),
        Column::new("default_name", "as", 3).width(4, 50),
    ];
    let row = |config: OverrideRow| {
        let set = config.held.source == ConfigSource::Topic;
        let default = Field::of(&config.default, |value| Field::muted(value.clone()));
        Row {
            fields: vec![
                Field::new(config.name.clone()).tone(if set { Tone::Title } else { Tone::Plain }),
                Field::new(config.held.words()),
                Field::new(config.held.source.to_string()).tone(if set { Tone::Accent } else { Tone::Muted }),
                match &config.default_name {
                    Some(_) => default,
                    None => Field::none(),
                },
                Field::muted(config.default_name.clone().unwrap_or_default()),
            ],
            opens: config::place_of_default(&config.name),
            key: config.name,
            ..Row::default()
        }
    };
    Table {
        columns,
        rows: OverrideRow::all(snapshot, Some(name), now)
            .into_iter()
            .map(row)
            .collect(),
        noun: "config",
        empty: snapshot
            .topic_configs
            .problem()
            .unwrap_or_else(|| "nothing differs from the brokers' defaults".to_owned()),
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::now;
    use crate::model::Observed;
    use crate::model::broker::Broker;
    use crate::model::cluster::Cluster;

    #[test]
    fn a_wide_cluster_has_few_columns_whoever_is_up() {
        let brokers = (0..60).map(|id| Broker {
            id,
            host: "kafka".to_owned(),
            port: 9092,
            rack: Some(["a", "b", "c"][id as usize % 3].to_owned()),
            fenced: false,
        });
        let cluster = Cluster {
            brokers: brokers.collect(),
            ..Cluster::default()
        };
        let snapshot = Snapshot {
            cluster: Observed::fresh(cluster, now()),
            ..Snapshot::default()
        };
        let mut rows = Rows::of(&snapshot, now());
        let titles = |rows: &Rows, marked: &[&str]| -> Vec<String> {
            let marked = marked.iter().map(|id| (*id).to_owned()).collect();
            slots(rows, &marked).into_iter().map(|slot| slot.title).collect()
        };
        assert_eq!(titles(&rows, &[]), ["20 ?", "20 ?", "20 ?"], "nobody was asked yet");
        let tell = |rows: &mut Rows, state: fn(BrokerId) -> BrokerState| {
            for broker in &mut rows.brokers {
                broker.state = state(broker.id);
            }
        };
        tell(&mut rows, |_| BrokerState::Up);
        assert_eq!(titles(&rows, &["7"]), ["20 ●", "7", "19 ●", "20 ●"]);
        tell(&mut rows, |id| match id {
            4 => BrokerState::Unreachable,
            _ => BrokerState::Up,
        });
        assert_eq!(titles(&rows, &[]), ["20 ●", "✖4", "19 ●", "20 ●"]);
        // A zone is gone, and one broker beside it.
        tell(&mut rows, |id| match id % 3 == 0 || id == 4 {
            true => BrokerState::Unreachable,
            false => BrokerState::Up,
        });
        assert_eq!(titles(&rows, &["4"]), ["20 ✖", "✖4", "19 ●", "20 ●"]);
        assert_eq!(titles(&rows, &[]), ["20 ✖", "1 ✖", "19 ●", "20 ●"]);
        let ids: BTreeSet<String> = slots(&rows, &BTreeSet::new()).into_iter().map(|slot| slot.id).collect();
        assert_eq!(ids.len(), 4);
    }
}
