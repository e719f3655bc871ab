//! The drift grid: properties against brokers, and one property opened on every broker and on the topics that override it.

use std::collections::BTreeSet;

use crate::model::config::{ConfigSource, Synonym, broker_defaults};
use crate::model::row::config::{ConfigCell, ConfigRow, Held, OverrideRow, documentation, synonyms};
use crate::model::row::{Cell, Rows};
use crate::model::{BrokerId, Moment, Snapshot};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// With more brokers than this the grid has a column for each zone and for each broker that differs somewhere.
const WIDE_ABOVE: usize = 20;

/// A column of the grid: one broker, or those of a zone that differ nowhere.
struct Slot {
    title: String,
    group: String,
    brokers: Vec<BrokerId>,
}

/// Every property.
pub fn list(rows: &Rows, snapshot: &Snapshot, now: Moment) -> Table {
    let configs = ConfigRow::all(snapshot, now);
    let slots = slots(rows, &configs);
    let mut columns = vec![
        Column::new("name", "property", 0).width(14, 46),
        Column::new("drift", "drift", 1).width(0, 22),
        Column::new("usual", "most have", 2).width(9, 26),
        Column::new("source", "source", 4).width(7, 22),
        Column::new("topics", "topics", 3).width(6, 6).right(),
        Column::new("read_only", "changes", 6).width(12, 12),
    ];
    columns.extend(slots.iter().map(|slot| column(slot, &slots)));
    Table {
        columns,
        rows: configs.iter().map(|config| row(config, &slots)).collect(),
        noun: "property",
        empty: empty(snapshot),
        ..Table::default()
    }
}

fn empty(snapshot: &Snapshot) -> String {
    let mut problems = snapshot
        .broker_configs
        .values()
        .filter_map(crate::model::Observed::problem);
    match problems.next() {
        Some(problem) => format!("no broker has told its configs: {problem}"),
        None => "no broker has told its configs yet".to_owned(),
    }
}

fn slots(rows: &Rows, configs: &[ConfigRow]) -> Vec<Slot> {
    let outliers: BTreeSet<BrokerId> = configs
        .iter()
        .flat_map(ConfigRow::outliers)
        .map(|cell| cell.broker)
        .collect();
    let folds = rows.brokers.len() > WIDE_ABOVE;
    let mut slots = Vec::new();
    for zone in &rows.zones {
        let here: Vec<BrokerId> = rows
            .brokers
            .iter()
            .filter(|broker| broker.zone == zone.key)
            .map(|broker| broker.id)
            .collect();
        let (apart, folded): (Vec<_>, Vec<_>) = here.into_iter().partition(|id| !folds || outliers.contains(id));
        slots.extend(apart.into_iter().map(|id| Slot {
            title: id.to_string(),
            group: zone.key.clone(),
            brokers: vec![id],
        }));
        if !folded.is_empty() {
            slots.push(Slot {
                title: format!("{} alike", folded.len()),
                group: zone.key.clone(),
                brokers: folded,
            });
        }
    }
    slots
}

/// A zone of one column is as wide as its name.
fn column(slot: &Slot, slots: &[Slot]) -> Column {
    let id = match slot.brokers.as_slice() {
        [one] => format!("broker_{one}"),
        _ => format!("zone_{}", slot.group),
    };
    let alone = slots.iter().filter(|other| other.group == slot.group).count() == 1;
    let least = match alone {
        true => (slot.group.chars().count() as u16).min(12),
        false => 4,
    };
    Column::new(&id, &slot.title, 1).width(least, 12).group(&slot.group)
}

fn row(config: &ConfigRow, slots: &[Slot]) -> Row {
    let mut fields = vec![
        Field::new(config.name.clone()).tone(if config.is_set { Tone::Title } else { Tone::Plain }),
        drift(config),
        match config.by_nature {
            true => Field::muted("(own)"),
            false => value(&config.usual),
        },
        origin(&config.usual),
        Field::of(&config.topics, |topics| match topics {
            0 => Field::none().number(0.0),
            topics => Field::count(i64::from(*topics)),
        }),
        Field::muted(if config.read_only { "with restart" } else { "live" }),
    ];
    fields.extend(slots.iter().map(|slot| cell(config, slot)));
    Row {
        key: config.name.clone(),
        badness: config.outliers().count() as u64,
        fields,
        notes: notes(config),
        opens: Some(Place::open(Noun::Config, config.name.clone())),
        ..Row::default()
    }
}

/// `▲ drift: 4, 5`: who differs from what most have.
fn drift(config: &ConfigRow) -> Field {
    let outliers: Vec<String> = config.outliers().map(|cell| cell.broker.to_string()).collect();
    match (outliers.as_slice(), config.usual.value.is_some()) {
        ([], _) => Field::default(),
        (_, false) => Field::new("▲ drift: no majority").tone(Tone::Warn),
        (few, true) if few.len() <= 3 => Field::new(format!("▲ drift: {}", few.join(", "))).tone(Tone::Warn),
        (many, true) => Field::new(format!("▲ drift: {} brokers", many.len())).tone(Tone::Warn),
    }
}

/// `=` where it is what most have, the value where it is not.
fn cell(config: &ConfigRow, slot: &Slot) -> Field {
    let own: Vec<&ConfigCell> = config
        .cells
        .iter()
        .filter(|cell| slot.brokers.contains(&cell.broker))
        .collect();
    let Some(first) = own.iter().find(|cell| cell.differs).or(own.first()) else {
        return Field::unknown("not asked yet");
    };
    let field = Field::of(&first.held, |held| match (config.by_nature, first.differs) {
        (true, _) => Field::muted("own"),
        (false, true) => Field::new(held.words()).tone(Tone::Warn),
        (false, false) => Field::muted("="),
    });
    match first.differs && first.held.value.is_none() {
        true => Field::new("none").tone(Tone::Warn).why(first.held.reason.clone()),
        false => field,
    }
}

fn value(cell: &Cell<Held>) -> Field {
    Field::of(cell, |held| match &held.value {
        Some(value) if !value.is_empty() && !held.sensitive => Field::new(value.clone()),
        _ => Field::muted(held.words()),
    })
}

fn origin(cell: &Cell<Held>) -> Field {
    match &cell.value {
        Some(held) if held.source == ConfigSource::Default => Field::muted(held.source.to_string()),
        Some(held) => Field::new(held.source.to_string()).tone(Tone::Accent),
        None => Field::none(),
    }
}

/// Who has what, where not all have the same.
fn notes(config: &ConfigRow) -> Vec<String> {
    let mut notes = Vec::new();
    if config.drifts() {
        for cell in config.outliers() {
            let held = cell.held.value.as_ref();
            notes.push(match held {
                Some(held) => format!("broker {} has {} ({})", cell.broker, held.words(), held.source),
                None => format!("broker {} does not know it", cell.broker),
            });
        }
    }
    if config.by_nature {
        notes.push("brokers differ in it by nature; enter shows each".to_owned());
    }
    if let Some(topics) = config.topics.value.filter(|topics| *topics > 0) {
        notes.push(format!(
            "{} of their own instead",
            match topics {
                1 => "1 topic has a value".to_owned(),
                several => format!("{} topics have values", text::count(i64::from(several))),
            }
        ));
    }
    notes
}

/// One property at one of its pages.
pub fn open(snapshot: &Snapshot, name: &str, tab: usize, now: Moment) -> Table {
    match tab {
        0 => brokers(snapshot, name, now),
        _ => topics(snapshot, name, now),
    }
}

fn brokers(snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    let columns = vec![
        Column::new("broker", "broker", 0).width(6, 8).right(),
        Column::new("value", "value", 0).width(8, 60),
        Column::new("source", "source", 0).width(8, 22),
        Column::new("drift", "against peers", 1).width(13, 44),
        Column::new("synonyms", "also set", 2).width(8, 70),
    ];
    let configs = ConfigRow::all(snapshot, now);
    let found = configs.iter().find(|config| config.name == name);
    let documentation = documentation(snapshot, name);
    let row = |config: &ConfigRow, cell: &ConfigCell| Row {
        key: cell.broker.to_string(),
        badness: u64::from(cell.differs),
        fields: vec![
            Field::id(cell.broker),
            value(&cell.held),
            origin(&cell.held),
            match cell.differs {
                true => Field::new(format!("▲ {}", config.against(cell.broker))).tone(Tone::Warn),
                false => Field::default(),
            },
            Field::new(also(synonyms(snapshot, cell.broker, name))),
        ],
        notes: documentation.iter().map(|words| (*words).to_owned()).collect(),
        opens: Some(Place {
            tab: 2,
            ..Place::open(Noun::Broker, cell.broker.to_string())
        }),
        ..Row::default()
    };
    let rows = found.map(|config| config.cells.iter().map(|cell| row(config, cell)).collect());
    Table {
        columns,
        rows: rows.unwrap_or_default(),
        noun: "broker",
        empty: match configs.is_empty() {
            true => empty(snapshot),
            false => format!("no broker has a property {name}"),
        },
        ..Table::default()
    }
}

/// What the value hides: `default log.retention.ms=604800000`.
fn also(synonyms: &[Synonym]) -> String {
    let place = |synonym: &Synonym| {
        let value = synonym.value.as_deref().unwrap_or("(unset)");
        format!("{} {}={value}", synonym.source, synonym.name)
    };
    synonyms.iter().skip(1).map(place).collect::<Vec<_>>().join(" · ")
}

fn topics(snapshot: &Snapshot, name: &str, now: Moment) -> Table {
    let columns = vec![
        Column::new("topic", "topic", 0).width(8, 48),
        Column::new("name", "config", 0).width(12, 40),
        Column::new("value", "value", 0).width(8, 60),
        Column::new("default", "brokers have", 1).width(12, 40),
    ];
    let row = |one: OverrideRow| Row {
        key: one.topic.clone(),
        fields: vec![
            Field::new(one.topic.clone()),
            Field::new(one.name.clone()),
            Field::new(one.held.words()).tone(if one.differs { Tone::Accent } else { Tone::Plain }),
            Field::of(&one.default, |value| Field::muted(value.clone())),
        ],
        opens: Some(Place {
            tab: 1,
            ..Place::open(Noun::Topic, one.topic.clone())
        }),
        ..Row::default()
    };
    Table {
        columns,
        rows: OverrideRow::of_property(snapshot, name, now)
            .into_iter()
            .map(row)
            .collect(),
        noun: "topic",
        empty: snapshot
            .topic_configs
            .problem()
            .unwrap_or_else(|| "no topic has a value of its own instead".to_owned()),
        ..Table::default()
    }
}

/// The page of the property that a topic's config defaults to.
pub(super) fn place_of_default(topic_config: &str) -> Option<Place> {
    let (name, _) = broker_defaults(topic_config).into_iter().next()?;
    Some(Place::open(Noun::Config, name))
}
