//! One segment of a log: `%020d.log` and its two indexes, named for the offset they begin with.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Error;
use super::aborted::{Aborted, AbortedIndex};
use super::config::LogConfig;
use super::index::{Index, Moment, Place};
use super::scan::{Scan, Step};
use crate::env::disk::{Disk, File};
use crate::env::limit::Kept;
use crate::id::Offset;
use crate::record::Header;

const LOG: &str = "log";
const INDEX: &str = "index";
const TIME_INDEX: &str = "timeindex";
const ABORTED: &str = "txnindex";

/// What follows the names of the files of a cleaned segment that is not whole yet.
const CLEANED: &str = ".cleaned";

/// The extension of a cleaned segment's `.log` file from when it is whole until it has replaced what it was made of.
pub(super) const SWAP: &str = "swap";

/// The extension of files that are about to be unlinked.
pub(super) const DELETED: &str = "deleted";

/// One segment. Only a log's last one, the active one, is appended to.
#[derive(Debug)]
pub(super) struct Segment {
    pub base: Offset,
    /// Of the `.log` file, in bytes.
    pub size: u64,
    /// The time that decides when it is closed: its first batch's largest timestamp; -1 while empty.
    pub first_timestamp: i64,
    /// The largest timestamp, and the last offset of the batch that has it; -1 for none.
    pub max_timestamp: i64,
    pub max_timestamp_offset: Offset,
    path: PathBuf,
    /// Opened when needed: logs of many segments, and many logs, do not hold as many descriptors.
    file: Option<(Arc<File>, Kept)>,
    index: Index<Place>,
    time_index: Index<Moment>,
    aborted: AbortedIndex,
    since_index: u64,
    /// More room than it takes is reserved for it.
    is_reserved: bool,
}

/// What was found by reading a segment from its beginning.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The offset after its last sound batch.
    pub next: Offset,
    /// Bytes cut off, and why.
    pub torn: Option<(u64, String)>,
}

impl Segment {
    /// A new, empty, active one.
    pub(super) fn create(disk: &Disk, dir: &Path, base: Offset) -> Result<Self, Error> {
        let path = file_name(dir, base, LOG);
        let failed = Error::io(&path);
        Self::make(disk, dir, base, "").map_err(failed)
    }

    /// A new one that takes the place of others when it is whole; until then its files have names of their own.
    pub(super) fn create_cleaned(disk: &Disk, dir: &Path, base: Offset) -> Result<Self, Error> {
        let path = file_name(dir, base, LOG);
        let failed = Error::io(&path);
        Self::make(disk, dir, base, CLEANED).map_err(failed)
    }

    fn make(disk: &Disk, dir: &Path, base: Offset, suffix: &str) -> io::Result<Self> {
        let file_name =
            |dir: &Path, base: Offset, extension: &str| file_name(dir, base, &format!("{extension}{suffix}"));
        let path = file_name(dir, base, LOG);
        let file = disk.create(&path)?;
        file.truncate(0)?;
        Ok(Self {
            base,
            size: 0,
            first_timestamp: -1,
            max_timestamp: -1,
            max_timestamp_offset: -1,
            file: Kept::take().map(|kept| (Arc::new(file), kept)),
            path,
            index: Index::create(disk, file_name(dir, base, INDEX))?,
            time_index: Index::create(disk, file_name(dir, base, TIME_INDEX))?,
            aborted: AbortedIndex::create(disk, file_name(dir, base, ABORTED))?,
            since_index: 0,
            is_reserved: false,
        })
    }

    /// One that is there and closed. The second value is false when its indexes must be built anew.
    pub(super) fn open(disk: &Disk, path: &Path, base: Offset) -> Result<(Self, bool), Error> {
        let failed = Error::io(path);
        Self::find(disk, path, base).map_err(failed)
    }

    fn find(disk: &Disk, path: &Path, base: Offset) -> io::Result<(Self, bool)> {
        let dir = path.parent().unwrap_or(Path::new(""));
        let size = disk.size(path)?;
        let index = Index::<Place>::open(disk, file_name(dir, base, INDEX))?;
        let time_index = Index::<Moment>::open(disk, file_name(dir, base, TIME_INDEX))?;
        let placed = match &index {
            Some(index) => index.last(disk)?.is_none_or(|last| (last.position as u64) < size),
            None => false,
        };
        let aborted = AbortedIndex::open(disk, file_name(dir, base, ABORTED))?;
        let sound = placed && time_index.is_some() && aborted.is_some();
        let latest = match &time_index {
            Some(time_index) if sound => time_index.last(disk)?,
            _ => None,
        };
        let index = match index {
            Some(index) => index,
            None => Index::create(disk, file_name(dir, base, INDEX))?,
        };
        let time_index = match time_index {
            Some(time_index) => time_index,
            None => Index::create(disk, file_name(dir, base, TIME_INDEX))?,
        };
        let aborted = match aborted {
            Some(aborted) => aborted,
            None => AbortedIndex::create(disk, file_name(dir, base, ABORTED))?,
        };
        let segment = Self {
            base,
            size,
            first_timestamp: -1,
            max_timestamp: latest.map_or(-1, |moment| moment.timestamp),
            max_timestamp_offset: latest.map_or(-1, |moment| base + i64::from(moment.relative)),
            path: path.to_owned(),
            file: None,
            index,
            time_index,
            aborted,
            since_index: 0,
            is_reserved: false,
        };
        // Closed segments end with the time of their newest record, so one without any was not closed properly.
        let timed = latest.is_some() || size == 0;
        Ok((segment, sound && timed))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its `.log` file, opened if it is not.
    pub(super) fn file(&mut self, disk: &Disk) -> Result<Arc<File>, Error> {
        if let Some((file, _)) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(disk.open(&self.path).map_err(Error::io(&self.path))?);
        self.file = Kept::take().map(|kept| (Arc::clone(&file), kept));
        Ok(file)
    }

    /// Closes the descriptor if nobody reads through it.
    pub(super) fn rest(&mut self) {
        if self.file.as_ref().is_some_and(|(file, _)| Arc::strong_count(file) == 1) {
            self.file = None;
        }
    }

    /// Writes at its end, in one system call. After an error the file is as it was, or `Err` says it is not.
    pub(super) fn write(&mut self, disk: &Disk, content: &[u8]) -> Result<(), Error> {
        let file = self.file(disk)?;
        if let Err(error) = file.write_all_at(content, self.size) {
            // What was torn must not stay: it would be taken for the log's end after a crash, or precede the next append.
            file.truncate(self.size).map_err(Error::io(&self.path))?;
            return Err(Error::io(&self.path)(error));
        }
        Ok(())
    }

    /// Takes note of a batch of which the bytes were written at its end.
    pub(super) fn note(&mut self, batch: &Header, interval: u32) {
        if self.size == 0 {
            self.first_timestamp = batch.max_timestamp;
        }
        self.note_time(batch);
        if self.since_index > u64::from(interval) {
            self.push_index(batch);
            self.since_index = 0;
        }
        self.size += batch.size() as u64;
        self.since_index += batch.size() as u64;
    }

    /// A batch that compaction has left without records has a time, but nothing that is found by it.
    fn note_time(&mut self, batch: &Header) {
        if batch.count > 0 && batch.max_timestamp > self.max_timestamp {
            self.max_timestamp = batch.max_timestamp;
            self.max_timestamp_offset = batch.last_offset();
        }
    }

    fn push_index(&mut self, batch: &Header) {
        let place = i32::try_from(batch.last_offset() - self.base)
            .ok()
            .zip(i32::try_from(self.size).ok());
        if let Some((relative, position)) = place {
            self.index.push(Place { relative, position });
        }
        self.push_time();
    }

    fn push_time(&mut self) {
        if self.max_timestamp >= 0
            && let Ok(relative) = i32::try_from(self.max_timestamp_offset - self.base)
        {
            self.time_index.push(Moment {
                timestamp: self.max_timestamp,
                relative,
            });
        }
    }

    /// The aborted transactions whose markers are in it.
    pub(super) fn aborted(&self) -> &[Aborted] {
        self.aborted.entries()
    }

    /// Takes note of an aborted transaction whose marker was written at its end.
    pub(super) fn note_aborted(&mut self, disk: &Disk, aborted: Aborted) -> Result<(), Error> {
        self.aborted.push(disk, aborted).map_err(Error::io(self.aborted.path()))
    }

    /// Forgets the aborted transactions, which are noted anew then.
    pub(super) fn forget_aborted(&mut self, disk: &Disk) -> Result<(), Error> {
        self.aborted.clear(disk).map_err(Error::io(self.aborted.path()))
    }

    /// Writes index entries once enough of them wait.
    pub(super) fn spill_if_due(&mut self, disk: &Disk) -> Result<(), Error> {
        if self.index.is_due() || self.time_index.is_due() {
            self.spill(disk)
        } else {
            Ok(())
        }
    }

    /// Writes the index entries that are only in memory.
    pub(super) fn spill(&mut self, disk: &Disk) -> Result<(), Error> {
        self.index.spill(disk).map_err(Error::io(self.index.path()))?;
        self.time_index.spill(disk).map_err(Error::io(self.time_index.path()))
    }

    /// Reserves room for all of it where `preallocate` asks for it. The file does not grow by that, so nothing that is
    /// not a record is ever read; where the file system cannot do it, the segment grows as it is written.
    pub(super) fn reserve(&mut self, disk: &Disk, config: &LogConfig) {
        if !config.preallocate {
            return;
        }
        let reserved = self
            .file(disk)
            .map(|file| file.reserve(u64::from(config.segment_bytes)));
        match reserved {
            Ok(Ok(())) => self.is_reserved = true,
            Ok(Err(error)) => tracing::debug!("{} is not preallocated: {error}", self.path.display()),
            Err(error) => tracing::debug!("not preallocated: {error}"),
        }
    }

    /// `segment.ms`, shortened by this segment's share of `segment.jitter.ms`: segments that began together do not all end
    /// together.
    pub(super) fn lifetime_ms(&self, config: &LogConfig) -> i64 {
        // What is compacted has to be closed before.
        let longest = match config.compact {
            true => config.segment_ms.min(config.max_compaction_lag_ms),
            false => config.segment_ms,
        };
        let jitter = config.segment_jitter_ms.min(longest);
        match u64::try_from(jitter) {
            Ok(jitter @ 1..) => {
                let mut hasher = DefaultHasher::new();
                self.path.hash(&mut hasher);
                let share = i64::try_from(hasher.finish() % jitter).unwrap_or(0);
                longest - share
            }
            _ => longest,
        }
    }

    /// Whether another entry would make an index longer than `segment.index.bytes`.
    pub(super) fn is_index_full(&self, max: u32) -> bool {
        self.index.is_full(max) || self.time_index.is_full(max)
    }

    /// Completes the indexes: from now on it is only read.
    pub(super) fn seal(&mut self, disk: &Disk) -> Result<(), Error> {
        if std::mem::take(&mut self.is_reserved) {
            let file = self.file(disk)?;
            file.give_back().map_err(Error::io(&self.path))?;
        }
        self.push_time();
        self.index.seal(disk).map_err(Error::io(self.index.path()))?;
        self.time_index.seal(disk).map_err(Error::io(self.time_index.path()))
    }

    /// Waits until log and indexes are on the device.
    pub(super) fn sync(path: &Path, file: &File, disk: &Disk) -> Result<(), Error> {
        file.sync().map_err(Error::io(path))?;
        for extension in [INDEX, TIME_INDEX, ABORTED] {
            let path = path.with_extension(extension);
            if extension == ABORTED && !disk.exists(&path) {
                continue;
            }
            disk.open(&path)
                .and_then(|file| file.sync())
                .map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Waits until a cleaned one is on the device.
    pub(super) fn sync_cleaned(&mut self, disk: &Disk) -> Result<(), Error> {
        let path = self.path.clone();
        self.file(disk)?.sync().map_err(Error::io(&path))?;
        for path in self.beside().filter(|path| disk.exists(path)) {
            disk.open(path).and_then(|file| file.sync()).map_err(Error::io(path))?;
        }
        Ok(())
    }

    /// The files of its indexes.
    fn beside(&self) -> impl Iterator<Item = &Path> {
        [self.index.path(), self.time_index.path(), self.aborted.path()].into_iter()
    }

    /// Removes the files of a cleaned one that is not wanted.
    pub(super) fn remove_cleaned(&self, disk: &Disk) -> Result<(), Error> {
        for path in self.beside().chain([self.path()]).filter(|path| disk.exists(path)) {
            disk.remove(path).map_err(Error::io(path))?;
        }
        Ok(())
    }

    /// Says that a cleaned one is whole: a start after a crash puts it into its place. Returns the name it has until then.
    pub(super) fn announce_swap(&self, disk: &Disk) -> Result<PathBuf, Error> {
        let swap = self.path.with_extension(SWAP);
        disk.rename(&self.path, &swap).map_err(Error::io(&self.path))?;
        Ok(swap)
    }

    /// Gives the files of a cleaned one their names, the log's at last. What it was made of is gone by then.
    pub(super) fn finish_swap(&self, disk: &Disk, swap: &Path) -> Result<PathBuf, Error> {
        for path in self.beside().filter(|path| disk.exists(path)) {
            disk.rename(path, &path.with_extension("")).map_err(Error::io(path))?;
        }
        let path = swap.with_extension("");
        disk.rename(swap, &path).map_err(Error::io(swap))?;
        Ok(path)
    }

    /// Makes a closed one active: loads its indexes and reads what follows their last entry. Returns the next offset.
    pub(super) fn activate(&mut self, disk: &Disk) -> Result<Offset, Error> {
        self.index.activate(disk).map_err(Error::io(self.index.path()))?;
        self.time_index
            .activate(disk)
            .map_err(Error::io(self.time_index.path()))?;
        self.read_end(disk)
            .unwrap_or_else(|error| Err(Error::io(&self.path)(error)))
    }

    fn read_end(&mut self, disk: &Disk) -> io::Result<Result<Offset, Error>> {
        let file = match self.file(disk) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        if let Step::Batch { batch, .. } = Scan::new(Arc::clone(&file), 0, self.size).header()? {
            self.first_timestamp = batch.max_timestamp;
        }
        let latest = self.time_index.last(disk)?;
        self.max_timestamp = latest.map_or(-1, |moment| moment.timestamp);
        self.max_timestamp_offset = latest.map_or(-1, |moment| self.base + i64::from(moment.relative));
        let from = self.index.last(disk)?.map_or(0, |place| place.position as u64);
        let mut scan = Scan::new(file, from, self.size);
        let mut next = self.base;
        loop {
            match scan.header()? {
                Step::Batch { batch, .. } => {
                    self.note_time(&batch);
                    next = batch.next_offset();
                }
                Step::End => break,
                Step::Torn { why } => {
                    let path = self.path.clone();
                    return Ok(Err(Error::Malformed {
                        path,
                        why: format!("{why} at byte {}", scan.position()),
                    }));
                }
            }
        }
        self.since_index = self.size - from;
        Ok(Ok(next))
    }

    /// Reads it whole, checks every CRC, cuts off what is torn, and builds its indexes anew. It is active then.
    pub(super) fn recover(&mut self, disk: &Disk, interval: u32) -> Result<Recovered, Error> {
        let file = self.file(disk)?;
        self.rebuild(disk, &file, interval)
            .map_err(|error| Error::io(&self.path)(error))
    }

    fn rebuild(&mut self, disk: &Disk, file: &Arc<File>, interval: u32) -> io::Result<Recovered> {
        let end = self.size;
        self.index = Index::create(disk, self.index.path().to_owned())?;
        self.time_index = Index::create(disk, self.time_index.path().to_owned())?;
        (self.size, self.since_index) = (0, 0);
        (self.first_timestamp, self.max_timestamp, self.max_timestamp_offset) = (-1, -1, -1);
        let mut scan = Scan::new(Arc::clone(file), 0, end);
        let mut next = self.base;
        let why = loop {
            match scan.whole()? {
                Step::Batch { batch, .. } => {
                    if let Err(error) = batch.check_crc() {
                        break Some(error.to_string());
                    }
                    if batch.header.base_offset < next {
                        break Some(format!("offset {} follows {next}", batch.header.base_offset));
                    }
                    if i32::try_from(batch.header.last_offset() - self.base).is_err() {
                        break Some("its offsets are too far apart".to_owned());
                    }
                    self.note(&batch.header, interval);
                    next = batch.header.next_offset();
                }
                Step::End => break None,
                Step::Torn { why } => break Some(why),
            }
        };
        let torn = why.map(|why| (end - self.size, why));
        if torn.is_some() {
            file.truncate(self.size)?;
        }
        self.index.spill(disk)?;
        self.time_index.spill(disk)?;
        Ok(Recovered { next, torn })
    }

    /// The first batch whose last offset is at or after `offset`: its position and header.
    pub(super) fn find_offset(&mut self, disk: &Disk, offset: Offset) -> Result<Option<(u64, Header)>, Error> {
        let place = self
            .index
            .floor(disk, offset - self.base)
            .map_err(Error::io(self.index.path()))?;
        let from = place.map_or(0, |place| place.position as u64);
        let found = self.find_from(disk, from, |batch| batch.last_offset() >= offset)?;
        // An index that points into the middle of a batch finds nothing; the segment itself still does.
        if found.is_none() && from > 0 {
            return self.find_from(disk, 0, |batch| batch.last_offset() >= offset);
        }
        Ok(found)
    }

    /// The first batch that has a record at or after `timestamp` and ends at or after `start`.
    pub(super) fn find_time(
        &mut self,
        disk: &Disk,
        timestamp: i64,
        start: Offset,
    ) -> Result<Option<(u64, Header)>, Error> {
        // All records before the entry's offset are older than the entry after it, so nothing before it can match.
        let moment = self
            .time_index
            .floor(disk, timestamp - 1)
            .map_err(Error::io(self.time_index.path()))?;
        let offset = moment
            .map_or(self.base, |moment| self.base + i64::from(moment.relative))
            .max(start);
        let Some((from, _)) = self.find_offset(disk, offset)? else {
            return Ok(None);
        };
        self.find_from(disk, from, |batch| batch.max_timestamp >= timestamp)
    }

    fn find_from(
        &mut self,
        disk: &Disk,
        from: u64,
        wanted: impl Fn(&Header) -> bool,
    ) -> Result<Option<(u64, Header)>, Error> {
        let mut scan = Scan::new(self.file(disk)?, from, self.size);
        loop {
            match scan.header().map_err(Error::io(&self.path))? {
                Step::Batch { position, batch } if wanted(&batch) => return Ok(Some((position, batch))),
                Step::Batch { .. } => {}
                Step::End | Step::Torn { .. } => return Ok(None),
            }
        }
    }

    /// Cuts it off at `position`, where a batch begins, and makes it active. Returns the next offset.
    pub(super) fn truncate(&mut self, disk: &Disk, position: u64) -> Result<Offset, Error> {
        self.index.activate(disk).map_err(Error::io(self.index.path()))?;
        self.time_index
            .activate(disk)
            .map_err(Error::io(self.time_index.path()))?;
        self.file(disk)?.truncate(position).map_err(Error::io(&self.path))?;
        self.size = position;
        let kept = |place: &Place| (place.position as u64) < position;
        self.index.truncate(disk, kept).map_err(Error::io(self.index.path()))?;
        let next = self.activate(disk)?;
        let base = self.base;
        self.time_index
            .truncate(disk, |moment| base + i64::from(moment.relative) < next)
            .map_err(Error::io(self.time_index.path()))?;
        self.aborted
            .truncate(disk, next)
            .map_err(Error::io(self.aborted.path()))?;
        // The newest timestamp may have been in what was cut off.
        self.activate(disk)
    }

    /// Renames its files, so that a crash leaves no half of it, and returns what is to be unlinked later. Readers keep what
    /// they hold.
    pub(super) fn discard(&self, disk: &Disk) -> Result<Vec<PathBuf>, Error> {
        let paths = [LOG, INDEX, TIME_INDEX, ABORTED].map(|extension| self.path.with_extension(extension));
        let renamed = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".");
            name.push(DELETED);
            PathBuf::from(name)
        };
        for path in paths.iter().filter(|path| disk.exists(path)) {
            disk.rename(path, &renamed(path)).map_err(Error::io(path))?;
        }
        let renamed = paths.iter().map(|path| renamed(path));
        Ok(renamed.filter(|path| disk.exists(path)).collect())
    }

    /// As [`Segment::discard`], and unlinks them at once.
    pub(super) fn delete(&self, disk: &Disk) -> Result<(), Error> {
        for path in self.discard(disk)? {
            disk.remove(&path).map_err(Error::io(&path))?;
        }
        Ok(())
    }
}

/// The offset that a segment's `.log` file begins with; `None` for other files.
pub(super) fn base_of(path: &Path) -> Option<Offset> {
    let is_log = path.extension().is_some_and(|extension| extension == LOG);
    path.file_stem()?.to_str()?.parse().ok().filter(|_| is_log)
}

fn file_name(dir: &Path, base: Offset, extension: &str) -> PathBuf {
    dir.join(format!("{base:020}.{extension}"))
}
