//! Samples of the numbers whose past matters.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::model::ends::Ends;
use crate::model::group::{Commit, Group};
use crate::model::history::{Basis, GroupPast, History, Series, Since, Standing, Trail, gauge};
use crate::model::logdir::LogDir;
use crate::model::offset::{Offsets, Span};
use crate::model::pace::GroupLook;
use crate::model::topic::Topic;
use crate::model::{BrokerId, Moment, Observed, Snapshot};

/// One sample every five seconds: a series holds ten minutes.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// So many rebalances of a group are remembered.
const REBALANCES: usize = 100;

/// What samples were taken from, so that what stands still is not worked out anew.
#[derive(Debug, Default)]
pub(super) struct Taken {
    lags: Option<(Moment, Marks)>,
    tick: Option<(Moment, Marks)>,
    /// By coordinator, at its last answer.
    looks: BTreeMap<BrokerId, Marks>,
}

/// Leaders that told where logs end, and the answers that this was in; the answers are not kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Tellers(Vec<(BrokerId, Weak<Offsets>)>);

impl Tellers {
    /// Those whose section is one of these.
    pub fn of(snapshot: &Snapshot, which: impl Fn(&Observed<Offsets>) -> bool) -> Self {
        let told = snapshot.offsets.iter().filter(|(_, told)| which(told));
        Self(
            told.filter_map(|(id, told)| Some((*id, Arc::downgrade(told.value.as_ref()?))))
                .collect(),
        )
    }

    /// The same leaders, and no answer is new.
    pub fn are(&self, others: &Self) -> bool {
        let mut both = self.0.iter().zip(&others.0);
        self.0.len() == others.0.len() && both.all(|((id, own), (other, theirs))| id == other && own.ptr_eq(theirs))
    }
}

/// Tells one set of answers from another.
#[derive(Debug, Clone, Default)]
struct Marks {
    topics: Option<Weak<Vec<Topic>>>,
    groups: Option<Weak<Vec<Arc<Group>>>>,
    /// Of the leaders that answer.
    offsets: Tellers,
    /// That answer.
    coordinators: Vec<BrokerId>,
}

impl Marks {
    fn of(snapshot: &Snapshot) -> Self {
        let coordinators = snapshot.coordinators.iter().filter(|(_, told)| told.is_fresh());
        Self {
            topics: snapshot.topics.value.as_ref().map(Arc::downgrade),
            groups: snapshot.groups.value.as_ref().map(Arc::downgrade),
            offsets: Tellers::of(snapshot, Observed::is_fresh),
            coordinators: coordinators.map(|(id, _)| *id).collect(),
        }
    }

    /// The same logs were told by the same leaders, with the same ends.
    fn same_ends(&self, other: &Self) -> bool {
        same(&self.topics, &other.topics) && self.offsets.are(&other.offsets)
    }

    fn same_lags(&self, other: &Self) -> bool {
        self.coordinators == other.coordinators && same(&self.groups, &other.groups) && self.same_ends(other)
    }
}

fn same<T>(one: &Option<Weak<T>>, other: &Option<Weak<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.ptr_eq(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Adds what is known and fresh now, and forgets what is gone. Unknown adds nothing: a gap is not zero.
pub(super) fn sample(history: &mut History, taken: &mut Taken, snapshot: &Snapshot, at: Moment) {
    history.began.get_or_insert(at);
    let marks = Marks::of(snapshot);
    let before = taken.lags.as_ref().filter(|(_, before)| before.same_lags(&marks));
    let before = before.map(|(before, _)| *before);
    let step = jiff::SignedDuration::from_millis(Trail::STEP * 1000 - 500);
    let latest = history.trail.latest();
    let is_due = latest.is_none_or(|latest| at.duration_since(latest) >= step);
    let ticked = taken.tick.as_ref();
    let trail_stands = ticked.is_some_and(|(tick, before)| Some(*tick) == latest && before.same_ends(&marks));
    let looks = before.is_none() || (is_due && !trail_stands);
    let ends = if looks { Ends::fresh(snapshot) } else { Ends::default() };
    match before {
        Some(before) => {
            go_on(Arc::make_mut(&mut history.group_lag), before, at);
            go_on(Arc::make_mut(&mut history.group_read), before, at);
        }
        None => {
            history.moved_at = Some(at);
            sample_groups(history, snapshot, &ends, at);
        }
    }
    if is_due {
        match trail_stands {
            true => history.trail.stand(at),
            false => {
                let told = ends.iter();
                let told = told.map(|(topic, partition, told)| (topic, partition, told.span.end));
                history.trail.push(at, told);
            }
        }
        taken.tick = Some((at, marks.clone()));
    }
    taken.lags = Some((at, marks));
    sample_disks(history, snapshot, at);
    sample_traffic(history, snapshot);
    sample_gauges(history, snapshot, at);
}

/// Adds the last value again to what had one then.
fn go_on(series: &mut BTreeMap<String, Series>, then: Moment, at: Moment) {
    for series in series.values_mut() {
        if let Some(last) = series.latest().filter(|last| last.at == then) {
            series.push(at, last.value);
        }
    }
}

fn sample_groups(history: &mut History, snapshot: &Snapshot, ends: &Ends<'_>, at: Moment) {
    let Some(groups) = snapshot.groups.get() else { return };
    let known = |name: &String| groups.binary_search_by(|group| group.name.cmp(name)).is_ok();
    Arc::make_mut(&mut history.group_lag).retain(|name, _| known(name));
    Arc::make_mut(&mut history.group_read).retain(|name, _| known(name));
    if !history.groups.keys().all(known) {
        Arc::make_mut(&mut history.groups).retain(|name, _| known(name));
    }
    let told = |group: &&Arc<Group>| {
        let coordinator = group.coordinator.and_then(|id| snapshot.coordinators.get(&id));
        coordinator.is_none_or(|told| told.is_fresh())
    };
    for group in groups.iter().filter(told) {
        sample_group(history, group, ends, at);
    }
}

fn sample_gauges(history: &mut History, snapshot: &Snapshot, at: Moment) {
    let brokers = snapshot
        .cluster
        .get()
        .map_or(&[][..], |cluster| cluster.brokers.as_slice());
    let gauges = Arc::make_mut(&mut history.gauges);
    gauges.retain(|id, _| brokers.iter().any(|broker| broker.id == *id));
    for broker in brokers {
        let own = gauges.entry(broker.id).or_default();
        for (gauge, at, value) in gauge::of(snapshot, broker.id, at) {
            own.entry(gauge).or_default().push(at, value);
        }
    }
}

fn sample_disks(history: &mut History, snapshot: &Snapshot, at: Moment) {
    let broker_bytes = Arc::make_mut(&mut history.broker_bytes);
    let dir_bytes = Arc::make_mut(&mut history.dir_bytes);
    broker_bytes.retain(|id, _| snapshot.logdirs.contains_key(id));
    dir_bytes.retain(|id, _| snapshot.logdirs.contains_key(id));
    for (id, section) in &snapshot.logdirs {
        let Some(dirs) = section.get().filter(|_| section.is_fresh()) else {
            continue;
        };
        let replicas = |dir: &LogDir| dir.replicas.iter().map(|replica| replica.size_bytes).sum();
        let used = |dir: &LogDir| dir.used_bytes().unwrap_or_else(|| replicas(dir));
        let total: u64 = dirs.iter().map(used).sum();
        broker_bytes.entry(*id).or_default().push(at, total as f64);
        let of_broker = dir_bytes.entry(*id).or_default();
        of_broker.retain(|path, _| dirs.iter().any(|dir| dir.path == *path));
        for dir in dirs {
            push(of_broker, &dir.path, at, used(dir) as f64);
        }
    }
}

/// Counters are told when they were scraped, which is more rarely than it is sampled here.
fn sample_traffic(history: &mut History, snapshot: &Snapshot) {
    if snapshot.broker_metrics.is_empty() && history.traffic.is_empty() {
        return;
    }
    let traffic = Arc::make_mut(&mut history.traffic);
    traffic.retain(|id, _| snapshot.broker_metrics.contains_key(id));
    for (id, section) in &snapshot.broker_metrics {
        let (Some(metrics), Some(at)) = (section.get(), section.seen_at) else {
            continue;
        };
        let known = traffic.entry(*id).or_default();
        let counters = [
            (&mut known.in_bytes, metrics.counters.in_bytes),
            (&mut known.out_bytes, metrics.counters.out_bytes),
        ];
        for (series, total) in counters {
            let Some(total) = total else { continue };
            if series.latest().is_some_and(|last| last.value > total) {
                // The broker was started anew.
                *series = Series::default();
            }
            series.push(at, total);
        }
    }
}

fn sample_group(history: &mut History, group: &Group, ends: &Ends<'_>, at: Moment) {
    let lags = group.commits.iter().map(|commit| {
        let end = ends.get(&commit.topic, commit.partition)?.span.end;
        Some((end - commit.offset).max(0))
    });
    let lag: Option<i64> = lags.sum();
    let lag = lag.filter(|_| !group.commits.is_empty());
    if let Some(lag) = lag {
        push(Arc::make_mut(&mut history.group_lag), &group.name, at, lag as f64);
        let read: i64 = group.commits.iter().map(|commit| commit.offset).sum();
        push(Arc::make_mut(&mut history.group_read), &group.name, at, read as f64);
    }
}

/// What a coordinator told of its groups.
pub(super) struct Answer<'a> {
    pub coordinator: BrokerId,
    /// In its answer before; the groups that are the same are shared. Sorted by name, as those are.
    pub before: &'a [Arc<Group>],
    pub groups: &'a [Arc<Group>],
}

impl Answer<'_> {
    fn is_as_before(&self, group: &Arc<Group>) -> bool {
        let known = self.before.binary_search_by(|known| known.name.cmp(&group.name));
        known.is_ok_and(|at| Arc::ptr_eq(&self.before[at], group))
    }
}

/// Moves on what is remembered of the groups of one coordinator, at its answer.
pub(super) fn look(snapshot: &mut Snapshot, taken: &mut Taken, answer: &Answer<'_>, at: Moment) {
    let marks = Marks::of(snapshot);
    let looked = taken.looks.insert(answer.coordinator, marks.clone());
    let ends_stand = looked.is_some_and(|before| before.same_ends(&marks));
    // Out of the snapshot, so that nothing is copied that nobody else holds.
    let mut history = std::mem::take(&mut snapshot.history);
    let remembered = Arc::make_mut(&mut history);
    let pasts = Arc::make_mut(&mut remembered.groups);
    for group in answer.groups {
        let is_known = pasts.contains_key(&group.name);
        let known = pasts.entry(group.name.clone());
        let past = Arc::make_mut(known.or_insert_with(|| Arc::new(unseen(group, at))));
        let is_settled = turn(past, group, at);
        if past.commits != group.commits.len() {
            past.commits = group.commits.len();
            Arc::make_mut(&mut remembered.group_read).remove(&group.name);
        }
        if !(ends_stand && is_known && answer.is_as_before(group)) {
            stand(past, group, at, |topic, partition| end(snapshot, topic, partition));
        }
        past.pace.look(
            GroupLook {
                commits: mark(group),
                has_read_all: past.standing.is_empty(),
                is_settled,
            },
            at,
        );
    }
    snapshot.history = history;
}

/// The end of a partition's log, as its present leader tells it.
fn end(snapshot: &Snapshot, topic: &str, partition: i32) -> Option<i64> {
    let leader = snapshot.topic(topic)?.partition(partition)?.leader?;
    let told = snapshot.offsets.get(&leader).filter(|told| told.is_fresh())?.get()?;
    let span: &Span = told.get(topic, partition)?;
    Some(span.end)
}

/// Tells one set of commits from another.
fn mark(group: &Group) -> u64 {
    let mut hasher = DefaultHasher::new();
    for commit in &group.commits {
        (&commit.topic, commit.partition, commit.offset).hash(&mut hasher);
    }
    hasher.finish()
}

fn push(series: &mut BTreeMap<String, Series>, name: &str, at: Moment, value: f64) {
    match series.get_mut(name) {
        Some(series) => series.push(at, value),
        None => series.entry(name.to_owned()).or_default().push(at, value),
    }
}

fn unseen(group: &Group, at: Moment) -> GroupPast {
    GroupPast {
        state: group.state.clone(),
        since: Since { at, basis: Basis::Seen },
        rebalances: Default::default(),
        standing: Default::default(),
        shape: shape(group),
        commits: group.commits.len(),
        pace: Default::default(),
    }
}

/// Takes in a group's present state; whether it is the same as before, and Stable.
fn turn(past: &mut GroupPast, group: &Group, at: Moment) -> bool {
    let shape = shape(group);
    // A rebalance is seen while it lasts, or by what it left behind: other members, or other assignments.
    let balanced = group.state == "Stable";
    let began = !balanced && group.state != "Empty" && group.state != "Dead" && past.state != group.state;
    let between = balanced && past.state == "Stable" && past.shape != shape;
    if (began && !rebalances(&past.state)) || between {
        past.rebalances.push_back(at);
    }
    let old = |then: &Moment| at.duration_since(*then).as_secs() > GroupPast::WINDOW;
    while past.rebalances.front().is_some_and(old) || past.rebalances.len() > REBALANCES {
        past.rebalances.pop_front();
    }
    let same = past.state == group.state && past.shape == shape;
    if past.state != group.state {
        past.state.clone_from(&group.state);
        past.since = Since {
            at,
            basis: Basis::Recorded,
        };
    }
    past.shape = shape;
    same && balanced
}

fn rebalances(state: &str) -> bool {
    !matches!(state, "Stable" | "Empty" | "Dead" | "")
}

fn shape(group: &Group) -> u64 {
    let mut hasher = DefaultHasher::new();
    for member in &group.members {
        member.id.hash(&mut hasher);
        member.assignment.hash(&mut hasher);
    }
    hasher.finish()
}

/// Since when each commit stands where it is although there is more to read.
fn stand(past: &mut GroupPast, group: &Group, at: Moment, end: impl Fn(&str, i32) -> Option<i64>) {
    let before = std::mem::take(&mut past.standing);
    let standing = |commit: &Commit| {
        let known = before.get(&commit.topic, commit.partition);
        let known = known.filter(|standing| standing.offset == commit.offset);
        match end(&commit.topic, commit.partition) {
            Some(end) if end > commit.offset => Some(known.unwrap_or(Standing {
                offset: commit.offset,
                since: at,
                end,
            })),
            Some(_) => None,
            // Nobody told: it may still stand.
            None => known,
        }
    };
    let all = group.commits.iter();
    let all = all.filter_map(|commit| Some((commit.topic.clone(), commit.partition, standing(commit)?)));
    past.standing = all.collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn snapshot() -> Snapshot {
        let commit = |partition, offset| Commit {
            topic: "orders".into(),
            partition,
            offset,
            metadata: Box::default(),
        };
        let group = Group {
            name: "billing".to_owned(),
            state: "Stable".to_owned(),
            kind: "classic".to_owned(),
            protocol: "range".to_owned(),
            coordinator: Some(1),
            members: Vec::new(),
            commits: vec![commit(0, 90), commit(1, 5)],
        };
        let span = |end| Span {
            start: 0,
            end,
            rate: None,
        };
        let leader = |partition, end| Offsets::from_iter([("orders", partition, span(end))]);
        Snapshot {
            groups: Observed::fresh(vec![group.into()], at(0)),
            offsets: BTreeMap::from([
                (1, Observed::fresh(leader(0, 100), at(0))),
                (2, Observed::fresh(leader(1, 3), at(0))),
            ]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn lag_is_summed_and_never_negative() {
        let mut history = History::default();
        sample(&mut history, &mut Taken::default(), &snapshot(), at(1));
        assert_eq!(history.group_lag["billing"].latest().unwrap().value, 10.0);
    }

    #[test]
    fn a_leader_that_does_not_answer_leaves_a_gap() {
        let mut history = History::default();
        let (mut taken, mut snapshot) = (Taken::default(), snapshot());
        sample(&mut history, &mut taken, &snapshot, at(1));
        let offsets = snapshot.offsets.get_mut(&2).unwrap();
        offsets.fail(crate::model::Trouble::TimedOut, "gone", at(2));
        sample(&mut history, &mut taken, &snapshot, at(6));
        assert_eq!(history.group_lag["billing"].len(), 1);
    }

    #[test]
    fn a_group_that_is_gone_is_forgotten() {
        let mut history = History::default();
        let (mut taken, mut snapshot) = (Taken::default(), snapshot());
        sample(&mut history, &mut taken, &snapshot, at(1));
        snapshot.groups = Observed::fresh(Vec::new(), at(2));
        sample(&mut history, &mut taken, &snapshot, at(6));
        assert!(history.group_lag.is_empty());
    }

    #[test]
    fn what_stands_still_is_sampled_as_if_it_were_looked_at() {
        let mut snapshot = snapshot();
        let (mut kept, mut anew) = (History::default(), History::default());
        let mut taken = Taken::default();
        let mut both = |snapshot: &Snapshot, second| {
            sample(&mut kept, &mut taken, snapshot, at(second));
            sample(&mut anew, &mut Taken::default(), snapshot, at(second));
            // Whoever looks anew takes everything for new.
            anew.moved_at = kept.moved_at;
            assert_eq!(kept, anew, "{second}");
        };
        for second in [0, 5, 10, 15, 20] {
            both(&snapshot, second);
        }
        // Between two ticks of the trail, and then it stands there.
        let offsets = snapshot.offsets.get_mut(&1).unwrap();
        let offsets = Arc::make_mut(offsets.value.as_mut().unwrap());
        offsets.get_mut("orders", 0).unwrap().end = 150;
        for second in [25, 30, 35, 40] {
            both(&snapshot, second);
        }
        snapshot
            .offsets
            .get_mut(&2)
            .unwrap()
            .fail(crate::model::Trouble::TimedOut, "gone", at(41));
        for second in [45, 50, 55, 60] {
            both(&snapshot, second);
        }
        snapshot.groups = Observed::fresh(Vec::new(), at(61));
        for second in [65, 70] {
            both(&snapshot, second);
        }
        assert_eq!(kept.trail.written("orders", 0, 120).unwrap().latest, at(30));
    }

    /// Both partitions end so far, and the group has committed so much.
    fn told(ends: [i64; 2], offsets: [i64; 2]) -> (Snapshot, Vec<Arc<Group>>) {
        let mut snapshot = snapshot();
        let partition = |partition: i32| crate::model::topic::Partition {
            partition,
            leader: Some(partition + 1),
            ..Default::default()
        };
        let topic = crate::model::topic::Topic {
            name: "orders".to_owned(),
            id: uuid::Uuid::from_u128(1),
            internal: false,
            partitions: vec![partition(0), partition(1)],
        };
        snapshot.topics = Observed::fresh(vec![topic], at(0));
        for (partition, end) in [(0, ends[0]), (1, ends[1])] {
            let span = Span {
                start: 0,
                end,
                rate: None,
            };
            let offsets = Offsets::from_iter([("orders", partition, span)]);
            snapshot.offsets.insert(partition + 1, Observed::fresh(offsets, at(0)));
        }
        let mut groups = snapshot.groups.get().unwrap().clone();
        for (commit, offset) in Arc::make_mut(&mut groups[0]).commits.iter_mut().zip(offsets) {
            commit.offset = offset;
        }
        (snapshot, groups)
    }

    #[test]
    fn every_answer_tells_which_commits_stand() {
        let (mut kept, mut taken) = (Arc::new(History::default()), Taken::default());
        for (second, ends, offsets) in [
            (0, [50, 50], [10, 10]),
            (5, [60, 60], [20, 10]),
            (10, [70, 70], [70, 10]),
        ] {
            let (mut snapshot, groups) = told(ends, offsets);
            snapshot.history = kept;
            let answer = Answer {
                coordinator: 1,
                before: &[],
                groups: &groups,
            };
            look(&mut snapshot, &mut taken, &answer, at(second));
            kept = snapshot.history;
        }
        let past = &kept.groups["billing"];
        assert_eq!(past.standing.get("orders", 0), None, "it has read all of this one");
        let standing = Standing {
            offset: 10,
            since: at(0),
            end: 50,
        };
        assert_eq!(past.standing.get("orders", 1), Some(standing));
        assert_eq!(past.pace.longest_pause_seconds(), 5.0);
    }

    #[test]
    fn a_group_that_tells_the_same_stands_until_the_log_moves_on() {
        let (mut snapshot, groups) = told([50, 10], [50, 10]);
        let mut taken = Taken::default();
        let mut look_at = |snapshot: &mut Snapshot, second| {
            let answer = Answer {
                coordinator: 1,
                before: &groups,
                groups: &groups,
            };
            look(snapshot, &mut taken, &answer, at(second));
            snapshot.history.groups["billing"].standing.get("orders", 0)
        };
        assert_eq!(look_at(&mut snapshot, 0), None);
        assert_eq!(look_at(&mut snapshot, 5), None);
        let offsets = snapshot.offsets.get_mut(&1).unwrap();
        Arc::make_mut(offsets.value.as_mut().unwrap())
            .get_mut("orders", 0)
            .unwrap()
            .end = 60;
        let standing = Standing {
            offset: 50,
            since: at(10),
            end: 60,
        };
        assert_eq!(look_at(&mut snapshot, 10), Some(standing));
        assert_eq!(look_at(&mut snapshot, 15), Some(standing));
        // Nobody but the leader knows where it ends, and another one may tell something else.
        snapshot
            .offsets
            .get_mut(&1)
            .unwrap()
            .fail(crate::model::Trouble::TimedOut, "gone", at(16));
        assert_eq!(look_at(&mut snapshot, 20), Some(standing));
    }
}
