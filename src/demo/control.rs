//! The demo's brokers stopped and started from outside, as a service manager would: told by the simulated Systems Manager, which
//! the `ssm` driver of its context leads to, or over a socket in the demo's folder, which `azimuth demo --control` asks.
//!
//! A line asks, `restart 4`, and a line answers when it is done: nothing, or why not. A broker that stops hands over what it
//! leads first, and one that starts serves before the answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use azimuth_broker::cluster::Cluster;
use azimuth_broker::env::disk::Disk;
use azimuth_broker::id::NodeId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use super::cloud::{Fleet, Handle, Machine, Task};
use crate::model::BrokerId;
use crate::model::driver::Action;
use crate::settings::driver::Drivers;

/// How long the demo may take for it.
const DONE_WITHIN: Duration = Duration::from_secs(120);
/// How long a broker of the demo is watched after it is back.
const SOAK: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// The driver of the demo's context: Systems Manager, which a build without AWS does not reach.
#[cfg(feature = "aws")]
pub(super) fn driver(_socket: &Path) -> std::io::Result<Drivers> {
    Ok(Drivers {
        soak: Some(SOAK),
        ssm: Some(crate::settings::driver::Document {
            upgrade_document: Some("azimuth-upgrade".to_owned()),
            ..crate::settings::driver::Document::default()
        }),
        ..Drivers::default()
    })
}

/// The driver of the demo's context: this program again.
#[cfg(not(feature = "aws"))]
pub(super) fn driver(socket: &Path) -> std::io::Result<Drivers> {
    let words = |path: &Path| path.display().to_string();
    let program = words(&std::env::current_exe()?);
    let ask = [
        "demo",
        "--control",
        &words(socket),
        "--action",
        "{action}",
        "--broker",
        "{broker}",
    ]
    .map(str::to_owned);
    Ok(Drivers {
        soak: Some(SOAK),
        command: Some(crate::settings::driver::Local {
            run: Some([program].into_iter().chain(ask).collect()),
            ..crate::settings::driver::Local::default()
        }),
        ..Drivers::default()
    })
}

pub(super) fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    UnixListener::bind(socket)
}

/// Does what it is asked, one after the other, until the demo ends.
pub(super) async fn serve(listener: UnixListener, cluster: Arc<Mutex<Cluster>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Whoever hung up gets no answer; what was asked is done all the same.
        let _ = answer(stream, &cluster).await;
    }
}

/// Does what the simulated Systems Manager tells the instances, one after the other.
pub(super) async fn obey(
    mut tasks: UnboundedReceiver<Task>,
    cloud: Handle,
    cluster: Arc<Mutex<Cluster>>,
    fleet: Fleet,
    disk: Disk,
) {
    while let Some(task) = tasks.recv().await {
        // A broker is where its volume is.
        let there = cloud.log_dirs(&task.instance);
        let holds = |machine: &Machine| {
            let own = machine.disks.iter().filter_map(|disk| disk.tags.get("kafka:log-dir"));
            own.into_iter().any(|dir| there.contains(dir))
        };
        let broker = fleet.machines.iter().position(holds);
        if let Some(path) = task.parameters.get("path").and_then(|values| values.first()) {
            let size = cloud.size_gib(&task.instance, path);
            let bytes = size.map(|gib| ((gib << 30) as f64 * super::FILE_SYSTEM_SHARE) as u64);
            match bytes.is_some_and(|bytes| disk.resize(Path::new(path), bytes)) {
                true => cloud.end_command(&task.command, 0, "data blocks changed"),
                false => cloud.end_command(&task.command, 1, format!("{path} is no mount point")),
            }
            continue;
        }
        let told = match (broker, asked(&task)) {
            (Some(at), Some(action)) => {
                let done = act(&cluster, action, at as BrokerId + 1).await;
                cloud.lend_address(&fleet.machines[at].address, &task.instance);
                done
            }
            (None, Some(_)) => Err(format!("{} has no volume with a log directory", task.instance)),
            _ => Err(format!(
                "{} is not told what to do: {:?}",
                task.instance, task.parameters
            )),
        };
        match told {
            Ok(()) => cloud.end_command(&task.command, 0, "kafka.service: done"),
            Err(why) => cloud.end_command(&task.command, 1, why),
        }
    }
}

/// What a document does here: its parameter `action`, or what its command has systemd do.
fn asked(task: &Task) -> Option<Action> {
    let of = |name: &str| task.parameters.get(name).and_then(|values| values.first());
    // There is but one version here, so that a new one is a restart.
    if of("version").is_some() {
        return Some(Action::Restart);
    }
    if let Some(action) = of("action") {
        return action.parse().ok();
    }
    let (_, rest) = of("commands")?.split_once("systemctl ")?;
    rest.split_whitespace().next()?.parse().ok()
}

async fn answer(stream: UnixStream, cluster: &Mutex<Cluster>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let told = match line.trim().split_once(' ') {
        Some((action, broker)) => match (action.parse(), broker.parse()) {
            (Ok(action), Ok(broker)) => act(cluster, action, broker).await,
            _ => Err(format!("`{}` is not understood", line.trim())),
        },
        None => Err(format!("`{}` is not understood", line.trim())),
    };
    stream
        .get_mut()
        .write_all(told.err().unwrap_or_default().as_bytes())
        .await
}

async fn act(cluster: &Mutex<Cluster>, action: Action, broker: BrokerId) -> Result<(), String> {
    let id = NodeId(broker);
    let mut cluster = cluster.lock().await;
    if !cluster.ids().contains(&id) {
        return Err(format!("the demo has no broker {broker}"));
    }
    if action != Action::Start {
        cluster.stop(id).await;
    }
    if action != Action::Stop {
        cluster.restart(id).await.map_err(|error| error.to_string())?;
        cluster.serving(id).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Asks a running demo.
///
/// # Errors
/// A sentence: nobody is there, or what was asked could not be done.
pub async fn ask(socket: &Path, action: Action, broker: BrokerId) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the demo at {}: {error}", socket.display());
    let asked = async {
        let mut stream = UnixStream::connect(socket).await.map_err(failed)?;
        stream
            .write_all(format!("{action} {broker}\n").as_bytes())
            .await
            .map_err(failed)?;
        let mut told = String::new();
        stream.read_to_string(&mut told).await.map_err(failed)?;
        match told.is_empty() {
            true => Ok(()),
            false => Err(told),
        }
    };
    let late = || {
        format!(
            "the demo did not {action} broker {broker} within {} s",
            DONE_WITHIN.as_secs()
        )
    };
    tokio::time::timeout(DONE_WITHIN, asked)
        .await
        .unwrap_or_else(|_| Err(late()))
}
