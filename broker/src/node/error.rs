//! Why a node does not start or go on, as sentences.

use std::io;

/// What ends a node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] io::Error),
    #[error(transparent)]
    Log(#[from] crate::log::Error),
    #[error("{0}")]
    Controller(#[from] crate::controller::Error),
    #[error("{0}")]
    Failed(String),
}
