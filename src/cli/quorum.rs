//! `azimuth quorum …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, duration};
use crate::command::Line;
use crate::command::quorum::Verb;
use crate::feed::Section;
use crate::model::row::Cell;
use crate::model::row::quorum::{QuorumNode, QuorumRow};

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::Show = verb;
    let facts = gather(line, &[Section::Cluster, Section::Quorum]).await?;
    let Some(quorum) = QuorumRow::of(&facts.snapshot, facts.now) else {
        return Ok(facts.seal(Answer {
            complete: true,
            ..Answer::default()
        }));
    };
    let sheet = Sheet::of(NODES, &quorum.nodes);
    let mut answer = Answer::list(COLUMNS, [&quorum], "quorum", |quorum| {
        quorum.leader.map_or_else(|| "none".to_owned(), |id| id.to_string())
    });
    answer.blocks[0].upright = true;
    let items = answer.items.into_iter();
    answer.items = items
        .map(|item| item.with("nodes", Data::List(sheet.items())))
        .collect();
    answer.blocks.push(Block {
        title: None,
        sheet,
        upright: false,
    });
    Ok(facts.seal(answer))
}

fn ago(cell: &Cell<f64>) -> Field {
    Field::cell(cell, |seconds| format!("{} ago", duration(*seconds)))
}

const COLUMNS: &[Column<QuorumRow>] = &[
    Column {
        key: "leader",
        title: "LEADER",
        rank: Rank::Always,
        field: |quorum| match quorum.leader {
            Some(id) => Field::number(id, id),
            None => Field::number(Data::Null, "none"),
        },
    },
    Column {
        key: "leader_epoch",
        title: "EPOCH",
        rank: Rank::Always,
        field: |quorum| Field::number(quorum.leader_epoch, quorum.leader_epoch),
    },
    Column {
        key: "high_watermark",
        title: "HIGH WATERMARK",
        rank: Rank::Always,
        field: |quorum| Field::number(quorum.high_watermark, quorum.high_watermark),
    },
    Column {
        key: "voters",
        title: "VOTERS",
        rank: Rank::Always,
        field: |quorum| Field::number(quorum.voters, quorum.voters),
    },
    Column {
        key: "following",
        title: "FOLLOWING",
        rank: Rank::Always,
        field: |quorum| Field::number(quorum.following, quorum.following),
    },
    Column {
        key: "majority",
        title: "MAJORITY",
        rank: Rank::Always,
        field: |quorum| Field::number(quorum.majority, quorum.majority),
    },
];

const NODES: &[Column<QuorumNode>] = &[
    Column {
        key: "id",
        title: "ID",
        rank: Rank::Always,
        field: |node| Field::number(node.id, node.id),
    },
    Column {
        key: "role",
        title: "ROLE",
        rank: Rank::Always,
        field: |node| Field::text(node.role.to_string()),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |node| Field::text(node.state.to_string()),
    },
    Column {
        key: "log_end_offset",
        title: "LOG END",
        rank: Rank::Usual,
        field: |node| Field::cell(&node.log_end_offset, i64::to_string),
    },
    Column {
        key: "lag_records",
        title: "LAG",
        rank: Rank::Always,
        field: |node| Field::cell(&node.lag_records, i64::to_string),
    },
    Column {
        key: "caught_up_seconds",
        title: "CAUGHT UP",
        rank: Rank::Always,
        field: |node| ago(&node.behind_seconds),
    },
    Column {
        key: "fetched_seconds",
        title: "LAST FETCH",
        rank: Rank::Always,
        field: |node| ago(&node.fetched_seconds),
    },
    Column {
        key: "is_broker",
        title: "BROKER",
        rank: Rank::Wide,
        field: |node| Field::mark(node.is_broker, "yes"),
    },
    Column {
        key: "directory",
        title: "DIRECTORY ID",
        rank: Rank::Usual,
        field: |node| Field::maybe(node.directory.as_ref()),
    },
];
