//! What AWS says: instances, volumes, zones, limits, metrics. Amounts keep AWS's meaning; units are in the names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backing::Backing;
use super::history::Window;
use super::identity::Identity;
use super::{BrokerId, Moment, Observed};

/// The AWS plane of a snapshot. One section per zone, because AWS fails per zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    pub region: Option<String>,
    /// True when the facts come from the simulated cloud of `azimuth demo`.
    pub simulated: bool,
    /// How much faster than AWS's the simulated cloud's periods and delays are; 0 and 1 for AWS's own.
    #[serde(default)]
    pub clock_factor: u32,
    /// Zone name to zone.
    pub zones: Observed<BTreeMap<String, Zone>>,
    /// By zone name; `""` for instances whose zone is not known yet.
    pub instances: BTreeMap<String, Observed<BTreeMap<String, Instance>>>,
    /// By zone name, then volume id.
    pub volumes: BTreeMap<String, Observed<BTreeMap<String, Volume>>>,
    /// By volume: when its last completed snapshot was begun; absent where there is none in [`SNAPSHOT_DAYS`].
    #[serde(default)]
    pub snapshots: Observed<BTreeMap<String, Moment>>,
    /// Instance type to its limits; immutable, so cached for ever.
    pub types: BTreeMap<String, InstanceType>,
    pub metrics: Observed<Metrics>,
    /// What the account has set around the instances; asked for by checks.
    #[serde(default)]
    pub account: Account,
    /// By operation, for example `DescribeVolumes`: whether the last call was answered. Names the right that is missing.
    #[serde(default)]
    pub calls: BTreeMap<String, Observed<()>>,
    /// Which instance each broker runs on, as far as it can be told.
    #[serde(default)]
    pub identities: BTreeMap<BrokerId, Identity>,
    /// By broker, then log directory: the volumes behind it.
    #[serde(default)]
    pub backings: BTreeMap<BrokerId, BTreeMap<String, Backing>>,
    pub cost: Cost,
    /// By instance that was asked about: its SSM agent; `None` where none ever registered. Asked for by plans that need it, so in no
    /// capture.
    #[serde(skip)]
    pub agents: Observed<BTreeMap<String, Option<Agent>>>,
    /// As whom plans would be carried out. Of this process, so in no capture.
    #[serde(skip)]
    pub credentials: Observed<Credentials>,
}

impl Cloud {
    /// Every instance seen, in whichever zone and however long ago.
    pub fn all_instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances
            .values()
            .filter_map(Observed::get)
            .flat_map(BTreeMap::values)
    }

    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.values().find_map(|zone| zone.get()?.get(id))
    }

    pub fn volume(&self, id: &str) -> Option<&Volume> {
        self.volumes.values().find_map(|zone| zone.get()?.get(id))
    }

    /// The volumes attached to an instance.
    pub fn volumes_of(&self, instance: &str) -> impl Iterator<Item = &Volume> {
        self.volumes
            .values()
            .filter_map(Observed::get)
            .flat_map(BTreeMap::values)
            .filter(move |volume| volume.instance.as_deref() == Some(instance))
    }

    /// The instance of a broker, when it is identified and was seen.
    pub fn instance_of(&self, broker: BrokerId) -> Option<&Instance> {
        self.instance(self.identities.get(&broker)?.instance()?)
    }
}

/// What the account has around the instances. Each part is one question whatever the cluster's size, and fails alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The security groups of the instances, by id.
    pub security_groups: Observed<BTreeMap<String, SecurityGroup>>,
    /// The subnets of the instances' VPCs, by id.
    pub subnets: Observed<BTreeMap<String, Subnet>>,
    /// CloudWatch's alarms on metrics of EC2 and EBS.
    pub alarms: Observed<Vec<Alarm>>,
    /// Whether a new volume is encrypted unasked.
    pub encryption_by_default: Observed<bool>,
}

/// What a security group lets in from everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub id: String,
    pub name: String,
    /// Ports from the first to the last that 0.0.0.0/0 or ::/0 may reach.
    pub open_to_world: Vec<(u16, u16)>,
}

/// A part of a VPC's addresses, in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: String,
    /// For example `10.0.1.0/24`.
    pub cidr: String,
    pub zone: String,
    pub zone_id: Option<String>,
}

/// A CloudWatch alarm on one metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    pub name: String,
    pub metric: String,
    /// `InstanceId` to `i-…`, and the like.
    pub dimensions: BTreeMap<String, String>,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    /// False where nobody is told.
    pub actions_enabled: bool,
}

/// How many days back a volume's snapshot is looked for.
pub const SNAPSHOT_DAYS: i64 = 31;

/// An availability zone. The id is the same in every account, the name is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    pub name: String,
    pub id: String,
    pub state: String,
}

/// An EC2 instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub instance_type: String,
    pub zone: String,
    pub zone_id: Option<String>,
    /// `running`, `stopped`, ...
    pub state: String,
    pub private_addresses: Vec<String>,
    pub private_dns: Option<String>,
    pub public_address: Option<String>,
    pub launched_at: Option<Moment>,
    pub tags: BTreeMap<String, String>,
    pub root_device: Option<String>,
    /// CloudWatch has a point a minute instead of one in five.
    #[serde(default)]
    pub detailed_monitoring: bool,
    /// `required` where only IMDSv2 is answered, else `optional`; `None` where EC2 does not say.
    #[serde(default)]
    pub metadata_tokens: Option<String>,
    /// Ids of its security groups, of all interfaces.
    #[serde(default)]
    pub security_groups: Vec<String>,
    #[serde(default)]
    pub vpc: Option<String>,
    /// `ok`, `impaired`, `initializing`, ...; `None` where EC2 does not say.
    pub system_check: Option<String>,
    pub instance_check: Option<String>,
    pub ebs_check: Option<String>,
    /// Scheduled events that are not completed.
    pub events: Vec<Event>,
}

/// A scheduled event of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub code: String,
    pub description: String,
    pub not_before: Option<Moment>,
    /// The end of the window in which AWS starts the event.
    #[serde(default)]
    pub deadline: Option<Moment>,
}

/// The Systems Manager agent of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// `Online`, `ConnectionLost`, `Inactive`.
    pub ping: String,
    pub last_ping_at: Option<Moment>,
    pub version: Option<String>,
}

/// How long AWS credentials last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// `None`: they have no end, or it is not told.
    pub ends_at: Option<Moment>,
    pub renewed: Renewal,
    /// They have a session token, so they end at some time.
    pub temporary: bool,
}

/// Whether credentials are followed by others when they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Their provider gets new ones: an instance profile, a role, SSO while its session lasts.
    Itself,
    /// They were exported into the environment of this process.
    Never,
}

/// An EBS volume, attached to at most one instance here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    pub id: String,
    pub volume_type: String,
    pub size_gib: i64,
    pub iops: Option<i64>,
    /// Provisioned throughput; gp3 without a value has 125.
    pub throughput_mib_per_second: Option<i64>,
    pub zone: String,
    pub state: String,
    pub encrypted: bool,
    pub instance: Option<String>,
    pub device: Option<String>,
    pub delete_on_termination: Option<bool>,
    /// `attaching`, `attached`, `detaching`, `busy`.
    #[serde(default)]
    pub attachment: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub modification: Option<Modification>,
}

/// The last modification of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Modification {
    /// `modifying`, `optimizing`, `completed`, `failed`.
    pub state: String,
    pub progress_percent: Option<i64>,
    pub started_at: Option<Moment>,
    pub ended_at: Option<Moment>,
    /// What changes, for example `gp3 125→250 MiB/s`.
    pub change: String,
}

/// What an instance type can sustain. Baselines, never the "up to" numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceType {
    pub name: String,
    pub vcpus: Option<i64>,
    pub memory_mib: Option<i64>,
    /// MB/s, 10⁶ bytes.
    pub ebs_baseline_mb_per_second: Option<f64>,
    pub ebs_maximum_mb_per_second: Option<f64>,
    pub ebs_baseline_iops: Option<i64>,
    /// Gbit/s, 10⁹ bits.
    pub network_baseline_gbit_per_second: Option<f64>,
    pub instance_storage_gb: Option<i64>,
    /// T types run on credits.
    #[serde(default)]
    pub burstable: bool,
    /// EC2's own word; it still calls h1 and i3 current.
    #[serde(default)]
    pub current_generation: Option<bool>,
    /// Of the instance store: `required` (always encrypted, Nitro) or `unsupported`; `None` without one.
    #[serde(default)]
    pub store_encryption: Option<String>,
    /// `default`, `supported` or `unsupported`.
    #[serde(default)]
    pub ebs_optimized: Option<String>,
}

/// The newest point of each series of one GetMetricData poll. Absent means that CloudWatch had no data: not 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub instances: BTreeMap<String, InstanceMetrics>,
    pub volumes: BTreeMap<String, VolumeMetrics>,
}

/// A value and the start of the period it is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub at: Moment,
    pub value: f64,
    /// The mean of the points of the last five minutes, this one included; one point where they are that far apart.
    #[serde(default)]
    pub over_5m: Option<f64>,
    #[serde(default)]
    pub over_10m: Option<f64>,
}

impl Point {
    /// Nothing is known of the points before it.
    pub fn new(at: Moment, value: f64) -> Self {
        Self {
            at,
            value,
            over_5m: None,
            over_10m: None,
        }
    }

    /// The mean over so long a time, or the nearest that was kept; the value itself where none was.
    pub fn over(&self, window: Window) -> f64 {
        let mean = match window.seconds() {
            ..=60 => None,
            61..=300 => self.over_5m,
            _ => self.over_10m,
        };
        mean.unwrap_or(self.value)
    }
}

/// AWS/EC2, dimension InstanceId.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceMetrics {
    pub cpu_percent: Option<Point>,
    pub network_in_bytes_per_second: Option<Point>,
    pub network_out_bytes_per_second: Option<Point>,
    pub status_check_failed_ebs: Option<Point>,
    pub ebs_iops_exceeded: Option<Point>,
    pub ebs_throughput_exceeded: Option<Point>,
    pub ebs_byte_balance_percent: Option<Point>,
    pub ebs_io_balance_percent: Option<Point>,
    /// T types only.
    #[serde(default)]
    pub cpu_credit_balance: Option<Point>,
}

impl InstanceMetrics {
    /// What a mean can be taken of: rates and loads, no states and no balances.
    pub fn loads_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        let loads = [
            &mut self.cpu_percent,
            &mut self.network_in_bytes_per_second,
            &mut self.network_out_bytes_per_second,
        ];
        loads.into_iter().flatten()
    }
}

/// AWS/EBS. The first group has dimension VolumeId, the second InstanceId and VolumeId.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VolumeMetrics {
    pub read_bytes_per_second: Option<Point>,
    pub write_bytes_per_second: Option<Point>,
    pub read_ops_per_second: Option<Point>,
    pub write_ops_per_second: Option<Point>,
    pub queue_length: Option<Point>,
    /// gp2, st1 and sc1 only.
    pub burst_balance_percent: Option<Point>,

    pub stalled_io: Option<Point>,
    pub iops_exceeded: Option<Point>,
    pub throughput_exceeded: Option<Point>,
    pub read_latency_ms: Option<Point>,
    pub write_latency_ms: Option<Point>,
}

impl VolumeMetrics {
    /// As [`InstanceMetrics::loads_mut`].
    pub fn loads_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        let loads = [
            &mut self.read_bytes_per_second,
            &mut self.write_bytes_per_second,
            &mut self.read_ops_per_second,
            &mut self.write_ops_per_second,
            &mut self.queue_length,
            &mut self.read_latency_ms,
            &mut self.write_latency_ms,
        ];
        loads.into_iter().flatten()
    }
}

/// As whom AWS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account's number.
    pub account: String,
    /// Of the user, or of the role with its session.
    pub arn: String,
}

/// What asking has cost since the console started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub requests: u64,
    /// Metrics asked of GetMetricData: 0.01 USD per thousand, no free tier.
    pub metrics: u64,
    pub usd: f64,
}
