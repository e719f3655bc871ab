//! The log against the disk: appends, reads, crashes, full and failing volumes.

mod compaction;
mod config;
mod crash;
mod disk;
mod order;
mod retention;
mod time;
mod transaction;

use tempfile::TempDir;

use super::*;
use crate::record;
use crate::record::{Batch, BatchBuilder};

const NOW: i64 = 1_700_000_000_000;

/// A log in a temporary directory, with what is needed to open it again.
struct Bench {
    dir: TempDir,
    disk: Disk,
    clock: Clock,
    config: LogConfig,
}

impl Bench {
    fn new() -> Self {
        Self::with(LogConfig {
            index_interval_bytes: 200,
            ..LogConfig::default()
        })
    }

    fn with(config: LogConfig) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            disk: Disk::real(),
            clock: Clock::manual(NOW),
            config,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("orders-0")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn open(&self, clean: bool) -> Log {
        self.open_from(0, clean)
    }

    fn open_from(&self, recovery_point: Offset, clean: bool) -> Log {
        Log::open(
            &self.disk,
            self.path(),
            self.config.clone(),
            self.clock.clone(),
            recovery_point,
            clean,
        )
        .unwrap()
    }
}

/// A batch of `records`, of which the values tell `tag` and the time is `timestamp`.
fn batch_at(timestamp: i64, records: usize, tag: &str) -> Bytes {
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        builder.add(
            timestamp + n as i64,
            Some(b"key"),
            Some(format!("{tag}-{n}").as_bytes()),
        );
    }
    builder.build().unwrap()
}

fn batch(records: usize, tag: &str) -> Bytes {
    batch_at(NOW, records, tag)
}

/// The values between two offsets, read in steps of `max_bytes`, with their offsets.
fn values_in_steps(log: &Log, max_bytes: usize) -> Vec<(Offset, String)> {
    let mut values = Vec::new();
    let mut from = log.start();
    while from < log.end() {
        let read = log.read(from, max_bytes, log.end(), true).unwrap();
        assert!(read.next > from, "nothing at {from}");
        for batch in record::batches(read.records) {
            let batch: Batch = batch.unwrap();
            batch.check_crc().unwrap();
            for record in batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset >= log.start() {
                    values.push((
                        record.offset,
                        String::from_utf8(record.value.unwrap().to_vec()).unwrap(),
                    ));
                }
            }
        }
        from = read.next;
    }
    values
}

fn values(log: &Log) -> Vec<(Offset, String)> {
    values_in_steps(log, 1 << 20)
}

/// Appends `n` batches of two records each.
fn fill(log: &Log, n: usize) {
    for index in 0..n {
        log.append_as_leader(batch(2, &format!("b{index}")), 0).unwrap();
    }
}
