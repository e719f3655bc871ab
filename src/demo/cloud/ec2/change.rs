//! The operations that change volumes, with EC2's refusals: DryRun, sizes, states, zones, four modifications a day.

use std::collections::BTreeMap;

use super::{Change, MODIFYING, OPTIMIZING};
use crate::demo::cloud::fault::{Faults, Refusal};
use crate::demo::cloud::fleet::{Backup, Disk, Fleet, Loose};
use crate::demo::cloud::query::Query;
use crate::demo::cloud::xml::Xml;

/// Modifications of a volume in a day.
const A_DAY: usize = 4;
const DAY: i64 = 86_400;

/// What an operation changes.
pub(in crate::demo::cloud) struct Ground<'a> {
    pub(in crate::demo::cloud) fleet: &'a mut Fleet,
    pub(in crate::demo::cloud) changes: &'a mut Vec<Change>,
    /// When each volume was modified.
    pub(in crate::demo::cloud) history: &'a mut Vec<(String, i64)>,
    /// Client token to what it made.
    pub(in crate::demo::cloud) tokens: &'a mut BTreeMap<String, String>,
    pub(in crate::demo::cloud) faults: &'a Faults,
    pub(in crate::demo::cloud) now: i64,
    pub(in crate::demo::cloud) request: &'a str,
}

/// Carries one out; `None` of an operation that is none of these.
pub(in crate::demo::cloud) fn act(
    ground: &mut Ground<'_>,
    action: &str,
    query: &Query,
) -> Option<Result<String, Refusal>> {
    Some(match action {
        "ModifyVolume" => modify(ground, query),
        "CreateSnapshots" => snapshot(ground, query),
        "CreateVolume" => create(ground, query),
        "AttachVolume" => attach(ground, query),
        "DetachVolume" => detach(ground, query),
        "CreateTags" | "DeleteTags" => tag(ground, action, query),
        _ => return None,
    })
}

fn refuse<T>(code: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(400, code, message))
}

/// Whoever only asks is told that it would be done.
fn dry(query: &Query) -> Result<(), Refusal> {
    match query.get("DryRun") {
        Some("true") => Err(Refusal::new(
            412,
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )),
        _ => Ok(()),
    }
}

fn number(query: &Query, name: &str) -> Option<i64> {
    query.get(name).and_then(|text| text.parse().ok())
}

fn unknown<T>(id: &str) -> Result<T, Refusal> {
    refuse("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
}

fn modify(ground: &mut Ground<'_>, query: &Query) -> Result<String, Refusal> {
    let id = query.get("VolumeId").unwrap_or_default().to_owned();
    let busy = ground
        .changes
        .iter()
        .any(|change| change.after.id == id && ground.now - change.started_at < MODIFYING + OPTIMIZING);
    let day = ground
        .history
        .iter()
        .filter(|(volume, at)| *volume == id && ground.now - at < DAY)
        .count();
    let Some(disk) = ground.fleet.disk_mut(&id) else {
        return unknown(&id);
    };
    let before = disk.clone();
    let mut after = before.clone();
    after.size_gib = number(query, "Size").unwrap_or(before.size_gib);
    after.iops = number(query, "Iops").unwrap_or(before.iops);
    after.throughput_mib_per_second = number(query, "Throughput").unwrap_or(before.throughput_mib_per_second);
    after.volume_type = query.get("VolumeType").unwrap_or(&before.volume_type).to_owned();
    if after.size_gib < before.size_gib {
        return refuse("InvalidParameterValue", "New size cannot be smaller than existing size");
    }
    if busy {
        let message = format!("Volume '{id}' is currently being modified (IncorrectModificationState).");
        return refuse("IncorrectModificationState", message);
    }
    if day >= A_DAY {
        let message = "You've reached the maximum modification rate per volume limit. Wait at least 24 hours between modifications per EBS volume.";
        return refuse("VolumeModificationRateExceeded", message);
    }
    dry(query)?;
    *disk = after.clone();
    ground.changes.retain(|known| known.after.id != id);
    ground.changes.push(Change {
        before,
        after,
        started_at: ground.now,
    });
    ground.history.push((id.clone(), ground.now));
    Ok(Xml::answer("ModifyVolume", ground.request, |xml| {
        xml.nest("volumeModification", |xml| {
            xml.leaf("volumeId", &id).leaf("modificationState", "modifying");
        });
    }))
}

fn snapshot(ground: &mut Ground<'_>, query: &Query) -> Result<String, Refusal> {
    let instance = query.get("InstanceSpecification.InstanceId").unwrap_or_default();
    let without = query.list("InstanceSpecification.ExcludeDataVolumeId");
    let boot = query.get("InstanceSpecification.ExcludeBootVolume") != Some("true");
    let Some(machine) = ground.fleet.machine(instance) else {
        let message = format!("The instance ID '{instance}' does not exist");
        return refuse("InvalidInstanceID.NotFound", message);
    };
    if ground.faults.outages.contains_key(&machine.zone) {
        return Err(Refusal::new(503, "Unavailable", "The service is unavailable."));
    }
    dry(query)?;
    let chosen: Vec<Disk> = machine
        .disks
        .iter()
        .filter(|disk| !without.contains(&disk.id.as_str()))
        .filter(|disk| boot || disk.device != machine.root_device)
        .cloned()
        .collect();
    let given = tags(query);
    let copies = query.get("CopyTagsFromSource") == Some("volume");
    let mut made = Vec::new();
    for disk in chosen {
        let number = ground.fleet.snapshots.len() + 1;
        let own = if copies { disk.tags.clone() } else { BTreeMap::new() };
        let backup = Backup {
            id: format!("snap-0{:016x}", 0x005a_a900_0000 + number),
            volume: disk.id.clone(),
            size_gib: disk.size_gib,
            encrypted: disk.encrypted,
            started_at: ground.now,
            tags: own.into_iter().chain(given.clone()).collect(),
        };
        ground.fleet.snapshots.push(backup.clone());
        if let Some(disk) = ground.fleet.disk_mut(&disk.id) {
            disk.snapshot_at = Some(ground.now);
        }
        made.push(backup);
    }
    Ok(Xml::answer("CreateSnapshots", ground.request, |xml| {
        xml.list("snapshotSet", made, |xml, one| {
            xml.leaf("snapshotId", &one.id)
                .leaf("volumeId", &one.volume)
                .leaf("state", "pending")
                .leaf("volumeSize", one.size_gib);
        });
    }))
}

fn create(ground: &mut Ground<'_>, query: &Query) -> Result<String, Refusal> {
    let zone = query.get("AvailabilityZone").unwrap_or_default().to_owned();
    if ground.fleet.zone(&zone).is_none() {
        return refuse("InvalidZone.NotFound", format!("The zone '{zone}' does not exist."));
    }
    let id = query.get("SnapshotId").unwrap_or_default();
    let source = ground.fleet.snapshots.iter().find(|one| one.id == id).cloned();
    let Some(source) = source else {
        let message = format!("The snapshot '{id}' does not exist.");
        return refuse("InvalidSnapshot.NotFound", message);
    };
    let size_gib = number(query, "Size").unwrap_or(source.size_gib);
    if size_gib < source.size_gib {
        return refuse(
            "InvalidParameterValue",
            "Volume size cannot be smaller than the snapshot's",
        );
    }
    dry(query)?;
    let token = query.get("ClientToken").unwrap_or_default().to_owned();
    let volume = match ground.tokens.get(&token) {
        Some(made) if !token.is_empty() => made.clone(),
        _ => {
            let made = format!("vol-0{:016x}", 0x00ee_b500_0000 + ground.tokens.len() + 1);
            ground.fleet.loose.push(Loose {
                zone: zone.clone(),
                disk: Disk {
                    id: made.clone(),
                    device: String::new(),
                    size_gib,
                    volume_type: query.get("VolumeType").unwrap_or("gp3").to_owned(),
                    iops: number(query, "Iops").unwrap_or(3000),
                    throughput_mib_per_second: number(query, "Throughput").unwrap_or(125),
                    tags: tags(query),
                    encrypted: source.encrypted || query.get("Encrypted") == Some("true"),
                    snapshot_at: None,
                },
            });
            ground.tokens.insert(token, made.clone());
            made
        }
    };
    Ok(Xml::answer("CreateVolume", ground.request, |xml| {
        xml.leaf("volumeId", &volume)
            .leaf("size", size_gib)
            .leaf("availabilityZone", &zone)
            .leaf("status", "creating");
    }))
}

fn attach(ground: &mut Ground<'_>, query: &Query) -> Result<String, Refusal> {
    let (id, instance) = (
        query.get("VolumeId").unwrap_or_default().to_owned(),
        query.get("InstanceId").unwrap_or_default().to_owned(),
    );
    let device = query.get("Device").unwrap_or_default().to_owned();
    if ground.fleet.disk(&id).is_some() {
        return refuse("VolumeInUse", format!("{id} is already attached to an instance"));
    }
    let Some(at) = ground.fleet.loose.iter().position(|one| one.disk.id == id) else {
        return unknown(&id);
    };
    let zone = ground.fleet.loose[at].zone.clone();
    let Some(machine) = ground.fleet.machines.iter_mut().find(|machine| machine.id == instance) else {
        let message = format!("The instance ID '{instance}' does not exist");
        return refuse("InvalidInstanceID.NotFound", message);
    };
    if machine.zone != zone {
        let message = format!("The volume '{id}' is not in the same availability zone as instance '{instance}'");
        return refuse("InvalidVolume.ZoneMismatch", message);
    }
    if machine.disks.iter().any(|disk| disk.device == device) {
        let message = format!("Invalid value '{device}' for unixDevice. Attachment point {device} is already in use");
        return refuse("InvalidParameterValue", message);
    }
    dry(query)?;
    let mut disk = ground.fleet.loose.remove(at).disk;
    disk.device = device.clone();
    machine.disks.push(disk);
    Ok(attachment(
        "AttachVolume",
        ground.request,
        &id,
        &instance,
        &device,
        "attaching",
    ))
}

fn detach(ground: &mut Ground<'_>, query: &Query) -> Result<String, Refusal> {
    let id = query.get("VolumeId").unwrap_or_default().to_owned();
    let instance = query.get("InstanceId").map(ToOwned::to_owned);
    let machines = ground.fleet.machines.iter_mut();
    let found = machines.into_iter().find_map(|machine| {
        let at = machine.disks.iter().position(|disk| disk.id == id)?;
        Some((machine, at))
    });
    let Some((machine, at)) = found else {
        return match ground.fleet.loose.iter().any(|one| one.disk.id == id) {
            true => refuse("IncorrectState", format!("Volume '{id}' is in the 'available' state.")),
            false => unknown(&id),
        };
    };
    if instance.as_ref().is_some_and(|instance| *instance != machine.id) {
        let message = format!(
            "The volume '{id}' is not attached to instance '{}'",
            instance.unwrap_or_default()
        );
        return refuse("InvalidAttachment.NotFound", message);
    }
    dry(query)?;
    let disk = machine.disks.remove(at);
    let (zone, owner, device) = (machine.zone.clone(), machine.id.clone(), disk.device.clone());
    ground.fleet.loose.push(Loose { zone, disk });
    Ok(attachment(
        "DetachVolume",
        ground.request,
        &id,
        &owner,
        &device,
        "detaching",
    ))
}

/// One tag of one instance, as a plan asks for it.
fn tag(ground: &mut Ground<'_>, action: &str, query: &Query) -> Result<String, Refusal> {
    let id = query.get("ResourceId.1").unwrap_or_default().to_owned();
    let of = |part: &str| query.get(&format!("Tag.1.{part}")).unwrap_or_default().to_owned();
    let (key, value) = (of("Key"), of("Value"));
    let Some(machine) = ground.fleet.machines.iter_mut().find(|machine| machine.id == id) else {
        let message = format!("The instance ID '{id}' does not exist");
        return refuse("InvalidInstanceID.NotFound", message);
    };
    dry(query)?;
    match action {
        "CreateTags" => {
            machine.tags.insert(key, value);
        }
        // Only while it has this value.
        _ if machine.tags.get(&key) == Some(&value) => {
            machine.tags.remove(&key);
        }
        _ => {}
    }
    Ok(Xml::answer(action, ground.request, |xml| {
        xml.leaf("return", "true");
    }))
}

fn attachment(action: &str, request: &str, volume: &str, instance: &str, device: &str, status: &str) -> String {
    Xml::answer(action, request, |xml| {
        xml.leaf("volumeId", volume)
            .leaf("instanceId", instance)
            .leaf("device", device)
            .leaf("status", status);
    })
}

/// `TagSpecification.1.Tag.n`.
fn tags(query: &Query) -> BTreeMap<String, String> {
    let pair = |number: usize| {
        let of = |part: &str| query.get(&format!("TagSpecification.1.Tag.{number}.{part}"));
        Some((of("Key")?.to_owned(), of("Value").unwrap_or_default().to_owned()))
    };
    (1..).map_while(pair).collect()
}
