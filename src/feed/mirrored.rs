//! The newest record of every partition, for comparing a cluster with its mirror.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use super::{Needs, Section, Sources, collect};
use crate::model::BrokerId;
use crate::model::mirrored::Newest;
use crate::model::snapshot::Snapshot;

/// Asks for them, of all topics but Kafka's own; the snapshot that says which there are comes with it.
///
/// # Errors
/// A sentence, when topics or a leader did not tell: what was not seen is not taken for nothing.
pub async fn newest(sources: &Sources, deadline: Duration) -> Result<(Snapshot, Newest), String> {
    let needs = Needs::from([Section::Cluster, Section::Topics]);
    let snapshot = collect(sources, &needs, deadline / 2).await;
    if snapshot.topics.get().is_none() {
        return Err(format!("topics: {}", snapshot.topics.problem().unwrap_or_default()));
    }
    let mut led: BTreeMap<BrokerId, Vec<(String, i32)>> = BTreeMap::new();
    for topic in snapshot.topics().iter().filter(|topic| !topic.internal) {
        for partition in &topic.partitions {
            let at = (topic.name.clone(), partition.partition);
            let leader = partition
                .leader
                .ok_or_else(|| format!("{}-{} has no leader", at.0, at.1))?;
            led.entry(leader).or_default().push(at);
        }
    }
    let asked = led.iter().map(|(leader, own)| sources.kafka.newest(*leader, own));
    let answers = tokio::time::timeout(deadline / 2, join_all(asked)).await;
    let mut newest = Newest::new();
    for answer in answers.map_err(|_| "the leaders did not answer in time".to_owned())? {
        newest.extend(answer.map_err(|error| error.to_string())?);
    }
    Ok((snapshot, newest))
}
