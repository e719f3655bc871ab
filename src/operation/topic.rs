//! Creating and deleting topics, each verified by looking.

use std::collections::BTreeMap;

use crate::source::kafka::{Kafka, NewTopic};

use super::status::Progress;
use super::step::{Act, Seen, act_of};

/// What a new topic shall be.
pub(super) struct Wanted<'a> {
    pub name: &'a str,
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    pub configs: &'a BTreeMap<String, String>,
}

/// Asks for the topic. One that is there already is ours only when we asked before (`again`).
pub(super) async fn create(kafka: &Kafka, wanted: &Wanted<'_>, again: bool) -> Act {
    let topic = NewTopic {
        name: wanted.name.to_owned(),
        partitions: wanted.partitions,
        replication_factor: wanted.replication_factor,
        configs: wanted.configs.clone(),
        ..NewTopic::default()
    };
    match kafka.create_topics(&[topic], false).await {
        Err(error) => act_of(error),
        Ok(outcomes) => match outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) {
            None => Act::Asked,
            Some(error) if again && is(&error, "TOPIC_ALREADY_EXISTS") => Act::Asked,
            Some(error) => act_of(error),
        },
    }
}

/// Whether the topic is there and every partition has a leader.
pub(super) async fn is_created(kafka: &Kafka, name: &str, step: usize) -> Seen {
    match kafka.topics().await {
        Err(error) => Seen::Unknown(error.to_string()),
        Ok(topics) => match topics.iter().find(|topic| topic.name == name) {
            Some(topic) if topic.partitions.iter().all(|partition| partition.leader.is_some()) => {
                let factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
                Seen::Done(format!("{} partitions, {factor} replicas each", topic.partitions.len()))
            }
            Some(_) => waiting(step, format!("{name} waits for leaders")),
            None => waiting(step, format!("{name} is not there yet")),
        },
    }
}

/// Asks for the deletion while the topic still has its id; one that is gone counts as deleted when we asked before.
pub(super) async fn delete(kafka: &Kafka, name: &str, id: uuid::Uuid, again: bool) -> Act {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return act_of(error),
    };
    match topics.iter().find(|topic| topic.name == name) {
        None if again => return Act::Asked,
        None => return Act::Refused(format!("topic {name} is gone already")),
        Some(topic) if topic.id != id => {
            return Act::Refused(format!("topic {name} was deleted and created again; it is left alone"));
        }
        Some(_) => {}
    }
    match kafka.delete_topics(&[name.to_owned()]).await {
        Err(error) => act_of(error),
        Ok(outcomes) => match outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) {
            None => Act::Asked,
            Some(error) if again && is(&error, "UNKNOWN_TOPIC_OR_PARTITION") => Act::Asked,
            Some(error) => act_of(error),
        },
    }
}

/// Whether no topic with this id is there any more.
pub(super) async fn is_deleted(kafka: &Kafka, name: &str, id: uuid::Uuid, step: usize) -> Seen {
    match kafka.topics().await {
        Err(error) => Seen::Unknown(error.to_string()),
        Ok(topics) if topics.iter().any(|topic| topic.id == id && topic.name == name) => {
            waiting(step, format!("{name} is still there"))
        }
        Ok(_) => Seen::Done(format!("{name} is gone")),
    }
}

fn waiting(step: usize, note: String) -> Seen {
    Seen::Waiting(Progress {
        step,
        total: 1,
        note,
        ..Progress::default()
    })
}

fn is(error: &crate::source::Error, wanted: &str) -> bool {
    matches!(error, crate::source::Error::Refused { code, .. } if code == wanted)
}
