//! Who is to get which partition: the assignors of the coordinator (KIP-848).
//!
//! `uniform` gives every member as many partitions as the others as far as subscriptions allow, and moves as few as it
//! can. `range` gives every member a run of each topic's partitions, the same run of topics that have as many
//! partitions and subscribers, so that they can be joined.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::Partitions;
use crate::id::TopicId;

/// How partitions are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    Uniform,
    Range,
}

/// A name that is no assignor's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no server-side assignor named {0}; there are uniform and range")]
pub struct Unknown(String);

/// What an assignor knows of one member.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    pub id: String,
    /// Static members keep their place in the order.
    pub instance: Option<String>,
    pub topics: BTreeSet<TopicId>,
    /// What it has now.
    pub has: Partitions,
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Assignor {
    type Err = Unknown;

    /// By Kafka's name, or by the class that `group.consumer.assignors` may hold.
    fn from_str(name: &str) -> Result<Self, Unknown> {
        match name {
            "uniform" | "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => Ok(Self::Uniform),
            "range" | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Ok(Self::Range),
            other => Err(Unknown(other.to_owned())),
        }
    }
}

impl Assignor {
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The partitions of each candidate, in their order. `sizes` are the partitions of every topic there is.
    pub fn assign(self, candidates: &[Candidate], sizes: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform(candidates, sizes),
            Self::Range => range(candidates, sizes),
        }
    }
}

/// The places of the subscribers of every topic in the list of candidates.
fn subscribers(candidates: &[Candidate], sizes: &BTreeMap<TopicId, i32>) -> BTreeMap<TopicId, Vec<usize>> {
    let mut of: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (place, candidate) in candidates.iter().enumerate() {
        for topic in candidate.topics.iter().filter(|topic| sizes.contains_key(topic)) {
            of.entry(*topic).or_default().push(place);
        }
    }
    of
}

fn range(candidates: &[Candidate], sizes: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
    let mut given = vec![Partitions::new(); candidates.len()];
    for (topic, mut places) in subscribers(candidates, sizes) {
        let name = |place: &usize| {
            let candidate = &candidates[*place];
            (
                candidate.instance.is_none(),
                candidate.instance.clone(),
                candidate.id.clone(),
            )
        };
        places.sort_by_cached_key(name);
        let size = sizes.get(&topic).copied().unwrap_or(0);
        let count = i32::try_from(places.len()).unwrap_or(i32::MAX);
        let mut next = 0;
        for (place, rank) in places.into_iter().zip(0..) {
            let run = size / count + i32::from(rank < size % count);
            if run > 0 {
                given[place].insert(topic, (next..next + run).collect());
            }
            next += run;
        }
    }
    given
}

/// The state of a fair division.
struct Division {
    given: Vec<Partitions>,
    /// How many partitions each member has.
    loads: Vec<usize>,
}

impl Division {
    fn give(&mut self, place: usize, topic: TopicId, partition: i32) {
        self.given[place].entry(topic).or_default().insert(partition);
        self.loads[place] += 1;
    }

    /// Moves a partition of a topic, the last one, to another member.
    fn hand_over(&mut self, topic: TopicId, from: usize, to: usize) {
        let Some(of) = self.given[from].get_mut(&topic) else {
            return;
        };
        if let Some(partition) = of.pop_last() {
            if of.is_empty() {
                self.given[from].remove(&topic);
            }
            self.loads[from] -= 1;
            self.give(to, topic, partition);
        }
    }
}

fn uniform(candidates: &[Candidate], sizes: &BTreeMap<TopicId, i32>) -> Vec<Partitions> {
    let subscribers = subscribers(candidates, sizes);
    let mut division = Division {
        given: vec![Partitions::new(); candidates.len()],
        loads: vec![0; candidates.len()],
    };
    let mut free: Vec<(TopicId, BTreeSet<i32>)> = Vec::new();
    for (topic, places) in &subscribers {
        let mut left: BTreeSet<i32> = (0..sizes.get(topic).copied().unwrap_or(0)).collect();
        for place in places {
            for partition in candidates[*place].has.get(topic).into_iter().flatten() {
                if left.remove(partition) {
                    division.give(*place, *topic, *partition);
                }
            }
        }
        free.push((*topic, left));
    }
    // Topics that few may have go first, while those few have room.
    free.sort_by_key(|(topic, _)| (subscribers.get(topic).map_or(0, Vec::len), *topic));
    for (topic, partitions) in free {
        let places = subscribers.get(&topic).map(Vec::as_slice).unwrap_or_default();
        let mut by_load: BTreeSet<(usize, usize)> =
            places.iter().map(|place| (division.loads[*place], *place)).collect();
        for partition in partitions {
            let Some((load, place)) = by_load.pop_first() else {
                break;
            };
            division.give(place, topic, partition);
            by_load.insert((load + 1, place));
        }
    }
    balance(&mut division, &subscribers);
    division.given
}

/// Moves partitions from who has most to who has least as long as that evens it out. Every move brings two members' loads
/// nearer to each other, so it ends.
fn balance(division: &mut Division, subscribers: &BTreeMap<TopicId, Vec<usize>>) {
    loop {
        let mut moved = false;
        for (topic, places) in subscribers {
            let mut by_load: BTreeSet<(usize, usize)> =
                places.iter().map(|place| (division.loads[*place], *place)).collect();
            loop {
                let has = |(_, place): &&(usize, usize)| division.given[*place].contains_key(topic);
                let most = by_load.iter().rev().find(has).copied();
                let (Some(most), Some(least)) = (most, by_load.first().copied()) else {
                    break;
                };
                if most.0 < least.0 + 2 {
                    break;
                }
                division.hand_over(*topic, most.1, least.1);
                by_load.remove(&most);
                by_load.remove(&least);
                by_load.insert((most.0 - 1, most.1));
                by_load.insert((least.0 + 1, least.1));
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn topic(id: u128) -> TopicId {
        TopicId(Uuid::from_u128(id))
    }

    fn candidate(id: &str, topics: &[u128]) -> Candidate {
        Candidate {
            id: id.to_owned(),
            topics: topics.iter().map(|id| topic(*id)).collect(),
            ..Candidate::default()
        }
    }

    fn loads(given: &[Partitions]) -> Vec<usize> {
        given.iter().map(|of| of.values().map(BTreeSet::len).sum()).collect()
    }

    #[test]
    fn range_gives_the_same_run_of_every_topic_and_static_members_first() {
        let mut statics = candidate("z", &[1, 2]);
        statics.instance = Some("host".to_owned());
        let candidates = [candidate("b", &[1, 2]), candidate("a", &[1, 2]), statics];
        let sizes = BTreeMap::from([(topic(1), 7), (topic(2), 7)]);
        let given = Assignor::Range.assign(&candidates, &sizes);
        let run = |from: i32, to: i32| -> Partitions {
            [1, 2].into_iter().map(|id| (topic(id), (from..to).collect())).collect()
        };
        assert_eq!(given, [run(5, 7), run(3, 5), run(0, 3)]);
    }

    #[test]
    fn uniform_moves_only_what_a_new_member_needs() {
        let sizes = BTreeMap::from([(topic(1), 6)]);
        let mut two = vec![candidate("a", &[1]), candidate("b", &[1])];
        let given = Assignor::Uniform.assign(&two, &sizes);
        for (member, has) in two.iter_mut().zip(given) {
            member.has = has;
        }
        let before: Vec<Partitions> = two.iter().map(|member| member.has.clone()).collect();
        two.push(candidate("c", &[1]));
        let after = Assignor::Uniform.assign(&two, &sizes);
        assert_eq!(loads(&after), [2, 2, 2]);
        for (before, after) in before.iter().zip(&after) {
            assert!(after[&topic(1)].is_subset(&before[&topic(1)]), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_member_that_alone_may_have_a_topic_gets_less_of_the_others() {
        let sizes = BTreeMap::from([(topic(1), 4), (topic(2), 4)]);
        let candidates = [candidate("a", &[1, 2]), candidate("b", &[1])];
        assert_eq!(loads(&Assignor::Uniform.assign(&candidates, &sizes)), [4, 4]);
    }

    proptest! {
        #[test]
        fn every_partition_that_somebody_wants_has_one_owner_who_wants_it(
            wants in proptest::collection::vec(proptest::collection::btree_set(0_u128..5, 0..5), 1..8),
            sizes in proptest::collection::vec(0_i32..9, 5),
            range in any::<bool>(),
        ) {
            let sizes: BTreeMap<TopicId, i32> = (0..).zip(sizes).map(|(id, size)| (topic(id), size)).collect();
            let candidates: Vec<Candidate> = (0..).zip(&wants).map(|(id, wants): (i32, _)| {
                candidate(&format!("m{id}"), &wants.iter().copied().collect::<Vec<_>>())
            }).collect();
            let assignor = if range { Assignor::Range } else { Assignor::Uniform };
            let given = assignor.assign(&candidates, &sizes);
            let mut seen = BTreeSet::new();
            for (candidate, given) in candidates.iter().zip(&given) {
                for place in super::super::places(given) {
                    prop_assert!(candidate.topics.contains(&place.0));
                    prop_assert!(seen.insert(place), "{place:?} twice");
                }
            }
            let wanted: BTreeSet<TopicId> = candidates.iter().flat_map(|candidate| candidate.topics.clone()).collect();
            let all: i32 = sizes.iter().filter(|(topic, _)| wanted.contains(topic)).map(|(_, size)| size).sum();
            prop_assert_eq!(seen.len() as i32, all);
        }
    }
}
