//! The console beside Apache Kafka's own tools, on Apache Kafka: three combined nodes from the jars in
//! `AZIMUTH_KAFKA_JARS`, 1,000 topics of 10 partitions with three replicas and a record in each topic, and 1,000 groups that committed to
//! 10 to 50 partitions before it. Then the same with the first of the three stopped, as a host is that hangs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use azimuth::source::kafka::{Kafka, NewTopic, Target};
use azimuth_broker::record::BatchBuilder;
use azimuth_broker::wire;
use futures::StreamExt;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FindCoordinatorRequest, GroupId, OffsetCommitRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustix::process::Signal;
use serde_json::Value;

use super::process::{self, Folder};
use super::report::{self, Report};
use super::terminal::Terminal;
use super::{Failure, Options, Runs, best, jars, several};

const PATIENCE: Duration = Duration::from_secs(180);
/// For what a cluster has to do before it can be measured.
const FILL: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(200);
const NODES: usize = 3;
const TOPICS: usize = 1000;
const PARTITIONS: usize = 10;
const GROUPS: usize = 1000;
/// Topics in one request, for the controller to write at once.
const BATCH: usize = 100;
/// To each coordinator.
const CONNECTIONS: usize = 32;
/// Commits in flight.
const AT_ONCE: usize = NODES * CONNECTIONS;
/// COORDINATOR_NOT_AVAILABLE.
const NO_COORDINATOR: i16 = 15;
/// The first in the bootstrap list.
const STOPPED: i32 = 1;

/// What kcl 0.18 and ktea 0.8 took for the same on the machine of the first measurements, in seconds.
const KCL_TOPICS: f64 = 0.20;
const KCL_LOG_DIRS: f64 = 1.77;
const KTEA_LIST: f64 = 2.0;

struct Cluster {
    nodes: Vec<Child>,
    bootstrap: String,
    jars: PathBuf,
    folder: Folder,
}

pub async fn measure(options: &Options, report: &mut Report) -> Result<(), Failure> {
    println!(
        "Apache Kafka with {} partitions of three replicas, and {GROUPS} groups",
        TOPICS * PARTITIONS
    );
    let began = Instant::now();
    let cluster = Cluster::start(options).await?;
    report.note("three nodes up in", report::seconds(began.elapsed().as_secs_f64()));
    let kafka = Kafka::new(Target::new(&cluster.bootstrap));
    fill(&kafka, report).await?;
    if options.hold {
        println!("at {}, until stdin ends", cluster.bootstrap);
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        return Ok(());
    }
    // Theirs first: what a broker is asked for the first time takes it twice as long, and clusters run for weeks.
    let theirs = peers(&cluster)?;
    let ours = ask(options, &cluster)?;
    first_list(options, &cluster, report)?;
    compare(&ours, &theirs, report);
    let before = documents(options, &cluster)?;
    process::signal(&cluster.nodes[0], Signal::STOP)?;
    let stopped = without_one(options, &cluster, &ours, &before, report);
    process::signal(&cluster.nodes[0], Signal::CONT)?;
    stopped
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
            let mut command = process::tied("java")?;
            command.arg("-cp").arg(cluster.jars.join("*"));
            command.arg(format!("org.apache.kafka.tools.{tool}"));
            command.args(["--bootstrap-server", &cluster.bootstrap]).args(arguments);
            Ok(command)
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

/// The same as data, to compare one by one.
fn documents(options: &Options, cluster: &Cluster) -> Result<Vec<Value>, Failure> {
    let asked = [TOPICS_WITH_ISR, LAG, LOG_DIRS].map(|words| {
        let ran = options.command_times(1, &format!("{words} -o json"), &cluster.bootstrap, PATIENCE)?;
        Ok(serde_json::from_str(&ran.stdout)?)
    });
    asked.into_iter().collect()
}

/// With the first node silent: what the others tell is as it was, and the silent one is named.
fn without_one(
    options: &Options,
    cluster: &Cluster,
    ours: &[Runs],
    before: &[Value],
    report: &mut Report,
) -> Result<(), Failure> {
    let words = [TOPICS_WITH_ISR, LAG, LOG_DIRS];
    let runs = ask(options, cluster)?;
    let after = documents(options, cluster)?;
    for (((was, is), words), (before, after)) in ours.iter().zip(&runs).zip(words).zip(before.iter().zip(&after)) {
        let named = is.stderr.contains(&format!("broker {STOPPED}"));
        let same = unchanged(words, before, after);
        let note = format!(
            "{} (was {}), exit {}, {}, {}",
            report::seconds(best(&is.wall)),
            report::seconds(best(&was.wall)),
            is.status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
            if named { "it is named" } else { "it is not named" },
            same.as_ref().map_or_else(String::clone, String::clone)
        );
        // Metadata is every broker's to tell: nothing is missing there.
        let told = match words == TOPICS_WITH_ISR {
            true => matches!(is.status, Some(0 | 3)),
            false => is.status == Some(3) && named,
        };
        report.holds(
            format!("azimuth {words}, broker {STOPPED} stopped"),
            told && same.is_ok(),
            &note,
        );
    }
    first_list(options, cluster, report)
}

/// Whether what the answering brokers tell is what they told; in words.
fn unchanged(words: &str, before: &Value, after: &Value) -> Result<String, String> {
    let items = |document: &Value| document["items"].as_array().cloned().unwrap_or_default();
    let (was, is) = (items(before), items(after));
    let (keys, told_by, values): (&[&str], &str, &[&str]) = match words {
        TOPICS_WITH_ISR => (&["topic", "partition"], "", &["replicas"]),
        LAG => (&["group"], "coordinator", &["state", "lag_records"]),
        _ => (&["broker", "path"], "broker", &["replicas"]),
    };
    let key = |item: &Value| keys.iter().map(|key| item[*key].to_string()).collect::<Vec<_>>();
    let now: BTreeMap<_, _> = is.iter().map(|item| (key(item), item)).collect();
    let mut expected = was.iter().filter(|item| item[told_by] != STOPPED).peekable();
    if expected.peek().is_none() {
        return Err("nothing to compare with".to_owned());
    }
    let (mut count, mut unknown) = (0, 0);
    for item in expected {
        let Some(seen) = now.get(&key(item)) else {
            return Err(format!("{:?} is missing", key(item)));
        };
        // A lag hangs on the leaders too: where the silent one leads, it is not known, and never another.
        let hangs = words == LAG && seen["lag_records"].is_null();
        unknown += usize::from(hangs);
        let differs = |value: &&&str| item[**value] != seen[**value] && !(hangs && **value == "lag_records");
        if let Some(value) = values.iter().find(differs) {
            return Err(format!(
                "{:?}: {value} was {} and is {}",
                key(item),
                item[*value],
                seen[*value]
            ));
        }
        count += 1;
    }
    let unknown = match unknown {
        0 => String::new(),
        unknown => format!(", the lag of {unknown} unknown"),
    };
    Ok(format!("{count} of {count} of the others' items as before{unknown}"))
}

fn first_list(options: &Options, cluster: &Cluster, report: &mut Report) -> Result<(), Failure> {
    let stopped = process::is_stopped(&cluster.nodes[0])?;
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
        match stopped {
            false => "topics on screen, beside a fifth of ktea's time".to_owned(),
            true => format!("topics on screen, broker {STOPPED} stopped"),
        },
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

/// Topics, a record in each, then groups that have committed before it.
async fn fill(kafka: &Kafka, report: &mut Report) -> Result<(), Failure> {
    let mut began = Instant::now();
    let mut took = || {
        let seconds = began.elapsed().as_secs_f64();
        began = Instant::now();
        report::seconds(seconds)
    };
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
    settle(kafka).await?;
    report.note("filled with topics in", took());
    records(kafka).await?;
    report.note("with a record in each topic in", took());
    commits(kafka).await?;
    report.note("with groups in", took());
    Ok(())
}

/// Waits until every replica lies on its broker and is in sync: a new partition's are called so before they are there.
async fn settle(kafka: &Kafka) -> Result<(), Failure> {
    let until = Instant::now() + FILL;
    loop {
        let topics = kafka.topics().await?;
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        let whole = partitions
            .filter(|one| one.leader.is_some() && one.isr.len() == NODES)
            .count();
        let mut replicas = 0;
        for id in 1..=i32::try_from(NODES)? {
            replicas += kafka
                .logdirs(id)
                .await?
                .iter()
                .map(|dir| dir.replicas.len())
                .sum::<usize>();
        }
        if whole >= TOPICS * PARTITIONS && replicas >= TOPICS * PARTITIONS * NODES {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(
                format!("within {FILL:?} {whole} partitions are in sync, and there are {replicas} replicas").into(),
            );
        }
        tokio::time::sleep(PAUSE * 5).await;
    }
}

/// A record for the first partition of each topic: one request to each leader.
async fn records(kafka: &Kafka) -> Result<(), Failure> {
    let mut builder = BatchBuilder::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    builder.add(i64::try_from(now.as_millis())?, None, Some(b"azimuth"));
    let batch = builder.build()?;
    let mut led: BTreeMap<i32, BTreeMap<String, Vec<PartitionProduceData>>> = BTreeMap::new();
    for topic in kafka.topics().await? {
        for partition in topic.partitions.into_iter().take(1) {
            let leader = partition.leader.ok_or("a partition has no leader")?;
            let data = PartitionProduceData::default()
                .with_index(partition.partition)
                .with_records(Some(batch.clone()));
            led.entry(leader)
                .or_default()
                .entry(topic.name.clone())
                .or_default()
                .push(data);
        }
    }
    for (leader, topics) in led {
        let topics = topics.into_iter().map(|(name, partitions)| {
            TopicProduceData::default()
                .with_name(TopicName(StrBytes::from_string(name)))
                .with_partition_data(partitions)
        });
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(i32::try_from(FILL.as_millis())?)
            .with_topic_data(topics.collect());
        let client = connect(kafka, leader).await?;
        // The last version that names topics.
        let answer = client.call_capped(request, 12, FILL).await?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        if let Some(refused) = partitions.find(|one| one.error_code != 0) {
            return Err(format!("a record for partition {}: error {}", refused.index, refused.error_code).into());
        }
    }
    Ok(())
}

async fn connect(kafka: &Kafka, id: i32) -> Result<wire::Client, Failure> {
    let cluster = kafka.cluster().await?;
    let broker = cluster.brokers.iter().find(|broker| broker.id == id);
    let broker = broker.ok_or_else(|| format!("broker {id} is not listed"))?;
    let address = format!("{}:{}", broker.host, broker.port);
    Ok(wire::Client::connect(&address, &wire::ClientConfig::default()).await?)
}

/// All groups at once, over some connections to each coordinator, for a broker answers a connection's requests one after the
/// other. One that is still loading is asked again.
async fn commits(kafka: &Kafka) -> Result<(), Failure> {
    let until = Instant::now() + FILL;
    let mut clients = BTreeMap::new();
    for id in 1..=i32::try_from(NODES)? {
        for _ in 0..CONNECTIONS {
            clients
                .entry(id)
                .or_insert_with(Vec::new)
                .push(connect(kafka, id).await?);
        }
    }
    let asked = connect(kafka, 1).await?;
    let mut left: Vec<usize> = (0..GROUPS).collect();
    loop {
        let names = left.iter().map(|number| group(*number)).collect();
        let find = FindCoordinatorRequest::default().with_coordinator_keys(names);
        let found = asked.call(find, PATIENCE).await?;
        let error = found
            .coordinators
            .iter()
            .map(|one| one.error_code)
            .find(|code| *code != 0);
        let known: BTreeMap<&StrBytes, i32> = found
            .coordinators
            .iter()
            .filter(|one| one.error_code == 0)
            .map(|one| (&one.key, one.node_id.0))
            .collect();
        let commits = left.iter().map(|number| {
            let client = known
                .get(&group(*number))
                .and_then(|id| clients.get(id)?.get(number % CONNECTIONS));
            async move {
                match client {
                    Some(client) => Ok((*number, commit(client, *number).await?)),
                    None => Ok((*number, NO_COORDINATOR)),
                }
            }
        });
        let outcomes: Vec<Result<(usize, i16), Failure>> =
            futures::stream::iter(commits).buffer_unordered(AT_ONCE).collect().await;
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        let error = error.or_else(|| outcomes.iter().map(|(_, code)| *code).find(|code| *code != 0));
        left = outcomes
            .into_iter()
            .filter(|(_, code)| *code != 0)
            .map(|(number, _)| number)
            .collect();
        match error {
            None => return Ok(()),
            Some(error) if Instant::now() > until => {
                return Err(format!("{} groups cannot commit: error {error}", left.len()).into());
            }
            Some(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn group(number: usize) -> StrBytes {
    StrBytes::from_string(format!("bench-group-{number:04}"))
}

/// Commits to 10 to 50 partitions for one group; the answer is the first error's code, or 0.
async fn commit(client: &wire::Client, number: usize) -> Result<i16, Failure> {
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(group(number)))
        .with_topics(committed(number));
    // The last version that names topics; later ones have their ids.
    let answer = client.call_capped(request, 9, PATIENCE).await?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(partitions
        .map(|one| one.error_code)
        .find(|code| *code != 0)
        .unwrap_or(0))
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
    async fn start(options: &Options) -> Result<Self, Failure> {
        let jars = jars()?;
        let folder = Folder::new(options.dir.as_deref())?;
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
            folder,
        };
        let root = cluster.folder.path().to_owned();
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

    /// With the heap that `kafka-server-start` gives, and the collector that costs the least on two cores.
    fn java(&self, root: &Path, id: i32) -> Result<Command, Failure> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(root.join(format!("{id}.log")))?;
        let logging = format!(
            "-Dlog4j2.configurationFile={}",
            root.join("log4j2.properties").display()
        );
        let mut command = process::tied("java")?;
        command
            .args(["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", &logging, "-cp"])
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

/// Kafka's defaults, and what three nodes on one host need. A fetch of a follower names more than 3,000 partitions, each of which
/// the leader then watches: at the defaults that alone keeps a core at work. So followers wait for a second, whatever comes.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
offsets.topic.replication.factor=3
auto.create.topics.enable=false
replica.fetch.wait.max.ms=1000
replica.fetch.min.bytes=1000000
";
