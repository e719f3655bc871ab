//! The console against a wide cluster of our broker: what it costs to look at 100,000 partitions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use azimuth::feed::{Needs, Section, Sources, collect};
use azimuth::source::kafka::{Kafka, Target};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::report::{self, Report};
use super::terminal::Terminal;
use super::{Failure, Options, best, process};

const PATIENCE: Duration = Duration::from_secs(120);
/// Nothing more belongs to a key's frame after so long.
const QUIET: Duration = Duration::from_millis(150);
/// A wide cluster's facts have all been asked for, several times, after so long, and rates are over the whole minute that they
/// are meant for.
const SETTLED: Duration = Duration::from_secs(70);
const DOWN: &str = "j";
const UP: &str = "k";
/// `pgdn` as an xterm sends it.
const PAGE: &str = "\u{1b}[6~";

const BROKERS: usize = 100;
const TOPICS: usize = 10_000;
const PARTITIONS: usize = 10;
const GROUPS: usize = 1000;

/// A process with so many brokers.
pub struct Wide {
    process: Child,
    pub bootstrap: String,
    _folder: Option<process::Folder>,
}

impl Wide {
    pub fn start(program: &Path, folder: Option<&Path>, size: [usize; 4]) -> Result<Self, Failure> {
        // In memory, where nobody else's bytes change how full its disks are.
        let own = folder.is_none().then(|| process::Folder::new(None)).transpose()?;
        let data = match (folder, &own) {
            (Some(folder), _) => folder,
            (None, Some(own)) => own.path(),
            (None, None) => return Err("there is no folder".into()),
        };
        let [nodes, topics, partitions, groups] = size.map(|number| number.to_string());
        let mut process = process::tied(program)?
            .args([
                "cluster", "--wide", "--port", "0", "--nodes", &nodes, "--topics", &topics,
            ])
            .args(["--partitions", &partitions, "--groups", &groups, "--dir"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!(
                    "{}: {error}; cargo build --release --workspace makes it",
                    program.display()
                )
            })?;
        let output = process.stdout.take().ok_or("no output of the cluster")?;
        let line = BufReader::new(output).lines().next();
        let Some(Ok(line)) = line else {
            process::end(&mut process);
            return Err("the wide cluster ended before it was ready".into());
        };
        let addresses = line.strip_prefix("ready ").unwrap_or(&line);
        // As a person would name them.
        let bootstrap: Vec<&str> = addresses.split(',').take(3).collect();
        Ok(Self {
            process,
            bootstrap: bootstrap.join(","),
            _folder: own,
        })
    }
}

impl Drop for Wide {
    fn drop(&mut self) {
        process::end(&mut self.process);
    }
}

/// Everything about the wide cluster.
pub async fn measure(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let broker = options.broker();
    let size = [BROKERS, TOPICS, PARTITIONS, GROUPS];
    println!(
        "a cluster of {BROKERS} brokers, {} partitions and {GROUPS} groups",
        TOPICS * PARTITIONS
    );
    let cluster = Wide::start(&broker, options.dir.as_deref(), size)?;
    paint(options, &cluster, report)?;
    screens(options, &cluster, report)?;
    requests(&cluster, report).await?;
    commands(options, &cluster, report)?;
    drop(cluster);
    ring(options, &broker, report)
}

fn screen(options: &Options, bootstrap: &str, home: &Path) -> Result<Terminal, Failure> {
    Terminal::run(&options.azimuth(), &["--bootstrap", bootstrap], home)
}

/// From the start of the program, which knows nothing yet, to the screen.
fn paint(options: &Options, cluster: &Wide, report: &mut Report) -> Result<(), Failure> {
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let home = tempfile::tempdir()?;
        let terminal = screen(options, &cluster.bootstrap, home.path())?;
        let names = |text: &str| text.contains(&format!("{BROKERS} brokers in 3 zones"));
        first.push(terminal.until("names the brokers", PATIENCE, names)?.as_secs_f64());
        let up = |text: &str| text.contains(&format!("● {BROKERS}/{BROKERS}"));
        whole.push(terminal.until("knows that all are up", PATIENCE, up)?.as_secs_f64());
    }
    report.at_most(
        "first useful paint",
        best(&first),
        1.0,
        report::seconds,
        &report_runs(&first),
    );
    report.note(
        "all brokers known to be up",
        format!("{} ({})", report::seconds(best(&whole)), report_runs(&whole)),
    );
    Ok(())
}

fn report_runs(all: &[f64]) -> String {
    let worst = all.iter().copied().fold(0.0, f64::max);
    format!("best of {}, worst {worst:.2}", all.len())
}

/// One console, looked at for some minutes.
fn screens(options: &Options, cluster: &Wide, report: &mut Report) -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let mut terminal = screen(options, &cluster.bootstrap, home.path())?;
    terminal.until("knows that all are up", PATIENCE, |text| {
        text.contains(&format!("● {BROKERS}/{BROKERS}"))
    })?;
    std::thread::sleep(SETTLED);
    idle(&terminal, report)?;
    for (key, noun) in [("3", "topics"), ("4", "groups")] {
        terminal.press(key)?;
        terminal.rest(QUIET * 4, PATIENCE);
        answers(&mut terminal, noun, report)?;
        costs(&mut terminal, noun, report)?;
    }
    let (now, peak) = process::memory(terminal.process()?).ok_or("the console is gone")?;
    let note = format!("peak {}", report::bytes(peak as f64));
    report.at_most("memory of the console", now as f64, 120e6, report::bytes, &note);
    terminal.press("q")
}

/// Between two minutes, when nothing changes.
fn idle(terminal: &Terminal, report: &mut Report) -> Result<(), Failure> {
    let mut written = Vec::new();
    let process = terminal.process()?;
    let (began, before) = (Instant::now(), process::cpu(process)?);
    for _ in 0..3 {
        // The clock has minutes: not across one.
        let second = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() % 60)
        };
        while !(2..48).contains(&second()) {
            std::thread::sleep(Duration::from_millis(200));
        }
        let start = terminal.bytes();
        std::thread::sleep(Duration::from_secs(10));
        written.push((terminal.bytes() - start) as f64);
    }
    let share = (process::cpu(process)? - before) / began.elapsed().as_secs_f64() * 100.0;
    let most = written.iter().copied().fold(0.0, f64::max);
    let note = format!("the most of {written:?}");
    report.at_most("bytes written in 10 s when idle", most, 0.0, report::bytes, &note);
    report.at_most(
        "processor when idle, of one core",
        share,
        3.0,
        report::percent,
        "while it goes on asking",
    );
    Ok(())
}

/// How soon a key is answered while facts go on arriving.
fn answers(terminal: &mut Terminal, noun: &str, report: &mut Report) -> Result<(), Failure> {
    let mut times = Vec::new();
    for key in [DOWN, UP].repeat(100) {
        match terminal.answer_to(key)? {
            Some(time) => times.push(time.as_secs_f64() * 1e3),
            None => return Err(format!("{key:?} changed nothing on the screen of {noun}").into()),
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let note = format!(
        "p50 {}, worst {}, of {}",
        report::milliseconds(at(0.5)),
        report::milliseconds(at(1.0)),
        times.len()
    );
    report.at_most(
        format!("key to frame, {noun}, p99"),
        at(0.99),
        10.0,
        report::milliseconds,
        &note,
    );
    Ok(())
}

fn costs(terminal: &mut Terminal, noun: &str, report: &mut Report) -> Result<(), Failure> {
    for (name, key, most) in [("down", DOWN, 1000.0), ("a page", PAGE, 4000.0)] {
        let mut all = Vec::new();
        for _ in 0..15 {
            let cost = terminal.cost_of(key, QUIET)?;
            all.push(cost.ok_or_else(|| format!("{name} changed nothing on the screen of {noun}"))? as f64);
        }
        all.sort_by(f64::total_cmp);
        let note = format!("median of {}, {} to {}", all.len(), all[0], all[all.len() - 1]);
        report.at_most(
            format!("bytes for {name}, {noun}"),
            all[all.len() / 2],
            most,
            report::bytes,
            &note,
        );
    }
    Ok(())
}

/// What the cluster is asked for the lag of all groups.
async fn requests(cluster: &Wide, report: &mut Report) -> Result<(), Failure> {
    let sources = Sources::of_kafka("bench", Kafka::new(Target::new(&cluster.bootstrap)));
    let needs = Needs::from([
        Section::Cluster,
        Section::Topics,
        Section::Groups,
        Section::Offsets,
        Section::Backlogs,
        Section::Retentions,
    ]);
    let snapshot = collect(&sources, &needs, PATIENCE).await;
    let groups = snapshot.groups.get().map_or(0, Vec::len);
    let all = sources.kafka.requests();
    let sum: u64 = all.values().sum();
    println!("  {all:?}");
    if groups < GROUPS {
        return Err(format!("only {groups} groups were told").into());
    }
    // Two for the ends, four for groups, a connection's first, and eight where groups are behind.
    let most = (BROKERS * 15 + 10) as f64;
    let note = format!("{groups} groups, {:.1} for each broker", sum as f64 / BROKERS as f64);
    report.at_most(
        "requests for the lag of all groups",
        sum as f64,
        most,
        |number| format!("{number:.0}"),
        &note,
    );
    Ok(())
}

fn commands(options: &Options, cluster: &Wide, report: &mut Report) -> Result<(), Failure> {
    let rows = TOPICS * PARTITIONS;
    let asked = [
        ("group list", GROUPS, Some(2.0)),
        ("topic list", TOPICS, None),
        ("partition list", rows, None),
        ("logdir list", BROKERS, None),
        ("triage", 9, None),
    ];
    for (words, least, most) in asked {
        let ran = options.command(words, &cluster.bootstrap, PATIENCE)?;
        let (wall, cpu) = (best(&ran.wall), best(&ran.cpu));
        if ran.rows < least {
            return Err(format!("azimuth {words} printed {} lines: {}", ran.rows, ran.stderr).into());
        }
        let note = format!(
            "{} of processor, peak {}",
            report::seconds(cpu),
            report::bytes(ran.peak_bytes as f64)
        );
        match most {
            Some(most) => report.at_most(format!("azimuth {words}"), wall, most, report::seconds, &note),
            None => report.note(
                format!("azimuth {words}"),
                format!("{} ({note})", report::seconds(wall)),
            ),
        }
    }
    Ok(())
}

/// The recording of 10,000 busy partitions, for a minute and a half; two hours follow from what a sample takes.
fn ring(options: &Options, broker: &Path, report: &mut Report) -> Result<(), Failure> {
    const TOPICS: usize = 1000;
    const SAMPLES: usize = 6;
    println!(
        "a cluster of 10 brokers, {} partitions that are all written to",
        TOPICS * PARTITIONS
    );
    let cluster = Wide::start(broker, None, [10, TOPICS, PARTITIONS, 100])?;
    let home = tempfile::tempdir()?;
    let terminal = screen(options, &cluster.bootstrap, home.path())?;
    terminal.until("knows that all are up", PATIENCE, |text| text.contains("● 10/10"))?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &cluster.bootstrap)
        .set("linger.ms", "20")
        .create()?;
    let topics = names(&producer)?;
    let until = Instant::now() + PATIENCE * 4;
    let mut sizes: Vec<u64> = Vec::new();
    while sizes.len() <= SAMPLES {
        if Instant::now() > until {
            return Err(format!("only {} samples were recorded", sizes.len()).into());
        }
        write(&producer, &topics)?;
        let size = recorded(home.path());
        if size > 0 && sizes.last() != Some(&size) {
            sizes.push(size);
        }
    }
    let first = sizes[0] as f64;
    let each = (sizes[SAMPLES] - sizes[0]) as f64 / SAMPLES as f64;
    // Twelve segments of ten minutes, each with the names of all partitions and a sample each ten seconds.
    let whole = 12.0 * (first + 59.0 * each);
    let note = format!("{} and {} for each sample", report::bytes(first), report::bytes(each));
    report.at_most(
        "recording of 2 h, 10,000 busy partitions",
        whole,
        50e6,
        report::bytes,
        &note,
    );
    Ok(())
}

/// The topics with their partitions.
fn names(producer: &BaseProducer) -> Result<Vec<(String, usize)>, Failure> {
    let metadata = producer.client().fetch_metadata(None, PATIENCE)?;
    let named = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    Ok(named
        .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
        .collect())
}

/// A record for each partition.
fn write(producer: &BaseProducer, topics: &[(String, usize)]) -> Result<(), Failure> {
    for (topic, partitions) in topics {
        for partition in 0..*partitions {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic)
                .partition(i32::try_from(partition)?)
                .payload(b"azimuth");
            let mut record = Some(record);
            while let Some(next) = record.take() {
                // A full queue has room again once the brokers have answered.
                if let Err((_, refused)) = producer.send(next) {
                    producer.poll(Duration::from_millis(20));
                    record = Some(refused);
                }
            }
        }
        producer.poll(Duration::ZERO);
    }
    Ok(producer.flush(PATIENCE)?)
}

fn recorded(home: &Path) -> u64 {
    let mut folders: Vec<PathBuf> = vec![home.to_owned()];
    let mut size = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "ring") {
                size += entry.metadata().map_or(0, |file| file.len());
            }
        }
    }
    size
}
