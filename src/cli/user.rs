//! `azimuth user …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Data, Field, Rank, count};
use crate::command::Line;
use crate::command::user::Verb;
use crate::feed::Section;
use crate::model::row::user::UserRow;
use crate::model::user::Credential;

const NEEDS: [Section; 4] = [Section::Cluster, Section::Users, Section::Acls, Section::Quotas];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List = verb;
    let facts = gather(line, &NEEDS).await?;
    let users = facts.rows().users;
    let answer = Answer::list(COLUMNS, &users, "user", |row| row.name.clone());
    Ok(facts.seal(answer))
}

const COLUMNS: &[Column<UserRow>] = &[
    Column {
        key: "user",
        title: "USER",
        rank: Rank::Always,
        field: |row| Field::text(&row.name),
    },
    Column {
        key: "principal",
        title: "PRINCIPAL",
        rank: Rank::Wide,
        field: |row| Field::text(&row.principal),
    },
    Column {
        key: "credentials",
        title: "SCRAM",
        rank: Rank::Always,
        field: credentials,
    },
    Column {
        key: "acls",
        title: "ACLS",
        rank: Rank::Always,
        field: |row| Field::cell(&row.rules, count),
    },
    Column {
        key: "deny_acls",
        title: "DENY",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.denials, count),
    },
    Column {
        key: "quotas",
        title: "QUOTAS",
        rank: Rank::Always,
        field: |row| Field::cell(&row.quotas, count),
    },
];

/// `SCRAM-SHA-512 (4096)`, never more: salts and keys are not told.
fn credentials(row: &UserRow) -> Field {
    let item = |one: &Credential| {
        Data::Map(vec![
            ("mechanism", one.mechanism.as_str().into()),
            ("iterations", one.iterations.into()),
        ])
    };
    let data = |all: &Vec<Credential>| Data::List(all.iter().map(item).collect());
    let text = match &row.credentials.value {
        None => "?".to_owned(),
        Some(all) if all.is_empty() => "-".to_owned(),
        Some(all) => {
            let texts = all.iter().map(|one| format!("{} ({})", one.mechanism, one.iterations));
            texts.collect::<Vec<_>>().join(", ")
        }
    };
    Field {
        reason: row.credentials.reason.clone(),
        ..Field::data(row.credentials.value.as_ref().map_or(Data::Null, data), text)
    }
}
