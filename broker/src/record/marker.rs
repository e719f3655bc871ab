//! How a transaction ends in a log: a control batch of one record, which says whether it is committed (KIP-98).
//!
//! ```text
//! key: version i16 = 0, kind i16 = 0 abort, 1 commit      value: version i16 = 0, coordinator epoch i32
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Batch, BatchBuilder, Error};

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
/// Markers are never compressed, and hold a few bytes.
const LIMIT: usize = 1 << 10;

/// The end of a producer's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    pub committed: bool,
    /// The leader epoch of the transaction log's partition that it was decided in; an older one is fenced.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// What a batch says; `None` for one that ends no transaction.
    pub fn of(batch: &Batch) -> Option<Self> {
        if !batch.header.is_control() || !batch.header.has_producer() {
            return None;
        }
        let record = batch.records(LIMIT).ok()?.next()?.ok()?;
        let (mut key, mut value) = (record.key?, record.value?);
        if key.len() < 4 || value.len() < 6 || key.get_i16() < 0 || value.get_i16() < 0 {
            return None;
        }
        let committed = match key.get_i16() {
            ABORT => false,
            COMMIT => true,
            _ => return None,
        };
        Some(Self {
            committed,
            coordinator_epoch: value.get_i32(),
        })
    }

    /// The batch that ends the transaction of a producer; `timestamp` in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// None in practice: it is small and not compressed.
    pub fn batch(self, timestamp: i64, producer: i64, epoch: i16) -> Result<Bytes, Error> {
        let (mut key, mut value) = (BytesMut::with_capacity(4), BytesMut::with_capacity(6));
        key.put_i16(0);
        key.put_i16(if self.committed { COMMIT } else { ABORT });
        value.put_i16(0);
        value.put_i32(self.coordinator_epoch);
        let mut batch = BatchBuilder::new()
            .producer(producer, epoch, -1)
            .transactional()
            .control();
        batch.add(timestamp, Some(&key), Some(&value));
        batch.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batches;

    #[test]
    fn a_marker_reads_back_as_written() {
        for committed in [false, true] {
            let marker = Marker {
                committed,
                coordinator_epoch: 7,
            };
            let bytes = marker.batch(1_000, 42, 3).unwrap();
            let batch = batches(bytes).next().unwrap().unwrap();
            batch.check_crc().unwrap();
            assert_eq!(Marker::of(&batch), Some(marker));
            assert_eq!((batch.header.producer_id, batch.header.producer_epoch), (42, 3));
            assert!(batch.header.is_control() && batch.header.is_transactional());
        }
    }

    #[test]
    fn other_batches_end_nothing() {
        let mut data = BatchBuilder::new().producer(1, 0, 0).transactional();
        data.add(0, Some(b"\0\0\0\x01"), Some(b"\0\0\0\0\0\0"));
        let mut control = BatchBuilder::new().control();
        control.add(0, Some(b"\0\0\0\x02"), Some(b"\0\0\0\0\0\0"));
        for batch in [data, control] {
            let batch = batches(batch.build().unwrap()).next().unwrap().unwrap();
            assert_eq!(Marker::of(&batch), None);
        }
    }
}
