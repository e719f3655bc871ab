//! The journal of one run, and what it tells: which steps are done, what they left, and where the next process goes on.
//!
//! It lies where operations lie, by the same rules: one fsynced line before and after every step, held by one process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::Values;
use crate::model::Moment;
use crate::operation::{Entry, Error, Folder, Id, Log, Told, Who};

/// The journal of a run.
pub type Journal = Log<Event>;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Always the first line: the runbook whole, so that the run goes on by what it began with.
    Begun {
        book: String,
        text: String,
        values: Values,
        context: String,
        by: Who,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A process carries it out from here on.
    Engine { by: Who },
    /// This step is about to begin, for the so-manieth time.
    Step {
        step: String,
        attempt: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<String>,
    },
    /// It ended well.
    Done {
        step: String,
        outputs: Values,
        said: String,
    },
    /// Its condition did not hold.
    Skipped { step: String, why: String },
    /// It failed; the run goes on, tries it again or stops, which follows.
    Failed { step: String, exit: u8, why: String },
    /// A failure that the runbook goes on after.
    GoesOn { step: String, outputs: Values },
    /// The run rests here until somebody resumes it.
    Stopped { step: String, exit: u8, why: String },
    /// Nobody knows whether this step was done.
    Doubted { step: String },
    /// Somebody has looked, and says that it was done.
    Settled { step: String, by: Who },
    /// Somebody goes back to this step.
    Back { step: String, by: Who },
    /// The failure of a step leads to these steps.
    Rescue { rescue: String, step: String },
    /// The end: of the steps, or of a rescue.
    Ended { rescued: bool },
}

impl Told for Event {
    fn holder(&self) -> Option<&Who> {
        match self {
            Self::Engine { by } => Some(by),
            _ => None,
        }
    }
}

/// In words, for logs.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Begun { book, by, reason, .. } => {
                write!(f, "{book} begun by {}", by.whole())?;
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::Engine { by } => write!(f, "taken up by {}, pid {}", by.whole(), by.pid),
            Self::Step { step, attempt, line } => {
                write!(f, "{step} begins")?;
                if *attempt > 1 {
                    write!(f, ", {attempt} times now")?;
                }
                line.iter().try_for_each(|line| write!(f, ": {line}"))
            }
            Self::Done { step, said, .. } => write!(f, "{step} done: {said}"),
            Self::Skipped { step, why } => write!(f, "{step} skipped: {why}"),
            Self::Failed { step, exit, why } => write!(f, "{step} failed with exit {exit}: {why}"),
            Self::GoesOn { step, .. } => write!(f, "goes on after {step}"),
            Self::Stopped { step, why, .. } => write!(f, "stopped at {step}: {why}"),
            Self::Doubted { step } => write!(f, "whether {step} was done is not known"),
            Self::Settled { step, by } => write!(f, "{} says that {step} was done", by.whole()),
            Self::Back { step, by } => write!(f, "{} goes back to {step}", by.whole()),
            Self::Rescue { rescue, step } => write!(f, "the failure of {step} leads to {rescue}"),
            Self::Ended { rescued: false } => f.write_str("finished"),
            Self::Ended { rescued: true } => f.write_str("ended after its rescue"),
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    Running,
    /// At a failure, an answer that is missing, or a doubt; somebody resumes it.
    Stopped,
    Finished,
    /// A step failed, and the steps for that were carried out.
    Rescued,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Begun,
    Done {
        said: String,
    },
    Skipped {
        why: String,
    },
    /// The run went on after it, or rests at it.
    Failed {
        exit: u8,
        why: String,
        passed: bool,
    },
    Doubted,
}

impl State {
    /// Whether the run is past it.
    pub fn is_past(&self) -> bool {
        matches!(
            self,
            Self::Done { .. } | Self::Skipped { .. } | Self::Failed { passed: true, .. }
        )
    }
}

/// A step that was begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub state: State,
    pub attempts: u32,
    pub began_at: Option<Moment>,
    pub last_at: Moment,
    pub line: Option<String>,
    pub operation: Option<String>,
}

/// A run as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: Id,
    pub book: String,
    pub text: String,
    pub context: String,
    pub begun_at: Moment,
    pub begun_by: Who,
    pub reason: Option<String>,
    pub last_at: Moment,
    /// Parameters, and the outputs of steps that are done.
    pub values: Values,
    pub steps: BTreeMap<String, Trace>,
    /// The rescue, and the step whose failure led to it.
    pub rescue: Option<(String, String)>,
    pub phase: Phase,
    /// Where and why it rests.
    pub rests: Option<(String, u8, String)>,
    /// Whether a process carries it out now.
    pub alive: bool,
}

impl Run {
    /// `None` where the first line is missing.
    pub fn of(id: &Id, entries: &[Entry<Event>]) -> Option<Self> {
        let (first, rest) = entries.split_first()?;
        let Event::Begun {
            book,
            text,
            values,
            context,
            by,
            reason,
        } = &first.event
        else {
            return None;
        };
        let mut run = Self {
            id: id.clone(),
            book: book.clone(),
            text: text.clone(),
            context: context.clone(),
            begun_at: first.at,
            begun_by: by.clone(),
            reason: reason.clone(),
            last_at: first.at,
            values: values.clone(),
            steps: BTreeMap::new(),
            rescue: None,
            phase: Phase::Running,
            rests: None,
            alive: false,
        };
        rest.iter().for_each(|entry| run.take(entry.at, &entry.event));
        Some(run)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When its journal cannot be read.
    pub fn read(folder: &Folder, id: &Id) -> Result<Self, Error> {
        let path = folder.journal(id);
        let mut run = Self::of(id, &Journal::read(&path)?).ok_or_else(|| Error::Unknown(id.to_string()))?;
        run.alive = Journal::is_held(&path)?;
        Ok(run)
    }

    /// Nobody carries it out, and it is neither over nor at rest.
    pub fn is_orphaned(&self) -> bool {
        self.phase == Phase::Running && !self.alive
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Rescued)
    }

    /// The word for how far it is.
    pub fn word(&self) -> String {
        match self.is_orphaned() {
            true => "orphaned".to_owned(),
            false => self.phase.to_string(),
        }
    }

    /// Takes what has happened into account.
    pub fn take(&mut self, at: Moment, event: &Event) {
        self.last_at = at;
        match event {
            Event::Begun { .. } => {}
            Event::Engine { .. } => {
                if self.phase == Phase::Stopped {
                    self.phase = Phase::Running;
                    self.rests = None;
                }
            }
            Event::Step { step, attempt, line } => {
                let trace = self.trace(step, at);
                trace.state = State::Begun;
                trace.attempts = *attempt;
                trace.began_at = trace.began_at.or(Some(at));
                trace.line.clone_from(line);
            }
            Event::Done { step, outputs, said } => {
                self.trace(step, at).state = State::Done { said: said.clone() };
                self.keep(step, outputs);
            }
            Event::Skipped { step, why } => {
                self.trace(step, at).state = State::Skipped { why: why.clone() };
                let state = BTreeMap::from([
                    ("ok".to_owned(), serde_json::Value::Bool(false)),
                    ("state".to_owned(), serde_json::Value::from("skipped")),
                ]);
                self.keep(step, &state);
            }
            Event::Failed { step, exit, why } => {
                self.trace(step, at).state = State::Failed {
                    exit: *exit,
                    why: why.clone(),
                    passed: false,
                };
            }
            Event::GoesOn { step, outputs } => {
                if let State::Failed { passed, .. } = &mut self.trace(step, at).state {
                    *passed = true;
                }
                self.keep(step, outputs);
            }
            Event::Stopped { step, exit, why } => {
                self.phase = Phase::Stopped;
                self.rests = Some((step.clone(), *exit, why.clone()));
            }
            Event::Doubted { step } => self.trace(step, at).state = State::Doubted,
            Event::Settled { step, by } => {
                let said = format!("{by} says so");
                self.trace(step, at).state = State::Done { said };
                let state = BTreeMap::from([
                    ("ok".to_owned(), serde_json::Value::Bool(true)),
                    ("exit".to_owned(), serde_json::Value::from(0)),
                    ("state".to_owned(), serde_json::Value::from("done")),
                ]);
                self.keep(step, &state);
            }
            Event::Back { step, .. } => self.forget(step),
            Event::Rescue { rescue, step } => self.rescue = Some((rescue.clone(), step.clone())),
            Event::Ended { rescued: true } => self.phase = Phase::Rescued,
            Event::Ended { rescued: false } => self.phase = Phase::Finished,
        }
    }

    fn trace(&mut self, step: &str, at: Moment) -> &mut Trace {
        let trace = self.steps.entry(step.to_owned()).or_insert_with(|| Trace {
            state: State::Begun,
            attempts: 0,
            began_at: None,
            last_at: at,
            line: None,
            operation: None,
        });
        trace.last_at = at;
        trace
    }

    fn keep(&mut self, step: &str, outputs: &Values) {
        if let (Some(operation), Some(trace)) = (outputs.get("operation"), self.steps.get_mut(step)) {
            trace.operation = operation.as_str().map(ToOwned::to_owned);
        }
        for (output, value) in outputs {
            self.values.insert(format!("{step}.{output}"), value.clone());
        }
    }

    /// Attempts are counted on, so that no two of them are taken for each other.
    fn forget(&mut self, step: &str) {
        if let Some(trace) = self.steps.get_mut(step) {
            trace.state = State::Failed {
                exit: 0,
                why: "to be done again".to_owned(),
                passed: false,
            };
        }
        let before = format!("{step}.");
        self.values.retain(|name, _| !name.starts_with(&before));
    }
}
