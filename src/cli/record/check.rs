//! `azimuth record check`: whether every leader takes records, with acks=all, and gives them back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::cli::direct::Here;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Answer, Column, Field, Rank};
use crate::cli::{facts, print};
use crate::command::Line;
use crate::feed::{self, NewRecord, Overflow, Producer, Section, Sources, TailRequest};
use crate::model::record::filter::Filter;
use crate::model::record::range::{Start, Until};
use crate::model::row::Cell;
use crate::model::{BrokerId, Moment, Snapshot};
use crate::plan::Kind;

/// The header by which the records of one check are told from all others; its value is the check's name.
const HEADER: &str = "azimuth-check";
/// A record that is not acknowledged within this is not waited for.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);
/// Records are looked for from so long ago on: brokers may stamp them by a clock of their own.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// Records that were read and not counted yet.
const WAITING: usize = 1000;

/// One partition, written and read.
#[derive(Debug, Default)]
struct Row {
    partition: i32,
    leader: Option<BrokerId>,
    records: u32,
    /// Offset by number.
    acknowledged: BTreeMap<u32, i64>,
    /// From sending to acknowledgement, in milliseconds, sorted.
    latencies: Vec<f64>,
    /// How often each number was read.
    read: BTreeMap<u32, u32>,
    /// Numbers came in the order in which they were acknowledged.
    disordered: bool,
    problem: Option<String>,
}

pub async fn run(line: &Line, topic: &str, records: u32) -> Result<Exit, Failure> {
    let global = &line.global;
    let here = Here::look(
        global,
        &[Section::Cluster, Section::Topics],
        "a capture takes no records",
    )
    .await?;
    super::known(&here.snapshot, topic, None)?;
    let mut rows = rows(&here.snapshot, topic, records);
    let what = format!(
        "write {records} records to each of the {} partitions of {topic}",
        rows.len()
    );
    let Some(direct) = here.begin(global, Kind::RecordCheck, what)? else {
        return Ok(Exit::Done);
    };
    let sources = &here.ground.sources;
    let patience = facts::patience(global);
    let name = uuid::Uuid::new_v4().simple().to_string();
    let began = Moment::now();
    let timeout = ACKNOWLEDGED.min(patience).as_millis().to_string();
    let ours = [
        ("linger.ms", "0"),
        ("acks", "all"),
        ("message.timeout.ms", timeout.as_str()),
    ];
    let producer = feed::producer(sources, &ours).map_err(Failure::partial)?;
    // Every leader at once, each partition in order.
    join_all(rows.iter_mut().map(|row| row.write(&producer, topic, &name))).await;
    let reading = read_back(sources, topic, &name, began, &mut rows);
    let timed_out = tokio::time::timeout(patience, reading).await;
    if let Some(why) = match timed_out {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("not all was read within {} s", patience.as_secs())),
    } {
        for row in rows.iter_mut().filter(|row| row.is_short()) {
            row.problem.get_or_insert(why.clone());
        }
    }
    let well = rows.iter().filter(|row| row.is_well()).count();
    let told = format!("{well} of {} partitions took every record and gave it back", rows.len());
    match well == rows.len() {
        true => direct.done(told)?,
        false => direct.failed(told)?,
    }
    let mut answer = Answer::list(COLUMNS, &rows, "partition", |row| format!("{topic}:{}", row.partition));
    answer.context = Some(here.ground.context.name.clone());
    answer.cluster_id = Some(here.cluster_id);
    answer.taken_at = Some(began);
    answer.is_no = rows.iter().any(|row| !row.is_well());
    match &line.command {
        Some(command) => print(line, command, &answer),
        None => Ok(answer.exit()),
    }
}

fn rows(snapshot: &Snapshot, topic: &str, records: u32) -> Vec<Row> {
    let partitions = snapshot.topic(topic).into_iter().flat_map(|topic| &topic.partitions);
    let row = |one: &crate::model::topic::Partition| Row {
        partition: one.partition,
        leader: one.leader,
        records,
        problem: one.leader.is_none().then(|| "it has no leader".to_owned()),
        ..Row::default()
    };
    partitions.map(row).collect()
}

impl Row {
    /// Each after the one before was acknowledged, so that they are in order whatever is tried again.
    async fn write(&mut self, producer: &Producer, topic: &str, name: &str) {
        if self.leader.is_none() {
            return;
        }
        for number in 0..self.records {
            let sent = Instant::now();
            let value = number.to_string();
            let record = NewRecord {
                topic,
                partition: Some(self.partition),
                value: Some(value.as_bytes()),
                headers: &[(HEADER, name.as_bytes())],
                ..NewRecord::default()
            };
            match producer.send(record).await {
                Ok(delivered) => {
                    self.latencies.push(sent.elapsed().as_secs_f64() * 1000.0);
                    self.acknowledged.insert(number, delivered.offset);
                }
                Err(error) => {
                    self.problem = Some(error.to_string());
                    break;
                }
            }
        }
        self.latencies.sort_by(f64::total_cmp);
    }

    /// Something that was acknowledged was not read.
    fn is_short(&self) -> bool {
        self.acknowledged.keys().any(|number| !self.read.contains_key(number))
    }

    fn is_well(&self) -> bool {
        self.acknowledged.len() == self.records as usize
            && !self.is_short()
            && !self.disordered
            && self.problem.is_none()
    }

    fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        Some(self.latencies[(last as f64 * share).round() as usize])
    }

    fn fault(&self) -> Option<String> {
        let lost = self
            .acknowledged
            .keys()
            .filter(|number| !self.read.contains_key(number))
            .count();
        match &self.problem {
            Some(problem) => Some(problem.clone()),
            None if lost > 0 => Some(format!("{lost} acknowledged records were not found again")),
            None if self.disordered => Some("records came in another order than they were acknowledged".to_owned()),
            None => None,
        }
    }
}

async fn read_back(
    sources: &Sources,
    topic: &str,
    name: &str,
    began: Moment,
    rows: &mut [Row],
) -> Result<(), feed::Error> {
    let ends: BTreeMap<i32, i64> = rows
        .iter()
        .filter_map(|row| Some((row.partition, row.acknowledged.values().max()? + 1)))
        .collect();
    if ends.is_empty() {
        return Ok(());
    }
    let request = TailRequest {
        topic: topic.to_owned(),
        partitions: ends.keys().copied().collect(),
        start: Start::At(began - SKEW),
        until: Until::Offsets(ends),
        filter: Filter {
            headers: vec![(HEADER.to_owned(), name.to_owned())],
            ..Filter::default()
        },
        limit: None,
        read_committed: false,
        capacity: WAITING,
        overflow: Overflow::Wait,
    };
    let mut tail = feed::tail(sources, request)?;
    while let Some(record) = tail.next().await {
        let record = record?;
        let number = record
            .value
            .as_deref()
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let row = rows.iter_mut().find(|row| row.partition == record.partition);
        if let (Some(row), Some(number)) = (row, number) {
            row.disordered |= row.read.last_key_value().is_some_and(|(last, _)| *last > number);
            *row.read.entry(number).or_default() += 1;
        }
    }
    Ok(())
}

fn told<T>(value: Option<T>, why: &str) -> Cell<T> {
    value.map_or_else(|| Cell::unknown(why), Cell::known)
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        key: "partition",
        title: "PARTITION",
        rank: Rank::Always,
        field: |row| Field::number(row.partition, row.partition),
    },
    Column {
        key: "leader",
        title: "LEADER",
        rank: Rank::Always,
        field: |row| Field::cell(&told(row.leader, "it has no leader"), ToString::to_string),
    },
    Column {
        key: "records",
        title: "RECORDS",
        rank: Rank::Usual,
        field: |row| Field::number(row.records, row.records),
    },
    Column {
        key: "acknowledged",
        title: "ACKNOWLEDGED",
        rank: Rank::Always,
        field: |row| Field::number(row.acknowledged.len() as u32, row.acknowledged.len() as u32),
    },
    Column {
        key: "read",
        title: "READ",
        rank: Rank::Always,
        field: |row| Field::number(row.read.len() as u32, row.read.len() as u32),
    },
    Column {
        key: "duplicates",
        title: "TWICE",
        rank: Rank::Wide,
        field: |row| {
            let twice = row.read.values().filter(|times| **times > 1).count() as u32;
            Field::number(twice, twice)
        },
    },
    Column {
        key: "p50_ms",
        title: "P50",
        rank: Rank::Usual,
        field: |row| {
            Field::cell(&told(row.quantile(0.5), "nothing was acknowledged"), |ms| {
                format!("{ms:.1} ms")
            })
        },
    },
    Column {
        key: "max_ms",
        title: "MAX",
        rank: Rank::Usual,
        field: |row| {
            Field::cell(&told(row.quantile(1.0), "nothing was acknowledged"), |ms| {
                format!("{ms:.1} ms")
            })
        },
    },
    Column {
        key: "problem",
        title: "PROBLEM",
        rank: Rank::Always,
        field: |row| Field::text(row.fault().unwrap_or_default()),
    },
];
