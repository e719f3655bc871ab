//! Changes of volumes: tried out, asked for once, and looked at until EC2 shows them; then the file system on the host.
//!
//! What must stay true: whatever EC2 shows is believed before anything is asked again, so an engine that died over a call finds
//! what became of it; a volume leaves no broker that runs; credentials that end hold it up and lose nothing.

use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use super::{End, Engine, GATES, Pace, Stop, Wish};
use crate::model::volume::Change;
use crate::operation::driver::{Exit, Run, State};
use crate::operation::journal::Event;
use crate::operation::pace::Next;
use crate::operation::status::{Progress, Wait};
use crate::operation::step::is_passing;
use crate::operation::volume::{Standing, file_system, look};
use crate::operation::{Error, crash, prepare};
use crate::plan::gate::Verdict;
use crate::plan::summary::size;
use crate::plan::volume::{Act, Extend, Verify, standing, verified};
use crate::source::Error as Trouble;

/// So long EC2 may not show what it has taken. Source: EC2 API reference, "Eventual consistency".
const UNSEEN: Duration = Duration::from_secs(60);
/// So long a broker may go on telling the old size after its file system was extended.
const TOLD: Duration = Duration::from_secs(60);
const DRIVER: &str = "driver";
const VERIFY: &str = "verified";
/// So long EC2 and names may be behind before a person is told.
const VERIFIED: Duration = Duration::from_secs(120);

impl Engine {
    /// What stands in the way of a volume's change right now.
    pub(super) async fn before_volume(&mut self, act: &Act) -> Result<Result<Next, Stop>, Error> {
        let Act::Change { change, .. } = act else {
            return Ok(Ok(Next::Go));
        };
        if !matches!(change, Change::Detach { .. }) {
            return Ok(Ok(Next::Go));
        }
        let sources = self.sources.clone();
        let needs = prepare::about_volumes();
        let snapshot = match self
            .hear(async move { prepare::collected(&sources, needs, GATES).await })
            .await?
        {
            Ok(snapshot) => snapshot,
            Err(stop) => return Ok(Err(stop)),
        };
        let mut closed = standing(&snapshot, change);
        closed.retain(|gate| matches!(gate.verdict, Verdict::Fail | Verdict::Unknown));
        Ok(Ok(Wait::gates(&closed).map_or(Next::Go, Next::Wait)))
    }

    /// Carries one out.
    pub(super) async fn volume(&mut self, at: usize, act: &Act) -> Result<End, Error> {
        match act {
            Act::Change { change, .. } => self.change_volume(at, change).await,
            Act::Extend(extend) => self.extend(at, extend).await,
            Act::Verify(verify) => self.verify(verify).await,
        }
    }

    /// Names an act to EC2: this operation's step.
    pub(super) fn token(&self, at: usize) -> String {
        let operation = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or("?");
        format!("azimuth-{operation}-{}", at + 1)
    }

    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_variables, reason = "without AWS there is none to ask")
    )]
    async fn change_volume(&mut self, at: usize, change: &Change) -> Result<End, Error> {
        let aws = match &self.sources.aws {
            Ok(aws) => aws.clone(),
            Err(why) => return Ok(End::Failed(why.clone())),
        };
        let change = match change.resolved(|step| self.made(step.checked_sub(1)?).into_iter().next()) {
            Ok(change) => change,
            Err(step) => {
                let why = format!("what step {step} made is not in the journal");
                return Ok(End::Failed(why));
            }
        };
        let change = &change;
        let token = self.token(at);
        let mut made = self.made(at);
        let mut asked: Option<Instant> = None;
        let mut pace = Pace::new();
        loop {
            let looked = look(aws.clone(), change.clone(), token.clone(), made.clone());
            match self.hear(looked.boxed()).await? {
                Err(stop) => return Ok(End::Stopped(stop)),
                Ok(Ok(Standing::Done(words))) => return Ok(End::Done(words)),
                Ok(Ok(Standing::Made(words, ids))) => {
                    self.keep(at, &ids)?;
                    return Ok(End::Done(words));
                }
                Ok(Ok(Standing::Astray(why))) => return Ok(End::Failed(why)),
                Ok(Ok(Standing::Underway { note, percent })) => {
                    asked.get_or_insert_with(Instant::now);
                    self.show(Progress {
                        step: at,
                        done: percent
                            .and_then(|percent| u32::try_from(percent).ok())
                            .unwrap_or_default(),
                        total: 100,
                        note,
                        ..Progress::default()
                    });
                }
                Ok(Ok(Standing::Ready)) if asked.is_some_and(|since| since.elapsed() < UNSEEN) => {
                    self.wait_for(format!("EC2 does not show yet what was asked: {}", change.words()));
                }
                Ok(Ok(Standing::Ready)) => match self.ask_ec2(&aws, change, &token).await? {
                    Ok(ids) => {
                        self.keep(at, &ids)?;
                        made = ids;
                        asked = Some(Instant::now());
                    }
                    Err(Asked::Later(why)) => self.wait_for(why),
                    Err(Asked::Refused(why)) => return Ok(End::Failed(why)),
                    Err(Asked::Open(why)) => {
                        asked = Some(Instant::now());
                        self.wait_for(why);
                    }
                },
                Ok(Err(error)) if passes(&error) => self.wait_for(error.to_string()),
                Ok(Err(error)) => return Ok(End::Failed(error.to_string())),
            }
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(End::Stopped(stop));
            }
        }
    }

    /// The ids of what a step has made, as the journal tells.
    fn made(&self, at: usize) -> Vec<String> {
        let told = self
            .journal
            .entries()
            .iter()
            .rev()
            .find_map(|entry| match &entry.event {
                Event::Made { step, ids } if *step == at => Some(ids.clone()),
                _ => None,
            });
        told.unwrap_or_default()
    }

    /// Notes what a step has made, unless that is known.
    fn keep(&mut self, at: usize, ids: &[String]) -> Result<(), Error> {
        if ids.is_empty() || self.made(at) == ids {
            return Ok(());
        }
        self.note(Event::Made {
            step: at,
            ids: ids.to_vec(),
        })
    }

    /// Looks until a broker runs where it shall, with what it had. Names and addresses may take a while.
    async fn verify(&mut self, verify: &Verify) -> Result<End, Error> {
        let since = Instant::now();
        let mut pace = Pace::new();
        loop {
            let sources = self.sources.clone();
            let needs = prepare::about_volumes();
            let looked = async move { prepare::collected(&sources, needs, GATES).await };
            let snapshot = match self.hear(looked.boxed()).await? {
                Ok(snapshot) => snapshot,
                Err(stop) => return Ok(End::Stopped(stop)),
            };
            let cluster = self.status.borrow().plan.cluster_id.clone();
            let why = match verified(&snapshot, verify, &cluster) {
                Ok(words) => {
                    self.go_on()?;
                    return Ok(End::Done(words));
                }
                Err(why) => why,
            };
            if self.status.borrow().overrides.iter().any(|gate| gate == VERIFY) {
                return Ok(End::Done(format!("overridden: {why}")));
            }
            match since.elapsed() >= VERIFIED {
                false => self.wait_for(why),
                true => self.stand_at(VERIFY, why)?,
            }
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(End::Stopped(stop));
            }
        }
    }

    /// Tries it out, and then asks for it, once.
    async fn ask_ec2(
        &mut self,
        aws: &crate::source::aws::Aws,
        change: &Change,
        token: &str,
    ) -> Result<Result<Vec<String>, Asked>, Error> {
        if let Err(error) = self.attend(aws.change(change, token, true).boxed()).await? {
            return Ok(Err(match passes(&error) {
                true => Asked::Later(error.to_string()),
                false => Asked::Refused(error.to_string()),
            }));
        }
        crash::point();
        let told = self.attend(aws.change(change, token, false).boxed()).await?;
        crash::point();
        Ok(told.map_err(|error| match &error {
            Trouble::Throttled { .. } | Trouble::Expired { .. } => Asked::Later(error.to_string()),
            Trouble::TimedOut { .. } | Trouble::Unreachable { .. } => Asked::Open(error.to_string()),
            Trouble::Refused { code, .. } if is_theirs(code) => Asked::Open(error.to_string()),
            _ => Asked::Refused(error.to_string()),
        }))
    }

    /// The file system grows to its volume; by a driver, or by a person who is told how.
    async fn extend(&mut self, at: usize, extend: &Extend) -> Result<End, Error> {
        let mut since: Option<Instant> = None;
        let mut pace = Pace::new();
        loop {
            let looked = file_system(self.kafka.clone(), extend.broker, extend.path.clone());
            let told = match self.hear(looked).await? {
                Err(stop) => return Ok(End::Stopped(stop)),
                Ok(told) => told,
            };
            // Run once in any case: from how large it is cannot be told for sure that nothing is left to do.
            let was_run = extend.run.is_none() || self.past(at).ended.is_some();
            let note = match &told {
                Ok(Some(bytes)) if was_run && *bytes >= extend.least_bytes => {
                    self.go_on()?;
                    let words = format!("{} of broker {} has {}", extend.path, extend.broker, size(Some(*bytes)));
                    return Ok(End::Done(words));
                }
                Ok(bytes) => format!("broker {} tells of {}", extend.broker, size(*bytes)),
                Err(error) => error.to_string(),
            };
            match &extend.run {
                None => self.wait_for(format!(
                    "{note}; extend {} on its host: growpart where it lies on a partition, then xfs_growfs or resize2fs",
                    extend.path
                )),
                Some(run) => {
                    let past = self.past(at);
                    match past.ended.as_ref().filter(|_| !past.again) {
                        None => {
                            let exit = self.run_on_host(at, run).await?;
                            since = Some(Instant::now());
                            let (run, code) = (self.past(at).runs, exit.code);
                            self.note(Event::Ran {
                                step: at,
                                run,
                                code,
                                said: exit.tail,
                                gone: false,
                            })?;
                        }
                        Some(ran) => {
                            let late = since.get_or_insert_with(Instant::now).elapsed() >= TOLD;
                            if !ran.exit.is_well() || late {
                                let why = format!(
                                    "{note}; {} ended with {}; overriding this gate runs it again, and the plan goes on by itself when the broker tells of {}",
                                    run.driver,
                                    ran.exit,
                                    size(Some(extend.least_bytes))
                                );
                                self.stand_at(DRIVER, why)?;
                            } else {
                                self.wait_for(note);
                            }
                        }
                    }
                }
            }
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(End::Stopped(stop));
            }
        }
    }

    /// Has it run, or finds what an engine before this one has begun.
    async fn run_on_host(&mut self, at: usize, what: &crate::plan::volume::Run) -> Result<Exit, Error> {
        let driver = self.garage.driver(what.driver);
        let past = self.past(at);
        let found = past.runs > 0 && past.ended.is_none() && !past.again;
        let run = Run {
            folder: self.folder.clone(),
            step: at,
            number: if found { past.runs } else { past.runs + 1 },
        };
        let mut state = State::Absent;
        if found {
            state = self.attend(driver.look(&run)).await?;
        } else {
            let (step, run) = (at, run.number);
            self.note(Event::Run { step, run })?;
        }
        if state == State::Absent {
            crash::point();
            let begun = self.attend(driver.begin(&what.words, &run)).await?;
            crash::point();
            if let Err(why) = begun {
                // As a shell says of what cannot be run.
                return Ok(Exit {
                    code: Some(126),
                    tail: why,
                });
            }
        }
        let started = Instant::now();
        let mut pace = Pace::new();
        loop {
            let late = started.elapsed() >= Duration::from_secs(what.deadline_seconds);
            let tail = match self.attend(driver.look(&run)).await? {
                State::Ended(exit) => return Ok(exit),
                State::Running if late => "it still runs, and is left alone".to_owned(),
                State::Unseen(why) if late => why,
                State::Running | State::Unseen(_) => {
                    self.wait_for(format!("{} extends the file system", what.driver));
                    self.attend(tokio::time::sleep(pace.next())).await?;
                    continue;
                }
                State::Absent | State::Lost => "what was begun was killed before it ended".to_owned(),
            };
            return Ok(Exit { code: None, tail });
        }
    }
}

/// What asking EC2 for a change came to, where it was not simply taken.
enum Asked {
    Later(String),
    Refused(String),
    /// It may have been taken all the same.
    Open(String),
}

/// Whether the same question may be answered later; credentials may come back, too.
pub(super) fn passes(error: &Trouble) -> bool {
    is_passing(error)
        || matches!(error, Trouble::Expired { .. })
        || matches!(error, Trouble::Refused { code, .. } if is_theirs(code))
}

/// A fault on their side. Source: EC2 API error codes, "Server errors".
fn is_theirs(code: &str) -> bool {
    code.starts_with("HTTP 5")
        || matches!(
            code,
            "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable"
        )
}
