//! Records as they come: a bounded buffer of the newest, and one of them in full.
//!
//! The place's name is the rest of the command, `tail orders --offset=-50`: what is shown and what the command line prints
//! is one value. One stream runs at a time; leaving the screen ends it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::command::Command;
use crate::command::record::{Query, Reading, Verb};
use crate::command::value::Offset;
use crate::command::words;
use crate::model::ends::Ends;
use crate::model::record::Record;
use crate::model::record::view::{self, Form};
use crate::model::{Moment, Snapshot, foreign};

use super::effect::Effect;
use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::state::State;
use super::table::{Column, Row, Table};
use super::text;

/// What is kept of a stream: the newest records, at most so many and so many bytes.
const KEPT: usize = 2000;
const KEPT_BYTES: usize = 8 << 20;

/// A value's first characters in the list.
const GLANCE: usize = 400;

/// Lines of one value on screen; the command prints them all.
const LINES: usize = 20_000;

/// Columns of the names beside a record's parts at least, and of the gutter and the gaps.
const PART: usize = 12;
const AROUND: usize = 8;

/// How many records before the end a tail begins with.
const BEFORE: u32 = 50;

/// What a stream has brought.
#[derive(Debug, Default)]
pub struct Records {
    /// The words after `record`, as in the place's name; empty when nothing is read.
    pub words: String,
    held: VecDeque<Arc<Record>>,
    bytes: usize,
    /// Records that came and had to go for newer ones.
    forgotten: u64,
    /// Records that came faster than they could be taken.
    dropped: u64,
    /// Records read, wanted or not.
    read: u64,
    /// How many there are to read, where the reading has an end and the ends of the logs are known.
    wanted: Option<u64>,
    /// It is a `read`, which ends by itself.
    ends: bool,
    began: Option<Moment>,
    problem: Option<String>,
    ended: bool,
}

/// Some records of a stream, and how it is.
#[derive(Debug, Default)]
pub struct Batch {
    /// Of which stream.
    pub words: String,
    pub records: Vec<Record>,
    pub read: u64,
    pub dropped: u64,
    pub problem: Option<String>,
    /// Nothing more comes.
    pub ended: bool,
}

impl Records {
    fn begin(&mut self, words: &str) {
        *self = Self {
            words: words.to_owned(),
            ..Self::default()
        };
    }

    fn take(&mut self, batch: Batch) {
        for record in batch.records {
            self.bytes += record.size_bytes();
            self.held.push_back(Arc::new(record));
        }
        while self.held.len() > KEPT || (self.bytes > KEPT_BYTES && self.held.len() > 1) {
            if let Some(oldest) = self.held.pop_front() {
                self.bytes -= oldest.size_bytes();
                self.forgotten += 1;
            }
        }
        (self.read, self.dropped) = (batch.read, batch.dropped);
        self.problem = batch.problem.or(self.problem.take());
        self.ended |= batch.ended;
    }

    fn find(&self, query: &Query) -> Option<&Arc<Record>> {
        let (partition, offset) = one(query)?;
        self.held
            .iter()
            .find(|record| record.topic == query.topic && record.partition == partition && record.offset == offset)
    }

    /// How the stream is: `12 000 of 340 000 read · 3 dropped · reading 4 s`.
    pub fn status(&self, now: Moment) -> Vec<Field> {
        let read = text::count(self.read as i64);
        let mut parts = vec![Field::muted(match self.wanted {
            Some(wanted) if wanted > self.read && !self.ended => {
                format!("{read} of {} read", text::count(wanted as i64))
            }
            _ => format!("{read} read"),
        })];
        let lost = |n: u64, word: &str| Field::new(format!("{} {word}", text::count(n as i64))).tone(Tone::Warn);
        if self.dropped > 0 {
            parts.push(lost(self.dropped, "dropped"));
        }
        if self.forgotten > 0 {
            parts.push(lost(self.forgotten, "older ones gone"));
        }
        if let Some(problem) = &self.problem {
            parts.push(Field::new(view::escape(problem).into_owned()).tone(Tone::Error));
        }
        let seconds = self.began.map_or(0, |began| now.duration_since(began).as_secs());
        parts.push(match (self.ended, self.ends) {
            (true, _) => Field::muted("ended"),
            (false, false) => Field::muted("following"),
            (false, true) => Field::new(format!("reading {}", text::span(seconds as f64))).tone(Tone::Accent),
        });
        parts
    }
}

/// The words after `record` of a command.
fn rest(verb: Verb) -> String {
    let printed = Command::Record(verb).to_string();
    printed.strip_prefix("record ").unwrap_or(&printed).to_owned()
}

/// The name of a stream, from the words after `record`.
pub fn name(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| words::quote(word)).collect();
    quoted.join(" ")
}

/// The verb behind a place's name.
pub fn verb(words: &str) -> Option<Reading> {
    match format!("record {words}").parse() {
        Ok(Command::Record(Verb::Read(reading))) => Some(reading),
        _ => None,
    }
}

/// The one record that a query names, if it names one.
fn one(query: &Query) -> Option<(i32, i64)> {
    match (query.partition.as_slice(), query.offset, query.limit) {
        ([partition], Some(Offset::At(offset)), Some(1)) => Some((*partition, i64::try_from(offset).ok()?)),
        _ => None,
    }
}

/// Whether a place shows one record in full.
pub fn is_one(place: &Place) -> bool {
    let verb = place.name.as_deref().and_then(verb);
    place.noun == Noun::Record && verb.is_some_and(|verb| one(verb.query()).is_some())
}

/// How many records a reading that ends goes through, as the ends of the logs tell it; unknown where it begins or ends at a
/// time.
fn wanted(verb: &Reading, snapshot: &Snapshot) -> Option<u64> {
    let Reading::Read(query) = verb else { return None };
    if query.limit.is_some() {
        return None;
    }
    let ends = Ends::of(snapshot);
    let of = |partition: i32| -> Option<u64> {
        let span = ends.get(&query.topic, partition)?.span;
        let (start, end) = (span.start.unsigned_abs(), span.end.unsigned_abs());
        let to = match query.to {
            None | Some(Offset::End) => end,
            Some(Offset::At(offset)) => offset.min(end),
            Some(_) => return None,
        };
        let from = match query.offset {
            None | Some(Offset::Start) => start,
            Some(Offset::At(offset)) => offset.max(start),
            Some(Offset::Last(count)) => end.saturating_sub(count.into()).max(start),
            Some(_) => return None,
        };
        Some(to.saturating_sub(from))
    };
    let partitions = &snapshot.topic(&query.topic)?.partitions;
    let asked = partitions.iter().map(|partition| partition.partition);
    let asked = asked.filter(|partition| query.partition.is_empty() || query.partition.contains(partition));
    asked.map(of).sum()
}

/// A tail of a topic, or of one of its partitions.
pub fn tail_of(topic: &str, partition: Option<i32>) -> Place {
    let query = Query {
        topic: topic.to_owned(),
        partition: partition.into_iter().collect(),
        offset: Some(Offset::Last(BEFORE)),
        ..Query::default()
    };
    Place::open(Noun::Record, rest(Verb::Read(Reading::Tail(query))))
}

fn place_of(record: &Record) -> Place {
    let query = Query {
        topic: record.topic.clone(),
        partition: vec![record.partition],
        offset: Some(Offset::At(record.offset.unsigned_abs())),
        limit: Some(1),
        ..Query::default()
    };
    Place::open(Noun::Record, rest(Verb::Read(Reading::Read(query))))
}

impl State {
    /// Starts or ends the stream that the place needs.
    pub(super) fn stream(&mut self) -> Vec<Effect> {
        let place = self.place().clone();
        let (Noun::Record, Some(name)) = (place.noun, &place.name) else {
            return match self.records.words.is_empty() {
                true => Vec::new(),
                false => {
                    self.records.begin("");
                    vec![Effect::Read(Vec::new())]
                }
            };
        };
        let held = verb(name).is_some_and(|verb| self.records.find(verb.query()).is_some());
        if self.records.words == *name || held {
            return Vec::new();
        }
        self.records.begin(name);
        self.records.began = Some(self.now);
        self.records.ends = matches!(verb(name), Some(Reading::Read(_)));
        self.records.wanted = verb(name).and_then(|verb| wanted(&verb, &self.snapshot));
        let words = words::split(name).unwrap_or_default();
        vec![Effect::Read(words)]
    }

    /// Takes in what a stream brought; a cursor on the last row stays on the last row.
    pub(super) fn receive(&mut self, now: Moment, batch: Batch) {
        if batch.words != self.records.words {
            return;
        }
        let last = self.table.rows.last().map(|row| row.key.clone());
        let follows = self.list().selected.is_none() || self.list().selected == last;
        self.records.take(batch);
        if self.place().noun != Noun::Record || self.frozen_at.is_some() {
            return;
        }
        self.rebuild(now);
        if follows && !is_one(self.place()) {
            self.step(isize::MAX);
        }
    }

    /// Where `record` leads from here; on the record screen itself, to the command to edit.
    pub(super) fn open_records(&mut self, now: Moment) -> Vec<Effect> {
        let place = self.place().clone();
        let selected = self.list().selected.clone();
        let there = match (place.noun, &place.name, selected) {
            (Noun::Record, Some(name), _) => {
                self.open_palette(&format!("record {name}"));
                return Vec::new();
            }
            (Noun::Topic, None, Some(topic)) => tail_of(&topic, None),
            (Noun::Topic, Some(topic), Some(partition)) if place.tab == 0 => tail_of(topic, partition.parse().ok()),
            (Noun::Topic, Some(topic), _) => tail_of(topic, None),
            _ => return Vec::new(),
        };
        self.go(now, there)
    }
}

/// The stream, or one record of it at one of the forms.
pub fn open(records: &Records, snapshot: &Snapshot, words: &str, tab: usize, (now, width): (Moment, u16)) -> Table {
    let Some(verb) = verb(words) else {
        return Table {
            empty: format!("`record {}` is no command", view::escape(words)),
            ..Table::default()
        };
    };
    let query = verb.query();
    if one(query).is_some() {
        return whole(records, query, tab, usize::from(width));
    }
    let topic = &query.topic;
    let unknown = snapshot.topics.get().is_some() && snapshot.topic(topic).is_none();
    Table {
        columns: vec![
            Column::new("partition", "part", 0).width(4, 6).right(),
            Column::new("offset", "offset", 0).width(6, 14).right(),
            Column::new("time", "time", 1).width(9, 20),
            Column::new("key", "key", 1).width(6, 32),
            Column::new("value", "value", 0).width(20, 200),
            Column::new("headers", "headers", 4).width(7, 40),
            Column::new("size_bytes", "size", 3).width(8, 8).right(),
        ],
        rows: records.held.iter().map(|record| row(record, now)).collect(),
        noun: "record",
        empty: match unknown {
            true => format!("there is no topic {}", view::escape(topic)),
            false => records.problem.clone().unwrap_or_else(|| match records.ended {
                true => "no record matched".to_owned(),
                false => "no record yet".to_owned(),
            }),
        },
        ..Table::default()
    }
}

fn row(record: &Arc<Record>, now: Moment) -> Row {
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|(name, value)| format!("{}={}", view::escape(name), view::line(value.as_deref())))
        .collect();
    Row {
        key: format!("{}:{}", record.partition, record.offset),
        fields: vec![
            Field::id(record.partition),
            Field::new(record.offset.to_string()).number(record.offset as f64),
            time(record, Some(now)),
            glance(record.key.as_deref()),
            glance(record.value.as_deref()),
            match headers.is_empty() {
                true => Field::none(),
                false => Field::new(headers.join(" ")),
            },
            Field::new(text::bytes(record.size_bytes() as f64)).number(record.size_bytes() as f64),
        ],
        opens: Some(place_of(record)),
        ..Row::default()
    }
}

/// The first characters, escaped; the whole is one key away.
fn glance(bytes: Option<&[u8]>) -> Field {
    let Some(bytes) = bytes else {
        return Field::muted("null");
    };
    let start = &bytes[..bytes.len().min(GLANCE * 4)];
    // A character cut in two at the end is none of the value's own.
    let start = match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_none() && start.len() < bytes.len() => &start[..error.valid_up_to()],
        _ => start,
    };
    let text = view::line(Some(start));
    let mut shown: String = text.chars().take(GLANCE).collect();
    if shown.len() < text.len() || start.len() < bytes.len() {
        shown.push('…');
    }
    Field::new(shown)
}

/// In the list today's records go without the date.
fn time(record: &Record, today: Option<Moment>) -> Field {
    let day = |at: Moment| at.as_second().div_euclid(86_400);
    match record.at() {
        Some(at) if today.is_some_and(|now| day(now) == day(at)) => {
            Field::new(at.strftime("%H:%M:%SZ").to_string()).number(at.as_millisecond() as f64)
        }
        Some(at) => Field::new(at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).number(at.as_millisecond() as f64),
        None => Field::none(),
    }
}

fn whole(records: &Records, query: &Query, tab: usize, width: usize) -> Table {
    let form = [Form::Json, Form::Text, Form::Hex][tab.min(2)];
    let columns = vec![
        Column::new("part", "", 0).width(9, 24),
        Column::new("content", "", 0).width(20, 400),
    ];
    let Some(record) = records.find(query) else {
        return Table {
            columns,
            noun: "line",
            empty: records.problem.clone().unwrap_or_else(|| match records.ended {
                true => "there is no record at this offset (deleted, compacted away, or not written yet)".to_owned(),
                false => "reading it …".to_owned(),
            }),
            ..Table::default()
        };
    };
    let clock = record
        .timestamp_type
        .map_or_else(String::new, |kind| format!("  {kind}"));
    let mut lines = vec![
        (
            "place".to_owned(),
            format!("{}:{}:{}", record.topic, record.partition, record.offset),
        ),
        ("time".to_owned(), format!("{}{clock}", time(record, None).text)),
        ("key".to_owned(), view::line(record.key.as_deref()).into_owned()),
    ];
    lines.extend(record.headers.iter().map(|(name, value)| {
        (
            format!("header {}", view::escape(name)),
            view::line(value.as_deref()).into_owned(),
        )
    }));
    let size = record
        .value
        .as_ref()
        .map_or_else(|| "null".to_owned(), |value| text::bytes(value.len() as f64));
    let value = view::lines(record.value.as_deref(), form);
    let cut = value.len().saturating_sub(LINES);
    let longest = lines.iter().map(|(part, _)| foreign::width(part)).max().unwrap_or(0);
    let room = width.saturating_sub(longest.max(PART) + AROUND).max(PART);
    // Lines of hex are as long as they are: broken they would say nothing.
    let fold = |line: String| match form {
        Form::Hex => vec![line],
        Form::Json | Form::Text => folded(&line, room),
    };
    let shown = value.into_iter().take(LINES).flat_map(fold).enumerate();
    lines.extend(shown.map(|(at, line)| match at {
        0 => (format!("value {size}"), line),
        _ => (String::new(), line),
    }));
    if cut > 0 {
        lines.push((
            String::new(),
            format!("… {} more lines: the command prints them", text::count(cut as i64)),
        ));
    }
    let row = |(at, (part, content)): (usize, (String, String))| Row {
        key: at.to_string(),
        fields: vec![Field::muted(part), Field::new(content)],
        ..Row::default()
    };
    Table {
        columns,
        rows: lines.into_iter().enumerate().map(row).collect(),
        noun: "line",
        ..Table::default()
    }
}

/// A line in pieces of at most `room` columns.
fn folded(line: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for letter in line.chars() {
        let wide = foreign::width(letter.encode_utf8(&mut [0; 4]));
        if used + wide > room {
            pieces.push(String::new());
            used = 0;
        }
        used += wide;
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, value: &[u8]) -> Record {
        Record {
            topic: "orders".to_owned(),
            partition: 3,
            offset,
            timestamp_ms: Some(1_700_000_000_000),
            key: Some(b"k\x1b[2J".to_vec()),
            value: Some(value.to_vec()),
            ..Record::default()
        }
    }

    fn reading(records: Vec<Record>) -> (State, Moment) {
        let now = Moment::from_second(1_700_000_100).unwrap();
        let mut state = State::new(super::super::state::Start {
            now,
            width: 120,
            height: 40,
            ..Default::default()
        });
        let effects = state.go(now, tail_of("orders", Some(3)));
        let words: Vec<String> = ["tail", "orders", "--partition", "3", "--offset=-50"]
            .map(str::to_owned)
            .into();
        assert!(effects.contains(&Effect::Read(words)), "{effects:?}");
        let batch = Batch {
            words: state.records.words.clone(),
            read: records.len() as u64,
            records,
            ..Batch::default()
        };
        state.receive(now, batch);
        (state, now)
    }

    #[test]
    fn a_record_opens_whole_without_another_read_and_back_finds_the_stream() {
        let (mut state, now) = reading(vec![record(7, b"{\"a\":1}"), record(8, b"x")]);
        assert_eq!(state.table.rows.len(), 2);
        state.step(isize::MIN);
        let effects = state.open(now);
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Read(_))),
            "{effects:?}"
        );
        assert!(is_one(state.place()));
        assert_eq!(
            state.place().command().join(" "),
            "record read orders --partition 3 --offset 7 --limit 1 --as json"
        );
        let contents: Vec<&str> = state.table.rows.iter().map(|row| row.fields[1].text.as_str()).collect();
        assert_eq!(contents[3..], ["{", "  \"a\": 1", "}"]);
        state.turn(now, 2);
        assert!(state.table.rows[3].fields[1].text.starts_with("00000000  7b 22 61"));
        let effects = state.travel(now, -1);
        assert!(
            !effects.iter().any(|effect| matches!(effect, Effect::Read(_))),
            "the stream went on"
        );
        assert_eq!(state.table.rows.len(), 2);
        let effects = state.go(now, Place::list(Noun::Topic));
        assert!(
            effects.contains(&Effect::Read(Vec::new())),
            "leaving ends it: {effects:?}"
        );
    }

    #[test]
    fn nothing_in_a_record_reaches_the_screen_raw() {
        let (mut state, now) = reading(vec![record(7, "a\u{1b}[2J\u{202e}b\u{7}".as_bytes())]);
        let safe = |state: &State| {
            let fields = state.table.rows.iter().flat_map(|row| &row.fields);
            fields.clone().count() > 0
                && fields
                    .into_iter()
                    .all(|f| !f.text.contains(|c: char| c.is_control() || c == '\u{202e}'))
        };
        assert!(safe(&state));
        state.open(now);
        for _ in 0..3 {
            assert!(safe(&state));
            state.turn(now, 1);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_went_is_counted() {
        let (mut state, now) = reading((0..3).map(|at| record(at, &vec![b'x'; 3 << 20])).collect());
        assert_eq!(state.table.rows.len(), 2);
        let batch = Batch {
            words: state.records.words.clone(),
            records: (10..KEPT as i64 + 20).map(|at| record(at, b"y")).collect(),
            read: 5000,
            dropped: 4,
            ..Batch::default()
        };
        state.receive(now, batch);
        assert!(state.table.rows.len() <= KEPT && state.records.bytes <= KEPT_BYTES);
        let status: Vec<String> = state
            .records
            .status(state.now)
            .into_iter()
            .map(|field| field.text)
            .collect();
        assert_eq!(status[..2], ["5 000 read", "4 dropped"]);
        assert!(status[2].ends_with("older ones gone"), "{status:?}");
        assert_eq!(
            state.list().selected.as_deref(),
            Some("3:2019"),
            "the cursor follows the newest"
        );
    }

    #[test]
    fn a_late_batch_of_another_stream_is_not_taken() {
        let (mut state, now) = reading(vec![record(7, b"x")]);
        let batch = Batch {
            words: "tail payments".to_owned(),
            records: vec![record(8, b"y")],
            ..Batch::default()
        };
        state.receive(now, batch);
        assert_eq!(state.table.rows.len(), 1);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let field = glance(Some("ü".repeat(2000).as_bytes()));
        assert_eq!(field.text.chars().count(), GLANCE + 1);
        assert!(field.text.ends_with("ü…"));
    }
}
