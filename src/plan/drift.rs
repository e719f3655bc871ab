//! What has changed since a plan was made. Material drift stops it, immaterial drift is shown.

use serde::{Deserialize, Serialize};

use super::gate::Verdict;
use super::{Move, Plan, Step, acl, config, quota, reassign, restart, user};
use crate::model::Moment;
use crate::model::driver::Action;
use crate::model::snapshot::Snapshot;

/// One thing that is not as the plan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Whether the plan may no longer be carried out.
    pub material: bool,
    pub what: String,
}

/// Compares a plan with what is seen now, before its first act. Needs cluster, topics and reassignments.
pub fn since(plan: &Plan, snapshot: &Snapshot, now: Moment) -> Vec<Drift> {
    let mut drifts = Vec::new();
    let mut material = |what: String| drifts.push(Drift { material: true, what });
    match snapshot.cluster.get() {
        None => material(format!(
            "the cluster is not known: {}",
            snapshot.cluster.problem().unwrap_or_default()
        )),
        Some(cluster) if cluster.id != plan.cluster_id => {
            material(format!(
                "the plan is for cluster {}, this is {}",
                plan.cluster_id, cluster.id
            ));
        }
        Some(_) => {}
    }
    if plan.is_expired(now) {
        material(format!("the plan was valid until {}", plan.expires_at));
    }
    let needless = plan.steps.iter().all(is_beside_topics);
    if snapshot.topics.get().is_none() && !needless {
        let why = snapshot.topics.problem().unwrap_or_default();
        material(format!("the topics are not known: {why}"));
        return drifts;
    }
    for step in &plan.steps {
        match step {
            Step::Reassign { moves } => moves.iter().filter_map(|m| moved(m, snapshot)).for_each(&mut material),
            // The engine looks at the volume, and at the record sets, before it asks for anything.
            Step::Volume(_) | Step::Dns(_) | Step::ByCommand { .. } => {}
            Step::Elect { .. } | Step::AbortTransaction { .. } | Step::AwaitIsr(_) => {}
            // The engine looks what is in flight before it sends anything back.
            Step::CancelReassign { .. } => {}
            Step::ResetOffsets { group, .. } | Step::DeleteGroup { group, .. } => {
                reads(group, snapshot).into_iter().for_each(&mut material);
            }
            Step::CreateTopic { name, .. } if snapshot.topic(name).is_some() => {
                material(format!("topic {name} exists now"))
            }
            Step::SetCredential(_) | Step::DeleteCredential(_) => {
                user::drift(step, snapshot).into_iter().for_each(&mut material);
            }
            Step::AlterQuotas(alter) => quota::drift(alter, snapshot).into_iter().for_each(&mut material),
            Step::AddAcls(_) | Step::RemoveAcls(_) => {
                acl::change::drift(step, snapshot).into_iter().for_each(&mut material);
            }
            // It starts where it is not yet.
            Step::Restart(turn) if plan.is_swap() && turn.action == Action::Start => {}
            Step::Restart(turn) => restart::drift(turn, snapshot).into_iter().for_each(&mut material),
            Step::AlterConfigs(alter) => config::drift(alter, snapshot).into_iter().for_each(&mut material),
            // The engine looks what is set before it sets or clears anything.
            Step::Finalize(_) | Step::CreateTopic { .. } | Step::SetThrottle { .. } | Step::ClearThrottle { .. } => {}
            Step::AddPartitions { topic, from, .. }
                if snapshot
                    .topic(topic)
                    .is_some_and(|found| found.partitions.len() != *from as usize) =>
            {
                material(format!("topic {topic} has another number of partitions now"));
            }
            Step::AddPartitions { topic: name, id, .. }
            | Step::Truncate { topic: name, id, .. }
            | Step::DeleteTopic { name, id, .. } => match snapshot.topic(name) {
                None => material(format!("topic {name} is gone")),
                Some(topic) if topic.id != *id => material(format!("topic {name} was deleted and created again")),
                Some(_) => {}
            },
        }
    }
    drifts.extend(fuller(plan, snapshot));
    drifts
}

/// The moves that no longer fit, and why each does not.
pub fn drifted<'a>(plan: &'a Plan, snapshot: &Snapshot) -> Vec<(&'a Move, String)> {
    let pair = |one: &'a Move| Some((one, moved(one, snapshot)?));
    plan.moves().filter_map(pair).collect()
}

/// A group that somebody reads with again. Where groups were not looked at, Kafka itself refuses.
fn reads(name: &str, snapshot: &Snapshot) -> Option<String> {
    let group = snapshot.groups.get()?.iter().find(|group| group.name == name)?;
    let gate = super::group::members(group);
    (gate.verdict == Verdict::Fail).then_some(gate.evidence)
}

/// What has nothing to do with topics, or looks at its own.
fn is_beside_topics(step: &Step) -> bool {
    matches!(
        step,
        Step::AlterConfigs(_)
            | Step::AddAcls(_)
            | Step::RemoveAcls(_)
            | Step::SetCredential(_)
            | Step::DeleteCredential(_)
            | Step::AlterQuotas(_)
            | Step::Finalize(_)
            | Step::Restart(_)
            | Step::Volume(_)
            | Step::Dns(_)
    )
}

fn moved(m: &Move, snapshot: &Snapshot) -> Option<String> {
    let Some(topic) = snapshot.topic(&m.topic) else {
        return Some(format!("topic {} is gone", m.topic));
    };
    let Some(partition) = topic.partition(m.partition) else {
        return Some(format!("{} is gone", m.name()));
    };
    let running = snapshot.reassignments.get().into_iter().flatten();
    if running
        .clone()
        .any(|r| r.topic == m.topic && r.partition == m.partition)
    {
        return Some(format!("{} is being reassigned by somebody", m.name()));
    }
    if partition.replicas != m.from {
        return Some(format!(
            "{} was on {:?} and is on {:?}",
            m.name(),
            m.from,
            partition.replicas
        ));
    }
    let dead = m.adding().find(|id| reassign::is_dead(snapshot, *id));
    dead.map(|id| format!("broker {id}, which {} shall go to, does not answer", m.name()))
}

/// Disks that are fuller than the plan reckoned with.
fn fuller(plan: &Plan, snapshot: &Snapshot) -> Vec<Drift> {
    let now = super::impact::Impact::of(&plan.moves().cloned().collect::<Vec<_>>(), snapshot);
    let pairs = plan.impact.brokers.iter().filter_map(|(id, then)| {
        let (then, now) = (then.used_percent_now?, now.brokers.get(id)?.used_percent_now?);
        (now > then + 1.0).then(|| Drift {
            material: false,
            what: format!("broker {id} disk {then:.0} % → {now:.0} %"),
        })
    });
    pairs.collect()
}
