//! The file format of Kafka's `kafka-reassign-partitions.sh`, read and written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Error, Target};
use crate::model::BrokerId;

#[derive(Debug, Deserialize)]
struct File {
    version: Option<i64>,
    partitions: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    topic: String,
    partition: i32,
    replicas: Vec<BrokerId>,
    #[serde(default)]
    log_dirs: Vec<String>,
}

/// Reads the assignments of a file.
///
/// # Errors
/// A sentence that says in which line the file is wrong: no JSON, another version, a negative partition, one that is
/// there twice, no replica or one named twice, or a wish for a log directory.
pub fn parse(text: &str) -> Result<Vec<Target>, Error> {
    let file: File = serde_json::from_str(text)
        .map_err(|error| Error::Impossible(format!("not a reassignment file of Kafka's format: {error}")))?;
    if file.version.is_some_and(|version| version != 1) {
        return Err(Error::Impossible(format!(
            "a reassignment file of version {}; only 1 is known",
            file.version.unwrap_or(0)
        )));
    }
    let lines = lines(text);
    let mut seen: BTreeMap<(String, i32), usize> = BTreeMap::new();
    let mut targets = Vec::new();
    for (at, entry) in file.partitions.into_iter().enumerate() {
        let line = lines.get(at).copied().unwrap_or(0);
        let wrong = |what: &str| Error::Impossible(format!("line {line}: {}-{} {what}", entry.topic, entry.partition));
        if entry.partition < 0 {
            return Err(wrong("is no partition: they count from 0"));
        }
        if let Some(dir) = entry.log_dirs.iter().find(|dir| *dir != "any") {
            let what = format!(
                "wants log directory {dir}; brokers choose it themselves, so write \"any\" or leave log_dirs out"
            );
            return Err(wrong(&what));
        }
        if let Some(first) = seen.insert((entry.topic.clone(), entry.partition), line) {
            return Err(wrong(&format!("is in the file twice, first in line {first}")));
        }
        targets.push(Target {
            line: Some(line),
            ..Target::new(&entry.topic, entry.partition, entry.replicas)
        });
    }
    Ok(targets)
}

/// A file that Kafka's tool executes, an entry a line.
pub fn write<'a>(assignments: impl IntoIterator<Item = (&'a str, i32, &'a [BrokerId])>) -> String {
    let entry = |(topic, partition, replicas): (&str, i32, &[BrokerId])| {
        serde_json::json!({"topic": topic, "partition": partition, "replicas": replicas}).to_string()
    };
    let entries: Vec<String> = assignments.into_iter().map(entry).collect();
    format!("{{\"version\":1,\"partitions\":[\n{}\n]}}\n", entries.join(",\n"))
}

/// The line in which each entry of `partitions` begins, counted from 1, in a text that is known to be JSON.
fn lines(text: &str) -> Vec<usize> {
    let (mut lines, mut line, mut depth) = (Vec::new(), 1, 0);
    let (mut key, mut string): (String, Option<String>) = (String::new(), None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\n' {
            line += 1;
        }
        match (&mut string, letter) {
            (Some(_), '\\') => drop(letters.next()),
            (Some(text), '"') => {
                // Of the outermost object, the last string before a value is that value's key.
                if depth == 1 {
                    key = std::mem::take(text);
                }
                string = None;
            }
            (Some(text), _) => text.push(letter),
            (None, '"') => string = Some(String::new()),
            (None, '{' | '[') => {
                if letter == '{' && depth == 2 && key == "partitions" {
                    lines.push(line);
                }
                depth += 1;
            }
            (None, '}' | ']') => depth -= 1,
            (None, _) => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let assignments = [("orders", 0, &[4, 2, 3][..]), ("o\"dd", 7, &[1][..])];
        let read = parse(&write(assignments)).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|t| (t.topic.as_str(), t.partition, t.replicas.as_slice()))
            .collect();
        assert_eq!(read, assignments);
        assert_eq!(parse(&write([])).unwrap(), []);
    }

    #[test]
    fn a_file_of_kafkas_tool_is_read() {
        let text = r#"{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[4,2,3],"log_dirs":["any","any","any"]}]}"#;
        let read = parse(text).unwrap();
        assert_eq!((read[0].replicas.as_slice(), read[0].line), (&[4, 2, 3][..], Some(1)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let file = |second: &str| {
            format!(
                "{{\"note\": [{{}}, \"{{\\\"\"],\n \"partitions\": [\n{{\"topic\":\"orders\",\"partition\":0,\n\"replicas\":[1]}},\n{second}]}}"
            )
        };
        let told = |second: &str| parse(&file(second)).unwrap_err().to_string();
        let entry = r#"{"topic":"orders","partition":0,"replicas":[2]}"#;
        assert_eq!(told(entry), "line 5: orders-0 is in the file twice, first in line 3");
        let entry = r#"{"topic":"orders","partition":-1,"replicas":[2]}"#;
        assert!(told(entry).starts_with("line 5: orders--1 is no partition"));
        let entry = r#"{"topic":"orders","partition":1,"replicas":[2],"log_dirs":["/data2"]}"#;
        assert!(told(entry).contains("line 5: orders-1 wants log directory /data2"));
        assert!(
            told(r#"{"topic":"orders"}"#).contains("line 5"),
            "{}",
            told(r#"{"topic":"orders"}"#)
        );
        assert!(parse("{}").unwrap_err().to_string().contains("not a reassignment file"));
        assert!(
            parse(r#"{"version":2,"partitions":[]}"#)
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
    }
}
