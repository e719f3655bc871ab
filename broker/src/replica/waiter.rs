//! Waiting without polling: fetches for more records, producers for the watermark.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::id::Offset;

/// Fetches that wait for one partition. Each waits for many partitions, so what is left behind here when another
/// partition woke it is pruned as the list grows.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    list: Vec<Weak<Notify>>,
    prune_at: usize,
}

impl Fetches {
    /// Wakes `fetch` at the next [`Self::wake`].
    pub fn register(&self, fetch: &Arc<Notify>) {
        let mut waiting = self.waiting.lock();
        if waiting.list.len() >= waiting.prune_at.max(16) {
            waiting.list.retain(|fetch| fetch.strong_count() > 0);
            waiting.prune_at = waiting.list.len() * 2;
        }
        waiting.list.push(Arc::downgrade(fetch));
    }

    /// Wakes all that registered since the last time.
    pub fn wake(&self) {
        let woken = {
            let mut waiting = self.waiting.lock();
            if waiting.list.is_empty() {
                return;
            }
            std::mem::take(&mut waiting.list)
        };
        for fetch in woken {
            if let Some(fetch) = fetch.upgrade() {
                fetch.notify_one();
            }
        }
    }
}

/// The end of a wait for an offset; an error from the sender's end means that leadership was lost.
pub(super) type Reached = oneshot::Receiver<Result<(), ResponseError>>;

/// Those who wait until a position of one partition reaches an offset, in the order of the offsets.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    queue: VecDeque<(Offset, oneshot::Sender<Result<(), ResponseError>>)>,
}

impl Offsets {
    /// Waits until the position is at or beyond `offset`.
    pub fn wait_for(&mut self, offset: Offset) -> Reached {
        let (sender, receiver) = oneshot::channel();
        let at = self.queue.partition_point(|(other, _)| *other <= offset);
        self.queue.insert(at, (offset, sender));
        receiver
    }

    /// Answers all that wait for `position` or less.
    pub fn reach(&mut self, position: Offset, answer: Result<(), ResponseError>) {
        while let Some((offset, _)) = self.queue.front() {
            if *offset > position {
                break;
            }
            if let Some((_, waiting)) = self.queue.pop_front() {
                // The waiter may have given up.
                let _ = waiting.send(answer);
            }
        }
    }

    /// Forgets those who gave up.
    pub fn prune(&mut self) {
        self.queue.retain(|(_, waiting)| !waiting.is_closed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_answered_in_order_and_only_when_reached() {
        let mut offsets = Offsets::default();
        let mut late = offsets.wait_for(20);
        let mut early = offsets.wait_for(10);
        offsets.reach(10, Ok(()));
        assert_eq!(early.try_recv(), Ok(Ok(())));
        assert!(late.try_recv().is_err());
        offsets.reach(25, Err(ResponseError::NotEnoughReplicasAfterAppend));
        assert_eq!(late.try_recv(), Ok(Err(ResponseError::NotEnoughReplicasAfterAppend)));
    }

    #[test]
    fn a_dropped_queue_tells_those_who_wait() {
        let mut offsets = Offsets::default();
        let waiting = offsets.wait_for(1);
        drop(offsets);
        assert!(waiting.blocking_recv().is_err());
    }

    #[test]
    fn abandoned_fetches_do_not_pile_up() {
        let fetches = Fetches::default();
        for _ in 0..10_000 {
            fetches.register(&Arc::new(Notify::new()));
        }
        assert!(fetches.waiting.lock().list.len() <= 32);
    }
}
