//! The log directories of one node: opened, locked, checkpointed, and their logs looked after.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use super::{Error, Log, LogConfig};
use crate::env::clock::Clock;
use crate::env::disk::Disk;
use crate::env::disk::Space;
use crate::env::random::Random;
use crate::id::{NodeId, TopicPartition};

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
    /// `directory.id` of its `meta.properties` (KIP-858).
    pub id: Uuid,
    /// `None` when the volume does not answer.
    pub space: Option<Space>,
    /// Why it is offline.
    pub failure: Option<String>,
}

/// All logs of one node.
#[derive(Debug)]
pub struct LogManager {
    dirs: Vec<PathBuf>,
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
        let _ = (disk, identity, defaults, clock, random);
        Ok(Self { dirs: dirs.to_vec() })
    }

    /// The node id and cluster id that `dir` was made for; `None` for a new directory.
    ///
    /// # Errors
    /// When its `meta.properties` cannot be read.
    pub fn identity_of(disk: &Disk, dir: &Path) -> Result<Option<Identity>, Error> {
        let _ = (disk, dir);
        Ok(None)
    }

    /// Whether the last run closed all directories, with the broker epoch it wrote (KIP-966).
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        None
    }

    pub fn get(&self, at: TopicPartition) -> Option<Arc<Log>> {
        let _ = at;
        None
    }

    /// The log of a partition; a new one in the online directory with the fewest logs, or in `dir`, when there is none.
    ///
    /// # Errors
    /// When no directory is online or the disk fails.
    pub fn create(
        &self,
        topic: &str,
        at: TopicPartition,
        config: LogConfig,
        dir: Option<Uuid>,
    ) -> Result<Arc<Log>, Error> {
        let _ = (topic, at, config, dir);
        Err(Error::NoDirectory)
    }

    /// Deletes the log of a partition; fine if there is none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, at: TopicPartition) -> Result<(), Error> {
        let _ = at;
        Ok(())
    }

    /// All logs, with the topic's name as it was when they were created.
    pub fn logs(&self) -> Vec<(TopicPartition, String, Arc<Log>)> {
        Vec::new()
    }

    pub fn dirs(&self) -> Vec<DirStatus> {
        let status = |path: &PathBuf| DirStatus {
            path: path.clone(),
            id: Uuid::nil(),
            space: None,
            failure: None,
        };
        self.dirs.iter().map(status).collect()
    }

    /// The directory that a log is in.
    pub fn dir_of(&self, at: TopicPartition) -> Option<Uuid> {
        let _ = at;
        None
    }

    /// Rolls, flushes, deletes by retention and checkpoints at their intervals, until `shutdown` is true.
    /// The caller awaits it before [`LogManager::close`].
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        // An error means that the sender is gone, which is a shutdown too.
        let _ = shutdown.wait_for(|stop| *stop).await;
    }

    /// Flushes and closes every log, writes all checkpoints, and marks the shutdown as clean.
    ///
    /// # Errors
    /// The first failure; other directories are closed all the same.
    pub fn close(&self, broker_epoch: i64) -> Result<(), Error> {
        let _ = broker_epoch;
        Ok(())
    }
}
