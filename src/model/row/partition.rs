//! One partition: where its replicas are, which are in sync, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Cell;
pub use super::badge::{Badge, Badges};
use crate::model::ends::{self, Ends, Told};
use crate::model::places::{Cursor, Places};
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Partition, Role};
use crate::model::{BrokerId, Moment};

/// One partition, ready to show. Small, because a wide cluster has a hundred thousand.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionRow {
    /// Shared by the topic's partitions.
    pub topic: Arc<str>,
    pub partition: i32,
    pub leader: Option<BrokerId>,
    pub leader_epoch: i32,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
    pub min_isr: Cell<u32>,
    pub start: Cell<i64>,
    pub end: Cell<i64>,
    /// Records per second.
    pub rate: Cell<f64>,
    /// Of the leader's replica.
    pub size_bytes: Cell<u64>,
    pub badges: Badges,
}

impl PartitionRow {
    /// What each replica is, in order of preference.
    pub fn roles(&self) -> impl Iterator<Item = (BrokerId, Role)> + '_ {
        self.replicas.iter().map(|id| (*id, self.role_of(*id)))
    }

    /// What a broker is to this partition; `None` where it holds no replica.
    pub fn role(&self, id: BrokerId) -> Option<Role> {
        self.replicas.contains(&id).then(|| self.role_of(id))
    }

    fn role_of(&self, id: BrokerId) -> Role {
        let in_sync = self.isr.contains(&id);
        if self.leader == Some(id) {
            Role::Leader
        } else if self.removing.contains(&id) {
            Role::Removing
        } else if self.adding.contains(&id) && !in_sync {
            Role::Adding
        } else if in_sync {
            Role::InSync
        } else {
            Role::OutOfSync
        }
    }
}

/// Sizes of replicas, by topic.
#[derive(Debug, Default)]
pub(super) struct Sizes<'a> {
    /// Sorted by partition and broker.
    places: Places<'a, (i32, BrokerId, u64)>,
}

impl<'a> Sizes<'a> {
    /// Linear in the replicas that were told.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut places = Places::new(snapshot.topics());
        for (id, dirs) in &snapshot.logdirs {
            for dir in dirs.get().into_iter().flatten() {
                let mut cursor = Cursor::default();
                for replica in dir.replicas.iter().filter(|replica| !replica.future) {
                    let own = places.list_mut(&mut cursor, &replica.topic);
                    own.push((replica.partition, *id, replica.size_bytes));
                }
            }
        }
        for own in places.lists_mut() {
            own.sort_unstable();
        }
        Self { places }
    }

    /// The sizes of one topic's replicas, for [`size_of`].
    pub fn of_topic(&self, topic: &str) -> &[(i32, BrokerId, u64)] {
        self.places.list(topic)
    }
}

/// One replica of what [`Sizes::of_topic`] gave.
pub(super) fn size_of(sizes: &[(i32, BrokerId, u64)], broker: BrokerId, partition: i32) -> Option<u64> {
    let key = |(known, id, _): &(i32, BrokerId, u64)| (*known, *id);
    let at = sizes.binary_search_by_key(&(partition, broker), key).ok()?;
    Some(sizes[at].2)
}

impl PartitionRow {
    /// In order of topic and partition.
    pub(super) fn all(snapshot: &Snapshot, ends: &Ends<'_>, sizes: &Sizes<'_>, now: Moment) -> Vec<Self> {
        let racks = Racks::of(snapshot);
        let moves = reassignments(snapshot);
        let min_isr = MinIsr::of(snapshot);
        let mut rows = Vec::with_capacity(snapshot.topics().iter().map(|topic| topic.partitions.len()).sum());
        for topic in snapshot.topics() {
            // What is the same for all partitions of a topic is looked up once.
            let (told, sizes) = (ends.of_topic(&topic.name), sizes.of_topic(&topic.name));
            let min_isr = min_isr.of_topic(&topic.name);
            let name: Arc<str> = topic.name.as_str().into();
            rows.extend(topic.partitions.iter().map(|partition| {
                let moving = match moves.is_empty() {
                    true => None,
                    false => moves.get(&(topic.name.as_str(), partition.partition)).copied(),
                };
                let facts = Facts {
                    racks: &racks,
                    told: ends::of(told, partition.partition),
                    moving,
                    sizes,
                    min_isr: min_isr.clone(),
                    now,
                };
                Self::of(snapshot, &name, partition, facts)
            }));
        }
        rows
    }

    fn of(snapshot: &Snapshot, topic: &Arc<str>, partition: &Partition, facts: Facts<'_>) -> Self {
        let (adding, removing) = facts
            .moving
            .map_or_else(Default::default, |m| (m.adding.clone(), m.removing.clone()));
        let badges = badges(partition, &facts);
        Self {
            topic: Arc::clone(topic),
            partition: partition.partition,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            adding,
            removing,
            start: offset(snapshot, partition, &facts, |span| Some(span.start)),
            end: offset(snapshot, partition, &facts, |span| Some(span.end)),
            rate: offset(snapshot, partition, &facts, |span| span.rate),
            size_bytes: leader_size(snapshot, partition, &facts),
            min_isr: facts.min_isr,
            badges,
        }
    }
}

struct Facts<'a> {
    racks: &'a Racks,
    told: Option<Told>,
    moving: Option<&'a Reassignment>,
    /// Of this topic.
    sizes: &'a [(i32, BrokerId, u64)],
    min_isr: Cell<u32>,
    now: Moment,
}

fn badges(partition: &Partition, facts: &Facts<'_>) -> Badges {
    // A replica that is being added is expected to be missing from the ISR; it is no fault.
    let adding = facts.moving.map_or(&[][..], |moving| &moving.adding);
    let settled: Vec<BrokerId> = partition
        .replicas
        .iter()
        .copied()
        .filter(|id| !adding.contains(id))
        .collect();
    let in_sync = partition.isr.len() as u32;
    let min_isr = facts.min_isr.value;
    let under_replicated = settled.iter().any(|id| !partition.isr.contains(id));
    let mut badges = Badges::default();
    let mut raise = |badge, when| {
        if when {
            badges.insert(badge);
        }
    };
    raise(Badge::Offline, partition.is_offline());
    raise(Badge::UnderMinIsr, min_isr.is_some_and(|min| in_sync < min));
    raise(Badge::AtMinIsr, under_replicated && min_isr == Some(in_sync));
    raise(Badge::UnderReplicated, under_replicated);
    raise(Badge::RackViolation, violates_racks(&settled, facts.racks));
    raise(Badge::LowReplication, settled.len() < 3);
    let spares = settled.len() > 1;
    raise(
        Badge::MinIsrIsRf,
        spares && min_isr.is_some_and(|min| min as usize >= settled.len()),
    );
    raise(Badge::MinIsrOne, spares && min_isr == Some(1));
    raise(
        Badge::LeaderNotPreferred,
        !partition.is_offline() && !partition.is_leader_preferred(),
    );
    raise(Badge::Reassigning, facts.moving.is_some());
    badges
}

/// Whether the replicas stand in fewer racks than they could. Unknown racks are no evidence.
fn violates_racks(replicas: &[BrokerId], racks: &Racks) -> bool {
    if racks.count < 2 {
        return false;
    }
    let mut used = Vec::with_capacity(replicas.len());
    for id in replicas {
        match racks.by_broker.get(id) {
            Some(rack) if used.contains(rack) => {}
            Some(rack) => used.push(*rack),
            None => return false,
        };
    }
    used.len() < replicas.len().min(racks.count)
}

/// Which broker stands in which rack; racks are numbers, for comparing them is done for every replica.
struct Racks {
    by_broker: BTreeMap<BrokerId, usize>,
    count: usize,
}

impl Racks {
    fn of(snapshot: &Snapshot) -> Self {
        let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
        let names: BTreeSet<&str> = brokers.iter().filter_map(|broker| broker.rack.as_deref()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let place = |rack: &str| names.binary_search(&rack).ok();
        Self {
            by_broker: brokers
                .iter()
                .filter_map(|broker| Some((broker.id, place(broker.rack.as_deref()?)?)))
                .collect(),
            count: names.len(),
        }
    }
}

fn reassignments(snapshot: &Snapshot) -> BTreeMap<(&str, i32), &Reassignment> {
    let moves = snapshot.reassignments.get().map_or(&[][..], Vec::as_slice);
    moves
        .iter()
        .map(|moving| ((moving.topic.as_str(), moving.partition), moving))
        .collect()
}

fn offset<T>(
    snapshot: &Snapshot,
    partition: &Partition,
    facts: &Facts<'_>,
    take: impl FnOnce(crate::model::offset::Span) -> Option<T>,
) -> Cell<T> {
    let section = partition.leader.and_then(|leader| snapshot.offsets.get(&leader));
    match (section, facts.told) {
        (Some(section), Some(told)) if Some(told.by) == partition.leader => {
            Cell::from(section, facts.now, "seen only once yet", |_| take(told.span))
        }
        // The leader has just moved: what the old leader told is still the best that is known.
        (_, Some(told)) => Cell {
            value: take(told.span),
            stale_seconds: None,
            reason: Some("told by the previous leader".to_owned()),
        },
        (section, None) => Cell::unknown(
            match (partition.leader, section.and_then(|section| section.problem())) {
                (None, _) => "the partition is offline".to_owned(),
                (Some(leader), Some(problem)) => format!("broker {leader}: {problem}"),
                (Some(leader), None) => format!("broker {leader} has not told its offsets"),
            },
        ),
    }
}

fn leader_size(snapshot: &Snapshot, partition: &Partition, facts: &Facts<'_>) -> Cell<u64> {
    let Some(leader) = partition.leader else {
        return Cell::unknown("the partition is offline");
    };
    let Some(section) = snapshot.logdirs.get(&leader) else {
        return Cell::unknown(format!("broker {leader} has not told its log dirs"));
    };
    Cell::from(section, facts.now, "not in the leader's log dirs", |_| {
        size_of(facts.sizes, leader, partition.partition)
    })
}

/// `min.insync.replicas` by topic.
struct MinIsr<'a> {
    snapshot: &'a Snapshot,
    problem: String,
}

impl<'a> MinIsr<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let problem = snapshot.topic_configs.problem();
        Self {
            snapshot,
            problem: problem.unwrap_or_else(|| "min.insync.replicas was not told".to_owned()),
        }
    }

    fn of_topic(&self, topic: &str) -> Cell<u32> {
        match self.snapshot.min_isr(topic) {
            Some(value) => Cell::known(value),
            None => Cell::unknown(self.problem.clone()),
        }
    }
}
