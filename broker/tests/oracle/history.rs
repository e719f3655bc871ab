//! What clients were promised, and what is there in the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// A topic's partition.
pub type Place = (&'static str, i32);

/// How a transaction ended, as its producer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    /// The answer never came.
    Unknown,
}

/// What clients were told.
#[derive(Debug, Default, Clone)]
pub struct Promises {
    /// Values in the order in which their producer had them acknowledged; idempotent, each to be there once.
    pub acknowledged: BTreeMap<(Place, u32), Vec<String>>,
    /// Each transaction's records, and how it ended.
    pub transactions: Vec<(Vec<(Place, String)>, Outcome)>,
    /// The highest number that was acknowledged for each key of the compacted topic.
    pub latest: BTreeMap<(Place, String), u64>,
    /// The highest offset that a group had acknowledged.
    pub offsets: BTreeMap<(String, Place), i64>,
    /// What the members of a group were told.
    pub groups: BTreeMap<&'static str, Told>,
    /// What no client may be told.
    pub broken: Vec<String>,
}

/// What the members of one group were told, each in its order. An epoch is a classic group's generation.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// Members, their epoch, and what they own in it.
    pub owned: Vec<(String, i32, BTreeSet<Place>)>,
    /// Offsets that were acknowledged, and the epoch that they were committed in.
    pub commits: Vec<(i32, Place, i64)>,
    /// Where a member that owns a partition since an epoch begins to read; -1 if no offset is committed.
    pub begins: Vec<(i32, Place, i64)>,
    /// What was read.
    pub seen: BTreeSet<(Place, String)>,
}

/// What is there when all is well again.
#[derive(Debug, Default, Clone)]
pub struct Observed {
    /// Values in the order of the log, whatever became of their transaction.
    pub written: BTreeMap<Place, Vec<String>>,
    /// The offset of each of these values.
    pub offset_of: BTreeMap<Place, BTreeMap<String, i64>>,
    /// Values that a reader of what is committed gets.
    pub committed: BTreeMap<Place, Vec<String>>,
    /// Key and number, in the order of the compacted log.
    pub keyed: BTreeMap<Place, Vec<(String, u64)>>,
    pub offsets: BTreeMap<(String, Place), i64>,
    /// Each replica's log, by broker.
    pub replicas: BTreeMap<Place, BTreeMap<i32, Bytes>>,
}
