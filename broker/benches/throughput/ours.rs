//! Our broker, as three processes and one for the controller.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::{Failure, System, cpu};

pub struct Ours {
    parent: Child,
    spawned: Instant,
    bootstrap: String,
    _folder: TempDir,
}

/// `processes`: one for each node, or all nodes in one.
pub fn start(
    program: Option<&Path>,
    dir: Option<&Path>,
    overrides: &[String],
    processes: bool,
) -> Result<Ours, Failure> {
    let folder = folder(dir)?;
    let mut command = Command::new(program.unwrap_or(Path::new(env!("CARGO_BIN_EXE_azimuth-broker"))));
    command
        .args(["cluster", "--nodes", "3", "--racks", "a,b,c", "--port", "0", "--dir"])
        .arg(folder.path());
    if processes {
        command.arg("--processes");
    }
    for override_ in overrides {
        command.args(["--override", override_]);
    }
    let spawned = Instant::now();
    let mut parent = command.env("AZIMUTH_LOG", "warn").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(out) = parent.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    let bootstrap = line.strip_prefix("ready ").map(|addresses| addresses.trim().to_owned());
    let ours = Ours {
        parent,
        spawned,
        bootstrap: bootstrap.clone().unwrap_or_default(),
        _folder: folder,
    };
    bootstrap.map(|_| ours).ok_or_else(|| "our brokers do not start".into())
}

/// A new folder in `dir`, or in the system's temporary one.
pub fn folder(dir: Option<&Path>) -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("azimuth-bench-");
    match dir {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir(),
    }
}

impl System for Ours {
    fn name(&self) -> &'static str {
        super::OURS
    }

    fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn spawned(&self) -> Instant {
        self.spawned
    }

    fn processes(&self) -> Vec<u32> {
        cpu::family(self.parent.id())
    }

    fn process_of(&self, node: i32) -> Result<u32, Failure> {
        let folder = format!("/broker-{node}/");
        let serves = |process: &u32| {
            let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&folder)
        };
        let found = self.processes().into_iter().find(serves);
        found.ok_or_else(|| format!("no process serves as broker {node}").into())
    }
}

impl Drop for Ours {
    /// In an orderly way, so that the next cluster does not run beside the end of this one.
    fn drop(&mut self) {
        let told = cpu::pid(self.parent.id()).is_ok_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !told {
            // Then it is gone already.
            let _ = self.parent.kill();
        }
        let _ = self.parent.wait();
    }
}
