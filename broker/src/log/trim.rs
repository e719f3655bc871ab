//! What shortens a log or ends its use: truncation, retention, flush, close, delete.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::config::LogConfig;
use super::load::{Rebuild, replay};
use super::manager::sync_topic_id;
use super::segment::Segment;
use super::{Condition, Error, Log, State, beside};
use crate::env::disk::File;
use crate::id::Offset;

impl Log {
    /// Cuts off `offset` and all after it. A batch that contains it goes whole, so the end may be smaller.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn truncate_to(&self, offset: Offset) -> Result<(), Error> {
        let mut state = self.lock()?;
        if offset >= self.end() {
            // An epoch that began at the end has no record, and another leader may not know of it.
            let done = state.epochs.truncate_end(&self.disk, offset);
            return self.judge(done);
        }
        let first = state.segments.first().map_or(0, |segment| segment.base);
        let done = if offset < first {
            self.reset(&mut state, offset)
        } else {
            self.cut_off(&mut state, offset)
        };
        self.judge(done)
    }

    fn cut_off(&self, state: &mut State, offset: Offset) -> Result<(), Error> {
        state.tail.clear();
        while state.segments.len() > 1 && state.segments.last().is_some_and(|last| last.base >= offset) {
            if let Some(segment) = state.segments.pop() {
                let files = segment.discard(&self.disk)?;
                self.unlink_later(state, files);
            }
        }
        let active = state.active()?;
        let end = match active.find_offset(&self.disk, offset)? {
            Some((position, _)) => active.truncate(&self.disk, position)?,
            None => active.activate(&self.disk)?,
        };
        // After a power cut what was cut off must not show through what is written in its place.
        let (path, file) = (active.path().to_owned(), active.file(&self.disk)?);
        file.sync().map_err(Error::io(&path))?;
        self.sync_names()?;
        state.epochs.truncate_end(&self.disk, end)?;
        state
            .snapshots
            .truncate(&self.disk, end)
            .map_err(Error::io(&self.dir()))?;
        let State {
            segments, snapshots, ..
        } = state;
        state.producers = replay(&self.disk, segments, end, snapshots, Rebuild::default())?;
        self.move_end(state, end);
        Ok(())
    }

    /// Removes everything; the next record gets `offset`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn restart_at(&self, offset: Offset) -> Result<(), Error> {
        let mut state = self.lock()?;
        let done = self.reset(&mut state, offset);
        self.judge(done)
    }

    fn reset(&self, state: &mut State, offset: Offset) -> Result<(), Error> {
        self.make(state)?;
        state.tail.clear();
        for segment in std::mem::take(&mut state.segments) {
            let files = segment.discard(&self.disk)?;
            self.unlink_later(state, files);
        }
        state.segments.push(Segment::create(&self.disk, &self.dir(), offset)?);
        state.dir_changed = true;
        self.sync_names()?;
        state.epochs.clear(&self.disk)?;
        state.producers.clear();
        state
            .snapshots
            .truncate(&self.disk, -1)
            .map_err(Error::io(&self.dir()))?;
        self.start.store(offset, Ordering::Release);
        self.move_end(state, offset);
        Ok(())
    }

    /// Segments that were removed do not come back.
    fn sync_names(&self) -> Result<(), Error> {
        let dir = self.dir();
        self.disk.sync_dir(&dir).map_err(Error::io(&dir))
    }

    fn move_end(&self, state: &mut State, end: Offset) {
        state.truncations += 1;
        self.publish_unstable(state);
        self.end.store(end, Ordering::Release);
        self.start.fetch_min(end, Ordering::AcqRel);
        self.cleaned_to.fetch_min(end, Ordering::AcqRel);
        self.recovery_point.fetch_min(end, Ordering::AcqRel);
        self.set_high_watermark(self.high_watermark());
        self.publish_size(state);
    }

    /// Records before `offset` can no longer be read (DeleteRecords); segments that hold only such records go.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] after the end.
    pub fn advance_start(&self, offset: Offset) -> Result<(), Error> {
        let mut state = self.lock()?;
        let (start, end) = (self.start(), self.end());
        if offset > end {
            return Err(Error::OffsetOutOfRange { offset, start, end });
        }
        if offset <= start {
            return Ok(());
        }
        let done = self.drop_before(&mut state, offset);
        self.judge(done).map(|_| ())
    }

    /// Moves the start and deletes the segments before it; returns their bytes.
    fn drop_before(&self, state: &mut State, offset: Offset) -> Result<u64, Error> {
        self.start.fetch_max(offset, Ordering::AcqRel);
        self.high_watermark.fetch_max(offset, Ordering::AcqRel);
        self.recovery_point.fetch_max(offset, Ordering::AcqRel);
        let mut deleted = 0;
        while let [first, second, ..] = state.segments.as_slice() {
            if second.base > offset {
                break;
            }
            let files = first.discard(&self.disk)?;
            deleted += first.size;
            state.segments.remove(0);
            self.unlink_later(state, files);
        }
        state.epochs.truncate_start(&self.disk, offset)?;
        let State {
            snapshots, segments, ..
        } = state;
        snapshots
            .prune(&self.disk, |known| segments.iter().any(|segment| segment.base == known))
            .map_err(Error::io(&self.dir()))?;
        self.publish_size(state);
        Ok(deleted)
    }

    /// Has files unlinked by [`Log::unlink_due`] after `file.delete.delay.ms`. A crash before that is made good by the next start.
    pub(super) fn unlink_later(&self, state: &mut State, files: Vec<PathBuf>) {
        let due_ms = self
            .clock
            .now_ms()
            .saturating_add(self.config.read().file_delete_delay_ms);
        state.doomed.extend(files.into_iter().map(|path| (due_ms, path)));
    }

    /// Unlinks the files of deleted segments whose time has come.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn unlink_due(&self) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let due: Vec<PathBuf> = {
            let mut state = self.lock()?;
            let (due, later) = std::mem::take(&mut state.doomed)
                .into_iter()
                .partition::<Vec<_>, _>(|(due_ms, _)| *due_ms <= now_ms);
            state.doomed = later;
            due.into_iter().map(|(_, path)| path).collect()
        };
        for path in due {
            // Gone with a later segment of the same name.
            if self.disk.exists(&path) {
                self.judge(self.disk.remove(&path).map_err(Error::io(&path)))?;
            }
        }
        Ok(())
    }

    /// Applies retention by time and size to whole segments before `high_watermark`, and forgets producers
    /// that were silent too long; returns the bytes deleted.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn retain(&self, high_watermark: Offset) -> Result<u64, Error> {
        let config = Arc::clone(&self.config.read());
        let now_ms = self.clock.now_ms();
        let mut state = self.lock()?;
        if state.is_blank() {
            return Ok(0);
        }
        state
            .producers
            .expire(now_ms.saturating_sub(config.producer_id_expiration_ms));
        let doomed = if config.delete {
            self.doomed(&state, &config, high_watermark, now_ms)
        } else {
            0
        };
        if doomed == state.segments.len() {
            let rolled = self.roll(&mut state);
            self.judge(rolled)?;
        }
        let kept = state.segments.get(doomed).map_or(self.start(), |segment| segment.base);
        let done = self.drop_before(&mut state, kept.max(self.start()));
        for segment in &mut state.segments {
            segment.rest();
        }
        self.judge(done)
    }

    /// How many of the first segments retention deletes.
    fn doomed(&self, state: &State, config: &LogConfig, high_watermark: Offset, now_ms: i64) -> usize {
        let size: u64 = state.segments.iter().map(|segment| segment.size).sum();
        let limit = config.retention_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let mut surplus = limit.map_or(0, |limit| size.saturating_sub(limit));
        let mut doomed = 0;
        for (index, segment) in state.segments.iter().enumerate() {
            let next = state.segments.get(index + 1).map_or(self.end(), |next| next.base);
            let is_last = index + 1 == state.segments.len();
            if next > high_watermark || (segment.size == 0 && is_last) {
                break;
            }
            if segment.size == 0 {
                // Compaction left nothing of it.
                doomed += 1;
                continue;
            }
            let newest = if segment.max_timestamp >= 0 {
                segment.max_timestamp
            } else {
                // Records without a time: the file's.
                self.disk.modified_ms(segment.path()).unwrap_or(now_ms)
            };
            let expired = config
                .retention_ms
                .is_some_and(|keep| now_ms.saturating_sub(newest) > keep);
            let too_much = surplus >= segment.size;
            if !expired && !too_much {
                break;
            }
            surplus = surplus.saturating_sub(segment.size);
            doomed += 1;
        }
        doomed
    }

    /// Gives up the memory of its tail and its descriptors if the last append is `idle_ms` or more ago: others need them more.
    ///
    /// # Errors
    /// When the log cannot be used any more.
    pub fn cool(&self, idle_ms: i64) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let mut state = self.lock()?;
        if now_ms.saturating_sub(state.appended_ms) >= idle_ms {
            state.tail.clear();
            for segment in &mut state.segments {
                segment.rest();
            }
        }
        Ok(())
    }

    /// Flushes if `flush.ms` has passed since the oldest unflushed append, or a segment was closed since.
    ///
    /// # Errors
    /// When fsync fails; the log is offline then.
    pub fn flush_if_due(&self) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let flush_ms = self.config.read().flush_ms;
        let due = {
            let mut state = self.lock()?;
            if state.is_blank() {
                return Ok(());
            }
            let age = state.unflushed_since.map(|since| now_ms - since);
            let closed = state.active()?.base > self.recovery_point();
            closed || flush_ms.zip(age).is_some_and(|(limit, age)| age >= limit)
        };
        if due { self.flush() } else { Ok(()) }
    }

    /// Returns once everything appended so far is on the device.
    ///
    /// # Errors
    /// When fsync fails; the log is offline then.
    pub fn flush(&self) -> Result<(), Error> {
        let (files, end, truncations, sync_dir, dir) = {
            let mut state = self.lock()?;
            if state.is_blank() {
                return Ok(());
            }
            let prepared = self.unflushed(&mut state);
            let files = self.judge(prepared)?;
            state.unflushed_since = None;
            (
                files,
                self.end(),
                state.truncations,
                std::mem::take(&mut state.dir_changed),
                self.dir(),
            )
        };
        for (path, file) in &files {
            match Segment::sync(path, file, &self.disk) {
                // Deleted by retention or truncation while the lock was free: nothing is left to be flushed.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                other => self.judge(other)?,
            }
        }
        // It may have been deleted or have moved meanwhile.
        if sync_dir && self.disk.exists(&dir) {
            let synced = sync_topic_id(&self.disk, &dir);
            self.judge(synced.and_then(|()| self.disk.sync_dir(&dir).map_err(Error::io(&dir))))?;
        }
        let state = self.state.lock();
        // Offsets that were given anew meanwhile are not on the device.
        if state.truncations == truncations {
            self.recovery_point.fetch_max(end, Ordering::AcqRel);
        }
        Ok(())
    }

    /// The segments that hold what is not on the device, their indexes written.
    fn unflushed(&self, state: &mut State) -> Result<Vec<(PathBuf, Arc<File>)>, Error> {
        let point = self.recovery_point();
        let first = state
            .segments
            .partition_point(|segment| segment.base <= point)
            .saturating_sub(1);
        let mut files = Vec::new();
        for segment in &mut state.segments[first..] {
            match segment.spill(&self.disk) {
                // An index without its last entries only makes a lookup longer.
                Ok(()) | Err(Error::Full { .. }) => {}
                Err(error) => return Err(error),
            }
            files.push((segment.path().to_owned(), segment.file(&self.disk)?));
        }
        Ok(files)
    }

    /// Flushes and leaves everything as a clean start needs it; the log is not used afterwards.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn close(&self) -> Result<(), Error> {
        if self.state.lock().condition != Condition::Open {
            return Ok(());
        }
        self.flush()?;
        let end = self.end();
        let mut state = self.lock()?;
        if state.is_blank() {
            state.condition = Condition::Closed;
            return Ok(());
        }
        let State {
            snapshots,
            producers,
            segments,
            condition,
            tail,
            ..
        } = &mut *state;
        if let Some(active) = segments.last_mut() {
            self.judge(active.seal(&self.disk))?;
        }
        let taken = snapshots.take(&self.disk, producers, end).and_then(|()| {
            snapshots.prune(&self.disk, |offset| {
                segments.iter().any(|segment| segment.base == offset)
            })
        });
        self.judge(taken.map_err(Error::io(&self.dir())))?;
        tail.clear();
        for segment in segments {
            segment.rest();
        }
        *condition = Condition::Closed;
        Ok(())
    }

    /// Gives its name free; everything else returns [`Error::Deleted`] afterwards. What is left of it on the disk is
    /// returned, to be removed by the caller now or later; a start removes it too.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete(&self) -> Result<Option<PathBuf>, Error> {
        let mut state = self.state.lock();
        if state.condition == Condition::Deleted {
            return Ok(None);
        }
        state.condition = Condition::Deleted;
        state.tail.clear();
        if state.is_blank() {
            return Ok(None);
        }
        let dir = self.dir();
        let renamed = beside(&dir, "delete");
        let moved = self.disk.rename(&dir, &renamed);
        self.judge(moved.map_err(Error::io(&dir)))?;
        Ok(Some(renamed))
    }
}
