//! Burst credit as EBS keeps it: a bucket, full at first, that the baseline fills and use empties.
//!
//! Sources: the EBS user guide on gp2 (5.4 million I/O credits, 3 IOPS a GiB), st1 and sc1 (1 TiB of credit and 40 or
//! 12 MiB/s a TiB), and the EC2 user guide on EBS-optimized instances (the maximum for 30 minutes of a day).

use super::fleet::{Disk, Limits, Machine, limits};
use super::meter::{KEPT, Meter, VolumeMinute};

const GP2_CREDITS: f64 = 5.4e6;

const MIB: f64 = 1_048_576.0;

const TIB: f64 = MIB * MIB;

/// Seconds that a bucket of an instance lasts at the maximum.
const BURST_SECONDS: f64 = 1800.0;

/// Bytes or operations of one minute.
type Work = fn(VolumeMinute) -> f64;

const BYTES: Work = |seen| seen.read_bytes + seen.write_bytes;

const OPERATIONS: Work = |seen| seen.read_ops + seen.write_ops;

/// BurstBalance at the end of a minute; `None` for volumes that have no bucket.
pub(super) fn of_volume(meter: &Meter, disk: &Disk, minute: i64) -> Option<f64> {
    let tib = disk.size_gib as f64 / 1024.0;
    let (capacity, per_second, work) = match disk.volume_type.as_str() {
        "gp2" => (GP2_CREDITS, (disk.size_gib as f64 * 3.0).max(100.0), OPERATIONS),
        "st1" => (TIB * tib, 40.0 * MIB * tib, BYTES),
        "sc1" => (TIB * tib, 12.0 * MIB * tib, BYTES),
        _ => return None,
    };
    let used = |at| meter.volume(&disk.id, at).map_or(0.0, work);
    Some(percent(capacity, per_second, used, minute))
}

/// EBSByteBalance% at the end of a minute; `None` for types whose baseline is their maximum.
pub(super) fn of_bytes(meter: &Meter, machine: &Machine, minute: i64) -> Option<f64> {
    let scale = |limits: Limits| (limits.ebs_baseline * 1e6, limits.ebs_maximum * 1e6);
    of_machine(meter, machine, minute, scale, BYTES)
}

/// EBSIOBalance% at the end of a minute; `None` for types whose baseline is their maximum.
pub(super) fn of_operations(meter: &Meter, machine: &Machine, minute: i64) -> Option<f64> {
    let scale = |limits: Limits| (limits.ebs_baseline_iops as f64, limits.ebs_maximum_iops as f64);
    of_machine(meter, machine, minute, scale, OPERATIONS)
}

fn of_machine(
    meter: &Meter,
    machine: &Machine,
    minute: i64,
    scale: fn(Limits) -> (f64, f64),
    work: Work,
) -> Option<f64> {
    let (baseline, maximum) = scale(limits(&machine.instance_type)?);
    let capacity = (maximum - baseline) * BURST_SECONDS;
    let used = |at| {
        machine
            .disks
            .iter()
            .filter_map(|disk| meter.volume(&disk.id, at))
            .map(work)
            .sum()
    };
    (capacity > 0.0).then(|| percent(capacity, baseline, used, minute))
}

/// What is left, in percent, of a bucket that was full when the meter's memory begins.
fn percent(capacity: f64, per_second: f64, used: impl Fn(i64) -> f64, minute: i64) -> f64 {
    let spend = |left: f64, at: i64| (left + per_second * 60.0 - used(at)).clamp(0.0, capacity);
    (minute - KEPT..=minute).fold(capacity, spend) * 100.0 / capacity
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::cloud::Io;

    fn disk(volume_type: &str, size_gib: i64) -> Disk {
        Disk {
            id: "vol-1".to_owned(),
            device: "/dev/sdf".to_owned(),
            size_gib,
            volume_type: volume_type.to_owned(),
            iops: 3000,
            throughput_mib_per_second: 125,
            tags: std::collections::BTreeMap::default(),
            encrypted: true,
            snapshot_at: None,
        }
    }

    fn busy(minutes: std::ops::Range<i64>, write_bytes: u64, write_ops: u64) -> Meter {
        let mut meter = Meter::default();
        for minute in minutes {
            let io = Io {
                write_bytes,
                write_ops,
                ..Io::default()
            };
            meter.add_io("vol-1", minute, io);
        }
        meter
    }

    #[test]
    fn a_small_gp2_volume_lives_on_credit_for_half_an_hour() {
        // 3,000 IOPS on 100 GiB: 2,700 a second more than it earns, so 5.4 million last 2,000 seconds.
        let (disk, meter) = (disk("gp2", 100), busy(1000..1040, 0, 180_000));
        let left = |minute| of_volume(&meter, &disk, minute).unwrap();
        assert_eq!(left(999), 100.0);
        assert!((left(1009) - 70.0).abs() < 0.1, "ten minutes took 30 %: {}", left(1009));
        assert_eq!(left(1035), 0.0);
        assert!(left(1100) > 0.0, "and it comes back");
    }

    #[test]
    fn st1_counts_bytes_and_gp3_has_no_bucket() {
        // 1 TiB at 250 MiB/s: 210 MiB/s more than it earns, so a TiB lasts 83 minutes.
        let meter = busy(1000..1100, (250 * 60) << 20, 1);
        assert!(of_volume(&meter, &disk("st1", 1024), 1041).unwrap() < 50.0);
        assert_eq!(of_volume(&meter, &disk("gp3", 1024), 1041), None);
    }
}
