//! Client quotas: who is held to which rate, and which of several quotas wins.

use crate::model::Snapshot;
use crate::model::quota::{Client, Whom};
use crate::model::row::Rows;
use crate::model::row::quota::{QuotaRow, decided_by};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// Every quota.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    table(rows, snapshot, None)
}

/// The quotas that may hold for a client, with what each of them decides for it.
pub fn of(rows: &Rows, snapshot: &Snapshot, client: Client<'_>) -> Table {
    table(rows, snapshot, Some(client))
}

fn table(rows: &Rows, snapshot: &Snapshot, client: Option<Client<'_>>) -> Table {
    let columns = vec![
        Column::new("user", "user", 0).width(9, 40),
        Column::new("client_id", "client id", 0).width(9, 40),
        Column::new("ip", "ip", 2).width(9, 39),
        Column::new("producer_bytes_per_second", "produce", 0)
            .width(9, 12)
            .right(),
        Column::new("consumer_bytes_per_second", "fetch", 0)
            .width(9, 12)
            .right(),
        Column::new("request_percent", "requests", 1).width(8, 8).right(),
        Column::new("mutations_per_second", "mutations", 3).width(9, 9).right(),
        Column::new("connections_per_second", "connects", 3).width(8, 9).right(),
        Column::new("precedence", "rank", 2).width(4, 4).right(),
        Column::new("decides", "decides", 1).width(0, 60),
        Column::new("yields_to", "yields to", 4).width(12, 66),
        Column::new("others", "other limits", 6).width(0, 40),
    ];
    let all = snapshot.quotas.get().map_or(&[][..], Vec::as_slice);
    let fits = |row: &&QuotaRow| client.is_none_or(|client| row.entity.may_be_about(client));
    let row = |quota: &QuotaRow| {
        let decides = client.map(|client| decided_by(all, &quota.entity, client));
        row(quota, decides.as_deref())
    };
    Table {
        columns,
        rows: rows.quotas.iter().filter(fits).map(row).collect(),
        noun: "quota",
        empty: match (snapshot.quotas.problem(), client) {
            (Some(why), _) => format!("? the quotas are not known: {why}"),
            (None, Some(_)) => "no quota holds for it: it may use what the brokers give".to_owned(),
            (None, None) => "there are no quotas: clients may use what the brokers give".to_owned(),
        },
        ..Table::default()
    }
}

fn row(quota: &QuotaRow, decides: Option<&[String]>) -> Row {
    let entity = &quota.entity;
    let others = quota.others.iter().map(|(name, value)| format!("{name}={value}"));
    let mut notes = vec![format!("yields to {}", entity.yields_to())];
    if let Some(decides) = decides {
        notes.push(match decides {
            [] => "decides nothing for a client id that no quota names".to_owned(),
            some => format!("decides {} for a client id that no quota names", some.join(", ")),
        });
    }
    notes.push("each broker holds its clients to byte rates and request time on its own".to_owned());
    Row {
        key: entity.words(),
        fields: vec![
            whom(entity.user.as_ref()),
            whom(entity.client_id.as_ref()),
            whom(entity.ip.as_ref()),
            limit(quota.producer_bytes_per_second, megabytes),
            limit(quota.consumer_bytes_per_second, megabytes),
            limit(quota.request_percent, |percent| format!("{percent}%")),
            limit(quota.mutations_per_second, |rate| format!("{rate}/s")),
            limit(quota.connections_per_second, |rate| format!("{rate}/s")),
            Field::count(i64::from(entity.precedence())),
            match decides {
                None => Field::default(),
                Some([]) => Field::none(),
                Some(some) => Field::new(some.join(", ")).tone(Tone::Ok),
            },
            Field::muted(entity.yields_to()),
            Field::new(others.collect::<Vec<_>>().join(", ")),
        ],
        notes,
        opens: match &entity.user {
            Some(Whom::Named(user)) => Some(Place::open(Noun::User, format!("User:{user}"))),
            _ => None,
        },
        ..Row::default()
    }
}

fn whom(whom: Option<&Whom>) -> Field {
    match whom {
        Some(Whom::Named(name)) => Field::new(name.clone()),
        Some(Whom::Default) => Field::new("<default>").tone(Tone::Accent),
        None => Field::none(),
    }
}

fn limit(value: Option<f64>, show: impl FnOnce(f64) -> String) -> Field {
    match value {
        Some(value) => Field::new(show(value)).number(value),
        None => Field::none(),
    }
}

/// A limit below 0.05 MB/s must not look like none.
fn megabytes(rate: f64) -> String {
    match rate < 50_000.0 {
        true => format!("{:.3} MB/s", rate / 1e6),
        false => text::rate(rate),
    }
}
