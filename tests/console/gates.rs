//! What happens to a running operation when something that it needs no longer holds: it begins nothing more, says why, and
//! goes on by itself once it holds again.

use std::time::Instant;

use azimuth::source::kafka::{Edit, Kafka, Resource, Target};
use azimuth_broker::cluster::{Cluster, ClusterConfig, Fault, Selection};
use azimuth_broker::env::disk::DirFault;
use azimuth_broker::id::NodeId;
use serde_json::{Value, json};

use super::PATIENCE;
use super::kafka;
use super::load::{fill, topic};
use super::operations::{Desk, LOOK, Ran, VOLUME_BYTES, ours, shifted, swapped, volumes};
use super::throttles::{FOLLOWER, ROOM, Stranger};

const MIN_ISR: &str = "min.insync.replicas";
const LEADER_RATE: &str = "leader.replication.throttled.rate";

impl Desk {
    /// Waits until the operation waits for just these gates.
    async fn waits_for(&self, id: &str, gates: &str) -> String {
        let waits = |operation: &Value| {
            let told = operation["waits_for"].as_str().unwrap_or_default();
            told.starts_with(&format!("gate {gates} is closed"))
        };
        let operation = self.until(id, &format!("waiting for {gates}"), waits).await;
        assert_eq!(operation["state"], "waiting", "{operation:#}");
        operation["waits_for"].as_str().unwrap().to_owned()
    }

    /// Begins the plan of a file, and pauses it before its last step; its operation.
    pub(super) async fn paused(&self, plan: &str, more: &str) -> String {
        let line = format!("reassign apply {plan} --detach --yes -o name {more}");
        let id = self.run(&line).await.ends(0).stdout.trim().to_owned();
        self.run(&format!("operation pause {id}")).await.ends(0);
        let paused = self
            .until(&id, "paused", |operation| operation["state"] == "paused")
            .await;
        assert!(paused["steps_done"].as_u64() < paused["steps"].as_array().map(|all| all.len() as u64));
        id
    }

    /// Plans an assignment of a topic, once every size is known and there are so many bytes to copy.
    pub(super) async fn planned(&self, topic: &str, replicas: &[Vec<i64>], flags: &str, bytes: u64) {
        let file = self.assignment(topic, replicas);
        let line = format!("reassign plan --from-json {} {flags} --out plan.json", file.display());
        let started = Instant::now();
        loop {
            let plan = self.json(&line).await;
            let impact = &plan["impact"];
            let paced = plan["throttle"].is_null() || !plan["throttle"]["ingest_bytes_per_second"].is_null();
            if impact["unknown_sizes"] == json!(0) && impact["known_bytes"].as_u64() >= Some(bytes) && paced {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the sizes never come: {impact:#}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

pub(super) const RECORD_BYTES: u64 = 50_000;

/// Brokers whose disks can be filled from outside.
async fn faulty() -> (Cluster, tempfile::TempDir) {
    let folder = tempfile::Builder::new().prefix("azimuth-gates-").tempdir().unwrap();
    let racks = ["a", "b", "c", "a"].map(str::to_owned);
    let mut config = ClusterConfig::local(4, &racks, folder.path(), 0);
    volumes(&mut config, folder.path());
    config.allow_faults = true;
    (Cluster::start(config).await.unwrap(), folder)
}

/// One thing after the other goes wrong before the last has passed, so that the operation never moves on between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_gate_holds_a_running_operation_up_and_lets_it_go_on() {
    let (mut cluster, _folder) = faulty().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    let stranger = Stranger {
        kafka: Kafka::new(Target::new(&bootstrap)),
    };
    topic(&stranger.kafka, &bootstrap, "slow", &[1, 2], 40).await;
    desk.run("topic create orders --partitions 100 --replication-factor 3 --yes")
        .await
        .ends(0);
    fill(&bootstrap, "orders", 100, 100, RECORD_BYTES as usize).await;
    let wanted = swapped(&desk.placement("orders").await);
    desk.planned("orders", &wanted, "--max-rate none", 50 * RECORD_BYTES)
        .await;
    let id = desk.paused("plan.json", "").await;

    // Somebody moves something else, so slowly that it stays in flight.
    stranger
        .sets(Resource::Broker(Some(3)), format!("{FOLLOWER}.rate"), "1000")
        .await;
    stranger
        .sets(Resource::Topic("slow".into()), format!("{FOLLOWER}.replicas"), "*")
        .await;
    stranger.moves("slow", &[3, 2]).await;
    let resume = format!("operation resume {id}");
    let held = desk.run(&format!("{resume} --yes")).await.ends(4);
    let held = held.answers("waiting (").answers("gate idle is closed");
    held.says("slow-0")
        .says(&format!("azimuth operation attach {id}"))
        .says(&format!("azimuth operation resume {id} --override idle --reason TEXT"));
    desk.waits_for(&id, "idle").await;

    // The disk of a target fills meanwhile, as `azimuth-broker fault fill-dir` does it.
    let full = Fault::Dir {
        dir: None,
        fault: DirFault::Full(VOLUME_BYTES / 20),
    };
    let full = cluster.inject(NodeId(4), full).await.unwrap();
    let told = desk.waits_for(&id, "idle, disk").await;
    // How full it is by then depends on what has landed.
    assert!(told.contains("1 disks ") && told.contains(": broker 4 "), "{told}");
    stranger.cancels("slow").await;
    desk.waits_for(&id, "disk").await;

    // Somebody throttles who takes part.
    stranger
        .changes(Resource::Broker(Some(1)), LEADER_RATE, Edit::Set("5000".to_owned()))
        .await;
    let told = desk.waits_for(&id, "foreign, disk").await;
    assert!(told.contains("somebody else has set 5.0 kB/s on broker"), "{told}");
    cluster.mend(Selection::Number(full.number)).await.unwrap();
    desk.waits_for(&id, "foreign").await;

    // Somebody changes what the moved topic must have in sync.
    let orders = || Resource::Topic("orders".into());
    stranger.changes(orders(), MIN_ISR, Edit::Set("2".to_owned())).await;
    let told = desk.waits_for(&id, "foreign, configs").await;
    assert!(told.contains("min.insync.replicas of orders 1→2"), "{told}");
    stranger
        .changes(Resource::Broker(Some(1)), LEADER_RATE, Edit::Unset)
        .await;
    desk.waits_for(&id, "configs").await;

    // A broker that takes no part in the copies is killed by hand: ISRs shrink.
    cluster.kill(NodeId(2)).await;
    let told = desk.waits_for(&id, "isr, configs").await;
    assert!(told.contains("broker 2 is missing from"), "{told}");
    stranger.changes(orders(), MIN_ISR, Edit::Unset).await;
    desk.waits_for(&id, "isr").await;
    // Or what is deleted of it meanwhile.
    let kept = Edit::Set("3600000".to_owned());
    stranger.changes(orders(), "retention.ms", kept).await;
    let told = desk.waits_for(&id, "isr, configs").await;
    assert!(told.contains("retention.ms of orders inherited→3600000"), "{told}");
    stranger.changes(orders(), "retention.ms", Edit::Unset).await;
    desk.waits_for(&id, "isr").await;

    // And then one that replicas go to; that no override opens.
    cluster.kill(NodeId(4)).await;
    desk.waits_for(&id, "target-alive, isr").await;
    let line = format!("operation resume {id} --override target-alive,isr");
    desk.run(&format!("{line} --yes")).await.ends(2).says("--reason");
    let done = desk.operation(&id).await["steps_done"].clone();
    cluster.restart(NodeId(2)).await.unwrap();
    cluster.restart(NodeId(4)).await.unwrap();
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.placement("orders").await, wanted);

    let shown = desk.operation(&id).await;
    assert!(
        done.as_u64() < shown["steps_done"].as_u64(),
        "none was done meanwhile: {done}"
    );
    let journal = shown["journal"].as_array().unwrap().iter();
    let told: Vec<&str> = journal.map(|entry| entry["event"].as_str().unwrap()).collect();
    assert!(
        told.iter().any(|event| event.starts_with("waits: gate idle is closed")),
        "{told:#?}"
    );
    assert!(told.contains(&"goes on"), "{told:#?}");
    cluster.shutdown().await;
}

/// While a batch is in flight: what would fill a disk goes back, and what a dead broker is to get waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_in_flight_goes_back_from_a_disk_that_fills_and_waits_for_a_broker_that_is_gone() {
    let (mut cluster, _folder) = faulty().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    desk.run("topic create orders --partitions 4 --replication-factor 3 --yes")
        .await
        .ends(0);
    fill(&bootstrap, "orders", 4, 80, RECORD_BYTES as usize).await;
    let home = desk.placement("orders").await;
    // Everything to the broker whose disk fills.
    let to_the_full = |ids: &Vec<i64>| ids.iter().map(|id| if *id == 1 { 4 } else { *id }).collect();
    let wanted: Vec<Vec<i64>> = home.iter().map(to_the_full).collect();
    assert_ne!(home, wanted);
    desk.planned("orders", &wanted, "--max-rate 150kB", 20 * RECORD_BYTES)
        .await;
    // The gate must close while it runs, so nobody goes on against it.
    let began = desk
        .command("anna", "reassign apply plan.json --yes --context dev")
        .output();
    let began = tokio::spawn(began);
    let started = Instant::now();
    let id = loop {
        let row = desk.json("operation list").await["items"][0].clone();
        if row["kind"] == "reassign.plan" {
            break row["operation"].as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "it never begins");
        tokio::time::sleep(LOOK).await;
    };
    let flies = async || {
        let started = Instant::now();
        while desk.json("reassign list").await["items"] == json!([]) {
            assert!(started.elapsed() < PATIENCE, "nothing is in flight");
            tokio::time::sleep(LOOK).await;
        }
    };
    flies().await;
    let full = Fault::Dir {
        dir: None,
        fault: DirFault::Full(VOLUME_BYTES / 50),
    };
    let full = cluster.inject(NodeId(4), full).await.unwrap();
    let held = tokio::time::timeout(PATIENCE, began).await.unwrap().unwrap().unwrap();
    Ran::of(held).ends(4).answers("gate disk is closed");
    let back = |operation: &Value| operation["journal"].to_string().contains("taken back");
    desk.until(&id, "taking it back", back).await;
    let started = Instant::now();
    while desk.json("reassign list").await["items"] != json!([]) || !desk.throttles().await.is_empty() {
        assert!(started.elapsed() < PATIENCE, "it stays in flight, or throttled");
        tokio::time::sleep(LOOK).await;
    }
    assert_eq!(desk.placement("orders").await, home);
    desk.waits_for(&id, "disk").await;
    cluster.mend(Selection::Number(full.number)).await.unwrap();

    // It goes on by itself, and the broker dies meanwhile.
    flies().await;
    cluster.kill(NodeId(4)).await;
    desk.waits_for(&id, "target-alive").await;
    cluster.restart(NodeId(4)).await.unwrap();
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.placement("orders").await, wanted);
    assert!(desk.throttles().await.is_empty());
    cluster.shutdown().await;
}

/// Somebody on another host who says that they move data, until they leave.
async fn elsewhere(
    kafka: &Kafka,
    group: &str,
    scope: &str,
) -> (tokio::task::JoinHandle<()>, tokio::sync::oneshot::Sender<()>) {
    let lease = json!({
        "azimuth": 1, "user": "carl", "host": "bastion-c", "operation": "7f3c21", "title": "drain broker 4",
        "scopes": [scope], "since": "2026-11-26T12:00:00Z",
    });
    let metadata = lease.to_string().into_bytes();
    let started = Instant::now();
    // The first asking makes the topic in which groups are kept.
    let mut member = loop {
        match kafka.join("azimuth-engine@bastion-c", group, metadata.clone()).await {
            Ok(member) => break member,
            Err(error) => assert!(started.elapsed() < PATIENCE, "never joined: {error}"),
        }
        tokio::time::sleep(LOOK).await;
    };
    let (leave, mut left) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = &mut left => break,
                () = tokio::time::sleep(azimuth::source::kafka::presence::BEAT) => {
                    let _ = member.beat().await;
                }
            }
        }
        member.leave().await;
    });
    (task, leave)
}

async fn leased(bootstrap: &str, target: impl Fn(&[Vec<i64>]) -> Vec<Vec<i64>>, replication: usize) {
    let desk = Desk::of(bootstrap);
    let kafka = Kafka::new(Target::new(bootstrap));
    let group = format!("azimuth.{}", kafka.cluster().await.unwrap().id);
    desk.run(&format!(
        "topic create orders --partitions 40 --replication-factor {replication} --yes"
    ))
    .await
    .ends(0);
    let wanted = target(&desk.placement("orders").await);
    desk.planned("orders", &wanted, "--max-rate none", 0).await;

    let (task, leave) = elsewhere(&kafka, &group, "data").await;
    let apply = "reassign apply plan.json --yes --pause-after first";
    let line = format!("{apply} --override disk --reason test");
    let held = desk.run(&line).await.ends(4);
    held.says("gate lease is closed: somebody else is at it: operation 7f3c21 of carl@bastion-c (drain broker 4)")
        .says("--override lease --reason TEXT goes on against it");
    leave.send(()).unwrap();
    task.await.unwrap();

    // Somebody else's topic is nobody's business; and our own engine is there for others to see.
    let (task, leave) = elsewhere(&kafka, &group, "topic-x").await;
    desk.run(&line).await.ends(0).answers("paused (1 of ");
    let id = desk.json("operation list").await["items"][0]["operation"].clone();
    let ours = async || -> Vec<Value> {
        let present = kafka.present(&group).await.unwrap();
        let leases = present
            .iter()
            .filter_map(|one| serde_json::from_slice(&one.metadata).ok());
        leases.filter(|lease: &Value| lease["operation"] == id).collect()
    };
    let started = Instant::now();
    let lease = loop {
        if let Some(lease) = ours().await.pop() {
            break lease;
        }
        assert!(started.elapsed() < PATIENCE, "our engine never joins");
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!((&lease["user"], &lease["scopes"]), (&json!("anna"), &json!(["data"])));
    let id = id.as_str().unwrap().to_owned();
    desk.run(&format!("operation resume {id} --yes"))
        .await
        .ends(0)
        .answers("finished");
    let started = Instant::now();
    while !ours().await.is_empty() {
        assert!(started.elapsed() < PATIENCE, "our engine never leaves");
        tokio::time::sleep(LOOK).await;
    }
    leave.send(()).unwrap();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_moves_data_from_another_host_is_seen_and_named() {
    let (cluster, _folder) = ours().await;
    leased(&cluster.bootstrap(), swapped, 3).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_moves_data_from_another_host_is_seen_on_apache_kafka() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    leased(&cluster.bootstrap, |placement| shifted(placement, &[1, 2, 3]), 2).await;
}

/// On Kafka: somebody else's throttle and move, and going on against them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gates_of_a_running_operation_on_apache_kafka() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    let desk = Desk::of(&cluster.bootstrap);
    let stranger = Stranger {
        kafka: Kafka::new(Target::new(&cluster.bootstrap)),
    };
    desk.run("topic create orders --partitions 60 --replication-factor 2 --yes")
        .await
        .ends(0);
    let wanted = shifted(&desk.placement("orders").await, &[1, 2, 3]);
    desk.planned("orders", &wanted, "--max-rate none", 0).await;
    let id = desk.paused("plan.json", ROOM).await;
    stranger
        .changes(Resource::Broker(Some(1)), LEADER_RATE, Edit::Set("5000".to_owned()))
        .await;
    let held = desk.run(&format!("operation resume {id} --yes")).await.ends(4);
    held.answers("gate foreign is closed")
        .answers("somebody else has set 5.0 kB/s on broker");
    desk.waits_for(&id, "foreign").await;
    let line = format!("operation resume {id} --override foreign --reason agreed --yes");
    desk.run(&line).await.ends(0).answers("finished");
    assert_eq!(desk.placement("orders").await, wanted);
    let shown = desk.operation(&id).await;
    let told = shown["journal"].to_string();
    assert!(told.contains("asked: resume, against gates foreign: agreed"), "{told}");
    // A stranger's throttle is theirs.
    let left = desk.throttles().await;
    assert!(
        left.values().all(|(_, whose)| whose == "foreign") && left.len() == 1,
        "{left:?}"
    );
}
