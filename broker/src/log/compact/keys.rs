//! The newest offset of each key, by 128 bits of its SHA-256: two keys that share them are not expected in this universe.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};

use crate::id::Offset;
use crate::log::Error;
use crate::record::Batch;

/// A batch is decompressed to see its keys; a larger one is an error instead of an allocation.
const DECOMPRESSED_LIMIT: usize = 256 << 20;

pub(super) struct Newest {
    by_key: HashMap<[u8; 16], Offset>,
    end: Offset,
}

impl Newest {
    pub fn new(from: Offset) -> Self {
        Self {
            by_key: HashMap::new(),
            end: from,
        }
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// What precedes it was looked at.
    pub fn end(&self) -> Offset {
        self.end
    }

    pub fn reaches(&mut self, end: Offset) {
        self.end = end;
    }

    pub fn note(&mut self, batch: &Batch) -> Result<(), Error> {
        for record in batch.records(DECOMPRESSED_LIMIT)? {
            let record = record?;
            if let Some(key) = &record.key {
                self.by_key.insert(hash(key), record.offset);
            }
        }
        Ok(())
    }

    /// Whether no later record of the key is known.
    pub fn is_newest(&self, key: &[u8], offset: Offset) -> bool {
        self.by_key.get(&hash(key)).is_none_or(|newest| offset >= *newest)
    }
}

fn hash(key: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&SHA256, key).as_ref()[..16]);
    short
}
