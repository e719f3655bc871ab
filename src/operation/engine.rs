//! The loop that carries out one plan: journal, act, look, journal; and what may happen in between.
//!
//! It listens all the time: an operator who asks something while a broker does not answer is heard at once.

mod dns;
mod drain;
mod ear;
mod flow;
mod roll;
mod throttle;
mod volume;

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::aimd::Aimd;
use super::driver::Garage;
use super::folder::Folder;
use super::journal::{Ask, Event, Journal};
use super::lock::{self, Lock};
use super::notify::Notifier;
use super::pace::Next;
use super::reassign::Gauge;
use super::socket::{self, Request};
use super::status::{Phase, Progress, Status, StepState, Wait};
use super::step::{self, Act, Secrets, Seen};
use super::watch::Watch;
use super::{Error, Id, Who, crash, lease, pace, prepare};
use crate::feed::Sources;
use crate::model::{Moment, Snapshot};
use crate::plan::reassign::watch::is_watched;
use crate::plan::{Step, drift};
use crate::settings::context::Notify;
use crate::source::kafka::Kafka;
use flow::{at_rate, part, whole, with_eta};
use roll::Together;
use throttle::still_set;

/// How often a step that takes its time is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long one look before the first act may take; then it looks again.
const FIRST_LOOK: Duration = Duration::from_secs(20);
/// So many looks in a row must agree that a step has gone astray: brokers learn of changes one after the other.
const ASTRAY_LOOKS: u32 = 5;
/// How long one look at the gates before a step may take.
const GATES: Duration = Duration::from_secs(20);
/// How long an engine that is done stays to tell those who watch.
const FAREWELL: Duration = Duration::from_millis(200);

/// Runs one operation to its end. Only one process can; it holds the journal and the locks of what it changes.
///
/// # Errors
/// When it could not begin, or the journal cannot be written any more. What else goes wrong is in the journal, and the
/// returned status says so.
pub async fn run(folder: &Folder, id: &Id, sources: &Sources, means: Means) -> Result<Status, Error> {
    crash::arm();
    let mut journal = Journal::take_up(&folder.journal(id), id)?;
    folder.started(id);
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
    let locks = locks?;
    journal.append(Event::Engine { by: who }, Moment::now())?;
    let (status, watching) = watch::channel(Status { alive: true, ..status });
    let (asks, asked) = mpsc::channel(16);
    let server = tokio::spawn(socket::serve(socket::listen(&folder.socket(id))?, watching, asks));
    let mut engine = Engine {
        kafka: sources.kafka.clone(),
        sources: sources.clone(),
        folder: folder.of(id),
        secrets: means.secrets,
        garage: means.garage,
        journal,
        status,
        asked,
        notify: Notifier::new(means.notify),
        unattended: means.unattended,
        watch: None,
        heeded: None,
        strained: false,
        window: None,
        rate: None,
        since: Instant::now(),
        together: Together::default(),
    };
    let holding = lease::hold(sources.kafka.clone(), &engine.status.borrow().plan, id);
    let outcome = engine.go(sources).await;
    // Whoever saw it end may change the same at once; what is left only tells others.
    drop(locks);
    if let Some(holding) = holding {
        holding.end().await;
    }
    sleep(FAREWELL).await;
    server.abort();
    engine.notify.finish().await;
    // Nobody listens there any more; a leftover is replaced by the next engine anyway.
    let _ = std::fs::remove_file(folder.socket(id));
    outcome?;
    let ended = engine.status.borrow().clone();
    Ok(ended)
}

/// What an engine is given besides its journal and its cluster.
#[derive(Debug, Default)]
pub struct Means {
    pub secrets: Secrets,
    pub garage: Garage,
    pub notify: Option<Notify>,
    /// Nobody asked for it: a unit that starts with the host.
    pub unattended: bool,
}

struct Engine {
    kafka: Kafka,
    sources: Sources,
    /// The operation's own.
    folder: PathBuf,
    secrets: Secrets,
    garage: Garage,
    journal: Journal,
    status: watch::Sender<Status>,
    asked: mpsc::Receiver<Request>,
    notify: Notifier,
    /// Taken up after a reboot, when nobody looks: the step that was in flight ends, and nothing more begins.
    unattended: bool,
    /// Beside a reassignment that copies anything.
    watch: Option<Watch>,
    /// When the last report that was heeded began, and whether it showed that something suffers.
    heeded: Option<Instant>,
    strained: bool,
    /// How many bytes are in flight at once; beside the watch.
    window: Option<Aimd>,
    /// Bytes a second on each broker, of a plan that throttles; beside the watch.
    rate: Option<Aimd>,
    /// Since when it has been going on: what was seen before a pause says nothing of now.
    since: Instant,
    /// Of a batch of brokers, those that the last look at its gates has proven to be safe at the same time.
    together: Together,
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
    /// Done, and so it is in the journal already.
    Noted,
    Failed(String),
    Stopped(Stop),
}

impl Engine {
    async fn go(&mut self, sources: &Sources) -> Result<(), Error> {
        let (steps, aborting, resting) = {
            let status = self.status.borrow();
            let asked = matches!(status.asked, Some(Ask::Pause | Ask::PauseNow | Ask::Resume));
            let resting = status.phase == Phase::Paused || asked;
            (status.plan.steps.clone(), status.asked == Some(Ask::Abort), resting)
        };
        if aborting {
            // The engine before us was asked to, and died over it.
            return self.abort().await;
        }
        if resting && !self.unattended {
            // Whoever starts an engine for a paused operation wants it to go on.
            self.note(Event::Resumed)?;
        }
        if !self.may_begin(sources).await? {
            return Ok(());
        }
        if is_watched(&self.status.borrow().plan) {
            self.watch = Some(Watch::start(sources.clone(), self.status.subscribe()));
            self.pace();
        }
        for (at, step) in steps.iter().enumerate() {
            loop {
                let state = self.status.borrow().steps[at].clone();
                if matches!(state, StepState::Done { .. }) {
                    break;
                }
                // What was in flight when the host went down ends first: without its throttle it must not go on.
                let ends = self.unattended && matches!(state, StepState::Doing { .. });
                // Between steps nothing is in flight, so this is where a pause begins.
                if !ends && self.rest(at, step).await? == Wish::Stop(Stop::Abort) {
                    return self.abort().await;
                }
                let again = matches!(state, StepState::Doing { .. });
                self.note(Event::Step { step: at })?;
                match self.perform(at, step, again).await? {
                    End::Done(outcome) => self.note(Event::Done { step: at, outcome })?,
                    End::Noted => {}
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
            Step::Reassign { .. } | Step::AwaitIsr(_) => {
                let throttle = self.status.borrow().plan.steps[..at]
                    .iter()
                    .rev()
                    .find_map(|step| match step {
                        Step::SetThrottle { settings } => Some(settings.clone()),
                        _ => None,
                    });
                if let Some(mut settings) = throttle {
                    if let Some(wanted) = self.wanted_rate() {
                        settings.iter_mut().for_each(|setting| at_rate(setting, wanted));
                    }
                    match self.throttle(at, &settings).await? {
                        End::Done(_) => {}
                        other => return Ok(other),
                    }
                }
                self.carry_out(at, step, again).await
            }
            Step::Restart(_) => self.take_turns(at).boxed().await,
            Step::Volume(act) => self.volume(at, act).boxed().await,
            Step::Dns(act) => self.dns(at, act).boxed().await,
            _ => self.carry_out(at, step, again).await,
        }
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
            let undriven = self.garage.fits(&plan).err().map(|error| error.to_string());
            let drifts = drifts.into_iter().filter(|d| d.material).map(|d| d.what);
            let material: Vec<String> = drifts.chain(undriven).collect();
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
        let mut begun = self.first(step);
        loop {
            if !asked {
                crash::point();
                let part = part(step, begun);
                let act = self
                    .hear(step::act(self.kafka.clone(), part, again, self.secrets.clone()))
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
            if let Some(stop) = self.heed_gates(step)? {
                return Ok(End::Stopped(stop));
            }
            if matches!(step, Step::Reassign { .. }) {
                self.adapt().await?;
            }
            if asked {
                match self.hear(step::look(self.kafka.clone(), part(step, begun), at)).await? {
                    Err(stop) => return Ok(End::Stopped(stop)),
                    Ok(Seen::Done(_)) if self.more(step, begun, 0, true) > 0 => {
                        begun += self.more(step, begun, 0, true);
                        (asked, again) = (false, true);
                        continue;
                    }
                    Ok(Seen::Done(outcome)) => {
                        let seen = gauge.words(throttle, Instant::now());
                        return Ok(End::Done(
                            std::iter::once(outcome).chain(seen).collect::<Vec<_>>().join(", "),
                        ));
                    }
                    Ok(Seen::Waiting(progress)) => {
                        astray = 0;
                        let bytes_per_second = gauge.look(&progress.arrived, Instant::now());
                        let more = self.more(step, begun, progress.flying, false);
                        let progress = with_eta(whole(progress, step, begun), started.elapsed());
                        self.show(Progress {
                            bytes_per_second,
                            paced: self.paced(step),
                            ..progress
                        });
                        self.notify.looked(&self.status.borrow(), Instant::now());
                        if more > 0 {
                            begun += more;
                            (asked, again) = (false, true);
                        }
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
        let doing: Vec<(usize, Step)> = {
            let status = self.status.borrow();
            let both = status.steps.iter().zip(&status.plan.steps).enumerate();
            let doing = both.filter(|(_, (state, _))| matches!(state, StepState::Doing { .. }));
            doing.map(|(at, (_, step))| (at, step.clone())).collect()
        };
        let how = match doing.first() {
            None | Some((_, Step::SetThrottle { .. } | Step::ClearThrottle { .. } | Step::AwaitIsr(_))) => {
                "nothing was in flight".to_owned()
            }
            Some((_, step @ Step::Reassign { .. })) => {
                self.take_back(step, "aborting").await?;
                "moves in flight were taken back".to_owned()
            }
            Some((_, Step::Restart(_))) => self.leave(&doing).boxed().await?,
            Some((_, Step::Volume(_))) => {
                "what EC2 or a host has taken goes on by itself; azimuth volume list shows it".to_owned()
            }
            Some((_, Step::Dns(_))) => "what Route 53 has taken stays; azimuth dns rollback takes it back".to_owned(),
            Some(_) => {
                "the step that was begun cannot be taken back, and what became of it was not verified".to_owned()
            }
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

    /// Between steps: takes note of wishes, and stays here while paused, or while a gate is closed to this step. Nothing is in
    /// flight meanwhile, so nothing is throttled: a replica that falls behind during a long pause is not slowed.
    async fn rest(&mut self, at: usize, step: &Step) -> Result<Wish, Error> {
        let mut lifted = false;
        if std::mem::take(&mut self.unattended) && self.status.borrow().phase == Phase::Running {
            self.lift_held().await?;
            let why = "taken up after this host was restarted".to_owned();
            self.note(Event::Paused { why: Some(why) })?;
        }
        loop {
            while let Ok(request) = self.asked.try_recv() {
                if self.take_note(request)? == Wish::Stop(Stop::Abort) {
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
                        self.note(Event::Paused { why: None })?;
                    }
                }
                (Phase::Paused, _) => match self.asked.recv().await {
                    Some(request) => {
                        if self.take_note(request)? == Wish::Stop(Stop::Abort) {
                            return Ok(Wish::Stop(Stop::Abort));
                        }
                    }
                    None => return Ok(Wish::GoOn),
                },
                _ => match self.obstacle(at, step).await? {
                    // Whoever asked something meanwhile is heard first.
                    Err(_) => {}
                    Ok(Next::Go) => {
                        self.go_on()?;
                        return Ok(Wish::GoOn);
                    }
                    Ok(Next::Pause(why)) => {
                        self.lift_held().await?;
                        if self.status.borrow().asked.is_none() {
                            self.note(Event::Paused { why: Some(why) })?;
                        }
                    }
                    Ok(Next::Wait(wait)) => {
                        let until = wait.until;
                        self.stand(wait)?;
                        if !std::mem::replace(&mut lifted, true) {
                            self.lift_held().await?;
                        }
                        self.stand_by(until).await?;
                    }
                },
            }
        }
    }

    /// What holds this step up. Looked for at least once before the first.
    async fn obstacle(&mut self, at: usize, step: &Step) -> Result<Result<Next, Stop>, Error> {
        let next = pace::next(&self.status.borrow(), at, Moment::now());
        match step {
            _ if next != Next::Go => return Ok(Ok(next)),
            Step::Reassign { .. } => {}
            Step::Restart(_) => return self.before_turns(at).boxed().await,
            Step::Volume(act) => return self.before_volume(act).await,
            _ => return Ok(Ok(next)),
        }
        loop {
            let Some(watch) = &self.watch else {
                return Ok(Ok(Next::Go));
            };
            let next = match watch.report() {
                Some(report) if report.began >= self.since => {
                    if self.status.borrow().baseline.is_none() {
                        let seen = Box::new(report.baseline.clone());
                        self.note(Event::Baseline { seen })?;
                    }
                    self.heed(&report)?;
                    return Ok(Ok(Wait::gates(&report.closed).map_or(Next::Go, Next::Wait)));
                }
                _ => watch.next(),
            };
            if let Err(stop) = self.hear(next).await? {
                return Ok(Err(stop));
            }
        }
    }

    /// Lets time pass until what is waited for may be over: a moment, or the next look at gates.
    async fn stand_by(&mut self, until: Option<Moment>) -> Result<(), Error> {
        /// Clocks are set, and machines sleep; a moment is looked for anew.
        const LONGEST: Duration = Duration::from_secs(30);
        let next = self.watch.as_ref().filter(|_| until.is_none()).map(Watch::next);
        let rest = async {
            match (until, next) {
                (Some(until), _) => {
                    let left = until.duration_since(Moment::now()).unsigned_abs();
                    sleep(left.min(LONGEST)).await;
                }
                (None, Some(next)) => next.await,
                (None, None) => sleep(LOOK).await,
            }
        };
        // What is asked meanwhile is heeded where this is called.
        self.hear(rest).await.map(drop)
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
