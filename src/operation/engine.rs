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
use super::reassign::Gauge;
use super::socket::{self, Request};
use super::status::{Phase, Progress, Status, StepState};
use super::step::{self, Act, Secrets, Seen, is_passing};
use super::throttle::{self as throttles, Left};
use super::{Error, Id, Who, crash, prepare};
use crate::feed::Sources;
use crate::model::throttle::{self, Setting};
use crate::model::{Moment, Snapshot};
use crate::plan::throttle::words;
use crate::plan::{Step, drift};
use crate::source::kafka::Kafka;

/// How often a step that takes its time is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long one look before the first act may take; then it looks again.
const FIRST_LOOK: Duration = Duration::from_secs(20);
/// So many looks in a row must agree that a step has gone astray: brokers learn of changes one after the other.
const ASTRAY_LOOKS: u32 = 5;
/// So often a throttle that somebody refuses to take away is tried.
const LIFT_TRIES: u32 = 10;
/// How long an engine that is done stays to tell those who watch.
const FAREWELL: Duration = Duration::from_millis(200);

/// Runs one operation to its end. Only one process can; it holds the journal and the locks of what it changes.
///
/// # Errors
/// When it could not begin, or the journal cannot be written any more. What else goes wrong is in the journal, and the
/// returned status says so.
pub async fn run(folder: &Folder, id: &Id, sources: &Sources, secrets: Secrets) -> Result<Status, Error> {
    crash::arm();
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

/// What an operator wants of what is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    GoOn,
    Stop(Stop),
}

/// Why what is being done is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Abort,
    /// What is in flight goes back; the step is done again after the pause.
    Halt,
}

/// How carrying out a step ended.
enum End {
    Done(String),
    Failed(String),
    Stopped(Stop),
}

impl Engine {
    async fn go(&mut self, sources: &Sources) -> Result<(), Error> {
        let (steps, aborting, resting) = {
            let status = self.status.borrow();
            let asked = matches!(status.asked, Some(Ask::Pause | Ask::PauseNow));
            let resting = status.phase == Phase::Paused || asked;
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
            loop {
                let state = self.status.borrow().steps[at].clone();
                if matches!(state, StepState::Done { .. }) {
                    break;
                }
                // Between steps nothing is in flight, so this is where a pause begins.
                if self.rest().await? == Wish::Stop(Stop::Abort) {
                    return self.abort().await;
                }
                let again = matches!(state, StepState::Doing { .. });
                self.note(Event::Step { step: at })?;
                match self.perform(at, step, again).await? {
                    End::Done(outcome) => self.note(Event::Done { step: at, outcome })?,
                    End::Failed(reason) => return self.fail(at, step, reason).await,
                    End::Stopped(Stop::Abort) => return self.abort().await,
                    End::Stopped(Stop::Halt) => {
                        self.take_back(step, "pausing").await?;
                        self.note(Event::TakenBack { step: at })?;
                    }
                }
            }
        }
        self.note(Event::Finished)
    }

    /// Carries out one step. Before anything moves, what throttles it is set; a pause has taken it away.
    async fn perform(&mut self, at: usize, step: &Step, again: bool) -> Result<End, Error> {
        match step {
            Step::SetThrottle { settings } => self.throttle(at, settings).await,
            Step::ClearThrottle { settings } => self.clear(settings).await,
            Step::Reassign { .. } => {
                let throttle = self.status.borrow().plan.steps[..at]
                    .iter()
                    .rev()
                    .find_map(|step| match step {
                        Step::SetThrottle { settings } => Some(settings.clone()),
                        _ => None,
                    });
                if let Some(settings) = throttle {
                    match self.throttle(at, &settings).await? {
                        End::Done(_) => {}
                        other => return Ok(other),
                    }
                }
                self.carry_out(at, step, again).await
            }
            _ => self.carry_out(at, step, again).await,
        }
    }

    /// Sets what nobody has set, and reads it back. What is about to be set is in the journal first, so that it is ours
    /// whatever happens.
    async fn throttle(&mut self, at: usize, settings: &[Setting]) -> Result<End, Error> {
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
    async fn clear(&mut self, settings: &[Setting]) -> Result<End, Error> {
        let settings = match settings.is_empty() {
            true => self.status.borrow().held.clone(),
            false => settings.to_vec(),
        };
        let left = self.lift(settings.clone()).await?;
        Ok(match left.is_empty() {
            true if settings.is_empty() => End::Done("nothing was set".to_owned()),
            true => End::Done(format!("{} gone", words(&settings))),
            false => End::Failed(still_set(&left)),
        })
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
            let snapshot = match self.hear(look).await? {
                Ok(snapshot) => snapshot,
                Err(Stop::Abort) => {
                    self.abort().await?;
                    return Ok(false);
                }
                // Nothing is in flight yet; the pause begins before the first step.
                Err(Stop::Halt) => continue,
            };
            if let Some(cluster) = snapshot.cluster.get()
                && cluster.id != plan.cluster_id
            {
                let (wanted, found) = (&plan.cluster_id, &cluster.id);
                return Err(Error::Drifted(format!(
                    "the plan is for cluster {wanted}, this is {found}"
                )));
            }
            if let Some(unseen) = unseen(&snapshot).or_else(|| prepare::unseen(&plan, &snapshot)) {
                self.wait_for(unseen);
                if self.pass(LOOK).await? == Wish::Stop(Stop::Abort) {
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

    /// Asks for a step and looks until it is done, or cannot be.
    async fn carry_out(&mut self, at: usize, step: &Step, again: bool) -> Result<End, Error> {
        let started = Instant::now();
        let (mut asked, mut again, mut astray) = (false, again, 0);
        let mut gauge = Gauge::default();
        let throttle = self
            .status
            .borrow()
            .plan
            .throttle
            .as_ref()
            .map(|throttle| throttle.bytes_per_second);
        let mut pace = Pace::new();
        loop {
            if !asked {
                crash::point();
                let act = self
                    .hear(step::act(self.kafka.clone(), step.clone(), again, self.secrets.clone()))
                    .await?;
                crash::point();
                match act {
                    Err(stop) => return Ok(End::Stopped(stop)),
                    Ok(Act::Asked) => asked = true,
                    Ok(Act::Later(why)) => {
                        // It may have been done although the answer was lost.
                        again = true;
                        self.wait_for(why);
                    }
                    Ok(Act::Refused(reason)) => return Ok(End::Failed(reason)),
                }
            }
            if asked {
                match self.hear(step::look(self.kafka.clone(), step.clone(), at)).await? {
                    Err(stop) => return Ok(End::Stopped(stop)),
                    Ok(Seen::Done(outcome)) => {
                        let seen = gauge.words(throttle, Instant::now());
                        return Ok(End::Done(
                            std::iter::once(outcome).chain(seen).collect::<Vec<_>>().join(", "),
                        ));
                    }
                    Ok(Seen::Waiting(progress)) => {
                        astray = 0;
                        let bytes_per_second = gauge.look(&progress.arrived, Instant::now());
                        let progress = with_eta(progress, started.elapsed());
                        self.show(Progress {
                            bytes_per_second,
                            ..progress
                        });
                    }
                    Ok(Seen::Astray(reason)) if astray + 1 >= ASTRAY_LOOKS => return Ok(End::Failed(reason)),
                    Ok(Seen::Astray(why)) => {
                        astray += 1;
                        self.wait_for(why);
                    }
                    Ok(Seen::Unknown(why)) => self.wait_for(why),
                }
            }
            // Brokers that learn of something one after the other are given their time.
            let rest = if astray > 0 { LOOK } else { pace.next() };
            if let Wish::Stop(stop) = self.pass(rest).await? {
                return Ok(End::Stopped(stop));
            }
        }
    }

    /// Ends what cannot be done. What was throttled is taken back first, so that nothing goes on without its throttle.
    async fn fail(&mut self, at: usize, step: &Step, reason: String) -> Result<(), Error> {
        let throttled = !self.status.borrow().held.is_empty();
        let mut reason = reason;
        if throttled && !matches!(step, Step::ClearThrottle { .. }) {
            self.take_back(step, "failing").await?;
            let left = self.lift_held().await?;
            reason.push_str("; moves in flight were taken back, ");
            reason.push_str(&match left.is_empty() {
                true => "no throttle is left".to_owned(),
                false => still_set(&left),
            });
        }
        self.note(Event::Failed { step: at, reason })
    }

    /// Takes back what is in flight, waits until nothing is, takes the throttles away, and ends.
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
            None | Some(Step::SetThrottle { .. } | Step::ClearThrottle { .. }) => "nothing was in flight",
            Some(step @ Step::Reassign { .. }) => {
                self.take_back(&step, "aborting").await?;
                "moves in flight were taken back"
            }
            Some(_) => "the step that was begun cannot be taken back, and what became of it was not verified",
        };
        let throttled = !self.status.borrow().held.is_empty();
        let left = self.lift_held().await?;
        let throttles = match (throttled, left.is_empty()) {
            (false, _) => String::new(),
            (true, true) => ", no throttle is left".to_owned(),
            (true, false) => format!(", {}", still_set(&left)),
        };
        let left = {
            let status = self.status.borrow();
            format!(
                "{how}{throttles}; {} of {} steps stay done",
                status.steps_done(),
                status.steps.len()
            )
        };
        self.note(Event::Aborted { left })
    }

    async fn take_back(&mut self, step: &Step, word: &str) -> Result<(), Error> {
        let mut pace = Pace::new();
        let mut rest = Duration::ZERO;
        loop {
            let (kafka, step) = (self.kafka.clone(), step.clone());
            let work = async move {
                sleep(rest).await;
                crash::point();
                let act = step::take_back(kafka, step).await;
                crash::point();
                act
            };
            match self.insist(work).await? {
                Act::Asked => return Ok(()),
                Act::Later(why) | Act::Refused(why) => self.wait_for(format!("{word}: {why}")),
            }
            rest = pace.next();
        }
    }

    async fn lift_held(&mut self) -> Result<Vec<Left>, Error> {
        let held = self.status.borrow().held.clone();
        self.lift(held).await
    }

    /// Takes settings away until they are seen to be gone, and notes it. What cannot be taken away because somebody
    /// refuses it, or because a broker is not there to be asked, is returned after some tries; it stays in the ledger.
    async fn lift(&mut self, settings: Vec<Setting>) -> Result<Vec<Left>, Error> {
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

    /// Does what has to be done in any case. Who asks for an abort again is answered; nothing else can be had any more.
    async fn insist<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                Some(request) = self.asked.recv() => if request.ask == Ask::Abort {
                    self.heed(request)?;
                },
            }
        }
    }

    /// Between steps: takes note of wishes, and stays here while paused. Nothing is in flight meanwhile, so nothing is
    /// throttled: a replica that falls behind during a long pause is not slowed.
    async fn rest(&mut self) -> Result<Wish, Error> {
        loop {
            while let Ok(request) = self.asked.try_recv() {
                if self.heed(request)? == Wish::Stop(Stop::Abort) {
                    return Ok(Wish::Stop(Stop::Abort));
                }
            }
            let (phase, asked) = {
                let status = self.status.borrow();
                (status.phase, status.asked)
            };
            match (phase, asked) {
                (Phase::Running, Some(Ask::Abort)) => return Ok(Wish::Stop(Stop::Abort)),
                (Phase::Running, Some(Ask::Pause | Ask::PauseNow)) => {
                    self.lift_held().await?;
                    // An abort that was asked meanwhile is not answered by a pause.
                    if self.status.borrow().asked != Some(Ask::Abort) {
                        self.note(Event::Paused)?;
                    }
                }
                (Phase::Paused, _) => match self.asked.recv().await {
                    Some(request) => {
                        if self.heed(request)? == Wish::Stop(Stop::Abort) {
                            return Ok(Wish::Stop(Stop::Abort));
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
        Ok(passed.map_or_else(Wish::Stop, |()| Wish::GoOn))
    }

    /// Works on something while listening; `Err` when somebody wants it left.
    async fn hear<T>(&mut self, work: impl Future<Output = T>) -> Result<Result<T, Stop>, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(Ok(done)),
                Some(request) = self.asked.recv() => if let Wish::Stop(stop) = self.heed(request)? {
                    return Ok(Err(stop));
                },
            }
        }
    }

    fn heed(&mut self, request: Request) -> Result<Wish, Error> {
        let ask = request.ask;
        self.note(Event::Asked { ask, by: request.by })?;
        match ask {
            Ask::Abort => Ok(Wish::Stop(Stop::Abort)),
            Ask::PauseNow if self.can_go_back() => Ok(Wish::Stop(Stop::Halt)),
            Ask::Resume => {
                self.note(Event::Resumed)?;
                Ok(Wish::GoOn)
            }
            // Then the step goes on to its end, as for any pause.
            Ask::Pause | Ask::PauseNow => Ok(Wish::GoOn),
        }
    }

    /// Whether the step in flight can be taken back and done again.
    fn can_go_back(&self) -> bool {
        let status = self.status.borrow();
        let step = status.current().and_then(|at| status.plan.steps.get(at));
        matches!(step, Some(Step::Reassign { .. } | Step::SetThrottle { .. }))
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

/// How long to wait between two looks: what is quick is seen quickly, what takes long is not asked about all the time.
struct Pace(Duration);

impl Pace {
    fn new() -> Self {
        Self(LOOK / 10)
    }

    fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(LOOK);
        now
    }
}

/// What stays set, why, and the way out.
fn still_set(left: &[Left]) -> String {
    let settings: Vec<Setting> = left.iter().map(|left| left.setting.clone()).collect();
    let why = left.first().map(|left| left.why.clone()).unwrap_or_default();
    format!(
        "{} could not be taken away ({why}); azimuth throttle clear does it later",
        words(&settings)
    )
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
