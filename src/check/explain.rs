//! Findings that an operation of ours explains while it progresses: what it moves is out of sync for a reason that is known.
//! They are told with the operation's id, name no culprit, and do not count (`--strict` counts them).
//!
//! Only what the operation's own plan touches is explained: the partitions that it moves, and the brokers that its copies load.
//! What somebody else moves, a throttle that none of our operations has set, and any partition under its min ISR are not.

use std::collections::BTreeSet;

use super::{Cause, Facts};
use crate::model::event::{Event, EventKind};
use crate::model::row::partition::{Badge, PartitionRow};
use crate::model::{BrokerId, Moment};
use crate::plan::Plan;

/// An operation of Azimuth, as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    pub id: String,
    /// What it does, for example `move 12 partitions off broker 4`.
    pub title: String,
    /// How it stands, in a word or two: `began`, `finished`, `running`.
    pub state: String,
    /// Who began it.
    pub by: String,
    /// When it came to stand so.
    pub at: Moment,
    /// An engine carries it out now.
    pub progresses: bool,
    pub reach: Reach,
}

/// What an operation touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    partitions: BTreeSet<(String, i32)>,
    /// Brokers that it copies to and from.
    brokers: BTreeSet<BrokerId>,
}

impl Reach {
    pub fn of(plan: &Plan) -> Self {
        Self {
            partitions: plan.moves().map(|step| (step.topic.clone(), step.partition)).collect(),
            brokers: plan
                .moves()
                .flat_map(|step| step.from.iter().chain(&step.to))
                .copied()
                .collect(),
        }
    }

    fn holds(&self, topic: &str, partition: i32) -> bool {
        self.partitions.contains(&(topic.to_owned(), partition))
    }
}

impl Act {
    /// As a change.
    pub fn event(&self) -> Event {
        Event::new(
            self.at,
            EventKind::Operation,
            format!("operation {}", self.id),
            format!("({}) {}, by {}", self.title, self.state, self.by),
            1,
        )
    }
}

/// A cause, and the operation that explains it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    pub cause: Cause,
    /// The operation's id and title.
    pub by: String,
    pub title: String,
}

/// Takes the causes that an operation explains out of `causes`.
pub(super) fn split(facts: &Facts<'_>, causes: Vec<Cause>) -> (Vec<Cause>, Vec<Explained>) {
    let (mut open, mut explained) = (Vec::new(), Vec::new());
    for cause in causes {
        match facts.progressing().find(|act| explains(facts, act, &cause)) {
            Some(act) => explained.push(Explained {
                by: act.id.clone(),
                title: act.title.clone(),
                cause,
            }),
            None => open.push(cause),
        }
    }
    (open, explained)
}

fn explains(facts: &Facts<'_>, act: &Act, cause: &Cause) -> bool {
    if facts.count(Badge::UnderMinIsr) > 0 || facts.count(Badge::Offline) > 0 {
        return false;
    }
    match cause.rule {
        "follower-behind" => {
            let broker: Option<BrokerId> = cause.culprit.name.parse().ok();
            let mut missed = facts.shrunk().filter(|row| broker.is_some_and(|id| misses(row, id)));
            missed.all(|row| act.reach.holds(row.topic(), row.partition))
        }
        "reassignment-load" => {
            let mut moving = facts.snapshot.reassignments.get().into_iter().flatten();
            let ours = moving.all(|one| act.reach.holds(&one.topic, one.partition));
            let mut missing = facts.shrunk().flat_map(|row| row.placed().missing());
            ours && missing.all(|id| act.reach.brokers.contains(&id))
        }
        _ => false,
    }
}

fn misses(row: &PartitionRow<'_>, id: BrokerId) -> bool {
    row.replicas.contains(&id) && !row.isr.contains(&id)
}

impl<'a> Facts<'a> {
    /// Our operations that are carried out now; none where everything counts.
    fn progressing(&self) -> impl Iterator<Item = &'a Act> {
        let strict = self.strict;
        self.acts.iter().filter(move |act| act.progresses && !strict)
    }

    /// The operation that moves every partition with this badge, if there is any such partition.
    pub fn all_moved_by(&self, badge: Badge) -> Option<&'a Act> {
        let with = || self.rows.partitions.iter().filter(|row| row.badges().contains(badge));
        with().next()?;
        self.progressing()
            .find(|act| with().all(|row| act.reach.holds(row.topic(), row.partition)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{Six, ago};
    use crate::check::triage::{Name, Status};

    /// An operation that moves these partitions of `orders` from and to these brokers.
    fn act(partitions: &[i32], brokers: &[BrokerId], progresses: bool) -> Act {
        Act {
            id: "7f3".into(),
            title: "move partitions off broker 4".into(),
            state: "running".into(),
            by: "anna@bastion-b".into(),
            at: ago(60),
            progresses,
            reach: Reach {
                partitions: partitions
                    .iter()
                    .map(|partition| ("orders".into(), *partition))
                    .collect(),
                brokers: brokers.iter().copied().collect(),
            },
        }
    }

    /// Broker 6 has fallen out of the ISRs of these.
    fn behind(six: &mut Six, partitions: &[i32]) {
        six.mark(crate::model::event::Symptom::Missing(6), 40);
        six.partitions(|partition| {
            if partitions.contains(&partition.partition) {
                partition.isr.retain(|id| *id != 6);
                partition.leader = partition.isr.first().copied();
            }
        });
    }

    fn held_by_six(six: &Six) -> Vec<i32> {
        let topic = &six.snapshot.topics.get().unwrap()[0];
        let held = topic
            .partitions
            .iter()
            .filter(|partition| partition.replicas.contains(&6));
        held.map(|partition| partition.partition).take(3).collect()
    }

    #[test]
    fn what_our_operation_moves_is_explained_and_what_it_does_not_is_not() {
        let mut six = Six::healthy();
        let moved = held_by_six(&six);
        behind(&mut six, &moved);
        assert_eq!(six.triage().culprit.name, "6");
        let triage = six.triage_during(&[act(&moved, &[4, 6], true)]);
        assert_eq!((triage.status, triage.culprit.name.as_str()), (Status::Ok, ""));
        assert_eq!((triage.explained.len(), triage.explained[0].by.as_str()), (1, "7f3"));
        let who = &triage.line(Name::Who).unwrap().text;
        assert!(who.contains("explained by operation 7f3"), "{who}");
        let headline = &triage.line(Name::Headline).unwrap().text;
        assert!(headline.contains("explained by operation 7f3"), "{headline}");
        assert_eq!(triage.findings(), (0, 0));
        for other in [act(&moved[1..], &[4, 6], true), act(&moved, &[4, 6], false)] {
            let triage = six.triage_during(&[other]);
            assert_eq!((triage.culprit.name.as_str(), triage.explained.len()), ("6", 0));
        }
    }

    #[test]
    fn a_reassignment_of_somebody_else_is_not_explained_by_ours() {
        let mut six = Six::healthy();
        let moved = held_by_six(&six);
        six.reassign("orders", moved[0], 6);
        let ours = six.triage_during(&[act(&moved, &[4, 6], true)]);
        assert!(ours.explained.iter().all(|one| one.by == "7f3"));
        six.reassign("orders", 11, 2);
        six.isr("orders", 0, &[1]);
        let foreign = six.triage_during(&[act(&moved[..1], &[4, 6], true)]);
        assert!(foreign.explained.is_empty());
    }
}
