//! The engine's socket: every connection is told the status as it changes, a line of JSON each, and may ask for things.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::journal::Ask;
use super::status::Status;
use super::{Error, Who, folder};

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub ask: Ask,
    pub by: Who,
    /// Gates that it shall go on against.
    #[serde(default)]
    pub overrides: Vec<String>,
    #[serde(default)]
    pub reason: Option<String>,
}

/// A request longer than this is nobody's who means well.
const REQUEST_BYTES: u64 = 4096;

/// The longest path of a socket: `sun_path` of Linux without its closing zero.
const PATH_BYTES: usize = 107;

/// Listens on `path`, which only its owner (where the folder is a group's: its group) may open; a socket that a dead
/// engine left is replaced.
pub(super) fn listen(path: &Path) -> Result<UnixListener, Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::file(path)(error)),
        _ => {}
    }
    let near = Near::of(path)?;
    let listener = UnixListener::bind(&near.path).map_err(Error::file(path))?;
    folder::share(path)?;
    Ok(listener)
}

/// Connects to the engine that listens on `path`.
pub(super) async fn connect(path: &Path) -> Result<UnixStream, Error> {
    let near = Near::of(path)?;
    UnixStream::connect(&near.path).await.map_err(Error::file(path))
}

/// A path short enough for a socket's address: a long one goes by way of its open folder.
struct Near {
    path: PathBuf,
    _folder: Option<File>,
}

impl Near {
    fn of(path: &Path) -> Result<Self, Error> {
        if path.as_os_str().len() <= PATH_BYTES {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Refused(format!("{} cannot name a socket", path.display())));
        };
        let folder = File::open(parent).map_err(Error::file(parent))?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        if !short.exists() {
            return Err(Error::Refused(format!(
                "{} is longer than the {PATH_BYTES} bytes that a socket's path may have here; \
                 choose a shorter state folder (XDG_STATE_HOME)",
                path.display()
            )));
        }
        Ok(Self {
            path: short.join(name),
            _folder: Some(folder),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_long_path_is_no_obstacle_and_only_the_owner_may_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut long = folder.path().to_owned();
        for _ in 0..8 {
            long.push("a-folder-with-a-long-name");
        }
        std::fs::create_dir_all(&long).unwrap();
        let path = long.join("engine.sock");
        assert!(path.as_os_str().len() > PATH_BYTES);
        let listener = listen(&path).unwrap();
        let (client, server) = tokio::join!(connect(&path), listener.accept());
        client.unwrap();
        server.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        assert!(connect(&path).await.is_err(), "nobody listens on what is left");
        listen(&path).unwrap();
    }
}
