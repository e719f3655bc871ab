//! Throttles with the real binary on real clusters: what is ours is set, told apart from what others set, and taken away
//! whatever happens; what others set stays until it is named.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Instant;

use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth::source::kafka::{ConfigChange, Edit, Kafka, Move, Resource, Target};
use azimuth_broker::id::NodeId;
use serde_json::{Value, json};

use super::PATIENCE;
use super::kafka;
use super::load::{Load, fill, nothing_lost, topic};
use super::operations::{Desk, LOOK, Screen, ours, shifted, swapped};

pub(super) const FOLLOWER: &str = "follower.replication.throttled";

/// Somebody else, who works without Azimuth.
pub(super) struct Stranger {
    pub kafka: Kafka,
}

impl Stranger {
    pub async fn sets(&self, resource: Resource, name: String, value: &str) {
        self.changes(resource, &name, Edit::Set(value.to_owned())).await;
    }

    pub async fn changes(&self, resource: Resource, name: &str, edit: Edit) {
        let name = name.to_owned();
        let change = ConfigChange { resource, name, edit };
        for (_, outcome) in self.kafka.incremental_alter_configs(&[change], false).await.unwrap() {
            outcome.unwrap();
        }
    }

    pub async fn cancels(&self, topic: &str) {
        let cancelled = Move {
            topic: topic.to_owned(),
            partition: 0,
            replicas: None,
        };
        for (_, outcome) in self.kafka.alter_partition_reassignments(&[cancelled]).await.unwrap() {
            outcome.unwrap();
        }
    }

    pub async fn moves(&self, topic: &str, replicas: &[i32]) {
        let moved = Move {
            topic: topic.to_owned(),
            partition: 0,
            replicas: Some(replicas.to_vec()),
        };
        for (_, outcome) in self.kafka.alter_partition_reassignments(&[moved]).await.unwrap() {
            outcome.unwrap();
        }
    }
}

impl Desk {
    /// Whether anything is in flight.
    async fn is_moving(&self) -> bool {
        self.json("reassign list").await["items"] != json!([])
    }

    /// Everything that is set: `broker 4 leader` to value and whose.
    pub(super) async fn throttles(&self) -> BTreeMap<String, (String, String)> {
        let listed = self.json("throttle list").await;
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let row = |row: &Value| {
            let side = text(row, "property").split('.').next().unwrap().to_owned();
            let name = format!("{} {side}", text(row, "subject"));
            (name, (text(row, "value"), text(row, "whose")))
        };
        listed["items"].as_array().unwrap().iter().map(row).collect()
    }
}

/// Ours beside a stranger's, on the same brokers and the same topic.
async fn mine_and_foreign(bootstrap: &str) {
    let desk = Desk::of(bootstrap);
    let kafka = Kafka::new(Target::new(bootstrap));
    topic(&kafka, bootstrap, "slow", &[1, 2], 12).await;
    desk.run("throttle set --rate 50kB --yes")
        .await
        .ends(1)
        .says("no reassignment is in flight");
    desk.run("throttle clear --yes")
        .await
        .ends(1)
        .says("no throttle is set");

    let stranger = Stranger { kafka };
    stranger
        .sets(Resource::Broker(Some(3)), format!("{FOLLOWER}.rate"), "1000")
        .await;
    stranger
        .sets(
            Resource::Topic("slow".into()),
            format!("{FOLLOWER}.replicas"),
            "0:3,7:7",
        )
        .await;
    stranger.moves("slow", &[3, 2]).await;
    let theirs = |desk: BTreeMap<String, (String, String)>| {
        let foreign = desk.into_iter().filter(|(_, (_, whose))| whose == "foreign");
        foreign.map(|(name, (value, _))| (name, value)).collect::<Vec<_>>()
    };
    let foreign = [
        ("broker 3 follower".to_owned(), "1000".to_owned()),
        ("topic slow follower".to_owned(), "0:3,7:7".to_owned()),
    ];
    assert_eq!(theirs(desk.throttles().await), foreign);

    // It is sent back, whoever has begun it; and begun again.
    desk.run("reassign cancel nothing --yes")
        .await
        .ends(1)
        .says("nothing of nothing is being reassigned");
    desk.run("reassign cancel slow:0 --dry-run")
        .await
        .ends(0)
        .answers("PLAN cancel the reassignment of slow-0")
        .answers("undo: full (move on to where they were going)");
    assert!(desk.is_moving().await, "a dry run cancels nothing");
    desk.run("reassign cancel slow --yes")
        .await
        .ends(0)
        .says("1 of 1 partitions are back");
    assert!(!desk.is_moving().await);
    let mut back = desk.placement("slow").await.remove(0);
    back.sort_unstable();
    assert_eq!(back, [1, 2]);
    desk.run("reassign cancel --all --yes")
        .await
        .ends(1)
        .says("nothing is being reassigned");
    stranger.moves("slow", &[3, 2]).await;

    // What the stranger throttles is left as it is, and told.
    let set = "throttle set --rate 50kB";
    desk.run(&format!("{set} --dry-run"))
        .await
        .ends(0)
        .answers("broker 3 has a follower rate of 1.0 kB/s already")
        .answers("undo: full (azimuth throttle clear)");
    desk.run(&format!("{set} --yes")).await.ends(0).answers("finished");
    let operation = desk.json("operation list").await["items"][0]["operation"].clone();
    let mine = format!("mine {}", operation.as_str().unwrap());
    let all = desk.throttles().await;
    assert_eq!(all["broker 1 leader"], ("50000".to_owned(), mine.clone()));
    assert_eq!(all["broker 2 leader"], ("50000".to_owned(), mine.clone()));
    let (entries, whose) = &all["topic slow leader"];
    assert_eq!((entries.as_str(), whose), ("0:1,0:2", &mine));
    assert_eq!(theirs(all), foreign);
    desk.run(&format!("{set} --yes"))
        .await
        .ends(1)
        .says("is throttled already");

    // They slow something, so that they go only when somebody says so; the stranger's not even then.
    desk.run("throttle clear --yes")
        .await
        .ends(4)
        .says("gate serving is closed");
    desk.run("throttle clear --override serving --reason test --yes")
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(theirs(desk.throttles().await), foreign, "and nothing of ours");
    desk.run("throttle clear --yes")
        .await
        .ends(1)
        .says("no throttle of ours is set")
        .says("2 settings of others");

    // Named, they go, and the move ends.
    assert!(desk.is_moving().await);
    desk.run("throttle clear --broker 3 --topic slow --override serving --reason test --yes")
        .await
        .ends(0);
    assert_eq!(desk.throttles().await, BTreeMap::new());
    let started = Instant::now();
    while desk.placement("slow").await != [[3, 2]] || desk.is_moving().await {
        assert!(started.elapsed() < PATIENCE, "the move never ends");
        tokio::time::sleep(LOOK).await;
    }
    // Not even an empty list is left.
    let configs = desk.json("config list --topic slow").await;
    assert!(!configs.to_string().contains("throttled"), "{configs:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ours_go_and_a_strangers_stay_until_they_are_named() {
    let (cluster, _folder) = ours().await;
    mine_and_foreign(&cluster.bootstrap()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ours_go_and_a_strangers_stay_on_apache_kafka() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    mine_and_foreign(&cluster.bootstrap).await;
}

/// A topic with bulk in every partition, moved under a throttle in batches while it is written to: paused now, gone on with,
/// aborted, undone, and moved at last.
async fn throttled(bootstrap: &str, replication: usize, target: impl Fn(&[Vec<i64>]) -> Vec<Vec<i64>>) {
    const PARTITIONS: i32 = 6;
    // Bulk, what a step copies, and the rates: one that leaves time to look, and one to get done.
    let (megabytes, flying, slow, fast) = match std::env::var_os("AZIMUTH_HEAVY") {
        None => (200, "33MB", 4, 40),
        Some(_) => (5000, "800MB", 60, 400),
    };
    let desk = Desk::of(bootstrap);
    let create = format!("topic create load --partitions {PARTITIONS} --replication-factor {replication} --yes");
    desk.run(&create).await.ends(0);
    // Of one size, so that what clients write is reckoned from records like these.
    fill(bootstrap, "load", PARTITIONS, megabytes * 50, 20_000).await;
    let load = Load::on(bootstrap, "load", PARTITIONS);
    let before = desk.placement("load").await;
    let wanted = target(&before);
    let file = desk.assignment("load", &wanted);
    let line = format!(
        "reassign plan --from-json {} --max-bytes-in-flight {flying} --max-rate",
        file.display()
    );
    // Until every leader has listed its new log, and it is known how fast clients write.
    let started = Instant::now();
    let plan = loop {
        let plan = desk.json(&format!("{line} {slow}MB")).await;
        let known = plan["impact"]["known_bytes"].as_u64() >= Some(megabytes as u64 * 1_000_000 / 2);
        if known && plan["throttle"]["ingest_bytes_per_second"].as_u64() > Some(0) {
            break plan;
        }
        assert!(started.elapsed() < PATIENCE, "never known: {plan:#}");
        tokio::time::sleep(LOOK).await;
    };
    let acts: Vec<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["act"].as_str().unwrap())
        .collect();
    assert_eq!((acts[0], acts[acts.len() - 1]), ("set_throttle", "clear_throttle"));
    assert!(acts.len() >= 5, "several batches: {acts:?}");
    assert!(plan["throttle"]["seconds"].as_u64() > Some(0), "{plan:#}");
    // One that takes less than clients write would never end.
    desk.run(&format!("{line} 1"))
        .await
        .ends(0)
        .says("never ends: clients write");

    let apply = format!("{ROOM} --yes");
    desk.run(&format!("{line} {slow}MB --out plan.json"))
        .await
        .ends(0)
        .answers("MB/s = as asked > ingest of moved partitions");
    let ran = desk
        .run(&format!("reassign apply plan.json {apply} --detach -o name"))
        .await
        .ends(0);
    let id = ran.stdout.trim().to_owned();
    let moving = |operation: &Value| {
        let done = operation["steps_done"].as_u64() >= Some(2);
        let steps = operation["steps"].as_array().unwrap().iter();
        done && steps
            .clone()
            .any(|step| step["state"] == "doing" && step["what"].as_str().unwrap().starts_with("move"))
    };
    desk.until(&id, "between the first batch and the last", moving).await;
    let all = desk.throttles().await;
    assert!(
        all.len() > 3 && all.values().all(|(_, whose)| *whose == format!("mine {id}")),
        "{all:?}"
    );
    desk.run("throttle clear --yes")
        .await
        .ends(1)
        .says("still needs what is set");

    desk.run(&format!("operation pause {id} --now")).await.ends(0);
    let paused = desk
        .until(&id, "paused", |operation| operation["state"] == "paused")
        .await;
    assert_eq!(
        desk.json("reassign list").await["items"],
        json!([]),
        "what was in flight is back"
    );
    assert_eq!(
        desk.throttles().await,
        BTreeMap::new(),
        "and nothing slows a recovery meanwhile"
    );
    assert!(
        paused["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["state"] != "doing")
    );

    let mut resume = desk.command("anna", &format!("operation resume {id} --yes --context dev"));
    let mut resumed = resume.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    desk.until(&id, "moving again", moving).await;
    // The step is named before its throttle is set.
    let started = Instant::now();
    while desk.throttles().await.len() <= 3 {
        assert!(started.elapsed() < PATIENCE, "it is never throttled again");
        tokio::time::sleep(LOOK).await;
    }
    desk.run(&format!("operation abort {id} --yes"))
        .await
        .ends(0)
        .answers("no throttle is left");
    resumed.wait().await.unwrap();
    assert_eq!(desk.json("reassign list").await["items"], json!([]));
    assert_eq!(desk.throttles().await, BTreeMap::new());
    let between = desk.placement("load").await;
    assert!(between != before, "a batch was done and stays");

    let undo = format!("operation undo {id} --max-rate none");
    desk.run(&format!("{undo} --dry-run"))
        .await
        .answers("undo: full (move back");
    desk.run(&format!("{undo} {apply}")).await.ends(0).answers("finished");
    assert_eq!(desk.placement("load").await, before);
    desk.run(&format!("{undo} {apply}")).await.ends(1).says("nothing to do");

    let whole = desk.run(&format!("{line} {fast}MB --out whole.json")).await.ends(0);
    whole.answers(&format!("throttle {fast} MB/s"));
    desk.run(&format!("reassign apply whole.json {apply}"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(
        desk.placement("load").await,
        wanted,
        "replicas and preferred leaders as planned"
    );
    assert_eq!(desk.throttles().await, BTreeMap::new());
    assert_eq!(desk.json("reassign list").await["items"], json!([]));

    nothing_lost(&desk, "load", load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_throttled_move_under_load_is_paused_aborted_undone_and_done() {
    let (cluster, _folder) = ours().await;
    throttled(&cluster.bootstrap(), 3, swapped).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_throttled_move_under_load_on_apache_kafka_is_the_same() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    throttled(&cluster.bootstrap, 2, |placement| shifted(placement, &[1, 2, 3])).await;
}

/// From the screens: a stranger's move is sent back and a stranger's throttle goes when their rows are chosen.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn throttles_from_the_screens() {
    let (cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    let kafka = Kafka::new(Target::new(&bootstrap));
    let stranger = Stranger { kafka };
    stranger
        .sets(Resource::Broker(Some(2)), format!("{FOLLOWER}.rate"), "7000")
        .await;
    topic(&stranger.kafka, &bootstrap, "slow", &[1, 4], 12).await;
    let listed = Resource::Topic("slow".into());
    stranger.sets(listed, format!("{FOLLOWER}.replicas"), "*").await;
    stranger.moves("slow", &[1, 2]).await;
    let mut screen = Screen::open(&desk, "dev");
    // Triage is first where something is wrong, as on a host whose disk is nearly full.
    screen.press("2").shows("4 brokers").await;
    screen.press(":reassignment\r").shows("1,4 → 1,2").await;
    screen.press("X").shows("PLAN cancel the reassignment of slow-0").await;
    screen.shows("azimuth reassign cancel slow:0").await.apply().await;
    let started = Instant::now();
    while desk.is_moving().await {
        assert!(started.elapsed() < PATIENCE, "it stays in flight:\n{}", screen.text());
        tokio::time::sleep(LOOK).await;
    }
    let id = desk.json("operation list").await["items"][0]["operation"].clone();
    let id = id.as_str().unwrap();
    desk.run(&format!("operation attach {id}")).await.ends(0);
    assert_eq!(desk.placement("slow").await, [[1, 4]]);
    stranger
        .changes(
            Resource::Topic("slow".into()),
            &format!("{FOLLOWER}.replicas"),
            Edit::Unset,
        )
        .await;
    let undo = format!("operation undo {id} --max-rate none {ROOM} --yes");
    desk.run(&undo).await.ends(0).answers("finished");
    assert_eq!(desk.placement("slow").await, [[1, 2]], "it goes where it was going");

    screen.press(":throttle\r").shows("foreign").await;
    screen.press("D").shows("PLAN clear 7.0 kB/s on broker 2").await;
    screen.shows("azimuth throttle clear --broker 2").await.apply().await;
    // Screens look at configs once a minute; the cluster itself tells at once.
    let started = Instant::now();
    while desk.throttles().await != BTreeMap::new() {
        assert!(started.elapsed() < PATIENCE, "it stays set:\n{}", screen.text());
        tokio::time::sleep(LOOK).await;
    }
    screen.quit().await;
    cluster.shutdown().await;
}

/// A broker that was away is throttled before it starts, and no longer once it is in sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_broker_catches_up_with_is_throttled_until_it_is_in_sync() {
    let (mut cluster, _folder) = ours().await;
    let bootstrap = cluster.bootstrap();
    let desk = Desk::of(&bootstrap);
    let kafka = Kafka::new(Target::new(&bootstrap));
    topic(&kafka, &bootstrap, "late", &[1, 2, 4], 2).await;
    let set = "throttle set --catch-up --broker 4";
    desk.run(&format!("{set} --rate 5MB --yes"))
        .await
        .ends(1)
        .says("broker 4 is in every ISR that it belongs to");
    desk.run("throttle set --rate auto --yes")
        .await
        .ends(2)
        .says("is for --catch-up");
    cluster.kill(NodeId(4)).await;
    let started = Instant::now();
    while desk.json("partition list --under-replicated").await["items"] == json!([]) {
        assert!(started.elapsed() < PATIENCE, "the ISR never shrinks");
        tokio::time::sleep(LOOK).await;
    }
    let producer = Producer::new(&Target::new(&bootstrap), &[]).unwrap();
    let value = vec![b'x'; 500_000];
    for _ in 0..4 {
        let record = NewRecord {
            topic: "late",
            partition: Some(0),
            value: Some(&value),
            ..NewRecord::default()
        };
        producer.send(record).await.unwrap();
    }
    desk.run(&format!("{set} --yes"))
        .await
        .ends(4)
        .says("--rate RATE sets one");
    // Until the leader has listed its log, and it is known how fast clients write.
    let started = Instant::now();
    loop {
        let shown = desk.run(&format!("{set} --rate 5MB --dry-run")).await;
        if shown.stdout.contains(" to ISR at 5.0 MB/s") {
            break;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "never known: {}{}",
            shown.stdout,
            shown.stderr
        );
        tokio::time::sleep(LOOK).await;
    }
    let line = format!("{set} --rate 5MB --detach --yes -o name");
    let id = desk.run(&line).await.ends(0).stdout.trim().to_owned();
    let waits = |operation: &Value| {
        let mut steps = operation["steps"].as_array().unwrap().iter();
        steps.any(|step| step["state"] == "doing" && step["what"].as_str().unwrap().starts_with("wait until broker 4"))
    };
    desk.until(&id, "waiting for broker 4", waits).await;
    let set = desk.throttles().await;
    let mine = format!("mine {id}");
    for broker in [1, 2] {
        assert_eq!(
            set[&format!("broker {broker} leader")],
            ("5000000".to_owned(), mine.clone())
        );
    }
    assert_eq!(set["topic late leader"], ("0:1,0:2".to_owned(), mine));
    // Data may be moved meanwhile, and the broker restarted: the lock is one of its own.
    desk.run("topic create beside --partitions 1 --replication-factor 2 --yes")
        .await
        .ends(0);
    cluster.restart(NodeId(4)).await.unwrap();
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.throttles().await, BTreeMap::new());
    assert_eq!(desk.json("partition list --under-replicated").await["items"], json!([]));
    cluster.shutdown().await;
}

/// However full this machine's disk is.
pub(super) const ROOM: &str = "--override disk --reason test";
