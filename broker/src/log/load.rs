//! Brings a log's directory into memory: after a clean shutdown by looking, after a crash by checking.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Error;
use super::config::LogConfig;
use super::epoch::Epochs;
use super::producer::{Producers, Snapshots};
use super::scan::{Scan, Step};
use super::segment::{DELETED, SWAP, Segment, base_of};
use crate::env::disk::Disk;
use crate::id::Offset;
use crate::record::{Header, Marker};

/// A log as found on the disk.
#[derive(Debug)]
pub(super) struct Loaded {
    /// In order of their offsets; never empty, the last one is active.
    pub segments: Vec<Segment>,
    pub end: Offset,
    pub epochs: Epochs,
    pub producers: Producers,
    pub snapshots: Snapshots,
}

/// Loads the log in `dir`; see [`super::Log::open`].
pub(super) fn load(
    disk: &Disk,
    dir: &Arc<Path>,
    config: &LogConfig,
    recovery_point: Offset,
    clean: bool,
) -> Result<Loaded, Error> {
    disk.create_dir(dir).map_err(Error::io(dir))?;
    finish_swaps(disk, dir)?;
    let files = sweep(disk, dir)?;
    let (mut segments, checked) = open_segments(disk, dir, &files, config, recovery_point, clean)?;
    let end = finish(disk, dir, &mut segments, config, clean)?;
    let (mut epochs, epochs_lost) = Epochs::open(disk, dir)?;
    epochs.truncate_end(disk, end)?;
    let mut snapshots = Snapshots::open(dir, &files);
    let wanted = Rebuild {
        epochs: Some(&mut epochs).filter(|_| epochs_lost || !clean),
        aborted_from: checked,
    };
    let producers = replay(disk, &mut segments, end, &mut snapshots, wanted)?;
    Ok(Loaded {
        segments,
        end,
        epochs,
        producers,
        snapshots,
    })
}

/// Puts compacted segments that are whole into the place of those that they were made of, as far as these are still there.
fn finish_swaps(disk: &Disk, dir: &Path) -> Result<(), Error> {
    let files = disk.list(dir).map_err(Error::io(dir))?;
    let swaps = files
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == SWAP));
    for swap in swaps {
        let path = swap.with_extension("");
        let remove = |path: &Path| match disk.exists(path) {
            true => disk.remove(path).map_err(Error::io(path)),
            false => Ok(()),
        };
        let Some(base) = base_of(&path) else {
            remove(swap)?;
            continue;
        };
        let end = end_of(disk, swap)?.unwrap_or(base).max(base + 1);
        let replaced = |path: &&PathBuf| base_of(path).is_some_and(|other| (base..end).contains(&other));
        for other in files.iter().filter(replaced).chain([&path]) {
            for extension in ["log", "index", "timeindex", "txnindex"] {
                remove(&other.with_extension(extension))?;
            }
        }
        disk.rename(swap, &path).map_err(Error::io(swap))?;
        tracing::info!("{}: the compaction of {} was finished", dir.display(), path.display());
    }
    Ok(())
}

/// The offset after a segment's last batch; `None` of an empty one.
fn end_of(disk: &Disk, path: &Path) -> Result<Option<Offset>, Error> {
    let file = Arc::new(disk.open(path).map_err(Error::io(path))?);
    let size = disk.size(path).map_err(Error::io(path))?;
    let mut scan = Scan::new(file, 0, size);
    let mut end = None;
    while let Step::Batch { batch, .. } = scan.header().map_err(Error::io(path))? {
        end = Some(batch.next_offset());
    }
    Ok(end)
}

/// Removes what a crash left half done; returns the rest.
fn sweep(disk: &Disk, dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut kept = Vec::new();
    for path in disk.list(dir).map_err(Error::io(dir))? {
        let extension = path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        if matches!(extension, DELETED | "tmp" | "cleaned") {
            disk.remove(&path).map_err(Error::io(&path))?;
        } else {
            kept.push(path);
        }
    }
    let has_log = |path: &PathBuf| kept.binary_search(&path.with_extension("log")).is_ok();
    let is_index = |path: &&PathBuf| {
        path.extension()
            .is_some_and(|it| it == "index" || it == "timeindex" || it == "txnindex")
    };
    for orphan in kept.iter().filter(is_index).filter(|path| !has_log(path)) {
        disk.remove(orphan).map_err(Error::io(orphan))?;
    }
    Ok(kept)
}

/// All segments, closed; those that may be torn are recovered, and what follows a torn one is removed. Also the base of the
/// first one that was recovered.
fn open_segments(
    disk: &Disk,
    dir: &Path,
    files: &[PathBuf],
    config: &LogConfig,
    recovery_point: Offset,
    clean: bool,
) -> Result<(Vec<Segment>, Option<Offset>), Error> {
    let mut bases: Vec<(Offset, &PathBuf)> = files.iter().filter_map(|path| Some((base_of(path)?, path))).collect();
    bases.sort_unstable_by_key(|(base, _)| *base);
    let mut segments: Vec<Segment> = Vec::with_capacity(bases.len());
    let (mut is_cut, mut checked) = (false, None);
    for (index, (base, path)) in bases.iter().enumerate() {
        let (mut segment, indexed) = Segment::open(disk, path, *base)?;
        if is_cut {
            segment.delete(disk)?;
            continue;
        }
        let next_base = bases.get(index + 1).map(|(base, _)| *base);
        let flushed = next_base.is_some_and(|next| next <= recovery_point);
        if !indexed || !(clean || flushed) {
            checked.get_or_insert(*base);
            let recovered = segment.recover(disk, config.index_interval_bytes)?;
            // Two segments that overlap: the later one was written by mistake.
            is_cut =
                report(dir, &segment, recovered.torn.as_ref()) || next_base.is_some_and(|next| next < recovered.next);
            if next_base.is_some() && !is_cut {
                segment.seal(disk)?;
            }
        }
        segments.push(segment);
    }
    Ok((segments, checked))
}

fn report(dir: &Path, segment: &Segment, torn: Option<&(u64, String)>) -> bool {
    if let Some((bytes, why)) = torn {
        let file = segment
            .path()
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        tracing::warn!("{}: cut the last {bytes} bytes off {file}: {why}", dir.display());
    }
    torn.is_some()
}

/// Makes the last segment active, or a first one; returns the log's end.
fn finish(
    disk: &Disk,
    dir: &Path,
    segments: &mut Vec<Segment>,
    config: &LogConfig,
    clean: bool,
) -> Result<Offset, Error> {
    let Some(active) = segments.last_mut() else {
        let mut segment = Segment::create(disk, dir, 0)?;
        segment.reserve(disk, config);
        segments.push(segment);
        return Ok(0);
    };
    match active.activate(disk) {
        Err(Error::Malformed { path, why }) => {
            tracing::warn!(
                "{}: {why}; checking it whole although the shutdown was clean={clean}",
                path.display()
            );
            let recovered = active.recover(disk, config.index_interval_bytes)?;
            report(dir, active, recovered.torn.as_ref());
            Ok(recovered.next)
        }
        other => other,
    }
}

/// What [`replay`] makes anew beside the producers.
#[derive(Debug, Default)]
pub(super) struct Rebuild<'a> {
    /// From the headers of all batches.
    pub epochs: Option<&'a mut Epochs>,
    /// The aborted transactions of the segments from this base on.
    pub aborted_from: Option<Offset>,
}

/// Rebuilds the producers from the newest snapshot and the batches after it, and what else is wanted.
pub(super) fn replay(
    disk: &Disk,
    segments: &mut [Segment],
    end: Offset,
    snapshots: &mut Snapshots,
    wanted: Rebuild<'_>,
) -> Result<Producers, Error> {
    let start = segments.first().map_or(0, |segment| segment.base);
    let dir = segments
        .first()
        .map(|segment| segment.path().to_owned())
        .unwrap_or_default();
    let aborted_from = wanted.aborted_from.unwrap_or(Offset::MAX);
    let known = snapshots.load(disk, start, end.min(aborted_from));
    let (known, mut producers) = match known.map_err(Error::io(&dir))? {
        Some(found) => found,
        None => (start, Producers::default()),
    };
    for segment in segments.iter_mut().filter(|segment| segment.base >= aborted_from) {
        segment.forget_aborted(disk)?;
    }
    let mut from = known;
    let mut epochs = wanted.epochs;
    if let Some(epochs) = &epochs
        && epochs.latest().is_none()
    {
        from = start;
    }
    let mut epochs_changed = false;
    visit(disk, segments, from, |segment, batch, marker| {
        if batch.base_offset >= known
            && let Some(aborted) = producers.record(batch, marker)
            && segment.base >= aborted_from
        {
            segment.note_aborted(disk, aborted)?;
        }
        if let Some(epochs) = &mut epochs {
            epochs_changed |= epochs.note(batch.leader_epoch, batch.base_offset);
        }
        Ok(())
    })?;
    if let Some(epochs) = epochs.filter(|_| epochs_changed) {
        epochs.store(disk)?;
    }
    Ok(producers)
}

/// Visits the headers of all batches that end at or after `from`, with what control batches say.
fn visit(
    disk: &Disk,
    segments: &mut [Segment],
    from: Offset,
    mut see: impl FnMut(&mut Segment, &Header, Option<Marker>) -> Result<(), Error>,
) -> Result<(), Error> {
    let first = segments
        .partition_point(|segment| segment.base <= from)
        .saturating_sub(1);
    for segment in &mut segments[first..] {
        let Some((position, _)) = segment.find_offset(disk, from.max(segment.base))? else {
            continue;
        };
        let mut scan = Scan::new(segment.file(disk)?, position, segment.size);
        loop {
            match scan.header() {
                Ok(Step::Batch { position, batch }) => {
                    let marker = match batch.is_control() && batch.has_producer() {
                        true => scan.whole_at(position, batch).map_err(Error::io(segment.path()))?,
                        false => None,
                    };
                    see(segment, &batch, marker.as_ref().and_then(Marker::of))?;
                }
                Ok(Step::End) => break,
                Ok(Step::Torn { why }) => {
                    let path = segment.path().to_owned();
                    return Err(Error::Malformed {
                        path,
                        why: format!("{why} at byte {}", scan.position()),
                    });
                }
                Err(error) => return Err(Error::io(segment.path())(error)),
            }
        }
        drop(scan);
        segment.rest();
    }
    Ok(())
}
