//! `azimuth capture …`

use super::exit::Failure;
use super::facts::{Facts, gather};
use super::missing;
use super::output::{Answer, Column, Data, Field, Rank};
use crate::command::capture::Verb;
use crate::command::{Global, Line};
use crate::feed::{Section, capture};

/// One section of a capture.
struct Row {
    section: Section,
    /// Why it is missing, old or partial.
    problem: Option<String>,
}

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let sections: Vec<Section> = Section::whole().collect();
    match verb {
        Verb::Save { file } => {
            let facts = gather(line, &sections).await?;
            capture::save(file, &facts.snapshot).map_err(Failure::partial)?;
            super::exit::say(&format!("azimuth: saved {}", file.display()));
            Ok(summary(facts))
        }
        Verb::Show { file } => {
            let from = Line {
                global: Global {
                    from: Some(file.clone()),
                    ..line.global.clone()
                },
                command: None,
            };
            Ok(summary(gather(&from, &sections).await?))
        }
    }
}

fn summary(facts: Facts) -> Answer {
    let rows: Vec<Row> = Section::whole()
        .map(|section| {
            let problems = missing::problems(&facts.snapshot, &[section].into());
            let told = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.subjects.join(", "), problem.reason));
            let told: Vec<String> = told.collect();
            Row {
                section,
                problem: (!told.is_empty()).then(|| told.join("; ")),
            }
        })
        .collect();
    let answer = Answer::list(COLUMNS, &rows, "section", |row| row.section.to_string());
    facts.seal(answer)
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "section",
        title: "SECTION",
        rank: Rank::Always,
        field: |row| Field::text(row.section.to_string()),
    },
    Column {
        key: "complete",
        title: "COMPLETE",
        rank: Rank::Always,
        field: |row| {
            let complete = row.problem.is_none();
            Field::data(complete, if complete { "yes" } else { "no" })
        },
    },
    Column {
        key: "problem",
        title: "PROBLEM",
        rank: Rank::Always,
        field: |row| Field::data(Data::from(row.problem.clone()), row.problem.clone().unwrap_or_default()),
    },
];
