//! Where the operations of one cluster lie, and what lies in the folder of one.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::status::Status;
use super::{Error, Id};

/// An operation and how it stands, or why that cannot be told.
pub type Told = (Id, Result<Status, Error>);

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

    /// What the engine says beside its journal: crashes, mostly.
    pub fn log(&self, id: &Id) -> PathBuf {
        self.of(id).join("engine.log")
    }

    /// Makes the folder of a new operation; its group may use it where the state folder's group may.
    pub fn make(&self, id: &Id) -> Result<(), Error> {
        for folder in [self.locks(), self.of(id)] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o770)
                .create(&folder)
                .map_err(Error::file(&folder))?;
        }
        Ok(())
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

    /// One operation, as its journal tells it, and whether its engine lives.
    pub fn status(&self, id: &Id) -> Result<Status, Error> {
        let path = self.journal(id);
        let mut status = Status::of(&Journal::read(&path)?, id).ok_or_else(|| Error::Unknown(id.to_string()))?;
        status.alive = Journal::is_held(&path)?;
        Ok(status)
    }

    fn ids(&self) -> Result<Vec<Id>, Error> {
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
