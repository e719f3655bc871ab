//! Which instance is in which zone, kept on disk per cluster.
//!
//! It is what lets a zone be asked for by ids when EC2 answers for nothing else, also right after the start. The file
//! is a hint: a lost or damaged one costs a discovery, never an error. Written by rename, so a reader never sees half.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::model::cloud::Instance;

const FILE: &str = "aws-instances.json";

/// Instance ids by zone name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCache {
    #[serde(skip)]
    path: Option<PathBuf>,
    zones: BTreeMap<String, BTreeSet<String>>,
}

impl InstanceCache {
    /// Reads the cache of the cluster whose state folder this is; empty when there is none that can be read.
    pub fn load(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let zones = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .map(|cache| cache.zones)
            .unwrap_or_default();
        Self {
            path: Some(path),
            zones,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// By zone name, sorted.
    pub fn zones(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.zones
            .iter()
            .map(|(zone, ids)| (zone.as_str(), ids.iter().cloned().collect()))
    }

    /// Takes in what a discovery found; true when something is new. Instances that it did not find are kept: they may
    /// be in a zone that does not answer.
    pub fn learn<'a>(&mut self, instances: impl IntoIterator<Item = &'a Instance>) -> bool {
        let mut changed = false;
        for instance in instances {
            for (zone, ids) in &mut self.zones {
                changed |= *zone != instance.zone && ids.remove(&instance.id);
            }
            changed |= self
                .zones
                .entry(instance.zone.clone())
                .or_default()
                .insert(instance.id.clone());
        }
        self.zones.retain(|_, ids| !ids.is_empty());
        changed
    }

    /// Drops ids that EC2 answered for, and said that it does not know; true when something went.
    pub fn forget(&mut self, ids: &[String]) -> bool {
        let mut changed = false;
        for known in self.zones.values_mut() {
            for id in ids {
                changed |= known.remove(id);
            }
        }
        self.zones.retain(|_, ids| !ids.is_empty());
        changed
    }

    /// Writes the file, if the cache has one.
    ///
    /// # Errors
    /// When the folder cannot be written to; the console works on without the file.
    pub fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let Some(folder) = path.parent() else { return Ok(()) };
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.persist(path).map_err(|failure| failure.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, zone: &str) -> Instance {
        Instance {
            id: id.to_owned(),
            zone: zone.to_owned(),
            ..Instance::default()
        }
    }

    #[test]
    fn survives_a_restart_and_keeps_what_was_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = InstanceCache::load(folder.path());
        assert!(cache.is_empty());
        assert!(cache.learn([&instance("i-1", "a"), &instance("i-2", "b")]));
        assert!(!cache.learn([&instance("i-1", "a")]));
        cache.save().unwrap();

        let mut again = InstanceCache::load(folder.path());
        let zones: Vec<_> = again.zones().collect();
        assert_eq!(zones, [("a", vec!["i-1".to_owned()]), ("b", vec!["i-2".to_owned()])]);
        assert!(again.forget(&["i-2".to_owned()]));
        assert_eq!(again.zones().count(), 1);
    }

    #[test]
    fn an_instance_is_in_one_zone_only() {
        let mut cache = InstanceCache::default();
        cache.learn([&instance("i-1", "a")]);
        assert!(cache.learn([&instance("i-1", "b")]));
        assert_eq!(cache.zones().map(|(zone, _)| zone).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_damaged_file_is_an_empty_cache() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"{ not json").unwrap();
        assert!(InstanceCache::load(folder.path()).is_empty());
    }
}
