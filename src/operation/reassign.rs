//! Moving replicas: asks the controller for a batch, watches it until every target is in sync, or takes it back.

use crate::model::logdir::LogDir;
use crate::model::topic::{Partition, Topic};
use crate::plan::Move;
use crate::source::kafka::{self, Kafka};

use super::engine::{Act, Seen};
use super::status::Progress;

/// Asks for what is not yet so. Repeating it is harmless: a partition that is there, or on its way, is left alone.
pub(super) async fn act(kafka: &Kafka, moves: &[Move]) -> Act {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Act::Later(error.to_string()),
    };
    let flying = match kafka.reassignments().await {
        Ok(flying) => flying,
        Err(error) => return Act::Later(error.to_string()),
    };
    let mut wanted = Vec::new();
    for m in moves {
        let Some(partition) = find(&topics, m) else { continue };
        let target = flying.iter().find(|r| r.topic == m.topic && r.partition == m.partition);
        let on_its_way = target.is_some_and(|r| {
            m.to.iter().all(|id| r.replicas.contains(id)) && r.removing.iter().all(|id| !m.to.contains(id))
        });
        if partition.replicas != m.to && !on_its_way {
            wanted.push(kafka::Move {
                topic: m.topic.clone(),
                partition: m.partition,
                replicas: Some(m.to.clone()),
            });
        }
    }
    if wanted.is_empty() {
        return Act::Asked;
    }
    match kafka.alter_partition_reassignments(&wanted).await {
        Err(error) => Act::Later(error.to_string()),
        Ok(outcomes) => {
            let refused: Vec<String> = outcomes
                .into_iter()
                .filter_map(|((topic, partition), outcome)| {
                    outcome.err().map(|error| format!("{topic}-{partition}: {error}"))
                })
                .collect();
            if refused.is_empty() {
                Act::Asked
            } else {
                Act::Refused(refused.join("; "))
            }
        }
    }
}

/// Whether every partition has exactly its targets, in order and in sync. A topic that was deleted meanwhile is skipped.
pub(super) async fn look(kafka: &Kafka, moves: &[Move], step: usize) -> Seen {
    let topics = match kafka.topics().await {
        Ok(topics) => topics,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    let gone: Vec<String> = moves
        .iter()
        .filter(|m| find(&topics, m).is_none())
        .map(Move::name)
        .collect();
    let waiting: Vec<&Move> = moves
        .iter()
        .filter(|m| find(&topics, m).is_some_and(|p| !is_there(m, p)))
        .collect();
    if waiting.is_empty() {
        let skipped = if gone.is_empty() {
            String::new()
        } else {
            format!(", {} skipped (deleted meanwhile)", gone.join(", "))
        };
        return Seen::Done(format!("{} partitions moved{skipped}", moves.len() - gone.len()));
    }
    let copied = copied(kafka, moves, &waiting).await;
    let names: Vec<String> = waiting.iter().take(3).map(|m| m.name()).collect();
    let more = if waiting.len() > names.len() {
        format!(" and {} more", waiting.len() - names.len())
    } else {
        String::new()
    };
    Seen::Waiting(Progress {
        step,
        done: (moves.len() - waiting.len()) as u32,
        total: moves.len() as u32,
        bytes_done: copied,
        bytes_total: moves
            .iter()
            .map(|m| Some(m.size_bytes? * m.adding().count() as u64))
            .sum(),
        eta_seconds: None,
        note: format!("waiting for {}{more} to be in sync", names.join(", ")),
    })
}

/// Takes back what is in flight of this step.
pub(super) async fn cancel(kafka: &Kafka, moves: &[Move]) -> Act {
    let flying = match kafka.reassignments().await {
        Ok(flying) => flying,
        Err(error) => return Act::Later(error.to_string()),
    };
    let ours = |r: &&crate::model::reassignment::Reassignment| {
        moves.iter().any(|m| m.topic == r.topic && m.partition == r.partition)
    };
    let cancels: Vec<kafka::Move> = flying
        .iter()
        .filter(ours)
        .map(|r| kafka::Move {
            topic: r.topic.clone(),
            partition: r.partition,
            replicas: None,
        })
        .collect();
    if cancels.is_empty() {
        return Act::Asked;
    }
    match kafka.alter_partition_reassignments(&cancels).await {
        // Those that ended by themselves meanwhile are told as errors; the next look finds nothing in flight.
        Ok(_) => Act::Later(format!("taking back {} partitions", cancels.len())),
        Err(error) => Act::Later(error.to_string()),
    }
}

fn find<'a>(topics: &'a [Topic], m: &Move) -> Option<&'a Partition> {
    let at = topics
        .binary_search_by(|topic| topic.name.as_str().cmp(&m.topic))
        .ok()?;
    topics[at]
        .partitions
        .iter()
        .find(|partition| partition.partition == m.partition)
}

fn is_there(m: &Move, partition: &Partition) -> bool {
    partition.replicas == m.to && m.to.iter().all(|id| partition.isr.contains(id))
}

/// Bytes that have arrived at new replicas; brokers that do not answer count as nothing.
async fn copied(kafka: &Kafka, moves: &[Move], waiting: &[&Move]) -> Option<u64> {
    let mut bytes: u64 = moves
        .iter()
        .filter(|m| !waiting.iter().any(|w| w.topic == m.topic && w.partition == m.partition))
        .map(|m| Some(m.size_bytes? * m.adding().count() as u64))
        .sum::<Option<u64>>()?;
    let mut brokers: Vec<i32> = waiting.iter().flat_map(|m| m.adding()).collect();
    brokers.sort_unstable();
    brokers.dedup();
    for id in brokers {
        let dirs = kafka.logdirs(id).await.unwrap_or_default();
        bytes += waiting
            .iter()
            .filter(|m| m.adding().any(|a| a == id))
            .map(|m| size_of(&dirs, m))
            .sum::<u64>();
    }
    Some(bytes)
}

fn size_of(dirs: &[LogDir], m: &Move) -> u64 {
    let replicas = dirs.iter().flat_map(|dir| &dir.replicas);
    replicas
        .filter(|r| r.topic == m.topic && r.partition == m.partition)
        .map(|r| r.size_bytes.min(m.size_bytes.unwrap_or(u64::MAX)))
        .sum()
}
