//! Plans that change EBS volumes: modified and then extended, snapshotted, made from a snapshot, attached and detached.
//!
//! Promises: what is tried out with DryRun is the very call that is made; a volume is taken from no broker that runs; a price is
//! told before and after; whatever cannot be taken back says so.

mod gate;
#[cfg(test)]
pub(super) mod tests;
mod words;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Plan, Step, Undo, known};
use crate::model::cloud::{Instance, Volume};
use crate::model::driver::{DriverName, Place, Way};
use crate::model::identity::Identity;
use crate::model::row::Rows;
use crate::model::snapshot::Snapshot;
use crate::model::volume::{Change, EbsSnapshot, Shape};
use crate::model::{BrokerId, Moment};

pub use gate::standing;
pub(super) use words::{figures, title};
pub use words::{lines, name};

/// A file system takes this part of its volume at least; see `model::backing`.
pub(super) const LEAST_SHARE: f64 = 0.93;
/// One that takes this part of its volume has nothing left to take; only of others can that not be told from outside.
const WHOLE_SHARE: f64 = 0.99;
/// Of what a volume grows by, the part that its file system grows by at least: ext4 gives some to inodes.
const LEAST_GROWTH: f64 = 0.9;
const GIB: f64 = (1u64 << 30) as f64;

/// What shall be done, and what had to be asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub verb: Verb,
    /// Of the context; `None` is the only one that it has.
    pub driver: Option<DriverName>,
    /// What extends file systems, or why nothing does.
    pub way: Result<Way, String>,
    /// What EC2 said when it was asked whether it would do it; `None` before anybody asked.
    pub trial: Option<Result<(), String>>,
    /// The volume or snapshot that was named, where it belongs to no broker that is seen.
    pub found: Found,
}

/// What EC2 tells of what was named.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub volume: Option<Box<Volume>>,
    pub snapshot: Option<Box<EbsSnapshot>>,
    /// Why it does not.
    pub problem: Option<String>,
}

/// The verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    Modify {
        volume: String,
        wanted: Wanted,
    },
    Snapshot {
        broker: BrokerId,
    },
    Create {
        snapshot: String,
        broker: BrokerId,
        wanted: Wanted,
    },
    Attach {
        volume: String,
        broker: BrokerId,
        device: Option<String>,
    },
    Detach {
        volume: String,
    },
    /// Its file system has not grown with it.
    Extend {
        volume: String,
    },
}

/// What of a volume shall be otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub size_gib: Option<i64>,
    pub volume_type: Option<String>,
    pub iops: Option<i64>,
    pub throughput_mib_per_second: Option<i64>,
}

/// One step of such a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    Change {
        /// Whose volume it is, or shall be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broker: Option<BrokerId>,
        change: Change,
    },
    Extend(Extend),
    Verify(Verify),
}

/// A broker runs where it shall, as who it was, with every log directory that it had; done when Kafka and EC2 tell so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    pub broker: BrokerId,
    pub instance: String,
    /// Its log directories.
    pub paths: Vec<String>,
}

/// A file system grows to the size of its volume; done when the broker tells of more bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    pub broker: BrokerId,
    pub path: String,
    pub volume: String,
    pub size_gib: i64,
    /// As many bytes at least.
    pub least_bytes: u64,
    /// What does it on the host; without it a person does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// What is run on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub driver: DriverName,
    pub words: Vec<String>,
    pub deadline_seconds: u64,
    pub place: Place,
}

impl Wish {
    pub fn new(verb: Verb) -> Self {
        Self {
            verb,
            driver: None,
            way: Err("no driver was looked for".to_owned()),
            trial: None,
            found: Found::default(),
        }
    }

    /// The volume that is named, as far as it is known.
    fn volume<'a>(&'a self, snapshot: &'a Snapshot, id: &str) -> Result<&'a Volume, Error> {
        let known = snapshot.cloud.volume(id).or(self.found.volume.as_deref());
        known.ok_or_else(|| match &self.found.problem {
            Some(why) => Error::Impossible(format!("volume {id} is not known: {why}")),
            None => Error::Impossible(format!("there is no volume {id}; azimuth volume list tells them")),
        })
    }

    /// Whether EC2 has to be asked for what is named.
    pub fn is_stranger(&self, snapshot: &Snapshot) -> bool {
        match &self.verb {
            Verb::Modify { volume, .. } | Verb::Attach { volume, .. } | Verb::Detach { volume } => {
                snapshot.cloud.volume(volume).is_none()
            }
            Verb::Create { .. } => true,
            Verb::Snapshot { .. } | Verb::Extend { .. } => false,
        }
    }

    /// The call that changes something.
    ///
    /// # Errors
    /// When what is named does not exist, or EBS has no such volume.
    pub fn change(&self, snapshot: &Snapshot) -> Result<Change, Error> {
        match &self.verb {
            Verb::Modify { volume, wanted } => {
                let from = Shape::of(self.volume(snapshot, volume)?);
                let to = wanted.of(&from)?;
                if from == to {
                    return Err(Error::Nothing(format!("{volume} is {} already", to.words())));
                }
                if to.size_gib < from.size_gib {
                    return Err(Error::Impossible(format!(
                        "{volume} has {} GiB, and a volume cannot shrink; move its replicas to a smaller one (reassign plan --drain-dir)",
                        from.size_gib
                    )));
                }
                Ok(Change::Modify {
                    volume: volume.clone(),
                    from,
                    to,
                })
            }
            Verb::Snapshot { broker } => {
                let instance = instance(snapshot, *broker)?;
                let backed: Vec<String> = data_volumes(snapshot, *broker)?;
                let attached = snapshot.cloud.volumes_of(&instance.id);
                let without = attached
                    .filter(|volume| volume.device != instance.root_device && !backed.contains(&volume.id))
                    .map(|volume| volume.id.clone());
                Ok(Change::Snapshot {
                    instance: instance.id.clone(),
                    without: without.collect(),
                    description: format!("kafka broker {broker}, by azimuth"),
                    volumes: backed,
                })
            }
            Verb::Create {
                snapshot: id,
                broker,
                wanted,
            } => {
                let instance = instance(snapshot, *broker)?;
                let Some(source) = &self.found.snapshot else {
                    return Err(Error::Impossible(match &self.found.problem {
                        Some(why) => format!("snapshot {id} is not known: {why}"),
                        None => format!("there is no snapshot {id} that this account may use"),
                    }));
                };
                let usual = Shape {
                    volume_type: "gp3".to_owned(),
                    size_gib: source.size_gib,
                    iops: Some(3000),
                    throughput_mib_per_second: Some(125),
                };
                let like = data_volumes(snapshot, *broker).unwrap_or_default();
                let like = like.first().and_then(|id| snapshot.cloud.volume(id)).map(Shape::of);
                let base = Shape {
                    size_gib: source.size_gib,
                    ..like.unwrap_or(usual)
                };
                let shape = wanted.of(&base)?;
                if shape.size_gib < source.size_gib {
                    return Err(Error::Impossible(format!(
                        "{id} has {} GiB; a volume made from it is no smaller",
                        source.size_gib
                    )));
                }
                let ours = |key: &String| !key.starts_with("aws:") && !key.starts_with("azimuth:");
                let tags = source.tags.iter().filter(|(key, _)| ours(key));
                Ok(Change::Create {
                    snapshot: id.clone(),
                    zone: instance.zone.clone(),
                    encrypted: false,
                    kms_key: None,
                    tags: tags.map(|(key, value)| (key.clone(), value.clone())).collect(),
                    shape,
                })
            }
            Verb::Attach { volume, broker, device } => {
                let instance = instance(snapshot, *broker)?;
                self.volume(snapshot, volume)?;
                let device = device.clone().map_or_else(|| free_device(snapshot, &instance.id), Ok)?;
                Ok(Change::Attach {
                    volume: volume.clone(),
                    instance: instance.id.clone(),
                    device,
                })
            }
            Verb::Extend { volume } => Err(Error::Nothing(format!("{volume} itself is not changed"))),
            Verb::Detach { volume } => {
                let found = self.volume(snapshot, volume)?;
                let (Some(instance), Some(device)) = (&found.instance, &found.device) else {
                    return Err(Error::Nothing(format!("{volume} is attached to no instance")));
                };
                Ok(Change::Detach {
                    volume: volume.clone(),
                    instance: instance.clone(),
                    device: device.clone(),
                })
            }
        }
    }
}

impl Wanted {
    /// The whole shape. Another type takes over only what it has itself, and gp3 what comes with it.
    fn of(&self, from: &Shape) -> Result<Shape, Error> {
        let volume_type = self.volume_type.clone().unwrap_or_else(|| from.volume_type.clone());
        let same = volume_type == from.volume_type;
        let usual = |gp3: i64| match (same, volume_type.as_str()) {
            (false, "gp3") => Some(gp3),
            _ => None,
        };
        let shape = Shape {
            size_gib: self.size_gib.unwrap_or(from.size_gib),
            iops: self.iops.or(from.iops.filter(|_| same)).or(usual(3000)),
            throughput_mib_per_second: self
                .throughput_mib_per_second
                .or(from.throughput_mib_per_second.filter(|_| same))
                .or(usual(125)),
            volume_type,
        };
        shape.fault().map_or(Ok(shape), |fault| Err(Error::Impossible(fault)))
    }
}

/// Works it out. Needs cluster, links, log dirs, instances and volumes, and what the wish was told beside.
///
/// # Errors
/// When what is named does not exist, or EBS has no such volume.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    if let Verb::Extend { volume } = &wish.verb {
        return extending(snapshot, wish, volume, context, now);
    }
    let change = wish.change(snapshot)?;
    let extend = extend(snapshot, wish, &change)?;
    let gates = gate::gates(snapshot, wish, &change, extend.as_ref(), now);
    let kind = match change {
        Change::Modify { .. } => Kind::VolumeModify,
        Change::Snapshot { .. } => Kind::VolumeSnapshot,
        Change::Create { .. } => Kind::VolumeCreate,
        Change::Attach { .. } => Kind::VolumeAttach,
        Change::Detach { .. } => Kind::VolumeDetach,
        Change::Tag { .. } => Kind::BrokerReplace,
    };
    let broker = match &wish.verb {
        Verb::Snapshot { broker } | Verb::Create { broker, .. } | Verb::Attach { broker, .. } => Some(*broker),
        Verb::Modify { volume, .. } | Verb::Detach { volume } | Verb::Extend { volume } => {
            holder(snapshot, volume).map(|(broker, ..)| broker)
        }
    };
    let acts = [
        Some(Act::Change {
            broker,
            change: change.clone(),
        }),
        extend.map(Act::Extend),
    ];
    Ok(Plan {
        title: change.words(),
        gates,
        undo: undo(&change),
        steps: acts.into_iter().flatten().map(Step::Volume).collect(),
        ..Plan::draft(snapshot, kind, context, now)?
    })
}

/// Only the file system grows.
fn extending(snapshot: &Snapshot, wish: &Wish, volume: &str, context: &str, now: Moment) -> Result<Plan, Error> {
    let size_gib = wish.volume(snapshot, volume)?.size_gib;
    let (broker, path) = match holder(snapshot, volume) {
        Some((broker, path, 1)) => (broker, path),
        Some((broker, path, several)) => {
            return Err(Error::Impossible(format!(
                "{several} volumes form the file system of {path} on broker {broker}: grow the array by hand"
            )));
        }
        None => {
            return Err(Error::Impossible(format!(
                "no log directory is known to lie on {volume}; the volume's tag kafka:log-dir tells it"
            )));
        }
    };
    let extend = file_system(snapshot, wish, broker, path, volume, size_gib)?;
    // What is run is harmless where nothing is left to do; a person is not sent to the host for that.
    let share = match extend.run {
        Some(_) => WHOLE_SHARE,
        None => LEAST_SHARE,
    };
    if total(snapshot, broker, path).is_some_and(|total| total as f64 >= size_gib as f64 * GIB * share) {
        return Err(Error::Nothing(format!(
            "{path} of broker {broker} has all of {volume} already"
        )));
    }
    let act = Act::Extend(extend);
    Ok(Plan {
        title: name(&act),
        gates: gate::of_host(snapshot, wish, &act, now),
        undo: Undo::Full {
            how: "nothing to take back: the volume is paid already".to_owned(),
        },
        steps: vec![Step::Volume(act)],
        ..Plan::draft(snapshot, Kind::VolumeExtend, context, now)?
    })
}

/// What a plan of it is for.
pub(super) fn wish_of(plan: &Plan) -> Wish {
    let only = plan.steps.iter().find_map(|step| match step {
        Step::Volume(Act::Extend(extend)) if plan.kind == Kind::VolumeExtend => Some(extend.volume.clone()),
        _ => None,
    });
    if let Some(volume) = only {
        return Wish::new(Verb::Extend { volume });
    }
    let acts = plan.steps.iter().filter_map(|step| match step {
        Step::Volume(Act::Change { broker, change }) => Some((change, broker.unwrap_or_default())),
        _ => None,
    });
    let verb = acts.map(|(change, broker)| verb_of(change, broker)).next();
    Wish::new(verb.unwrap_or(Verb::Detach { volume: String::new() }))
}

fn verb_of(change: &Change, broker: BrokerId) -> Verb {
    match change.clone() {
        Change::Modify { volume, to, .. } => Verb::Modify {
            volume,
            wanted: Wanted::exactly(&to),
        },
        Change::Snapshot { .. } => Verb::Snapshot { broker },
        Change::Create { snapshot, shape, .. } => Verb::Create {
            snapshot,
            broker,
            wanted: Wanted::exactly(&shape),
        },
        Change::Attach { volume, device, .. } => Verb::Attach {
            volume,
            broker,
            device: Some(device),
        },
        Change::Detach { volume, .. } => Verb::Detach { volume },
        // Part of what moves a broker, which is no plan of this module.
        Change::Tag { .. } => Verb::Detach { volume: String::new() },
    }
}

impl Wanted {
    fn exactly(shape: &Shape) -> Self {
        Self {
            size_gib: Some(shape.size_gib),
            volume_type: Some(shape.volume_type.clone()),
            iops: shape.iops,
            throughput_mib_per_second: shape.throughput_mib_per_second,
        }
    }
}

fn undo(change: &Change) -> Undo {
    match change {
        Change::Modify { from, to, .. } if from.size_gib != to.size_gib => Undo::None {
            why: "a volume cannot shrink".to_owned(),
        },
        Change::Modify { .. } => Undo::Full {
            how: "modify it back, which is one more of 4 in 24 h".to_owned(),
        },
        Change::Snapshot { .. } => Undo::Partial {
            how: "aws ec2 delete-snapshot takes each away".to_owned(),
        },
        Change::Create { .. } => Undo::Partial {
            how: "aws ec2 delete-volume, with all that was written to it".to_owned(),
        },
        Change::Attach { volume, .. } => Undo::Full {
            how: format!("azimuth volume detach {volume}"),
        },
        Change::Detach { volume, device, .. } => Undo::Full {
            how: format!("azimuth volume attach {volume} --device {device}"),
        },
        Change::Tag { value, from, .. } => Undo::Full {
            how: format!("azimuth broker replace {value} --instance {from}"),
        },
    }
}

/// What takes a change back.
pub(super) fn undoing(steps: &[&Step]) -> Result<Wish, Error> {
    let mut changes = steps.iter().filter_map(|step| match step {
        Step::Volume(Act::Change { broker, change }) => Some((change, *broker)),
        _ => None,
    });
    let no = |why: &str| Err(Error::Impossible(why.to_owned()));
    let Some((change, broker)) = changes.next_back() else {
        return Err(Error::Nothing("no volume was changed".to_owned()));
    };
    match change {
        Change::Modify { from, to, .. } if from.size_gib != to.size_gib => no("a volume cannot shrink"),
        Change::Modify { volume, from, .. } => Ok(Wish::new(Verb::Modify {
            volume: volume.clone(),
            wanted: Wanted::exactly(from),
        })),
        Change::Attach { volume, .. } => Ok(Wish::new(Verb::Detach { volume: volume.clone() })),
        Change::Detach { volume, device, .. } => match broker {
            Some(broker) => Ok(Wish::new(Verb::Attach {
                volume: volume.clone(),
                broker,
                device: Some(device.clone()),
            })),
            None => no(&format!(
                "azimuth volume attach {volume} --broker ID --device {device} attaches it again"
            )),
        },
        Change::Snapshot { .. } => no("aws ec2 delete-snapshot takes each away; nothing here deletes a backup"),
        Change::Create { .. } => no("aws ec2 delete-volume takes it away; nothing here deletes data"),
        Change::Tag { value, from, .. } => no(&format!(
            "azimuth broker replace {value} --instance {from} moves it back"
        )),
    }
}

/// The instance of a broker, known beyond doubt and seen.
pub(super) fn instance(snapshot: &Snapshot, broker: BrokerId) -> Result<&Instance, Error> {
    match snapshot.cloud.identities.get(&broker) {
        Some(Identity::Identified { instance, .. }) => snapshot
            .cloud
            .instance(instance)
            .ok_or_else(|| Error::Impossible(format!("instance {instance} of broker {broker} could not be asked"))),
        _ => Err(Error::Impossible(format!(
            "which instance broker {broker} runs on is not known beyond doubt; azimuth broker show {broker} tells what is, `brokers` in the context settles it"
        ))),
    }
}

/// The volumes behind the log directories of a broker.
pub(super) fn data_volumes(snapshot: &Snapshot, broker: BrokerId) -> Result<Vec<String>, Error> {
    let backings = snapshot.cloud.backings.get(&broker).filter(|dirs| !dirs.is_empty());
    let Some(backings) = backings else {
        return Err(Error::Impossible(format!(
            "the log directories of broker {broker} are not known"
        )));
    };
    let mut all: Vec<String> = Vec::new();
    for (path, backing) in backings {
        if let Some(why) = backing.problem() {
            return Err(Error::Impossible(format!(
                "which volume backs {path} of broker {broker}: {why}"
            )));
        }
        all.extend(backing.volumes().iter().cloned());
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Which broker's log directory lies on a volume.
pub(super) fn holder<'a>(snapshot: &'a Snapshot, volume: &str) -> Option<(BrokerId, &'a str, usize)> {
    snapshot.cloud.backings.iter().find_map(|(broker, dirs)| {
        dirs.iter().find_map(|(path, backing)| {
            let all = backing.volumes();
            all.iter()
                .any(|id| id == volume)
                .then_some((*broker, path.as_str(), all.len()))
        })
    })
}

/// The first name that no volume of the instance has. Source: EC2 user guide, "Device names on Linux instances": data volumes are
/// `/dev/sdf` to `/dev/sdp`.
fn free_device(snapshot: &Snapshot, instance: &str) -> Result<String, Error> {
    let taken: Vec<&str> = snapshot
        .cloud
        .volumes_of(instance)
        .filter_map(|volume| volume.device.as_deref())
        .collect();
    ('f'..='p')
        .map(|letter| format!("/dev/sd{letter}"))
        .find(|device| !taken.contains(&device.as_str()))
        .ok_or_else(|| Error::Impossible(format!("{instance} has no device name left from /dev/sdf to /dev/sdp")))
}

/// After a volume has grown its file system has to.
fn extend(snapshot: &Snapshot, wish: &Wish, change: &Change) -> Result<Option<Extend>, Error> {
    let Change::Modify { volume, from, to } = change else {
        return Ok(None);
    };
    let Some((broker, path, 1)) = holder(snapshot, volume).filter(|_| to.size_gib > from.size_gib) else {
        return Ok(None);
    };
    let mut extend = file_system(snapshot, wish, broker, path, volume, to.size_gib)?;
    if let Some(before) = total(snapshot, broker, path) {
        // Less than the tolerance may be what is added.
        let added = (to.size_gib - from.size_gib) as f64 * GIB * LEAST_GROWTH;
        extend.least_bytes = extend.least_bytes.max(before + added as u64);
    }
    Ok(Some(extend))
}

/// The size of the file system of a log directory, in bytes, as its broker told.
fn total(snapshot: &Snapshot, broker: BrokerId, path: &str) -> Option<u64> {
    let dirs = snapshot.logdirs.get(&broker)?.get()?;
    dirs.iter().find(|dir| dir.path == path)?.total_bytes
}

fn file_system(
    snapshot: &Snapshot,
    wish: &Wish,
    broker: BrokerId,
    path: &str,
    volume: &str,
    size_gib: i64,
) -> Result<Extend, Error> {
    let row = Rows::of(snapshot, snapshot.taken_at.unwrap_or_default());
    let row = row.brokers.into_iter().find(|row| row.id == broker);
    let instance = instance(snapshot, broker).ok().map(|instance| instance.id.clone());
    let place = Place {
        broker,
        host: row.as_ref().map(|row| row.host.clone()).unwrap_or_default(),
        az: row.map(|row| row.zone).filter(|zone| zone != "?"),
        instance,
    };
    let run = match &wish.way {
        Ok(way) => match way.growing(&place, path) {
            Some(words) => Some(Run {
                driver: way.driver,
                words: words.map_err(Error::Impossible)?,
                deadline_seconds: way.deadline_seconds,
                place,
            }),
            None => None,
        },
        Err(why) if wish.driver.is_some() => return Err(Error::Impossible(why.clone())),
        Err(_) => None,
    };
    Ok(Extend {
        broker,
        path: path.to_owned(),
        volume: volume.to_owned(),
        size_gib,
        least_bytes: (size_gib as f64 * GIB * LEAST_SHARE) as u64,
        run,
    })
}

/// How a broker stands that was moved: the words that say it is well, or what is not so yet.
///
/// # Errors
/// The first thing that is not as it shall be.
pub fn verified(snapshot: &Snapshot, verify: &Verify, cluster_id: &str) -> Result<String, String> {
    let Verify {
        broker,
        instance,
        paths,
    } = verify;
    let cluster = snapshot.cluster.get();
    let cluster = cluster.ok_or_else(|| snapshot.cluster.problem().unwrap_or_default())?;
    if cluster.id != cluster_id {
        return Err(format!("the cluster is {}, not {cluster_id}", cluster.id));
    }
    match cluster.brokers.iter().find(|one| one.id == *broker) {
        None => return Err(format!("broker {broker} is not registered")),
        Some(one) if one.fenced => return Err(format!("broker {broker} is fenced")),
        Some(_) => {}
    }
    let dirs = snapshot.logdirs.get(broker);
    let told = dirs.filter(|dirs| dirs.is_fresh()).and_then(|dirs| dirs.get());
    let told = told.ok_or_else(|| format!("broker {broker} does not tell of its log directories"))?;
    for path in paths {
        match told.iter().find(|dir| dir.path == *path) {
            None => return Err(format!("broker {broker} has no log directory {path} any more")),
            Some(dir) => {
                if let Some(error) = &dir.error {
                    return Err(format!("log directory {path} of broker {broker}: {error}"));
                }
            }
        }
    }
    match snapshot.cloud.identities.get(broker) {
        Some(Identity::Identified { instance: on, .. }) if on == instance => {}
        Some(Identity::Identified { instance: on, .. }) => {
            return Err(format!(
                "broker {broker} is taken to run on {on}, by the address that it advertises; its name or address must lead to {instance}"
            ));
        }
        Some(other) => {
            let why = other.problem().unwrap_or_default();
            return Err(format!(
                "whether broker {broker} runs on {instance} is not known: {why}"
            ));
        }
        None => return Err(format!("which instance broker {broker} runs on is not known")),
    }
    Ok(format!(
        "broker {broker} runs on {instance}, in cluster {cluster_id}, with {} online",
        paths.join(", ")
    ))
}

/// What is run on hosts by such a plan.
pub fn runs(plan: &Plan) -> impl Iterator<Item = (&Extend, &Run)> {
    plan.steps.iter().filter_map(|step| match step {
        Step::Volume(Act::Extend(extend)) => Some((extend, extend.run.as_ref()?)),
        _ => None,
    })
}
