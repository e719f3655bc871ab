//! Where every replica is, by numbers instead of names, so that a planner may try a hundred thousand of them: brokers
//! with what they hold and may take, partitions with what they weigh and where they shall be.
//!
//! Promises: a partition's replicas are on distinct brokers, whatever is asked; what a broker holds is what the
//! partitions say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::disk::Disks;
use super::{Target, is_dead};
use crate::model::snapshot::Snapshot;
use crate::model::topic::{Partition, Topic};
use crate::model::{BrokerId, Observed};

/// A broker by its place in [`Layout::nodes`].
pub(super) type At = usize;

pub(super) struct Layout<'a> {
    /// By id.
    pub nodes: Vec<Node>,
    /// By topic and partition.
    pub parts: Vec<Part<'a>>,
    /// Bytes that a partition of unknown size is taken for where it has to be put somewhere.
    typical: u64,
    /// By topic and then broker, how many of its replicas that one holds.
    of_topics: Vec<u32>,
    /// All brokers.
    everybody: Racks,
}

/// Brokers by their rack: one rack suits a replica as well for any of its brokers.
pub(super) struct Racks(Vec<(usize, Vec<At>)>);

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub id: BrokerId,
    /// Brokers of one rack have the same; one that tells no rack has its own.
    pub rack: usize,
    /// It answers, so it may get replicas.
    pub open: bool,
    /// What it holds; unknown sizes are taken for typical ones.
    pub bytes: u64,
    pub replicas: u32,
    /// Partitions that prefer it.
    pub leaders: u32,
    disks: Disks,
}

#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub topic: &'a str,
    topic_at: usize,
    pub partition: i32,
    /// Where it is.
    pub seen: &'a Partition,
    /// Where it shall be, the preferred leader first.
    pub to: Vec<At>,
    pub size: Option<u64>,
    /// Every copy is made from it.
    pub leader: Option<At>,
    pub hold: Option<Hold>,
}

/// How well a rack suits a replica, the least best: the crowd in it, whether the copy crosses zones, whether it changes
/// racks.
type Suit = (usize, bool, bool);

/// Why a partition is left where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It was not asked for.
    Unasked,
    /// It is being reassigned already.
    Moving,
    /// Nobody leads it, so nobody can copy it.
    Offline,
}

/// The size of every partition: its leader's, or where that one does not tell, the largest that an in-sync follower tells.
pub(super) struct Sizes<'a> {
    topics: &'a [Topic],
    /// By topic and partition: the leader's, the followers'.
    told: Vec<Vec<(Option<u64>, Option<u64>)>>,
}

impl<'a> Sizes<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let topics = snapshot.topics();
        let mut told: Vec<_> = topics
            .iter()
            .map(|topic| vec![(None, None); topic.partitions.len()])
            .collect();
        for (id, section) in &snapshot.logdirs {
            let dirs = section.get().into_iter().flatten();
            let replicas = dirs.flat_map(|dir| dir.replicas.iter());
            // Directories list the partitions of a topic one after the other.
            let mut last: Option<(&str, usize)> = None;
            for replica in replicas.filter(|replica| !replica.future) {
                let name = replica.topic.as_str();
                if last.is_none_or(|(known, _)| known != name) {
                    let at = topics.binary_search_by(|topic| topic.name.as_str().cmp(name));
                    last = at.ok().map(|at| (name, at));
                }
                let Some((_, at)) = last else { continue };
                let partitions = &topics[at].partitions;
                let Some(index) = topics[at].place(replica.partition) else {
                    continue;
                };
                let (own, other) = &mut told[at][index];
                if partitions[index].leader == Some(*id) {
                    *own = Some(replica.size_bytes);
                } else if partitions[index].isr.contains(id) {
                    *other = (*other).max(Some(replica.size_bytes));
                }
            }
        }
        Self { topics, told }
    }

    /// By their places in the snapshot.
    fn at(&self, topic: usize, index: usize) -> Option<u64> {
        let (own, other) = self.told[topic][index];
        own.or(other)
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<u64> {
        let at = self.topics.binary_search_by(|one| one.name.as_str().cmp(topic)).ok()?;
        self.at(at, self.topics[at].place(partition)?)
    }
}

impl<'a> Layout<'a> {
    /// `asked`: whether partitions of this topic may move.
    pub fn of(snapshot: &'a Snapshot, sizes: &Sizes<'_>, asked: impl Fn(&str) -> bool) -> Self {
        let nodes = nodes(snapshot);
        let at: HashMap<BrokerId, At> = nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
        let flying: BTreeSet<(&str, i32)> = snapshot
            .reassignments
            .get()
            .into_iter()
            .flatten()
            .map(|one| (one.topic.as_str(), one.partition))
            .collect();
        let mut parts = Vec::new();
        for (topic_at, topic) in snapshot.topics().iter().enumerate() {
            let asked = asked(&topic.name);
            for (index, seen) in topic.partitions.iter().enumerate() {
                let hold = match () {
                    () if !asked => Some(Hold::Unasked),
                    () if flying.contains(&(topic.name.as_str(), seen.partition)) => Some(Hold::Moving),
                    () if seen.leader.is_none() => Some(Hold::Offline),
                    () => None,
                };
                parts.push(Part {
                    topic: &topic.name,
                    topic_at,
                    partition: seen.partition,
                    seen,
                    to: seen.replicas.iter().map(|id| at[id]).collect(),
                    size: sizes.at(topic_at, index),
                    leader: seen.leader.and_then(|id| at.get(&id).copied()),
                    hold,
                });
            }
        }
        let known: Vec<u64> = parts.iter().filter_map(|part| part.size).collect();
        let of_topics = vec![0; snapshot.topics().len() * nodes.len()];
        let everybody = Racks::of(&nodes, 0..nodes.len());
        let mut layout = Self {
            nodes,
            parts,
            typical: known.iter().sum::<u64>() / known.len().max(1) as u64,
            of_topics,
            everybody,
        };
        for part in 0..layout.parts.len() {
            let weight = layout.weight(part);
            for (place, node) in layout.parts[part].to.clone().into_iter().enumerate() {
                layout.count(part, node, weight, place == 0, 1);
            }
        }
        layout
    }

    /// The broker with this id.
    pub fn at(&self, id: BrokerId) -> Option<At> {
        self.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    /// Bytes, or what is taken for them where they are not known.
    pub fn weight(&self, part: usize) -> u64 {
        self.parts[part].size.unwrap_or(self.typical)
    }

    pub fn rack(&self, node: At) -> usize {
        self.nodes[node].rack
    }

    /// How many of the other replicas of a partition share a rack; `place` is not counted. The fewer, the better spread:
    /// a replica that goes from a rack with `n` others to one with at most `n` leaves its partition no worse than it was.
    pub fn crowd(&self, part: usize, place: Option<usize>, rack: usize) -> usize {
        let others = self.parts[part].to.iter().enumerate();
        others
            .filter(|(at, node)| Some(*at) != place && self.rack(**node) == rack)
            .count()
    }

    pub fn holds(&self, part: usize, node: At) -> bool {
        self.parts[part].to.contains(&node)
    }

    /// Whether a broker answers, has none of the partition, and has room for it.
    pub fn takes(&self, part: usize, node: At) -> bool {
        self.nodes[node].open && !self.holds(part, node) && self.nodes[node].disks.fits(self.landing(part, node))
    }

    /// What comes to its disk: nothing where it holds the partition already.
    fn landing(&self, part: usize, node: At) -> u64 {
        match self.parts[part].seen.replicas.contains(&self.nodes[node].id) {
            true => 0,
            false => self.weight(part),
        }
    }

    pub fn crosses(&self, part: usize, node: At) -> bool {
        let leader = self.parts[part].leader;
        leader.is_some_and(|leader| self.rack(leader) != self.rack(node))
    }

    pub fn replicas_of_topic(&self, part: usize, node: At) -> u32 {
        self.of_topics[self.of_topic(part, node)]
    }

    fn of_topic(&self, part: usize, node: At) -> usize {
        self.parts[part].topic_at * self.nodes.len() + node
    }

    /// Another broker takes the place of the one that is there.
    pub fn replace(&mut self, part: usize, place: usize, node: At) {
        let weight = self.weight(part);
        let before = std::mem::replace(&mut self.parts[part].to[place], node);
        self.count(part, before, weight, place == 0, -1);
        self.count(part, node, weight, place == 0, 1);
        let landing = self.landing(part, node);
        self.nodes[node].disks.land(landing);
    }

    /// One replica more, preferred least.
    pub fn add(&mut self, part: usize, node: At) {
        let weight = self.weight(part);
        let first = self.parts[part].to.is_empty();
        self.parts[part].to.push(node);
        self.count(part, node, weight, first, 1);
        let landing = self.landing(part, node);
        self.nodes[node].disks.land(landing);
    }

    /// One replica less; never the last.
    pub fn remove(&mut self, part: usize, place: usize) {
        let weight = self.weight(part);
        let before = self.parts[part].to.remove(place);
        self.count(part, before, weight, place == 0, -1);
        if let (0, Some(next)) = (place, self.parts[part].to.first()) {
            self.nodes[*next].leaders += 1;
        }
    }

    /// Another of its replicas is preferred from now on; the two change places.
    pub fn prefer(&mut self, part: usize, place: usize) {
        let to = &mut self.parts[part].to;
        self.nodes[to[0]].leaders -= 1;
        to.swap(0, place);
        self.nodes[to[0]].leaders += 1;
    }

    fn count(&mut self, part: usize, node: At, weight: u64, preferred: bool, sign: i32) {
        let at = self.of_topic(part, node);
        let one = &mut self.nodes[node];
        let replicas = &mut self.of_topics[at];
        match sign {
            1.. => {
                one.bytes += weight;
                one.replicas += 1;
                *replicas += 1;
                one.leaders += u32::from(preferred);
            }
            _ => {
                one.bytes -= weight;
                one.replicas -= 1;
                *replicas -= 1;
                one.leaders -= u32::from(preferred);
            }
        }
    }

    /// The broker that best takes a replica which leaves `place`, or which is added; in a rack with at most so many others
    /// of its partition.
    pub fn best(&self, part: usize, place: Option<usize>, shares: &[f64], most: usize) -> Option<At> {
        let fill = |node: At| {
            // In steps, so that topics are spread among brokers that are about equally full.
            const STEPS: f64 = 64.0;
            let after = (self.nodes[node].bytes + self.weight(part)) as f64;
            (after / shares[node].max(1.0) * STEPS) as u64
        };
        self.choose(part, place, &self.everybody, most, fill, |_| true)
    }

    /// Of these brokers the one that takes it best: first the spread over racks, then no copy between zones, then the rack
    /// that it leaves, then who gets least full, then who has fewest of its topic, then the first.
    pub fn choose(
        &self,
        part: usize,
        place: Option<usize>,
        among: &Racks,
        most: usize,
        fill: impl Fn(At) -> u64,
        may: impl Fn(At) -> bool,
    ) -> Option<At> {
        let one = &self.parts[part];
        let leaves = place.map(|place| self.rack(one.to[place]));
        let zone = one.leader.map(|leader| self.rack(leader));
        let suit = |rack: usize| -> Suit {
            (
                self.crowd(part, place, rack),
                zone.is_some_and(|zone| zone != rack),
                leaves.is_some_and(|leaves| leaves != rack),
            )
        };
        let suits = among.0.iter().map(|(rack, nodes)| (suit(*rack), nodes));
        let mut suits: Vec<(Suit, &Vec<At>)> = suits.filter(|(suit, _)| suit.0 <= most).collect();
        suits.sort_by_key(|(suit, _)| *suit);
        suits.chunk_by(|one, other| one.0 == other.0).find_map(|alike| {
            self.emptiest(
                part,
                alike.iter().flat_map(|(_, nodes)| nodes.iter().copied()),
                &fill,
                &may,
            )
        })
    }

    /// Of brokers in racks that suit alike.
    fn emptiest(
        &self,
        part: usize,
        nodes: impl Iterator<Item = At>,
        fill: impl Fn(At) -> u64,
        may: impl Fn(At) -> bool,
    ) -> Option<At> {
        let of_topic = |node| (self.replicas_of_topic(part, node), node);
        let mut best: Option<(u64, At)> = None;
        for node in nodes {
            let fill = fill(node);
            let better = match best {
                None => true,
                Some((known, _)) if known != fill => fill < known,
                Some((_, other)) => of_topic(node) < of_topic(other),
            };
            // Asked last: it takes longer than the rest.
            if better && may(node) && self.takes(part, node) {
                best = Some((fill, node));
            }
        }
        best.map(|(_, node)| node)
    }

    /// Those of these brokers, by their rack.
    pub fn racks_of(&self, nodes: impl Iterator<Item = At>) -> Racks {
        Racks::of(&self.nodes, nodes)
    }

    /// Whether some broker that answers has none of the partition, in a rack with fewer than so many others of it.
    pub fn is_room(&self, part: usize, place: usize, below: usize) -> bool {
        let emptier = |rack: usize| self.crowd(part, Some(place), rack) < below;
        let free = |node: &At| self.nodes[*node].open && !self.holds(part, *node);
        // Nothing is emptier than empty.
        below > 0
            && self
                .everybody
                .0
                .iter()
                .any(|(rack, nodes)| emptier(*rack) && nodes.iter().any(free))
    }

    /// What each of these brokers should hold so that all hold alike, as far as a replica may leave its rack at all: a rack
    /// gets at least the copies that each partition must have there, and at most those that it may. `weigh` gives what
    /// one replica of a partition counts; replicas that are and stay elsewhere do not.
    pub fn shares(&self, among: &[bool], weigh: impl Fn(usize) -> u64) -> Vec<f64> {
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        for (node, _) in self.nodes.iter().enumerate().filter(|(at, _)| among[*at]) {
            *sizes.entry(self.rack(node)).or_default() += 1;
        }
        let mut racks: Vec<Rack> = sizes
            .iter()
            .map(|(rack, brokers)| Rack {
                rack: *rack,
                brokers: *brokers,
                least: 0.0,
                most: 0.0,
            })
            .collect();
        if racks.is_empty() {
            return vec![0.0; self.nodes.len()];
        }
        // Partitions with as many replicas are alike to a rack.
        let mut by_count: BTreeMap<usize, f64> = BTreeMap::new();
        for (at, part) in self.parts.iter().enumerate() {
            let count = part.to.iter().filter(|node| among[**node]).count();
            *by_count.entry(count).or_default() += weigh(at) as f64;
        }
        let total: f64 = by_count.iter().map(|(count, weight)| *count as f64 * weight).sum();
        for (count, weight) in &by_count {
            let (even, over) = (count / racks.len(), count % racks.len());
            for rack in &mut racks {
                rack.least += weight * even.min(rack.brokers) as f64;
                rack.most += weight * (even + usize::from(over > 0)).min(rack.brokers) as f64;
            }
        }
        let level = level_of(&racks, total);
        let share = |node: &Node| {
            let rack = racks.iter().find(|rack| rack.rack == node.rack);
            rack.map_or(0.0, |rack| rack.at(level) / rack.brokers as f64)
        };
        let nodes = self.nodes.iter().zip(among);
        nodes
            .map(|(node, among)| if *among { share(node) } else { 0.0 })
            .collect()
    }

    /// Who may get replicas.
    pub fn open(&self) -> Vec<bool> {
        self.nodes.iter().map(|node| node.open).collect()
    }

    /// The replicas of each broker: partition and place.
    pub fn held(&self) -> Vec<Vec<(usize, usize)>> {
        let mut held = vec![Vec::new(); self.nodes.len()];
        for (at, part) in self.parts.iter().enumerate() {
            for (place, node) in part.to.iter().enumerate() {
                held[*node].push((at, place));
            }
        }
        held
    }

    pub fn name(&self, part: usize) -> String {
        format!("{}-{}", self.parts[part].topic, self.parts[part].partition)
    }

    /// Where each partition shall be that is not there.
    pub fn targets(&self) -> Vec<Target> {
        let id = |node: &At| self.nodes[*node].id;
        let changed = self
            .parts
            .iter()
            .filter(|part| !part.to.iter().map(id).eq(part.seen.replicas.iter().copied()));
        changed
            .map(|part| Target::new(part.topic, part.partition, part.to.iter().map(id).collect()))
            .collect()
    }
}

impl Racks {
    fn of(all: &[Node], nodes: impl Iterator<Item = At>) -> Self {
        let mut racks: BTreeMap<usize, Vec<At>> = BTreeMap::new();
        for node in nodes {
            racks.entry(all[node].rack).or_default().push(node);
        }
        Self(racks.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a rack may hold of everything.
struct Rack {
    rack: usize,
    brokers: usize,
    least: f64,
    most: f64,
}

impl Rack {
    fn at(&self, level: f64) -> f64 {
        (self.brokers as f64 * level).clamp(self.least, self.most.max(self.least))
    }
}

/// What a broker holds when everything is poured out evenly.
fn level_of(racks: &[Rack], total: f64) -> f64 {
    let (mut low, mut high) = (0.0, total);
    // Enough to tell a byte of 100 TB.
    for _ in 0..64 {
        let level = (low + high) / 2.0;
        match racks.iter().map(|rack| rack.at(level)).sum::<f64>() < total {
            true => low = level,
            false => high = level,
        }
    }
    high
}

/// The brokers that are there, and those that only partitions still name.
fn nodes(snapshot: &Snapshot) -> Vec<Node> {
    let listed = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let names: BTreeSet<&str> = listed.iter().filter_map(|broker| broker.rack.as_deref()).collect();
    let names: BTreeMap<&str, usize> = names.into_iter().enumerate().map(|(at, name)| (name, at)).collect();
    let mut ids: BTreeMap<BrokerId, Option<&str>> = snapshot
        .partitions()
        .flat_map(|(_, partition)| partition.replicas.iter().map(|id| (*id, None)))
        .collect();
    ids.extend(listed.iter().map(|broker| (broker.id, broker.rack.as_deref())));
    let node = |(at, (id, rack)): (usize, (BrokerId, Option<&str>))| Node {
        id,
        rack: rack
            .and_then(|name| names.get(name).copied())
            .unwrap_or(names.len() + at),
        open: !is_dead(snapshot, id),
        bytes: 0,
        replicas: 0,
        leaders: 0,
        disks: snapshot
            .logdirs
            .get(&id)
            .and_then(Observed::get)
            .map(|dirs| Disks::of(dirs))
            .unwrap_or_default(),
    };
    ids.into_iter().enumerate().map(node).collect()
}
