//! Apache Kafka on this machine, for tests: three combined nodes with racks, from the jars in `AZIMUTH_KAFKA_JARS`
//! (`tests/run` fetches them). Free loopback ports, a folder of its own, and every process ended by its id.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use azimuth::source::kafka::{Kafka, Target};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// Three JVMs on two busy cores.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// Between two looks at something that is awaited, so that asking does not slow down what is asked for.
pub const PAUSE: Duration = Duration::from_millis(50);

/// One cluster at a time: six JVMs would only wait for each other.
static ROOM: Semaphore = Semaphore::const_new(1);

/// Rack by node, as the zones of a region.
const RACKS: [(i32, &str); 3] = [(1, "a"), (2, "b"), (3, "c")];

/// A running cluster. Its processes end and its folder goes when it is dropped.
pub struct Cluster {
    folder: TempDir,
    jars: PathBuf,
    nodes: BTreeMap<i32, Node>,
    /// `host:port` of every node, with commas: the clients' listener.
    pub bootstrap: String,
    /// The same of a listener without TLS and logins.
    inside: String,
    /// Given back after the fields above are gone.
    _room: SemaphorePermit<'static>,
}

struct Node {
    properties: PathBuf,
    process: Option<Child>,
}

/// The cluster that tests share which only look at it or name their own topics; it ends with the last of them.
/// `None`, and a word about it, where there are no jars.
pub async fn shared() -> Option<Arc<Cluster>> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(cluster) = shared.upgrade() {
        return Some(cluster);
    }
    let cluster = Arc::new(Cluster::start().await?);
    *shared = Arc::downgrade(&cluster);
    Some(cluster)
}

impl Cluster {
    /// A cluster of one's own, for tests that stop nodes.
    pub async fn start() -> Option<Self> {
        Self::start_with("", &[]).await
    }

    /// A cluster whose clients meet another security than none: `properties` are about the listener named `CLIENTS`, and
    /// `format` goes to the tool that formats each node's folder.
    pub async fn start_with(properties: &str, format: &[&str]) -> Option<Self> {
        let Some(jars) = std::env::var_os("AZIMUTH_KAFKA_JARS") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "AZIMUTH_KAFKA_JARS names no folder of Kafka's jars"
            );
            eprintln!("not run on Apache Kafka: AZIMUTH_KAFKA_JARS names no folder of its jars; tests/run sets it");
            return None;
        };
        let room = ROOM.acquire().await.unwrap();
        let mut cluster = Self::prepare(PathBuf::from(jars), room, properties, format);
        for id in RACKS.map(|(id, _)| id) {
            cluster.launch(id);
        }
        cluster.ready().await;
        Some(cluster)
    }

    pub fn target(&self) -> Target {
        Target::new(&self.inside)
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).unwrap();
        end(node);
    }

    /// The process stops answering and keeps its connections, or goes on.
    pub fn pause(&self, id: i32, paused: bool) {
        let process = self.nodes[&id].process.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        kill_process(pid, signal).unwrap();
    }

    /// Starts a node that is not running.
    pub fn launch(&mut self, id: i32) {
        let log = File::create(self.folder.path().join(format!("{id}.log"))).unwrap();
        let node = self.nodes.get_mut(&id).unwrap();
        let process = java(&self.jars, self.folder.path())
            .arg("kafka.Kafka")
            .arg(&node.properties)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        node.process = Some(process);
    }

    /// Waits until every broker is up and unfenced.
    pub async fn ready(&mut self) {
        let started = Instant::now();
        let kafka = Kafka::new(self.target());
        loop {
            if let Ok(cluster) = kafka.cluster().await
                && cluster.brokers.len() == RACKS.len()
                && cluster.brokers.iter().all(|broker| !broker.fenced)
            {
                return;
            }
            for (id, node) in &mut self.nodes {
                let ended = node.process.as_mut().and_then(|process| process.try_wait().unwrap());
                assert!(ended.is_none(), "node {id} ended: {}", self.folder.path().tail(*id));
            }
            assert!(
                started.elapsed() < READY_WITHIN,
                "Kafka is not up after {READY_WITHIN:?}: {}",
                self.folder.path().tail(1)
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn prepare(jars: PathBuf, room: SemaphorePermit<'static>, properties: &str, formatting: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("azimuth-kafka-").tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("log4j2.properties"), LOGGING).unwrap();
        let places: Vec<_> = RACKS
            .map(|(id, rack)| (id, rack, free(id), free(id)))
            .into_iter()
            .collect();
        let secured: Vec<_> = RACKS.map(|(id, _)| free(id)).into_iter().collect();
        let voters: Vec<_> = places
            .iter()
            .map(|(id, _, _, controller)| format!("{id}@{controller}"))
            .collect();
        let mut nodes = BTreeMap::new();
        for ((id, rack, broker, controller), clients) in places.iter().zip(&secured) {
            let path = root.join(format!("{id}.properties"));
            let mut text = COMMON.to_owned();
            let data = root.join(format!("data-{id}"));
            writeln!(text, "node.id={id}\nbroker.rack={rack}\nlog.dirs={}", data.display()).unwrap();
            writeln!(text, "controller.quorum.voters={}", voters.join(",")).unwrap();
            let more = match properties.is_empty() {
                true => String::new(),
                false => format!(",CLIENTS://{clients}"),
            };
            writeln!(text, "listeners=PLAINTEXT://{broker},CONTROLLER://{controller}{more}").unwrap();
            writeln!(text, "advertised.listeners=PLAINTEXT://{broker}{more}").unwrap();
            text.push_str(properties);
            fs::write(&path, text).unwrap();
            let node = Node {
                properties: path,
                process: None,
            };
            nodes.insert(*id, node);
        }
        format(&jars, root, &nodes, formatting);
        let inside: Vec<_> = places.iter().map(|(_, _, broker, _)| broker.clone()).collect();
        let inside = inside.join(",");
        Self {
            bootstrap: if properties.is_empty() {
                inside.clone()
            } else {
                secured.join(",")
            },
            inside,
            folder,
            jars,
            nodes,
            _room: room,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.values_mut().for_each(end);
    }
}

fn end(node: &mut Node) {
    if let Some(mut process) = node.process.take() {
        // It may have ended already; what matters is that it is reaped.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Formats every node's folder under one cluster id.
fn format(jars: &Path, root: &Path, nodes: &BTreeMap<i32, Node>, more: &[&str]) {
    let formats = nodes.iter().map(|(id, node)| {
        let log = File::create(root.join(format!("{id}.log"))).unwrap();
        let process = java(jars, root)
            .args([
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "AzimuthTestCluster0001",
                "-c",
            ])
            .arg(&node.properties)
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        (*id, process)
    });
    for (id, mut process) in formats.collect::<Vec<_>>() {
        assert!(process.wait().unwrap().success(), "formatting {id}: {}", root.tail(id));
    }
}

fn java(jars: &Path, root: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .args([
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
        ])
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            root.join("log4j2.properties").display()
        ))
        .arg("-cp")
        .arg(jars.join("*"));
    command
}

/// A free port on the loopback address that stands for the node's zone, as `address:port`.
fn free(id: i32) -> String {
    let listener = TcpListener::bind((format!("127.0.{id}.10"), 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

trait Tail {
    fn tail(&self, id: i32) -> String;
}

impl Tail for Path {
    /// The end of a node's log.
    fn tail(&self, id: i32) -> String {
        let text = fs::read_to_string(self.join(format!("{id}.log"))).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

const LOGGING: &str = "\
rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=stdout
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d %p %m (%c)%n
";

/// Kafka's defaults but for what makes a test wait, and what three nodes on one host need.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
default.replication.factor=3
offsets.topic.replication.factor=3
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
replica.lag.time.max.ms=10000
num.network.threads=2
num.io.threads=2
";
