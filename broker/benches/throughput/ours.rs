//! Our broker, as three processes and one for the controller.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Failure, System, cpu};

pub struct Ours {
    parent: Child,
    bootstrap: String,
    _folder: TempDir,
}

pub fn start(program: Option<&Path>, dir: Option<&Path>, overrides: &[String]) -> Result<Ours, Failure> {
    let folder = folder(dir)?;
    let mut command = Command::new(program.unwrap_or(Path::new(env!("CARGO_BIN_EXE_azimuth-broker"))));
    command
        .args([
            "cluster",
            "--nodes",
            "3",
            "--racks",
            "a,b,c",
            "--port",
            "0",
            "--processes",
            "--dir",
        ])
        .arg(folder.path());
    for override_ in overrides {
        command.args(["--override", override_]);
    }
    let mut parent = command.env("AZIMUTH_LOG", "warn").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(out) = parent.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    let bootstrap = line.strip_prefix("ready ").map(|addresses| addresses.trim().to_owned());
    let ours = Ours {
        parent,
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
        "azimuth-broker"
    }

    fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn processes(&self) -> Vec<u32> {
        cpu::family(self.parent.id())
    }
}

impl Drop for Ours {
    /// In an orderly way, so that the next cluster does not run beside the end of this one.
    fn drop(&mut self) {
        let pid = i32::try_from(self.parent.id()).ok().and_then(Pid::from_raw);
        if pid.is_none_or(|pid| kill_process(pid, Signal::TERM).is_err()) {
            // Then it is gone already.
            let _ = self.parent.kill();
        }
        let _ = self.parent.wait();
    }
}
