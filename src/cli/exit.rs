//! Exit statuses, and failures that carry one.

use std::fmt::Display;
use std::process::ExitCode;

use super::output::Answer;
use crate::model::foreign::plain;

/// What a command's end means to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Yes, done.
    Done = 0,
    /// The answer is no. It outranks `Partial`: a "no" that was seen stands whatever was not seen.
    No = 1,
    /// Usage or settings.
    Usage = 2,
    /// Unreachable, denied, or only part of the answer; what was seen is fine.
    Partial = 3,
    /// Refused: gate, drift, lock, read-only.
    Refused = 4,
    /// An operation failed part-way; its journal says where.
    PartWay = 5,
    Bug = 70,
    /// An operation goes on detached.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why there is no answer: one sentence for the person, one status for the script.
#[derive(Debug, Clone)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// What was not seen, and why, where the question itself was fine: the envelope of an answer without items.
    pub unseen: Option<Box<Answer>>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            unseen: None,
        }
    }

    /// The same with the envelope that scripts are given.
    pub fn unseen(self, answer: Answer) -> Self {
        Self {
            unseen: Some(Box::new(answer)),
            ..self
        }
    }

    pub fn usage(message: impl Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn partial(message: impl Display) -> Self {
        Self::new(Exit::Partial, message)
    }

    pub fn refused(message: impl Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// Says it on stderr.
    pub fn tell(self) -> Exit {
        say(&format!("azimuth: {}", self.message));
        self.exit
    }
}

impl From<crate::settings::Error> for Failure {
    fn from(error: crate::settings::Error) -> Self {
        Self::usage(error)
    }
}

/// One line on stderr; nobody listening is no error.
pub fn say(line: &str) {
    use std::io::Write;
    // A broker's words and names of topics are in it: only our own line breaks are kept.
    for line in line.lines() {
        let _ = writeln!(std::io::stderr(), "{}", plain(line));
    }
}
