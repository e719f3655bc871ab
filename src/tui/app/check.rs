//! The practices: every check by section of the article, worst first, with a score for each section; and one of them with what
//! was said, what holds today, and the evidence.

use crate::check::Facts;
use crate::check::practice::{self, Finding, Score, Section as Chapter, Status};
use crate::model::foreign::width;

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};

/// All checks. Linear in partitions.
pub fn list(facts: &Facts<'_>) -> Table {
    let columns = vec![
        Column::new("status", "stands", 0).width(8, 9),
        Column::new("id", "check", 0).width(12, 24),
        Column::new("severity", "severity", 2).width(8, 8),
        Column::new("why", "why", 0).width(20, 400),
        Column::new("row", "row", 3).width(3, 6),
        Column::new("holds", "2018", 3).width(6, 6),
        Column::new("missing", "missing", 4).width(7, 10),
    ];
    let findings = practice::judge(facts, practice::all());
    Table {
        columns,
        sections: practice::scores(&findings).iter().map(section).collect(),
        rows: findings.iter().map(row).collect(),
        noun: "check",
        empty: "nothing was judged yet".to_owned(),
        ..Table::default()
    }
}

fn section(score: &Score) -> Section {
    let tone = match (score.fail, score.warn) {
        (1.., _) => Tone::Error,
        (0, 1..) => Tone::Warn,
        (0, 0) if score.pass == 0 => Tone::Muted,
        (0, 0) => Tone::Ok,
    };
    let count =
        |number: u32, word: &str, tone: Tone| (number > 0).then(|| Field::new(format!("{number} {word}")).tone(tone));
    let mut title = vec![
        Field::new(score.section.title()).tone(Tone::Section),
        Field::new(format!("{} pass", score.words())).tone(tone),
    ];
    title.extend(count(score.fail, "fail", Tone::Error));
    title.extend(count(score.warn, "warn", Tone::Warn));
    title.extend(count(score.unknown, "unknown", Tone::Unknown));
    title.extend(count(score.no_plane, "without a plane", Tone::Muted));
    title.extend(count(score.not_applicable, "n/a", Tone::Muted));
    title.extend(count(score.advice, "advice", Tone::Muted));
    Section {
        key: score.section.to_string(),
        title,
    }
}

/// The mark and word of a status, as a field.
fn status(finding: &Finding) -> Field {
    let (mark, tone) = match finding.status {
        _ if finding.explained_by.is_some() => ("-", Tone::Muted),
        Status::Fail => ("✖", Tone::Error),
        Status::Warn => ("▲", Tone::Warn),
        Status::Unknown => return Field::unknown(finding.why.clone()),
        Status::Pass => ("●", Tone::Ok),
        Status::NotApplicable | Status::Advice => ("-", Tone::Muted),
    };
    Field::new(format!("{mark} {}", finding.status)).tone(tone)
}

fn row(finding: &Finding) -> Row {
    let check = finding.check;
    let mut notes = vec![check.title.to_owned(), finding.why.clone()];
    notes.extend(finding.fix.iter().map(|fix| format!("fix: {fix}")));
    if !check.said.is_empty() {
        notes.push(format!("2018: {}", check.said));
    }
    notes.push(format!("today: {}", check.today));
    let why = match &finding.explained_by {
        Some(operation) => format!("operation {operation} explains it: {}", finding.why),
        None => finding.why.clone(),
    };
    Row {
        key: check.id.to_owned(),
        section: check.section.to_string(),
        badness: match (finding.is_bad(), finding.status) {
            (true, Status::Fail) => 20 + finding.severity as u64,
            (true, _) => 10 + finding.severity as u64,
            (false, _) => 0,
        },
        fields: vec![
            status(finding),
            Field::new(check.id),
            Field::new(finding.severity.to_string()),
            Field::new(why),
            Field::muted(check.row),
            Field::muted(check.holds.to_string()),
            finding
                .lack
                .map_or_else(Field::none, |lack| Field::muted(lack.to_string())),
        ],
        notes,
        opens: Some(Place::open(Noun::Check, check.id)),
    }
}

/// One check: what it is about, and what was seen.
pub fn open(facts: &Facts<'_>, id: &str) -> Table {
    let columns = vec![
        Column::new("subject", "subject", 0).width(12, 24),
        Column::new("value", "is", 0).width(8, 200),
        Column::new("expected", "should be", 2).width(9, 60),
        Column::new("field", "field", 3).width(6, 40),
        Column::new("source", "source", 4).width(6, 50),
        Column::new("seen_at", "seen", 5).width(5, 9),
    ];
    let Some(check) = practice::find(id) else {
        return Table {
            columns,
            noun: "evidence",
            empty: format!("there is no check {id}"),
            ..Table::default()
        };
    };
    let finding = check.run(facts);
    let said = if check.said.is_empty() { "nothing" } else { check.said };
    let mut rows = vec![about("stands", status(&finding))];
    rows.extend(told("why", &finding.why, Tone::Plain));
    if let Some(fix) = &finding.fix {
        rows.extend(told("fix", fix, Tone::Accent));
    }
    rows.extend(told("should be so", check.title, Tone::Plain));
    rows.extend(told("today", check.today, Tone::Plain));
    rows.extend(told("said in 2018", said, Tone::Plain));
    rows.push(about("holds", Field::new(check.holds.to_string())));
    rows.extend(finding.evidence.iter().enumerate().map(|(at, proof)| Row {
        key: format!("{at} {}", proof.subject),
        section: "evidence".to_owned(),
        fields: vec![
            Field::new(proof.subject.clone()),
            Field::new(proof.value.clone()),
            Field::muted(proof.expected.clone()),
            Field::muted(proof.field.clone()),
            Field::muted(proof.source),
            proof.seen_at.map_or_else(Field::none, |at| Field::muted(at.strftime("%H:%M:%SZ").to_string())),
        ],
        ..Row::default()
    }));
    let many = match finding.more {
        0 => format!("evidence: {} seen", finding.evidence.len()),
        more => format!("evidence: {} seen, {more} more", finding.evidence.len()),
    };
    Table {
        columns,
        sections: vec![
            Section {
                key: "about".to_owned(),
                title: vec![
                    Field::new(check.id).tone(Tone::Section),
                    Field::muted(format!("row {} of {}", check.row, chapter(check.section))),
                ],
            },
            Section {
                key: "evidence".to_owned(),
                title: vec![Field::new(many).tone(Tone::Section)],
            },
        ],
        rows,
        noun: "line",
        is_fixed: true,
        ..Table::default()
    }
}

fn chapter(section: Chapter) -> String {
    section.title().to_lowercase()
}

/// Letters of a line beside its subject on 80 columns.
const LINE: usize = 50;

/// A text over as many lines as it takes.
fn told(what: &str, text: &str, tone: Tone) -> Vec<Row> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + width(word) < LINE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let row = |(at, line): (usize, String)| Row {
        key: format!("{what} {at}"),
        ..about(if at == 0 { what } else { "" }, Field::new(line).tone(tone))
    };
    lines.into_iter().enumerate().map(row).collect()
}

fn about(what: &str, field: Field) -> Row {
    Row {
        key: what.to_owned(),
        section: "about".to_owned(),
        fields: vec![Field::muted(what), field],
        ..Row::default()
    }
}
