//! The planner of reassignments beside others, on the same clusters, and how long it takes. Run by hand:
//!
//! ```text
//! cargo bench -p azimuth --bench planner
//! ```
//!
//! 1,000 topics with 10 partitions of 3 replicas, on 4, 6, 12 and 100 brokers in 3 zones, as Kafka places them. Beside it
//! Kafka's `--generate` and topicctl's rebalancer, both written anew from what they publish. Every plan is counted by the
//! same code. Then every goal on 100,000 replicas, and the loss of each zone on 100,000 partitions.

mod layout;
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use azimuth::model::row::Rows;
use azimuth::model::{BrokerId, Moment, Snapshot};
use azimuth::plan::Plan;
use azimuth::plan::reassign::{self, Goal, Least, Measure, Target};
use azimuth::plan::whatif;

/// What was promised for 100,000 replicas.
const PROMISE: Duration = Duration::from_secs(1);

/// Processor time of this thread so far: it means something on a busy machine too.
/// Source: Linux, Documentation/scheduler/sched-stats.rst.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// What a piece of work gives, and the processor time that it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = cpu();
    let done = work();
    (done, cpu() - started)
}

/// What somebody wants of a cluster.
struct Scene {
    name: &'static str,
    brokers: usize,
    /// Topics lie on so many of them.
    used: usize,
    goal: Goal,
    /// Where replicas may be afterwards.
    ids: Vec<BrokerId>,
    removed: Vec<BrokerId>,
}

fn main() {
    println!(
        "| brokers | wanted | planner | replicas | bytes | of the least | cross-AZ | preferred leaders | skew bytes, replicas, leaders | processor |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for brokers in [4, 6, 12, 100] {
        for scene in scenes(brokers) {
            compare(&scene);
        }
    }
    println!();
    println!("| 100,000 replicas on 100 brokers | replicas moved | processor |");
    println!("|---|---|---|");
    let late = goals().into_iter().filter(|(name, goal)| !in_time(name, goal)).count();
    let slow = zone_losses();
    if late > 0 {
        eprintln!("{late} goals took longer than {PROMISE:?}");
        std::process::exit(1);
    }
    if slow {
        eprintln!("the loss of a zone took longer than {LOSS:?}");
        std::process::exit(1);
    }
}

/// What was promised for the loss of a zone with 100,000 partitions.
const LOSS: Duration = Duration::from_millis(200);

/// What would be without each zone of 100 brokers with 100,000 partitions; whether any took longer than was promised.
fn zone_losses() -> bool {
    let snapshot = layout::cluster(100, 100, 10_000);
    let rows = Rows::of(&snapshot, Moment::UNIX_EPOCH);
    println!();
    println!("| what if, 100,000 partitions on 100 brokers | partitions touched | leaders move | processor |");
    println!("|---|---|---|---|");
    let mut slow = false;
    for zone in &rows.zones {
        let (loss, took) = timed(|| whatif::zone_loss(&snapshot, &rows, &zone.key));
        let Ok(loss) = loss else { continue };
        slow |= took > LOSS;
        println!(
            "| az-loss {} | {} | {} | {} ms |",
            zone.key,
            loss.touched,
            loss.moving,
            took.as_millis()
        );
    }
    let (blocked, took) = timed(|| whatif::blocked(&rows));
    println!(
        "| what blocks the restart of each broker | {} brokers | | {} ms |",
        blocked.len(),
        took.as_millis()
    );
    slow
}

fn scenes(brokers: usize) -> Vec<Scene> {
    let all: Vec<BrokerId> = (0..brokers as BrokerId).collect();
    let new = match brokers {
        4 => 1,
        100 => 9,
        _ => 3,
    };
    let (rest, last) = all.split_at(brokers - 1);
    let scene = |name, used, goal, ids: &[BrokerId], removed: &[BrokerId]| Scene {
        name,
        brokers,
        used,
        goal,
        ids: ids.to_vec(),
        removed: removed.to_vec(),
    };
    vec![
        scene("nothing (spread over racks already)", brokers, Goal::Spread, &all, &[]),
        scene("drain one", brokers, Goal::Drain(last.to_vec()), rest, last),
        scene(
            match new {
                1 => "add 1",
                3 => "add 3",
                _ => "add 9",
            },
            brokers - new,
            Goal::Add(all[brokers - new..].to_vec()),
            &all,
            &[],
        ),
    ]
}

fn compare(scene: &Scene) {
    let snapshot = layout::cluster(scene.brokers, scene.used, 1000);
    let (ours, took) = timed(|| reassign::plan(&snapshot, &scene.goal.clone().into(), "bench", Moment::UNIX_EPOCH));
    let least = match ours.as_ref().ok().and_then(|plan| plan.aim.as_ref()) {
        Some(aim) => aim.least,
        None => Least::Bytes(Some(0)),
    };
    row(scene, "Azimuth", &snapshot, ours.as_ref().ok(), least, took);
    let (targets, took) = timed(|| peers::kafka(&snapshot, &scene.ids));
    row(
        scene,
        "Kafka `--generate`",
        &snapshot,
        assigned(&snapshot, targets).as_ref(),
        least,
        took,
    );
    let (targets, took) = timed(|| peers::topicctl(&snapshot, &scene.ids, &scene.removed));
    row(
        scene,
        "topicctl",
        &snapshot,
        assigned(&snapshot, targets).as_ref(),
        least,
        took,
    );
}

/// Somebody else's targets, counted as ours are.
fn assigned(snapshot: &Snapshot, targets: Vec<Target>) -> Option<Plan> {
    reassign::plan(snapshot, &Goal::Assign(targets).into(), "bench", Moment::UNIX_EPOCH).ok()
}

fn row(scene: &Scene, planner: &str, snapshot: &Snapshot, plan: Option<&Plan>, least: Least, took: Duration) {
    let replicas: usize = plan.map_or(0, |plan| plan.moves().map(|m| m.adding().count()).sum());
    let bytes = plan.map_or(0, |plan| plan.impact.known_bytes);
    let crossing = plan.and_then(|plan| plan.impact.crossing_bytes).unwrap_or(0);
    let dollars = plan.and_then(|plan| plan.impact.crossing_usd).unwrap_or(0.0);
    let leaders = plan.map_or(0, |plan| plan.impact.leader_changes);
    let times = match least {
        Least::Bytes(Some(least)) if least > 0 => format!("{:.2} ×", bytes as f64 / least as f64),
        _ if bytes == 0 => "–".to_owned(),
        _ => "∞".to_owned(),
    };
    println!(
        "| {} | {} | {planner} | {replicas} | {:.2} TB | {times} | {:.2} TB (${dollars:.0}) | {leaders} | {} | {:.0} ms |",
        scene.brokers,
        scene.name,
        bytes as f64 / 1e12,
        crossing as f64 / 1e12,
        skew(scene, snapshot, plan),
        took.as_secs_f64() * 1e3,
    );
}

/// By how much the fullest broker has more than the mean, in percent.
fn skew(scene: &Scene, snapshot: &Snapshot, plan: Option<&Plan>) -> String {
    let moved: BTreeMap<(&str, i32), &[BrokerId]> = plan
        .into_iter()
        .flat_map(Plan::moves)
        .map(|m| ((m.topic.as_str(), m.partition), m.to.as_slice()))
        .collect();
    let mut sizes: BTreeMap<(&str, i32), u64> = BTreeMap::new();
    for dirs in snapshot.logdirs.values().filter_map(|section| section.get()) {
        for replica in dirs.iter().flat_map(|dir| dir.replicas.iter()) {
            sizes.insert((&replica.topic, replica.partition), replica.size_bytes);
        }
    }
    let left: BTreeSet<BrokerId> = scene.ids.iter().copied().collect();
    let mut loads: BTreeMap<BrokerId, [f64; 3]> = left.iter().map(|id| (*id, [0.0; 3])).collect();
    for (topic, partition) in snapshot.partitions() {
        let key = (topic, partition.partition);
        let replicas = moved.get(&key).copied().unwrap_or(&partition.replicas);
        for (place, id) in replicas.iter().enumerate() {
            let load = loads.entry(*id).or_default();
            load[0] += sizes[&key] as f64;
            load[1] += 1.0;
            load[2] += f64::from(u8::from(place == 0));
        }
    }
    let over = |what: usize| {
        let mean = loads.values().map(|load| load[what]).sum::<f64>() / loads.len() as f64;
        let most = loads.values().map(|load| load[what]).fold(0.0, f64::max);
        (most / mean - 1.0) * 100.0
    };
    format!("{:.0}, {:.0}, {:.0} %", over(0), over(1), over(2))
}

fn goals() -> Vec<(&'static str, Goal)> {
    vec![
        ("`--drain-broker`", Goal::Drain(vec![7])),
        ("`--add-broker`", Goal::Add((90..100).collect())),
        ("`--spread`", Goal::Spread),
        ("`--balance bytes`", Goal::Balance(Measure::Bytes)),
        ("`--balance leaders`", Goal::Balance(Measure::Leaders)),
        ("`--balance count`", Goal::Balance(Measure::Count)),
        ("`--rf 4`", Goal::Factor(4)),
        ("`--replace`", Goal::Replace(vec![(7, 97)])),
    ]
}

/// Topics lie on 90 of the brokers, so that there is much to do.
fn in_time(name: &str, goal: &Goal) -> bool {
    let snapshot = layout::cluster(100, 90, 3334);
    let (plan, took) = timed(|| reassign::plan(&snapshot, &goal.clone().into(), "bench", Moment::UNIX_EPOCH));
    let moved: usize = plan.iter().flat_map(Plan::moves).map(|m| m.adding().count()).sum();
    println!("| {name} | {moved} | {:.0} ms |", took.as_secs_f64() * 1e3);
    took < PROMISE
}
