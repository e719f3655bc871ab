//! Tells the simulated cloud what the embedded brokers really did: bytes that their volumes took, and what follows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use azimuth_broker::env::disk::Disk;

use super::cloud::{Fleet, Handle, Io, Machine};
use crate::model::BrokerId;

/// CloudWatch's periods are minutes; this is fine enough for them.
const EVERY: Duration = Duration::from_secs(2);
/// A page of the page cache: what one write to the volume carries.
const WRITE_BYTES: u64 = 64 << 10;

/// Measures until dropped.
pub(super) async fn run(fleet: Fleet, disk: Disk, cloud: Handle, dir: impl Fn(BrokerId) -> PathBuf) {
    let mut last: BTreeMap<BrokerId, u64> = BTreeMap::new();
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        for (machine, broker) in fleet.machines.iter().zip(1..) {
            let Ok(space) = disk.space(&dir(broker)) else { continue };
            let used = space.total_bytes.saturating_sub(space.usable_bytes);
            // Retention may have deleted more than was written; then nothing is known of what was written.
            let written = last
                .insert(broker, used)
                .map_or(0, |before| used.saturating_sub(before));
            tell(&cloud, machine, written);
        }
    }
}

fn tell(cloud: &Handle, machine: &Machine, written: u64) {
    for disk in machine.disks.iter().filter(|disk| disk.device != machine.root_device) {
        let write_ops = written.div_ceil(WRITE_BYTES);
        cloud.add_io(
            &disk.id,
            Io {
                write_bytes: written,
                write_ops,
                ..Io::default()
            },
        );
    }
    // What a broker writes came in over the network; about as much goes out to followers and readers, and a half more.
    cloud.add_network(&machine.id, written + written / 10, written + written * 6 / 10);
    let rate = written as f64 / EVERY.as_secs_f64();
    cloud.add_cpu(&machine.id, (8.0 + rate / 50_000.0).min(95.0));
}
