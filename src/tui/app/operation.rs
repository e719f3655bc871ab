//! Plans before they are applied and operations while they run, as the screens show them.

use crate::model::Moment;

use super::editor::Editor;
use super::field::{Field, Tone};
use super::place::{Noun, Place};
use super::table::{Column, Row, Table};
use super::text;

/// A plan, ready to read and decide on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sheet {
    /// What `Effect::Apply` names.
    pub id: String,
    pub title: String,
    /// What happens, gates, undo: in the order to read.
    pub lines: Vec<Field>,
    /// The command that does the same, with its context.
    pub command: String,
    /// The name that must be typed, on prod or when there is no undo.
    pub confirm: Option<String>,
    /// Why it cannot be applied, for example a hard gate.
    pub blocked: Option<String>,
}

/// An operation as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub id: String,
    /// What it does, for example `reassign`.
    pub verb: String,
    pub title: String,
    /// `running`, `paused`, `done`, `failed`, `aborted`, `orphaned`.
    pub state: String,
    /// Who started it: `anna@bastion-b`.
    pub by: String,
    pub started_at: Option<Moment>,
    /// Of its work, 0..=100.
    pub percent: Option<f64>,
    pub eta_seconds: Option<f64>,
    pub steps: Vec<Step>,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub at: Option<Moment>,
    /// `done`, `doing`, `next`, `failed`.
    pub state: String,
    pub text: String,
}

impl Operation {
    pub fn is_live(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "orphaned")
    }
}

/// A plan on its way to being applied.
#[derive(Debug, Clone)]
pub struct Confirm {
    pub sheet: Sheet,
    /// When the person could first see it; input before 400 ms later is dropped.
    pub shown_at: Option<Moment>,
    /// The name being typed.
    pub typed: Option<Editor>,
    pub wrong: bool,
    pub scroll: usize,
}

impl Confirm {
    pub fn new(sheet: Sheet) -> Self {
        Self {
            sheet,
            shown_at: None,
            typed: None,
            wrong: false,
            scroll: 0,
        }
    }

    /// False while input is still type-ahead.
    pub fn is_armed(&self, now: Moment) -> bool {
        self.shown_at
            .is_some_and(|at| now.duration_since(at).as_millis() >= 400)
    }
}

/// Operations, live ones first.
pub fn list(operations: &[Operation], now: Moment) -> Table {
    let columns = vec![
        Column::new("id", "id", 0).width(4, 14),
        Column::new("state", "state", 0).width(9, 11),
        Column::new("verb", "verb", 1).width(4, 16),
        Column::new("title", "what", 0).width(10, 70),
        Column::new("percent", "done", 1).width(4, 5).right().bar(10),
        Column::new("eta_seconds", "ends in", 2).width(8, 8),
        Column::new("by", "by", 2).width(4, 24),
        Column::new("started", "started", 3).width(12, 12),
    ];
    let mut operations: Vec<&Operation> = operations.iter().collect();
    operations.sort_by_key(|operation| (!operation.is_live(), std::cmp::Reverse(operation.started_at)));
    Table {
        columns,
        rows: operations.into_iter().map(|operation| row(operation, now)).collect(),
        noun: "operation",
        empty: "nothing has been changed from here, and nothing runs".to_owned(),
        ..Table::default()
    }
}

fn row(operation: &Operation, now: Moment) -> Row {
    let ago = |at: Moment| Field::new(format!("{} ago", text::age(now.duration_since(at).as_secs())));
    let percent = operation.percent.map_or_else(Field::none, |percent| Field {
        gauge: Some(percent / 100.0),
        ..Field::new(text::percent(percent)).number(percent)
    });
    Row {
        key: operation.id.clone(),
        badness: u64::from(matches!(operation.state.as_str(), "failed" | "orphaned")),
        fields: vec![
            Field::new(operation.id.clone()),
            state(&operation.state),
            Field::new(operation.verb.clone()),
            Field::new(operation.title.clone()),
            percent,
            match operation.eta_seconds {
                Some(seconds) => Field::new(text::span(seconds)).number(seconds),
                None => Field::none(),
            },
            Field::new(operation.by.clone()),
            operation.started_at.map_or_else(Field::none, ago),
        ],
        opens: Some(Place::open(Noun::Operation, operation.id.clone())),
        ..Row::default()
    }
}

fn state(state: &str) -> Field {
    let (glyph, tone) = match state {
        "running" | "doing" => ("▸", Tone::Accent),
        "done" => ("✓", Tone::Ok),
        "paused" | "aborted" => ("▲", Tone::Warn),
        "failed" | "orphaned" => ("✖", Tone::Error),
        _ => ("·", Tone::Muted),
    };
    Field::new(format!("{glyph} {state}")).tone(tone)
}

/// The steps of one operation.
pub fn open(operations: &[Operation], name: &str) -> Table {
    let columns = vec![
        Column::new("at", "at", 0).width(9, 9),
        Column::new("state", "state", 0).width(9, 9),
        Column::new("step", "step", 0).width(20, 160),
    ];
    let operation = operations.iter().find(|operation| operation.id == name);
    let row = |(at, step): (usize, &Step)| Row {
        key: at.to_string(),
        fields: vec![
            step.at
                .map_or_else(Field::none, |at| Field::muted(at.strftime("%H:%M:%SZ").to_string())),
            state(&step.state),
            Field::new(step.text.clone()),
        ],
        ..Row::default()
    };
    Table {
        columns,
        rows: operation
            .into_iter()
            .flat_map(|operation| operation.steps.iter().enumerate())
            .map(row)
            .collect(),
        noun: "step",
        empty: match operation {
            Some(_) => "no step has begun".to_owned(),
            None => format!("there is no operation {name}"),
        },
        ..Table::default()
    }
}
