//! What can be wrong with the operator's files. Every variant is exit 2: nothing was asked of any cluster.

use std::io;
use std::path::PathBuf;

/// A sentence with the file, the line and the way out in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text of a file is wrong at a known line (counted from 1).
    #[error("{}:{line}: {message}", path.display())]
    Text {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("cannot read {}: {reason}", path.display())]
    Read { path: PathBuf, reason: io::Error },
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: io::Error },
    /// What was asked for on the command line does not fit the files.
    #[error("{0}")]
    Usage(String),
    /// Client properties that cannot be honoured, one to a line.
    #[error("{}", .0.join("\n"))]
    Properties(Vec<String>),
    #[error("no home folder: set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME")]
    NoHome,
}
