//! Creating, widening, emptying and deleting topics, each verified by looking.

use std::collections::BTreeMap;

use futures::future::join_all;

use crate::source::kafka::{Kafka, NewTopic};

use super::status::Progress;
use super::step::{Act, Seen, act_of, is_passing};
use crate::model::BrokerId;
use crate::model::topic::Topic;
use crate::plan::group::Offset;

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
            Some(error) if again && error.is(&["TOPIC_ALREADY_EXISTS"]) => Act::Asked,
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
            Some(error) if again && error.is(&["UNKNOWN_TOPIC_OR_PARTITION"]) => Act::Asked,
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

/// Asks for more partitions while the topic still has its id.
pub(super) async fn widen(kafka: &Kafka, name: &str, id: uuid::Uuid, count: i32) -> Act {
    let topic = match same(kafka, name, id).await {
        Ok(topic) => topic,
        Err(act) => return act,
    };
    if topic.partitions.len() >= count as usize {
        return Act::Asked;
    }
    match kafka.add_partitions(name, count).await {
        Ok(()) => Act::Asked,
        Err(error) => act_of(error),
    }
}

/// Whether there are so many partitions, all with a leader.
pub(super) async fn is_widened(kafka: &Kafka, name: &str, count: i32, step: usize) -> Seen {
    let topics = match kafka.topics().await {
        Err(error) => return Seen::Unknown(error.to_string()),
        Ok(topics) => topics,
    };
    let Some(topic) = topics.iter().find(|topic| topic.name == name) else {
        return waiting(step, format!("{name} is not there"));
    };
    let led = topic
        .partitions
        .iter()
        .filter(|partition| partition.leader.is_some())
        .count();
    match led >= count as usize {
        true => Seen::Done(format!("{led} partitions")),
        false => waiting(step, format!("{led} of {count} partitions of {name} have a leader")),
    }
}

/// Asks the leaders to forget what lies before, while the topic still has its id.
pub(super) async fn truncate(kafka: &Kafka, name: &str, id: uuid::Uuid, offsets: &[Offset]) -> Act {
    let topic = match same(kafka, name, id).await {
        Ok(topic) => topic,
        Err(act) => return act,
    };
    let mut led: BTreeMap<BrokerId, Vec<(String, i32, i64)>> = BTreeMap::new();
    for one in offsets {
        match topic.partition(one.partition).and_then(|partition| partition.leader) {
            Some(leader) => led
                .entry(leader)
                .or_default()
                .push((name.to_owned(), one.partition, one.to)),
            None => return Act::Later(format!("{name}-{} has no leader", one.partition)),
        }
    }
    let asked = led.iter().map(|(leader, own)| kafka.delete_records(*leader, own));
    let mut failed = Vec::new();
    for told in join_all(asked).await {
        match told {
            Err(error) => return act_of(error),
            Ok(outcomes) => failed.extend(outcomes.into_iter().filter_map(|(_, outcome)| outcome.err())),
        }
    }
    let moved = |error: &crate::source::Error| is_passing(error) || error.is(&["NOT_LEADER_OR_FOLLOWER"]);
    match failed.first() {
        None => Act::Asked,
        Some(error) if failed.iter().all(moved) => Act::Later(error.to_string()),
        Some(error) => Act::Refused(error.to_string()),
    }
}

/// Whether every log begins where it was wanted, or later.
pub(super) async fn is_truncated(kafka: &Kafka, name: &str, offsets: &[Offset], step: usize) -> Seen {
    let topics = match kafka.topics().await {
        Err(error) => return Seen::Unknown(error.to_string()),
        Ok(topics) => topics,
    };
    let topic = topics.iter().find(|topic| topic.name == name);
    let mut led: BTreeMap<BrokerId, Vec<i32>> = BTreeMap::new();
    for one in offsets {
        let partition = topic.and_then(|topic| topic.partition(one.partition));
        match partition.and_then(|partition| partition.leader) {
            Some(leader) => led.entry(leader).or_default().push(one.partition),
            None => return waiting(step, format!("{name}-{} has no leader", one.partition)),
        }
    }
    let asked = led.into_iter().map(async |(leader, own)| {
        let partitions = BTreeMap::from([(name.to_owned(), own)]);
        kafka.offsets(leader, &partitions).await
    });
    let mut starts: BTreeMap<i32, i64> = BTreeMap::new();
    for told in join_all(asked).await {
        match told {
            Err(error) => return Seen::Unknown(error.to_string()),
            Ok(told) => {
                let own = told.of_topic(name).iter();
                starts.extend(own.map(|log| (log.partition, log.span.start)));
            }
        }
    }
    let behind = offsets
        .iter()
        .filter(|one| starts.get(&one.partition).is_none_or(|start| *start < one.to));
    match behind.count() {
        0 => Seen::Done(format!("{} partitions begin later", offsets.len())),
        left => waiting(step, format!("{left} partitions of {name} still begin earlier")),
    }
}

/// The topic that was planned for, or why it is left alone.
async fn same(kafka: &Kafka, name: &str, id: uuid::Uuid) -> Result<Topic, Act> {
    let topics = kafka.topics().await.map_err(act_of)?;
    match topics.into_iter().find(|topic| topic.name == name) {
        None => Err(Act::Refused(format!("topic {name} is gone"))),
        Some(topic) if topic.id != id => Err(Act::Refused(format!(
            "topic {name} was deleted and created again; it is left alone"
        ))),
        Some(topic) => Ok(topic),
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
