//! Samples of a live feed, into memory and into the recording of the cluster; and a recording recalled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::history;
use super::look::Look;
use super::ring::{self, Ring, Sample};
use super::store::Store;
use crate::model::history::Trail;
use crate::model::{Moment, Snapshot};
use crate::settings::{Paths, state};

/// Below the cluster's state folder.
const FOLDER: &str = "history";
/// How soon it is looked again whether the cluster has told its id.
const AWAIT_ID: Duration = Duration::from_millis(200);
/// A command needs the last minutes: rates are over one, and what is older is asked of the cluster.
const COMMAND_SECONDS: i64 = 600;

/// Samples for as long as it is polled. Nothing that goes wrong with the recording stops the samples.
pub(super) async fn run(store: Arc<Store>, record: Option<Paths>) {
    let mut ring = match record {
        Some(paths) => Some(begin(&store, &paths).await),
        None => None,
    }
    .flatten();
    let mut ticks = interval(history::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut written: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let at = Moment::now();
        store.sample(at);
        let step = Duration::from_secs(Trail::STEP.unsigned_abs()) - history::INTERVAL / 2;
        if written.is_none_or(|written| written.elapsed() >= step)
            && let Some(open) = ring.take()
        {
            written = Some(Instant::now());
            ring = write(open, store.read(|snapshot| Sample::of(snapshot, at))).await;
        }
    }
}

/// Waits for the cluster's id, and recalls what was recorded of it.
async fn begin(store: &Store, paths: &Paths) -> Option<Ring> {
    let mut ticks = interval(AWAIT_ID);
    let id = loop {
        ticks.tick().await;
        if let Some(id) = store.read(id) {
            break id;
        }
    };
    let folder = folder(&id, paths)?;
    let recorded = recorded(folder.clone(), Trail::KEPT).await?;
    store.recall(recorded);
    Some(Ring::new(folder))
}

/// What was recorded of the cluster just now, for one look; nothing where nothing is recorded.
pub(super) async fn recall(look: &Look) {
    let Some(paths) = &look.record else { return };
    let id = look.store.read(|snapshot| {
        // Only groups have a past that commands tell.
        snapshot.groups.get()?;
        id(snapshot)
    });
    let Some(folder) = id.and_then(|id| folder(&id, paths)) else {
        return;
    };
    if let Some(recorded) = recorded(folder, COMMAND_SECONDS).await {
        look.store.recall(recorded);
    }
}

fn id(snapshot: &Snapshot) -> Option<String> {
    snapshot.cluster.get().map(|cluster| cluster.id.clone())
}

fn folder(id: &str, paths: &Paths) -> Option<PathBuf> {
    match state::of(id, paths) {
        Ok(state) => Some(state.folder.join(FOLDER)),
        Err(error) => {
            tracing::warn!("nothing is recorded: {error}");
            None
        }
    }
}

/// The last `seconds` of a recording, read on a thread that may block.
async fn recorded(folder: PathBuf, seconds: i64) -> Option<crate::model::history::History> {
    let load = move || {
        let now = Moment::now();
        let since = now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
        ring::load(&folder, since, now)
    };
    tokio::task::spawn_blocking(load).await.ok()
}

/// The ring after a sample; a disk that is full now may have room later.
async fn write(mut ring: Ring, sample: Sample) -> Option<Ring> {
    let write = move || {
        if let Err(error) = ring.write(&sample) {
            tracing::warn!("a sample was not recorded: {error}");
        }
        ring
    };
    tokio::task::spawn_blocking(write).await.ok()
}
