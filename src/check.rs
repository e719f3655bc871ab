//! Rules over a snapshot: what is wrong, which availability zone, broker or volume is at fault, what to do next and what
//! not to do. Pure: the same snapshot and moment give the same verdicts.
//!
//! [`cause`] holds one rule a file, each of which may name a culprit; [`triage`] puts them into the ten lines that a person
//! reads first. Verdicts have four values, and unknown is never taken for pass.

pub mod brief;
pub mod cause;
pub mod condition;
pub mod explain;
pub mod facts;
pub mod finding;
pub mod practice;
mod text;
pub mod triage;
mod vote;

use serde::Serialize;

use crate::model::event::Since;
use crate::plan::gate::{Gate, Verdict};

pub use condition::{Condition, State};
pub use explain::{Act, Explained, Reach};
pub use facts::Facts;
pub use finding::Findings;
pub use triage::Triage;

/// What is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Culprit {
    pub kind: Kind,
    /// An AZ id, a broker id (several with commas), a volume id, a group, a topic whose producers are meant; empty for none.
    pub name: String,
}

/// The kinds of culprits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    Az,
    Broker,
    Volume,
    Group,
    Client,
    None,
}

/// Where the evidence can be looked at: a noun that has a screen, and a name of it where one thing is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    pub noun: &'static str,
    pub name: Option<String>,
}

/// A thing to do next, with what must hold for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A command without the program's name, or what a person does where no command can.
    pub action: String,
    /// Why, and what it costs: `206 leaders, ISR full, no data moved`.
    pub why: String,
    pub gates: Vec<Gate>,
}

/// A thing not to do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dont {
    pub action: String,
    pub why: String,
}

/// What is wrong and who is at fault, by one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The rule's name, for example `zone-down`.
    pub rule: &'static str,
    /// `Warn` or `Fail`.
    pub verdict: Verdict,
    pub culprit: Culprit,
    /// What speaks for it, in clauses with ` · ` between.
    pub text: String,
    pub since: Option<Since>,
    /// What was asked: `Metadata`, `ApiVersions`, `CloudWatch`, …
    pub source: &'static str,
    pub evidence: Evidence,
    pub next: Vec<Step>,
    pub dont: Vec<Dont>,
}

impl Culprit {
    pub fn new(kind: Kind, name: impl ToString) -> Self {
        Self {
            kind,
            name: name.to_string(),
        }
    }

    pub fn none() -> Self {
        Self::new(Kind::None, "")
    }
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::None => f.write_str("nobody"),
            Kind::Az => write!(f, "{}", self.name),
            Kind::Client => write!(f, "the producers of {}", self.name),
            Kind::Broker if self.name.contains(',') => write!(f, "brokers {}", self.name),
            kind => write!(f, "{kind} {}", self.name),
        }
    }
}

/// Rules about the controller quorum: its voters are controllers, though they may be brokers too.
const OF_QUORUM: [&str; 2] = ["controller-lost", "voter-lost"];

impl Cause {
    /// The culprit in words. It is of the kind `broker` where a voter of the quorum is meant, and called a controller then.
    pub fn who(&self) -> String {
        match self.culprit.kind {
            Kind::Broker if OF_QUORUM.contains(&self.rule) => {
                let many = if self.culprit.name.contains(',') { "s" } else { "" };
                format!("controller{many} {}", self.culprit.name)
            }
            _ => self.culprit.to_string(),
        }
    }
}

impl Evidence {
    pub fn list(noun: &'static str) -> Self {
        Self { noun, name: None }
    }

    pub fn of(noun: &'static str, name: impl ToString) -> Self {
        Self {
            noun,
            name: Some(name.to_string()),
        }
    }

    /// Where a disk is looked at: its volume where that is known to be the culprit, else its broker.
    pub fn of_disk(culprit: &Culprit) -> Self {
        match culprit.kind {
            Kind::Volume => Self::of("volume", &culprit.name),
            _ => Self::of("broker", &culprit.name),
        }
    }
}

impl Step {
    pub fn new(action: impl Into<String>, why: impl Into<String>, gates: Vec<Gate>) -> Self {
        Self {
            action: action.into(),
            why: why.into(),
            gates,
        }
    }

    /// The first gate that would refuse it. Unknown is closed.
    pub fn blocked_by(&self) -> Option<&Gate> {
        let closed = |gate: &&Gate| matches!(gate.verdict, Verdict::Fail | Verdict::Unknown);
        self.gates.iter().find(closed)
    }
}

impl Dont {
    pub fn new(action: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod fixture;
