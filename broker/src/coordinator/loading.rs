//! Reading a coordinator's partition from its beginning when this node becomes its leader.

use std::time::Duration;

use crate::id::{Epoch, TopicPartition};
use crate::record::{self, Batch};
use crate::replica::ReplicaManager;

/// How much is read from the log at once.
const LOAD_BYTES: usize = 4 << 20;
/// How soon to look again for leadership to be applied, or for the watermark to move.
const LOAD_RETRY: Duration = Duration::from_millis(10);

/// Gives every batch of `at` to `replay`, once this node leads it in `epoch`, up to the end that it has then. Returns early
/// when `is_closed`.
pub(super) async fn load(
    replicas: &ReplicaManager,
    at: TopicPartition,
    epoch: Epoch,
    is_closed: impl Fn() -> bool,
    mut replay: impl FnMut(Batch),
) {
    let position = loop {
        if is_closed() {
            return;
        }
        match replicas.position(at) {
            Some(position) if replicas.leader_epoch(at) == Some(epoch) => break position,
            _ => tokio::time::sleep(LOAD_RETRY).await,
        }
    };
    // What is in the log now may have been acknowledged by the former leader, even above our watermark.
    let (mut next, end) = (position.log_start, position.log_end);
    while next < end && !is_closed() {
        match replicas.read_committed(at, next, LOAD_BYTES) {
            Ok(batches) if !batches.is_empty() => {
                for batch in record::batches(batches).map_while(Result::ok) {
                    next = batch.header.next_offset();
                    replay(batch);
                }
            }
            _ => tokio::time::sleep(LOAD_RETRY).await,
        }
    }
}
