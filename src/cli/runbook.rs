//! `azimuth runbook …`

mod hands;
mod rehearsal;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::FutureExt;

use super::change::ground;
use super::exit::{Exit, Failure, say};
use super::output::{Answer, Block, Column, Data, Field, Problem as Missing, Rank, Sheet, duration, moment};
use super::{consent, facts, out, print, printed};
use crate::command::Line;
use crate::command::runbook::{Pair, Verb, With};
use crate::model::Moment;
use crate::operation::{Entry, Error, Folder, Ground, Id, Who, crash};
use crate::runbook::book::{Book, Changes, Does, Parameter, Problem, Step};
use crate::runbook::journal::{Event, Journal, Run, State};
use crate::runbook::preset::{self, Found};
use crate::runbook::run::Runner;
use hands::Console;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage(
            "a runbook is not carried out on a capture; leave out --from",
        ));
    }
    match verb {
        Verb::List { runs: false } => tell(line, &list()?),
        Verb::List { runs: true } => {
            let place = Place::of(line).await?;
            place.tell(list_runs(&place.folder)?)
        }
        Verb::Show { run: Some(id), .. } => {
            let place = Place::of(line).await?;
            let id = place.find(id)?;
            place.tell(show_run(&place.folder, &id)?)
        }
        Verb::Show { name, source, .. } => show(line, name.as_deref().unwrap_or_default(), *source),
        Verb::Check { file } => check(line, file),
        Verb::Run { name, set, with } => begin(line, name, set, with).boxed_local().await,
        Verb::Resume { id, again, done, with } => {
            let place = Place::of(line).await?;
            let id = place.find(id)?;
            place
                .resume(&id, again.as_deref(), done.as_deref(), with)
                .boxed_local()
                .await
        }
    }
}

fn tell(line: &Line, answer: &Answer) -> Result<Exit, Failure> {
    match &line.command {
        Some(command) => print(line, command, answer),
        None => Ok(answer.exit()),
    }
}

fn found(name: &str) -> Result<Found, Failure> {
    preset::find(name, &facts::paths()?).map_err(|error| match &error {
        preset::Error::Unknown { .. } => Failure::new(Exit::No, error),
        preset::Error::File { .. } => Failure::usage(error),
    })
}

/// One that makes sense; otherwise everything that is wrong, as an editor reads it.
fn sound(found: Found) -> Result<Book, Failure> {
    let name = match &found.origin {
        preset::Origin::Shipped => found.name,
        preset::Origin::File(path) => path.display().to_string(),
    };
    found.book.map_err(|problems| Failure::usage(listed(&name, &problems)))
}

fn listed(name: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("{name}:{problem}")).collect();
    format!("{name} is no runbook:\n{}", lines.join("\n"))
}

fn list() -> Result<Answer, Failure> {
    let paths = facts::paths()?;
    let all = preset::all(&paths);
    let mut answer = Answer::list(BOOKS, &all, "runbook", |found| found.name.clone());
    let broken = all.iter().filter_map(|found| Some((found, found.book.as_ref().err()?)));
    answer.problems.extend(broken.map(|(found, problems)| {
        Missing {
            subjects: vec![format!("runbook {}", found.name)],
            fields: Vec::new(),
            reason: listed(&found.origin.to_string(), problems)
                .lines()
                .nth(1)
                .unwrap_or_default()
                .to_owned(),
        }
    }));
    Ok(answer)
}

fn show(line: &Line, name: &str, source: bool) -> Result<Exit, Failure> {
    let found = found(name)?;
    let origin = found.origin.to_string();
    let book = sound(found)?;
    if source {
        let mut out = out::stdout();
        return printed(out.write_all(book.text.as_bytes()).and_then(|()| out.flush()));
    }
    tell(line, &described(&book, &origin))
}

fn described(book: &Book, origin: &str) -> Answer {
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

fn titled(title: &str, sheet: Sheet) -> Block {
    Block {
        title: Some(title.to_owned()),
        sheet,
        upright: false,
    }
}

/// 1 where it makes no sense: that is the answer.
fn check(line: &Line, file: &Path) -> Result<Exit, Failure> {
    let found = found(&as_file(file))?;
    let origin = found.origin.to_string();
    match found.book {
        Ok(book) => tell(line, &described(&book, &origin)),
        Err(problems) => {
            let mut answer = Answer::list(PROBLEMS, &problems, "problem", |problem| format!("{origin}:{problem}"));
            answer.is_no = true;
            let exit = tell(line, &answer)?;
            say(&format!("azimuth: {}", listed(&origin, &problems)));
            Ok(exit)
        }
    }
}

/// What was named as a file is one, whatever it ends in.
fn as_file(path: &Path) -> String {
    match path.components().count() {
        1 => format!("./{}", path.display()),
        _ => path.display().to_string(),
    }
}

fn list_runs(folder: &Folder) -> Result<Answer, Failure> {
    let mut runs = Vec::new();
    let mut problems = Vec::new();
    for id in folder.ids()? {
        match Run::read(folder, &id) {
            Ok(run) => runs.push(run),
            Err(error) => problems.push(Missing {
                subjects: vec![format!("run {id}")],
                fields: Vec::new(),
                reason: error.to_string(),
            }),
        }
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.begun_at));
    let mut answer = runs_answer(&runs);
    answer.complete = problems.is_empty();
    answer.problems.extend(problems);
    Ok(answer)
}

fn runs_answer(runs: &[Run]) -> Answer {
    Answer::list(RUNS, runs, "run", |run| run.id.to_string())
}

/// One run: how far it is, its steps, its journal.
fn show_run(folder: &Folder, id: &Id) -> Result<Answer, Failure> {
    let run = Run::read(folder, id)?;
    let mut answer = run_answer(&run);
    let entries: Vec<Entry<Event>> = Journal::read(&folder.journal(id))?;
    let chain = Journal::chain(&folder.journal(id))?;
    let log = Sheet::of(LOG, &entries);
    let items = std::mem::take(&mut answer.items).into_iter();
    answer.items = items
        .map(|item| {
            item.with("journal", Data::List(log.items()))
                .with("chain", Data::from(Some(chain.to_string())))
        })
        .collect();
    answer.blocks.push(titled("LOG", log));
    Ok(answer)
}

fn run_answer(run: &Run) -> Answer {
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

/// The runs on one cluster.
struct Place<'a> {
    line: &'a Line,
    ground: Ground,
    cluster_id: String,
    folder: Folder,
}

impl<'a> Place<'a> {
    async fn of(line: &'a Line) -> Result<Self, Failure> {
        let ground = ground(&line.global)?;
        let cluster_id = ground.cluster_id(facts::patience(&line.global)).boxed().await?;
        let folder = ground.runs(&cluster_id)?;
        Ok(Self {
            line,
            ground,
            cluster_id,
            folder,
        })
    }

    fn find(&self, prefix: &str) -> Result<Id, Failure> {
        self.folder.find(prefix).map_err(|error| match error {
            Error::Unknown(id) => Failure::new(
                Exit::No,
                format!("there is no run {id} on this cluster; azimuth runbook list --runs shows them"),
            ),
            Error::NotAnId(id) => Failure::usage(format!(
                "{id:?} is not the name of a run; azimuth runbook list --runs shows them"
            )),
            error => error.into(),
        })
    }

    fn tell(&self, mut answer: Answer) -> Result<Exit, Failure> {
        answer.context = Some(self.ground.context.name.clone());
        answer.cluster_id = Some(self.cluster_id.clone());
        answer.taken_at = Some(Moment::now());
        tell(self.line, &answer)
    }

    /// The hands that act here, once the person has agreed to it.
    fn console(&self, book: &Book, with: &With) -> Result<Console, Failure> {
        let answers: BTreeMap<String, String> = pairs(&with.answers);
        if let Some(name) = answers.keys().find(|name| !asks(book, name)) {
            let asked: Vec<&str> = book
                .all()
                .filter(|step| is_prompt(step))
                .map(|step| step.name.as_str())
                .collect();
            return Err(Failure::usage(format!(
                "--answer {name}: no step of {} asks that; {}",
                book.name,
                match asked.is_empty() {
                    true => "it asks nothing".to_owned(),
                    false => format!("it asks {}", asked.join(", ")),
                }
            )));
        }
        let mut global = self.line.global.clone();
        if book.changes() {
            let rule = self.ground.rule(&self.cluster_id)?;
            let changing = book
                .all()
                .filter(|step| step.does.changes() != Changes::Nothing)
                .count();
            let what = format!(
                "carry out runbook {}: {}\n  {} steps, {changing} of them change something",
                book.name,
                book.title,
                book.steps.len()
            );
            if consent::ask(&global, &rule, &what, false)? == consent::Permit::Go && global.confirm.is_none() {
                // Said once, it holds for every step.
                match rule.class {
                    crate::settings::Class::Prod => global.confirm = Some(rule.name),
                    _ => global.yes = true,
                }
            }
        }
        Ok(Console::new(global, answers, with.also_confirm.clone()))
    }

    async fn resume(&self, id: &Id, again: Option<&str>, done: Option<&str>, with: &With) -> Result<Exit, Failure> {
        let run = Run::read(&self.folder, id)?;
        if run.is_over() {
            return Err(Failure::refused(format!(
                "run {id} is {}; there is nothing to resume",
                run.word()
            )));
        }
        let book = Book::read(&run.book, &run.text)
            .map_err(|problems| Failure::usage(listed(&format!("the runbook of run {id}"), &problems)))?;
        let way = way(&run, &book, again, done)?;
        if self.line.global.dry_run {
            let at = run.rests.as_ref().map_or("its next step", |(step, ..)| step.as_str());
            say(&format!("would resume run {id} ({}) at {at}", book.title));
            return Ok(Exit::Done);
        }
        let console = self.console(&book, with)?;
        let mut journal = Journal::take_up(&self.folder.journal(id), id)?;
        for event in way {
            journal.append(event, Moment::now())?;
        }
        let run =
            Run::of(id, journal.entries()).ok_or_else(|| Failure::partial(format!("run {id} has no beginning")))?;
        self.carry_out(&book, run, journal, &console).await
    }

    async fn carry_out(&self, book: &Book, run: Run, journal: Journal, console: &Console) -> Result<Exit, Failure> {
        crash::arm_run();
        let id = run.id.clone();
        let runner = Runner {
            book,
            run,
            journal,
            folder: self.folder.of(&id),
            hands: console,
        };
        let (run, exit) = runner.carry_out().boxed_local().await?;
        self.tell(run_answer(&run))?;
        match &run.rests {
            Some((step, _, why)) => say(&format!(
                "azimuth: run {id} stopped at {step}: {why}\nazimuth runbook resume {id} goes on there"
            )),
            None => say(&format!("azimuth: run {id} {}", run.word())),
        }
        Ok(hands::exit_of(exit))
    }
}

/// What the journal is told before the run goes on.
fn way(run: &Run, book: &Book, again: Option<&str>, done: Option<&str>) -> Result<Vec<Event>, Failure> {
    let by = Who::me();
    let state = |step: &str| run.steps.get(step).map(|trace| &trace.state);
    let doubt = |step: &str| {
        let direct = changes_of(book, step) == Some(Changes::Directly(false));
        matches!(state(step), Some(State::Doubted)) || (direct && matches!(state(step), Some(State::Begun)))
    };
    if let Some(step) = done {
        if !doubt(step) {
            return Err(Failure::refused(format!(
                "--done {step}: there is no doubt about that step"
            )));
        }
        let step = step.to_owned();
        return Ok(vec![Event::Settled { step, by }]);
    }
    let Some(step) = again else { return Ok(Vec::new()) };
    if changes_of(book, step).is_none() {
        return Err(Failure::usage(format!(
            "--again {step}: runbook {} has no such step",
            book.name
        )));
    }
    let made = |step: &str| {
        matches!(state(step), Some(State::Done { .. })) && changes_of(book, step) != Some(Changes::Nothing)
    };
    if made(step) {
        return Err(Failure::refused(format!(
            "--again {step}: that change was made; a change that was made is not made again"
        )));
    }
    if state(step).is_none() {
        return Err(Failure::refused(format!(
            "--again {step}: the run has not come to it yet"
        )));
    }
    let step = step.to_owned();
    Ok(vec![Event::Back { step, by }])
}

/// What a step changes; `None` where there is no such step. `start#4` is the item of a step.
fn changes_of(book: &Book, name: &str) -> Option<Changes> {
    let whole = name.split_once('#').map_or(name, |(whole, _)| whole);
    book.all()
        .find(|step| step.name == whole)
        .map(|step| step.does.changes())
}

fn is_prompt(step: &Step) -> bool {
    matches!(step.does, Does::Prompt { .. })
}

fn asks(book: &Book, name: &str) -> bool {
    let whole = name.split_once('#').map_or(name, |(whole, _)| whole);
    book.all().any(|step| step.name == whole && is_prompt(step))
}

fn pairs(pairs: &[Pair]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|pair| (pair.name.clone(), pair.value.clone()))
        .collect()
}

async fn begin(line: &Line, name: &str, set: &[Pair], with: &With) -> Result<Exit, Failure> {
    let book = sound(found(name)?)?;
    let values = book.set(&pairs(set)).map_err(Failure::usage)?;
    let place = Place::of(line).await?;
    let console = place.console(&book, with)?;
    if line.global.dry_run {
        return rehearsal::run(&book, values, &console).await;
    }
    unanswered(&book, &console)?;
    let id = Id::random();
    place.folder.make(&id)?;
    let begun = Event::Begun {
        book: book.name.clone(),
        text: book.text.clone(),
        values,
        context: place.ground.context.name.clone(),
        by: Who::me(),
        reason: line.global.reason.clone(),
    };
    let journal = Journal::create(&place.folder.journal(&id), begun, Moment::now())?;
    say(&format!("run {id}: {}", book.title));
    let run = Run::of(&id, journal.entries()).ok_or_else(|| Failure::partial(format!("run {id} has no beginning")))?;
    place.carry_out(&book, run, journal, &console).await
}

/// Nobody is there to answer: better told now than in the middle.
fn unanswered(book: &Book, console: &Console) -> Result<(), Failure> {
    let missing: Vec<String> = book
        .steps
        .iter()
        .filter(|step| step.when.is_none() && step.each.is_none())
        .filter_map(|step| match &step.does {
            Does::Prompt { asked, .. } if !console.could_answer(&step.name, asked) => {
                Some(format!("--answer {}=…", step.name))
            }
            _ => None,
        })
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "without a terminal the questions of {} are answered by {}",
            book.name,
            missing.join(" ")
        ))),
    }
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

const BOOKS: &[Column<Found>] = &[
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

const PROBLEMS: &[Column<Problem>] = &[
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

const LOG: &[Column<Entry<Event>>] = &[
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

/// Where a rehearsal saves its plans, for as long as it lasts.
fn scratch() -> Result<(tempfile::TempDir, PathBuf), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::partial)?;
    let path = folder.path().to_owned();
    Ok((folder, path))
}
