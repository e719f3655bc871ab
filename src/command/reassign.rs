//! `azimuth reassign …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::value::{Assignment, gate};
use super::words::Words;
use crate::plan::reassign::{Target, parse};

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
        /// A plan that `reassign plan --out` saved; - reads it from stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not wait for the end
        #[arg(long)]
        detach: bool,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
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
                .option("--out", intent.out.as_ref().map(|path| path.display())),
            Self::Apply {
                file,
                detach,
                overrides,
            } => Words::new(&["reassign", "apply"])
                .name(file.display())
                .flag("--detach", *detach)
                .list("--override", overrides),
            Self::List => Words::new(&["reassign", "list"]),
            Self::Cancel { names, all } => Words::new(&["reassign", "cancel"]).names(names).flag("--all", *all),
        }
    }
}

impl Intent {
    /// Every target: those named, and those in the file's text.
    ///
    /// # Errors
    /// When the text is no reassignment file.
    pub fn targets(&self, file: Option<&str>) -> Result<Vec<Target>, crate::plan::Error> {
        let named = self.moves.iter().map(|one| Target {
            topic: one.topic.clone(),
            partition: one.partition,
            replicas: one.replicas.clone(),
        });
        let read = file.map(parse).transpose()?.unwrap_or_default();
        Ok(named.chain(read).collect())
    }
}
