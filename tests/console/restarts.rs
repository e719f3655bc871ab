//! Rolling restarts with the real binary on real clusters: brokers are stopped and started by a driver while clients write,
//! engines are killed at every point, and what stands in the way is told.
//!
//! The tests are the hosts' service manager: it does what the driver's command asks for on a socket, as the demo does.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use azimuth_broker::cluster::Cluster as Ours;
use azimuth_broker::id::NodeId;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::process::Child;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::AbortHandle;

use super::PATIENCE;
use super::kafka;
use super::load::{Load, nothing_lost};
use super::operations::{Desk, LOOK, Screen, ours};

const PARTITIONS: i32 = 6;

/// Brokers that somebody else than the engine stops and starts.
pub(super) enum Hosts {
    Ours(Box<Ours>),
    Kafka(kafka::Cluster),
}

impl Hosts {
    async fn stop(&mut self, id: i32) {
        match self {
            Self::Ours(cluster) => cluster.stop(NodeId(id)).await,
            Self::Kafka(cluster) => cluster.stop(id).await,
        }
    }

    async fn start(&mut self, id: i32) {
        match self {
            Self::Ours(cluster) => {
                // What the stopped node still had at hand lets go of its log directories a moment later.
                let since = Instant::now();
                while let Err(error) = cluster.restart(NodeId(id)).await {
                    assert!(since.elapsed() < PATIENCE, "{error}");
                    tokio::time::sleep(LOOK).await;
                }
            }
            Self::Kafka(cluster) => cluster.launch(id),
        }
    }

    /// For faults that only ours can have.
    pub(super) fn ours(&mut self) -> &mut Ours {
        match self {
            Self::Ours(cluster) => cluster,
            Self::Kafka(_) => panic!("it is Apache Kafka"),
        }
    }

    pub(super) fn bootstrap(&self) -> String {
        match self {
            Self::Ours(cluster) => cluster.bootstrap(),
            Self::Kafka(cluster) => cluster.bootstrap.clone(),
        }
    }
}

/// The service manager of all hosts.
pub(super) struct Manager {
    socket: PathBuf,
    pub(super) hosts: Arc<Mutex<Hosts>>,
    /// What it was asked for, in order.
    asked: Arc<Mutex<Vec<String>>>,
    /// Each act takes one of these.
    pub(super) may: Arc<Semaphore>,
    /// And another one before the broker that it has stopped is started: whoever asked is answered by then.
    pub(super) back: Arc<Semaphore>,
    serving: AbortHandle,
    _folder: tempfile::TempDir,
}

impl Manager {
    pub(super) fn of(hosts: Hosts) -> Self {
        let folder = tempfile::Builder::new().prefix("azimuth-hosts-").tempdir().unwrap();
        let socket = folder.path().join("manager.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let hosts = Arc::new(Mutex::new(hosts));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let may = Arc::new(Semaphore::new(1000));
        let back = Arc::new(Semaphore::new(1000));
        let slow = back.clone();
        let (their, log, gate) = (hosts.clone(), asked.clone(), may.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (their, log, gate, slow) = (their.clone(), log.clone(), gate.clone(), slow.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    let (action, id) = line.trim().split_once(' ').unwrap();
                    let id = id.parse().unwrap();
                    log.lock().await.push(line.trim().to_owned());
                    gate.acquire().await.unwrap().forget();
                    if action != "start" {
                        their.lock().await.stop(id).await;
                    }
                    if slow.available_permits() == 0 {
                        let _ = stream.get_mut().shutdown().await;
                    }
                    slow.acquire().await.unwrap().forget();
                    if action != "stop" {
                        their.lock().await.start(id).await;
                    }
                    // The client may have been killed.
                    let _ = stream.get_mut().shutdown().await;
                });
            }
        });
        Self {
            socket,
            hosts,
            asked,
            may,
            back,
            serving: serving.abort_handle(),
            _folder: folder,
        }
    }

    pub(super) async fn desk(&self) -> Desk {
        let desk = Desk::of(&self.hosts.lock().await.bootstrap());
        let words = self.words().map(|word| format!("{word:?}")).join(", ");
        drives(
            &desk,
            &format!("[context.dev.driver]\nsoak = \"1s\"\n[context.dev.driver.command]\nrun = [{words}]\n"),
        );
        desk
    }

    /// What the driver runs.
    fn words(&self) -> [String; 7] {
        let socket = self.socket.display().to_string();
        [
            env!("CARGO_BIN_EXE_azimuth"),
            "demo",
            "--control",
            &socket,
            "--action={action}",
            "--broker",
            "{broker}",
        ]
        .map(str::to_owned)
    }

    pub(super) async fn asked(&self) -> Vec<String> {
        self.asked.lock().await.clone()
    }

    async fn kill(&self, id: i32) {
        match &mut *self.hosts.lock().await {
            Hosts::Ours(cluster) => cluster.kill(NodeId(id)).await,
            Hosts::Kafka(cluster) => cluster.kill(id),
        }
    }

    async fn start(&self, id: i32) {
        self.hosts.lock().await.start(id).await;
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Adds to the file of contexts.
fn drives(desk: &Desk, text: &str) {
    let path = desk.path(".config/azimuth/contexts.toml");
    let known = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{known}\n{text}")).unwrap();
}

pub(super) async fn our_hosts() -> (Manager, tempfile::TempDir) {
    let (cluster, folder) = ours().await;
    (Manager::of(Hosts::Ours(Box::new(cluster))), folder)
}

/// Every leader is where it is preferred, and nothing is out of sync.
pub(super) async fn all_is_well(desk: &Desk) {
    let started = Instant::now();
    loop {
        let all = desk.json("partition list").await["items"].as_array().unwrap().clone();
        let well = |one: &Value| {
            let (replicas, isr) = (one["replicas"].as_array().unwrap(), one["isr"].as_array().unwrap());
            one["leader"] == replicas[0] && isr.len() == replicas.len()
        };
        let unwell: Vec<_> = all.iter().filter(|one| !well(one)).collect();
        if unwell.is_empty() && !all.is_empty() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{unwell:#?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A topic that keeps its min ISR with one broker away, written to all the time.
pub(super) async fn loaded(desk: &Desk, bootstrap: &str) -> Load {
    let create = "topic create load --replication-factor 3 --config min.insync.replicas=2";
    desk.run(&format!("{create} --partitions {PARTITIONS} --yes"))
        .await
        .ends(0);
    Load::on(bootstrap, "load", PARTITIONS)
}

/// Waits until nothing stands in the way of a plan: a new log that is not listed yet does.
pub(super) async fn plan(desk: &Desk, wanted: &str) {
    let line = format!("restart plan {wanted} --out roll.json");
    let started = Instant::now();
    while desk.run(&line).await.ends(0).stderr.contains("apply would refuse") {
        assert!(started.elapsed() < PATIENCE, "the gates stay closed");
        tokio::time::sleep(LOOK).await;
    }
}

/// All brokers, one by one, from the command line, while every record is numbered.
async fn rolled(manager: &Manager, brokers: usize) -> (Desk, Load) {
    let desk = manager.desk().await;
    let bootstrap = manager.hosts.lock().await.bootstrap();
    let load = loaded(&desk, &bootstrap).await;
    plan(&desk, "--all --soak 1s --drain-leaders").await;
    let ran = desk.run("restart apply roll.json --yes").await;
    let ran = ran
        .ends(0)
        .answers(&format!("finished ({brokers} of {brokers} steps done)"));
    assert!(ran.stderr.contains("that prefer it, watched for 1 s"), "{}", ran.stderr);
    let mut asked = manager.asked().await;
    assert_eq!(asked.len(), brokers, "{asked:?}");
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), brokers, "each of them once");
    all_is_well(&desk).await;
    (desk, load)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_roll_of_our_broker_loses_nothing_from_the_command_line_and_the_screens() {
    let (manager, _folder) = our_hosts().await;
    let (desk, load) = rolled(&manager, 4).await;

    // Two of them from the screens: marked, planned, read, applied, watched.
    let mut screen = Screen::open(&desk, "dev");
    screen.press("2").shows("4 brokers").await;
    screen.press("/id:3\r").shows("1 of 4").await;
    screen.press("R").shows("restart: broker 3").await;
    screen.shows("azimuth restart plan --broker 3").await;
    screen.shows("last-safe-copy").await;
    screen.apply().await;
    until_asked(&manager, 5).await;
    screen.shows("⚙ restart 0/1").await;
    screen.quit().await;
    assert_eq!(manager.asked().await.last().unwrap(), "restart 3");
    let latest = desk.json("operation list").await["items"][0]["operation"].clone();
    let finished = |operation: &Value| operation["state"] == "finished";
    desk.until(latest.as_str().unwrap(), "finished", finished).await;
    all_is_well(&desk).await;
    nothing_lost(&desk, "load", load).await;

    // One is stopped, its absence is seen, and it is started again.
    desk.run("broker stop 2 --yes").await.ends(0).says("stopped after");
    desk.run("broker stop 3 --yes").await.ends(4).says("broker 2");
    desk.run("broker start 2 --yes").await.ends(0).says("in sync, leads");
    all_is_well(&desk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_roll_of_apache_kafka_loses_nothing() {
    let Some(cluster) = kafka::Cluster::start().await else {
        return;
    };
    let manager = Manager::of(Hosts::Kafka(cluster));
    let (desk, load) = rolled(&manager, 3).await;
    nothing_lost(&desk, "load", load).await;
    // The node that led the quorum when the plan was made came last.
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("roll.json")).unwrap()).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let active: Vec<bool> = steps.iter().map(|step| step["controller"].as_bool().unwrap()).collect();
    assert_eq!(active, [false, false, true]);
    assert!(steps.iter().all(|step| step["voter"] == json!(true)));

    // With one voter gone nobody may stop another, whoever wants it.
    let (gone, next) = (&steps[0]["place"]["broker"], &steps[1]["place"]["broker"]);
    manager.kill(i32::try_from(gone.as_i64().unwrap()).unwrap()).await;
    let started = Instant::now();
    loop {
        let line = format!("broker stop {next} --override in-sync,brokers,min-isr,idle,ec2 --reason test --yes");
        let ran = desk.run(&line).await;
        assert_ne!(ran.status, 0, "{}", ran.stdout);
        if ran.status == 4 && ran.stderr.contains("gate quorum is closed") {
            ran.says("it cannot be overridden");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{}", ran.stderr);
        tokio::time::sleep(LOOK).await;
    }
}

/// The controllers of a cluster that has them apart restart one by one, the active one last, and none without the majority.
pub(super) async fn controllers_roll(cluster: kafka::Cluster) {
    let manager = Manager::of(Hosts::Kafka(cluster));
    let desk = manager.desk().await;
    plan(&desk, "--controllers --soak 1s").await;
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(desk.path("roll.json")).unwrap()).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let active: Vec<bool> = steps.iter().map(|step| step["controller"].as_bool().unwrap()).collect();
    assert_eq!(active, [false, false, true]);
    let ran = desk.run("restart apply roll.json --yes").await;
    let ran = ran.ends(0).answers("finished (3 of 3 steps done)");
    assert!(
        ran.stderr.contains("level with the quorum, watched for 1 s"),
        "{}",
        ran.stderr
    );
    let wanted: Vec<String> = steps
        .iter()
        .map(|step| format!("restart {}", step["place"]["broker"]))
        .collect();
    assert_eq!(manager.asked().await, wanted);

    let [gone, next] = [101, 102];
    manager.kill(gone).await;
    let started = Instant::now();
    loop {
        let ran = desk.run(&format!("restart plan --broker {next} --out one.json")).await;
        let ran = ran.ends(0);
        if format!("{}{}", ran.stdout, ran.stderr).contains("of 3 voters are level") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{}", ran.stderr);
        tokio::time::sleep(LOOK).await;
    }
    let ran = desk
        .run("restart apply one.json --override quorum,controllers --reason test --yes")
        .await;
    ran.ends(4).says("it cannot be overridden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_dies_by_hand_holds_up_the_roll_until_it_is_back() {
    let (manager, _folder) = our_hosts().await;
    let desk = manager.desk().await;
    let create = "topic create load --partitions 8 --replication-factor 3 --config min.insync.replicas=2 --yes";
    desk.run(create).await.ends(0);
    plan(&desk, "--broker 1,2 --soak 1s").await;

    // While broker 1 is on its way somebody kills broker 3.
    manager.may.forget_permits(usize::MAX);
    let mut command = desk.command("anna", "restart apply roll.json --yes --context dev");
    let apply = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_asked(&manager, 1).await;
    manager.kill(3).await;
    manager.may.add_permits(1000);
    let told = ended(apply).await;
    assert_eq!(told.0, 4, "{}", told.1);
    assert!(told.1.contains("broker 3 ") && told.1.contains("gate "), "{}", told.1);
    assert_eq!(manager.asked().await, ["restart 1"], "broker 2 is left alone");

    // A new plan is refused for the same reason.
    desk.run("restart plan --broker 4")
        .await
        .ends(0)
        .says("apply would refuse this")
        .says("min-isr");
    let operation = desk.json("operation list").await["items"][0]["operation"].clone();
    let id = operation.as_str().unwrap();
    assert_eq!(desk.operation(id).await["state"], "waiting");

    manager.start(3).await;
    desk.run(&format!("operation attach {id}"))
        .await
        .ends(0)
        .answers("finished (2 of 2 steps done)");
    assert_eq!(manager.asked().await, ["restart 1", "restart 2"]);
    // Who was killed by hand leads again when somebody asks for it.
    desk.run("leader elect --yes").await;
    all_is_well(&desk).await;
}

pub(super) async fn until_asked(manager: &Manager, count: usize) {
    let started = Instant::now();
    while manager.asked().await.len() < count {
        assert!(started.elapsed() < PATIENCE, "nobody asked the manager");
        tokio::time::sleep(LOOK).await;
    }
}

/// Its exit status and what it said.
async fn ended(child: Child) -> (i32, String) {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it does not end").unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_driver_that_does_nothing_or_fails_is_found_out_and_one_whose_line_is_cut_is_not_asked_twice() {
    let (manager, _folder) = our_hosts().await;
    let desk = manager.desk().await;
    desk.run_as("anna", "restart plan --all --context prod-eu")
        .await
        .ends(2)
        .says("the context has no driver");
    let create = "topic create load --partitions 8 --replication-factor 3 --config min.insync.replicas=2 --yes";
    desk.run(create).await.ends(0);

    // It says that all is well, and the process is the one that we talked to before. Another one says why not.
    let secret = desk.path("token");
    std::fs::write(&secret, "open-sesame").unwrap();
    let idle = format!(
        "[context.prod-eu.driver.command]\nrestart = [\"sh\", \"-c\", \"echo login $TOKEN; exit $CODE\"]\n\
         environment = {{ TOKEN = {{ file = {secret:?} }}, CODE = {{ file = {:?} }} }}\n",
        desk.path("code")
    );
    drives(&desk, &idle);
    std::fs::write(desk.path("code"), "0").unwrap();
    let prod = |line: &str| format!("{line} --context prod-eu --confirm prod-eu");
    let plan = "restart plan --broker 1 --soak 1s --out idle.json --context prod-eu";
    desk.run_as("anna", plan).await.ends(0);
    let ran = desk.run_as("anna", &prod("restart apply idle.json")).await.ends(4);
    let ran = ran
        .says("gate driver is closed")
        .says("the connection to it never broke");
    assert!(ran.stderr.contains("login ***"), "{}", ran.stderr);
    let id = desk.json("operation list").await["items"][0]["operation"].clone();
    let id = id.as_str().unwrap().to_owned();
    std::fs::write(desk.path("code"), "3").unwrap();
    let again = format!("operation resume {id} --override driver --reason again");
    let mut command = desk.command("anna", &prod(&again));
    let resume = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let failed = |operation: &Value| {
        let events = operation["journal"].as_array().unwrap();
        events
            .iter()
            .any(|entry| entry["event"].as_str().unwrap().contains("exit 3"))
    };
    desk.until(&id, "run again", failed).await;
    desk.run_as("anna", &prod(&format!("operation abort {id}"))).await;
    let (_, said) = ended(resume).await;
    assert!(said.contains("aborted"), "{said}");
    desk.holds_nowhere("open-sesame");
    assert_eq!(manager.asked().await, Vec::<String>::new());

    // ssh is cut right after the host took the command: it is the host's to finish, and is not asked again.
    let fake = desk.path("bin/ssh");
    std::fs::create_dir_all(desk.path("bin")).unwrap();
    std::fs::write(&fake, FAKE_SSH).unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let remote = manager.words().join(" ");
    drives(&desk, &format!("[context.dev.driver.ssh]\nrun = {remote:?}\n"));
    desk.run("restart plan --broker 1")
        .await
        .ends(2)
        .says("choose one with --driver command|ssh");
    desk.run("restart plan --broker 2 --driver ssh --soak 1s --out ssh.json")
        .await
        .ends(0);
    let path = path_with(&desk.path("bin"));
    let variables = [("PATH", path.as_str()), ("FAKE_LOG", "/dev/null")];
    desk.run_with(&variables, "restart apply ssh.json --yes")
        .await
        .ends(0)
        .answers("finished (1 of 1 step done)");
    assert_eq!(manager.asked().await, ["restart 2"]);
    all_is_well(&desk).await;
}

/// Takes what ssh is given, hands the command to the host, which goes on by itself, and loses the line.
const FAKE_SSH: &str = r#"#!/bin/sh
case " $* " in *" BatchMode=yes "*) ;; *) echo "would ask somebody" >&2; exit 1;; esac
for word; do last=$word; done
setsid sh -c "$last" >/dev/null 2>&1 </dev/null &
echo "Connection closed by remote host" >&2
exit 255
"#;

fn path_with(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// One engine killed, and what became of its broker.
struct Killed {
    at: u32,
    found: String,
}

/// Every `stride`-th point from `first` on, until the operation comes to its end.
async fn walk(first: u32, stride: u32) -> Vec<Killed> {
    let (manager, _folder) = our_hosts().await;
    let desk = manager.desk().await;
    let create = "topic create load --partitions 4 --replication-factor 3 --config min.insync.replicas=2 --yes";
    desk.run(create).await.ends(0);
    let mut table = Vec::new();
    for at in (first..).step_by(stride as usize) {
        plan(&desk, "--broker 1 --soak 1ms").await;
        let before = manager.asked().await.len();
        let mut command = desk.command("anna", "restart apply roll.json --yes --context dev");
        command.env("AZIMUTH_TEST_CRASH_AT", at.to_string());
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let id = desk.json("operation list").await["items"][0]["operation"].clone();
        let id = id.as_str().unwrap().to_owned();
        let shown = desk.operation(&id).await;
        if shown["state"] == "finished" {
            break;
        }
        assert_eq!(shown["state"], "orphaned", "{shown:#}");
        // Whoever was stopped is started, although nobody has taken the operation up.
        answers(&desk, 1).await;
        let ran = desk.run(&format!("operation resume {id} --yes")).await.ends(0);
        ran.answers("finished (1 of 1 step done)");
        assert_eq!(
            manager.asked().await.len(),
            before + 1,
            "restarted once, killed at {at}: {shown:#}"
        );
        all_is_well(&desk).await;
        let last = shown["journal"].as_array().unwrap().last().unwrap()["event"].clone();
        table.push(Killed {
            at,
            found: last.as_str().unwrap().to_owned(),
        });
    }
    table
}

pub(super) async fn answers(desk: &Desk, id: i64) {
    let started = Instant::now();
    loop {
        let listed = desk.json("broker list").await["items"].as_array().unwrap().clone();
        let states: BTreeMap<i64, Value> = listed
            .iter()
            .map(|one| (one["id"].as_i64().unwrap(), one["state"].clone()))
            .collect();
        if states.get(&id) == Some(&json!("up")) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "broker {id} is left stopped: {states:?}");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_may_be_killed_anywhere_in_a_restart_and_no_broker_is_left_stopped() {
    const LANES: u32 = 3;
    // Most of it is waiting, so several go side by side.
    let walks = join_all((1..=LANES).map(|first| tokio::spawn(walk(first, LANES)))).await;
    let mut table: Vec<Killed> = walks.into_iter().flat_map(Result::unwrap).collect();
    table.sort_by_key(|killed| killed.at);
    println!("killed at | the journal's last words");
    for killed in &table {
        println!("{:>9} | {}", killed.at, killed.found);
    }
    assert!(table.len() >= 12, "{} points of a restart", table.len());
}
