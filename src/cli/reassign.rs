//! `azimuth reassign …`

use std::collections::BTreeSet;

use super::change::{self, Files, Wish};
use super::exit::{Exit, Failure};
use super::facts::gather;
use super::output::{Answer, Column, Field, Rank, bytes, duration, mb_per_second, percent};
use super::print;
use crate::command::Line;
use crate::command::reassign::Verb;
use crate::feed::Section;
use crate::model::BrokerId;
use crate::model::row::reassignment::{Hold, ReassignmentRow};
use crate::plan::Kind;
use crate::plan::intent::Intent;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Plan(wanted) => {
            let read = |path: &std::path::PathBuf| {
                let text = std::fs::read_to_string(path);
                text.map_err(|error| Failure::usage(format!("--from-json {}: {error}", path.display())))
            };
            let file = wanted.from_json.as_ref().map(read).transpose()?;
            let wish = wanted.wish(file.as_deref()).map_err(Failure::usage)?;
            let intent = Intent::Reassign(wish);
            let saved = wanted
                .refresh
                .as_ref()
                .map(|path| change::load(path, Kind::Reassign))
                .transpose()?;
            let files = Files {
                plan: wanted.out.as_deref(),
                kafka: wanted.to_json.as_deref(),
                undo: wanted.undo_json.as_deref(),
                valid: wanted.valid.map(|valid| valid.0),
                refresh: saved.as_ref().map(|saved| (saved, wanted.only_refreshes())),
            };
            change::plan(line, intent, files).await
        }
        Verb::Apply {
            file,
            detach,
            overrides,
            skip_drifted,
            when,
        } => {
            let plan = change::load(file, Kind::Reassign)?;
            let wish = Wish {
                skip_drifted: *skip_drifted,
                ..Wish::saved(plan, overrides, *detach, when)
            };
            change::run(line, wish).await
        }
        Verb::List => {
            let answer = list(line).await?;
            match &line.command {
                Some(command) => print(line, command, &answer),
                None => Ok(answer.exit()),
            }
        }
        Verb::Cancel { overrides, .. } => {
            let intent = verb
                .cancel()
                .ok_or_else(|| Failure::usage("name what is to be cancelled, or --all"))?;
            change::carry_out(line, intent, overrides).await
        }
    }
}

/// What the rows of a move rest on.
const MOVES: [Section; 8] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Offsets,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
    Section::Reassignments,
];

/// One question where nothing is in flight; otherwise all that tells how it gets on.
async fn list(line: &Line) -> Result<Answer, Failure> {
    let facts = gather(line, &[Section::Cluster, Section::Reassignments]).await?;
    let moves = facts.snapshot.reassignments.get().map_or(&[][..], Vec::as_slice);
    if moves.is_empty() {
        return Ok(facts.seal(rows(&[])));
    }
    let involved: BTreeSet<BrokerId> = moves.iter().flat_map(|one| one.replicas.clone()).collect();
    let facts = gather(line, &MOVES).await?;
    // What a broker that takes part in no move does not tell is no part of the answer.
    let facts = facts.only(|subject| {
        let id = subject
            .strip_prefix("broker ")
            .and_then(|rest| rest.split(' ').next()?.parse().ok());
        id.is_none_or(|id| involved.contains(&id))
    });
    let rows_seen = facts.rows().reassignments;
    Ok(facts.seal(rows(&rows_seen)))
}

fn rows(moves: &[ReassignmentRow]) -> Answer {
    Answer::list(COLUMNS, moves, "partition", ReassignmentRow::name)
}

/// Everything that a move holds: what it has and what is being added.
fn all_replicas(row: &ReassignmentRow) -> Vec<BrokerId> {
    let leaving = row.from.iter().filter(|id| !row.to.contains(id));
    row.to.iter().chain(leaving).copied().collect()
}

fn hold(hold: &Hold) -> String {
    format!(
        "{} {} {}",
        hold.side,
        hold.broker,
        mb_per_second(hold.bytes_per_second as f64)
    )
}

const COLUMNS: &[Column<ReassignmentRow>] = &[
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
        key: "from",
        title: "FROM",
        rank: Rank::Usual,
        field: |one| Field::list(&one.from),
    },
    Column {
        key: "to",
        title: "TO",
        rank: Rank::Usual,
        field: |one| Field::list(&one.to),
    },
    Column {
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Wide,
        field: |one| Field::list(&all_replicas(one)),
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
    Column {
        key: "arrived",
        title: "IN SYNC",
        rank: Rank::Wide,
        field: |one| Field::data(one.arrived, format!("{}/{}", one.arrived, one.adding.len())),
    },
    Column {
        key: "size_bytes",
        title: "SIZE",
        rank: Rank::Wide,
        field: |one| Field::cell(&one.size_bytes, |value| bytes(*value)),
    },
    Column {
        key: "done_percent",
        title: "DONE",
        rank: Rank::Usual,
        field: |one| Field::cell(&one.done_percent, |value| percent(*value)),
    },
    Column {
        key: "left_bytes",
        title: "LEFT",
        rank: Rank::Always,
        field: |one| Field::cell(&one.left_bytes, |value| bytes(*value)),
    },
    Column {
        key: "bytes_per_second",
        title: "RATE",
        rank: Rank::Usual,
        field: |one| Field::cell(&one.bytes_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "eta_seconds",
        title: "ENDS IN",
        rank: Rank::Usual,
        field: |one| Field::cell(&one.eta_seconds, |value| duration(*value)),
    },
    Column {
        key: "eta_basis",
        title: "BASIS",
        rank: Rank::Wide,
        field: |one| Field::text(&one.basis),
    },
    Column {
        key: "throttles",
        title: "SLOWED BY",
        rank: Rank::Usual,
        field: |one| Field::list(&one.throttles.iter().map(hold).collect::<Vec<_>>()),
    },
    Column {
        key: "stuck",
        title: "STUCK",
        rank: Rank::Usual,
        field: |one| Field::maybe(one.stuck.as_ref()),
    },
];
