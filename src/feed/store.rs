//! The snapshot under construction, and when a new one is worth publishing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::history::Tellers;
use super::rate::Rates;
use super::ring::Recorded;
use super::{event, history, pace};
use crate::model::ends::Ends;
use crate::model::event::{Event, Events};
use crate::model::group::Group;
use crate::model::identity::Rules;
use crate::model::name::{Name, Names};
use crate::model::offset::Offsets;
use crate::model::topic::Topic;
use crate::model::{BrokerId, Health, Moment, Observed, Snapshot};
use crate::source::Error;
use crate::source::kafka::{Marks, Partitions, Unread, UnreadPart};

/// What an answer changed. The order is that of urgency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    #[default]
    Nothing,
    /// Only when it was last seen.
    Age,
    /// A number that is never the same twice, whether anything happens or not: a round trip, free space.
    Waver,
    /// A number that moves on while clients work.
    Drift,
    /// A value or a health: something to look at.
    Value,
}

/// What became of one question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub failed: bool,
    /// It was refused for want of a right.
    pub denied: bool,
    pub change: Change,
    /// It failed before and does not now, or the other way round.
    pub turned: bool,
}

/// Shared by all pollers of one cluster.
#[derive(Debug)]
pub(super) struct Store {
    inner: Mutex<Inner>,
    changed: Notify,
}

/// Partitions by leader, and the topics that they were taken from. Names would be most of it, so that there are only the topics'
/// places.
type Led = Option<(Arc<Vec<Topic>>, BTreeMap<BrokerId, Vec<(u32, i32)>>)>;

/// What groups have not read, and what that was worked out from.
#[derive(Debug)]
struct WorkedOut {
    at: Instant,
    took: Duration,
    groups: Arc<Vec<Arc<Group>>>,
    offsets: Tellers,
    unread: UnreadBy,
}

impl WorkedOut {
    /// On a wide cluster something moves all the time; working it out anew may take a tenth of a core.
    const REST: u32 = 10;

    fn of(snapshot: &Snapshot, groups: &Arc<Vec<Arc<Group>>>) -> Self {
        let at = Instant::now();
        let unread = unread_by_leader(snapshot);
        Self {
            at,
            took: at.elapsed(),
            groups: Arc::clone(groups),
            offsets: Tellers::of(snapshot, |_| true),
            unread,
        }
    }

    /// Nothing has changed, or it is too early to look again.
    fn holds(&self, snapshot: &Snapshot, groups: &Arc<Vec<Arc<Group>>>) -> bool {
        if self.at.elapsed() < Duration::from_secs(1).max(self.took * Self::REST) {
            return true;
        }
        Arc::ptr_eq(&self.groups, groups) && self.offsets.are(&Tellers::of(snapshot, |_| true))
    }
}

/// What groups have not read, by leader.
type UnreadBy = BTreeMap<BrokerId, Arc<Unread>>;

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub snapshot: Snapshot,
    pub rates: Rates,
    /// The last answer of each coordinator; the snapshot shares its groups.
    pub groups: BTreeMap<BrokerId, Vec<Arc<Group>>>,
    pub rules: Rules,
    /// Advertised host names and their addresses.
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    pub surges: pace::Surges,
    pub taken: history::Taken,
    /// So many there are.
    pub partitions: usize,
    /// What was told by many.
    pub names: Names,
    /// Of the answer that the topics were taken from.
    pub topics_mark: Option<u64>,
    /// Of the answers that a leader's offsets were taken from.
    pub offsets_marks: BTreeMap<BrokerId, Marks>,
    /// Leaders whose logs all stand, and since when; `None` once that is all that there is to remember of them.
    pub still: BTreeMap<BrokerId, Option<Moment>>,
    /// The last round trips of each broker, in ms.
    pub rtts: BTreeMap<BrokerId, VecDeque<f64>>,
    /// What was published last: the next one is compared with it.
    published: Arc<Snapshot>,
    /// Some of `groups` are not in the snapshot yet.
    unmerged: bool,
    /// What each broker leads, and the topics that say so.
    led: Led,
    /// What groups have not read, by leader.
    unread: Option<WorkedOut>,
    pending: Change,
}

impl Inner {
    /// How much rarer than usual a wide cluster is asked for what every partition and group has to say: the answers are work,
    /// for its brokers too. 1 up to 10,000 partitions, 4 from 100,000 on.
    pub fn stretch(&self) -> f64 {
        let wide = self.partitions as f64 / 10_000.0;
        1.0 + (wide.clamp(1.0, 10.0) - 1.0) / 3.0
    }

    /// Takes in what a leader said of its logs' ends; the same piece of memory as before where it said the same.
    pub fn told_offsets(
        &mut self,
        leader: BrokerId,
        told: Result<(Option<Marks>, Arc<Offsets>), Error>,
        at: Moment,
    ) -> Seen {
        let stretch = self.stretch();
        let snapshot = &mut self.snapshot;
        let section = snapshot.offsets.entry(leader).or_default();
        let paces = snapshot.paces.entry(leader).or_default();
        let known = section.value.clone().filter(|_| section.is_fresh());
        let seen = match told {
            Ok((_, offsets)) if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &offsets)) && offsets.stand() => {
                pace::offsets(paces, &offsets, at);
                section.seen_at = Some(at);
                let still = self.still.entry(leader).or_insert(Some(at));
                if still.is_some_and(|since| Rates::have_stood(since, at)) {
                    self.rates.forget(&offsets);
                    *still = None;
                }
                Seen {
                    change: Change::Age,
                    ..Seen::default()
                }
            }
            Ok((marks, offsets)) => {
                self.still.remove(&leader);
                let mut offsets = Arc::unwrap_or_clone(offsets);
                offsets.share(&mut self.names);
                let before = section.value.as_deref().zip(section.seen_at);
                self.rates.offsets(&mut offsets, before, at);
                pace::offsets(paces, &offsets, at);
                match marks {
                    Some(marks) => self.offsets_marks.insert(leader, marks),
                    None => self.offsets_marks.remove(&leader),
                };
                settle_by(section, Ok(offsets), at, |_, _| Change::Drift)
            }
            Err(error) => settle_by(section, Err(error), at, |_, _| Change::Drift),
        };
        if let Some(surges) = self.surges.topics(snapshot, stretch, at) {
            snapshot.surges = surges;
        }
        seen
    }

    /// Tells rates of all that stood: other leaders may tell of it from now on.
    pub fn settle_rates(&mut self) {
        for section in self.snapshot.offsets.values() {
            if let (Some(told), Some(until)) = (section.get(), section.seen_at) {
                self.rates.settle(told, until);
            }
        }
        self.still.clear();
    }

    /// Takes in a coordinator's word, once its groups are in `groups` and its health in the snapshot. The groups of all
    /// are put together when the snapshot is looked at: a hundred coordinators that answer at once are one merge. They
    /// fail as a whole only when no coordinator answers.
    /// `change` is what its answer changed.
    pub fn told_groups(&mut self, told: Result<(), Error>, change: Change, at: Moment) -> Change {
        let answering = self.snapshot.coordinators.values().any(Observed::is_fresh);
        let section = &mut self.snapshot.groups;
        let before = section.health.clone();
        let told = match told {
            Err(error) if !answering => {
                section.fail(error.trouble(), error.to_string(), at);
                return match section.health == before {
                    true => Change::Nothing,
                    false => Change::Value,
                };
            }
            told => told.map_or(Change::Age, |()| change),
        };
        self.unmerged |= told > Change::Age || section.value.is_none();
        section.value.get_or_insert_default();
        section.health = Health::Fresh;
        section.seen_at = Some(at);
        match before == Health::Fresh {
            true => told,
            false => Change::Value,
        }
    }

    fn unread(&mut self) -> Option<&UnreadBy> {
        let snapshot = self.merged();
        let groups = Arc::clone(snapshot.groups.value.as_ref()?);
        snapshot.offsets.values().find_map(Observed::get)?;
        let known = self.unread.as_ref();
        if !known.is_some_and(|known| known.holds(&self.snapshot, &groups)) {
            self.unread = Some(WorkedOut::of(&self.snapshot, &groups));
        }
        self.unread.as_ref().map(|known| &known.unread)
    }

    /// The snapshot, with what every coordinator told last.
    fn merged(&mut self) -> &mut Snapshot {
        if std::mem::take(&mut self.unmerged) {
            let merged = merge(&self.groups, &self.snapshot.coordinators);
            self.snapshot.groups.value = Some(Arc::new(merged));
        }
        &mut self.snapshot
    }
}

/// All groups, sorted by name; of two coordinators that claim one, the one that answered last is right.
fn merge(
    by_coordinator: &BTreeMap<BrokerId, Vec<Arc<Group>>>,
    coordinators: &BTreeMap<BrokerId, Observed<()>>,
) -> Vec<Arc<Group>> {
    let mut answers: Vec<_> = by_coordinator.iter().collect();
    answers.sort_by_key(|(id, _)| coordinators.get(id).and_then(|told| told.seen_at));
    let groups = answers.into_iter().flat_map(|(_, groups)| groups);
    let by_name: BTreeMap<&str, &Arc<Group>> = groups.map(|group| (group.name.as_str(), group)).collect();
    by_name.into_values().cloned().collect()
}

/// Offsets behind the end of their log, by who told the end.
fn unread_by_leader(snapshot: &Snapshot) -> UnreadBy {
    let ends = Ends::of(snapshot);
    let mut unread: BTreeMap<BrokerId, Unread> = BTreeMap::new();
    for commit in snapshot
        .groups
        .get()
        .into_iter()
        .flatten()
        .flat_map(|group| &group.commits)
    {
        let Some(told) = ends.get(&commit.topic, commit.partition) else {
            continue;
        };
        if commit.offset < told.span.end {
            let topics = unread.entry(told.by).or_default();
            let offsets = topics.entry(commit.topic.to_string()).or_default();
            let part: &mut UnreadPart = offsets.entry(commit.partition).or_default();
            part.end = told.span.end;
            part.offsets.push(commit.offset);
        }
    }
    unread.into_iter().map(|(id, unread)| (id, Arc::new(unread))).collect()
}

/// All partitions by their leaders, with the places of their topics, in one pass however many leaders there are.
fn by_leader(topics: &[Topic]) -> BTreeMap<BrokerId, Vec<(u32, i32)>> {
    let mut led: BTreeMap<BrokerId, Vec<(u32, i32)>> = BTreeMap::new();
    for (at, topic) in (0..).zip(topics) {
        for partition in &topic.partitions {
            if let Some(leader) = partition.leader {
                led.entry(leader).or_default().push((at, partition.partition));
            }
        }
    }
    led.values_mut().for_each(Vec::shrink_to_fit);
    led
}

impl Store {
    pub fn new(snapshot: Snapshot, rules: Rules) -> Self {
        let inner = Inner {
            snapshot,
            rules,
            pending: Change::Value,
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the present state. `look` must be quick: pollers wait for it.
    pub fn read<R>(&self, look: impl FnOnce(&Snapshot) -> R) -> R {
        look(&self.lock().snapshot)
    }

    /// Changes the state and says what that changed.
    pub fn edit(&self, edit: impl FnOnce(&mut Inner) -> Change) -> Change {
        let mut inner = self.lock();
        let change = edit(&mut inner);
        let raised = change > inner.pending;
        inner.pending = inner.pending.max(change);
        drop(inner);
        if raised {
            self.changed.notify_one();
        }
        change
    }

    /// Takes in the answer for one section.
    pub fn settle<T: PartialEq>(
        &self,
        outcome: Result<T, Error>,
        section: impl FnOnce(&mut Snapshot) -> &mut Observed<T>,
    ) -> Seen {
        let at = Moment::now();
        let mut seen = Seen::default();
        self.edit(|inner| {
            seen = settle(section(&mut inner.snapshot), outcome, at);
            seen.change
        });
        seen
    }

    /// Puts texts that were told before into the memory of those.
    pub fn share<'a>(&self, texts: impl Iterator<Item = &'a mut Name>) {
        let mut inner = self.lock();
        texts.for_each(|text| inner.names.share(text));
    }

    /// The same where the answer is the one that the section holds already.
    pub fn affirm<T>(&self, section: impl FnOnce(&mut Snapshot) -> &mut Observed<T>) -> Seen {
        let change = self.edit(|inner| {
            section(&mut inner.snapshot).seen_at = Some(Moment::now());
            Change::Age
        });
        Seen {
            change,
            ..Seen::default()
        }
    }

    /// The mark of the answer that the topics were taken from; `None` while they are not fresh.
    pub fn topics_mark(&self) -> Option<u64> {
        let inner = self.lock();
        inner.topics_mark.filter(|_| inner.snapshot.topics.is_fresh())
    }

    /// What a leader told last of its logs' ends, and its marks; `None` while it is not fresh or not whole.
    pub fn standing(&self, leader: BrokerId) -> Option<(Marks, Arc<Offsets>)> {
        let inner = self.lock();
        let told = inner.snapshot.offsets.get(&leader).filter(|told| told.is_fresh())?;
        Some((*inner.offsets_marks.get(&leader)?, Arc::clone(told.value.as_ref()?)))
    }

    /// See [`Inner::stretch`].
    pub fn stretch(&self) -> f64 {
        self.lock().stretch()
    }

    /// The partitions that `broker` leads; `None` until the topics are known.
    pub fn led_by(&self, broker: BrokerId) -> Option<Partitions> {
        let mut inner = self.lock();
        let topics = Arc::clone(inner.snapshot.topics.value.as_ref()?);
        let (of, led) = inner.led.get_or_insert_with(Default::default);
        if !Arc::ptr_eq(of, &topics) {
            *led = by_leader(&topics);
            *of = topics;
        }
        let own = led.get(&broker).cloned().unwrap_or_default();
        let topics = Arc::clone(of);
        drop(inner);
        let by_topic = own.chunk_by(|(one, _), (other, _)| one == other);
        let named = by_topic.filter_map(|own| {
            let (at, _) = own.first()?;
            let name = topics.get(*at as usize)?.name.clone();
            Some((name, own.iter().map(|(_, partition)| *partition).collect()))
        });
        Some(named.collect())
    }

    /// The offsets that groups have committed and not passed in partitions that `leader` leads; `None` until groups and
    /// offsets are known. Leaders that ask within a second share one answer.
    pub fn unread(&self, leader: BrokerId) -> Option<Arc<Unread>> {
        let mut inner = self.lock();
        Some(inner.unread()?.get(&leader).cloned().unwrap_or_default())
    }

    /// Topics with unread records, sorted; `None` until groups and offsets are known.
    pub fn topics_behind(&self) -> Option<Vec<String>> {
        let mut inner = self.lock();
        let topics = inner.unread()?.values().flat_map(|unread| unread.keys().cloned());
        let topics: BTreeSet<String> = topics.collect();
        Some(topics.into_iter().collect())
    }

    /// What waits to be published.
    pub fn pending(&self) -> Change {
        self.lock().pending
    }

    /// Resolves when [`Store::pending`] has risen.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The snapshot to publish; nothing is pending after it.
    pub fn publish(&self) -> Arc<Snapshot> {
        let mut inner = self.lock();
        let pending = inner.pending;
        let revision = &mut inner.snapshot.revision;
        match pending {
            Change::Value => revision.values += 1,
            Change::Waver | Change::Drift => revision.drifts += 1,
            Change::Age | Change::Nothing => {}
        }
        inner.pending = Change::Nothing;
        inner.merged();
        let now = Moment::now();
        inner.snapshot.taken_at = Some(now);
        let before = Arc::clone(&inner.published);
        event::observe(&before, &mut inner.snapshot, now);
        inner.published = Arc::new(inner.snapshot.clone());
        Arc::clone(&inner.published)
    }

    /// Takes over what was recorded before; what this process has seen since stays.
    pub fn recall(&self, recorded: Recorded) {
        self.edit(|inner| {
            if let Some(until) = recorded.until {
                let mut events = Events::clone(&inner.snapshot.events);
                events.resume(recorded.events, until, Moment::now());
                inner.snapshot.events = Arc::new(events);
                // Symptoms are looked at anew: those that were recorded may be over.
                inner.published = Arc::default();
            }
            if inner.snapshot.history.began.is_none() {
                inner.snapshot.history = Arc::new(recorded.history);
                inner.taken = history::Taken::default();
                // What coordinators have told meanwhile goes on from there.
                for (id, groups) in &inner.groups {
                    let told = inner.snapshot.coordinators.get(id).and_then(|told| told.seen_at);
                    let answer = history::Answer {
                        coordinator: *id,
                        before: &[],
                        groups,
                    };
                    let at = told.unwrap_or_else(Moment::now);
                    history::look(&mut inner.snapshot, &mut inner.taken, &answer, at);
                }
            }
            Change::Age
        });
    }

    /// Remembers a change that somebody else has seen.
    pub fn note(&self, event: Event) {
        self.edit(|inner| {
            Arc::make_mut(&mut inner.snapshot.events).push(event);
            Change::Value
        });
    }

    /// Adds a sample to the history.
    pub fn sample(&self, at: Moment) {
        self.edit(|inner| {
            inner.names.forget_unused();
            inner.merged();
            // Out of the snapshot, so that nothing is copied that nobody else holds.
            let mut next = std::mem::take(&mut inner.snapshot.history);
            history::sample(Arc::make_mut(&mut next), &mut inner.taken, &inner.snapshot, at);
            inner.snapshot.history = next;
            Change::Age
        });
    }
}

/// Takes in one answer: an equal value keeps its place in memory and only moves on in time.
pub(super) fn settle<T: PartialEq>(section: &mut Observed<T>, outcome: Result<T, Error>, at: Moment) -> Seen {
    settle_by(section, outcome, at, |_, _| Change::Value)
}

/// The same where some differences between two good answers are only numbers that never rest; `differ` says which.
pub(super) fn settle_by<T: PartialEq>(
    section: &mut Observed<T>,
    outcome: Result<T, Error>,
    at: Moment,
    differ: impl FnOnce(&T, &T) -> Change,
) -> Seen {
    let was_failing = matches!(section.health, Health::Failing { .. });
    match outcome {
        Ok(value) => {
            let change = match (&section.health, section.get()) {
                (Health::Fresh, Some(before)) if *before == value => Change::Age,
                (Health::Fresh, Some(before)) => differ(before, &value),
                _ => Change::Value,
            };
            if change == Change::Age {
                section.seen_at = Some(at);
            } else {
                *section = Observed::fresh(value, at);
            }
            Seen {
                failed: false,
                denied: false,
                change,
                turned: was_failing,
            }
        }
        Err(error) => {
            let before = section.health.clone();
            section.fail(error.trouble(), error.to_string(), at);
            Seen {
                failed: true,
                denied: matches!(error, Error::Denied { .. }),
                change: match section.health == before {
                    true => Change::Nothing,
                    false => Change::Value,
                },
                turned: !was_failing,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::offset::Span;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn dead() -> Error {
        Error::Unreachable {
            peer: "broker 4".to_owned(),
            reason: "connection refused".to_owned(),
        }
    }

    #[test]
    fn an_equal_value_only_moves_on_in_time() {
        let mut section = Observed::default();
        assert_eq!(settle(&mut section, Ok(7), at(0)).change, Change::Value);
        let first = section.value.clone().unwrap();
        assert_eq!(settle(&mut section, Ok(7), at(2)).change, Change::Age);
        assert!(Arc::ptr_eq(&first, section.value.as_ref().unwrap()));
        assert_eq!(section.seen_at, Some(at(2)));
        assert_eq!(settle(&mut section, Ok(8), at(4)).change, Change::Value);
    }

    #[test]
    fn a_failure_keeps_the_value_and_is_news_once() {
        let mut section = Observed::fresh(7, at(0));
        let first = settle(&mut section, Err(dead()), at(2));
        assert!(first.turned && first.failed && first.change == Change::Value);
        let second = settle(&mut section, Err(dead()), at(4));
        assert!(!second.turned && second.change == Change::Nothing);
        assert_eq!((section.get(), section.seen_at), (Some(&7), Some(at(0))));
        let back = settle(&mut section, Ok(7), at(6));
        assert!(back.turned && back.change == Change::Value, "its health is news");
    }

    #[test]
    fn ages_do_not_count_as_revisions() {
        let store = Store::new(Snapshot::default(), Rules::default());
        let published = || {
            let revision = store.publish().revision;
            (revision.values, revision.drifts)
        };
        assert_eq!(published(), (1, 0));
        store.edit(|_| Change::Age);
        assert_eq!((store.pending(), published()), (Change::Age, (1, 0)));
        store.edit(|_| Change::Drift);
        assert_eq!(published(), (1, 1));
        store.edit(|_| Change::Drift);
        store.edit(|_| Change::Value);
        assert_eq!(published(), (2, 1), "what matters counts");
        assert_eq!(store.pending(), Change::Nothing);
    }

    fn log(end: i64) -> Arc<Offsets> {
        let span = Span { end, ..Span::default() };
        Arc::new(Offsets::from_iter([("orders", 0, span)]))
    }

    #[test]
    fn a_log_that_stood_for_long_has_a_rate_as_soon_as_it_moves() {
        let mut inner = Inner::default();
        let mut tell = |told, second| {
            let seen = inner.told_offsets(1, Ok((None, told)), at(second));
            (seen.change, inner.snapshot.offsets[&1].value.clone().unwrap())
        };
        tell(log(100), 0);
        let (change, known) = tell(log(100), 10);
        assert!(change == Change::Drift && known.stand(), "it was seen twice");
        for second in (20..=600).step_by(10) {
            assert_eq!(tell(Arc::clone(&known), second).0, Change::Age);
        }
        let (change, moved) = tell(log(170), 610);
        let rate = moved.get("orders", 0).and_then(|span| span.rate);
        assert_eq!(
            (change, rate),
            (Change::Drift, Some(1.0)),
            "70 in the 70 s since the last minute began"
        );
        // What is told again while its rate falls is worked out anew.
        assert_eq!(tell(Arc::clone(&moved), 620).0, Change::Drift);
    }

    #[test]
    fn rates_are_remembered_for_another_leader_and_no_longer_than_a_log_moves() {
        let mut inner = Inner::default();
        let mut known = log(100);
        for second in (0..=120).step_by(10) {
            inner.told_offsets(1, Ok((None, Arc::clone(&known))), at(second));
            known = inner.snapshot.offsets[&1].value.clone().unwrap();
            assert_eq!(inner.rates.remembered(), usize::from(second < 80), "{second}");
        }
        inner.settle_rates();
        inner.told_offsets(2, Ok((None, log(170))), at(130));
        let told = inner.snapshot.offsets[&2].get().unwrap();
        assert_eq!(told.get("orders", 0).unwrap().rate, Some(1.0));
    }

    fn group(coordinator: BrokerId) -> Arc<Group> {
        Arc::new(Group {
            name: "billing".to_owned(),
            state: "Stable".to_owned(),
            kind: "classic".to_owned(),
            protocol: "range".to_owned(),
            coordinator: Some(coordinator),
            members: Vec::new(),
            commits: Vec::new(),
        })
    }

    #[test]
    fn the_last_coordinator_to_answer_is_right() {
        let by_coordinator = BTreeMap::from([(1, vec![group(1)]), (2, vec![group(2)])]);
        let coordinators = BTreeMap::from([(1, Observed::fresh((), at(9))), (2, Observed::fresh((), at(3)))]);
        let merged = merge(&by_coordinator, &coordinators);
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].coordinator, Some(1));
        assert!(
            Arc::ptr_eq(&merged[0], &by_coordinator[&1][0]),
            "nothing is there twice"
        );
    }

    #[test]
    fn groups_fail_only_when_no_coordinator_answers() {
        let store = Store::new(Snapshot::default(), Rules::default());
        let tell = |id: BrokerId, outcome: Result<(), Error>, change, second| {
            store.edit(|inner| {
                let told = outcome.clone().map(|()| drop(inner.groups.insert(id, vec![group(id)])));
                settle(inner.snapshot.coordinators.entry(id).or_default(), outcome, at(second));
                inner.told_groups(told, change, at(second))
            })
        };
        assert_eq!(tell(1, Err(dead()), Change::Value, 0), Change::Value);
        assert_eq!(tell(1, Err(dead()), Change::Value, 1), Change::Nothing);
        assert_eq!(store.publish().groups.get(), None);
        assert_eq!(tell(2, Ok(()), Change::Value, 2), Change::Value);
        assert_eq!(store.publish().groups.get().map(Vec::len), Some(1));
        assert_eq!(tell(2, Ok(()), Change::Age, 3), Change::Age);
        assert_eq!(
            tell(1, Err(dead()), Change::Value, 4),
            Change::Age,
            "another one answers"
        );
        let groups = store.publish().groups.clone();
        assert_eq!((groups.seen_at, groups.is_fresh()), (Some(at(4)), true));
    }
}
