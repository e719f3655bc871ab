//! The log directories of one node: opened, locked, checkpointed, and their logs looked after.
//!
//! A directory that fails takes its own logs offline and nothing else. Files that Kafka keeps beside the
//! logs have Kafka's names and formats.

mod directory;
mod future;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::blank::set_aside;
use super::health::News;
use super::tail::Budget;
use super::{Error, Log, LogConfig, Made, Shared, beside};
use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::env::disk::Space;
use crate::env::random::Random;
use crate::id::{NodeId, TopicId, TopicPartition};

pub(super) use directory::{sync_topic_id, write_topic_id};
pub use future::{Future, Named, can_move};
pub use upkeep::Intervals;

use directory::{Directory, Meta};
use future::Futures;

/// What the tails of all logs of a node may hold in memory together.
const TAIL_BUDGET: usize = 64 << 20;

/// Whose directories these are: written into `meta.properties`, and compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    pub node_id: NodeId,
}

/// One log directory as DescribeLogDirs shows it.
#[derive(Debug, Clone)]
pub struct DirStatus {
    pub path: PathBuf,
    /// `directory.id` of its `meta.properties` (KIP-858); nil when it could not be opened.
    pub id: Uuid,
    /// `None` when the volume does not answer.
    pub space: Option<Space>,
    /// Why it is offline.
    pub failure: Option<String>,
}

/// All logs of one node.
#[derive(Debug)]
pub struct LogManager {
    directories: Vec<Directory>,
    disk: Disk,
    clock: Clock,
    budget: Arc<Budget>,
    logs: RwLock<Logs>,
    futures: Mutex<Futures>,
    news: News,
    /// Folders of deleted logs, and from when on they may be removed.
    doomed: Mutex<Vec<(i64, PathBuf)>>,
    /// Those with files.
    made: Made,
    written: Mutex<upkeep::Written>,
    /// One at a time, so that two checkpoints do not write the same file.
    checkpointing: Mutex<()>,
    /// The pass in the background, and whether it has to break off.
    compaction: Mutex<Option<JoinHandle<()>>>,
    halted: Arc<AtomicBool>,
    intervals: Mutex<Intervals>,
}

/// The logs by partition, and which topic id each topic's name stands for here.
#[derive(Debug, Default)]
struct Logs {
    by_partition: HashMap<TopicPartition, Entry>,
    /// With how many logs it has: a topic created again has the same directories.
    names: HashMap<Arc<str>, (TopicId, usize)>,
}

/// One log and where it is.
#[derive(Debug, Clone)]
struct Entry {
    topic: Arc<str>,
    /// Index into the directories.
    directory: usize,
    log: Arc<Log>,
}

impl LogManager {
    /// Locks the directories, makes what is missing, and opens every log in them.
    ///
    /// # Errors
    /// When a directory is in use or another node's, or all of them fail. One failing directory of several
    /// is reported by [`LogManager::dirs`] instead.
    pub fn open(
        dirs: &[PathBuf],
        disk: Disk,
        identity: &Identity,
        defaults: LogConfig,
        clock: Clock,
        random: &Random,
    ) -> Result<Self, Error> {
        let news = News::default();
        let mut directories = Vec::with_capacity(dirs.len());
        for path in dirs {
            match Directory::open(&disk, path, identity, random, &news) {
                Ok(directory) => directories.push(directory),
                Err(error) if error.is_of_the_disk() && dirs.len() > 1 => {
                    directories.push(Directory::failed(path, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        if !directories.iter().any(Directory::is_online) {
            return Err(Error::NoDirectory);
        }
        let manager = Self {
            directories,
            disk,
            clock,
            budget: Arc::new(Budget::new(TAIL_BUDGET)),
            logs: RwLock::default(),
            futures: Mutex::default(),
            news,
            doomed: Mutex::default(),
            made: Made::default(),
            written: Mutex::default(),
            checkpointing: Mutex::default(),
            compaction: Mutex::default(),
            halted: Arc::default(),
            intervals: Mutex::default(),
        };
        for (index, directory) in manager.directories.iter().enumerate().filter(|(_, it)| it.is_online()) {
            match manager.load(index, directory, &defaults) {
                Ok(()) => {}
                Err(error) if dirs.len() > 1 => directory.health.fail(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        manager.load_futures(&defaults);
        if !manager.directories.iter().any(Directory::is_online) {
            return Err(Error::NoDirectory);
        }
        Ok(manager)
    }

    /// The node id and cluster id that `dir` was made for; `None` for a new directory.
    ///
    /// # Errors
    /// When its `meta.properties` cannot be read.
    pub fn identity_of(disk: &Disk, dir: &Path) -> Result<Option<Identity>, Error> {
        Ok(Meta::read(disk, dir)?.map(|meta| meta.identity))
    }

    /// The broker epoch that the last run wrote when it closed all directories; `None` after a crash (KIP-966).
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        let epochs = self
            .directories
            .iter()
            .map(|directory| directory.clean.map(|clean| clean.broker_epoch));
        epochs.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    fn load(&self, index: usize, directory: &Directory, defaults: &LogConfig) -> Result<(), Error> {
        let recovery = directory.read_offsets(&self.disk, directory::RECOVERY_POINTS)?;
        let watermarks = directory.read_offsets(&self.disk, directory::HIGH_WATERMARKS)?;
        let starts = directory.read_offsets(&self.disk, directory::LOG_STARTS)?;
        let cleaned = directory.read_offsets(&self.disk, directory::CLEANED)?;
        let shared = self.shared(directory);
        for path in self.disk.list(&directory.path).map_err(Error::io(&directory.path))? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .to_owned();
            if !path.is_dir() || name.ends_with("-stray") || future::parse_name(&name).is_some() {
                continue;
            }
            if name.ends_with("-delete") {
                self.disk.remove_dir(&path).map_err(Error::io(&path))?;
                continue;
            }
            let Some((topic, partition)) = parse_name(&name) else {
                continue;
            };
            // The controller's own log, which it opens itself.
            if topic == "__cluster_metadata" {
                continue;
            }
            let Some(topic_id) = directory.topic_id_of(&self.disk, &path)? else {
                tracing::warn!("{} has no partition.metadata and is left alone", path.display());
                continue;
            };
            let key = (topic.to_owned(), partition);
            let point = recovery.get(&key).copied().unwrap_or(0);
            let at = TopicPartition {
                topic: topic_id,
                partition,
            };
            let clean = directory.clean.is_some();
            let log = Log::open_shared(&shared, Some(at), path, defaults.clone(), point, clean)?;
            if let Some(start) = starts.get(&key) {
                // More than the end when the tail was lost: then the log is empty, and its end is its start.
                log.advance_start((*start).min(log.end()))?;
            }
            log.set_high_watermark(watermarks.get(&key).copied().unwrap_or(0));
            log.set_cleaned_to(cleaned.get(&key).copied().unwrap_or(0));
            let before = self.logs.write().insert(at, topic, index, Arc::new(log));
            if let Some(other) = before {
                self.settle_twins(at, other)?;
            }
        }
        Ok(())
    }

    /// A log was found in two directories: a move was cut off when both held the same. Then one of them goes; if they differ
    /// the shorter one is put aside for the operator to look at.
    fn settle_twins(&self, at: TopicPartition, other: Entry) -> Result<(), Error> {
        let (kept, rest) = {
            let mut logs = self.logs.write();
            let Some(entry) = logs.by_partition.get_mut(&at) else {
                return Ok(());
            };
            let rest = match entry.log.end() >= other.log.end() {
                true => other,
                false => std::mem::replace(entry, other),
            };
            (Arc::clone(&entry.log), rest.log)
        };
        let (kept_dir, dir) = (kept.dir(), rest.dir());
        if (kept.end(), kept.latest_epoch()) == (rest.end(), rest.latest_epoch()) {
            tracing::warn!("{} is also {}, which is deleted", kept_dir.display(), dir.display());
            return self.discard(&rest);
        }
        let aside = beside(&dir, "stray");
        tracing::warn!(
            "{} is the longer {}, now {}",
            kept_dir.display(),
            dir.display(),
            aside.display()
        );
        self.disk.rename(&dir, &aside).map_err(Error::io(&dir))
    }

    /// Opens what was on its way to another directory; what fails takes its directory offline.
    fn load_futures(&self, config: &LogConfig) {
        for (index, directory) in self.directories.iter().enumerate().filter(|(_, it)| it.is_online()) {
            let paths = self.disk.list(&directory.path).unwrap_or_default();
            for path in paths.into_iter().filter(|path| path.is_dir()) {
                let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                let named = name.as_deref().and_then(future::parse_name).and_then(parse_name);
                let Some((topic, partition)) = named else { continue };
                if let Err(error) = self.load_future((index, directory), path, (topic, partition), config) {
                    directory.health.fail(error.to_string());
                    break;
                }
            }
        }
    }

    fn shared(&self, directory: &Directory) -> Shared {
        Shared {
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            health: Arc::clone(&directory.health),
            budget: Arc::clone(&self.budget),
            made: Arc::clone(&self.made),
            halted: Arc::clone(&self.halted),
        }
    }

    pub fn get(&self, at: TopicPartition) -> Option<Arc<Log>> {
        self.logs
            .read()
            .by_partition
            .get(&at)
            .map(|entry| Arc::clone(&entry.log))
    }

    /// The log of a partition; when there is none a new one, in the directory `dir` if it is named and online,
    /// else in the online one with the fewest logs. A new one has no files before its first record.
    ///
    /// # Errors
    /// When no directory is online, or an earlier topic of the same name cannot be removed.
    pub fn create(
        &self,
        topic: &str,
        at: TopicPartition,
        config: impl Into<Arc<LogConfig>>,
        dir: Option<Uuid>,
    ) -> Result<Arc<Log>, Error> {
        let mut logs = self.logs.write();
        if let Some(entry) = logs.by_partition.get(&at) {
            return Ok(Arc::clone(&entry.log));
        }
        let dir = self.take_wanted(topic, at.partition).or(dir);
        let index = loop {
            let index = self.place(&logs, dir).ok_or(Error::NoDirectory)?;
            let directory = &self.directories[index];
            if !self.is_full(directory) {
                break index;
            }
            let path = directory.path.clone();
            directory.health.fail(Error::Full { path }.to_string());
        };
        let directory = &self.directories[index];
        let path = directory.path.join(format!("{topic}-{}", at.partition));
        self.delete_namesake(&mut logs, topic, at)?;
        let log = Arc::new(Log::blank(&self.shared(directory), at, path, config.into()));
        logs.insert(at, topic, index, Arc::clone(&log));
        Ok(log)
    }

    fn place(&self, logs: &Logs, wanted: Option<Uuid>) -> Option<usize> {
        let online: Vec<(usize, &Directory)> = self
            .directories
            .iter()
            .enumerate()
            .filter(|(_, directory)| directory.is_online())
            .collect();
        if let [only] = online.as_slice() {
            return Some(only.0);
        }
        let named = online.iter().find(|(_, directory)| Some(directory.id) == wanted);
        let count = |index: usize| {
            let entries = logs.by_partition.values();
            entries.filter(|entry| entry.directory == index).count()
        };
        let fewest = || online.iter().min_by_key(|(index, _)| count(*index));
        named.or_else(fewest).map(|(index, _)| *index)
    }

    /// Whether not even a log's smallest file fits, where there is another directory to go to.
    fn is_full(&self, directory: &Directory) -> bool {
        const LEAST_BYTES: u64 = 64;
        self.directories.len() > 1
            && self
                .disk
                .space(&directory.path)
                .is_ok_and(|space| space.usable_bytes < LEAST_BYTES)
    }

    /// Deletes the log that an earlier topic of the same name has in the place of `at`'s.
    fn delete_namesake(&self, logs: &mut Logs, topic: &str, at: TopicPartition) -> Result<(), Error> {
        let earlier = logs.names.get(topic).map(|(id, _)| TopicPartition { topic: *id, ..at });
        let Some(entry) = earlier.and_then(|earlier| logs.remove(earlier)) else {
            return Ok(());
        };
        tracing::info!("{} is of a topic that is gone; deleting it", entry.log.dir().display());
        self.forget(earlier);
        self.discard(&entry.log)
    }

    /// Moves what is at `path` out of the way: nobody's, because a directory that says whose it is was loaded.
    fn set_aside(&self, path: &Path) -> Result<(), Error> {
        set_aside(&self.disk, path)
    }

    /// An empty log at `path` at once, as the future of another.
    fn make(&self, directory: &Directory, path: &Path, at: TopicPartition, config: LogConfig) -> Result<Log, Error> {
        self.disk.create_dir(path).map_err(Error::io(path))?;
        directory::write_topic_id(&self.disk, path, at.topic)?;
        Log::open_shared(&self.shared(directory), None, path.to_owned(), config, 0, true)
    }

    fn forget(&self, at: Option<TopicPartition>) {
        if let Some(at) = at {
            self.made.lock().remove(&at);
        }
    }

    /// Deletes the log of a partition; fine if there is none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, at: TopicPartition) -> Result<(), Error> {
        self.give_up_move(at)?;
        let removed = self.logs.write().remove(at);
        let deleted = removed.map_or(Ok(()), |entry| self.discard(&entry.log));
        self.forget(Some(at));
        deleted
    }

    /// Deletes a log; its files go after `file.delete.delay.ms`.
    fn discard(&self, log: &Log) -> Result<(), Error> {
        if let Some(left) = log.delete()? {
            self.remove_later(left, log);
        }
        Ok(())
    }

    fn remove_later(&self, left: PathBuf, log: &Log) {
        let due_ms = self.clock.now_ms().saturating_add(log.config().file_delete_delay_ms);
        self.doomed.lock().push((due_ms, left));
    }

    /// All logs, with the topic's name as it was when they were created.
    pub fn logs(&self) -> Vec<(TopicPartition, String, Arc<Log>)> {
        let logs = self.logs.read();
        let all = logs.by_partition.iter();
        all.map(|(at, entry)| (*at, entry.topic.to_string(), Arc::clone(&entry.log)))
            .collect()
    }

    /// The logs that have files: those that ever had a record.
    fn made(&self) -> Vec<(TopicPartition, Entry)> {
        let made: HashSet<TopicPartition> = self.made.lock().clone();
        let logs = self.logs.read();
        let entry = |at| Some((at, logs.by_partition.get(&at)?.clone()));
        made.into_iter().filter_map(entry).collect()
    }

    /// How many logs have files.
    pub fn made_count(&self) -> usize {
        self.made.lock().len()
    }

    pub fn dirs(&self) -> Vec<DirStatus> {
        let status = |directory: &Directory| DirStatus {
            path: directory.path.clone(),
            id: directory.id,
            space: self.disk.space(&directory.path).ok(),
            failure: directory.health.failure().map(str::to_owned),
        };
        self.directories.iter().map(status).collect()
    }

    /// Counts on when a directory fails or a log moves to another one.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Whether a directory failed, at the start or since.
    pub fn has_failed_dir(&self) -> bool {
        !self.directories.iter().all(Directory::is_online)
    }

    /// Whether the log of `at` is in a directory that failed.
    pub fn is_offline(&self, at: TopicPartition) -> bool {
        let directory = self.logs.read().by_partition.get(&at).map(|entry| entry.directory);
        directory.is_some_and(|directory| !self.directories[directory].is_online())
    }

    /// Whether a directory of this id is there and can be used.
    pub fn is_online(&self, dir: Uuid) -> bool {
        self.directories
            .iter()
            .any(|directory| directory.id == dir && directory.is_online())
    }

    /// The directory that a log is in, by its `directory.id`.
    pub fn dir_of(&self, at: TopicPartition) -> Option<Uuid> {
        let directory = self.logs.read().by_partition.get(&at)?.directory;
        self.directories.get(directory).map(|directory| directory.id)
    }
}

impl Logs {
    /// Returns what was there.
    fn insert(&mut self, at: TopicPartition, topic: &str, directory: usize, log: Arc<Log>) -> Option<Entry> {
        let name = match self.names.get_key_value(topic) {
            Some((name, _)) => Arc::clone(name),
            None => topic.into(),
        };
        let owner = self.names.entry(Arc::clone(&name)).or_insert((at.topic, 0));
        if owner.0 != at.topic {
            *owner = (at.topic, 0);
        }
        owner.1 += 1;
        let entry = Entry {
            topic: name,
            directory,
            log,
        };
        let before = self.by_partition.insert(at, entry);
        if before.is_some() {
            self.release(at.topic, topic);
        }
        before
    }

    fn remove(&mut self, at: TopicPartition) -> Option<Entry> {
        let entry = self.by_partition.remove(&at)?;
        self.release(at.topic, &entry.topic);
        Some(entry)
    }

    /// The name is forgotten with its last log.
    fn release(&mut self, id: TopicId, topic: &str) {
        if let Some((owner, count)) = self.names.get_mut(topic)
            && *owner == id
        {
            *count -= 1;
            if *count == 0 {
                self.names.remove(topic);
            }
        }
    }
}

/// `topic-partition`; the topic may hold dashes itself.
fn parse_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok()?;
    (!topic.is_empty() && partition >= 0).then_some((topic, partition))
}

#[cfg(test)]
mod tests;
