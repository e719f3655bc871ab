//! What was written and is not on the device yet, as far as a power cut can lose it.
//!
//! The files themselves always show what was written, as the page cache does. Kept beside them is what the device still has:
//! bytes that were overwritten or cut off since the last sync, and names that were given, taken or changed since their
//! directory's. A power cut chooses for each page between the two, cuts a file's end at any byte, and undoes the newest
//! changes of names: a file system's journal keeps their order, and syncing a directory brings what precedes along.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::env::random::Random;

const PAGE: u64 = 4096;

/// What a power cut did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Files that are not as they were written last.
    pub files: usize,
    /// Names that are not as they were.
    pub names: usize,
}

/// Of everything under one root.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    /// Keeps files whose names are gone, until that is on the device.
    attic: PathBuf,
    /// The device says that it has synced and has not.
    lies: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By inode: names change.
    dirty: HashMap<u64, Dirty>,
    changes: Vec<Change>,
    kept: u64,
}

/// A file that was written since it was synced.
#[derive(Debug)]
struct Dirty {
    /// Its length on the device.
    durable: u64,
    /// What was at these positions before it was overwritten or cut off, the oldest first.
    before: Vec<(u64, Vec<u8>)>,
}

/// A change of names that may be undone.
#[derive(Debug)]
enum Change {
    Made(PathBuf),
    MadeDir(PathBuf),
    Renamed {
        from: PathBuf,
        to: PathBuf,
        replaced: Option<PathBuf>,
    },
    Removed {
        path: PathBuf,
        kept: PathBuf,
    },
    RemovedDir(PathBuf),
}

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        let mut attic = root.clone().into_os_string();
        attic.push(".attic");
        Self {
            root,
            attic: attic.into(),
            lies: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lie(&self) {
        self.lies.store(true, Ordering::Relaxed);
    }

    /// Keeps what is about to be overwritten.
    pub(super) fn writing(&self, file: &fs::File, position: u64, bytes: usize) -> io::Result<()> {
        self.changing(file, position, position.saturating_add(bytes as u64))
    }

    /// Keeps what is about to be cut off.
    pub(super) fn truncating(&self, file: &fs::File, len: u64) -> io::Result<()> {
        self.changing(file, len, u64::MAX)
    }

    fn changing(&self, file: &fs::File, from: u64, to: u64) -> io::Result<()> {
        let (inode, size) = identity(file)?;
        let mut state = self.state.lock();
        let dirty = state.dirty.entry(inode).or_insert(Dirty {
            durable: size,
            before: Vec::new(),
        });
        let to = to.min(dirty.durable).min(size);
        if from < to {
            let mut before = vec![0; usize::try_from(to - from).unwrap_or(0)];
            file.read_exact_at(&mut before, from)?;
            dirty.before.push((from, before));
        }
        Ok(())
    }

    /// Its content is on the device.
    pub(super) fn synced(&self, file: &fs::File) -> io::Result<()> {
        if !self.lies.load(Ordering::Relaxed) {
            let (inode, _) = identity(file)?;
            self.state.lock().dirty.remove(&inode);
        }
        Ok(())
    }

    /// A file was made; nothing of it is on the device.
    pub(super) fn made(&self, path: &Path, file: &fs::File) -> io::Result<()> {
        let (inode, _) = identity(file)?;
        let mut state = self.state.lock();
        // The number may have been another file's.
        state.dirty.remove(&inode);
        state.changes.push(Change::Made(path.to_owned()));
        Ok(())
    }

    /// Makes a directory and its parents.
    pub(super) fn make_dir(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        fs::create_dir_all(path)?;
        let mut state = self.state.lock();
        let made = missing.iter().rev().filter(|path| path.starts_with(&self.root));
        state
            .changes
            .extend(made.map(|path| Change::MadeDir((*path).to_owned())));
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let replaced = match to.is_file() {
            true => Some(self.keep(&mut state, to)?),
            false => None,
        };
        fs::rename(from, to)?;
        state.changes.push(Change::Renamed {
            from: from.to_owned(),
            to: to.to_owned(),
            replaced,
        });
        Ok(())
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let kept = self.keep(&mut state, path)?;
        fs::remove_file(path)?;
        let path = path.to_owned();
        state.changes.push(Change::Removed { path, kept });
        Ok(())
    }

    pub(super) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)?;
        self.state.lock().changes.push(Change::RemovedDir(path.to_owned()));
        Ok(())
    }

    fn keep(&self, state: &mut State, path: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.attic)?;
        loop {
            state.kept += 1;
            let kept = self.attic.join(state.kept.to_string());
            match fs::hard_link(path, &kept) {
                // Of an earlier disk with this root.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => return linked.map(|()| kept),
            }
        }
    }

    /// What the names in `dir` are now is on the device, and every change before the last one there.
    pub(super) fn synced_dir(&self, dir: &Path) -> io::Result<()> {
        if self.lies.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut state = self.state.lock();
        let last = state.changes.iter().rposition(|change| change.is_in(dir));
        let durable: Vec<_> = state.changes.drain(..last.map_or(0, |last| last + 1)).collect();
        durable.into_iter().try_for_each(|change| state.settle(change))
    }

    /// Loses what is not on the device, or some of it. Nobody may use the files meanwhile.
    pub(super) fn cut(&self, random: &Random) -> io::Result<Lost> {
        let mut state = self.state.lock();
        let mut lost = Lost::default();
        let mut changes = std::mem::take(&mut state.changes);
        let stay = random.below(changes.len() as u64 + 1) as usize;
        lost.names = changes.len() - stay;
        for change in changes.drain(stay..).rev() {
            change.undo()?;
        }
        for change in changes {
            state.settle(change)?;
        }
        let mut files = Vec::new();
        list(&self.root, &mut files)?;
        for path in files {
            let inode = fs::metadata(&path)?.ino();
            let Some(dirty) = state.dirty.remove(&inode) else {
                continue;
            };
            let written = fs::read(&path)?;
            let left = dirty.tear(&written, random);
            if left != written {
                lost.files += 1;
                fs::write(&path, left)?;
            }
        }
        state.dirty.clear();
        Ok(lost)
    }
}

impl State {
    /// A change that will not be undone: what was kept for that goes.
    fn settle(&mut self, change: Change) -> io::Result<()> {
        let kept = match change {
            Change::Removed { kept, .. } => kept,
            Change::Renamed {
                replaced: Some(kept), ..
            } => kept,
            _ => return Ok(()),
        };
        self.dirty.remove(&fs::metadata(&kept)?.ino());
        fs::remove_file(kept)
    }
}

impl Change {
    fn is_in(&self, dir: &Path) -> bool {
        let path = match self {
            Self::Made(path) | Self::MadeDir(path) | Self::Removed { path, .. } | Self::RemovedDir(path) => path,
            Self::Renamed { to, .. } => to,
        };
        path.parent() == Some(dir)
    }

    fn undo(self) -> io::Result<()> {
        match self {
            Self::Made(path) => fs::remove_file(path),
            Self::MadeDir(path) => fs::remove_dir(path),
            Self::Renamed { from, to, replaced } => {
                fs::rename(&to, from)?;
                replaced.map_or(Ok(()), |kept| fs::rename(kept, to))
            }
            Self::Removed { path, kept } => fs::rename(kept, path),
            Self::RemovedDir(path) => fs::create_dir(path),
        }
    }
}

impl Dirty {
    /// What is left of a file after a power cut.
    fn tear(&self, written: &[u8], random: &Random) -> Vec<u8> {
        let durable = usize::try_from(self.durable).unwrap_or(0);
        let mut old = written.get(..durable.min(written.len())).unwrap_or_default().to_vec();
        old.resize(durable, 0);
        for (position, before) in self.before.iter().rev() {
            let from = usize::try_from(*position).unwrap_or(0);
            if let Some(place) = old.get_mut(from..from + before.len()) {
                place.copy_from_slice(before);
            }
        }
        let (short, long) = (old.len().min(written.len()), old.len().max(written.len()));
        let len = match random.below(4) {
            0 => old.len(),
            1 => written.len(),
            _ => short + random.below((long - short) as u64 + 1) as usize,
        };
        // Whether pages reached the device in any order, or in that in which they were written.
        let any_order = random.below(2) == 0;
        let mut left = vec![0; len];
        for (number, page) in left.chunks_mut(PAGE as usize).enumerate() {
            let from = if any_order && random.below(3) == 0 {
                old.as_slice()
            } else {
                written
            };
            let from = from.get(number * PAGE as usize..).unwrap_or_default();
            let count = from.len().min(page.len());
            page[..count].copy_from_slice(&from[..count]);
        }
        left
    }
}

fn identity(file: &fs::File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.ino(), meta.len()))
}

/// All files under `dir`, in the order of their names.
fn list(dir: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let mut paths = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => list(&path, into)?,
            false => into.push(path),
        }
    }
    Ok(())
}
