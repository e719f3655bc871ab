//! One broker's turn: the gates, what is run on its host, and the wait until it is back.
//!
//! What must stay true: between stop and start nothing is left, whoever asks for what; what was begun before an engine died
//! is found again and not begun twice; a broker is back when it says so and everybody counts on it, however long that
//! takes, and what does not get on is told to a person instead of being given up.

use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep};

use super::drain::Order;
use super::{Engine, GATES, LOOK, Pace, Stop, Wish};
use crate::feed;
use crate::model::Moment;
use crate::model::driver::Action;
use crate::operation::driver::{Driver, Exit, Run, State};
use crate::operation::journal::{Ask, Entry, Event};
use crate::operation::pace::Next;
use crate::operation::restart::{Sight, elect, look};
use crate::operation::status::{Progress, Wait};
use crate::operation::{Error, crash, prepare};
use crate::plan::Move;
use crate::plan::gate::{Class, Gate, Verdict};
use crate::plan::restart::{Turn, all_gates, is_of};
use crate::source::kafka::Kafka;

/// A gate that closed is looked at for so long before anybody is told: a broker that has just come back makes others
/// learn of it one after the other.
const GRACE: Duration = Duration::from_secs(15);
/// So many looks in a row must agree that a broker is back, or is not restarted: metadata is told by one broker after the other.
const AGREE: u32 = 3;
/// So many looks until an act that ended is believed to have changed nothing.
const UNCHANGED: u32 = 10;
/// So long a broker may get on with nothing before a person is told. Recovery of a large log shows in what the broker
/// fetches of the metadata log, so this is no bound on how long it takes.
const PATIENCE: Duration = Duration::from_mins(10);
/// The same after an act that says itself that it failed.
const SHORT_PATIENCE: Duration = Duration::from_secs(30);
/// So long an act whose state nobody tells is asked after; then the broker is looked at instead.
const BLIND: Duration = Duration::from_secs(60);
/// How long leaders may take to come back.
pub(super) const ELECTION: Duration = Duration::from_secs(60);
/// What a person overrides to have it run again.
const DRIVER: &str = "driver";
/// What a person overrides to go on with a broker that came back with another release.
const VERSION: &str = "version";

/// What the journal tells of a turn's acts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Past {
    /// How many were begun.
    pub runs: u32,
    /// How the last of them ended; `None` while that is not known.
    pub ended: Option<Ran>,
    /// Somebody wants another one since.
    pub again: bool,
    /// How the order of preference was changed, while it is.
    drained: Option<Vec<Move>>,
    /// It was put back.
    undrained: bool,
}

/// How an act ended, and what was seen of the broker meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ran {
    pub exit: Exit,
    /// The broker was seen to be away, or the process that we talked to is another one.
    gone: bool,
    /// Whether that would have been seen; an engine that comes later cannot tell.
    watched: bool,
}

/// What became of waiting.
enum Back {
    There,
    /// A person wants it run again.
    Again,
    Stopped(Stop),
}

impl Past {
    fn of(entries: &[Entry], at: usize) -> Self {
        let mut past = Self::default();
        for entry in entries {
            match &entry.event {
                Event::Drained { step, moves } if *step == at => {
                    (past.drained, past.undrained) = (Some(moves.clone()), false);
                }
                Event::Undrained { step } if *step == at => (past.drained, past.undrained) = (None, true),
                Event::Run { step, run } if *step == at => {
                    (past.runs, past.ended, past.again) = (*run, None, false);
                }
                Event::Ran {
                    step, code, said, gone, ..
                } if *step == at => {
                    let exit = Exit {
                        code: *code,
                        tail: said.clone(),
                    };
                    past.ended = Some(Ran {
                        exit,
                        gone: *gone,
                        watched: false,
                    });
                }
                Event::Asked {
                    ask: Ask::Resume,
                    overrides,
                    ..
                } if past.ended.is_some() && overrides.iter().any(|gate| gate == DRIVER) => past.again = true,
                _ => {}
            }
        }
        past
    }
}

impl Engine {
    /// What stands in the way of a turn that has not begun; `Err` when somebody wants it left.
    pub(super) async fn before_turn(&mut self, at: usize, turn: &Turn) -> Result<Result<Next, Stop>, Error> {
        if self.past(at).runs > 0 {
            return Ok(Ok(Next::Go));
        }
        let since = Instant::now();
        loop {
            let sources = self.sources.clone();
            let needs = prepare::about_restarts(&sources);
            let (driver, instance) = (turn.driver, turn.place.instance.clone());
            let apart = turn.apart.is_some();
            let look = async move {
                let mut snapshot = feed::collect(&sources, &needs, GATES).await;
                prepare::ask_reach(&sources, &mut snapshot, Some(driver), instance, GATES).await;
                if apart {
                    prepare::ask_controllers(&sources, &mut snapshot, GATES).await;
                }
                snapshot
            };
            // Reading what AWS says nests deep; where it panicked nothing was seen, and gates say so.
            let look = tokio::spawn(look);
            let look = async move { look.await.unwrap_or_default() };
            let snapshot = match self.hear(look.boxed()).await? {
                Ok(snapshot) => snapshot,
                Err(stop) => return Ok(Err(stop)),
            };
            let closed = self.closed(all_gates(
                &snapshot,
                turn.action,
                std::slice::from_ref(turn),
                Moment::now(),
            ));
            let Some(wait) = Wait::gates(&closed) else {
                return Ok(Ok(Next::Go));
            };
            if self.status.borrow().waits.is_some() || since.elapsed() >= GRACE {
                return Ok(Ok(Next::Wait(wait)));
            }
            self.wait_for(format!("before {}: {wait}", turn.name()));
            if let Wish::Stop(stop) = self.pass(LOOK).await? {
                return Ok(Err(stop));
            }
        }
    }

    /// Those that nobody has opened.
    fn closed(&self, gates: Vec<Gate>) -> Vec<Gate> {
        let status = self.status.borrow();
        let shut = |gate: &Gate| {
            let opened = gate.class == Class::Soft && status.overrides.contains(&gate.name);
            matches!(gate.verdict, Verdict::Fail | Verdict::Unknown) && !opened
        };
        gates.into_iter().filter(shut).collect()
    }

    /// Carries out one broker's turn; its gates are open.
    pub(super) async fn take_turn(&mut self, at: usize, turn: &Turn) -> Result<super::End, Error> {
        let began = Instant::now();
        let mut past = self.past(at);
        if turn.drain && past.runs == 0 {
            match self.drain(at, turn, past.drained.clone()).await? {
                Order::There => past = self.past(at),
                Order::Refused(why) => return Ok(super::End::Failed(format!("its leaders cannot leave: {why}"))),
                Order::Stopped(stop) => return Ok(super::End::Stopped(stop)),
            }
        }
        loop {
            let ran = match past.ended.take().filter(|_| !past.again) {
                Some(ran) => ran,
                None => self.drive(at, turn, &past).await?,
            };
            if self.status.borrow().asked == Some(Ask::Abort) {
                return Ok(super::End::Stopped(Stop::Abort));
            }
            match self.come_back(at, turn, ran).await? {
                Back::There => break,
                Back::Again => past = self.past(at),
                Back::Stopped(stop) => return Ok(super::End::Stopped(stop)),
            }
        }
        let back = format!("{} after {}", done(turn.action), seconds(began.elapsed()));
        if turn.action == Action::Stop {
            return Ok(super::End::Done(back));
        }
        let runs = match &turn.upgrade_to {
            None => String::new(),
            Some(version) => match self.speaks(turn, version).await? {
                Ok(release) => format!(", runs {release}"),
                Err(stop) => return Ok(super::End::Stopped(stop)),
            },
        };
        if let Some(moves) = past.drained.as_ref().filter(|_| !past.undrained) {
            match self.undrain(at, turn, moves).await? {
                Order::There => {}
                Order::Refused(why) => return Ok(super::End::Failed(format!("its leaders cannot come back: {why}"))),
                Order::Stopped(stop) => return Ok(super::End::Stopped(stop)),
            }
        }
        let leads = match self.lead_again(at, turn).await? {
            Ok(leads) => leads,
            Err(stop) => return Ok(super::End::Stopped(stop)),
        };
        if let Err(stop) = self.soak(at, turn).await? {
            return Ok(super::End::Stopped(stop));
        }
        let watched = match turn.soak_seconds {
            0 => String::new(),
            soak => format!(", watched for {}", seconds(Duration::from_secs(soak))),
        };
        Ok(super::End::Done(format!("{back}{runs}, {leads}{watched}")))
    }

    /// How many were made to it.
    fn connections(&self, turn: &Turn) -> u64 {
        match &turn.apart {
            None => self.kafka.connections(turn.broker()),
            Some(address) => self.kafka.controller_connections(address),
        }
    }

    pub(super) fn past(&self, at: usize) -> Past {
        Past::of(self.journal.entries(), at)
    }

    /// Has it run on the host, or finds what an engine before this one has begun. Nobody is left in between.
    async fn drive(&mut self, at: usize, turn: &Turn, past: &Past) -> Result<Ran, Error> {
        let driver = self.garage.driver(turn.driver);
        let found = past.runs > 0 && past.ended.is_none() && !past.again;
        let run = Run {
            folder: self.folder.clone(),
            step: at,
            number: if found { past.runs } else { past.runs + 1 },
        };
        // Asked now, there is a connection that can break.
        let answered = self.attend(link(self.kafka.clone(), turn)).await?;
        let connections = self.connections(turn);
        let state = match found {
            true => self.attend(driver.look(&run)).await?,
            false => {
                let (step, run) = (at, run.number);
                self.note(Event::Run { step, run })?;
                State::Absent
            }
        };
        let mut ran = Ran {
            exit: Exit {
                code: None,
                tail: String::new(),
            },
            gone: !answered,
            // What was begun before may have come to its end already.
            watched: state == State::Absent,
        };
        let refused = match state {
            State::Absent => {
                crash::point();
                let begun = self.attend(driver.begin(&turn.words, &run)).await?;
                crash::point();
                begun.err()
            }
            _ => None,
        };
        ran.exit = match refused {
            // As a shell says of what cannot be run.
            Some(why) => Exit {
                code: Some(126),
                tail: why,
            },
            None => {
                self.end_of(at, turn, &*driver, &run, connections, &mut ran.gone)
                    .await?
            }
        };
        self.note(Event::Ran {
            step: at,
            run: run.number,
            code: ran.exit.code,
            said: ran.exit.tail.clone(),
            gone: ran.gone,
        })?;
        Ok(ran)
    }

    /// Waits for the end of what runs; whoever asks for something is answered and has to wait, too.
    async fn end_of(
        &mut self,
        at: usize,
        turn: &Turn,
        driver: &dyn Driver,
        run: &Run,
        connections: u64,
        gone: &mut bool,
    ) -> Result<Exit, Error> {
        let started = Instant::now();
        let nobody_knows = |tail: String| Exit { code: None, tail };
        let mut pace = Pace::new();
        let mut unseen: Option<Instant> = None;
        loop {
            let state = self.attend(driver.look(run)).await?;
            let blind = match state {
                State::Ended(exit) => return Ok(exit),
                State::Running => None,
                State::Unseen(why) if unseen.is_some_and(|since| since.elapsed() >= BLIND) => {
                    return Ok(nobody_knows(format!("how it ended cannot be told: {why}")));
                }
                State::Unseen(why) => Some(why),
                State::Absent => {
                    let why = format!("{} took nothing of what was asked for", turn.driver);
                    return Ok(nobody_knows(why));
                }
                State::Lost => {
                    return Ok(nobody_knows("what was begun was killed before it ended".to_owned()));
                }
            };
            unseen = blind.as_ref().map(|_| unseen.unwrap_or_else(Instant::now));
            if started.elapsed() >= Duration::from_secs(turn.deadline_seconds) {
                let after = seconds(started.elapsed());
                return Ok(nobody_knows(format!("it still runs after {after}, and is left alone")));
            }
            let answers = self.attend(link(self.kafka.clone(), turn)).await?;
            *gone |= !answers || self.connections(turn) != connections;
            let how = if answers { "answers" } else { "does not answer" };
            let runs = match blind {
                None => format!("runs for {}", seconds(started.elapsed())),
                Some(why) => format!("does not tell ({why})"),
            };
            let note = format!("{} {runs}, {} {how}", turn.driver, turn.who());
            self.tell(at, turn, None, note);
            self.attend(sleep(pace.next())).await?;
        }
    }

    /// Looks at the broker until it is as wanted, by its progress and not by the clock.
    async fn come_back(&mut self, at: usize, turn: &Turn, ran: Ran) -> Result<Back, Error> {
        let connections = self.connections(turn);
        let mut gone = ran.gone;
        let (mut agree, mut unchanged) = (0, 0);
        let (mut best, mut idle) = (Sight::default(), Instant::now());
        let mut pace = Pace::new();
        loop {
            let sight = match self
                .hear(look(self.kafka.clone(), turn.broker(), turn.apart.clone()))
                .await?
            {
                Ok(sight) => sight,
                Err(stop) => return Ok(Back::Stopped(stop)),
            };
            gone |= !sight.answers() || self.connections(turn) != connections;
            if sight.is_further_than(&best) {
                (best, idle) = (sight.clone(), Instant::now());
            }
            let believed = match turn.action {
                Action::Restart => gone || (ran.exit.is_well() && !ran.watched),
                Action::Stop | Action::Start => true,
            };
            let there = believed && sight.is_there(turn.action, turn.voter);
            agree = if there { agree + 1 } else { 0 };
            if agree >= AGREE {
                self.go_on()?;
                return Ok(Back::There);
            }
            unchanged = if self.is_unchanged(turn, &sight, believed) {
                unchanged + 1
            } else {
                0
            };
            let patience = match ran.exit.is_well() || self.garage.driver(turn.driver).is_cut(&ran.exit) {
                true => PATIENCE,
                false => SHORT_PATIENCE,
            };
            if !there && (unchanged >= UNCHANGED || idle.elapsed() >= patience) {
                let why = why(turn, &ran.exit, &sight, idle.elapsed());
                self.stand_at(DRIVER, why)?;
            }
            if self.past(at).again {
                self.go_on()?;
                return Ok(Back::Again);
            }
            self.tell(at, turn, Some(&sight), sight.note(turn.action));
            if let Wish::Stop(stop) = self.pass(if there { LOOK } else { pace.next() }).await? {
                return Ok(Back::Stopped(stop));
            }
        }
    }

    /// What ran has ended, and the broker is as if it had not.
    fn is_unchanged(&self, turn: &Turn, sight: &Sight, believed: bool) -> bool {
        match turn.action {
            Action::Restart => !believed && sight.answers(),
            Action::Stop => sight.answers(),
            Action::Start => false,
        }
    }

    /// Waits until the broker tells of the release that it was to get. Where it came back with another one nothing more is upgraded
    /// before a person has said so.
    async fn speaks(&mut self, turn: &Turn, version: &str) -> Result<Result<String, Stop>, Error> {
        let since = Instant::now();
        let mut pace = Pace::new();
        loop {
            let (kafka, who) = (self.kafka.clone(), turn.who());
            let (id, apart) = (turn.broker(), turn.apart.clone());
            let asked = async move {
                match apart {
                    None => kafka.features(id).await.map(|told| told.release),
                    Some(address) => kafka.controller_link(&address).await.map(|probe| probe.link.release),
                }
            };
            let told = match self.hear(asked.boxed()).await? {
                Ok(told) => told,
                Err(stop) => return Ok(Err(stop)),
            };
            let release = told.map(|release| release.unwrap_or_else(|| "an unknown release".to_owned()));
            let why = match release {
                Ok(release) if is_of(&release, version) => {
                    self.go_on()?;
                    return Ok(Ok(release));
                }
                Ok(release) if self.status.borrow().overrides.iter().any(|gate| gate == VERSION) => {
                    self.go_on()?;
                    return Ok(Ok(format!("{release}, and not {version}, as was overridden")));
                }
                Ok(release) => format!("{who} came back with {release}, and not with {version}"),
                Err(error) => error.to_string(),
            };
            match since.elapsed() >= GRACE {
                false => self.wait_for(why),
                true => self.stand_at(VERSION, why)?,
            }
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(Err(stop));
            }
        }
    }

    /// The leaders that prefer it come back. Whoever may not ask for elections leaves that to Kafka's own.
    async fn lead_again(&mut self, at: usize, turn: &Turn) -> Result<Result<String, Stop>, Error> {
        if turn.apart.is_some() {
            return Ok(Ok("level with the quorum".to_owned()));
        }
        let since = Instant::now();
        let mut refused = None;
        let mut pace = Pace::new();
        loop {
            let sight = match self
                .hear(look(self.kafka.clone(), turn.broker(), turn.apart.clone()))
                .await?
            {
                Ok(sight) => sight,
                Err(stop) => return Ok(Err(stop)),
            };
            let over = refused.is_some() || since.elapsed() >= ELECTION;
            if let Some((led, preferred)) = sight.leads()
                && (led == preferred || over)
            {
                let why = refused.map(|why| format!(" ({why})")).unwrap_or_default();
                return Ok(Ok(format!(
                    "{} in sync, leads {led} of {preferred} that prefer it{why}",
                    sight.replicas()
                )));
            }
            crash::point();
            let asked = self.hear(elect(self.kafka.clone(), sight.to_elect())).await?;
            crash::point();
            match asked {
                Err(stop) => return Ok(Err(stop)),
                Ok(Err(why)) => refused = Some(why),
                Ok(Ok(())) => {}
            }
            self.tell(at, turn, Some(&sight), "its leaders come back".to_owned());
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(Err(stop));
            }
        }
    }

    /// Watches it. Whatever falls out of sync meanwhile begins the watch anew.
    async fn soak(&mut self, at: usize, turn: &Turn) -> Result<Result<(), Stop>, Error> {
        let soak = Duration::from_secs(turn.soak_seconds);
        let mut since = Instant::now();
        while since.elapsed() < soak {
            let sight = match self
                .hear(look(self.kafka.clone(), turn.broker(), turn.apart.clone()))
                .await?
            {
                Ok(sight) => sight,
                Err(stop) => return Ok(Err(stop)),
            };
            let note = match sight.is_there(turn.action, turn.voter) {
                true => format!("watched for {} more", seconds(soak.saturating_sub(since.elapsed()))),
                false => {
                    since = Instant::now();
                    format!("watched anew: {}", sight.note(turn.action))
                }
            };
            self.tell(at, turn, Some(&sight), note);
            if let Wish::Stop(stop) = self.pass(LOOK.min(soak)).await? {
                return Ok(Err(stop));
            }
        }
        Ok(Ok(()))
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

    pub(super) fn tell(&self, at: usize, turn: &Turn, sight: Option<&Sight>, note: String) {
        let (done, total) = sight.map_or((0, turn.replicas), |sight| (sight.in_sync(), sight.replicas_held()));
        // Taken before it is shown: who holds the status cannot change it.
        let steps = self.status.borrow().steps.len();
        self.show(Progress {
            step: at,
            done,
            total,
            note,
            eta_seconds: eta(self.journal.entries(), at, steps, Moment::now()),
            ..Progress::default()
        });
    }

    /// Leaves a turn that was begun, for an abort: the order of preference is put back, and what was run is told.
    pub(super) async fn leave(&mut self, at: usize, turn: &Turn) -> Result<String, Error> {
        let moves = self.past(at).drained.unwrap_or_default();
        let order = match moves.is_empty() {
            true => String::new(),
            false => match self.undrain(at, turn, &moves).await? {
                Order::There => ", its leaders may come back".to_owned(),
                Order::Refused(why) => format!(", the order of preference could not be put back ({why})"),
                Order::Stopped(_) => {
                    ", the order of preference was left changed: azimuth leader elect and operation show tell it"
                        .to_owned()
                }
            },
        };
        Ok(format!("{}{order}", self.left_of(at, turn)))
    }

    /// What an abort leaves of what was run.
    fn left_of(&self, at: usize, turn: &Turn) -> String {
        match self.past(at) {
            Past { runs: 0, .. } => "nothing was in flight".to_owned(),
            Past { ended: Some(ran), .. } => format!(
                "{}: {} ended ({}), that it is back was not awaited",
                turn.who(),
                turn.action,
                ran.exit
            ),
            Past { ended: None, .. } => format!("{}: what was begun goes on by itself", turn.who()),
        }
    }
}

async fn link(kafka: Kafka, turn: &Turn) -> bool {
    match &turn.apart {
        None => kafka.link(turn.broker()).await.is_ok(),
        Some(address) => kafka.controller_link(address).await.is_ok(),
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Restart | Action::Start => "back",
        Action::Stop => "stopped",
    }
}

/// Why a person is needed.
fn why(turn: &Turn, exit: &Exit, sight: &Sight, idle: Duration) -> String {
    let who = turn.who();
    let what = match turn.action {
        Action::Restart if sight.answers() && !sight.is_there(turn.action, turn.voter) => {
            format!("it gets no further: {}", sight.note(turn.action))
        }
        Action::Restart if sight.answers() => "it was not restarted, the connection to it never broke".to_owned(),
        Action::Stop if sight.answers() => "it still answers".to_owned(),
        _ => format!("{}, for {}", sight.note(turn.action), seconds(idle)),
    };
    format!(
        "{who}: {what}; {} ended with {exit}; overriding this gate runs it again, and the roll goes on by itself when {who} is as wanted",
        turn.driver
    )
}

/// The mean of the turns that are done, for those that are not.
fn eta(entries: &[Entry], at: usize, steps: usize, now: Moment) -> Option<u64> {
    let began = |wanted: usize| {
        entries.iter().find_map(|entry| match entry.event {
            Event::Step { step } if step == wanted => Some(entry.at),
            _ => None,
        })
    };
    let took = entries.iter().filter_map(|entry| match &entry.event {
        Event::Done { step, .. } => Some(entry.at.duration_since(began(*step)?).as_secs_f64()),
        _ => None,
    });
    let took: Vec<f64> = took.collect();
    let mean = took.iter().sum::<f64>() / took.len() as f64;
    let spent = began(at).map_or(0.0, |began| now.duration_since(began).as_secs_f64());
    let left = mean * (steps - at) as f64 - spent.min(mean);
    (!took.is_empty()).then_some(left.max(0.0) as u64)
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        short if short < 120 => format!("{short} s"),
        long => format!("{} m", long / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::testing::{now, who};

    fn past(events: Vec<Event>) -> Past {
        let entries: Vec<Entry> = events.into_iter().map(|event| Entry::new(now(), event)).collect();
        Past::of(&entries, 1)
    }

    fn ran(run: u32, code: i32) -> Event {
        Event::Ran {
            step: 1,
            run,
            code: Some(code),
            said: String::new(),
            gone: false,
        }
    }

    fn resumed(gate: &str) -> Event {
        Event::Asked {
            ask: Ask::Resume,
            by: who(),
            overrides: vec![gate.to_owned()],
            reason: Some("x".into()),
        }
    }

    #[test]
    fn what_was_begun_is_found_again_and_run_again_only_when_somebody_says_so() {
        let run = |run| Event::Run { step: 1, run };
        assert_eq!(past(vec![Event::Run { step: 0, run: 1 }]), Past::default());
        let open = past(vec![run(1)]);
        assert_eq!((open.runs, open.ended.is_none(), open.again), (1, true, false));
        let ended = past(vec![run(1), ran(1, 3)]);
        assert_eq!(ended.ended.as_ref().unwrap().exit.code, Some(3));
        assert!(!past(vec![run(1), ran(1, 3), resumed("min-isr")]).again);
        assert!(past(vec![run(1), ran(1, 3), resumed("driver")]).again);
        let second = past(vec![run(1), ran(1, 3), resumed("driver"), run(2)]);
        assert_eq!((second.runs, second.ended, second.again), (2, None, false));
    }

    #[test]
    fn the_end_is_reckoned_from_the_turns_that_are_done() {
        let entry = |after: i64, event| Entry::new(now() + jiff::SignedDuration::from_secs(after), event);
        let done = |step| Event::Done {
            step,
            outcome: String::new(),
        };
        let entries = [
            entry(0, Event::Step { step: 0 }),
            entry(100, done(0)),
            entry(100, Event::Step { step: 1 }),
        ];
        let at = |after: i64| now() + jiff::SignedDuration::from_secs(after);
        assert_eq!(eta(&entries, 1, 3, at(140)), Some(160));
        assert_eq!(eta(&entries[..1], 0, 3, at(50)), None);
    }
}
