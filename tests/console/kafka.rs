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

/// The listener of every broker, without TLS and logins.
const INSIDE: &str = "PLAINTEXT";

/// Rack by node, as the zones of a region.
const RACKS: [&str; 3] = ["a", "b", "c"];

/// A running cluster. Its processes end and its folder goes when it is dropped.
pub struct Cluster {
    folder: TempDir,
    jars: PathBuf,
    nodes: BTreeMap<i32, Node>,
    /// `host:port` of every broker, with commas: the first listener that the shape names.
    pub bootstrap: String,
    /// The same of the listener without TLS and logins, and of each that the shape names.
    listeners: BTreeMap<String, String>,
    brokers: usize,
    /// Given back after the fields above are gone.
    _room: SemaphorePermit<'static>,
}

struct Node {
    properties: PathBuf,
    process: Option<Child>,
}

/// What a cluster is beyond three combined nodes that talk to anybody.
#[derive(Default)]
pub struct Shape<'a> {
    /// Names of listeners beside the one without TLS and logins; `properties` say what they are.
    pub listeners: &'a [&'a str],
    pub properties: &'a str,
    /// For the tool that formats each node's folder.
    pub format: &'a [&'a str],
    /// Node 1 is the only broker, and [`VOTERS`] are the controllers.
    pub apart: bool,
    /// Other racks than [`RACKS`] for nodes 1, 2 and 3.
    pub racks: Option<[&'a str; 3]>,
}

/// The controllers of a cluster that has them apart.
pub const VOTERS: [i32; 3] = [101, 102, 103];

/// One node as it is to be.
struct Seat<'a> {
    id: i32,
    rack: &'a str,
    roles: &'static str,
    broker: String,
    controller: String,
    /// `NAME://address:port` of the listeners beyond.
    more: Vec<String>,
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
        Self::start_with(Shape::default()).await
    }

    pub async fn start_with(shape: Shape<'_>) -> Option<Self> {
        let Some(jars) = std::env::var_os("AZIMUTH_KAFKA_JARS") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "AZIMUTH_KAFKA_JARS names no folder of Kafka's jars"
            );
            eprintln!("not run on Apache Kafka: AZIMUTH_KAFKA_JARS names no folder of its jars; tests/run sets it");
            return None;
        };
        let room = ROOM.acquire().await.unwrap();
        let mut cluster = Self::prepare(PathBuf::from(jars), room, &shape);
        let ids: Vec<i32> = cluster.nodes.keys().copied().collect();
        for id in ids {
            cluster.launch(id);
        }
        cluster.ready().await;
        Some(cluster)
    }

    /// `host:port` of every broker, with commas, at this listener.
    pub fn at(&self, listener: &str) -> &str {
        &self.listeners[listener]
    }

    /// A program of Kafka's, to be told which and with what.
    pub fn java(&self) -> Command {
        java(&self.jars, self.folder.path())
    }

    pub fn target(&self) -> Target {
        Target::new(self.at(INSIDE))
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).unwrap();
        end(node);
    }

    /// An orderly stop, as a service manager's: it hands over what it leads. Waits until it has ended.
    pub async fn stop(&mut self, id: i32) {
        let Some(mut process) = self.nodes.get_mut(&id).unwrap().process.take() else {
            return;
        };
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let started = Instant::now();
        while process.try_wait().unwrap().is_none() {
            assert!(
                started.elapsed() < READY_WITHIN,
                "node {id} does not end: {}",
                self.folder.path().tail(id)
            );
            tokio::time::sleep(PAUSE).await;
        }
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
                && cluster.brokers.len() == self.brokers
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

    fn prepare(jars: PathBuf, room: SemaphorePermit<'static>, shape: &Shape<'_>) -> Self {
        // In memory where there is such a place: nobody else fills that disk while a test asks when it is full.
        let memory = Path::new("/dev/shm");
        let mut folder = tempfile::Builder::new();
        let folder = match folder.prefix("azimuth-kafka-") {
            folder if memory.is_dir() => folder.tempdir_in(memory),
            folder => folder.tempdir(),
        }
        .unwrap();
        let root = folder.path();
        fs::write(root.join("log4j2.properties"), LOGGING).unwrap();
        let seats = seats(shape);
        let voters: Vec<_> = seats
            .iter()
            .filter(|seat| seat.roles.contains("controller"))
            .map(|seat| format!("{}@{}", seat.id, seat.controller))
            .collect();
        let mut nodes = BTreeMap::new();
        for seat in &seats {
            let (id, mut text) = (seat.id, COMMON.to_owned());
            let data = root.join(format!("data-{id}"));
            writeln!(
                text,
                "node.id={id}\nprocess.roles={}\nbroker.rack={}",
                seat.roles, seat.rack
            )
            .unwrap();
            writeln!(text, "log.dirs={}", data.display()).unwrap();
            writeln!(text, "controller.quorum.voters={}", voters.join(",")).unwrap();
            let mut clients = vec![format!("{INSIDE}://{}", seat.broker)];
            clients.extend(seat.more.iter().cloned());
            let control = format!("CONTROLLER://{}", seat.controller);
            let listeners = match seat.roles {
                "controller" => control,
                "broker" => clients.join(","),
                _ => format!("{},{control}", clients.join(",")),
            };
            writeln!(text, "listeners={listeners}").unwrap();
            if seat.roles != "controller" {
                writeln!(text, "advertised.listeners={}", clients.join(",")).unwrap();
            }
            text.push_str(shape.properties);
            let properties = root.join(format!("{id}.properties"));
            fs::write(&properties, text).unwrap();
            let node = Node {
                properties,
                process: None,
            };
            nodes.insert(id, node);
        }
        format(&jars, root, &nodes, shape.format);
        let brokers: Vec<_> = seats.iter().filter(|seat| seat.roles != "controller").collect();
        let mut listeners = BTreeMap::new();
        let inside: Vec<_> = brokers.iter().map(|seat| seat.broker.clone()).collect();
        listeners.insert(INSIDE.to_owned(), inside.join(","));
        for (at, name) in shape.listeners.iter().enumerate() {
            let prefix = format!("{name}://");
            let addresses: Vec<_> = brokers.iter().map(|seat| seat.more[at].replace(&prefix, "")).collect();
            listeners.insert((*name).to_owned(), addresses.join(","));
        }
        Self {
            bootstrap: listeners[*shape.listeners.first().unwrap_or(&INSIDE)].clone(),
            brokers: brokers.len(),
            listeners,
            folder,
            jars,
            nodes,
            _room: room,
        }
    }
}

fn seats<'a>(shape: &Shape<'a>) -> Vec<Seat<'a>> {
    let seat = |id, zone, rack, roles| Seat {
        id,
        rack,
        roles,
        broker: free(zone),
        controller: free(zone),
        more: shape
            .listeners
            .iter()
            .map(|name| format!("{name}://{}", free(zone)))
            .collect(),
    };
    let racks = shape.racks.unwrap_or(RACKS);
    let combined = [1, 2, 3].map(|id| (id, id, racks[id as usize - 1], "broker,controller"));
    let apart = VOTERS.map(|id| (id, id - 100, "", "controller"));
    let all: Vec<_> = match shape.apart {
        false => combined.to_vec(),
        true => [(1, 1, racks[0], "broker")].into_iter().chain(apart).collect(),
    };
    all.into_iter()
        .map(|(id, zone, rack, roles)| seat(id, zone, rack, roles))
        .collect()
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

/// A free port on the loopback address that stands for the node's instance, as `address:port`: that of the seed of moto too.
fn free(id: i32) -> String {
    let listener = TcpListener::bind((format!("127.0.{id}.{}", 10 + id), 0)).unwrap();
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
