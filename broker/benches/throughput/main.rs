//! Throughput and processor time of our broker beside Apache Kafka's, as the same client sees them. Run by hand:
//!
//! ```text
//! cargo bench -p azimuth-broker                     both, Kafka's jars in $AZIMUTH_KAFKA_JARS
//! cargo bench -p azimuth-broker -- --ours           ours alone, in minutes
//! ```
//!
//! Clusters that have just started are measured first, each for how soon it acknowledges, what it holds when idle, what it
//! takes in its first ten seconds of load, and how long a leader is missed that is killed; then one that goes on.
//! The client is `rdkafka_performance`, built once from the librdkafka that rdkafka-sys carries. Both systems run as three
//! processes on this host with their default durability: acknowledged once it is in the page cache of all in-sync replicas.
//! Kafka is warmed first, because a cold JVM is several times slower. Our runs are done half before and half after
//! Kafka's. Client and brokers share the processors, so CPU-seconds per GB say more than MB/s, and the processor time that
//! others took meanwhile is printed with every run.

mod client;
mod cpu;
mod identity;
mod kafka;
mod moment;
mod ours;
mod report;
mod topic;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use client::{Tool, Way};
use moment::Moment;
use report::{Report, Run};

pub const OURS: &str = "azimuth-broker";
pub const KAFKA: &str = "Apache Kafka";

/// The first load of a cluster.
const EARLY: Duration = Duration::from_secs(10);
/// Records of each of many producers.
const OF_MANY: u64 = 10_000;
/// Records a second, however long each takes.
const RATE: u32 = 10_000;
const RATED: Duration = Duration::from_secs(20);
/// How long librdkafka waits for more of a batch, as it does where nothing is said.
const LINGER_MS: u32 = 5;

/// What goes wrong in a bench is told and ends it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The brokers' throughput and processor time per GB.
#[derive(Parser)]
struct Options {
    /// Our broker alone.
    #[arg(long, conflicts_with = "kafka")]
    ours: bool,
    /// Apache Kafka alone.
    #[arg(long)]
    kafka: bool,
    /// How often each cell is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// What one run moves, in MB.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..))]
    megabytes: u64,
    /// What is produced to Kafka before it is measured, in MB.
    #[arg(long, default_value_t = 10_000)]
    warm_up: u64,
    /// Only these cells: rf3, rf1, tls, consume, tail, many, early, moments (those of a cluster that has just started), rate.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// A folder on the disk to measure; by default the system's temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Another binary than the one that was just built.
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Set a property of our nodes.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Replication factor 3, acks=all.
    Replicated,
    /// Replication factor 1, acks=1.
    Single,
    /// As the former, the client's connections encrypted.
    Encrypted,
    /// What the first wrote, read from its beginning by one client.
    Consume,
    /// As the second, read by another client as it comes; the processor time is that of both.
    Tail,
    /// 100 producers with records of 100 bytes in batches of 2 KiB, replication factor 3, acks=all.
    Many,
    /// As the first, the first ten seconds of load of a cluster that has just started.
    Early,
}

impl Cell {
    const ALL: [Self; 7] = [
        Self::Replicated,
        Self::Single,
        Self::Encrypted,
        Self::Consume,
        Self::Tail,
        Self::Many,
        Self::Early,
    ];

    /// As it is asked for.
    const fn name(self) -> &'static str {
        match self {
            Self::Replicated => "rf3",
            Self::Single => "rf1",
            Self::Encrypted => "tls",
            Self::Consume => "consume",
            Self::Tail => "tail",
            Self::Many => "many",
            Self::Early => "early",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Replicated => "RF 3 acks=all",
            Self::Single => "RF 1 acks=1",
            Self::Encrypted => "… with TLS",
            Self::Consume => "consume",
            Self::Tail => "RF 1 and its tail",
            Self::Many => "100 small producers",
            Self::Early => "first 10 s of load",
        }
    }
}

/// Cells that are no throughput.
const MOMENTS: &str = "moments";
const OPEN: &str = "rate";
/// Those of a cluster that has just started.
const FRESH: [&str; 2] = [MOMENTS, Cell::Early.name()];

/// A running cluster: where it is reached, and its processes.
pub trait System {
    fn name(&self) -> &'static str;
    fn bootstrap(&self) -> &str;
    /// Where clients reach it with TLS.
    fn encrypted(&self) -> Way<'_>;
    /// When its processes were started.
    fn spawned(&self) -> Instant;
    fn processes(&self) -> Vec<u32>;
    /// The process of a broker.
    fn process_of(&self, node: i32) -> Result<u32, Failure>;
}

fn main() -> ExitCode {
    let options = Options::parse();
    match tokio::runtime::Runtime::new()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(bench(&options)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the bench cannot go on: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(options: &Options) -> Result<(), Failure> {
    let known: Vec<&str> = Cell::ALL
        .iter()
        .map(|cell| cell.name())
        .chain([MOMENTS, OPEN])
        .collect();
    if let Some(cell) = options.cells.iter().find(|cell| !known.contains(&cell.as_str())) {
        return Err(format!("there is no cell `{cell}`; there are {}", known.join(", ")).into());
    }
    let tool = Tool::ready()?;
    let mut report = Report::default();
    println!(
        "azimuth-broker {}, Linux {}, {} processors",
        env!("CARGO_PKG_VERSION"),
        std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        std::thread::available_parallelism()?
    );
    println!(
        "1 KiB records, 6 partitions, linger {LINGER_MS} ms, batch 64 KiB; {} MB a run",
        options.megabytes
    );
    let before = if options.kafka { 0 } else { options.runs.div_ceil(2) };
    let after = if options.kafka { 0 } else { options.runs - before };
    if options.ours {
        measure_ours(options, &tool, options.runs, &mut report).await?;
    } else {
        measure_ours(options, &tool, before, &mut report).await?;
        measure_kafka(options, &tool, &mut report).await?;
        measure_ours(options, &tool, after, &mut report).await?;
    }
    report.print();
    Ok(())
}

async fn measure_ours(options: &Options, tool: &Tool, runs: u32, report: &mut Report) -> Result<(), Failure> {
    if runs == 0 {
        return Ok(());
    }
    let start = |processes| {
        ours::start(
            options.broker.as_deref(),
            options.dir.as_deref(),
            &options.overrides,
            processes,
        )
    };
    for _ in 0..runs {
        if wanted(options, MOMENTS) {
            let system = start(false)?;
            report.tell(OURS, Moment::FirstAckInOne, moment::first_ack(&system).await?);
            report.tell(OURS, Moment::ResidentInOne, moment::resident(&system).await?);
        }
        if begins(options) {
            fresh(options, tool, &start(true)?, report).await?;
        }
    }
    if !goes_on(options) {
        return Ok(());
    }
    measure(options, tool, &start(true)?, runs, report).await
}

async fn measure_kafka(options: &Options, tool: &Tool, report: &mut Report) -> Result<(), Failure> {
    if begins(options) {
        for _ in 0..options.runs {
            let system = kafka::start(options.dir.as_deref()).await?;
            fresh(options, tool, &system, report).await?;
        }
    }
    if !goes_on(options) {
        return Ok(());
    }
    let system = kafka::start(options.dir.as_deref()).await?;
    let mut quiet = Report::default();
    let mut warmed = 0;
    while warmed < options.warm_up {
        warmed += match round(options, tool, &system, &mut quiet).await? {
            // What is measured is no throughput.
            0 => replicated(options, tool, &system).await?,
            produced => produced,
        };
        println!("warmed with {warmed} of {} MB", options.warm_up);
    }
    measure(options, tool, &system, options.runs, report).await
}

async fn measure(
    options: &Options,
    tool: &Tool,
    system: &impl System,
    runs: u32,
    report: &mut Report,
) -> Result<(), Failure> {
    for _ in 0..runs {
        round(options, tool, system, report).await?;
        rated(options, system, report).await?;
    }
    Ok(())
}

/// A cluster that has just started, once. It is one node short afterwards.
async fn fresh(options: &Options, tool: &Tool, system: &impl System, report: &mut Report) -> Result<(), Failure> {
    let moments = wanted(options, MOMENTS);
    if moments {
        report.tell(system.name(), Moment::FirstAck, moment::first_ack(system).await?);
        report.tell(system.name(), Moment::Resident, moment::resident(system).await?);
    }
    if wanted(options, Cell::Early.name()) {
        let topic = topic::create(system.bootstrap(), 3).await?;
        let work = || tool.produce_for(system.bootstrap(), &topic, EARLY);
        report.add(system.name(), Cell::Early, Run::of(system, Cell::Early, work)?);
        topic::delete(system.bootstrap(), &topic).await?;
    }
    if moments {
        report.tell(system.name(), Moment::Failover, moment::failover(system).await?);
    }
    Ok(())
}

/// Every cell once, on topics of its own, so that no run finds another's data. Returns the MB that were produced, those of
/// many producers left out.
async fn round(options: &Options, tool: &Tool, system: &impl System, report: &mut Report) -> Result<u64, Failure> {
    let records = records(options);
    let mut produced = 0;
    let plain = Way::Plain(system.bootstrap());
    let cells = [
        (Cell::Replicated, 3, "-1", plain),
        (Cell::Single, 1, "1", plain),
        (Cell::Encrypted, 1, "1", system.encrypted()),
    ];
    for (cell, replicas, acks, way) in cells {
        let consumed = cell == Cell::Replicated && wanted(options, Cell::Consume.name());
        if !wanted(options, cell.name()) && !consumed {
            continue;
        }
        let topic = topic::create(system.bootstrap(), replicas).await?;
        let run = Run::of(system, cell, || tool.produce(way, &topic, acks, records))?;
        produced += options.megabytes;
        if wanted(options, cell.name()) {
            report.add(system.name(), cell, run);
        }
        if consumed {
            let run = Run::of(system, Cell::Consume, || {
                tool.consume(system.bootstrap(), &topic, records)
            })?;
            report.add(system.name(), Cell::Consume, run);
        }
        topic::delete(system.bootstrap(), &topic).await?;
    }
    if wanted(options, Cell::Tail.name()) {
        let topic = topic::create(system.bootstrap(), 1).await?;
        let work = || tool.tail(system.bootstrap(), &topic, "1", records);
        report.add(system.name(), Cell::Tail, Run::of(system, Cell::Tail, work)?);
        produced += options.megabytes;
        topic::delete(system.bootstrap(), &topic).await?;
    }
    if wanted(options, Cell::Many.name()) {
        let topic = topic::create(system.bootstrap(), 3).await?;
        let work = || tool.produce_many(system.bootstrap(), &topic, OF_MANY);
        report.add(system.name(), Cell::Many, Run::of(system, Cell::Many, work)?);
        topic::delete(system.bootstrap(), &topic).await?;
    }
    Ok(produced)
}

/// A load that is not reported. Returns its MB.
async fn replicated(options: &Options, tool: &Tool, system: &impl System) -> Result<u64, Failure> {
    let topic = topic::create(system.bootstrap(), 3).await?;
    let plain = Way::Plain(system.bootstrap());
    let ended = tool.produce(plain, &topic, "-1", records(options))?;
    ended.measured()?;
    topic::delete(system.bootstrap(), &topic).await?;
    Ok(options.megabytes)
}

/// How soon records are acknowledged that come at a fixed rate.
async fn rated(options: &Options, system: &impl System, report: &mut Report) -> Result<(), Failure> {
    if wanted(options, OPEN) {
        let (median, slowest) = moment::open_loop(system, RATE, RATED, LINGER_MS).await?;
        report.tell(system.name(), Moment::Median, median);
        report.tell(system.name(), Moment::Slowest, slowest);
        // What the client itself waits for is most of that on a fast machine.
        let (median, slowest) = moment::open_loop(system, RATE, RATED, 0).await?;
        report.tell(system.name(), Moment::MedianAtOnce, median);
        report.tell(system.name(), Moment::SlowestAtOnce, slowest);
    }
    Ok(())
}

/// Of one run.
fn records(options: &Options) -> u64 {
    options.megabytes * 1_000_000 / client::RECORD_BYTES
}

/// Whether something is measured of clusters that have just started.
fn begins(options: &Options) -> bool {
    FRESH.iter().any(|cell| wanted(options, cell))
}

/// Whether something is measured of a cluster that goes on.
fn goes_on(options: &Options) -> bool {
    options.cells.is_empty() || options.cells.iter().any(|cell| !FRESH.contains(&cell.as_str()))
}

fn wanted(options: &Options, cell: &str) -> bool {
    options.cells.is_empty() || options.cells.iter().any(|name| name == cell)
}
