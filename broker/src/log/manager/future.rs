//! Replicas on their way to another directory of this node, and where replicas that are not here yet shall go (KIP-113).
//!
//! A future log lies in `topic-partition.<unique>-future` in its new directory until it has caught up.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::directory::Directory;
use super::{Entry, LogManager};
use crate::env::random;
use crate::id::TopicPartition;
use crate::log::{Error, Log, LogConfig};

const SUFFIX: &str = "-future";

/// The longest name of a file.
const NAME_MAX: usize = 255;

/// A directory that was named for a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Index into the directories.
    Online(usize),
    Offline,
    /// It is not one of `log.dirs`.
    Unknown,
}

/// Future logs, and wishes for logs that are not there yet.
#[derive(Debug, Default)]
pub(super) struct Futures {
    logs: HashMap<TopicPartition, Entry>,
    /// By topic and partition, the index of a directory.
    wanted: HashMap<(String, i32), usize>,
}

/// A future log as DescribeLogDirs shows it.
#[derive(Debug, Clone)]
pub struct Future {
    pub at: TopicPartition,
    pub topic: Arc<str>,
    /// `directory.id` of where it is.
    pub dir: Uuid,
    pub log: Arc<Log>,
}

/// The name of a log that `name` is the future of.
pub(super) fn parse_name(name: &str) -> Option<&str> {
    let (log, _) = name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    Some(log)
}

/// Whether a topic's name leaves room for the name of a future log.
pub fn can_move(topic: &str, partition: i32) -> bool {
    name(topic, partition).len() <= NAME_MAX
}

fn name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}.{}{SUFFIX}", random::uuid().simple())
}

impl LogManager {
    /// The directory at `path`, as `log.dirs` names it.
    pub fn named(&self, path: &Path) -> Named {
        let wanted = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match self.directories.iter().position(|directory| directory.path == wanted) {
            None => Named::Unknown,
            Some(index) if self.directories[index].is_online() => Named::Online(index),
            Some(_) => Named::Offline,
        }
    }

    /// Has the replica of a topic's partition made in a directory once it is placed here. Forgotten when the node stops.
    pub fn want(&self, topic: &str, partition: i32, directory: usize) {
        let mut futures = self.futures.lock();
        futures.wanted.insert((topic.to_owned(), partition), directory);
    }

    /// The directory wanted for a new log, by its id.
    pub(super) fn take_wanted(&self, topic: &str, partition: i32) -> Option<Uuid> {
        let wanted = self.futures.lock().wanted.remove(&(topic.to_owned(), partition))?;
        let directory = &self.directories[wanted];
        directory.is_online().then_some(directory.id)
    }

    /// Begins, or goes on with, a move of the log of `at` to a directory; a move to another one is given up. Nothing is
    /// left to do, and false is returned, when it is there already.
    ///
    /// # Errors
    /// When there is no such log, or the disk fails.
    pub fn begin_move(&self, at: TopicPartition, to: usize) -> Result<bool, Error> {
        let Some(current) = self.logs.read().by_partition.get(&at).cloned() else {
            return Err(Error::NoDirectory);
        };
        let going = self.futures.lock().logs.get(&at).map(|entry| entry.directory);
        if going == Some(to) {
            return Ok(true);
        }
        self.give_up_move(at)?;
        if current.directory == to {
            return Ok(false);
        }
        // One without files has nothing to copy, but its place is taken like any other's.
        current.log.ensure_files()?;
        let directory = &self.directories[to];
        let path = directory.path.join(name(&current.topic, at.partition));
        let made = self.make(directory, &path, at, current.log.config());
        if let Err(error) = &made
            && error.is_of_the_disk()
        {
            directory.health.fail(error.to_string());
        }
        let future = Entry {
            topic: Arc::clone(&current.topic),
            directory: to,
            log: Arc::new(made?),
        };
        tracing::info!("moving {} to {}", current.log.dir().display(), directory.path.display());
        self.futures.lock().logs.insert(at, future);
        Ok(true)
    }

    /// Deletes the future log of `at`, if there is one.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn give_up_move(&self, at: TopicPartition) -> Result<(), Error> {
        let given_up = self.futures.lock().logs.remove(&at);
        given_up.map_or(Ok(()), |entry| self.discard(&entry.log))
    }

    /// All future logs in directories that work. Those in others are forgotten, and their replicas stay where they are.
    pub fn futures(&self) -> Vec<Future> {
        let mut futures = self.futures.lock();
        futures
            .logs
            .retain(|_, entry| self.directories[entry.directory].is_online());
        let future = |(at, entry): (&TopicPartition, &Entry)| Future {
            at: *at,
            topic: Arc::clone(&entry.topic),
            dir: self.directories[entry.directory].id,
            log: Arc::clone(&entry.log),
        };
        futures.logs.iter().map(future).collect()
    }

    pub(super) fn future_entries(&self) -> Vec<(TopicPartition, Entry)> {
        let futures = self.futures.lock();
        futures.logs.iter().map(|(at, entry)| (*at, entry.clone())).collect()
    }

    /// Puts the future log of `at`, which has caught up, in the place of the current one. Nothing may be appended meanwhile.
    ///
    /// # Errors
    /// When the disk fails; the current log goes on then.
    pub fn finish_move(&self, at: TopicPartition) -> Result<(), Error> {
        let Some(future) = self.futures.lock().logs.remove(&at) else {
            return Ok(());
        };
        let left = {
            let mut logs = self.logs.write();
            let directory = &self.directories[future.directory];
            let path = directory.path.join(format!("{}-{}", future.topic, at.partition));
            self.set_aside(&path)?;
            let Some(current) = logs.by_partition.get_mut(&at) else {
                return self.discard(&future.log);
            };
            let left = current.log.take_over(&future.log, &path)?;
            current.directory = future.directory;
            tracing::info!("{} moved here", current.log.dir().display());
            left
        };
        if let Some(left) = left {
            self.remove_later(left, &future.log);
        }
        self.news.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Opens a future log that was found at the start. Without a current one it takes its place: the directory of that one
    /// was replaced, and a part is better than nothing.
    pub(super) fn load_future(
        &self,
        (index, directory): (usize, &Directory),
        path: PathBuf,
        log: (&str, i32),
        config: &LogConfig,
    ) -> Result<(), Error> {
        let (topic, partition) = log;
        let Some(topic_id) = directory.topic_id_of(&self.disk, &path)? else {
            return self.disk.remove_dir(&path).map_err(Error::io(&path));
        };
        let at = TopicPartition {
            topic: topic_id,
            partition,
        };
        let has_current = self.logs.read().by_partition.contains_key(&at);
        let twice = self.futures.lock().logs.contains_key(&at);
        if twice
            || self
                .logs
                .read()
                .by_partition
                .get(&at)
                .is_some_and(|entry| entry.directory == index)
        {
            return self.disk.remove_dir(&path).map_err(Error::io(&path));
        }
        if !has_current && self.has_failed_dir() {
            // The current log may be in the directory that failed.
            return Ok(());
        }
        let mut path = path;
        if !has_current {
            let place = directory.path.join(format!("{topic}-{partition}"));
            tracing::warn!("{} has no log that it is the future of, and becomes it", path.display());
            self.disk.rename(&path, &place).map_err(Error::io(&path))?;
            path = place;
        }
        let owner = (!has_current).then_some(at);
        let log = Arc::new(Log::open_shared(
            &self.shared(directory),
            owner,
            path,
            config.clone(),
            0,
            false,
        )?);
        if has_current {
            let entry = Entry {
                topic: topic.into(),
                directory: index,
                log,
            };
            self.futures.lock().logs.insert(at, entry);
        } else {
            self.logs.write().insert(at, topic, index, log);
        }
        Ok(())
    }
}
