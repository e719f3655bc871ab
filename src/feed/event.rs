//! What differs between two successive snapshots, as events, and since when symptoms last.
//!
//! It compares only sections that were replaced, so that it costs nothing while nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::config::Config;
use crate::model::event::{Event, EventKind, Events, Symptom};
use crate::model::topic::{Partition, Topic};
use crate::model::{BrokerId, Health, Moment, Observed, Snapshot, Trouble};

/// Names told in one event.
const NAMED: usize = 3;

/// Adds to `after` what happened since `before`, which was published last.
pub(super) fn observe(before: &Snapshot, after: &mut Snapshot, at: Moment) {
    let first = after.events.watched_since.is_none();
    if first && after.cluster.get().is_none() {
        return;
    }
    let mut found = Found { at, events: Vec::new() };
    found.links(before, after);
    found.cluster(before, after);
    found.topics(before, after);
    found.reassignments(before, after);
    found.configs(before, after);
    let symptoms = symptoms(before, after);
    if !first && found.events.is_empty() && symptoms.is_empty() {
        return;
    }
    let mut events = Events::clone(&after.events);
    events.watched_since.get_or_insert(at);
    found.events.into_iter().for_each(|event| events.push(event));
    for Told {
        symptom,
        present,
        recorded,
    } in symptoms
    {
        events.mark(&symptom, present, at, recorded);
    }
    if events != *after.events {
        after.events = Arc::new(events);
    }
}

struct Found {
    at: Moment,
    events: Vec<Event>,
}

impl Found {
    fn add(&mut self, kind: EventKind, subject: impl Into<String>, text: impl Into<String>, count: usize) {
        if count > 0 {
            self.events.push(Event::new(self.at, kind, subject, text, count as u32));
        }
    }

    fn links(&mut self, before: &Snapshot, after: &Snapshot) {
        for (id, link) in &after.links {
            let was = before.links.get(id);
            let (Some(was), true) = (was.and_then(answers), was.map(|was| &was.health) != Some(&link.health)) else {
                continue;
            };
            match (was, answers(link)) {
                (true, Some(false)) => self.add(EventKind::Broker, format!("broker {id}"), "stopped answering", 1),
                (false, Some(true)) => self.add(EventKind::Broker, format!("broker {id}"), "answers again", 1),
                _ => {}
            }
        }
    }

    fn cluster(&mut self, before: &Snapshot, after: &Snapshot) {
        if let (Some(was), Some(is)) = changed(&before.cluster, &after.cluster) {
            let known: BTreeMap<BrokerId, bool> = was.brokers.iter().map(|broker| (broker.id, broker.fenced)).collect();
            for broker in &is.brokers {
                let subject = format!("broker {}", broker.id);
                match (known.get(&broker.id), broker.fenced) {
                    (Some(false), true) => self.add(EventKind::Fence, subject, "was fenced", 1),
                    (Some(true), false) => self.add(EventKind::Fence, subject, "was unfenced", 1),
                    (None, _) => self.add(EventKind::Fence, subject, "registered", 1),
                    _ => {}
                }
            }
            let there: BTreeSet<BrokerId> = is.brokers.iter().map(|broker| broker.id).collect();
            for gone in known.keys().filter(|id| !there.contains(id)) {
                self.add(EventKind::Fence, format!("broker {gone}"), "is registered no more", 1);
            }
        }
        if let (Some(was), Some(is)) = changed(&before.quorum, &after.quorum)
            && was.leader_epoch != is.leader_epoch
        {
            let leader = is.leader.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
            self.add(
                EventKind::Controller,
                format!("controller {leader}"),
                format!("leads, epoch {} → {}", was.leader_epoch, is.leader_epoch),
                1,
            );
        }
    }

    fn topics(&mut self, before: &Snapshot, after: &Snapshot) {
        let (Some(was), Some(is)) = changed(&before.topics, &after.topics) else {
            return;
        };
        let mut diff = Diff::default();
        let known: BTreeMap<&str, &Topic> = was.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        for topic in is {
            match known.get(topic.name.as_str()) {
                Some(old) if *old == topic => {}
                Some(old) => diff.topic(old, topic),
                None => diff.created.push(topic.name.clone()),
            }
        }
        let there: BTreeSet<&str> = is.iter().map(|topic| topic.name.as_str()).collect();
        diff.deleted.extend(
            known
                .keys()
                .filter(|name| !there.contains(*name))
                .map(|name| (*name).to_owned()),
        );
        for (id, count) in diff.left {
            self.add(
                EventKind::Isr,
                format!("broker {id}"),
                "left the ISR of {} partitions",
                count,
            );
        }
        for (id, count) in diff.joined {
            self.add(
                EventKind::Isr,
                format!("broker {id}"),
                "joined the ISR of {} partitions",
                count,
            );
        }
        for (id, count) in diff.lost {
            self.add(EventKind::Leader, format!("broker {id}"), "lost {} leaders", count);
        }
        for (id, count) in diff.won {
            self.add(EventKind::Leader, format!("broker {id}"), "took {} leaders", count);
        }
        for (names, what) in [
            (diff.created, "created"),
            (diff.deleted, "deleted"),
            (diff.grown, "got more partitions"),
        ] {
            self.add(EventKind::Topic, named(&names), what, usize::from(!names.is_empty()));
        }
    }

    fn reassignments(&mut self, before: &Snapshot, after: &Snapshot) {
        let (Some(was), Some(is)) = changed(&before.reassignments, &after.reassignments) else {
            return;
        };
        let key = |one: &crate::model::reassignment::Reassignment| (one.topic.clone(), one.partition);
        let (was, is): (BTreeSet<_>, BTreeSet<_>) = (was.iter().map(key).collect(), is.iter().map(key).collect());
        self.add(
            EventKind::Reassignment,
            "reassignment",
            "of {} partitions began",
            is.difference(&was).count(),
        );
        self.add(
            EventKind::Reassignment,
            "reassignment",
            "of {} partitions ended",
            was.difference(&is).count(),
        );
    }

    fn configs(&mut self, before: &Snapshot, after: &Snapshot) {
        for (id, configs) in &after.broker_configs {
            if let Some(old) = before.broker_configs.get(id)
                && let (Some(was), Some(is)) = changed(old, configs)
            {
                self.config(&format!("broker {id}"), was, is);
            }
        }
        if let (Some(was), Some(is)) = changed(&before.topic_configs, &after.topic_configs) {
            for (topic, configs) in is {
                if let Some(old) = was.get(topic).filter(|old| *old != configs) {
                    self.config(topic, old, configs);
                }
            }
        }
    }

    fn config(&mut self, subject: &str, was: &[Config], is: &[Config]) {
        let values = |configs: &[Config]| -> BTreeMap<String, String> {
            let value = |config: &Config| match config.sensitive {
                true => "(sensitive)".to_owned(),
                false => config.value.clone().unwrap_or_else(|| "unset".to_owned()),
            };
            configs
                .iter()
                .map(|config| (config.name.clone(), value(config)))
                .collect()
        };
        let (was, is) = (values(was), values(is));
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let (mut changes, mut throttle) = (Vec::new(), None);
        for name in names {
            let (old, new) = (was.get(name), is.get(name));
            if old == new {
                continue;
            }
            if name.contains("replication.throttled") {
                throttle = Some(if new.is_some_and(|new| !new.is_empty() && new != "unset") {
                    "throttle set"
                } else {
                    "throttle cleared"
                });
                continue;
            }
            let show = |value: Option<&String>| value.map_or("default".to_owned(), |value| clip(value));
            changes.push(format!("{name} {} → {}", show(old), show(new)));
        }
        self.add(
            EventKind::Config,
            subject,
            named(&changes),
            usize::from(!changes.is_empty()),
        );
        if let Some(throttle) = throttle {
            self.add(EventKind::Throttle, subject, throttle, 1);
        }
    }
}

/// What became of partitions, by broker.
#[derive(Default)]
struct Diff {
    left: BTreeMap<BrokerId, usize>,
    joined: BTreeMap<BrokerId, usize>,
    lost: BTreeMap<BrokerId, usize>,
    won: BTreeMap<BrokerId, usize>,
    created: Vec<String>,
    deleted: Vec<String>,
    grown: Vec<String>,
}

impl Diff {
    fn topic(&mut self, was: &Topic, is: &Topic) {
        if is.partitions.len() > was.partitions.len() {
            self.grown.push(format!(
                "{} {} → {}",
                is.name,
                was.partitions.len(),
                is.partitions.len()
            ));
        }
        let known: BTreeMap<i32, &Partition> = was
            .partitions
            .iter()
            .map(|partition| (partition.partition, partition))
            .collect();
        for partition in &is.partitions {
            let Some(old) = known.get(&partition.partition).filter(|old| **old != partition) else {
                continue;
            };
            for id in old
                .isr
                .iter()
                .filter(|id| !partition.isr.contains(id) && partition.replicas.contains(id))
            {
                *self.left.entry(*id).or_default() += 1;
            }
            for id in partition.isr.iter().filter(|id| !old.isr.contains(id)) {
                *self.joined.entry(*id).or_default() += 1;
            }
            if old.leader != partition.leader {
                old.leader
                    .into_iter()
                    .for_each(|id| *self.lost.entry(id).or_default() += 1);
                partition
                    .leader
                    .into_iter()
                    .for_each(|id| *self.won.entry(id).or_default() += 1);
            }
        }
    }
}

/// One symptom's state, to be remembered.
struct Told {
    symptom: Symptom,
    present: bool,
    /// It was not there when it was last looked at.
    recorded: bool,
}

/// The state of every symptom whose section was replaced.
fn symptoms(before: &Snapshot, after: &Snapshot) -> Vec<Told> {
    let mut told = Vec::new();
    let topics = same(&before.topics, &after.topics) && same(&before.topic_configs, &after.topic_configs);
    if let (Some(topics), false) = (after.topics.get(), topics) {
        let recorded = before.topics.get().is_some();
        let seen = Placed::of(after, topics);
        let mut tell = |symptom, present| {
            told.push(Told {
                symptom,
                present,
                recorded,
            })
        };
        tell(Symptom::Offline, seen.offline);
        tell(Symptom::UnderMinIsr, seen.under);
        tell(Symptom::AtMinIsr, seen.at);
        tell(Symptom::UnderReplicated, !seen.missing.is_empty());
        let known = before.topics.get().map_or_else(BTreeSet::new, |topics| holders(topics));
        for id in holders(topics).union(&known) {
            tell(Symptom::Missing(*id), seen.missing.contains(id));
            tell(Symptom::Alone(*id), seen.alone.contains(id));
        }
    }
    if let (Some(cluster), false) = (after.cluster.get(), same(&before.cluster, &after.cluster)) {
        let recorded = before.cluster.get().is_some();
        told.extend(cluster.brokers.iter().map(|broker| Told {
            symptom: Symptom::Fenced(broker.id),
            present: broker.fenced,
            recorded,
        }));
    }
    let configs = after
        .broker_configs
        .iter()
        .any(|(id, section)| before.broker_configs.get(id).is_none_or(|old| !same(old, section)));
    if configs || !same(&before.topic_configs, &after.topic_configs) {
        let brokers = after.broker_configs.values().filter_map(Observed::get).flatten();
        let topics = after
            .topic_configs
            .get()
            .into_iter()
            .flatten()
            .flat_map(|(_, configs)| configs);
        told.push(Told {
            symptom: Symptom::Throttled,
            present: brokers.chain(topics).any(|config| {
                config.name.contains("replication.throttled")
                    && config.value.as_deref().is_some_and(|value| !value.is_empty())
            }),
            recorded: before.topic_configs.get().is_some() || !before.broker_configs.is_empty(),
        });
    }
    told
}

/// How partitions stand, all in all.
#[derive(Default)]
struct Placed {
    offline: bool,
    under: bool,
    at: bool,
    missing: BTreeSet<BrokerId>,
    alone: BTreeSet<BrokerId>,
}

impl Placed {
    fn of(snapshot: &Snapshot, topics: &[Topic]) -> Self {
        let mut seen = Self::default();
        for topic in topics {
            let min = snapshot.min_isr(&topic.name).map(|min| min as usize);
            for partition in &topic.partitions {
                let in_sync = partition.isr.len();
                seen.offline |= partition.is_offline();
                seen.under |= min.is_some_and(|min| in_sync < min);
                seen.at |= partition.is_under_replicated() && min == Some(in_sync);
                seen.missing.extend(partition.missing());
                if let ([only], true) = (partition.isr.as_slice(), partition.is_under_replicated()) {
                    seen.alone.insert(*only);
                }
            }
        }
        seen
    }
}

fn holders(topics: &[Topic]) -> BTreeSet<BrokerId> {
    topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .flat_map(|partition| &partition.replicas)
        .copied()
        .collect()
}

/// Whether a broker answers; `None` when that is not what the last question told.
fn answers<T>(link: &Observed<T>) -> Option<bool> {
    match &link.health {
        Health::Fresh => Some(true),
        Health::Failing {
            trouble: Trouble::Unreachable | Trouble::TimedOut,
            ..
        } => Some(false),
        _ => None,
    }
}

fn same<T>(before: &Observed<T>, after: &Observed<T>) -> bool {
    match (&before.value, &after.value) {
        (Some(was), Some(is)) => Arc::ptr_eq(was, is),
        (was, is) => was.is_none() && is.is_none(),
    }
}

/// Both values, when the section was replaced.
fn changed<'a, T>(before: &'a Observed<T>, after: &'a Observed<T>) -> (Option<&'a T>, Option<&'a T>) {
    match same(before, after) {
        true => (None, None),
        false => (before.get(), after.get()),
    }
}

fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Config values may be thousands of characters long.
fn clip(value: &str) -> String {
    const ROOM: usize = 40;
    match value.char_indices().nth(ROOM) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::Cluster;
    use crate::model::event::Since;

    fn at(second: i64) -> Moment {
        Moment::from_second(1_800_000_000 + second).unwrap()
    }

    fn topic(isr: &[BrokerId], leader: BrokerId) -> Vec<Topic> {
        vec![Topic {
            name: "orders".into(),
            id: uuid::Uuid::from_u128(1),
            internal: false,
            partitions: vec![Partition {
                partition: 0,
                leader: Some(leader),
                replicas: [1, 2, 3].into(),
                isr: isr.into(),
                ..Partition::default()
            }],
        }]
    }

    fn look(topics: Vec<Topic>, second: i64) -> Snapshot {
        Snapshot {
            cluster: Observed::fresh(Cluster::default(), at(0)),
            topics: Observed::fresh(topics, at(second)),
            ..Snapshot::default()
        }
    }

    fn sentences(snapshot: &Snapshot) -> Vec<String> {
        snapshot.events.iter().map(Event::sentence).collect()
    }

    #[test]
    fn the_first_look_begins_the_watch_and_invents_no_change() {
        let mut first = look(topic(&[1, 2], 1), 0);
        observe(&Snapshot::default(), &mut first, at(0));
        assert_eq!(
            (first.events.watched_since, sentences(&first)),
            (Some(at(0)), Vec::new())
        );
        let seen = Since {
            at: at(0),
            recorded: false,
        };
        assert_eq!(
            first.events.since(&Symptom::Missing(3)),
            Some(seen),
            "it was so when we came"
        );
    }

    #[test]
    fn who_left_an_isr_is_told_and_since_when() {
        let mut before = look(topic(&[1, 2, 3], 3), 0);
        observe(&Snapshot::default(), &mut before, at(0));
        let mut after = look(topic(&[1, 2], 1), 5);
        after.events = Arc::clone(&before.events);
        observe(&before, &mut after, at(5));
        assert_eq!(
            sentences(&after),
            [
                "broker 3 left the ISR of 1 partitions",
                "broker 3 lost 1 leaders",
                "broker 1 took 1 leaders"
            ]
        );
        assert_eq!(
            after.events.since(&Symptom::Missing(3)),
            Some(Since {
                at: at(5),
                recorded: true
            })
        );
        let mut again = after.clone();
        observe(&after, &mut again, at(9));
        assert!(Arc::ptr_eq(&again.events, &after.events), "nothing new costs nothing");
    }

    #[test]
    fn a_throttle_and_a_config_are_two_changes() {
        let config = |name: &str, value: &str| Config {
            name: name.into(),
            value: Some(value.into()),
            source: crate::model::config::ConfigSource::DynamicBroker,
            sensitive: false,
            read_only: false,
            documentation: None,
            synonyms: Vec::new(),
        };
        let mut before = look(topic(&[1, 2, 3], 1), 0);
        before
            .broker_configs
            .insert(4, Observed::fresh(vec![config("num.io.threads", "8")], at(0)));
        observe(&Snapshot::default(), &mut before, at(0));
        let mut after = before.clone();
        let now = vec![
            config("num.io.threads", "3"),
            config("leader.replication.throttled.rate", "1000000"),
        ];
        after.broker_configs.insert(4, Observed::fresh(now, at(60)));
        observe(&before, &mut after, at(60));
        assert_eq!(
            sentences(&after),
            ["broker 4 num.io.threads 8 → 3", "broker 4 throttle set"]
        );
        assert!(after.events.since(&Symptom::Throttled).is_some());
    }

    #[test]
    fn a_broker_that_stops_answering_and_comes_back_is_told_twice() {
        let link = || crate::model::broker::Link {
            rtt_ms: 1.0,
            release: None,
        };
        let mut before = look(topic(&[1, 2, 3], 1), 0);
        before.links.insert(2, Observed::fresh(link(), at(0)));
        observe(&Snapshot::default(), &mut before, at(0));
        let mut dead = before.clone();
        dead.links
            .get_mut(&2)
            .unwrap()
            .fail(Trouble::TimedOut, "no answer", at(3));
        observe(&before, &mut dead, at(3));
        let mut back = dead.clone();
        back.links.insert(2, Observed::fresh(link(), at(9)));
        observe(&dead, &mut back, at(9));
        assert_eq!(
            sentences(&back),
            ["broker 2 stopped answering", "broker 2 answers again"]
        );
    }
}
