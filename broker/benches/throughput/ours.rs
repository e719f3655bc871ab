//! Our broker, as three processes and one for the controller.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::client::Way;
use super::identity::Identity;
use super::{Failure, System, cpu};

pub struct Ours {
    parent: Child,
    spawned: Instant,
    bootstrap: String,
    encrypted: String,
    identity: Identity,
    _folder: TempDir,
}

/// Clients reach the brokers plainly and encrypted; brokers reach each other plainly.
const LISTENERS: [&str; 2] = [
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name=PLAINTEXT",
];

/// `processes`: one for each node, or all nodes in one.
pub fn start(
    program: Option<&Path>,
    dir: Option<&Path>,
    overrides: &[String],
    processes: bool,
) -> Result<Ours, Failure> {
    let folder = folder(dir)?;
    let identity = Identity::in_folder(folder.path())?;
    let data = folder.path().join("data");
    let mut command = Command::new(program.unwrap_or(Path::new(env!("CARGO_BIN_EXE_azimuth-broker"))));
    command
        .args(["cluster", "--nodes", "3", "--racks", "a,b,c", "--port", "0", "--dir"])
        .arg(&data);
    if processes {
        command.arg("--processes");
        let shown = format!("ssl.keystore.location={}", identity.store.display());
        for override_ in LISTENERS.into_iter().chain([shown.as_str()]) {
            command.args(["--override", override_]);
        }
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
    let mut ours = Ours {
        parent,
        spawned,
        bootstrap: bootstrap.clone().unwrap_or_default(),
        encrypted: String::new(),
        identity,
        _folder: folder,
    };
    if bootstrap.is_none() {
        return Err("our brokers do not start".into());
    }
    if processes {
        ours.encrypted = encrypted(&data)?;
    }
    Ok(ours)
}

/// Where the brokers listen encrypted: the program tells only of their first listeners.
fn encrypted(data: &Path) -> Result<String, Failure> {
    let address = |node: i32| -> Result<String, Failure> {
        let text = fs::read_to_string(data.join(format!("broker-{node}/server.properties")))?;
        let listeners = text.lines().find_map(|line| line.strip_prefix("listeners="));
        let found = listeners.and_then(|all| all.split(',').find_map(|one| one.strip_prefix("TLS://")));
        let found = found.ok_or_else(|| format!("broker {node} has no listener for TLS"))?;
        Ok(found.to_owned())
    };
    Ok([1, 2, 3]
        .map(address)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .join(","))
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

    fn encrypted(&self) -> Way<'_> {
        Way::Tls(&self.encrypted, &self.identity.trust)
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
