//! The ten lines of triage as rows: their order is the answer's, and each leads to its evidence.

use crate::check::triage::{Line, Name};
use crate::check::{Evidence, Triage};
use crate::plan::gate::Verdict;

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};

/// Where a row's fields stand; the view draws by them.
pub const MARK: usize = 0;
pub const LABEL: usize = 1;
pub const TEXT: usize = 2;
pub const SINCE: usize = 3;

/// Lines that are shown whole however small the screen is.
pub const WHOLE: [&str; 4] = ["headline", "who", "next", "dont"];

/// All lines; none before the rules have judged anything.
pub fn list(triage: Option<&Triage>) -> Table {
    let columns = vec![
        Column::new("verdict", "verdict", 0).width(1, 9),
        Column::new("line", "line", 0).width(8, 8),
        Column::new("text", "text", 0).width(20, 400),
        Column::new("since", "since", 1).width(8, 24),
        Column::new("source", "source", 2).width(8, 60),
    ];
    Table {
        columns,
        rows: triage
            .map(|triage| triage.lines.iter().map(|line| row(triage, line)).collect())
            .unwrap_or_default(),
        noun: "line",
        empty: "nothing was judged yet".to_owned(),
        is_fixed: true,
        ..Table::default()
    }
}

fn row(triage: &Triage, line: &Line) -> Row {
    let (mark, tone) = match line.verdict {
        Verdict::Pass => ("●", Tone::Ok),
        Verdict::Warn => ("▲", Tone::Warn),
        Verdict::Fail => ("✖", Tone::Error),
        Verdict::Unknown => ("?", Tone::Unknown),
    };
    let label = match line.name {
        Name::Headline => String::new(),
        Name::Dont => "DON'T".to_owned(),
        name => name.to_string().to_uppercase(),
    };
    let text = match (line.name, line.verdict) {
        (Name::Headline, Verdict::Fail) => Tone::Error,
        (Name::Headline, Verdict::Warn) => Tone::Warn,
        (Name::Headline, Verdict::Pass) => Tone::Ok,
        (Name::Who, Verdict::Fail | Verdict::Warn) => Tone::Title,
        _ => Tone::Plain,
    };
    let since = line.since.map_or_else(Field::none, |since| {
        let basis = if since.recorded { "recorded" } else { "seen" };
        Field::muted(format!("since {} ({basis})", since.at.strftime("%H:%M:%S")))
    });
    let verdict = match line.verdict {
        _ if matches!(line.name, Name::Next | Name::Dont) => Field::new("→").tone(Tone::Accent),
        Verdict::Unknown => Field::unknown(line.why.clone().unwrap_or_default()),
        _ => Field::new(mark).tone(tone).why(line.why.clone()),
    };
    Row {
        key: line.name.to_string(),
        badness: match line.verdict {
            Verdict::Fail => 2,
            Verdict::Warn => 1,
            Verdict::Pass | Verdict::Unknown => 0,
        },
        fields: vec![
            verdict,
            Field::new(label).tone(Tone::Section),
            Field::new(line.text.clone()).tone(text),
            since,
            Field::muted(line.source.clone()),
        ],
        notes: notes(triage, line),
        opens: line.evidence.as_ref().and_then(place),
        ..Row::default()
    }
}

/// What stands behind a line, for the inspector.
fn notes(triage: &Triage, line: &Line) -> Vec<String> {
    let mut notes: Vec<String> = match line.name {
        Name::Headline | Name::Who => triage
            .causes
            .iter()
            .map(|cause| format!("{}: {}", cause.rule, cause.text))
            .chain(triage.explained.iter().map(|one| {
                let (rule, text) = (one.cause.rule, &one.cause.text);
                format!("{rule}, explained by operation {}: {text}", one.by)
            }))
            .collect(),
        Name::Next => {
            let step = |step: &crate::check::Step| {
                let gates = step
                    .gates
                    .iter()
                    .map(|gate| format!("{} {}: {}", gate.name, gate.verdict, gate.evidence));
                format!("{} · {}", step.action, gates.collect::<Vec<_>>().join(" · "))
            };
            triage
                .next
                .iter()
                .map(step)
                .map(|text| text.trim_end_matches([' ', '·']).to_owned())
                .collect()
        }
        Name::Dont => triage
            .dont
            .iter()
            .map(|dont| format!("{}: {}", dont.action, dont.why))
            .collect(),
        _ => Vec::new(),
    };
    notes.push(format!("from {}", line.source));
    notes
}

/// The screen of the evidence, where there is one.
fn place(evidence: &Evidence) -> Option<Place> {
    let noun: Noun = evidence.noun.parse().ok()?;
    Some(match &evidence.name {
        Some(name) => Place::open(noun, name.clone()),
        None => Place::list(noun),
    })
}
