//! One partition: where its replicas are, which are in sync, and what is wrong with it.

mod known;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

pub use super::badge::{Badge, Badges};
use super::{Cell, Doubt};
use crate::model::ends::{self, Ends};
use crate::model::places::{Cursor, Places};
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Partition, Role, Topic};
use crate::model::{BrokerId, Moment};
use known::{Facts, Known, Racks, Teller};

/// All partitions, in order of topic and partition. Where they are placed is the snapshot's own, and only what is worked out is
/// held beside it: a wide cluster has a hundred thousand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Partitions {
    /// Shared with the snapshot.
    topics: Arc<Vec<Topic>>,
    /// By the place of the topic.
    min_isr: Vec<Cell<u32>>,
    /// Of each partition, in order.
    known: Vec<Known>,
    /// Shared with the snapshot.
    moves: Arc<Vec<Reassignment>>,
    /// Places in `moves`, by the place of the topic and the partition.
    moving: BTreeMap<(u32, i32), usize>,
    doubts: Doubts,
}

impl Partitions {
    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = PartitionRow<'_>> + Clone {
        self.by_topic().flat_map(|(_, own)| own)
    }

    /// Each topic with its partitions.
    pub fn by_topic(&self) -> impl Iterator<Item = (&Topic, impl Iterator<Item = PartitionRow<'_>> + Clone)> + Clone {
        let mut rest = self.known.as_slice();
        self.topics.iter().map(move |topic| {
            let (own, others) = rest.split_at(topic.partitions.len());
            rest = others;
            let both = topic.partitions.iter().zip(own);
            (
                topic,
                both.map(|(placed, known)| PartitionRow {
                    all: self,
                    placed,
                    known,
                }),
            )
        })
    }

    /// Those of one topic.
    pub fn of_topic(&self, name: &str) -> impl Iterator<Item = PartitionRow<'_>> {
        let found = self.by_topic().find(|(topic, _)| topic.name == name);
        found.into_iter().flat_map(|(_, own)| own)
    }

    /// As if every leader had told this of each of its partitions just now.
    #[cfg(test)]
    pub fn tell(&mut self, span: crate::model::offset::Span, size_bytes: u64) {
        for known in &mut self.known {
            (known.start, known.end) = (span.start, span.end);
            known.rate = span.rate.unwrap_or(Known::NO_RATE);
            (known.teller, known.size_bytes) = (Teller::Leader, size_bytes);
        }
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        self.doubts = Doubts {
            offsets: BTreeMap::new(),
            logdirs: partitions.filter_map(|one| Some((one.leader?, None))).collect(),
        };
    }
}

/// One partition, ready to show: a view of what [`Partitions`] holds of it, made when somebody looks.
#[derive(Clone, Copy)]
pub struct PartitionRow<'a> {
    all: &'a Partitions,
    placed: &'a Partition,
    known: &'a Known,
}

/// To where it is placed.
impl Deref for PartitionRow<'_> {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        self.placed
    }
}

impl<'a> PartitionRow<'a> {
    /// Where it is placed, to be looked at when this view is gone.
    pub fn placed(&self) -> &'a Partition {
        self.placed
    }

    /// The name of its topic.
    pub fn topic(&self) -> &'a str {
        &self.all.topics[self.known.topic as usize].name
    }

    /// Of its topic.
    pub fn min_isr(&self) -> &'a Cell<u32> {
        &self.all.min_isr[self.known.topic as usize]
    }

    pub fn badges(&self) -> Badges {
        self.known.badges
    }

    /// What a reassignment does to it.
    fn moving(&self) -> Option<&'a Reassignment> {
        // Hardly any is moving, and its badges are at hand.
        if !self.badges().contains(Badge::Reassigning) {
            return None;
        }
        let at = self.all.moving.get(&(self.known.topic, self.partition))?;
        Some(&self.all.moves[*at])
    }

    /// Replicas that a reassignment adds.
    pub fn adding(&self) -> &'a [BrokerId] {
        self.moving().map_or(&[], |moving| &moving.adding)
    }

    /// Replicas that a reassignment takes away.
    pub fn removing(&self) -> &'a [BrokerId] {
        self.moving().map_or(&[], |moving| &moving.removing)
    }

    /// The first offset.
    pub fn start(&self) -> Cell<i64> {
        self.of_log(|known| Some(known.start))
    }

    /// The next offset.
    pub fn end(&self) -> Cell<i64> {
        self.of_log(|known| Some(known.end))
    }

    /// Records per second.
    pub fn rate(&self) -> Cell<f64> {
        self.of_log(Known::rate)
    }

    fn of_log<T>(&self, take: impl FnOnce(&Known) -> Option<T>) -> Cell<T> {
        let doubts = &self.all.doubts;
        match self.known.teller {
            Teller::Nobody => Cell::unknown(doubts.untold(self.leader)),
            Teller::Leader => Cell::doubted(take(self.known), doubts.of_offsets(self.leader), "seen only once yet"),
            Teller::OldLeader => Cell {
                value: take(self.known),
                stale_seconds: None,
                reason: Some("told by the previous leader".to_owned()),
            },
        }
    }

    /// Bytes of the leader's replica.
    pub fn size_bytes(&self) -> Cell<u64> {
        let Some(leader) = self.leader else {
            return Cell::unknown(OFFLINE);
        };
        match self.all.doubts.logdirs.get(&leader) {
            Some(doubt) => Cell::doubted(self.known.size_bytes(), doubt.as_ref(), "not in the leader's log dirs"),
            None => Cell::unknown(format!("broker {leader} has not told its log dirs")),
        }
    }

    /// What each replica is, in order of preference.
    pub fn roles(&self) -> impl Iterator<Item = (BrokerId, Role)> {
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

impl Partitions {
    pub(super) fn of(snapshot: &Snapshot, ends: &Ends<'_>, sizes: &Sizes<'_>, now: Moment) -> Self {
        let topics = snapshot.topics.value.clone().unwrap_or_default();
        let moves = snapshot.reassignments.value.clone().unwrap_or_default();
        let racks = Racks::of(snapshot);
        let places = places(&moves);
        let told_min_isr = MinIsr::of(snapshot);
        let mut min_isr = Vec::with_capacity(topics.len());
        let mut known = Vec::with_capacity(topics.iter().map(|topic| topic.partitions.len()).sum());
        let mut moving = BTreeMap::new();
        for (at, topic) in topics.iter().enumerate() {
            // What is the same for all partitions of a topic is looked up once.
            let (told, sizes) = (ends.of_topic(&topic.name), sizes.of_topic(&topic.name));
            let own_min_isr = told_min_isr.of_topic(&topic.name);
            known.extend(topic.partitions.iter().map(|partition| {
                let place = match places.is_empty() {
                    true => None,
                    false => places.get(&(topic.name.as_str(), partition.partition)).copied(),
                };
                moving.extend(place.map(|place| ((at as u32, partition.partition), place)));
                let facts = Facts {
                    topic: at as u32,
                    racks: &racks,
                    told: ends::of(told, partition.partition),
                    moving: place.map(|place| &moves[place]),
                    sizes,
                    min_isr: own_min_isr.value,
                };
                Known::of(partition, &facts)
            }));
            min_isr.push(own_min_isr);
        }
        Self {
            doubts: Doubts::of(snapshot, now),
            topics,
            min_isr,
            known,
            moves,
            moving,
        }
    }
}

/// Places of reassignments, by topic and partition.
fn places(moves: &[Reassignment]) -> BTreeMap<(&str, i32), usize> {
    let all = moves.iter().enumerate();
    all.map(|(at, moving)| ((moving.topic.as_str(), moving.partition), at))
        .collect()
}

const OFFLINE: &str = "the partition is offline";

/// Why what leaders told is in doubt.
#[derive(Debug, Clone, Default, PartialEq)]
struct Doubts {
    /// Of brokers whose offsets are in doubt.
    offsets: BTreeMap<BrokerId, Doubt>,
    /// Of all brokers that were asked for their log directories.
    logdirs: BTreeMap<BrokerId, Option<Doubt>>,
}

impl Doubts {
    fn of(snapshot: &Snapshot, now: Moment) -> Self {
        let (offsets, logdirs) = (snapshot.offsets.iter(), snapshot.logdirs.iter());
        Self {
            offsets: offsets
                .filter_map(|(id, told)| Some((*id, Doubt::of(told, now)?)))
                .collect(),
            logdirs: logdirs.map(|(id, dirs)| (*id, Doubt::of(dirs, now))).collect(),
        }
    }

    /// On the offsets that a leader told.
    fn of_offsets(&self, leader: Option<BrokerId>) -> Option<&Doubt> {
        self.offsets.get(&leader?)
    }

    /// Why nobody told the offsets of what this one leads.
    fn untold(&self, leader: Option<BrokerId>) -> String {
        let problem = self.of_offsets(leader).and_then(|doubt| doubt.reason.as_deref());
        match (leader, problem) {
            (None, _) => OFFLINE.to_owned(),
            (Some(id), Some(problem)) => format!("broker {id}: {problem}"),
            (Some(id), None) => format!("broker {id} has not told its offsets"),
        }
    }
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
