//! One partition: where its replicas are, which are in sync, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use super::badge::{Badge, Badges};
use super::{Cell, Doubt, Told};
use crate::model::ends::{self, Ends};
use crate::model::offset::Span;
use crate::model::places::{Cursor, Places};
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Partition, Role};
use crate::model::{BrokerId, BrokerIds, Moment};

/// One partition, ready to show. Small, because a wide cluster has a hundred thousand.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionRow {
    /// Shared by the topic's partitions.
    pub topic: Arc<str>,
    pub partition: i32,
    pub leader: Option<BrokerId>,
    pub leader_epoch: i32,
    /// In order of preference.
    pub replicas: BrokerIds,
    pub isr: BrokerIds,
    /// Not in sync, and all the same with all that was committed (KIP-966); `None` where there is none.
    eligible: Option<Box<Eligible>>,
    /// Shared by the topic's partitions.
    pub min_isr: Arc<Cell<u32>>,
    pub badges: Badges,
    /// `None` where nothing is being reassigned.
    moving: Option<Box<Moving>>,
    span: Told<Span>,
    /// Of the leader's replica.
    size_bytes: Told<u64>,
}

/// A type of its own, so that a row holds a thin pointer: hardly any has such replicas.
#[derive(Debug, Clone, PartialEq)]
struct Eligible(BrokerIds);

/// What a reassignment adds to a partition and takes from it.
#[derive(Debug, Clone, PartialEq)]
struct Moving {
    adding: Vec<BrokerId>,
    removing: Vec<BrokerId>,
}

impl PartitionRow {
    /// Replicas that have all that was committed, those in sync first.
    pub fn safe(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let eligible = self.eligible.iter().flat_map(|all| all.0.iter());
        self.isr
            .iter()
            .chain(eligible.filter(|id| !self.isr.contains(id)))
            .copied()
    }

    /// Replicas that a reassignment adds.
    pub fn adding(&self) -> &[BrokerId] {
        self.moving.as_ref().map_or(&[], |moving| &moving.adding)
    }

    /// Replicas that a reassignment takes away.
    pub fn removing(&self) -> &[BrokerId] {
        self.moving.as_ref().map_or(&[], |moving| &moving.removing)
    }

    /// The first offset.
    pub fn start(&self) -> Cell<i64> {
        self.span.cell(ONCE, |span| Some(span.start))
    }

    /// The next offset.
    pub fn end(&self) -> Cell<i64> {
        self.span.cell(ONCE, |span| Some(span.end))
    }

    /// Records per second.
    pub fn rate(&self) -> Cell<f64> {
        self.span.cell(ONCE, |span| span.rate)
    }

    /// As if its leader had told this just now.
    #[cfg(test)]
    pub fn tell(&mut self, span: Span, size_bytes: u64) {
        self.span = Told::known(span);
        self.size_bytes = Told::known(size_bytes);
    }

    /// Bytes of the leader's replica.
    pub fn size_bytes(&self) -> Cell<u64> {
        self.size_bytes.cell("not in the leader's log dirs", |size| Some(*size))
    }
}

/// Why there is no rate yet.
const ONCE: &str = "seen only once yet";

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
        } else if self.removing().contains(&id) {
            Role::Removing
        } else if self.adding().contains(&id) && !in_sync {
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
        let doubts = Doubts::of(snapshot, now);
        let moves = reassignments(snapshot);
        let min_isr = MinIsr::of(snapshot);
        let mut rows = Vec::with_capacity(snapshot.topics().iter().map(|topic| topic.partitions.len()).sum());
        for topic in snapshot.topics() {
            // What is the same for all partitions of a topic is looked up once.
            let (told, sizes) = (ends.of_topic(&topic.name), sizes.of_topic(&topic.name));
            let min_isr = Arc::new(min_isr.of_topic(&topic.name));
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
                    min_isr: &min_isr,
                    doubts: &doubts,
                };
                Self::of(&name, partition, &facts)
            }));
        }
        rows
    }

    fn of(topic: &Arc<str>, partition: &Partition, facts: &Facts<'_>) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition: partition.partition,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            eligible: (!partition.eligible.is_empty()).then(|| Box::new(Eligible(partition.eligible.clone()))),
            min_isr: Arc::clone(facts.min_isr),
            badges: badges(partition, facts),
            moving: facts.moving.map(|moving| {
                Box::new(Moving {
                    adding: moving.adding.clone(),
                    removing: moving.removing.clone(),
                })
            }),
            span: facts.doubts.span(partition, facts.told),
            size_bytes: facts.doubts.size(partition, facts.sizes),
        }
    }
}

struct Facts<'a> {
    racks: &'a Racks,
    told: Option<ends::Told>,
    moving: Option<&'a Reassignment>,
    /// Of this topic.
    sizes: &'a [(i32, BrokerId, u64)],
    min_isr: &'a Arc<Cell<u32>>,
    doubts: &'a Doubts,
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

/// Why what leaders told is in doubt, once for each.
struct Doubts {
    /// Of brokers that were asked for offsets.
    offsets: BTreeMap<BrokerId, Asked>,
    /// Of brokers that were asked for their log directories.
    logdirs: BTreeMap<BrokerId, Option<Arc<Doubt>>>,
    /// Of others that lead.
    unasked: BTreeMap<BrokerId, Unasked>,
    offline: Arc<Doubt>,
    moved: Arc<Doubt>,
}

/// A broker that was asked for offsets.
struct Asked {
    /// On what it told.
    told: Option<Arc<Doubt>>,
    /// Where it told nothing.
    untold: Arc<Doubt>,
}

/// A broker that leads and was not asked.
struct Unasked {
    offsets: Arc<Doubt>,
    logdirs: Arc<Doubt>,
}

impl Doubts {
    fn of(snapshot: &Snapshot, now: Moment) -> Self {
        let offsets = snapshot.offsets.iter().map(|(id, section)| {
            let untold = match section.problem() {
                Some(problem) => format!("broker {id}: {problem}"),
                None => untold(*id),
            };
            let asked = Asked {
                told: Doubt::of(section, now),
                untold: Doubt::why(untold),
            };
            (*id, asked)
        });
        let logdirs = snapshot.logdirs.iter();
        let leaders: BTreeSet<BrokerId> = snapshot.partitions().filter_map(|(_, part)| part.leader).collect();
        let known = |id: &BrokerId| snapshot.offsets.contains_key(id) && snapshot.logdirs.contains_key(id);
        let unasked = leaders.into_iter().filter(|id| !known(id)).map(|id| {
            let unasked = Unasked {
                offsets: Doubt::why(untold(id)),
                logdirs: Doubt::why(format!("broker {id} has not told its log dirs")),
            };
            (id, unasked)
        });
        Self {
            offsets: offsets.collect(),
            logdirs: logdirs.map(|(id, dirs)| (*id, Doubt::of(dirs, now))).collect(),
            unasked: unasked.collect(),
            offline: Doubt::why("the partition is offline"),
            moved: Doubt::why("told by the previous leader"),
        }
    }

    fn span(&self, partition: &Partition, told: Option<ends::Told>) -> Told<Span> {
        let asked = partition.leader.and_then(|leader| self.offsets.get(&leader));
        match (asked, told) {
            (Some(asked), Some(told)) if Some(told.by) == partition.leader => Told {
                value: Some(told.span),
                doubt: asked.told.clone(),
            },
            // The leader has just moved: what the old leader told is still the best that is known.
            (_, Some(told)) => Told {
                value: Some(told.span),
                doubt: Some(Arc::clone(&self.moved)),
            },
            (Some(asked), None) => Told::unknown(Arc::clone(&asked.untold)),
            (None, None) => Told::unknown(self.unasked(partition, |unasked| &unasked.offsets)),
        }
    }

    fn size(&self, partition: &Partition, sizes: &[(i32, BrokerId, u64)]) -> Told<u64> {
        let Some(leader) = partition.leader else {
            return Told::unknown(Arc::clone(&self.offline));
        };
        match self.logdirs.get(&leader) {
            Some(doubt) => Told {
                value: size_of(sizes, leader, partition.partition),
                doubt: doubt.clone(),
            },
            None => Told::unknown(self.unasked(partition, |unasked| &unasked.logdirs)),
        }
    }

    fn unasked(&self, partition: &Partition, which: impl FnOnce(&Unasked) -> &Arc<Doubt>) -> Arc<Doubt> {
        let leader = partition.leader.and_then(|leader| self.unasked.get(&leader));
        Arc::clone(leader.map_or(&self.offline, which))
    }
}

fn untold(leader: BrokerId) -> String {
    format!("broker {leader} has not told its offsets")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_rows_take_sixteen_megabytes() {
        let bytes = std::mem::size_of::<PartitionRow>();
        assert!(bytes <= 160, "{bytes}");
    }
}
