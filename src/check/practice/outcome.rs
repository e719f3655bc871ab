//! What judging a check comes to, before it is weighed.

use serde::Serialize;

use super::{Check, Finding, Severity, Status};
use crate::model::{Health, Moment, Observed, Trouble};

/// So many proofs are kept with a finding; the rest is counted.
const PROOFS: usize = 20;

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// What was asked: `DescribeConfigs`, `DescribeVolumes`, …
    pub source: &'static str,
    /// `broker 4`, `topic orders`, `vol-0c…`.
    pub subject: String,
    pub field: String,
    pub value: String,
    /// What it should be.
    pub expected: String,
    /// When it was true.
    pub seen_at: Option<Moment>,
}

/// What is missing where a check is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Lack {
    /// A right; the reason names it.
    Permission,
    /// A metric or a field that nobody tells.
    Metric,
    /// An answer: somebody does not answer, or was not asked.
    Answer,
    /// A client for the plane.
    Plane,
}

impl Lack {
    /// What a section is missing, and why in a sentence.
    pub fn of<T>(section: &Observed<T>, what: &str) -> (Self, String) {
        let why = section.problem().unwrap_or_else(|| "it does not say".to_owned());
        let lack = match &section.health {
            Health::Failing {
                trouble: Trouble::Denied,
                ..
            } => Self::Permission,
            Health::Fresh => Self::Metric,
            _ => Self::Answer,
        };
        (lack, format!("{what}: {why}"))
    }
}

/// How a practice stands, with what that rests on.
#[derive(Debug, Clone)]
pub struct Outcome {
    kind: Kind,
    severity: Option<Severity>,
    why: String,
    evidence: Vec<Proof>,
    fix: Option<String>,
    explained_by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pass,
    Breach,
    Unknown(Lack),
    NotApplicable,
    Advice,
}

impl Outcome {
    fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self {
            kind,
            severity: None,
            why: why.into(),
            evidence: Vec::new(),
            fix: None,
            explained_by: None,
        }
    }

    pub fn pass(why: impl Into<String>) -> Self {
        Self::new(Kind::Pass, why)
    }

    pub fn breach(why: impl Into<String>) -> Self {
        Self::new(Kind::Breach, why)
    }

    pub fn unknown(lack: Lack, why: impl Into<String>) -> Self {
        Self::new(Kind::Unknown(lack), why)
    }

    /// A section that was not told decides nothing.
    pub fn untold<T>(section: &Observed<T>, what: &str) -> Self {
        let (lack, why) = Lack::of(section, what);
        Self::unknown(lack, why)
    }

    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self::new(Kind::NotApplicable, why)
    }

    pub fn advice(why: impl Into<String>) -> Self {
        Self::new(Kind::Advice, why)
    }

    pub fn evidence(mut self, proofs: impl IntoIterator<Item = Proof>) -> Self {
        self.evidence.extend(proofs);
        self
    }

    /// Counts for a breach only.
    pub fn severity(self, severity: Severity) -> Self {
        Self {
            severity: Some(severity),
            ..self
        }
    }

    pub fn fix(self, command: impl Into<String>) -> Self {
        Self {
            fix: Some(command.into()),
            ..self
        }
    }

    pub fn explained_by(self, operation: Option<String>) -> Self {
        Self {
            explained_by: operation,
            ..self
        }
    }

    /// What is high or critical fails, the rest warns.
    pub(super) fn finding(mut self, check: &'static Check) -> Finding {
        let severity = self.severity.unwrap_or(check.severity);
        let (status, lack) = match self.kind {
            Kind::Pass => (Status::Pass, None),
            Kind::Breach if severity >= Severity::High => (Status::Fail, None),
            Kind::Breach => (Status::Warn, None),
            Kind::Unknown(lack) => (Status::Unknown, Some(lack)),
            Kind::NotApplicable => (Status::NotApplicable, None),
            Kind::Advice => (Status::Advice, None),
        };
        let more = self.evidence.len().saturating_sub(PROOFS);
        self.evidence.truncate(PROOFS);
        Finding {
            check,
            status,
            severity,
            why: self.why,
            evidence: self.evidence,
            more,
            lack,
            fix: self.fix.filter(|_| self.kind == Kind::Breach),
            explained_by: self.explained_by.filter(|_| self.kind == Kind::Breach),
        }
    }
}
