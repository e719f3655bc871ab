//! How much of a reassignment is in flight at once and how fast it is copied, by what a watch beside it sees.

use std::time::Duration;

use super::{Engine, Stop};
use crate::model::Moment;
use crate::model::throttle::{Rate, Setting};
use crate::operation::aimd::{Aimd, Sign, is_material};
use crate::operation::journal::Event;
use crate::operation::status::{Progress, Wait};
use crate::operation::throttle as throttles;
use crate::operation::watch::{Report, Watch};
use crate::operation::{Error, crash};
use crate::plan::reassign::Throttle;
use crate::plan::summary::size;
use crate::plan::throttle::per_second;
use crate::plan::{Move, Step};

impl Engine {
    /// How many moves of a step are asked for at first; all where nothing decides it.
    pub(super) fn first(&self, step: &Step) -> usize {
        match (step, &self.window) {
            (Step::Reassign { moves }, Some(window)) => window.admits(0, true, moves.iter().map(Move::copied_bytes)),
            (Step::Reassign { moves }, None) => moves.len(),
            _ => 0,
        }
    }

    /// How many more may be asked for beside what is in flight; none while a gate is closed.
    pub(super) fn more(&self, step: &Step, begun: usize, flying: u64, is_idle: bool) -> usize {
        let (Step::Reassign { moves }, Some(window)) = (step, &self.window) else {
            return 0;
        };
        // Where nothing is in flight the step must come to its end all the same: it is what the gate lets happen.
        if self.status.borrow().waits.is_some() && !is_idle {
            return 0;
        }
        window.admits(flying, is_idle, moves[begun..].iter().map(Move::copied_bytes))
    }

    /// `at most 6 GB in flight, throttle 40 MB/s`.
    pub(super) fn paced(&self, step: &Step) -> Option<String> {
        let window = self.window.as_ref().filter(|_| matches!(step, Step::Reassign { .. }))?;
        let rate = self
            .wanted_rate()
            .map(|rate| format!(", throttle {}", per_second(rate)));
        Some(format!(
            "at most {} in flight{}",
            size(Some(window.now())),
            rate.unwrap_or_default()
        ))
    }

    /// How much may be in flight and how fast it may be copied at first.
    pub(super) fn pace(&mut self) {
        let status = self.status.borrow();
        let copied = |step: &Step| match step {
            Step::Reassign { moves } => moves.iter().map(|one| one.copied_bytes().unwrap_or(0)).sum(),
            _ => 0,
        };
        let most: u64 = status.plan.steps.iter().map(copied).max().unwrap_or(0);
        self.window = Some(Aimd::halfway(most));
        self.rate = status
            .plan
            .throttle
            .as_ref()
            .map(|throttle| Aimd::full(floor(throttle), throttle.bytes_per_second));
    }

    /// What a look showed decides how much is moved at once from here on.
    pub(super) fn heed(&mut self, report: &Report) -> Result<(), Error> {
        if self.heeded.replace(report.began) == Some(report.began) {
            return Ok(());
        }
        let sign = report.strain.clone().map_or(Sign::Fine, Sign::Strained);
        if let (Some(rate), Some(throttle)) = (&mut self.rate, &report.throttle) {
            rate.bound(floor(throttle), throttle.bytes_per_second);
        }
        let bytes_in_flight = self
            .window
            .as_mut()
            .map(|window| window.decide(&sign))
            .unwrap_or_default();
        let bytes_per_second = self.rate.as_mut().map(|rate| rate.decide(&sign));
        let strained = matches!(sign, Sign::Strained(_));
        let before = std::mem::replace(&mut self.strained, strained);
        match sign {
            Sign::Strained(why) if !before => self.note(Event::Slowed {
                why,
                bytes_in_flight,
                bytes_per_second,
            }),
            _ => Ok(()),
        }
    }

    /// Bytes a second that every broker of the plan is to be throttled to now; `None` of one that is not throttled.
    pub(super) fn wanted_rate(&self) -> Option<u64> {
        let rate = self.rate.as_ref()?.now();
        let outside = self.status.borrow().schedule.rate(Moment::now());
        Some(outside.map_or(rate, |outside| outside.min(rate)))
    }

    /// Brings the rates that are set to what they are to be by now, where that differs by so much that it matters. What
    /// cannot be told now is told after the next look.
    pub(super) async fn adapt(&mut self) -> Result<(), Error> {
        let Some(wanted) = self.wanted_rate() else {
            return Ok(());
        };
        let held = self.status.borrow().held.clone();
        let rate = |setting: &Setting| match setting {
            Setting::Rate(rate) => Some(rate.clone()),
            Setting::List(_) => None,
        };
        let held: Vec<Rate> = held.iter().filter_map(rate).collect();
        let old: Vec<Rate> = held
            .iter()
            .filter(|one| one.bytes_per_second != wanted)
            .cloned()
            .collect();
        let outside = self.status.borrow().schedule.rate(Moment::now()) == Some(wanted);
        if !old
            .iter()
            .any(|one| outside || is_material(one.bytes_per_second, wanted))
        {
            return Ok(());
        }
        let new: Vec<Setting> = old
            .iter()
            .map(|one| Setting::rate(one.broker, one.side, wanted))
            .collect();
        let ours = |setting: &Setting| matches!(setting, Setting::Rate(rate) if held.contains(rate));
        let unknown: Vec<Setting> = new.iter().filter(|one| !ours(one)).cloned().collect();
        if !unknown.is_empty() {
            self.note(Event::Throttled { settings: unknown })?;
        }
        let old: Vec<Setting> = old.into_iter().map(Setting::Rate).collect();
        crash::point();
        let changed = throttles::change(&self.kafka, &old, &new).await;
        crash::point();
        match changed {
            Ok(gone) if gone.is_empty() => Ok(()),
            Ok(gone) => self.note(Event::Unthrottled { settings: gone }),
            Err(why) => {
                self.wait_for(format!("changing the throttle to {}: {why}", per_second(wanted)));
                Ok(())
            }
        }
    }

    /// While a step is in flight: says what holds up the next, and whether this one must go back.
    pub(super) fn heed_gates(&mut self, step: &Step) -> Result<Option<Stop>, Error> {
        let report = self.watch.as_ref().and_then(Watch::report);
        let (true, Some(report)) = (matches!(step, Step::Reassign { .. }), report) else {
            return Ok(None);
        };
        self.heed(&report)?;
        match Wait::gates(&report.closed) {
            Some(wait) => self.stand(wait)?,
            None => self.go_on()?,
        }
        Ok(report.retreat.as_ref().map(|_| Stop::Halt))
    }
}

/// A rate must be more than clients write, or nothing ever gets in sync: a quarter more.
fn floor(throttle: &Throttle) -> u64 {
    throttle.ingest_bytes_per_second.unwrap_or(0).saturating_mul(5) / 4
}

pub(super) fn at_rate(setting: &mut Setting, wanted: u64) {
    if let Setting::Rate(rate) = setting {
        rate.bytes_per_second = wanted;
    }
}

/// The first moves of a step.
pub(super) fn part(step: &Step, begun: usize) -> Step {
    match step {
        Step::Reassign { moves } => Step::Reassign {
            moves: moves[..begun].to_vec(),
        },
        other => other.clone(),
    }
}

/// How far a part is, as a part of the whole step.
pub(super) fn whole(progress: Progress, step: &Step, begun: usize) -> Progress {
    let Step::Reassign { moves } = step else {
        return progress;
    };
    let rest: Option<u64> = moves[begun..].iter().map(Move::copied_bytes).sum();
    Progress {
        total: moves.len() as u32,
        bytes_total: progress.bytes_total.zip(rest).map(|(part, rest)| part + rest),
        ..progress
    }
}

/// The mean rate since the step began, carried on.
pub(super) fn with_eta(progress: Progress, elapsed: Duration) -> Progress {
    let eta = match (progress.bytes_done, progress.bytes_total) {
        (Some(done), Some(total)) if done > 0 && total > done => {
            Some((elapsed.as_secs_f64() * (total - done) as f64 / done as f64) as u64)
        }
        _ => None,
    };
    Progress {
        eta_seconds: eta,
        ..progress
    }
}
