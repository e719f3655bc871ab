//! Plans that change what a stopped broker stands on: its volumes go to another instance, or are exchanged for encrypted copies.
//!
//! Promises: whatever takes long is done before the broker stops; each step is one that the engine finds again when it died over it;
//! a volume leaves no broker that runs; the volumes that were there before stay, untouched, so that there is a way back.
//! The order is that of Zalando's bubuku (stop, detach, attach, start), with each step in the journal.

mod gate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::restart::{self, Turn};
use super::volume::{Act, Verify, data_volumes, instance};
use super::{Error, Kind, Plan, Step, Undo, known};
use crate::model::cloud::{Instance, Volume};
use crate::model::driver::{Action, DriverName, Place, Way};
use crate::model::row::Rows;
use crate::model::snapshot::Snapshot;
use crate::model::volume::{Change, Made, Shape};
use crate::model::{BrokerId, Moment};
use crate::plan::reassign::is_dead;

/// What is wanted of one broker, and what had to be asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub broker: BrokerId,
    pub what: What,
    /// Of the context; `None` is the only one that it has.
    pub driver: Option<DriverName>,
    /// What stops and starts the broker, or why nothing does.
    pub way: Result<Way, String>,
    /// The instance that takes over, once EC2 was asked.
    pub found: Result<Box<Host>, String>,
    /// What EC2 said to each kind of call when it was only asked; empty before anybody asked.
    pub trials: BTreeMap<String, Result<(), String>>,
}

/// Which of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The broker moves to this instance, with its volumes.
    Instance(String),
    /// The volumes that are not encrypted are exchanged for copies that are, under this key or the account's.
    Encrypt { kms_key: Option<String> },
}

/// An instance, and what is attached to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Host {
    pub instance: Instance,
    pub volumes: Vec<Volume>,
    /// Of the context: the tag that holds the id of an instance's broker.
    pub broker_tag: String,
}

impl Wish {
    pub fn new(broker: BrokerId, what: What) -> Self {
        Self {
            broker,
            what,
            driver: None,
            way: Err("no driver was looked for".to_owned()),
            found: Err("EC2 was not asked".to_owned()),
            trials: BTreeMap::new(),
        }
    }

    fn way(&self) -> Result<&Way, Error> {
        self.way.as_ref().map_err(|why| Error::Impossible(why.clone()))
    }

    /// Where the broker will run.
    fn place(&self, snapshot: &Snapshot, now: &Place) -> Result<Place, Error> {
        let What::Instance(id) = &self.what else {
            return Ok(now.clone());
        };
        let host = self.found.as_ref().map_err(|why| Error::Blind {
            what: "the new instance",
            why: why.clone(),
        })?;
        let found = &host.instance;
        let address = found.private_dns.clone().filter(|name| !name.is_empty());
        let address = address.or_else(|| found.private_addresses.first().cloned());
        let zone = snapshot.cloud.zones.get().and_then(|zones| zones.get(&found.zone));
        Ok(Place {
            host: address.unwrap_or_else(|| now.host.clone()),
            instance: Some(id.clone()),
            az: zone.map(|zone| zone.id.clone()).or_else(|| now.az.clone()),
            ..now.clone()
        })
    }

    /// The calls that change something, in order, as they would be made now.
    ///
    /// # Errors
    /// When the broker's instance or volumes are not known, or nothing would change.
    pub fn changes(&self, snapshot: &Snapshot) -> Result<Vec<Change>, Error> {
        let steps = self.steps(snapshot, &[])?;
        let change = |step: Step| match step {
            Step::Volume(Act::Change { change, .. }) => Some(change),
            _ => None,
        };
        Ok(steps.into_iter().filter_map(change).collect())
    }

    /// Everything around the turns that stop and start the broker.
    fn steps(&self, snapshot: &Snapshot, turns: &[Turn]) -> Result<Vec<Step>, Error> {
        let broker = self.broker;
        let old = instance(snapshot, broker)?;
        let data = data_volumes(snapshot, broker)?;
        let change = |change| {
            let broker = Some(broker);
            Step::Volume(Act::Change { broker, change })
        };
        let mut steps = Vec::new();
        // What is detached, and what is attached in its place.
        let mut pairs: Vec<(&Volume, String)> = Vec::new();
        let volumes = data.iter().map(|id| {
            let found = snapshot.cloud.volume(id);
            found.ok_or_else(|| Error::Impossible(format!("volume {id} of broker {broker} could not be asked")))
        });
        let volumes = volumes.collect::<Result<Vec<&Volume>, Error>>()?;
        match &self.what {
            What::Instance(id) if *id == old.id => {
                return Err(Error::Nothing(format!("broker {broker} runs on {id} already")));
            }
            What::Instance(_) => pairs.extend(volumes.iter().map(|volume| (*volume, volume.id.clone()))),
            What::Encrypt { kms_key } => {
                let open: Vec<&&Volume> = volumes.iter().filter(|volume| !volume.encrypted).collect();
                if open.is_empty() {
                    let all = data.join(", ");
                    return Err(Error::Nothing(format!(
                        "{all} of broker {broker} are encrypted already"
                    )));
                }
                for volume in open {
                    let attached = snapshot.cloud.volumes_of(&old.id);
                    let others = attached.filter(|one| one.device != old.root_device && one.id != volume.id);
                    steps.push(change(Change::Snapshot {
                        instance: old.id.clone(),
                        volumes: vec![volume.id.clone()],
                        without: others.map(|one| one.id.clone()).collect(),
                        description: format!("kafka broker {broker}, to be encrypted by azimuth"),
                    }));
                    let ours = |key: &String| !key.starts_with("aws:") && !key.starts_with("azimuth:");
                    let tags = volume.tags.iter().filter(|(key, _)| ours(key));
                    // EC2 encrypts what it makes from a snapshot that is not: no copy of the snapshot is needed.
                    steps.push(change(Change::Create {
                        snapshot: Made::Snapshot.of_step(steps.len()),
                        zone: old.zone.clone(),
                        shape: Shape::of(volume),
                        encrypted: true,
                        kms_key: kms_key.clone(),
                        tags: tags.map(|(key, value)| (key.clone(), value.clone())).collect(),
                    }));
                    pairs.push((*volume, Made::Volume.of_step(steps.len())));
                }
            }
        }
        let to = match &self.what {
            What::Instance(id) => id.clone(),
            What::Encrypt { .. } => old.id.clone(),
        };
        let turn = |action: Action| turns.iter().find(|turn| turn.action == action).cloned();
        steps.extend(turn(Action::Stop).map(Step::Restart));
        let device = |volume: &Volume| {
            let why = || {
                Error::Impossible(format!(
                    "under which device name {} is attached is not known",
                    volume.id
                ))
            };
            volume.device.clone().ok_or_else(why)
        };
        for (volume, _) in &pairs {
            steps.push(change(Change::Detach {
                volume: volume.id.clone(),
                instance: old.id.clone(),
                device: device(volume)?,
            }));
        }
        for (volume, next) in &pairs {
            steps.push(change(Change::Attach {
                volume: next.clone(),
                instance: to.clone(),
                device: device(volume)?,
            }));
        }
        // Where instances are told apart by it, it would speak for the old one.
        let key = self.found.as_ref().map_or("", |host| host.broker_tag.as_str());
        if to != old.id
            && let Some(value) = old.tags.get(key)
        {
            steps.push(change(Change::Tag {
                key: key.to_owned(),
                value: value.clone(),
                from: old.id.clone(),
                to: to.clone(),
            }));
        }
        steps.extend(turn(Action::Start).map(Step::Restart));
        steps.push(Step::Volume(Act::Verify(Verify {
            broker,
            instance: to,
            paths: snapshot
                .cloud
                .backings
                .get(&broker)
                .into_iter()
                .flat_map(|dirs| dirs.keys().cloned())
                .collect(),
        })));
        Ok(steps)
    }
}

/// Works it out. Needs what a restart and what volumes need, and what the wish was told beside.
///
/// # Errors
/// When the broker, its instance or its volumes are not known, or nothing would change.
pub fn plan(snapshot: &Snapshot, wish: &Wish, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.cluster, "the cluster")?;
    known(&snapshot.topics, "the topics")?;
    let rows = Rows::of(snapshot, now);
    let row = rows.brokers.iter().find(|row| row.id == wish.broker);
    let row = row.ok_or_else(|| Error::Impossible(format!("there is no broker {}", wish.broker)))?;
    let old = instance(snapshot, wish.broker)?;
    let way = wish.way()?;
    let of = |action| restart::Wish {
        driver: wish.driver,
        ..restart::Wish::new(action, restart::Whom::Brokers(vec![wish.broker]))
    };
    let stop = restart::turn(snapshot, &of(Action::Stop), way, row)?;
    let mut start = restart::turn(snapshot, &of(Action::Start), way, row)?;
    start.place = wish.place(snapshot, &start.place)?;
    start.words = way.words(Action::Start, &start.place).map_err(Error::Impossible)?;
    // Nobody can be stopped who is down.
    let turns: Vec<Turn> = match is_dead(snapshot, wish.broker) {
        true => vec![start],
        false => vec![stop, start],
    };
    let steps = wish.steps(snapshot, &turns)?;
    let kind = match wish.what {
        What::Instance(_) => Kind::BrokerReplace,
        What::Encrypt { .. } => Kind::VolumeEncrypt,
    };
    Ok(Plan {
        title: match &wish.what {
            What::Instance(id) => format!("broker {} from {} to {id}, with its volumes", wish.broker, old.id),
            What::Encrypt { .. } => format!("volumes of broker {} for copies that are encrypted", wish.broker),
        },
        gates: gate::gates(snapshot, wish, &turns, &steps, now),
        undo: undo(wish, &old.id, &steps),
        steps,
        ..Plan::draft(snapshot, kind, context, now)?
    })
}

fn undo(wish: &Wish, old: &str, steps: &[Step]) -> Undo {
    match &wish.what {
        What::Instance(_) => Undo::Full {
            how: format!("azimuth broker replace {} --instance {old}", wish.broker),
        },
        What::Encrypt { .. } => {
            let detached = steps.iter().filter_map(|step| match step {
                Step::Volume(Act::Change {
                    change: Change::Detach { volume, .. },
                    ..
                }) => Some(volume.as_str()),
                _ => None,
            });
            let old: Vec<&str> = detached.collect();
            Undo::Partial {
                how: format!(
                    "{} stays as it was when the broker stopped, and can be attached again; aws ec2 delete-volume when it is not needed any more",
                    old.join(", ")
                ),
            }
        }
    }
}

/// What is said of taking such a plan back.
pub(super) fn undoing(plan: &Plan) -> Error {
    Error::Impossible(match (&plan.kind, &plan.undo) {
        (Kind::BrokerReplace, Undo::Full { how }) => {
            format!("{how} moves it back, once this operation is over; azimuth operation resume ends it")
        }
        (_, undo) => undo.to_string(),
    })
}

/// What the plan takes beside being watched.
pub(super) fn figures(plan: &Plan) -> Vec<String> {
    let kind = |wanted: fn(&Change) -> bool| {
        let is = |step: &&Step| matches!(step, Step::Volume(Act::Change { change, .. }) if wanted(change));
        plan.steps.iter().filter(is).count()
    };
    let volumes = kind(|change| matches!(change, Change::Attach { .. }));
    let made = kind(|change| matches!(change, Change::Create { .. }));
    let mut parts = vec![match volumes {
        1 => "1 volume".to_owned(),
        many => format!("{many} volumes"),
    }];
    match made {
        0 => parts.push("no data copied but what is written meanwhile".to_owned()),
        _ => parts.push("the broker runs while it is copied, and reads from S3 at first afterwards".to_owned()),
    }
    parts
}

/// What a plan of it is for.
pub(super) fn wish_of(plan: &Plan) -> Wish {
    let verify = plan.steps.iter().find_map(|step| match step {
        Step::Volume(Act::Verify(verify)) => Some((verify.broker, verify.instance.clone())),
        _ => None,
    });
    let (broker, instance) = verify.unwrap_or_default();
    let what = match plan.kind {
        Kind::BrokerReplace => What::Instance(instance),
        _ => What::Encrypt { kms_key: None },
    };
    Wish::new(broker, what)
}
