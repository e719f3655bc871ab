//! What is told of runbooks and of their runs: the columns of each table, and how a step went.

use crate::cli::output::{Answer, Block, Column, Data, Field, Rank, Sheet, duration, moment};
use crate::operation::Entry;
use crate::runbook::book::{Book, Changes, Parameter, Problem, Step};
use crate::runbook::journal::{Event, Run, State};
use crate::runbook::preset::Found;
pub(super) fn described(book: &Book, origin: &str) -> Answer {
    let about = About {
        book: book.clone(),
        origin: origin.to_owned(),
    };
    let named = |(name, parameter): (&String, &Parameter)| Named {
        name: name.clone(),
        parameter: parameter.clone(),
    };
    let parameters: Vec<Named> = book.parameters.iter().map(named).collect();
    let parameters = Sheet::of(PARAMETERS, &parameters);
    let steps = steps_of(book);
    let sheet = Sheet::of(STEPS, &steps);
    let mut answer = Answer::list(ABOUT, [&about], "runbook", |about| about.book.name.clone());
    answer.blocks[0].upright = true;
    let items = std::mem::take(&mut answer.items).into_iter();
    answer.items = items
        .map(|item| {
            item.with("parameters", Data::List(parameters.items()))
                .with("steps", Data::List(sheet.items()))
        })
        .collect();
    if !book.parameters.is_empty() {
        answer.blocks.push(titled("PARAMETERS", parameters));
    }
    answer.blocks.push(titled("STEPS", sheet));
    answer
}

pub(super) fn titled(title: &str, sheet: Sheet) -> Block {
    Block {
        title: Some(title.to_owned()),
        sheet,
        upright: false,
    }
}

pub(super) fn runs_answer(runs: &[Run]) -> Answer {
    Answer::list(RUNS, runs, "run", |run| run.id.to_string())
}

pub(super) fn run_answer(run: &Run) -> Answer {
    let mut answer = runs_answer(std::slice::from_ref(run));
    answer.blocks[0].upright = true;
    let steps = went(run);
    let sheet = Sheet::of(WENT, &steps);
    let items = std::mem::take(&mut answer.items).into_iter();
    answer.items = items
        .map(|item| item.with("steps", Data::List(sheet.items())))
        .collect();
    answer.blocks.push(titled("STEPS", sheet));
    answer
}

/// Every step of the book, and the items of those that have some.
fn went(run: &Run) -> Vec<Went> {
    let book = Book::read(&run.book, &run.text);
    let names: Vec<String> = match &book {
        Ok(book) => book.all().map(|step| step.name.clone()).collect(),
        // An older azimuth knew more, or less.
        Err(_) => Vec::new(),
    };
    let mut went = Vec::new();
    for name in names {
        let before = format!("{name}#");
        let items = run.steps.iter().filter(|(step, _)| step.starts_with(&before));
        went.extend(items.map(|(step, trace)| Went::of(step, Some(trace))));
        went.push(Went::of(&name, run.steps.get(&name)));
    }
    went
}

/// Every step, with its number; those of rescues last.
fn steps_of(book: &Book) -> Vec<Listed> {
    let main = book.steps.iter().enumerate();
    let main = main.map(|(at, step)| Listed {
        place: format!("{}", at + 1),
        step: step.clone(),
    });
    let rescue = book.rescue.iter().flat_map(|(name, steps)| {
        let steps = steps.iter().enumerate();
        steps.map(move |(at, step)| Listed {
            place: format!("{name} {}", at + 1),
            step: step.clone(),
        })
    });
    main.chain(rescue).collect()
}

struct About {
    book: Book,
    origin: String,
}

struct Named {
    name: String,
    parameter: Parameter,
}

struct Listed {
    place: String,
    step: Step,
}

/// How a step went.
struct Went {
    step: String,
    state: String,
    said: String,
    operation: Option<String>,
    attempts: Option<u32>,
    seconds: Option<f64>,
}

impl Went {
    fn of(step: &str, trace: Option<&crate::runbook::journal::Trace>) -> Self {
        let (state, said) = match trace.map(|trace| &trace.state) {
            None => ("", String::new()),
            Some(State::Begun) => ("begun", String::new()),
            Some(State::Done { said }) => ("done", said.clone()),
            Some(State::Skipped { why }) => ("skipped", why.clone()),
            Some(State::Failed { why, .. }) => ("failed", why.clone()),
            Some(State::Doubted) => ("not known", "begun, and nobody knows whether it was done".to_owned()),
        };
        let seconds = trace.and_then(|trace| {
            let began = trace.began_at?;
            Some(trace.last_at.duration_since(began).as_secs_f64())
        });
        Self {
            step: step.to_owned(),
            state: state.to_owned(),
            said,
            operation: trace.and_then(|trace| trace.operation.clone()),
            attempts: trace.map(|trace| trace.attempts).filter(|attempts| *attempts > 0),
            seconds,
        }
    }
}

fn title_of(found: &Found) -> Option<String> {
    found.book.as_ref().ok().map(|book| book.title.clone())
}

pub(super) const BOOKS: &[Column<Found>] = &[
    Column {
        key: "runbook",
        title: "RUNBOOK",
        rank: Rank::Always,
        field: |found| Field::text(&found.name),
    },
    Column {
        key: "title",
        title: "TITLE",
        rank: Rank::Always,
        field: |found| match title_of(found) {
            Some(title) => Field::text(title),
            None => Field::data(Data::Null, "✖ makes no sense: runbook check says why"),
        },
    },
    Column {
        key: "steps",
        title: "STEPS",
        rank: Rank::Usual,
        field: |found| match &found.book {
            Ok(book) => Field::number(book.steps.len() as u64, book.steps.len()),
            Err(_) => Field::data(Data::Null, ""),
        },
    },
    Column {
        key: "origin",
        title: "FROM",
        rank: Rank::Usual,
        field: |found| Field::text(found.origin.to_string()),
    },
];

const ABOUT: &[Column<About>] = &[
    Column {
        key: "runbook",
        title: "RUNBOOK",
        rank: Rank::Always,
        field: |about| Field::text(&about.book.name),
    },
    Column {
        key: "title",
        title: "TITLE",
        rank: Rank::Always,
        field: |about| Field::text(&about.book.title),
    },
    Column {
        key: "about",
        title: "ABOUT",
        rank: Rank::Always,
        field: |about| Field::text(about.book.about.replace('\n', " ")),
    },
    Column {
        key: "origin",
        title: "FROM",
        rank: Rank::Always,
        field: |about| Field::text(&about.origin),
    },
    Column {
        key: "changes",
        title: "CHANGES",
        rank: Rank::Always,
        field: |about| {
            Field::data(
                about.book.changes(),
                if about.book.changes() { "the cluster" } else { "nothing" },
            )
        },
    },
];

const PARAMETERS: &[Column<Named>] = &[
    Column {
        key: "parameter",
        title: "PARAMETER",
        rank: Rank::Always,
        field: |one| Field::text(&one.name),
    },
    Column {
        key: "type",
        title: "TYPE",
        rank: Rank::Always,
        field: |one| Field::text(one.parameter.kind.to_string()),
    },
    Column {
        key: "default",
        title: "DEFAULT",
        rank: Rank::Always,
        field: |one| match &one.parameter.default {
            None => Field::data(Data::Null, "must be set"),
            Some(value) => match crate::runbook::value::text(value) {
                text if text.is_empty() => Field::data("", "none"),
                text => Field::text(text),
            },
        },
    },
    Column {
        key: "choices",
        title: "CHOICES",
        rank: Rank::Usual,
        field: |one| {
            let choices = &one.parameter.choices;
            Field::data(choices.clone(), choices.join(", "))
        },
    },
    Column {
        key: "about",
        title: "WHAT",
        rank: Rank::Always,
        field: |one| Field::text(&one.parameter.about),
    },
];

const STEPS: &[Column<Listed>] = &[
    Column {
        key: "place",
        title: "#",
        rank: Rank::Always,
        field: |one| Field::text(&one.place),
    },
    Column {
        key: "step",
        title: "STEP",
        rank: Rank::Always,
        field: |one| Field::text(&one.step.name),
    },
    Column {
        key: "does",
        title: "DOES",
        rank: Rank::Always,
        field: |one| Field::text(one.step.does.word()),
    },
    Column {
        key: "what",
        title: "WHAT",
        rank: Rank::Always,
        field: |one| Field::text(one.step.does.written()),
    },
    Column {
        key: "changes",
        title: "CHANGES",
        rank: Rank::Usual,
        field: |one| match one.step.does.changes() {
            Changes::Nothing => Field::data(false, ""),
            Changes::ByOperation => Field::data(true, "by an operation"),
            Changes::Directly(_) => Field::data(true, "directly"),
        },
    },
    Column {
        key: "when",
        title: "WHEN",
        rank: Rank::Usual,
        field: |one| {
            let each = one.step.each.as_ref().map(|list| format!("for each of {list}"));
            let when = one.step.when.as_ref().map(|(written, _)| written.clone());
            let both: Vec<String> = when.into_iter().chain(each).collect();
            Field::text(both.join(", "))
        },
    },
    Column {
        key: "on_failure",
        title: "ON FAILURE",
        rank: Rank::Usual,
        field: |one| {
            let retry = one.step.retry;
            let again = match retry.times {
                1 => String::new(),
                times => format!("{times} times every {}, then ", duration(retry.every.as_secs_f64())),
            };
            Field::text(format!("{again}{}", one.step.on_failure))
        },
    },
    Column {
        key: "about",
        title: "WHY",
        rank: Rank::Wide,
        field: |one| Field::text(&one.step.about),
    },
];

pub(super) const PROBLEMS: &[Column<Problem>] = &[
    Column {
        key: "line",
        title: "LINE",
        rank: Rank::Always,
        field: |problem| Field::number(problem.line, problem.line),
    },
    Column {
        key: "column",
        title: "COLUMN",
        rank: Rank::Always,
        field: |problem| Field::number(problem.column, problem.column),
    },
    Column {
        key: "problem",
        title: "PROBLEM",
        rank: Rank::Always,
        field: |problem| Field::text(&problem.what),
    },
];

const RUNS: &[Column<Run>] = &[
    Column {
        key: "run",
        title: "RUN",
        rank: Rank::Always,
        field: |run| Field::text(run.id.to_string()),
    },
    Column {
        key: "runbook",
        title: "RUNBOOK",
        rank: Rank::Always,
        field: |run| Field::text(&run.book),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |run| Field::text(run.word()),
    },
    Column {
        key: "at",
        title: "AT",
        rank: Rank::Always,
        field: |run| match &run.rests {
            Some((step, ..)) => Field::text(step),
            None => Field::data(Data::Null, ""),
        },
    },
    Column {
        key: "why",
        title: "WHY",
        rank: Rank::Usual,
        field: |run| match &run.rests {
            Some((_, _, why)) => Field::text(why),
            None => Field::data(Data::Null, ""),
        },
    },
    Column {
        key: "begun_at",
        title: "BEGUN",
        rank: Rank::Usual,
        field: |run| Field::data(run.begun_at.to_string(), moment(run.begun_at)),
    },
    Column {
        key: "begun_by",
        title: "BY",
        rank: Rank::Usual,
        field: |run| Field::text(run.begun_by.to_string()),
    },
    Column {
        key: "reason",
        title: "REASON",
        rank: Rank::Wide,
        field: |run| Field::data(run.reason.clone(), run.reason.clone().unwrap_or_default()),
    },
];

const WENT: &[Column<Went>] = &[
    Column {
        key: "step",
        title: "STEP",
        rank: Rank::Always,
        field: |one| Field::text(&one.step),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |one| match one.state.is_empty() {
            true => Field::data(Data::Null, "–"),
            false => Field::text(&one.state),
        },
    },
    Column {
        key: "took_seconds",
        title: "TOOK",
        rank: Rank::Usual,
        field: |one| match one.seconds {
            Some(seconds) => Field::number(seconds, duration(seconds)),
            None => Field::data(Data::Null, ""),
        },
    },
    Column {
        key: "attempts",
        title: "TRIES",
        rank: Rank::Usual,
        field: |one| match one.attempts {
            Some(attempts) => Field::number(attempts, attempts),
            None => Field::data(Data::Null, ""),
        },
    },
    Column {
        key: "operation",
        title: "OPERATION",
        rank: Rank::Usual,
        field: |one| Field::data(one.operation.clone(), one.operation.clone().unwrap_or_default()),
    },
    Column {
        key: "said",
        title: "WHAT CAME OF IT",
        rank: Rank::Always,
        field: |one| Field::text(&one.said),
    },
];

pub(super) const LOG: &[Column<Entry<Event>>] = &[
    Column {
        key: "at",
        title: "AT",
        rank: Rank::Always,
        field: |entry| Field::data(entry.at.to_string(), moment(entry.at)),
    },
    Column {
        key: "event",
        title: "EVENT",
        rank: Rank::Always,
        field: |entry| Field::text(entry.event.to_string()),
    },
];
