//! `azimuth record …`: a stream rather than an answer, so it is printed as it comes: a line for each record.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::pin::pin;

use super::exit::{Exit, Failure, say};
use super::facts::{context_of, hold_to_pin, paths, patience, sources};
use super::output::{Data, moment};
use crate::command::record::Verb;
use crate::command::value::Offset;
use crate::command::{Line, Output};
use crate::feed::{self, Error, Needs, Overflow, Section, Start, Tail, TailRequest};
use crate::model::record::Record;
use crate::model::{Moment, Snapshot};
use crate::settings::pin::Pins;

/// Records that wait for a slow reader of stdout; then the log waits.
const WAITING: usize = 256;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Tail {
        topic,
        partition,
        offset,
        count,
    } = verb;
    if line.global.from.is_some() {
        return Err(Failure::usage("a capture holds no records; leave --from out"));
    }
    let paths = paths()?;
    let (context, _) = context_of(&line.global, &paths)?;
    let mut pins = Pins::load(&paths)?;
    let sources = sources(&context, &pins, &paths)?;
    let needs: Needs = [Section::Cluster, Section::Topics].into();
    let snapshot = feed::collect(&sources, &needs, patience(&line.global)).await;
    hold_to_pin(&context, &mut pins, &snapshot)?;
    let request = TailRequest {
        partitions: partitions(&snapshot, topic, partition)?,
        topic: topic.clone(),
        start: start(*offset),
        // "The last N" and no more, where a count says when it is enough.
        follow: true,
        capacity: WAITING,
        overflow: Overflow::Wait,
    };
    let tail = feed::tail(&sources, request).map_err(Failure::partial)?;
    let printing = follow(tail, line.global.output, *count);
    match line.global.timeout {
        // Time is up: what came by then was the answer.
        Some(time) => tokio::time::timeout(time.0, pin!(printing))
            .await
            .unwrap_or(Ok(Exit::Done)),
        None => printing.await,
    }
}

fn start(offset: Option<Offset>) -> Start {
    match offset {
        None | Some(Offset::End) => Start::End,
        Some(Offset::Start) => Start::Beginning,
        Some(Offset::At(offset)) => Start::Offset(offset),
        Some(Offset::Last(records)) => Start::Last(records),
    }
}

fn partitions(snapshot: &Snapshot, topic: &str, wanted: &[i32]) -> Result<Vec<i32>, Failure> {
    let Some(topics) = snapshot.topics.get() else {
        let reason = snapshot.cluster.problem().or_else(|| snapshot.topics.problem());
        return Err(Failure::partial(reason.unwrap_or_default()));
    };
    let Some(found) = snapshot.topic(topic) else {
        let near = crate::settings::file::nearest(topic, topics.iter().map(|topic| topic.name.as_str()));
        let hint = near.map_or_else(
            || "azimuth topic list shows what there is".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return Err(Failure::new(Exit::No, format!("there is no topic {topic}; {hint}")));
    };
    let known: Vec<i32> = found.partitions.iter().map(|partition| partition.partition).collect();
    if let Some(strange) = wanted.iter().find(|partition| !known.contains(partition)) {
        return Err(Failure::new(
            Exit::No,
            format!("topic {topic} has {} partitions, no {strange}", known.len()),
        ));
    }
    Ok(if wanted.is_empty() { known } else { wanted.to_vec() })
}

async fn follow(mut tail: Tail, output: Output, count: Option<u64>) -> Result<Exit, Failure> {
    let mut left = count.unwrap_or(u64::MAX);
    let mut exit = Exit::Done;
    while left > 0 {
        match tail.next().await {
            None => break,
            // Waiting does not help against a missing right.
            Some(Err(error @ Error::Denied { .. })) => return Err(Failure::partial(error)),
            Some(Err(error)) => {
                say(&format!("azimuth: {error}"));
                exit = Exit::Partial;
            }
            Some(Ok(record)) => {
                if !print(&record, output)? {
                    break;
                }
                left -= 1;
            }
        }
    }
    Ok(exit)
}

/// False once nobody reads any more.
fn print(record: &Record, output: Output) -> Result<bool, Failure> {
    let line = match output {
        Output::Json => serde_json::to_string(&data(record)).unwrap_or_default(),
        Output::Yaml => format!(
            "---\n{}",
            serde_yaml_ng::to_string(&data(record)).unwrap_or_default().trim_end()
        ),
        Output::Csv => csv(record),
        Output::Name => format!("{}:{}:{}", record.topic, record.partition, record.offset),
        Output::Table | Output::Wide => text(record),
    };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::partial(format!("cannot write the records: {error}"))),
    }
}

/// Bytes that are no text are base64 under another name, so that nothing is lost.
fn data(record: &Record) -> Data {
    let (key, key_base64) = either(record.key.as_deref());
    let (value, value_base64) = either(record.value.as_deref());
    let headers = record.headers.iter().map(|(name, value)| {
        let (value, value_base64) = either(value.as_deref());
        Data::Map(vec![
            ("name", name.as_str().into()),
            ("value", value),
            ("value_base64", value_base64),
        ])
    });
    Data::Map(vec![
        ("topic", record.topic.as_str().into()),
        ("partition", record.partition.into()),
        ("offset", record.offset.into()),
        ("timestamp", time(record).map(|at| at.to_string()).into()),
        ("key", key),
        ("key_base64", key_base64),
        ("value", value),
        ("value_base64", value_base64),
        ("headers", Data::List(headers.collect())),
    ])
}

fn either(bytes: Option<&[u8]>) -> (Data, Data) {
    use base64::Engine;
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (Data::Null, Data::Null),
        Some((_, Ok(text))) => (text.into(), Data::Null),
        Some((bytes, Err(_))) => (
            Data::Null,
            base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        ),
    }
}

fn time(record: &Record) -> Option<Moment> {
    record
        .timestamp_ms
        .and_then(|millis| Moment::from_millisecond(millis).ok())
}

/// `partition:offset  time  key  value`; whatever could move the cursor is escaped.
fn text(record: &Record) -> String {
    let time = time(record).map_or_else(|| "-".to_owned(), moment);
    let place = format!("{}:{}", record.partition, record.offset);
    format!(
        "{place:<12}  {time}  {}  {}",
        shown(record.key.as_deref()),
        shown(record.value.as_deref())
    )
}

fn shown(bytes: Option<&[u8]>) -> Cow<'_, str> {
    match bytes {
        None => Cow::Borrowed("-"),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => Cow::Borrowed(text),
            Ok(text) => text
                .chars()
                .map(|letter| {
                    if letter.is_control() {
                        letter.escape_default().to_string()
                    } else {
                        letter.to_string()
                    }
                })
                .collect::<String>()
                .into(),
            Err(_) => bytes.escape_ascii().to_string().into(),
        },
    }
}

fn csv(record: &Record) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let time = time(record).map_or_else(String::new, |at| at.to_string());
    let (key, value) = (shown(record.key.as_deref()), shown(record.value.as_deref()));
    format!(
        "{},{},{},{time},{},{}",
        record.topic,
        record.partition,
        record.offset,
        quote(&key),
        quote(&value)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &[u8]) -> Record {
        Record {
            topic: "orders".to_owned(),
            partition: 3,
            offset: 41,
            timestamp_ms: Some(1_700_000_000_000),
            key: None,
            value: Some(value.to_vec()),
            headers: vec![("h".to_owned(), None)],
        }
    }

    #[test]
    fn nothing_in_a_record_can_move_the_cursor() {
        let line = text(&record(b"a\x1b[2Jb\nc"));
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(
            text(&record(b"\xff\x00")),
            "3:41          2023-11-14 22:13:20Z  -  \\xff\\x00"
        );
    }

    #[test]
    fn bytes_that_are_no_text_survive_in_json() {
        let json = serde_json::to_string(&data(&record(b"\xff\x00"))).unwrap();
        assert!(json.contains(r#""value":null,"value_base64":"/wA=""#), "{json}");
        assert!(json.contains(r#""timestamp":"2023-11-14T22:13:20Z""#), "{json}");
    }
}
