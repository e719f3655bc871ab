//! `azimuth runbook …`

mod hands;
mod rehearsal;
mod shown;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::FutureExt;

use super::change::ground;
use super::exit::{Exit, Failure, say};
use super::output::{Answer, Data, Problem as Missing, Sheet};
use super::{consent, facts, out, print, printed};
use crate::command::Line;
use crate::command::runbook::{Pair, Verb, With};
use crate::model::Moment;
use crate::operation::{Entry, Error, Folder, Ground, Id, Who, crash};
use crate::runbook::book::{Book, Changes, Does, Problem, Step};
use crate::runbook::journal::{Event, Journal, Run, State};
use crate::runbook::preset::{self, Found};
use crate::runbook::run::Runner;
use hands::Console;
use shown::{BOOKS, LOG, PROBLEMS, described, run_answer, runs_answer, titled};

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

/// Where a rehearsal saves its plans, for as long as it lasts.
fn scratch() -> Result<(tempfile::TempDir, PathBuf), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::partial)?;
    let path = folder.path().to_owned();
    Ok((folder, path))
}
