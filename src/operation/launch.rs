//! Starting an engine that outlives this terminal.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::client::Client;
use super::folder::Folder;
use super::journal::{Event, Journal};
use super::{Error, Id, Who};
use crate::model::Moment;
use crate::plan::Plan;

/// How long an engine may take until it listens.
const START: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// An operation to begin.
#[derive(Debug, Clone)]
pub struct Launch {
    pub plan: Plan,
    pub reason: Option<String>,
    /// Soft gates that the operator opened by name.
    pub overrides: Vec<String>,
}

/// Writes the journal of a new operation; nothing runs yet.
pub fn begin(folder: &Folder, launch: Launch, now: Moment) -> Result<Id, Error> {
    let id = Id::random();
    folder.make(&id)?;
    let begun = Event::Begun {
        plan: Box::new(launch.plan),
        by: Who::me(),
        reason: launch.reason,
        overrides: launch.overrides,
    };
    Journal::create(&folder.journal(&id), begun, now)?;
    Ok(id)
}

/// Starts the engine of an operation: this program again, with `target` (the flags that name the cluster), detached.
/// Returns when it listens.
///
/// # Errors
/// [`Error::NotStarted`] with the place of its log.
pub async fn start(folder: &Folder, id: &Id, target: &[String]) -> Result<Client, Error> {
    let path = folder.log(id);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o660)
        .open(&path)
        .map_err(Error::file(&path))?;
    let program = std::env::current_exe().map_err(Error::file("azimuth"))?;
    let errors = log.try_clone().map_err(Error::file(&path))?;
    let mut command = Command::new(&program);
    command.args(["operation", "engine", id.as_str()]).args(target);
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    let mut child = command.spawn().map_err(Error::file(&program))?;
    let listening = async {
        loop {
            if let Ok(client) = Client::connect(folder, id).await {
                return Ok(client);
            }
            // A short operation may be over before we look, and a bad one may be over at once.
            if let Ok(Some(_)) = child.try_wait() {
                let status = folder.status(id)?;
                return Err(match status.phase.is_over() {
                    true => Error::Over {
                        id: id.clone(),
                        phase: status.phase,
                    },
                    false => Error::Dead {
                        id: id.clone(),
                        what: last_words(folder, id),
                    },
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let late = Error::NotStarted {
        id: id.clone(),
        seconds: START.as_secs(),
        log: folder.log(id),
    };
    tokio::time::timeout(START, listening).await.unwrap_or(Err(late))
}

/// In the engine: leaves the terminal's session, so that its end is not ours.
pub fn detach() {
    // Already the leader of a session: started by hand under setsid, or by a service manager. Nothing is lost.
    let _ = rustix::process::setsid();
}

fn last_words(folder: &Folder, id: &Id) -> String {
    let log = std::fs::read_to_string(folder.log(id)).unwrap_or_default();
    log.lines()
        .last()
        .map_or_else(|| "its engine ended without a word".to_owned(), str::to_owned)
}
