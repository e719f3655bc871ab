//! What can be made to go wrong, as JSON for `POST /_script`: `{"throttle":"DescribeVolumes"}`, `{"outage":"use1-az2"}`,
//! `{"stall":"vol-…"}`, `{"lag":{"volume":"vol-…","milliseconds":250}}`, `{"recover":true}`. One script may name several. `*` stands for every operation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::State;
use super::ec2::Change;

/// One thing, or several, to happen now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Everything below this line first becomes well.
    pub recover: bool,
    /// The operation answers `RequestLimitExceeded`.
    pub throttle: Option<String>,
    /// The operation answers `UnauthorizedOperation`.
    pub deny: Option<String>,
    /// The operation answers `InternalError`.
    pub fail: Option<String>,
    /// Every operation says that the credentials have expired.
    pub expire: bool,
    /// The operation takes its time.
    pub slow: Option<SlowScript>,
    /// A zone, by name or id, is disrupted: calls that touch its instances fail, as do calls without ids.
    pub outage: Option<String>,
    /// The volume completes no operation any more.
    pub stall: Option<String>,
    /// Each operation of the volume takes longer.
    pub lag: Option<LagScript>,
    /// CloudWatch has no data for this metric, instance or volume from now on.
    pub gap: Option<String>,
    pub state: Option<StateScript>,
    /// A scheduled event appears on an instance, or the same one is told anew: `[Completed] …`.
    pub event: Option<EventScript>,
    /// A volume is modified; optimizing takes minutes.
    pub modify: Option<ModifyScript>,
    /// All modifications of the volume so far were more than a day ago: EC2 takes four again.
    pub rested: Option<String>,
    /// The volume was made without encryption.
    pub plain: Option<String>,
    /// The SSM agent of an instance is not heard any more.
    pub offline: Option<String>,
    /// The SSM agent of an instance is heard again.
    pub online: Option<String>,
    /// The operation is carried out and its answer is lost.
    pub lose: Option<String>,
    /// Commands of Systems Manager to an instance end so, and are not carried out.
    pub command: Option<CommandScript>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandScript {
    pub instance: String,
    pub code: i32,
    pub said: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowScript {
    pub operation: String,
    pub milliseconds: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LagScript {
    pub volume: String,
    pub milliseconds: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateScript {
    pub instance: String,
    /// `running`, `stopped`, ...
    pub state: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventScript {
    pub instance: String,
    /// `instance-retirement`, `system-maintenance`, ...
    pub code: String,
    pub description: String,
    /// Seconds since the epoch.
    pub not_before: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyScript {
    pub volume: String,
    pub size_gib: Option<i64>,
    pub throughput_mib_per_second: Option<i64>,
    pub iops: Option<i64>,
}

/// What is broken now. Times are seconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Faults {
    pub throttled: BTreeSet<String>,
    pub denied: BTreeSet<String>,
    pub failing: BTreeSet<String>,
    pub expired: bool,
    /// Operation to milliseconds.
    pub slow: BTreeMap<String, u64>,
    /// Zone name to since when.
    pub outages: BTreeMap<String, i64>,
    /// Volume id to since when.
    pub stalled: BTreeMap<String, i64>,
    /// Volume id to since when, and by how many milliseconds.
    pub lagging: BTreeMap<String, (i64, u64)>,
    /// Metric, instance or volume to since when.
    pub gaps: BTreeMap<String, i64>,
    /// Instances whose SSM agent is not heard.
    pub offline: BTreeSet<String>,
    /// Operations whose answers are lost.
    pub lost: BTreeSet<String>,
    /// Instance to how its commands end: exit status and output.
    pub commands: BTreeMap<String, (i32, String)>,
}

/// What an operation answers instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl Faults {
    /// The fault that meets every call of an operation, whatever it asks.
    pub(super) fn refusal(&self, operation: &str) -> Option<Refusal> {
        let hits = |set: &BTreeSet<String>| set.contains(operation) || set.contains("*");
        if self.expired {
            return Some(Refusal::new(400, "RequestExpired", "Request has expired."));
        }
        if hits(&self.throttled) {
            return Some(Refusal::new(503, "RequestLimitExceeded", "Request limit exceeded."));
        }
        if hits(&self.denied) {
            let message = "You are not authorized to perform this operation.";
            return Some(Refusal::new(403, "UnauthorizedOperation", message));
        }
        hits(&self.failing).then(|| Refusal::new(500, "InternalError", "An internal error has occurred"))
    }

    /// Milliseconds an operation waits before it answers.
    pub(super) fn delay(&self, operation: &str) -> u64 {
        let wait = |name: &str| self.slow.get(name).copied().unwrap_or_default();
        wait(operation).max(wait("*"))
    }
}

/// Plays one script.
pub(super) fn apply(script: &Script, state: &mut State, faults: &mut Faults, now: i64) -> Result<(), String> {
    if script.recover {
        for (volume, since) in std::mem::take(&mut faults.stalled) {
            state.meter.stalled(&volume, since, now);
        }
        *faults = Faults::default();
    }
    faults.throttled.extend(script.throttle.clone());
    faults.denied.extend(script.deny.clone());
    faults.failing.extend(script.fail.clone());
    faults.expired |= script.expire;
    if let Some(slow) = &script.slow {
        faults.slow.insert(slow.operation.clone(), slow.milliseconds);
    }
    if let Some(zone) = &script.outage {
        let zone = state
            .fleet
            .zone(zone)
            .ok_or_else(|| format!("there is no zone {zone}"))?;
        faults.outages.entry(zone.name.clone()).or_insert(now);
    }
    if let Some(volume) = &script.stall {
        state
            .fleet
            .disk(volume)
            .ok_or_else(|| format!("there is no volume {volume}"))?;
        faults.stalled.entry(volume.clone()).or_insert(now);
    }
    if let Some(lag) = &script.lag {
        state
            .fleet
            .disk(&lag.volume)
            .ok_or_else(|| format!("there is no volume {}", lag.volume))?;
        faults.lagging.insert(lag.volume.clone(), (now, lag.milliseconds));
    }
    if let Some(what) = &script.gap {
        faults.gaps.entry(what.clone()).or_insert(now);
    }
    faults.lost.extend(script.lose.clone());
    let known = |id: &String| match state.fleet.machine(id) {
        Some(_) => Ok(id.clone()),
        None => Err(format!("there is no instance {id}")),
    };
    if let Some(instance) = &script.offline {
        faults.offline.insert(known(instance)?);
    }
    if let Some(instance) = &script.online {
        faults.offline.remove(&known(instance)?);
    }
    if let Some(command) = &script.command {
        let ended = (command.code, command.said.clone());
        faults.commands.insert(known(&command.instance)?, ended);
    }
    change_machines(script, state, now)
}

fn change_machines(script: &Script, state: &mut State, now: i64) -> Result<(), String> {
    if let Some(change) = &script.state {
        machine(state, &change.instance)?.state = change.state.clone();
    }
    if let Some(volume) = &script.plain {
        let disk = state.fleet.disk_mut(volume);
        disk.ok_or_else(|| format!("there is no volume {volume}"))?.encrypted = false;
    }
    if let Some(volume) = &script.rested {
        state.history.retain(|(modified, _)| modified != volume);
    }
    if let Some(event) = &script.event {
        let events = &mut machine(state, &event.instance)?.events;
        events.retain(|known| (&known.code, known.not_before) != (&event.code, event.not_before));
        events.push(event.clone());
    }
    if let Some(wanted) = &script.modify {
        let disks = state.fleet.machines.iter_mut().flat_map(|machine| &mut machine.disks);
        let disk = disks
            .into_iter()
            .find(|disk| disk.id == wanted.volume)
            .ok_or_else(|| format!("there is no volume {}", wanted.volume))?;
        let before = disk.clone();
        disk.size_gib = wanted.size_gib.unwrap_or(disk.size_gib);
        disk.iops = wanted.iops.unwrap_or(disk.iops);
        disk.throughput_mib_per_second = wanted
            .throughput_mib_per_second
            .unwrap_or(disk.throughput_mib_per_second);
        let change = Change {
            before,
            after: disk.clone(),
            started_at: now,
        };
        state.modifications.retain(|known| known.after.id != change.after.id);
        state.modifications.push(change);
    }
    Ok(())
}

fn machine<'a>(state: &'a mut State, id: &str) -> Result<&'a mut super::Machine, String> {
    let mut machines = state.fleet.machines.iter_mut();
    machines
        .find(|machine| machine.id == id)
        .ok_or_else(|| format!("there is no instance {id}"))
}
