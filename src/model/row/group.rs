//! One consumer group and how far it is behind.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Cell;
use crate::model::ends::Ends;
use crate::model::group::Group;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Moment};

/// One group, ready to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupRow {
    pub name: String,
    pub state: String,
    pub kind: String,
    pub protocol: String,
    pub coordinator: Option<BrokerId>,
    pub members: u32,
    pub topics: u32,
    /// Sum over all committed partitions; unknown when one leader did not tell its offsets.
    pub lag_records: Cell<i64>,
    /// Topic, partition and lag of the partition that is most behind.
    pub worst: Option<(String, i32, i64)>,
    /// Records per second written to the partitions it reads.
    pub rate_in: Cell<f64>,
    pub parts: Vec<GroupPartition>,
}

/// One partition that the group commits or is assigned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPartition {
    pub topic: String,
    pub partition: i32,
    /// The next record it will read; unknown before the first commit.
    pub committed: Cell<i64>,
    pub end: Cell<i64>,
    pub lag_records: Cell<i64>,
    /// The member that is assigned the partition.
    pub member: Option<String>,
    pub client: Option<String>,
}

impl GroupRow {
    /// In order of name.
    pub fn all(snapshot: &Snapshot, now: Moment) -> Vec<Self> {
        Self::all_at(snapshot, &Ends::of(snapshot), now)
    }

    pub(super) fn all_at(snapshot: &Snapshot, ends: &Ends<'_>, now: Moment) -> Vec<Self> {
        let groups = snapshot.groups.get().map_or(&[][..], Vec::as_slice);
        groups
            .iter()
            .map(|group| Self::of(snapshot, ends, group, now))
            .collect()
    }

    fn of(snapshot: &Snapshot, ends: &Ends<'_>, group: &Group, now: Moment) -> Self {
        let parts = parts(snapshot, ends, group, now);
        let worst = parts
            .iter()
            .filter_map(|part| Some((part, part.lag_records.value?)))
            .max_by_key(|(_, lag)| *lag);
        let topics: BTreeSet<&str> = parts.iter().map(|part| part.topic.as_str()).collect();
        let coordinator = group.coordinator.and_then(|id| snapshot.coordinators.get(&id));
        let stale = coordinator.filter(|section| !section.is_fresh());
        let mut lag_records = total_lag(&parts);
        if let Some(stale) = stale {
            lag_records.stale_seconds = stale.age_seconds(now).or(lag_records.stale_seconds);
            lag_records.reason = stale.problem();
        }
        Self {
            name: group.name.clone(),
            state: group.state.clone(),
            kind: group.kind.clone(),
            protocol: group.protocol.clone(),
            coordinator: group.coordinator,
            members: group.members.len() as u32,
            topics: topics.len() as u32,
            lag_records,
            worst: worst.map(|(part, lag)| (part.topic.clone(), part.partition, lag)),
            rate_in: rate_in(ends, &parts),
            parts,
        }
    }
}

fn parts(snapshot: &Snapshot, ends: &Ends<'_>, group: &Group, now: Moment) -> Vec<GroupPartition> {
    let mut owners: BTreeMap<(&str, i32), (&str, &str)> = BTreeMap::new();
    for member in &group.members {
        for (topic, partition) in &member.assignment {
            owners.insert((topic, *partition), (&member.id, &member.client));
        }
    }
    let committed: BTreeMap<(&str, i32), i64> = group
        .commits
        .iter()
        .map(|commit| ((commit.topic.as_str(), commit.partition), commit.offset))
        .collect();
    let keys: BTreeSet<(&str, i32)> = owners.keys().chain(committed.keys()).copied().collect();
    let part = |(topic, partition): (&str, i32)| {
        let end = end_offset(snapshot, ends, topic, partition, now);
        let committed = match committed.get(&(topic, partition)) {
            Some(offset) => Cell::known(*offset),
            None => Cell::unknown("nothing committed yet"),
        };
        // The end may have been asked before the commit: a group is never ahead of its log.
        let lag_records = match committed.value {
            Some(offset) => end.map(|end| Some((end - offset).max(0))),
            None => committed.clone(),
        };
        let owner = owners.get(&(topic, partition));
        GroupPartition {
            topic: topic.to_owned(),
            partition,
            committed,
            end,
            lag_records,
            member: owner.map(|(id, _)| (*id).to_owned()),
            client: owner.map(|(_, client)| (*client).to_owned()),
        }
    };
    keys.into_iter().map(part).collect()
}

fn end_offset(snapshot: &Snapshot, ends: &Ends<'_>, topic: &str, partition: i32, now: Moment) -> Cell<i64> {
    let placed = snapshot.topic(topic).and_then(|t| t.partition(partition));
    let Some(placed) = placed else {
        return Cell::unknown(format!("no partition {topic}-{partition} in the cluster"));
    };
    let span = ends.get(topic, partition).map(|told| told.span);
    match placed.leader.and_then(|leader| snapshot.offsets.get(&leader)) {
        Some(section) => Cell::from(section, now, "the leader has not told its offsets", |_| {
            span.map(|span| span.end)
        }),
        None => Cell {
            value: span.map(|span| span.end),
            stale_seconds: None,
            reason: Some(match placed.leader {
                Some(leader) => format!("broker {leader} has not told its offsets"),
                None => "the partition is offline".to_owned(),
            }),
        },
    }
}

fn total_lag(parts: &[GroupPartition]) -> Cell<i64> {
    let committed = || parts.iter().filter(|part| part.committed.value.is_some());
    if let Some(part) = committed().find(|part| part.lag_records.value.is_none()) {
        let why = part.lag_records.reason.clone().unwrap_or_default();
        return Cell::unknown(format!("{}-{}: {why}", part.topic, part.partition));
    }
    if committed().next().is_none() {
        return Cell::unknown("nothing committed yet");
    }
    Cell {
        value: Some(committed().filter_map(|part| part.lag_records.value).sum()),
        stale_seconds: committed().filter_map(|part| part.lag_records.stale_seconds).max(),
        reason: committed().find_map(|part| part.lag_records.reason.clone()),
    }
}

fn rate_in(ends: &Ends<'_>, parts: &[GroupPartition]) -> Cell<f64> {
    let mut total = 0.0;
    for part in parts {
        match ends.get(&part.topic, part.partition).and_then(|told| told.span.rate) {
            Some(rate) => total += rate,
            None => return Cell::unknown(format!("no rate yet for {}-{}", part.topic, part.partition)),
        }
    }
    if parts.is_empty() {
        Cell::unknown("reads nothing")
    } else {
        Cell::known(total)
    }
}
