//! The console beside Apache Kafka's own tools, on Apache Kafka: three combined nodes from the jars in
//! `AZIMUTH_KAFKA_JARS`, 1,000 topics of 10 partitions with three replicas, and 1,000 groups that committed to 10 to 50
//! partitions each. Then the same with one of the three stopped, as a host is that hangs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use azimuth::source::kafka::{Kafka, NewTopic, Target};
use azimuth_broker::wire::{Client, ClientConfig};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustix::process::Signal;
use tempfile::TempDir;

use super::report::{self, Report};
use super::terminal::Terminal;
use super::{Failure, Options, Runs, best, jars, process, several};

const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(200);
const TOPICS: usize = 1000;
const PARTITIONS: usize = 10;
const GROUPS: usize = 1000;
/// Topics in one request, for the controller to write at once.
const BATCH: usize = 50;

/// What kcl 0.18 and ktea 0.8 took for the same on the machine of the first measurements, in seconds.
const KCL_TOPICS: f64 = 0.20;
const KCL_LOG_DIRS: f64 = 1.77;
const KTEA_LIST: f64 = 2.0;

struct Cluster {
    nodes: Vec<Child>,
    bootstrap: String,
    jars: PathBuf,
    _folder: TempDir,
}

pub async fn measure(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let cluster = Cluster::start().await?;
    let kafka = Kafka::new(Target::new(&cluster.bootstrap));
    fill(&kafka, &cluster.bootstrap).await?;
    println!(
        "Apache Kafka holds {} partitions with three replicas, and {GROUPS} groups",
        TOPICS * PARTITIONS
    );
    let ours = ask(options, &cluster)?;
    first_list(options, &cluster, report)?;
    let theirs = peers(&cluster)?;
    compare(&ours, &theirs, report);
    process::signal(&cluster.nodes[2], Signal::STOP)?;
    let stopped = ask(options, &cluster);
    process::signal(&cluster.nodes[2], Signal::CONT)?;
    without_one(&ours, &stopped?, report);
    Ok(())
}

/// What is asked of both.
const TOPICS_WITH_ISR: &str = "partition list";
const LAG: &str = "group list";
const LOG_DIRS: &str = "logdir list";

fn ask(options: &Options, cluster: &Cluster) -> Result<Vec<Runs>, Failure> {
    let asked = [TOPICS_WITH_ISR, LAG, LOG_DIRS].map(|words| options.command(words, &cluster.bootstrap, PATIENCE));
    asked.into_iter().collect()
}

/// Once each: the slowest takes more than a minute.
fn peers(cluster: &Cluster) -> Result<Vec<Runs>, Failure> {
    let tools: [(&str, &[&str]); 3] = [
        ("TopicCommand", &["--describe"]),
        ("consumer.group.ConsumerGroupCommand", &["--describe", "--all-groups"]),
        ("LogDirsCommand", &["--describe"]),
    ];
    let run = |(tool, arguments): (&str, &[&str])| {
        several(1, PATIENCE * 2, || {
            let mut command = Command::new("java");
            command.arg("-cp").arg(cluster.jars.join("*"));
            command.arg(format!("org.apache.kafka.tools.{tool}"));
            command.args(["--bootstrap-server", &cluster.bootstrap]).args(arguments);
            command
        })
    };
    tools.into_iter().map(run).collect()
}

fn compare(ours: &[Runs], theirs: &[Runs], report: &mut Report) {
    let names = [
        "kafka-topics --describe",
        "kafka-consumer-groups --all-groups",
        "kafka-log-dirs",
    ];
    for (their, name) in theirs.iter().zip(names) {
        let ended = match their.status {
            Some(_) => "",
            None => ", killed",
        };
        let words = format!(
            "{} ({} of processor{ended})",
            report::seconds(best(&their.wall)),
            report::seconds(best(&their.cpu))
        );
        report.note(name, words);
    }
    let note = |runs: &Runs| format!("{} of processor, {} lines", report::seconds(best(&runs.cpu)), runs.rows);
    let [topics, lag, dirs] = ours else { return };
    report.at_most(
        "topics with ISR, beside kcl's time",
        best(&topics.wall),
        KCL_TOPICS,
        report::seconds,
        &note(topics),
    );
    report.note(
        "lag of all groups",
        format!("{} ({})", report::seconds(best(&lag.wall)), note(lag)),
    );
    if let Some(their) = theirs.get(1) {
        report.at_least(
            "lag of all groups, faster than kafka-consumer-groups",
            best(&their.wall) / best(&lag.wall),
            100.0,
            "wall",
        );
        let ratio = best(&their.cpu) / best(&lag.cpu);
        report.note("the same in processor time", format!("{ratio:.1} times"));
    }
    report.at_most(
        "log dirs, beside half of kcl's time",
        best(&dirs.wall),
        KCL_LOG_DIRS / 2.0,
        report::seconds,
        &note(dirs),
    );
}

/// With the third node silent: what the others tell is as it was, and the silent one is named.
fn without_one(before: &[Runs], after: &[Runs], report: &mut Report) {
    for ((was, is), words) in before.iter().zip(after).zip([TOPICS_WITH_ISR, LAG, LOG_DIRS]) {
        let named = is.stderr.contains("broker 3");
        let note = format!(
            "{}, {} of {} lines, exit {:?}, {}",
            report::seconds(best(&is.wall)),
            is.rows,
            was.rows,
            is.status,
            if named {
                "broker 3 is named"
            } else {
                "broker 3 is not named"
            }
        );
        let whole = is.rows == was.rows;
        // Metadata is every broker's to tell: nothing is missing there.
        let told = match words == TOPICS_WITH_ISR {
            true => whole && matches!(is.status, Some(0 | 3)),
            false => is.status == Some(3) && named && is.rows > 1,
        };
        report.holds(format!("azimuth {words}, broker 3 stopped"), told, &note);
    }
}

fn first_list(options: &Options, cluster: &Cluster, report: &mut Report) -> Result<(), Failure> {
    let mut times = Vec::new();
    for _ in 0..options.runs {
        let home = tempfile::tempdir()?;
        let mut terminal = Terminal::run(&options.azimuth(), &["--bootstrap", &cluster.bootstrap], home.path())?;
        // Typed ahead: it is the list that is waited for.
        terminal.press("3")?;
        let listed = terminal.until("lists the topics", PATIENCE, |text| text.contains(&topic(0)))?;
        times.push(listed.as_secs_f64());
    }
    report.at_most(
        "topics on screen, beside a fifth of ktea's time",
        best(&times),
        KTEA_LIST / 5.0,
        report::seconds,
        "",
    );
    Ok(())
}

fn topic(number: usize) -> String {
    format!("bench-{number:04}")
}

/// Topics, then groups that have committed.
async fn fill(kafka: &Kafka, bootstrap: &str) -> Result<(), Failure> {
    let all: Vec<NewTopic> = (0..TOPICS)
        .map(|number| NewTopic {
            name: topic(number),
            partitions: Some(i32::try_from(PARTITIONS).unwrap_or(10)),
            replication_factor: Some(3),
            ..NewTopic::default()
        })
        .collect();
    for batch in all.chunks(BATCH) {
        for (name, outcome) in kafka.create_topics(batch, false).await? {
            outcome.map_err(|error| format!("topic {name}: {error}"))?;
        }
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let topics = kafka.topics().await?;
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        let whole = partitions
            .filter(|one| one.leader.is_some() && one.isr.len() == 3)
            .count();
        if whole >= TOPICS * PARTITIONS {
            break;
        }
        if Instant::now() > until {
            return Err(format!("{whole} partitions are in sync within {PATIENCE:?}").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    for group in 0..GROUPS {
        commit(bootstrap, group).await?;
    }
    Ok(())
}

/// Commits to 10 to 50 partitions for one group; a coordinator that is still loading is asked again.
async fn commit(bootstrap: &str, group: usize) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let name = StrBytes::from_string(format!("bench-group-{group:04}"));
    let config = ClientConfig::default();
    let first = bootstrap.split(',').next().unwrap_or(bootstrap);
    loop {
        let client = Client::connect(first, &config).await?;
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![name.clone()]);
        let found = client.call(find, PATIENCE).await?;
        let coordinator = found.coordinators.first().ok_or("no coordinator was told")?;
        let error = match coordinator.error_code {
            0 => {
                let address = format!("{}:{}", coordinator.host, coordinator.port);
                let client = Client::connect(&address, &config).await?;
                let request = OffsetCommitRequest::default()
                    .with_group_id(GroupId(name.clone()))
                    .with_topics(committed(group));
                // The last version that names topics; later ones have their ids.
                let answer = client.call_capped(request, 9, PATIENCE).await?;
                let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                partitions
                    .map(|one| one.error_code)
                    .find(|code| *code != 0)
                    .unwrap_or(0)
            }
            error => error,
        };
        if error == 0 {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{} cannot commit: error {error}", name.as_str()).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One to five topics, all their partitions.
fn committed(group: usize) -> Vec<OffsetCommitRequestTopic> {
    let topics = (0..=group % 5).map(|at| {
        let partitions = (0..PARTITIONS).map(|partition| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(i32::try_from(partition).unwrap_or(0))
                .with_committed_offset(0)
        });
        OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic((group * 7 + at * 13) % TOPICS))))
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

impl Cluster {
    async fn start() -> Result<Self, Failure> {
        let jars = jars()?;
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        fs::write(root.join("log4j2.properties"), LOGGING)?;
        let mut places = Vec::new();
        for id in 1..=3 {
            places.push((id, free()?, free()?));
        }
        let voters: Vec<String> = places
            .iter()
            .map(|(id, _, controller)| format!("{id}@{controller}"))
            .collect();
        let brokers: Vec<String> = places.iter().map(|(_, broker, _)| broker.clone()).collect();
        let mut cluster = Self {
            nodes: Vec::new(),
            bootstrap: brokers.join(","),
            jars,
            _folder: folder,
        };
        let root = cluster._folder.path().to_owned();
        for (id, broker, controller) in &places {
            let text = format!(
                "{COMMON}node.id={id}\nbroker.rack=az{id}\nlog.dirs={}\ncontroller.quorum.voters={}\n\
                 listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{broker}\n",
                root.join(format!("data-{id}")).display(),
                voters.join(",")
            );
            let properties = root.join(format!("{id}.properties"));
            fs::write(&properties, text)?;
            let format = [
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "AzimuthBenchCluster001",
                "-c",
            ];
            let formatted = cluster.java(&root, *id)?.args(format).arg(&properties).status()?;
            if !formatted.success() {
                return Err(format!("node {id} cannot be formatted: {}", tail(&root, *id)).into());
            }
        }
        for (id, ..) in &places {
            let mut node = cluster.java(&root, *id)?;
            node.arg("kafka.Kafka").arg(root.join(format!("{id}.properties")));
            cluster.nodes.push(node.spawn()?);
        }
        let until = Instant::now() + PATIENCE;
        let kafka = Kafka::new(Target::new(&cluster.bootstrap));
        let up =
            |seen: &azimuth::model::cluster::Cluster| seen.brokers.iter().filter(|broker| !broker.fenced).count() == 3;
        while !kafka.cluster().await.as_ref().is_ok_and(up) {
            if Instant::now() > until {
                return Err(format!("Kafka is not up after {PATIENCE:?}: {}", tail(&root, 1)).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(cluster)
    }

    /// With the heap and the collector that `kafka-server-start` gives.
    fn java(&self, root: &Path, id: i32) -> Result<Command, Failure> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(root.join(format!("{id}.log")))?;
        let logging = format!(
            "-Dlog4j2.configurationFile={}",
            root.join("log4j2.properties").display()
        );
        let mut command = Command::new("java");
        command
            .args([
                "-Xms1g",
                "-Xmx1g",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
                &logging,
                "-cp",
            ])
            .arg(self.jars.join("*"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // Its data goes with it; what matters is that it is gone.
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

fn free() -> Result<String, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The end of a node's log.
fn tail(root: &Path, id: i32) -> String {
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

/// Kafka's defaults, and what three nodes on one host need.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
offsets.topic.replication.factor=3
auto.create.topics.enable=false
";
