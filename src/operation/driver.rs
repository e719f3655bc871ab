//! Drivers: what an engine has to reach a broker's process with.
//!
//! A driver begins one act and can be asked, by any later engine too, what became of it. What must stay true: an act that
//! was begun is not begun again by looking at it, it goes on when the engine dies, and it is never killed, because a kill
//! could fall between stop and start. Values of the driver's environment are in no journal and in no answer.

mod command;
mod process;
mod said;
mod ssh;
mod ssm;

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::future::BoxFuture;

use super::Error;
use crate::model::driver::DriverName;
use crate::plan::restart::turns;
use crate::plan::{Plan, volume};
use crate::settings::Context;
use crate::settings::driver::Drivers;
use crate::source::aws::Aws;

/// Something that stops and starts brokers.
pub(super) trait Driver: Send + Sync {
    /// Begins what the words say. Returns once it goes on without us.
    fn begin<'a>(&'a self, words: &'a [String], run: &'a Run) -> BoxFuture<'a, Result<(), String>>;

    /// What became of an act that was begun, by whichever engine.
    fn look<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, State>;

    /// Whether its end says that nobody knows what the host did: the line was cut.
    fn is_cut(&self, exit: &Exit) -> bool;
}

/// One act: where it leaves its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The operation's folder.
    pub folder: PathBuf,
    pub step: usize,
    /// Counts from 1.
    pub number: u32,
}

/// How an act stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It left no mark, so it was never begun.
    Absent,
    Running,
    /// It was begun, and how it stands cannot be told now.
    Unseen(String),
    Ended(Exit),
    /// It was begun, did not end, and nobody carries it out any more: this machine was restarted, or somebody killed it.
    Lost,
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    /// `None` where there was none: ended by a signal, or not to be found.
    pub code: Option<i32>,
    /// The end of what it said.
    pub tail: String,
}

impl Exit {
    pub fn is_well(&self) -> bool {
        self.code == Some(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit {code}")?,
            None => f.write_str("no exit status")?,
        }
        match self.tail.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.tail),
        }
    }
}

/// The drivers of a context.
#[derive(Debug, Clone, Default)]
pub struct Garage {
    drivers: Drivers,
    /// Where there is any.
    aws: Option<Aws>,
}

impl Garage {
    pub fn of(context: &Context, aws: Option<Aws>) -> Self {
        Self {
            drivers: context.driver.clone().unwrap_or_default(),
            aws,
        }
    }

    pub(super) fn driver(&self, name: DriverName) -> Box<dyn Driver> {
        match name {
            DriverName::Command => {
                let local = self.drivers.command.clone().unwrap_or_default();
                Box::new(command::Command::new(local.environment))
            }
            DriverName::Ssh => Box::new(ssh::Ssh::new()),
            DriverName::Ssm => Box::new(ssm::Ssm::new(self.aws.clone())),
        }
    }

    /// Whether the context still says what the plan shows. A plan is a file, and what is run comes from the context alone.
    ///
    /// # Errors
    /// [`Error::Drifted`] with both.
    pub fn fits(&self, plan: &Plan) -> Result<(), Error> {
        let mut ways = BTreeMap::new();
        for (extend, run) in volume::runs(plan) {
            let now = self.drivers.way(Some(run.driver)).map_err(Error::Drifted)?;
            let now = now
                .growing(&run.place, &extend.path)
                .transpose()
                .map_err(Error::Drifted)?;
            if now.as_ref() != Some(&run.words) {
                let spoken = crate::plan::restart::spoken;
                return Err(Error::Drifted(format!(
                    "the context extends {} by `{}`, the plan says `{}`; make the plan again",
                    extend.path,
                    now.as_deref().map(spoken).unwrap_or_default(),
                    spoken(&run.words)
                )));
            }
        }
        for turn in turns(plan) {
            let way = ways
                .entry(turn.driver)
                .or_insert_with(|| self.drivers.way(Some(turn.driver)));
            let now = match way {
                Ok(way) => match &turn.upgrade_to {
                    Some(version) => way.upgrading(&turn.place, version),
                    None => way.words(turn.action, &turn.place),
                },
                Err(why) => Err(why.clone()),
            };
            match now {
                Ok(words) if words == turn.words => {}
                Ok(words) => {
                    let spoken = crate::plan::restart::spoken;
                    return Err(Error::Drifted(format!(
                        "the context runs `{}` for broker {}, the plan says `{}`; make the plan again",
                        spoken(&words),
                        turn.broker(),
                        spoken(&turn.words)
                    )));
                }
                Err(why) => return Err(Error::Drifted(why)),
            }
        }
        Ok(())
    }
}
