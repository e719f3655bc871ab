//! What a node does for its logs at intervals, and when it stops.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::LogManager;
use super::directory::{self, Directory};
use crate::env::origin;
use crate::id::Offset;
use crate::log::{Error, Log};

/// A log without an append for so long keeps nothing in memory.
const IDLE_MS: i64 = 30_000;

/// What each checkpoint held when it was last written, as a digest: an idle node writes none again.
pub(super) type Written = HashMap<(usize, &'static str), u64>;

/// How often the upkeep runs; the defaults are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// `log.retention.check.interval.ms`
    pub retention: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`, for recovery points and log starts.
    pub checkpoint: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub high_watermark: Duration,
    /// How often `flush.ms` and closed segments are looked at.
    pub flush: Duration,
    /// `log.cleaner.backoff.ms`; `None` with `log.cleaner.enable=false`.
    pub compaction: Option<Duration>,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(5 * 60),
            checkpoint: Duration::from_secs(60),
            high_watermark: Duration::from_secs(5),
            flush: Duration::from_secs(1),
            compaction: Some(Duration::from_secs(15)),
        }
    }
}

impl LogManager {
    /// For [`LogManager::run`], to be called before it.
    pub fn set_intervals(&self, intervals: Intervals) {
        *self.intervals.lock() = intervals;
    }

    /// Flushes, deletes by retention and checkpoints at intervals, until `shutdown` is true or its sender is
    /// gone. The caller awaits it before [`LogManager::close`].
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let intervals = *self.intervals.lock();
        let timer = |period: Duration| {
            let mut timer = tokio::time::interval(period.max(Duration::from_millis(1)));
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        };
        let mut retention = timer(intervals.retention);
        let mut checkpoint = timer(intervals.checkpoint);
        let mut high_watermark = timer(intervals.high_watermark);
        let mut flush = timer(intervals.flush);
        let mut compaction = intervals.compaction.map(timer);
        loop {
            let job: fn(&Self) = tokio::select! {
                // An error means that the sender is gone.
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = retention.tick() => Self::retain,
                _ = checkpoint.tick() => Self::checkpoint,
                _ = high_watermark.tick() => Self::checkpoint_high_watermarks,
                _ = flush.tick() => Self::flush_due,
                () = tick(&mut compaction) => {
                    // In a task of its own: a pass may take long.
                    self.begin_compaction();
                    continue;
                }
            };
            if self.is_idle() {
                continue;
            }
            let manager = Arc::clone(&self);
            if let Err(error) = origin::spawn_blocking(move || job(&manager)).await {
                tracing::error!("the upkeep of the logs broke off: {error}");
            }
        }
    }

    /// Compacts what is due in the background, unless that is still going on.
    fn begin_compaction(self: &Arc<Self>) {
        let mut compaction = self.compaction.lock();
        let busy = compaction.as_ref().is_some_and(|pass| !pass.is_finished());
        if busy || self.is_idle() || self.halted.load(Ordering::Acquire) {
            return;
        }
        let manager = Arc::clone(self);
        *compaction = Some(origin::spawn_blocking(move || manager.compact()));
    }

    /// Breaks off what goes on in the background and waits until it has: the next run may open the directories.
    pub async fn halt(&self) {
        self.halted.store(true, Ordering::Release);
        let pass = self.compaction.lock().take();
        if let Some(pass) = pass {
            // A panic in it was told already.
            let _ = pass.await;
        }
    }

    /// Compacts every log that is dirty enough, and writes how far that went.
    pub fn compact(&self) {
        self.each("compaction", |log| {
            if let Some(done) = log.compact()? {
                let (before, after) = (done.bytes_before, done.bytes_after);
                tracing::debug!("{}: compacted {before} bytes to {after}", log.dir().display());
            }
            Ok(())
        });
        self.checkpoint_cleaned();
    }

    fn checkpoint_cleaned(&self) {
        self.store(directory::CLEANED, |log| Some(log.cleaned_to()).filter(|end| *end > 0));
    }

    /// Applies retention to every log, up to its high watermark.
    pub fn retain(&self) {
        self.each("retention", |log| log.retain(log.high_watermark()).map(|_| ()));
    }

    /// Flushes the logs whose `flush.ms` has passed, and closed segments; idle logs give up their memory, and what was
    /// deleted long enough ago goes.
    pub fn flush_due(&self) {
        self.each("flush", Log::flush_if_due);
        self.each("cooling", |log| log.cool(IDLE_MS));
        self.each("unlinking", Log::unlink_due);
        self.remove_due();
    }

    /// Removes what deleted logs left and whose time has come.
    fn remove_due(&self) {
        let now_ms = self.clock.now_ms();
        let due = {
            let mut doomed = self.doomed.lock();
            let (due, later) = std::mem::take(&mut *doomed)
                .into_iter()
                .partition::<Vec<_>, _>(|(due_ms, _)| *due_ms <= now_ms);
            *doomed = later;
            due
        };
        for (_, path) in due {
            if let Err(error) = self.disk.remove_dir(&path) {
                tracing::warn!("{} stays until the next start: {error}", path.display());
            }
        }
    }

    /// Writes recovery points and log starts.
    pub fn checkpoint(&self) {
        self.store(directory::RECOVERY_POINTS, |log| Some(log.recovery_point()));
        // As in Kafka, only what the first segment's name does not say.
        self.store(directory::LOG_STARTS, |log| {
            Some(log.start()).filter(|start| *start > 0)
        });
    }

    /// Writes the high watermarks.
    pub fn checkpoint_high_watermarks(&self) {
        self.store(directory::HIGH_WATERMARKS, |log| Some(log.high_watermark()));
    }

    /// Flushes and closes every log, writes all checkpoints, and marks the shutdown as clean.
    ///
    /// # Errors
    /// The first failure; other directories are closed all the same.
    pub fn close(&self, broker_epoch: i64) -> Result<(), Error> {
        let mut first = Ok(());
        let mut unclean = vec![false; self.directories.len()];
        let mut entries: Vec<_> = self.logs.read().by_partition.values().cloned().collect();
        entries.extend(self.future_entries().into_iter().map(|(_, entry)| entry));
        for entry in entries {
            match entry.log.close() {
                Ok(()) | Err(Error::Deleted { .. }) => {}
                Err(error) => {
                    unclean[entry.directory] = true;
                    first = first.and(Err(error));
                }
            }
        }
        self.checkpoint();
        self.checkpoint_high_watermarks();
        self.checkpoint_cleaned();
        for (directory, unclean) in self.directories.iter().zip(unclean) {
            if directory.is_online() && !unclean {
                first = first.and(directory.mark_clean(&self.disk, broker_epoch));
            }
        }
        first
    }

    /// Lets go of the directories, whoever still has this at hand: the next run may open them. Nothing may use the logs any more.
    pub fn release(&self) {
        self.directories.iter().for_each(Directory::release);
    }

    fn each(&self, what: &str, job: impl Fn(&Log) -> Result<(), Error>) {
        for (_, entry) in self.made() {
            match job(&entry.log) {
                // Said once, when the directory failed, or not worth saying.
                Ok(()) | Err(Error::Offline { .. } | Error::Deleted { .. } | Error::Closed { .. }) => {}
                Err(error) => tracing::warn!("{what} of {} failed: {error}", entry.topic),
            }
        }
    }

    /// Writes one checkpoint of every online directory.
    fn store(&self, name: &'static str, offset: impl Fn(&Log) -> Option<Offset>) {
        let _one_at_a_time = self.checkpointing.lock();
        let mut lines = vec![Vec::new(); self.directories.len()];
        for (at, entry) in self.made() {
            if let Some(offset) = offset(&entry.log) {
                lines[entry.directory].push(format!("{} {} {offset}", entry.topic, at.partition));
            }
        }
        // They have the names that they get once they have moved; their directories hold no others of these names.
        for (at, entry) in self.future_entries() {
            if let Some(offset) = offset(&entry.log) {
                lines[entry.directory].push(format!("{} {} {offset}", entry.topic, at.partition));
            }
        }
        for (index, (directory, mut lines)) in self.directories.iter().zip(lines).enumerate() {
            lines.sort_unstable();
            if !directory.is_online() || !self.is_news(index, name, &lines) {
                continue;
            }
            match directory.write_offsets(&self.disk, name, &lines) {
                Err(error) if error.is_of_the_disk() => directory.health.fail(error.to_string()),
                Err(error) => tracing::warn!("{error}; the checkpoint stays as it was"),
                Ok(()) => {
                    self.written.lock().insert((index, name), digest(&lines));
                }
            }
        }
    }

    /// Whether there is nothing to look after.
    fn is_idle(&self) -> bool {
        self.made_count() == 0 && self.written.lock().is_empty() && self.doomed.lock().is_empty()
    }

    /// Whether the file does not say so already.
    fn is_news(&self, directory: usize, name: &'static str, lines: &[String]) -> bool {
        match self.written.lock().get(&(directory, name)) {
            Some(written) => *written != digest(lines),
            None => !lines.is_empty() || self.disk.exists(&self.directories[directory].path.join(name)),
        }
    }
}

/// Never without a timer.
async fn tick(timer: &mut Option<Interval>) {
    match timer {
        Some(timer) => {
            timer.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn digest(lines: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}
