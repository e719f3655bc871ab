//! The newest appends of a log, kept in memory for the readers that follow closely.
//!
//! Followers and most consumers read what was just written. They get slices of what the producer sent,
//! without a system call and without a copy. Bounded for each log and for all logs of a node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::id::Offset;
use crate::record::Header;

/// What all tails of a node may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }
}

/// One append: whole batches.
#[derive(Debug)]
struct Chunk {
    base: Offset,
    next: Offset,
    bytes: Bytes,
}

/// A contiguous run of appends up to the log's end.
#[derive(Debug)]
pub(super) struct Tail {
    chunks: VecDeque<Chunk>,
    size: usize,
    budget: Arc<Budget>,
}

impl Tail {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            chunks: VecDeque::new(),
            size: 0,
            budget,
        }
    }

    /// Adds what was appended at the end; the oldest go when there is more than `limit`.
    pub(super) fn push(&mut self, base: Offset, next: Offset, bytes: Bytes, limit: usize) {
        if self.chunks.back().is_some_and(|last| last.next != base) {
            self.clear();
        }
        self.size += bytes.len();
        self.budget.used.fetch_add(bytes.len(), Ordering::Relaxed);
        self.chunks.push_back(Chunk { base, next, bytes });
        while self.size > limit || self.budget.is_exceeded() {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.forget(oldest.bytes.len());
        }
    }

    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.forget(self.size);
    }

    fn forget(&mut self, bytes: usize) {
        self.size -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// As [`super::Log::read`]; `None` when `from` is not in memory.
    pub(super) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        below: Offset,
        at_least_one: bool,
    ) -> Option<(Vec<Bytes>, Offset)> {
        let first = self.chunks.partition_point(|chunk| chunk.next <= from);
        if self.chunks.get(first)?.base > from {
            return None;
        }
        let mut found = Vec::new();
        let mut next = from;
        let mut room = max_bytes;
        for chunk in self.chunks.range(first..) {
            let must = at_least_one && found.is_empty();
            // Most chunks are taken whole, and then there is no need to look at their batches.
            if chunk.base >= from && chunk.next <= below && chunk.bytes.len() <= room {
                room -= chunk.bytes.len();
                next = chunk.next;
                found.push(chunk.bytes.clone());
                continue;
            }
            let Some((slice, after)) = cut(&chunk.bytes, from, room, below, must) else {
                break;
            };
            room = room.saturating_sub(slice.len());
            next = after;
            found.push(slice);
            if after < chunk.next {
                break;
            }
        }
        Some((found, next))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The batches of `bytes` from the one that contains `from`, at most `room` bytes of them unless the first
/// one `must` be there, all before `below`; and the offset after them. `None` when that is nothing. Bytes at
/// the end that are no whole batch are left out.
pub(super) fn cut(bytes: &Bytes, from: Offset, room: usize, below: Offset, must: bool) -> Option<(Bytes, Offset)> {
    let mut begin = None;
    let mut at = 0;
    let mut next = from;
    while let Ok(header) = Header::parse(bytes.get(at..)?) {
        let end = at + header.size();
        if header.last_offset() < from {
            at = end;
            continue;
        }
        let begin = *begin.get_or_insert(at);
        let fits = end - begin <= room || (must && at == begin);
        if header.next_offset() > below || !fits || end > bytes.len() {
            break;
        }
        at = end;
        next = header.next_offset();
    }
    begin
        .filter(|begin| at > *begin)
        .map(|begin| (bytes.slice(begin..at), next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    fn batch(base: Offset, records: i64) -> Bytes {
        let mut builder = BatchBuilder::new().place(base, 0);
        for _ in 0..records {
            builder.add(1, None, Some(b"0123456789"));
        }
        builder.build().unwrap()
    }

    fn tail(limit: usize) -> Tail {
        Tail::new(Arc::new(Budget::new(limit)))
    }

    #[test]
    fn reads_begin_with_the_batch_that_contains_the_offset_and_end_with_a_whole_one() {
        let mut tail = tail(1 << 20);
        let two = [batch(0, 5), batch(5, 5)].concat();
        let size = two.len() / 2;
        tail.push(0, 10, two.into(), 1 << 20);
        tail.push(10, 15, batch(10, 5), 1 << 20);
        let offsets = |from, max, below, must| {
            tail.read(from, max, below, must)
                .map(|(found, next)| (found.concat().len() / size, next))
        };
        assert_eq!(offsets(0, 1 << 20, 15, true), Some((3, 15)));
        assert_eq!(offsets(7, 1 << 20, 15, true), Some((2, 15)));
        assert_eq!(offsets(7, size, 15, true), Some((1, 10)));
        assert_eq!(offsets(7, 1, 15, true), Some((1, 10)));
        assert_eq!(offsets(7, 1, 15, false), Some((0, 7)));
        assert_eq!(offsets(0, 1 << 20, 10, true), Some((2, 10)));
        assert_eq!(offsets(0, 1 << 20, 7, true), Some((1, 5)));
        assert_eq!(offsets(5, 1 << 20, 5, true), Some((0, 5)));
        assert_eq!(offsets(15, 1 << 20, 15, true), None);
    }

    #[test]
    fn the_oldest_appends_go_first_and_the_budget_is_shared() {
        let budget = Arc::new(Budget::new(250));
        let mut a = Tail::new(Arc::clone(&budget));
        let mut b = Tail::new(Arc::clone(&budget));
        let size = batch(0, 1).len();
        assert!(2 * size < 250 && 3 * size > 200);
        a.push(0, 1, batch(0, 1), 1_000);
        b.push(0, 1, batch(0, 1), 1_000);
        b.push(1, 2, batch(1, 1), 1_000);
        b.push(2, 3, batch(2, 1), 1_000);
        assert!(b.read(0, 1_000, 9, true).is_none());
        assert!(b.read(2, 1_000, 9, true).is_some());
        drop((a, b));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_gap_empties_it() {
        let mut tail = tail(1 << 20);
        tail.push(0, 5, batch(0, 5), 1 << 20);
        tail.push(7, 8, batch(7, 1), 1 << 20);
        assert!(tail.read(0, 1_000, 9, true).is_none());
        assert!(tail.read(7, 1_000, 9, true).is_some());
    }
}
