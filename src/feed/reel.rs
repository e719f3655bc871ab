//! The recording of whole snapshots: what screens showed, step by step, so that it can be looked at again.
//!
//! It lies beside the [`ring`](super::ring) in segments, each readable alone. A step is a snapshot without its secrets, packed
//! by zstd against the step before, unless one of them is [large](pack); what is much and has not been told anew is
//! [left out](part). The first of a segment is whole. Of the history only what is new is written; what the trail of log ends held before the first step is in the ring.
//!
//! A record: bytes of the frame (u32), moment (i64, ms), marks (u8: 1, a finding began or was over since the step before),
//! little endian; then the frame, with a checksum. What a crash tore off is dropped.

mod pack;
mod part;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::pack::Packer;
use self::part::{Part, Parts, Told};
use crate::model::event::EventKind;
use crate::model::history::{Gauge, History, Sample, Series, Trail};
use crate::model::snapshot::Revision;
use crate::model::{BrokerId, Health, Moment, Snapshot, secret};

/// A new segment after so long or so much.
const SEGMENT_SECONDS: i64 = 600;
pub(super) const SEGMENT_BYTES: u64 = 32 << 20;
pub(super) const ENDING: &str = "reel";
const HEAD: usize = 4 + 8 + 1;
const FINDING: u8 = 1;
/// After a step none is written for so many times as long as it took, however much happens.
const REST: u32 = 100;
/// The same where numbers only move on.
const REST_QUIET: u32 = 300;
/// Where something has changed, and where nothing has.
const NEWS: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(10);
/// The first step waits at most so long for every broker to have answered, or not: it is what a replay opens with.
const FIRST: Duration = Duration::from_secs(5);

/// One step, as it is written.
#[derive(Serialize, Deserialize)]
struct Step {
    /// Without what `lag`, `read`, `bytes` and the trail hold.
    snapshot: Snapshot,
    lag: BTreeMap<String, More>,
    read: BTreeMap<String, More>,
    bytes: BTreeMap<BrokerId, More>,
    gauges: BTreeMap<BrokerId, BTreeMap<Gauge, More>>,
    /// The last tick of the trail, where it is new.
    tick: Option<Tick>,
    /// When it was, where the logs stand as the step before has told.
    #[serde(default)]
    stood: Option<Moment>,
    /// What of the snapshot is as it was in the step before, and was left out.
    #[serde(default)]
    left_out: BTreeSet<Part>,
}

/// When, and where the log of each partition ended.
type Tick = (Moment, Vec<(String, i32, i64)>);

/// Samples that a series has gained.
#[derive(Serialize, Deserialize)]
struct More {
    /// They are all that the series has.
    anew: bool,
    samples: Vec<Sample>,
}

/// Writes steps.
#[derive(Debug)]
pub(super) struct Reel {
    folder: PathBuf,
    segment: Option<Segment>,
    opened: Instant,
    /// When the last step was begun, what it took, and what it was.
    last: Option<(Instant, Duration, Revision)>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    began: Moment,
    bytes: u64,
    /// Empty after a large one.
    before: Vec<u8>,
    /// What the step before held.
    told: Told,
    history: Arc<History>,
    finding: Option<Moment>,
}

/// Where a step lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub at: Moment,
    /// A finding began or was over since the step before.
    pub finding: bool,
    segment: usize,
    /// Its frame in the segment, in bytes.
    from: usize,
    to: usize,
}

/// Reads steps.
#[derive(Debug)]
pub(super) struct Player {
    segments: Vec<PathBuf>,
    places: Vec<Place>,
    /// What was read last, to go on from there.
    here: Option<Here>,
}

#[derive(Debug)]
struct Here {
    step: usize,
    /// The segment's bytes.
    bytes: Arc<Vec<u8>>,
    payload: Vec<u8>,
    parts: Parts,
    history: History,
}

impl Reel {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            segment: None,
            opened: Instant::now(),
            last: None,
        }
    }

    /// Whether a snapshot is worth a step now: what has changed at once, what only moves on after a while.
    pub fn wants(&self, snapshot: &Snapshot) -> bool {
        let Some((at, took, was)) = &self.last else {
            let Some(cluster) = snapshot.cluster.get() else {
                return false;
            };
            let tried = |id: &BrokerId| {
                snapshot
                    .links
                    .get(id)
                    .is_some_and(|link| link.health != Health::Unasked)
            };
            let all = cluster.brokers.iter().all(|broker| tried(&broker.id));
            return all || self.opened.elapsed() >= FIRST;
        };
        let rest = match was.values == snapshot.revision.values {
            true => QUIET.max(*took * REST_QUIET),
            false => NEWS.max(*took * REST),
        };
        at.elapsed() >= rest
    }

    /// Writes a step. Only for who holds the lock of the folder.
    pub fn write(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let Some(at) = snapshot.taken_at else { return Ok(()) };
        let began = Instant::now();
        let full = |segment: &Segment| {
            segment.bytes >= SEGMENT_BYTES || at.duration_since(segment.began).as_secs() >= SEGMENT_SECONDS
        };
        if self.segment.as_ref().is_none_or(full) {
            self.segment = Some(Segment::begin(&self.folder, at)?);
        }
        let written = match &mut self.segment {
            Some(segment) => segment.write(snapshot, at),
            None => Ok(()),
        };
        if written.is_err() {
            // Half a record may stand there: nothing is to follow it.
            self.segment = None;
        }
        self.last = Some((began, began.elapsed(), snapshot.revision));
        written
    }
}

impl Segment {
    fn begin(folder: &Path, at: Moment) -> io::Result<Self> {
        let path = folder.join(format!("{:014}.{ENDING}", at.as_millisecond()));
        let mut options = OpenOptions::new();
        Ok(Self {
            file: options.create_new(true).append(true).mode(0o640).open(path)?,
            began: at,
            bytes: 0,
            before: Vec::new(),
            told: Told::default(),
            history: Arc::default(),
            finding: None,
        })
    }

    fn write(&mut self, snapshot: &Snapshot, at: Moment) -> io::Result<()> {
        let history = &snapshot.history;
        let mut clean = secret::without(snapshot);
        clean.history = Arc::new(History {
            groups: Arc::clone(&history.groups),
            began: history.began,
            ..History::default()
        });
        let (told, left_out) = self.told.leave_out(&mut clean);
        let latest = history.trail.latest();
        let is_new = latest.is_some() && latest != self.history.trail.latest();
        let stands = history.trail.stands_with(&self.history.trail);
        let step = Step {
            lag: gained(&self.history.group_lag, &history.group_lag),
            read: gained(&self.history.group_read, &history.group_read),
            bytes: gained(&self.history.broker_bytes, &history.broker_bytes),
            gauges: gained_gauges(&self.history, history),
            tick: (is_new && !stands).then(|| tick(&history.trail)).flatten(),
            stood: latest.filter(|_| is_new && stands),
            left_out,
            snapshot: clean,
        };
        let mut packer = Packer::new(&self.before);
        ciborium::into_writer(&step, &mut packer).map_err(io::Error::other)?;
        let (frame, payload) = packer.finish()?;
        let findings = snapshot.events.iter().filter(|event| event.kind == EventKind::Finding);
        let finding = findings.map(|event| event.at).max();
        let marks = if finding > self.finding { FINDING } else { 0 };
        let mut record = u32::try_from(frame.len())
            .map_err(io::Error::other)?
            .to_le_bytes()
            .to_vec();
        record.extend(at.as_millisecond().to_le_bytes());
        // What was found before this segment began is no news.
        record.push(if self.bytes == 0 { 0 } else { marks });
        record.extend(frame);
        self.file.write_all(&record)?;
        self.bytes += record.len() as u64;
        (self.before, self.told, self.history, self.finding) = (payload, told, Arc::clone(history), finding);
        Ok(())
    }
}

/// What series have that they had not before. A series that is not named is gone.
fn gained<K: Ord + Clone>(before: &BTreeMap<K, Series>, now: &BTreeMap<K, Series>) -> BTreeMap<K, More> {
    let more = |(key, series): (&K, &Series)| {
        let known = before.get(key).and_then(Series::latest);
        let after = known.and_then(|known| series.after(known));
        let goes_on = after.is_some();
        let samples = after.unwrap_or_else(|| series.samples().collect());
        (
            key.clone(),
            More {
                anew: !goes_on,
                samples,
            },
        )
    };
    now.iter().map(more).collect()
}

fn gained_gauges(before: &History, now: &History) -> BTreeMap<BrokerId, BTreeMap<Gauge, More>> {
    let none = BTreeMap::new();
    let of =
        |(id, all): (&BrokerId, &BTreeMap<Gauge, Series>)| (*id, gained(before.gauges.get(id).unwrap_or(&none), all));
    now.gauges.iter().map(of).collect()
}

fn tick(trail: &Trail) -> Option<Tick> {
    let ends = trail.ends();
    let ends = ends.map(|(_, topic, part, end)| (topic.to_owned(), part, end));
    Some((trail.latest()?, ends.collect()))
}

/// The ring knows moments as exactly as that.
const MILLISECOND: jiff::SignedDuration = jiff::SignedDuration::from_millis(1);

/// The inverse of [`gained`].
fn gain<K: Ord + Clone>(series: &mut BTreeMap<K, Series>, more: BTreeMap<K, More>) {
    series.retain(|key, _| more.contains_key(key));
    for (key, more) in more {
        let own = series.entry(key).or_default();
        if more.anew {
            *own = Series::default();
        }
        more.samples
            .into_iter()
            .for_each(|sample| own.push(sample.at, sample.value));
    }
}

impl Player {
    /// The steps of some segments, oldest first. What is damaged ends its segment.
    pub fn of(mut segments: Vec<PathBuf>) -> io::Result<Self> {
        segments.sort();
        let mut places = Vec::new();
        for (segment, path) in segments.iter().enumerate() {
            places.extend(index(path, segment)?);
        }
        Ok(Self {
            segments,
            places,
            here: None,
        })
    }

    /// Only the steps from `from` to `until`.
    pub fn between(mut self, from: Option<Moment>, until: Option<Moment>) -> Self {
        let within = |place: &Place| from.is_none_or(|from| place.at >= from) && until.is_none_or(|to| place.at <= to);
        self.places.retain(within);
        self.here = None;
        self
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The snapshot of a step. The next one of a segment is the cheapest.
    ///
    /// # Errors
    /// What cannot be read, and why.
    pub fn look(&mut self, step: usize) -> io::Result<Snapshot> {
        let wanted = self.places.get(step).cloned();
        let wanted = wanted.ok_or_else(|| io::Error::other(format!("there is no step {}", step + 1)))?;
        let goes_on = |here: &Here| {
            here.step <= step
                && self
                    .places
                    .get(here.step)
                    .is_some_and(|place| place.segment == wanted.segment)
        };
        // The same step again is read from the start of its segment: history only grows.
        let mut here = match self.here.take().filter(|here| goes_on(here) && here.step < step) {
            Some(here) => here,
            None => self.begin(wanted.segment)?,
        };
        let mut snapshot = None;
        let path = &self.segments[wanted.segment];
        let mut at = if here.payload.is_empty() {
            0
        } else {
            self.places[here.step].to
        };
        while at < wanted.to {
            let Some((_, from, to)) = next(&here.bytes, at) else {
                return Err(io::Error::other(format!("{} was changed", path.display())));
            };
            let told = pack::unpack(&here.bytes[from..to], &here.payload)?;
            let step: Step = ciborium::from_reader(told.as_slice()).map_err(io::Error::other)?;
            here.payload = told;
            snapshot = Some(take_in(&mut here.history, &mut here.parts, step));
            at = to;
        }
        here.step = step;
        self.here = Some(here);
        snapshot.ok_or_else(|| io::Error::other(format!("{} holds no such step", path.display())))
    }

    fn begin(&self, segment: usize) -> io::Result<Here> {
        let path = &self.segments[segment];
        let bytes = fs::read(path)?;
        let mut history = History::default();
        // Log ends of the hours before, where they lie beside it.
        if let (Some(folder), Some((began, ..))) = (path.parent(), next(&bytes, 0)) {
            let kept = began.checked_sub(jiff::SignedDuration::from_secs(Trail::KEPT));
            let recorded = super::ring::load_until(folder, kept.unwrap_or(began), began);
            history.trail = recorded.history.trail;
        }
        Ok(Here {
            step: 0,
            bytes: Arc::new(bytes),
            payload: Vec::new(),
            parts: Parts::default(),
            history,
        })
    }
}

/// What a step says, with the history and the parts that lead to it.
fn take_in(history: &mut History, parts: &mut Parts, step: Step) -> Snapshot {
    let mut snapshot = step.snapshot;
    parts.put_back(&mut snapshot, &step.left_out);
    gain(Arc::make_mut(&mut history.group_lag), step.lag);
    gain(Arc::make_mut(&mut history.group_read), step.read);
    gain(Arc::make_mut(&mut history.broker_bytes), step.bytes);
    let gauges = Arc::make_mut(&mut history.gauges);
    gauges.retain(|id, _| step.gauges.contains_key(id));
    for (id, more) in step.gauges {
        gain(gauges.entry(id).or_default(), more);
    }
    (history.groups, history.began) = (Arc::clone(&snapshot.history.groups), snapshot.history.began);
    if let Some((at, ends)) = step.tick
        && history
            .trail
            .latest()
            .is_none_or(|latest| at.duration_since(latest) > MILLISECOND)
    {
        let told = ends
            .iter()
            .map(|(topic, partition, end)| (topic.as_str(), *partition, *end));
        history.trail.push(at, told);
    }
    if let Some(at) = step.stood {
        history.trail.stand(at);
    }
    snapshot.history = Arc::new(history.clone());
    snapshot
}

/// The record at a byte: its moment, and where its frame begins and ends.
fn next(bytes: &[u8], at: usize) -> Option<(Moment, usize, usize)> {
    let head = bytes.get(at..at + HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let moment = Moment::from_millisecond(i64::from_le_bytes(head[4..12].try_into().ok()?)).ok()?;
    let from = at + HEAD;
    let to = from.checked_add(length).filter(|to| *to <= bytes.len())?;
    Some((moment, from, to))
}

fn index(path: &Path, segment: usize) -> io::Result<Vec<Place>> {
    let bytes = fs::read(path)?;
    let mut places = Vec::new();
    let mut at = 0;
    while let Some((moment, from, to)) = next(&bytes, at) {
        places.push(Place {
            at: moment,
            finding: bytes[at + HEAD - 1] & FINDING != 0,
            segment,
            from,
            to,
        });
        at = to;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::Six;
    use crate::model::ends::Ends;
    use crate::model::event::Event;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    /// Six brokers, one of which dies at the fifth step; group `g` falls behind all the time.
    fn snapshot(step: i64) -> Snapshot {
        let mut six = Six::healthy();
        if step >= 5 {
            six.kill(4);
        }
        let mut snapshot = six.snapshot;
        snapshot.taken_at = Some(at(step * 10));
        snapshot.revision = Revision::default();
        let mut history = History::default();
        let lag = Arc::make_mut(&mut history.group_lag).entry("g".to_owned()).or_default();
        (0..=step).for_each(|step| lag.push(at(step * 10), step as f64 * 0.1));
        let ends = Ends::fresh(&snapshot);
        for step in 0..=step {
            let told = ends
                .iter()
                .map(|(topic, partition, told)| (topic, partition, told.span.end));
            history.trail.push(at(step * 10), told);
        }
        snapshot.history = Arc::new(history);
        if step >= 6 {
            let mut events = crate::model::event::Events::clone(&snapshot.events);
            events.push(Event::new(
                at(60),
                EventKind::Finding,
                "broker-down: broker 4",
                "found",
                1,
            ));
            snapshot.events = Arc::new(events);
        }
        snapshot
    }

    fn recorded(folder: &Path, steps: i64) -> Player {
        let mut reel = Reel::new(folder.to_owned());
        for step in 0..steps {
            reel.write(&snapshot(step)).unwrap();
        }
        player(folder)
    }

    fn player(folder: &Path) -> Player {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        Player::of(paths.collect()).unwrap()
    }

    #[test]
    fn every_step_is_there_again_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut player = recorded(folder.path(), 130);
        assert_eq!(player.places().len(), 130);
        assert!(player.segments.len() >= 3, "segments are bounded");
        for step in [0, 1, 2, 7, 6, 6, 129, 59, 60, 61, 0] {
            let told = player.look(step).unwrap();
            let was = snapshot(step as i64);
            assert_eq!(told.taken_at, was.taken_at);
            assert_eq!(told.links, was.links, "step {step}");
            assert_eq!(told.history.group_lag["g"], was.history.group_lag["g"], "step {step}");
            assert_eq!(told.topics, was.topics);
            let (told, was) = (&told.history.trail, &was.history.trail);
            assert!(tick(told) == tick(was) && told.ends().count() > 0, "step {step}");
            assert_eq!(told.latest(), was.latest(), "step {step}");
        }
        assert!(player.look(130).is_err());
    }

    #[test]
    fn findings_are_marked_once() {
        let folder = tempfile::tempdir().unwrap();
        let player = recorded(folder.path(), 70);
        let marked = |place: &&Place| place.finding;
        let all: Vec<Moment> = player.places().iter().filter(marked).map(|place| place.at).collect();
        assert_eq!(all, [at(60)]);
    }

    #[test]
    fn what_has_not_changed_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let player = recorded(folder.path(), 4);
        let sizes: Vec<usize> = player.places().iter().map(|place| place.to - place.from).collect();
        println!("{sizes:?} bytes");
        assert!(sizes[1..].iter().all(|size| *size < sizes[0] / 4), "{sizes:?}");
    }

    #[test]
    fn a_torn_step_is_dropped_and_a_bent_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let whole = recorded(folder.path(), 5);
        let path = whole.segments[0].clone();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let mut torn = player(folder.path());
        assert_eq!(torn.places().len(), 4);
        assert!(torn.look(3).is_ok());
        let mut bent = bytes;
        let last = bent.len() - 6;
        bent[last] ^= 0x55;
        fs::write(&path, &bent).unwrap();
        let mut bent = player(folder.path());
        assert!(bent.look(4).is_err());
        assert!(bent.look(3).is_ok());
    }

    #[test]
    fn a_stretch_of_it_can_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let mut some = recorded(folder.path(), 20).between(Some(at(100)), Some(at(150)));
        assert_eq!(some.places().len(), 6);
        assert_eq!(some.look(0).unwrap().taken_at, Some(at(100)));
    }
}
