//! Values of partitions, found by topic. Whoever tells of many partitions tells them sorted by topic, so that filling in a
//! hundred brokers' answers is a walk along the names and not a search for each.

use std::collections::BTreeMap;

use super::topic::Topic;

/// A list for each topic.
#[derive(Debug)]
pub(crate) struct Places<'a, T> {
    /// Sorted.
    names: Vec<&'a str>,
    /// By the place of the name.
    lists: Vec<Vec<T>>,
    /// Of topics that the cluster did not name: just created, or just deleted.
    others: BTreeMap<&'a str, Vec<T>>,
}

/// Where the last topic was found: the next one is likely to follow it.
#[derive(Debug, Default)]
pub(crate) struct Cursor(usize);

impl<T> Default for Places<'_, T> {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            lists: Vec::new(),
            others: BTreeMap::new(),
        }
    }
}

impl<'a, T> Places<'a, T> {
    /// `topics` are sorted by name.
    pub fn new(topics: &'a [Topic]) -> Self {
        Self {
            names: topics.iter().map(|topic| topic.name.as_str()).collect(),
            lists: topics
                .iter()
                .map(|topic| Vec::with_capacity(topic.partitions.len()))
                .collect(),
            others: BTreeMap::new(),
        }
    }

    /// The list of a topic, to add to. Cheap for topics in the order of their names, right for any.
    pub fn list_mut(&mut self, cursor: &mut Cursor, topic: &'a str) -> &mut Vec<T> {
        let mut at = cursor.0;
        match self.names.get(at) {
            Some(name) if *name <= topic => {
                while self.names.get(at).is_some_and(|name| *name < topic) {
                    at += 1;
                }
            }
            _ => at = self.names.partition_point(|name| *name < topic),
        }
        cursor.0 = at;
        match self.names.get(at) {
            Some(name) if *name == topic => &mut self.lists[at],
            _ => self.others.entry(topic).or_default(),
        }
    }

    pub fn list(&self, topic: &str) -> &[T] {
        match self.names.binary_search(&topic) {
            Ok(at) => &self.lists[at],
            Err(_) => self.others.get(topic).map_or(&[], Vec::as_slice),
        }
    }

    /// Every topic, those that the cluster named first.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Vec<T>)> {
        let named = self.names.iter().copied().zip(&self.lists);
        named.chain(self.others.iter().map(|(name, list)| (*name, list)))
    }

    pub fn lists_mut(&mut self) -> impl Iterator<Item = &mut Vec<T>> {
        self.lists.iter_mut().chain(self.others.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic {
            name: name.to_owned(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: Vec::new(),
        }
    }

    #[test]
    fn a_topic_is_found_in_any_order_and_whether_or_not_the_cluster_names_it() {
        let topics = ["audit", "billing", "clicks"].map(topic);
        let mut places = Places::new(&topics);
        for told in [["billing", "clicks", "new"], ["clicks", "audit", "aaa"]] {
            let mut cursor = Cursor::default();
            for topic in told {
                places.list_mut(&mut cursor, topic).push(topic.len());
            }
        }
        assert_eq!(places.list("clicks"), [6, 6]);
        assert_eq!((places.list("audit"), places.list("billing")), (&[5][..], &[7][..]));
        assert_eq!((places.list("aaa"), places.list("new")), (&[3][..], &[3][..]));
        assert!(places.list("old").is_empty());
        assert_eq!(places.iter().map(|(_, list)| list.len()).sum::<usize>(), 6);
    }
}
