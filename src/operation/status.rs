//! How an operation stands, as its journal tells it, and how its step in flight gets on, as its engine tells it.

use serde::{Deserialize, Serialize};

use super::journal::{Ask, Entry, Event};
use super::{Id, Who};
use crate::model::Moment;
use crate::plan::Plan;

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
    /// Of the step in flight; only from a live engine.
    #[serde(default)]
    pub progress: Option<Progress>,
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
        let Event::Begun { plan, by, reason, .. } = &first.event else {
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
            Event::Begun { .. } | Event::Engine { .. } => {}
            Event::Step { step } => set(*step, StepState::Doing { since: entry.at }),
            Event::Done { step, outcome } => set(
                *step,
                StepState::Done {
                    at: entry.at,
                    outcome: outcome.clone(),
                },
            ),
            Event::Asked { ask, .. } => self.asked = Some(*ask),
            Event::Paused => (self.phase, self.asked) = (Phase::Paused, None),
            Event::Resumed => (self.phase, self.asked) = (Phase::Running, None),
            Event::Aborted { left } => {
                (self.phase, self.asked, self.note) = (Phase::Aborted, None, Some(left.clone()));
            }
            Event::Failed { reason, .. } => {
                (self.phase, self.asked, self.note) = (Phase::Failed, None, Some(reason.clone()))
            }
            Event::Finished => (self.phase, self.asked) = (Phase::Finished, None),
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
        let half = match self.current().and_then(|at| Some((at, self.steps.get(at)?))) {
            Some((at, StepState::Doing { .. })) => format!(", step {} was begun and is not verified", at + 1),
            _ => String::new(),
        };
        let dead = if self.alive || self.phase.is_over() {
            ""
        } else {
            "; its engine is gone"
        };
        let note = self.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        format!("{} ({done} of {total} steps done{half}{dead}){note}", self.phase)
    }
}
