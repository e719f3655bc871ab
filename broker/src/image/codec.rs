//! Metadata records as batches of the metadata log, and back.

use bytes::Bytes;

use super::{Image, Record};
use crate::id::Offset;
use crate::record::{self, BatchBuilder};

/// What the records of one batch may decompress to; the controller compresses none and writes far less at a time.
const BATCH_MAX_BYTES: usize = 256 << 20;

/// A metadata log that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the metadata log is damaged: {0}")]
    Batch(#[from] record::Error),
    #[error("metadata record {offset} cannot be read ({why}); it may be from a newer version of this program")]
    Record { offset: Offset, why: String },
    #[error("the metadata log goes on at {found} where {expected} was expected; start again from its beginning")]
    Gap { expected: Offset, found: Offset },
}

/// One batch that holds the records; the log assigns its offsets. `now_ms` since the Unix epoch.
///
/// # Errors
/// When there is no record, or they are larger than 2 GiB together.
pub fn encode(records: &[Record], now_ms: i64) -> Result<Bytes, record::Error> {
    let mut batch = BatchBuilder::new();
    for record in records {
        let value = serde_json::to_vec(record).map_err(|_| record::Error::Invalid {
            why: "a metadata record has no JSON form",
        })?;
        batch.add(now_ms, None, Some(&value));
    }
    batch.build()
}

impl Image {
    /// Applies whole batches of the metadata log. Records it holds already are skipped, so that a fetch may overlap.
    ///
    /// # Errors
    /// [`Unreadable`]; the records before it are applied.
    pub fn replay(&mut self, batches: Bytes) -> Result<(), Unreadable> {
        for batch in record::batches(batches) {
            let batch = batch?;
            if batch.header.last_offset() <= self.offset {
                continue;
            }
            let epoch = batch.header.leader_epoch;
            for record in batch.records(BATCH_MAX_BYTES)? {
                let record = record?;
                if record.offset <= self.offset {
                    continue;
                }
                if record.offset != self.offset + 1 {
                    return Err(Unreadable::Gap {
                        expected: self.offset + 1,
                        found: record.offset,
                    });
                }
                let value = record.value.unwrap_or_default();
                let decoded = serde_json::from_slice(&value).map_err(|error| Unreadable::Record {
                    offset: record.offset,
                    why: error.to_string(),
                })?;
                self.apply(&decoded, record.offset, epoch);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_replays_once() {
        let records = [
            Record::Cluster { id: "c".to_owned() },
            Record::Feature {
                name: "metadata.version".to_owned(),
                level: 27,
            },
        ];
        let batch = encode(&records, 1_000).unwrap();
        let mut image = Image::empty();
        image.replay(batch.clone()).unwrap();
        assert_eq!((image.offset, image.cluster_id.as_str()), (1, "c"));
        image.features.clear();
        image.replay(batch).unwrap();
        assert!(image.features.is_empty(), "an overlap is not applied again");
    }

    #[test]
    fn a_record_of_an_unknown_type_is_an_error_that_names_its_offset() {
        let mut batch = BatchBuilder::new();
        batch.add(0, None, Some(br#"{"type":"teleport"}"#));
        let error = Image::empty().replay(batch.build().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("metadata record 0 cannot be read"), "{error}");
    }
}
