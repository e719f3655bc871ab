//! `azimuth record …`. Reading is a stream rather than an answer, so it is printed as it comes: a line for each record.

mod check;
mod write;

use std::io::{ErrorKind, Write};
use std::pin::pin;

use super::exit::{Exit, Failure, say};
use super::facts::{context_of, hold_to_pin, paths, patience, sources};
use super::output::{self, Data, moment};
use crate::command::record::{Query, Reading, Verb};
use crate::command::{Line, Output};
use crate::feed::{self, Error, Needs, Overflow, Section, Tail, TailRequest};
use crate::model::record::Record;
use crate::model::record::view::{self, Form};
use crate::model::{Moment, Snapshot, foreign, nearest};
use crate::settings::pin::Pins;

/// Records that wait for a slow reader of stdout; then the log waits.
const WAITING: usize = 256;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Read(reading) => read(line, reading).await,
        Verb::Send(wanted) => write::send(line, wanted).await,
        Verb::Check { topic, records } => check::run(line, topic, *records).await,
    }
}

async fn read(line: &Line, verb: &Reading) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage(
            "a capture holds no records; leave --from out (where to begin is --offset)",
        ));
    }
    let query = verb.query();
    let paths = paths()?;
    let (context, _) = context_of(&line.global, &paths)?;
    let mut pins = Pins::load(&paths)?;
    let sources = sources(&context, &pins, &paths)?;
    let mut needs: Needs = [Section::Cluster, Section::Topics].into();
    if matches!(verb, Reading::Read(_)) {
        // Where the log ends now is where reading ends.
        needs.insert(Section::Offsets);
    }
    let snapshot = feed::collect(&sources, &needs, patience(&line.global)).await;
    hold_to_pin(&context, &mut pins, &snapshot)?;
    let now = Moment::now();
    let partitions = partitions(&snapshot, query)?;
    let request = TailRequest {
        until: verb.until(&snapshot, &partitions, now),
        partitions,
        topic: query.topic.clone(),
        start: verb.start(now),
        filter: query.filter(),
        limit: query.limit,
        read_committed: query.read_committed,
        capacity: WAITING,
        overflow: Overflow::Wait,
    };
    let tail = feed::tail(&sources, request).map_err(Failure::partial)?;
    let printing = follow(tail, line.global.output, query);
    match line.global.timeout {
        // Time is up: of a tail, what came by then was the answer.
        Some(time) => match (tokio::time::timeout(time.0, pin!(printing)).await, verb) {
            (Ok(done), _) => done,
            (Err(_), Reading::Tail(_)) => Ok(Exit::Done),
            (Err(_), Reading::Read(_)) => Err(Failure::partial("the end was not reached within the timeout")),
        },
        None => printing.await,
    }
}

fn partitions(snapshot: &Snapshot, query: &Query) -> Result<Vec<i32>, Failure> {
    known(snapshot, &query.topic, None)?;
    query.partitions(snapshot).map_err(|no| Failure::new(Exit::No, no))
}

/// Whether there is such a topic, and such a partition of it.
fn known(snapshot: &Snapshot, topic: &str, partition: Option<i32>) -> Result<(), Failure> {
    let Some(topics) = snapshot.topics.get() else {
        let reason = snapshot.cluster.problem().or_else(|| snapshot.topics.problem());
        return Err(Failure::partial(reason.unwrap_or_default()));
    };
    let Some(found) = snapshot.topic(topic) else {
        let near = nearest(topic, topics.iter().map(|topic| topic.name.as_str()));
        let hint = near.map_or_else(
            || "azimuth topic list shows what there is".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return Err(Failure::new(Exit::No, format!("there is no topic {topic}; {hint}")));
    };
    match partition.filter(|partition| found.partition(*partition).is_none()) {
        None => Ok(()),
        Some(strange) => {
            let all = found.partitions.len();
            Err(Failure::new(
                Exit::No,
                format!("topic {topic} has {all} partitions, no {strange}"),
            ))
        }
    }
}

async fn follow(mut tail: Tail, output: Output, query: &Query) -> Result<Exit, Failure> {
    let mut left = query.limit.unwrap_or(u64::MAX);
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
                if !print(&record, output, query.form)? {
                    break;
                }
                left -= 1;
            }
        }
    }
    Ok(exit)
}

/// False once nobody reads any more.
fn print(record: &Record, output: Output, form: Option<Form>) -> Result<bool, Failure> {
    let line = match output {
        Output::Json => foreign::json(&serde_json::to_string(&data(record)).unwrap_or_default()).into_owned(),
        Output::Yaml => format!("---\n{}", output::yaml(&data(record)).unwrap_or_default().trim_end()),
        Output::Csv => csv(record),
        Output::Name => format!("{}:{}:{}", record.topic, record.partition, record.offset),
        Output::Table | Output::Wide | Output::Prom | Output::Nagios | Output::Md | Output::Plan => match form {
            None => text(record),
            Some(form) => whole(record, form),
        },
    };
    let mut out = super::out::stdout();
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
        ("timestamp", record.at().map(|at| at.to_string()).into()),
        (
            "timestamp_type",
            record.timestamp_type.map(|kind| kind.to_string()).into(),
        ),
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

/// `partition:offset  time  key  value`; whatever could move the cursor is escaped.
fn text(record: &Record) -> String {
    let time = record.at().map_or_else(|| "-".to_owned(), moment);
    let place = format!("{}:{}", record.partition, record.offset);
    format!(
        "{place:<12}  {time}  {}  {}",
        view::line(record.key.as_deref()),
        view::line(record.value.as_deref())
    )
}

/// A line about the record, one for each header, then the value in its form.
fn whole(record: &Record, form: Form) -> String {
    let time = record.at().map_or_else(|| "-".to_owned(), moment);
    let kind = record
        .timestamp_type
        .map_or_else(String::new, |kind| format!(" {kind}"));
    let mut lines = vec![format!(
        "{}:{}:{}  {time}{kind}  key {}",
        record.topic,
        record.partition,
        record.offset,
        view::line(record.key.as_deref())
    )];
    lines.extend(record.headers.iter().map(|(name, value)| {
        let name = view::escape(name);
        format!("  {name}: {}", view::line(value.as_deref()))
    }));
    lines.extend(view::lines(record.value.as_deref(), form));
    lines.join("\n")
}

fn csv(record: &Record) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let time = record.at().map_or_else(String::new, |at| at.to_string());
    let (key, value) = (view::line(record.key.as_deref()), view::line(record.value.as_deref()));
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
    use crate::model::record::TimestampType;

    fn record(value: &[u8]) -> Record {
        Record {
            topic: "orders".to_owned(),
            partition: 3,
            offset: 41,
            timestamp_ms: Some(1_700_000_000_000),
            timestamp_type: Some(TimestampType::CreateTime),
            key: None,
            value: Some(value.to_vec()),
            headers: vec![("h\u{1b}c".to_owned(), None)],
        }
    }

    #[test]
    fn nothing_in_a_record_can_move_the_cursor() {
        let line = text(&record(b"a\x1b[2Jb\nc"));
        assert!(!line.contains(char::is_control), "{line:?}");
        for form in [Form::Text, Form::Json, Form::Hex] {
            let shown = whole(&record(b"a\x1b[2J\x07b\nc"), form);
            assert!(!shown.replace('\n', "").contains(char::is_control), "{shown:?}");
        }
        assert_eq!(
            text(&record(b"\xff\x00")),
            "3:41          2023-11-14 22:13:20Z  -  \\xff\\x00"
        );
    }

    #[test]
    fn a_whole_record_is_told_with_its_headers_and_its_clock() {
        assert_eq!(
            whole(&record(br#"{"a":1}"#), Form::Json),
            "orders:3:41  2023-11-14 22:13:20Z CreateTime  key -\n  h\\u{1b}c: -\n{\n  \"a\": 1\n}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_survive_in_json() {
        let json = serde_json::to_string(&data(&record(b"\xff\x00"))).unwrap();
        assert!(json.contains(r#""value":null,"value_base64":"/wA=""#), "{json}");
        assert!(json.contains(r#""timestamp":"2023-11-14T22:13:20Z""#), "{json}");
    }
}
