//! What the replicas of a node amount to, for whoever watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ReplicaManager;
use super::isr::Change;
use crate::id::Offset;

/// What happened since the node started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    isr_shrinks: AtomicU64,
    isr_expands: AtomicU64,
    failed_isr_updates: AtomicU64,
    /// Bytes of records taken from leaders.
    replicated_in: AtomicU64,
}

/// How the replicas of a node are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    pub replicas: usize,
    pub leaders: usize,
    /// Replicas that belong here and whose logs cannot be used.
    pub offline: usize,
    /// Of those led from here: not all replicas are in sync.
    pub under_replicated: usize,
    /// Of those led from here: fewer are in sync than `min.insync.replicas`.
    pub under_min_isr: usize,
    /// Of those led from here: exactly as many.
    pub at_min_isr: usize,
    /// Of those led from here.
    pub reassigning: usize,
    pub isr_shrinks: u64,
    pub isr_expands: u64,
    pub failed_isr_updates: u64,
    pub replicated_in: u64,
}

/// A replica that holds records, or did.
#[derive(Debug, Clone)]
pub struct Kept {
    pub topic: Arc<str>,
    pub partition: i32,
    pub size_bytes: u64,
    pub start: Offset,
    pub end: Offset,
}

impl Counters {
    pub fn isr(&self, change: Option<Change>) {
        let counter = match change {
            Some(Change::Shrunk) => &self.isr_shrinks,
            Some(Change::Grown) => &self.isr_expands,
            None => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn isr_update_failed(&self) {
        self.failed_isr_updates.fetch_add(1, Ordering::Relaxed);
    }

    pub fn replicated(&self, bytes: usize) {
        self.replicated_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl ReplicaManager {
    /// Looks at every replica: for a scrape, not for the path.
    pub fn stats(&self) -> Stats {
        let (image, me) = (self.image(), self.options.node);
        let counters = &self.counters;
        let mut stats = Stats {
            offline: self.offline.read().len(),
            isr_shrinks: counters.isr_shrinks.load(Ordering::Relaxed),
            isr_expands: counters.isr_expands.load(Ordering::Relaxed),
            failed_isr_updates: counters.failed_isr_updates.load(Ordering::Relaxed),
            replicated_in: counters.replicated_in.load(Ordering::Relaxed),
            ..Stats::default()
        };
        for partition in self.hosted() {
            stats.replicas += 1;
            let Some(state) = image.partition(partition.at).filter(|state| state.leader == me) else {
                continue;
            };
            let (isr, min) = (state.isr.len(), partition.min_isr());
            stats.leaders += 1;
            stats.under_replicated += usize::from(isr < state.target().len());
            stats.under_min_isr += usize::from(isr < min);
            stats.at_min_isr += usize::from(isr == min);
            stats.reassigning += usize::from(state.is_reassigning());
        }
        stats
    }

    /// The replicas that hold records, or did.
    pub fn kept(&self) -> Vec<Kept> {
        let kept = self.hosted().into_iter().filter(|partition| partition.log.end() > 0);
        kept.map(|partition| Kept {
            topic: Arc::clone(&partition.topic),
            partition: partition.at.partition,
            size_bytes: partition.log.size_bytes(),
            start: partition.log.start(),
            end: partition.log.end(),
        })
        .collect()
    }
}
