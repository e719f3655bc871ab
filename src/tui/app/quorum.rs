//! The controller quorum: leader, voters and observers, and how closely each follows.

use crate::model::row::Cell;
use crate::model::row::quorum::{QuorumNode, QuorumRole, QuorumRow, QuorumState};
use crate::model::{Health, Moment, Snapshot, Trouble};

use super::broker::set_age;
use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};
use super::text;

/// What else stops when the quorum does, and what does not.
const MEANWHILE: &str = "elections and metadata changes wait, leaders go on serving";

/// All nodes, under a line about the whole.
pub fn list(snapshot: &Snapshot, now: Moment) -> Table {
    let columns = vec![
        Column::new("id", "node", 0).width(4, 6).right(),
        Column::new("role", "role", 0).width(8, 10),
        Column::new("state", "state", 0).width(9, 12),
        Column::new("age", "age", 1).width(0, 6),
        Column::new("lag_records", "records behind", 0).width(14, 14).right(),
        Column::new("behind_seconds", "behind", 0).width(8, 9).right(),
        Column::new("fetched_seconds", "last fetch", 1).width(10, 12).right(),
        Column::new("log_end_offset", "log end", 2).width(9, 14).right(),
        Column::new("is_broker", "also", 4).width(6, 6),
        Column::new("directory", "metadata log dir id", 3).width(19, 36),
    ];
    let row = QuorumRow::of(snapshot, now);
    Table {
        columns,
        sections: row.iter().map(section).collect(),
        rows: row
            .iter()
            .flat_map(|quorum| quorum.nodes.iter().map(|node| line(quorum, node)))
            .collect(),
        noun: "quorum node",
        empty: empty(snapshot),
        ..Table::default()
    }
}

fn empty(snapshot: &Snapshot) -> String {
    let problem = snapshot.quorum.problem().unwrap_or_default();
    match &snapshot.quorum.health {
        Health::Unasked => "the quorum was not asked yet".to_owned(),
        Health::Failing {
            trouble: Trouble::Unsupported | Trouble::Denied,
            ..
        } => problem,
        _ => format!("the quorum gives no answer; {MEANWHILE}: {problem}"),
    }
}

fn section(quorum: &QuorumRow) -> Section {
    let leader = match quorum.leader {
        Some(id) => Field::new(format!("leader {id}")).tone(Tone::Section),
        None => Field::new("✖ no leader").tone(Tone::Error),
    };
    let tone = match (quorum.following < quorum.majority, quorum.spare()) {
        (true, _) => Tone::Error,
        (false, 0) if quorum.voters > 1 => Tone::Warn,
        _ => Tone::Ok,
    };
    let mut title = vec![
        leader,
        Field::new(format!("epoch {}", quorum.leader_epoch)),
        Field::new(format!("voters {}/{} follow", quorum.following, quorum.voters)).tone(tone),
    ];
    if let (Some(age), Some(problem)) = (quorum.stale_seconds, &quorum.problem) {
        // What was seen last says nothing of the margin now.
        title.push(
            Field::new(format!("✖ no answer for {}: elections wait", text::age(age)))
                .tone(Tone::Error)
                .why(Some(problem.clone())),
        );
        return Section {
            key: "quorum".to_owned(),
            title,
        };
    }
    title.push(match (quorum.following < quorum.majority, quorum.spare()) {
        (true, _) => Field::new(format!("✖ {} are needed", quorum.majority)).tone(Tone::Error),
        (false, 0) if quorum.voters == 1 => Field::muted("the only voter: elections wait while it is away"),
        (false, 0) => Field::new("▲ one more loss stops elections").tone(Tone::Warn),
        (false, spare) => Field::muted(format!("{spare} may be lost")),
    });
    Section {
        key: "quorum".to_owned(),
        title,
    }
}

fn line(quorum: &QuorumRow, node: &QuorumNode) -> Row {
    let count = |cell: &Cell<i64>| Field::of(cell, |count| Field::count(*count));
    let seconds = |cell: &Cell<f64>| Field::of(cell, |seconds| Field::new(span(*seconds)).number(*seconds));
    let (state, tone) = match node.state {
        QuorumState::Leads => ("● leads", Tone::Ok),
        QuorumState::Follows => ("● follows", Tone::Ok),
        QuorumState::Silent => ("✖ silent", Tone::Error),
        QuorumState::Unknown => ("? unknown", Tone::Unknown),
    };
    let unseen = node
        .fetched_seconds
        .reason
        .clone()
        .filter(|_| node.state == QuorumState::Unknown);
    let mut fields = vec![
        Field::id(node.id),
        Field::new(node.role.to_string()),
        Field::new(state).tone(tone).why(unseen),
        Field::default(),
        count(&node.lag_records),
        seconds(&node.behind_seconds),
        seconds(&node.fetched_seconds),
        count(&node.log_end_offset),
        Field::muted(if node.is_broker { "broker" } else { "" }),
        match &node.directory {
            Some(id) => Field::muted(id.clone()),
            None => Field::none(),
        },
    ];
    set_age(&mut fields, 3);
    let mut notes = Vec::new();
    if node.role == QuorumRole::Voter && node.state == QuorumState::Silent {
        notes.push(format!(
            "voter {} does not fetch: {} of {} voters are left, {} are needed",
            node.id, quorum.following, quorum.voters, quorum.majority
        ));
    }
    if let Some(problem) = &quorum.problem {
        notes.push(format!("{problem}; {MEANWHILE}"));
    }
    Row {
        key: node.id.to_string(),
        section: "quorum".to_owned(),
        badness: match (node.role, node.state) {
            (QuorumRole::Voter, QuorumState::Silent) => 1_000,
            (QuorumRole::Voter, QuorumState::Unknown) => 500,
            (_, QuorumState::Silent) => 100,
            _ => 0,
        },
        fields,
        notes,
        opens: node.is_broker.then(|| Place::open(Noun::Broker, node.id.to_string())),
    }
}

/// `0 s`, `0.4 s`, `41 s`, `9 d`.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.05 => "0 s".to_owned(),
        s if s < 9.95 => format!("{s:.1} s"),
        s => text::span(s),
    }
}
