//! `azimuth context diff`: two clusters beside each other.

use futures::FutureExt;
use futures::future::join;
use strum::VariantArray;

use super::missing;
use crate::cli::exit::{Exit, Failure, say};
use crate::cli::facts::look_at;
use crate::cli::missing::problems;
use crate::cli::output::{Answer, Column, Data, Field, Rank};
use crate::command::Global;
use crate::feed::{Needs, Section};
use crate::model::row::difference::{Difference, Part, Side, between, between_mirrored};
use crate::model::{Moment, Snapshot};

/// What B lacks of A, as a runbook; 0 nothing, 1 something, 3 where not everything could be seen.
pub async fn plan(global: &Global, names: [&str; 2], only: &[Part]) -> Result<(String, Exit), Failure> {
    let (a, b, needs, parts) = both(global, names, only).await?;
    let unseen = [(names[0], &a), (names[1], &b)]
        .into_iter()
        .find_map(|(name, snapshot)| {
            let problem = problems(snapshot, &needs).into_iter().next()?;
            Some(format!("{name}: {}: {}", problem.subjects.join(", "), problem.reason))
        });
    if let Some(why) = &unseen {
        say(&format!("azimuth: not everything could be seen: {why}"));
    }
    let exit = |made: bool| match (unseen.is_some(), made) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::No,
        (false, false) => Exit::Done,
    };
    Ok(match missing::runbook(names, &a, &b, &parts) {
        Some(text) => (text, exit(true)),
        None => {
            say(&format!("azimuth: {} lacks nothing of {}", names[1], names[0]));
            (String::new(), exit(false))
        }
    })
}

/// Both clusters, what was asked of them, and which parts.
async fn both(
    global: &Global,
    names: [&str; 2],
    only: &[Part],
) -> Result<(Snapshot, Snapshot, Needs, Vec<Part>), Failure> {
    if global.context.is_some() || global.bootstrap.is_some() || global.from.is_some() {
        return Err(Failure::usage(
            "context diff names both contexts itself; leave out --context, --bootstrap and --from",
        ));
    }
    let parts = match only.is_empty() {
        true => Part::VARIANTS.to_vec(),
        false => only.to_vec(),
    };
    let needs: Needs = parts.iter().flat_map(|part| sections(*part)).copied().collect();
    let (a, b) = join(
        look_at(global, Some(names[0]), &needs).boxed(),
        look_at(global, Some(names[1]), &needs).boxed(),
    )
    .await;
    let ((a, _), (b, _)) = (a?, b?);
    Ok((a, b, needs, parts))
}

/// 0 the same, 1 not, 3 where not everything could be seen and nothing differs.
pub async fn answer(global: &Global, names: [&str; 2], only: &[Part], mirror: Option<&str>) -> Result<Answer, Failure> {
    let (a, b, needs, parts) = both(global, names, only).await?;
    let differences = match mirror {
        Some(alias) => between_mirrored(&a, &b, alias, &parts),
        None => between(&a, &b, &parts),
    };
    let mut answer = Answer::list(COLUMNS, &differences, "difference", |one| {
        format!("{} {} {}", one.part, one.name, one.field).trim_end().to_owned()
    });
    for (name, snapshot) in [(names[0], &a), (names[1], &b)] {
        answer
            .problems
            .extend(problems(snapshot, &needs).into_iter().map(|mut problem| {
                problem.subjects = problem
                    .subjects
                    .iter()
                    .map(|subject| format!("{name}: {subject}"))
                    .collect();
                problem
            }));
    }
    answer.complete = answer.problems.is_empty();
    answer.is_no = !differences.is_empty();
    answer.taken_at = Some(Moment::now());
    Ok(answer)
}

pub(in crate::cli) fn sections(part: Part) -> &'static [Section] {
    match part {
        Part::Topics => &[Section::Cluster, Section::Topics],
        Part::Configs => &[Section::Cluster, Section::Topics, Section::TopicConfigs],
        Part::Acls => &[Section::Cluster, Section::Acls],
        Part::Quotas => &[Section::Cluster, Section::Quotas],
        Part::Users => &[Section::Cluster, Section::Users],
        Part::Offsets => &[Section::Cluster, Section::Topics, Section::Groups],
    }
}

fn value(value: Option<&String>) -> Field {
    match value {
        Some(value) => Field::text(value),
        None => Field::data(Data::Null, "–"),
    }
}

const COLUMNS: &[Column<Difference>] = &[
    Column {
        key: "part",
        title: "PART",
        rank: Rank::Always,
        field: |one| Field::text(one.part.to_string()),
    },
    Column {
        key: "name",
        title: "NAME",
        rank: Rank::Always,
        field: |one| Field::text(&one.name),
    },
    Column {
        key: "field",
        title: "WHAT",
        rank: Rank::Always,
        field: |one| Field::text(&one.field),
    },
    Column {
        key: "side",
        title: "HOW",
        rank: Rank::Always,
        field: |one| {
            let words = match one.side {
                Side::OnlyA => "only in A",
                Side::OnlyB => "only in B",
                Side::Differs => "differs",
            };
            Field::data(one.side.to_string(), words)
        },
    },
    Column {
        key: "a",
        title: "A",
        rank: Rank::Always,
        field: |one| value(one.a.as_ref()),
    },
    Column {
        key: "b",
        title: "B",
        rank: Rank::Always,
        field: |one| value(one.b.as_ref()),
    },
];
