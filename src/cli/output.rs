//! Answers and their forms. A noun describes its columns once; table, JSON, YAML, CSV and names all follow from that.

mod csv;
mod data;
mod human;
mod json;
mod table;

pub use data::Data;
pub use human::{bytes, count, duration, mb_per_second, moment, percent, plain};

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::exit::{Exit, say};
use crate::command::{Line, Output};
use crate::model::row::Cell;
use crate::model::{Moment, foreign};

/// What a command has found out.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub context: Option<String>,
    pub cluster_id: Option<String>,
    pub taken_at: Option<Moment>,
    /// False when something that the command wanted to see was not seen.
    pub complete: bool,
    pub problems: Vec<Problem>,
    pub items: Vec<Data>,
    /// Rows of another noun that belong to the answer, by the name of their list in JSON and YAML: the zones of brokers.
    pub beside: BTreeMap<&'static str, Vec<Data>>,
    /// What identifies each item, for `-o name`.
    pub names: Vec<String>,
    /// For people.
    pub blocks: Vec<Block>,
    /// Set by commands that answer yes or no.
    pub is_no: bool,
}

/// Why something is missing or old.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// What it is about, for example `broker 4`; sorted.
    pub subjects: Vec<String>,
    /// The fields that are null for it.
    pub fields: Vec<String>,
    pub reason: String,
}

/// A part of an answer for people.
#[derive(Debug, Clone, Default)]
pub struct Block {
    pub title: Option<String>,
    pub sheet: Sheet,
    /// One line for each column rather than one for each row.
    pub upright: bool,
}

/// When a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// However narrow the terminal.
    Always,
    /// Where there is room.
    Usual,
    /// `-o wide`.
    Wide,
}

/// One property of a noun.
pub struct Column<T> {
    /// Its name in JSON, with the unit.
    pub key: &'static str,
    /// Its head in the table.
    pub title: &'static str,
    pub rank: Rank,
    pub field: fn(&T) -> Field,
}

/// A property's value in all its forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub data: Data,
    pub text: String,
    pub right: bool,
    /// Why it is null or old.
    pub reason: Option<String>,
}

/// Rows of fields under their heads.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    pub heads: Vec<Head>,
    pub rows: Vec<Vec<Field>>,
}

/// A column without its noun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub key: &'static str,
    pub title: &'static str,
    pub rank: Rank,
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}

// Not derived: a column can be copied whatever its noun is.
impl<T> Copy for Column<T> {}

impl Sheet {
    pub fn of<T>(columns: &[Column<T>], rows: impl IntoIterator<Item = impl Borrow<T>>) -> Self {
        let heads = columns.iter().map(|column| Head {
            key: column.key,
            title: column.title,
            rank: column.rank,
        });
        let fields = |row: &T| columns.iter().map(|column| (column.field)(row)).collect();
        Self {
            heads: heads.collect(),
            rows: rows.into_iter().map(|row| fields(row.borrow())).collect(),
        }
    }

    /// The rows as data.
    pub fn items(&self) -> Vec<Data> {
        let item = |row: &Vec<Field>| {
            let pairs = self.heads.iter().zip(row);
            Data::Map(pairs.map(|(head, field)| (head.key, field.data.clone())).collect())
        };
        self.rows.iter().map(item).collect()
    }

    /// Why fields are null, those with one reason together. `subjects` names each row.
    pub fn problems(&self, subjects: &[String]) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        let mut by_reason: HashMap<&str, usize> = HashMap::new();
        for (row, subject) in self.rows.iter().zip(subjects) {
            for (head, field) in self.heads.iter().zip(row) {
                let Some(reason) = field.reason.as_ref().filter(|_| field.data == Data::Null) else {
                    continue;
                };
                let at = *by_reason.entry(reason).or_insert_with(|| {
                    problems.push(Problem {
                        subjects: Vec::new(),
                        fields: Vec::new(),
                        reason: reason.clone(),
                    });
                    problems.len() - 1
                });
                let problem = &mut problems[at];
                if problem.subjects.last() != Some(subject) {
                    problem.subjects.push(subject.clone());
                }
                if !problem.fields.iter().any(|field| field == head.key) {
                    problem.fields.push(head.key.to_owned());
                }
            }
        }
        problems
    }
}

impl Field {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            data: Data::Text(text.clone()),
            text,
            right: false,
            reason: None,
        }
    }

    /// A number, or anything that is read from the right.
    pub fn number(data: impl Into<Data>, text: impl ToString) -> Self {
        Self {
            data: data.into(),
            text: text.to_string(),
            right: true,
            reason: None,
        }
    }

    /// Data with a text of its own.
    pub fn data(data: impl Into<Data>, text: impl ToString) -> Self {
        Self {
            right: false,
            ..Self::number(data, text)
        }
    }

    /// Text that may be absent without being unknown.
    pub fn maybe(text: Option<&String>) -> Self {
        Self::data(text.cloned(), text.map_or("-", String::as_str))
    }

    /// A mark where it is true.
    pub fn mark(set: bool, mark: &str) -> Self {
        Self::data(set, if set { mark } else { "" })
    }

    /// A list, with spaces between for people.
    pub fn list<T: Clone + ToString + Into<Data>>(list: &[T]) -> Self {
        let texts: Vec<String> = list.iter().map(T::to_string).collect();
        let text = if texts.is_empty() {
            "-".to_owned()
        } else {
            texts.join(",")
        };
        Self::data(Data::List(list.iter().cloned().map(Into::into).collect()), text)
    }

    /// A cell of a row: `?` where it is unknown, and a trailing `~` where it is old.
    pub fn cell<T: Clone + Into<Data>>(cell: &Cell<T>, show: impl FnOnce(&T) -> String) -> Self {
        let text = match &cell.value {
            Some(value) if cell.is_stale() => format!("{}~", show(value)),
            Some(value) => show(value),
            None => "?".to_owned(),
        };
        Self {
            data: cell.value.clone().into(),
            text,
            right: true,
            reason: cell.reason.clone(),
        }
    }

    /// The same, read from the left.
    pub fn left(self) -> Self {
        Self { right: false, ..self }
    }
}

impl Answer {
    /// A list: one sheet, its rows the items. `subject` is the noun before a name in problems.
    pub fn list<T>(
        columns: &[Column<T>],
        rows: impl IntoIterator<Item = impl Borrow<T>>,
        subject: &str,
        name: impl Fn(&T) -> String,
    ) -> Self {
        let rows: Vec<_> = rows.into_iter().collect();
        let names: Vec<String> = rows.iter().map(|row| name(row.borrow())).collect();
        let subjects: Vec<String> = names.iter().map(|name| format!("{subject} {name}")).collect();
        let sheet = Sheet::of(columns, rows);
        Self {
            complete: true,
            problems: sheet.problems(&subjects),
            items: sheet.items(),
            names,
            blocks: vec![Block {
                sheet,
                ..Block::default()
            }],
            ..Self::default()
        }
    }

    /// 1 outranks 3: a "no" that was seen stands whatever was not seen.
    pub fn exit(&self) -> Exit {
        match (self.is_no, self.complete) {
            (true, _) => Exit::No,
            (false, false) => Exit::Partial,
            (false, true) => Exit::Done,
        }
    }
}

/// Prints an answer in the form asked for; problems go to stderr where the form has no place for them.
pub fn print(out: &mut dyn Write, line: &Line, kind: &str, answer: &Answer) -> std::io::Result<()> {
    match line.global.output {
        Output::Json => return json::print(out, kind, answer),
        Output::Yaml => return json::print_yaml(out, kind, answer),
        Output::Csv => csv::print(out, &answer.items)?,
        Output::Name => {
            for name in &answer.names {
                writeln!(out, "{}", foreign::plain(name))?;
            }
        }
        Output::Table => table::print(out, answer, Rank::Usual, width())?,
        // Those two have pages of their own, made by the commands that have them.
        Output::Wide | Output::Prom | Output::Nagios | Output::Md | Output::Plan => {
            table::print(out, answer, Rank::Wide, None)?
        }
    }
    out.flush()?;
    tell(answer, line.global.output);
    Ok(())
}

/// Problems for people: at most ten lines of them, of what is shown, and no reason twice.
fn tell(answer: &Answer, output: Output) {
    const MOST: usize = 10;
    let rank = if output == Output::Table {
        Rank::Usual
    } else {
        Rank::Wide
    };
    let shows = |block: &Block, field: &String| {
        let mut heads = block.sheet.heads.iter();
        heads.any(|head| head.key == field && (block.upright || head.rank <= rank))
    };
    let whole: Vec<&str> = answer
        .problems
        .iter()
        .filter(|one| one.fields.is_empty())
        .map(|one| one.reason.as_str())
        .collect();
    let told = |problem: &&Problem| {
        let shown = problem
            .fields
            .iter()
            .any(|field| answer.blocks.iter().any(|block| shows(block, field)));
        problem.fields.is_empty() || (shown && output != Output::Name && !whole.contains(&problem.reason.as_str()))
    };
    let problems: Vec<&Problem> = answer.problems.iter().filter(told).collect();
    for problem in problems.iter().take(MOST) {
        say(&format!("azimuth: {}", problem.sentence()));
    }
    if let Some(more) = problems.len().checked_sub(MOST).filter(|more| *more > 0) {
        say(&format!("azimuth: {more} more problems; -o json lists all"));
    }
    if !answer.complete {
        say("azimuth: this is only part of the answer");
    }
}

impl Problem {
    fn sentence(&self) -> String {
        let subjects = match self.subjects.as_slice() {
            [first, _, .., last] => format!("{first} … {last} ({})", self.subjects.len()),
            few => few.join(", "),
        };
        match (subjects.is_empty(), self.fields.is_empty()) {
            (true, _) => self.reason.clone(),
            (false, true) => format!("{subjects}: {}", self.reason),
            (false, false) => format!("{subjects}: {} unknown: {}", self.fields.join(", "), self.reason),
        }
    }
}

/// Anything as a YAML document; texts that YAML would read as something else are quoted.
///
/// # Errors
/// A sentence, when it cannot be written.
pub fn yaml(value: &impl Serialize) -> Result<String, String> {
    // Long texts stay on their line, as every other form prints them.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(value, options).map_err(|error| error.to_string())?;
    Ok(foreign::yaml(&text).into_owned())
}

/// Columns of the terminal on stdout; `None` where it is none, so that a pipe gets everything.
pub fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    if super::out::is_kept() || !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    struct Row {
        id: i32,
        size: Cell<u64>,
    }

    const COLUMNS: &[Column<Row>] = &[
        Column {
            key: "id",
            title: "ID",
            rank: Rank::Always,
            field: |row| Field::number(row.id, row.id),
        },
        Column {
            key: "size_bytes",
            title: "SIZE",
            rank: Rank::Usual,
            field: |row| Field::cell(&row.size, |size| bytes(*size)),
        },
    ];

    #[test]
    fn one_reason_is_told_once_for_all_it_hides() {
        let rows = [1, 2, 3].map(|id| Row {
            id,
            size: if id == 2 {
                Cell::known(7)
            } else {
                Cell::unknown("broker is down")
            },
        });
        let answer = Answer::list(COLUMNS, &rows, "broker", |row| row.id.to_string());
        assert_eq!(
            answer.problems,
            [Problem {
                subjects: vec!["broker 1".to_owned(), "broker 3".to_owned()],
                fields: vec!["size_bytes".to_owned()],
                reason: "broker is down".to_owned(),
            }]
        );
        assert_eq!(answer.names, ["1", "2", "3"]);
        assert_eq!(answer.exit(), Exit::Done);
    }

    #[test]
    fn yaml_reads_back_as_what_was_written() {
        let texts = vec![
            "",
            "yes",
            "no",
            "on",
            "null",
            "~",
            "1e3",
            "0x10",
            "012",
            "1_000",
            "12:30:45",
            "2026-11-26",
            ".5",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "%",
            "@a",
            "`a",
            "*a",
            "&a",
            "!a",
            "it's",
            "\"",
            "a\nb\n",
            " a ",
            "\t",
            "ü",
            "\u{1b}[31m",
            "?",
            "{a}",
            "[a]",
            "---",
            "...",
            "a long sentence that goes on and on, well beyond the eightieth column, and must stay on its line",
        ];
        let values = serde_json::json!({
            "texts": texts,
            "numbers": [0, -1, 1.5, 1_764_180_000_000_u64],
            "nothing": null,
            "truth": [true, false],
            "empty": [[], {}],
            "nested": [{"id": 1, "racks": ["a", "b"]}, {"id": 2, "racks": []}],
        });
        let written = yaml(&values).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&written).unwrap();
        assert_eq!(read, values, "{written}");
        assert!(
            matches!(foreign::yaml(&written), Cow::Borrowed(_)),
            "nothing of it acts"
        );
        // Older readers take these for truths.
        for text in ["yes", "no", "on"] {
            assert!(!written.contains(&format!("- {text}\n")), "{written}");
        }
    }

    #[test]
    fn yaml_acts_on_no_terminal_and_reads_back_whole() {
        let marks = ["\u{202e}", "\u{ad}", "\u{e0041}", "\u{200d}\u{9b}31m", "\u{feff}"];
        let around = [
            "", "a", "a\"b", "a\\", "\\\"", "a: b", "- ", "a #", "it's", ":", "\"", "? ", " ", "{", "\u{1b}",
        ];
        let texts: Vec<String> = marks
            .iter()
            .flat_map(|mark| {
                around
                    .iter()
                    .flat_map(move |text| [format!("{text}{mark}"), format!("{mark}{text}{mark}x")])
            })
            .collect();
        let keyed: BTreeMap<&String, &String> = texts.iter().map(|text| (text, text)).collect();
        let values = serde_json::json!({
            "texts": texts,
            "keyed": keyed,
            "nested": [[{"a\u{202e}": ["b\u{202e}", [texts[0]]]}], {"id": 1, "x": {"y\u{2066}": {}}}],
        });
        let written = yaml(&values).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&written).unwrap();
        assert_eq!(read, values, "{written}");
        for line in written.lines() {
            assert!(matches!(foreign::plain(line), Cow::Borrowed(_)), "{line:?}");
        }
    }

    #[test]
    fn a_no_outranks_what_was_not_seen() {
        let mut answer = Answer::default();
        assert_eq!(answer.exit(), Exit::Partial);
        answer.is_no = true;
        assert_eq!(answer.exit(), Exit::No);
    }
}
