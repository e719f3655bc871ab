//! The machines of the simulated cloud: zones, instances, volumes, and what their types sustain.

use std::collections::BTreeMap;

use crate::model::BrokerId;

/// Everything the simulated EC2 knows at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    pub region: String,
    pub zones: Vec<Place>,
    pub machines: Vec<Machine>,
    /// Volumes that are attached to nothing.
    pub loose: Vec<Loose>,
    /// Snapshots that were asked for.
    pub snapshots: Vec<Backup>,
}

/// A volume in a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Loose {
    /// Name of its zone.
    pub zone: String,
    pub disk: Disk,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    pub id: String,
    pub volume: String,
    pub size_gib: i64,
    pub encrypted: bool,
    /// Seconds since the epoch, by the cloud's own clock.
    pub started_at: i64,
    pub tags: BTreeMap<String, String>,
}

/// A zone: its name in this account, and its id, which is the same in every account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    pub id: String,
}

/// One instance with its volumes.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub id: String,
    /// Name of its zone.
    pub zone: String,
    pub address: String,
    /// One of the types that [`limits`] knows.
    pub instance_type: String,
    pub state: String,
    pub detailed_monitoring: bool,
    /// Seconds since the epoch.
    pub launched_at: i64,
    pub tags: BTreeMap<String, String>,
    pub root_device: String,
    pub disks: Vec<Disk>,
    pub events: Vec<super::EventScript>,
    /// What it did in the hour before the start; nothing without it.
    pub usual: Option<Usual>,
}

/// One EBS volume, attached to its machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    pub id: String,
    pub device: String,
    pub size_gib: i64,
    pub volume_type: String,
    pub iops: i64,
    pub throughput_mib_per_second: i64,
    pub tags: BTreeMap<String, String>,
    pub encrypted: bool,
    /// When its last completed snapshot was begun, in seconds since the epoch.
    pub snapshot_at: Option<i64>,
}

/// Steady work, per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usual {
    pub cpu_percent: f64,
    pub in_bytes: f64,
    pub out_bytes: f64,
    pub read_bytes: f64,
    pub write_bytes: f64,
}

/// A type's limits as DescribeInstanceTypes tells them: MB/s of 10⁶ bytes, Gbit/s of 10⁹ bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub(super) vcpus: i64,
    pub(super) memory_mib: i64,
    pub(super) ebs_baseline: f64,
    pub(super) ebs_maximum: f64,
    pub(super) ebs_baseline_iops: i64,
    pub(super) ebs_maximum_iops: i64,
    pub(super) network_baseline: f64,
    pub(super) network_peak: f64,
}

/// AWS's own numbers for the types the demo runs on.
pub(super) fn limits(instance_type: &str) -> Option<Limits> {
    let (vcpus, memory_gib, ebs_baseline, iops, network_baseline, network_peak) = match instance_type {
        "m7g.large" => (2, 8, 78.75, 3_600, 0.937, 12.5),
        "m7g.xlarge" => (4, 16, 156.25, 6_000, 1.876, 12.5),
        "r7g.large" => (2, 16, 78.75, 3_600, 0.937, 12.5),
        "r7g.xlarge" => (4, 32, 156.25, 6_000, 1.876, 12.5),
        "r7g.2xlarge" => (8, 64, 312.5, 12_000, 3.75, 15.0),
        "m7g.4xlarge" => (16, 64, 625.0, 20_000, 7.5, 15.0),
        "r7g.4xlarge" => (16, 128, 625.0, 20_000, 7.5, 15.0),
        _ => return None,
    };
    Some(Limits {
        vcpus,
        memory_mib: memory_gib * 1024,
        ebs_baseline,
        ebs_maximum: 1250.0,
        ebs_baseline_iops: iops,
        ebs_maximum_iops: 40_000,
        network_baseline,
        network_peak,
    })
}

impl Fleet {
    /// `count` brokers from id 1, in turn over three zones, each on a machine of its own at 127.0.ZONE.(10 + id) with a
    /// root volume and one tagged data volume of `size_gib`.
    pub fn of_brokers(count: BrokerId, size_gib: i64, log_dir: impl Fn(BrokerId) -> String, now: i64) -> Self {
        let zones = [
            ("us-east-1a", "use1-az1"),
            ("us-east-1b", "use1-az2"),
            ("us-east-1c", "use1-az4"),
        ];
        let zones: Vec<Place> = zones
            .into_iter()
            .map(|(name, id)| Place {
                name: name.to_owned(),
                id: id.to_owned(),
            })
            .collect();
        let machines = (1..=count)
            .map(|broker| {
                let zone = Self::zone_index(broker);
                Machine::of_broker(broker, &zones[zone], zone, size_gib, log_dir(broker), now)
            })
            .collect();
        Self {
            region: "us-east-1".to_owned(),
            zones,
            machines,
            loose: Vec::new(),
            snapshots: Vec::new(),
        }
    }

    /// 0, 1 or 2: the zone of a broker of [`Fleet::of_brokers`].
    pub fn zone_index(broker: BrokerId) -> usize {
        usize::try_from((broker - 1).rem_euclid(3)).unwrap_or_default()
    }

    pub fn machine(&self, id: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == id)
    }

    /// A volume and the machine it is attached to.
    pub fn disk(&self, id: &str) -> Option<(&Machine, &Disk)> {
        self.machines
            .iter()
            .find_map(|machine| Some((machine, machine.disks.iter().find(|disk| disk.id == id)?)))
    }

    /// A volume, wherever it is.
    pub(super) fn disk_mut(&mut self, id: &str) -> Option<&mut Disk> {
        let attached = self.machines.iter_mut().flat_map(|machine| &mut machine.disks);
        let loose = self.loose.iter_mut().map(|one| &mut one.disk);
        attached.chain(loose).find(|disk| disk.id == id)
    }

    /// By name or id.
    pub fn zone(&self, name: &str) -> Option<&Place> {
        self.zones.iter().find(|zone| zone.name == name || zone.id == name)
    }
}

impl Machine {
    /// One that runs and is nobody's, in a zone, with nothing but its root volume.
    pub fn spare(zone: &Place, index: usize, now: i64) -> Self {
        let broker = 90 + index as BrokerId;
        let mut machine = Self::of_broker(broker, zone, index, 1, String::new(), now);
        machine.disks.truncate(1);
        machine.tags.remove("kafka:broker-id");
        machine.tags.insert("Name".to_owned(), "spare".to_owned());
        machine.instance_type = "m7g.large".to_owned();
        machine
    }

    fn of_broker(broker: BrokerId, zone: &Place, index: usize, size_gib: i64, log_dir: String, now: i64) -> Self {
        let tag = |key: &str, value: String| (key.to_owned(), value);
        let id = format!("i-0{:016x}", 0x00c0_ffee_0000 + i64::from(broker));
        let disk = |number: i64, device: &str, size_gib: i64, tags: Vec<(String, String)>| Disk {
            id: format!("vol-0{:016x}", 0x00d1_5c00_0000 + i64::from(broker) * 16 + number),
            device: device.to_owned(),
            size_gib,
            volume_type: "gp3".to_owned(),
            iops: 3000,
            throughput_mib_per_second: 125,
            // The log directories' volumes are backed up, the root can be made anew.
            snapshot_at: (!tags.is_empty()).then_some(now - 5 * 3600),
            tags: tags.into_iter().collect(),
            encrypted: true,
        };
        // One broker on a larger type, so that limits differ between brokers as they do in life.
        let instance_type = if broker % 4 == 0 { "r7g.xlarge" } else { "m7g.large" };
        Self {
            id,
            zone: zone.name.clone(),
            address: format!("127.0.{}.{}", index + 1, 10 + broker),
            instance_type: instance_type.to_owned(),
            state: "running".to_owned(),
            detailed_monitoring: true,
            launched_at: now - 12 * 86_400,
            tags: BTreeMap::from([
                tag("Name", format!("kafka-{broker}")),
                tag("kafka:cluster", "demo".to_owned()),
                tag("kafka:broker-id", broker.to_string()),
                tag("azimuth:simulated", "true".to_owned()),
            ]),
            root_device: "/dev/xvda".to_owned(),
            disks: vec![
                disk(0, "/dev/xvda", 8, Vec::new()),
                disk(1, "/dev/sdf", size_gib, vec![tag("kafka:log-dir", log_dir)]),
            ],
            events: Vec::new(),
            usual: None,
        }
    }
}
