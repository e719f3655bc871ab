//! Partitions with a fault, as a check: all with one badge, explained where an operation of ours moves them.

use super::setting::topics;
use super::{Lack, Outcome, Proof};
use crate::check::Facts;
use crate::model::row::partition::{Badge, PartitionRow};

/// A breach while any partition has the badge.
pub fn none_with(facts: &Facts<'_>, badge: Badge, expected: &str, well: &str, ill: &str) -> Outcome {
    if let Some(untold) = topics(facts) {
        return untold;
    }
    let bad: Vec<PartitionRow<'_>> = facts
        .rows
        .partitions
        .iter()
        .filter(|row| row.badges().contains(badge))
        .collect();
    if bad.is_empty() {
        // Without min.insync.replicas nobody can say that none is under it.
        let depends = matches!(
            badge,
            Badge::UnderMinIsr | Badge::AtMinIsr | Badge::MinIsrIsRf | Badge::MinIsrOne
        );
        if let Some(row) = facts
            .rows
            .partitions
            .iter()
            .find(|row| depends && row.min_isr().value.is_none())
        {
            let why = row
                .min_isr()
                .reason
                .clone()
                .unwrap_or_else(|| "it is not told".to_owned());
            let lack = if why.starts_with("denied") {
                Lack::Permission
            } else {
                Lack::Answer
            };
            return Outcome::unknown(lack, format!("min.insync.replicas of {}: {why}", row.topic()));
        }
        return Outcome::pass(well);
    }
    let first = bad
        .iter()
        .take(3)
        .map(|row| format!("{}-{}", row.topic(), row.partition));
    let named = first.collect::<Vec<_>>().join(", ");
    let more = bad.len().saturating_sub(3);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let proof = |row: &PartitionRow<'_>| Proof {
        source: "Metadata",
        subject: format!("{}-{}", row.topic(), row.partition),
        field: badge.to_string(),
        value: format!("replicas {:?}, in sync {:?}", row.replicas, row.isr),
        expected: expected.to_owned(),
        seen_at: facts.snapshot.topics.seen_at,
    };
    Outcome::breach(format!("{} {ill}: {named}{more}", bad.len()))
        .evidence(bad.iter().map(proof))
        .explained_by(facts.all_moved_by(badge).map(|act| act.id.clone()))
}
