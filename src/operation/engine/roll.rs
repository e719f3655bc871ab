//! The turn of a broker, or of a batch of them: the gates, what is run on the hosts, and the wait until they are back.
//!
//! What must stay true: between stop and start nothing is left, whoever asks for what; what was begun before an engine died
//! is found again and not begun twice, and ends before anything more is begun; a broker is back when it says so and everybody
//! counts on it, however long that takes, and what does not get on is told to a person instead of being given up.

mod back;

use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep};

use self::back::{Back, DRIVER};
use super::drain::Order;
use super::{End, Engine, GATES, LOOK, Pace, Stop, Wish};
use crate::model::Moment;
use crate::model::driver::Action;
use crate::operation::driver::{Driver, Exit, Run, State};
use crate::operation::journal::{Ask, Entry, Event};
use crate::operation::pace::Next;
use crate::operation::restart::Sight;
use crate::operation::status::{Progress, StepState, Wait};
use crate::operation::{Error, crash, prepare};
use crate::plan::gate::{Class, Gate, Verdict};
use crate::plan::restart::batch::{batches, proven};
use crate::plan::restart::{Turn, all_gates};
use crate::plan::{Move, Step};
use crate::source::kafka::Kafka;

pub(super) use self::back::ELECTION;

/// A gate that closed is looked at for so long before anybody is told: a broker that has just come back makes others
/// learn of it one after the other.
const GRACE: Duration = Duration::from_secs(15);
/// So long an act whose state nobody tells is asked after; then the broker is looked at instead.
const BLIND: Duration = Duration::from_secs(60);

/// What the journal tells of a turn's acts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Past {
    /// How many were begun.
    pub runs: u32,
    /// How the last of them ended; `None` while that is not known.
    pub ended: Option<Ran>,
    /// The broker was seen to be back since: of a batch the next one's end is only noted then.
    back: bool,
    /// Somebody wants another one since.
    pub again: bool,
    /// How the order of preference was changed, while it is.
    drained: Option<Vec<Move>>,
    /// It was put back.
    undrained: bool,
}

/// How many of the first turns of a batch may be away at the same time, as things stood at the last look, and what keeps the next from it.
#[derive(Debug, Default)]
pub(super) struct Together {
    count: usize,
    against: Option<String>,
}

/// One act on its way.
struct Begun {
    run: Run,
    /// How many were made to the broker before.
    connections: u64,
    gone: bool,
    watched: bool,
    /// It could not be begun.
    refused: Option<String>,
}

/// What is known of an act before it is waited for.
enum Act {
    Begun(Begun),
    Ended(Ran),
}

/// What became of one of a batch.
enum Turned {
    /// In words.
    Back(String),
    Failed(String),
    Stopped(Stop),
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
                    (past.runs, past.ended, past.again, past.back) = (*run, None, false, false);
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
                Event::Ran { step, .. } if *step > at => past.back = past.ended.is_some(),
                Event::Asked {
                    ask: Ask::Resume,
                    overrides,
                    ..
                } if past.ended.is_some() && !past.back && overrides.iter().any(|gate| gate == DRIVER) => {
                    past.again = true
                }
                _ => {}
            }
        }
        past
    }
}

impl Engine {
    /// The turns that are carried out with the one at `at`: what was begun ends before anything more is begun, and nobody goes along
    /// with others whom the last look at the gates has not proven to be safe there.
    fn batch(&self, at: usize) -> Vec<(usize, Turn)> {
        let whole = self.planned(at);
        let begun: Vec<(usize, Turn)> = whole
            .iter()
            .filter(|(at, _)| self.past(*at).runs > 0)
            .cloned()
            .collect();
        match begun.is_empty() {
            true => whole.into_iter().take(self.together.count.max(1)).collect(),
            false => begun,
        }
    }

    /// What is left of the batch that the turn at `at` belongs to by the plan.
    fn planned(&self, at: usize) -> Vec<(usize, Turn)> {
        let status = self.status.borrow();
        let both = status.plan.steps.iter().zip(&status.steps).enumerate().skip(at);
        let turns = both.map_while(|(at, (step, state))| match step {
            Step::Restart(turn) => Some((at, turn, state)),
            _ => None,
        });
        let mut number = None;
        let batch = turns.take_while(|(_, turn, _)| {
            let first = number.is_none();
            let goes = turn.batch.is_some() && number == Some(turn.batch);
            number = Some(turn.batch);
            first || goes
        });
        let left = batch.filter(|(_, _, state)| !matches!(state, StepState::Done { .. }));
        left.map(|(at, turn, _)| (at, turn.clone())).collect()
    }

    /// What stands in the way of turns that have not begun; `Err` when somebody wants them left.
    pub(super) async fn before_turns(&mut self, at: usize) -> Result<Result<Next, Stop>, Error> {
        let planned = self.planned(at);
        if planned.iter().any(|(at, _)| self.past(*at).runs > 0) {
            return Ok(Ok(Next::Go));
        }
        let since = Instant::now();
        loop {
            let turns: Vec<Turn> = planned.iter().map(|(_, turn)| turn.clone()).collect();
            let look = prepare::of_turns(self.sources.clone(), turns.clone(), GATES);
            let snapshot = match self.hear(look.boxed()).await? {
                Ok(snapshot) => snapshot,
                Err(stop) => return Ok(Err(stop)),
            };
            let (count, against) = proven(&snapshot, &turns);
            let Some(first) = turns.first() else {
                return Ok(Ok(Next::Go));
            };
            let closed = self.closed(all_gates(&snapshot, first.action, &turns[..count], Moment::now()));
            let Some(wait) = Wait::gates(&closed) else {
                self.together = Together { count, against };
                return Ok(Ok(Next::Go));
            };
            if self.status.borrow().waits.is_some() || since.elapsed() >= GRACE {
                return Ok(Ok(Next::Wait(wait)));
            }
            self.wait_for(format!("before {}: {wait}", first.name()));
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

    /// Carries out the turn at `at` and those that go with it; their gates are open. All have begun before any is waited for, and all
    /// are waited for before any is done.
    pub(super) async fn take_turns(&mut self, at: usize) -> Result<End, Error> {
        let began = Instant::now();
        let batch = self.batch(at);
        let alone = std::mem::take(&mut self.together).against;
        for (at, turn) in &batch {
            self.note_begun(*at)?;
            let past = self.past(*at);
            if turn.drain && past.runs == 0 {
                match self.drain(*at, turn, past.drained).await? {
                    Order::There => {}
                    Order::Stopped(stop) => return Ok(End::Stopped(stop)),
                    Order::Refused(why) => {
                        self.undrain_all(&batch).await?;
                        return Ok(End::Failed(format!(
                            "the leaders of {} cannot leave: {why}",
                            turn.who()
                        )));
                    }
                }
            }
        }
        let mut acts = Vec::new();
        for (at, turn) in &batch {
            let past = self.past(*at);
            let act = match past.ended.clone().filter(|_| !past.again) {
                Some(ran) => Act::Ended(ran),
                None => Act::Begun(self.begin(*at, turn, &past).await?),
            };
            acts.push(act);
            if self.status.borrow().asked == Some(Ask::Abort) {
                return Ok(End::Stopped(Stop::Abort));
            }
        }
        let (mut back, mut failed) = (Vec::new(), None);
        for ((at, turn), act) in batch.iter().zip(acts) {
            match self.see_back(*at, turn, act, began).await? {
                Turned::Back(outcome) => back.push((*at, turn.clone(), outcome)),
                Turned::Failed(why) => failed = failed.or(Some(why)),
                Turned::Stopped(stop) => return Ok(End::Stopped(stop)),
            }
        }
        let watched: Vec<(usize, Turn)> = back.iter().map(|(at, turn, _)| (*at, turn.clone())).collect();
        if let Err(stop) = self.soak(&watched).await? {
            return Ok(End::Stopped(stop));
        }
        for (at, turn, outcome) in back {
            let watched = match turn.soak_seconds {
                0 => String::new(),
                soak => format!(", watched for {}", seconds(Duration::from_secs(soak))),
            };
            let with = with(&batch, at, alone.as_deref());
            let outcome = format!("{outcome}{watched}{with}");
            self.note(Event::Done { step: at, outcome })?;
        }
        Ok(failed.map_or(End::Noted, End::Failed))
    }

    /// The first of a batch was noted by whoever takes its turn.
    fn note_begun(&mut self, at: usize) -> Result<(), Error> {
        let next = self.status.borrow().steps.get(at) == Some(&StepState::Next);
        match next {
            true => self.note(Event::Step { step: at }),
            false => Ok(()),
        }
    }

    /// Puts back what was changed of the order of preference, as far as that can be had.
    async fn undrain_all(&mut self, batch: &[(usize, Turn)]) -> Result<(), Error> {
        for (at, turn) in batch {
            if let Some(moves) = self.past(*at).drained {
                self.undrain(*at, turn, &moves).await?;
            }
        }
        Ok(())
    }

    /// Waits for the end of an act that was begun, or takes the one that is known, and until the broker is as wanted.
    async fn see_back(&mut self, at: usize, turn: &Turn, act: Act, began: Instant) -> Result<Turned, Error> {
        let mut act = act;
        loop {
            let ran = match act {
                Act::Ended(ran) => ran,
                Act::Begun(begun) => self.end(at, turn, begun).await?,
            };
            if self.status.borrow().asked == Some(Ask::Abort) {
                return Ok(Turned::Stopped(Stop::Abort));
            }
            match self.come_back(at, turn, ran).await? {
                Back::There => break,
                Back::Again => {
                    let past = self.past(at);
                    act = Act::Begun(self.begin(at, turn, &past).await?);
                }
                Back::Stopped(stop) => return Ok(Turned::Stopped(stop)),
            }
        }
        let back = format!("{} after {}", done(turn.action), seconds(began.elapsed()));
        if turn.action == Action::Stop {
            return Ok(Turned::Back(back));
        }
        let runs = match &turn.upgrade_to {
            None => String::new(),
            Some(version) => match self.speaks(turn, version).await? {
                Ok(release) => format!(", runs {release}"),
                Err(stop) => return Ok(Turned::Stopped(stop)),
            },
        };
        let past = self.past(at);
        if let Some(moves) = past.drained.as_ref().filter(|_| !past.undrained) {
            match self.undrain(at, turn, moves).await? {
                Order::There => {}
                Order::Stopped(stop) => return Ok(Turned::Stopped(stop)),
                Order::Refused(why) => {
                    return Ok(Turned::Failed(format!(
                        "the leaders of {} cannot come back: {why}",
                        turn.who()
                    )));
                }
            }
        }
        Ok(match self.lead_again(at, turn).await? {
            Ok(leads) => Turned::Back(format!("{back}{runs}, {leads}")),
            Err(stop) => Turned::Stopped(stop),
        })
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
    async fn begin(&mut self, at: usize, turn: &Turn, past: &Past) -> Result<Begun, Error> {
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
        let refused = match state {
            State::Absent => {
                crash::point();
                let begun = self.attend(driver.begin(&turn.words, &run)).await?;
                crash::point();
                begun.err()
            }
            _ => None,
        };
        Ok(Begun {
            run,
            connections,
            gone: !answered,
            // What was begun before may have come to its end already.
            watched: state == State::Absent,
            refused,
        })
    }

    /// How it ended, in the journal.
    async fn end(&mut self, at: usize, turn: &Turn, begun: Begun) -> Result<Ran, Error> {
        let driver = self.garage.driver(turn.driver);
        let mut gone = begun.gone;
        let exit = match begun.refused {
            // As a shell says of what cannot be run.
            Some(why) => Exit {
                code: Some(126),
                tail: why,
            },
            None => {
                self.end_of(at, turn, &*driver, &begun.run, begun.connections, &mut gone)
                    .await?
            }
        };
        // Of a batch, others were waited for meanwhile, and who asked for those may have met it again.
        gone |= self.connections(turn) != begun.connections;
        self.note(Event::Ran {
            step: at,
            run: begun.run.number,
            code: exit.code,
            said: exit.tail.clone(),
            gone,
        })?;
        Ok(Ran {
            exit,
            gone,
            watched: begun.watched,
        })
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

    pub(super) fn tell(&self, at: usize, turn: &Turn, sight: Option<&Sight>, note: String) {
        let (done, total) = sight.map_or((0, turn.replicas), |sight| (sight.in_sync(), sight.replicas_held()));
        // Taken before it is shown: who holds the status cannot change it.
        let left = units(&self.status.borrow().plan.steps[at..]);
        self.show(Progress {
            step: at,
            done,
            total,
            note,
            eta_seconds: eta(self.journal.entries(), at, left, Moment::now()),
            ..Progress::default()
        });
    }

    /// Leaves turns that were begun, for an abort: the order of preference is put back, and what was run is told.
    pub(super) async fn leave(&mut self, doing: &[(usize, Step)]) -> Result<String, Error> {
        let mut left = Vec::new();
        for (at, step) in doing {
            if let Step::Restart(turn) = step {
                left.push(self.leave_one(*at, turn).await?);
            }
        }
        Ok(left.join("; "))
    }

    async fn leave_one(&mut self, at: usize, turn: &Turn) -> Result<String, Error> {
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

/// Brokers one by one, and batches of them.
fn units(steps: &[Step]) -> usize {
    let turns = steps.iter().filter_map(|step| match step {
        Step::Restart(turn) => Some(turn.clone()),
        _ => None,
    });
    let turns: Vec<Turn> = turns.collect();
    batches(&turns).count() + steps.len() - turns.len()
}

/// With whom it restarted, or what kept it from that.
fn with(batch: &[(usize, Turn)], at: usize, against: Option<&str>) -> String {
    let others = batch.iter().filter(|(other, _)| *other != at);
    let others: Vec<String> = others.map(|(_, turn)| turn.broker().to_string()).collect();
    let with = match others.is_empty() {
        true => String::new(),
        false => format!(", together with {}", others.join(", ")),
    };
    let against = against.map(|why| format!("; not with all of its batch: {why}"));
    format!("{with}{}", against.unwrap_or_default())
}

/// The mean of the turns that are done, for those units that are not.
fn eta(entries: &[Entry], at: usize, units: usize, now: Moment) -> Option<u64> {
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
    let left = mean * units as f64 - spent.min(mean);
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
        let next = Event::Ran {
            step: 2,
            run: 1,
            code: Some(3),
            said: String::new(),
            gone: false,
        };
        let meant_for_the_next = past(vec![run(1), ran(1, 0), next, resumed("driver")]);
        assert!(!meant_for_the_next.again, "of a batch, this one was back");
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
        assert_eq!(eta(&entries, 1, 2, at(140)), Some(160));
        assert_eq!(eta(&entries[..1], 0, 3, at(50)), None);
    }
}
