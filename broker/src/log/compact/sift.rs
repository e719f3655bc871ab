//! What stays of a batch, by Kafka's rules for keys, tombstones, transactions and producers.

use std::collections::{HashMap, HashSet};

use super::keys::Newest;
use super::{LastBatch, is_last_of};
use crate::id::Offset;
use crate::log::Error;
use crate::log::aborted::Aborted;
use crate::record::{Batch, Header, Record};

/// See [`super::keys`].
const DECOMPRESSED_LIMIT: usize = 256 << 20;

/// Sees all batches of a pass in the order of the log.
pub(super) struct Sift {
    /// First and last offset of the aborted transactions of each producer.
    aborted: HashMap<i64, Vec<(Offset, Offset)>>,
    /// By producer: what it is remembered by.
    last: HashMap<i64, LastBatch>,
    /// By producer: the last offset of its data within the pass.
    last_here: HashMap<i64, Offset>,
    /// Producers of which data was seen since their last marker.
    seen: HashSet<i64>,
    /// Markers that stay, by producer and offset.
    markers: HashSet<(i64, Offset)>,
    now_ms: i64,
    retention_ms: i64,
}

impl Sift {
    pub fn new<'a>(
        aborted: impl Iterator<Item = &'a Aborted>,
        last: HashMap<i64, LastBatch>,
        now_ms: i64,
        retention_ms: i64,
    ) -> Self {
        let mut by_producer: HashMap<i64, Vec<(Offset, Offset)>> = HashMap::new();
        for entry in aborted {
            by_producer
                .entry(entry.producer)
                .or_default()
                .push((entry.first, entry.last));
        }
        Self {
            aborted: by_producer,
            last,
            last_here: HashMap::new(),
            seen: HashSet::new(),
            markers: HashSet::new(),
            now_ms,
            retention_ms,
        }
    }

    /// Sees the header of every batch of the pass, before any is judged.
    pub fn note(&mut self, header: &Header) {
        if header.has_producer() && !header.is_control() {
            self.last_here.insert(header.producer_id, header.last_offset());
        }
    }

    /// Whether a producer that is still known would be forgotten without this batch. What it wrote after the pass may be
    /// truncated yet, and then this is its last: Kafka's cleaner does not keep it, and such a producer is refused for good.
    fn is_remembered_by(&self, header: &Header) -> bool {
        let known = self.last.get(&header.producer_id);
        let last_here = self.last_here.get(&header.producer_id) == Some(&header.last_offset());
        header.has_producer() && (is_last_of(header, known) || (known.is_some() && last_here))
    }

    /// Whether a batch of data belongs to an aborted transaction.
    pub fn is_aborted(&self, header: &Header) -> bool {
        header.is_transactional()
            && self.aborted.get(&header.producer_id).is_some_and(|all| {
                all.iter()
                    .any(|(first, last)| (*first..*last).contains(&header.base_offset))
            })
    }

    /// Whether the marker of an aborted transaction stays.
    pub fn has_marker(&self, aborted: &Aborted) -> bool {
        self.markers.contains(&(aborted.producer, aborted.last))
    }

    /// What stays of a batch.
    pub fn keep(&mut self, batch: Batch, newest: &Newest) -> Result<Option<Batch>, Error> {
        let header = batch.header;
        match header.is_control() && header.has_producer() {
            true => self.keep_marker(batch, newest),
            // A control batch of something else, which is not this one's to judge.
            false if header.is_control() => Ok(Some(batch)),
            false => self.keep_data(batch, newest),
        }
    }

    fn keep_marker(&mut self, batch: Batch, newest: &Newest) -> Result<Option<Batch>, Error> {
        let header = batch.header;
        // Nothing is left of its transaction, so it goes too once readers have had time to pass it.
        let idle = !self.seen.remove(&header.producer_id);
        let due = header.delete_horizon().is_some_and(|horizon| horizon <= self.now_ms);
        if header.count == 0 || (idle && due) {
            return self.remember(batch, newest);
        }
        self.markers.insert((header.producer_id, header.last_offset()));
        if !idle || header.delete_horizon().is_some() {
            return Ok(Some(batch));
        }
        let records = records(&batch)?;
        let horizon = self.now_ms.saturating_add(self.retention_ms);
        Ok(Some(batch.with_only(&records, Some(horizon))?))
    }

    fn keep_data(&mut self, batch: Batch, newest: &Newest) -> Result<Option<Batch>, Error> {
        let header = batch.header;
        if header.is_transactional() {
            self.seen.insert(header.producer_id);
        }
        if header.base_offset >= newest.end() {
            return Ok(Some(batch));
        }
        if header.count == 0 || self.is_aborted(&header) {
            return self.remember(batch, newest);
        }
        let horizon = header.delete_horizon();
        let keeps_tombstones = horizon.is_none_or(|horizon| self.now_ms < horizon);
        let all = records(&batch)?;
        let stays = |record: &&Record| {
            let key = record.key.as_deref();
            let is_newest = key.is_some_and(|key| newest.is_newest(key, record.offset));
            is_newest && (record.value.is_some() || keeps_tombstones)
        };
        let kept: Vec<Record> = all.iter().filter(stays).cloned().collect();
        if kept.is_empty() {
            return self.remember(batch, newest);
        }
        let has_tombstone = kept.iter().any(|record| record.value.is_none());
        let begins = (has_tombstone && horizon.is_none()).then(|| self.now_ms.saturating_add(self.retention_ms));
        if kept.len() == all.len() && begins.is_none() {
            return Ok(Some(batch));
        }
        Ok(Some(batch.with_only(&kept, begins.or(horizon))?))
    }

    /// Nothing of it stays, unless its producer is remembered by it, or it is the last one of the pass: readers that have to
    /// come to the end of what was compacted would find nothing that brings them there.
    fn remember(&self, batch: Batch, newest: &Newest) -> Result<Option<Batch>, Error> {
        let header = &batch.header;
        let last_of_all = header.next_offset() == newest.end();
        let needed = last_of_all || self.is_remembered_by(header);
        match needed {
            true if header.count == 0 => Ok(Some(batch)),
            true => Ok(Some(batch.with_only(&[], None)?)),
            false => Ok(None),
        }
    }
}

fn records(batch: &Batch) -> Result<Vec<Record>, Error> {
    let records = batch.records(DECOMPRESSED_LIMIT)?;
    Ok(records.collect::<Result<_, _>>()?)
}
