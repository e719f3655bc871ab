//! Plans before they are applied and operations while they run, as the screens show them.

use crate::check::{Act, Reach};
use crate::model::Moment;
use crate::model::throttle::{Claim, Setting};

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
    /// The soft gates that keep it from being applied: nothing else does.
    pub against: Vec<String>,
    /// The context asks why, and nobody has said.
    pub wants_reason: bool,
    /// The flags that say when it may go on; `None` of what is done at once.
    pub when: Option<String>,
}

impl Sheet {
    /// A reason is all that it lacks.
    pub fn asks_why(&self) -> bool {
        self.wants_reason || !self.against.is_empty()
    }
}

/// An operation as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub id: String,
    /// What it does, for example `reassign`.
    pub verb: String,
    pub title: String,
    /// `running`, `waiting`, `paused`, `aborting`, `finished`, `failed`, `aborted`; `orphaned` has no engine and is not over.
    pub state: String,
    /// Who started it: `anna@bastion-b`.
    pub by: String,
    pub started_at: Option<Moment>,
    /// Of its work, 0..=100.
    pub percent: Option<f64>,
    pub eta_seconds: Option<f64>,
    /// What it touches, for triage.
    pub reach: Reach,
    /// How it ended, or how it can be taken up.
    pub note: Option<String>,
    /// Throttles that it has set and nobody has taken away.
    pub held: Vec<Setting>,
    pub steps: Vec<Step>,
    /// Its journal in words, the latest first.
    pub log: Vec<(Moment, String)>,
}

/// Somebody else who works on the cluster, as they say themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `carl@bastion-c`
    pub who: String,
    pub host: String,
    /// Of an engine.
    pub operation: Option<String>,
    /// What the operation does, or what is on the screens.
    pub does: String,
    pub since: Moment,
}

/// Those whose operations are not among ours: engines of other hosts, and everybody's screens.
pub fn elsewhere<'a>(operators: &'a [Operator], operations: &'a [Operation]) -> impl Iterator<Item = &'a Operator> {
    let known = |one: &Operator| operations.iter().any(|own| Some(&own.id) == one.operation.as_ref());
    operators.iter().filter(move |one| !known(one))
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub at: Option<Moment>,
    /// `done`, `doing`, `half done`, `next`.
    pub state: String,
    pub text: String,
}

impl Operation {
    /// Not over: somebody carries it out, or must take it up.
    pub fn is_live(&self) -> bool {
        self.is_running() || self.state == "orphaned"
    }

    /// Of a rolling restart: how many brokers are back, of how many.
    pub fn turns(&self) -> Option<(usize, usize)> {
        let back = self.steps.iter().filter(|step| step.state == "done").count();
        (self.verb == "restart").then_some((back, self.steps.len()))
    }

    /// An engine carries it out.
    pub fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "running" | "waiting" | "paused" | "aborting")
    }
}

/// Which operation holds which throttle.
pub fn claims(operations: &[Operation]) -> Vec<Claim> {
    let of = |operation: &Operation| {
        let (id, live) = (operation.id.clone(), operation.is_live());
        let held = operation.held.clone().into_iter();
        held.map(move |setting| Claim {
            operation: id.clone(),
            live,
            setting,
        })
    };
    operations.iter().flat_map(of).collect()
}

/// What a person types on a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The context's name.
    Name,
    /// Why.
    Reason,
    /// When it may go on, as flags.
    When,
}

/// A plan on its way to being applied.
#[derive(Debug, Clone)]
pub struct Confirm {
    pub sheet: Sheet,
    /// When the person could first see it; input before 400 ms later is dropped.
    pub shown_at: Option<Moment>,
    /// What is being typed, and what for.
    pub typed: Option<(Answer, Editor)>,
    pub wrong: bool,
    /// The command line that made it.
    pub words: Vec<String>,
    pub scroll: usize,
}

impl Confirm {
    pub fn new(sheet: Sheet, words: Vec<String>) -> Self {
        Self {
            sheet,
            words,
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

/// Operations, live ones first, and after those what others carry out; whose screens are open comes last, where the cursor
/// does not begin.
pub fn list(operations: &[Operation], operators: &[Operator], now: Moment) -> Table {
    let (engines, screens): (Vec<_>, Vec<_>) =
        elsewhere(operators, operations).partition(|one| one.operation.is_some());
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
    let live = operations.iter().take_while(|operation| operation.is_live()).count();
    let own = |some: &[&Operation]| some.iter().map(|operation| row(operation, now)).collect::<Vec<_>>();
    let told = |some: &[&Operator]| some.iter().map(|one| operator(one, now)).collect::<Vec<_>>();
    let rows = [
        own(&operations[..live]),
        told(&engines),
        own(&operations[live..]),
        told(&screens),
    ]
    .concat();
    Table {
        columns,
        rows,
        noun: "operation",
        empty: "nothing has been changed from here, and nothing runs".to_owned(),
        ..Table::default()
    }
}

/// What somebody is at who has no journal here.
fn operator(one: &Operator, now: Moment) -> Row {
    let (id, word, note) = match &one.operation {
        Some(id) => (
            id.clone(),
            "▸ elsewhere",
            format!(
                "it is carried out on {}: only there it can be attached to, paused or aborted",
                one.host
            ),
        ),
        None => (
            "–".to_owned(),
            "· present",
            "their plans and yours do not wait for each other; talk before both change something".to_owned(),
        ),
    };
    Row {
        key: format!("{id} {} {}", one.who, one.since),
        fields: vec![
            Field::new(id),
            Field::new(word).tone(Tone::Accent),
            Field::none(),
            Field::new(one.does.clone()),
            Field::none(),
            Field::none(),
            Field::new(one.who.clone()),
            ago(one.since, now),
        ],
        notes: vec![note],
        ..Row::default()
    }
}

fn ago(at: Moment, now: Moment) -> Field {
    Field::new(format!("{} ago", text::age(now.duration_since(at).as_secs())))
}

fn row(operation: &Operation, now: Moment) -> Row {
    let percent = operation.percent.map_or_else(Field::none, |percent| {
        Field::new(text::percent(percent))
            .number(percent)
            .with_bar(Some(percent / 100.0))
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
            operation.started_at.map_or_else(Field::none, |at| ago(at, now)),
        ],
        notes: operation.note.iter().cloned().collect(),
        opens: Some(Place::open(Noun::Operation, operation.id.clone())),
        ..Row::default()
    }
}

fn state(state: &str) -> Field {
    let (glyph, tone) = match state {
        "running" | "doing" => ("▸", Tone::Accent),
        "done" | "finished" => ("✓", Tone::Ok),
        "waiting" | "paused" | "aborted" | "aborting" => ("▲", Tone::Warn),
        "failed" | "orphaned" | "half done" => ("✖", Tone::Error),
        _ => ("·", Tone::Muted),
    };
    Field::new(format!("{glyph} {state}")).tone(tone)
}

/// One operation at one of its pages: its steps, or its log.
pub fn open(operations: &[Operation], name: &str, tab: usize) -> Table {
    let operation = operations.iter().find(|operation| operation.id == name);
    let (columns, rows, noun) = match tab {
        0 => (step_columns(), operation.map_or_else(Vec::new, steps), "step"),
        _ => (log_columns(), operation.map_or_else(Vec::new, log), "event"),
    };
    Table {
        columns,
        rows,
        noun,
        empty: match operation {
            Some(_) => "nothing has happened yet".to_owned(),
            None => format!("there is no operation {name}"),
        },
        ..Table::default()
    }
}

fn step_columns() -> Vec<Column> {
    vec![
        Column::new("at", "at", 0).width(9, 9),
        Column::new("state", "state", 0).width(9, 11),
        Column::new("step", "step", 0).width(20, 160),
    ]
}

fn log_columns() -> Vec<Column> {
    vec![
        Column::new("at", "at", 0).width(9, 9),
        Column::new("event", "event", 0).width(20, 160),
    ]
}

fn clock(at: Moment) -> Field {
    Field::muted(at.strftime("%H:%M:%SZ").to_string())
}

fn steps(operation: &Operation) -> Vec<Row> {
    let row = |(at, step): (usize, &Step)| Row {
        key: (at + 1).to_string(),
        fields: vec![
            step.at.map_or_else(Field::none, clock),
            state(&step.state),
            Field::new(step.text.clone()),
        ],
        notes: operation.note.iter().cloned().collect(),
        ..Row::default()
    };
    operation.steps.iter().enumerate().map(row).collect()
}

fn log(operation: &Operation) -> Vec<Row> {
    let row = |(at, (moment, text)): (usize, &(Moment, String))| Row {
        // Counted from the first, so that an entry keeps its key when another follows.
        key: (operation.log.len() - at).to_string(),
        fields: vec![clock(*moment), Field::new(text.clone())],
        ..Row::default()
    };
    operation.log.iter().enumerate().map(row).collect()
}

/// Operations as triage looks at them.
pub fn acts(operations: &[Operation]) -> Vec<Act> {
    let act = |operation: &Operation| {
        Some(Act {
            id: operation.id.clone(),
            title: operation.title.clone(),
            state: operation.state.clone(),
            by: operation.by.clone(),
            at: operation.started_at?,
            progresses: operation.state == "running",
            reach: operation.reach.clone(),
        })
    };
    operations.iter().filter_map(act).collect()
}
