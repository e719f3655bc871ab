//! What would be: each zone lost, each broker restarted, brokers added; and one of these with what stops and where leaders land.

use crate::model::row::Rows;
use crate::model::{BrokerId, Snapshot};
use crate::plan::whatif::{self, Addition, Error, Loss, Struck};

use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Section, Table};
use super::text;

/// So many more brokers are tried.
const MORE: [u32; 3] = [1, 3, 6];

/// Every question. A zone or a broker for each line, so linear in partitions for each of them.
pub fn list(rows: &Rows, snapshot: &Snapshot) -> Table {
    let columns = vec![
        // A zone's id is what tells one line from the next.
        Column::new("question", "if", 0).width(17, 30),
        Column::new("goes_on", "clients go on", 0).width(13, 13),
        Column::new("offline", "offline", 0).width(7, 9).right(),
        Column::new("under_min_isr", "under min ISR", 0).width(13, 13).right(),
        Column::new("at_min_isr", "at min ISR", 2).width(10, 10).right(),
        Column::new("leaders", "leaders move", 2).width(12, 12).right(),
        Column::new("because", "because", 0).width(18, 80),
    ];
    let zones = rows.zones.iter().map(|zone| {
        (
            format!("az-loss {}", zone.key),
            whatif::zone_loss(snapshot, rows, &zone.key),
        )
    });
    let blocked = whatif::blocked(rows);
    let mut all: Vec<Row> = zones.map(|(name, loss)| loss_row(&name, "zones", &loss)).collect();
    for row in &rows.brokers {
        let name = format!("restart {}", row.id);
        let struck = blocked.get(&row.id);
        all.push(restart_row(
            &name,
            row.id,
            struck.map_or(&[][..], Vec::as_slice),
            snapshot,
            row.leaders.value,
        ));
    }
    for count in MORE {
        let name = format!("add-broker {count}");
        let after = rows.brokers.len() as u32 + count;
        all.push(Row {
            key: name.clone(),
            section: "more".to_owned(),
            fields: vec![
                Field::new(name.clone()),
                Field::none(),
                Field::none(),
                Field::none(),
                Field::none(),
                Field::none(),
                Field::muted(format!("{after} brokers share what there is")),
            ],
            opens: Some(Place::open(Noun::Whatif, name)),
            ..Row::default()
        });
    }
    let heading = |key: &str, title: &str| Section {
        key: key.to_owned(),
        title: vec![Field::new(title).tone(Tone::Section)],
    };
    Table {
        columns,
        sections: vec![
            heading("zones", "a zone is lost"),
            heading("restarts", "a broker restarts"),
            heading("more", "brokers are added"),
        ],
        rows: all,
        noun: "question",
        empty: "no broker is known".to_owned(),
        ..Table::default()
    }
}

fn answer(goes_on: Option<bool>, why: &str) -> Field {
    match goes_on {
        Some(true) => Field::new("● yes").tone(Tone::Ok),
        Some(false) => Field::new("✖ no").tone(Tone::Error),
        None => Field::unknown(why),
    }
}

fn loss_row(name: &str, section: &str, loss: &Result<Loss, Error>) -> Row {
    let opens = Some(Place::open(Noun::Whatif, name));
    let (key, section) = (name.to_owned(), section.to_owned());
    let loss = match loss {
        Ok(loss) => loss,
        Err(error) => {
            return Row {
                fields: vec![Field::new(name), Field::unknown(error.to_string())],
                key,
                section,
                opens,
                ..Row::default()
            };
        }
    };
    let first = loss.offline.first().or(loss.under_min_isr.first());
    let because = match (first, loss.quorum.holds) {
        (Some(struck), _) => format!("{}: {}", struck.name(), struck.rule),
        (None, Some(true)) => String::new(),
        (None, _) => loss.quorum.text.clone(),
    };
    let why = match loss.unjudged {
        0 => loss.quorum.text.clone(),
        many => format!("min.insync.replicas of {many} partitions is not known"),
    };
    Row {
        key,
        section,
        badness: match loss.holds() {
            Some(false) => 2 + loss.offline.len() as u64,
            None => 1,
            Some(true) => 0,
        },
        fields: vec![
            Field::new(name),
            answer(loss.holds(), &why),
            Field::count(loss.offline.len() as i64),
            Field::count(loss.under_min_isr.len() as i64),
            Field::count(loss.at_min_isr.into()),
            Field::count(loss.moving.into()),
            Field::new(because),
        ],
        opens,
        ..Row::default()
    }
}

fn restart_row(name: &str, broker: BrokerId, struck: &[Struck], snapshot: &Snapshot, leaders: Option<u32>) -> Row {
    let offline = struck.iter().filter(|one| one.left.is_empty()).count();
    let under = struck.len() - offline;
    let seen = snapshot.topics.get().is_some();
    let first = struck.first().map(|one| format!("{}: {}", one.name(), one.rule));
    let goes_on = match (seen, struck.is_empty()) {
        (_, false) => Some(false),
        (true, true) => Some(true),
        (false, true) => None,
    };
    let opens = Some(Place::open(Noun::Whatif, format!("restart {broker}")));
    Row {
        key: name.to_owned(),
        section: "restarts".to_owned(),
        badness: if struck.is_empty() { 0 } else { 2 + offline as u64 },
        fields: vec![
            Field::new(name),
            answer(goes_on, "topics were not seen"),
            Field::count(offline as i64),
            Field::count(under as i64),
            Field::none(),
            leaders.map_or_else(
                || Field::unknown("leaders are not known"),
                |led| Field::count(led.into()),
            ),
            Field::new(first.unwrap_or_default()),
        ],
        opens,
        ..Row::default()
    }
}

/// One question: `az-loss euw1-az1`, `restart 4`, `add-broker 3`.
pub fn open(rows: &Rows, snapshot: &Snapshot, name: &str) -> Table {
    let failed = |why: String| Table {
        columns: vec![Column::new("what", "what", 0)],
        noun: "line",
        empty: why,
        ..Table::default()
    };
    let (verb, subject) = name.split_once(' ').unwrap_or((name, ""));
    match (verb, subject.parse::<BrokerId>()) {
        ("az-loss", _) => whatif::zone_loss(snapshot, rows, subject)
            .map_or_else(|error| failed(error.to_string()), |loss| lost(&loss)),
        ("restart", Ok(broker)) => {
            whatif::restart(snapshot, rows, broker).map_or_else(|error| failed(error.to_string()), |loss| lost(&loss))
        }
        ("add-broker", Ok(count)) => {
            let count = u32::try_from(count).unwrap_or(1);
            whatif::add(snapshot, rows, count).map_or_else(|error| failed(error.to_string()), |more| added(&more))
        }
        _ => failed(format!(
            "{name} is no question; whatif has az-loss ZONE, restart BROKER, add-broker COUNT"
        )),
    }
}

fn lost(loss: &Loss) -> Table {
    let columns = vec![
        Column::new("what", "what", 0).width(10, 40),
        Column::new("leaders", "leaders", 0).width(7, 14).right(),
        Column::new("limit", "limit", 0).width(7, 16).right(),
        Column::new("disk", "disk", 0).width(7, 16).right(),
        Column::new("detail", "why, and where", 0).width(14, 120),
    ];
    let mut rows: Vec<Row> = answers(loss);
    let all = loss
        .offline
        .iter()
        .map(|one| ("✖ offline", one))
        .chain(loss.under_min_isr.iter().map(|one| ("▲ under min ISR", one)));
    for (how, one) in all {
        rows.push(Row {
            badness: 1,
            opens: Some(Place::open(Noun::Topic, one.topic.to_string())),
            ..told(
                &one.name(),
                Field::new(format!(
                    "{how} · {} · replicas {:?}, in sync {:?}",
                    one.rule, one.replicas, one.isr
                )),
            )
        });
    }
    for after in &loss.left {
        let pair =
            |now: &crate::model::row::Cell<f64>, then: &crate::model::row::Cell<f64>| match (now.value, then.value) {
                (Some(now), Some(then)) => Field::new(format!("{now:.0}→{then:.0} %"))
                    .number(then)
                    .tone(super::field::strain(then)),
                (_, None) => Field::unknown(then.reason.clone().unwrap_or_default()),
                (None, _) => Field::unknown(now.reason.clone().unwrap_or_default()),
            };
        rows.push(Row {
            key: format!("broker {}", after.broker),
            section: "left".to_owned(),
            fields: vec![
                Field::new(format!("broker {}", after.broker)),
                Field::new(format!("{}→{}", after.leaders_now, after.leaders_after)).number(after.leaders_after.into()),
                pair(&after.limit_now_percent, &after.limit_after_percent),
                pair(&after.used_now_percent, &after.used_after_percent),
                Field::muted(format!(
                    "{}{}",
                    after.zone,
                    after
                        .limit
                        .as_ref()
                        .map(|limit| format!(" · {limit} binds"))
                        .unwrap_or_default()
                )),
            ],
            opens: Some(Place::open(Noun::Broker, after.broker.to_string())),
            ..Row::default()
        });
    }
    Table {
        columns,
        sections: vec![
            Section {
                key: "stops".to_owned(),
                title: vec![Field::new(format!("without {}", loss.what)).tone(Tone::Section)],
            },
            Section {
                key: "left".to_owned(),
                title: vec![Field::new("brokers that are left").tone(Tone::Section)],
            },
        ],
        rows,
        noun: "line",
        empty: format!("without {} nothing stops, and nobody is left", loss.what),
        is_fixed: true,
        ..Table::default()
    }
}

/// What one wants to know first, whether anything stops or not.
fn answers(loss: &Loss) -> Vec<Row> {
    let stops = match (loss.offline.len(), loss.under_min_isr.len()) {
        (0, 0) if loss.unjudged == 0 => Field::new("● nothing stops").tone(Tone::Ok),
        (0, 0) => Field::new(format!(
            "? min.insync.replicas of {} not known",
            text::plural(loss.unjudged as usize, "partition")
        ))
        .tone(Tone::Unknown),
        (offline, under) => Field::new(format!("✖ {offline} offline, {under} under min ISR")).tone(Tone::Error),
    };
    let (mark, tone) = match loss.quorum.holds {
        Some(true) => ("●", Tone::Ok),
        Some(false) => ("✖", Tone::Error),
        None => ("?", Tone::Unknown),
    };
    let rebuild = match loss.rebuild_bytes.value {
        Some(0) => "nothing to rebuild".to_owned(),
        Some(size) => format!("{} to rebuild", text::bytes(size as f64)),
        None => "? to rebuild".to_owned(),
    };
    let effort = format!(
        "{} leaders move · {} at min ISR · {rebuild}",
        loss.moving, loss.at_min_isr
    );
    vec![
        told("clients", stops),
        told("quorum", Field::new(format!("{mark} {}", loss.quorum.text)).tone(tone)),
        Row {
            notes: loss
                .rebuild_bytes
                .reason
                .iter()
                .map(|why| format!("? to rebuild: {why}"))
                .collect(),
            ..told("effort", Field::new(effort))
        },
    ]
}

/// A line without numbers.
fn told(what: &str, detail: Field) -> Row {
    Row {
        key: what.to_owned(),
        section: "stops".to_owned(),
        fields: vec![Field::new(what), Field::new(""), Field::new(""), Field::new(""), detail],
        ..Row::default()
    }
}

fn added(more: &Addition) -> Table {
    let percent = |cell: &crate::model::row::Cell<f64>| {
        Field::of(cell, |share| Field::new(format!("{share:.0} %")).number(*share))
    };
    let line = |what: &str, now: Field, after: Field| Row {
        key: what.to_owned(),
        fields: vec![Field::new(what), now, after],
        ..Row::default()
    };
    let number = |value: f64| Field::new(format!("{value:.0}")).number(value);
    let zones: Vec<String> = more
        .zones
        .iter()
        .map(|(zone, brokers)| format!("{zone} {brokers}"))
        .collect();
    Table {
        columns: vec![
            Column::new("what", "what", 0).width(12, 40),
            Column::new("now", "now", 0).width(8, 30).right(),
            Column::new("after", "after", 0).width(8, 60).right(),
        ],
        rows: vec![
            line(
                "brokers",
                Field::count(more.brokers_now.into()),
                Field::count(more.brokers_after.into()),
            ),
            line("by zone", Field::none(), Field::new(zones.join(", "))),
            line(
                "leaders each",
                number(more.leaders_each_now),
                number(more.leaders_each_after),
            ),
            line(
                "replicas each",
                number(more.replicas_each_now),
                number(more.replicas_each_after),
            ),
            line(
                "disk: fullest, then each",
                percent(&more.used_now_percent),
                percent(&more.used_after_percent),
            ),
            line(
                "limit: busiest, then each",
                percent(&more.limit_now_percent),
                percent(&more.limit_after_percent),
            ),
            line(
                "copied to them",
                Field::none(),
                Field::of(&more.copied_bytes, |size| Field::new(text::bytes(*size as f64))),
            ),
            line(
                "then",
                Field::none(),
                Field::new(more.command.clone()).tone(Tone::Accent),
            ),
        ],
        noun: "line",
        is_fixed: true,
        ..Table::default()
    }
}
