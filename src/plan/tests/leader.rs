//! Who leads: off brokers and zones, back again, by election.

use super::*;
use crate::plan::leader::{self, From, Wish};
use crate::plan::reassign::Target;

fn leave(from: From) -> Wish {
    Wish::Leave {
        from,
        to: None,
        topics: None,
        exclude: None,
    }
}

fn off(ids: &[BrokerId]) -> Wish {
    leave(From::Brokers(ids.to_vec()))
}

fn planned(snapshot: &Snapshot, wish: &Wish) -> Result<Plan, Error> {
    leader::plan(snapshot, wish, "dev", now())
}

/// Partition, old order, new order.
fn orders(plan: &Plan) -> Vec<(i32, Vec<BrokerId>)> {
    plan.moves().map(|one| (one.partition, one.to.clone())).collect()
}

fn leads(plan: &Plan) -> Vec<(i32, Option<BrokerId>, Option<BrokerId>)> {
    let leads = plan.steps.iter().flat_map(Step::leads);
    leads.map(|lead| (lead.partition, lead.from, lead.to)).collect()
}

fn edit(snapshot: &mut Snapshot, partition: usize, edit: impl FnOnce(&mut Partition)) {
    let mut topics = snapshot.topics.get().unwrap().clone();
    edit(&mut topics[0].partitions[partition]);
    snapshot.topics = Observed::fresh(topics, now());
}

fn silence(snapshot: &mut Snapshot, id: BrokerId) {
    let link = snapshot.links.get_mut(&id).unwrap();
    link.fail(Trouble::Unreachable, "does not answer", now());
}

fn gate<'a>(plan: &'a Plan, name: &str) -> &'a Gate {
    plan.gates.iter().find(|gate| gate.name == name).unwrap()
}

/// As the snapshot is once the plan was carried out.
fn done(mut snapshot: Snapshot, plan: &Plan) -> Snapshot {
    for one in plan.moves() {
        edit(&mut snapshot, one.partition as usize, |partition| {
            partition.replicas = one.to.as_slice().into();
        });
    }
    for lead in plan.steps.iter().flat_map(Step::leads) {
        edit(&mut snapshot, lead.partition as usize, |partition| {
            partition.leader = lead.to
        });
    }
    snapshot
}

#[test]
fn a_broker_is_left_by_what_it_leads_and_is_preferred_last() {
    let snapshot = snapshot();
    let plan = planned(&snapshot, &off(&[1])).unwrap();
    // Broker 2 leads one already, so broker 3 takes over.
    assert_eq!(orders(&plan), [(0, vec![3, 2, 1])]);
    assert_eq!(leads(&plan), [(0, Some(1), Some(3))]);
    assert_eq!(plan.title, "1 leader off broker 1");
    assert!(matches!(plan.steps[..], [Step::Reassign { .. }, Step::Elect { .. }]));
    assert_eq!(gate(&plan, "isr").verdict, Verdict::Pass);
    assert!(matches!(plan.undo, Undo::Full { .. }));
    assert_eq!((plan.impact.bytes, plan.impact.crossing_bytes), (Some(0), Some(0)));
    let lines: Vec<String> = crate::plan::summary::lines(&plan)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(
        lines,
        [
            "PLAN leader move: 1 leader off broker 1   1 order · 1 election · no data moved · undo: full (leader restore, no \
             bytes)",
            "  broker   leaders   replicas",
            "       1       1→0          2",
            "       3       0→1          2",
            "  orders-0  prefers 1,2,3 → 3,2,1",
            "  ✓ isr           all 1 get a leader that is in sync and answers",
        ]
    );
}

#[test]
fn a_zone_is_left_for_another() {
    let plan = planned(&snapshot(), &leave(From::Zone("b".to_owned()))).unwrap();
    assert_eq!(orders(&plan), [(1, vec![3, 1, 2])]);
    let wrong = planned(&snapshot(), &leave(From::Zone("z".to_owned()))).unwrap_err();
    assert_eq!(wrong.to_string(), "no broker is in zone z; there are a, b, c");
}

#[test]
fn one_that_died_is_preferred_no_more_and_needs_no_election() {
    let mut snapshot = snapshot();
    edit(&mut snapshot, 0, |partition| {
        partition.leader = Some(2);
        partition.isr = [2, 3].into();
    });
    let plan = planned(&snapshot, &off(&[1])).unwrap();
    assert_eq!(orders(&plan), [(0, vec![2, 3, 1])], "who leads goes on");
    assert!(leads(&plan).is_empty());
}

#[test]
fn only_who_is_in_sync_and_answers_takes_over() {
    let mut snapshot = snapshot();
    silence(&mut snapshot, 3);
    let plan = planned(&snapshot, &off(&[1])).unwrap();
    assert_eq!(leads(&plan), [(0, Some(1), Some(2))]);
    edit(&mut snapshot, 0, |partition| partition.isr = [1, 3].into());
    let refused = planned(&snapshot, &off(&[1])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no leader of broker 1 can be moved: 1 of 1 stay: no other replica is in sync and answers (orders-0)"
    );
    let plan = planned(&snapshot, &off(&[1, 2])).unwrap_err();
    assert!(plan.to_string().contains("brokers 1, 2"), "{plan}");
}

#[test]
fn what_is_being_reassigned_stays_and_is_named() {
    let mut snapshot = snapshot();
    let moving = Reassignment {
        topic: "orders".into(),
        partition: 0,
        replicas: vec![4, 1, 2, 3],
        adding: vec![4],
        removing: vec![1],
    };
    snapshot.reassignments = Observed::fresh(vec![moving], now());
    let plan = planned(&snapshot, &off(&[1, 2])).unwrap();
    assert_eq!(leads(&plan), [(1, Some(2), Some(3))]);
    assert_eq!(gate(&plan, "reassigning").verdict, Verdict::Warn);
    assert!(gate(&plan, "reassigning").evidence.ends_with("orders-0"));
}

#[test]
fn the_saved_order_comes_back_with_its_leaders() {
    let before = snapshot();
    let plan = planned(&before, &off(&[1, 2])).unwrap();
    let saved: Vec<Target> = plan
        .moves()
        .map(|one| Target::new(&one.topic, one.partition, one.from.clone()))
        .collect();
    let mut after = done(before.clone(), &plan);
    let back = planned(&after, &Wish::Restore(saved.clone())).unwrap();
    assert_eq!(back.kind, Kind::LeaderRestore);
    assert_eq!(done(after.clone(), &back).topics.get(), before.topics.get());
    // Who is not in sync yet is preferred again, and leads later.
    edit(&mut after, 0, |partition| partition.isr = [2, 3].into());
    let back = planned(&after, &Wish::Restore(saved.clone())).unwrap();
    assert_eq!(leads(&back), [(1, Some(3), Some(2))]);
    assert_eq!(orders(&back).len(), 2);
    assert_eq!(gate(&back, "isr").verdict, Verdict::Warn);
    // Who went elsewhere meanwhile is left alone.
    edit(&mut after, 1, |partition| partition.replicas = [4, 5, 6].into());
    let back = planned(&after, &Wish::Restore(saved.clone())).unwrap();
    assert_eq!(orders(&back), [(0, vec![1, 2, 3])]);
    assert!(gate(&back, "placement").evidence.ends_with("orders-1"));
    let nothing = planned(&before, &Wish::Restore(saved)).unwrap_err();
    assert!(matches!(nothing, Error::Nothing(_)), "{nothing}");
}

#[test]
fn the_preferred_replica_is_elected_where_it_is_in_sync() {
    let mut snapshot = snapshot();
    let names = |names: &[&str]| Wish::Prefer(names.iter().map(|name| (*name).to_owned()).collect());
    assert!(matches!(planned(&snapshot, &names(&[])), Err(Error::Nothing(_))));
    for partition in [0, 1] {
        edit(&mut snapshot, partition, |partition| partition.leader = Some(3));
    }
    edit(&mut snapshot, 1, |partition| partition.isr = [3, 1].into());
    let plan = planned(&snapshot, &names(&[])).unwrap();
    assert_eq!(leads(&plan), [(0, Some(3), Some(1))]);
    assert!(gate(&plan, "isr").evidence.ends_with("(orders-1 (broker 2))"));
    assert!(planned(&snapshot, &names(&["orders:1"])).is_err());
    let wrong = planned(&snapshot, &names(&["orders:9"])).unwrap_err();
    assert_eq!(wrong.to_string(), "topic orders has partitions 0 to 1, no 9");
    assert_eq!(
        planned(&snapshot, &names(&["order"])).unwrap_err().to_string(),
        "there is no topic order"
    );
}

#[test]
fn an_unclean_election_is_asked_for_by_name_and_counts_what_may_be_lost() {
    let mut snapshot = snapshot();
    let names = |names: &[&str]| Wish::Unclean(names.iter().map(|name| (*name).to_owned()).collect());
    assert!(planned(&snapshot, &names(&[])).is_err());
    let led = planned(&snapshot, &names(&["orders:0"])).unwrap_err();
    assert!(led.to_string().contains("is led by broker 1"), "{led}");
    edit(&mut snapshot, 0, |partition| {
        partition.leader = None;
        partition.isr = [1].into();
    });
    silence(&mut snapshot, 1);
    silence(&mut snapshot, 3);
    let mut dirs = snapshot.logdirs[&2].get().unwrap().clone();
    let mut replicas = dirs[0].replicas.to_vec();
    replicas[0].lag_records = 12;
    dirs[0].replicas = replicas.into();
    snapshot.logdirs.insert(2, Observed::fresh(dirs, now()));
    let plan = planned(&snapshot, &names(&["orders:0"])).unwrap();
    assert_eq!(leads(&plan), [(0, None, None)]);
    let told = &gate(&plan, "unclean").evidence;
    assert!(
        told.contains("broker 2 has 100 GB and lacks at least 12 records"),
        "{told}"
    );
    assert_eq!(plan.refused_by(&[]).count(), 1);
    assert_eq!(plan.refused_by(&["unclean".to_owned()]).count(), 0);
    assert!(matches!(plan.undo, Undo::None { .. }), "its name must be typed");
}

#[test]
fn a_thousand_at_a_time_first_the_order_then_the_leader() {
    let mut snapshot = snapshot();
    let mut topics = snapshot.topics.get().unwrap().clone();
    let one = topics[0].partitions[0].clone();
    topics[0].partitions = (0..2500)
        .map(|partition| Partition {
            partition,
            ..one.clone()
        })
        .collect();
    snapshot.topics = Observed::fresh(topics, now());
    let plan = planned(&snapshot, &off(&[1])).unwrap();
    let sizes: Vec<(usize, usize)> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Reassign { moves } => (moves.len(), 0),
            step => (0, step.leads().len()),
        })
        .collect();
    assert_eq!(sizes, [(1000, 0), (0, 1000), (1000, 0), (0, 1000), (500, 0), (0, 500)]);
    // Half and half, as they led nothing before.
    let to_two = leads(&plan).iter().filter(|lead| lead.2 == Some(2)).count();
    assert_eq!(to_two, 1250);
}

#[test]
fn a_saved_plan_is_worked_out_again_to_the_same() {
    let snapshot = snapshot();
    let plan = planned(&snapshot, &off(&[1])).unwrap();
    let again = plan.renewed(&snapshot, now()).unwrap();
    assert_eq!(
        (again.kind, &again.title, &again.steps),
        (plan.kind, &plan.title, &plan.steps)
    );
}
