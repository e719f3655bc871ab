//! `azimuth dashboard`

use super::exit::Failure;
use super::facts::gather;
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, duration, plain};
use crate::command::Line;
use crate::command::dashboard::Dashboard;
use crate::feed::Section;
use crate::model::history::Gauge;
use crate::model::row::dashboard::{self, AlarmRow, ChartRow};
use crate::model::spark::spark;

const NEEDS: [Section; 9] = [
    Section::Cluster,
    Section::Links,
    Section::Groups,
    Section::Offsets,
    Section::Logdirs,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
    Section::Account,
];
/// Where the context does not name endpoints the rest is an answer too.
const SCRAPED: [Section; 2] = [Section::BrokerMetrics, Section::ClientMetrics];

/// Charts are over so many seconds.
const WINDOW: i64 = 600;

pub async fn answer(line: &Line, asked: &Dashboard) -> Result<Answer, Failure> {
    let gauge = asked.metric.as_deref().map(gauge).transpose()?;
    let needs: Vec<Section> = NEEDS.into_iter().chain(SCRAPED).collect();
    let facts = gather(line, &needs).await?;
    let seconds = asked.window.map_or(WINDOW, |window| {
        i64::try_from(window.0.as_secs()).unwrap_or(WINDOW).max(1)
    });
    let rows = facts.rows();
    let charts = match gauge {
        Some(gauge) => dashboard::of_gauge(&facts.snapshot, &rows.brokers, gauge, seconds, facts.now),
        None => dashboard::all(&facts.snapshot, &rows.brokers, seconds, facts.now),
    };
    let name = |row: &ChartRow| match &row.subject {
        Some(subject) if gauge.is_some() => format!("{} of {subject}", row.metric),
        _ => row.metric.clone(),
    };
    let mut answer = Answer::list(CHARTS, &charts, "metric", name);
    if gauge.is_none() {
        let alarms = dashboard::alarms(&facts.snapshot, &rows.brokers);
        let sheet = Sheet::of(ALARMS, &alarms);
        answer.beside.insert("alarms", sheet.items());
        answer.blocks.push(Block {
            title: Some("ALARMS".to_owned()),
            sheet,
            upright: false,
        });
    }
    Ok(facts.seal(answer))
}

fn gauge(name: &str) -> Result<Gauge, Failure> {
    use strum::IntoEnumIterator;
    name.parse().map_err(|_| {
        let all: Vec<String> = Gauge::iter().map(|gauge| gauge.to_string()).collect();
        Failure::usage(format!(
            "there is no metric {name} of brokers; there are {}",
            all.join(", ")
        ))
    })
}

/// Blocks of a chart in a terminal.
const SPARK: usize = 30;

const CHARTS: &[Column<ChartRow>] = &[
    Column {
        key: "part",
        title: "PART",
        rank: Rank::Usual,
        field: |row| Field::text(row.part.to_string()),
    },
    Column {
        key: "metric",
        title: "METRIC",
        rank: Rank::Always,
        field: |row| Field::text(row.metric.as_str()),
    },
    Column {
        key: "value",
        title: "NOW",
        rank: Rank::Always,
        field: |row| Field::cell(&row.now, |value| plain(*value)),
    },
    Column {
        key: "chart",
        title: "CHART",
        rank: Rank::Always,
        field: |row| Field::data(row.chart.clone(), spark(&row.chart, SPARK)),
    },
    Column {
        key: "span_seconds",
        title: "OVER",
        rank: Rank::Usual,
        field: |row| Field::data(row.span_seconds, row.span_seconds.map_or("-".to_owned(), duration)),
    },
    Column {
        key: "limit",
        title: "LIMIT",
        rank: Rank::Usual,
        field: |row| Field::data(row.limit, row.limit.map_or("-".to_owned(), plain)),
    },
    Column {
        key: "subject",
        title: "OF",
        rank: Rank::Usual,
        field: |row| Field::maybe(row.subject.as_ref()),
    },
    Column {
        key: "source",
        title: "FROM",
        rank: Rank::Wide,
        field: |row| Field::text(row.source.as_str()),
    },
    Column {
        key: "seed_ref",
        title: "ROW",
        rank: Rank::Wide,
        field: |row| Field::text(row.seed_ref.as_str()),
    },
];

const ALARMS: &[Column<AlarmRow>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |row| Field::number(row.broker, row.broker),
    },
    Column {
        key: "thing",
        title: "INSTANCE, VOLUME",
        rank: Rank::Always,
        field: |row| Field::text(row.thing.as_str()),
    },
    Column {
        key: "watched",
        title: "WATCHED",
        rank: Rank::Always,
        field: |row| match row.watched {
            Some(true) => Field::data(true, "yes"),
            Some(false) => Field::data(false, "NO"),
            None => Field::data(Data::Null, "?"),
        },
    },
    Column {
        key: "alarms",
        title: "ALARMS",
        rank: Rank::Always,
        field: |row| Field::cell(&row.alarms, |names| names.join(", ")).left(),
    },
];
