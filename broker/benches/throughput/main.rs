//! Throughput and processor time of our broker beside Apache Kafka's, as the same client sees them. Run by hand:
//!
//! ```text
//! cargo bench -p azimuth-broker                     both, Kafka's jars in $AZIMUTH_KAFKA_JARS
//! cargo bench -p azimuth-broker -- --ours           ours alone, in a minute
//! ```
//!
//! The client is `rdkafka_performance`, built once from the librdkafka that rdkafka-sys carries. Both systems run as three
//! processes on this host with their default durability: acknowledged once it is in the page cache of all in-sync replicas.
//! Kafka is warmed first, because a cold JVM is several times slower. Our runs are done half before and half after
//! Kafka's. Client and brokers share the processors, so CPU-seconds per GB say more than MB/s, and the processor time that
//! others took meanwhile is printed with every run.

mod client;
mod cpu;
mod kafka;
mod ours;
mod report;
mod topic;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use client::Tool;
use report::{Report, Run};

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
    /// Only these cells: rf3, rf1, consume.
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
    /// What the former wrote, read from its beginning by one client.
    Consume,
}

impl Cell {
    const ALL: [Self; 3] = [Self::Replicated, Self::Single, Self::Consume];

    /// As it is asked for.
    fn name(self) -> &'static str {
        match self {
            Self::Replicated => "rf3",
            Self::Single => "rf1",
            Self::Consume => "consume",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Replicated => "RF 3 acks=all",
            Self::Single => "RF 1 acks=1",
            Self::Consume => "consume",
        }
    }
}

/// A running cluster: where it is reached, and its processes.
pub trait System {
    fn name(&self) -> &'static str;
    fn bootstrap(&self) -> &str;
    fn processes(&self) -> Vec<u32>;
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
    let unknown = |cell: &&String| !Cell::ALL.iter().any(|known| known.name() == *cell);
    if let Some(cell) = options.cells.iter().find(unknown) {
        return Err(format!("there is no cell `{cell}`; there are rf3, rf1 and consume").into());
    }
    let tool = Tool::ready()?;
    let mut report = Report::default();
    println!(
        "1 KiB records, 6 partitions, linger 5 ms, batch 64 KiB; {} MB a run",
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
    let system = ours::start(options.broker.as_deref(), options.dir.as_deref(), &options.overrides)?;
    measure(options, tool, &system, runs, report).await
}

async fn measure_kafka(options: &Options, tool: &Tool, report: &mut Report) -> Result<(), Failure> {
    let system = kafka::start(options.dir.as_deref()).await?;
    let mut quiet = Report::default();
    let mut warmed = 0;
    while warmed < options.warm_up {
        round(options, tool, &system, &mut quiet).await?;
        warmed += options.megabytes * 2;
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
    }
    Ok(())
}

/// Every cell once, on topics of its own, so that no run finds another's data.
async fn round(options: &Options, tool: &Tool, system: &impl System, report: &mut Report) -> Result<(), Failure> {
    let records = options.megabytes * 1_000_000 / client::RECORD_BYTES;
    for (cell, replicas, acks) in [(Cell::Replicated, 3, "-1"), (Cell::Single, 1, "1")] {
        let consumed = cell == Cell::Replicated && wanted(options, Cell::Consume);
        if !wanted(options, cell) && !consumed {
            continue;
        }
        let topic = topic::create(system.bootstrap(), replicas).await?;
        let run = Run::of(system, cell, || tool.produce(system.bootstrap(), &topic, acks, records))?;
        if wanted(options, cell) {
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
    Ok(())
}

fn wanted(options: &Options, cell: Cell) -> bool {
    options.cells.is_empty() || options.cells.iter().any(|name| name == cell.name())
}
