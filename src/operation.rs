//! Verbs, written once: a plan carried out by a process of its own, in the open.
//!
//! An operation is a folder in the cluster's state folder: its journal (one fsynced line before and after every act),
//! its engine's socket (mode 0600; 0660 where a group shares the folder) and the engine's log. The engine is this program started again in a session of its
//! own, so a lost terminal does not end it; whoever may open the folder may attach, pause, resume and abort. What must
//! stay true: nothing is asked of Kafka that the journal does not hold first, only the process that holds the
//! journal's lock acts, and an engine that takes up a journal looks at the cluster before it repeats an act.

mod acl;
mod aimd;
pub mod client;
mod config;
pub mod dns;
pub mod engine;
pub mod feature;
pub mod fleet;
pub mod folder;
pub mod ground;
mod group;
pub mod journal;
pub mod launch;
mod leader;
pub mod lease;
pub mod lock;
pub mod notify;
pub mod pace;
pub mod prepare;
pub mod presence;
pub mod crash;
pub mod direct;
pub mod driver;
mod outlive;
mod quota;
mod reassign;
mod restart;
pub mod shelf;
mod socket;
pub mod status;
mod step;
#[cfg(test)]
mod testing;
mod throttle;
mod topic;
mod transaction;
mod user;
mod volume;
mod watch;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use dns::saved_switch;
pub use folder::Folder;
pub use ground::Ground;
pub use journal::{Entry, Event, Journal, Log, Told};
pub use leader::saved_order;
pub use status::{Phase, Progress, Status, StepState, Wait};
pub use step::Secrets;

use crate::settings;
use crate::source;

/// An operation's name: six hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// A new one.
    pub fn random() -> Self {
        let mut text = uuid::Uuid::new_v4().simple().to_string();
        text.truncate(6);
        Self(text)
    }

    /// # Errors
    /// When it could not be the name of an operation, and so of its folder.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fine = (1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
        if fine {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(Error::NotAnId(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Who did something, for the journal and for others who look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub user: String,
    pub host: String,
    pub pid: u32,
    /// Who logged in, where that is another: the kernel's login id, or whoever used sudo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The address that an SSH session came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Who {
    /// This process.
    pub fn me() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let uid = rustix::process::getuid().as_raw();
        let user = variable("USER").unwrap_or_else(|| format!("uid {uid}"));
        let login = variable("SUDO_USER")
            .or_else(|| login(uid))
            .filter(|login| *login != user);
        let from = variable("SSH_CONNECTION").and_then(|text| text.split(' ').next().map(ToOwned::to_owned));
        Self {
            user,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
            login,
            from,
        }
    }

    /// `anna@bastion-b, logged in as anna from 10.0.0.7`: everything that is known, for the journal.
    pub fn whole(&self) -> String {
        let login = self.login.as_ref().map(|login| format!(", logged in as {login}"));
        let from = self.from.as_ref().map(|from| format!(", from {from}"));
        format!("{self}{}{}", login.unwrap_or_default(), from.unwrap_or_default())
    }
}

/// Who logged in, as the kernel remembers it over su and sudo; `None` where that is this user, or nobody did.
fn login(uid: u32) -> Option<String> {
    const NOBODY: u32 = u32::MAX;
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    let login: u32 = text.trim().parse().ok()?;
    if login == NOBODY || login == uid {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(login)).then(|| name.to_owned())
    });
    Some(named.unwrap_or_else(|| format!("uid {login}")))
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// Why an operation could not be started, reached or carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is not the name of an operation; azimuth operation list shows them")]
    NotAnId(String),
    #[error("there is no operation {0} on this cluster; azimuth operation list shows them")]
    Unknown(String),
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: std::io::Error },
    #[error("{path} line {line} is not a journal entry ({reason}); the operation is left as it is")]
    Garbled { path: PathBuf, line: usize, reason: String },
    #[error("operation {id} is being run by {holder}")]
    Running { id: Id, holder: String },
    #[error("{scope} is locked by {holder}; wait for it, or abort it")]
    Locked { scope: String, holder: String },
    #[error("operation {id} is {phase} already")]
    Over { id: Id, phase: Phase },
    #[error("operation {id} has no engine: {what}")]
    Dead { id: Id, what: String },
    #[error("the engine of operation {id} did not start within {seconds} s; its log is {log}")]
    NotStarted { id: Id, seconds: u64, log: PathBuf },
    #[error("the cluster has changed since the plan was made: {0}")]
    Drifted(String),
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Mismatch(#[from] settings::pin::Mismatch),
    /// The context does not say how brokers are reached.
    #[error("{0}")]
    Undriven(String),
    #[error("the cluster cannot be seen: {0}")]
    Unseen(String),
    #[error("{0}")]
    Refused(String),
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |reason| Self::File { path, reason }
    }
}
