//! `azimuth transaction …`

use std::collections::BTreeMap;

use super::exit::Failure;
use super::facts::{self, Facts, gather};
use super::output::{Answer, Block, Column, Data, Field, Problem, Rank, Sheet, duration};
use crate::command::Line;
use crate::command::transaction::Verb;
use crate::feed::{self, Section};
use crate::model::BrokerId;
use crate::model::row::transaction::{Orphan, TransactionRow, orphans};
use crate::settings::pin::Pins;

const NEEDS: [Section; 3] = [Section::Cluster, Section::Topics, Section::Transactions];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List { hanging, topic } = verb else {
        return Err(Failure::usage("that is a change, not a question"));
    };
    let facts = gather(line, &NEEDS).await?;
    let rows = TransactionRow::all(&facts.snapshot, facts.now);
    let shown: Vec<&TransactionRow> = rows.iter().filter(|row| !hanging || row.hanging.is_some()).collect();
    let mut answer = Answer::list(COLUMNS, shown, "transaction", |row| row.id.clone());
    // What is not open has no age, and nothing is missing.
    answer
        .problems
        .retain(|problem| problem.reason != "no transaction is open");
    if let Some(topic) = topic {
        add_orphans(line, &facts, topic, &mut answer).await?;
    }
    Ok(facts.seal(answer))
}

/// Asks the leaders of one topic what is open there, and adds what no coordinator knows.
async fn add_orphans(line: &Line, facts: &Facts, topic: &str, answer: &mut Answer) -> Result<(), Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage(
            "a capture holds no producers; leave out --topic or --from",
        ));
    }
    let Some(found) = facts.snapshot.topic(topic) else {
        let known: Vec<&str> = facts
            .snapshot
            .topics()
            .iter()
            .map(|topic| topic.name.as_str())
            .collect();
        return Err(facts.unknown("topic", topic, &known));
    };
    let mut led: BTreeMap<BrokerId, Vec<i32>> = BTreeMap::new();
    for partition in &found.partitions {
        match partition.leader {
            Some(leader) => led.entry(leader).or_default().push(partition.partition),
            None => missing(
                answer,
                format!("{topic}-{}", partition.partition),
                "it has no leader".to_owned(),
            ),
        }
    }
    let paths = facts::paths()?;
    let (context, _) = facts::context_of(&line.global, &paths)?;
    let sources = facts::sources(&context, &Pins::load(&paths)?, &paths)?;
    let told = feed::producers(&sources, topic, &led, facts::patience(&line.global)).await;
    let mut producers = Vec::new();
    for (leader, outcome) in told {
        match outcome {
            Ok(more) => producers.extend(more),
            Err(error) => missing(answer, format!("broker {leader} producers"), error.to_string()),
        }
    }
    match orphans(&facts.snapshot, &producers, facts.now) {
        Ok(orphans) => {
            let sheet = Sheet::of(ORPHANS, &orphans);
            answer.items.extend(sheet.items());
            answer
                .names
                .extend(orphans.iter().map(|one| one.producer_id.to_string()));
            answer.blocks.push(Block {
                title: Some(format!("OPEN IN {topic}, UNKNOWN TO EVERY COORDINATOR")),
                sheet,
                upright: false,
            });
        }
        Err(why) => missing(answer, format!("orphans in {topic}"), why),
    }
    Ok(())
}

fn missing(answer: &mut Answer, subject: String, reason: String) {
    answer.complete = false;
    answer.problems.push(Problem {
        subjects: vec![subject],
        fields: Vec::new(),
        reason,
    });
}

const COLUMNS: &[Column<TransactionRow>] = &[
    Column {
        key: "transactional_id",
        title: "TRANSACTIONAL ID",
        rank: Rank::Always,
        field: |row| Field::text(&row.id),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |row| Field::text(&row.state),
    },
    Column {
        key: "open_seconds",
        title: "OPEN FOR",
        rank: Rank::Always,
        field: |row| match (&row.open_seconds.value, row.timeout_seconds) {
            (None, None) => Field::number(Data::Null, "-"),
            _ => Field::cell(&row.open_seconds, |seconds| duration(*seconds)),
        },
    },
    Column {
        key: "timeout_seconds",
        title: "TIMEOUT",
        rank: Rank::Always,
        field: |row| match row.timeout_seconds {
            Some(seconds) => Field::number(seconds, duration(seconds)),
            None => Field::number(Data::Null, "-"),
        },
    },
    Column {
        key: "hanging",
        title: "HANGING",
        rank: Rank::Always,
        field: |row| Field::data(row.hanging.is_some(), row.hanging.as_deref().unwrap_or("")),
    },
    Column {
        key: "partitions",
        title: "PARTITIONS",
        rank: Rank::Usual,
        field: |row| {
            let names = row
                .topics
                .iter()
                .flat_map(|(topic, partitions)| partitions.iter().map(move |partition| format!("{topic}-{partition}")));
            Field::list(&names.collect::<Vec<_>>())
        },
    },
    Column {
        key: "coordinator",
        title: "COORDINATOR",
        rank: Rank::Usual,
        field: |row| Field::number(row.coordinator, row.coordinator),
    },
    Column {
        key: "producer_id",
        title: "PRODUCER",
        rank: Rank::Usual,
        field: |row| Field::number(row.producer_id, row.producer_id),
    },
    Column {
        key: "producer_epoch",
        title: "EPOCH",
        rank: Rank::Wide,
        field: |row| match row.producer_epoch {
            Some(epoch) => Field::number(i64::from(epoch), epoch),
            None => Field::number(Data::Null, "-"),
        },
    },
];

const ORPHANS: &[Column<Orphan>] = &[
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |one| Field::text(&one.topic),
    },
    Column {
        key: "partition",
        title: "P",
        rank: Rank::Always,
        field: |one| Field::number(one.partition, one.partition),
    },
    Column {
        key: "producer_id",
        title: "PRODUCER",
        rank: Rank::Always,
        field: |one| Field::number(one.producer_id, one.producer_id),
    },
    Column {
        key: "producer_epoch",
        title: "EPOCH",
        rank: Rank::Usual,
        field: |one| Field::number(one.producer_epoch, one.producer_epoch),
    },
    Column {
        key: "open_from_offset",
        title: "OPEN FROM",
        rank: Rank::Always,
        field: |one| Field::number(one.open_from_offset, one.open_from_offset),
    },
    Column {
        key: "idle_seconds",
        title: "LAST RECORD",
        rank: Rank::Always,
        field: |one| match one.idle_seconds {
            Some(seconds) => Field::number(seconds, format!("{} ago", duration(seconds))),
            None => Field::number(Data::Null, "-"),
        },
    },
];
