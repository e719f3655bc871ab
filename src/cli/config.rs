//! `azimuth config …`

use super::change::{self, Wish};
use super::exit::{Exit, Failure};
use super::facts::{Facts, gather};
use super::output::{Answer, Column, Data, Field, Rank};
use crate::command::Line;
use crate::command::config::Verb;
use crate::feed::Section;
use crate::model::row::Cell;
use crate::model::row::config::{ConfigCell, ConfigRow, Held, OverrideRow, documentation, synonyms};
use crate::model::{BrokerId, Snapshot};
use crate::operation::prepare;
use crate::plan::intent::Intent;
use crate::settings::Secret;

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List {
            broker: Some(id),
            drift,
            ..
        } => of_broker(line, *id, *drift).await,
        Verb::List {
            topic: Some(topic),
            drift,
            ..
        } => of_topic(line, topic, *drift).await,
        Verb::List { drift, .. } => list(line, *drift).await,
        Verb::Show { name } => show(line, name).await,
        Verb::Set { .. } | Verb::Unset { .. } => Err(Failure::usage("that is a change, not a question")),
    }
}

/// Carries out what sets or unsets configs.
pub async fn change(line: &Line, verb: &Verb, intent: Intent, overrides: &[String]) -> Result<Exit, Failure> {
    let files = verb.files().into_iter();
    let files = files.map(|(name, file)| (name, Secret::File(file.into())));
    let wish = Wish {
        secrets: prepare::secrets(files).map_err(Failure::usage)?,
        ..Wish::of(intent, overrides)
    };
    change::run(line, wish).await
}

/// What the grid needs: every broker's configs, and which topics stand apart.
const NEEDS: [Section; 4] = [
    Section::Cluster,
    Section::Topics,
    Section::BrokerConfigs,
    Section::TopicConfigs,
];

async fn list(line: &Line, drift: bool) -> Result<Answer, Failure> {
    let facts = gather(line, &NEEDS).await?;
    let rows = ConfigRow::all(&facts.snapshot, facts.now);
    let shown: Vec<&ConfigRow> = rows.iter().filter(|row| !drift || row.drifts()).collect();
    let brokers: Vec<Data> = shown.iter().map(|row| cells(row)).collect();
    let mut answer = Answer::list(COLUMNS, shown, "config", |row| row.name.clone());
    let items = answer.items.into_iter().zip(brokers);
    answer.items = items.map(|(item, cells)| item.with("brokers", cells)).collect();
    Ok(facts.seal(answer))
}

fn cells(row: &ConfigRow) -> Data {
    let cell = |cell: &ConfigCell| {
        let held = cell.held.value.as_ref();
        Data::Map(vec![
            ("broker", cell.broker.into()),
            ("value", held.and_then(|held| held.value.clone()).into()),
            ("source", held.map(|held| held.source.to_string()).into()),
            ("differs", cell.differs.into()),
        ])
    };
    Data::List(row.cells.iter().map(cell).collect())
}

/// One broker's value of a property, beside its peers'.
struct Own {
    name: String,
    held: Cell<Held>,
    against: String,
    read_only: bool,
}

async fn of_broker(line: &Line, id: BrokerId, drift: bool) -> Result<Answer, Failure> {
    let facts = gather(line, &[Section::Cluster, Section::BrokerConfigs]).await?;
    known_broker(&facts, id)?;
    let rows = ConfigRow::all(&facts.snapshot, facts.now).into_iter();
    let own = rows.filter_map(|row| {
        let cell = row.cells.iter().find(|cell| cell.broker == id)?;
        (!drift || cell.differs).then(|| Own {
            against: if cell.differs { row.against(id) } else { String::new() },
            held: cell.held.clone(),
            read_only: row.read_only,
            name: row.name.clone(),
        })
    });
    let own: Vec<Own> = own.collect();
    Ok(facts.seal(Answer::list(OWN, &own, "config", |row| row.name.clone())))
}

fn known_broker(facts: &Facts, id: BrokerId) -> Result<(), Failure> {
    let brokers = facts.snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    match brokers.iter().any(|broker| broker.id == id) || facts.snapshot.broker_configs.contains_key(&id) {
        true => Ok(()),
        false => Err(facts.unknown("broker", &id.to_string(), &[])),
    }
}

async fn of_topic(line: &Line, topic: &str, drift: bool) -> Result<Answer, Failure> {
    let facts = gather(line, &NEEDS).await?;
    if facts.snapshot.topic(topic).is_none() {
        let known: Vec<&str> = facts
            .snapshot
            .topics()
            .iter()
            .map(|topic| topic.name.as_str())
            .collect();
        return Err(facts.unknown("topic", topic, &known));
    }
    let mut rows = OverrideRow::all(&facts.snapshot, Some(topic), facts.now);
    rows.retain(|row| !drift || row.differs);
    Ok(facts.seal(Answer::list(OVERRIDES, &rows, "config", |row| row.name.clone())))
}

/// One broker's entry of one property.
struct Entry {
    cell: ConfigCell,
    synonyms: String,
}

async fn show(line: &Line, name: &str) -> Result<Answer, Failure> {
    let facts = gather(line, &NEEDS).await?;
    let rows = ConfigRow::all(&facts.snapshot, facts.now);
    let Some(row) = rows.iter().find(|row| row.name == name) else {
        let known: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        return Err(facts.unknown("config", name, &known));
    };
    let entries: Vec<Entry> = row
        .cells
        .iter()
        .map(|cell| Entry {
            synonyms: places(&facts.snapshot, cell.broker, name),
            cell: cell.clone(),
        })
        .collect();
    let mut answer = Answer::list(ENTRIES, &entries, "broker", |entry| entry.cell.broker.to_string());
    answer.blocks[0].title = documentation(&facts.snapshot, name).map(str::to_owned);
    let overrides = OverrideRow::of_property(&facts.snapshot, name, facts.now);
    if !overrides.is_empty() {
        answer.blocks.push(super::output::Block {
            title: Some("TOPICS WITH THEIR OWN".to_owned()),
            sheet: super::output::Sheet::of(OVERRIDES, &overrides),
            upright: false,
        });
    }
    Ok(facts.seal(answer))
}

/// Where else a broker's value is set: `dynamic_default_broker log.retention.ms=1000`.
fn places(snapshot: &Snapshot, broker: BrokerId, name: &str) -> String {
    let place = |synonym: &crate::model::config::Synonym| {
        let value = synonym.value.as_deref().unwrap_or("?");
        format!("{} {}={value}", synonym.source, synonym.name)
    };
    synonyms(snapshot, broker, name)
        .iter()
        .skip(1)
        .map(place)
        .collect::<Vec<_>>()
        .join(" · ")
}

fn held(cell: &Cell<Held>) -> Field {
    let reason = cell.reason.clone();
    let text = match &cell.value {
        Some(held) if cell.is_stale() => format!("{}~", held.words()),
        Some(held) => held.words(),
        None => "?".to_owned(),
    };
    Field {
        // Sensitive and unset values are null, and nothing is wrong with that.
        reason: reason.filter(|_| cell.value.is_none()),
        ..Field::data(cell.value.as_ref().and_then(|held| held.value.clone()), text)
    }
}

fn source(cell: &Cell<Held>) -> Field {
    Field::maybe(cell.value.as_ref().map(|held| held.source.to_string()).as_ref())
}

const COLUMNS: &[Column<ConfigRow>] = &[
    Column {
        key: "name",
        title: "KEY",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "value",
        title: "MOST HAVE",
        rank: Rank::Always,
        field: |row| match row.by_nature {
            true => Field::data(Data::Null, "(own)"),
            false => held(&row.usual),
        },
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Usual,
        field: |row| source(&row.usual),
    },
    Column {
        key: "drift",
        title: "DIFFERS",
        rank: Rank::Always,
        field: |row| {
            let words = |cell: &ConfigCell| {
                let held = cell.held.value.as_ref();
                let value = held.map_or_else(|| "(unknown there)".to_owned(), Held::words);
                format!("{}={value}", cell.broker)
            };
            let outliers: Vec<String> = row.outliers().map(words).collect();
            Field::data(row.drifts(), outliers.join(" "))
        },
    },
    Column {
        key: "topics",
        title: "TOPICS",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.topics, u32::to_string),
    },
    Column {
        key: "read_only",
        title: "READ-ONLY",
        rank: Rank::Wide,
        field: |row| Field::mark(row.read_only, "yes"),
    },
    Column {
        key: "by_nature",
        title: "BY NATURE",
        rank: Rank::Wide,
        field: |row| Field::mark(row.by_nature, "yes"),
    },
];

const OWN: &[Column<Own>] = &[
    Column {
        key: "name",
        title: "KEY",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "value",
        title: "VALUE",
        rank: Rank::Always,
        field: |row| held(&row.held),
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Usual,
        field: |row| source(&row.held),
    },
    Column {
        key: "against",
        title: "PEERS",
        rank: Rank::Always,
        field: |row| Field::text(&row.against),
    },
    Column {
        key: "read_only",
        title: "READ-ONLY",
        rank: Rank::Wide,
        field: |row| Field::mark(row.read_only, "yes"),
    },
];

const ENTRIES: &[Column<Entry>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |row| Field::number(row.cell.broker, row.cell.broker),
    },
    Column {
        key: "value",
        title: "VALUE",
        rank: Rank::Always,
        field: |row| held(&row.cell.held),
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Always,
        field: |row| source(&row.cell.held),
    },
    Column {
        key: "differs",
        title: "DIFFERS",
        rank: Rank::Always,
        field: |row| Field::mark(row.cell.differs, "yes"),
    },
    Column {
        key: "synonyms",
        title: "ELSE",
        rank: Rank::Usual,
        field: |row| Field::text(&row.synonyms),
    },
];

const OVERRIDES: &[Column<OverrideRow>] = &[
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |row| Field::text(&row.topic),
    },
    Column {
        key: "name",
        title: "KEY",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "value",
        title: "VALUE",
        rank: Rank::Always,
        field: |row| Field::data(row.held.value.clone(), row.held.words()),
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Usual,
        field: |row| Field::text(row.held.source.to_string()),
    },
    Column {
        key: "default",
        title: "BROKERS HAVE",
        rank: Rank::Always,
        field: |row| match row.default_name {
            // Nothing to know.
            None => Field::data(Data::Null, "-"),
            Some(_) => Field::cell(&row.default, String::clone).left(),
        },
    },
    Column {
        key: "default_name",
        title: "AS",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.default_name.as_ref()),
    },
    Column {
        key: "differs",
        title: "DIFFERS",
        rank: Rank::Usual,
        field: |row| Field::mark(row.differs, "yes"),
    },
];
