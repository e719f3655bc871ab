//! Which limit a broker or a volume meets first: the volume's throughput, the instance's EBS baseline or its network
//! baseline.
//!
//! Units trap: volumes are provisioned in MiB/s (2²⁰ bytes), DescribeInstanceTypes tells MB/s (10⁶ bytes) and Gbit/s
//! (10⁹ bits). Everything here is MB/s. Baselines count, never the "up to" numbers: those are credit.

use serde::{Deserialize, Serialize};

use super::cloud::{InstanceType, Volume};

const MIB_IN_MB: f64 = 1.048_576;

/// One limit and what sets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    pub kind: LimitKind,
    /// MB/s, 10⁶ bytes. For the network, in each direction.
    pub mb_per_second: f64,
    /// What sets it, for example `gp3 250 MiB/s` or `m7g.xlarge EBS baseline`.
    pub name: String,
}

/// The parts of a broker's machine that can be the narrow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LimitKind {
    Volume,
    InstanceEbs,
    Network,
}

/// Every limit that is known, tightest first; the first one binds. `volumes` are those of one log directory (a RAID
/// adds up) or of the whole broker. A volume whose limit is unknown makes the volume limit unknown.
pub fn limits(volumes: &[&Volume], instance_type: Option<&InstanceType>) -> Vec<Limit> {
    let mut known: Vec<Limit> = [
        volumes_limit(volumes),
        instance_type.and_then(ebs_limit),
        instance_type.and_then(network_limit),
    ]
    .into_iter()
    .flatten()
    .collect();
    known.sort_by(|one, other| one.mb_per_second.total_cmp(&other.mb_per_second));
    known
}

/// The limit that binds writes to disk: the tighter of volume and instance EBS. `None` unless both are known, because
/// the unknown one may be the tighter.
pub fn disk_limit(volumes: &[&Volume], instance_type: Option<&InstanceType>) -> Option<Limit> {
    let (volume, ebs) = (volumes_limit(volumes)?, ebs_limit(instance_type?)?);
    Some(if ebs.mb_per_second < volume.mb_per_second {
        ebs
    } else {
        volume
    })
}

fn volumes_limit(volumes: &[&Volume]) -> Option<Limit> {
    let [first, rest @ ..] = volumes else { return None };
    let mib: Vec<f64> = volumes
        .iter()
        .map(|volume| throughput_mib_per_second(volume))
        .collect::<Option<_>>()?;
    let total: f64 = mib.iter().sum();
    let name = match rest.len() {
        0 => format!("{} {total:.0} MiB/s", first.volume_type),
        more => format!("{} volumes {total:.0} MiB/s", more + 1),
    };
    Some(Limit {
        kind: LimitKind::Volume,
        mb_per_second: total * MIB_IN_MB,
        name,
    })
}

fn ebs_limit(limits: &InstanceType) -> Option<Limit> {
    Some(Limit {
        kind: LimitKind::InstanceEbs,
        mb_per_second: limits.ebs_baseline_mb_per_second?,
        name: format!("{} EBS baseline", limits.name),
    })
}

fn network_limit(limits: &InstanceType) -> Option<Limit> {
    Some(Limit {
        kind: LimitKind::Network,
        mb_per_second: limits.network_baseline_gbit_per_second? * 1000.0 / 8.0,
        name: format!("{} network baseline", limits.name),
    })
}

/// What the volume sustains, without burst credit, in MiB/s; `None` for a type that is not known here.
///
/// Source: EBS user guide, "Amazon EBS volume types" (gp3 and gp2, io1 and io2, st1, sc1), with one decimal rule of
/// thumb each. io1 is taken at 256 KiB an operation up to its 500 MiB/s, io2 up to 4,000 MiB/s.
pub fn throughput_mib_per_second(volume: &Volume) -> Option<f64> {
    let size_gib = volume.size_gib as f64;
    let by_iops = volume.iops.map(|iops| iops as f64 * 0.25);
    match volume.volume_type.as_str() {
        "gp3" => Some(volume.throughput_mib_per_second.unwrap_or(125) as f64),
        // 3 IOPS a GiB at 256 KiB each, never under 128 MiB/s.
        "gp2" => Some((size_gib * 0.75).clamp(128.0, 250.0)),
        "st1" => Some((size_gib / 1024.0 * 40.0).min(500.0)),
        "sc1" => Some((size_gib / 1024.0 * 12.0).min(192.0)),
        "io1" => by_iops.map(|mib| mib.min(500.0)),
        "io2" => by_iops.map(|mib| mib.min(4000.0)),
        _ => None,
    }
}

/// What the volume sustains, without burst credit, in operations per second.
pub fn iops(volume: &Volume) -> Option<f64> {
    match volume.volume_type.as_str() {
        "gp3" => Some(volume.iops.unwrap_or(3000) as f64),
        "gp2" => Some((volume.size_gib as f64 * 3.0).clamp(100.0, 16_000.0)),
        "io1" | "io2" => volume.iops.map(|iops| iops as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(volume_type: &str, size_gib: i64, throughput: Option<i64>) -> Volume {
        Volume {
            volume_type: volume_type.to_owned(),
            size_gib,
            throughput_mib_per_second: throughput,
            ..Volume::default()
        }
    }

    fn xlarge() -> InstanceType {
        InstanceType {
            name: "m7g.xlarge".to_owned(),
            ebs_baseline_mb_per_second: Some(156.25),
            ebs_maximum_mb_per_second: Some(1250.0),
            network_baseline_gbit_per_second: Some(1.876),
            ..InstanceType::default()
        }
    }

    #[test]
    fn default_gp3_binds_before_the_instance() {
        let known = limits(&[&volume("gp3", 1000, None)], Some(&xlarge()));
        let kinds: Vec<_> = known.iter().map(|limit| limit.kind).collect();
        assert_eq!(kinds, [LimitKind::Volume, LimitKind::InstanceEbs, LimitKind::Network]);
        assert!((known[0].mb_per_second - 131.072).abs() < 1e-9, "MiB become MB");
        assert!((known[2].mb_per_second - 234.5).abs() < 1e-9, "bits become bytes");
        assert_eq!(known[0].name, "gp3 125 MiB/s");
    }

    #[test]
    fn the_instance_binds_when_the_volume_is_raised() {
        let limit = disk_limit(&[&volume("gp3", 1000, Some(250))], Some(&xlarge())).unwrap();
        assert_eq!(
            (limit.kind, limit.name.as_str()),
            (LimitKind::InstanceEbs, "m7g.xlarge EBS baseline")
        );
    }

    #[test]
    fn mib_and_mb_are_not_mixed_up_at_the_edge() {
        // 150 MiB/s is 157.3 MB/s: more than 156.25 MB/s, though 150 < 156.25.
        let limit = disk_limit(&[&volume("gp3", 1000, Some(150))], Some(&xlarge())).unwrap();
        assert_eq!(limit.kind, LimitKind::InstanceEbs);
    }

    #[test]
    fn what_is_unknown_decides_nothing() {
        assert_eq!(disk_limit(&[&volume("gp3", 1000, None)], None), None);
        assert_eq!(disk_limit(&[&volume("standard", 1000, None)], Some(&xlarge())), None);
        assert_eq!(disk_limit(&[], Some(&xlarge())), None);
    }

    #[test]
    fn a_raid_adds_up() {
        let (one, other) = (volume("gp3", 1000, None), volume("gp3", 1000, None));
        let known = limits(&[&one, &other], None);
        assert_eq!(known[0].name, "2 volumes 250 MiB/s");
    }

    #[test]
    fn older_types_grow_with_their_size() {
        assert_eq!(throughput_mib_per_second(&volume("gp2", 100, None)), Some(128.0));
        assert_eq!(throughput_mib_per_second(&volume("gp2", 2000, None)), Some(250.0));
        assert_eq!(throughput_mib_per_second(&volume("st1", 2048, None)), Some(80.0));
        assert_eq!(iops(&volume("gp2", 1000, None)), Some(3000.0));
    }
}
