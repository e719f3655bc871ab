//! `azimuth throttle …`

use super::change;
use super::exit::Failure;
use super::facts::{Facts, gather};
use super::output::{Answer, Column, Data, Field, Rank, mb_per_second};
use crate::command::Line;
use crate::command::throttle::Verb;
use crate::feed::Section;
use crate::model::row::throttle::{Slowed, Standing, ThrottleRow};
use crate::model::throttle::Claim;

const NEEDS: [Section; 6] = [
    Section::Cluster,
    Section::Topics,
    Section::Reassignments,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    if matches!(verb, Verb::Set { .. }) {
        return Err(Failure::usage(
            "--rate auto is for --catch-up; give a rate such as 50MB",
        ));
    }
    let stale = matches!(verb, Verb::List { stale: true });
    let facts = gather(line, &NEEDS).await?;
    let claims = claims(line, &facts)?;
    let rows: Vec<Owned> = ThrottleRow::all(&facts.snapshot)
        .into_iter()
        .filter(|row| !stale || matches!(row.standing, Standing::Stale | Standing::Inert))
        .map(|row| Owned {
            whose: row.whose(&claims),
            row,
        })
        .collect();
    let answer = Answer::list(COLUMNS, &rows, "throttle", |owned| {
        format!("{} {}", owned.row.subject, owned.row.property)
    });
    Ok(facts.seal(answer))
}

/// What operations of this host have set; a capture was taken elsewhere.
fn claims(line: &Line, facts: &Facts) -> Result<Vec<Claim>, Failure> {
    match (&line.global.from, facts.snapshot.cluster.get()) {
        (None, Some(cluster)) => Ok(change::ground(&line.global)?.folder(&cluster.id)?.claims()?),
        _ => Ok(Vec::new()),
    }
}

/// A setting and whose it is.
struct Owned {
    row: ThrottleRow,
    whose: String,
}

fn slowed(slowed: &Slowed) -> String {
    format!("{}-{}@{}", slowed.topic, slowed.partition, slowed.replica)
}

const COLUMNS: &[Column<Owned>] = &[
    Column {
        key: "subject",
        title: "SET ON",
        rank: Rank::Always,
        field: |one| Field::text(&one.row.subject),
    },
    Column {
        key: "property",
        title: "PROPERTY",
        rank: Rank::Always,
        field: |one| Field::text(&one.row.property),
    },
    Column {
        key: "value",
        title: "VALUE",
        rank: Rank::Always,
        field: |one| match one.row.bytes_per_second {
            Some(rate) => Field::data(one.row.value.clone(), mb_per_second(rate as f64)),
            None => Field::text(&one.row.value),
        },
    },
    Column {
        key: "bytes_per_second",
        title: "B/S",
        rank: Rank::Wide,
        field: |one| match one.row.bytes_per_second {
            Some(rate) => Field::number(rate, rate),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "standing",
        title: "STANDING",
        rank: Rank::Always,
        field: |one| Field::text(one.row.standing.to_string()),
    },
    Column {
        key: "slows",
        title: "SLOWS NOW",
        rank: Rank::Always,
        field: |one| {
            let names: Vec<String> = one.row.slows.iter().map(slowed).collect();
            Field::list(&names)
        },
    },
    Column {
        key: "whose",
        title: "WHOSE",
        rank: Rank::Usual,
        field: |one| Field::text(&one.whose),
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Usual,
        field: |one| Field::text(&one.row.why),
    },
    Column {
        key: "source",
        title: "SOURCE",
        rank: Rank::Wide,
        field: |one| Field::text(one.row.source.to_string()),
    },
];
