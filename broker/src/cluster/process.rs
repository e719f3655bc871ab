//! Nodes as child processes: started from a generated server.properties, ended with their parent.
//!
//! A child holds a pipe from its parent as standard input and ends when that closes, so none is left behind even if
//! the parent is killed. It prints one line once it listens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{CONTROLLER, ClusterConfig, Error, socket};
use crate::id::NodeId;
use crate::node::{Effects, escaped};

/// A controlled shutdown is bounded well below this.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const LISTEN_DEADLINE: Duration = Duration::from_secs(30);
/// Before the controller that died is started again, so that a broken one does not spin.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Processes {
    running: BTreeMap<NodeId, Process>,
}

/// One child, and the task that waits for its end.
struct Process {
    signals: watch::Sender<Option<Signal>>,
    watcher: JoinHandle<()>,
    launch: Arc<Launch>,
}

impl Processes {
    pub async fn start(
        &mut self,
        config: &ClusterConfig,
        id: NodeId,
        properties: &str,
        effects: Effects,
    ) -> Result<(), Error> {
        if self
            .running
            .get(&id)
            .is_some_and(|process| !process.watcher.is_finished())
        {
            return Ok(());
        }
        let program = config.processes.clone().unwrap_or_default();
        let folder = config.folder(id);
        tokio::fs::create_dir_all(&folder).await?;
        let file = folder.join("server.properties");
        let mut text = properties.to_owned();
        for (key, value) in config.overrides_of(id) {
            // A later line wins over an earlier one.
            text.push_str(&format!("{key}={}\n", escaped(&value)));
        }
        write_secret(&file, &text).await?;
        let launch = Arc::new(Launch {
            program,
            file,
            faults: config.allow_faults.then(|| config.dirs_of(id).swap_remove(0)),
            effects: Mutex::new(effects),
            pid: AtomicI32::new(0),
        });
        let users = (id == CONTROLLER && !config.users.is_empty()).then(|| folder.join("add-scram"));
        if let Some(users) = &users {
            write_secret(users, &config.users.join("\n")).await?;
        }
        let started = launch.launch(id, users.as_deref()).await;
        if let Some(users) = &users {
            tokio::fs::remove_file(users).await?;
        }
        let started = started?;
        let (signals, asked) = watch::channel(None);
        let watcher = tokio::spawn(watch_over(id, started, Arc::clone(&launch), asked));
        let process = Process {
            signals,
            watcher,
            launch,
        };
        self.running.insert(id, process);
        Ok(())
    }

    /// Tells a node's process what is wrong from now on; nothing if it does not run.
    pub async fn set(&mut self, id: NodeId, effects: Effects) -> Result<(), Error> {
        match self.running.get(&id) {
            Some(process) if !process.watcher.is_finished() && *process.launch.effects.lock() != effects => {
                process.launch.set(id, effects).await
            }
            _ => Ok(()),
        }
    }

    /// SIGSTOP; false if it does not run.
    pub fn freeze(&self, id: NodeId) -> bool {
        self.signal(id, Signal::STOP)
    }

    /// SIGCONT.
    pub fn thaw(&self, id: NodeId) {
        self.signal(id, Signal::CONT);
    }

    fn signal(&self, id: NodeId, signal: Signal) -> bool {
        let running = self.running.get(&id).filter(|process| !process.watcher.is_finished());
        let pid = running.and_then(|process| Pid::from_raw(process.launch.pid.load(Ordering::SeqCst)));
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    pub async fn kill(&mut self, id: NodeId) {
        self.end(id, Signal::KILL).await;
    }

    pub async fn stop(&mut self, id: NodeId) {
        self.thaw(id);
        self.end(id, Signal::TERM).await;
    }

    async fn end(&mut self, id: NodeId, signal: Signal) {
        if let Some(process) = self.running.remove(&id) {
            process.end(id, signal).await;
        }
    }

    /// All others first, `last` when they are gone.
    pub async fn shutdown(mut self, last: NodeId) {
        let last_process = self.running.remove(&last);
        let ends = self
            .running
            .into_iter()
            .map(|(id, process)| process.end(id, Signal::TERM));
        futures::future::join_all(ends).await;
        if let Some(process) = last_process {
            process.end(last, Signal::TERM).await;
        }
    }
}

impl Process {
    async fn end(self, id: NodeId, signal: Signal) {
        self.signals.send_replace(Some(signal));
        let mut watcher = self.watcher;
        if tokio::time::timeout(STOP_DEADLINE, &mut watcher).await.is_err() {
            tracing::warn!("node {id} does not stop and is killed");
            self.signals.send_replace(Some(Signal::KILL));
            // It ends: nothing withstands that signal.
            let _ = watcher.await;
        }
    }
}

/// Writes a file that only this user can read.
async fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await?;
    file.write_all(text.as_bytes()).await?;
    file.flush().await
}

/// A child, and the pipe that it lives as long as. [`Child::wait`] would close a pipe that is left in the child.
struct Started {
    child: Child,
    _hold: Option<ChildStdin>,
}

/// How a node's process is started.
struct Launch {
    program: PathBuf,
    file: PathBuf,
    /// Where the node takes faults, if it does.
    faults: Option<PathBuf>,
    /// What is wrong with it, also after its next start.
    effects: Mutex<Effects>,
    /// Of the newest process; 0 before the first.
    pid: AtomicI32,
}

impl Launch {
    /// Starts it and waits until it listens.
    async fn launch(&self, id: NodeId, users: Option<&Path>) -> Result<Started, Error> {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg(&self.file).arg("--with-parent");
        // What a node tells would be taken for what the cluster tells.
        command.env_remove("NOTIFY_SOCKET");
        if self.faults.is_some() {
            command.arg("--allow-faults");
        }
        if let Some(users) = users {
            command.arg("--add-scram-file").arg(users);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the terminal is the parent's to pass on, in its order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Process(format!("{} cannot be run: {error}", self.program.display())))?;
        let hold = child.stdin.take();
        let said = match child.stdout.take() {
            Some(out) => {
                let mut lines = BufReader::new(out).lines();
                tokio::time::timeout(LISTEN_DEADLINE, lines.next_line()).await
            }
            None => Ok(Ok(None)),
        };
        match said {
            Ok(Ok(Some(_))) => {
                let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
                self.pid.store(pid, Ordering::SeqCst);
                let effects = self.effects.lock().clone();
                if effects != Effects::default() {
                    self.set(id, effects).await?;
                }
                Ok(Started { child, _hold: hold })
            }
            // Its own message is on standard error already.
            _ => Err(Error::Process(format!(
                "node {id} did not start; its configuration is {}",
                Path::new(&self.file).display()
            ))),
        }
    }
}

impl Launch {
    async fn set(&self, id: NodeId, effects: Effects) -> Result<(), Error> {
        let Some(dir) = &self.faults else { return Ok(()) };
        let answer = socket::ask(dir, &socket::Request::Set(effects.clone())).await;
        answer.map_err(|error| Error::Fault(format!("node {id} does not take the fault: {error}")))?;
        *self.effects.lock() = effects;
        Ok(())
    }
}

/// Passes signals on until the child has ended; starts the controller again when no one asked for its end.
async fn watch_over(id: NodeId, mut started: Started, launch: Arc<Launch>, mut asked: watch::Receiver<Option<Signal>>) {
    loop {
        let status = tokio::select! {
            status = started.child.wait() => status,
            changed = asked.changed() => {
                let signal = if changed.is_ok() { *asked.borrow_and_update() } else { Some(Signal::KILL) };
                send(&started.child, signal);
                continue;
            }
        };
        if asked.borrow().is_some() || asked.has_changed().is_err() {
            return;
        }
        tracing::warn!("node {id} ended by itself: {}", describe(status));
        if id != CONTROLLER {
            return;
        }
        match again(id, &launch, &mut asked).await {
            Some(next) => started = next,
            None => return,
        }
    }
}

/// Starts the controller again, as often as it takes, unless its end is asked for.
async fn again(id: NodeId, launch: &Launch, asked: &mut watch::Receiver<Option<Signal>>) -> Option<Started> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(RESTART_PAUSE) => {}
            _ = asked.changed() => return None,
        }
        match launch.launch(id, None).await {
            Ok(started) => return Some(started),
            Err(error) => tracing::error!("{error}"),
        }
    }
}

fn send(child: &Child, signal: Option<Signal>) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, signal)
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::debug!("process {pid:?} takes no signal: {error}");
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
