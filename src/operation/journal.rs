//! The journal of one operation: a line of JSON for each thing that happened, on the disk before the next thing happens.
//!
//! Who holds the file's lock may append. A last line without its end was being written when the machine stopped; it
//! stands for nothing, because nothing was done before it was whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::status::Wait;
use super::{Error, Id, Who, crash, folder};
use crate::model::Moment;
use crate::model::throttle::Setting;
use crate::plan::reassign::watch::Baseline;
use crate::plan::schedule::Schedule;
use crate::plan::summary::size;
use crate::plan::throttle::{per_second, words};
use crate::plan::{Move, Plan};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry<E = Event> {
    pub at: Moment,
    /// SHA-256 of the line before, in hexadecimal; none in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<String>,
    #[serde(flatten)]
    pub event: E,
}

impl<E> Entry<E> {
    /// One that stands for itself: the first of a journal.
    pub fn new(at: Moment, event: E) -> Self {
        Self {
            at,
            former: None,
            event,
        }
    }
}

/// Whether each line of a journal names the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every line, so many of them. Lines that were cut off at the end leave no trace here.
    Whole(usize),
    /// This line, counted from 1, names another than the one before it: one of the two was changed, or lines between them
    /// were taken out or put in.
    Broken(usize),
    /// From this line on names are missing; written by a version that knew none.
    Unnamed(usize),
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(lines) => write!(f, "whole: each of {lines} lines names the one before"),
            Self::Broken(line) => write!(
                f,
                "BROKEN at line {line}: it names another line than the one before it; something was changed by hand"
            ),
            Self::Unnamed(line) => write!(f, "not named from line {line} on: written by an older azimuth"),
        }
    }
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
        /// When it may go on.
        #[serde(default, skip_serializing_if = "Schedule::is_empty")]
        schedule: Schedule,
    },
    /// An engine took the operation up.
    Engine {
        by: Who,
    },
    /// How things stood before the first step: what was so then holds nothing up.
    Baseline {
        seen: Box<Baseline>,
    },
    /// It begins nothing more until this has passed, and then goes on by itself.
    Waits {
        #[serde(flatten)]
        wait: Wait,
    },
    /// What it waited for has passed.
    GoesOn,
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
        /// Gates that it goes on against from here on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        overrides: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// By whoever asked, or by its schedule, which says why.
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Resumed,
    /// Less is moved at once from here on, because something suffers.
    Slowed {
        why: String,
        bytes_in_flight: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_per_second: Option<u64>,
    },
    /// This is about to be set, so it is ours from here on.
    Throttled {
        settings: Vec<Setting>,
    },
    /// This was seen to be gone, so it is nobody's any more.
    Unthrottled {
        settings: Vec<Setting>,
    },
    /// The order of preference is about to change so, until the step's broker is back.
    Drained {
        step: usize,
        moves: Vec<Move>,
    },
    /// It is as it was before.
    Undrained {
        step: usize,
    },
    /// This step is about to have something run on its broker's host, for the so-manieth time.
    Run {
        step: usize,
        run: u32,
    },
    /// That ended so, or nobody knows how.
    Ran {
        step: usize,
        run: u32,
        code: Option<i32>,
        /// The end of what it said.
        said: String,
        /// The broker was seen to be away meanwhile, or to be another process.
        gone: bool,
    },
    /// AWS made these for the step; later steps name them by it.
    Made {
        step: usize,
        ids: Vec<String>,
    },
    /// What the step had in flight is back where it was; the step is next again.
    TakenBack {
        step: usize,
    },
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

impl Event {
    /// Whether the ledger of throttles has to read it.
    pub fn is_about_throttles(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unthrottled { .. })
    }
}

/// In words, for logs on screens and in answers.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Begun {
                by,
                reason,
                overrides,
                schedule,
                ..
            } => {
                write!(f, "begun by {}", by.whole())?;
                schedule.words().iter().try_for_each(|words| write!(f, ", {words}"))?;
                if !overrides.is_empty() {
                    write!(f, ", against gates {}", overrides.join(", "))?;
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::Engine { by } => write!(f, "taken up by {}, pid {}", by.whole(), by.pid),
            Self::Step { step } => write!(f, "step {} begins", step + 1),
            Self::Done { step, outcome } => write!(f, "step {} done: {outcome}", step + 1),
            Self::Baseline { seen } => {
                let missing: u32 = seen.missing.values().sum();
                write!(
                    f,
                    "before it began: {missing} replicas out of sync, {} partitions moved by others",
                    seen.moving.len()
                )
            }
            Self::Waits { wait } => write!(f, "waits: {wait}"),
            Self::GoesOn => f.write_str("goes on"),
            Self::Asked {
                ask,
                by,
                overrides,
                reason,
            } => {
                write!(f, "{} asked: {ask}", by.whole())?;
                if !overrides.is_empty() {
                    write!(f, ", against gates {}", overrides.join(", "))?;
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::Paused { why } => {
                f.write_str("paused")?;
                why.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            Self::Slowed {
                why,
                bytes_in_flight,
                bytes_per_second,
            } => {
                write!(f, "slows down to {} in flight", size(Some(*bytes_in_flight)))?;
                if let Some(rate) = bytes_per_second {
                    write!(f, " and {}", per_second(*rate))?;
                }
                write!(f, ": {why}")
            }
            Self::Resumed => f.write_str("resumed"),
            Self::Throttled { settings } => write!(f, "sets {}", words(settings)),
            Self::Unthrottled { settings } => write!(f, "cleared {}", words(settings)),
            Self::Drained { step, moves } => {
                write!(f, "step {} changes whom {} partitions prefer", step + 1, moves.len())
            }
            Self::Undrained { step } => write!(f, "step {} put the order of preference back", step + 1),
            Self::Run { step, run: 1 } => write!(f, "step {} is run on its host", step + 1),
            Self::Run { step, run } => write!(f, "step {} is run on its host, {run} times now", step + 1),
            Self::Ran { step, code, said, .. } => {
                match code {
                    Some(code) => write!(f, "what step {} ran ended with exit {code}", step + 1)?,
                    None => write!(f, "how what step {} ran ended is not known", step + 1)?,
                }
                match said.is_empty() {
                    true => Ok(()),
                    false => write!(f, ": {said}"),
                }
            }
            Self::Made { step, ids } => write!(f, "step {} made {}", step + 1, ids.join(", ")),
            Self::TakenBack { step } => write!(f, "step {} taken back", step + 1),
            Self::Aborted { left } => write!(f, "aborted: {left}"),
            Self::Failed { step, reason } => write!(f, "failed at step {}: {reason}", step + 1),
            Self::Finished => f.write_str("finished"),
        }
    }
}

/// What an operator may ask of a running operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ask {
    /// The step in flight goes on to its end.
    Pause,
    /// What is in flight goes back.
    #[strum(serialize = "pause now")]
    PauseNow,
    Resume,
    Abort,
}

/// What a journal can hold.
pub trait Told: Serialize + DeserializeOwned {
    /// Who holds the journal from here on, where this says so.
    fn holder(&self) -> Option<&Who>;
}

impl Told for Event {
    fn holder(&self) -> Option<&Who> {
        match self {
            Self::Engine { by } => Some(by),
            _ => None,
        }
    }
}

/// The journal of an operation.
pub type Journal = Log<Event>;

/// An open journal; the lock goes with it.
#[derive(Debug)]
pub struct Log<E> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; what lies behind them was never finished.
    length: u64,
    entries: Vec<Entry<E>>,
    /// Of the last whole line.
    last: Option<String>,
}

/// Whoever looks whether a journal is held holds it for an instant, so one refusal is tried again for this long.
const PATIENCE: Duration = Duration::from_millis(500);

impl<E: Told> Log<E> {
    /// Starts a journal with its first line.
    pub fn create(path: &Path, begun: E, now: Moment) -> Result<Self, Error> {
        let options = || OpenOptions::new().create_new(true).append(true).mode(0o600).open(path);
        let file = options().map_err(Error::file(path))?;
        folder::share(path)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            length: 0,
            entries: Vec::new(),
            last: None,
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
            length: 0,
            entries: Vec::new(),
            last: None,
        };
        journal.lock(id)?;
        let whole = whole_lines(path)?;
        journal.length = whole.len() as u64;
        journal.entries = parse(path, &whole)?;
        journal.last = lines(&whole).last().map(hash);
        journal.file.set_len(journal.length).map_err(Error::file(path))?;
        Ok(journal)
    }

    /// What the journal holds now, without taking it up.
    pub fn read(path: &Path) -> Result<Vec<Entry<E>>, Error> {
        parse(path, &whole_lines(path)?)
    }

    /// Whether each line names the one before it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn chain(path: &Path) -> Result<Chain, Error> {
        let whole = whole_lines(path)?;
        let entries = parse::<E>(path, &whole)?;
        let mut before: Option<String> = None;
        for (at, (line, entry)) in lines(&whole).zip(&entries).enumerate() {
            match (&entry.former, &before) {
                (None, Some(_)) => return Ok(Chain::Unnamed(at + 1)),
                (named, before) if named != before => return Ok(Chain::Broken(at + 1)),
                _ => {}
            }
            before = Some(hash(line));
        }
        Ok(Chain::Whole(entries.len()))
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
    pub fn append(&mut self, event: E, at: Moment) -> Result<(), Error> {
        crash::point();
        let entry = Entry {
            at,
            former: self.last.clone(),
            event,
        };
        let mut line =
            serde_json::to_vec(&entry).map_err(|error| Error::Refused(format!("a journal entry: {error}")))?;
        let hash = hash(&line);
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(reason) = written {
            // A full disk may have taken half of it; the next line must not begin there.
            let _ = self.file.set_len(self.length);
            return Err(Error::file(&self.path)(reason));
        }
        self.last = Some(hash);
        self.length += line.len() as u64;
        self.entries.push(entry);
        crash::point();
        Ok(())
    }

    pub fn entries(&self) -> &[Entry<E>] {
        &self.entries
    }

    fn lock(&self, id: &Id) -> Result<(), Error> {
        match folder::lock(&self.file, PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let entries = Self::read(&self.path).unwrap_or_default();
                let holder = entries.iter().rev().find_map(|entry| entry.event.holder());
                let holder = holder.map(|by| format!("{by} (pid {})", by.pid));
                Err(Error::Running {
                    id: id.clone(),
                    holder: holder.unwrap_or_else(|| "another process".to_owned()),
                })
            }
            Err(reason) => Err(Error::file(&self.path)(reason)),
        }
    }
}

/// The file up to the end of its last whole line. A torn line may end in half a letter, so bytes are cut, not text.
fn whole_lines(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = fs::read(path).map_err(Error::file(path))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    bytes.truncate(whole);
    Ok(bytes)
}

/// Of a line without its end.
fn hash(line: &(impl AsRef<[u8]> + ?Sized)) -> String {
    let digest = digest(&SHA256, line.as_ref());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn parse<E: DeserializeOwned>(path: &Path, whole: &[u8]) -> Result<Vec<Entry<E>>, Error> {
    let garbled = |line: usize, reason: serde_json::Error| Error::Garbled {
        path: path.to_owned(),
        line,
        reason: reason.to_string(),
    };
    let entries = lines(whole)
        .enumerate()
        .map(|(at, line)| serde_json::from_slice(line).map_err(|error| garbled(at + 1, error)));
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{begun, now};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn id() -> Id {
        Id::parse("abc123").unwrap()
    }

    #[test]
    fn a_torn_last_line_stands_for_nothing_and_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        drop(Journal::create(&path, begun(), now()).unwrap());
        let whole = fs::metadata(&path).unwrap().len();
        // Half of a letter of two bytes is not even text.
        for torn in [&b"{\"at\":\"2026"[..], b"{\"event\":\"\xc3", b"\0\0\0"] {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(torn).unwrap();
            drop(file);
            assert_eq!(Journal::read(&path).unwrap().len(), 1);
            let mut journal = Journal::take_up(&path, &id()).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), whole);
            journal.append(Event::Step { step: 0 }, now()).unwrap();
            drop(journal);
            assert_eq!(Journal::read(&path).unwrap()[1].event, Event::Step { step: 0 });
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(whole).unwrap();
        }
    }

    #[test]
    fn a_line_that_is_none_is_told_with_its_number_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        drop(Journal::create(&path, begun(), now()).unwrap());
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"event\":\"dance\"}\n").unwrap();
        let told = Journal::take_up(&path, &id()).unwrap_err().to_string();
        assert!(told.contains("line 2 is not a journal entry"), "{told}");
        assert!(fs::read_to_string(&path).unwrap().ends_with("dance\"}\n"));
    }

    #[test]
    fn a_line_that_was_changed_or_taken_out_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::create(&path, begun(), now()).unwrap();
        journal.append(Event::Step { step: 0 }, now()).unwrap();
        drop(journal);
        // Another process goes on with the same chain.
        let mut journal = Journal::take_up(&path, &id()).unwrap();
        for event in [Event::Resumed, Event::Finished] {
            journal.append(event, now()).unwrap();
        }
        drop(journal);
        assert_eq!(Journal::chain(&path).unwrap(), Chain::Whole(4));
        let text = fs::read_to_string(&path).unwrap();
        let written = |text: String| {
            fs::write(&path, text).unwrap();
            Journal::chain(&path).unwrap()
        };
        // Who began it, a step that is said to be another, a line less, two that changed places.
        assert_eq!(written(text.replacen("anna", "bert", 1)), Chain::Broken(2));
        assert_eq!(written(text.replace("\"step\":0", "\"step\":1")), Chain::Broken(3));
        let lines: Vec<&str> = text.lines().collect();
        let of = |order: &[usize]| order.iter().map(|at| format!("{}\n", lines[*at])).collect::<String>();
        assert_eq!(written(of(&[0, 1, 3])), Chain::Broken(3));
        assert_eq!(written(of(&[0, 2, 1, 3])), Chain::Broken(2));
        assert_eq!(written(of(&[1, 2, 3])), Chain::Broken(1));
        let old: String = text
            .lines()
            .map(|line| {
                let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
                value.as_object_mut().unwrap().remove("former");
                format!("{value}\n")
            })
            .collect();
        assert_eq!(written(old), Chain::Unnamed(2));
    }

    #[test]
    fn one_process_holds_it_and_the_next_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::create(&path, begun(), now()).unwrap();
        let by = Who {
            user: "anna".into(),
            host: "bastion-b".into(),
            pid: 7,
            ..Who::default()
        };
        journal.append(Event::Engine { by }, now()).unwrap();
        assert!(Journal::is_held(&path).unwrap());
        let told = Journal::take_up(&path, &id()).unwrap_err().to_string();
        assert_eq!(told, "operation abc123 is being run by anna@bastion-b (pid 7)");
        drop(journal);
        assert!(!Journal::is_held(&path).unwrap());
        assert!(Journal::take_up(&path, &id()).is_ok());
    }

    #[test]
    fn only_the_owner_reads_it_unless_the_folder_is_a_groups() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("own.jsonl");
        drop(Journal::create(&path, begun(), now()).unwrap());
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2770)).unwrap();
        let path = folder.path().join("common.jsonl");
        drop(Journal::create(&path, begun(), now()).unwrap());
        assert_eq!(mode(&path), 0o660);
    }
}
