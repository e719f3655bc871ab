//! The recording of one cluster on disk: what consoles saw, for the next console, for one-shot commands, and for afterwards.
//!
//! A folder of segments, each readable alone: it names partitions and groups once and counts from there. A record is its
//! length and a zstd frame with a checksum; what a crash tore off is dropped, and nobody appends to another's segment. One
//! console of a host writes, who holds the lock of the folder; 48 hours or 500 MB are kept, whichever is less. Two hours of
//! 10,000 busy partitions take some 15 MB.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::model::history::{Basis, GroupPast, History};
use crate::model::{BrokerId, Moment, Snapshot};

/// A new segment after so long or so much, so that little is lost with a bad one.
const SEGMENT_SECONDS: i64 = 600;
const SEGMENT_BYTES: u64 = 8 << 20;
const KEPT_SECONDS: i64 = 48 * 3600;
const KEPT_BYTES: u64 = 500_000_000;
/// What groups did is written this often.
const PAST_SECONDS: i64 = 60;
/// Longer between two samples is a gap: what lies in it is not known.
const GAP_SECONDS: i64 = 60;
/// No record is larger: a length beyond it is no length.
const RECORD_BYTES: usize = 64 << 20;
const LEVEL: i32 = 3;
const ENDING: &str = "ring";

/// One sample of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub at: Moment,
    /// The ends of logs, of leaders that answer.
    pub ends: Vec<(String, i32, i64)>,
    /// Lag and the sum of committed offsets, of groups whose coordinator answers.
    pub groups: Vec<(String, i64, i64)>,
    /// Bytes in use.
    pub brokers: Vec<(BrokerId, u64)>,
    pub pasts: BTreeMap<String, GroupPast>,
}

/// What a record says in words; the numbers of places follow it as varints.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    at_ms: i64,
    /// Partitions and groups that this segment has not named before.
    places: Vec<(String, i32)>,
    groups: Vec<String>,
    brokers: Vec<(BrokerId, u64)>,
    pasts: Option<BTreeMap<String, GroupPast>>,
}

/// The folder, and the segment being written.
#[derive(Debug)]
pub(super) struct Ring {
    folder: PathBuf,
    lock: Option<File>,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    began: Moment,
    bytes: u64,
    told_pasts: Option<Moment>,
    numbers: Numbers,
}

/// The numbers of a segment so far, by place.
#[derive(Debug, Default)]
struct Numbers {
    places: HashMap<String, HashMap<i32, usize>>,
    ends: Vec<i64>,
    groups: HashMap<String, usize>,
    /// Lag and committed.
    lags: Vec<(i64, i64)>,
}

impl Sample {
    /// What the snapshot knows and its history has just taken in.
    pub fn of(snapshot: &Snapshot, at: Moment) -> Self {
        let history = &snapshot.history;
        let fresh = snapshot.offsets.values().filter(|told| told.is_fresh());
        let spans = fresh.filter_map(|told| told.get()).flat_map(|told| &told.topics);
        let ends = spans.flat_map(|(topic, spans)| {
            let end =
                move |(partition, span): (&i32, &crate::model::offset::Span)| (topic.clone(), *partition, span.end);
            spans.iter().map(end)
        });
        let just = |series: &crate::model::history::Series| series.latest().filter(|last| last.at == at);
        let group = |(name, lag): (&String, &crate::model::history::Series)| {
            let read = just(history.group_read.get(name)?)?;
            Some((name.clone(), just(lag)?.value as i64, read.value as i64))
        };
        let bytes = |(id, used): (&BrokerId, &crate::model::history::Series)| Some((*id, just(used)?.value as u64));
        Self {
            at,
            ends: ends.collect(),
            groups: history.group_lag.iter().filter_map(group).collect(),
            brokers: history.broker_bytes.iter().filter_map(bytes).collect(),
            pasts: history.groups.clone(),
        }
    }
}

impl Ring {
    /// Nothing is written before [`Ring::write`].
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            lock: None,
            segment: None,
        }
    }

    /// Writes a sample, unless another console of this host records this cluster: then `Ok(false)`.
    pub fn write(&mut self, sample: &Sample) -> io::Result<bool> {
        if self.lock.is_none() {
            self.lock = take(&self.folder)?;
        }
        if self.lock.is_none() {
            return Ok(false);
        }
        let full = |segment: &Segment| {
            segment.bytes >= SEGMENT_BYTES || sample.at.duration_since(segment.began).as_secs() >= SEGMENT_SECONDS
        };
        if self.segment.as_ref().is_none_or(full) {
            self.segment = None;
            forget(&self.folder, sample.at)?;
            self.segment = Some(Segment::begin(&self.folder, sample.at)?);
        }
        let written = match &mut self.segment {
            Some(segment) => segment.write(sample),
            None => Ok(()),
        };
        if written.is_err() {
            // Half a record may stand there: nothing is to follow it.
            self.segment = None;
        }
        written.map(|()| true)
    }
}

impl Segment {
    fn begin(folder: &Path, at: Moment) -> io::Result<Self> {
        let path = folder.join(format!("{:014}.{ENDING}", at.as_millisecond()));
        let mut options = OpenOptions::new();
        let file = options.create_new(true).append(true).mode(0o640).open(path)?;
        Ok(Self {
            file,
            began: at,
            bytes: 0,
            told_pasts: None,
            numbers: Numbers::default(),
        })
    }

    fn write(&mut self, sample: &Sample) -> io::Result<()> {
        let old = |told: Moment| sample.at.duration_since(told).as_secs() >= PAST_SECONDS;
        let pasts = self.told_pasts.is_none_or(old).then(|| sample.pasts.clone());
        self.told_pasts = if pasts.is_some() {
            Some(sample.at)
        } else {
            self.told_pasts
        };
        let mut head = Head {
            at_ms: sample.at.as_millisecond(),
            brokers: sample.brokers.clone(),
            pasts,
            ..Head::default()
        };
        let numbers = self.numbers.encode(sample, &mut head);
        let mut words = Vec::new();
        ciborium::into_writer(&head, &mut words).map_err(io::Error::other)?;
        let mut payload = u32::try_from(words.len())
            .map_err(io::Error::other)?
            .to_le_bytes()
            .to_vec();
        payload.extend(words);
        payload.extend(numbers);
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(&payload)?;
        let frame = encoder.finish()?;
        let mut record = u32::try_from(frame.len())
            .map_err(io::Error::other)?
            .to_le_bytes()
            .to_vec();
        record.extend(frame);
        self.file.write_all(&record)?;
        self.bytes += record.len() as u64;
        Ok(())
    }
}

impl Numbers {
    /// For each place what its log grew and one more, 0 where nobody told; for each group its lag and one more, and what it
    /// read.
    fn encode(&mut self, sample: &Sample, head: &mut Head) -> Vec<u8> {
        let mut grown = vec![0_u64; self.ends.len()];
        for (topic, partition, end) in &sample.ends {
            let known = self.places.get(topic).and_then(|places| places.get(partition)).copied();
            // A log that is shorter than before is another log.
            match known.filter(|place| self.ends[*place] <= *end) {
                Some(place) => {
                    grown[place] = (*end - self.ends[place]) as u64 + 1;
                    self.ends[place] = *end;
                }
                None => {
                    head.places.push((topic.clone(), *partition));
                    let places = self.places.entry(topic.clone()).or_default();
                    places.insert(*partition, self.ends.len());
                    self.ends.push(*end);
                    grown.push((*end).max(0) as u64 + 1);
                }
            }
        }
        let mut lags = vec![None; self.lags.len()];
        for (name, lag, read) in &sample.groups {
            let place = match self.groups.get(name) {
                Some(place) => *place,
                None => {
                    head.groups.push(name.clone());
                    self.groups.insert(name.clone(), self.lags.len());
                    self.lags.push((0, 0));
                    lags.push(None);
                    self.lags.len() - 1
                }
            };
            lags[place] = Some((*lag, *read - self.lags[place].1));
            self.lags[place] = (*lag, *read);
        }
        let mut bytes = Vec::with_capacity(grown.len() * 2);
        for grown in grown {
            put(&mut bytes, grown);
        }
        for lag in lags {
            match lag {
                None => put(&mut bytes, 0),
                Some((lag, read)) => {
                    put(&mut bytes, lag.max(0) as u64 + 1);
                    put(&mut bytes, ((read << 1) ^ (read >> 63)) as u64);
                }
            }
        }
        bytes
    }
}

/// The lock of the folder, or nobody's: another process holds it.
fn take(folder: &Path) -> io::Result<Option<File>> {
    fs::DirBuilder::new().recursive(true).mode(0o770).create(folder)?;
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o660)
        .open(folder.join("writer.lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The segments and when they begin, oldest first.
fn segments(folder: &Path) -> io::Result<Vec<(Moment, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        if path.extension().is_some_and(|ending| ending == ENDING)
            && let Some(began) = name.and_then(|ms| Moment::from_millisecond(ms).ok())
        {
            segments.push((began, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Drops what is too old, and the oldest of what is too much.
fn forget(folder: &Path, now: Moment) -> io::Result<()> {
    let segments = segments(folder)?;
    let mut sizes = Vec::new();
    for (_, path) in &segments {
        sizes.push(fs::metadata(path)?.len());
    }
    let mut all: u64 = sizes.iter().sum();
    for ((began, path), size) in segments.iter().zip(sizes) {
        let old = now.duration_since(*began).as_secs() > KEPT_SECONDS + SEGMENT_SECONDS;
        if !old && all + SEGMENT_BYTES <= KEPT_BYTES {
            break;
        }
        fs::remove_file(path)?;
        all -= size;
    }
    Ok(())
}

/// What was recorded from `since` on; empty where nothing was. What cannot be read is left out.
pub(super) fn load(folder: &Path, since: Moment, now: Moment) -> History {
    let mut history = History::default();
    let segments = segments(folder).unwrap_or_default();
    let mut last: Option<Moment> = None;
    for (at, (_, path)) in segments.iter().enumerate() {
        // It ends before the next one begins.
        if segments.get(at + 1).is_some_and(|(next, _)| *next <= since) {
            continue;
        }
        let Ok(bytes) = fs::read(path) else { continue };
        replay(&bytes, since, &mut history, &mut last);
    }
    let silent = last.is_none_or(|last| now.duration_since(last).as_secs() > GAP_SECONDS);
    if silent {
        history.began = None;
        // It may have been otherwise meanwhile.
        for past in history.groups.values_mut() {
            past.since.basis = Basis::Seen;
        }
    }
    history
}

/// Adds one segment's samples, up to the first that is torn.
fn replay(mut bytes: &[u8], since: Moment, history: &mut History, last: &mut Option<Moment>) {
    let mut places: Vec<(String, i32, i64)> = Vec::new();
    let mut groups: Vec<(String, i64)> = Vec::new();
    while let Some((head, numbers)) = record(&mut bytes) {
        let Ok(at) = Moment::from_millisecond(head.at_ms) else {
            return;
        };
        places.extend(head.places.into_iter().map(|(topic, partition)| (topic, partition, 0)));
        groups.extend(head.groups.into_iter().map(|name| (name, 0)));
        let mut numbers = numbers.as_slice();
        let mut seen = Vec::with_capacity(places.len());
        for place in &mut places {
            let Some(grown) = get(&mut numbers) else { return };
            place.2 += grown.saturating_sub(1) as i64;
            seen.push(grown > 0);
        }
        let mut lags = Vec::with_capacity(groups.len());
        for group in &mut groups {
            let Some(lag) = get(&mut numbers) else { return };
            if lag > 0 {
                let Some(read) = get(&mut numbers) else { return };
                group.1 += ((read >> 1) as i64) ^ -((read & 1) as i64);
                lags.push((group.0.as_str(), lag as i64 - 1, group.1));
            }
        }
        if at < since {
            continue;
        }
        if last.is_none_or(|last| at.duration_since(last).as_secs() > GAP_SECONDS) {
            history.began = Some(at);
        }
        *last = Some(at);
        let told = places.iter().zip(&seen).filter(|(_, seen)| **seen);
        history.trail.push(
            at,
            told.map(|((topic, partition, end), _)| (topic.as_str(), *partition, *end)),
        );
        for (name, lag, read) in lags {
            history
                .group_lag
                .entry(name.to_owned())
                .or_default()
                .push(at, lag as f64);
            history
                .group_read
                .entry(name.to_owned())
                .or_default()
                .push(at, read as f64);
        }
        for (id, used) in head.brokers {
            history.broker_bytes.entry(id).or_default().push(at, used as f64);
        }
        history.groups = head.pasts.unwrap_or_else(|| std::mem::take(&mut history.groups));
    }
}

/// The next record; `None` at the end, or at what a crash left of one.
fn record(bytes: &mut &[u8]) -> Option<(Head, Vec<u8>)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (frame, rest) = rest.split_at_checked(length)?;
    let payload = zstd::bulk::decompress(frame, RECORD_BYTES).ok()?;
    let (words, payload) = payload.split_first_chunk::<4>()?;
    let (words, numbers) = payload.split_at_checked(u32::from_le_bytes(*words) as usize)?;
    let head = ciborium::from_reader(words).ok()?;
    *bytes = rest;
    Some((head, numbers.to_vec()))
}

/// LEB128.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    /// Every partition grows at a pace of its own; group `g` is 100 behind and reads 10 a second.
    fn sample(second: i64, partitions: i32) -> Sample {
        let end = |partition: i32| 1_000_000 + second * (i64::from(partition) * 7 % 400);
        Sample {
            at: at(second),
            ends: (0..partitions)
                .map(|n| (format!("topic-{:03}", n / 10), n % 10, end(n)))
                .collect(),
            groups: vec![("g".to_owned(), 100, 5000 + second * 10)],
            brokers: vec![(1, 1 << 30)],
            pasts: BTreeMap::new(),
        }
    }

    fn folder_bytes(folder: &Path) -> u64 {
        let segments = segments(folder).unwrap();
        segments.iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum()
    }

    #[test]
    fn what_was_recorded_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().join("history"));
        for second in (0..=1300).step_by(10) {
            assert!(ring.write(&sample(second, 30)).unwrap());
        }
        assert!(segments(&ring.folder).unwrap().len() >= 3, "segments are bounded");
        let history = load(&ring.folder, at(0), at(1310));
        assert_eq!(history.began, Some(at(0)));
        assert_eq!(history.group_lag["g"].latest().unwrap().value, 100.0);
        assert_eq!(history.group_read["g"].slope_per_second(60), Some(10.0));
        assert_eq!(history.broker_bytes[&1].latest().unwrap().value, (1u64 << 30) as f64);
        // Partition 9 of topic-001 grows by 133 a second.
        let written = history.trail.written("topic-001", 9, 1_000_000 + 133 * 1234).unwrap();
        assert_eq!((written.earliest, written.latest), (Some(at(1230)), at(1240)));
        let late = load(&ring.folder, at(1000), at(1310));
        assert_eq!(late.trail.oldest(), Some(at(1000)));
    }

    #[test]
    fn a_torn_record_is_dropped_and_the_rest_stands() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        for second in [0, 10, 20] {
            ring.write(&sample(second, 30)).unwrap();
        }
        let path = segments(folder.path()).unwrap()[0].1.clone();
        let whole = fs::read(&path).unwrap();
        for cut in [1, 7, 40] {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(
                load(folder.path(), at(0), at(30)).trail.latest(),
                Some(at(10)),
                "{cut} bytes torn off"
            );
        }
        let mut bent = whole.clone();
        let last = bent.len() - 20;
        bent[last] ^= 0x55;
        fs::write(&path, &bent).unwrap();
        assert_eq!(
            load(folder.path(), at(0), at(30)).trail.latest(),
            Some(at(10)),
            "a bit turned"
        );
        fs::write(&path, b"\xff\xff\xff\xff garbage").unwrap();
        assert_eq!(load(folder.path(), at(0), at(30)).trail.latest(), None);
    }

    #[test]
    fn one_console_writes_and_the_next_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Ring::new(folder.path().to_owned());
        let mut second = Ring::new(folder.path().to_owned());
        assert!(first.write(&sample(0, 3)).unwrap());
        assert!(!second.write(&sample(1, 3)).unwrap());
        drop(first);
        assert!(second.write(&sample(10, 3)).unwrap());
        let history = load(folder.path(), at(0), at(20));
        assert_eq!(
            (history.trail.oldest(), history.trail.latest()),
            (Some(at(0)), Some(at(10)))
        );
    }

    #[test]
    fn a_gap_is_no_recording() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        for second in [0, 10, 500, 510] {
            ring.write(&sample(second, 3)).unwrap();
        }
        assert_eq!(load(folder.path(), at(0), at(515)).began, Some(at(500)));
        assert_eq!(load(folder.path(), at(0), at(5000)).began, None);
    }

    #[test]
    fn what_is_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        ring.write(&sample(0, 3)).unwrap();
        ring.write(&sample(KEPT_SECONDS, 3)).unwrap();
        assert_eq!(segments(folder.path()).unwrap().len(), 2);
        ring.write(&sample(KEPT_SECONDS + 2 * SEGMENT_SECONDS, 3)).unwrap();
        let left: Vec<Moment> = segments(folder.path())
            .unwrap()
            .into_iter()
            .map(|(began, _)| began)
            .collect();
        assert_eq!(left, [at(KEPT_SECONDS), at(KEPT_SECONDS + 2 * SEGMENT_SECONDS)]);
    }

    /// Two hours of 10,000 partitions in at most 50 MB, in memory and on disk together; a fifth of them here, since both
    /// grow in proportion.
    #[test]
    fn two_hours_are_small() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        for second in (0..7200).step_by(10) {
            ring.write(&sample(second, 2000)).unwrap();
        }
        let disk = folder_bytes(folder.path()) as usize;
        let memory = load(folder.path(), at(0), at(7200)).trail.bytes();
        println!("{disk} bytes on disk, {memory} in memory for 2,000 partitions");
        assert!((disk + memory) * 5 <= 50_000_000, "{disk} + {memory}");
    }
}
