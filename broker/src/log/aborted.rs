//! Kafka's transaction index, `%020d.txnindex`: which transactions of one segment were aborted.
//!
//! ```text
//! for each: version i16 = 0, producer id i64, first offset i64, last offset i64 (the marker's), last stable offset i64
//! ```
//!
//! There is no file until a transaction is aborted. Readers are told of aborted transactions rather than spared them.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use crate::env::disk::Disk;
use crate::id::Offset;

const VERSION: i16 = 0;
const ENTRY: usize = 34;

/// An aborted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aborted {
    pub producer: i64,
    pub first: Offset,
    /// Of its marker.
    pub last: Offset,
    /// What was stable when it ended: nothing that comes later in the index concerns what is before that.
    pub last_stable: Offset,
}

/// The aborted transactions whose markers are in one segment, in the order of their markers.
#[derive(Debug)]
pub(super) struct AbortedIndex {
    path: PathBuf,
    entries: Vec<Aborted>,
}

impl AbortedIndex {
    /// Of a segment that begins now: what is left of an earlier one of the same name goes.
    pub(super) fn create(disk: &Disk, path: PathBuf) -> io::Result<Self> {
        let mut index = Self {
            path,
            entries: Vec::new(),
        };
        index.clear(disk)?;
        Ok(index)
    }

    /// As it is on the disk; `None` when it is damaged and has to be built anew.
    pub(super) fn open(disk: &Disk, path: PathBuf) -> io::Result<Option<Self>> {
        let file = match disk.exists(&path) {
            true => disk.read(&path)?,
            false => Vec::new(),
        };
        Ok(decode(&file).map(|entries| Self { path, entries }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn entries(&self) -> &[Aborted] {
        &self.entries
    }

    pub(super) fn push(&mut self, disk: &Disk, entry: Aborted) -> io::Result<()> {
        let file = match self.entries.is_empty() {
            true => disk.create(&self.path)?,
            false => disk.open(&self.path)?,
        };
        file.write_all_at(&encode(&[entry]), (self.entries.len() * ENTRY) as u64)?;
        self.entries.push(entry);
        Ok(())
    }

    pub(super) fn clear(&mut self, disk: &Disk) -> io::Result<()> {
        self.entries.clear();
        match disk.exists(&self.path) {
            true => disk.remove(&self.path),
            false => Ok(()),
        }
    }

    /// Forgets those that end at or after `end`.
    pub(super) fn truncate(&mut self, disk: &Disk, end: Offset) -> io::Result<()> {
        let kept = self.entries.partition_point(|entry| entry.last < end);
        if kept == self.entries.len() {
            return Ok(());
        }
        if kept == 0 {
            return self.clear(disk);
        }
        disk.open(&self.path)?.truncate((kept * ENTRY) as u64)?;
        self.entries.truncate(kept);
        Ok(())
    }
}

fn encode(entries: &[Aborted]) -> Vec<u8> {
    let mut file = Vec::with_capacity(entries.len() * ENTRY);
    for entry in entries {
        file.put_i16(VERSION);
        file.put_i64(entry.producer);
        file.put_i64(entry.first);
        file.put_i64(entry.last);
        file.put_i64(entry.last_stable);
    }
    file
}

fn decode(file: &[u8]) -> Option<Vec<Aborted>> {
    let mut entries = Vec::with_capacity(file.len() / ENTRY);
    let mut before = -1;
    let mut chunks = file.chunks_exact(ENTRY);
    for mut entry in &mut chunks {
        if entry.get_i16() != VERSION {
            return None;
        }
        let entry = Aborted {
            producer: entry.get_i64(),
            first: entry.get_i64(),
            last: entry.get_i64(),
            last_stable: entry.get_i64(),
        };
        if entry.last <= before || entry.first > entry.last {
            return None;
        }
        before = entry.last;
        entries.push(entry);
    }
    chunks.remainder().is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: Offset, last: Offset) -> Aborted {
        Aborted {
            producer: 7,
            first,
            last,
            last_stable: last + 1,
        }
    }

    #[test]
    fn the_file_has_what_was_pushed_and_is_gone_when_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.txnindex");
        let disk = Disk::real();
        let open = || AbortedIndex::open(&disk, path.clone()).unwrap();
        let mut index = AbortedIndex::create(&disk, path.clone()).unwrap();
        assert!(!path.exists(), "there is no file without an aborted transaction");
        for (first, last) in [(0, 4), (2, 9), (11, 12)] {
            index.push(&disk, entry(first, last)).unwrap();
        }
        assert_eq!(open().unwrap().entries(), [entry(0, 4), entry(2, 9), entry(11, 12)]);
        index.truncate(&disk, 12).unwrap();
        assert_eq!(open().unwrap().entries(), [entry(0, 4), entry(2, 9)]);
        index.truncate(&disk, 3).unwrap();
        assert!(index.entries().is_empty() && !path.exists());
    }

    #[test]
    fn a_damaged_file_is_noticed() {
        let sound = encode(&[entry(0, 4), entry(2, 9)]);
        assert!(decode(&sound).is_some());
        for cut in (1..sound.len()).filter(|cut| cut % ENTRY != 0) {
            assert!(decode(&sound[..cut]).is_none(), "cut at {cut}");
        }
        assert!(decode(&encode(&[entry(2, 9), entry(0, 4)])).is_none(), "out of order");
    }
}
