//! The partitions of a group as its row keeps them: a wide cluster's groups read tens of thousands, and few are looked at.

use std::collections::HashSet;
use std::sync::Arc;

use super::part::{Behind, GroupPartition, Safe};
use crate::model::history::Standing;
use crate::model::name::{Name, Names};
use crate::model::row::{Doubt, Told};

/// In order of topic and partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept(Box<[Part]>);

/// A [`GroupPartition`] whose names and reasons are shared with others.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    topic: Name,
    partition: i32,
    committed: Told<i64>,
    start: Told<i64>,
    end: Told<i64>,
    lag_records: Told<i64>,
    rate_in: Told<f64>,
    behind: Told<Behind>,
    safe: Told<Safe>,
    standing: Option<Standing>,
    /// The member's id and its client.
    owner: Option<Arc<(String, String)>>,
}

/// What the groups of one look share.
#[derive(Debug, Default)]
pub(super) struct Common {
    names: Names,
    doubts: HashSet<Arc<Doubt>>,
}

impl Kept {
    pub fn of(parts: &[GroupPartition], common: &mut Common) -> Self {
        let mut owner: Option<Arc<(String, String)>> = None;
        let part = |part: &GroupPartition| {
            let mut topic = Name::from(part.topic.as_str());
            common.names.share(&mut topic);
            let doubts = &mut common.doubts;
            let own = part.member.as_ref().zip(part.client.as_ref());
            owner = own.map(|(member, client)| match &owner {
                Some(before) if before.0 == *member && before.1 == *client => Arc::clone(before),
                _ => Arc::new((member.clone(), client.clone())),
            });
            Part {
                topic,
                partition: part.partition,
                committed: Told::of(&part.committed, doubts),
                start: Told::of(&part.start, doubts),
                end: Told::of(&part.end, doubts),
                lag_records: Told::of(&part.lag_records, doubts),
                rate_in: Told::of(&part.rate_in, doubts),
                behind: Told::of(&part.behind, doubts),
                safe: Told::of(&part.safe, doubts),
                standing: part.standing,
                owner: owner.clone(),
            }
        };
        Self(parts.iter().map(part).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn each(&self) -> impl Iterator<Item = GroupPartition> {
        self.0.iter().map(|part| GroupPartition {
            topic: part.topic.to_string(),
            partition: part.partition,
            committed: part.committed.whole(),
            start: part.start.whole(),
            end: part.end.whole(),
            lag_records: part.lag_records.whole(),
            rate_in: part.rate_in.whole(),
            behind: part.behind.whole(),
            safe: part.safe.whole(),
            standing: part.standing,
            member: part.owner.as_ref().map(|owner| owner.0.clone()),
            client: part.owner.as_ref().map(|owner| owner.1.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::row::Cell;

    fn part(partition: i32, member: Option<&str>) -> GroupPartition {
        let old = Cell {
            value: Some(7),
            stale_seconds: Some(30),
            reason: Some("timed out: no answer".to_owned()),
        };
        GroupPartition {
            topic: "orders".to_owned(),
            partition,
            committed: Cell::known(5),
            start: Cell::known(0),
            end: old.clone(),
            lag_records: old.map(|end| Some(end - 5)),
            rate_in: Cell::unknown("seen only once yet"),
            behind: Cell::unknown("nobody was asked"),
            safe: Cell::known(Safe::Forever),
            standing: None,
            member: member.map(str::to_owned),
            client: member.map(|_| "billing".to_owned()),
        }
    }

    #[test]
    fn what_is_kept_is_what_was_told_and_in_a_quarter_of_the_room() {
        let parts = [
            part(0, Some("m-1")),
            part(1, Some("m-1")),
            part(2, None),
            part(3, Some("m-2")),
        ];
        let mut common = Common::default();
        let kept = Kept::of(&parts, &mut common);
        assert_eq!(kept.each().collect::<Vec<_>>(), parts);
        assert_eq!(common.doubts.len(), 3, "each reason once");
        assert!(size_of::<Part>() <= 250, "{}", size_of::<Part>());
    }
}
