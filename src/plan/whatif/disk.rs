//! Disks after everything lost was copied anew: each replica goes to the broker that is left with the least, as an operator who
//! restores the replication factor would place it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Among, Loss};
use crate::model::BrokerId;
use crate::model::row::{Cell, Rows};

/// Fills in what must be copied, and the disks after it.
pub(super) fn rebuild(rows: &Rows, loss: &mut Loss, there: &Among) {
    let mut unsized_ = 0_u64;
    let mut total = 0_u64;
    let mut gains: BTreeMap<BrokerId, u64> = BTreeMap::new();
    // The one with the least first; few steps find one that does not hold the partition yet.
    let mut queue: BinaryHeap<Reverse<(u64, BrokerId)>> = loss
        .left
        .iter()
        .map(|after| {
            let row = rows.brokers.iter().find(|row| row.id == after.broker);
            Reverse((row.and_then(|row| row.used_bytes.value).unwrap_or(0), after.broker))
        })
        .collect();
    // Those of the queue that hold the partition at hand: they are put back for the next.
    let mut held = Vec::new();
    for row in rows.partitions.iter() {
        let lost = row.replicas.iter().filter(|id| there.has(**id)).count();
        let copied_from = row.isr.iter().any(|id| !there.has(*id));
        if lost == 0 || !copied_from {
            continue;
        }
        let Some(size) = row.size_bytes().value else {
            unsized_ += 1;
            continue;
        };
        for _ in 0..lost {
            let Some(Reverse((used, id))) = next(&mut queue, &mut held, &row.replicas) else {
                break;
            };
            held.push(Reverse((used + size, id)));
            *gains.entry(id).or_default() += size;
            total += size;
        }
        queue.extend(held.drain(..));
    }
    if unsized_ > 0 {
        let why = format!("the size of {unsized_} partitions is not known");
        loss.rebuild_bytes = Cell::unknown(why.clone());
        for after in &mut loss.left {
            after.used_after_percent = Cell::unknown(why.clone());
        }
        return;
    }
    loss.rebuild_bytes = Cell::known(total);
    for after in &mut loss.left {
        let row = rows.brokers.iter().find(|row| row.id == after.broker);
        let disk = row.and_then(|row| row.total_bytes.value).filter(|total| *total > 0);
        let gain = gains.get(&after.broker).copied().unwrap_or_default();
        after.used_after_percent = match (after.used_now_percent.value, disk) {
            (Some(now), Some(disk)) => Cell::known(now + gain as f64 * 100.0 / disk as f64),
            _ => after.used_now_percent.clone(),
        };
    }
}

/// Takes the one with the least that holds no replica of a partition; those before it go to `held`.
fn next(
    queue: &mut BinaryHeap<Reverse<(u64, BrokerId)>>,
    held: &mut Vec<Reverse<(u64, BrokerId)>>,
    replicas: &[BrokerId],
) -> Option<Reverse<(u64, BrokerId)>> {
    loop {
        let first = queue.pop()?;
        let Reverse((_, id)) = first;
        if !replicas.contains(&id) {
            return Some(first);
        }
        held.push(first);
    }
}
