//! What changed from one image to a later one, so that whoever holds the first need not look at everything.
//!
//! An image carries its last steps. A step grows as long as nobody else holds it, so one publication is one step;
//! an image that is older than all steps, or of another log, is compared whole.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Image, Record, Resource};
use crate::id::{NodeId, Offset, TopicId};

/// Readers that are further behind compare whole images.
const STEPS_MAX: usize = 64;

/// What may differ between two images; nothing else does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Topics that came, went, or have another partition state or config.
    pub topics: BTreeSet<TopicId>,
    /// Brokers that came, went, or have another state.
    pub brokers: BTreeSet<NodeId>,
    /// Configs of brokers, or features: settings of every topic may differ.
    pub defaults: bool,
}

/// The last steps of an image, the newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// Images of one log share it.
    log: Arc<()>,
    steps: VecDeque<Arc<Step>>,
}

/// What the records after one offset changed.
#[derive(Debug, Clone)]
struct Step {
    after: Offset,
    /// The last of them that counts.
    to: Offset,
    /// In the order of the records; may hold one twice.
    topics: Vec<TopicId>,
    brokers: Vec<NodeId>,
    defaults: bool,
    /// Topics came, went or got partitions.
    resized: bool,
}

impl History {
    /// Notes a record that is about to be applied to an image that is at `after`.
    fn note(&mut self, after: Offset, topic: Option<TopicId>, broker: Option<NodeId>, defaults: bool, resized: bool) {
        let step = self.open(after);
        step.resized |= resized;
        step.to = after + 1;
        step.topics.extend(topic.filter(|id| step.topics.last() != Some(id)));
        step.brokers.extend(broker.filter(|id| step.brokers.last() != Some(id)));
        step.defaults |= defaults;
    }

    /// The newest step if it is this image's alone, else a new one.
    fn open(&mut self, after: Offset) -> &mut Step {
        let fits = self.steps.back_mut().is_some_and(|step| Arc::get_mut(step).is_some());
        if !fits {
            if self.steps.len() == STEPS_MAX {
                self.steps.pop_front();
            }
            self.steps.push_back(Arc::new(Step {
                after,
                to: after,
                topics: Vec::new(),
                brokers: Vec::new(),
                defaults: false,
                resized: false,
            }));
        }
        let last = self.steps.len() - 1;
        Arc::make_mut(&mut self.steps[last])
    }
}

impl Image {
    /// What `record` changes, noted before it is applied.
    pub(super) fn note(&mut self, record: &Record) {
        let of_topic = |name: &str| self.topic_ids.get(name).copied();
        let (topic, broker, defaults) = match record {
            Record::Topic { id, .. } | Record::DeleteTopic { id } => (Some(*id), None, false),
            Record::Partition { topic, .. } => (Some(*topic), None, false),
            Record::Broker(broker) => (None, Some(broker.id), false),
            Record::BrokerState { id, .. } | Record::UnregisterBroker { id } => (None, Some(*id), false),
            Record::Config {
                resource: Resource::Topic(name),
                ..
            } => (of_topic(name), None, false),
            Record::Config {
                resource: Resource::Broker(_),
                ..
            }
            | Record::Feature { .. } => (None, None, true),
            // Nothing that a replica or its settings depend on.
            _ => return,
        };
        let resized = match record {
            Record::Topic { .. } | Record::DeleteTopic { .. } => true,
            Record::Partition { topic, partition, .. } => {
                let known = self.topics.get(topic).map_or(0, |topic| topic.partitions.len());
                usize::try_from(*partition).is_ok_and(|at| at >= known)
            }
            _ => false,
        };
        self.history.note(self.offset, topic, broker, defaults, resized);
    }

    /// Whether topics came, went or got partitions since `previous`; a look at the last steps only, however many partitions changed
    /// their leaders meanwhile.
    pub fn is_resized_since(&self, previous: &Self) -> bool {
        let known = Arc::ptr_eq(&self.history.log, &previous.history.log) && previous.offset <= self.offset;
        if known && let Some(first) = self.history.since(previous.offset) {
            let mut steps = self.history.steps.range(first..);
            return steps.any(|step| step.to > previous.offset && step.resized);
        }
        let size = |image: &Self, id: &TopicId| image.topics.get(id).map(|topic| topic.partitions.len());
        let mut all = previous.topics.keys().chain(self.topics.keys());
        all.any(|id| size(previous, id) != size(self, id))
    }

    /// What may differ from `previous`, an earlier image of the same or another log.
    pub fn changed_since(&self, previous: &Self) -> Changes {
        let known = Arc::ptr_eq(&self.history.log, &previous.history.log) && previous.offset <= self.offset;
        if known && let Some(first) = self.history.since(previous.offset) {
            let mut changes = Changes::default();
            let news = |step: &&Arc<Step>| step.to > previous.offset;
            for step in self.history.steps.range(first..).filter(news) {
                changes.topics.extend(&step.topics);
                changes.brokers.extend(&step.brokers);
                changes.defaults |= step.defaults;
            }
            return changes;
        }
        self.compared_with(previous)
    }

    fn compared_with(&self, previous: &Self) -> Changes {
        let same_configs = |name: &str| {
            let resource = Resource::Topic(name.to_owned());
            previous.configs.get(&resource) == self.configs.get(&resource)
        };
        let kept = |id: &&TopicId| {
            let (before, after) = (previous.topics.get(*id), self.topics.get(*id));
            before
                .zip(after)
                .is_some_and(|(before, after)| Arc::ptr_eq(before, after) && same_configs(&after.name))
        };
        let topics = previous.topics.keys().chain(self.topics.keys());
        let brokers = previous.brokers.keys().chain(self.brokers.keys());
        let of_brokers = |image: &Self| -> Vec<_> {
            let configs = image.configs.iter();
            configs
                .filter(|(resource, _)| matches!(resource, Resource::Broker(_)))
                .map(|(resource, values)| (resource.clone(), Arc::clone(values)))
                .collect()
        };
        Changes {
            topics: topics.filter(|id| !kept(id)).copied().collect(),
            brokers: brokers
                .filter(|id| previous.brokers.get(*id) != self.brokers.get(*id))
                .copied()
                .collect(),
            defaults: of_brokers(previous) != of_brokers(self) || previous.features != self.features,
        }
    }
}

impl History {
    /// The first step that is not wholly known to who has read up to `offset`; `None` if that is forgotten.
    fn since(&self, offset: Offset) -> Option<usize> {
        let after = self.steps.partition_point(|step| step.after <= offset);
        match after.checked_sub(1) {
            Some(first) => Some(first),
            // Without any step nothing that counts was ever changed.
            None => self.steps.is_empty().then_some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: u128) -> TopicId {
        TopicId(uuid::Uuid::from_u128(n))
    }

    fn created(n: u128) -> Record {
        Record::Topic {
            id: topic(n),
            name: format!("t{n}"),
        }
    }

    fn state(n: u128) -> Record {
        let state = r#"{"replicas":[1],"isr":[1],"leader":1,"leader_epoch":0,"partition_epoch":0}"#;
        let state = serde_json::from_str(state).unwrap();
        Record::Partition {
            topic: topic(n),
            partition: 0,
            state,
        }
    }

    fn apply(image: &mut Image, records: &[Record]) {
        for record in records {
            image.apply(record, image.offset + 1, 1);
        }
    }

    #[test]
    fn a_later_image_names_what_changed_and_only_that() {
        let mut image = Image::empty();
        apply(&mut image, &[created(1), created(2), state(1), state(2)]);
        let first = image.clone();
        apply(&mut image, &[state(2)]);
        let second = image.clone();
        apply(&mut image, &[created(3), Record::DeleteTopic { id: topic(1) }]);
        let topics = |later: &Image, earlier: &Image| -> Vec<u128> {
            let changes = later.changed_since(earlier);
            changes.topics.iter().map(|id| id.0.as_u128()).collect()
        };
        assert_eq!(topics(&second, &first), [2]);
        assert_eq!(topics(&image, &second), [1, 3]);
        assert_eq!(topics(&image, &first), [1, 2, 3]);
        assert_eq!(topics(&image, &image), [] as [u128; 0]);
        assert_eq!(topics(&image, &Image::empty()), [2, 3], "compared whole");
    }

    #[test]
    fn leaders_that_move_resize_nothing() {
        let mut image = Image::empty();
        apply(&mut image, &[created(1), state(1)]);
        let first = image.clone();
        apply(&mut image, &[state(1)]);
        let second = image.clone();
        assert!(!second.is_resized_since(&first));
        apply(&mut image, &[created(2)]);
        let third = image.clone();
        apply(&mut image, &[state(2)]);
        let fourth = image.clone();
        apply(&mut image, &[Record::DeleteTopic { id: topic(1) }]);
        assert!(third.is_resized_since(&second), "a topic came");
        assert!(fourth.is_resized_since(&third), "a partition came");
        assert!(image.is_resized_since(&fourth), "a topic went");
        assert!(image.is_resized_since(&first));
        assert!(second.is_resized_since(&Image::empty()), "compared whole");
        let mut other = Image::empty();
        apply(&mut other, &[created(1), state(1)]);
        assert!(!other.is_resized_since(&first), "compared whole");
    }

    #[test]
    fn what_is_forgotten_or_of_another_log_is_compared_whole() {
        let mut image = Image::empty();
        apply(&mut image, &[created(1), state(1)]);
        let first = image.clone();
        for n in 2..200 {
            apply(&mut image, &[created(n)]);
            let _published = image.clone();
        }
        assert!(image.history.steps.len() <= STEPS_MAX);
        assert_eq!(image.changed_since(&first).topics.len(), 198);
        let mut other = Image::empty();
        apply(&mut other, &[created(1), created(500), state(1), state(500)]);
        assert_eq!(other.changed_since(&first).topics.len(), 2);
    }

    #[test]
    fn brokers_and_defaults_are_told_apart() {
        let mut image = Image::empty();
        let first = image.clone();
        let set = Record::Config {
            resource: Resource::Broker(String::new()),
            key: "min.insync.replicas".to_owned(),
            value: Some("2".to_owned()),
        };
        apply(&mut image, &[Record::UnregisterBroker { id: NodeId(7) }, set]);
        let changes = image.changed_since(&first);
        assert_eq!((changes.brokers.len(), changes.defaults), (1, true));
        assert!(changes.topics.is_empty());
    }
}
