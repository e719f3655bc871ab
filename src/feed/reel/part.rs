//! What is much of a snapshot, by part. A part that is the same piece of memory as in the step before was not told anew, and the
//! step does without it: of a wide cluster that stands still a step is a few kilobytes and not the tens of megabytes of all it knows.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use crate::model::logdir::Replica;
use crate::model::{BrokerId, Snapshot};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    Topics,
    TopicConfigs,
    Groups,
    Offsets(BrokerId),
    BrokerConfigs(BrokerId),
    /// Of a broker's log directory, by its place in the list.
    Replicas(BrokerId, u32),
}

/// Goes through the parts of a snapshot.
trait Visit {
    fn value<T: Any + Send + Sync>(&mut self, part: Part, value: &mut Option<Arc<T>>);
    fn replicas(&mut self, part: Part, replicas: &mut Arc<[Replica]>);
}

fn visit(snapshot: &mut Snapshot, by: &mut impl Visit) {
    by.value(Part::Topics, &mut snapshot.topics.value);
    by.value(Part::TopicConfigs, &mut snapshot.topic_configs.value);
    by.value(Part::Groups, &mut snapshot.groups.value);
    for (id, section) in &mut snapshot.offsets {
        by.value(Part::Offsets(*id), &mut section.value);
    }
    for (id, section) in &mut snapshot.broker_configs {
        by.value(Part::BrokerConfigs(*id), &mut section.value);
    }
    for (id, section) in &mut snapshot.logdirs {
        let dirs = section.value.as_mut().map(Arc::make_mut);
        for (place, dir) in (0..).zip(dirs.into_iter().flatten()) {
            by.replicas(Part::Replicas(*id, place), &mut dir.replicas);
        }
    }
}

/// What a step held. It keeps the place of each part from being taken by another, and not what was in it.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<Part, Mark>);

#[derive(Debug)]
enum Mark {
    Value(Weak<dyn Any + Send + Sync>),
    Replicas(Weak<[Replica]>),
}

impl Mark {
    fn place(&self) -> *const () {
        match self {
            Self::Value(value) => value.as_ptr().cast(),
            Self::Replicas(replicas) => replicas.as_ptr().cast(),
        }
    }
}

impl Told {
    /// Takes out of the next step's snapshot what this one told; what that step tells, and what was taken out.
    pub fn leave_out(&self, snapshot: &mut Snapshot) -> (Self, BTreeSet<Part>) {
        let mut leave = Leave {
            before: self,
            now: Self::default(),
            out: BTreeSet::new(),
        };
        visit(snapshot, &mut leave);
        (leave.now, leave.out)
    }
}

struct Leave<'a> {
    before: &'a Told,
    now: Told,
    out: BTreeSet<Part>,
}

impl Leave<'_> {
    /// Whether the step before told it.
    fn is_known(&mut self, part: Part, mark: Mark) -> bool {
        let known = self
            .before
            .0
            .get(&part)
            .is_some_and(|known| known.place() == mark.place());
        self.now.0.insert(part, mark);
        if known {
            self.out.insert(part);
        }
        known
    }
}

impl Visit for Leave<'_> {
    fn value<T: Any + Send + Sync>(&mut self, part: Part, value: &mut Option<Arc<T>>) {
        let Some(told) = value else { return };
        let mark: Weak<dyn Any + Send + Sync> = Arc::<T>::downgrade(told);
        if self.is_known(part, Mark::Value(mark)) {
            *value = None;
        }
    }

    fn replicas(&mut self, part: Part, replicas: &mut Arc<[Replica]>) {
        if self.is_known(part, Mark::Replicas(Arc::downgrade(replicas))) {
            *replicas = Arc::default();
        }
    }
}

/// What the step that was read last held.
#[derive(Debug, Default)]
pub struct Parts {
    values: BTreeMap<Part, Arc<dyn Any + Send + Sync>>,
    replicas: BTreeMap<Part, Arc<[Replica]>>,
}

impl Parts {
    /// Gives a step's snapshot what was left out, and remembers what it holds then.
    pub fn put_back(&mut self, snapshot: &mut Snapshot, left_out: &BTreeSet<Part>) {
        let mut put = Put {
            before: std::mem::take(self),
            now: Self::default(),
            left_out,
        };
        visit(snapshot, &mut put);
        *self = put.now;
    }
}

struct Put<'a> {
    before: Parts,
    now: Parts,
    left_out: &'a BTreeSet<Part>,
}

impl Visit for Put<'_> {
    fn value<T: Any + Send + Sync>(&mut self, part: Part, value: &mut Option<Arc<T>>) {
        if self.left_out.contains(&part) {
            let known = self.before.values.remove(&part);
            *value = known.and_then(|known| known.downcast().ok());
        }
        if let Some(value) = value {
            self.now.values.insert(part, Arc::<T>::clone(value));
        }
    }

    fn replicas(&mut self, part: Part, replicas: &mut Arc<[Replica]>) {
        if self.left_out.contains(&part)
            && let Some(known) = self.before.replicas.remove(&part)
        {
            *replicas = known;
        }
        self.now.replicas.insert(part, Arc::clone(replicas));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::Six;
    use crate::model::topic::Topic;

    #[test]
    fn what_is_told_again_is_left_out_and_put_back() {
        let first = Six::healthy().snapshot;
        let mut second = first.clone();
        second.offsets.get_mut(&1).unwrap().value = Some(Arc::default());
        let topics: Vec<Topic> = first.topics().iter().skip(1).cloned().collect();
        let mut third = second.clone();
        third.topics.value = Some(Arc::new(topics));
        third.offsets.remove(&2);
        let (mut told, mut parts) = (Told::default(), Parts::default());
        let mut left = Vec::new();
        for snapshot in [&first, &second, &third] {
            let mut step = snapshot.clone();
            let (now, out) = told.leave_out(&mut step);
            told = now;
            left.push(out.clone());
            assert_eq!(step == *snapshot, out.is_empty());
            parts.put_back(&mut step, &out);
            assert_eq!(step, *snapshot);
        }
        assert!(left[0].is_empty(), "the first is whole");
        assert!(left[1].contains(&Part::Topics) && left[1].contains(&Part::Replicas(3, 0)));
        assert!(!left[1].contains(&Part::Offsets(1)) && left[2].contains(&Part::Offsets(1)));
        assert!(!left[2].contains(&Part::Topics) && left[2].contains(&Part::Offsets(3)));
    }
}
