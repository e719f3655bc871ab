//! Carries a runbook out, step by step, and goes on with one where the last process ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::book::{Book, Changes, Does, ITEM, OnFailure, Parameter, Step};
use super::file::Expect;
use super::journal::{Event, Journal, Run, State};
use super::text::Text;
use super::value::{Values, text};
use crate::command::value::Time;
use crate::model::Moment;
use crate::operation::{Error, Who};

/// Exit statuses of this program that mean something here.
pub mod exit {
    pub const DONE: u8 = 0;
    pub const NO: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const PARTIAL: u8 = 3;
    pub const REFUSED: u8 = 4;
    pub const PART_WAY: u8 = 5;
    pub const INTERRUPTED: u8 = 130;
}

/// A command to be carried out, with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub words: Vec<String>,
    pub changes: Changes,
    pub context: Option<String>,
    pub timeout: Option<Time>,
    /// Why, for the journal of an operation; no other attempt has the same.
    pub reason: String,
}

/// How something ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// An exit status.
    pub exit: u8,
    /// What it answered, where that is JSON.
    pub answer: Value,
    /// One line for people: why it failed, or what came of it.
    pub said: String,
    /// What it wrote to stdout, where it is a script.
    pub text: Option<String>,
    /// The operation that it began or took up.
    pub operation: Option<String>,
}

/// What carries steps out: the commands of this program, and the person at the terminal.
pub trait Hands {
    fn carry_out<'a>(&'a self, order: &'a Order) -> LocalBoxFuture<'a, Outcome>;

    /// Goes on with what was begun for this reason, and is not over; or tells how it ended. `None` where nothing was begun.
    fn take_up<'a>(&'a self, order: &'a Order) -> LocalBoxFuture<'a, Option<Outcome>>;

    fn shell<'a>(
        &'a self,
        script: &'a str,
        env: &'a BTreeMap<String, String>,
        timeout: Option<Time>,
    ) -> LocalBoxFuture<'a, Outcome>;

    /// The answer to a question: what was given before, or what a person types. The error is what is missing.
    fn ask(&self, step: &str, question: &str, asked: &Parameter) -> Result<Value, String>;

    fn say(&self, what: &str);
}

/// How a run came to rest, or to its end: an exit status.
pub type End = u8;

/// A run that is carried out.
pub struct Runner<'a> {
    pub book: &'a Book,
    pub run: Run,
    pub journal: Journal,
    /// Where plans of its steps are saved.
    pub folder: PathBuf,
    pub hands: &'a dyn Hands,
}

impl Runner<'_> {
    /// To the end, or to where it rests.
    ///
    /// # Errors
    /// When the journal cannot be written; nothing is done that it does not hold.
    pub async fn carry_out(mut self) -> Result<(Run, End), Error> {
        self.note(Event::Engine { by: Who::me() })?;
        if self.run.rescue.is_none()
            && let Some(end) = self.steps(&self.book.steps).await?
        {
            match end {
                Stop::At(exit) => return Ok((self.run, exit)),
                Stop::Rescue { rescue, step } => self.note(Event::Rescue { rescue, step })?,
            }
        }
        let Some((rescue, step)) = self.run.rescue.clone() else {
            self.note(Event::Ended { rescued: false })?;
            return Ok((self.run, exit::DONE));
        };
        self.hands.say(&format!("● {step} failed: {rescue} follows"));
        let steps = self.book.rescue.get(&rescue).map(Vec::as_slice).unwrap_or_default();
        if let Some(Stop::At(exit)) = self.steps(steps).await? {
            return Ok((self.run, exit));
        }
        self.note(Event::Ended { rescued: true })?;
        Ok((self.run, exit::PART_WAY))
    }

    /// `None`: all of them are past.
    async fn steps(&mut self, steps: &[Step]) -> Result<Option<Stop>, Error> {
        for (at, step) in steps.iter().enumerate() {
            if self.is_past(&step.name) {
                continue;
            }
            let place = format!("{}/{}", at + 1, steps.len());
            let stop = match &step.each {
                None => self.step(&place, step).await?,
                Some(list) => self.each(&place, step, list).await?,
            };
            if stop.is_some() {
                return Ok(stop);
            }
        }
        Ok(None)
    }

    fn is_past(&self, step: &str) -> bool {
        self.run.steps.get(step).is_some_and(|trace| trace.state.is_past())
    }

    /// Once for each item; the step itself is done when all are.
    async fn each(&mut self, place: &str, step: &Step, list: &str) -> Result<Option<Stop>, Error> {
        if self.skips(place, step)? {
            return Ok(None);
        }
        let items = items(self.run.values.get(list));
        let mut ok = true;
        for item in &items {
            let own = Step {
                name: format!("{}#{}", step.name, text(item)),
                when: None,
                ..step.clone()
            };
            if !self.is_past(&own.name) {
                self.run.values.insert(ITEM.to_owned(), item.clone());
                let stop = self.step(place, &own).await?;
                self.run.values.remove(ITEM);
                if stop.is_some() {
                    return Ok(stop);
                }
            }
            ok &= self.run.values.get(&format!("{}.ok", own.name)) == Some(&Value::Bool(true));
        }
        let outputs = Values::from([
            ("ok".to_owned(), Value::Bool(ok)),
            ("exit".to_owned(), Value::from(if ok { exit::DONE } else { exit::NO })),
            ("state".to_owned(), Value::from(if ok { "done" } else { "failed" })),
        ]);
        let said = match items.len() {
            0 => "there is nothing to do it for".to_owned(),
            count => format!("for each of {count}"),
        };
        self.hands.say(&format!("✓ {place} {}: {said}", step.name));
        let step = step.name.clone();
        self.note(Event::Done { step, outputs, said })?;
        Ok(None)
    }

    /// Whether its condition does not hold, which is noted.
    fn skips(&mut self, place: &str, step: &Step) -> Result<bool, Error> {
        let Some((written, condition)) = &step.when else {
            return Ok(false);
        };
        if condition.holds(&self.run.values) {
            return Ok(false);
        }
        self.hands
            .say(&format!("– {place} {}: skipped, not {written}", step.name));
        let (step, why) = (step.name.clone(), format!("not {written}"));
        self.note(Event::Skipped { step, why })?;
        Ok(true)
    }

    async fn step(&mut self, place: &str, step: &Step) -> Result<Option<Stop>, Error> {
        if self.skips(place, step)? {
            return Ok(None);
        }
        for attempt in 1.. {
            let outcome = match self.attempt(place, step).await? {
                Ok(outcome) => outcome,
                Err(exit) => return Ok(Some(Stop::At(exit))),
            };
            let outputs = outputs(step, &outcome, &self.run.values, &self.folder);
            if is_fine(step, &outcome) {
                self.hands.say(&format!("✓ {place} {}: {}", step.name, outcome.said));
                let (step, said) = (step.name.clone(), outcome.said);
                self.note(Event::Done { step, outputs, said })?;
                return Ok(None);
            }
            let (name, exit, why) = (step.name.clone(), outcome.exit, outcome.said.clone());
            self.hands.say(&format!("✖ {place} {name}: {why}"));
            self.note(Event::Failed {
                step: name.clone(),
                exit,
                why: why.clone(),
            })?;
            let again = attempt < step.retry.times && may_be_tried_again(step, exit);
            if again {
                let every = step.retry.every;
                let next = format!("{} of {} in {}", attempt + 1, step.retry.times, Time(every));
                self.hands.say(&format!("  {place} {name}: try {next}"));
                if !pause(every).await {
                    return self.stop(step, exit::INTERRUPTED, "interrupted").map(Some);
                }
                continue;
            }
            if exit == exit::INTERRUPTED {
                return self.stop(step, exit, "interrupted").map(Some);
            }
            return match &step.on_failure {
                OnFailure::Continue => {
                    self.note(Event::GoesOn { step: name, outputs })?;
                    Ok(None)
                }
                OnFailure::Rescue(rescue) if self.run.rescue.is_none() => Ok(Some(Stop::Rescue {
                    rescue: rescue.clone(),
                    step: name,
                })),
                OnFailure::Rescue(_) | OnFailure::Stop => self.stop(step, exit, &why).map(Some),
            };
        }
        Ok(None)
    }

    /// Rests here.
    fn stop(&mut self, step: &Step, exit: u8, why: &str) -> Result<Stop, Error> {
        self.note(Event::Stopped {
            step: step.name.clone(),
            exit,
            why: why.to_owned(),
        })?;
        Ok(Stop::At(exit))
    }

    /// One try. The inner error is where the run rests without one.
    async fn attempt(&mut self, place: &str, step: &Step) -> Result<Result<Outcome, u8>, Error> {
        let before = self.run.steps.get(&step.name).cloned();
        // What an engine carries out for the last attempt is not begun a second time.
        if let Some(before) = &before
            && step.does.changes() == Changes::ByOperation
            && let Ok(Act::Line(order)) = self.act(step, before.attempts)
            && let Some(outcome) = self.hands.take_up(&order).await
        {
            let begun = before.state == State::Begun;
            if begun || outcome.exit == exit::DONE || !is_over(&outcome) {
                return Ok(Ok(outcome));
            }
        }
        let interrupted = before.as_ref().is_some_and(|trace| trace.state == State::Begun);
        let doubted = before.as_ref().is_some_and(|trace| trace.state == State::Doubted);
        if doubted || (interrupted && step.does.changes() == Changes::Directly(false)) {
            let step_name = step.name.clone();
            self.note(Event::Doubted { step: step_name })?;
            let why = format!(
                "{} was begun, and whether it was done is not known; look, then resume with --done {} or --again {}",
                step.name, step.name, step.name
            );
            self.hands.say(&format!("? {place} {}: {why}", step.name));
            return self.stop(step, exit::REFUSED, &why).map(|_| Err(exit::REFUSED));
        }
        let attempt = before.map_or(0, |trace| trace.attempts) + 1;
        let act = match self.act(step, attempt) {
            Ok(act) => act,
            Err(why) => {
                self.hands.say(&format!("✖ {place} {}: {why}", step.name));
                return self.stop(step, exit::USAGE, &why).map(|_| Err(exit::USAGE));
            }
        };
        let line = act.shown();
        self.hands.say(&format!("● {place} {}: {line}", step.name));
        self.note(Event::Step {
            step: step.name.clone(),
            attempt,
            line: Some(line),
        })?;
        let outcome = match &act {
            Act::Line(order) => self.hands.carry_out(order).await,
            Act::Shell { script, env, timeout } => self.hands.shell(script, env, *timeout).await,
            Act::Ask { question, asked } => match self.hands.ask(&step.name, question, asked) {
                Ok(answer) => answered(answer),
                // Nothing failed; it waits for somebody.
                Err(why) => {
                    self.hands.say(&format!("? {place} {}: {why}", step.name));
                    return self.stop(step, exit::USAGE, &why).map(|_| Err(exit::USAGE));
                }
            },
        };
        Ok(Ok(outcome))
    }

    fn act(&self, step: &Step, attempt: u32) -> Result<Act, String> {
        let reason = reason(&self.run, step, attempt);
        act(step, &self.run.values, &self.folder, reason)
    }

    fn note(&mut self, event: Event) -> Result<(), Error> {
        let now = Moment::now();
        self.run.take(now, &event);
        self.journal.append(event, now)
    }
}

/// Why a run does not go on with its next step.
enum Stop {
    At(u8),
    Rescue { rescue: String, step: String },
}

/// What a step comes to once its values are filled in.
pub enum Act {
    Line(Order),
    Shell {
        script: String,
        env: BTreeMap<String, String>,
        timeout: Option<Time>,
    },
    Ask {
        question: String,
        asked: Parameter,
    },
}

impl Act {
    /// As a person reads it.
    pub fn shown(&self) -> String {
        match self {
            Self::Line(order) => {
                let words: Vec<String> = order
                    .words
                    .iter()
                    .map(|word| crate::command::words::quote(word))
                    .collect();
                let context = order.context.as_ref().map(|name| format!(" --context {name}"));
                format!("azimuth {}{}", words.join(" "), context.unwrap_or_default())
            }
            Self::Shell { script, .. } => format!("sh: {}", script.trim().lines().next().unwrap_or_default()),
            Self::Ask { question, .. } => question.clone(),
        }
    }
}

/// Fills a step's values in.
///
/// # Errors
/// When one is not known.
pub fn act(step: &Step, values: &Values, folder: &Path, reason: String) -> Result<Act, String> {
    let context = step.context.as_ref().map(|text| text.fill(values)).transpose()?;
    let timeout = step.timeout.as_ref().map(|text| text.fill(values)?.parse::<Time>());
    let timeout = timeout.transpose()?;
    let order = |words: Vec<String>| {
        Act::Line(Order {
            words,
            changes: step.does.changes(),
            context: context.clone(),
            timeout,
            reason,
        })
    };
    match &step.does {
        Does::Line { word, words, .. } => {
            let mut line = Vec::new();
            if *word == "wait" {
                line.push("wait".to_owned());
            }
            line.extend(words.fill(values)?);
            if *word == "plan" {
                line.extend(["--out".to_owned(), plan_file(folder, &step.name).display().to_string()]);
            }
            Ok(order(line))
        }
        Does::Apply { plan, noun, with } => {
            let file = plan_file(folder, plan).display().to_string();
            let mut line = vec![noun.clone(), "apply".to_owned(), file];
            line.extend(with.fill(values)?);
            Ok(order(line))
        }
        Does::Shell { script, env, .. } => {
            let fill = |(name, text): (&String, &Text)| Ok((name.clone(), text.fill(values)?));
            Ok(Act::Shell {
                script: script.clone(),
                env: env.iter().map(fill).collect::<Result<_, String>>()?,
                timeout,
            })
        }
        Does::Prompt { text, asked, .. } => Ok(Act::Ask {
            question: text.show(values).trim().to_owned(),
            asked: Parameter {
                default: asked.default.as_ref().and_then(|default| filled(default, values)),
                ..asked.clone()
            },
        }),
    }
}

/// A default with what steps have found in it; none where they have not.
fn filled(default: &Value, values: &Values) -> Option<Value> {
    match default {
        Value::String(text) => Text::parse(text).ok()?.fill(values).ok().map(Value::from),
        other => Some(other.clone()),
    }
}

/// Where the plan of a step lies.
pub fn plan_file(folder: &Path, step: &str) -> PathBuf {
    folder.join(format!("{step}.json"))
}

/// What the journal of an operation is told. A run and an attempt have one each.
fn reason(run: &Run, step: &Step, attempt: u32) -> String {
    let own = format!(
        "runbook {}, run {}, step {}, attempt {attempt}",
        run.book, run.id, step.name
    );
    match &run.reason {
        Some(reason) => format!("{reason} ({own})"),
        None => own,
    }
}

/// What later steps may refer to.
pub fn outputs(step: &Step, outcome: &Outcome, known: &Values, folder: &Path) -> Values {
    let mut values = Values::new();
    for (name, path) in &step.outputs {
        values.insert(name.clone(), path.find(&outcome.answer, known));
    }
    let fine = is_fine(step, outcome);
    // Of what may end either way, what it said; of the rest, whether it was done.
    let ok = match step.expect {
        Expect::Any => fine && outcome.exit != exit::NO,
        Expect::Yes | Expect::No | Expect::Partial => fine,
    };
    values.insert("ok".to_owned(), Value::Bool(ok));
    values.insert("exit".to_owned(), Value::from(outcome.exit));
    values.insert("state".to_owned(), Value::from(if fine { "done" } else { "failed" }));
    if let Some(operation) = &outcome.operation {
        values.insert("operation".to_owned(), Value::from(operation.as_str()));
    }
    match &step.does {
        Does::Line { word: "plan", .. } => {
            let file = plan_file(folder, &step.name).display().to_string();
            values.insert("file".to_owned(), Value::from(file));
        }
        Does::Prompt { .. } => {
            values.insert("answer".to_owned(), outcome.answer.clone());
        }
        Does::Shell { .. } => {
            values.insert("text".to_owned(), Value::from(outcome.text.clone().unwrap_or_default()));
        }
        _ => {}
    }
    values
}

/// Whether the run goes on after it as after a step that was done.
pub fn is_fine(step: &Step, outcome: &Outcome) -> bool {
    // Part of an answer is one only where the cluster was seen.
    let in_part = outcome.exit == exit::PARTIAL && outcome.answer.get("cluster_id").is_some_and(Value::is_string);
    match step.expect {
        Expect::Yes => outcome.exit == exit::DONE,
        Expect::No => outcome.exit == exit::NO,
        Expect::Partial => outcome.exit == exit::DONE || in_part,
        Expect::Any => matches!(outcome.exit, exit::DONE | exit::NO) || in_part,
    }
}

/// What stopped on its way is not begun anew by itself, and what cannot be understood never will be.
fn may_be_tried_again(step: &Step, exit: u8) -> bool {
    match exit {
        exit::USAGE | exit::INTERRUPTED => false,
        exit::PART_WAY => step.does.changes() == Changes::Nothing,
        _ => true,
    }
}

/// An operation that failed or was aborted is over; one that pauses or waits is not.
fn is_over(outcome: &Outcome) -> bool {
    outcome.exit == exit::PART_WAY
}

/// A question answered with no is a no; any other answer is one.
fn answered(answer: Value) -> Outcome {
    let exit = match answer {
        Value::Bool(false) => exit::NO,
        _ => exit::DONE,
    };
    let said = match &answer {
        Value::Bool(true) => "answered yes".to_owned(),
        Value::Bool(false) => "answered no".to_owned(),
        other => format!("answered {}", text(other)),
    };
    Outcome {
        exit,
        answer,
        said,
        ..Outcome::default()
    }
}

/// A list, or the words of a text with commas.
pub fn items(value: Option<&Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(other) => {
            let whole = text(other);
            let words = whole.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(Value::from).collect()
        }
    }
}

/// False where somebody interrupts.
async fn pause(time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        _ = tokio::signal::ctrl_c() => false,
    }
}
