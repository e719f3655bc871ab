//! What the cluster costs a month: between zones, by topic and group, in volumes and instances, and the console itself.

use crate::model::Snapshot;
use crate::model::row::Rows;
use crate::plan::cost::{self, Bill, Share};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};
use super::text;

/// So many topics and groups of each are worth a line.
const MOST: usize = 200;

/// The whole bill; linear in partitions and members.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        Column::new("what", "what", 0).width(12, 40),
        Column::new("bytes_per_second", "bytes/s", 1).width(9, 12).right(),
        Column::new("crossing_bytes_per_second", "crossing", 0)
            .width(9, 12)
            .right(),
        Column::new("usd_per_month", "$/month", 0).width(9, 12).right(),
        Column::new("saved_usd_per_month", "saves", 0).width(7, 10).right(),
        Column::new("detail", "detail", 1).width(10, 50),
    ];
    let heading = |key: &str, title: &str| Section {
        key: key.to_owned(),
        title: vec![Field::new(title).tone(Tone::Section)],
    };
    let (rows, empty) = match cost::bill(snapshot, rows) {
        Ok(bill) => (lines(&bill), "there is nothing to pay for".to_owned()),
        Err(why) => (Vec::new(), why),
    };
    Table {
        columns,
        sections: vec![
            heading("all", "a month at what is done now, us-east-1 list prices"),
            heading("zones", "between zones, $0.02 a GB"),
            heading("topics", "topics: produced and replicated"),
            heading("groups", "groups: what reading near replicas would save"),
            heading("volumes", "volumes"),
            heading("brokers", "instances"),
        ],
        rows,
        noun: "line",
        empty,
        is_fixed: true,
        ..Table::default()
    }
}

fn lines(bill: &Bill) -> Vec<Row> {
    let mut rows = totals(bill);
    for (from, flows) in bill.zones.iter().zip(&bill.flows) {
        for (to, flow) in bill.zones.iter().zip(flows) {
            let bytes = flow.bytes_per_second();
            let crossing = if from == to { 0.0 } else { bytes };
            rows.push(Row {
                key: format!("{from} → {to}"),
                section: "zones".to_owned(),
                fields: vec![
                    Field::new(format!("{from} → {to}")),
                    rate(bytes),
                    rate(crossing),
                    usd(cost::usd_per_month(crossing)),
                    Field::none(),
                    Field::muted(format!(
                        "produced {} · replicated {} · consumed {}",
                        text::rate(flow.produced),
                        text::rate(flow.replicated),
                        text::rate(flow.consumed)
                    )),
                ],
                ..Row::default()
            });
        }
    }
    rows.extend(
        bill.topics
            .iter()
            .take(MOST)
            .map(|share| shared(share, "topics", Noun::Topic)),
    );
    rows.extend(
        bill.groups
            .iter()
            .take(MOST)
            .map(|share| shared(share, "groups", Noun::Group)),
    );
    for fit in &bill.sizing.volumes {
        rows.push(Row {
            key: fit.volume.clone(),
            section: "volumes".to_owned(),
            fields: vec![
                Field::new(fit.volume.clone()),
                Field::none(),
                Field::none(),
                fit.usd_per_month.map_or_else(Field::none, usd),
                saves(fit.change_usd_per_month),
                wanted(&fit.now, fit.wanted.as_ref(), &fit.why),
            ],
            notes: vec![fit.why.clone()],
            opens: Some(Place::open(Noun::Volume, fit.volume.clone())),
            ..Row::default()
        });
    }
    for fit in &bill.sizing.brokers {
        let now = fit.instance_type.clone().unwrap_or_else(|| "?".to_owned());
        let limit = match (&fit.limit, fit.percent, fit.zone_down_percent) {
            (Some(limit), Some(percent), Some(down)) => {
                format!(
                    "{limit} {}, {} with a zone lost",
                    text::percent(percent),
                    text::percent(down)
                )
            }
            _ => fit.why.clone(),
        };
        rows.push(Row {
            key: format!("broker {}", fit.broker),
            section: "brokers".to_owned(),
            fields: vec![
                Field::new(format!("broker {}", fit.broker)),
                Field::none(),
                Field::none(),
                Field::none(),
                saves(fit.change_usd_per_month),
                wanted(&now, fit.wanted.as_ref(), &limit),
            ],
            notes: vec![fit.why.clone()],
            opens: Some(Place::open(Noun::Broker, fit.broker.to_string())),
            ..Row::default()
        });
    }
    rows
}

fn totals(bill: &Bill) -> Vec<Row> {
    let row = |name: &str, crossing: Field, cost: Field, saved: Field, detail: String| Row {
        key: name.to_owned(),
        section: "all".to_owned(),
        fields: vec![
            Field::new(name).tone(Tone::Title),
            Field::none(),
            crossing,
            cost,
            saved,
            Field::muted(detail),
        ],
        ..Row::default()
    };
    let fetching = match bill.follower_fetching {
        Some(true) => {
            "brokers let consumers read near replicas; whether clients set client.rack is not visible to Kafka"
        }
        Some(false) => "brokers let nobody read near replicas: replica.selector.class",
        None => "whether brokers let consumers read near replicas is not known",
    };
    let unmeasured = match bill.unmeasured {
        0 => String::new(),
        many => format!("{} not measured, and not in it · ", text::plural(many, "partition")),
    };
    vec![
        row(
            "between zones",
            rate(bill.crossing_bytes_per_second),
            usd(bill.usd_per_month),
            usd(bill.saved_usd_per_month),
            format!("{unmeasured}{fetching}"),
        ),
        row(
            "volumes",
            Field::none(),
            usd(bill.sizing.volumes_usd_per_month),
            Field::none(),
            format!(
                "{} of known prices",
                bill.sizing
                    .volumes
                    .iter()
                    .filter(|fit| fit.usd_per_month.is_some())
                    .count()
            ),
        ),
        row(
            "this console",
            Field::none(),
            usd(bill.console_usd_per_month),
            Field::none(),
            format!("asking CloudWatch each minute; ${:.4} so far", bill.console_usd),
        ),
    ]
}

fn shared(share: &Share, section: &str, noun: Noun) -> Row {
    Row {
        key: share.name.clone(),
        section: section.to_owned(),
        fields: vec![
            Field::new(share.name.clone()),
            rate(share.bytes_per_second),
            rate(share.crossing_bytes_per_second),
            usd(share.usd_per_month),
            match noun {
                Noun::Group => usd(share.saved_usd_per_month),
                _ => Field::none(),
            },
            Field::muted(share.basis.clone()),
        ],
        opens: Some(Place::open(noun, share.name.clone())),
        ..Row::default()
    }
}

fn rate(bytes: f64) -> Field {
    Field::new(text::rate(bytes)).number(bytes)
}

fn usd(amount: f64) -> Field {
    Field::new(format!("{amount:.2}")).number(amount)
}

/// A change of the price, as what it saves.
fn saves(change: Option<f64>) -> Field {
    change.map_or_else(Field::none, |change| {
        usd(-change).tone(if change < 0.0 { Tone::Ok } else { Tone::Warn })
    })
}

fn wanted(now: &str, wanted: Option<&String>, detail: &str) -> Field {
    match wanted {
        Some(wanted) => Field::new(format!("{now} → {wanted} · {detail}")),
        None => Field::muted(format!("{now} · {detail}")),
    }
}
