//! Faults that are put in on purpose, to see that the oracle finds them: what a broker would do that has the fault is done
//! for it from outside.

use std::path::Path;

/// Where the records of a batch begin whose CRC covers what follows.
const CRC: std::ops::Range<usize> = 17..21;
const SIZE: std::ops::Range<usize> = 8..12;
/// What the size does not count.
const BEFORE: usize = 12;
const HEADER: usize = 61;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A recovery that trusts a torn batch: it is made to look whole.
    TrustTorn,
    /// A leader that acknowledges what its followers do not have yet: it is asked to.
    AcknowledgeEarly,
    /// A controller and brokers that do not wait for the device: it says that it has synced, and has not.
    NeverSync,
}

pub const ALL: [(&str, Plant); 3] = [
    ("trust-torn", Plant::TrustTorn),
    ("acknowledge-early", Plant::AcknowledgeEarly),
    ("never-sync", Plant::NeverSync),
];

impl Plant {
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|(is, _)| *is == name).map(|(_, plant)| plant)
    }

    pub fn after_power_cut(self, folder: &Path) {
        if self == Self::TrustTorn {
            make_whole(folder);
        }
    }
}

/// Gives torn batches in the segments under `folder` the size and the CRC of what is left of them.
fn make_whole(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            make_whole(&path);
        } else if path.extension().is_some_and(|kind| kind == "log") {
            let mut bytes = std::fs::read(&path).expect("a segment");
            let mut at = 0;
            while let Some(batch) = bytes.get_mut(at..).filter(|batch| batch.len() > HEADER) {
                let size = batch.get(SIZE).and_then(|size| size.try_into().ok());
                let size = usize::try_from(size.map_or(0, i32::from_be_bytes)).unwrap_or(0);
                let whole = (BEFORE + size).clamp(HEADER, batch.len());
                let batch = &mut batch[..whole];
                let size = (whole - BEFORE) as i32;
                batch[SIZE].copy_from_slice(&size.to_be_bytes());
                let crc = crc32c::crc32c(&batch[CRC.end..]);
                batch[CRC].copy_from_slice(&crc.to_be_bytes());
                at += whole;
            }
            std::fs::write(&path, bytes).expect("a segment");
        }
    }
}
