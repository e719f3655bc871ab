//! The recording of one cluster on disk: what consoles saw, for the next console, for one-shot commands, and for afterwards.
//!
//! A folder of segments, each readable alone: it names partitions and groups once and counts from there. A record is its
//! length and a zstd frame with a checksum; what a crash tore off is dropped, and nobody appends to another's segment. What is
//! damaged elsewhere, or was never ours, is read up to there, named, and set aside by whoever writes. One console of a host
//! writes, who holds the lock of the folder; 48 hours or 500 MB are kept, whichever is less. Two hours of 10,000 busy
//! partitions take some 15 MB. What happened (brokers that went and came, ISRs that shrank, findings of triage) is written with
//! the next sample.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::reel;
use crate::model::event::Events;
use crate::model::history::{self, Basis, Gauge, GroupPast, History, Trail};
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
/// Of segments that were set aside.
const ASIDE: &str = "damaged";

/// One sample of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub at: Moment,
    /// Its last tick is of this moment.
    pub trail: Trail,
    /// Lag and the sum of committed offsets, of groups whose coordinator answers.
    pub groups: Vec<(String, i64, i64)>,
    /// Bytes in use.
    pub brokers: Vec<(BrokerId, u64)>,
    /// The last point of every chart.
    pub gauges: Vec<(BrokerId, Gauge, history::Sample)>,
    pub pasts: Arc<BTreeMap<String, Arc<GroupPast>>>,
    pub events: Arc<Events>,
}

/// What a recording tells.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub history: History,
    /// What had happened up to `until`.
    pub events: Events,
    /// The last sample, however old.
    pub until: Option<Moment>,
    /// Segments that cannot be read to their end.
    pub damaged: Vec<Damaged>,
}

/// A segment that is damaged, or none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damaged {
    pub path: PathBuf,
    /// The first byte that cannot be read.
    pub at: usize,
}

/// What a record says in words; the numbers of places follow it as varints.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    at_ms: i64,
    /// Partitions and groups that this segment has not named before.
    places: Vec<(String, i32)>,
    groups: Vec<String>,
    brokers: Vec<(BrokerId, u64)>,
    #[serde(default)]
    gauges: Vec<(BrokerId, Gauge, history::Sample)>,
    pasts: Option<Arc<BTreeMap<String, Arc<GroupPast>>>>,
    /// Where anything has happened since they were told last.
    #[serde(default)]
    events: Option<Arc<Events>>,
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
    told_events: Option<Arc<Events>>,
    told_gauges: HashMap<(BrokerId, Gauge), Moment>,
    numbers: Numbers,
}

/// The numbers of a segment so far, by place.
#[derive(Debug, Default)]
struct Numbers {
    /// Of each place in the trail the one here; [`UNNAMED`] where the segment has not named it yet.
    places: Vec<u32>,
    ends: Vec<i64>,
    /// What was told last, and whether each place was among that.
    trail: Option<Trail>,
    seen: Vec<bool>,
    groups: HashMap<String, usize>,
    /// Lag and committed.
    lags: Vec<(i64, i64)>,
}

/// No place.
const UNNAMED: u32 = u32::MAX;

impl Sample {
    /// What the history has just taken in; `None` where its trail has no tick of this moment.
    pub fn of(snapshot: &Snapshot, at: Moment) -> Option<Self> {
        let history = &snapshot.history;
        if history.trail.latest() != Some(at) {
            return None;
        }
        let just = |series: &crate::model::history::Series| series.latest().filter(|last| last.at == at);
        let group = |(name, lag): (&String, &crate::model::history::Series)| {
            let read = just(history.group_read.get(name)?)?;
            Some((name.clone(), just(lag)?.value as i64, read.value as i64))
        };
        let bytes = |(id, used): (&BrokerId, &crate::model::history::Series)| Some((*id, just(used)?.value as u64));
        let last = |(id, all): (&BrokerId, &BTreeMap<Gauge, history::Series>)| {
            let of = |(gauge, series): (&Gauge, &history::Series)| Some((*id, *gauge, series.latest()?));
            all.iter().filter_map(of).collect::<Vec<_>>()
        };
        Some(Self {
            at,
            trail: history.trail.clone(),
            groups: history.group_lag.iter().filter_map(group).collect(),
            brokers: history.broker_bytes.iter().filter_map(bytes).collect(),
            gauges: history.gauges.iter().flat_map(last).collect(),
            pasts: Arc::clone(&history.groups),
            events: Arc::clone(&snapshot.events),
        })
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

    /// Whether it is this console that records this cluster.
    pub fn is_ours(&self) -> bool {
        self.lock.is_some()
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
            told_events: None,
            told_gauges: HashMap::new(),
            numbers: Numbers::default(),
        })
    }

    /// Whether this point was not written before: CloudWatch has one a minute at most.
    fn is_new(&self, (id, gauge, point): &(BrokerId, Gauge, history::Sample)) -> bool {
        self.told_gauges.get(&(*id, *gauge)) != Some(&point.at)
    }

    fn write(&mut self, sample: &Sample) -> io::Result<()> {
        let old = |told: Moment| sample.at.duration_since(told).as_secs() >= PAST_SECONDS;
        let pasts = self.told_pasts.is_none_or(old).then(|| sample.pasts.clone());
        self.told_pasts = if pasts.is_some() {
            Some(sample.at)
        } else {
            self.told_pasts
        };
        let news = self.told_events.as_ref() != Some(&sample.events);
        let events = news.then(|| Arc::clone(&sample.events));
        self.told_events = Some(Arc::clone(&sample.events));
        let mut head = Head {
            at_ms: sample.at.as_millisecond(),
            brokers: sample.brokers.clone(),
            gauges: sample
                .gauges
                .iter()
                .copied()
                .filter(|point| self.is_new(point))
                .collect(),
            pasts,
            events,
            ..Head::default()
        };
        let points = head.gauges.iter().map(|(id, gauge, point)| ((*id, *gauge), point.at));
        self.told_gauges.extend(points);
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
        let stands = self.trail.as_ref().is_some_and(|last| sample.trail.stands_with(last));
        let grown = match stands {
            true => self.seen.iter().copied().map(u64::from).collect(),
            false => self.grown(&sample.trail, head),
        };
        if !stands {
            self.seen = grown.iter().map(|grown| *grown > 0).collect();
            self.trail = Some(sample.trail.clone());
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

    /// For each place what its log grew since it was told last, and one more; 0 where nobody told.
    fn grown(&mut self, trail: &Trail, head: &mut Head) -> Vec<u64> {
        if !self.trail.as_ref().is_none_or(|last| trail.goes_on_from(last)) {
            // It has begun anew, and so each is named anew.
            self.places.clear();
        }
        let mut grown = vec![0_u64; self.ends.len()];
        for (theirs, topic, partition, end) in trail.ends() {
            let theirs = theirs as usize;
            if theirs >= self.places.len() {
                self.places.resize(theirs + 1, UNNAMED);
            }
            let place = self.places[theirs] as usize;
            match self.ends.get(place).copied() {
                // A log that is shorter than before is another log.
                Some(before) if before <= end => {
                    grown[place] = (end - before) as u64 + 1;
                    self.ends[place] = end;
                }
                _ => {
                    head.places.push((topic.to_owned(), partition));
                    self.places[theirs] = self.ends.len() as u32;
                    self.ends.push(end);
                    grown.push(end.max(0) as u64 + 1);
                }
            }
        }
        grown
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
    files(folder, ENDING)
}

fn files(folder: &Path, wanted: &str) -> io::Result<Vec<(Moment, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        if path.extension().is_some_and(|ending| ending == wanted)
            && let Some(began) = name.and_then(|ms| Moment::from_millisecond(ms).ok())
        {
            segments.push((began, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Drops what is too old, and the oldest of what is too much, whole snapshots with it.
fn forget(folder: &Path, now: Moment) -> io::Result<()> {
    let mut segments = segments(folder)?;
    segments.extend(files(folder, reel::ENDING)?);
    segments.sort();
    let mut sizes = Vec::new();
    for (_, path) in &segments {
        sizes.push(fs::metadata(path)?.len());
    }
    let mut all: u64 = sizes.iter().sum();
    for ((began, path), size) in segments.iter().zip(sizes) {
        let old = now.duration_since(*began).as_secs() > KEPT_SECONDS + SEGMENT_SECONDS;
        if !old && all + SEGMENT_BYTES + reel::SEGMENT_BYTES <= KEPT_BYTES {
            break;
        }
        fs::remove_file(path)?;
        all -= size;
    }
    for (began, path) in files(folder, ASIDE)? {
        if now.duration_since(began).as_secs() > KEPT_SECONDS {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl Ring {
    /// Sets a damaged segment aside, so that it is read no more; its new name, or `None` where another console writes here.
    pub fn set_aside(&mut self, damaged: &Damaged) -> io::Result<Option<PathBuf>> {
        if self.lock.is_none() {
            self.lock = take(&self.folder)?;
        }
        if self.lock.is_none() {
            return Ok(None);
        }
        let aside = damaged.path.with_extension(ASIDE);
        fs::rename(&damaged.path, &aside)?;
        Ok(Some(aside))
    }
}

/// What was recorded from `since` on; empty where nothing was. What cannot be read is left out, and named.
pub(super) fn load(folder: &Path, since: Moment, now: Moment) -> Recorded {
    load_within(folder, since, now, None)
}

/// The same as it was at a moment: nothing that was recorded later.
pub(super) fn load_until(folder: &Path, since: Moment, until: Moment) -> Recorded {
    load_within(folder, since, until, Some(until))
}

fn load_within(folder: &Path, since: Moment, now: Moment, until: Option<Moment>) -> Recorded {
    let mut recorded = Recorded::default();
    let segments = segments(folder).unwrap_or_default();
    let mut last: Option<Moment> = None;
    for (at, (_, path)) in segments.iter().enumerate() {
        // It ends before the next one begins.
        if segments.get(at + 1).is_some_and(|(next, _)| *next <= since) {
            continue;
        }
        if until.is_some_and(|until| segments[at].0 > until) {
            break;
        }
        let Ok(bytes) = fs::read(path) else { continue };
        if let Err(at) = replay(&bytes, (since, until), &mut recorded, &mut last) {
            let path = path.clone();
            recorded.damaged.push(Damaged { path, at });
        }
    }
    let silent = last.is_none_or(|last| now.duration_since(last).as_secs() > GAP_SECONDS);
    if silent {
        recorded.history.began = None;
        // It may have been otherwise meanwhile.
        for past in Arc::make_mut(&mut recorded.history.groups).values_mut() {
            Arc::make_mut(past).since.basis = Basis::Seen;
        }
    }
    recorded
}

/// Adds one segment's samples, up to the first that is torn off by a crash.
///
/// # Errors
/// The byte from which on it is damaged.
fn replay(
    segment: &[u8],
    (since, until): (Moment, Option<Moment>),
    recorded: &mut Recorded,
    last: &mut Option<Moment>,
) -> Result<(), usize> {
    let mut bytes = segment;
    let mut places: Vec<(String, i32, i64)> = Vec::new();
    let mut groups: Vec<(String, i64)> = Vec::new();
    let history = &mut recorded.history;
    loop {
        let here = segment.len() - bytes.len();
        let (head, numbers) = match record(&mut bytes) {
            Next::Record(head, numbers) => (head, numbers),
            Next::End => return Ok(()),
            Next::Damaged => return Err(here),
        };
        let Ok(at) = Moment::from_millisecond(head.at_ms) else {
            return Err(here);
        };
        if until.is_some_and(|until| at > until) {
            return Ok(());
        }
        recorded.until = Some(at);
        if let Some(events) = head.events {
            recorded.events = Arc::unwrap_or_clone(events);
        }
        places.extend(head.places.into_iter().map(|(topic, partition)| (topic, partition, 0)));
        groups.extend(head.groups.into_iter().map(|name| (name, 0)));
        let mut numbers = numbers.as_slice();
        let mut seen = Vec::with_capacity(places.len());
        for place in &mut places {
            let Some(grown) = get(&mut numbers) else {
                return Err(here);
            };
            place.2 += grown.saturating_sub(1) as i64;
            seen.push(grown > 0);
        }
        let mut lags = Vec::with_capacity(groups.len());
        for group in &mut groups {
            let Some(lag) = get(&mut numbers) else { return Err(here) };
            if lag > 0 {
                let Some(read) = get(&mut numbers) else {
                    return Err(here);
                };
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
        let (group_lag, group_read) = (
            Arc::make_mut(&mut history.group_lag),
            Arc::make_mut(&mut history.group_read),
        );
        for (name, lag, read) in lags {
            group_lag.entry(name.to_owned()).or_default().push(at, lag as f64);
            group_read.entry(name.to_owned()).or_default().push(at, read as f64);
        }
        let broker_bytes = Arc::make_mut(&mut history.broker_bytes);
        for (id, used) in head.brokers {
            broker_bytes.entry(id).or_default().push(at, used as f64);
        }
        let gauges = Arc::make_mut(&mut history.gauges);
        for (id, gauge, point) in head.gauges {
            let own = gauges.entry(id).or_default();
            own.entry(gauge).or_default().push(point.at, point.value);
        }
        history.groups = head.pasts.unwrap_or_else(|| std::mem::take(&mut history.groups));
    }
}

/// What comes next in a segment.
enum Next {
    Record(Box<Head>, Vec<u8>),
    /// Nothing, or what a crash left of a record.
    End,
    Damaged,
}

fn record(bytes: &mut &[u8]) -> Next {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Next::End;
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > RECORD_BYTES {
        return Next::Damaged;
    }
    let Some((frame, rest)) = rest.split_at_checked(length) else {
        return Next::End;
    };
    match parse(frame) {
        Some((head, numbers)) => {
            *bytes = rest;
            Next::Record(Box::new(head), numbers)
        }
        None => Next::Damaged,
    }
}

fn parse(frame: &[u8]) -> Option<(Head, Vec<u8>)> {
    let payload = zstd::bulk::decompress(frame, RECORD_BYTES).ok()?;
    let (words, payload) = payload.split_first_chunk::<4>()?;
    let (words, numbers) = payload.split_at_checked(u32::from_le_bytes(*words) as usize)?;
    let head = ciborium::from_reader(words).ok()?;
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
    use crate::model::event::{Event, EventKind};

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    /// Every partition grows at a pace of its own; group `g` is 100 behind and reads 10 a second.
    fn sample(second: i64, partitions: i32) -> Sample {
        let end = |partition: i32| 1_000_000 + second * (i64::from(partition) * 7 % 400);
        let topics: Vec<String> = (0..partitions).map(|n| format!("topic-{:03}", n / 10)).collect();
        let ends = topics.iter().zip(0..);
        let mut trail = Trail::default();
        trail.push(at(second), ends.map(|(topic, n)| (topic.as_str(), n % 10, end(n))));
        Sample {
            at: at(second),
            trail,
            groups: vec![("g".to_owned(), 100, 5000 + second * 10)],
            brokers: vec![(1, 1 << 30)],
            gauges: Vec::new(),
            pasts: Arc::default(),
            events: Arc::default(),
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
        let history = load(&ring.folder, at(0), at(1310)).history;
        assert_eq!(history.began, Some(at(0)));
        assert_eq!(history.group_lag["g"].latest().unwrap().value, 100.0);
        assert_eq!(history.group_read["g"].slope_per_second(60), Some(10.0));
        assert_eq!(history.broker_bytes[&1].latest().unwrap().value, (1u64 << 30) as f64);
        // Partition 9 of topic-001 grows by 133 a second.
        let written = history.trail.written("topic-001", 9, 1_000_000 + 133 * 1234).unwrap();
        assert_eq!((written.earliest, written.latest), (Some(at(1230)), at(1240)));
        let late = load(&ring.folder, at(1000), at(1310)).history;
        assert_eq!(late.trail.oldest(), Some(at(1000)));
    }

    #[test]
    fn a_standstill_is_recorded_as_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        let mut told = sample(0, 30);
        for second in [0, 10, 20, 30] {
            if second > 0 {
                told.trail.stand(at(second));
            }
            told.at = at(second);
            ring.write(&told).unwrap();
        }
        let history = load(folder.path(), at(0), at(30)).history;
        assert!(history.trail.ends().eq(told.trail.ends()));
        assert_eq!(history.trail.latest(), Some(at(30)));
        assert_eq!(history.trail.rates(60).get("topic-001", 9), Some(0.0));
    }

    #[test]
    fn a_trail_that_began_anew_has_other_places() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        let told = |trail: &Trail| -> Vec<(String, i32, i64)> {
            let ends = trail.ends();
            ends.map(|(_, topic, partition, end)| (topic.to_owned(), partition, end))
                .collect()
        };
        let mut last = sample(0, 30);
        ring.write(&last).unwrap();
        for second in [10, 20] {
            last = sample(second, 30);
            let ends = told(&last.trail);
            let mut anew = Trail::default();
            let reversed = ends.iter().rev();
            anew.push(
                last.at,
                reversed.map(|(topic, partition, end)| (topic.as_str(), *partition, *end)),
            );
            assert!(!anew.goes_on_from(&last.trail) && anew.goes_on_from(&anew));
            last.trail = anew;
            ring.write(&last).unwrap();
        }
        let history = load(folder.path(), at(0), at(20)).history;
        assert_eq!(told(&history.trail), told(&last.trail));
        assert_eq!(history.trail.rate("topic-001", 9, 60), Some(133.0));
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
                load(folder.path(), at(0), at(30)).history.trail.latest(),
                Some(at(10)),
                "{cut} bytes torn off"
            );
        }
        let mut bent = whole.clone();
        let last = bent.len() - 20;
        bent[last] ^= 0x55;
        fs::write(&path, &bent).unwrap();
        assert_eq!(
            load(folder.path(), at(0), at(30)).history.trail.latest(),
            Some(at(10)),
            "a bit turned"
        );
        fs::write(&path, b"\xff\xff\xff\xff garbage").unwrap();
        assert_eq!(load(folder.path(), at(0), at(30)).history.trail.latest(), None);
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
        let history = load(folder.path(), at(0), at(20)).history;
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
        assert_eq!(load(folder.path(), at(0), at(515)).history.began, Some(at(500)));
        assert_eq!(load(folder.path(), at(0), at(5000)).history.began, None);
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
        let mut events = Events::default();
        for second in (0..7200).step_by(10) {
            // As in an incident: something happens between any two samples, and all that is remembered is full of it.
            let text = format!("left the ISR of {second} partitions");
            events.push(Event::new(at(second), EventKind::Isr, "broker 4", text, 1));
            let sample = Sample {
                events: Arc::new(events.clone()),
                ..sample(second, 2000)
            };
            ring.write(&sample).unwrap();
        }
        let disk = folder_bytes(folder.path()) as usize;
        let memory = load(folder.path(), at(0), at(7200)).history.trail.bytes();
        println!("{disk} bytes on disk, {memory} in memory for 2,000 partitions");
        assert!((disk + memory) * 5 <= 50_000_000, "{disk} + {memory}");
    }

    #[test]
    fn what_happened_is_told_by_the_last_sample() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        let mut events = Events::default();
        events.watched_since = Some(at(0));
        for second in [0, 10, 20] {
            let sample = Sample {
                events: Arc::new(events.clone()),
                ..sample(second, 3)
            };
            ring.write(&sample).unwrap();
            events.push(Event::new(
                at(second),
                EventKind::Broker,
                "broker 4",
                "stopped answering",
                1,
            ));
        }
        let recorded = load(folder.path(), at(15), at(25));
        assert_eq!((recorded.until, recorded.events.iter().len()), (Some(at(20)), 2));
        assert_eq!(recorded.events.watched_since, Some(at(0)));
    }

    #[test]
    fn a_damaged_or_foreign_segment_is_named_and_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::new(folder.path().to_owned());
        for second in [0, 10, 20] {
            ring.write(&sample(second, 30)).unwrap();
        }
        drop(ring);
        let path = segments(folder.path()).unwrap()[0].1.clone();
        let mut bytes = fs::read(&path).unwrap();
        let first = 4 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        bytes[first + 30] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        let foreign = folder.path().join("00000000000000.ring");
        fs::write(&foreign, b"\xff\xff\xff\xff nobody's").unwrap();
        let recorded = load(folder.path(), at(-1), at(30));
        let named: Vec<(&Path, usize)> = recorded
            .damaged
            .iter()
            .map(|one| (one.path.as_path(), one.at))
            .collect();
        assert_eq!(named, [(foreign.as_path(), 0), (path.as_path(), first)]);
        assert_eq!(recorded.until, Some(at(0)), "what comes before it stands");
        let mut ring = Ring::new(folder.path().to_owned());
        for one in &recorded.damaged {
            assert!(ring.set_aside(one).unwrap().is_some_and(|aside| aside.exists()));
        }
        let left = load(folder.path(), at(-1), at(30));
        assert_eq!((left.until, left.damaged), (None, Vec::new()));
        let mut other = Ring::new(folder.path().to_owned());
        let any = &recorded.damaged[0];
        assert_eq!(other.set_aside(any).unwrap(), None, "only who writes here sets aside");
    }
}
