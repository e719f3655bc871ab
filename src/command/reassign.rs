//! `azimuth reassign …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::value::{Assignment, Rate};
use super::words::Words;

/// What can be done about where replicas are.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Work out a plan and show it; nothing is changed
    #[command(after_long_help = "\
Examples:
  azimuth reassign plan --move orders:3=1,4,5 --out plan.json
  azimuth reassign plan --from-json reassignment.json -o json")]
    Plan(Intent),
    /// Carry out a plan; it goes on when the terminal is lost
    #[command(after_long_help = "\
Examples:
  azimuth reassign apply plan.json --dry-run
  azimuth reassign apply plan.json --context dev --yes")]
    Apply {
        /// A plan that `reassign plan --out` saved
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not wait for the end
        #[arg(long)]
        detach: bool,
    },
    /// What is in flight, whoever started it
    List,
    /// Cancel what is in flight, whoever started it: partitions go back to where they were
    Cancel {
        /// TOPIC, or TOPIC:PARTITION
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TOPIC[:P]")]
        names: Vec<String>,
        /// Everything in flight
        #[arg(long)]
        all: bool,
    },
}

/// What a reassignment is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Intent {
    /// Where a partition shall be; may be repeated
    #[arg(long = "move", value_name = "TOPIC:P=ID,ID", required_unless_present = "from_json")]
    pub moves: Vec<Assignment>,
    /// The assignments in a file of kafka-reassign-partitions.sh's format
    #[arg(long, value_name = "FILE")]
    pub from_json: Option<PathBuf>,
    /// Replication is throttled to this rate while the plan runs
    #[arg(long, value_name = "RATE")]
    pub max_rate: Option<Rate>,
    /// Save the plan to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Plan(intent) => Words::new(&["reassign", "plan"])
                .option("--move", &intent.moves)
                .option("--from-json", intent.from_json.as_ref().map(|path| path.display()))
                .option("--max-rate", intent.max_rate)
                .option("--out", intent.out.as_ref().map(|path| path.display())),
            Self::Apply { file, detach } => Words::new(&["reassign", "apply"])
                .name(file.display())
                .flag("--detach", *detach),
            Self::List => Words::new(&["reassign", "list"]),
            Self::Cancel { names, all } => Words::new(&["reassign", "cancel"]).names(names).flag("--all", *all),
        }
    }
}
