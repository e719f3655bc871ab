//! Nodes as child processes: started from a generated server.properties, ended with their parent.
//!
//! A child holds a pipe from its parent as standard input and ends when that closes, so none is left behind even if
//! the parent is killed. It prints one line once it listens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{CONTROLLER, ClusterConfig, Error};
use crate::id::NodeId;
use crate::node::escaped;

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
}

impl Processes {
    pub async fn start(&mut self, config: &ClusterConfig, id: NodeId, properties: &str) -> Result<(), Error> {
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
        tokio::fs::write(&file, text).await?;
        let command = Launch { program, file };
        let started = command.launch(id).await?;
        let (signals, asked) = watch::channel(None);
        let watcher = tokio::spawn(watch_over(id, started, command, asked));
        self.running.insert(id, Process { signals, watcher });
        Ok(())
    }

    pub async fn kill(&mut self, id: NodeId) {
        self.end(id, Signal::KILL).await;
    }

    pub async fn stop(&mut self, id: NodeId) {
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

/// A child, and the pipe that it lives as long as. [`Child::wait`] would close a pipe that is left in the child.
struct Started {
    child: Child,
    _hold: Option<ChildStdin>,
}

/// How a node's process is started.
struct Launch {
    program: PathBuf,
    file: PathBuf,
}

impl Launch {
    /// Starts it and waits until it listens.
    async fn launch(&self, id: NodeId) -> Result<Started, Error> {
        let mut child = Command::new(&self.program)
            .arg("serve")
            .arg(&self.file)
            .arg("--with-parent")
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
            Ok(Ok(Some(_))) => Ok(Started { child, _hold: hold }),
            // Its own message is on standard error already.
            _ => Err(Error::Process(format!(
                "node {id} did not start; its configuration is {}",
                Path::new(&self.file).display()
            ))),
        }
    }
}

/// Passes signals on until the child has ended; starts the controller again when no one asked for its end.
async fn watch_over(id: NodeId, mut started: Started, launch: Launch, mut asked: watch::Receiver<Option<Signal>>) {
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
        match launch.launch(id).await {
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
