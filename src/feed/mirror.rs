//! What MirrorMaker 2 left in a cluster: its own topics, read from where they matter to their ends as they are now.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::{Overflow, Sources, Start, Tail, TailRequest, Until, tail};
use crate::model::Snapshot;
use crate::model::mirror::{Left, Own};
use crate::model::record::Record;
use crate::model::record::filter::Filter;
use crate::model::topic::Topic;

/// The newest heartbeat is the last record, or some markers of transactions before the end.
const LAST: u32 = 32;
/// Compacted topics that hold more have not been compacted for long.
const MOST: u64 = 2_000_000;
/// Records that wait to be looked at.
const WAITING: usize = 1024;

/// Reads all topics of MirrorMaker that `snapshot` names, at once and within `deadline`. What was not read is named.
pub async fn read(sources: &Sources, snapshot: &Snapshot, deadline: Duration) -> Left {
    let own = snapshot
        .topics()
        .iter()
        .filter_map(|topic| Some((Own::of(&topic.name)?, topic)));
    let wanted: Vec<(Own, &Topic)> = own.filter(|(own, _)| *own != Own::Heartbeats).collect();
    let all = join_all(wanted.iter().map(|(own, topic)| async move {
        let start = match own {
            Own::RemoteHeartbeats { .. } => Start::Last(LAST),
            _ => Start::Beginning,
        };
        match timeout(deadline, records(sources, topic, start)).await {
            Ok(records) => records,
            Err(_) => Err(format!("its end was not reached within {} s", deadline.as_secs_f64())),
        }
    }))
    .await;
    let mut left = Left::default();
    for ((own, topic), records) in wanted.iter().zip(all) {
        match records {
            Ok(records) => left.read(own, &records),
            Err(why) => left.unread.push((topic.name.clone(), why)),
        }
    }
    left
}

async fn records(sources: &Sources, topic: &Topic, start: Start) -> Result<Vec<Record>, String> {
    let request = TailRequest {
        topic: topic.name.clone(),
        partitions: topic.partitions.iter().map(|partition| partition.partition).collect(),
        start,
        until: Until::End,
        filter: Filter::default(),
        limit: Some(MOST),
        // What a transaction of MirrorMaker took back was never so.
        read_committed: true,
        capacity: WAITING,
        overflow: Overflow::Wait,
    };
    let mut tail: Tail = tail(sources, request).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    while let Some(next) = tail.next().await {
        records.push(next.map_err(|error| error.to_string())?);
    }
    match records.len() as u64 >= MOST {
        true => Err(format!("it holds more than {MOST} records")),
        false => Ok(records),
    }
}
