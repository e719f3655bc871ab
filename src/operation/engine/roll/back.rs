//! What follows an act on a broker's host: it is looked at until it is as wanted, tells of its release, leads again and is watched.

use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use super::{GRACE, Ran, seconds};
use crate::model::driver::Action;
use crate::operation::Error;
use crate::operation::crash;
use crate::operation::driver::Exit;
use crate::operation::engine::{Engine, LOOK, Pace, Stop, Wish};
use crate::operation::restart::{Sight, elect, look};
use crate::plan::restart::{Turn, is_of};

/// So many looks in a row must agree that a broker is back, or is not restarted: metadata is told by one broker after the other.
const AGREE: u32 = 3;
/// So many looks until an act that ended is believed to have changed nothing.
const UNCHANGED: u32 = 10;
/// So long a broker may get on with nothing before a person is told. Recovery of a large log shows in what the broker
/// fetches of the metadata log, so this is no bound on how long it takes.
const PATIENCE: Duration = Duration::from_mins(10);
/// The same after an act that says itself that it failed.
const SHORT_PATIENCE: Duration = Duration::from_secs(30);
/// How long leaders may take to come back.
pub(in crate::operation::engine) const ELECTION: Duration = Duration::from_secs(60);
/// What a person overrides to have it run again.
pub(super) const DRIVER: &str = "driver";
/// What a person overrides to go on with a broker that came back with another release.
const VERSION: &str = "version";

/// What became of waiting.
pub(super) enum Back {
    There,
    /// A person wants it run again.
    Again,
    Stopped(Stop),
}

impl Engine {
    /// Looks at the broker until it is as wanted, by its progress and not by the clock.
    pub(super) async fn come_back(&mut self, at: usize, turn: &Turn, ran: Ran) -> Result<Back, Error> {
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
    pub(super) async fn speaks(&mut self, turn: &Turn, version: &str) -> Result<Result<String, Stop>, Error> {
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
    pub(super) async fn lead_again(&mut self, at: usize, turn: &Turn) -> Result<Result<String, Stop>, Error> {
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

    /// Watches all of them at the same time. Whatever falls out of sync meanwhile begins the watch anew.
    pub(super) async fn soak(&mut self, batch: &[(usize, Turn)]) -> Result<Result<(), Stop>, Error> {
        let longest = batch.iter().map(|(_, turn)| turn.soak_seconds).max();
        let soak = Duration::from_secs(longest.unwrap_or(0));
        let mut since = Instant::now();
        while since.elapsed() < soak {
            for (at, turn) in batch {
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
                self.tell(*at, turn, Some(&sight), note);
            }
            if let Wish::Stop(stop) = self.pass(LOOK.min(soak)).await? {
                return Ok(Err(stop));
            }
        }
        Ok(Ok(()))
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
