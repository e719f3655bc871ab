//! The Describe operations, element for element as EC2 names them.

use std::collections::BTreeMap;

use super::{Change, MODIFYING, OPTIMIZING, View, passes};
use crate::demo::cloud::fault::Refusal;
use crate::demo::cloud::fleet::{Backup, Disk, Machine, limits};
use crate::demo::cloud::query::Query;
use crate::demo::cloud::xml::Xml;

pub(super) fn zones(view: &View<'_>) -> String {
    Xml::answer("DescribeAvailabilityZones", view.request, |xml| {
        xml.list("availabilityZoneInfo", &view.fleet.zones, |xml, zone| {
            // The state says `available` in an outage too, as it does at AWS.
            xml.leaf("zoneName", &zone.name)
                .leaf("zoneId", &zone.id)
                .leaf("zoneState", "available");
            xml.leaf("regionName", &view.fleet.region)
                .leaf("zoneType", "availability-zone");
        });
    })
}

pub(super) fn instances(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let ids = query.list("InstanceId");
    if !ids.is_empty() && query.get("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    view.check_zones(&ids)?;
    let filters = query.filters();
    let mut machines = Vec::new();
    for machine in view.by_ids(&ids)? {
        if passes(&filters, |name| instance_field(machine, name))? {
            machines.push(machine);
        }
    }
    let (machines, next) = view.page(query, machines)?;
    Ok(Xml::answer("DescribeInstances", view.request, |xml| {
        xml.list("reservationSet", machines, |xml, machine| {
            xml.leaf("reservationId", machine.id.replacen('i', "r", 1));
            xml.leaf("ownerId", "000000000000");
            xml.list("instancesSet", [machine], |xml, machine| instance(view, xml, machine));
        });
        if let Some(next) = next {
            xml.leaf("nextToken", next);
        }
    }))
}

fn instance_field(machine: &Machine, name: &str) -> Option<Vec<String>> {
    if let Some(key) = name.strip_prefix("tag:") {
        return Some(machine.tags.get(key).cloned().into_iter().collect());
    }
    match name {
        "private-ip-address" | "network-interface.addresses.private-ip-address" => Some(vec![machine.address.clone()]),
        "instance-state-name" => Some(vec![machine.state.clone()]),
        "availability-zone" => Some(vec![machine.zone.clone()]),
        "vpc-id" => Some(vec![VPC.to_owned()]),
        _ => None,
    }
}

const VPC: &str = "vpc-00000000000000000";

/// The one security group of the fleet: nobody from beyond the host gets in.
const GROUP: &str = "sg-00000000000000000";

pub(super) fn security_groups(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let field = |name: &str| match name {
        "group-id" => Some(vec![GROUP.to_owned()]),
        "vpc-id" => Some(vec![VPC.to_owned()]),
        _ => None,
    };
    let found = passes(&query.filters(), field)?.then_some(GROUP);
    Ok(Xml::answer("DescribeSecurityGroups", view.request, |xml| {
        xml.list("securityGroupInfo", found, |xml, group| {
            xml.leaf("ownerId", "000000000000")
                .leaf("groupId", group)
                .leaf("groupName", "kafka")
                .leaf("vpcId", VPC);
            xml.list("ipPermissions", [()], |xml, ()| {
                xml.leaf("ipProtocol", "tcp").leaf("fromPort", 1).leaf("toPort", 65535);
                xml.list("ipRanges", ["127.0.0.0/8"], |xml, range| {
                    xml.leaf("cidrIp", range);
                });
            });
        });
    }))
}

/// One subnet a zone, as the machines' addresses lie.
pub(super) fn subnets(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let field = |name: &str| (name == "vpc-id").then(|| vec![VPC.to_owned()]);
    let all = passes(&query.filters(), field)?;
    let zones: Vec<_> = view.fleet.zones.iter().enumerate().filter(|_| all).collect();
    Ok(Xml::answer("DescribeSubnets", view.request, |xml| {
        xml.list("subnetSet", zones, |xml, (at, zone)| {
            xml.leaf("subnetId", format!("subnet-{at:017}"))
                .leaf("state", "available")
                .leaf("vpcId", VPC);
            xml.leaf("cidrBlock", format!("127.0.{}.0/24", at + 1))
                .leaf("availabilityZone", &zone.name)
                .leaf("availabilityZoneId", &zone.id);
        });
    }))
}

/// Every volume of the fleet is.
pub(super) fn encryption_by_default(view: &View<'_>) -> String {
    Xml::answer("GetEbsEncryptionByDefault", view.request, |xml| {
        xml.leaf("ebsEncryptionByDefault", true);
    })
}

fn instance(view: &View<'_>, xml: &mut Xml, machine: &Machine) {
    let dns = format!("ip-{}.ec2.internal", machine.address.replace('.', "-"));
    xml.leaf("instanceId", &machine.id)
        .leaf("instanceType", &machine.instance_type);
    xml.nest("instanceState", |xml| state(xml, &machine.state));
    xml.leaf("privateIpAddress", &machine.address)
        .leaf("privateDnsName", dns)
        .leaf("vpcId", VPC);
    xml.time("launchTime", machine.launched_at);
    xml.nest("placement", |xml| {
        xml.leaf("availabilityZone", &machine.zone);
        if let Some(zone) = view.fleet.zone(&machine.zone) {
            xml.leaf("availabilityZoneId", &zone.id);
        }
    });
    xml.nest("monitoring", |xml| {
        xml.leaf(
            "state",
            if machine.detailed_monitoring {
                "enabled"
            } else {
                "disabled"
            },
        );
    });
    xml.list("groupSet", [GROUP], |xml, group| {
        xml.leaf("groupId", group).leaf("groupName", "kafka");
    });
    xml.nest("metadataOptions", |xml| {
        xml.leaf("state", "applied")
            .leaf("httpTokens", "required")
            .leaf("httpEndpoint", "enabled");
    });
    xml.leaf("rootDeviceName", &machine.root_device)
        .leaf("rootDeviceType", "ebs");
    xml.list("networkInterfaceSet", [machine], |xml, machine| {
        xml.leaf("privateIpAddress", &machine.address);
        xml.list("privateIpAddressesSet", [machine], |xml, machine| {
            xml.leaf("privateIpAddress", &machine.address).leaf("primary", true);
        });
    });
    tags(xml, &machine.tags);
}

fn state(xml: &mut Xml, name: &str) {
    let code = match name {
        "pending" => 0,
        "running" => 16,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        _ => 80,
    };
    xml.leaf("code", code).leaf("name", name);
}

fn tags(xml: &mut Xml, tags: &BTreeMap<String, String>) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.leaf("key", key).leaf("value", value);
    });
}

pub(super) fn statuses(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let ids = query.list("InstanceId");
    view.check_zones(&ids)?;
    let all = query.get("IncludeAllInstances") == Some("true");
    let mut machines = view.by_ids(&ids)?;
    machines.retain(|machine| all || machine.state == "running");
    let (machines, next) = view.page(query, machines)?;
    Ok(Xml::answer("DescribeInstanceStatus", view.request, |xml| {
        xml.list("instanceStatusSet", machines, |xml, machine| status(view, xml, machine));
        if let Some(next) = next {
            xml.leaf("nextToken", next);
        }
    }))
}

fn status(view: &View<'_>, xml: &mut Xml, machine: &Machine) {
    // EC2 needs a minute to see that a volume completes nothing.
    let stalled = |disk: &Disk| {
        view.faults
            .stalled
            .get(&disk.id)
            .is_some_and(|since| view.now - since >= 60)
    };
    let running = machine.state == "running";
    let check = |bad: bool| match (running, bad) {
        (false, _) => "not-applicable",
        (true, true) => "impaired",
        (true, false) => "ok",
    };
    xml.leaf("instanceId", &machine.id)
        .leaf("availabilityZone", &machine.zone);
    xml.nest("instanceState", |xml| state(xml, &machine.state));
    xml.nest("systemStatus", |xml| {
        xml.leaf("status", check(false));
    });
    xml.nest("instanceStatus", |xml| {
        xml.leaf("status", check(false));
    });
    xml.nest("attachedEbsStatus", |xml| {
        xml.leaf("status", check(machine.disks.iter().any(stalled)));
    });
    xml.list("eventsSet", &machine.events, |xml, event| {
        xml.leaf("code", &event.code).leaf("description", &event.description);
        xml.time("notBefore", event.not_before);
    });
}

pub(super) fn types(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let names = query.list("InstanceType");
    let mut known = Vec::new();
    for name in names {
        let limits = limits(name).ok_or_else(|| {
            let message = format!("The following supplied instance types do not exist: [{name}]");
            Refusal::new(400, "InvalidInstanceType", message)
        })?;
        known.push((name, limits));
    }
    Ok(Xml::answer("DescribeInstanceTypes", view.request, |xml| {
        xml.list("instanceTypeSet", known, |xml, (name, limits)| {
            xml.leaf("instanceType", name).leaf("currentGeneration", true);
            xml.leaf("burstablePerformanceSupported", false)
                .leaf("instanceStorageSupported", false);
            xml.nest("vCpuInfo", |xml| {
                xml.leaf("defaultVCpus", limits.vcpus);
            });
            xml.nest("memoryInfo", |xml| {
                xml.leaf("sizeInMiB", limits.memory_mib);
            });
            xml.nest("ebsInfo", |xml| {
                xml.nest("ebsOptimizedInfo", |xml| {
                    xml.leaf("baselineThroughputInMBps", limits.ebs_baseline);
                    xml.leaf("maximumThroughputInMBps", limits.ebs_maximum);
                    xml.leaf("baselineIops", limits.ebs_baseline_iops);
                    xml.leaf("maximumIops", limits.ebs_maximum_iops);
                });
            });
            xml.nest("networkInfo", |xml| {
                xml.list("networkCards", [limits], |xml, limits| {
                    xml.leaf("networkCardIndex", 0);
                    xml.leaf("baselineBandwidthInGbps", limits.network_baseline);
                    xml.leaf("peakBandwidthInGbps", limits.network_peak);
                });
            });
        });
    }))
}

pub(super) fn volumes(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let (filters, ids) = (query.filters(), query.list("VolumeId"));
    let attached: Vec<&str> = filters
        .iter()
        .filter(|(name, _)| *name == "attachment.instance-id")
        .flat_map(|(_, ids)| ids.iter().copied())
        .collect();
    view.check_zones(&attached)?;
    let attached = view.fleet.machines.iter().flat_map(|machine| {
        let zone = machine.zone.as_str();
        machine.disks.iter().map(move |disk| (zone, Some(machine), disk))
    });
    let loose = view.fleet.loose.iter();
    let all = attached.chain(loose.map(|one| (one.zone.as_str(), None, &one.disk)));
    let mut found = Vec::new();
    for (zone, machine, disk) in all.filter(|(.., disk)| ids.is_empty() || ids.contains(&disk.id.as_str())) {
        if passes(&filters, |name| volume_field(zone, machine, disk, name))? {
            found.push((zone, machine, disk));
        }
    }
    if found.is_empty()
        && let Some(id) = ids.first()
    {
        let message = format!("The volume '{id}' does not exist.");
        return Err(Refusal::new(400, "InvalidVolume.NotFound", message));
    }
    let (found, next) = view.page(query, found)?;
    Ok(Xml::answer("DescribeVolumes", view.request, |xml| {
        xml.list("volumeSet", found, |xml, (zone, machine, disk)| {
            volume(xml, zone, machine, disk);
        });
        if let Some(next) = next {
            xml.leaf("nextToken", next);
        }
    }))
}

fn volume_field(zone: &str, machine: Option<&Machine>, disk: &Disk, name: &str) -> Option<Vec<String>> {
    if let Some(key) = name.strip_prefix("tag:") {
        return Some(disk.tags.get(key).cloned().into_iter().collect());
    }
    match name {
        "attachment.instance-id" => Some(machine.iter().map(|machine| machine.id.clone()).collect()),
        "volume-id" => Some(vec![disk.id.clone()]),
        "volume-type" => Some(vec![disk.volume_type.clone()]),
        "availability-zone" => Some(vec![zone.to_owned()]),
        _ => None,
    }
}

fn volume(xml: &mut Xml, zone: &str, machine: Option<&Machine>, disk: &Disk) {
    xml.leaf("volumeId", &disk.id)
        .leaf("size", disk.size_gib)
        .leaf("volumeType", &disk.volume_type);
    // HDD volumes have no IOPS to tell, and only gp3 has a throughput of its own.
    if !matches!(disk.volume_type.as_str(), "st1" | "sc1" | "standard") {
        xml.leaf("iops", disk.iops);
    }
    if disk.volume_type == "gp3" {
        xml.leaf("throughput", disk.throughput_mib_per_second);
    }
    xml.leaf("availabilityZone", zone)
        .leaf("status", if machine.is_some() { "in-use" } else { "available" })
        .leaf("encrypted", disk.encrypted);
    if let Some(machine) = machine {
        xml.time("createTime", machine.launched_at);
    }
    xml.list("attachmentSet", machine, |xml, machine| {
        xml.leaf("volumeId", &disk.id)
            .leaf("instanceId", &machine.id)
            .leaf("device", &disk.device);
        xml.leaf("status", "attached")
            .leaf("deleteOnTermination", disk.device == machine.root_device);
    });
    tags(xml, &disk.tags);
}

/// How long the copy of a snapshot takes, by the cloud's clock.
const COPYING: i64 = 20;

/// The snapshots that were asked for, and the one that each volume had before; an outage of a zone does not touch them.
pub(super) fn snapshots(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let (filters, ids) = (query.filters(), query.list("SnapshotId"));
    let asked = view.fleet.snapshots.iter().map(|one| {
        let since = view.now - one.started_at;
        (one.clone(), (since * 100 / COPYING).clamp(0, 100))
    });
    let disks = view.fleet.machines.iter().flat_map(|machine| &machine.disks);
    let before = disks.filter_map(|disk| {
        let at = disk.snapshot_at?;
        let asked = view
            .fleet
            .snapshots
            .iter()
            .any(|one| one.volume == disk.id && one.started_at == at);
        let backup = Backup {
            id: disk.id.replacen("vol", "snap", 1),
            volume: disk.id.clone(),
            size_gib: disk.size_gib,
            encrypted: disk.encrypted,
            started_at: at,
            tags: BTreeMap::new(),
        };
        (!asked).then_some((backup, 100))
    });
    let mut found = Vec::new();
    for (one, percent) in before.chain(asked) {
        let status = if percent == 100 { "completed" } else { "pending" };
        let at = view.tempo.outside(one.started_at);
        let field = |name: &str| match name {
            "volume-id" => Some(vec![one.volume.clone()]),
            "status" => Some(vec![status.to_owned()]),
            "start-time" => Some(vec![jiff::Timestamp::from_second(at).unwrap_or_default().to_string()]),
            _ => {
                let key = name.strip_prefix("tag:")?;
                Some(one.tags.get(key).cloned().into_iter().collect())
            }
        };
        if (ids.is_empty() || ids.contains(&one.id.as_str())) && passes(&filters, field)? {
            found.push((one, percent, status, at));
        }
    }
    if let Some(id) = ids.first().filter(|_| found.is_empty()) {
        let message = format!("The snapshot '{id}' does not exist.");
        return Err(Refusal::new(400, "InvalidSnapshot.NotFound", message));
    }
    let (found, next) = view.page(query, found)?;
    Ok(Xml::answer("DescribeSnapshots", view.request, |xml| {
        xml.list("snapshotSet", found, |xml, (one, percent, status, at)| {
            xml.leaf("snapshotId", &one.id)
                .leaf("volumeId", &one.volume)
                .leaf("status", status)
                .leaf("progress", format!("{percent}%"));
            xml.time("startTime", at);
            xml.leaf("ownerId", "000000000000")
                .leaf("volumeSize", one.size_gib)
                .leaf("encrypted", one.encrypted);
            tags(xml, &one.tags);
        });
        if let Some(next) = next {
            xml.leaf("nextToken", next);
        }
    }))
}

pub(super) fn modifications(view: &View<'_>, query: &Query) -> Result<String, Refusal> {
    let (filters, ids) = (query.filters(), query.list("VolumeId"));
    let mut changes = Vec::new();
    for change in view.changes {
        let field = |name: &str| match name {
            "volume-id" => Some(vec![change.after.id.clone()]),
            "modification-state" => Some(vec![progress(change, view.now).0.to_owned()]),
            _ => None,
        };
        if (ids.is_empty() || ids.contains(&change.after.id.as_str())) && passes(&filters, field)? {
            changes.push(change);
        }
    }
    let missing = ids
        .iter()
        .find(|id| !changes.iter().any(|change| change.after.id == **id));
    if let Some(id) = missing {
        let message = format!("Modification for volume '{id}' does not exist.");
        return Err(Refusal::new(400, "InvalidVolumeModification.NotFound", message));
    }
    let (changes, next) = view.page(query, changes)?;
    Ok(Xml::answer("DescribeVolumesModifications", view.request, |xml| {
        xml.list("volumeModificationSet", changes, |xml, change| {
            modification(xml, change, view)
        });
        if let Some(next) = next {
            xml.leaf("nextToken", next);
        }
    }))
}

fn modification(xml: &mut Xml, change: &Change, view: &View<'_>) {
    let (state, percent) = progress(change, view.now);
    let Change {
        before,
        after,
        started_at,
    } = change;
    xml.leaf("volumeId", &after.id)
        .leaf("modificationState", state)
        .leaf("progress", percent);
    xml.leaf("originalVolumeType", &before.volume_type)
        .leaf("targetVolumeType", &after.volume_type);
    xml.leaf("originalSize", before.size_gib)
        .leaf("targetSize", after.size_gib);
    xml.leaf("originalIops", before.iops).leaf("targetIops", after.iops);
    xml.leaf("originalThroughput", before.throughput_mib_per_second);
    xml.leaf("targetThroughput", after.throughput_mib_per_second);
    xml.time("startTime", view.tempo.outside(*started_at));
    if state == "completed" {
        xml.time("endTime", view.tempo.outside(started_at + MODIFYING + OPTIMIZING));
    }
}

/// State and percent, by the time since the start.
fn progress(change: &Change, now: i64) -> (&'static str, i64) {
    match now - change.started_at {
        since if since < MODIFYING => ("modifying", 0),
        since if since < MODIFYING + OPTIMIZING => ("optimizing", (since - MODIFYING) * 100 / OPTIMIZING),
        _ => ("completed", 100),
    }
}
