//! Brokers that do not answer, that the controller has fenced, or that are registered no more.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::facts::gate_led_can_move;
use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step};
use crate::model::BrokerId;
use crate::model::Health;
use crate::model::event::{Since, Symptom};
use crate::model::row::broker::BrokerState;
use crate::model::row::partition::{Badge, PartitionRow};
use crate::plan::gate::Verdict;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let mut lost: BTreeMap<BrokerId, Lost<'_>> = facts.down().into_iter().map(|id| (id, Lost::default())).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let mut shrunk = 0;
    // All in one pass: a hundred brokers may be down, of a hundred thousand partitions.
    for row in facts.rows.partitions.iter() {
        if let Some(lost) = row.leader.and_then(|id| lost.get_mut(&id)) {
            lost.leads.push(row);
        }
        if row.badges().contains(Badge::UnderReplicated) {
            shrunk += 1;
            for id in row.replicas.iter().filter(|id| !row.isr.contains(id)) {
                if let Some(lost) = lost.get_mut(id) {
                    lost.misses += 1;
                }
            }
        }
    }
    let down = lost.keys().copied().collect();
    let causes = lost.iter().map(|(id, lost)| cause(facts, *id, lost, shrunk, &down));
    causes.collect()
}

/// What a broker that is down had a part in.
#[derive(Default)]
struct Lost<'a> {
    leads: Vec<PartitionRow<'a>>,
    /// In so many partitions it should be in sync and is not.
    misses: usize,
}

fn cause(facts: &Facts<'_>, id: BrokerId, lost: &Lost<'_>, shrunk: usize, down: &BTreeSet<BrokerId>) -> Cause {
    let row = facts.broker(id);
    let fenced = |row: &&crate::model::row::broker::BrokerRow| {
        let cluster = facts.snapshot.cluster.get();
        cluster.is_some_and(|cluster| {
            cluster
                .brokers
                .iter()
                .any(|broker| broker.id == row.id && broker.fenced)
        })
    };
    let how = match row {
        None => "is not registered".to_owned(),
        Some(row) if row.state == BrokerState::Fenced => "answers, but the controller has fenced it".to_owned(),
        Some(row) if fenced(&row) => "does not answer and is fenced".to_owned(),
        Some(_) => "does not answer; the controller still counts on it".to_owned(),
    };
    let (misses, leads) = (lost.misses, lost.leads.len());
    let mut clauses = vec![format!("broker {id} {how}")];
    if shrunk > 0 {
        clauses.push(format!("missing from {misses} of {shrunk} shrunk ISRs"));
    }
    if leads > 0 {
        clauses.push(format!("leads {leads} still"));
    }
    match facts.snapshot.cloud.instance_of(id) {
        Some(instance) => {
            let checks = [&instance.system_check, &instance.instance_check];
            let passed = checks.iter().filter(|check| check.as_deref() == Some("ok")).count();
            clauses.push(format!("{} {}, checks {passed}/2", instance.id, instance.state));
        }
        None => clauses.extend(
            row.and_then(|row| row.instance.reason.clone())
                .map(|why| format!("instance ? ({why})")),
        ),
    }
    let from = BTreeSet::from([id]);
    let mut next = Vec::new();
    if leads > 0 {
        let why = format!("{leads} leaders, no data moved");
        next.push(Step::new(
            format!("leader move --from-broker {id}"),
            why,
            vec![gate_led_can_move(&lost.leads, &from, down)],
        ));
    }
    next.push(Step::new(
        format!("throttle set --catch-up --broker {id}"),
        "before it comes back, so that its catch-up does not saturate the others",
        Vec::new(),
    ));
    next.push(Step::new(
        format!("broker start {id}"),
        "its log recovery may take minutes: start it once",
        Vec::new(),
    ));
    Cause {
        rule: "broker-down",
        verdict: Verdict::Fail,
        culprit: Culprit::new(Kind::Broker, id),
        text: clauses.join(" · "),
        since: since(facts, id),
        source: "ApiVersions, DescribeCluster",
        evidence: Evidence::of("broker", id),
        next,
        dont: vec![
            Dont::new("restart another broker", "partitions at min ISR would refuse writes"),
            Dont::new("lower min.insync.replicas", "a write would rest on one copy"),
            Dont::new("start reassignments", "they load the brokers that are left"),
        ],
    }
}

fn since(facts: &Facts<'_>, id: BrokerId) -> Option<Since> {
    let link = facts.snapshot.links.get(&id).and_then(|link| match link.health {
        Health::Failing { since, .. } => Some(Since {
            at: since,
            recorded: link.seen_at.is_some(),
        }),
        _ => None,
    });
    link.or_else(|| facts.snapshot.events.since(&Symptom::Fenced(id)))
        .or_else(|| facts.snapshot.events.since(&Symptom::Missing(id)))
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_dead_broker_is_named_with_what_it_misses() {
        let mut six = Six::healthy();
        six.kill(4);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Broker, 4));
        assert!(causes[0].text.contains("shrunk ISRs"), "{}", causes[0].text);
        assert!(causes[0].since.is_some_and(|since| since.recorded));
    }

    #[test]
    fn one_that_is_registered_no_more_is_found_by_its_replicas() {
        let mut six = Six::healthy();
        six.kill(4).unregister(4);
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Broker, 4));
        assert!(six.causes()[0].text.contains("not registered"));
    }
}
