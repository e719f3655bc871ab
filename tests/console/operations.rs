//! One change, whole, with the real binary on real clusters: planned, confirmed, carried out by a detached engine,
//! watched from elsewhere, killed half-way and finished, taken back, refused.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use azimuth::source::kafka::Target;
use azimuth::source::kafka::record::{NewRecord, Producer};
use azimuth_broker::cluster::{Cluster, ClusterConfig};
use azimuth_broker::env::disk::Disk;
use azimuth_broker::id::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Command;

use super::PATIENCE;
use super::kafka;

pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Of each of our brokers: more than the indexes that every log sets aside.
pub(super) const VOLUME_BYTES: u64 = 64 << 30;

/// A home with contexts for one cluster: `dev` may be changed, `prod-eu` with its name, `viewer` not.
pub struct Desk {
    home: tempfile::TempDir,
}

pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn of(bootstrap: &str) -> Self {
        let home = tempfile::Builder::new().prefix("azimuth-desk-").tempdir().unwrap();
        let folder = home.path().join(".config/azimuth");
        std::fs::create_dir_all(&folder).unwrap();
        let context = |name: &str, class: &str, changes: bool| {
            format!("[context.{name}]\nbootstrap = \"{bootstrap}\"\nclass = \"{class}\"\nchanges = {changes}\n")
        };
        let text = [
            context("dev", "dev", true),
            context("prod-eu", "prod", true),
            context("viewer", "dev", false),
        ];
        std::fs::write(folder.join("contexts.toml"), text.concat()).unwrap();
        Self { home }
    }

    /// A home with the demo's context, as `dev`.
    pub fn in_demo(demo: &azimuth::demo::Demo) -> Self {
        let desk = Self::of(demo.bootstrap());
        let text = std::fs::read_to_string(demo.context_file()).unwrap();
        let text = text.replace("[context.demo", "[context.dev");
        std::fs::write(desk.path(".config/azimuth/contexts.toml"), text).unwrap();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn command(&self, user: &str, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(line.split_whitespace()).stdin(Stdio::null()).env_clear();
        command.env("HOME", self.home.path()).env("USER", user);
        command.current_dir(self.home.path());
        command
    }

    pub async fn run_as(&self, user: &str, line: &str) -> Ran {
        let output = tokio::time::timeout(PATIENCE, self.command(user, line).output()).await;
        Ran::of(output.unwrap_or_else(|_| panic!("{line} does not end")).unwrap())
    }

    /// As anna, in the context that may be changed.
    pub async fn run(&self, line: &str) -> Ran {
        self.run_as("anna", &format!("{line} --context dev")).await
    }

    /// The same with variables in its environment.
    pub async fn run_with(&self, variables: &[(&str, &str)], line: &str) -> Ran {
        let mut command = self.command("anna", &format!("{line} --context dev"));
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(variables.iter().copied());
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        Ran::of(output.unwrap_or_else(|_| panic!("{line} does not end")).unwrap())
    }

    /// No file of the console's own holds this: no journal, no log, no recording.
    pub fn holds_nowhere(&self, secret: &str) {
        let mut folders = vec![self.path(".local"), self.path(".cache")];
        let mut read = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    read += 1;
                    let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                    assert!(!found, "{} holds it", path.display());
                }
            }
        }
        assert!(read > 0, "there are journals to look into");
    }

    pub async fn json(&self, line: &str) -> Value {
        let ran = self.run(&format!("{line} -o json")).await;
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{line}: {error}\n{}{}", ran.stdout, ran.stderr))
    }

    /// Replicas by partition, as the cluster tells them.
    pub async fn placement(&self, topic: &str) -> Vec<Vec<i64>> {
        let shown = self.json(&format!("topic show {topic}")).await;
        let partitions = shown["items"][0]["partitions"].as_array().unwrap().clone();
        let ids = |value: &Value| {
            value
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_i64().unwrap())
                .collect()
        };
        partitions.iter().map(|one| ids(&one["replicas"])).collect()
    }

    /// The file of an assignment, in the format of Kafka's tool.
    pub(super) fn assignment(&self, topic: &str, replicas: &[Vec<i64>]) -> PathBuf {
        let partition =
            |(at, replicas): (usize, &Vec<i64>)| json!({"topic": topic, "partition": at, "replicas": replicas});
        let partitions: Vec<Value> = replicas.iter().enumerate().map(partition).collect();
        let path = self.path(&format!("{topic}.json"));
        let text = json!({"version": 1, "partitions": partitions}).to_string();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Plans that assignment and begins it without waiting; its operation.
    pub(super) async fn begin(&self, topic: &str, replicas: &[Vec<i64>]) -> String {
        let file = self.assignment(topic, replicas);
        let plan = self.path("plan.json");
        let line = format!("reassign plan --from-json {} --out {}", file.display(), plan.display());
        // A leader that has not listed its new log yet leaves a size, and so the gate of the disk, unknown.
        let started = Instant::now();
        while self.run(&line).await.ends(0).stderr.contains("apply would refuse") {
            assert!(started.elapsed() < PATIENCE, "the gates stay closed");
            tokio::time::sleep(LOOK).await;
        }
        let line = format!("reassign apply {} --detach --yes -o name", plan.display());
        let ran = self.run(&line).await.ends(0);
        ran.stdout.trim().to_owned()
    }

    pub(super) async fn operation(&self, id: &str) -> Value {
        self.json(&format!("operation show {id}")).await["items"][0].clone()
    }

    /// Looks at an operation until it is as wanted.
    pub(super) async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let operation = self.operation(id).await;
            if wanted(&operation) {
                return operation;
            }
            let over = ["finished", "aborted", "failed"].contains(&operation["state"].as_str().unwrap());
            assert!(!over && started.elapsed() < PATIENCE, "never {what}: {operation:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// `kill -9` of the engine that the journal names last.
    pub(super) fn kill_engine(&self, operation: &Value) {
        let events = operation["journal"].as_array().unwrap();
        let taken_up = events.iter().rev().find_map(|entry| {
            let (_, pid) = entry["event"].as_str()?.split_once(", pid ")?;
            pid.parse().ok()
        });
        let pid = taken_up.unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        // It holds its journal until it is gone, which on a busy machine is a while after the signal.
        let started = Instant::now();
        while lives(pid) {
            assert!(started.elapsed() < PATIENCE, "process {pid} does not end");
            std::thread::sleep(LOOK);
        }
    }
}

/// A process that nobody has reaped yet holds nothing any more.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it said, and then what it answered.
    pub fn both(&self) -> String {
        format!("{}{}", self.stderr, self.stdout)
    }

    #[track_caller]
    pub fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, status, "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "stderr does not say {text:?}:\n{}",
            self.stderr
        );
        self
    }

    #[track_caller]
    pub fn answers(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "stdout does not hold {text:?}:\n{}",
            self.stdout
        );
        self
    }
}

/// Gives each broker a volume of its own, however full this machine's own disk is.
pub(super) fn volumes(config: &mut ClusterConfig, folder: &std::path::Path) {
    for node in &mut config.nodes {
        let dir = folder.join(format!("volume-{}", node.id.0));
        std::fs::create_dir_all(&dir).unwrap();
        node.log_dirs = vec![dir];
    }
    let dirs = config.nodes.iter().flat_map(|node| &node.log_dirs);
    config.disk = Disk::with_volumes(dirs.map(|dir| (dir.clone(), VOLUME_BYTES))).unwrap();
}

/// Four brokers of our own; 1 and 4 are in one rack, so that a partition may move from one to the other.
pub async fn ours() -> (Cluster, tempfile::TempDir) {
    let folder = tempfile::Builder::new().prefix("azimuth-four-").tempdir().unwrap();
    let racks = ["a", "b", "c", "a"].map(str::to_owned);
    let mut config = ClusterConfig::local(4, &racks, folder.path(), 0);
    volumes(&mut config, folder.path());
    (Cluster::start(config).await.unwrap(), folder)
}

/// Every replica on 1 goes to 4, and the other way round.
pub(super) fn swapped(placement: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let swap = |id: &i64| match id {
        1 => 4,
        4 => 1,
        other => *other,
    };
    placement.iter().map(|ids| ids.iter().map(swap).collect()).collect()
}

/// Each partition's last replica goes to a broker that has none of it.
pub(super) fn shifted(placement: &[Vec<i64>], brokers: &[i64]) -> Vec<Vec<i64>> {
    let shift = |ids: &Vec<i64>| {
        let free = brokers.iter().find(|id| !ids.contains(id)).unwrap();
        ids.iter().rev().skip(1).rev().chain([free]).copied().collect()
    };
    placement.iter().map(shift).collect()
}

/// Created, moved with an engine that is killed half-way and taken up again, verified, deleted.
async fn whole(bootstrap: &str, replication: usize, target: impl Fn(&[Vec<i64>]) -> Vec<Vec<i64>>) {
    let desk = Desk::of(bootstrap);
    let create =
        format!("topic create orders --partitions 50 --replication-factor {replication} --config retention.ms=3600000");
    desk.run(&format!("{create} --dry-run"))
        .await
        .ends(0)
        .answers("PLAN create topic orders");
    assert_eq!(
        desk.run("topic show orders").await.status,
        1,
        "a dry run creates nothing"
    );
    desk.run(&format!("{create} --yes"))
        .await
        .ends(0)
        .answers("finished (1 of 1 step done)")
        .says(&format!("50 partitions, {replication} replicas each"));
    desk.run(&format!("{create} --yes"))
        .await
        .ends(4)
        .says("topic orders exists already");

    let before = desk.placement("orders").await;
    let wanted = target(&before);
    let id = desk.begin("orders", &wanted).await;
    let half = |operation: &Value| operation["steps_done"] != json!(0) || operation["state"] == "finished";
    let running = desk.until(&id, "half done", half).await;
    desk.kill_engine(&running);

    let attached = desk.run(&format!("operation attach {id}")).await.ends(5);
    let attached = attached
        .answers("orphaned")
        .says("is half done")
        .says(&format!("azimuth operation resume {id}"));
    assert!(attached.stdout.contains("of 5 steps done"), "{}", attached.stdout);
    let shown = desk.operation(&id).await;
    assert_eq!(shown["state"], "orphaned");
    let states: Vec<&str> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["state"].as_str().unwrap())
        .collect();
    assert!(states.contains(&"done") && states.last() == Some(&"next"), "{states:?}");
    desk.run(&format!("operation pause {id}"))
        .await
        .ends(4)
        .says("nothing can be paused");

    desk.run(&format!("operation resume {id} --yes"))
        .await
        .ends(0)
        .answers("finished (5 of 5 steps done)");
    assert_eq!(
        desk.placement("orders").await,
        wanted,
        "every replica is where it was planned"
    );
    assert_eq!(desk.json("reassign list").await["items"], json!([]));
    desk.run(&format!("operation resume {id} --yes"))
        .await
        .ends(4)
        .says("there is nothing to resume");
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");

    // The plan that was carried out no longer fits.
    let line = format!("reassign apply {} --yes", desk.path("plan.json").display());
    desk.run(&line).await.ends(4).says("orders-0 was on");

    desk.run("topic delete orders --yes").await.ends(0).answers("finished");
    assert_eq!(desk.run("topic show orders").await.status, 1);
    let journals = desk.json("operation list").await;
    assert_eq!(journals["items"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_is_planned_killed_half_way_finished_and_verified() {
    let (cluster, _folder) = ours().await;
    whole(&cluster.bootstrap(), 3, swapped).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_on_apache_kafka_is_the_same() {
    let Some(cluster) = kafka::shared().await else { return };
    whole(&cluster.bootstrap, 2, |placement| shifted(placement, &[1, 2, 3])).await;
    // After it, because each looks that nothing else is in flight.
    drained(&cluster.bootstrap, 3, 2, Disks::Machines).await;
}

/// What log directories lie on.
#[derive(PartialEq, Eq)]
enum Disks {
    /// Volumes of a size that the cluster was given.
    Ours,
    /// This machine's own, on which there need not be room.
    Machines,
}

/// Worked out from a goal, carried out, looked at, and taken back with the file of the way back.
async fn drained(bootstrap: &str, broker: i64, replication: usize, disks: Disks) {
    let desk = Desk::of(bootstrap);
    for (topic, partitions) in [("bills", 7), ("mails", 5)] {
        let create = format!("topic create {topic} --partitions {partitions} --replication-factor {replication} --yes");
        desk.run(&create).await.ends(0);
        let producer = Producer::new(&Target::new(bootstrap), &[]).unwrap();
        for partition in 0..partitions {
            let record = NewRecord {
                topic,
                partition: Some(partition),
                value: Some(&[b'x'; 20_000]),
                ..NewRecord::default()
            };
            producer.send(record).await.unwrap();
        }
        producer.flush(PATIENCE).await.unwrap();
    }
    let before = (desk.placement("bills").await, desk.placement("mails").await);
    let held = before
        .0
        .iter()
        .chain(&before.1)
        .filter(|ids| ids.contains(&broker))
        .count();
    assert!(held > 0, "broker {broker} holds something: {before:?}");

    let scope = "--topic bills|mails";
    let line = format!("reassign plan --drain-broker {broker} {scope} --max-bytes-in-flight 50kB");
    if disks == Disks::Machines {
        let dirs = desk.json("logdir list").await;
        let dirs = dirs["items"].as_array().unwrap().iter();
        let used = dirs.map(|dir| dir["used_percent"].as_f64().unwrap());
        if used.fold(0.0, f64::max) > 84.0 {
            desk.run(&line).await.says("no room below 85 %");
            return;
        }
    }
    // Until every leader has listed its new logs.
    let started = Instant::now();
    let plan = loop {
        let plan = desk.json(&line).await;
        if plan["impact"]["unknown_sizes"] == json!(0)
            && plan["impact"]["known_bytes"].as_u64() >= Some(held as u64 * 20_000)
        {
            break plan;
        }
        assert!(started.elapsed() < PATIENCE, "the sizes never come: {plan:#}");
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!(
        plan["aim"]["least"]["bytes"], plan["impact"]["bytes"],
        "no byte more than it holds"
    );
    assert_eq!(plan["impact"]["partitions"], json!(held));
    assert!(
        plan["steps"].as_array().unwrap().len() >= held.div_ceil(2),
        "two fit in 50 kB"
    );

    let shown = desk
        .run(&format!(
            "{line} --out drain.json --to-json kafka.json --undo-json back.json"
        ))
        .await
        .ends(0);
    let first = shown.stdout.lines().next().unwrap();
    assert!(
        first.contains(&format!("PLAN reassign: drain broker {broker}")),
        "{first}"
    );
    assert!(
        first.contains("cross-AZ ($") && first.contains("undo: full (move back, "),
        "{first}"
    );
    let shown = shown.answers("least possible ").answers("fullest over mean: bytes ");
    shown.says("azimuth reassign apply drain.json");

    desk.run("reassign apply drain.json --yes")
        .await
        .ends(0)
        .answers("finished");
    for topic in ["bills", "mails"] {
        let now = desk.placement(topic).await;
        assert!(
            now.iter().all(|ids| !ids.contains(&broker) && ids.len() == replication),
            "{topic}: {now:?}"
        );
    }
    let nothing = desk.run(&line).await.ends(1);
    nothing.says(&format!("broker {broker}"));

    desk.run("reassign plan --from-json back.json --out undo.json")
        .await
        .ends(0);
    desk.run("reassign apply undo.json --yes")
        .await
        .ends(0)
        .answers("finished");
    assert_eq!((desk.placement("bills").await, desk.placement("mails").await), before);
    desk.run("topic delete bills mails --yes").await.ends(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drained_broker_holds_nothing_until_it_gets_everything_back() {
    let (cluster, _folder) = ours().await;
    drained(&cluster.bootstrap(), 4, 3, Disks::Ours).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_abort_takes_back_what_is_in_flight_and_two_operators_do_not_collide() {
    let (mut cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    for (topic, partitions) in [("orders", 100), ("clicks", 6)] {
        let line = format!("topic create {topic} --partitions {partitions} --replication-factor 3 --yes");
        desk.run(&line).await.ends(0);
    }
    let before = desk.placement("orders").await;
    // Everything leaves 1 for 4 or stays, so that nothing can end once 4 is gone.
    let wanted: Vec<Vec<i64>> = before
        .iter()
        .map(|ids| ids.iter().map(|id| if *id == 1 { 4 } else { *id }).collect())
        .collect();
    let moving: Vec<usize> = (0..before.len()).filter(|at| before[*at] != wanted[*at]).collect();
    assert!(moving.len() > 30, "more than three steps: {moving:?}");
    // Another order of the same replicas: a change that needs nobody who is gone.
    let clicks: Vec<Vec<i64>> = desk.placement("clicks").await;
    let clicks: Vec<Vec<i64>> = clicks.into_iter().map(|ids| ids.into_iter().rev().collect()).collect();
    let file = desk.assignment("clicks", &clicks);
    let second = desk.path("second.json");
    let line = format!(
        "reassign plan --from-json {} --out {}",
        file.display(),
        second.display()
    );
    desk.run(&line).await.ends(0);

    let id = desk.begin("orders", &wanted).await;
    let step_done = |operation: &Value| operation["steps_done"] != json!(0);
    desk.until(&id, "one step done", step_done).await;
    cluster.kill(NodeId(4)).await;

    let line = format!(
        "reassign apply {} --override isr,offline --reason x --context dev --yes",
        second.display()
    );
    let refused = desk.run_as("bert", &line).await.ends(4);
    refused.says(&format!("data is locked by operation {id} of anna@"));

    desk.run(&format!("operation abort {id}")).await.ends(4).says("--yes");
    desk.run(&format!("operation abort {id} --yes"))
        .await
        .ends(0)
        .answers("aborted");
    let operation = desk.operation(&id).await;
    assert!(
        operation["note"]
            .as_str()
            .unwrap()
            .contains("moves in flight were taken back"),
        "{operation:#}"
    );
    let done = operation["steps_done"].as_u64().unwrap() as usize;
    assert_eq!(desk.json("reassign list").await["items"], json!([]));
    let after = desk.placement("orders").await;
    for (at, partition) in moving.iter().enumerate() {
        let (now, old, new) = (&after[*partition], &before[*partition], &wanted[*partition]);
        let right = match at / 10 {
            step if step < done => now == new,
            // Some of the step in flight had arrived; none is left between.
            step if step == done => now == new || now == old,
            _ => now == old,
        };
        assert!(right, "partition {partition} is on {now:?}, {done} steps were done");
    }
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(5)
        .answers("aborted");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rules_refuse_before_anything_is_changed() {
    let (cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    let run = |line: &'static str| desk.run_as("anna", line);
    let create = "topic create orders --partitions 3 --replication-factor 3";

    let viewer = desk.run_as("anna", &format!("{create} --context viewer --yes")).await;
    viewer.ends(4).says("viewer is read-only: set changes = true");
    let stranger = desk
        .run_as("anna", &format!("{create} --bootstrap {} --yes", cluster.bootstrap()))
        .await;
    stranger.ends(4).says("is read-only");
    let prod = desk.run_as("anna", &format!("{create} --context prod-eu --yes")).await;
    prod.ends(4).says("--yes is not accepted");
    run("topic create orders --context prod-eu --confirm prod-us")
        .await
        .ends(4)
        .says("not the name of this context");
    run("topic create orders --context prod-eu")
        .await
        .ends(4)
        .says("--confirm with the context's name");
    run("topic create orders --context dev")
        .await
        .ends(4)
        .says("give --yes");
    assert_eq!(desk.json("topic list").await["items"], json!([]));
    assert_eq!(desk.json("operation list").await["items"], json!([]));

    run("topic create orders --partitions 3 --replication-factor 3 --context prod-eu --confirm prod-eu")
        .await
        .ends(0);

    // Gates: both of 1 and 4 are in rack a.
    run("reassign plan --move orders:0=1,4,2 --context dev --out low.json")
        .await
        .ends(0)
        .says("apply would refuse");
    let low = "reassign apply low.json --context dev --yes";
    desk.run_as("anna", low)
        .await
        .ends(4)
        .says("gate rack-spread is closed")
        .says("cannot be overridden");
    let line = format!("{low} --override rack-spread --reason because");
    desk.run_as("anna", &line).await.ends(4).says("cannot be overridden");
    desk.run_as("anna", &format!("{low} --override rack-spread"))
        .await
        .ends(2)
        .says("--reason");
    desk.run_as("anna", &format!("{low} --override dsk --reason x"))
        .await
        .ends(2)
        .says("gates are");

    // Plans of another cluster, another kind, another day.
    let first = &swapped(&desk.placement("orders").await)[0];
    let ids: Vec<String> = first.iter().map(i64::to_string).collect();
    let plan = desk
        .json(&format!("reassign plan --move orders:0={}", ids.join(",")))
        .await;
    assert_eq!(plan["kind"], "reassign.plan");
    for (key, value, told) in [
        ("cluster_id", json!("other"), "the plan is for cluster other"),
        ("kind", json!("topic.delete"), "a plan of kind topic.delete"),
        (
            "expires_at",
            json!("2020-01-01T00:00:00Z"),
            "the plan was valid until 2020-01-01",
        ),
        ("azimuth", json!(9), "a plan of version 9"),
    ] {
        let mut other = plan.clone();
        other[key] = value;
        std::fs::write(desk.path("other.json"), other.to_string()).unwrap();
        let ran = desk.run("reassign apply other.json --yes").await.says(told);
        assert!([2, 4].contains(&ran.status), "{told}: {}", ran.status);
    }
    // A file that says its gates are open is not believed.
    let mut forged: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("low.json")).unwrap()).unwrap();
    for gate in forged["gates"].as_array_mut().unwrap() {
        gate["verdict"] = json!("pass");
    }
    std::fs::write(desk.path("forged.json"), forged.to_string()).unwrap();
    desk.run("reassign apply forged.json --yes")
        .await
        .ends(4)
        .says("gate rack-spread is closed");

    assert_eq!(desk.json("operation list").await["items"].as_array().unwrap().len(), 1);
    cluster.shutdown().await;
}

/// The real screens in a terminal of their own.
pub(super) struct Screen {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
    reader: Option<std::thread::JoinHandle<()>>,
    keys: Box<dyn Write + Send>,
    _pty: Box<dyn portable_pty::MasterPty + Send>,
}

impl Screen {
    pub(super) fn open(desk: &Desk, context: &str) -> Self {
        let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(["--context", context]);
        Self::begin(desk, command)
    }

    /// The same with variables in its environment.
    pub(super) fn open_with(desk: &Desk, context: &str, variables: &[(&str, String)]) -> Self {
        let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_azimuth"));
        command.args(["--context", context]);
        Self::begin_with(desk, command, variables)
    }

    /// A login shell, in which they are opened by typing.
    pub(super) fn shell(desk: &Desk) -> Self {
        Self::begin(desk, portable_pty::CommandBuilder::new("/bin/sh"))
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    fn begin(desk: &Desk, command: portable_pty::CommandBuilder) -> Self {
        Self::begin_with(desk, command, &[])
    }

    fn begin_with(desk: &Desk, mut command: portable_pty::CommandBuilder, variables: &[(&str, String)]) -> Self {
        let size = portable_pty::PtySize {
            rows: 40,
            cols: 140,
            ..Default::default()
        };
        let pty = portable_pty::native_pty_system().openpty(size).unwrap();
        command.env_clear();
        command.env("HOME", desk.home.path());
        command.env("USER", "anna");
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        variables.iter().for_each(|(name, value)| command.env(name, value));
        command.cwd(desk.home.path());
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(
            NonZero::new(40).unwrap(),
            NonZero::new(140).unwrap(),
            0,
        )));
        let (mut reader, seen) = (pty.master.try_clone_reader().unwrap(), parser.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with the last process that has the terminal open.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                seen.lock().unwrap().process(&bytes[..read]);
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self {
            child,
            parser,
            reader: Some(reader),
            keys,
            _pty: pty.master,
        }
    }

    pub(super) fn press(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        self
    }

    pub(super) fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    pub(super) async fn shows(&mut self, text: &str) -> &mut Self {
        self.until(text, |screen| screen.contains(text)).await
    }

    pub(super) async fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> &mut Self {
        let started = Instant::now();
        while !wanted(&self.text()) {
            assert!(started.elapsed() < PATIENCE, "never {what}:\n{}", self.text());
            tokio::time::sleep(LOOK).await;
        }
        self
    }

    /// Applies the plan on screen: `A` is not heard in its first 400 ms. What is read of a frame may end above its last line.
    pub(super) async fn apply(&mut self) -> &mut Self {
        self.shows("A apply").await;
        let started = Instant::now();
        while self.text().contains("A apply") {
            assert!(started.elapsed() < PATIENCE, "never applied:\n{}", self.text());
            self.press("A");
            tokio::time::sleep(LOOK).await;
        }
        self
    }

    /// The last words after the screens are closed.
    pub(super) async fn quit(mut self) -> String {
        self.press("q");
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "never ends:\n{}", self.text());
            tokio::time::sleep(LOOK).await;
        }
        // It ends once everything that was printed has been read.
        if let Some(reader) = self.reader.take() {
            tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap();
        }
        self.text()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_from_the_screens_and_what_runs_outlives_them() {
    let (cluster, _folder) = ours().await;
    let desk = Desk::of(&cluster.bootstrap());
    let mut screen = Screen::open(&desk, "dev");
    // Triage is first where something is wrong, as on a host whose disk is nearly full.
    screen.press("2").shows("4 brokers").await;
    screen.press("3").shows("there are no topics").await;
    // ctrl-u empties the line that C begins.
    screen.press("C").shows("topic create NAME").await;
    screen.press("\u{15}topic create orders --partitions 3 --replication-factor 3\r");
    screen
        .shows("PLAN create topic orders")
        .await
        .shows("undo: partial")
        .await;
    screen.shows("azimuth topic create orders").await;
    screen.apply().await;
    screen.press("6").shows("✓ finished").await;
    let before = desk.placement("orders").await;
    let wanted = swapped(&before);

    // The screen before named the topic too: only its row can be opened.
    screen
        .press("3\x0c")
        .until("the topic's row", |text| {
            let is_row = |line: &str| line.starts_with('▸') && line.contains("orders  ");
            text.contains("RF/min") && text.lines().any(is_row)
        })
        .await;
    screen.press("\r").shows("partitions").await;
    // The broker that gets a replica is gone before it can be in sync, so the move stays in flight.
    let ids = |ids: &[i64]| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let at = (0..3).find(|at| before[*at].contains(&1)).unwrap_or(0);
    let gone = if before[at].contains(&1) { 4 } else { 1 };
    screen.press("R").shows("reassign plan --move").await;
    screen.press(&format!(
        "\u{15}reassign plan --move orders:{at}={}\r",
        ids(&wanted[at])
    ));
    screen
        .shows("PLAN reassign: move orders-")
        .await
        .shows("✓ rack-spread")
        .await;
    cluster.cut(NodeId(gone));
    screen.apply().await;
    // It waits once the controller has missed the broker for long enough.
    let under_way = |text: &str| text.contains("▸ running") || text.contains("▲ waiting");
    screen.press("6").until("under way", under_way).await;
    let last = screen.quit().await;
    assert!(last.contains("still running: azimuth operation attach "), "{last}");

    let running = desk.json("operation list").await["items"][0].clone();
    assert!(
        ["running", "waiting"].contains(&running["state"].as_str().unwrap()),
        "{running:#}"
    );
    assert!(running["begun_by"].as_str().unwrap().starts_with("anna@"));
    let id = running["operation"].as_str().unwrap();
    assert!(last.contains(&format!("azimuth operation abort {id}")), "{last}");
    cluster.heal(NodeId(gone));
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished");
    assert_eq!(desk.placement("orders").await[at], wanted[at]);

    let mut screen = Screen::open(&desk, "prod-eu");
    screen.press("3").shows("orders").await;
    screen.press("D").shows("undo: none (the records are deleted)").await;
    screen
        .until("apply by name", |text| text.contains("A apply (type prod-eu)"))
        .await;
    screen.apply().await.shows("type prod-eu to apply").await;
    screen
        // Some of the presses came after the line was open.
        .press("\u{15}prod-eu\r")
        .until("gone", |text| !text.contains("PLAN"))
        .await;
    screen.press("6").shows("delete topic orders").await;
    screen
        .until("deleted", |text| {
            text.lines()
                .any(|line| line.contains("✓ finished") && line.contains("delete"))
        })
        .await;
    screen.quit().await;
    assert_eq!(desk.json("topic list").await["items"], json!([]));

    let mut screen = Screen::open(&desk, "viewer");
    screen
        .shows("READ-ONLY")
        .await
        .press("3")
        .shows("there are no topics")
        .await;
    screen.press("C").shows("viewer is read-only").await;
    screen.quit().await;
    cluster.shutdown().await;
}

/// Set, read back, drifted, undone: on a topic, a broker, all brokers, and where Kafka has them a group.
async fn configured(bootstrap: &str, groups: bool) {
    let desk = Desk::of(bootstrap);
    desk.run("topic create settings --partitions 1 --replication-factor 2 --config cleanup.policy=compact --yes")
        .await
        .ends(0);
    let value = async |line: &str, name: &str| {
        let told = desk.json(line).await;
        let items = told["items"].as_array().unwrap().clone();
        let found = items.into_iter().find(|item| item["name"] == name);
        found.map(|item| (item["value"].clone(), item["source"].clone()))
    };
    let topic = "config list --topic settings";

    let shown = desk
        .run("config set retention.ms=86400000 --topic settings --dry-run")
        .await
        .ends(0);
    let shown = shown
        .answers("undo: partial (unset retention.ms")
        .answers("+ retention.ms");
    shown.answers("dynamic: no restart").answers("cleanup.policy");
    assert_eq!(value(topic, "retention.ms").await, None, "a dry run sets nothing");
    let refused = desk
        .run("config set retention.m=5 --topic settings --yes")
        .await
        .ends(4);
    refused.says("did you mean retention.ms?");
    desk.run("config set min.insync.replicas=0 --topic settings --yes")
        .await
        .ends(4);
    desk.run("config set log.dirs=/tmp --broker 1 --yes")
        .await
        .ends(4)
        .says("needs a restart");

    let set = desk
        .run("config set retention.ms=86400000 segment.ms=3600000 --topic settings --yes -o name")
        .await;
    let first = set.ends(0).stdout.trim().to_owned();
    let own = Some((json!("86400000"), json!("topic")));
    assert_eq!(value(topic, "retention.ms").await, own);
    assert_eq!(
        value(topic, "cleanup.policy").await,
        Some((json!("compact"), json!("topic"))),
        "others stay"
    );
    desk.run("config set retention.ms=86400000 --topic settings --yes")
        .await
        .ends(1)
        .says("so already");

    // Somebody changes it before the undo: that is not taken back. Once it is as it was left, it is.
    desk.run("config set segment.ms=7200000 --topic settings --yes")
        .await
        .ends(0);
    let refused = desk.run(&format!("operation undo {first} --yes")).await.ends(4);
    refused.says("somebody has changed it since");
    desk.run("config set segment.ms=3600000 --topic settings --yes")
        .await
        .ends(0);
    let undone = desk.run(&format!("operation undo {first} --yes")).await.ends(0);
    undone.answers("finished");
    assert_eq!(value(topic, "retention.ms").await, None);
    assert_eq!(value(topic, "segment.ms").await, None);

    desk.run("config set message.max.bytes=2000000 --all-brokers --yes")
        .await
        .ends(0)
        .says("read back from");
    let set = desk
        .run("config set message.max.bytes=3000000 --broker 2 --yes -o name")
        .await
        .ends(0);
    let broker = |id: u8| format!("config list --broker {id}");
    let dynamic = |value: &str, source: &str| Some((json!(value), json!(source)));
    assert_eq!(
        value(&broker(1), "message.max.bytes").await,
        dynamic("2000000", "dynamic_default_broker")
    );
    assert_eq!(
        value(&broker(2), "message.max.bytes").await,
        dynamic("3000000", "dynamic_broker")
    );
    let id = set.stdout.trim().to_owned();
    desk.run(&format!("operation undo {id} --yes")).await.ends(0);
    assert_eq!(
        value(&broker(2), "message.max.bytes").await,
        dynamic("2000000", "dynamic_default_broker")
    );
    desk.run("config unset message.max.bytes --all-brokers --yes")
        .await
        .ends(0);
    assert_eq!(value(&broker(1), "message.max.bytes").await.unwrap().1, "default");
    if groups {
        let line = "config set consumer.session.timeout.ms=50000 --group billing --yes";
        desk.run(line)
            .await
            .ends(0)
            .says("consumer.session.timeout.ms=50000 (group)");
        desk.run("config unset consumer.session.timeout.ms --group billing --yes")
            .await
            .ends(0);
    }
    desk.run("topic delete settings --yes").await.ends(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn configs_are_set_read_back_and_undone() {
    let (cluster, _folder) = ours().await;
    configured(&cluster.bootstrap(), false).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn configs_on_apache_kafka_are_the_same() {
    let Some(cluster) = kafka::shared().await else { return };
    configured(&cluster.bootstrap, true).await;
}
