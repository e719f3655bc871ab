//! Which EBS volumes a log directory lies on, how that was told, and how sure it is.
//!
//! Kafka tells the size of the file system (DescribeLogDirs v4, KIP-827), EC2 the size of the volumes; `/dev/sdf` says
//! nothing on Nitro. A tag is the operator's word and wins; a size that only one volume can explain is good evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cloud::{Instance, InstanceType, Volume};
use super::identity::{Confidence, Rules};

/// A file system takes this part of its volume at least; less means a partition, or a file system that was not
/// extended after the volume grew.
const LEAST_SHARE: f64 = 0.93;

const GIB: f64 = (1u64 << 30) as f64;

/// The volumes behind a log directory, as far as they can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Backing {
    /// Several volumes are one file system over LVM or RAID: their limits add up, the worst state counts.
    Identified {
        volumes: Vec<String>,
        method: BackingMethod,
        confidence: Confidence,
    },
    Ambiguous {
        candidates: Vec<String>,
        reason: String,
    },
    /// The volumes fit, and the size contradicts them.
    Mismatch {
        volumes: Vec<String>,
        reason: String,
    },
    Unknown {
        reason: String,
    },
}

/// What told the volume, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BackingMethod {
    /// The volume's tag names the directory.
    Tag,
    /// Only one volume has the size of the directory's file system.
    Size,
    /// The instance has one data volume and no other disk.
    OnlyVolume,
}

/// A log directory and the size of its file system, `None` before Kafka 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directory<'a> {
    pub path: &'a str,
    pub total_bytes: Option<u64>,
}

impl Backing {
    /// The volumes, only when nothing speaks against them.
    pub fn volumes(&self) -> &[String] {
        match self {
            Self::Identified { volumes, .. } => volumes,
            _ => &[],
        }
    }

    /// Why there is no volume, in one sentence.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Identified { .. } => None,
            Self::Ambiguous { reason, .. } | Self::Mismatch { reason, .. } | Self::Unknown { reason } => Some(reason),
        }
    }
}

/// Tells the volumes of every directory of one broker. `attached` are the volumes attached to its instance.
pub fn back(
    directories: &[Directory<'_>],
    instance: &Instance,
    attached: &[&Volume],
    instance_type: Option<&InstanceType>,
    rules: &Rules,
) -> BTreeMap<String, Backing> {
    let data: Vec<&Volume> = attached
        .iter()
        .copied()
        .filter(|volume| volume.device.is_none() || volume.device != instance.root_device)
        .collect();
    let has_store = instance_type.is_some_and(|limits| limits.instance_storage_gb.is_some_and(|gb| gb > 0));
    directories
        .iter()
        .map(|directory| {
            let backing = by_tag(*directory, &data, rules)
                .unwrap_or_else(|| by_size(*directory, &data, has_store, &instance.id, rules));
            (directory.path.to_owned(), backing)
        })
        .collect()
}

/// Size of the file system over the size of its volumes, 0.93..=1 where all is well; `None` when a size is missing.
pub fn share(total_bytes: Option<u64>, volumes: &[&Volume]) -> Option<f64> {
    let size: i64 = volumes.iter().map(|volume| volume.size_gib).sum();
    (size > 0).then_some(total_bytes? as f64 / (size as f64 * GIB))
}

fn by_tag(directory: Directory<'_>, data: &[&Volume], rules: &Rules) -> Option<Backing> {
    let tagged: Vec<&Volume> = data
        .iter()
        .copied()
        .filter(|volume| tagged_paths(volume, rules).any(|path| path == directory.path))
        .collect();
    if tagged.is_empty() {
        return None;
    }
    let volumes = ids(&tagged);
    if share(directory.total_bytes, &tagged).is_some_and(|share| share > 1.0) {
        let reason = format!(
            "{} is larger than {}, which the tag {} names",
            directory.path,
            volumes.join(" and "),
            rules.log_dir_tag
        );
        return Some(Backing::Mismatch { volumes, reason });
    }
    Some(Backing::Identified {
        volumes,
        method: BackingMethod::Tag,
        confidence: Confidence::High,
    })
}

fn by_size(directory: Directory<'_>, data: &[&Volume], has_store: bool, instance: &str, rules: &Rules) -> Backing {
    // What is tagged for other directories is spoken for.
    let free: Vec<&Volume> = data
        .iter()
        .copied()
        .filter(|volume| tagged_paths(volume, rules).next().is_none())
        .collect();
    let path = directory.path;
    let tag = &rules.log_dir_tag;
    let Some(only) = free.first() else {
        let reason = match has_store {
            true => format!("{instance} has no data volume for {path}: it is on the instance store"),
            false => format!(
                "{instance} has no data volume for {path}: it is on the root volume, or the volume is tagged for another directory"
            ),
        };
        return Backing::Unknown { reason };
    };
    let fits: Vec<&Volume> = free
        .iter()
        .copied()
        .filter(|volume| {
            share(directory.total_bytes, &[volume]).is_some_and(|share| (LEAST_SHARE..=1.0).contains(&share))
        })
        .collect();
    match (fits.as_slice(), free.len()) {
        ([volume], _) => identified(volume, BackingMethod::Size, Confidence::High),
        ([], 1) if !has_store => only_volume(directory, only),
        ([], _) => Backing::Unknown {
            reason: format!("no volume of {instance} has the size of {path}: tag its volume {tag}={path}"),
        },
        (several, _) => Backing::Ambiguous {
            candidates: ids(several),
            reason: format!(
                "{} volumes of {instance} have the size of {path}: tag its volume {tag}={path}",
                several.len()
            ),
        },
    }
}

fn only_volume(directory: Directory<'_>, volume: &Volume) -> Backing {
    match share(directory.total_bytes, &[volume]) {
        Some(share) if share > 1.0 => Backing::Mismatch {
            volumes: vec![volume.id.clone()],
            reason: format!("{} is larger than the only data volume, {}", directory.path, volume.id),
        },
        // Much smaller: the volume grew and the file system did not, or this is the root file system.
        Some(_) => identified(volume, BackingMethod::OnlyVolume, Confidence::Low),
        None => identified(volume, BackingMethod::OnlyVolume, Confidence::Medium),
    }
}

fn identified(volume: &Volume, method: BackingMethod, confidence: Confidence) -> Backing {
    Backing::Identified {
        volumes: vec![volume.id.clone()],
        method,
        confidence,
    }
}

fn tagged_paths<'a>(volume: &'a Volume, rules: &Rules) -> impl Iterator<Item = &'a str> {
    let tag = volume.tags.get(&rules.log_dir_tag).map_or("", String::as_str);
    tag.split(',').map(str::trim).filter(|path| !path.is_empty())
}

fn ids(volumes: &[&Volume]) -> Vec<String> {
    volumes.iter().map(|volume| volume.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(id: &str, size_gib: i64, tag: &str) -> Volume {
        let mut volume = Volume {
            id: id.to_owned(),
            size_gib,
            device: Some(format!("/dev/{id}")),
            ..Volume::default()
        };
        if !tag.is_empty() {
            volume.tags.insert("kafka:log-dir".to_owned(), tag.to_owned());
        }
        volume
    }

    fn told(directories: &[(&str, Option<f64>)], volumes: &[Volume], store_gb: i64) -> Vec<Backing> {
        let directories: Vec<_> = directories
            .iter()
            .map(|(path, gib)| Directory {
                path,
                total_bytes: gib.map(|gib| (gib * GIB) as u64),
            })
            .collect();
        let instance = Instance {
            id: "i-1".to_owned(),
            root_device: Some("/dev/root".to_owned()),
            ..Instance::default()
        };
        let limits = InstanceType {
            instance_storage_gb: Some(store_gb),
            ..InstanceType::default()
        };
        let attached: Vec<_> = volumes.iter().collect();
        back(&directories, &instance, &attached, Some(&limits), &Rules::default())
            .into_values()
            .collect()
    }

    fn is(backing: &Backing, id: &str, how: BackingMethod, sure: Confidence) -> bool {
        *backing
            == Backing::Identified {
                volumes: vec![id.to_owned()],
                method: how,
                confidence: sure,
            }
    }

    #[test]
    fn a_tag_names_the_volume_and_the_root_is_left_out() {
        let volumes = [
            volume("root", 100, ""),
            volume("a", 100, "/data/0"),
            volume("b", 100, "/data/1"),
        ];
        let told = told(&[("/data/0", Some(98.0)), ("/data/1", Some(98.0))], &volumes, 0);
        assert!(is(&told[0], "a", BackingMethod::Tag, Confidence::High), "{told:?}");
        assert!(is(&told[1], "b", BackingMethod::Tag, Confidence::High), "{told:?}");
    }

    #[test]
    fn one_tag_on_two_volumes_is_a_raid() {
        let told = told(
            &[("/data", Some(198.0))],
            &[volume("a", 100, "/data"), volume("b", 100, "/data")],
            0,
        );
        assert_eq!(told[0].volumes(), ["a", "b"]);
    }

    #[test]
    fn a_tagged_volume_that_is_too_small_is_a_mismatch() {
        let told = told(&[("/data", Some(120.0))], &[volume("a", 100, "/data")], 0);
        assert!(matches!(told[0], Backing::Mismatch { .. }));
    }

    #[test]
    fn a_unique_size_tells() {
        let told = told(
            &[("/data", Some(98.0))],
            &[volume("a", 100, ""), volume("b", 200, "")],
            0,
        );
        assert!(is(&told[0], "a", BackingMethod::Size, Confidence::High), "{told:?}");
    }

    #[test]
    fn equal_sizes_are_ambiguous_until_one_is_spoken_for() {
        let dirs = [("/data/0", Some(98.0)), ("/data/1", Some(98.0))];
        let both = told(&dirs, &[volume("a", 100, ""), volume("b", 100, "")], 0);
        assert!(both.iter().all(|backing| matches!(backing, Backing::Ambiguous { .. })));
        let one = told(&dirs, &[volume("a", 100, "/data/0"), volume("b", 100, "")], 0);
        assert!(is(&one[1], "b", BackingMethod::Size, Confidence::High), "{one:?}");
    }

    #[test]
    fn the_only_volume_is_taken_with_less_confidence() {
        let unsized_one = told(&[("/data", None)], &[volume("a", 100, "")], 0);
        assert!(is(&unsized_one[0], "a", BackingMethod::OnlyVolume, Confidence::Medium));
        let grown = told(&[("/data", Some(49.0))], &[volume("a", 100, "")], 0);
        assert!(is(&grown[0], "a", BackingMethod::OnlyVolume, Confidence::Low));
        let large = told(&[("/data", Some(120.0))], &[volume("a", 100, "")], 0);
        assert!(matches!(large[0], Backing::Mismatch { .. }));
    }

    #[test]
    fn no_volume_fits_when_there_is_an_instance_store() {
        let store = told(&[("/data", Some(900.0))], &[volume("a", 100, "")], 1000);
        assert!(matches!(store[0], Backing::Unknown { .. }));
        let none = told(&[("/data", Some(900.0))], &[], 1000);
        assert!(none[0].problem().unwrap().contains("instance store"));
    }
}
