//! What must hold before a broker leaves its instance or its volumes.

use super::{Host, What, Wish};
use crate::model::Moment;
use crate::model::driver::{Action, DriverName};
use crate::model::identity::Identity;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::plan::Step;
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::restart::{self, Turn, reach};
use crate::plan::volume::Act;

/// What the calls and the two turns take, for how long credentials must last, in seconds. A copy of a large volume takes hours.
const SECONDS: u64 = 900;
const COPYING_SECONDS: u64 = 4 * 3600;

pub(super) fn gates(snapshot: &Snapshot, wish: &Wish, turns: &[Turn], steps: &[Step], now: Moment) -> Vec<Gate> {
    let stops = turns.iter().any(|turn| turn.action == Action::Stop);
    let action = if stops { Action::Stop } else { Action::Start };
    let mut gates = restart::gates(snapshot, action, &[wish.broker]);
    gates.push(permission(wish));
    gates.push(only_copy(snapshot, wish));
    if let (What::Instance(id), Ok(host)) = (&wish.what, &wish.found) {
        gates.extend(there(snapshot, wish, id, host, steps));
    }
    let by_ssm: Vec<&Turn> = turns.iter().filter(|turn| turn.driver == DriverName::Ssm).collect();
    if !by_ssm.is_empty() {
        let name = |turn: &&Turn| format!("{} broker {}", turn.action, turn.broker());
        let hosts = by_ssm.iter().map(|turn| (name(turn), turn.place.instance.as_deref()));
        gates.push(reach::agents(snapshot, &hosts.collect::<Vec<_>>()));
    }
    let seconds = match wish.what {
        What::Instance(_) => SECONDS,
        What::Encrypt { .. } => COPYING_SECONDS,
    };
    gates.push(reach::lasting(snapshot, seconds, now));
    gates
}

/// EC2 itself says whether it would do it.
fn permission(wish: &Wish) -> Gate {
    let gate = |verdict, text: String| Gate::new("permission", Class::Hard, verdict, text);
    let denied: Vec<String> = wish
        .trials
        .iter()
        .filter_map(|(what, tried)| Some(format!("{what}: {}", tried.as_ref().err()?)))
        .collect();
    let names: Vec<String> = wish.trials.keys().cloned().collect();
    match (names.is_empty(), denied.is_empty()) {
        (true, _) => gate(
            Verdict::Unknown,
            "nobody asked EC2 whether it would carry it out".to_owned(),
        ),
        (_, true) => gate(
            Verdict::Pass,
            format!("EC2 lets through (DryRun of {})", names.join(", ")),
        ),
        (_, false) => gate(Verdict::Fail, few(&denied)),
    }
}

/// What an exchange would lose, for there is nobody to copy it from: a copy has nothing of what was written since.
fn only_copy(snapshot: &Snapshot, wish: &Wish) -> Gate {
    let alone = |(topic, one): (&str, &Partition)| {
        let only = one.replicas == [wish.broker];
        only.then(|| format!("{topic}-{}", one.partition))
    };
    let alone: Vec<String> = match wish.what {
        // The volume itself moves.
        What::Instance(_) => Vec::new(),
        What::Encrypt { .. } => snapshot.partitions().filter_map(alone).collect(),
    };
    let all_well = match wish.what {
        What::Instance(_) => "the volumes move with all that is on them",
        What::Encrypt { .. } => "every partition there has another replica, which has what is written meanwhile",
    };
    let what = "partitions have their only replica there, and would lose what is written after the copy began";
    Gate::none_of("only-copy", Class::Hard, &alone, all_well, what)
}

/// The new instance runs, in the volumes' zone, has room for them, and is nobody's.
fn there(snapshot: &Snapshot, wish: &Wish, id: &str, host: &Host, steps: &[Step]) -> Vec<Gate> {
    let gate = |name: &str, well: bool, text: String| {
        let verdict = if well { Verdict::Pass } else { Verdict::Fail };
        Gate::new(name, Class::Hard, verdict, text)
    };
    let new = &host.instance;
    let user = snapshot.cloud.identities.iter().find(|(broker, identity)| {
        let on = match identity {
            Identity::Ambiguous { candidates, .. } => candidates.iter().any(|one| one == id),
            other => other.instance() == Some(id),
        };
        on && **broker != wish.broker
    });
    let mut gates = vec![
        gate("instance", new.state == "running", format!("{id} is {}", new.state)),
        match user {
            Some((broker, _)) => gate(
                "free",
                false,
                format!("{id} is, or may be, the instance of broker {broker}"),
            ),
            None => gate("free", true, format!("no broker is known to run on {id}")),
        },
    ];
    let old = snapshot.cloud.instance_of(wish.broker);
    let zone = old.map_or("?", |old| old.zone.as_str());
    gates.push(gate(
        "zone",
        new.zone == zone,
        format!("the volumes lie in {zone}, {id} in {}", new.zone),
    ));
    let wanted = steps.iter().filter_map(|step| match step {
        Step::Volume(Act::Change {
            change: crate::model::volume::Change::Attach { device, .. },
            ..
        }) => Some(device),
        _ => None,
    });
    let taken: Vec<String> = wanted
        .filter_map(|device| {
            let on = host.volumes.iter().find(|one| one.device.as_ref() == Some(device))?;
            Some(format!("{device} is {}", on.id))
        })
        .collect();
    gates.push(Gate::none_of(
        "device",
        Class::Hard,
        &taken,
        "the device names are free there",
        "device names are taken there",
    ));
    if let Some(old) = old.filter(|old| old.instance_type != new.instance_type) {
        let text = format!("{id} is a {}, the old one a {}", new.instance_type, old.instance_type);
        gates.push(Gate::new("instance-type", Class::Soft, Verdict::Warn, text));
    }
    gates
}
