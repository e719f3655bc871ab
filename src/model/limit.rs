//! Which limit a broker or a volume meets first: the volume's throughput or IOPS, the instance's EBS baseline in either,
//! or its network baseline; now, and with a zone lost.
//!
//! Units trap: volumes are provisioned in MiB/s (2²⁰ bytes), DescribeInstanceTypes tells MB/s (10⁶ bytes) and Gbit/s
//! (10⁹ bits). Everything here is MB/s. Baselines count, never the "up to" numbers: those are credit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cloud::{InstanceType, Volume};

/// MB of 10⁶ bytes in one MiB.
pub const MIB_IN_MB: f64 = 1.048_576;

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
    /// The volume's throughput.
    Volume,
    VolumeIops,
    /// The throughput of all volumes of an instance together.
    InstanceEbs,
    InstanceIops,
    /// The busier direction.
    Network,
}

impl LimitKind {
    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Volume => "volume MB/s",
            Self::VolumeIops => "volume IOPS",
            Self::InstanceEbs => "instance EBS MB/s",
            Self::InstanceIops => "instance EBS IOPS",
            Self::Network => "network",
        }
    }

    /// Of [`Load::used`] and [`Load::limit`].
    pub fn unit(self) -> &'static str {
        match self {
            Self::Volume | Self::InstanceEbs | Self::Network => "MB/s",
            Self::VolumeIops | Self::InstanceIops => "IOPS",
        }
    }
}

/// Work against one limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    pub kind: LimitKind,
    /// What sets the limit, for example `gp3 250 MiB/s` or `m7g.xlarge EBS baseline`.
    pub name: String,
    /// MB/s (10⁶ bytes) or operations per second, as the kind says.
    pub used: f64,
    /// In the same unit; more than 0.
    pub limit: f64,
}

impl Load {
    /// Of the limit, in percent; more than 100 while credit lasts.
    pub fn percent(&self) -> f64 {
        self.used * 100.0 / self.limit
    }
}

/// The load that meets its limit first when all grow alike.
pub fn binding(loads: &[Load]) -> Option<&Load> {
    loads.iter().max_by(|a, b| a.percent().total_cmp(&b.percent()))
}

/// How many times its present work a broker of `zone` has when the worst other zone is lost, and which that is. What the
/// lost zone's brokers lead is taken over in proportion to what each other broker leads; everything a broker does is
/// taken to grow with its leaders, which is on the safe side for what followers write. Three even zones make 1.5.
///
/// `None` where there is no other zone, or nothing is led outside the lost one.
pub fn zone_down<'a>(leaders: &BTreeMap<&'a str, u32>, zone: &str) -> Option<(f64, &'a str)> {
    let all: u32 = leaders.values().sum();
    let without = |(name, led): (&&'a str, &u32)| {
        let left = all - led;
        (left > 0).then(|| (f64::from(all) / f64::from(left), *name))
    };
    let others = leaders.iter().filter(|(name, _)| **name != zone);
    let mut worst = None;
    for other in others {
        let (factor, name) = without(other)?;
        if worst.is_none_or(|(most, _)| factor > most) {
            worst = Some((factor, name));
        }
    }
    worst
}

/// What to know of a volume type before it is trusted with a log; `None` for gp3, io1 and io2.
pub fn type_note(volume_type: &str) -> Option<&'static str> {
    match volume_type {
        "gp2" => Some("gp2: throughput and IOPS hang on its size and on credit; gp3 has both for less"),
        "st1" => Some("st1: 40 MiB/s a TiB once its credit is gone, and small reads cost as much as large ones"),
        "sc1" => Some("sc1: 12 MiB/s a TiB once its credit is gone; too slow for a log that is read"),
        "standard" => Some("standard: previous generation, EC2 tells no limit of it; move to gp3"),
        _ => None,
    }
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

/// The network baseline in one direction.
pub(super) fn network_limit(limits: &InstanceType) -> Option<Limit> {
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

    fn load(kind: LimitKind, used: f64, limit: f64) -> Load {
        Load {
            kind,
            name: kind.to_string(),
            used,
            limit,
        }
    }

    #[test]
    fn the_2018_benchmark_was_bound_by_the_instance() {
        // 12 r3.xlarge, 346.9 MB/s in all, RF 2: 57.8 MB/s a broker of 62.5, not of a large st1's 500 MiB/s.
        let written = 346.9 * 2.0 / 12.0;
        let loads = [
            load(LimitKind::Volume, written, 500.0 * MIB_IN_MB),
            load(LimitKind::InstanceEbs, written, 62.5),
            load(LimitKind::Network, written, 700.0 / 8.0),
        ];
        let binds = binding(&loads).unwrap();
        assert_eq!(binds.kind, LimitKind::InstanceEbs);
        assert!((binds.percent() - 92.5).abs() < 0.1, "{}", binds.percent());
    }

    #[test]
    fn one_of_three_even_zones_lost_is_half_as_much_again() {
        let even = BTreeMap::from([("az1", 40), ("az2", 40), ("az3", 40)]);
        assert_eq!(zone_down(&even, "az1"), Some((1.5, "az2")));
        // Two thirds in use are all that may be.
        let headroom = load(LimitKind::Network, 2.0, 3.0).percent() * zone_down(&even, "az1").unwrap().0;
        assert!((headroom - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_worst_other_zone_counts_and_not_its_own() {
        let uneven = BTreeMap::from([("az1", 60), ("az2", 20), ("az3", 40)]);
        assert_eq!(zone_down(&uneven, "az2"), Some((2.0, "az1")));
        assert_eq!(zone_down(&uneven, "az1"), Some((1.5, "az3")));
    }

    #[test]
    fn without_another_zone_or_leaders_elsewhere_nothing_can_be_said() {
        assert_eq!(zone_down(&BTreeMap::from([("az1", 5)]), "az1"), None);
        assert_eq!(zone_down(&BTreeMap::from([("az1", 0), ("az2", 9)]), "az1"), None);
        assert_eq!(zone_down(&BTreeMap::from([("az1", 0), ("az2", 0)]), "az1"), None);
    }

    #[test]
    fn older_types_grow_with_their_size() {
        assert_eq!(throughput_mib_per_second(&volume("gp2", 100, None)), Some(128.0));
        assert_eq!(throughput_mib_per_second(&volume("gp2", 2000, None)), Some(250.0));
        assert_eq!(throughput_mib_per_second(&volume("st1", 2048, None)), Some(80.0));
        assert_eq!(iops(&volume("gp2", 1000, None)), Some(3000.0));
    }
}
