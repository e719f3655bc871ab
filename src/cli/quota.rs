//! `azimuth quota …`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Column, Data, Field, Rank, plain};
use crate::command::Line;
use crate::command::quota::Verb;
use crate::feed::Section;
use crate::model::quota::{Client, Whom};
use crate::model::row::quota::{QuotaRow, decided_by};

/// A quota, and what it decides for the client that was asked about.
struct Row {
    quota: QuotaRow,
    /// `None` where no client was named.
    decides: Option<Vec<String>>,
}

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    let Verb::List { user, client_id, ip } = verb else {
        return Err(Failure::usage("that is a change, not a question"));
    };
    let facts = gather(line, &[Section::Cluster, Section::Quotas]).await?;
    let client = Client {
        user: user.as_deref(),
        client_id: client_id.as_deref(),
        ip: ip.as_deref(),
    };
    let asked = client != Client::default();
    let all = facts.snapshot.quotas.get().map_or(&[][..], Vec::as_slice);
    let rows: Vec<Row> = facts
        .rows()
        .quotas
        .into_iter()
        .filter(|row| row.entity.may_be_about(client))
        .map(|quota| Row {
            decides: asked.then(|| decided_by(all, &quota.entity, client)),
            quota,
        })
        .collect();
    let columns: Vec<Column<Row>> = COLUMNS
        .iter()
        .filter(|column| asked || column.key != "decides")
        .copied()
        .collect();
    let answer = Answer::list(&columns, &rows, "quota", |row| row.quota.entity.words());
    Ok(facts.seal(answer))
}

/// `billing`, `<default>` for whoever has none of its own, `-` where it is not about that.
fn whom(whom: Option<&Whom>) -> Field {
    match whom {
        Some(Whom::Named(name)) => Field::text(name),
        Some(Whom::Default) => Field::text("<default>"),
        None => Field::data(Data::Null, "-"),
    }
}

/// A limit of its own, or none.
fn limit(value: Option<f64>, show: impl FnOnce(f64) -> String) -> Field {
    Field::number(value, value.map_or_else(|| "-".to_owned(), show))
}

fn megabytes(rate: f64) -> String {
    format!("{} MB/s", plain(rate / 1e6))
}

fn per_second(rate: f64) -> String {
    format!("{}/s", plain(rate))
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "user",
        title: "USER",
        rank: Rank::Always,
        field: |row| whom(row.quota.entity.user.as_ref()),
    },
    Column {
        key: "client_id",
        title: "CLIENT ID",
        rank: Rank::Always,
        field: |row| whom(row.quota.entity.client_id.as_ref()),
    },
    Column {
        key: "ip",
        title: "IP",
        rank: Rank::Always,
        field: |row| whom(row.quota.entity.ip.as_ref()),
    },
    Column {
        key: "producer_bytes_per_second",
        title: "PRODUCE",
        rank: Rank::Always,
        field: |row| limit(row.quota.producer_bytes_per_second, megabytes),
    },
    Column {
        key: "consumer_bytes_per_second",
        title: "FETCH",
        rank: Rank::Always,
        field: |row| limit(row.quota.consumer_bytes_per_second, megabytes),
    },
    Column {
        key: "request_percent",
        title: "REQUESTS",
        rank: Rank::Usual,
        field: |row| limit(row.quota.request_percent, |percent| format!("{}%", plain(percent))),
    },
    Column {
        key: "mutations_per_second",
        title: "MUTATIONS",
        rank: Rank::Usual,
        field: |row| limit(row.quota.mutations_per_second, per_second),
    },
    Column {
        key: "connections_per_second",
        title: "CONNECTIONS",
        rank: Rank::Usual,
        field: |row| limit(row.quota.connections_per_second, per_second),
    },
    Column {
        key: "precedence",
        title: "RANK",
        rank: Rank::Usual,
        field: |row| Field::number(i32::from(row.quota.entity.precedence()), row.quota.entity.precedence()),
    },
    Column {
        key: "decides",
        title: "DECIDES",
        rank: Rank::Always,
        field: |row| Field::list(row.decides.as_deref().unwrap_or_default()),
    },
    Column {
        key: "yields_to",
        title: "YIELDS TO",
        rank: Rank::Usual,
        field: |row| Field::text(row.quota.entity.yields_to()),
    },
    Column {
        key: "others",
        title: "OTHER LIMITS",
        rank: Rank::Wide,
        field: |row| {
            let others = row.quota.others.iter().map(|(name, value)| format!("{name}={value}"));
            Field::list(&others.collect::<Vec<_>>())
        },
    },
];
