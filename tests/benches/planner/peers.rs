//! What others would do, from what they publish; written anew for this bench and used nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use azimuth::model::{BrokerId, Snapshot};
use azimuth::plan::reassign::Target;

use super::layout::{RACKS, REPLICAS, Random, rack};

/// Kafka's `AdminUtils.assignReplicasToBrokersRackAware`, with which `kafka-reassign-partitions.sh --generate` places
/// every topic anew from a random start.
pub fn assign(ids: &[BrokerId], partitions: usize, replicas: usize, random: &mut Random) -> Vec<Vec<BrokerId>> {
    let ids = alternated(ids);
    let count = ids.len();
    let racks = ids.iter().map(|id| rack(*id)).collect::<BTreeSet<_>>().len();
    let start = random.below(count);
    let mut shift = random.below(count);
    let next = |first: usize, shift: usize, step: usize| (first + 1 + (shift + step) % (count - 1)) % count;
    let mut placed = Vec::new();
    for partition in 0..partitions {
        if partition > 0 && partition % count == 0 {
            shift += 1;
        }
        let first = (partition + start) % count;
        let mut chosen = vec![ids[first]];
        let mut step = 0;
        while chosen.len() < replicas {
            let id = ids[next(first, shift * racks, step)];
            let used: BTreeSet<usize> = chosen.iter().map(|id| rack(*id)).collect();
            let rack_is_fine = !used.contains(&rack(id)) || used.len() == racks;
            if rack_is_fine && !chosen.contains(&id) {
                chosen.push(id);
            }
            step += 1;
        }
        placed.push(chosen);
    }
    placed
}

/// One broker of each rack in turn.
fn alternated(ids: &[BrokerId]) -> Vec<BrokerId> {
    let mut racks: BTreeMap<usize, Vec<BrokerId>> = BTreeMap::new();
    for id in ids {
        racks.entry(rack(*id)).or_default().push(*id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    let turn = |at: usize| {
        racks
            .values()
            .filter_map(move |ids| ids.get(at).copied())
            .collect::<Vec<_>>()
    };
    (0..longest).flat_map(turn).collect()
}

/// `kafka-reassign-partitions.sh --generate` with these brokers.
pub fn kafka(snapshot: &Snapshot, ids: &[BrokerId]) -> Vec<Target> {
    let mut random = Random::new(99);
    let mut targets = Vec::new();
    for topic in snapshot.topics() {
        let placed = assign(ids, topic.partitions.len(), REPLICAS, &mut random);
        let partitions = topic.partitions.iter().zip(placed);
        targets.extend(partitions.map(|(partition, to)| Target::new(&topic.name, partition.partition, to)));
    }
    targets
}

/// topicctl's FrequencyRebalancer with placement across racks, topic by topic: for each place of the replicas a broker
/// with many there is replaced by one with few, until that brings nothing; brokers that are to be removed come last.
pub fn topicctl(snapshot: &Snapshot, ids: &[BrokerId], removed: &[BrokerId]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut random = Random::new(7);
    for topic in snapshot.topics() {
        // Its picker: a random order for each topic among those that are alike.
        let mut picked: Vec<BrokerId> = ids.iter().chain(removed).copied().collect();
        for last in (1..picked.len()).rev() {
            picked.swap(last, random.below(last + 1));
        }
        let mut placed: Vec<Vec<BrokerId>> = topic.partitions.iter().map(|p| p.replicas.to_vec()).collect();
        for place in 0..REPLICAS {
            while step(&mut placed, place, &picked, removed) {}
        }
        let partitions = topic.partitions.iter().zip(placed);
        targets.extend(partitions.map(|(partition, to)| Target::new(&topic.name, partition.partition, to)));
    }
    targets
}

fn step(placed: &mut [Vec<BrokerId>], place: usize, picked: &[BrokerId], removed: &[BrokerId]) -> bool {
    let at = |id: BrokerId| placed.iter().filter(|replicas| replicas[place] == id).count();
    let all = |id: BrokerId| placed.iter().flatten().filter(|other| **other == id).count();
    let mut order: Vec<(bool, usize, usize, BrokerId)> = picked
        .iter()
        .map(|id| (removed.contains(id), at(*id), all(*id), *id))
        .collect();
    // Stable, so that the picker decides among those that are alike.
    order.sort_by_key(|(gone, at, all, _)| (*gone, *at, *all));
    let half = order.len() / 2;
    for (gone, upper, upper_all, from) in order[half..].iter().rev().copied() {
        for (_, lower, lower_all, to) in order[..half.max(1)].iter().copied() {
            let better = lower + 1 < upper || (lower + 1 == upper && lower_all + 1 < upper_all);
            if removed.contains(&to) || upper == 0 || !(gone || better) {
                continue;
            }
            let fits = |replicas: &Vec<BrokerId>| {
                let others = replicas.iter().enumerate().filter(|(at, _)| *at != place);
                let shared = others.filter(|(_, id)| rack(**id) == rack(to)).count();
                replicas[place] == from && !replicas.contains(&to) && (shared == 0 || REPLICAS > RACKS)
            };
            if let Some(found) = placed.iter().position(fits) {
                placed[found][place] = to;
                return true;
            }
        }
    }
    // Where a broker must go and no emptier one fits, any other that fits will do.
    let left = |replicas: &Vec<BrokerId>| removed.contains(&replicas[place]);
    let Some(found) = placed.iter().position(left) else {
        return false;
    };
    let others: Vec<BrokerId> = placed[found]
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != place)
        .map(|(_, id)| *id)
        .collect();
    let fit = |id: &&BrokerId| !others.contains(id) && others.iter().all(|other| rack(*other) != rack(**id));
    let any = |id: &&BrokerId| !others.contains(id);
    let stays = || picked.iter().filter(|id| !removed.contains(id));
    match stays().find(fit).or_else(|| stays().find(any)) {
        Some(to) => {
            placed[found][place] = *to;
            true
        }
        None => false,
    }
}
