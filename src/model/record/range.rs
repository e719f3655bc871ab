//! Where reading begins and ends, in each partition.

use std::collections::BTreeMap;

use crate::model::Moment;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Beginning,
    End,
    /// So many records before the end.
    Last(u32),
    /// This offset, or the next that there is.
    Offset(u64),
    /// The first record with this timestamp or a later one.
    At(Moment),
}

/// Where to stop; a partition ends at its log's end too, unless it is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Never: go on at the end of the log.
    Followed,
    /// At the end of the log, whenever it is reached.
    End,
    /// Before these offsets, by partition; one that is not named ends at its log's end.
    Offsets(BTreeMap<i32, i64>),
    /// Before the first record with this timestamp or a later one.
    At(Moment),
}
