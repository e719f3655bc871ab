//! Plans that waited in a file while the cluster went on, and operations whose host did.

use std::time::Instant;

use azimuth::model::Moment;
use azimuth::source::kafka::{Kafka, Target};
use azimuth_broker::id::NodeId;
use serde_json::{Value, json};

use super::PATIENCE;
use super::load::topic;
use super::operations::{Desk, LOOK, ours, swapped};
use super::paced::hour;
use super::throttles::{ROOM, Stranger};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plan_that_waited_is_refreshed_or_goes_on_without_what_drifted() {
    let (cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    desk.run("topic create orders --partitions 4 --replication-factor 3 --yes")
        .await
        .ends(0);
    let wanted = swapped(&desk.placement("orders").await);
    desk.planned("orders", &wanted, "--max-rate none --valid 1h", 0).await;
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("plan.json")).unwrap()).unwrap();
    let at = |key: &str| plan[key].as_str().unwrap().parse::<Moment>().unwrap();
    assert_eq!(at("expires_at").duration_since(at("made_at")).as_secs(), 3600);

    let stranger = Stranger {
        kafka: Kafka::new(Target::new(&bootstrap)),
    };
    let theirs: Vec<i32> = wanted[0].iter().rev().map(|id| *id as i32).collect();
    stranger.moves("orders", &theirs).await;
    let moved: Vec<i64> = theirs.iter().map(|id| i64::from(*id)).collect();
    let started = Instant::now();
    while desk.placement("orders").await[0] != moved || desk.json("reassign list").await["items"] != json!([]) {
        assert!(started.elapsed() < PATIENCE, "the stranger's move never ends");
        tokio::time::sleep(LOOK).await;
    }

    desk.run(&format!("reassign apply plan.json {ROOM} --yes"))
        .await
        .ends(4)
        .says("orders-0 was on");
    desk.run("reassign plan --refresh plan.json --out fresh.json")
        .await
        .ends(0)
        .says("are elsewhere by now: orders-0");
    let applied = desk
        .run(&format!("reassign apply plan.json --skip-drifted {ROOM} --yes"))
        .await;
    applied.ends(0).says("left out: orders-0").answers("finished");
    let placement = desk.placement("orders").await;
    assert_eq!((&placement[0], &placement[1..]), (&moved, &wanted[1..]));

    let back = desk.assignment("orders", &swapped(&placement));
    let line = format!("reassign plan --from-json {} --valid 1s --out old.json", back.display());
    desk.run(&line).await.ends(0);
    let started = Instant::now();
    loop {
        let ran = desk.run(&format!("reassign apply old.json {ROOM} --dry-run")).await;
        if ran.stderr.contains("the plan was valid until") {
            ran.ends(4);
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it never expires: {}", ran.stderr);
        tokio::time::sleep(LOOK).await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_in_flight_when_the_host_went_down_ends_and_nothing_more_begins() {
    let (cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    desk.run("topic create orders --partitions 40 --replication-factor 3 --yes")
        .await
        .ends(0);
    let wanted = swapped(&desk.placement("orders").await);
    desk.planned("orders", &wanted, "--max-rate none", 0).await;
    // One that gets replicas is gone before the first is in sync, so that the first step stays in flight.
    cluster.cut(NodeId(4));
    let line = format!("reassign apply plan.json {ROOM} --detach --yes -o name");
    let id = desk.run(&line).await.ends(0).stdout.trim().to_owned();
    let doing = |operation: &Value| {
        let mut steps = operation["steps"].as_array().unwrap().iter();
        steps.any(|step| step["state"] == "doing")
    };
    let running = desk.until(&id, "in flight", doing).await;
    desk.kill_engine(&running);
    cluster.heal(NodeId(4));

    desk.run("operation resume --unattended").await.ends(0).answers(&id);
    let paused = desk
        .until(&id, "paused", |operation| operation["state"] == "paused")
        .await;
    let steps = paused["steps"].as_array().unwrap();
    let done = steps.iter().filter(|step| step["state"] == "done").count();
    assert!(done > 0 && done < steps.len(), "{paused:#}");
    assert_eq!(
        desk.json("reassign list").await["items"],
        json!([]),
        "nothing is in flight"
    );
    // Once more finds nobody without an engine.
    desk.run("operation resume --unattended").await.ends(0);
    desk.run(&format!("operation resume {id} --yes"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.placement("orders").await, wanted);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn outside_of_its_hours_a_move_is_slow_and_between_batches_it_soaks() {
    let (cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    let kafka = Kafka::new(Target::new(&bootstrap));
    for name in ["a", "b"] {
        topic(&kafka, &bootstrap, name, &[1, 2], 6).await;
    }
    let assignment = json!({"version": 1, "partitions": [
        {"topic": "a", "partition": 0, "replicas": [1, 3]},
        {"topic": "b", "partition": 0, "replicas": [1, 3]},
    ]});
    std::fs::write(desk.path("both.json"), assignment.to_string()).unwrap();
    let line = "reassign plan --from-json both.json --max-rate 2MB --max-bytes-in-flight 5MB --out plan.json";
    let started = Instant::now();
    loop {
        let plan = desk.json(line).await;
        if plan["impact"]["known_bytes"].as_u64() >= Some(10_000_000) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the sizes never come: {plan:#}");
        tokio::time::sleep(LOOK).await;
    }
    let when = format!("--window {}-{}Z --outside-rate 1MB --soak 2s", hour(2), hour(3));
    let line = format!("reassign apply plan.json {when} {ROOM} --detach --yes -o name");
    let id = desk.run(&line).await.ends(0).stdout.trim().to_owned();
    // It is set as planned, and lowered once something moves.
    let started = Instant::now();
    loop {
        let set = desk.throttles().await;
        let mut rates = set.iter().filter(|(subject, _)| subject.starts_with("broker"));
        if !set.is_empty() && rates.all(|(_, (rate, _))| rate == "1000000") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "never slowed: {set:?}");
        tokio::time::sleep(LOOK).await;
    }
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
    let shown = desk.operation(&id).await;
    let told: Vec<&str> = shown["journal"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"].as_str().unwrap())
        .collect();
    assert!(told.iter().any(|event| event.contains("soaks for 2 s")), "{told:#?}");
    assert!(desk.throttles().await.is_empty());
    for name in ["a", "b"] {
        assert_eq!(desk.placement(name).await, [[1, 3]]);
    }
    cluster.shutdown().await;
}
