//! The loop that carries out one plan: journal, act, look, journal; and what may happen in between.
//!
//! It listens all the time: an operator who asks something while a broker does not answer is heard at once.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use super::journal::{Ask, Event, Journal};
use super::lock::{self, Lock};
use super::socket::{self, Request};
use super::status::{Phase, Progress, Status, StepState};
use super::step::{self, Act, Secrets, Seen};
use super::{Error, Id, Who, prepare};
use crate::feed::Sources;
use crate::model::{Moment, Snapshot};
use crate::plan::{Step, drift};
use crate::source::kafka::Kafka;

/// How often a step in flight is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long one look before the first act may take; then it looks again.
const FIRST_LOOK: Duration = Duration::from_secs(20);
/// So many looks in a row must agree that a step has gone astray: brokers learn of changes one after the other.
const ASTRAY_LOOKS: u32 = 5;
/// How long an engine that is done stays to tell those who watch.
const FAREWELL: Duration = Duration::from_millis(200);

/// Runs one operation to its end. Only one process can; it holds the journal and the locks of what it changes.
///
/// # Errors
/// When it could not begin, or the journal cannot be written any more. What else goes wrong is in the journal, and the
/// returned status says so.
pub async fn run(folder: &Folder, id: &Id, sources: &Sources, secrets: Secrets) -> Result<Status, Error> {
    let mut journal = Journal::take_up(&folder.journal(id), id)?;
    let status = Status::of(journal.entries(), id).ok_or_else(|| Error::Unknown(id.to_string()))?;
    if status.phase.is_over() {
        return Err(Error::Over {
            id: id.clone(),
            phase: status.phase,
        });
    }
    let who = Who::me();
    let locks: Result<Vec<Lock>, Error> = lock::scopes(&status.plan)
        .iter()
        .map(|scope| Lock::take(&folder.locks(), scope, id, &who))
        .collect();
    if let Err(error) = &locks
        && status.is_untouched()
    {
        // It never began, so it must not lie about as something to be resumed.
        let reason = format!("nothing was done: {error}");
        journal.append(Event::Failed { step: 0, reason }, Moment::now())?;
    }
    let _locks = locks?;
    journal.append(Event::Engine { by: who }, Moment::now())?;
    let (status, watching) = watch::channel(Status { alive: true, ..status });
    let (asks, asked) = mpsc::channel(16);
    let server = tokio::spawn(socket::serve(socket::listen(&folder.socket(id))?, watching, asks));
    let mut engine = Engine {
        kafka: sources.kafka.clone(),
        secrets,
        journal,
        status,
        asked,
    };
    let outcome = engine.go(sources).await;
    sleep(FAREWELL).await;
    server.abort();
    // Nobody listens there any more; a leftover is replaced by the next engine anyway.
    let _ = std::fs::remove_file(folder.socket(id));
    outcome?;
    Ok(engine.status.borrow().clone())
}

struct Engine {
    kafka: Kafka,
    secrets: Secrets,
    journal: Journal,
    status: watch::Sender<Status>,
    asked: mpsc::Receiver<Request>,
}

/// What an operator's wish means for what is being done.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    GoOn,
    Abort,
}

impl Engine {
    async fn go(&mut self, sources: &Sources) -> Result<(), Error> {
        let (steps, aborting, resting) = {
            let status = self.status.borrow();
            let resting = status.phase == Phase::Paused || status.asked == Some(Ask::Pause);
            (status.plan.steps.clone(), status.asked == Some(Ask::Abort), resting)
        };
        if aborting {
            // The engine before us was asked to, and died over it.
            return self.abort().await;
        }
        if resting {
            // Whoever starts an engine for a paused operation wants it to go on.
            self.note(Event::Resumed)?;
        }
        if !self.may_begin(sources).await? {
            return Ok(());
        }
        for (at, step) in steps.iter().enumerate() {
            let state = self.status.borrow().steps[at].clone();
            if matches!(state, StepState::Done { .. }) {
                continue;
            }
            // Between steps nothing is in flight, so this is where a pause begins.
            if self.rest().await? == Wish::Abort {
                return self.abort().await;
            }
            let again = matches!(state, StepState::Doing { .. });
            self.note(Event::Step { step: at })?;
            if !self.carry_out(at, step, again).await? {
                return Ok(());
            }
        }
        self.note(Event::Finished)
    }

    /// Waits until the cluster can be seen and is the plan's; before the first act also that the plan still fits it.
    /// When it may not begin, the journal says why.
    async fn may_begin(&mut self, sources: &Sources) -> Result<bool, Error> {
        let (plan, untouched) = {
            let status = self.status.borrow();
            (status.plan.clone(), status.is_untouched())
        };
        loop {
            let sources = sources.clone();
            let looked = plan.clone();
            let look = async move { prepare::again(&sources, &looked, FIRST_LOOK).await };
            let Some(snapshot) = self.hear(look).await? else {
                self.abort().await?;
                return Ok(false);
            };
            if let Some(cluster) = snapshot.cluster.get()
                && cluster.id != plan.cluster_id
            {
                let (wanted, found) = (&plan.cluster_id, &cluster.id);
                return Err(Error::Drifted(format!(
                    "the plan is for cluster {wanted}, this is {found}"
                )));
            }
            if let Some(unseen) = unseen(&snapshot).or_else(|| prepare::unseen(&snapshot)) {
                self.wait_for(unseen);
                if self.pass(LOOK).await? == Wish::Abort {
                    self.abort().await?;
                    return Ok(false);
                }
                continue;
            }
            if !untouched {
                return Ok(true);
            }
            let drifts = drift::since(&plan, &snapshot, Moment::now());
            let material: Vec<String> = drifts.into_iter().filter(|d| d.material).map(|d| d.what).collect();
            if material.is_empty() {
                return Ok(true);
            }
            let reason = format!("nothing was done: {}", material.join("; "));
            self.note(Event::Failed { step: 0, reason })?;
            return Ok(false);
        }
    }

    /// Whether the step was done; otherwise the journal says how it ended.
    async fn carry_out(&mut self, at: usize, step: &Step, again: bool) -> Result<bool, Error> {
        let started = Instant::now();
        let (mut asked, mut again, mut astray) = (false, again, 0);
        loop {
            if !asked {
                match self
                    .hear(step::act(self.kafka.clone(), step.clone(), again, self.secrets.clone()))
                    .await?
                {
                    None => return self.abort().await.map(|()| false),
                    Some(Act::Asked) => asked = true,
                    Some(Act::Later(why)) => {
                        // It may have been done although the answer was lost.
                        again = true;
                        self.wait_for(why);
                    }
                    Some(Act::Refused(reason)) => {
                        self.note(Event::Failed { step: at, reason })?;
                        return Ok(false);
                    }
                }
            }
            if asked {
                match self.hear(step::look(self.kafka.clone(), step.clone(), at)).await? {
                    None => return self.abort().await.map(|()| false),
                    Some(Seen::Done(outcome)) => {
                        self.note(Event::Done { step: at, outcome })?;
                        return Ok(true);
                    }
                    Some(Seen::Waiting(progress)) => {
                        astray = 0;
                        self.show(with_eta(progress, started.elapsed()));
                    }
                    Some(Seen::Astray(reason)) if astray + 1 >= ASTRAY_LOOKS => {
                        self.note(Event::Failed { step: at, reason })?;
                        return Ok(false);
                    }
                    Some(Seen::Astray(why)) => {
                        astray += 1;
                        self.wait_for(why);
                    }
                    Some(Seen::Unknown(why)) => self.wait_for(why),
                }
            }
            if self.pass(LOOK).await? == Wish::Abort {
                return self.abort().await.map(|()| false);
            }
        }
    }

    /// Takes back what is in flight, waits until nothing is, and ends.
    async fn abort(&mut self) -> Result<(), Error> {
        let doing = {
            let status = self.status.borrow();
            let at = status
                .steps
                .iter()
                .position(|step| matches!(step, StepState::Doing { .. }));
            at.and_then(|at| status.plan.steps.get(at).cloned())
        };
        let how = match doing {
            None => "nothing was in flight",
            Some(step @ Step::Reassign { .. }) => {
                self.take_back(&step).await?;
                "moves in flight were taken back"
            }
            Some(_) => "the step that was begun cannot be taken back, and what became of it was not verified",
        };
        let left = {
            let status = self.status.borrow();
            format!(
                "{how}; {} of {} steps stay done",
                status.steps_done(),
                status.steps.len()
            )
        };
        self.note(Event::Aborted { left })
    }

    async fn take_back(&mut self, step: &Step) -> Result<(), Error> {
        let mut rest = Duration::ZERO;
        loop {
            let (kafka, step) = (self.kafka.clone(), step.clone());
            let work = async move {
                sleep(rest).await;
                step::take_back(kafka, step).await
            };
            let mut work = pin!(work);
            let act = loop {
                tokio::select! {
                    act = &mut work => break act,
                    // Who asks for an abort again is answered; nothing else can be had any more.
                    Some(request) = self.asked.recv() => if request.ask == Ask::Abort {
                        self.heed(request)?;
                    },
                }
            };
            match act {
                Act::Asked => return Ok(()),
                Act::Later(why) | Act::Refused(why) => self.wait_for(format!("aborting: {why}")),
            }
            rest = LOOK;
        }
    }

    /// Between steps: takes note of wishes, and stays here while paused.
    async fn rest(&mut self) -> Result<Wish, Error> {
        loop {
            while let Ok(request) = self.asked.try_recv() {
                if self.heed(request)? == Wish::Abort {
                    return Ok(Wish::Abort);
                }
            }
            let (phase, asked) = {
                let status = self.status.borrow();
                (status.phase, status.asked)
            };
            match (phase, asked) {
                (Phase::Running, Some(Ask::Pause)) => self.note(Event::Paused)?,
                (Phase::Paused, _) => match self.asked.recv().await {
                    Some(request) => {
                        if self.heed(request)? == Wish::Abort {
                            return Ok(Wish::Abort);
                        }
                    }
                    None => return Ok(Wish::GoOn),
                },
                _ => return Ok(Wish::GoOn),
            }
        }
    }

    /// Lets time pass while listening.
    async fn pass(&mut self, time: Duration) -> Result<Wish, Error> {
        let passed = self.hear(sleep(time)).await?;
        Ok(passed.map_or(Wish::Abort, |()| Wish::GoOn))
    }

    /// Works on something while listening; `None` when somebody wants it aborted.
    async fn hear<T>(&mut self, work: impl Future<Output = T>) -> Result<Option<T>, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(Some(done)),
                Some(request) = self.asked.recv() => if self.heed(request)? == Wish::Abort {
                    return Ok(None);
                },
            }
        }
    }

    fn heed(&mut self, request: Request) -> Result<Wish, Error> {
        let ask = request.ask;
        self.note(Event::Asked { ask, by: request.by })?;
        match ask {
            Ask::Abort => Ok(Wish::Abort),
            Ask::Resume => {
                self.note(Event::Resumed)?;
                Ok(Wish::GoOn)
            }
            Ask::Pause => Ok(Wish::GoOn),
        }
    }

    /// One journal line, and the status that follows from it.
    fn note(&mut self, event: Event) -> Result<(), Error> {
        self.journal.append(event, Moment::now())?;
        if let Some(entry) = self.journal.entries().last() {
            self.status.send_modify(|status| status.apply(entry));
        }
        Ok(())
    }

    fn show(&self, progress: Progress) {
        self.status.send_if_modified(|status| {
            let changed = status.progress.as_ref() != Some(&progress);
            status.progress = Some(progress);
            changed
        });
    }

    /// The progress as it was, and what it waits for.
    fn wait_for(&self, note: String) {
        let progress = self.status.borrow().progress.clone().unwrap_or_default();
        let step = self.status.borrow().current().unwrap_or(progress.step);
        self.show(Progress { step, note, ..progress });
    }
}

/// What could not be seen, so that it is waited for rather than taken for gone.
fn unseen(snapshot: &Snapshot) -> Option<String> {
    let problem = |problem: Option<String>| problem.unwrap_or_else(|| "no answer yet".to_owned());
    if snapshot.cluster.get().is_none() {
        return Some(format!(
            "waiting for the cluster: {}",
            problem(snapshot.cluster.problem())
        ));
    }
    if snapshot.topics.get().is_none() {
        return Some(format!(
            "waiting for the topics: {}",
            problem(snapshot.topics.problem())
        ));
    }
    if snapshot.reassignments.get().is_none() {
        let why = problem(snapshot.reassignments.problem());
        return Some(format!("waiting for the reassignments in flight: {why}"));
    }
    None
}

/// The mean rate since the step began, carried on.
fn with_eta(progress: Progress, elapsed: Duration) -> Progress {
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
