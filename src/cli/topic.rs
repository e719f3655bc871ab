//! `azimuth topic …`

use super::exit::Failure;
use super::facts::{Facts, gather, gather_over, tell_window};
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, bytes, count, plain};
use super::partition;
use crate::command::Line;
use crate::command::topic::Verb;
use crate::feed::Section;
use crate::model::config::Config;
use crate::model::row::Rows;
use crate::model::row::partition::PartitionRow;
use crate::model::row::topic::TopicRow;

const NEEDS: [Section; 5] = [
    Section::Cluster,
    Section::Topics,
    Section::MinIsrs,
    Section::Reassignments,
    Section::Logdirs,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List { name, internal, window } => {
            let pattern = super::pattern("--name", name.as_deref())?;
            let facts = match window {
                Some(window) => gather_over(line, &with(&[Section::Offsets]), Some(window.0)).await?,
                None => gather(line, &NEEDS).await?,
            };
            tell_window(*window);
            let topics = facts.rows().topics;
            let shown = topics
                .iter()
                .filter(|row| *internal || !row.internal)
                .filter(|row| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&row.name)));
            let columns: Vec<Column<TopicRow>> = match window {
                Some(_) => COLUMNS.iter().copied().chain([RATE]).collect(),
                None => COLUMNS.to_vec(),
            };
            let answer = Answer::list(&columns, shown, "topic", |row| row.name.clone());
            Ok(facts.seal(answer))
        }
        Verb::Show { names, window } => {
            let facts = gather_over(line, &in_full(), window.map(|window| window.0)).await?;
            tell_window(*window);
            show(facts, names)
        }
        _ => Err(Failure::usage("that is a change, not a question")),
    }
}

fn with(more: &[Section]) -> Vec<Section> {
    NEEDS.iter().chain(more).copied().collect()
}

/// One topic is shown with all its overrides.
fn in_full() -> Vec<Section> {
    let lists = |section: &Section| *section != Section::MinIsrs;
    let all = with(&[Section::TopicConfigs, Section::Offsets]);
    all.into_iter().filter(lists).collect()
}

fn show(facts: Facts, names: &[String]) -> Result<Answer, Failure> {
    let rows = facts.rows();
    let mut whole = Answer {
        complete: true,
        ..Answer::default()
    };
    for name in names {
        let topic = rows.topics.iter().find(|row| row.name == *name).ok_or_else(|| {
            let known: Vec<&str> = rows.topics.iter().map(|row| row.name.as_str()).collect();
            facts.unknown("topic", name, &known)
        })?;
        add(&mut whole, &facts, &rows, topic);
    }
    Ok(facts.seal(whole))
}

fn add(whole: &mut Answer, facts: &Facts, rows: &Rows, topic: &TopicRow) {
    let configs = facts
        .snapshot
        .topic_configs
        .get()
        .and_then(|configs| configs.get(&topic.name));
    let config = configs.into_iter().flatten().map(|config: &Config| {
        let fields = vec![
            ("name", config.name.as_str().into()),
            ("value", config.value.clone().into()),
            ("source", config.source.to_string().into()),
        ];
        Data::Map(fields)
    });
    let config = Data::List(config.collect());
    let mut one = Answer::list(COLUMNS, [topic], "topic", |row| row.name.clone());
    one.blocks[0].upright = true;
    let sheet = Sheet::of(&Column::OF_TOPIC, rows.partitions.of_topic(&topic.name));
    let items = one.items.into_iter();
    whole.items.extend(items.map(|item| {
        // A list of partitions rather than their number.
        let Data::Map(fields) = item else { return item };
        let kept = fields.into_iter().filter(|(key, _)| *key != "partitions").collect();
        Data::Map(kept)
            .with("configs", config.clone())
            .with("partitions", Data::List(sheet.items()))
    }));
    whole.names.append(&mut one.names);
    whole.problems.append(&mut one.problems);
    whole.blocks.append(&mut one.blocks);
    whole.blocks.push(Block {
        title: None,
        sheet,
        upright: false,
    });
}

const COLUMNS: &[Column<TopicRow>] = &[
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "topic_id",
        title: "ID",
        rank: Rank::Wide,
        field: |row| Field::text(row.id.to_string()),
    },
    Column {
        key: "internal",
        title: "INTERNAL",
        rank: Rank::Wide,
        field: |row| Field::mark(row.internal, "yes"),
    },
    Column {
        key: "partitions",
        title: "PARTITIONS",
        rank: Rank::Always,
        field: |row| Field::number(row.partitions, row.partitions),
    },
    Column {
        key: "replication_factor",
        title: "RF",
        rank: Rank::Always,
        field: |row| Field::number(row.replication_factor, row.replication_factor),
    },
    Column {
        key: "min_isr",
        title: "MIN ISR",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.min_isr, count),
    },
    Column {
        key: "offline",
        title: "OFFLINE",
        rank: Rank::Usual,
        field: |row| Field::number(row.offline, row.offline),
    },
    Column {
        key: "under_min_isr",
        title: "UNDER",
        rank: Rank::Usual,
        field: |row| Field::number(row.under_min_isr, row.under_min_isr),
    },
    Column {
        key: "at_min_isr",
        title: "AT",
        rank: Rank::Usual,
        field: |row| Field::number(row.at_min_isr, row.at_min_isr),
    },
    Column {
        key: "under_replicated",
        title: "URP",
        rank: Rank::Usual,
        field: |row| Field::number(row.under_replicated, row.under_replicated),
    },
    Column {
        key: "rack_violations",
        title: "RACK",
        rank: Rank::Usual,
        field: |row| Field::number(row.rack_violations, row.rack_violations),
    },
    Column {
        key: "leaders_not_preferred",
        title: "NOT PREF",
        rank: Rank::Usual,
        field: |row| Field::number(row.leaders_not_preferred, row.leaders_not_preferred),
    },
    Column {
        key: "size_bytes",
        title: "SIZE",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.size_bytes, |value| bytes(*value)),
    },
    Column {
        key: "faults",
        title: "FAULTS",
        rank: Rank::Usual,
        field: |row| partition::badges(row.badges),
    },
];

/// Told where two looks tell it.
const RATE: Column<TopicRow> = Column {
    key: "in_records_per_second",
    title: "IN/S",
    rank: Rank::Usual,
    field: |row| Field::cell(&row.rate, |rate| plain(*rate)),
};

impl Column<PartitionRow<'_>> {
    /// A topic's partitions inside `topic show`.
    const OF_TOPIC: [Self; 12] = [
        Self::PARTITION,
        Self::LEADER,
        Self::REPLICAS,
        Self::ISR,
        Self::ADDING,
        Self::REMOVING,
        Self {
            key: "start_offset",
            title: "START",
            rank: Rank::Wide,
            field: |row| Field::cell(&row.start(), count),
        },
        Self {
            key: "end_offset",
            title: "END",
            rank: Rank::Usual,
            field: |row| Field::cell(&row.end(), count),
        },
        Self {
            key: "in_records_per_second",
            title: "IN/S",
            rank: Rank::Wide,
            field: |row| Field::cell(&row.rate(), |rate| plain(*rate)),
        },
        Self {
            key: "size_bytes",
            title: "SIZE",
            rank: Rank::Usual,
            field: |row| Field::cell(&row.size_bytes(), |value| bytes(*value)),
        },
        Self::LEADER_EPOCH,
        Self::FAULTS,
    ];
}
