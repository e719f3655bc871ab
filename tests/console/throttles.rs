//! Throttles with the real binary on real clusters: what is ours is set, told apart from what others set, and taken away
//! whatever happens; what others set stays until it is named.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth::source::kafka::{ConfigChange, Edit, Kafka, Move, NewTopic, Resource, Target};
use azimuth_broker::id::NodeId;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::kafka;
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

/// A topic of one partition on these brokers, with records of which a follower fetches one at a time, so that a throttle
/// holds back all but the first of each measuring window of 11 s.
pub(super) async fn topic(kafka: &Kafka, bootstrap: &str, name: &str, replicas: &[i32], records: usize) {
    let topic = NewTopic {
        name: name.to_owned(),
        assignments: vec![replicas.to_vec()],
        ..NewTopic::default()
    };
    for (_, outcome) in kafka.create_topics(&[topic], false).await.unwrap() {
        outcome.unwrap();
    }
    let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
    let value = vec![b'x'; 900_000];
    for _ in 0..records {
        let record = NewRecord {
            topic: name,
            partition: Some(0),
            value: Some(&value),
            ..NewRecord::default()
        };
        producer.send(record).await.unwrap();
        producer.flush(PATIENCE).await.unwrap();
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
    assert_eq!(desk.json("reassign list").await["items"].as_array().unwrap().len(), 1);
    desk.run("throttle clear --broker 3 --topic slow --override serving --reason test --yes")
        .await
        .ends(0);
    assert_eq!(desk.throttles().await, BTreeMap::new());
    let started = Instant::now();
    while desk.placement("slow").await != [[3, 2]] || desk.json("reassign list").await["items"] != json!([]) {
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

/// Between two numbered records.
const PACE: Duration = Duration::from_millis(10);

/// Writes numbered records with acks=all until it is told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    running: JoinHandle<(u64, Vec<String>)>,
}

impl Load {
    pub(super) fn on(bootstrap: &str, topic: &'static str, partitions: i32) -> Self {
        let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            let (mut number, mut failed) = (0, Vec::new());
            let mut pace = tokio::time::interval(PACE);
            while !stopped.load(Ordering::Relaxed) {
                let text = number.to_string();
                let record = NewRecord {
                    topic,
                    partition: Some((number % partitions as u64) as i32),
                    key: Some(b"number"),
                    value: Some(text.as_bytes()),
                    ..NewRecord::default()
                };
                // librdkafka tries again what can be tried again; what it gives up is told here.
                if let Err(error) = producer.send(record).await {
                    failed.push(format!("{number}: {error}"));
                }
                number += 1;
                pace.tick().await;
            }
            (number, failed)
        });
        Self { stop, running }
    }

    /// How many were written and acknowledged, without one that was not.
    pub(super) async fn ends(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (written, failed) = self.running.await.unwrap();
        assert!(failed.is_empty(), "not acknowledged: {failed:?}");
        written
    }
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
    let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
    // Of one size, so that what clients write is reckoned from records like these.
    let value = vec![b'x'; 20_000];
    for _ in 0..megabytes {
        let sent = (0..50).map(|at| {
            producer.send(NewRecord {
                topic: "load",
                partition: Some(at % PARTITIONS),
                value: Some(&value),
                ..NewRecord::default()
            })
        });
        for sent in join_all(sent).await {
            sent.unwrap();
        }
    }
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

/// Ends the load: every record was acknowledged, and every one is there.
pub(super) async fn nothing_lost(desk: &Desk, topic: &str, load: Load) {
    let written = load.ends().await;
    assert!(written > 100, "clients wrote all the time: {written}");
    let read = desk
        .run(&format!("record read {topic} --key ^number$ -o json --timeout 600s"))
        .await
        .ends(0);
    let numbers: BTreeSet<u64> = read
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| record["value"].as_str().unwrap().parse().unwrap())
        .collect();
    let lost: Vec<u64> = (0..written).filter(|number| !numbers.contains(number)).collect();
    assert!(lost.is_empty(), "lost of {written}: {lost:?}");
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

/// From the screens: a stranger's throttle goes when its row is chosen.
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
    let mut screen = Screen::open(&desk, "dev");
    // Triage is first where something is wrong, as on a host whose disk is nearly full.
    screen.press("2").shows("4 brokers").await;
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

/// One engine killed, and what became of the operation.
struct Killed {
    at: u32,
    found: String,
    way: &'static str,
    end: String,
}

/// A desk at which engines die, and the two plans between which it goes to and fro.
struct Range {
    desk: Desk,
    there: [Vec<Vec<i64>>; 2],
}

impl Range {
    async fn of(bootstrap: &str) -> Self {
        let desk = Desk::of(bootstrap);
        desk.run("topic create orders --partitions 2 --replication-factor 3 --yes")
            .await
            .ends(0);
        let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
        for partition in 0..2 {
            let record = NewRecord {
                topic: "orders",
                partition: Some(partition),
                value: Some(&[b'x'; 50_000]),
                ..NewRecord::default()
            };
            producer.send(record).await.unwrap();
        }
        let home = desk.placement("orders").await;
        let there = [home.clone(), swapped(&home)];
        Self { desk, there }
    }

    /// Plans the way to one of the two places, each partition a batch; waits until every size is known.
    async fn plan(&self, to: usize) {
        let file = self.desk.assignment("orders", &self.there[to]);
        let line = format!(
            "reassign plan --from-json {} --max-bytes-in-flight 1 --max-rate 50MB --out plan.json",
            file.display()
        );
        let started = Instant::now();
        loop {
            let plan = self.desk.json(&line).await;
            let known = plan["impact"]["unknown_sizes"] == json!(0);
            if known && !plan["throttle"]["ingest_bytes_per_second"].is_null() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "never known: {plan:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A command whose engine dies at a point.
    async fn dying(&self, at: u32, line: &str) {
        let mut command = self.desk.command("anna", &format!("{line} --yes --context dev"));
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    }

    /// The latest operation, once its engine is dead or done.
    async fn settled(&self) -> (String, Value) {
        let started = Instant::now();
        loop {
            let latest = self.desk.json("operation list").await["items"][0]["operation"].clone();
            let id = latest.as_str().unwrap().to_owned();
            let shown = self.desk.operation(&id).await;
            let state = shown["state"].as_str().unwrap();
            if ["orphaned", "paused", "finished", "aborted", "failed"].contains(&state) {
                return (id, shown);
            }
            assert!(started.elapsed() < PATIENCE, "it neither dies nor ends: {shown:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is shown of a dead operation is so: steps that are done are done, and what is set is its own.
    async fn is_true(&self, id: &str, shown: &Value, from: usize, to: usize) -> String {
        let now = self.desk.placement("orders").await;
        let steps = shown["steps"].as_array().unwrap();
        for partition in 0..2 {
            let (place, step) = (&now[partition], &steps[partition + 1]);
            let near = |wanted: &Vec<i64>| place == wanted;
            match step["state"].as_str().unwrap() {
                "done" => assert!(near(&self.there[to][partition]), "{partition} on {place:?}: {shown:#}"),
                "next" => assert!(
                    near(&self.there[from][partition]),
                    "{partition} on {place:?}: {shown:#}"
                ),
                // Under way, or there, or not yet asked for.
                _ => {}
            }
        }
        let set = self.desk.throttles().await;
        for (name, (_, whose)) in &set {
            assert_eq!(*whose, format!("mine {id}"), "{name}: {shown:#}");
        }
        let done = steps.iter().filter(|step| step["state"] == "done").count();
        let half = steps.iter().position(|step| step["state"] == "half done");
        let half = half
            .map(|at| format!(", step {} half done", at + 1))
            .unwrap_or_default();
        format!("{done} of {} done{half}, {} settings set", steps.len(), set.len())
    }

    async fn is_clean(&self) {
        assert_eq!(self.desk.throttles().await, BTreeMap::new(), "no throttle is left");
        assert_eq!(
            self.desk.json("reassign list").await["items"],
            json!([]),
            "nothing is in flight"
        );
    }

    /// Kills the engine at one point of the way from one place to the other and takes the operation up again; `None` when
    /// it came to its end before that point.
    async fn kill(&self, at: u32, from: usize) -> Option<Killed> {
        let to = 1 - from;
        self.plan(to).await;
        self.dying(at, &format!("reassign apply plan.json {ROOM} --detach"))
            .await;
        let (id, shown) = self.settled().await;
        if shown["state"] == "finished" {
            self.is_clean().await;
            return None;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        let found = self.is_true(&id, &shown, from, to).await;
        let way = if at.is_multiple_of(2) { "abort" } else { "resume" };
        let ran = self.desk.run(&format!("operation {way} {id} --yes")).await.ends(0);
        self.is_clean().await;
        let now = self.desk.placement("orders").await;
        if way == "resume" {
            assert_eq!(now, self.there[to]);
        } else {
            for (partition, place) in now.iter().enumerate() {
                let places = [&self.there[from][partition], &self.there[to][partition]];
                assert!(places.contains(&place), "{partition} on {place:?}");
            }
        }
        let end = ran.stdout.split(" · ").next().unwrap_or_default().trim().to_owned();
        Some(Killed { at, found, way, end })
    }

    /// Everything is where it was at first, whatever became of the last one.
    async fn home(&self) {
        if self.desk.placement("orders").await != self.there[0] {
            let (id, _) = self.settled().await;
            let file = self.desk.assignment("orders", &self.there[0]);
            let line = format!(
                "reassign plan --from-json {} --max-rate none --out home.json",
                file.display()
            );
            self.desk.run(&line).await.ends(0);
            self.desk
                .run(&format!("reassign apply home.json {ROOM} --yes"))
                .await
                .ends(0);
            assert_eq!(self.desk.placement("orders").await, self.there[0], "after {id}");
        }
    }
}

/// Every `stride`-th point from `first` on, until the operation comes to its end.
async fn walk(first: u32, stride: u32) -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for at in (first..).step_by(stride as usize) {
        range.home().await;
        match range.kill(at, 0).await {
            Some(killed) => table.push(killed),
            None => break,
        }
    }
    cluster.shutdown().await;
    table
}

/// Both throttle and first batch were asked for.
const BEGUN: u32 = 18;

/// Engines that are killed on their way into a pause: after the first batch, while throttles are taken away, before the
/// journal says that it is paused and after.
async fn walk_pauses() -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for at in BEGUN.. {
        range.home().await;
        range.plan(1).await;
        let line = format!("reassign apply plan.json {ROOM} --pause-after first --detach");
        range.dying(at, &line).await;
        let (id, shown) = range.settled().await;
        if shown["state"] == "paused" {
            range.is_clean().await;
            // It still counts the points up to its death, and may die of being asked.
            let line = format!("operation abort {id} --yes");
            range.desk.run(&line).await;
            if range.settled().await.1["state"] != "aborted" {
                range.desk.run(&line).await.ends(0);
            }
            break;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        let found = range.is_true(&id, &shown, 0, 1).await;
        let way = if at.is_multiple_of(2) { "abort" } else { "resume" };
        let mut ran = range.desk.run(&format!("operation {way} {id} --yes")).await.ends(0);
        range.is_clean().await;
        if way == "resume" && range.desk.operation(&id).await["state"] == "paused" {
            // The engine that took it up has paused it as its schedule says.
            ran = range.desk.run(&format!("operation resume {id} --yes")).await.ends(0);
            range.is_clean().await;
        }
        if way == "resume" {
            assert_eq!(range.desk.placement("orders").await, range.there[1]);
        }
        let end = ran.stdout.split(" · ").next().unwrap_or_default().trim().to_owned();
        table.push(Killed { at, found, way, end });
    }
    cluster.shutdown().await;
    table
}

/// Engines that are killed while they take back what an engine that was killed before had in flight.
async fn walk_aborts() -> Vec<Killed> {
    let (cluster, _folder) = ours().await;
    let range = Range::of(&cluster.bootstrap()).await;
    let mut table = Vec::new();
    for at in 1.. {
        range.home().await;
        range.plan(1).await;
        range
            .dying(BEGUN, &format!("reassign apply plan.json {ROOM} --detach"))
            .await;
        let (id, shown) = range.settled().await;
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        range.dying(at, &format!("operation abort {id}")).await;
        let (_, shown) = range.settled().await;
        if shown["state"] == "aborted" {
            range.is_clean().await;
            break;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        let found = range.is_true(&id, &shown, 0, 1).await;
        let ran = range.desk.run(&format!("operation abort {id} --yes")).await.ends(0);
        range.is_clean().await;
        let end = ran.stdout.split(" · ").next().unwrap_or_default().trim().to_owned();
        let way = "abort again";
        table.push(Killed { at, found, way, end });
    }
    cluster.shutdown().await;
    table
}

const LANES: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_may_be_killed_anywhere() {
    // Most of it is waiting, so several go side by side.
    let walks = join_all((1..=LANES).map(|first| tokio::spawn(walk(first, LANES))));
    let (walks, three, four) = tokio::join!(walks, tokio::spawn(walk_aborts()), tokio::spawn(walk_pauses()));
    let mut table: Vec<Killed> = walks.into_iter().flat_map(Result::unwrap).collect();
    let (three, four) = (three.unwrap(), four.unwrap());
    table.sort_by_key(|killed| killed.at);
    println!("killed at | what was found                                  | then    | and it ended");
    for killed in table.iter().chain(&three).chain(&four) {
        println!(
            "{:>9} | {:<47} | {:<7} | {}",
            killed.at, killed.found, killed.way, killed.end
        );
    }
    // A journal entry and an act have a point before and one after.
    assert!(table.len() >= 30, "{} points of a whole operation", table.len());
    assert!(three.len() >= 6, "{} points of an abort", three.len());
    assert!(four.len() >= 6, "{} points on the way into a pause", four.len());
}
