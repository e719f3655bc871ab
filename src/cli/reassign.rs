//! `azimuth reassign …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Field, Rank};
use crate::command::Line;
use crate::command::reassign::Verb;
use crate::feed::Section;
use crate::model::reassignment::Reassignment;

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List => {
            let facts = gather(line, &[Section::Cluster, Section::Reassignments]).await?;
            let moves = facts.snapshot.reassignments.get().map_or(&[][..], Vec::as_slice);
            let answer = Answer::list(COLUMNS, moves, "partition", |one| {
                format!("{}:{}", one.topic, one.partition)
            });
            Ok(facts.seal(answer))
        }
        Verb::Plan(_) | Verb::Apply { .. } | Verb::Cancel { .. } => {
            Err(super::not_built("reassign plan, apply and cancel"))
        }
    }
}

const COLUMNS: &[Column<Reassignment>] = &[
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
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Always,
        field: |one| Field::list(&one.replicas),
    },
    Column {
        key: "adding",
        title: "ADDING",
        rank: Rank::Always,
        field: |one| Field::list(&one.adding),
    },
    Column {
        key: "removing",
        title: "REMOVING",
        rank: Rank::Always,
        field: |one| Field::list(&one.removing),
    },
];
