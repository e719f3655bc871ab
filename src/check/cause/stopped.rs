//! Writes that do not get through: probes fail, or busy partitions have stopped while others of their topics move.
//!
//! A broker with a stalled disk keeps a full ISR as a leader (a follower that has fetched to the end never leaves it), and as a
//! follower it holds up every leader that waits for it until it has left their ISRs: metadata shows neither. So each partition
//! votes: the culprit is in the ISR of all that stand, and of none that moves.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Cause, Culprit, Dont, Evidence, Facts, Kind, Step, text, vote};
use crate::model::event::Since;
use crate::model::row::partition::PartitionRow;
use crate::model::{BrokerId, Health, Moment, Trouble};
use crate::plan::gate::Verdict;

/// So many partitions that stand are evidence without a probe: one or two may have lost their producers.
const STANDING: usize = 3;

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Cause> {
    let down = facts.down();
    let votes = Votes::count(facts);
    if votes.bad.is_empty() {
        return Vec::new();
    }
    if let Some(id) = votes.culprit().filter(|id| !down.contains(id)) {
        return vec![cause(facts, id, &votes)];
    }
    // No one explains them all. Everybody at once is no one's fault: the producers, the network to us, or the topic.
    let failed: BTreeSet<BrokerId> = failed(facts).into_keys().filter(|id| !down.contains(id)).collect();
    let known = facts.rows.brokers.len();
    if failed.len() * 2 > known && known > 1 {
        return Vec::new();
    }
    failed.into_iter().map(|id| cause(facts, id, &votes)).collect()
}

/// A partition that was tried or watched.
type Name<'a> = (&'a str, i32);

/// What stands and what moves, with who is in its ISR and who leads it.
#[derive(Default)]
struct Votes<'a> {
    bad: BTreeMap<Name<'a>, (Since, PartitionRow<'a>)>,
    good: BTreeMap<Name<'a>, PartitionRow<'a>>,
    /// Probes among the bad.
    probed: usize,
}

impl<'a> Votes<'a> {
    fn count(facts: &Facts<'a>) -> Self {
        let mut votes = Self::default();
        let failed = failed(facts);
        let (mut standing, mut moving) = watched(facts);
        if failed.is_empty() && standing.len() < STANDING {
            return votes;
        }
        if let Some(topic) = facts.snapshot.probe_topic.as_deref() {
            let led = |id: &BrokerId| {
                facts
                    .rows
                    .partitions
                    .of_topic(topic)
                    .find(|row| row.leader == Some(*id))
            };
            for (id, (_, since)) in &failed {
                if let Some(row) = led(id) {
                    votes.probed += 1;
                    standing.insert((topic, row.partition), *since);
                }
            }
            let tried = facts.snapshot.probes.values().filter(|probe| probe.is_fresh());
            moving.extend(tried.filter_map(|probe| Some((topic, probe.get()?.partition))));
        }
        for row in facts.rows.partitions.iter() {
            let name = (row.topic(), row.partition);
            match (standing.get(&name), moving.contains(&name)) {
                (Some(since), _) => {
                    votes.bad.insert(name, (*since, row));
                }
                (None, true) => {
                    votes.good.insert(name, row);
                }
                (None, false) => {}
            }
        }
        votes
    }

    fn culprit(&self) -> Option<BrokerId> {
        let bad: Vec<PartitionRow<'_>> = self.bad.values().map(|(_, row)| *row).collect();
        let good: Vec<PartitionRow<'_>> = self.good.values().copied().collect();
        vote::culprit(&bad, &good)
    }

    fn led_by(&self, id: BrokerId) -> usize {
        self.bad.values().filter(|(_, row)| row.leader == Some(id)).count()
    }
}

/// Of the busy partitions: those that stand still while others of their topic move, with since when, and those that move.
fn watched<'a>(facts: &Facts<'a>) -> (BTreeMap<Name<'a>, Since>, BTreeSet<Name<'a>>) {
    let (mut standing, mut moving) = (BTreeMap::new(), BTreeSet::new());
    for (id, paces) in &facts.snapshot.paces {
        let told = facts.snapshot.offsets.get(id).filter(|told| told.is_fresh());
        let Some(seen_at): Option<Moment> = told.and_then(|told| told.seen_at) else {
            continue;
        };
        for pace in paces {
            let name = (pace.topic.as_str(), pace.partition);
            match pace.has_stopped(seen_at) {
                true => {
                    let at = pace.moved_at;
                    standing.insert(name, Since { at, recorded: true });
                }
                false if pace.moves(seen_at) => {
                    moving.insert(name);
                }
                false => {}
            }
        }
    }
    let topics: BTreeSet<&str> = moving.iter().map(|(topic, _)| *topic).collect();
    standing.retain(|(topic, _), _| topics.contains(topic));
    (standing, moving)
}

/// By leader: why its last write probe failed. A right that is missing is no fault.
pub fn failed<'a>(facts: &Facts<'a>) -> BTreeMap<BrokerId, (&'a str, Since)> {
    let probes = facts.snapshot.probes.iter();
    probes
        .filter_map(|(id, probe)| match &probe.health {
            Health::Failing {
                trouble: Trouble::TimedOut | Trouble::Unreachable | Trouble::Refused,
                reason,
                since,
            } => Some((
                *id,
                (
                    reason.as_str(),
                    Since {
                        at: *since,
                        recorded: probe.seen_at.is_some(),
                    },
                ),
            )),
            _ => None,
        })
        .collect()
}

fn cause(facts: &Facts<'_>, id: BrokerId, votes: &Votes<'_>) -> Cause {
    let leads = facts.led_by(id);
    let misses = facts
        .shrunk()
        .filter(|row| row.replicas.contains(&id) && !row.isr.contains(&id))
        .count();
    let mut clauses = match votes.culprit() {
        Some(_) => vec![format!(
            "broker {id} is in the ISR of all {} that stand, leads {} of them, and is in that of none of {} that move",
            text::plural(votes.bad.len(), "partition"),
            votes.led_by(id),
            votes.good.len()
        )],
        None => vec![format!("broker {id} leads {leads} partitions")],
    };
    if let Some((reason, _)) = failed(facts).get(&id) {
        clauses.push(format!("its write probe fails: {reason}"));
    }
    clauses.push(format!("it answers, and misses {misses} ISRs"));
    let since = votes.bad.values().map(|(since, _)| *since).min_by_key(|since| since.at);
    let from = BTreeSet::from([id]);
    Cause {
        rule: "writes-stop",
        verdict: Verdict::Fail,
        culprit: Culprit::new(Kind::Broker, id),
        text: clauses.join(" · "),
        since,
        source: "write probe, ListOffsets",
        evidence: Evidence::of("broker", id),
        next: vec![
            Step::new(
                format!("leader move --from-broker {id}"),
                format!("{leads} leaders, no data moved"),
                vec![facts.gate_leaders_can_move(&from)],
            ),
            Step::new(
                format!("broker stop {id}"),
                "when leaders cannot move: lets the ISRs shrink",
                vec![facts.gate_last_copy(id)],
            ),
        ],
        dont: vec![
            Dont::new(
                format!("restart broker {id}"),
                "an unclean recovery on a disk that may be stalled",
            ),
            Dont::new(
                "lower min.insync.replicas",
                "it does not help, and a write would rest on one copy",
            ),
            Dont::new("start reassignments", "they read from it"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::check::fixture::Six;
    use crate::check::{Culprit, Kind};
    use crate::model::Trouble;

    #[test]
    fn a_stalled_broker_is_found_by_what_stands_though_isrs_are_full() {
        let mut six = Six::healthy();
        six.stalled(4);
        let causes = six.causes();
        assert_eq!(causes[0].culprit, Culprit::new(Kind::Broker, 4));
        assert!(
            causes[0].text.contains("all 6 partitions that stand"),
            "{}",
            causes[0].text
        );
        assert_eq!(causes[0].next[0].action, "leader move --from-broker 4");
        assert!(causes[0].dont[0].action.contains("restart broker 4"));
    }

    #[test]
    fn leaders_that_wait_for_a_stalled_follower_are_not_at_fault() {
        let mut six = Six::healthy();
        six.stalled(4).probe_partitions();
        for id in [2, 4, 5] {
            six.probe(id, Some(Trouble::TimedOut));
        }
        let names: Vec<_> = six.causes().into_iter().map(|cause| cause.culprit).collect();
        assert_eq!(names, [Culprit::new(Kind::Broker, 4)], "2 and 5 wait for it");
    }

    #[test]
    fn producers_that_stop_everywhere_are_nobodys_fault() {
        let mut six = Six::healthy();
        for id in 1..=6 {
            six.paces(id, 20);
        }
        assert!(six.causes().is_empty(), "{:?}", six.causes());
    }

    #[test]
    fn a_failing_probe_names_its_leader_and_a_missing_right_does_not() {
        let mut six = Six::healthy();
        six.probe_partitions().probe(2, Some(Trouble::TimedOut));
        assert_eq!(six.causes()[0].culprit, Culprit::new(Kind::Broker, 2));
        six.probe(2, Some(Trouble::Denied));
        assert!(six.causes().is_empty());
    }
}
