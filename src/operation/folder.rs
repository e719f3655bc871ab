//! Where the operations of one cluster lie, and what lies in the folder of one.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::journal::{Entry, Event, Journal};
use super::status::Status;
use super::{Error, Id};
use crate::model::Moment;
use crate::model::throttle::{self, Claim, Setting};

/// An operation and how it stands, or why that cannot be told.
pub type Told = (Id, Result<Status, Error>);

/// How long an engine may take until it listens.
pub(super) const START: Duration = Duration::from_secs(10);

/// The operations of one cluster: `operation/` in its state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// `state`: the cluster's state folder.
    pub fn new(state: &Path) -> Self {
        Self {
            root: state.join("operation"),
        }
    }

    /// The runs of runbooks on the same cluster: `runbook/` beside the operations, by the same rules.
    pub fn runs(state: &Path) -> Self {
        Self {
            root: state.join("runbook"),
        }
    }

    /// The latest operation that was begun for this reason, word for word.
    ///
    /// # Errors
    /// When the folder cannot be read; an operation whose journal cannot be read was begun for none.
    pub fn begun_for(&self, reason: &str) -> Result<Option<Status>, Error> {
        let all = self.all()?.into_iter().filter_map(|(_, status)| status.ok());
        Ok(all.into_iter().find(|status| status.reason.as_deref() == Some(reason)))
    }

    /// Where the locks of the cluster lie.
    pub fn locks(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn of(&self, id: &Id) -> PathBuf {
        self.root.join(id.as_str())
    }

    pub fn journal(&self, id: &Id) -> PathBuf {
        self.of(id).join("journal.jsonl")
    }

    pub fn socket(&self, id: &Id) -> PathBuf {
        self.of(id).join("engine.sock")
    }

    /// Who starts an engine or is one that starts: its process id, until the engine holds the journal. Between the two
    /// nobody does, and yet the operation is nobody's to take up.
    fn start(&self, id: &Id) -> PathBuf {
        self.of(id).join("engine.start")
    }

    /// An engine is about to be started by this process, or is it.
    pub(super) fn starts(&self, id: &Id, process: u32) -> Result<(), Error> {
        let path = self.start(id);
        let made = path.with_extension("new");
        // Another operator's may be there, whose mode is not ours to set.
        let _ = fs::remove_file(&made);
        fs::write(&made, process.to_string()).map_err(Error::file(&made))?;
        share(&made)?;
        fs::rename(&made, &path).map_err(Error::file(&path))
    }

    /// It holds the journal, or will not.
    pub(super) fn started(&self, id: &Id) {
        // A leftover says nothing once it is old, or its process is gone.
        let _ = fs::remove_file(self.start(id));
    }

    fn is_starting(&self, id: &Id) -> bool {
        let path = self.start(id);
        let age = fs::metadata(&path)
            .and_then(|file| file.modified())
            .map(|at| at.elapsed());
        let young = age.is_ok_and(|age| age.is_ok_and(|age| age < START));
        let process = || fs::read_to_string(&path).ok()?.parse().ok().and_then(Pid::from_raw);
        // Another user's may not be asked, which says that it is there.
        let lives = |process| test_kill_process(process) != Err(Errno::SRCH);
        young && process().is_some_and(lives)
    }

    /// What the engine says beside its journal: crashes, mostly.
    pub fn log(&self, id: &Id) -> PathBuf {
        self.of(id).join("engine.log")
    }

    /// Makes the folder of a new operation, or run; its group may use it where the state folder's group may.
    pub fn make(&self, id: &Id) -> Result<(), Error> {
        self.prepare()?;
        make(&self.of(id))
    }

    /// Makes the folder of the locks.
    pub fn prepare(&self) -> Result<(), Error> {
        make(&self.root)?;
        make(&self.locks())
    }

    /// The operation whose name begins so, when there is exactly one.
    pub fn find(&self, prefix: &str) -> Result<Id, Error> {
        let id = Id::parse(prefix)?;
        let mut matching = self
            .ids()?
            .into_iter()
            .filter(|known| known.as_str().starts_with(id.as_str()));
        match (matching.next(), matching.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(Error::Unknown(prefix.to_owned())),
        }
    }

    /// Every operation, as its journal tells it, the latest first. One that cannot be read is told as an error.
    pub fn all(&self) -> Result<Vec<Told>, Error> {
        let mut all: Vec<Told> = self
            .ids()?
            .into_iter()
            .map(|id| {
                let status = self.status(&id);
                (id, status)
            })
            .collect();
        all.sort_by_key(|(_, status)| std::cmp::Reverse(status.as_ref().ok().map(|status| status.begun_at)));
        Ok(all)
    }

    /// The throttles that operations have set and nobody has taken away, as far as the journals here tell. One that
    /// cannot be read claims nothing.
    pub fn claims(&self) -> Result<Vec<Claim>, Error> {
        let mut told = Vec::new();
        for id in self.ids()? {
            let Ok(entries) = Journal::read(&self.journal(&id)) else {
                continue;
            };
            let Some(status) = Status::of(&entries, &id) else {
                continue;
            };
            told.push((id, status.phase.is_over(), entries));
        }
        Ok(ledger(&told))
    }

    /// One operation, as its journal tells it, and whether its engine lives or starts.
    pub fn status(&self, id: &Id) -> Result<Status, Error> {
        let path = self.journal(id);
        let mut status = Status::of(&Journal::read(&path)?, id).ok_or_else(|| Error::Unknown(id.to_string()))?;
        // In this order: an engine holds the journal before it takes away that it starts.
        status.alive = self.is_starting(id) || Journal::is_held(&path)?;
        Ok(status)
    }

    /// The names of all operations.
    pub fn ids(&self) -> Result<Vec<Id>, Error> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(reason) => {
                return Err(Error::File {
                    path: self.root.clone(),
                    reason,
                });
            }
        };
        let ids = entries
            .flatten()
            .filter(|entry| entry.path().join("journal.jsonl").is_file());
        Ok(ids
            .filter_map(|entry| Id::parse(entry.file_name().to_str()?).ok())
            .collect())
    }
}

fn make(folder: &Path) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => share(folder),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::file(folder)(error)),
    }
}

/// Gives what was just made here to the group as well, where the folder it lies in is the group's.
///
/// Set by hand, because the umask of whoever works would take it away again.
pub(super) fn share(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let around = fs::metadata(parent).map_err(Error::file(parent))?.mode();
    let own = fs::symlink_metadata(path).map_err(Error::file(path))?;
    let mode = match (around & 0o020 != 0, own.is_dir()) {
        (true, true) => 0o2770,
        (true, false) => 0o660,
        (false, true) => 0o700,
        (false, false) => 0o600,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file(path))
}

/// Who holds which throttle: what one operation sets another may have taken away, so their entries are read in the order
/// of time.
pub fn ledger(operations: &[(Id, bool, Vec<Entry>)]) -> Vec<Claim> {
    let mut events: Vec<(Moment, usize, &Event)> = Vec::new();
    for (at, (_, _, entries)) in operations.iter().enumerate() {
        let about = entries.iter().filter(|entry| entry.event.is_about_throttles());
        events.extend(about.map(|entry| (entry.at, at, &entry.event)));
    }
    events.sort_by_key(|(moment, _, _)| *moment);
    let mut held: Vec<Vec<Setting>> = vec![Vec::new(); operations.len()];
    for (_, at, event) in events {
        match event {
            Event::Throttled { settings } => throttle::hold(&mut held[at], settings),
            Event::Unthrottled { settings } => held.iter_mut().for_each(|held| throttle::release(held, settings)),
            _ => {}
        }
    }
    let claims = operations.iter().zip(held).flat_map(|((id, over, _), held)| {
        held.into_iter().map(move |setting| Claim {
            operation: id.to_string(),
            live: !over,
            setting,
        })
    });
    claims.collect()
}

/// Takes the lock of a file, with some patience for those who only look at it. `false`: somebody holds it.
pub(super) fn lock(file: &fs::File, patience: Duration) -> std::io::Result<bool> {
    const PAUSE: Duration = Duration::from_millis(10);
    let until = Instant::now() + patience;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
