//! A runbook that makes sense: every reference has something to refer to, every command is one of this program's.

mod check;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_saphyr::Location;

use super::condition::Condition;
use super::file::{Expect, File};
use super::path::Path;
use super::text::{Template, Text};
use super::value::{Kind, Values};
use crate::command::Command;
use check::Check;

/// What is wrong, and where; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub line: u64,
    pub column: u64,
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// A runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    pub name: String,
    pub title: String,
    pub about: String,
    pub parameters: BTreeMap<String, Parameter>,
    pub steps: Vec<Step>,
    pub rescue: BTreeMap<String, Vec<Step>>,
    /// As it was read.
    pub text: String,
}

/// What has to be set, or may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub kind: Kind,
    pub about: String,
    pub default: Option<Value>,
    pub choices: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub name: String,
    pub about: String,
    pub does: Does,
    /// The list that it is carried out for, item by item.
    pub each: Option<String>,
    /// The condition, and how it is written.
    pub when: Option<(String, Condition)>,
    pub expect: Expect,
    pub retry: Retry,
    pub on_failure: OnFailure,
    pub outputs: BTreeMap<String, Path>,
    pub context: Option<Text>,
    pub timeout: Option<Text>,
    /// Where it begins in the file.
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// A command of this program.
    Line {
        word: &'static str,
        words: Template,
        changes: Changes,
        written: String,
    },
    /// Carries out what another step has planned.
    Apply { plan: String, noun: String, with: Template },
    Shell {
        script: String,
        env: BTreeMap<String, Text>,
        repeatable: bool,
    },
    Prompt {
        text: Text,
        written: String,
        asked: Parameter,
    },
}

/// What a command changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    Nothing,
    /// By an operation: what became of it can be looked up.
    ByOperation,
    /// Otherwise; true where it may be done again.
    Directly(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    pub times: u32,
    pub every: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    Stop,
    Continue,
    Rescue(String),
}

/// The value of [`Step::each`] that is at hand.
pub const ITEM: &str = "item";

/// Verbs that change nothing, of nouns that know nothing of plans.
const LOOKS: [&str; 13] = [
    "list", "show", "config", "explain", "diff", "lag", "test", "relieve", "read", "run", "az-loss", "restart",
    "attach",
];
/// Commands that write nothing but what may be written again.
const AGAIN: [&str; 4] = ["capture.save", "record.check", "operation.pause", "operation.resume"];
impl Book {
    /// Reads and checks a whole file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of its lines.
    pub fn read(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| vec![unreadable(&error)])?;
        let mut check = Check::default();
        let book = check.book(name, text, &file);
        check.problems.sort_by_key(|problem| (problem.line, problem.column));
        match check.problems.is_empty() {
            true => Ok(book),
            false => Err(check.problems),
        }
    }

    /// The parameters with what was set, defaults included.
    ///
    /// # Errors
    /// A sentence that names the parameter and the way out.
    pub fn set(&self, given: &BTreeMap<String, String>) -> Result<Values, String> {
        if let Some(name) = given.keys().find(|name| !self.parameters.contains_key(*name)) {
            let known: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
            return Err(match known.is_empty() {
                true => format!("--set {name}: runbook {} has no parameters", self.name),
                false => format!("--set {name}: runbook {} has {}", self.name, known.join(", ")),
            });
        }
        let mut values = Values::new();
        for (name, parameter) in &self.parameters {
            let value = match given.get(name) {
                Some(text) => parameter.read(text).map_err(|what| format!("--set {name}: {what}"))?,
                None => parameter.default.clone().ok_or_else(|| {
                    let about = match parameter.about.trim() {
                        "" => String::new(),
                        about => format!(" ({about})"),
                    };
                    format!(
                        "runbook {} needs --set {name}={}{about}",
                        self.name,
                        parameter.kind.to_string().to_uppercase()
                    )
                })?,
            };
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// Every step, those of rescues last.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().chain(self.rescue.values().flatten())
    }

    pub fn changes(&self) -> bool {
        self.all().any(|step| step.does.changes() != Changes::Nothing)
    }
}

impl Parameter {
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            return Err(format!("{text:?} is none of {}", self.choices.join(", ")));
        }
        self.kind.read(text)
    }
}

impl Does {
    pub fn changes(&self) -> Changes {
        match self {
            Self::Line { changes, .. } => *changes,
            Self::Apply { .. } => Changes::ByOperation,
            Self::Shell { repeatable, .. } => Changes::Directly(*repeatable),
            Self::Prompt { .. } => Changes::Nothing,
        }
    }

    /// The word for it in the file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Line { word, .. } => word,
            Self::Apply { .. } => "apply",
            Self::Shell { .. } => "shell",
            Self::Prompt { .. } => "prompt",
        }
    }

    /// What it does, as it is written.
    pub fn written(&self) -> String {
        match self {
            Self::Line {
                word: "wait", written, ..
            } => format!("wait {written}"),
            Self::Line { written, .. } | Self::Prompt { written, .. } => written.clone(),
            Self::Apply { plan, .. } => format!("the plan of {plan}"),
            Self::Shell { script, .. } => {
                let mut lines = script.trim().lines();
                let first = lines.next().unwrap_or_default().to_owned();
                match lines.next() {
                    Some(_) => format!("{first} …"),
                    None => first,
                }
            }
        }
    }
}

impl std::fmt::Display for OnFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Continue => f.write_str("continue"),
            Self::Rescue(name) => f.write_str(name),
        }
    }
}

fn unreadable(error: &serde_saphyr::Error) -> Problem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let whole = error.without_snippet().to_string();
    // The place is told in front.
    let what = match whole.find(" at line ") {
        Some(at) => whole[..at].to_owned(),
        None => whole,
    };
    Problem {
        line: location.line(),
        column: location.column(),
        what,
    }
}

/// What a command changes, by what it is.
pub fn changes_of(command: &Command, repeatable: bool) -> Changes {
    let kind = command.kind();
    let verb = kind.rsplit('.').next().unwrap_or_default();
    match verb {
        "plan" => Changes::Nothing,
        "apply" | "undo" => Changes::ByOperation,
        _ if command.is_planned() => Changes::ByOperation,
        _ if kind == "triage" || kind.starts_with("wait.") || LOOKS.contains(&verb) => Changes::Nothing,
        _ => Changes::Directly(repeatable || AGAIN.contains(&kind.as_str())),
    }
}
