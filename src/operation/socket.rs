//! The engine's socket: every connection is told the status as it changes, a line of JSON each, and may ask for things.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::journal::Ask;
use super::status::Status;
use super::{Error, Who};

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub ask: Ask,
    pub by: Who,
}

/// A request longer than this is nobody's who means well.
const REQUEST_BYTES: u64 = 4096;

/// Listens on `path`, which only its owner may open; a socket that a dead engine left is replaced.
pub(super) fn listen(path: &Path) -> Result<UnixListener, Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::file(path)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(Error::file(path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(Error::file(path))?;
    Ok(listener)
}

/// Serves connections until the engine is done with them.
pub(super) async fn serve(listener: UnixListener, status: watch::Receiver<Status>, asks: mpsc::Sender<Request>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(attend(stream, status.clone(), asks.clone()));
            }
            // Out of descriptors, most likely; the operation itself goes on.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
        }
    }
}

async fn attend(stream: UnixStream, mut status: watch::Receiver<Status>, asks: mpsc::Sender<Request>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(tokio::io::AsyncReadExt::take(read, REQUEST_BYTES)).lines();
    let mut reading = true;
    loop {
        let mut line = serde_json::to_vec(&*status.borrow_and_update()).unwrap_or_default();
        line.push(b'\n');
        if write.write_all(&line).await.is_err() || status.borrow().phase.is_over() {
            return;
        }
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            request = lines.next_line(), if reading => match request {
                Ok(Some(line)) => if let Ok(request) = serde_json::from_str(&line) {
                    lines.get_mut().get_mut().set_limit(REQUEST_BYTES);
                    if asks.send(request).await.is_err() { return }
                },
                // It has nothing more to ask; it may still want to watch.
                _ => reading = false,
            },
        }
    }
}
