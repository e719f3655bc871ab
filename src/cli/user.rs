//! `azimuth user …`

use std::io::{BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::change::{self, Wish};
use super::exit::{Exit, Failure};
use super::facts::gather;
use super::output::{Answer, Column, Data, Field, Rank, count};
use crate::command::Line;
use crate::command::user::Verb;
use crate::feed::Section;
use crate::model::row::user::UserRow;
use crate::model::user::Credential;
use crate::operation::{Secrets, prepare};
use crate::plan::intent::Intent;
use crate::plan::user::PASSWORD;
use crate::settings::Secret;

const NEEDS: [Section; 4] = [Section::Cluster, Section::Users, Section::Acls, Section::Quotas];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    if *verb != Verb::List {
        return Err(Failure::usage("that is a change, not a question"));
    }
    let facts = gather(line, &NEEDS).await?;
    let users = facts.rows().users;
    let answer = Answer::list(COLUMNS, &users, "user", |row| row.name.clone());
    Ok(facts.seal(answer))
}

/// Carries out what sets or deletes credentials.
pub async fn change(line: &Line, verb: &Verb, intent: Intent, overrides: &[String]) -> Result<Exit, Failure> {
    let secrets = match verb.password() {
        // A dry run needs no password.
        Some(given) if !line.global.dry_run => {
            let (file, variable) = (given.password_file.as_deref(), given.password_env.as_deref());
            let secret = match prepare::secret(file, variable, given.password_command.as_deref()) {
                Some(secret) => secret,
                None => Secret::text(asked()?),
            };
            prepare::secrets([(PASSWORD, secret)].into_iter()).map_err(Failure::usage)?
        }
        _ => Secrets::default(),
    };
    let wish = Wish {
        secrets,
        ..Wish::of(intent, overrides)
    };
    change::run(line, wish).await
}

/// Asked for twice at the terminal, without an echo.
fn asked() -> Result<String, Failure> {
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let none = |_| {
        Failure::usage(
            "there is no terminal to ask for the password; give --password-file, --password-env or --password-command",
        )
    };
    let mut terminal = terminal.map_err(none)?;
    let first = hidden(&mut terminal, "password: ")?;
    let second = hidden(&mut terminal, "again: ")?;
    match first == second && !first.is_empty() {
        true => Ok(first),
        false => Err(Failure::usage(
            "the two are not the same, or empty; nothing was changed",
        )),
    }
}

/// One line from the terminal that does not appear on it.
fn hidden(terminal: &mut std::fs::File, question: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("the terminal: {error}"));
    terminal.write_all(question.as_bytes()).map_err(failed)?;
    let before = tcgetattr(&*terminal).map_err(|error| failed(error.into()))?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&*terminal, OptionalActions::Flush, &quiet).map_err(|error| failed(error.into()))?;
    let mut line = String::new();
    let read = BufReader::new(&*terminal).read_line(&mut line);
    tcsetattr(&*terminal, OptionalActions::Flush, &before).map_err(|error| failed(error.into()))?;
    terminal.write_all(b"\n").map_err(failed)?;
    read.map_err(failed)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
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
