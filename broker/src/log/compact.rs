//! Compaction: of every key only the newest record stays, at the offset that it has (KIP-58, KIP-534).
//!
//! A pass reads the closed segments that were not compacted yet, to learn the newest offset of each key, and writes all
//! segments up to there anew, several small ones as one. What must stay true: a reader finds the newest record of every
//! key and no order changed; nothing above what is stable is touched; tombstones, and the markers of transactions of which
//! nothing is left, stay for `delete.retention.ms`; a producer's last batch stays, empty if need be; and killed at any
//! point, a start finds each segment either as it was or whole anew.

mod keys;
mod sift;

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::aborted::Aborted;
use super::config::LogConfig;
use super::scan::{Scan, Step};
use super::segment::Segment;
use super::{Error, Log, State};
use crate::env::disk::File;
use crate::id::Offset;
use crate::record::{Batch, Header};

use keys::Newest;
use sift::Sift;

/// Keys that one pass remembers, of some 40 bytes each; what has more takes several passes.
const KEYS_MAX: usize = 2_000_000;
/// What is written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// What precedes it has each key once.
    pub end: Offset,
}

/// A closed segment.
#[derive(Debug)]
struct Source {
    base: Offset,
    /// Where the next one begins.
    next: Offset,
    size: u64,
    file: Arc<File>,
    aborted: Vec<Aborted>,
}

/// What one pass is about.
struct Pass {
    sources: Vec<Source>,
    /// What precedes it was compacted before.
    dirty_from: Offset,
    sift: Sift,
    truncations: u64,
}

impl Log {
    /// What precedes it has each key once.
    pub fn cleaned_to(&self) -> Offset {
        self.cleaned_to.load(Ordering::Acquire)
    }

    /// As the checkpoint of an earlier run says.
    pub(super) fn set_cleaned_to(&self, offset: Offset) {
        self.cleaned_to.store(offset.clamp(0, self.end()), Ordering::Release);
    }

    /// Compacts it if enough of it is dirty; `None` when there is nothing to do.
    ///
    /// # Errors
    /// When the disk fails, or a batch cannot be read.
    pub fn compact(&self) -> Result<Option<Compacted>, Error> {
        let config = self.shared_config();
        if !config.compact || self.uncleanable.load(Ordering::Acquire) {
            return Ok(None);
        }
        let done = match self.pass(&config) {
            // It was deleted, or has moved to another directory: there is no disk at fault.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            done => self.judge(done),
        };
        if let Err(Error::Record(_) | Error::Malformed { .. }) = &done {
            self.uncleanable.store(true, Ordering::Release);
        }
        done
    }

    fn pass(&self, config: &LogConfig) -> Result<Option<Compacted>, Error> {
        let Some(mut pass) = self.begin_pass(config)? else {
            return Ok(None);
        };
        let newest = self.newest(&mut pass)?;
        for source in &pass.sources {
            each(source, Scan::header, |header| {
                pass.sift.note(&header);
                Ok(())
            })?;
        }
        let mut done = Compacted {
            bytes_before: 0,
            bytes_after: 0,
            end: newest.end(),
        };
        for group in groups(&pass.sources, config) {
            let cleaned = self.rewrite(group, &newest, &mut pass.sift, config)?;
            done.bytes_before += group.iter().map(|source| source.size).sum::<u64>();
            done.bytes_after += cleaned.size;
            let swapped = self.swap(group, cleaned, pass.truncations);
            // Whatever fails in the middle of it leaves a log that only a start can make good.
            if !self.judge(swapped)? {
                // Retention or a truncation was faster: the next pass looks anew.
                return Ok(None);
            }
        }
        self.cleaned_to.fetch_max(done.end, Ordering::AcqRel);
        Ok(Some(done))
    }

    fn begin_pass(&self, config: &LogConfig) -> Result<Option<Pass>, Error> {
        let now_ms = self.clock.now_ms();
        let mut state = self.lock()?;
        let high_watermark = self.high_watermark();
        state.producers.settle(high_watermark);
        let stable = state.producers.first_unstable().unwrap_or(high_watermark);
        let below = stable.min(high_watermark);
        let dirty_from = self.cleaned_to().max(self.start());
        let mut sources = Vec::new();
        let (mut clean, mut dirty, mut is_late) = (0, 0, false);
        for index in 0..state.segments.len().saturating_sub(1) {
            let next = state.segments[index + 1].base;
            let segment = &mut state.segments[index];
            let is_dirty = next > dirty_from;
            let is_young = segment.max_timestamp > now_ms.saturating_sub(config.min_compaction_lag_ms);
            if next > below || (is_dirty && config.min_compaction_lag_ms > 0 && is_young) {
                break;
            }
            let file = segment.file(&self.disk)?;
            if is_dirty && dirty == 0 {
                is_late = self.is_late(segment, &file, config, now_ms)?;
            }
            *(if is_dirty { &mut dirty } else { &mut clean }) += segment.size;
            sources.push(Source {
                base: segment.base,
                next,
                size: segment.size,
                file,
                aborted: segment.aborted().to_vec(),
            });
        }
        // In millionths, as the config is.
        let ratio = u128::from(dirty) * 1_000_000 / u128::from(clean + dirty).max(1);
        if dirty == 0 || !(is_late || ratio > u128::from(config.min_cleanable_dirty_ppm)) {
            return Ok(None);
        }
        let aborted = sources.iter().flat_map(|source| &source.aborted);
        Ok(Some(Pass {
            sift: Sift::new(
                aborted,
                state.producers.last_batches(),
                now_ms,
                config.delete_retention_ms,
            ),
            sources,
            dirty_from,
            truncations: state.truncations,
        }))
    }

    /// Whether `max.compaction.lag.ms` has passed for the first dirty segment.
    fn is_late(&self, segment: &Segment, file: &Arc<File>, config: &LogConfig, now_ms: i64) -> Result<bool, Error> {
        if config.max_compaction_lag_ms == i64::MAX {
            return Ok(false);
        }
        let first = Scan::new(Arc::clone(file), 0, segment.size).header();
        match first.map_err(Error::io(segment.path()))? {
            Step::Batch { batch, .. } => Ok(now_ms.saturating_sub(batch.max_timestamp) > config.max_compaction_lag_ms),
            _ => Ok(false),
        }
    }

    /// The newest offset of each key of the dirty segments; what does not fit waits for the next pass.
    fn newest(&self, pass: &mut Pass) -> Result<Newest, Error> {
        let mut newest = Newest::new(pass.dirty_from);
        let mut taken = 0;
        for source in &pass.sources {
            if source.next > pass.dirty_from {
                if newest.len() >= KEYS_MAX {
                    break;
                }
                each(source, Scan::whole, |batch| {
                    self.go_on()?;
                    if batch.header.is_control() || pass.sift.is_aborted(&batch.header) {
                        return Ok(());
                    }
                    newest.note(&batch)
                })?;
                newest.reaches(source.next);
            }
            taken += 1;
        }
        pass.sources.truncate(taken);
        Ok(newest)
    }

    /// What stays of a group of segments, as one that has a name of its own yet.
    fn rewrite(
        &self,
        group: &[Source],
        newest: &Newest,
        sift: &mut Sift,
        config: &LogConfig,
    ) -> Result<Segment, Error> {
        let base = group.first().map_or(0, |source| source.base);
        let mut cleaned = Segment::create_cleaned(&self.disk, &self.dir(), base)?;
        let mut waiting: Vec<Batch> = Vec::new();
        let mut waiting_bytes = 0;
        for source in group {
            each(source, Scan::whole, |batch| {
                self.go_on()?;
                let Some(kept) = sift.keep(batch, newest)? else {
                    return Ok(());
                };
                waiting_bytes += kept.bytes.len();
                waiting.push(kept);
                if waiting_bytes >= CHUNK_BYTES {
                    waiting_bytes = 0;
                    return self.put(&mut cleaned, std::mem::take(&mut waiting), config);
                }
                Ok(())
            })?;
        }
        self.put(&mut cleaned, waiting, config)?;
        for aborted in group.iter().flat_map(|source| &source.aborted) {
            // Without its marker nobody would take a reader's word back.
            if sift.has_marker(aborted) {
                cleaned.note_aborted(&self.disk, *aborted)?;
            }
        }
        cleaned.seal(&self.disk)?;
        cleaned.sync_cleaned(&self.disk)?;
        Ok(cleaned)
    }

    /// # Errors
    /// When the node stops.
    fn go_on(&self) -> Result<(), Error> {
        match self.halted.load(Ordering::Relaxed) {
            true => Err(Error::Closed {
                path: self.dir().to_path_buf(),
            }),
            false => Ok(()),
        }
    }

    fn put(&self, cleaned: &mut Segment, batches: Vec<Batch>, config: &LogConfig) -> Result<(), Error> {
        let bytes: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes.iter().copied()).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        cleaned.write(&self.disk, &bytes)?;
        for batch in &batches {
            cleaned.note(&batch.header, config.index_interval_bytes);
        }
        cleaned.spill_if_due(&self.disk)
    }

    /// Puts a cleaned segment into the place of those that it was made of; false when they are not as they were.
    fn swap(&self, group: &[Source], cleaned: Segment, truncations: u64) -> Result<bool, Error> {
        let mut state = self.lock()?;
        let Some(first) = self.still(&state, group, truncations) else {
            cleaned.remove_cleaned(&self.disk)?;
            return Ok(false);
        };
        let dir = self.dir();
        let sync = || self.disk.sync_dir(&dir).map_err(Error::io(&dir));
        // From here on a start finishes it: what has this name is whole, and replaces what it was made of.
        let swap = cleaned.announce_swap(&self.disk)?;
        sync()?;
        let mut files: Vec<PathBuf> = Vec::new();
        for segment in &state.segments[first..first + group.len()] {
            files.extend(segment.discard(&self.disk)?);
        }
        let base = cleaned.base;
        let path = cleaned.finish_swap(&self.disk, &swap)?;
        sync()?;
        let (mut fresh, sound) = Segment::open(&self.disk, &path, base)?;
        if !sound {
            fresh.recover(&self.disk, self.config.read().index_interval_bytes)?;
            fresh.seal(&self.disk)?;
        }
        state.segments.splice(first..first + group.len(), [fresh]);
        // It may hold what is gone, also of aborted transactions.
        state.tail.clear();
        self.swaps.fetch_add(1, Ordering::AcqRel);
        self.unlink_later(&mut state, files);
        self.publish_size(&state);
        Ok(true)
    }

    /// Where the segments of a group are, if nothing happened to them.
    fn still(&self, state: &State, group: &[Source], truncations: u64) -> Option<usize> {
        let base = group.first()?.base;
        let first = state.segments.iter().position(|segment| segment.base == base)?;
        let here = state.segments.get(first..first + group.len())?;
        let same = here
            .iter()
            .zip(group)
            .all(|(segment, source)| (segment.base, segment.size) == (source.base, source.size));
        // The active one stays.
        (same && state.truncations == truncations && first + group.len() < state.segments.len()).then_some(first)
    }
}

/// Gives every batch of a segment to `see`: whole, or as much of it as `next` reads.
fn each<T>(
    source: &Source,
    next: fn(&mut Scan) -> io::Result<Step<T>>,
    mut see: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut scan = Scan::new(Arc::clone(&source.file), 0, source.size);
    loop {
        match next(&mut scan).map_err(Error::io(source.file.path()))? {
            Step::Batch { batch, .. } => see(batch)?,
            Step::End => return Ok(()),
            Step::Torn { why } => {
                let path = source.file.path().to_owned();
                return Err(Error::Malformed { path, why });
            }
        }
    }
}

/// Neighbours that fit into one segment together.
fn groups<'a>(sources: &'a [Source], config: &LogConfig) -> Vec<&'a [Source]> {
    let mut groups = Vec::new();
    let mut rest = sources;
    while let Some(first) = rest.first() {
        let mut size = 0;
        let fits = |source: &&Source| {
            size += source.size;
            size <= u64::from(config.segment_bytes) && i32::try_from(source.next - first.base).is_ok()
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (group, more) = rest.split_at(count);
        groups.push(group);
        rest = more;
    }
    groups
}

/// The last offset of a producer's data, if there is any, and its epoch.
pub(super) type LastBatch = (Option<Offset>, i16);

/// Whether a batch is the one by which a producer is remembered.
fn is_last_of(header: &Header, last: Option<&LastBatch>) -> bool {
    match last {
        None => false,
        Some((Some(offset), _)) => header.last_offset() == *offset,
        Some((None, epoch)) => header.is_control() && header.producer_epoch == *epoch,
    }
}
