//! Work per minute, for three hours: what CloudWatch's series are made of.

use std::collections::BTreeMap;

use super::fleet::Fleet;

/// Minutes kept.
pub(super) const KEPT: i64 = 180;

/// Minutes filled with the usual work before the start.
const PAST: i64 = 60;

/// Work done on a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Io {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub read_ops: u64,
    pub write_ops: u64,
}

/// One minute of one volume.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct VolumeMinute {
    pub(super) read_bytes: f64,
    pub(super) write_bytes: f64,
    pub(super) read_ops: f64,
    pub(super) write_ops: f64,
}

/// One minute of one instance.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct InstanceMinute {
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    pub(super) cpu_sum: f64,
    pub(super) cpu_samples: f64,
}

/// Minutes since the epoch to what happened in them.
#[derive(Debug, Default)]
pub(super) struct Meter {
    volumes: BTreeMap<String, BTreeMap<i64, VolumeMinute>>,
    instances: BTreeMap<String, BTreeMap<i64, InstanceMinute>>,
    /// Stalls that are over: volume, from, until, in seconds.
    stalls: Vec<(String, i64, i64)>,
}

impl Meter {
    pub(super) fn add_io(&mut self, volume: &str, minute: i64, io: Io) {
        let at = slot(&mut self.volumes, volume, minute);
        at.read_bytes += io.read_bytes as f64;
        at.write_bytes += io.write_bytes as f64;
        at.read_ops += io.read_ops as f64;
        at.write_ops += io.write_ops as f64;
    }

    pub(super) fn add_network(&mut self, instance: &str, minute: i64, bytes_in: f64, bytes_out: f64) {
        let at = slot(&mut self.instances, instance, minute);
        at.bytes_in += bytes_in;
        at.bytes_out += bytes_out;
    }

    pub(super) fn add_cpu(&mut self, instance: &str, minute: i64, percent: f64) {
        let at = slot(&mut self.instances, instance, minute);
        at.cpu_sum += percent;
        at.cpu_samples += 1.0;
    }

    pub(super) fn stalled(&mut self, volume: &str, from: i64, until: i64) {
        self.stalls.retain(|(_, _, old)| *old > until - KEPT * 60);
        self.stalls.push((volume.to_owned(), from, until));
    }

    /// Whether a volume was stalled for the whole of a minute.
    pub(super) fn was_stalled(&self, volume: &str, minute: i64) -> bool {
        let (from, until) = (minute * 60, minute * 60 + 60);
        self.stalls
            .iter()
            .any(|(id, since, end)| id == volume && *since <= from && until <= *end)
    }

    pub(super) fn volume(&self, id: &str, minute: i64) -> Option<VolumeMinute> {
        self.volumes.get(id)?.get(&minute).copied()
    }

    pub(super) fn instance(&self, id: &str, minute: i64) -> Option<InstanceMinute> {
        self.instances.get(id)?.get(&minute).copied()
    }

    /// An hour of usual work before the start, a little uneven, for the machines that have it.
    pub(super) fn fill_past(&mut self, fleet: &Fleet, now: i64) {
        let this = now.div_euclid(60);
        for machine in &fleet.machines {
            let Some(usual) = machine.usual else { continue };
            for minute in this - PAST..this {
                let wave = 1.0 + 0.05 * (minute as f64 / 4.0).sin();
                let seconds = 60.0 * wave;
                self.add_network(&machine.id, minute, usual.in_bytes * seconds, usual.out_bytes * seconds);
                self.add_cpu(&machine.id, minute, usual.cpu_percent * wave);
                let data = machine.disks.iter().filter(|disk| disk.device != machine.root_device);
                for disk in data {
                    let at = slot(&mut self.volumes, &disk.id, minute);
                    at.read_bytes += usual.read_bytes * seconds;
                    at.write_bytes += usual.write_bytes * seconds;
                    // Kafka writes in large pieces: 128 KiB an operation.
                    at.read_ops += usual.read_bytes * seconds / 131_072.0;
                    at.write_ops += usual.write_bytes * seconds / 131_072.0;
                }
            }
        }
    }
}

fn slot<'a, T: Default>(series: &'a mut BTreeMap<String, BTreeMap<i64, T>>, id: &str, minute: i64) -> &'a mut T {
    let minutes = series.entry(id.to_owned()).or_default();
    while minutes
        .first_key_value()
        .is_some_and(|(oldest, _)| *oldest < minute - KEPT)
    {
        minutes.pop_first();
    }
    minutes.entry(minute).or_default()
}
