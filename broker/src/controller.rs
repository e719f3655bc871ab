//! The single decider of the cluster: request -> metadata records -> image.
//!
//! Every change is decided from the current image by a pure function ([`Decide`]), appended as one v2 batch to the
//! durable metadata log, applied, and published and answered only after the log was synced. A restart replays the log
//! to the same image. When the log fails, nothing is decided any more: what is on the disk is not known then.

mod acl;
mod broker;
mod change;
mod config;
mod directory;
mod election;
mod elections;
mod feature;
mod isr;
mod placement;
mod producer_id;
mod quorum;
mod quota;
mod reassignment;
mod scram;
mod state;
#[cfg(test)]
mod tests;
mod token;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::env::clock::Clock;
use crate::env::origin;
use crate::id::{Epoch, NodeId, Offset};
use crate::image::property::Config;
use crate::image::{self, Endpoint, Image, Record};
use crate::log::{self, Log, LogConfig};

pub use broker::Gone;
use elections::Elections;
pub use scram::NewUser;
pub use state::State;
pub use token::{REQUESTER, requester};

/// The folder of the metadata log below [`Config::metadata_dir`].
pub const METADATA_DIR: &str = "__cluster_metadata-0";

/// What a controller needs to start.
pub struct Setup {
    pub node: NodeId,
    /// The id of a new cluster; an existing log with another id is refused.
    pub cluster_id: String,
    /// Where this controller's listener is reached, for DescribeQuorum.
    pub endpoint: Endpoint,
    pub config: Arc<Config>,
    /// Opened with [`log_config`].
    pub log: Arc<Log>,
    pub clock: Clock,
    /// Users to add before anything is decided, unless they have such a credential already.
    pub users: Vec<NewUser>,
}

/// One cluster's controller; clones share it.
#[derive(Clone)]
pub struct Controller {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    log: Arc<Log>,
    clock: Clock,
    epoch: Epoch,
    /// Synced: the offset after the last synced record, and the image up to there.
    committed: watch::Sender<Offset>,
    image: watch::Sender<Arc<Image>>,
    /// Held while syncing: whoever comes later is covered by the next sync.
    syncing: tokio::sync::Mutex<()>,
    failed: Mutex<Option<String>>,
    elections: Elections,
}

/// Why the controller does not start, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the metadata log could not be read: {0}")]
    Log(#[from] log::Error),
    #[error(transparent)]
    Unreadable(#[from] image::Unreadable),
    #[error("the metadata log belongs to cluster {found}, not to {expected}; choose another folder or remove it")]
    OtherCluster { expected: String, found: String },
    #[error("the change was not made, the metadata log did not take it: {0}")]
    NotTaken(String),
    #[error("the metadata log failed and nothing is decided any more; restart the controller on a sound disk: {0}")]
    Failed(String),
    #[error("metadata offset {asked} is outside the log, which holds {start} to {end}")]
    OutOfRange { asked: Offset, start: Offset, end: Offset },
}

/// The circumstances of one request.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub version: i16,
    pub now: Instant,
}

/// What was decided: the records to commit, and the answer once they are.
#[derive(Debug)]
pub struct Decision<R> {
    pub records: Vec<Record>,
    pub response: R,
}

impl<R> Decision<R> {
    /// An answer that changes nothing.
    fn only(response: R) -> Self {
        Self {
            records: Vec::new(),
            response,
        }
    }
}

/// A request the controller decides. The image is read only; the state's sessions may change at once.
pub trait Decide {
    type Response;
    fn decide(self, state: &mut State, ask: Ask) -> Decision<Self::Response>;
}

/// A piece of the metadata log.
#[derive(Debug, Clone)]
pub struct MetadataRead {
    /// Whole v2 batches, synced.
    pub records: Bytes,
    /// Of the one voter: the end of what is synced.
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub epoch: Epoch,
}

/// How the metadata log is opened: nothing in it ever expires.
pub fn log_config() -> LogConfig {
    LogConfig {
        retention_ms: None,
        retention_bytes: None,
        delete: false,
        max_message_bytes: i32::MAX as u32,
        ..LogConfig::default()
    }
}

impl Controller {
    /// Replays the log, starts a new controller epoch in it, and syncs.
    ///
    /// # Errors
    /// When the log cannot be read, is another cluster's, or cannot be written.
    pub fn open(setup: Setup) -> Result<Self, Error> {
        let image = replay(&setup.log)?;
        if !image.cluster_id.is_empty() && image.cluster_id != setup.cluster_id {
            return Err(Error::OtherCluster {
                expected: setup.cluster_id,
                found: image.cluster_id,
            });
        }
        let epoch = setup.log.latest_epoch().unwrap_or(0).max(image.epoch) + 1;
        let mut records = Vec::new();
        if image.cluster_id.is_empty() {
            records.push(Record::Cluster { id: setup.cluster_id });
            records.extend(feature::of_new_cluster(&setup.config));
        }
        records.push(Record::Leader { node: setup.node });
        records.extend(scram::missing(&image, setup.users));
        let mut state = State::new(setup.node, setup.endpoint, setup.config, image, setup.clock.clone());
        append(&setup.log, &setup.clock, epoch, &mut state, &records).map_err(Error::NotTaken)?;
        setup.log.flush()?;
        state.expect_all(Instant::now());
        let shared = Shared {
            committed: watch::Sender::new(state.image.offset + 1),
            image: watch::Sender::new(Arc::clone(&state.image)),
            state: Mutex::new(state),
            log: setup.log,
            clock: setup.clock,
            epoch,
            syncing: tokio::sync::Mutex::new(()),
            failed: Mutex::new(None),
            elections: Elections::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The image as of the last synced record.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.shared.image.subscribe()
    }

    /// The controller epoch of this run.
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    /// How often this run moved leadership: to any replica, and to one that was not in sync.
    pub fn elections(&self) -> (u64, u64) {
        self.shared.elections.counted()
    }

    /// Decides, commits and answers. A caller that gives up waiting does not undo the decision.
    ///
    /// # Errors
    /// [`Error::NotTaken`] and [`Error::Failed`].
    pub async fn submit<R: Decide>(&self, request: R, version: i16) -> Result<R::Response, Error> {
        let (response, end) = self.decide(request, version)?;
        if *self.shared.committed.borrow() < end {
            let shared = Arc::clone(&self.shared);
            // In a task of its own, so that a caller that goes away does not leave the sync half done.
            let synced = origin::spawn(async move { shared.sync(end).await });
            synced.await.map_err(|error| Error::Failed(error.to_string()))??;
        }
        Ok(response)
    }

    /// Synced batches from `from` on, waiting up to `wait` when there are none. Remembers how far `observer` is.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Log`].
    pub async fn fetch_metadata(
        &self,
        observer: NodeId,
        from: Offset,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<MetadataRead, Error> {
        let shared = &self.shared;
        shared.state.lock().observe(observer, from, shared.clock.now_ms());
        let mut committed = shared.committed.subscribe();
        let (start, end) = (shared.log.start(), *committed.borrow());
        if from < start || from > end {
            return Err(Error::OutOfRange {
                asked: from,
                start,
                end,
            });
        }
        if from == end {
            // A time-out is an empty answer.
            let _ = tokio::time::timeout(wait, committed.wait_for(|end| *end > from)).await;
        }
        let high_watermark = *committed.borrow();
        let records = match from < high_watermark {
            true => shared.log.read(from, max_bytes, high_watermark, true)?.records,
            false => Bytes::new(),
        };
        Ok(MetadataRead {
            records,
            high_watermark,
            log_start: start,
            epoch: shared.epoch,
        })
    }

    /// Fences brokers that fell silent and moves leadership back to preferred replicas, until the log fails.
    pub async fn run(&self) -> Error {
        let mut beat = tokio::time::interval(self.shared.state.lock().tick_interval());
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            match self.submit(broker::Tick, 0).await {
                Err(error @ Error::Failed(_)) => return error,
                Err(error) => tracing::warn!("{error}"),
                Ok(()) => {}
            }
        }
    }

    fn decide<R: Decide>(&self, request: R, version: i16) -> Result<(R::Response, Offset), Error> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        if let Some(why) = shared.failed.lock().clone() {
            return Err(Error::Failed(why));
        }
        let now = Instant::now();
        let decision = request.decide(&mut state, Ask { version, now });
        shared.elections.count(&state.image, &decision.records);
        append(&shared.log, &shared.clock, shared.epoch, &mut state, &decision.records).map_err(Error::NotTaken)?;
        Ok((decision.response, state.image.offset + 1))
    }
}

impl Shared {
    /// Makes everything before `end` durable, then visible. One sync covers all that waited for it.
    async fn sync(self: Arc<Self>, end: Offset) -> Result<(), Error> {
        let _turn = self.syncing.lock().await;
        if let Some(why) = self.failed.lock().clone() {
            return Err(Error::Failed(why));
        }
        if *self.committed.borrow() >= end {
            return Ok(());
        }
        let image = Arc::clone(&self.state.lock().image);
        let log = Arc::clone(&self.log);
        let flushed = origin::spawn_blocking(move || log.flush()).await;
        let failure = match flushed {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = failure {
            *self.failed.lock() = Some(why.clone());
            return Err(Error::Failed(why));
        }
        self.log.set_high_watermark(image.offset + 1);
        self.committed.send_replace(image.offset + 1);
        self.image.send_replace(image);
        Ok(())
    }
}

/// Appends the records as one batch and applies them. On an error the log and the image are as before.
fn append(log: &Log, clock: &Clock, epoch: Epoch, state: &mut State, records: &[Record]) -> Result<(), String> {
    if records.is_empty() {
        return Ok(());
    }
    let batch = image::encode(records, clock.now_ms()).map_err(|error| error.to_string())?;
    let appended = log.append_internal(batch, epoch).map_err(|error| error.to_string())?;
    state.apply(records, appended.first_offset, epoch);
    Ok(())
}

fn replay(log: &Log) -> Result<Image, Error> {
    const CHUNK: usize = 8 << 20;
    let mut image = Image::empty();
    let mut from = log.start();
    while from < log.end() {
        let read = log.read(from, CHUNK, log.end(), true)?;
        image.replay(read.records)?;
        from = read.next.max(from + 1);
    }
    Ok(image)
}
