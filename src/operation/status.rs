//! How an operation stands, as its journal tells it, and how its step in flight gets on, as its engine tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::{Ask, Entry, Event};
use super::{Error, Id, Who, pace};
use crate::model::throttle::{self, Setting};
use crate::model::{BrokerId, Moment};
use crate::plan::gate::Gate;
use crate::plan::intent::Intent;
use crate::plan::reassign::watch::Baseline;
use crate::plan::schedule::Schedule;
use crate::plan::throttle::words;
use crate::plan::{Plan, undo};

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub id: Id,
    pub plan: Plan,
    pub begun_at: Moment,
    pub begun_by: Who,
    pub reason: Option<String>,
    pub phase: Phase,
    /// Whether an engine holds the journal.
    pub alive: bool,
    pub steps: Vec<StepState>,
    pub last_at: Moment,
    /// Why it failed, or what an abort left.
    pub note: Option<String>,
    /// The last thing that was asked and not done yet.
    pub asked: Option<Ask>,
    /// What it waits for before it begins anything more; it goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Wait>,
    /// When it may go on.
    #[serde(default, skip_serializing_if = "Schedule::is_empty")]
    pub schedule: Schedule,
    /// Units that were done when a person last let it go on.
    #[serde(default)]
    pub units_resumed: u32,
    /// Gates that somebody goes on against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// How things stood before its first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Throttles that it has set and not seen gone: the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Setting>,
    /// Of the step in flight; only from a live engine.
    #[serde(default)]
    pub progress: Option<Progress>,
}

/// Why an operation begins nothing more for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// A gate's name, or `window` and its like.
    #[serde(rename = "for")]
    pub for_: String,
    pub why: String,
    /// When it will have passed, where that is known; a gate opens when it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// A gate that closed, rather than a time that somebody has set.
    pub gate: bool,
}

impl Wait {
    /// Closed gates, as one wait.
    pub fn gates(closed: &[Gate]) -> Option<Self> {
        let names: Vec<&str> = closed.iter().map(|gate| gate.name.as_str()).collect();
        let why: Vec<&str> = closed.iter().map(|gate| gate.evidence.as_str()).collect();
        (!closed.is_empty()).then(|| Self {
            for_: names.join(", "),
            why: why.join("; "),
            until: None,
            gate: true,
        })
    }

    /// The same thing is waited for, whatever its numbers are by now.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.for_, self.until, self.gate) == (&other.for_, other.until, other.gate)
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.gate {
            true => write!(f, "gate {} is closed: {}", self.for_, self.why),
            false => write!(f, "{}", self.why),
        }
    }
}

/// Where an operation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    Running,
    Paused,
    Finished,
    Aborted,
    Failed,
}

impl Phase {
    /// What became of the operation, in words: `finished`, `was aborted`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Running => "runs",
            Self::Paused => "is paused",
            Self::Finished => "finished",
            Self::Aborted => "was aborted",
            Self::Failed => "failed",
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StepState {
    Next,
    Doing { since: Moment },
    Done { at: Moment, outcome: String },
}

/// How far the step in flight is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub step: usize,
    /// Partitions, or topics.
    pub done: u32,
    pub total: u32,
    /// Of the replicas being copied; `None` when a size is not known.
    pub bytes_done: Option<u64>,
    pub bytes_total: Option<u64>,
    /// At the mean rate since the step began.
    pub eta_seconds: Option<u64>,
    /// Of what is copied, by the broker that gets it.
    #[serde(skip)]
    pub arrived: BTreeMap<BrokerId, u64>,
    /// The most that one broker takes, in the mean since the step began; `None` in its first seconds.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
    /// How much is moved at once and how fast, in words, where that is decided as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced: Option<String>,
    /// Bytes to come of those that were asked for.
    #[serde(skip)]
    pub flying: u64,
    /// What it waits for, in words.
    pub note: String,
}

impl Phase {
    /// Whether nothing will happen any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Aborted | Self::Failed)
    }
}

impl Status {
    /// Folds a journal; `None` when it does not begin as one.
    pub fn of(entries: &[Entry], id: &Id) -> Option<Self> {
        let (first, rest) = entries.split_first()?;
        let Event::Begun {
            plan,
            by,
            reason,
            overrides,
            schedule,
        } = &first.event
        else {
            return None;
        };
        let mut status = Self {
            id: id.clone(),
            steps: vec![StepState::Next; plan.steps.len()],
            plan: (**plan).clone(),
            begun_at: first.at,
            begun_by: by.clone(),
            reason: reason.clone(),
            phase: Phase::Running,
            alive: false,
            last_at: first.at,
            note: None,
            asked: None,
            waits: None,
            schedule: schedule.clone(),
            units_resumed: 0,
            overrides: overrides.clone(),
            baseline: None,
            held: Vec::new(),
            progress: None,
        };
        rest.iter().for_each(|entry| status.apply(entry));
        Some(status)
    }

    pub(super) fn apply(&mut self, entry: &Entry) {
        self.last_at = entry.at;
        let mut set = |step: usize, state: StepState| {
            if let Some(slot) = self.steps.get_mut(step) {
                *slot = state;
            }
        };
        match &entry.event {
            Event::Begun { .. } | Event::Engine { .. } | Event::Slowed { .. } => {}
            Event::Step { step } => set(*step, StepState::Doing { since: entry.at }),
            Event::Done { step, outcome } => set(
                *step,
                StepState::Done {
                    at: entry.at,
                    outcome: outcome.clone(),
                },
            ),
            Event::Drained { .. } | Event::Undrained { .. } | Event::Run { .. } | Event::Ran { .. } => {}
            Event::Made { .. } => {}
            Event::TakenBack { step } => set(*step, StepState::Next),
            Event::Throttled { settings } => throttle::hold(&mut self.held, settings),
            Event::Unthrottled { settings } => throttle::release(&mut self.held, settings),
            Event::Baseline { seen } => self.baseline = Some((**seen).clone()),
            Event::Waits { wait } => self.waits = Some(wait.clone()),
            Event::GoesOn => self.waits = None,
            Event::Asked { ask, overrides, .. } => {
                self.asked = Some(*ask);
                self.overrides.extend(overrides.iter().cloned());
            }
            Event::Paused { why } => {
                (self.phase, self.asked, self.waits) = (Phase::Paused, None, None);
                self.note = why.clone();
            }
            Event::Resumed => {
                (self.phase, self.asked, self.note) = (Phase::Running, None, None);
                self.units_resumed = pace::done(self).0;
            }
            Event::Aborted { left } => {
                (self.phase, self.asked, self.note) = (Phase::Aborted, None, Some(left.clone()));
            }
            Event::Failed { reason, .. } => {
                (self.phase, self.asked, self.note) = (Phase::Failed, None, Some(reason.clone()))
            }
            Event::Finished => (self.phase, self.asked) = (Phase::Finished, None),
        }
    }

    /// A gate that holds it up, while an engine waits for it to open.
    pub fn gated(&self) -> Option<&Wait> {
        self.waits.as_ref().filter(|wait| wait.gate && self.is_waiting())
    }

    fn is_waiting(&self) -> bool {
        self.alive && self.phase == Phase::Running && self.asked.is_none() && self.waits.is_some()
    }

    /// What takes back the steps that were begun.
    ///
    /// # Errors
    /// While it is not over, and when they cannot be taken back.
    pub fn undoing(&self) -> Result<Intent, Error> {
        if !self.phase.is_over() {
            let (id, word) = (&self.id, self.word());
            return Err(Error::Refused(format!(
                "operation {id} is {word}; azimuth operation abort {id} first, then undo it"
            )));
        }
        let begun = |at: usize| self.steps.get(at).is_some_and(|step| *step != StepState::Next);
        undo::intent(&self.plan, begun).map_err(|error| Error::Refused(format!("operation {}: {error}", self.id)))
    }

    /// Whether no step was begun.
    pub fn is_untouched(&self) -> bool {
        self.steps.iter().all(|step| *step == StepState::Next)
    }

    /// Neither over nor in the hands of an engine: its process died, or never started.
    pub fn is_orphaned(&self) -> bool {
        !self.alive && !self.phase.is_over()
    }

    /// The state in one word: `running`, `waiting`, `paused`, `aborting`, `orphaned`, `finished`, `aborted`, `failed`.
    pub fn word(&self) -> String {
        match (self.is_orphaned(), self.asked) {
            (true, _) => "orphaned".to_owned(),
            (false, Some(Ask::Abort)) => "aborting".to_owned(),
            (false, _) if self.is_waiting() => "waiting".to_owned(),
            (false, _) => self.phase.to_string(),
        }
    }

    /// How the operation can be taken up or taken back, when nobody carries it out.
    pub fn way_out(&self) -> Option<String> {
        let id = &self.id;
        match (self.is_orphaned(), self.asked) {
            (false, _) => None,
            (true, Some(Ask::Abort)) => Some(format!("azimuth operation abort {id} goes on taking it back")),
            (true, _) => Some(format!(
                "azimuth operation resume {id} finishes it, azimuth operation abort {id} takes back what is in flight"
            )),
        }
    }

    /// The first step that is not done.
    pub fn current(&self) -> Option<usize> {
        self.steps
            .iter()
            .position(|step| !matches!(step, StepState::Done { .. }))
    }

    pub fn steps_done(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| matches!(step, StepState::Done { .. }))
            .count()
    }

    /// 0..=100, by steps, with the step in flight as far as it is known.
    pub fn percent(&self) -> f64 {
        let part = self
            .progress
            .as_ref()
            .map_or(0.0, |p| match (p.bytes_done, p.bytes_total) {
                (Some(done), Some(total)) if total > 0 => done as f64 / total as f64,
                _ if p.total > 0 => f64::from(p.done) / f64::from(p.total),
                _ => 0.0,
            });
        let done = self.steps_done() as f64 + if self.phase.is_over() { 0.0 } else { part.min(1.0) };
        if self.steps.is_empty() {
            100.0
        } else {
            (done * 100.0 / self.steps.len() as f64).min(100.0)
        }
    }

    /// In one line: what is done, what is half done, what is next.
    pub fn summary(&self) -> String {
        let done = self.steps_done();
        let total = self.steps.len();
        let half = match self
            .current()
            .filter(|_| !self.phase.is_over() || self.phase == Phase::Failed)
            .and_then(|at| Some((at, self.steps.get(at)?)))
        {
            Some((at, StepState::Doing { .. })) => format!(", step {} was begun and is not verified", at + 1),
            _ => String::new(),
        };
        let dead = if self.alive || self.phase.is_over() {
            ""
        } else {
            "; its engine is gone"
        };
        let note = self.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        let held = match self.held.is_empty() || self.alive {
            true => String::new(),
            false => format!(", {} still set", words(&self.held)),
        };
        let waits = self.waits.as_ref().filter(|_| self.is_waiting());
        let waits = waits.map(|wait| format!("; {wait}")).unwrap_or_default();
        let steps = if total == 1 { "step" } else { "steps" };
        format!(
            "{} ({done} of {total} {steps} done{half}{held}{dead}{waits}){note}",
            self.word()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{begun, now, who};
    use super::*;

    fn status(events: Vec<Event>) -> Status {
        let entry = |event| Entry::new(now(), event);
        let entries: Vec<Entry> = std::iter::once(begun()).chain(events).map(entry).collect();
        Status::of(&entries, &Id::parse("abc123").unwrap()).unwrap()
    }

    fn done(step: usize) -> Event {
        Event::Done {
            step,
            outcome: "made".into(),
        }
    }

    #[test]
    fn a_journal_that_begins_with_anything_else_is_none() {
        let id = Id::parse("abc123").unwrap();
        assert!(Status::of(&[], &id).is_none());
        let stray = Entry::new(now(), Event::Finished);
        assert!(Status::of(&[stray], &id).is_none());
    }

    #[test]
    fn what_is_half_done_without_an_engine_is_told_with_the_way_out() {
        let status = status(vec![
            Event::Engine { by: who() },
            Event::Step { step: 0 },
            done(0),
            Event::Step { step: 1 },
        ]);
        assert!(status.is_orphaned() && !status.is_untouched());
        assert_eq!(
            status.summary(),
            "orphaned (1 of 2 steps done, step 2 was begun and is not verified; its engine is gone)"
        );
        assert!(status.way_out().unwrap().contains("operation resume abc123"));
        assert_eq!(status.percent(), 50.0);
        let alive = Status { alive: true, ..status };
        assert_eq!((alive.word().as_str(), alive.way_out()), ("running", None));
    }

    #[test]
    fn pause_and_resume_take_effect_when_the_engine_says_so() {
        let asked = |ask| Event::Asked {
            ask,
            by: who(),
            overrides: Vec::new(),
            reason: None,
        };
        let pausing = status(vec![Event::Step { step: 0 }, asked(Ask::Pause)]);
        assert_eq!((pausing.phase, pausing.asked), (Phase::Running, Some(Ask::Pause)));
        let paused = status(vec![asked(Ask::Pause), Event::Paused { why: None }]);
        assert_eq!((paused.phase, paused.asked), (Phase::Paused, None));
        let going = status(vec![
            asked(Ask::Pause),
            Event::Paused { why: None },
            asked(Ask::Resume),
            Event::Resumed,
        ]);
        assert_eq!((going.phase, going.asked), (Phase::Running, None));
    }

    #[test]
    fn who_waits_says_for_what_until_it_goes_on() {
        let wait = Wait {
            for_: "isr".into(),
            why: "ISRs have shrunk".into(),
            until: None,
            gate: true,
        };
        let events = vec![Event::Step { step: 0 }, done(0), Event::Waits { wait }];
        let waiting = Status {
            alive: true,
            ..status(events.clone())
        };
        assert_eq!((waiting.word().as_str(), waiting.gated().is_some()), ("waiting", true));
        assert_eq!(
            waiting.summary(),
            "waiting (1 of 2 steps done; gate isr is closed: ISRs have shrunk)"
        );
        let dead = status(events.clone());
        assert_eq!((dead.word().as_str(), dead.gated()), ("orphaned", None));
        let on = status(events.into_iter().chain([Event::GoesOn]).collect());
        assert_eq!(Status { alive: true, ..on }.word(), "running");
    }

    #[test]
    fn an_abort_that_nobody_finished_is_still_one() {
        let status = status(vec![
            Event::Step { step: 0 },
            Event::Asked {
                ask: Ask::Abort,
                by: who(),
                overrides: Vec::new(),
                reason: None,
            },
        ]);
        assert_eq!(status.asked, Some(Ask::Abort));
        assert!(status.way_out().unwrap().contains("operation abort abc123"));
    }

    #[test]
    fn the_end_is_the_end() {
        for (end, phase) in [
            (Event::Finished, Phase::Finished),
            (Event::Aborted { left: "x".into() }, Phase::Aborted),
            (
                Event::Failed {
                    step: 0,
                    reason: "x".into(),
                },
                Phase::Failed,
            ),
        ] {
            let status = status(vec![Event::Step { step: 0 }, end]);
            assert_eq!(status.phase, phase);
            assert!(status.phase.is_over() && !status.is_orphaned());
            assert_eq!(status.percent(), 0.0, "a step that was not verified does not count");
        }
    }
}
