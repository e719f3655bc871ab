//! The journal of one operation: a line of JSON for each thing that happened, on the disk before the next thing happens.
//!
//! Who holds the file's lock may append. A last line without its end was being written when the machine stopped; it
//! stands for nothing, because nothing was done before it was whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Error, Id, Who};
use crate::model::Moment;
use crate::plan::Plan;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Moment,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Steps count from 0 in the file, from 1 on screens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Always the first line.
    Begun {
        plan: Box<Plan>,
        by: Who,
        reason: Option<String>,
        overrides: Vec<String>,
    },
    /// An engine took the operation up.
    Engine {
        by: Who,
    },
    /// This step is about to be asked of Kafka.
    Step {
        step: usize,
    },
    /// This step was verified.
    Done {
        step: usize,
        outcome: String,
    },
    /// Somebody asked for it; what becomes of it follows.
    Asked {
        ask: Ask,
        by: Who,
    },
    Paused,
    Resumed,
    /// In-flight work was taken back; finished steps stay.
    Aborted {
        left: String,
    },
    /// The step cannot be done; what is in flight stays in flight.
    Failed {
        step: usize,
        reason: String,
    },
    Finished,
}

/// What an operator may ask of a running operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ask {
    Pause,
    Resume,
    Abort,
}

/// An open journal; the lock goes with it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Journal {
    /// Starts a journal with its first line.
    pub fn create(path: &Path, begun: Event, now: Moment) -> Result<Self, Error> {
        let options = || OpenOptions::new().create_new(true).append(true).mode(0o660).open(path);
        let file = options().map_err(Error::file(path))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            entries: Vec::new(),
        };
        journal.lock(&Id("new".to_owned()))?;
        journal.append(begun, now)?;
        // The name of a new file is only safe once its folder is.
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::file(folder))?;
        Ok(journal)
    }

    /// Takes up a journal, if nobody else holds it. A torn last line is cut off.
    pub fn take_up(path: &Path, id: &Id) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(path)
            .map_err(Error::file(path))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            entries: Vec::new(),
        };
        journal.lock(id)?;
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        journal.file.set_len(whole as u64).map_err(Error::file(path))?;
        journal.entries = parse(path, &text[..whole])?;
        Ok(journal)
    }

    /// What the journal holds now, without taking it up.
    pub fn read(path: &Path) -> Result<Vec<Entry>, Error> {
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        parse(path, &text[..whole])
    }

    /// Whether some process holds the journal, so whether its engine lives.
    pub fn is_held(path: &Path) -> Result<bool, Error> {
        let file = File::open(path).map_err(Error::file(path))?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(Error::File {
                path: path.to_owned(),
                reason: error.into(),
            }),
        }
    }

    /// Writes one line and waits until it is on the disk.
    pub fn append(&mut self, event: Event, at: Moment) -> Result<(), Error> {
        let entry = Entry { at, event };
        let mut line =
            serde_json::to_vec(&entry).map_err(|error| Error::Refused(format!("a journal entry: {error}")))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(Error::file(&self.path))?;
        self.entries.push(entry);
        Ok(())
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn lock(&self, id: &Id) -> Result<(), Error> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let entries = Self::read(&self.path).unwrap_or_default();
                let holder = entries.iter().rev().find_map(|entry| match &entry.event {
                    Event::Engine { by } => Some(format!("{by} (pid {})", by.pid)),
                    _ => None,
                });
                Err(Error::Running {
                    id: id.clone(),
                    holder: holder.unwrap_or_else(|| "another process".to_owned()),
                })
            }
            Err(error) => Err(Error::File {
                path: self.path.clone(),
                reason: error.into(),
            }),
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Error> {
    let garbled = |line: usize, reason: serde_json::Error| Error::Garbled {
        path: path.to_owned(),
        line,
        reason: reason.to_string(),
    };
    let entries = text
        .lines()
        .enumerate()
        .map(|(at, line)| serde_json::from_str(line).map_err(|error| garbled(at + 1, error)));
    entries.collect()
}
