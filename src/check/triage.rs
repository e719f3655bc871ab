//! The ten lines that a person reads first: can clients write, where is it, who is it, what else stands or falls with it, who
//! is hurt, what to do next and what not to do. Each has its verdict, its basis and a way to its evidence.

mod change;
mod disk;
mod headline;
mod hurt;
mod limit;
mod place;
mod quorum;
mod suspect;

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Cause, Culprit, Dont, Evidence, Explained, Facts, Step, cause, explain};
use crate::model::event::Since;
use crate::model::history::Window;
use crate::model::row::Rows;
use crate::model::{Health, Moment, Snapshot};
use crate::plan::gate::Verdict;

/// What is wrong with a cluster, in the order in which a person needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Triage {
    pub status: Status,
    pub culprit: Culprit,
    /// Every cause found, the one to act on first.
    pub causes: Vec<Cause>,
    /// Causes that an operation of ours explains.
    pub explained: Vec<Explained>,
    /// All of [`Name`], in its order.
    pub lines: Vec<Line>,
    pub next: Vec<Step>,
    pub dont: Vec<Dont>,
    /// Enough was seen to say anything at all.
    pub seen: bool,
}

/// The worst that was found. What is unknown is in the lines and does not count here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    #[default]
    Ok,
    Warn,
    Fail,
}

/// The lines, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Name {
    Headline,
    Where,
    Who,
    Quorum,
    Disk,
    Limits,
    Changed,
    Hurt,
    Next,
    Dont,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub name: Name,
    pub verdict: Verdict,
    /// Clauses with ` · ` between.
    pub text: String,
    /// Why it is unknown, or known only in part.
    pub why: Option<String>,
    pub since: Option<Since>,
    /// What was asked for it.
    pub source: String,
    pub evidence: Option<Evidence>,
}

impl Triage {
    /// The same of a cluster of which no operation of this host is known, or at a moment that is over: journals tell what
    /// operations do now, so they explain nothing there.
    pub fn without_acts(snapshot: &Snapshot, rows: &Rows, now: Moment) -> Self {
        Self::of(&Facts {
            snapshot,
            rows,
            acts: &[],
            strict: false,
            changes: Window::CHANGES,
            now,
        })
    }

    /// Judges what is known; linear in partitions.
    pub fn of(facts: &Facts<'_>) -> Self {
        let (causes, explained) = explain::split(facts, cause::all(facts));
        let mut next: Vec<Step> = Vec::new();
        let mut dont: Vec<Dont> = Vec::new();
        for cause in &causes {
            let fresh = |step: &&Step| {
                !next.iter().any(|known| known.action == step.action)
                    && !dont.iter().any(|dont| contradicts(dont, step))
            };
            let fresh: Vec<Step> = cause.next.iter().filter(fresh).cloned().collect();
            next.extend(fresh);
            let steps: BTreeSet<&str> = next.iter().map(|step| step.action.as_str()).collect();
            let new = |one: &&Dont| {
                !dont.iter().any(|known| known.action == one.action) && !steps.contains(one.action.as_str())
            };
            let new: Vec<Dont> = cause.dont.iter().filter(new).cloned().collect();
            dont.extend(new);
        }
        let mut lines = vec![
            headline::line(facts, &causes),
            place::line(facts),
            suspect::line(facts, &causes, &explained),
            quorum::line(facts),
            disk::line(facts),
            limit::line(facts),
            change::line(facts, &causes),
            hurt::line(facts, &causes),
        ];
        if next.is_empty() && lines[0].verdict == Verdict::Warn {
            next.push(Step::new(
                "partition list --at-min-isr --under-replicated",
                "which partitions, and who is missing",
                Vec::new(),
            ));
        }
        let cluster = &facts.snapshot.cluster;
        if cluster.get().is_none() && matches!(cluster.health, Health::Failing { .. }) {
            next.push(Step::new(
                "context test",
                "which step of the way there fails: name, port, TLS, login",
                Vec::new(),
            ));
        }
        lines.push(next_line(&next));
        lines.push(dont_line(&dont));
        let worst = |verdict: Verdict| match verdict {
            Verdict::Fail => Status::Fail,
            Verdict::Warn => Status::Warn,
            Verdict::Pass | Verdict::Unknown => Status::Ok,
        };
        let verdicts = lines
            .iter()
            .map(|line| line.verdict)
            .chain(causes.iter().map(|cause| cause.verdict));
        Self {
            status: verdicts.map(worst).max().unwrap_or_default(),
            culprit: causes
                .iter()
                .map(|cause| &cause.culprit)
                .find(|culprit| !culprit.name.is_empty())
                .cloned()
                .unwrap_or_else(Culprit::none),
            seen: facts.snapshot.cluster.get().is_some(),
            causes,
            explained,
            lines,
            next,
            dont,
        }
    }

    pub fn line(&self, name: Name) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name)
    }

    /// How many findings fail and how many warn. What is wrong without a cause that a rule names is one.
    pub fn findings(&self) -> (usize, usize) {
        let of = |verdict, status| {
            let causes = self.causes.iter().filter(|cause| cause.verdict == verdict).count();
            causes.max(usize::from(self.status == status))
        };
        (of(Verdict::Fail, Status::Fail), of(Verdict::Warn, Status::Warn))
    }

    /// What must differ for a triage to be another one: numbers that waver are no news.
    pub fn gist(&self) -> String {
        let mut gist = format!("{} {}", self.status, self.culprit);
        for line in &self.lines {
            gist.push_str(&format!("\n{} {}", line.name, line.verdict));
            if line.name == Name::Changed {
                gist.push_str(&line.text);
            }
        }
        for cause in &self.causes {
            gist.push_str(&format!("\n{} {}", cause.rule, cause.culprit));
        }
        for explained in &self.explained {
            gist.push_str(&format!("\n{} {}", explained.cause.rule, explained.by));
        }
        for step in &self.next {
            gist.push_str(&format!("\n{} {}", step.action, step.blocked_by().is_some()));
        }
        gist
    }
}

impl Line {
    fn new(name: Name, verdict: Verdict, text: impl Into<String>, source: &str) -> Self {
        Self {
            name,
            verdict,
            text: text.into(),
            why: None,
            since: None,
            source: source.to_owned(),
            evidence: None,
        }
    }

    fn why(self, why: Option<String>) -> Self {
        Self { why, ..self }
    }

    fn since(self, since: Option<Since>) -> Self {
        Self { since, ..self }
    }

    fn at(self, evidence: Evidence) -> Self {
        Self {
            evidence: Some(evidence),
            ..self
        }
    }
}

/// Whether a graver cause forbids what a lesser one advises: a broker that must not be restarted is not to be started either.
fn contradicts(dont: &Dont, step: &Step) -> bool {
    let broker = dont.action.strip_prefix("restart broker ");
    dont.action == step.action || broker.is_some_and(|id| step.action == format!("broker start {id}"))
}

/// Steps told in the line; all of them are in [`Triage::next`].
const TOLD: usize = 3;

fn next_line(steps: &[Step]) -> Line {
    let step = |(at, step): (usize, &Step)| {
        let gates = match step.blocked_by() {
            Some(gate) => format!(", blocked by {}: {}", gate.name, gate.evidence),
            None if step.gates.is_empty() => String::new(),
            None => ", gates ✓".to_owned(),
        };
        format!("{} {} ({}){gates}", at + 1, step.action, step.why)
    };
    let told: Vec<String> = steps.iter().take(TOLD).enumerate().map(step).collect();
    match told.is_empty() {
        true => Line::new(Name::Next, Verdict::Pass, "nothing to do", "the rules"),
        false => Line::new(Name::Next, Verdict::Pass, told.join(" · "), "the rules"),
    }
}

fn dont_line(donts: &[Dont]) -> Line {
    let told: Vec<String> = donts
        .iter()
        .take(TOLD)
        .map(|dont| format!("{} ({})", dont.action, dont.why))
        .collect();
    match told.is_empty() {
        true => Line::new(Name::Dont, Verdict::Pass, "–", "the rules"),
        false => Line::new(Name::Dont, Verdict::Pass, told.join(" · "), "the rules"),
    }
}

/// Why a section is not known, in the words that lead to different steps.
fn unknown<T>(section: &crate::model::Observed<T>) -> String {
    section.problem().unwrap_or_else(|| "not told".to_owned())
}

#[cfg(test)]
mod tests;
