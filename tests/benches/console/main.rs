//! What the console costs, beside what was promised. Run by hand:
//!
//! ```text
//! cargo build --release --workspace
//! cargo bench -p azimuth --bench console                 a wide cluster of our broker: 100 brokers, 100,000 partitions
//! cargo bench -p azimuth --bench console -- --kafka      Apache Kafka beside its own tools, jars in $AZIMUTH_KAFKA_JARS
//! cargo bench -p azimuth --bench console -- --runs 5     each command so often; the best counts
//! ```
//!
//! The program itself is measured, on a terminal of 120 by 40 where it has screens. Wall times mean something on a machine
//! that does nothing else; bytes, requests and processor time do on any.

// The AWS SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod kafka;
mod process;
mod report;
mod terminal;
mod wide;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use report::Report;

/// Why the bench cannot go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the console.
#[derive(Parser)]
pub struct Options {
    /// On Apache Kafka: three nodes, 10,000 partitions with three replicas, 1,000 groups.
    #[arg(long)]
    kafka: bool,
    /// With --kafka: fills it, says where it is, and keeps it until the bench is ended.
    #[arg(long, requires = "kafka")]
    hold: bool,
    /// How often each command and each start is measured; the best counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A folder for the cluster's data, which is in memory where nothing is said. A wide cluster is filled once and kept there;
    /// Apache Kafka's is made anew.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Another console than the one that was built.
    #[arg(long)]
    azimuth: Option<PathBuf>,
    /// Another broker than the one beside the console.
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A command, several times.
pub struct Runs {
    pub wall: Vec<f64>,
    pub cpu: Vec<f64>,
    pub peak_bytes: u64,
    /// Lines of the last answer.
    pub rows: usize,
    pub stdout: String,
    pub status: Option<i32>,
    pub stderr: String,
}

fn main() -> ExitCode {
    if let Some(failure) = process::become_tied() {
        eprintln!("the bench cannot start a process of its own: {failure}");
        return ExitCode::FAILURE;
    }
    let options = Options::parse();
    let mut report = Report::default();
    let measured = tokio::runtime::Runtime::new()
        .map_err(Failure::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                match options.kafka {
                    true => kafka::measure(&options, &mut report).await,
                    false => wide::measure(&options, &mut report).await,
                }
            })
        });
    report.print();
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the bench cannot go on: {failure}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    pub fn azimuth(&self) -> PathBuf {
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_azimuth"));
        self.azimuth.clone().unwrap_or_else(built)
    }

    pub fn broker(&self) -> PathBuf {
        let beside = || self.azimuth().with_file_name("azimuth-broker");
        self.broker.clone().unwrap_or_else(beside)
    }

    /// Runs `azimuth WORDS --bootstrap BOOTSTRAP`, each time in a home of its own.
    pub fn command(&self, words: &str, bootstrap: &str, patience: Duration) -> Result<Runs, Failure> {
        self.command_times(self.runs, words, bootstrap, patience)
    }

    /// The same, so many times.
    pub fn command_times(
        &self,
        runs: usize,
        words: &str,
        bootstrap: &str,
        patience: Duration,
    ) -> Result<Runs, Failure> {
        let azimuth = self.azimuth();
        let command = || {
            let mut command = Command::new(&azimuth);
            command.args(words.split_whitespace()).args(["--bootstrap", bootstrap]);
            Ok(command)
        };
        several(runs, patience, command)
    }
}

/// Runs a command so often.
pub fn several(
    runs: usize,
    patience: Duration,
    command: impl Fn() -> Result<Command, Failure>,
) -> Result<Runs, Failure> {
    let mut all = Runs {
        wall: Vec::new(),
        cpu: Vec::new(),
        peak_bytes: 0,
        rows: 0,
        stdout: String::new(),
        status: None,
        stderr: String::new(),
    };
    for _ in 0..runs.max(1) {
        let home = tempfile::tempdir()?;
        let ran = process::run(&mut command()?, home.path(), patience)?;
        all.wall.push(ran.wall.as_secs_f64());
        all.cpu.push(ran.cpu);
        all.peak_bytes = all.peak_bytes.max(ran.peak_bytes);
        all.rows = ran.stdout.lines().count();
        (all.status, all.stdout, all.stderr) = (ran.status, ran.stdout, ran.stderr);
    }
    Ok(all)
}

/// The least: what it costs when nothing else gets in between.
pub fn best(all: &[f64]) -> f64 {
    all.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The folder of Kafka's jars.
pub fn jars() -> Result<PathBuf, Failure> {
    let jars = std::env::var_os("AZIMUTH_KAFKA_JARS").map(PathBuf::from);
    let jars = jars.filter(|jars| Path::new(jars).is_dir());
    jars.ok_or_else(|| "AZIMUTH_KAFKA_JARS names no folder of Kafka's jars; tests/run fetches them".into())
}
