//! One log directory: its lock, its `meta.properties`, its checkpoints, the mark of a clean shutdown.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::Identity;
use crate::env::disk::{Disk, File};
use crate::env::random::Random;
use crate::id::Base64Url;
use crate::id::{NodeId, Offset, TopicId};
use crate::log::health::{Health, News};
use crate::log::{Error, checkpoint};

const LOCK: &str = ".lock";
const META: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const PARTITION_META: &str = "partition.metadata";

/// The three checkpoints, with the names that Kafka gives them.
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// What precedes it was compacted.
pub(super) const CLEANED: &str = "cleaner-offset-checkpoint";
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// Offsets by topic name and partition, as a checkpoint holds them.
pub(super) type Offsets = HashMap<(String, i32), Offset>;

/// A locked log directory.
#[derive(Debug)]
pub(super) struct Directory {
    pub path: PathBuf,
    pub id: Uuid,
    pub health: Arc<Health>,
    /// What the last run wrote when it closed everything; taken, so that a crash of this run is noticed.
    pub clean: Option<Clean>,
    /// `None` when the directory failed before it was locked, and when it was let go.
    lock: Mutex<Option<File>>,
}

/// The mark of a clean shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clean {
    pub broker_epoch: i64,
}

impl Directory {
    /// Makes, locks and identifies the directory.
    pub(super) fn open(
        disk: &Disk,
        path: &Path,
        identity: &Identity,
        random: &Random,
        news: &News,
    ) -> Result<Self, Error> {
        // As clients see it and name it.
        let path = &std::path::absolute(path).map_err(Error::io(path))?;
        disk.create_dir(path).map_err(Error::io(path))?;
        let lock = lock(disk, path)?;
        let id = match Meta::read(disk, path)? {
            Some(meta) => {
                meta.check(path, identity)?;
                match meta.directory_id {
                    Some(id) => id,
                    None => Meta::write(disk, path, identity, random.uuid())?,
                }
            }
            None => Meta::write(disk, path, identity, random.uuid())?,
        };
        let clean = take_clean_mark(disk, path)?;
        Ok(Self {
            path: path.to_owned(),
            id,
            health: Arc::new(Health::telling(news)),
            clean,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// One that cannot be used, for [`super::LogManager::dirs`] to show.
    pub(super) fn failed(path: &Path, why: String) -> Self {
        let health = Health::default();
        health.fail(why);
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            id: Uuid::nil(),
            health: Arc::new(health),
            clean: None,
            lock: Mutex::default(),
        }
    }

    /// Lets another process have it.
    pub(super) fn release(&self) {
        self.lock.lock().take();
    }

    pub(super) fn is_online(&self) -> bool {
        self.health.failure().is_none()
    }

    /// As [`read_topic_id`]. One that is torn was not synced before the power went, and neither was its log: the start is not
    /// clean, so nobody counts on that log, and it is set aside like one without.
    pub(super) fn topic_id_of(&self, disk: &Disk, log_dir: &Path) -> Result<Option<TopicId>, Error> {
        match read_topic_id(disk, log_dir) {
            Err(error @ Error::Malformed { .. }) if self.clean.is_none() => {
                tracing::warn!("{error}");
                Ok(None)
            }
            other => other,
        }
    }

    /// A checkpoint's offsets; none, with a warning, when it is malformed: they only save work or are found anew.
    pub(super) fn read_offsets(&self, disk: &Disk, name: &str) -> Result<Offsets, Error> {
        let lines = match checkpoint::read(disk, &self.path.join(name)) {
            Err(error @ Error::Malformed { .. }) => {
                tracing::warn!("{error}; going on without it");
                Vec::new()
            }
            other => other?,
        };
        Ok(lines.iter().filter_map(|line| parse_line(line)).collect())
    }

    pub(super) fn write_offsets(&self, disk: &Disk, name: &str, offsets: &[String]) -> Result<(), Error> {
        checkpoint::write(disk, &self.path.join(name), offsets, true)
    }

    /// Says that everything was closed; the next start need not check it.
    pub(super) fn mark_clean(&self, disk: &Disk, broker_epoch: i64) -> Result<(), Error> {
        let path = self.path.join(CLEAN_SHUTDOWN);
        let mark = serde_json::json!({ "version": 0, "brokerEpoch": broker_epoch });
        disk.replace(&path, mark.to_string().as_bytes(), true)
            .map_err(Error::io(&path))
    }
}

fn lock(disk: &Disk, dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let file = disk.create(&path).map_err(Error::io(&path))?;
    if file.try_lock().map_err(Error::io(&path))? {
        Ok(file)
    } else {
        Err(Error::InUse { path: dir.to_owned() })
    }
}

fn take_clean_mark(disk: &Disk, dir: &Path) -> Result<Option<Clean>, Error> {
    let path = dir.join(CLEAN_SHUTDOWN);
    if !disk.exists(&path) {
        return Ok(None);
    }
    let raw = disk.read(&path).map_err(Error::io(&path))?;
    disk.remove(&path).map_err(Error::io(&path))?;
    disk.sync_dir(dir).map_err(Error::io(dir))?;
    // An old broker wrote an empty file.
    let mark: serde_json::Value = serde_json::from_slice(&raw).unwrap_or_default();
    let broker_epoch = mark
        .get("brokerEpoch")
        .and_then(serde_json::Value::as_i64)
        .unwrap_or(-1);
    Ok(Some(Clean { broker_epoch }))
}

/// `topic partition offset`.
fn parse_line(line: &str) -> Option<((String, i32), Offset)> {
    let mut fields = line.split_whitespace();
    let key = (fields.next()?.to_owned(), fields.next()?.parse().ok()?);
    Some((key, fields.next()?.parse().ok()?))
}

/// What `meta.properties` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub identity: Identity,
    pub directory_id: Option<Uuid>,
}

impl Meta {
    pub(super) fn read(disk: &Disk, dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(META);
        if !disk.exists(&path) {
            return Ok(None);
        }
        let properties = properties(disk, &path, '=')?;
        let get = |key: &str| {
            let missing = || Error::Malformed {
                path: path.clone(),
                why: format!("`{key}` is missing"),
            };
            properties.get(key).ok_or_else(missing)
        };
        let malformed = |why: String| Error::Malformed {
            path: path.clone(),
            why,
        };
        let version = get("version")?;
        if version != "1" {
            return Err(malformed(format!(
                "version {version} is not supported, only 1 (KRaft) is"
            )));
        }
        let node_id = get("node.id")?;
        let node_id = node_id
            .parse()
            .map_err(|_| malformed(format!("node.id `{node_id}` is not a number")))?;
        let directory_id = properties
            .get("directory.id")
            .map(|id| id.parse::<Base64Url>())
            .transpose();
        Ok(Some(Self {
            identity: Identity {
                cluster_id: get("cluster.id")?.clone(),
                node_id: NodeId(node_id),
            },
            directory_id: directory_id
                .map_err(|error| malformed(error.to_string()))?
                .map(|id| id.0),
        }))
    }

    fn check(&self, dir: &Path, identity: &Identity) -> Result<(), Error> {
        let foreign = |what, found: String, expected: String| {
            Err(Error::Foreign {
                path: dir.to_owned(),
                what,
                found,
                expected,
            })
        };
        if self.identity.cluster_id != identity.cluster_id {
            return foreign("cluster", self.identity.cluster_id.clone(), identity.cluster_id.clone());
        }
        if self.identity.node_id != identity.node_id {
            return foreign("node", self.identity.node_id.to_string(), identity.node_id.to_string());
        }
        Ok(())
    }

    fn write(disk: &Disk, dir: &Path, identity: &Identity, id: Uuid) -> Result<Uuid, Error> {
        let path = dir.join(META);
        let text = format!(
            "#\ncluster.id={}\ndirectory.id={}\nnode.id={}\nversion=1\n",
            identity.cluster_id,
            Base64Url(id),
            identity.node_id
        );
        disk.replace(&path, text.as_bytes(), true).map_err(Error::io(&path))?;
        Ok(id)
    }
}

/// `partition.metadata` of one log: which topic it belongs to. `None` when it is missing.
fn read_topic_id(disk: &Disk, log_dir: &Path) -> Result<Option<TopicId>, Error> {
    let path = log_dir.join(PARTITION_META);
    if !disk.exists(&path) {
        return Ok(None);
    }
    let properties = properties(disk, &path, ':')?;
    let id = properties.get("topic_id").and_then(|id| id.parse::<Base64Url>().ok());
    let malformed = || Error::Malformed {
        path: path.clone(),
        why: "it has no valid topic_id".to_owned(),
    };
    id.map(|id| Some(TopicId(id.0))).ok_or_else(malformed)
}

pub(in crate::log) fn write_topic_id(disk: &Disk, log_dir: &Path, id: TopicId) -> Result<(), Error> {
    let path = log_dir.join(PARTITION_META);
    let text = format!("version: 0\ntopic_id: {}\n", Base64Url(id.0));
    disk.replace(&path, text.as_bytes(), false).map_err(Error::io(&path))
}

/// Waits until `partition.metadata` is on the device, if there is one.
pub(in crate::log) fn sync_topic_id(disk: &Disk, log_dir: &Path) -> Result<(), Error> {
    let path = log_dir.join(PARTITION_META);
    if !disk.exists(&path) {
        return Ok(());
    }
    disk.open(&path).and_then(|file| file.sync()).map_err(Error::io(&path))
}

fn properties(disk: &Disk, path: &Path, separator: char) -> Result<HashMap<String, String>, Error> {
    let raw = disk.read(path).map_err(Error::io(path))?;
    let text = String::from_utf8_lossy(&raw);
    let pairs = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(separator));
    Ok(pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect())
}
