//! The demo's brokers stopped and started from outside, as a service manager would: a socket in the demo's folder, which the
//! `command` driver of its context leads to.
//!
//! A line asks, `restart 4`, and a line answers when it is done: nothing, or why not. A broker that stops hands over what it
//! leads first, and one that starts serves before the answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use azimuth_broker::cluster::Cluster;
use azimuth_broker::id::NodeId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;

use crate::model::BrokerId;
use crate::model::driver::Action;
use crate::settings::driver::{Drivers, Local};

/// How long the demo may take for it.
const DONE_WITHIN: Duration = Duration::from_secs(120);
/// How long a broker of the demo is watched after it is back.
const SOAK: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// The driver of the demo's context: this program again.
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
        command: Some(Local {
            run: Some([program].into_iter().chain(ask).collect()),
            ..Local::default()
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
