//! More disk: the rest of the volume, or a larger volume.

use super::{AIM_PERCENT, InTime, Kind, Remedy, Scene};
use crate::model::cloud::Volume;
use crate::model::row::Cell;
use crate::plan::volume::LEAST_SHARE;

const GIB: f64 = (1u64 << 30) as f64;

/// A larger volume is usable from its state `optimizing` on, seconds after the call; the file system has to be extended
/// too. Source: EBS user guide, "Request modifications to your EBS volumes".
const GROWN_SECONDS: f64 = 120.0;

pub(super) fn remedies(scene: &Scene<'_>) -> Vec<Remedy> {
    let dir = scene.dir;
    let volumes = match (&dir.volumes.value, &dir.volumes.reason) {
        (Some(volumes), _) => volumes,
        (None, reason) => {
            let why = reason
                .clone()
                .unwrap_or_else(|| "no volume is known to back it".to_owned());
            return vec![blocked("grow the volume".to_owned(), why)];
        }
    };
    let sections = || scene.snapshot.cloud.volumes.values();
    let found: Vec<&Volume> = volumes
        .iter()
        .filter_map(|id| sections().find_map(|section| section.get()?.get(id)))
        .collect();
    match found.as_slice() {
        [one] => extend(scene, one).into_iter().chain([grow(scene, one)]).collect(),
        [] => vec![blocked(
            "grow the volume".to_owned(),
            "no volume is known to back it".to_owned(),
        )],
        several => vec![blocked(
            format!("grow its {} volumes", several.len()),
            "several volumes form this file system (RAID or LVM): grow each, then the array, by hand".to_owned(),
        )],
    }
}

fn blocked(what: String, why: String) -> Remedy {
    Remedy {
        kind: Kind::Grow,
        what,
        frees_bytes: Cell::unknown(why.clone()),
        helps_in_seconds: Cell::unknown(why.clone()),
        in_time: InTime::Blocked,
        usd_per_month: Cell::unknown(why.clone()),
        undo: "none (a volume cannot shrink)".to_owned(),
        blocked: Some(why),
        how: Vec::new(),
        evidence: Vec::new(),
    }
}

/// The volume grew and the file system did not.
fn extend(scene: &Scene<'_>, volume: &Volume) -> Option<Remedy> {
    let total = scene.dir.total_bytes.value? as f64;
    let whole = volume.size_gib as f64 * GIB;
    (total < whole * LEAST_SHARE).then(|| Remedy {
        kind: Kind::Extend,
        what: format!("extend the file system to its {} GiB", volume.size_gib),
        frees_bytes: Cell::known((whole - total) as u64),
        helps_in_seconds: Cell::known(60.0),
        in_time: InTime::Unknown,
        usd_per_month: Cell::known(0.0),
        undo: "none needed (the volume is paid already)".to_owned(),
        blocked: None,
        how: vec![format!("azimuth volume extend {}", volume.id)],
        evidence: vec![format!("{} is larger than the file system on it", volume.id)],
    })
}

fn grow(scene: &Scene<'_>, volume: &Volume) -> Remedy {
    let size = volume.size_gib;
    let most = most_gib(&volume.volume_type);
    let used = scene.dir.used_bytes.value.map(|bytes| bytes as f64 / GIB);
    let aim = used
        .map_or(0.0, |used| used * 100.0 / AIM_PERCENT)
        .max(size as f64 * 1.25);
    // A round number, as people choose them.
    let step = if size >= 1024 { 256 } else { 64 };
    let target = ((aim / f64::from(step)).ceil() as i64 * i64::from(step)).min(most);
    let more = target - size;
    let price = usd_per_gib_month(&volume.volume_type);
    let how = vec![format!("azimuth volume modify {} --size {target}", volume.id)];
    let mut remedy = Remedy {
        kind: Kind::Grow,
        what: format!("grow {} {size}→{target} GiB", volume.id),
        frees_bytes: Cell::known((more.max(0) as f64 * GIB) as u64),
        helps_in_seconds: Cell::known(GROWN_SECONDS),
        in_time: InTime::Unknown,
        usd_per_month: match price {
            Some(price) => Cell::known(price * more.max(0) as f64),
            None => Cell::unknown(format!("the price of {} is not known here", volume.volume_type)),
        },
        undo: "none (a volume cannot shrink)".to_owned(),
        blocked: None,
        how,
        evidence: vec![
            "usable about 2 m after the call, once the file system is extended by the context's driver or by hand; at most 4 modifications in 24 h"
                .to_owned(),
            "us-east-1 list price; other regions differ".to_owned(),
        ],
    };
    if more <= 0 {
        remedy.blocked = Some(format!("{} volumes end at {most} GiB", volume.volume_type));
    } else if let Some(modification) = &volume.modification
        && ["modifying", "optimizing"].contains(&modification.state.as_str())
    {
        remedy.blocked = Some(format!(
            "{} is being modified ({} {}); EC2 takes the next change when that is completed",
            volume.id, modification.change, modification.state
        ));
    }
    remedy
}

/// Source: EBS user guide, "Amazon EBS volume types".
fn most_gib(volume_type: &str) -> i64 {
    match volume_type {
        "gp3" | "io2" => 65_536,
        "standard" => 1_024,
        _ => 16_384,
    }
}

/// Dollars for a GiB and month in us-east-1. Source: AWS, "Amazon EBS pricing", 2026.
fn usd_per_gib_month(volume_type: &str) -> Option<f64> {
    match volume_type {
        "gp3" => Some(0.08),
        "gp2" => Some(0.10),
        "io1" | "io2" => Some(0.125),
        "st1" => Some(0.045),
        "sc1" => Some(0.015),
        "standard" => Some(0.05),
        _ => None,
    }
}
