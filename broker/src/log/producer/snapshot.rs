//! Kafka's producer snapshot files, `%020d.snapshot`: who was known before an offset.
//!
//! ```text
//! version i16 = 1, crc32c u32 of what follows, count i32, and for each producer
//! id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64,
//! coordinator epoch i32, first offset of the open transaction i64
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, BufMut};

use super::{Past, Producer, Producers};
use crate::env::disk::Disk;
use crate::id::Offset;

const VERSION: i16 = 1;
const PREFIX: usize = 6;
const ENTRY: usize = 46;
const SUFFIX: &str = "snapshot";

/// The snapshot files of one log.
#[derive(Debug)]
pub(in crate::log) struct Snapshots {
    dir: Arc<Path>,
    /// The offsets of the files, increasing.
    offsets: Vec<Offset>,
}

impl Snapshots {
    pub(in crate::log) fn open(dir: &Arc<Path>, files: &[PathBuf]) -> Self {
        let mut offsets: Vec<Offset> = files
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == SUFFIX))
            .filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
            .collect();
        offsets.sort_unstable();
        Self {
            dir: Arc::clone(dir),
            offsets,
        }
    }

    /// Of a log without a directory.
    pub(in crate::log) fn none(dir: &Arc<Path>) -> Self {
        Self::open(dir, &[])
    }

    /// Writes what is known before `offset`.
    pub(in crate::log) fn take(&mut self, disk: &Disk, producers: &Producers, offset: Offset) -> io::Result<()> {
        disk.replace(&self.path(offset), &encode(producers), false)?;
        self.offsets.retain(|known| *known != offset);
        let at = self.offsets.partition_point(|known| *known < offset);
        self.offsets.insert(at, offset);
        Ok(())
    }

    /// The newest sound snapshot in `start..=end` and its offset; damaged and later files are removed.
    pub(in crate::log) fn load(
        &mut self,
        disk: &Disk,
        start: Offset,
        end: Offset,
    ) -> io::Result<Option<(Offset, Producers)>> {
        while let Some(offset) = self.offsets.last().copied() {
            if offset < start {
                break;
            }
            let path = self.path(offset);
            if offset <= end {
                if let Some(producers) = decode(&disk.read(&path)?) {
                    return Ok(Some((offset, producers)));
                }
                tracing::warn!("{} is damaged; reading the log instead", path.display());
            }
            self.offsets.pop();
            disk.remove(&path)?;
        }
        Ok(None)
    }

    /// Removes all but the newest and those `kept`, by offset.
    pub(in crate::log) fn prune(&mut self, disk: &Disk, kept: impl Fn(Offset) -> bool) -> io::Result<()> {
        let newest = self.offsets.last().copied();
        let (keep, drop): (Vec<_>, Vec<_>) = self
            .offsets
            .iter()
            .partition(|offset| Some(**offset) == newest || kept(**offset));
        for offset in drop {
            disk.remove(&self.path(offset))?;
        }
        self.offsets = keep;
        Ok(())
    }

    /// Removes those after `end`.
    pub(in crate::log) fn truncate(&mut self, disk: &Disk, end: Offset) -> io::Result<()> {
        while let Some(offset) = self.offsets.pop_if(|offset| *offset > end) {
            disk.remove(&self.path(offset))?;
        }
        Ok(())
    }

    fn path(&self, offset: Offset) -> PathBuf {
        self.dir.join(format!("{offset:020}.{SUFFIX}"))
    }
}

fn encode(producers: &Producers) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + producers.known.len() * ENTRY);
    body.put_i32(i32::try_from(producers.known.len()).unwrap_or(i32::MAX));
    for (id, producer) in &producers.known {
        let last = producer.batches.back();
        body.put_i64(*id);
        body.put_i16(producer.epoch);
        body.put_i32(last.map_or(-1, |past| past.last_sequence));
        body.put_i64(last.map_or(-1, |past| past.last_offset));
        body.put_i32(last.map_or(0, |past| past.offset_delta));
        body.put_i64(producer.last_timestamp);
        body.put_i32(producer.coordinator_epoch);
        body.put_i64(producer.transaction_start.unwrap_or(-1));
    }
    let mut file = Vec::with_capacity(PREFIX + body.len());
    file.put_i16(VERSION);
    file.put_u32(crc32c::crc32c(&body));
    file.extend_from_slice(&body);
    file
}

/// `None` for anything but a whole, sound file.
fn decode(mut file: &[u8]) -> Option<Producers> {
    if file.len() < PREFIX + 4 || file.get_i16() != VERSION || file.get_u32() != crc32c::crc32c(file) {
        return None;
    }
    let count = usize::try_from(file.get_i32()).ok()?;
    if file.len() != count.checked_mul(ENTRY)? {
        return None;
    }
    let mut producers = Producers::default();
    for mut entry in file.chunks_exact(ENTRY) {
        let id = entry.get_i64();
        let epoch = entry.get_i16();
        let last_sequence = entry.get_i32();
        let last_offset = entry.get_i64();
        let offset_delta = entry.get_i32();
        let timestamp = entry.get_i64();
        let past = Past {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp,
        };
        let producer = Producer {
            epoch,
            batches: if last_offset >= 0 {
                VecDeque::from([past])
            } else {
                VecDeque::new()
            },
            last_timestamp: timestamp,
            coordinator_epoch: entry.get_i32(),
            transaction_start: Some(entry.get_i64()).filter(|offset| *offset >= 0),
        };
        producers.insert(id, producer);
    }
    Some(producers)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::log::producer) fn round_trip(producers: &Producers) -> Option<Producers> {
        decode(&encode(producers))
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let mut producers = Producers::default();
        producers.known.insert(
            7,
            Producer {
                epoch: 1,
                batches: VecDeque::from([Past {
                    last_sequence: 9,
                    last_offset: 99,
                    offset_delta: 4,
                    timestamp: 5,
                }]),
                last_timestamp: 5,
                coordinator_epoch: -1,
                transaction_start: None,
            },
        );
        let sound = encode(&producers);
        assert_eq!(sound.len(), PREFIX + 4 + ENTRY);
        assert_eq!(decode(&sound).unwrap().known, producers.known);
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_none(), "byte {at}");
            assert!(decode(&sound[..at]).is_none(), "cut at {at}");
        }
    }
}
