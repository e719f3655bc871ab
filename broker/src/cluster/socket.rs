//! Faults from outside: a Unix socket in the folder of a cluster or node, one line of JSON in each direction.
//!
//! Only the owner of the folder may write to it (0600). It exists only where faults are allowed; every exchange has a
//! deadline and a bounded size, and a bad line costs its own connection.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::fault::{Active, Fault, Selection};
use crate::id::NodeId;
use crate::node::Effects;

/// The socket's name in its folder.
const NAME: &str = "faults.sock";
const LINE_MAX_BYTES: u64 = 256 << 10;
/// For one line to arrive or leave.
const LINE_DEADLINE: Duration = Duration::from_secs(5);
/// For an answer: healing may start a node.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
const QUEUED: usize = 16;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Without a node: the one that answers.
    Inject {
        node: Option<NodeId>,
        fault: Fault,
    },
    Heal(Selection),
    List,
    /// Of a node that a cluster runs as a process: exactly this is wrong from now on.
    Set(Effects),
}

/// What was injected, healed or is there; or a sentence that says why not.
pub type Answer = Result<Vec<Active>, String>;

/// A socket that is listened on. Dropping it removes it.
pub struct Inbox {
    path: PathBuf,
    requests: mpsc::Receiver<(Request, oneshot::Sender<Answer>)>,
    acceptor: JoinHandle<()>,
}

impl Inbox {
    /// Listens in `dir`, which is made when it is missing. What an earlier run left there is replaced.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        let listener = listen(dir, &path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{} cannot be listened on: {error}", path.display()),
            )
        })?;
        let (sender, requests) = mpsc::channel(QUEUED);
        let acceptor = tokio::spawn(accept(listener, sender));
        Ok(Self {
            path,
            requests,
            acceptor,
        })
    }

    /// The next request, and where its answer goes.
    pub async fn next(&mut self) -> (Request, oneshot::Sender<Answer>) {
        match self.requests.recv().await {
            Some(next) => next,
            // The acceptor is gone only together with this.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.acceptor.abort();
        // Gone already: that is what is wanted.
        let _ = fs::remove_file(&self.path);
    }
}

/// Asks whoever listens in `dir`.
///
/// # Errors
/// A sentence: nobody listens, the answer does not come, or it is a refusal.
pub async fn ask(dir: &Path, request: &Request) -> Answer {
    let path = dir.join(NAME);
    let exchange = async {
        let mut stream = UnixStream::connect(near(dir)?.path()).await?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        read_line(&mut stream).await
    };
    let answer = match tokio::time::timeout(ANSWER_DEADLINE, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(format!(
                "nothing in {} takes faults: start the cluster or node there with --allow-faults",
                dir.display()
            ));
        }
        Ok(Err(error)) => return Err(format!("{}: {error}", path.display())),
        Err(_) => {
            return Err(format!(
                "{} did not answer within {} s; what was asked for may still happen",
                path.display(),
                ANSWER_DEADLINE.as_secs()
            ));
        }
    };
    serde_json::from_str(&answer).unwrap_or_else(|error| Err(format!("{} answers badly: {error}", path.display())))
}

/// A folder under a name that is short enough for a socket's address (108 bytes on Linux), as long as this lives.
struct Near {
    _folder: fs::File,
    path: PathBuf,
}

impl Near {
    fn path(&self) -> &Path {
        &self.path
    }
}

fn near(dir: &Path) -> io::Result<Near> {
    use std::os::fd::AsRawFd;
    let folder = fs::File::open(dir)?;
    let path = format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()).into();
    Ok(Near { _folder: folder, path })
}

fn listen(dir: &Path, path: &Path) -> io::Result<UnixListener> {
    fs::create_dir_all(dir)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(near(dir)?.path())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<(Request, oneshot::Sender<Answer>)>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(LINE_DEADLINE).await;
            continue;
        };
        let requests = requests.clone();
        tokio::spawn(async move {
            if let Err(error) = exchange(stream, requests).await {
                tracing::debug!("a request for a fault got no answer: {error}");
            }
        });
    }
}

async fn exchange(
    mut stream: UnixStream,
    requests: mpsc::Sender<(Request, oneshot::Sender<Answer>)>,
) -> io::Result<()> {
    let line = tokio::time::timeout(LINE_DEADLINE, read_line(&mut stream)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => submit(request, &requests).await,
        Err(error) => Err(format!("the request cannot be read: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    tokio::time::timeout(LINE_DEADLINE, stream.write_all(&line)).await?
}

async fn submit(request: Request, requests: &mpsc::Sender<(Request, oneshot::Sender<Answer>)>) -> Answer {
    let stops = || "it is stopping".to_owned();
    let (reply, answer) = oneshot::channel();
    requests.send((request, reply)).await.map_err(|_| stops())?;
    answer.await.map_err(|_| stops())?
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    let mut input = BufReader::new(stream.take(LINE_MAX_BYTES));
    input.read_line(&mut line).await?;
    if line.ends_with('\n') {
        Ok(line)
    } else {
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("a line of at most {LINE_MAX_BYTES} bytes was expected"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_gets_its_answer_and_only_the_owner_may_ask() {
        let dir = tempfile::tempdir().expect("a folder");
        // Longer than a socket's address may be.
        let dir = dir.path().join("x".repeat(120));
        let mut inbox = Inbox::open(&dir).expect("listens");
        let mode = fs::metadata(dir.join(NAME)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        tokio::spawn({
            let dir = dir.clone();
            async move {
                let (request, reply) = inbox.next().await;
                assert!(matches!(request, Request::Heal(Selection::Number(7))), "{request:?}");
                reply
                    .send(Err("there is no fault 7".to_owned()))
                    .expect("is waited for");
                let (_, reply) = inbox.next().await;
                reply.send(Ok(Vec::new())).expect("is waited for");
                drop(inbox);
                assert!(!dir.join(NAME).exists());
            }
        });
        let answer = ask(&dir, &Request::Heal(Selection::Number(7))).await;
        assert_eq!(answer, Err("there is no fault 7".to_owned()));
        assert_eq!(ask(&dir, &Request::List).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_bad_line_is_answered_and_nobody_there_is_said() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = ask(dir.path(), &Request::List).await.expect_err("nobody");
        assert!(error.contains("--allow-faults"), "{error}");
        let _inbox = Inbox::open(dir.path()).expect("listens");
        for bad in ["hello\n", "{\"inject\":{\"node\":1,\"fault\":\"melt\"}}\n", "\n"] {
            let mut stream = UnixStream::connect(dir.path().join(NAME)).await.expect("connects");
            stream.write_all(bad.as_bytes()).await.expect("writes");
            let answer = read_line(&mut stream).await.expect("an answer");
            assert!(answer.contains("cannot be read"), "{answer}");
        }
    }
}
