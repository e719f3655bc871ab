//! Samples of a live feed, into memory and into the recording of the cluster; and a recording recalled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::history;
use super::look::Look;
use super::reel::Reel;
use super::ring::{self, Damaged, Recorded, Ring, Sample};
use super::store::Store;
use crate::model::event::{Event, EventKind};
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
/// Whole snapshots are recorded as they are published.
pub(super) async fn run(store: Arc<Store>, record: Option<Paths>, mut published: watch::Receiver<Arc<Snapshot>>) {
    let mut recording = match record {
        Some(paths) => Some(begin(&store, &paths).await),
        None => None,
    }
    .flatten();
    let mut ticks = interval(history::INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sampled: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = published.changed(), if recording.as_ref().is_some_and(|open| open.ring.is_ours()) => {
                let snapshot = published.borrow_and_update().clone();
                if let Some(open) = recording.take() {
                    recording = match open.reel.wants(&snapshot) {
                        true => open.write_step(snapshot).await,
                        false => Some(open),
                    };
                }
                continue;
            }
        }
        // What is asked for rarely says nothing new in between.
        let apart = history::INTERVAL.mul_f64(store.stretch()) - history::INTERVAL / 2;
        if sampled.is_some_and(|sampled| sampled.elapsed() < apart) {
            continue;
        }
        sampled = Some(Instant::now());
        // As exactly as it is recorded: a replay is to tell the same seconds.
        let now = Moment::now();
        let at = Moment::from_millisecond(now.as_millisecond()).unwrap_or(now);
        store.sample(at);
        // What the trail took in now, and nothing else: a replay is to know what was known.
        if let Some(sample) = store.read(|snapshot| Sample::of(snapshot, at))
            && let Some(open) = recording.take()
        {
            recording = open.write(sample).await;
        }
    }
}

/// Waits for the cluster's id, and recalls what was recorded of it.
async fn begin(store: &Store, paths: &Paths) -> Option<Recording> {
    let mut ticks = interval(AWAIT_ID);
    let id = loop {
        ticks.tick().await;
        if let Some(id) = store.read(id) {
            break id;
        }
    };
    let folder = folder(&id, paths)?;
    let mut recorded = recorded(folder.clone(), Trail::KEPT).await?;
    let reel = Reel::new(folder.clone());
    let mut ring = Ring::new(folder);
    let damaged = std::mem::take(&mut recorded.damaged);
    store.recall(recorded);
    let set_aside = move || {
        let told: Vec<Event> = damaged.iter().map(|one| aside(&mut ring, one)).collect();
        (ring, told)
    };
    let (ring, told) = tokio::task::spawn_blocking(set_aside).await.ok()?;
    told.into_iter().for_each(|event| store.note(event));
    Some(Recording { ring, reel })
}

/// Sets a damaged segment aside, and says so.
fn aside(ring: &mut Ring, damaged: &Damaged) -> Event {
    let what = match ring.set_aside(damaged) {
        Ok(Some(aside)) => format!(", set aside as {}", aside.display()),
        Ok(None) => ", and another console writes there".to_owned(),
        Err(error) => format!(", and cannot be set aside: {error}"),
    };
    let event = named(damaged, &what);
    tracing::warn!("{}", event.sentence());
    event
}

fn named(damaged: &Damaged, what: &str) -> Event {
    let (file, at) = (damaged.path.display(), damaged.at);
    let text = format!("{file} cannot be read from byte {at} on{what}");
    Event::new(Moment::now(), EventKind::Recording, "recording", text, 1)
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
        let damaged = recorded.damaged.clone();
        look.store.recall(recorded);
        damaged.iter().for_each(|one| look.store.note(named(one, "")));
    }
}

fn id(snapshot: &Snapshot) -> Option<String> {
    snapshot.cluster.get().map(|cluster| cluster.id.clone())
}

pub(super) fn folder(id: &str, paths: &Paths) -> Option<PathBuf> {
    match state::of(id, paths) {
        Ok(state) => Some(state.folder.join(FOLDER)),
        Err(error) => {
            tracing::warn!("nothing is recorded: {error}");
            None
        }
    }
}

/// The last `seconds` of a recording, read on a thread that may block.
async fn recorded(folder: PathBuf, seconds: i64) -> Option<Recorded> {
    let load = move || {
        let now = Moment::now();
        let since = now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
        ring::load(&folder, since, now)
    };
    tokio::task::spawn_blocking(load).await.ok()
}

/// What a cluster is recorded with; the ring holds the lock for both.
#[derive(Debug)]
struct Recording {
    ring: Ring,
    reel: Reel,
}

impl Recording {
    /// Itself after a sample; a disk that is full now may have room later.
    async fn write(mut self, sample: Sample) -> Option<Self> {
        let write = move || {
            if let Err(error) = self.ring.write(&sample) {
                tracing::warn!("a sample was not recorded: {error}");
            }
            self
        };
        tokio::task::spawn_blocking(write).await.ok()
    }

    /// The same after a snapshot.
    async fn write_step(mut self, snapshot: Arc<Snapshot>) -> Option<Self> {
        let write = move || {
            if let Err(error) = self.reel.write(&snapshot) {
                tracing::warn!("a snapshot was not recorded: {error}");
            }
            self
        };
        tokio::task::spawn_blocking(write).await.ok()
    }
}
