//! What an operation throttles: set where nobody else has, in the journal before it is set, and seen to be gone after.

use std::time::Duration;

use tokio::time::sleep;

use super::{End, Engine, Pace, Wish};
use crate::model::throttle::{self, Setting};
use crate::operation::journal::Event;
use crate::operation::step::is_passing;
use crate::operation::throttle::{self as throttles, Left};
use crate::operation::{Error, crash};
use crate::plan::Step;
use crate::plan::throttle::words;

/// So often a throttle that somebody refuses to take away is tried.
const LIFT_TRIES: u32 = 10;

impl Engine {
    /// Sets what nobody has set, and reads it back. What is about to be set is in the journal first, so that it is ours
    /// whatever happens.
    pub(super) async fn throttle(&mut self, at: usize, settings: &[Setting]) -> Result<End, Error> {
        let held = throttle::among(settings, &self.status.borrow().held);
        let mut wanted = settings.to_vec();
        throttle::release(&mut wanted, &held);
        let mut pace = Pace::new();
        let free = loop {
            let (kafka, wanted) = (self.kafka.clone(), wanted.clone());
            let look = async move { throttles::free(&kafka, &wanted).await };
            match self.hear(look).await? {
                Err(stop) => return Ok(End::Stopped(stop)),
                Ok(Ok(free)) => break free,
                Ok(Err(error)) if is_passing(&error) => self.wait_for(format!("before the throttle is set: {error}")),
                Ok(Err(error)) => return Ok(End::Failed(error.to_string())),
            }
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(End::Stopped(stop));
            }
        };
        if !free.is_empty() {
            self.note(Event::Throttled { settings: free.clone() })?;
        }
        let ours = throttle::among(settings, &self.status.borrow().held);
        if ours.is_empty() {
            return Ok(End::Done("all of it is throttled by others already".to_owned()));
        }
        self.carry_out(at, &Step::SetThrottle { settings: ours }, true).await
    }

    /// Takes away what is named, or what this operation holds.
    pub(super) async fn clear(&mut self, settings: &[Setting]) -> Result<End, Error> {
        let own = |step: &Step| matches!(step, Step::SetThrottle { .. });
        let settings = {
            let status = self.status.borrow();
            match settings.is_empty() {
                true => status.held.clone(),
                // Of what it was to set only what nobody else had.
                false if status.plan.steps.iter().any(own) => throttle::among(settings, &status.held),
                false => settings.to_vec(),
            }
        };
        let left = self.lift(settings.clone()).await?;
        Ok(match left.is_empty() {
            true if settings.is_empty() => End::Done("nothing was set".to_owned()),
            true => End::Done(format!("{} gone", words(&settings))),
            false => End::Failed(still_set(&left)),
        })
    }

    pub(super) async fn lift_held(&mut self) -> Result<Vec<Left>, Error> {
        let held = self.status.borrow().held.clone();
        self.lift(held).await
    }

    /// Takes settings away until they are seen to be gone, and notes it. What cannot be taken away because somebody
    /// refuses it, or because a broker is not there to be asked, is returned after some tries; it stays in the ledger.
    pub(super) async fn lift(&mut self, settings: Vec<Setting>) -> Result<Vec<Left>, Error> {
        let (mut settings, mut tries) = (settings, 0);
        let mut pace = Pace::new();
        let mut rest = Duration::ZERO;
        while !settings.is_empty() {
            let (kafka, now) = (self.kafka.clone(), settings.clone());
            let work = async move {
                sleep(rest).await;
                crash::point();
                let cleared = throttles::clear(&kafka, &now).await;
                crash::point();
                cleared
            };
            let cleared = self.insist(work).await?;
            if !cleared.gone.is_empty() {
                throttle::release(&mut settings, &cleared.gone);
                self.note(Event::Unthrottled { settings: cleared.gone })?;
            }
            tries += 1;
            if let Some(left) = cleared.left.first() {
                self.wait_for(format!(
                    "taking throttles away: {}: {}",
                    left.setting.subject(),
                    left.why
                ));
                if tries >= LIFT_TRIES && cleared.left.iter().all(|left| !left.passing) {
                    return Ok(cleared.left);
                }
            }
            rest = pace.next();
        }
        Ok(Vec::new())
    }
}

/// What stays set, why, and the way out.
pub(super) fn still_set(left: &[Left]) -> String {
    let settings: Vec<Setting> = left.iter().map(|left| left.setting.clone()).collect();
    let why = left.first().map(|left| left.why.clone()).unwrap_or_default();
    format!(
        "{} could not be taken away ({why}); azimuth throttle clear does it later",
        words(&settings)
    )
}
