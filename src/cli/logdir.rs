//! `azimuth logdir …`

use futures::FutureExt;

use super::change;
use super::exit::{Exit, Failure, say};
use super::facts::{Facts, gather};
use super::output::{Answer, Block, Column, Data, Field, Rank, Sheet, bytes, duration, mb_per_second, percent};
use crate::command::logdir::Verb;
use crate::command::value::{DirName, Time};
use crate::command::{Command, Line, reassign};
use crate::feed::Section;
use crate::model::logdir::TopicUse;
use crate::model::row::Rows;
use crate::model::row::logdir::LogdirRow;
use crate::plan::intent::Intent;
use crate::plan::relieve::{Dont, Relief, Remedy, fullest, relieve};

const NEEDS: [Section; 4] = [Section::Cluster, Section::Logdirs, Section::Instances, Section::Volumes];

/// Advice looks at what fills the disk, who would lose by it, and what the disks and networks have left.
const RELIEF: [Section; 12] = [
    Section::Cluster,
    Section::Links,
    Section::Topics,
    Section::Offsets,
    Section::Groups,
    Section::Logdirs,
    Section::BrokerConfigs,
    Section::TopicConfigs,
    Section::Reassignments,
    Section::Instances,
    Section::Volumes,
    Section::Metrics,
];

pub async fn answer(line: &Line, verb: &Verb) -> Result<Answer, Failure> {
    match verb {
        Verb::List { broker: None, window } => {
            let facts = gather(line, &NEEDS).await?.over(*window);
            let rows = facts.rows().logdirs;
            Ok(facts.seal(Answer::list(COLUMNS, &rows, "log dir", LogdirRow::name)))
        }
        Verb::List {
            broker: Some(id),
            window,
        } => {
            let facts = about(gather(line, &NEEDS).await?, *id).over(*window);
            let brokers = facts.snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
            if !brokers.iter().any(|broker| broker.id == *id) {
                return Err(facts.unknown("broker", &id.to_string(), &[]));
            }
            let rows = facts.rows().logdirs;
            let own = rows.iter().filter(|row| row.broker == *id);
            Ok(facts.seal(Answer::list(COLUMNS, own, "log dir", LogdirRow::name)))
        }
        Verb::Show { name, window } => show(line, name, *window).await,
        Verb::Relieve { name, .. } => advise(line, name).await,
    }
}

/// What other brokers did not tell is not this one's problem.
fn about(facts: Facts, id: i32) -> Facts {
    let own = format!("broker {id} ");
    facts.only(|subject| !subject.starts_with("broker ") || format!("{subject} ").starts_with(&own))
}

fn find<'a>(facts: &Facts, rows: &'a Rows, name: &DirName) -> Result<&'a LogdirRow, Failure> {
    let found = match &name.path {
        Some(path) => rows.logdir(name.broker, path),
        None => fullest(rows, name.broker),
    };
    let known: Vec<String> = rows.logdirs.iter().map(LogdirRow::name).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    found.ok_or_else(|| facts.unknown("logdir", &name.to_string(), &known))
}

async fn show(line: &Line, name: &DirName, window: Option<Time>) -> Result<Answer, Failure> {
    let facts = about(gather(line, &NEEDS).await?, name.broker).over(window);
    let rows = facts.rows();
    let dir = find(&facts, &rows, name)?;
    let mut answer = Answer::list(COLUMNS, [dir], "log dir", LogdirRow::name);
    answer.blocks[0].upright = true;
    answer.blocks.push(Block {
        title: Some("LARGEST TOPICS".to_owned()),
        sheet: Sheet::of(TOPICS, &dir.top),
        upright: false,
    });
    Ok(facts.seal(answer))
}

/// Does one of the remedies: the plan of its own command.
pub async fn apply(line: &Line, name: &DirName, number: u32) -> Result<Exit, Failure> {
    let facts = gather(line, &RELIEF).await?;
    let relief = relief(&facts, name)?;
    let count = relief.remedies.len();
    let Some(remedy) = relief.remedies.get(number as usize - 1) else {
        return Err(Failure::usage(format!(
            "there is no remedy {number} for {name}, there are {count}; azimuth logdir relieve {name} tells them"
        )));
    };
    if let Some(why) = &remedy.blocked {
        return Err(Failure::refused(format!("{} cannot be done now: {why}", remedy.what)));
    }
    let Some(command) = remedy.command() else {
        return Err(Failure::refused(format!(
            "{} is done by hand: {}",
            remedy.what,
            remedy.how.join("; ")
        )));
    };
    say(&format!("azimuth: {}: {command}", remedy.what));
    let command: Command = command.parse().map_err(Failure::usage)?;
    if let Command::Reassign(reassign::Verb::Plan(wanted)) = &command {
        let wish = wanted.wish(None).map_err(Failure::usage)?;
        return change::carry_out(line, Intent::Reassign(wish), &[]).boxed().await;
    }
    let line = Line {
        command: Some(command),
        ..line.clone()
    };
    super::answer(&line).boxed_local().await
}

fn relief(facts: &Facts, name: &DirName) -> Result<Relief, Failure> {
    let rows = facts.rows();
    let dir = find(facts, &rows, name)?;
    relieve(&facts.snapshot, &rows, dir.broker, &dir.path, facts.now)
        .ok_or_else(|| facts.unknown("logdir", &name.to_string(), &[]))
}

async fn advise(line: &Line, name: &DirName) -> Result<Answer, Failure> {
    let facts = gather(line, &RELIEF).await?;
    let relief = relief(&facts, name)?;
    Ok(facts.seal(told(&relief)))
}

fn told(relief: &Relief) -> Answer {
    let mut answer = Answer::list(COLUMNS, [&relief.dir], "log dir", LogdirRow::name);
    let remedies = Sheet::of(REMEDIES, &relief.remedies);
    let donts = Sheet::of(DONTS, &relief.donts);
    let items = std::mem::take(&mut answer.items).into_iter();
    answer.items = items
        .map(|item| {
            item.with("remedies", Data::List(remedies.items()))
                .with("dont", Data::List(donts.items()))
        })
        .collect();
    let subjects: Vec<String> = relief.remedies.iter().map(|remedy| remedy.what.clone()).collect();
    answer.problems.extend(remedies.problems(&subjects));
    answer.blocks = vec![
        Block {
            title: Some(relief.headline()),
            sheet: remedies,
            upright: false,
        },
        Block {
            title: Some("HOW".to_owned()),
            sheet: Sheet::of(HOW, how(relief)),
            upright: false,
        },
        Block {
            title: None,
            sheet: donts,
            upright: false,
        },
    ];
    answer
}

/// One line of how to do a remedy, or of what it rests on.
struct How {
    number: usize,
    line: String,
}

fn how(relief: &Relief) -> Vec<How> {
    let remedies = relief.remedies.iter().enumerate();
    let lines = remedies.flat_map(|(at, remedy)| {
        let said = remedy.blocked.iter().chain(&remedy.evidence).chain(&remedy.how);
        said.map(move |line| How {
            number: at + 1,
            line: line.clone(),
        })
    });
    lines.collect()
}

const HOW: &[Column<How>] = &[
    Column {
        key: "number",
        title: "#",
        rank: Rank::Always,
        field: |how| Field::number(how.number as i64, how.number),
    },
    Column {
        key: "line",
        title: "NOTE OR COMMAND",
        rank: Rank::Always,
        field: |how| Field::text(&how.line),
    },
];

const REMEDIES: &[Column<Remedy>] = &[
    Column {
        key: "kind",
        title: "KIND",
        rank: Rank::Wide,
        field: |remedy| Field::text(remedy.kind.to_string()),
    },
    Column {
        key: "remedy",
        title: "REMEDY",
        rank: Rank::Always,
        field: |remedy| Field::text(&remedy.what),
    },
    Column {
        key: "frees_bytes",
        title: "FREES",
        rank: Rank::Always,
        field: |remedy| Field::cell(&remedy.frees_bytes, |value| bytes(*value)),
    },
    Column {
        key: "helps_in_seconds",
        title: "HELPS IN",
        rank: Rank::Always,
        field: |remedy| Field::cell(&remedy.helps_in_seconds, |value| format!("~{}", duration(*value))),
    },
    Column {
        key: "in_time",
        title: "IN TIME",
        rank: Rank::Always,
        field: |remedy| Field::data(remedy.in_time.to_string(), remedy.in_time.to_string().replace('_', " ")),
    },
    Column {
        key: "usd_per_month",
        title: "$/MONTH",
        rank: Rank::Usual,
        field: |remedy| Field::cell(&remedy.usd_per_month, |usd| format!("${usd:.0}")),
    },
    Column {
        key: "undo",
        title: "UNDO",
        rank: Rank::Usual,
        field: |remedy| Field::text(&remedy.undo),
    },
    Column {
        key: "blocked",
        title: "NOT NOW",
        rank: Rank::Wide,
        field: |remedy| Field::maybe(remedy.blocked.as_ref()),
    },
    Column {
        key: "how",
        title: "COMMANDS",
        rank: Rank::Wide,
        field: |remedy| Field::list(&remedy.how),
    },
    Column {
        key: "evidence",
        title: "BASIS",
        rank: Rank::Wide,
        field: |remedy| Field::list(&remedy.evidence),
    },
];

const DONTS: &[Column<Dont>] = &[
    Column {
        key: "dont",
        title: "DON'T",
        rank: Rank::Always,
        field: |dont| Field::text(&dont.what),
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Always,
        field: |dont| Field::text(&dont.why),
    },
];

pub const TOPICS: &[Column<TopicUse>] = &[
    Column {
        key: "topic",
        title: "TOPIC",
        rank: Rank::Always,
        field: |topic| Field::text(&topic.topic),
    },
    Column {
        key: "size_bytes",
        title: "SIZE",
        rank: Rank::Always,
        field: |topic| Field::number(topic.size_bytes, bytes(topic.size_bytes)),
    },
    Column {
        key: "growth_bytes_per_second",
        title: "GROWTH",
        rank: Rank::Always,
        field: |topic| match topic.growth_bytes_per_second {
            Some(rate) => Field::number(rate, mb_per_second(rate)),
            None => Field {
                reason: Some("seen only once".to_owned()),
                ..Field::number(Data::Null, "?")
            },
        },
    },
    Column {
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Usual,
        field: |topic| Field::number(topic.replicas, topic.replicas),
    },
];

pub const COLUMNS: &[Column<LogdirRow>] = &[
    Column {
        key: "broker",
        title: "BROKER",
        rank: Rank::Always,
        field: |row| Field::number(row.broker, row.broker),
    },
    Column {
        key: "path",
        title: "LOG DIR",
        rank: Rank::Always,
        field: |row| Field::text(&row.path),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |row| Field::text(if row.error.is_some() { "offline" } else { "online" }),
    },
    Column {
        key: "volumes",
        title: "VOLUME",
        rank: Rank::Wide,
        field: |row| match &row.volumes.value {
            Some(volumes) => Field::list(volumes),
            None => Field {
                reason: row.volumes.reason.clone(),
                ..Field::data(Data::Null, "?")
            },
        },
    },
    Column {
        key: "used_percent",
        title: "DISK",
        rank: Rank::Always,
        field: |row| Field::cell(&row.used_percent, |value| percent(*value)),
    },
    Column {
        key: "used_bytes",
        title: "USED",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.used_bytes, |value| bytes(*value)),
    },
    Column {
        key: "total_bytes",
        title: "SIZE",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.total_bytes, |value| bytes(*value)),
    },
    Column {
        key: "usable_bytes",
        title: "USABLE",
        rank: Rank::Wide,
        field: |row| Field::cell(&row.usable_bytes, |value| bytes(*value)),
    },
    Column {
        key: "growth_bytes_per_second",
        title: "GROWTH",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.growth_bytes_per_second, |value| mb_per_second(*value)),
    },
    Column {
        key: "full_in_seconds",
        title: "FULL IN",
        rank: Rank::Usual,
        field: |row| Field::cell(&row.full_in_seconds, |value| duration(*value)),
    },
    Column {
        key: "replicas",
        title: "REPLICAS",
        rank: Rank::Usual,
        field: |row| Field::number(row.replicas, row.replicas),
    },
    Column {
        key: "replicas_bytes",
        title: "LOGS",
        rank: Rank::Usual,
        field: |row| Field::number(row.logs_bytes, bytes(row.logs_bytes)),
    },
    Column {
        key: "top",
        title: "LARGEST TOPICS",
        rank: Rank::Usual,
        field: |row| {
            let share = |topic: &TopicUse| format!("{} {}", topic.topic, percent(row.share_percent(topic)));
            let top: Vec<String> = row
                .top
                .iter()
                .filter(|topic| topic.size_bytes > 0)
                .take(3)
                .map(share)
                .collect();
            Field::data(Data::List(Sheet::of(TOPICS, &row.top).items()), top.join(" "))
        },
    },
    Column {
        key: "moving_in",
        title: "MOVING IN",
        rank: Rank::Wide,
        field: |row| Field::number(row.future_replicas, row.future_replicas),
    },
    Column {
        key: "moving_in_bytes",
        title: "MOVED IN",
        rank: Rank::Wide,
        field: |row| Field::number(row.future_bytes, bytes(row.future_bytes)),
    },
    Column {
        key: "moving_in_lag_records",
        title: "BEHIND",
        rank: Rank::Wide,
        field: |row| Field::number(row.future_lag_records, row.future_lag_records),
    },
    Column {
        key: "error",
        title: "ERROR",
        rank: Rank::Wide,
        field: |row| Field::maybe(row.error.as_ref()),
    },
];
