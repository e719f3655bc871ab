//! What must hold before a broker is stopped. Source of the conditions: those of Strimzi's KafkaRoller, Koperator, Cruise
//! Control and KIP-853 taken together, with what each of them leaves out.

use super::Action;
use crate::model::cloud::Instance;
use crate::model::identity::Identity;
use crate::model::quorum::Quorum;
use crate::model::snapshot::Snapshot;
use crate::model::topic::Partition;
use crate::model::{BrokerId, Health, Observed, Trouble};
use crate::plan::gate::{Class, Gate, Verdict, few};
use crate::plan::reassign::is_dead;
use crate::plan::summary::plural;

/// A voter that was level with the quorum's leader so long ago or less counts, in ms. Kafka's own bound for a fetch is
/// `controller.quorum.fetch.timeout.ms`, 2 s; twice that and a look leave room for a busy leader.
const LEVEL_MS: i64 = 5000;

/// Before these brokers are stopped and started, one by one; a plan shows them for all, an engine asks for the next.
pub fn gates(snapshot: &Snapshot, action: Action, ids: &[BrokerId]) -> Vec<Gate> {
    let mut gates = vec![seen(snapshot), identity(snapshot, ids)];
    if action == Action::Start {
        return gates;
    }
    gates.extend([
        last_copy(snapshot, ids),
        offline(snapshot, ids),
        min_isr(snapshot, ids),
        blast_radius(snapshot, action, ids),
        replicated(snapshot, ids),
        brokers(snapshot, ids),
        quorum(snapshot, ids),
        idle(snapshot, ids),
    ]);
    gates.push(ec2(snapshot, ids));
    gates
}

fn name(topic: &str, partition: &Partition) -> String {
    format!("{topic}-{}", partition.partition)
}

/// Metadata that is old says nothing of now.
fn seen(snapshot: &Snapshot) -> Gate {
    let missing = [
        snapshot.cluster.problem().map(|why| format!("brokers: {why}")),
        snapshot.topics.problem().map(|why| format!("topics: {why}")),
    ];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    match missing.is_empty() {
        true => Gate::new(
            "metadata",
            Class::Hard,
            Verdict::Pass,
            "brokers and topics were told just now",
        ),
        false => Gate::new("metadata", Class::Hard, Verdict::Unknown, missing.join("; ")),
    }
}

/// The wrong host must never be told to stop.
fn identity(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let wrong = ids.iter().filter_map(|id| match snapshot.cloud.identities.get(id) {
        Some(Identity::Mismatch { instance, reason }) => Some(format!("broker {id} on {instance}: {reason}")),
        _ => None,
    });
    let all_well = "no broker is contradicted by its instance";
    Gate::none_of(
        "identity",
        Class::Hard,
        &wrong.collect::<Vec<_>>(),
        all_well,
        "contradicted",
    )
}

/// The only copy that has all that was committed, in sync or eligible (KIP-966): the others would be led by what they lack, or by nobody.
fn last_copy(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let alone = |(topic, one): (&str, &Partition)| {
        let live: Vec<BrokerId> = one.safe().filter(|id| !is_dead(snapshot, *id)).collect();
        let only = match live.as_slice() {
            [only] => *only,
            _ => return None,
        };
        (one.replicas.len() > 1 && ids.contains(&only)).then(|| format!("{} on broker {only}", name(topic, one)))
    };
    let alone: Vec<String> = snapshot.partitions().filter_map(alone).collect();
    let all_well = "every partition with several replicas has another safe copy";
    Gate::none_of(
        "last-safe-copy",
        Class::Hard,
        &alone,
        all_well,
        "partitions have their last safe copy there",
    )
}

/// What is offline anyway; not where the broker itself is what is missing.
fn offline(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let cured = |one: &Partition| one.replicas.iter().any(|id| ids.contains(id) && is_dead(snapshot, *id));
    let offline = snapshot.partitions().filter(|(_, one)| one.is_offline() && !cured(one));
    let offline: Vec<String> = offline.map(|(topic, one)| name(topic, one)).collect();
    let all_well = "every partition has a leader";
    Gate::none_of("offline", Class::Soft, &offline, all_well, "partitions are offline")
}

/// Writes that would be refused meanwhile because somebody else is missing already.
fn min_isr(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    if let Some(problem) = unknown_min_isr(snapshot) {
        return Gate::new("min-isr", Class::Soft, Verdict::Unknown, problem);
    }
    let short = |(topic, one): &(&str, &Partition)| {
        let least = snapshot.min_isr(topic).unwrap_or(1) as usize;
        let stopped = one.isr.iter().any(|id| ids.contains(id) && !is_dead(snapshot, *id));
        one.replicas.len() > least && stopped && one.isr.len() <= least
    };
    let short: Vec<String> = snapshot
        .partitions()
        .filter(short)
        .map(|(topic, one)| format!("{} (ISR {:?})", name(topic, one), one.isr))
        .collect();
    let all_well = "with one broker less every partition that can keep its min ISR keeps it";
    let what = "partitions would refuse writes, another replica is missing already";
    Gate::none_of("min-isr", Class::Soft, &short, all_well, what)
}

/// Partitions that cannot spare a replica at all: for them each restart is an outage.
fn blast_radius(snapshot: &Snapshot, action: Action, ids: &[BrokerId]) -> Gate {
    if let Some(problem) = unknown_min_isr(snapshot) {
        return Gate::new("blast-radius", Class::Soft, Verdict::Unknown, problem);
    }
    let tight = |(topic, one): &(&str, &Partition)| {
        let least = snapshot.min_isr(topic).unwrap_or(1) as usize;
        one.replicas.len() <= least && one.replicas.iter().any(|id| ids.contains(id))
    };
    let tight: Vec<String> = snapshot
        .partitions()
        .filter(tight)
        .map(|(topic, one)| format!("{} (RF {})", name(topic, one), one.replicas.len()))
        .collect();
    let what = match action {
        Action::Stop => "partitions have RF <= min ISR: no writes to them until it is started again",
        Action::Restart | Action::Start => {
            "partitions have RF <= min ISR: no writes to them while their broker restarts"
        }
    };
    let all_well = "every partition there has more replicas than its min ISR";
    Gate::none_of("blast-radius", Class::Soft, &tight, all_well, what)
}

fn unknown_min_isr(snapshot: &Snapshot) -> Option<String> {
    let problem = snapshot
        .topic_configs
        .problem()
        .filter(|_| snapshot.topic_configs.get().is_none());
    problem.map(|why| format!("min.insync.replicas is not known: {why}"))
}

/// What is out of sync for any reason but these brokers' own absence.
fn replicated(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let behind = |one: &Partition| one.missing().any(|id| !ids.contains(&id) || !is_dead(snapshot, id));
    let under: Vec<String> = snapshot
        .partitions()
        .filter(|(_, one)| behind(one))
        .map(|(topic, one)| {
            let missing: Vec<String> = one.missing().map(|id| id.to_string()).collect();
            format!("{} (without {})", name(topic, one), missing.join(","))
        })
        .collect();
    let all_well = "every replica is in sync";
    Gate::none_of(
        "in-sync",
        Class::Soft,
        &under,
        all_well,
        "partitions are under-replicated",
    )
}

/// At most one broker, and so one zone, is away at a time.
fn brokers(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let all = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let down = all.iter().filter(|broker| is_dead(snapshot, broker.id));
    // The plan's own that are down are what is to be cured; a second one of them is not.
    let down: Vec<&crate::model::broker::Broker> = down.collect();
    let cured = match ids {
        [only] => Some(*only),
        _ => down.iter().map(|broker| broker.id).find(|id| ids.contains(id)),
    };
    let away: Vec<String> = down
        .iter()
        .filter(|broker| Some(broker.id) != cured)
        .map(|broker| match (&broker.rack, broker.fenced) {
            (Some(rack), true) => format!("broker {} in {rack} is fenced", broker.id),
            (Some(rack), false) => format!("broker {} in {rack} does not answer", broker.id),
            (None, true) => format!("broker {} is fenced", broker.id),
            (None, false) => format!("broker {} does not answer", broker.id),
        })
        .collect();
    let unasked = all.iter().filter(|broker| {
        let link = snapshot.links.get(&broker.id);
        link.is_none_or(|link| link.get().is_none() && link.problem().is_none())
    });
    let unasked: Vec<String> = unasked.map(|broker| format!("broker {}", broker.id)).collect();
    if away.is_empty() && !unasked.is_empty() {
        let text = format!("nobody asked {}", few(&unasked));
        return Gate::new("brokers", Class::Soft, Verdict::Unknown, text);
    }
    let all_well = "no other broker is away";
    Gate::none_of("brokers", Class::Soft, &away, all_well, "away")
}

/// Without one voter the others must still be a majority, and level.
fn quorum(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let Some(quorum) = snapshot.quorum.get() else {
        let why = snapshot.quorum.problem().unwrap_or_default();
        return Gate::new(
            "quorum",
            Class::Hard,
            Verdict::Unknown,
            format!("the controller quorum is not known: {why}"),
        );
    };
    if quorum.leader.is_none() {
        return Gate::new(
            "quorum",
            Class::Hard,
            Verdict::Fail,
            "the controller quorum has no leader",
        );
    }
    let total = quorum.voters.len();
    let voters: Vec<BrokerId> = ids
        .iter()
        .copied()
        .filter(|id| quorum.voters.iter().any(|voter| voter.id == *id))
        .collect();
    if voters.is_empty() {
        return Gate::new(
            "quorum",
            Class::Hard,
            Verdict::Pass,
            "nobody of the plan is a controller",
        );
    }
    let lost = voters.iter().filter_map(|id| {
        let others = quorum.voters.iter().filter(|voter| voter.id != *id);
        let level = others.filter(|voter| !is_gone(snapshot, voter.id));
        let level = level.filter(|voter| lag_of_voter(quorum, voter.id).is_some_and(|lag| lag <= LEVEL_MS));
        let level = level.count();
        (level * 2 <= total).then(|| format!("without {id} only {level} of {total} voters are level"))
    });
    let lost: Vec<String> = lost.collect();
    let all_well = format!("without any one of them a majority of {total} voters stays level");
    Gate::none_of("quorum", Class::Hard, &lost, &all_well, "would lose the majority")
}

/// How long ago a voter was level with the quorum's leader, in ms by the leader's clock; `None` where it does not tell.
pub fn lag_of_voter(quorum: &Quorum, id: BrokerId) -> Option<i64> {
    if quorum.leader == Some(id) {
        return Some(0);
    }
    let of = |id: BrokerId| quorum.voters.iter().find(|voter| voter.id == id);
    let voter = of(id)?;
    let leader = of(quorum.leader?)?;
    // The leader's own time is now; it may not tell one, and then what it has told last of anybody is.
    let latest = quorum
        .voters
        .iter()
        .chain(&quorum.observers)
        .filter_map(|one| one.last_fetch_ms.or(one.last_caught_up_ms));
    let now = leader.last_caught_up_ms.into_iter().chain(latest).max()?;
    Some((now - voter.last_caught_up_ms?).max(0))
}

/// Nobody listens where it was: a voter that has just died is level by what the quorum's leader knows for seconds more.
fn is_gone(snapshot: &Snapshot, id: BrokerId) -> bool {
    let health = snapshot.links.get(&id).map(|link| &link.health);
    matches!(
        health,
        Some(Health::Failing {
            trouble: Trouble::Unreachable,
            ..
        })
    )
}

fn idle(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let Some(running) = snapshot.reassignments.get() else {
        let why = snapshot.reassignments.problem().unwrap_or_default();
        let text = format!("reassignments in flight are not known: {why}");
        return Gate::new("idle", Class::Soft, Verdict::Unknown, text);
    };
    let touched = running.iter().filter(|one| {
        let all = one.replicas.iter().chain(&one.adding).chain(&one.removing);
        all.into_iter().any(|id| ids.contains(id))
    });
    let touched: Vec<String> = touched.map(|one| format!("{}-{}", one.topic, one.partition)).collect();
    let all_well = match running.len() {
        0 => "nothing is being reassigned".to_owned(),
        others => format!("{} in flight elsewhere", plural(others, "reassignment")),
    };
    Gate::none_of(
        "idle",
        Class::Soft,
        &touched,
        &all_well,
        "partitions there are being reassigned",
    )
}

/// What EC2 has announced, or finds at fault: of these brokers' instances and of all others.
fn ec2(snapshot: &Snapshot, ids: &[BrokerId]) -> Gate {
    let told: Vec<&Observed<_>> = snapshot.cloud.instances.values().collect();
    if told.iter().all(|zone| zone.get().is_none()) {
        let problem = told.iter().find_map(|zone| zone.problem());
        let absent = told.is_empty()
            || told
                .iter()
                .all(|zone| matches!(zone.health, crate::model::Health::Absent { .. }));
        return match absent {
            true => Gate::new(
                "ec2",
                Class::Soft,
                Verdict::Warn,
                "no AWS plane: scheduled events and status checks are not known",
            ),
            false => Gate::new("ec2", Class::Soft, Verdict::Unknown, problem.unwrap_or_default()),
        };
    }
    let failing: Vec<String> = snapshot
        .cloud
        .instances
        .iter()
        .filter(|(_, zone)| !zone.is_fresh())
        .filter_map(|(name, zone)| Some(format!("{name}: {}", zone.problem()?)))
        .collect();
    let brokers = snapshot.cluster.get().map_or(&[][..], |cluster| &cluster.brokers);
    let mut faults = Vec::new();
    for broker in brokers {
        let Some(instance) = snapshot.cloud.instance_of(broker.id) else {
            continue;
        };
        let ours = ids.contains(&broker.id);
        let events = instance.events.iter().map(|event| {
            let when = event.not_before.map(|at| format!(" from {at}")).unwrap_or_default();
            format!(
                "{} announced for broker {} ({}){when}",
                event.code, broker.id, instance.id
            )
        });
        faults.extend(events);
        // One that is at fault itself may well be restarted for it.
        if !ours && let Some(check) = impaired(instance) {
            faults.push(format!("{check} of broker {} ({})", broker.id, instance.id));
        }
    }
    if faults.is_empty() && !failing.is_empty() {
        return Gate::new("ec2", Class::Soft, Verdict::Unknown, failing.join("; "));
    }
    let all_well = "no scheduled event, and no check of another broker's instance fails";
    Gate::none_of("ec2", Class::Soft, &faults, all_well, "reported by EC2")
}

fn impaired(instance: &Instance) -> Option<String> {
    let checks = [
        ("system", &instance.system_check),
        ("instance", &instance.instance_check),
        ("EBS", &instance.ebs_check),
    ];
    let bad = checks
        .into_iter()
        .find(|(_, state)| state.as_deref().is_some_and(|state| state == "impaired"));
    bad.map(|(name, _)| format!("{name} check impaired"))
}
