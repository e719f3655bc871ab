//! Moving replicas between this node's log directories (AlterReplicaLogDirs, KIP-113): copying what the future log lacks, in
//! the background and not faster than asked, and the change of places once it has caught up.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Refusal, ReplicaManager};
use crate::env::origin;
use crate::id::TopicPartition;
use crate::log;
use crate::log::{Future, LogManager, Named};

/// Copied at once, if the throttle allows it.
const CHUNK: u64 = 1 << 20;
const CHUNK_MIN: u64 = 1 << 10;
/// When nothing could be copied: the replica is not placed here yet, or its disk fails.
const PAUSE: Duration = Duration::from_millis(50);

/// The moves of one node.
#[derive(Debug)]
pub(super) struct Moves {
    begun: Notify,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`
    rate: AtomicU64,
    rate_changed: Notify,
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            begun: Notify::new(),
            rate: AtomicU64::new(u64::MAX),
            rate_changed: Notify::new(),
        }
    }
}

impl Moves {
    fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed).max(1)
    }

    fn chunk(&self) -> usize {
        usize::try_from(self.rate().clamp(CHUNK_MIN, CHUNK)).unwrap_or(usize::MAX)
    }

    /// Waits so long after `copied` bytes that the rate holds, also when it changes meanwhile.
    async fn pace(&self, copied: usize, since: Instant) {
        loop {
            let due = since + Duration::from_secs_f64(copied as f64 / self.rate() as f64);
            if due <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                () = self.rate_changed.notified() => {}
            }
        }
    }
}

/// What a step did.
enum Step {
    /// So many bytes were copied.
    Copied(usize),
    Moved,
    Nothing,
}

impl ReplicaManager {
    /// Moves the replica of a topic's partition to the log directory at `dir`, in the background; to where it is now gives a
    /// move in flight up. One that is not here yet will be made there.
    ///
    /// # Errors
    /// As Kafka's: `LOG_DIR_NOT_FOUND`, `KAFKA_STORAGE_ERROR`, `INVALID_TOPIC_EXCEPTION` when the name of the future log would
    /// be too long, `NOT_LEADER_OR_FOLLOWER` or `UNKNOWN_TOPIC_OR_PARTITION` when there is no replica here, which is remembered.
    pub fn move_replica(&self, topic: &str, partition: i32, dir: &Path) -> Result<(), Refusal> {
        if !log::can_move(topic, partition) {
            return Err(ResponseError::InvalidTopicException.into());
        }
        let to = match self.logs.named(dir) {
            Named::Online(index) => index,
            Named::Offline => return Err(ResponseError::KafkaStorageError.into()),
            Named::Unknown => return Err(ResponseError::LogDirNotFound.into()),
        };
        let image = self.image();
        let at = image.topic_named(topic).map(|topic| TopicPartition {
            topic: topic.id,
            partition,
        });
        let here = at.filter(|at| self.partition(*at).is_some());
        let Some(at) = here else {
            if at.is_some_and(|at| self.offline.read().contains(&at)) {
                return Err(ResponseError::KafkaStorageError.into());
            }
            self.logs.want(topic, partition, to);
            return Err(match at.and_then(|at| image.partition(at)) {
                Some(_) => ResponseError::NotLeaderOrFollower.into(),
                None => ResponseError::UnknownTopicOrPartition.into(),
            });
        };
        if self.logs.begin_move(at, to)? {
            self.moves.begun.notify_one();
        }
        Ok(())
    }

    /// How many bytes per second all moves together may copy.
    pub fn set_move_rate(&self, bytes_per_second: u64) {
        if self.moves.rate.swap(bytes_per_second, Ordering::Relaxed) != bytes_per_second {
            self.moves.rate_changed.notify_one();
        }
    }

    /// Carries out moves until the task is dropped; also those that were going on when the node stopped.
    pub(super) async fn relocate(self: Arc<Self>) {
        let mut said = String::new();
        loop {
            let futures = self.logs.futures();
            if futures.is_empty() {
                said.clear();
                self.moves.begun.notified().await;
                continue;
            }
            let mut progress = false;
            for future in futures {
                let since = Instant::now();
                match self.step(future).await {
                    Ok(Step::Copied(bytes)) => {
                        progress |= bytes > 0;
                        self.moves.pace(bytes, since).await;
                    }
                    Ok(Step::Moved) => progress = true,
                    Ok(Step::Nothing) => {}
                    Err(reason) => {
                        if said != reason {
                            tracing::warn!("a replica does not move to its new directory: {reason}");
                            said = reason;
                        }
                    }
                }
            }
            if !progress {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn step(self: &Arc<Self>, future: Future) -> Result<Step, String> {
        let manager = Arc::clone(self);
        let chunk = self.moves.chunk();
        // Copying blocks on the disk.
        let done = origin::spawn_blocking(move || manager.copy(&future, chunk)).await;
        match done {
            Ok(step) => step.map_err(|refusal| refusal.to_string()),
            Err(panic) => Err(format!("it failed, which is a bug: {panic}")),
        }
    }

    /// One step of a move, the last one when the future log has caught up.
    fn copy(&self, future: &Future, chunk: usize) -> Result<Step, Refusal> {
        let Some(partition) = self.partition(future.at) else {
            return Ok(Step::Nothing);
        };
        let (copied, all) = future.log.follow(&partition.log, chunk)?;
        if !all {
            return Ok(Step::Copied(copied));
        }
        // Most of it is on the device before appends have to wait.
        future.log.flush()?;
        partition.while_still(|still| {
            loop {
                match future.log.follow(still, chunk)? {
                    (_, true) => return self.logs.finish_move(future.at),
                    (0, false) => {
                        let why = format!("nothing can be read at offset {}", future.log.end());
                        let path = still.dir().to_path_buf();
                        return Err(log::Error::Malformed { path, why });
                    }
                    (_, false) => {}
                }
            }
        })?;
        self.settled(&self.logs);
        Ok(Step::Moved)
    }

    /// A start must know where the log begins in its new directory.
    fn settled(&self, logs: &LogManager) {
        logs.checkpoint();
        logs.checkpoint_high_watermarks();
    }
}
