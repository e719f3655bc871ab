//! What can be asked of EBS: how a volume shall be, and each change as one value, so that what is tried out is what is done.
//!
//! Sources: EC2 API reference (ModifyVolume, CreateSnapshots, CreateVolume, AttachVolume, DetachVolume) and the EBS user guide,
//! "Amazon EBS volume types".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Moment;
use super::cloud::Volume;
use super::price;

/// The tag of what an operation made, by which it is found again.
pub const OPERATION_TAG: &str = "azimuth:operation";

/// What comes with every gp3 volume.
const GP3_IOPS: i64 = 3000;
const GP3_MIB: i64 = 125;

/// Kind, size and what is provisioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub volume_type: String,
    pub size_gib: i64,
    /// `None` where the type has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<i64>,
    /// gp3 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_mib_per_second: Option<i64>,
}

/// One call that changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    Modify {
        volume: String,
        from: Shape,
        to: Shape,
    },
    /// Of all volumes of an instance but its root and these, at one moment.
    Snapshot {
        instance: String,
        volumes: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        without: Vec<String>,
        description: String,
    },
    Create {
        snapshot: String,
        /// The zone's name.
        zone: String,
        shape: Shape,
        encrypted: bool,
        /// What it is encrypted with; the account's key for EBS without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kms_key: Option<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        tags: BTreeMap<String, String>,
    },
    Attach {
        volume: String,
        instance: String,
        device: String,
    },
    Detach {
        volume: String,
        instance: String,
        device: String,
    },
    /// What says whose an instance is, which goes from one to another with the broker.
    Tag {
        key: String,
        value: String,
        from: String,
        to: String,
    },
}

/// What an earlier step of a plan makes, where its id is not known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Made {
    Snapshot,
    Volume,
}

impl Made {
    /// What stands for the id until then; steps count from 1: `VOLUME_OF_STEP_2`.
    pub fn of_step(self, step: usize) -> String {
        format!("{self}_OF_STEP_{step}")
    }
}

/// The step, counted from 1, whose id this stands for; `None` of an id.
pub fn step_of(id: &str) -> Option<usize> {
    id.rsplit_once("_OF_STEP_")?.1.parse().ok()
}

/// A snapshot as EC2 tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EbsSnapshot {
    pub id: String,
    pub volume: String,
    pub size_gib: i64,
    /// `pending`, `completed`, `error`.
    pub state: String,
    pub progress_percent: Option<i64>,
    pub encrypted: bool,
    pub started_at: Option<Moment>,
    pub tags: BTreeMap<String, String>,
}

impl Shape {
    pub fn of(volume: &Volume) -> Self {
        let gp3 = volume.volume_type == "gp3";
        let provisioned = gp3 || matches!(volume.volume_type.as_str(), "io1" | "io2");
        Self {
            volume_type: volume.volume_type.clone(),
            size_gib: volume.size_gib,
            iops: volume.iops.filter(|_| provisioned).or(gp3.then_some(GP3_IOPS)),
            throughput_mib_per_second: volume
                .throughput_mib_per_second
                .filter(|_| gp3)
                .or(gp3.then_some(GP3_MIB)),
        }
    }

    /// Why EBS has no such volume, if so. Larger and faster ones than the region has are refused by EC2 itself.
    pub fn fault(&self) -> Option<String> {
        let (kind, size) = (self.volume_type.as_str(), self.size_gib);
        let (least, most) = match kind {
            "gp3" => (1, 65_536),
            "gp2" => (1, 16_384),
            "io1" => (4, 16_384),
            "io2" => (4, 65_536),
            "st1" | "sc1" => (125, 16_384),
            "standard" => (1, 1_024),
            other => {
                return Some(format!(
                    "there is no volume type {other}; there are gp3 gp2 io1 io2 st1 sc1"
                ));
            }
        };
        if !(least..=most).contains(&size) {
            return Some(format!("a {kind} volume has {least} to {most} GiB, not {size}"));
        }
        match (kind, self.iops) {
            ("gp3", Some(iops)) => {
                let most = (size * 500).clamp(GP3_IOPS, 80_000);
                if !(GP3_IOPS..=most).contains(&iops) {
                    return Some(format!(
                        "a gp3 volume of {size} GiB has {GP3_IOPS} to {most} IOPS, not {iops}"
                    ));
                }
            }
            ("io1", Some(iops)) if !(100..=(size * 50).min(64_000)).contains(&iops) => {
                let most = (size * 50).min(64_000);
                return Some(format!(
                    "an io1 volume of {size} GiB has 100 to {most} IOPS, not {iops}"
                ));
            }
            ("io2", Some(iops)) if !(100..=(size * 1000).min(256_000)).contains(&iops) => {
                let most = (size * 1000).min(256_000);
                return Some(format!(
                    "an io2 volume of {size} GiB has 100 to {most} IOPS, not {iops}"
                ));
            }
            ("io1" | "io2", None) => return Some(format!("a {kind} volume wants --iops")),
            ("io1" | "io2", Some(_)) => {}
            (_, Some(_)) => return Some(format!("a {kind} volume has no IOPS of its own")),
            (_, None) => {}
        }
        let (iops, mib) = (self.iops.unwrap_or(GP3_IOPS), self.throughput_mib_per_second);
        match (kind, mib) {
            ("gp3", Some(mib)) if !(GP3_MIB..=2000).contains(&mib) => {
                Some(format!("a gp3 volume has {GP3_MIB} to 2000 MiB/s, not {mib}"))
            }
            ("gp3", Some(mib)) if mib * 4 > iops => Some(format!(
                "{mib} MiB/s want {} IOPS (a quarter MiB/s an IOPS): add --iops {}",
                mib * 4,
                mib * 4
            )),
            ("gp3", _) | (_, None) => None,
            (_, Some(_)) => Some(format!("a {kind} volume has no throughput of its own")),
        }
    }

    /// USD a month at the list price of us-east-1; `None` for a type that is not known here.
    pub fn usd_per_month(&self) -> Option<f64> {
        let gib = price::usd_per_gib(&self.volume_type)? * self.size_gib as f64;
        let extras = match self.volume_type.as_str() {
            "gp3" => price::gp3_extras(
                self.throughput_mib_per_second.unwrap_or(GP3_MIB),
                self.iops.unwrap_or(GP3_IOPS),
            ),
            // Their provisioned IOPS cost more than they do; the tiers are not kept here.
            "io1" | "io2" => return None,
            _ => 0.0,
        };
        Some(gib + extras)
    }

    /// `gp3 100 GiB 3000 IOPS 125 MiB/s`.
    pub fn words(&self) -> String {
        let iops = self.iops.map(|iops| format!(" {iops} IOPS")).unwrap_or_default();
        let mib = self.throughput_mib_per_second.map(|mib| format!(" {mib} MiB/s"));
        format!(
            "{} {} GiB{iops}{}",
            self.volume_type,
            self.size_gib,
            mib.unwrap_or_default()
        )
    }

    /// What differs in another: `100→200 GiB 125→250 MiB/s`.
    pub fn change(&self, to: &Self) -> String {
        let mut parts = Vec::new();
        if self.volume_type != to.volume_type {
            parts.push(format!("{}→{}", self.volume_type, to.volume_type));
        }
        if self.size_gib != to.size_gib {
            parts.push(format!("{}→{} GiB", self.size_gib, to.size_gib));
        }
        let amounts = [
            (self.iops, to.iops, "IOPS"),
            (self.throughput_mib_per_second, to.throughput_mib_per_second, "MiB/s"),
        ];
        let told = |amount: Option<i64>| amount.map_or("-".to_owned(), |amount| amount.to_string());
        for (from, to, unit) in amounts {
            if from != to {
                parts.push(format!("{}→{} {unit}", told(from), told(to)));
            }
        }
        parts.join(" ")
    }
}

impl Change {
    /// With the ids that earlier steps made.
    ///
    /// # Errors
    /// The step, counted from 1, that made none as far as is known.
    pub fn resolved(&self, made: impl Fn(usize) -> Option<String>) -> Result<Self, usize> {
        let mut change = self.clone();
        let id = match &mut change {
            Self::Create { snapshot, .. } => snapshot,
            Self::Modify { volume, .. } | Self::Attach { volume, .. } | Self::Detach { volume, .. } => volume,
            Self::Snapshot { .. } | Self::Tag { .. } => return Ok(change),
        };
        if let Some(step) = step_of(id) {
            *id = made(step).ok_or(step)?;
        }
        Ok(change)
    }

    /// As EC2 and its policies name it.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Modify { .. } => "ModifyVolume",
            Self::Snapshot { .. } => "CreateSnapshots",
            Self::Create { .. } => "CreateVolume",
            Self::Attach { .. } => "AttachVolume",
            Self::Detach { .. } => "DetachVolume",
            Self::Tag { .. } => "CreateTags",
        }
    }

    /// In a few words.
    pub fn words(&self) -> String {
        match self {
            Self::Modify { volume, from, to } => format!("modify {volume} {}", from.change(to)),
            Self::Snapshot { instance, volumes, .. } => match volumes.as_slice() {
                [only] => format!("snapshot {only} of {instance}"),
                many => format!("snapshot {} volumes of {instance} at one moment", many.len()),
            },
            Self::Create {
                snapshot,
                zone,
                shape,
                encrypted,
                ..
            } => {
                let how = if *encrypted { ", encrypted" } else { "" };
                format!("create a volume from {snapshot} in {zone}, {}{how}", shape.words())
            }
            Self::Attach {
                volume,
                instance,
                device,
            } => format!("attach {volume} to {instance} as {device}"),
            Self::Detach {
                volume,
                instance,
                device,
            } => format!("detach {volume} from {instance} ({device})"),
            Self::Tag { key, value, from, to } => format!("give {to} the tag {key}={value} of {from}"),
        }
    }

    /// The AWS CLI's line for the same.
    pub fn equivalent(&self) -> String {
        let aws = |rest: String| format!("aws ec2 {rest}");
        match self {
            Self::Modify { volume, from, to } => {
                let mut line = format!("modify-volume --volume-id {volume}");
                if from.volume_type != to.volume_type {
                    line.push_str(&format!(" --volume-type {}", to.volume_type));
                }
                if from.size_gib != to.size_gib {
                    line.push_str(&format!(" --size {}", to.size_gib));
                }
                for (flag, before, after) in [
                    ("--iops", from.iops, to.iops),
                    (
                        "--throughput",
                        from.throughput_mib_per_second,
                        to.throughput_mib_per_second,
                    ),
                ] {
                    if let Some(after) = after.filter(|_| before != after) {
                        line.push_str(&format!(" {flag} {after}"));
                    }
                }
                aws(line)
            }
            Self::Snapshot { instance, without, .. } => {
                let without = match without.is_empty() {
                    true => String::new(),
                    false => format!(",ExcludeDataVolumeIds={}", without.join(",")),
                };
                aws(format!(
                    "create-snapshots --instance-specification InstanceId={instance},ExcludeBootVolume=true{without} --copy-tags-from-source volume"
                ))
            }
            Self::Create {
                snapshot,
                zone,
                shape,
                encrypted,
                kms_key,
                ..
            } => {
                let how = if *encrypted { " --encrypted" } else { "" };
                let key = kms_key
                    .as_ref()
                    .map(|key| format!(" --kms-key-id {key}"))
                    .unwrap_or_default();
                aws(format!(
                    "create-volume --snapshot-id {snapshot} --availability-zone {zone} --volume-type {} --size {}{how}{key}",
                    shape.volume_type, shape.size_gib
                ))
            }
            Self::Attach {
                volume,
                instance,
                device,
            } => aws(format!(
                "attach-volume --volume-id {volume} --instance-id {instance} --device {device}"
            )),
            Self::Detach { volume, instance, .. } => {
                aws(format!("detach-volume --volume-id {volume} --instance-id {instance}"))
            }
            Self::Tag { key, value, from, to } => aws(format!(
                "create-tags --resources {to} --tags Key={key},Value={value}; aws ec2 delete-tags --resources {from} --tags Key={key},Value={value}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gp3(size_gib: i64, iops: i64, mib: i64) -> Shape {
        Shape {
            volume_type: "gp3".to_owned(),
            size_gib,
            iops: Some(iops),
            throughput_mib_per_second: Some(mib),
        }
    }

    #[test]
    fn what_ebs_does_not_have_is_told_with_the_bounds() {
        assert_eq!(gp3(100, 3000, 125).fault(), None);
        assert_eq!(gp3(1000, 8000, 2000).fault(), None);
        let told = |shape: Shape| shape.fault().unwrap();
        assert!(told(gp3(100, 3000, 1000)).contains("--iops 4000"));
        assert!(told(gp3(100_000, 3000, 125)).contains("1 to 65536 GiB"));
        assert!(told(gp3(4, 5000, 125)).contains("3000 to 3000 IOPS"));
        let st1 = Shape {
            volume_type: "st1".to_owned(),
            ..gp3(500, 3000, 125)
        };
        assert!(told(st1).contains("no IOPS of its own"));
        let io2 = Shape {
            volume_type: "io2".to_owned(),
            iops: None,
            throughput_mib_per_second: None,
            size_gib: 100,
        };
        assert!(told(io2).contains("wants --iops"));
    }

    #[test]
    fn a_price_has_the_extras_of_gp3() {
        assert_eq!(gp3(100, 3000, 125).usd_per_month(), Some(8.0));
        let usd = gp3(100, 4000, 250).usd_per_month().unwrap();
        assert!((usd - (8.0 + 5.0 + 5.0)).abs() < 1e-9, "{usd}");
    }

    #[test]
    fn what_a_step_makes_stands_for_its_id_until_it_is_known() {
        assert_eq!(Made::Volume.of_step(2), "VOLUME_OF_STEP_2");
        assert_eq!((step_of("VOLUME_OF_STEP_12"), step_of("vol-12")), (Some(12), None));
        let attach = |volume: &str| Change::Attach {
            volume: volume.to_owned(),
            instance: "i-1".to_owned(),
            device: "/dev/sdf".to_owned(),
        };
        let made = |step: usize| (step == 2).then(|| "vol-new".to_owned());
        assert_eq!(attach("VOLUME_OF_STEP_2").resolved(made), Ok(attach("vol-new")));
        assert_eq!(attach("VOLUME_OF_STEP_3").resolved(made), Err(3));
        assert_eq!(attach("vol-7").resolved(made), Ok(attach("vol-7")));
    }

    #[test]
    fn only_what_differs_is_told_and_asked_for() {
        let (from, to) = (gp3(100, 3000, 125), gp3(200, 3000, 250));
        assert_eq!(from.change(&to), "100→200 GiB 125→250 MiB/s");
        let change = Change::Modify {
            volume: "vol-1".to_owned(),
            from,
            to,
        };
        assert_eq!(
            change.equivalent(),
            "aws ec2 modify-volume --volume-id vol-1 --size 200 --throughput 250"
        );
    }
}
