//! `azimuth quorum …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, duration};
use crate::command::Line;
use crate::command::quorum::Verb;
use crate::feed::Section;
use crate::model::quorum::{Quorum, Voter};

/// A node of the quorum, beside its leader.
struct Row {
    node: Voter,
    role: &'static str,
    /// Records behind the leader's log end.
    lag_records: Option<i64>,
    /// On the leader's clock.
    caught_up_seconds: Option<i64>,
}

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::Show = verb;
    let facts = gather(line, &[Section::Cluster, Section::Quorum]).await?;
    let Some(quorum) = facts.snapshot.quorum.get() else {
        return Ok(facts.seal(Answer {
            complete: true,
            ..Answer::default()
        }));
    };
    let rows = rows(quorum);
    let sheet = Sheet::of(NODES, &rows);
    let mut answer = Answer::list(COLUMNS, [quorum], "quorum", |quorum| {
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

fn rows(quorum: &Quorum) -> Vec<Row> {
    let all = || quorum.voters.iter().chain(&quorum.observers);
    let leader = all().find(|node| Some(node.id) == quorum.leader);
    let end = leader.map(|leader| leader.log_end_offset);
    // The leader's clock, as of this answer: it has caught up with itself.
    let now = leader.and_then(|leader| leader.last_caught_up_ms);
    let row = |node: &Voter, role| Row {
        role: if Some(node.id) == quorum.leader { "leader" } else { role },
        lag_records: end
            .map(|end| (end - node.log_end_offset).max(0))
            .filter(|_| node.log_end_offset >= 0),
        caught_up_seconds: now
            .zip(node.last_caught_up_ms)
            .map(|(now, at)| (now - at).max(0) / 1000),
        node: node.clone(),
    };
    let voters = quorum.voters.iter().map(|node| row(node, "voter"));
    voters
        .chain(quorum.observers.iter().map(|node| row(node, "observer")))
        .collect()
}

const COLUMNS: &[Column<Quorum>] = &[
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
];

const NODES: &[Column<Row>] = &[
    Column {
        key: "id",
        title: "ID",
        rank: Rank::Always,
        field: |row| Field::number(row.node.id, row.node.id),
    },
    Column {
        key: "role",
        title: "ROLE",
        rank: Rank::Always,
        field: |row| Field::text(row.role),
    },
    Column {
        key: "log_end_offset",
        title: "LOG END",
        rank: Rank::Always,
        field: |row| Field::number(row.node.log_end_offset, row.node.log_end_offset),
    },
    Column {
        key: "lag_records",
        title: "LAG",
        rank: Rank::Always,
        field: |row| match row.lag_records {
            Some(lag) => Field::number(lag, lag),
            None => Field::number(Data::Null, "?"),
        },
    },
    Column {
        key: "caught_up_seconds",
        title: "CAUGHT UP",
        rank: Rank::Usual,
        field: |row| match row.caught_up_seconds {
            Some(age) => Field::number(age, format!("{} ago", duration(age as f64))),
            None => Field::number(Data::Null, "?"),
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_measured_against_the_leader() {
        let voter = |id, end, at| Voter {
            id,
            log_end_offset: end,
            last_fetch_ms: None,
            last_caught_up_ms: at,
        };
        let quorum = Quorum {
            leader: Some(1),
            voters: vec![voter(1, 100, Some(60_000)), voter(2, 90, Some(58_000))],
            observers: vec![voter(3, -1, None)],
            ..Quorum::default()
        };
        let rows = rows(&quorum);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.role, row.lag_records, row.caught_up_seconds))
            .collect();
        assert_eq!(
            seen,
            [
                ("leader", Some(0), Some(0)),
                ("voter", Some(10), Some(2)),
                ("observer", None, None)
            ]
        );
    }
}
