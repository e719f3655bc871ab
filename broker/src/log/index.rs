//! Sparse indexes of one segment: offset to position, and time to offset.
//!
//! Kafka's files: entries of 8 bytes (relative offset i32, position i32) and of 12 bytes (timestamp i64,
//! relative offset i32), big endian, keys increasing. An index only speeds up lookups and can always be
//! built anew from the segment, so entries are collected in memory and reach the file in groups. A closed
//! segment's index is searched in its file.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::env::disk::Disk;

/// So many entries are collected before they are written.
const GROUP: usize = 512;

/// One entry of an index file.
pub(super) trait Entry: Copy + std::fmt::Debug {
    const SIZE: usize;
    /// By what it is found; increases from entry to entry.
    fn key(&self) -> i64;
    /// The record's offset minus the segment's base offset.
    fn relative(&self) -> i32;
    fn put(&self, into: &mut Vec<u8>);
    /// `raw` has [`Entry::SIZE`] bytes.
    fn get(raw: &[u8]) -> Option<Self>;
}

/// The last offset of a batch, and where the batch begins in the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub relative: i32,
    pub position: i32,
}

impl Entry for Place {
    const SIZE: usize = 8;

    fn key(&self) -> i64 {
        i64::from(self.relative)
    }

    fn relative(&self) -> i32 {
        self.relative
    }

    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.relative.to_be_bytes());
        into.extend_from_slice(&self.position.to_be_bytes());
    }

    fn get(raw: &[u8]) -> Option<Self> {
        Some(Self {
            relative: i32::from_be_bytes(*raw.first_chunk()?),
            position: i32::from_be_bytes(*raw.get(4..)?.first_chunk()?),
        })
    }
}

/// The largest timestamp so far, and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub timestamp: i64,
    pub relative: i32,
}

impl Entry for Moment {
    const SIZE: usize = 12;

    fn key(&self) -> i64 {
        self.timestamp
    }

    fn relative(&self) -> i32 {
        self.relative
    }

    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.timestamp.to_be_bytes());
        into.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn get(raw: &[u8]) -> Option<Self> {
        Some(Self {
            timestamp: i64::from_be_bytes(*raw.first_chunk()?),
            relative: i32::from_be_bytes(*raw.get(8..)?.first_chunk()?),
        })
    }
}

/// One index file.
#[derive(Debug)]
pub(super) struct Index<E> {
    path: PathBuf,
    /// How many entries the file holds.
    stored: usize,
    /// The active segment's entries, all of them; `None` for a closed segment.
    entries: Option<Vec<E>>,
}

impl<E: Entry> Index<E> {
    /// Of a new segment; a file that is there is emptied.
    pub(super) fn create(disk: &Disk, path: PathBuf) -> io::Result<Self> {
        disk.create(&path)?.truncate(0)?;
        Ok(Self {
            path,
            stored: 0,
            entries: Some(Vec::new()),
        })
    }

    /// Of a segment that is there, to be searched in its file. `None` when the file is missing or torn.
    pub(super) fn open(disk: &Disk, path: PathBuf) -> io::Result<Option<Self>> {
        if !disk.exists(&path) {
            return Ok(None);
        }
        let size = usize::try_from(disk.size(&path)?).unwrap_or(usize::MAX);
        if !size.is_multiple_of(E::SIZE) {
            return Ok(None);
        }
        let index = Self {
            path,
            stored: size / E::SIZE,
            entries: None,
        };
        let sound = match (index.at(disk, 0)?, index.last(disk)?) {
            (Some(first), Some(last)) => {
                index.stored == 1
                    || (last.key() > first.key() && last.relative() > 0 && last.relative() >= first.relative())
            }
            _ => true,
        };
        Ok(sound.then_some(index))
    }

    /// Whether another entry would make it longer than `max` bytes. The last one is kept for the segment's end.
    pub(super) fn is_full(&self, max: u32) -> bool {
        let room = max as usize / E::SIZE;
        self.entries.as_ref().map_or(self.stored, Vec::len) + 1 >= room.max(1)
    }

    /// Reads the entries into memory, for appending.
    pub(super) fn activate(&mut self, disk: &Disk) -> io::Result<()> {
        if self.entries.is_none() {
            let raw = disk.read(&self.path)?;
            let entries: Vec<E> = raw.chunks_exact(E::SIZE).filter_map(E::get).collect();
            self.stored = entries.len();
            self.entries = Some(entries);
        }
        Ok(())
    }

    /// Writes what is only in memory and forgets the entries.
    pub(super) fn seal(&mut self, disk: &Disk) -> io::Result<()> {
        self.spill(disk)?;
        self.entries = None;
        Ok(())
    }

    /// Adds an entry whose key is larger than the last one's; others are ignored.
    pub(super) fn push(&mut self, entry: E) {
        if let Some(entries) = &mut self.entries
            && entries.last().is_none_or(|last| last.key() < entry.key())
        {
            entries.push(entry);
        }
    }

    /// Whether enough entries wait for [`Index::spill`].
    pub(super) fn is_due(&self) -> bool {
        self.entries
            .as_ref()
            .is_some_and(|entries| entries.len() >= self.stored + GROUP)
    }

    /// Writes the entries that are only in memory.
    pub(super) fn spill(&mut self, disk: &Disk) -> io::Result<()> {
        let Some(waiting) = self.entries.as_ref().and_then(|entries| entries.get(self.stored..)) else {
            return Ok(());
        };
        if waiting.is_empty() {
            return Ok(());
        }
        let mut raw = Vec::with_capacity(waiting.len() * E::SIZE);
        for entry in waiting {
            entry.put(&mut raw);
        }
        disk.create(&self.path)?
            .write_all_at(&raw, (self.stored * E::SIZE) as u64)?;
        self.stored += raw.len() / E::SIZE;
        Ok(())
    }

    /// Drops the entries from the first one on that is not `kept`; only on an active segment.
    pub(super) fn truncate(&mut self, disk: &Disk, kept: impl FnMut(&E) -> bool) -> io::Result<()> {
        let Some(entries) = &mut self.entries else {
            return Ok(());
        };
        let keep = entries.partition_point(kept);
        entries.truncate(keep);
        if self.stored > keep {
            disk.create(&self.path)?.truncate((keep * E::SIZE) as u64)?;
            self.stored = keep;
        }
        Ok(())
    }

    /// The last entry whose key is at most `key`.
    pub(super) fn floor(&self, disk: &Disk, key: i64) -> io::Result<Option<E>> {
        if let Some(entries) = &self.entries {
            let after = entries.partition_point(|entry| entry.key() <= key);
            return Ok(after.checked_sub(1).and_then(|last| entries.get(last).copied()));
        }
        let (mut low, mut high) = (0, self.stored);
        if low == high {
            return Ok(None);
        }
        let file = disk.open(&self.path)?;
        let mut found = None;
        let mut raw = vec![0; E::SIZE];
        while low < high {
            let middle = low + (high - low) / 2;
            let read = file.read_at(&mut raw, (middle * E::SIZE) as u64)?;
            match E::get(&raw[..read]) {
                Some(entry) if entry.key() <= key => {
                    found = Some(entry);
                    low = middle + 1;
                }
                _ => high = middle,
            }
        }
        Ok(found)
    }

    pub(super) fn last(&self, disk: &Disk) -> io::Result<Option<E>> {
        match &self.entries {
            Some(entries) => Ok(entries.last().copied()),
            None => self.stored.checked_sub(1).map_or(Ok(None), |last| self.at(disk, last)),
        }
    }

    fn at(&self, disk: &Disk, index: usize) -> io::Result<Option<E>> {
        let mut raw = vec![0; E::SIZE];
        let read = disk.open(&self.path)?.read_at(&mut raw, (index * E::SIZE) as u64)?;
        Ok(E::get(&raw[..read]))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_index_finds_what_the_active_one_found() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let path = dir.path().join("0.index");
        let mut index = Index::create(&disk, path.clone()).unwrap();
        for n in 1..2_000 {
            index.push(Place {
                relative: n * 10,
                position: n * 4_096,
            });
        }
        assert!(index.is_due());
        let probes = [0, 9, 10, 11, 5_005, 19_990, 100_000];
        let active = probes.map(|key| index.floor(&disk, key).unwrap());
        index.seal(&disk).unwrap();
        assert_eq!(probes.map(|key| index.floor(&disk, key).unwrap()), active);
        assert_eq!(
            active[2],
            Some(Place {
                relative: 10,
                position: 4_096
            })
        );
        assert_eq!(active[0], None);

        let mut again = Index::<Place>::open(&disk, path).unwrap().unwrap();
        again.activate(&disk).unwrap();
        again.truncate(&disk, |place| place.position < 4_096 * 100).unwrap();
        assert_eq!(
            again.last(&disk).unwrap(),
            Some(Place {
                relative: 990,
                position: 99 * 4_096
            })
        );
        assert_eq!(disk.size(again.path()).unwrap(), 99 * 8);
    }

    #[test]
    fn a_torn_or_blank_file_is_not_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let path = dir.path().join("0.timeindex");
        assert!(Index::<Moment>::open(&disk, path.clone()).unwrap().is_none());
        std::fs::write(&path, [1; 13]).unwrap();
        assert!(Index::<Moment>::open(&disk, path.clone()).unwrap().is_none());
        std::fs::write(&path, [0; 24]).unwrap();
        assert!(Index::<Moment>::open(&disk, path.clone()).unwrap().is_none());
        std::fs::write(&path, []).unwrap();
        assert!(Index::<Moment>::open(&disk, path).unwrap().is_some());
    }
}
