//! Gates: what must hold before a change. Four-valued, each with what it rests on.

use serde::{Deserialize, Serialize};

/// One condition and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What `--override` names, for example `isr`.
    pub name: String,
    pub class: Class,
    pub verdict: Verdict,
    /// What was seen, with the names.
    pub evidence: String,
}

/// Whether a person may go on against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// Never: it would lose data, or act on the wrong cluster.
    Hard,
    /// With `--override NAME --reason TEXT`.
    Soft,
}

/// How a gate stands. Unknown is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    Pass,
    Warn,
    Fail,
    Unknown,
}

impl Gate {
    pub fn new(name: &str, class: Class, verdict: Verdict, evidence: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            class,
            verdict,
            evidence: evidence.into(),
        }
    }

    /// Passes when nothing is in the way; otherwise fails and names the first few.
    pub fn none_of(name: &str, class: Class, faults: &[String], all_well: &str, what: &str) -> Self {
        match faults.len() {
            0 => Self::new(name, class, Verdict::Pass, all_well),
            count => Self::new(name, class, Verdict::Fail, format!("{count} {what}: {}", few(faults))),
        }
    }
}

/// The first few of a list in words, and how many more there are.
pub fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
