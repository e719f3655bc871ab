//! Whose fault it is that some partitions stand and others move: the vote of ISRs.
//!
//! A write with acks=all waits for every broker in the ISR, so a broker that is stalled or slow holds up the leaders that it
//! follows as well. It is in the ISR of every partition that suffers and of none that does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::BrokerId;
use crate::model::row::partition::PartitionRow;

/// The one broker in the ISR of all that are bad, of none that are good, and leader of one that is bad.
pub fn culprit(bad: &[PartitionRow<'_>], good: &[PartitionRow<'_>]) -> Option<BrokerId> {
    let mut votes: BTreeMap<BrokerId, usize> = BTreeMap::new();
    for id in bad.iter().flat_map(|row| &row.isr) {
        *votes.entry(*id).or_default() += 1;
    }
    let acquitted: BTreeSet<BrokerId> = good.iter().flat_map(|row| row.isr.iter().copied()).collect();
    let leads = |id: &BrokerId| bad.iter().any(|row| row.leader == Some(*id));
    let mut guilty = votes
        .into_iter()
        .filter(|(id, votes)| *votes == bad.len() && !acquitted.contains(id) && leads(id));
    let (first, _) = guilty.next()?;
    guilty.next().is_none().then_some(first)
}
