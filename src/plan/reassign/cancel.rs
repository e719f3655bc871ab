//! Sending back what is in flight, whoever started it.

use super::placed;
use crate::model::Moment;
use crate::model::reassignment::Reassignment;
use crate::model::snapshot::Snapshot;
use crate::plan::gate::{Class, Gate, few};
use crate::plan::{Error, Kind, Move, Plan, Step, Undo, known};

/// Which of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    All,
    /// Each a `TOPIC` or a `TOPIC:PARTITION`.
    Named(Vec<String>),
}

impl Cancel {
    fn takes(&self, one: &Reassignment) -> bool {
        let partition = || format!("{}:{}", one.topic, one.partition);
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| *name == one.topic || *name == partition()),
        }
    }

    /// What a saved plan was for.
    pub(in crate::plan) fn of(plan: &Plan) -> Self {
        let moves = plan.steps.iter().flat_map(|step| match step {
            Step::CancelReassign { moves } => moves.as_slice(),
            _ => &[],
        });
        Self::Named(moves.map(|m| format!("{}:{}", m.topic, m.partition)).collect())
    }
}

/// Works out what sending it back takes. Needs cluster, topics and reassignments. Kafka does not keep whom a partition
/// preferred, so that another of its replicas may be preferred afterwards.
///
/// # Errors
/// When nothing of it is in flight.
pub fn cancel(snapshot: &Snapshot, wish: &Cancel, context: &str, now: Moment) -> Result<Plan, Error> {
    known(&snapshot.topics, "the topics")?;
    let flying = known(&snapshot.reassignments, "the reassignments in flight")?;
    let moves: Vec<Move> = flying.iter().filter(|one| wish.takes(one)).map(back).collect();
    if moves.is_empty() {
        return Err(Error::Nothing(match wish {
            Cancel::All => "nothing is being reassigned".to_owned(),
            Cancel::Named(names) => {
                let names = few(names);
                format!("nothing of {names} is being reassigned; azimuth reassign list shows what is")
            }
        }));
    }
    let names: Vec<String> = moves.iter().map(Move::name).collect();
    Ok(Plan {
        title: format!("cancel the reassignment of {}", few(&names)),
        gates: vec![led(snapshot, &moves)],
        undo: Undo::Full {
            how: "move on to where they were going".to_owned(),
        },
        steps: vec![Step::CancelReassign { moves }],
        ..Plan::draft(snapshot, Kind::ReassignCancel, context, now)?
    })
}

/// From where it is going to where it was.
fn back(one: &Reassignment) -> Move {
    let without = |gone: &[_]| one.replicas.iter().copied().filter(|id| !gone.contains(id)).collect();
    Move {
        topic: one.topic.clone(),
        partition: one.partition,
        from: without(&one.removing),
        to: without(&one.adding),
        size_bytes: None,
    }
}

/// One of those that stay must be able to lead. Source: Kafka's PartitionReassignmentRevert, which otherwise refuses.
fn led(snapshot: &Snapshot, moves: &[Move]) -> Gate {
    let alone =
        |m: &&Move| placed(snapshot, m).is_none_or(|partition| !m.to.iter().any(|id| partition.isr.contains(id)));
    let alone: Vec<String> = moves.iter().filter(alone).map(Move::name).collect();
    Gate::none_of(
        "isr",
        Class::Soft,
        &alone,
        "of each partition a replica that stays is in sync",
        "partitions have no replica in sync but those that came",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::cluster::Cluster;
    use crate::model::topic::{Partition, Topic};
    use crate::plan::gate::Verdict;
    use crate::plan::intent::Intent;
    use crate::plan::reassign::{Goal, Target};
    use crate::plan::undo;

    /// `orders-0` goes from 1,2 to 2,4, and `orders-1` from 2 to 3, whom only 3 is in sync of.
    fn snapshot() -> Snapshot {
        let now = Moment::UNIX_EPOCH;
        let partition = |partition, replicas: &[i32], isr: &[i32]| Partition {
            partition,
            leader: isr.first().copied(),
            replicas: replicas.into(),
            isr: isr.into(),
            ..Partition::default()
        };
        let orders = Topic {
            name: "orders".into(),
            id: uuid::Uuid::nil(),
            internal: false,
            partitions: vec![partition(0, &[2, 4, 1], &[1, 2]), partition(1, &[3, 2], &[3])],
        };
        let flies = |partition, replicas: &[i32], adding: i32, removing: i32| Reassignment {
            topic: "orders".into(),
            partition,
            replicas: replicas.to_vec(),
            adding: vec![adding],
            removing: vec![removing],
        };
        Snapshot {
            cluster: Observed::fresh(Cluster::default(), now),
            topics: Observed::fresh(vec![orders], now),
            reassignments: Observed::fresh(vec![flies(0, &[2, 4, 1], 4, 1), flies(1, &[3, 2], 3, 2)], now),
            ..Snapshot::default()
        }
    }

    fn of(names: &[&str]) -> Result<Plan, Error> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        cancel(&snapshot(), &Cancel::Named(names), "dev", Moment::UNIX_EPOCH)
    }

    #[test]
    fn what_is_named_goes_back_and_its_undo_moves_on() {
        let plan = of(&["orders:0"]).unwrap();
        let [Step::CancelReassign { moves }] = plan.steps.as_slice() else {
            panic!("{plan:?}")
        };
        assert_eq!(moves.len(), 1);
        assert_eq!((&moves[0].from, &moves[0].to), (&vec![2, 4], &vec![2, 1]));
        assert_eq!(plan.gates[0].verdict, Verdict::Pass);
        assert_eq!(
            Intent::of(&plan),
            Intent::CancelReassign(Cancel::Named(vec!["orders:0".into()]))
        );
        let on = Goal::Assign(vec![Target::new("orders", 0, vec![2, 4])]);
        assert_eq!(undo::intent(&plan, |_| true).unwrap(), Intent::Reassign(on.into()));
    }

    #[test]
    fn one_that_only_who_came_could_lead_closes_the_gate() {
        let plan = of(&["orders"]).unwrap();
        assert_eq!(plan.gates[0].verdict, Verdict::Fail);
        assert!(plan.gates[0].evidence.contains("orders-1"), "{:?}", plan.gates[0]);
        let none = of(&["clicks:3"]).unwrap_err().to_string();
        assert!(none.contains("nothing of clicks:3 is being reassigned"), "{none}");
    }
}
