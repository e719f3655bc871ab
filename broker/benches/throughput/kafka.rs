//! Apache Kafka from the jars in `AZIMUTH_KAFKA_JARS`: three combined nodes with the heap and collector that
//! `kafka-server-start` gives them.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::Way;
use super::identity::Identity;
use super::{Failure, System, ours, topic};

const READY_WITHIN: Duration = Duration::from_secs(180);
const HEAP: [&str; 4] = ["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

pub struct Kafka {
    nodes: Vec<Child>,
    spawned: Instant,
    bootstrap: String,
    encrypted: String,
    identity: Identity,
    _folder: TempDir,
}

/// Where a node listens.
struct Place {
    id: i32,
    broker: String,
    encrypted: String,
    controller: String,
}

impl Place {
    fn free(id: i32) -> std::io::Result<Self> {
        Ok(Self {
            id,
            broker: free()?,
            encrypted: free()?,
            controller: free()?,
        })
    }
}

pub async fn start(dir: Option<&Path>) -> Result<Kafka, Failure> {
    let jars = std::env::var_os("AZIMUTH_KAFKA_JARS")
        .map(PathBuf::from)
        .filter(|jars| jars.is_dir())
        .ok_or("AZIMUTH_KAFKA_JARS names no folder of Kafka's jars; tests/run fetches them, or measure with --ours")?;
    let folder = ours::folder(dir)?;
    let root = folder.path().to_owned();
    fs::write(root.join("log4j2.properties"), LOGGING)?;
    let identity = Identity::in_folder(&root)?;
    let places: Vec<Place> = [1, 2, 3].map(Place::free).into_iter().collect::<Result<_, _>>()?;
    let joined = |one: &dyn Fn(&Place) -> String| places.iter().map(one).collect::<Vec<_>>().join(",");
    let voters = joined(&|place| format!("{}@{}", place.id, place.controller));
    let keystore = identity.store.display().to_string();
    let mut kafka = Kafka {
        nodes: Vec::new(),
        spawned: Instant::now(),
        bootstrap: joined(&|place| place.broker.clone()),
        encrypted: joined(&|place| place.encrypted.clone()),
        identity,
        _folder: folder,
    };
    for place in &places {
        let Place {
            id,
            broker,
            encrypted,
            controller,
        } = place;
        let data = root.join(format!("data-{id}"));
        let text = format!(
            "{COMMON}node.id={id}\nbroker.rack=az{id}\nlog.dirs={}\ncontroller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://{broker},TLS://{encrypted},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{broker},TLS://{encrypted}\n\
             listener.name.tls.ssl.keystore.location={keystore}\n",
            data.display(),
        );
        fs::write(root.join(format!("{id}.properties")), text)?;
        let format = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "AzimuthBenchCluster001",
            "-c",
        ];
        let status = java(&jars, &root, *id)?
            .args(format)
            .arg(root.join(format!("{id}.properties")))
            .status()?;
        if !status.success() {
            return Err(format!("node {id} cannot be formatted: {}", log(&root, *id)).into());
        }
    }
    kafka.spawned = Instant::now();
    for Place { id, .. } in &places {
        let mut command = java(&jars, &root, *id)?;
        command.arg("kafka.Kafka").arg(root.join(format!("{id}.properties")));
        kafka.nodes.push(command.spawn()?);
    }
    let started = kafka.spawned;
    while topic::brokers(&kafka.bootstrap).await.unwrap_or(0) < places.len() {
        if started.elapsed() > READY_WITHIN {
            return Err(format!("Kafka is not up after {READY_WITHIN:?}: {}", log(&root, 1)).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("Apache Kafka is up after {:.1} s", started.elapsed().as_secs_f64());
    Ok(kafka)
}

impl System for Kafka {
    fn name(&self) -> &'static str {
        super::KAFKA
    }

    fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn encrypted(&self) -> Way<'_> {
        Way::Tls(&self.encrypted, &self.identity.trust)
    }

    fn spawned(&self) -> Instant {
        self.spawned
    }

    fn processes(&self) -> Vec<u32> {
        self.nodes.iter().map(Child::id).collect()
    }

    fn process_of(&self, node: i32) -> Result<u32, Failure> {
        let at = usize::try_from(node - 1).ok();
        let found = at.and_then(|at| self.nodes.get(at)).map(Child::id);
        found.ok_or_else(|| format!("no process serves as broker {node}").into())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // Its data goes with it; what matters is that it is gone.
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

fn java(jars: &Path, root: &Path, id: i32) -> Result<Command, Failure> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(root.join(format!("{id}.log")))?;
    let mut command = Command::new("java");
    command
        .args(HEAP)
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            root.join("log4j2.properties").display()
        ))
        .arg("-cp")
        .arg(jars.join("*"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

fn free() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The end of a node's log.
fn log(root: &Path, id: i32) -> String {
    let text = fs::read_to_string(root.join(format!("{id}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

const LOGGING: &str = "\
rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=stdout
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d %p %m (%c)%n
";

/// Kafka's defaults, and what three nodes on one host need. The deletion delay keeps the disk from filling up.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT
listener.name.tls.ssl.keystore.type=PEM
offsets.topic.replication.factor=3
auto.create.topics.enable=false
log.segment.delete.delay.ms=1000
";
