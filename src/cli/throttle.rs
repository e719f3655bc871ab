//! `azimuth throttle …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Data, Field, Rank, mb_per_second};
use crate::command::Line;
use crate::command::throttle::Verb;
use crate::feed::Section;
use crate::model::row::throttle::{Slowed, Standing, ThrottleRow};

const NEEDS: [Section; 6] = [
    Section::Cluster,
    Section::Topics,
    Section::Reassignments,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List { stale } = verb;
    let facts = gather(line, &NEEDS).await?;
    let rows = ThrottleRow::all(&facts.snapshot);
    let shown: Vec<&ThrottleRow> = rows
        .iter()
        .filter(|row| !stale || matches!(row.standing, Standing::Stale | Standing::Inert))
        .collect();
    let answer = Answer::list(COLUMNS, shown, "throttle", |row| {
        format!("{} {}", row.subject, row.property)
    });
    Ok(facts.seal(answer))
}

fn slowed(slowed: &Slowed) -> String {
    format!("{}-{}@{}", slowed.topic, slowed.partition, slowed.replica)
}

const COLUMNS: &[Column<ThrottleRow>] = &[
    Column {
        key: "subject",
        title: "SET ON",
        rank: Rank::Always,
        field: |row| Field::text(&row.subject),
    },
    Column {
        key: "property",
        title: "PROPERTY",
        rank: Rank::Always,
        field: |row| Field::text(&row.property),
    },
    Column {
        key: "value",
        title: "VALUE",
        rank: Rank::Always,
        field: |row| match row.bytes_per_second {
            Some(rate) => Field::data(row.value.clone(), mb_per_second(rate as f64)),
            None => Field::text(&row.value),
        },
    },
    Column {
        key: "bytes_per_second",
        title: "B/S",
        rank: Rank::Wide,
        field: |row| match row.bytes_per_second {
            Some(rate) => Field::number(rate, rate),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "standing",
        title: "STANDING",
        rank: Rank::Always,
        field: |row| Field::text(row.standing.to_string()),
    },
    Column {
        key: "slows",
        title: "SLOWS NOW",
        rank: Rank::Always,
        field: |row| {
            let names: Vec<String> = row.slows.iter().map(slowed).collect();
            Field::list(&names)
        },
    },
    Column {
        key: "whose",
        title: "WHOSE",
        rank: Rank::Usual,
        // No operation of Azimuth sets a throttle.
        field: |_| Field::text("foreign"),
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Usual,
        field: |row| Field::text(&row.why),
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Wide,
        field: |row| Field::text(row.source.to_string()),
    },
];
