//! Starting an engine that outlives this terminal.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::client::{self, Client};
use super::folder::{self, Folder, START};
use super::journal::{Ask, Event, Journal};
use super::lock::{self, Lock};
use super::{Error, Id, Secrets, Who, pace};
use crate::model::Moment;
use crate::plan::Plan;
use crate::plan::schedule::Schedule;

/// An operation to begin.
#[derive(Debug, Clone)]
pub struct Launch {
    pub plan: Plan,
    pub reason: Option<String>,
    /// Soft gates that the operator opened by name.
    pub overrides: Vec<String>,
    /// When it may go on.
    pub schedule: Schedule,
}

/// How another process is led to the cluster of this one.
#[derive(Clone, Default)]
pub struct Route {
    pub flags: Vec<String>,
    /// Each `-X key=value`: passwords may be among them, so they travel through a pipe and never as arguments, which
    /// everybody on this machine may list.
    pub properties: Vec<String>,
    /// What the engine needs and its journal must not hold; it travels with the properties.
    pub secrets: Secrets,
    /// The engine pauses after the step that was in flight.
    pub unattended: bool,
}

/// What an engine is told in its pipe.
#[derive(Default)]
pub struct Told {
    pub properties: Vec<String>,
    pub secrets: Secrets,
}

/// Before a secret in the pipe, `NAME=VALUE`.
const SECRET: char = '\u{1}';

/// Between two properties in the pipe: no argument of a process holds it.
const BETWEEN: char = '\0';

/// Writes the journal of a new operation; nothing runs yet.
///
/// # Errors
/// [`Error::Locked`] with the holder when another operation changes the same; then there is no journal.
pub fn begin(folder: &Folder, launch: Launch, now: Moment) -> Result<Id, Error> {
    pace::fits(&launch.plan, &launch.schedule).map_err(Error::Refused)?;
    Lock::probe(&folder.locks(), &lock::scopes(&launch.plan))?;
    let id = Id::random();
    folder.make(&id)?;
    let begun = Event::Begun {
        plan: Box::new(launch.plan),
        by: Who::me(),
        reason: launch.reason,
        overrides: launch.overrides,
        schedule: launch.schedule,
    };
    folder.starts(&id, std::process::id())?;
    Journal::create(&folder.journal(&id), begun, now)?;
    Ok(id)
}

/// The same against gates, which the journal holds before anything starts.
///
/// # Errors
/// As [`resume`].
pub async fn resume_against(
    folder: &Folder,
    id: &Id,
    route: &Route,
    overrides: Vec<String>,
    reason: Option<String>,
) -> Result<Client, Error> {
    if !overrides.is_empty() {
        let mut journal = Journal::take_up(&folder.journal(id), id)?;
        let asked = Event::Asked {
            ask: Ask::Resume,
            by: Who::me(),
            overrides,
            reason,
        };
        journal.append(asked, Moment::now())?;
    }
    resume(folder, id, route).await
}

/// Starts an engine for an operation that has none and is not over; it goes on where the last one ended.
///
/// # Errors
/// [`Error::Over`], [`Error::Locked`] by somebody else's, or as [`start`].
pub async fn resume(folder: &Folder, id: &Id, route: &Route) -> Result<Client, Error> {
    let status = folder.status(id)?;
    if status.phase.is_over() {
        return Err(Error::Over {
            id: id.clone(),
            phase: status.phase,
        });
    }
    Lock::probe(&folder.locks(), &lock::scopes(&status.plan))?;
    start(folder, id, route).await
}

/// Aborts an operation whose engine is gone: the wish goes into its journal, and a new engine takes back what is in flight.
pub async fn abort(folder: &Folder, id: &Id, route: &Route) -> Result<Client, Error> {
    let status = folder.status(id)?;
    if !status.phase.is_over() && status.asked != Some(Ask::Abort) {
        let mut journal = Journal::take_up(&folder.journal(id), id)?;
        let asked = Event::Asked {
            ask: Ask::Abort,
            by: Who::me(),
            overrides: Vec::new(),
            reason: None,
        };
        journal.append(asked, Moment::now())?;
    }
    resume(folder, id, route).await
}

/// Starts the engine of an operation: this program again, along `route` to the cluster, detached.
/// Returns when it listens.
///
/// # Errors
/// [`Error::NotStarted`] with the place of its log, [`Error::Dead`] with its last words, [`Error::Over`] when it was
/// done before anybody could look.
pub async fn start(folder: &Folder, id: &Id, route: &Route) -> Result<Client, Error> {
    let path = folder.log(id);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(Error::file(&path))?;
    // Another operator's log is theirs to give away.
    let _ = folder::share(&path);
    let program = std::env::current_exe().map_err(Error::file("azimuth"))?;
    let errors = log.try_clone().map_err(Error::file(&path))?;
    let cluster = folder.status(id)?.plan.cluster_id;
    let mut command = engine(&program, id, &cluster, route);
    command.stdout(log).stderr(errors);
    folder.starts(id, std::process::id())?;
    let mut child = command
        .spawn()
        .inspect_err(|_| folder.started(id))
        .map_err(Error::file(&program))?;
    if let Some(process) = child.id() {
        folder.starts(id, process)?;
    }
    if let Some(mut pipe) = child.stdin.take() {
        let told = route.told();
        // An engine that ended before it read them says why in its log.
        let _ = tokio::time::timeout(START, pipe.write_all(told.as_bytes())).await;
    }
    let look = || {
        // A short operation may be over before we look, and a bad one may be over at once.
        let ended = matches!(child.try_wait(), Ok(Some(_)));
        async move {
            match Client::reach(folder, id).await {
                None if ended => Err(over(folder, id)?),
                listening => Ok(listening),
            }
        }
    };
    let late = || Error::NotStarted {
        id: id.clone(),
        seconds: START.as_secs(),
        log: folder.log(id),
    };
    client::until(START, look).await?.ok_or_else(late)
}

/// Why an engine that has ended does not listen.
fn over(folder: &Folder, id: &Id) -> Result<Error, Error> {
    let (id, phase) = (id.clone(), folder.status(id)?.phase);
    Ok(match phase.is_over() {
        true => Error::Over { id, phase },
        false => Error::Dead {
            what: last_words(folder, &id),
            id,
        },
    })
}

/// This program as an engine, with what it is to hear on stdin.
fn engine(program: &Path, id: &Id, cluster: &str, route: &Route) -> Command {
    let mut command = Command::new(program);
    command
        .args(["operation", "engine", id.as_str(), "--cluster", cluster])
        .args(&route.flags);
    if route.unattended {
        command.arg("--unattended");
    }
    if route.told().is_empty() {
        command.stdin(Stdio::null());
    } else {
        command.arg("--properties").stdin(Stdio::piped());
    }
    command
}

/// In the engine: what [`start`] passed on.
///
/// # Errors
/// When stdin cannot be read.
pub fn told() -> std::io::Result<Told> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(Told::of(&text))
}

impl Route {
    fn told(&self) -> String {
        let secrets = self
            .secrets
            .iter()
            .map(|(name, value)| format!("{SECRET}{name}={value}"));
        let words = self.properties.iter().cloned().chain(secrets);
        words.collect::<Vec<_>>().join(&BETWEEN.to_string())
    }
}

impl Told {
    fn of(text: &str) -> Self {
        let mut told = Self::default();
        for word in text.split(BETWEEN).filter(|word| !word.is_empty()) {
            match word.strip_prefix(SECRET).and_then(|pair| pair.split_once('=')) {
                Some((name, value)) => {
                    told.secrets.insert(name.to_owned(), value.to_owned());
                }
                None => told.properties.push(word.to_owned()),
            }
        }
        told
    }
}

/// In the engine: leaves the terminal's session, so that its end is not ours.
pub fn detach() {
    // Already the leader of a session: started by hand under setsid, or by a service manager. Nothing is lost.
    let _ = rustix::process::setsid();
}

fn last_words(folder: &Folder, id: &Id) -> String {
    let log = std::fs::read_to_string(folder.log(id)).unwrap_or_default();
    let last = log.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(
        || "it ended without a word".to_owned(),
        |line| line.trim_start_matches("azimuth: ").to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn what_was_begun_is_nobodys_only_once_nobody_starts_it() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::new(state.path());
        let launch = Launch {
            plan: testing::plan(&["a"]),
            reason: None,
            overrides: Vec::new(),
            schedule: Schedule::default(),
        };
        let id = begin(&folder, launch, Moment::now()).unwrap();
        assert_eq!(folder.status(&id).unwrap().word(), "running");
        // A process that was there, and is not any more.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        folder.starts(&id, gone.id()).unwrap();
        assert_eq!(folder.status(&id).unwrap().word(), "orphaned");
        folder.starts(&id, std::process::id()).unwrap();
        assert!(folder.status(&id).unwrap().alive);
        folder.started(&id);
        assert!(folder.status(&id).unwrap().is_orphaned());
    }

    #[test]
    fn no_argument_of_an_engine_holds_a_secret() {
        let route = Route {
            flags: vec!["--bootstrap".to_owned(), "b1:9092".to_owned()],
            properties: vec!["sasl.password=open sesame".to_owned()],
            secrets: Secrets::from([("bob".to_owned(), "sesame=2".to_owned())]),
            unattended: false,
        };
        let told = Told::of(&route.told());
        assert_eq!((&told.properties, &told.secrets), (&route.properties, &route.secrets));
        let command = engine(Path::new("azimuth"), &Id::random(), "cluster", &route);
        let words: Vec<_> = command.as_std().get_args().filter_map(|word| word.to_str()).collect();
        assert!(
            words.contains(&"b1:9092") && words.contains(&"--properties"),
            "{words:?}"
        );
        assert!(!words.iter().any(|word| word.contains("sesame")), "{words:?}");
    }
}
