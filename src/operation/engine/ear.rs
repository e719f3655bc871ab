//! Listening while something is worked on: who asks for something is answered at once, and what follows from it is in the journal first.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Engine, Stop, Wish};
use crate::model::Moment;
use crate::operation::Error;
use crate::operation::journal::{Ask, Event};
use crate::operation::socket::Request;
use crate::operation::status::{Progress, Wait};
use crate::plan::Step;

impl Engine {
    /// Lets time pass while listening.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<Wish, Error> {
        let passed = self.hear(sleep(time)).await?;
        Ok(passed.map_or_else(Wish::Stop, |()| Wish::GoOn))
    }

    /// Works on something while listening; `Err` when somebody wants it left.
    pub(super) async fn hear<T>(&mut self, work: impl Future<Output = T>) -> Result<Result<T, Stop>, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(Ok(done)),
                Some(request) = self.asked.recv() => if let Wish::Stop(stop) = self.take_note(request)? {
                    return Ok(Err(stop));
                },
            }
        }
    }

    /// Works on something that must come to its end. Whoever asks is answered at once, and gets it afterwards.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                Some(request) = self.asked.recv() => {
                    self.take_note(request)?;
                }
            }
        }
    }

    /// Does what has to be done in any case. Who asks for an abort again is answered; nothing else can be had any more.
    pub(super) async fn insist<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                Some(request) = self.asked.recv() => if request.ask == Ask::Abort {
                    self.take_note(request)?;
                },
            }
        }
    }

    pub(super) fn take_note(&mut self, request: Request) -> Result<Wish, Error> {
        let ask = request.ask;
        self.note(Event::Asked {
            ask,
            by: request.by,
            overrides: request.overrides,
            reason: request.reason,
        })?;
        match ask {
            Ask::Abort => Ok(Wish::Stop(Stop::Abort)),
            Ask::PauseNow if self.can_go_back() => Ok(Wish::Stop(Stop::Halt)),
            Ask::Resume => {
                self.since = Instant::now();
                self.note(Event::Resumed)?;
                Ok(Wish::GoOn)
            }
            // Then the step goes on to its end, as for any pause.
            Ask::Pause | Ask::PauseNow => Ok(Wish::GoOn),
        }
    }

    /// Whether the step in flight can be taken back and done again.
    pub(super) fn can_go_back(&self) -> bool {
        let status = self.status.borrow();
        let step = status.current().and_then(|at| status.plan.steps.get(at));
        matches!(
            step,
            Some(Step::Reassign { .. } | Step::SetThrottle { .. } | Step::AwaitIsr(_))
        )
    }

    /// One journal line, and the status that follows from it.
    pub(super) fn note(&mut self, event: Event) -> Result<(), Error> {
        self.journal.append(event, Moment::now())?;
        if let Some(entry) = self.journal.entries().last() {
            self.status.send_modify(|status| status.apply(entry));
            self.notify.tell(&entry.event, &self.status.borrow());
        }
        Ok(())
    }

    pub(super) fn show(&self, progress: Progress) {
        self.status.send_if_modified(|status| {
            let changed = status.progress.as_ref() != Some(&progress);
            status.progress = Some(progress);
            changed
        });
    }

    /// The progress as it was, and what it waits for.
    pub(super) fn wait_for(&self, note: String) {
        let progress = self.status.borrow().progress.clone().unwrap_or_default();
        let step = self.status.borrow().current().unwrap_or(progress.step);
        self.show(Progress { step, note, ..progress });
    }

    /// Notes what is waited for, unless it is known.
    pub(super) fn stand(&mut self, wait: Wait) -> Result<(), Error> {
        let known = self
            .status
            .borrow()
            .waits
            .as_ref()
            .is_some_and(|known| known.is_same(&wait));
        match known {
            true => Ok(()),
            false => self.note(Event::Waits { wait }),
        }
    }

    /// Waits, in the journal, until what closes this gate has passed or a person overrides it.
    pub(super) fn stand_at(&mut self, gate: &str, why: String) -> Result<(), Error> {
        self.stand(Wait {
            for_: gate.to_owned(),
            why,
            until: None,
            gate: true,
        })
    }

    /// Notes that nothing is waited for any more.
    pub(super) fn go_on(&mut self) -> Result<(), Error> {
        if self.status.borrow().waits.is_some() {
            self.note(Event::GoesOn)?;
        }
        Ok(())
    }
}
