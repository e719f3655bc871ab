//! When a log directory is full, with what is still on its way to it.

use std::collections::BTreeMap;

use crate::model::BrokerId;
use crate::model::logdir::{LogDir, Replica};
use crate::model::snapshot::Snapshot;

/// Bytes that moves in flight will still bring, by broker and log directory.
#[derive(Debug, Default)]
pub struct Incoming<'a> {
    bytes: BTreeMap<(BrokerId, &'a str), u64>,
}

impl<'a> Incoming<'a> {
    /// Replicas that a reassignment is adding, and replicas that move between directories of one broker, count with what
    /// they miss of the replica they are copied from. One that has not been created yet lies in no directory, so it is
    /// not counted until it is.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut incoming = Self::default();
        for (id, dirs) in &snapshot.logdirs {
            for dir in dirs.get().into_iter().flatten() {
                let missing = dir.replicas.iter().map(|replica| missing(snapshot, *id, replica));
                let bytes: u64 = missing.sum();
                if bytes > 0 {
                    incoming.bytes.insert((*id, dir.path.as_str()), bytes);
                }
            }
        }
        incoming
    }

    /// What will still come to a directory.
    pub fn bytes(&self, broker: BrokerId, path: &str) -> u64 {
        self.bytes.get(&(broker, path)).copied().unwrap_or(0)
    }

    /// Seconds until the directory is full at its present growth, what is on its way taken as there already; `None` when
    /// it does not grow and all of that fits.
    pub fn full_in_seconds(&self, broker: BrokerId, dir: &LogDir) -> Option<f64> {
        let free = dir.usable_bytes?;
        let incoming = self.bytes(broker, &dir.path);
        if incoming >= free && incoming > 0 {
            return Some(0.0);
        }
        let growth = dir.growth_bytes_per_second.filter(|growth| *growth > 1.0)?;
        Some((free - incoming) as f64 / growth)
    }
}

fn missing(snapshot: &Snapshot, broker: BrokerId, replica: &Replica) -> u64 {
    let source = if replica.future {
        Some(broker)
    } else {
        let moves = snapshot.reassignments.get().map_or(&[][..], Vec::as_slice);
        let moving = moves.iter().find(|moving| {
            moving.partition == replica.partition && moving.topic == replica.topic && moving.adding.contains(&broker)
        });
        moving.and_then(|_| leader(snapshot, replica))
    };
    let whole = source.and_then(|source| size(snapshot, source, replica));
    whole.map_or(0, |whole| whole.saturating_sub(replica.size_bytes))
}

fn leader(snapshot: &Snapshot, replica: &Replica) -> Option<BrokerId> {
    let topic = snapshot.topic(&replica.topic)?;
    let partition = topic.partitions.iter().find(|own| own.partition == replica.partition)?;
    partition.leader
}

fn size(snapshot: &Snapshot, broker: BrokerId, wanted: &Replica) -> Option<u64> {
    let dirs = snapshot.logdirs.get(&broker)?.get()?;
    let replicas = dirs.iter().flat_map(|dir| dir.replicas.iter());
    let mut same = replicas
        .filter(|replica| !replica.future && replica.partition == wanted.partition && replica.topic == wanted.topic);
    same.next().map(|replica| replica.size_bytes)
}
