//! The loop that carries out one plan: journal, act, look, journal; and what may happen in between.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::folder::Folder;
use super::journal::{Ask, Event, Journal};
use super::lock::{self, Lock};
use super::socket::{self, Request};
use super::status::{Phase, Progress, Status, StepState};
use super::{Error, Id, Who, reassign, topic};
use crate::feed::{self, Needs, Section, Sources};
use crate::model::Moment;
use crate::plan::{Step, drift};
use crate::source::kafka::Kafka;

/// How often a step in flight is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the look before the first act may take.
const FIRST_LOOK: Duration = Duration::from_secs(20);
/// How long an engine that is done stays to tell those who watch.
const FAREWELL: Duration = Duration::from_millis(200);

/// What became of asking.
pub(super) enum Act {
    Asked,
    /// Nobody could be asked; it is asked again until it can, or somebody aborts.
    Later(String),
    Refused(String),
}

/// What a look showed.
pub(super) enum Seen {
    Done(String),
    Waiting(Progress),
    Unknown(String),
}

/// Runs one operation to its end. Only one process can; it holds the journal and the locks of what it changes.
///
/// # Errors
/// When it could not begin. What goes wrong later is in the journal, and the returned status says so.
pub async fn run(folder: &Folder, id: &Id, sources: &Sources) -> Result<Status, Error> {
    let mut journal = Journal::take_up(&folder.journal(id), id)?;
    let status = Status::of(journal.entries(), id).ok_or_else(|| Error::Unknown(id.to_string()))?;
    if status.phase.is_over() {
        return Err(Error::Over {
            id: id.clone(),
            phase: status.phase,
        });
    }
    let who = Who::me();
    let scopes = lock::scopes(&status.plan);
    let _locks: Vec<Lock> = scopes
        .iter()
        .map(|scope| Lock::take(&folder.locks(), scope, id, &who))
        .collect::<Result<_, _>>()?;
    journal.append(Event::Engine { by: who }, Moment::now())?;
    let (status, watching) = watch::channel(Status { alive: true, ..status });
    let (asks, asked) = mpsc::channel(16);
    let server = tokio::spawn(socket::serve(socket::listen(&folder.socket(id))?, watching, asks));
    let mut engine = Engine {
        kafka: sources.kafka.clone(),
        journal,
        status,
        asked,
        _server: server.abort_handle(),
    };
    let outcome = engine.go(sources).await;
    tokio::time::sleep(FAREWELL).await;
    server.abort();
    // Nobody listens there any more; a leftover is replaced by the next engine anyway.
    let _ = std::fs::remove_file(folder.socket(id));
    outcome?;
    Ok(engine.status.borrow().clone())
}

struct Engine {
    kafka: Kafka,
    journal: Journal,
    status: watch::Sender<Status>,
    asked: mpsc::Receiver<Request>,
    _server: AbortHandle,
}

/// What an operator's wish means for the step in flight.
enum Wish {
    GoOn,
    Abort,
}

impl Engine {
    async fn go(&mut self, sources: &Sources) -> Result<(), Error> {
        let untouched = self.status.borrow().steps.iter().all(|step| *step == StepState::Next);
        if untouched && let Some(reason) = self.drifted(sources).await {
            return self.note(Event::Failed { step: 0, reason });
        }
        if self.status.borrow().phase == Phase::Paused {
            // Whoever starts an engine for a paused operation wants it to go on.
            self.note(Event::Resumed)?;
        }
        let steps = self.status.borrow().plan.steps.clone();
        for (at, step) in steps.iter().enumerate() {
            let state = self.status.borrow().steps[at].clone();
            if matches!(state, StepState::Done { .. }) {
                continue;
            }
            // Between steps nothing is in flight, so this is where a pause begins.
            if let Wish::Abort = self.rest().await? {
                return self.note(Event::Aborted {
                    left: self.left("nothing was in flight"),
                });
            }
            let again = matches!(state, StepState::Doing { .. });
            self.note(Event::Step { step: at })?;
            if !self.carry_out(at, step, again).await? {
                return Ok(());
            }
        }
        self.note(Event::Finished)
    }

    /// Whether the step was done; otherwise the journal says how it ended.
    async fn carry_out(&mut self, at: usize, step: &Step, again: bool) -> Result<bool, Error> {
        let started = Instant::now();
        let mut asked = false;
        loop {
            let note = if asked {
                None
            } else {
                match self.act(step, again).await {
                    Act::Asked => {
                        asked = true;
                        None
                    }
                    Act::Later(why) => Some(why),
                    Act::Refused(reason) => {
                        self.note(Event::Failed { step: at, reason })?;
                        return Ok(false);
                    }
                }
            };
            let seen = if asked {
                self.look(at, step).await
            } else {
                Seen::Unknown(note.unwrap_or_default())
            };
            match seen {
                Seen::Done(outcome) => {
                    self.note(Event::Done { step: at, outcome })?;
                    return Ok(true);
                }
                Seen::Waiting(progress) => self.show(with_eta(progress, started.elapsed())),
                Seen::Unknown(why) => self.show(Progress {
                    step: at,
                    note: why,
                    ..self.progress()
                }),
            }
            if let Wish::Abort = self.listen(LOOK).await? {
                self.take_back(step).await?;
                return Ok(false);
            }
        }
    }

    async fn act(&self, step: &Step, again: bool) -> Act {
        match step {
            Step::Reassign { moves } => reassign::act(&self.kafka, moves).await,
            Step::CreateTopic {
                name,
                partitions,
                replication_factor,
                configs,
            } => {
                let wanted = topic::Wanted {
                    name,
                    partitions: *partitions,
                    replication_factor: *replication_factor,
                    configs,
                };
                topic::create(&self.kafka, &wanted, again).await
            }
            Step::DeleteTopic { name, id, .. } => topic::delete(&self.kafka, name, *id, again).await,
        }
    }

    async fn look(&self, at: usize, step: &Step) -> Seen {
        match step {
            Step::Reassign { moves } => reassign::look(&self.kafka, moves, at).await,
            Step::CreateTopic { name, .. } => topic::is_created(&self.kafka, name, at).await,
            Step::DeleteTopic { name, id, .. } => topic::is_deleted(&self.kafka, name, *id, at).await,
        }
    }

    /// Cancels what is in flight and waits until nothing is.
    async fn take_back(&mut self, step: &Step) -> Result<(), Error> {
        let Step::Reassign { moves } = step else {
            return self.note(Event::Aborted {
                left: self.left("the step in flight cannot be taken back"),
            });
        };
        loop {
            match reassign::cancel(&self.kafka, moves).await {
                Act::Asked => {
                    return self.note(Event::Aborted {
                        left: self.left("moves in flight were taken back"),
                    });
                }
                Act::Later(why) | Act::Refused(why) => {
                    self.show(Progress {
                        note: format!("aborting: {why}"),
                        ..self.progress()
                    });
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Between steps: takes note of wishes, and stays here while paused.
    async fn rest(&mut self) -> Result<Wish, Error> {
        loop {
            while let Ok(request) = self.asked.try_recv() {
                if let Wish::Abort = self.heed(request)? {
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
                        if let Wish::Abort = self.heed(request)? {
                            return Ok(Wish::Abort);
                        }
                    }
                    None => return Ok(Wish::GoOn),
                },
                _ => return Ok(Wish::GoOn),
            }
        }
    }

    /// During a step: takes note of wishes for as long as the next look is away.
    async fn listen(&mut self, span: Duration) -> Result<Wish, Error> {
        let until = Instant::now() + span;
        while let Ok(Some(request)) = tokio::time::timeout_at(until, self.asked.recv()).await {
            if let Wish::Abort = self.heed(request)? {
                return Ok(Wish::Abort);
            }
        }
        Ok(Wish::GoOn)
    }

    fn heed(&mut self, request: Request) -> Result<Wish, Error> {
        self.note(Event::Asked {
            ask: request.ask,
            by: request.by,
        })?;
        match request.ask {
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

    fn progress(&self) -> Progress {
        self.status.borrow().progress.clone().unwrap_or_default()
    }

    fn left(&self, how: &str) -> String {
        let status = self.status.borrow();
        format!(
            "{how}; {} of {} steps stay done",
            status.steps_done(),
            status.steps.len()
        )
    }

    /// Material drift, in words.
    async fn drifted(&self, sources: &Sources) -> Option<String> {
        let needs = Needs::from([
            Section::Cluster,
            Section::Topics,
            Section::Links,
            Section::Reassignments,
        ]);
        let snapshot = feed::collect(sources, &needs, FIRST_LOOK).await;
        let plan = self.status.borrow().plan.clone();
        let material: Vec<String> = drift::since(&plan, &snapshot, Moment::now())
            .into_iter()
            .filter(|d| d.material)
            .map(|d| d.what)
            .collect();
        (!material.is_empty()).then(|| format!("nothing was done: {}", material.join("; ")))
    }
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
