//! Files and directories, and how much room is left.
//!
//! A [`Disk`] is the machine's file system, optionally with volumes of a fixed size (the demo's EBS
//! volumes: a write past the end fails with ENOSPC like a real one) and with faults for tests and drills.
//! Paths are the caller's; nothing is buffered; errors are plain [`io::Error`]s.

mod cache;
mod fault;
mod file;
mod volume;

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

pub use cache::Lost;
pub use fault::{DirFault, Fault};
pub use file::File;

use cache::Cache;
use fault::Faults;
use volume::Volume;

use super::random::Random;

/// How large the volume of a directory is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

/// A cheap handle; clones share volumes and faults.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    volumes: Arc<[Arc<Volume>]>,
    faults: Option<Arc<Faults>>,
    caches: Arc<[Arc<Cache>]>,
}

impl Disk {
    /// The machine's file system as it is.
    pub fn real() -> Self {
        Self::default()
    }

    /// The file system, but what lies under `root` may hold at most `total_bytes`.
    ///
    /// # Errors
    /// When what is there already cannot be measured.
    pub fn capped(root: impl Into<PathBuf>, total_bytes: u64) -> io::Result<Self> {
        Self::with_volumes([(root.into(), total_bytes)])
    }

    /// As [`Disk::capped`], with several volumes; none may lie within another.
    ///
    /// # Errors
    /// When what is there already cannot be measured.
    pub fn with_volumes(volumes: impl IntoIterator<Item = (PathBuf, u64)>) -> io::Result<Self> {
        let volumes = volumes
            .into_iter()
            .map(|(root, total)| Volume::new(root, total).map(Arc::new))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            volumes,
            ..Self::default()
        })
    }

    /// The same disk with faults of its own: [`Disk::inject`] and [`Disk::set_dir_faults`] act on it and its clones.
    pub fn faulty(self) -> Self {
        Self {
            faults: Some(Arc::default()),
            ..self
        }
    }

    /// The same disk, which remembers of what lies under each of these roots what is not on the device yet:
    /// [`Disk::cut_power`] can lose it. None may lie within another.
    pub fn volatile(self, roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            caches: roots.into_iter().map(|root| Arc::new(Cache::new(root))).collect(),
            ..self
        }
    }

    /// Of what lies under `root` and was not synced some is lost, cut off or torn, as after a power cut. Who had the files open
    /// is gone.
    ///
    /// # Errors
    /// When `root` is none of those of [`Disk::volatile`], or the files cannot be read or written.
    pub fn cut_power(&self, root: &Path, random: &Random) -> io::Result<Lost> {
        self.cache_of(root)?.cut(random)
    }

    /// From now on what is under `root` is said to be synced and is not, as on a device with a cache of its own.
    ///
    /// # Errors
    /// When `root` is none of those of [`Disk::volatile`].
    pub fn lie(&self, root: &Path) -> io::Result<()> {
        self.cache_of(root)?.lie();
        Ok(())
    }

    fn cache_of(&self, root: &Path) -> io::Result<&Arc<Cache>> {
        let cache = self.caches.iter().find(|cache| cache.root() == root);
        cache.ok_or_else(|| io::Error::other(format!("no volatile disk is at {}", root.display())))
    }

    /// From now on every `fault` operation on a path that contains `needle` fails with EIO,
    /// until [`Disk::heal`]. Does nothing on a disk that is not [`Disk::faulty`].
    pub fn inject(&self, fault: Fault, needle: &str) {
        if let Some(faults) = &self.faults {
            faults.inject(fault, needle);
        }
    }

    pub fn heal(&self) {
        if let Some(faults) = &self.faults {
            faults.heal();
        }
    }

    /// From now on exactly these directories are at fault; what waits in one that is not, goes on.
    /// Does nothing on a disk that is not [`Disk::faulty`].
    pub fn set_dir_faults(&self, dirs: &[(PathBuf, DirFault)]) {
        if let Some(faults) = &self.faults {
            faults.set_dirs(dirs);
        }
    }

    /// Fails everything from now on, also what waits in a stalled directory: for a node that is gone.
    /// Does nothing on a disk that is not [`Disk::faulty`].
    pub fn abandon(&self) {
        if let Some(faults) = &self.faults {
            faults.abandon();
        }
    }

    /// Changes the size of the capped volume at `root`, as ModifyVolume does; false if there is none.
    pub fn resize(&self, root: &Path, total_bytes: u64) -> bool {
        let volume = self.volumes.iter().find(|volume| volume.root() == root);
        volume.is_some_and(|volume| {
            volume.resize(total_bytes);
            true
        })
    }

    /// The size of the volume that `path` is on and what an unprivileged process may still write.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn space(&self, path: &Path) -> io::Result<Space> {
        let mut space = match self.volume(path) {
            Some(volume) => volume.space(),
            None => {
                let stat = rustix::fs::statvfs(path)?;
                Space {
                    total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
                    usable_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
                }
            }
        };
        if let Some(free) = self.faults.as_ref().and_then(|faults| faults.free(path)) {
            space.usable_bytes = space.usable_bytes.min(free);
        }
        Ok(space)
    }

    /// Opens for reading and writing; creates when missing.
    ///
    /// # Errors
    /// As open(2).
    pub fn create(&self, path: &Path) -> io::Result<File> {
        self.open_with(path, fs::OpenOptions::new().read(true).write(true).create(true))
    }

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(&self, path: &Path) -> io::Result<File> {
        self.open_with(path, fs::OpenOptions::new().read(true).write(true))
    }

    /// The whole file. Only for files that are small by nature: checkpoints, indexes.
    ///
    /// # Errors
    /// As open(2) and read(2).
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.check(Fault::Read, path)?;
        fs::read(path)
    }

    /// Replaces the file whole: written beside it, renamed over it; with `durable` also synced, so that
    /// after a power cut either the old or the new content is there.
    ///
    /// # Errors
    /// As write(2), fsync(2) and rename(2).
    pub fn replace(&self, path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = self.create(&temporary)?;
        file.truncate(0)?;
        file.write_all_at(content, 0)?;
        if durable {
            file.sync()?;
        }
        self.rename(&temporary, path)?;
        match path.parent() {
            Some(parent) if durable => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// As rename(2).
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Fault::Rename, to)?;
        let replaced = fs::metadata(to).map_or(0, |found| if found.is_file() { found.len() } else { 0 });
        match self.cache(to) {
            Some(cache) => cache.rename(from, to)?,
            None => fs::rename(from, to)?,
        }
        self.release(to, replaced);
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Fault::Remove, path)?;
        let size = fs::metadata(path)?.len();
        match self.cache(path) {
            Some(cache) => cache.remove(path)?,
            None => fs::remove_file(path)?,
        }
        self.release(path, size);
        Ok(())
    }

    /// Removes a directory and what is in it.
    ///
    /// # Errors
    /// As unlink(2) and rmdir(2).
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.remove_dir(&entry.path())?;
            } else {
                self.remove(&entry.path())?;
            }
        }
        match self.cache(path) {
            Some(cache) => cache.remove_dir(path),
            None => fs::remove_dir(path),
        }
    }

    /// Makes a directory and its parents; fine if it is there.
    ///
    /// # Errors
    /// As mkdir(2).
    pub fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Fault::Write, path)?;
        match self.cache(path) {
            Some(cache) => cache.make_dir(path),
            None => fs::create_dir_all(path),
        }
    }

    /// The entries of a directory, sorted by path.
    ///
    /// # Errors
    /// As readdir(3).
    pub fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.check(Fault::Read, path)?;
        let mut entries = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        Ok(entries)
    }

    /// A file's length in bytes.
    ///
    /// # Errors
    /// As stat(2).
    pub fn size(&self, path: &Path) -> io::Result<u64> {
        self.check(Fault::Read, path)?;
        fs::metadata(path).map(|meta| meta.len())
    }

    /// When a file was last written, in ms since the Unix epoch.
    ///
    /// # Errors
    /// As stat(2).
    pub fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        let modified = fs::metadata(path)?.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    /// Makes renames and new files in a directory survive a power cut.
    ///
    /// # Errors
    /// As fsync(2).
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Fault::Sync, path)?;
        fs::File::open(path)?.sync_all()?;
        self.cache(path).map_or(Ok(()), |cache| cache.synced_dir(path))
    }

    fn open_with(&self, path: &Path, options: &fs::OpenOptions) -> io::Result<File> {
        self.check(Fault::Open, path)?;
        let cache = self.cache(path);
        let is_new = cache.is_some() && !path.exists();
        let file = options.open(path)?;
        if let Some(cache) = cache.filter(|_| is_new) {
            cache.made(path, &file)?;
        }
        let around = file::Around {
            volume: self.volume(path).cloned(),
            faults: self.faults.clone(),
            cache: cache.cloned(),
        };
        File::new(file, path, around)
    }

    fn cache(&self, path: &Path) -> Option<&Arc<Cache>> {
        self.caches.iter().find(|cache| path.starts_with(cache.root()))
    }

    fn volume(&self, path: &Path) -> Option<&Arc<Volume>> {
        self.volumes.iter().find(|volume| path.starts_with(volume.root()))
    }

    /// What was at `path` is gone.
    fn release(&self, path: &Path, bytes: u64) {
        if let Some(volume) = self.volume(path) {
            volume.release(bytes);
        }
        if let Some(faults) = &self.faults {
            faults.release(path, bytes);
        }
    }

    fn check(&self, fault: Fault, path: &Path) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.check(fault, path))
    }
}

#[cfg(test)]
mod tests;
