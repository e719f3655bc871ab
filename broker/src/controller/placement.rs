//! Where new partitions go: replicas striped over racks, leaders and load even over the brokers of a rack.
//!
//! After Kafka's StripedReplicaPlacer: each partition begins one rack further than the one before, takes one live broker
//! from each rack in turn, and a fenced one only when no live one is left; the first replica is always live. Leaders and
//! followers are counted apart in each rack, so leadership is even also when racks and brokers have a common factor.

use std::collections::BTreeMap;

use crate::env::random::Random;
use crate::id::NodeId;
use crate::image::Image;

/// The brokers, by rack, and whose turn it is.
pub(super) struct Placer {
    racks: Vec<Rack>,
    next: usize,
    brokers: usize,
}

struct Rack {
    live: Vec<NodeId>,
    fenced: Vec<NodeId>,
    leads: usize,
    follows: usize,
}

impl Placer {
    /// Over all registered brokers; those without a rack are one rack. Begins anywhere, so that topics with few partitions
    /// do not all land on the same brokers.
    pub(super) fn new(image: &Image, random: &Random) -> Self {
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for broker in image.brokers.values() {
            let rack = racks.entry(broker.rack.as_deref()).or_insert_with(|| Rack {
                live: Vec::new(),
                fenced: Vec::new(),
                leads: 0,
                follows: 0,
            });
            match broker.fenced || broker.in_controlled_shutdown {
                true => rack.fenced.push(broker.id),
                false => rack.live.push(broker.id),
            }
        }
        let mut racks: Vec<Rack> = racks.into_values().collect();
        let start = |count: usize| usize::try_from(random.below(count.max(1) as u64)).unwrap_or(0);
        for rack in &mut racks {
            rack.leads = start(rack.live.len());
            rack.follows = rack.leads + 1;
        }
        Self {
            next: start(racks.len()),
            racks,
            brokers: image.brokers.len(),
        }
    }

    /// The replicas of the next `partitions` partitions.
    ///
    /// # Errors
    /// A sentence when there are too few brokers, or none is live.
    pub(super) fn place(&mut self, partitions: usize, replication_factor: usize) -> Result<Vec<Vec<NodeId>>, String> {
        if replication_factor > self.brokers {
            return Err(format!(
                "Unable to replicate the partition {replication_factor} time(s): The target replication factor of \
                 {replication_factor} cannot be reached because only {} broker(s) are registered.",
                self.brokers
            ));
        }
        if self.racks.iter().all(|rack| rack.live.is_empty()) {
            return Err(format!(
                "Unable to replicate the partition {replication_factor} time(s): All brokers are currently fenced or in \
                 controlled shutdown."
            ));
        }
        Ok((0..partitions).map(|_| self.one(replication_factor)).collect())
    }

    fn one(&mut self, replication_factor: usize) -> Vec<NodeId> {
        let count = self.racks.len();
        let first = (self.next..self.next + count)
            .map(|index| index % count)
            .find(|index| !self.racks[*index].live.is_empty())
            .unwrap_or(0);
        self.next = (self.next + 1) % count;
        let rack = &mut self.racks[first];
        let mut chosen = vec![rack.live[rack.leads % rack.live.len()]];
        rack.leads += 1;
        for live in [true, false] {
            let mut at = first + 1;
            let mut missed = 0;
            while chosen.len() < replication_factor && missed < count {
                match self.racks[at % count].follower(live, &chosen) {
                    Some(id) => {
                        chosen.push(id);
                        missed = 0;
                    }
                    None => missed += 1,
                }
                at += 1;
            }
        }
        chosen
    }
}

impl Rack {
    fn follower(&mut self, live: bool, chosen: &[NodeId]) -> Option<NodeId> {
        let brokers = if live { &self.live } else { &self.fenced };
        let turn = (0..brokers.len())
            .map(|step| self.follows + step)
            .find(|turn| !chosen.contains(&brokers[turn % brokers.len()]))?;
        self.follows = turn + 1;
        Some(brokers[turn % brokers.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Broker, Record};

    fn image(brokers: &[(i32, &str)], fenced: &[i32]) -> Image {
        let mut image = Image::empty();
        for (offset, (id, rack)) in (0..).zip(brokers) {
            let broker = Broker {
                id: NodeId(*id),
                incarnation: uuid::Uuid::from_u128(1),
                epoch: -1,
                rack: (!rack.is_empty()).then(|| (*rack).to_owned()),
                listeners: Vec::new(),
                fenced: fenced.contains(id),
                in_controlled_shutdown: false,
                log_dirs: Vec::new(),
                features: BTreeMap::new(),
            };
            image.apply(&Record::Broker(broker), offset, 1);
        }
        image
    }

    const SIX: [(i32, &str); 6] = [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c"), (6, "c")];

    #[test]
    fn three_racks_hold_one_replica_each_and_leaders_are_even() {
        for seed in 0..20 {
            let mut placer = Placer::new(&image(&SIX, &[]), &Random::seeded(seed));
            let placed = placer.place(60, 3).unwrap();
            for replicas in &placed {
                let racks: std::collections::BTreeSet<_> = replicas.iter().map(|id| (id.0 - 1) / 2).collect();
                assert_eq!(racks.len(), 3, "{replicas:?}");
            }
            for id in 1..=6 {
                let leads = placed.iter().filter(|replicas| replicas[0] == NodeId(id)).count();
                assert_eq!(leads, 10, "broker {id} of seed {seed}");
                let holds = placed.iter().flatten().filter(|held| **held == NodeId(id)).count();
                assert!((29..=31).contains(&holds), "broker {id} of seed {seed} holds {holds}");
            }
        }
    }

    #[test]
    fn more_replicas_than_racks_take_a_second_broker_of_a_rack() {
        let placed = Placer::new(&image(&SIX, &[]), &Random::seeded(3)).place(6, 5).unwrap();
        for mut replicas in placed {
            replicas.sort_unstable();
            replicas.dedup();
            assert_eq!(replicas.len(), 5);
        }
    }

    #[test]
    fn a_fenced_broker_is_the_last_choice_and_never_the_first_replica() {
        let placed = Placer::new(&image(&SIX, &[1]), &Random::seeded(5))
            .place(30, 3)
            .unwrap();
        assert!(placed.iter().flatten().all(|id| *id != NodeId(1)));
        let placed = Placer::new(&image(&SIX, &[1]), &Random::seeded(5))
            .place(30, 6)
            .unwrap();
        assert!(
            placed
                .iter()
                .all(|replicas| replicas.contains(&NodeId(1)) && replicas[0] != NodeId(1))
        );
    }

    #[test]
    fn too_few_brokers_are_counted_in_the_error() {
        let error = Placer::new(&image(&SIX, &[]), &Random::seeded(1))
            .place(1, 7)
            .unwrap_err();
        assert!(
            error.contains("replication factor of 7 cannot be reached because only 6"),
            "{error}"
        );
        let error = Placer::new(&image(&[(1, "")], &[1]), &Random::seeded(1))
            .place(1, 1)
            .unwrap_err();
        assert!(error.contains("fenced"), "{error}");
    }
}
