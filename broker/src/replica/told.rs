//! The follower's half of a fetch session (KIP-227): the leader is told only what changed since the last fetch.
//!
//! A link that has nothing to bring names no partition. Whatever goes wrong, a session is begun anew with everything.

use std::collections::{HashMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::FetchResponse;

use crate::id::{TopicId, TopicPartition};

/// What one leader was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// 0 for none.
    id: i32,
    /// Of the next fetch; 0 begins a session.
    epoch: i32,
    partitions: HashMap<TopicPartition, FetchPartition>,
}

impl Told {
    /// The next fetch tells everything: the link is new, or an answer was missed.
    pub fn forget(&mut self) {
        self.epoch = 0;
    }

    /// Adds to `request` what changed since the last fetch. `wanted` is all that is to be fetched, by topic.
    pub fn tell(&mut self, request: FetchRequest, wanted: Vec<(TopicPartition, FetchPartition)>) -> FetchRequest {
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        if self.epoch == 0 {
            self.partitions.clear();
        } else {
            let still: HashSet<&TopicPartition> = wanted.iter().map(|(at, _)| at).collect();
            let gone: Vec<TopicPartition> = self
                .partitions
                .keys()
                .filter(|at| !still.contains(at))
                .copied()
                .collect();
            for at in gone {
                self.partitions.remove(&at);
                match forgotten.iter_mut().find(|topic| topic.topic_id == at.topic.0) {
                    Some(topic) => topic.partitions.push(at.partition),
                    None => forgotten.push(
                        ForgottenTopic::default()
                            .with_topic_id(at.topic.0)
                            .with_partitions(vec![at.partition]),
                    ),
                }
            }
        }
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (at, partition) in wanted {
            if self.partitions.get(&at) == Some(&partition) {
                continue;
            }
            add(&mut topics, at.topic, partition.clone());
            self.partitions.insert(at, partition);
        }
        request
            .with_session_id(self.id)
            .with_session_epoch(self.epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten)
    }

    /// Takes over what the answer says of the session; false if the fetch has to be made again in a new one.
    pub fn answered(&mut self, answer: &FetchResponse) -> bool {
        match ResponseError::try_from_code(answer.error_code) {
            Some(
                ResponseError::FetchSessionIdNotFound
                | ResponseError::InvalidFetchSessionEpoch
                | ResponseError::FetchSessionTopicIdError,
            ) => {
                (self.id, self.epoch) = (0, 0);
                return false;
            }
            // Nothing was told; the next fetch tells it again.
            Some(_) => self.forget(),
            None => {
                self.id = answer.session_id;
                // Without a session, because the leader has no room for one, everything is told each time.
                self.epoch = match self.id {
                    0 => 0,
                    _ => self.epoch.checked_add(1).unwrap_or(1),
                };
            }
        }
        true
    }
}

/// All of `wanted` without a session.
pub(super) fn all(request: FetchRequest, wanted: Vec<(TopicPartition, FetchPartition)>) -> FetchRequest {
    let mut topics = Vec::new();
    for (at, partition) in wanted {
        add(&mut topics, at.topic, partition);
    }
    request.with_session_epoch(-1).with_topics(topics)
}

fn add(topics: &mut Vec<FetchTopic>, id: TopicId, partition: FetchPartition) {
    match topics.last_mut() {
        Some(topic) if topic.topic_id == id.0 => topic.partitions.push(partition),
        _ => topics.push(
            FetchTopic::default()
                .with_topic_id(id.0)
                .with_partitions(vec![partition]),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(offsets: &[i64]) -> Vec<(TopicPartition, FetchPartition)> {
        let one = |(partition, offset): (i32, &i64)| {
            let at = TopicPartition {
                topic: TopicId::METADATA,
                partition,
            };
            let asked = FetchPartition::default()
                .with_partition(partition)
                .with_fetch_offset(*offset);
            (at, asked)
        };
        (0..).zip(offsets).map(one).collect()
    }

    fn named(request: &FetchRequest) -> Vec<i32> {
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.partition).collect()
    }

    fn session(id: i32) -> FetchResponse {
        FetchResponse::default().with_session_id(id)
    }

    #[test]
    fn an_idle_session_names_nothing() {
        let mut told = Told::default();
        let first = told.tell(FetchRequest::default(), wanted(&[5, 6, 7]));
        assert_eq!((named(&first), first.session_epoch), (vec![0, 1, 2], 0));
        assert!(told.answered(&session(9)));
        let idle = told.tell(FetchRequest::default(), wanted(&[5, 6, 7]));
        assert!(named(&idle).is_empty());
        assert_eq!((idle.session_id, idle.session_epoch), (9, 1));
        assert!(told.answered(&session(9)));
        let moved = told.tell(FetchRequest::default(), wanted(&[5, 8]));
        assert_eq!((named(&moved), moved.session_epoch), (vec![1], 2));
        assert_eq!(moved.forgotten_topics_data[0].partitions, [2]);
    }

    #[test]
    fn a_lost_session_begins_anew_with_everything() {
        let mut told = Told::default();
        told.tell(FetchRequest::default(), wanted(&[5, 6]));
        told.answered(&session(9));
        let lost = FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
        assert!(!told.answered(&lost));
        let again = told.tell(FetchRequest::default(), wanted(&[5, 6]));
        assert_eq!((named(&again).len(), again.session_id, again.session_epoch), (2, 0, 0));
        told.answered(&session(4));
        told.forget();
        let again = told.tell(FetchRequest::default(), wanted(&[5, 6]));
        assert_eq!(
            (named(&again).len(), again.session_id, again.session_epoch),
            (2, 4, 0),
            "closes the old one"
        );
        told.answered(&session(0));
        let again = told.tell(FetchRequest::default(), wanted(&[5, 6]));
        assert_eq!(
            (named(&again).len(), again.session_epoch),
            (2, 0),
            "the leader has no room"
        );
    }
}
