//! Which leader epoch began at which offset: what followers compare before they follow (KIP-101).
//!
//! Stored in `leader-epoch-checkpoint`. Batches carry their epoch too, so a lost file is built anew.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use super::checkpoint;
use crate::env::disk::Disk;
use crate::id::{Epoch, Offset};

const FILE: &str = "leader-epoch-checkpoint";

/// Epochs and their first offsets, both increasing.
#[derive(Debug)]
pub(super) struct Epochs {
    dir: Arc<Path>,
    entries: Vec<(Epoch, Offset)>,
    /// False as long as the log has no directory: then they are in memory only.
    written: bool,
}

impl Epochs {
    /// What the file in `dir` says; nothing, and true, when it is missing or malformed.
    pub(super) fn open(disk: &Disk, dir: &Arc<Path>) -> Result<(Self, bool), Error> {
        let path = dir.join(FILE);
        let lines = match checkpoint::read(disk, &path) {
            Ok(lines) => lines,
            Err(Error::Malformed { path, why }) => {
                tracing::warn!("{}: {why}; building it anew from the log", path.display());
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let entries: Vec<(Epoch, Offset)> = lines.iter().filter_map(|line| parse(line)).collect();
        let sound = entries.len() == lines.len() && entries.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let entries = if sound { entries } else { Vec::new() };
        let lost = entries.is_empty();
        let epochs = Self {
            dir: Arc::clone(dir),
            entries,
            written: true,
        };
        Ok((epochs, lost))
    }

    /// Of a log without a directory.
    pub(super) fn unwritten(dir: &Arc<Path>) -> Self {
        Self {
            dir: Arc::clone(dir),
            entries: Vec::new(),
            written: false,
        }
    }

    /// The directory is there now: from here on the file says what they are.
    pub(super) fn write(&mut self, disk: &Disk) -> Result<(), Error> {
        if !self.entries.is_empty() {
            self.write_file(disk)?;
        }
        self.written = true;
        Ok(())
    }

    pub(super) fn latest(&self) -> Option<Epoch> {
        self.entries.last().map(|entry| entry.0)
    }

    /// Notes that `epoch` begins at `offset`, in memory; false when it, or a newer one, is known.
    pub(super) fn note(&mut self, epoch: Epoch, offset: Offset) -> bool {
        if epoch < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        // Epochs that begin at or after this one's beginning never had a record.
        self.entries.retain(|entry| entry.1 < offset);
        self.entries.push((epoch, offset));
        true
    }

    /// As [`Epochs::note`], and on the disk.
    pub(super) fn assign(&mut self, disk: &Disk, epoch: Epoch, offset: Offset) -> Result<(), Error> {
        if self.note(epoch, offset) {
            self.store(disk)
        } else {
            Ok(())
        }
    }

    /// Drops the epochs that begin at or after `end`.
    pub(super) fn truncate_end(&mut self, disk: &Disk, end: Offset) -> Result<(), Error> {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.1 < end);
        if self.entries.len() == before {
            Ok(())
        } else {
            self.store(disk)
        }
    }

    /// Drops the epochs that ended before `start`; the one `start` is in then begins there.
    pub(super) fn truncate_start(&mut self, disk: &Disk, start: Offset) -> Result<(), Error> {
        let first_kept = self.entries.partition_point(|entry| entry.1 <= start).saturating_sub(1);
        let moved = self.entries.get(first_kept).is_some_and(|entry| entry.1 < start);
        if first_kept == 0 && !moved {
            return Ok(());
        }
        self.entries.drain(..first_kept);
        if let Some(first) = self.entries.first_mut() {
            first.1 = first.1.max(start);
        }
        self.store(disk)
    }

    pub(super) fn clear(&mut self, disk: &Disk) -> Result<(), Error> {
        self.entries.clear();
        self.store(disk)
    }

    /// See [`super::Log::end_offset_for`]; `end` is the log's.
    pub(super) fn end_offset_for(&self, epoch: Epoch, end: Offset) -> Option<(Epoch, Offset)> {
        if self.latest()? == epoch {
            return Some((epoch, end));
        }
        let after = self.entries.partition_point(|entry| entry.0 <= epoch);
        let next_start = self.entries.get(after)?.1;
        let own = after
            .checked_sub(1)
            .and_then(|at| self.entries.get(at))
            .map_or(epoch, |entry| entry.0);
        Some((own, next_start))
    }

    /// Writes them, synced, into the directory of another log that holds the same.
    pub(super) fn copy_to(&self, disk: &Disk, dir: &std::path::Path) -> Result<(), Error> {
        checkpoint::write(disk, &dir.join(FILE), &self.lines(), true)
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.entries.iter();
        lines.map(|(epoch, offset)| format!("{epoch} {offset}")).collect()
    }

    /// Writes the file. It is not synced: after a power cut the batches say the same.
    pub(super) fn store(&self, disk: &Disk) -> Result<(), Error> {
        if self.written { self.write_file(disk) } else { Ok(()) }
    }

    fn write_file(&self, disk: &Disk) -> Result<(), Error> {
        checkpoint::write(disk, &self.dir.join(FILE), &self.lines(), false)
    }
}

fn parse(line: &str) -> Option<(Epoch, Offset)> {
    let (epoch, offset) = line.split_once(' ')?;
    Some((epoch.parse().ok()?, offset.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(Epoch, Offset)]) -> (tempfile::TempDir, Disk, Epochs) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let (mut epochs, _) = Epochs::open(&disk, &dir.path().into()).unwrap();
        for (epoch, offset) in entries {
            epochs.assign(&disk, *epoch, *offset).unwrap();
        }
        (dir, disk, epochs)
    }

    #[test]
    fn the_end_of_an_epoch_is_the_beginning_of_the_next() {
        let (_dir, _disk, epochs) = epochs(&[(2, 10), (5, 20), (6, 30)]);
        assert_eq!(epochs.end_offset_for(6, 44), Some((6, 44)));
        assert_eq!(epochs.end_offset_for(7, 44), None);
        assert_eq!(epochs.end_offset_for(5, 44), Some((5, 30)));
        assert_eq!(epochs.end_offset_for(4, 44), Some((2, 20)));
        assert_eq!(epochs.end_offset_for(1, 44), Some((1, 10)));
    }

    #[test]
    fn an_empty_history_knows_no_epoch() {
        let (_dir, _disk, epochs) = epochs(&[]);
        assert_eq!(epochs.end_offset_for(0, 44), None);
    }

    #[test]
    fn truncation_at_both_ends_survives_reopening() {
        let (dir, disk, mut epochs) = epochs(&[(1, 0), (2, 10), (5, 20), (6, 30)]);
        epochs.truncate_end(&disk, 30).unwrap();
        epochs.truncate_start(&disk, 15).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, "0\n2\n2 15\n5 20\n");
        let (again, lost) = Epochs::open(&disk, &dir.path().into()).unwrap();
        assert_eq!(again.entries, vec![(2, 15), (5, 20)]);
        assert!(!lost);
    }

    #[test]
    fn an_epoch_without_records_is_replaced_by_the_next() {
        let (_dir, _disk, epochs) = epochs(&[(1, 0), (2, 10), (3, 10)]);
        assert_eq!(epochs.entries, vec![(1, 0), (3, 10)]);
    }

    #[test]
    fn a_malformed_file_is_as_good_as_none() {
        let (dir, disk, _) = epochs(&[(1, 0)]);
        for damaged in ["0\n2\n1 0\n", "0\n1\n1 x\n", "0\n2\n5 0\n4 3\n"] {
            std::fs::write(dir.path().join(FILE), damaged).unwrap();
            let (epochs, lost) = Epochs::open(&disk, &dir.path().into()).unwrap();
            assert!(lost && epochs.entries.is_empty());
        }
    }
}
