//! One question put to many things: a breach that was seen stands whatever was not seen, and one thing that could not be seen
//! makes the rest unknown.

use super::Outcome;
use super::outcome::{Lack, Proof};
use crate::model::Moment;

/// So many names are told in the reason.
const NAMED: usize = 3;

/// Answers to one question.
#[derive(Debug)]
pub struct Survey {
    source: &'static str,
    field: String,
    expected: String,
    bad: Vec<Proof>,
    good: Vec<Proof>,
    lacks: Vec<(Lack, String)>,
}

impl Survey {
    pub fn new(source: &'static str, field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            source,
            field: field.into(),
            expected: expected.into(),
            bad: Vec::new(),
            good: Vec::new(),
            lacks: Vec::new(),
        }
    }

    /// One thing and whether it is as it should be.
    pub fn add(&mut self, fits: bool, subject: impl Into<String>, value: impl Into<String>, at: Option<Moment>) {
        let proof = Proof {
            source: self.source,
            subject: subject.into(),
            field: self.field.clone(),
            value: value.into(),
            expected: self.expected.clone(),
            seen_at: at,
        };
        match fits {
            true => self.good.push(proof),
            false => self.bad.push(proof),
        }
    }

    /// A thing that could not be seen, and why; each reason once.
    pub fn lack(&mut self, lack: Lack, why: impl Into<String>) {
        let why = why.into();
        if !self.lacks.iter().any(|(_, known)| *known == why) {
            self.lacks.push((lack, why));
        }
    }

    pub fn lacking(&mut self, (lack, why): (Lack, String)) {
        self.lack(lack, why);
    }

    pub fn bad(&self) -> &[Proof] {
        &self.bad
    }

    pub fn is_empty(&self) -> bool {
        self.bad.is_empty() && self.good.is_empty()
    }

    /// The first few that are not as they should be: `broker 1 (8), broker 2 (8) and 4 more`.
    pub fn culprits(&self) -> String {
        let named = |proof: &Proof| match proof.value.is_empty() {
            true => proof.subject.clone(),
            false => format!("{} ({})", proof.subject, proof.value),
        };
        let shown: Vec<String> = self.bad.iter().take(NAMED).map(named).collect();
        match self.bad.len().saturating_sub(NAMED) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// What it comes to: `ill` says what is wrong with those named after it.
    pub fn end(self, well: impl Into<String>, ill: &str) -> Outcome {
        let culprits = self.culprits();
        let (lacks, more) = (self.lacks.len(), self.lacks.len().saturating_sub(1));
        match (self.bad.is_empty(), self.lacks.into_iter().next()) {
            (false, _) => Outcome::breach(format!("{ill}: {culprits}")).evidence(self.bad),
            (true, Some((lack, why))) => {
                let more = if lacks > 1 {
                    format!(" · {more} more such")
                } else {
                    String::new()
                };
                Outcome::unknown(lack, format!("{why}{more}")).evidence(self.good)
            }
            (true, None) if self.good.is_empty() => {
                Outcome::unknown(Lack::Answer, format!("nothing has told {} yet", self.field))
            }
            (true, None) => Outcome::pass(well).evidence(self.good),
        }
    }
}
