//! How far a mirror is behind its source, and where its groups would go on: from what MirrorMaker 2 left in both.

use std::collections::{BTreeMap, BTreeSet};

use super::Cell;
use crate::model::ends::Ends;
use crate::model::group::Group;
use crate::model::mirror::{Checkpoint, Left, Own, Sync, original, remote};
use crate::model::{Moment, Snapshot};

/// A heartbeat is written each second unless `emit.heartbeats.interval.seconds` says otherwise; older than that, a mirror
/// stands still.
pub const STANDS_STILL_SECONDS: f64 = 60.0;

/// Why records are not counted where nobody asked the source.
pub const NO_SOURCE: &str = "the source was not asked: name its context with --source";

/// A cluster of which this one is a mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowRow {
    /// As MirrorMaker calls it.
    pub source: String,
    /// Since the source wrote the last heartbeat that arrived here.
    pub behind_seconds: Cell<f64>,
    pub topics: usize,
    pub behind_records: Cell<i64>,
    pub groups: usize,
    /// Since the newest checkpoint; none is written while nothing is committed.
    pub checkpoint_seconds: Cell<f64>,
}

/// A topic of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicRow {
    pub source: String,
    pub topic: String,
    /// What it is called here; `None` where it is not here.
    pub mirror: Option<String>,
    pub partitions: usize,
    /// Records of the source that are not here, as far as the partitions tell.
    pub behind_records: Cell<i64>,
}

/// A group of the source and one of its topics.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    pub source: String,
    pub group: String,
    pub topic: String,
    pub partitions: usize,
    /// Records that the group has read at the source since: it would read them again here.
    pub behind_records: Cell<i64>,
    /// Of the partitions, for how many the group has a commit here (`sync.group.offsets.enabled`).
    pub committed: usize,
    pub checkpoint_seconds: Cell<f64>,
}

/// Everything that is known of the mirrors into one cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirrors {
    pub flows: Vec<FlowRow>,
    pub topics: Vec<TopicRow>,
    pub groups: Vec<GroupRow>,
}

/// The source of one mirror, where it was asked.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub snapshot: &'a Snapshot,
    /// Its offset syncs for this mirror, the newest of each partition.
    pub syncs: &'a [Sync],
}

/// The names of the clusters that are mirrored here.
pub fn sources(here: &Snapshot) -> BTreeSet<String> {
    let named = here.topics().iter().filter_map(|topic| match Own::of(&topic.name)? {
        Own::RemoteHeartbeats { source } | Own::Checkpoints { source } => Some(source),
        Own::Heartbeats | Own::Syncs { .. } => None,
    });
    // Of a mirror of a mirror the first cluster's heartbeats are copied too.
    let all: BTreeSet<String> = named.collect();
    all.iter()
        .filter(|name| {
            !all.iter().any(|one| {
                name.strip_prefix(one.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            })
        })
        .cloned()
        .collect()
}

impl Mirrors {
    /// The mirrors into `here`; `source` belongs to the one of that name.
    pub fn of(here: &Snapshot, left: &Left, source: Option<(&str, Source<'_>)>, now: Moment) -> Self {
        let ends = Ends::of(here);
        let mut all = Self::default();
        for name in sources(here) {
            let asked = source.filter(|(asked, _)| *asked == name).map(|(_, source)| source);
            let from = asked.map(|source| Ends::of(source.snapshot));
            let topics = match (asked, &from) {
                (Some(source), Some(from)) => compared(&name, here, &ends, source, from),
                _ => alone(&name, here),
            };
            let checkpoints = left.checkpoints.get(&name).map(Vec::as_slice).unwrap_or_default();
            let groups = groups(&name, here, checkpoints, asked, now);
            all.flows
                .push(flow(&name, left, checkpoints, &topics, &groups, asked.is_some(), now));
            all.topics.extend(topics);
            all.groups.extend(groups);
        }
        all
    }

    /// Whether a heartbeat is known to be too old.
    pub fn stands_still(&self) -> bool {
        let behind = self.flows.iter().filter_map(|flow| flow.behind_seconds.value);
        behind.into_iter().any(|seconds| seconds > STANDS_STILL_SECONDS)
    }
}

fn flow(
    name: &str,
    left: &Left,
    checkpoints: &[Checkpoint],
    topics: &[TopicRow],
    groups: &[GroupRow],
    asked: bool,
    now: Moment,
) -> FlowRow {
    let behind_seconds = match left.heartbeats.get(name) {
        Some(at) => Cell::known(age(*at, now)),
        None => {
            Cell::unknown("no heartbeat of it is here: emit.heartbeats.enabled, and topics that let heartbeats through")
        }
    };
    FlowRow {
        source: name.to_owned(),
        behind_seconds,
        topics: topics.iter().filter(|topic| topic.mirror.is_some()).count(),
        behind_records: sum(topics.iter().map(|topic| &topic.behind_records), asked),
        groups: groups
            .iter()
            .map(|row| row.group.as_str())
            .collect::<BTreeSet<_>>()
            .len(),
        checkpoint_seconds: newest(checkpoints.iter(), now),
    }
}

fn age(at: Moment, now: Moment) -> f64 {
    // The clocks of two clusters differ.
    now.duration_since(at).as_secs_f64().max(0.0)
}

fn newest<'a>(checkpoints: impl Iterator<Item = &'a Checkpoint>, now: Moment) -> Cell<f64> {
    match checkpoints.filter_map(|one| one.at).max() {
        Some(at) => Cell::known(age(at, now)),
        None => Cell::unknown("there is no checkpoint: emit.checkpoints.enabled, and groups that let it through"),
    }
}

/// The sum of what is known, with why it is not all.
fn sum<'a>(cells: impl Iterator<Item = &'a Cell<i64>>, asked: bool) -> Cell<i64> {
    if !asked {
        return Cell::unknown(NO_SOURCE);
    }
    let (mut all, mut reason) = (0_i64, None);
    let mut unknown = false;
    for cell in cells {
        all = all.saturating_add(cell.value.unwrap_or_default());
        unknown |= cell.value.is_none();
        reason = reason.or_else(|| cell.reason.clone());
    }
    Cell {
        value: (!unknown).then_some(all),
        stale_seconds: None,
        reason,
    }
}

/// The copies that names tell of.
fn alone(source: &str, here: &Snapshot) -> Vec<TopicRow> {
    let copies = here.topics().iter().filter(|topic| Own::of(&topic.name).is_none());
    copies
        .filter_map(|topic| {
            let name = original(source, &topic.name);
            (name != topic.name).then(|| TopicRow {
                source: source.to_owned(),
                topic: name.to_owned(),
                mirror: Some(topic.name.clone()),
                partitions: topic.partitions.len(),
                behind_records: Cell::unknown(NO_SOURCE),
            })
        })
        .collect()
}

/// What a topic of the source is called here, where it is here.
fn mirror_of(source: &str, topic: &str, here: &Snapshot) -> Option<String> {
    let renamed = remote(source, topic);
    [renamed.as_str(), topic]
        .into_iter()
        .find(|name| here.topic(name).is_some())
        .map(str::to_owned)
}

/// The source's topics that MirrorMaker has told offsets of, and those that are here by name.
fn compared(name: &str, here: &Snapshot, ends: &Ends<'_>, source: Source<'_>, from: &Ends<'_>) -> Vec<TopicRow> {
    let syncs: BTreeMap<(&str, i32), &Sync> = source
        .syncs
        .iter()
        .map(|sync| ((sync.topic.as_str(), sync.partition), sync))
        .collect();
    let synced: BTreeSet<&str> = source.syncs.iter().map(|sync| sync.topic.as_str()).collect();
    let own = |topic: &str| Own::of(topic).is_some_and(|own| own != Own::Heartbeats);
    let topics = source
        .snapshot
        .topics()
        .iter()
        .filter(|topic| !topic.internal && !own(&topic.name));
    let mut rows = Vec::new();
    for topic in topics {
        let renamed = remote(name, &topic.name);
        if !synced.contains(topic.name.as_str()) && here.topic(&renamed).is_none() {
            // Nothing says that it is to be mirrored.
            continue;
        }
        let mirror = mirror_of(name, &topic.name, here);
        let behind = topic.partitions.iter().map(|partition| {
            let number = partition.partition;
            let Some(told) = from.get(&topic.name, number) else {
                return Cell::unknown(format!("where {}-{number} ends at the source was not seen", topic.name));
            };
            let left = told.span.end - told.span.start;
            let Some(sync) = syncs.get(&(topic.name.as_str(), number)) else {
                return match left {
                    0 => Cell::known(0),
                    _ => Cell::unknown(format!("MirrorMaker has told no offset of {}-{number} yet", topic.name)),
                };
            };
            let here = mirror.as_deref().and_then(|mirror| ends.get(mirror, number));
            match here.map(|told| sync.position(told.span.end)) {
                Some(Some(position)) => Cell::known((told.span.end - position).max(0)),
                Some(None) => Cell::unknown(format!("{}-{number} was made anew here", topic.name)),
                None => Cell::unknown(format!("where {}-{number} ends here was not seen", topic.name)),
            }
        });
        let behind: Vec<Cell<i64>> = behind.collect();
        rows.push(TopicRow {
            source: name.to_owned(),
            topic: topic.name.clone(),
            partitions: topic.partitions.len(),
            behind_records: sum(behind.iter(), true),
            mirror,
        });
    }
    rows
}

fn groups(
    name: &str,
    here: &Snapshot,
    checkpoints: &[Checkpoint],
    source: Option<Source<'_>>,
    now: Moment,
) -> Vec<GroupRow> {
    let mut told: BTreeMap<(&str, &str), Vec<&Checkpoint>> = BTreeMap::new();
    for checkpoint in checkpoints {
        let topic = original(name, &checkpoint.topic);
        told.entry((checkpoint.group.as_str(), topic))
            .or_default()
            .push(checkpoint);
    }
    let row = |((group, topic), checkpoints): ((&str, &str), Vec<&Checkpoint>)| {
        let committed =
            |checkpoint: &&&Checkpoint| commit(here, group, &checkpoint.topic, checkpoint.partition).is_some();
        let behind: Vec<Cell<i64>> = checkpoints
            .iter()
            .map(|checkpoint| match source {
                None => Cell::unknown(NO_SOURCE),
                Some(source) => match commit(source.snapshot, group, topic, checkpoint.partition) {
                    Some(at) => Cell::known((at - checkpoint.upstream).max(0)),
                    None => Cell::unknown(format!("group {group} has no commit of {topic} at the source any more")),
                },
            })
            .collect();
        GroupRow {
            source: name.to_owned(),
            group: group.to_owned(),
            topic: topic.to_owned(),
            partitions: checkpoints.len(),
            behind_records: sum(behind.iter(), source.is_some()),
            committed: checkpoints.iter().filter(committed).count(),
            checkpoint_seconds: newest(checkpoints.iter().copied(), now),
        }
    };
    told.into_iter().map(row).collect()
}

fn commit(snapshot: &Snapshot, group: &str, topic: &str, partition: i32) -> Option<i64> {
    let group: &Group = snapshot.groups.get()?.iter().find(|one| one.name == group)?;
    let mut commits = group.commits.iter();
    let found = commits.find(|commit| commit.topic == topic && commit.partition == partition)?;
    Some(found.offset)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Observed;
    use crate::model::group::Commit;
    use crate::model::offset::{Offsets, Span};
    use crate::model::topic::{Partition, Topic};

    fn at(second: i64) -> Moment {
        Moment::from_second(1_700_000_000 + second).unwrap()
    }

    /// A cluster with these topics of one partition, each with where its log ends.
    fn cluster(topics: &[(&str, i64)], commits: &[(&str, &str, i64)]) -> Snapshot {
        let mut topics = topics.to_vec();
        topics.sort();
        let named = topics.iter().map(|(name, _)| Topic {
            name: (*name).to_owned(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: vec![Partition {
                partition: 0,
                leader: Some(1),
                replicas: [1].into(),
                ..Partition::default()
            }],
        });
        let spans = topics.iter().map(|(name, end)| {
            let span = Span {
                start: 0,
                end: *end,
                rate: None,
            };
            (*name, 0, span)
        });
        let groups = commits.iter().map(|(group, topic, offset)| {
            Arc::new(Group {
                name: (*group).to_owned(),
                commits: vec![Commit {
                    topic: (*topic).into(),
                    partition: 0,
                    offset: *offset,
                    metadata: Box::default(),
                }],
                ..Group::default()
            })
        });
        let mut snapshot = Snapshot {
            topics: Observed::fresh(named.collect(), at(0)),
            groups: Observed::fresh(groups.collect(), at(0)),
            ..Snapshot::default()
        };
        let offsets = Offsets::from_iter(spans);
        snapshot.offsets.insert(1, Observed::fresh(offsets, at(0)));
        snapshot
    }

    fn sync(topic: &str, upstream: i64, downstream: i64) -> Sync {
        Sync {
            topic: topic.to_owned(),
            partition: 0,
            upstream,
            downstream,
        }
    }

    fn left() -> Left {
        let checkpoint = Checkpoint {
            group: "billing".to_owned(),
            topic: "a.orders".to_owned(),
            partition: 0,
            upstream: 90,
            downstream: 30,
            at: Some(at(-20)),
        };
        Left {
            heartbeats: [("a".to_owned(), at(-3))].into(),
            checkpoints: [("a".to_owned(), vec![checkpoint])].into(),
            ..Left::default()
        }
    }

    #[test]
    fn what_is_missing_is_counted_from_the_newest_sync() {
        let here = cluster(
            &[("a.heartbeats", 9), ("a.checkpoints.internal", 1), ("a.orders", 50)],
            &[("billing", "a.orders", 30)],
        );
        let there = cluster(
            &[("heartbeats", 9), ("orders", 117), ("private", 5)],
            &[("billing", "orders", 100)],
        );
        // Record 100 of the source is record 40 here, so that 110 are here of 117.
        let syncs = [sync("orders", 100, 40)];
        let source = Source {
            snapshot: &there,
            syncs: &syncs,
        };
        let told = Mirrors::of(&here, &left(), Some(("a", source)), at(0));
        let flow = &told.flows[0];
        assert_eq!((flow.source.as_str(), flow.behind_seconds.value), ("a", Some(3.0)));
        assert_eq!(told.flows.len(), 1);
        let orders = told.topics.iter().find(|topic| topic.topic == "orders").unwrap();
        assert_eq!(
            (orders.mirror.as_deref(), orders.behind_records.value),
            (Some("a.orders"), Some(7))
        );
        assert!(
            told.topics.iter().all(|topic| topic.topic != "private"),
            "nothing says that it is mirrored"
        );
        let group = &told.groups[0];
        assert_eq!((group.group.as_str(), group.topic.as_str()), ("billing", "orders"));
        assert_eq!((group.behind_records.value, group.committed), (Some(10), 1));
        assert_eq!(group.checkpoint_seconds.value, Some(20.0));
        assert!(!told.stands_still());
    }

    #[test]
    fn without_the_source_what_is_behind_is_unknown_with_a_reason() {
        let here = cluster(&[("a.heartbeats", 9), ("a.orders", 50)], &[]);
        let told = Mirrors::of(&here, &left(), None, at(90));
        assert_eq!(told.topics[0].topic, "orders");
        for cell in [
            &told.flows[0].behind_records,
            &told.topics[0].behind_records,
            &told.groups[0].behind_records,
        ] {
            assert_eq!((cell.value, cell.reason.as_deref()), (None, Some(NO_SOURCE)));
        }
        assert!(told.stands_still(), "no heartbeat for 93 s");
        assert_eq!(told.groups[0].committed, 0);
    }

    #[test]
    fn a_copy_that_was_made_anew_or_never_told_is_unknown() {
        let here = cluster(&[("a.heartbeats", 9), ("a.orders", 3), ("a.clicks", 4)], &[]);
        let there = cluster(&[("orders", 117), ("clicks", 4)], &[]);
        let syncs = [sync("orders", 100, 40)];
        let source = Source {
            snapshot: &there,
            syncs: &syncs,
        };
        let told = Mirrors::of(&here, &Left::default(), Some(("a", source)), at(0));
        let reason = |topic: &str| {
            let row = told.topics.iter().find(|row| row.topic == topic).unwrap();
            assert_eq!(row.behind_records.value, None);
            row.behind_records.reason.clone().unwrap()
        };
        assert!(reason("orders").contains("made anew"));
        assert!(reason("clicks").contains("no offset of clicks-0 yet"));
        assert_eq!(told.flows[0].behind_records.value, None);
        assert!(told.flows[0].behind_seconds.reason.is_some());
    }
}
