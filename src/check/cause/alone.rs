//! A leader that shrank ISRs to itself: ISR = {L} on several partitions whose other replicas are on different brokers, all of
//! which answer. A leader that is starved of threads does that; the missing replicas are its victims.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step};
use crate::model::BrokerId;
use crate::model::event::Symptom;
use crate::model::row::partition::PartitionRow;
use crate::plan::gate::Verdict;

/// Of all shrunk partitions; below, several brokers are in trouble.
const SHARE: f64 = 0.7;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let down = facts.down();
    let shrunk = facts.shrunk().count();
    let mut alone: BTreeMap<BrokerId, Vec<PartitionRow<'_>>> = BTreeMap::new();
    for row in facts.shrunk() {
        if let [only] = row.isr.as_slice()
            && row.leader == Some(*only)
        {
            alone.entry(*only).or_default().push(row);
        }
    }
    let guilty = alone.into_iter().filter(|(id, rows)| {
        let missing: BTreeSet<BrokerId> = rows
            .iter()
            .flat_map(|row| &row.replicas)
            .copied()
            .filter(|other| other != id)
            .collect();
        let enough = rows.len() >= 2 && rows.len() as f64 >= SHARE * shrunk as f64;
        enough && missing.len() >= 2 && missing.is_disjoint(&down) && !down.contains(id)
    });
    guilty.map(|(id, rows)| cause(facts, id, &rows, shrunk)).collect()
}

fn cause(facts: &Facts<'_>, id: BrokerId, rows: &[PartitionRow<'_>], shrunk: usize) -> Cause {
    let victims: BTreeSet<BrokerId> = rows
        .iter()
        .flat_map(|row| &row.replicas)
        .copied()
        .filter(|other| *other != id)
        .collect();
    let names = crate::check::text::ids(&victims);
    let last = rows.iter().filter(|row| row.safe().all(|safe| safe == id)).count();
    Cause {
        rule: "leader-alone",
        verdict: Verdict::Fail,
        culprit: Culprit::new(Kind::Broker, id),
        text: format!(
            "broker {id} leads {} of {shrunk} shrunk partitions with ISR {{{id}}} · replicas on {names} are missing there and in sync elsewhere",
            rows.len()
        ),
        since: facts.snapshot.events.since(&Symptom::Alone(id)),
        source: "Metadata",
        evidence: Evidence::of("broker", id),
        next: vec![Step::new(
            format!("broker show {id}"),
            format!(
                "CPU, request threads, its network and disk: it does not serve its followers; {last} partitions have their last copy there"
            ),
            Vec::new(),
        )],
        dont: vec![
            Dont::new(
                format!("restart or stop broker {id}"),
                format!("last safe copy of {last} partitions"),
            ),
            Dont::new(format!("restart brokers {names}"), "they are not at fault"),
            Dont::new("enable unclean leader election", "acknowledged records would be lost"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};

    #[test]
    fn a_leader_alone_in_its_isrs_is_the_culprit_not_those_who_are_missing() {
        let mut six = Six::healthy();
        six.alone(4);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Broker, 4));
        assert_eq!(causes[0].rule, "leader-alone");
        assert!(causes[0].dont[0].action.contains("broker 4"));
    }

    #[test]
    fn whose_followers_are_dead_is_not_alone_by_its_own_fault() {
        let mut six = Six::healthy();
        six.alone(4);
        for id in [1, 2, 3, 5, 6] {
            six.unreachable(id, crate::model::Trouble::TimedOut, "no answer");
        }
        assert!(six.causes().iter().all(|cause| cause.rule != "leader-alone"));
    }
}
