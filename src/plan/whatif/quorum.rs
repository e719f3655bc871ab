//! Whether the controllers that are left are a majority.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::row::Rows;
use crate::model::{BrokerId, Snapshot};

/// The quorum without some brokers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuorumLoss {
    /// `None`: not known, because nobody tells where a voter runs, or the quorum was not seen.
    pub holds: Option<bool>,
    pub voters: u32,
    pub lost: u32,
    /// In a sentence.
    pub text: String,
}

impl QuorumLoss {
    /// Voters that are brokers are where those brokers are. Of others nobody tells the zone: they count as lost where the rest
    /// would be a majority without them anyway, else it is not known.
    pub(super) fn of(snapshot: &Snapshot, rows: &Rows, lost: &BTreeSet<BrokerId>, is_zone: bool) -> Self {
        let Some(quorum) = snapshot.quorum.get() else {
            let why = snapshot.quorum.problem().unwrap_or_default();
            return Self {
                holds: None,
                voters: 0,
                lost: 0,
                text: format!("the quorum is not known: {why}"),
            };
        };
        let known: BTreeMap<BrokerId, &str> = rows.brokers.iter().map(|row| (row.id, row.zone.as_str())).collect();
        let voters = quorum.voters.len() as u32;
        let majority = voters / 2 + 1;
        let gone = quorum.voters.iter().filter(|voter| lost.contains(&voter.id)).count() as u32;
        let unplaced = quorum
            .voters
            .iter()
            .filter(|voter| !known.contains_key(&voter.id))
            .count() as u32;
        // One broker's loss touches no controller that is none.
        let unplaced = if is_zone { unplaced } else { 0 };
        let left = voters - gone;
        let (holds, text) = match (left >= majority, left >= majority + unplaced) {
            (false, _) => (
                Some(false),
                format!("{left} of {voters} voters are left, {majority} are a majority"),
            ),
            (true, true) => (
                Some(true),
                format!("{left} of {voters} voters are left, {majority} are a majority"),
            ),
            (true, false) => (
                None,
                format!("zone of {unplaced} of {voters} voters not known: they are no brokers"),
            ),
        };
        Self {
            holds,
            voters,
            lost: gone,
            text,
        }
    }
}
