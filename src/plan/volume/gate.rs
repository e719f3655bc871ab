//! What must hold before a volume is changed.

use super::{Act, Extend, Wish, holder};
use crate::model::Moment;
use crate::model::cloud::Volume;
use crate::model::driver::DriverName;
use crate::model::identity::Identity;
use crate::model::limit::throughput_mib_per_second;
use crate::model::snapshot::Snapshot;
use crate::model::volume::Change;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::restart::reach;

/// Modifications that EBS allows in a rolling day, since January 2026; until then it was one in six hours, as some partitions
/// still have it. Source: EBS user guide, "Limitations of volume modifications".
const A_DAY: u32 = 4;
/// What an act takes, for how long credentials must last, in seconds: a grown volume is usable in seconds, a snapshot of a large
/// one takes hours but goes on by itself.
const SECONDS: u64 = 300;

pub(super) fn gates(
    snapshot: &Snapshot,
    wish: &Wish,
    change: &Change,
    extend: Option<&Extend>,
    now: Moment,
) -> Vec<Gate> {
    let mut gates = vec![permission(wish, change)];
    match change {
        Change::Modify { volume, from, to } => {
            let found = snapshot.cloud.volume(volume).or(wish.found.volume.as_deref());
            gates.push(modifications(found, now));
            if to.size_gib > from.size_gib
                && let Some((broker, path, several @ 2..)) = holder(snapshot, volume)
            {
                let text = format!(
                    "{several} volumes form the file system of {path} on broker {broker}: grow each, then the array, by hand"
                );
                gates.push(Gate::new("file-system", Class::Soft, Verdict::Warn, text));
            }
            gates.extend(instance_limit(snapshot, found, to.throughput_mib_per_second));
        }
        Change::Detach { volume, instance, .. } => gates.extend([stopped(snapshot, volume, instance)]),
        Change::Attach {
            volume,
            instance,
            device,
        } => gates.extend(attach(snapshot, wish, volume, instance, device)),
        Change::Create { shape, .. } => {
            let source = wish.found.snapshot.as_deref();
            let state = source.map_or("unknown", |source| source.state.as_str());
            let verdict = if state == "completed" {
                Verdict::Pass
            } else {
                Verdict::Fail
            };
            let text = format!("the snapshot is {state}, the volume gets {}", shape.words());
            gates.push(Gate::new("snapshot", Class::Hard, verdict, text));
        }
        Change::Snapshot { .. } | Change::Tag { .. } => {}
    }
    gates.extend(extend.and_then(|extend| agent(snapshot, extend)));
    gates.push(reach::lasting(snapshot, SECONDS, now));
    gates
}

/// Of what is only run on a host.
pub(super) fn of_host(snapshot: &Snapshot, wish: &Wish, act: &Act, now: Moment) -> Vec<Gate> {
    let Act::Extend(extend) = act else {
        return Vec::new();
    };
    let by_ssm = wish.way.as_ref().is_ok_and(|way| way.driver == DriverName::Ssm);
    let lasting = by_ssm.then(|| reach::lasting(snapshot, SECONDS, now));
    agent(snapshot, extend).into_iter().chain(lasting).collect()
}

/// Where Systems Manager runs it.
fn agent(snapshot: &Snapshot, extend: &Extend) -> Option<Gate> {
    let run = extend.run.as_ref().filter(|run| run.driver == DriverName::Ssm)?;
    let name = format!("broker {}", run.place.broker);
    Some(reach::agents(snapshot, &[(name, run.place.instance.as_deref())]))
}

/// What must still hold right before the act.
pub fn standing(snapshot: &Snapshot, change: &Change) -> Vec<Gate> {
    match change {
        Change::Detach { volume, instance, .. } => vec![stopped(snapshot, volume, instance)],
        _ => Vec::new(),
    }
}

/// EC2 itself says whether it would do it.
fn permission(wish: &Wish, change: &Change) -> Gate {
    let what = change.operation();
    match &wish.trial {
        Some(Ok(())) => Gate::new(
            "permission",
            Class::Hard,
            Verdict::Pass,
            format!("EC2 would carry it out (DryRun of {what})"),
        ),
        Some(Err(why)) => Gate::new("permission", Class::Hard, Verdict::Fail, why.clone()),
        None => Gate::new(
            "permission",
            Class::Hard,
            Verdict::Unknown,
            format!("nobody asked EC2 whether it would carry out {what}"),
        ),
    }
}

/// EC2 tells the last modification only, so this is what is seen of the day.
fn modifications(volume: Option<&Volume>, now: Moment) -> Gate {
    let gate = |class, verdict, text: String| Gate::new("modifications", class, verdict, text);
    let Some(volume) = volume else {
        return gate(Class::Soft, Verdict::Unknown, "the volume is not seen".to_owned());
    };
    let Some(last) = &volume.modification else {
        let text = format!("none is seen in the last 24 h, of {A_DAY} that EBS allows");
        return gate(Class::Soft, Verdict::Pass, text);
    };
    if matches!(last.state.as_str(), "modifying" | "optimizing") {
        let done = last
            .progress_percent
            .map(|done| format!(", {done} % done"))
            .unwrap_or_default();
        let text = format!(
            "{} is {} ({}{done}); EC2 takes the next change when that is completed",
            volume.id, last.state, last.change
        );
        return gate(Class::Hard, Verdict::Fail, text);
    }
    let age = last.started_at.map(|at| now.duration_since(at).as_secs());
    match age {
        Some(age) if age < 86_400 => {
            let text = format!(
                "the last began {} h ago ({}); EBS allows {A_DAY} in 24 h, older regions one in 6 h",
                age / 3600,
                last.change
            );
            gate(Class::Soft, Verdict::Warn, text)
        }
        _ => gate(
            Class::Soft,
            Verdict::Pass,
            format!("none in the last 24 h, of {A_DAY} that EBS allows"),
        ),
    }
}

/// More throughput than the instance has for all its volumes helps nobody.
fn instance_limit(snapshot: &Snapshot, volume: Option<&Volume>, wanted: Option<i64>) -> Option<Gate> {
    let (volume, wanted) = (volume?, wanted?);
    let instance = snapshot.cloud.instance(volume.instance.as_deref()?)?;
    let limit = snapshot
        .cloud
        .types
        .get(&instance.instance_type)?
        .ebs_baseline_mb_per_second?;
    let now = throughput_mib_per_second(volume).unwrap_or_default();
    let mb = wanted as f64 * 1.048_576;
    (wanted as f64 > now && mb > limit).then(|| {
        let text = format!(
            "{} sustains {limit:.0} MB/s for all its volumes, less than the {mb:.0} MB/s of this one: a larger instance helps, this alone does not",
            instance.instance_type
        );
        Gate::new("instance-limit", Class::Soft, Verdict::Warn, text)
    })
}

/// Whoever uses the volume is stopped.
fn stopped(snapshot: &Snapshot, volume: &str, instance: &str) -> Gate {
    let gate = |verdict, text: String| Gate::new("stopped", Class::Hard, verdict, text);
    let on_it = |identity: &&Identity| match identity {
        Identity::Identified { instance: on, .. } | Identity::Mismatch { instance: on, .. } => on == instance,
        Identity::Ambiguous { candidates, .. } => candidates.iter().any(|one| one == instance),
        Identity::Unknown { .. } => false,
    };
    let there = snapshot.cloud.identities.iter();
    let mut users: Vec<i32> = there
        .filter(|(_, identity)| on_it(identity))
        .map(|(id, _)| *id)
        .collect();
    users.extend(holder(snapshot, volume).map(|(broker, ..)| broker));
    users.sort_unstable();
    users.dedup();
    // Who only does not answer us may well be writing.
    let listed = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let counted = |id: i32| listed.iter().any(|broker| broker.id == id && !broker.fenced);
    let answers = |id: i32| snapshot.links.get(&id).is_some_and(|link| link.is_fresh());
    let alive: Vec<String> = users
        .iter()
        .filter(|id| counted(**id) || answers(**id))
        .map(|id| format!("broker {id} runs on {instance}; stop it first: azimuth broker stop {id}"))
        .collect();
    let settled = |id: i32| {
        let identity = snapshot.cloud.identities.get(&id);
        matches!(identity, Some(Identity::Identified { .. }))
    };
    let unsettled = listed.iter().filter(|broker| !settled(broker.id));
    let unsettled: Vec<String> = unsettled.map(|broker| format!("broker {}", broker.id)).collect();
    match (alive.is_empty(), users.is_empty()) {
        (false, _) => gate(Verdict::Fail, few(&alive)),
        // Whoever is not settled may well be there.
        (true, true) if !unsettled.is_empty() => {
            let names = few(&unsettled);
            let way = "the context's `brokers` settles it";
            gate(
                Verdict::Unknown,
                format!("which instance runs {names} is not known, it may be {instance}; {way}"),
            )
        }
        (true, true) => gate(Verdict::Pass, format!("no broker runs on {instance}")),
        (true, false) => {
            let names: Vec<String> = users.iter().map(|id| format!("broker {id}")).collect();
            gate(Verdict::Pass, format!("{} does not run", few(&names)))
        }
    }
}

fn attach(snapshot: &Snapshot, wish: &Wish, volume: &str, instance: &str, device: &str) -> Vec<Gate> {
    let found = snapshot.cloud.volume(volume).or(wish.found.volume.as_deref());
    let place = snapshot.cloud.instance(instance);
    let gate = |name, class, well, text: String| {
        let verdict = if well { Verdict::Pass } else { Verdict::Fail };
        Gate::new(name, class, verdict, text)
    };
    let state = found.map_or("unknown", |volume| volume.state.as_str());
    let on = found.and_then(|volume| volume.instance.as_deref());
    let held = on.map(|id| format!(", attached to {id}")).unwrap_or_default();
    let (zone, wanted) = (
        found.map_or("?", |volume| volume.zone.as_str()),
        place.map_or("?", |instance| instance.zone.as_str()),
    );
    let mut others = snapshot.cloud.volumes_of(instance);
    let taken = others.find(|other| other.device.as_deref() == Some(device));
    let mut gates = vec![
        gate(
            "available",
            Class::Hard,
            state == "available",
            format!("{volume} is {state}{held}"),
        ),
        gate(
            "zone",
            Class::Hard,
            zone == wanted,
            format!("{volume} lies in {zone}, {instance} in {wanted}"),
        ),
        match taken {
            Some(other) => gate(
                "device",
                Class::Hard,
                false,
                format!("{device} is {} already", other.id),
            ),
            None => gate("device", Class::Hard, true, format!("{device} is free")),
        },
    ];
    let broker = snapshot
        .cloud
        .identities
        .iter()
        .find(|(_, identity)| identity.instance() == Some(instance));
    let dirs: Vec<&String> = broker
        .and_then(|(id, _)| snapshot.cloud.backings.get(id))
        .into_iter()
        .flat_map(|dirs| dirs.keys())
        .collect();
    let tag = found.and_then(|volume| volume.tags.get("kafka:log-dir"));
    gates.push(match (tag, broker) {
        (Some(tag), Some((id, _))) if dirs.is_empty() => Gate::new(
            "log-dir",
            Class::Soft,
            Verdict::Warn,
            format!("it is tagged for {tag}; the log directories of broker {id} are not known now"),
        ),
        (Some(tag), Some((id, _))) => {
            let right = tag.split(',').all(|path| dirs.iter().any(|dir| *dir == path.trim()));
            gate(
                "log-dir",
                Class::Soft,
                right,
                format!("it is tagged for {tag}, broker {id} has {dirs:?}"),
            )
        }
        _ => Gate::new(
            "log-dir",
            Class::Soft,
            Verdict::Warn,
            format!("{volume} has no tag kafka:log-dir that says what it is for"),
        ),
    });
    gates
}
