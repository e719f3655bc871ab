//! Users: how they log in, the rules that name them, their quotas.

use crate::model::acl::{self, EVERYBODY};
use crate::model::quota::Client;
use crate::model::row::Rows;
use crate::model::row::user::UserRow;
use crate::model::user::Credential;
use crate::model::{Moment, Snapshot};

use super::broker::set_age;
use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};

/// Everybody with SCRAM credentials, and every principal that a rule or a quota names.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        Column::new("user", "user", 0).width(10, 48),
        Column::new("credentials", "scram", 0).width(10, 44),
        Column::new("iterations", "iterations", 3).width(10, 10).right(),
        Column::new("acls", "rules", 1).width(5, 7).right(),
        Column::new("deny_acls", "deny", 2).width(5, 7).right(),
        Column::new("quotas", "quotas", 1).width(6, 7).right(),
        Column::new("age", "age", 1).width(0, 6),
    ];
    let problem = [
        snapshot.users.problem(),
        snapshot.acls.problem(),
        snapshot.quotas.problem(),
    ];
    let empty = match problem.into_iter().flatten().next() {
        Some(why) => format!("? the users are not known: {why}"),
        None => "no user has credentials here, and no rule or quota names one".to_owned(),
    };
    Table {
        columns,
        rows: rows.users.iter().map(row).collect(),
        noun: "user",
        empty,
        ..Table::default()
    }
}

fn row(user: &UserRow) -> Row {
    let mut fields = vec![
        Field::new(user.name.clone()),
        Field::of(&user.credentials, |all| match all.as_slice() {
            [] => Field::none(),
            all => Field::new(
                all.iter()
                    .map(|one| one.mechanism.clone())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        }),
        Field::of(&user.credentials, |all| fewest(all)),
        Field::of(&user.rules, |rules| Field::count(*rules)),
        Field::of(&user.denials, |denials| Field::count(*denials)),
        Field::of(&user.quotas, |quotas| Field::count(*quotas)),
        Field::default(),
    ];
    set_age(&mut fields, 6);
    let mut notes = vec![user.principal.clone()];
    if user.principal == EVERYBODY {
        notes.push("everybody: these rules hold for all principals".to_owned());
    } else if user.credentials.value.as_ref().is_some_and(Vec::is_empty) {
        notes.push(
            "no SCRAM credentials: it logs in by certificate, token or a password file, or not at all".to_owned(),
        );
    }
    Row {
        key: user.principal.clone(),
        fields,
        notes,
        opens: Some(Place::open(Noun::User, user.principal.clone())),
        ..Row::default()
    }
}

fn fewest(credentials: &[Credential]) -> Field {
    match credentials.iter().map(|one| one.iterations).min() {
        // Kafka's own least (`ScramMechanism.minIterations`).
        Some(least) if least < 4096 => Field::count(i64::from(least)).tone(Tone::Warn),
        Some(least) => Field::count(i64::from(least)),
        None => Field::none(),
    }
}

/// Its rules, or the quotas that may hold for it.
pub fn open(rows: &Rows, snapshot: &Snapshot, principal: &str, tab: usize, now: Moment) -> Table {
    match (tab, acl::user_of(principal)) {
        (1, Some(user)) => {
            let client = Client {
                user: Some(user),
                ..Client::default()
            };
            super::quota::of(rows, snapshot, client)
        }
        (1, None) => Table {
            noun: "quota",
            empty: format!("{principal} is no user, and quotas are of users"),
            ..Table::default()
        },
        _ => super::acl::open(snapshot, principal, now),
    }
}
