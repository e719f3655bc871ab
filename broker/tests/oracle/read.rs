//! What a reader makes of the answers to its fetches.

use std::collections::{BTreeSet, VecDeque};

use azimuth_broker::record::{Batch, batches};
use bytes::Bytes;
use kafka_protocol::messages::fetch_response::PartitionData;

use super::client::Desk;
use super::history::Place;

const DECOMPRESSED_MAX: usize = 16 << 20;

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Read {
    pub offset: i64,
    pub key: String,
    pub value: String,
}

/// The batches of data in an answer from `offset` on, without those that a reader of what is committed leaves out; and where
/// it reads on.
pub fn kept(partition: PartitionData, offset: i64, committed: bool) -> (Vec<Batch>, i64) {
    let aborted = partition.aborted_transactions.unwrap_or_default();
    let mut aborted: Vec<(i64, i64)> = aborted.iter().map(|one| (one.first_offset, *one.producer_id)).collect();
    aborted.sort_unstable();
    let mut aborted = VecDeque::from(aborted);
    let mut leaving_out = BTreeSet::new();
    let (mut all, mut next) = (Vec::new(), offset);
    for batch in batches(partition.records.unwrap_or_default()).map_while(Result::ok) {
        batch.check_crc().expect("a whole batch");
        let id = batch.header.producer_id;
        while aborted
            .front()
            .is_some_and(|(first, _)| *first <= batch.header.last_offset())
        {
            leaving_out.extend(aborted.pop_front().map(|(_, id)| id));
        }
        next = next.max(batch.header.next_offset());
        if batch.header.is_control() {
            leaving_out.remove(&id);
        } else if batch.header.next_offset() > offset
            && !(committed && batch.header.is_transactional() && leaving_out.contains(&id))
        {
            all.push(batch);
        }
    }
    (all, next)
}

/// All batches of a partition.
pub async fn all(desk: &Desk, place: Place, committed: bool) -> Vec<Batch> {
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let (got, next) = kept(desk.fetch(place, offset, committed).await, offset, committed);
        all.extend(got);
        if next == offset {
            return all;
        }
        offset = next;
    }
}

pub fn values(batches: &[Batch]) -> Vec<Read> {
    let string = |bytes: Option<Bytes>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let records = batches
        .iter()
        .flat_map(|batch| batch.records(DECOMPRESSED_MAX).expect("readable"));
    let records = records.map(|record| record.expect("readable"));
    records
        .map(|record| Read {
            offset: record.offset,
            key: string(record.key),
            value: string(record.value),
        })
        .collect()
}
