//! A batch without some of its records: what compaction leaves of it, at the same offsets.

use super::entry::{put_slice, put_varint};
use super::{Batch, Compression, Error, Header, Record};

/// Set when the base timestamp is the time from which on tombstones and markers may go (KIP-534).
const DELETE_HORIZON: i16 = 0x40;

impl Header {
    /// From when on tombstones in the batch, or the marker that it is, may be removed; in ms since the Unix epoch.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }
}

impl Batch {
    /// The batch with only `records` of its own, at the offsets that they have; it still ends where it ended. `horizon` is
    /// when tombstones among them may go.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn with_only(&self, records: &[Record], horizon: Option<i64>) -> Result<Self, Error> {
        let Some(first) = records.first() else {
            return self.emptied();
        };
        let mut header = self.header;
        let codec = header.compression()?;
        header.base_timestamp = horizon.unwrap_or(first.timestamp);
        header.attributes = match horizon {
            Some(_) => header.attributes | DELETE_HORIZON,
            None => header.attributes & !DELETE_HORIZON,
        };
        if !header.is_log_append_time() {
            header.max_timestamp = records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
        }
        header.count = i32::try_from(records.len()).unwrap_or(i32::MAX);
        let mut plain = Vec::with_capacity(self.bytes.len());
        for record in records {
            put_record(&mut plain, &header, record);
        }
        let packed = codec.compress(&plain)?;
        let bytes = header.with_content(codec, &packed)?;
        Ok(Self { header, bytes })
    }

    /// Without any record: it still tells of its producer's last sequence number and epoch.
    fn emptied(&self) -> Result<Self, Error> {
        let mut header = self.header;
        header.attributes &= !DELETE_HORIZON;
        header.base_timestamp = -1;
        header.count = 0;
        let bytes = header.with_content(Compression::None, &[])?;
        Ok(Self { header, bytes })
    }
}

fn put_record(into: &mut Vec<u8>, header: &Header, record: &Record) {
    let mut body = vec![0]; // attributes
    put_varint(&mut body, record.timestamp.wrapping_sub(header.base_timestamp));
    put_varint(&mut body, record.offset - header.base_offset);
    put_slice(&mut body, record.key.as_deref());
    put_slice(&mut body, record.value.as_deref());
    put_varint(&mut body, record.headers.len() as i64);
    for (key, value) in &record.headers {
        put_slice(&mut body, Some(key));
        put_slice(&mut body, value.as_deref());
    }
    put_varint(into, body.len() as i64);
    into.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::{BatchBuilder, batches};

    fn batch(codec: Compression) -> Batch {
        let mut builder = BatchBuilder::new().compression(codec).producer(7, 1, 10).place(100, 3);
        for n in 0..5 {
            let key = [b'k', n];
            builder.add_with_headers(
                1_000 + i64::from(n),
                Some(&key),
                Some(b"v"),
                &[(b"h", None), (b"h", Some(b"x"))],
            );
        }
        one(builder.build().unwrap())
    }

    fn one(bytes: Bytes) -> Batch {
        batches(bytes).next().unwrap().unwrap()
    }

    fn records(batch: &Batch) -> Vec<Record> {
        batch.records(1 << 20).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_stays_is_where_and_as_it_was() {
        for codec in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let before = batch(codec);
            let all = records(&before);
            let kept = [all[1].clone(), all[4].clone()];
            for horizon in [None, Some(77_000)] {
                let after = one(before.with_only(&kept, horizon).unwrap().bytes);
                after.check_crc().unwrap();
                assert_eq!(records(&after), kept);
                assert_eq!(after.header.compression(), Ok(codec));
                assert_eq!(after.header.delete_horizon(), horizon);
                assert_eq!(after.header.next_offset(), before.header.next_offset());
                assert_eq!(after.header.last_sequence(), before.header.last_sequence());
                assert_eq!((after.header.base_offset, after.header.leader_epoch), (100, 3));
                assert_eq!(after.header.max_timestamp, 1_004);
            }
        }
    }

    #[test]
    fn an_empty_batch_tells_of_its_producer() {
        let before = batch(Compression::Zstd);
        let after = one(before.with_only(&[], None).unwrap().bytes);
        after.check_crc().unwrap();
        assert!(records(&after).is_empty());
        assert_eq!(after.header.next_offset(), 105);
        assert_eq!((after.header.producer_id, after.header.producer_epoch), (7, 1));
        assert_eq!(after.header.last_sequence(), 14);
    }
}
