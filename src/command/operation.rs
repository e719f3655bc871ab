//! `azimuth operation …`

use clap::Subcommand;

use super::value::{Rate, Size, gate};
use super::words::Words;

/// What can be done with operations that Azimuth started.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All operations on this cluster, the latest first
    List,
    /// One operation: its steps and its log
    Show { id: String },
    /// Follow a running operation; leaving does not stop it
    Attach { id: String },
    /// Begin no further step; the step in flight goes on to its end, unless it shall go back now
    Pause {
        id: String,
        /// What is in flight goes back, and is done again after the pause
        #[arg(long)]
        now: bool,
    },
    /// Go on with an operation that is paused, or whose process died
    Resume { id: String },
    /// Stop: what is in flight goes back, finished moves stay
    Abort { id: String },
    /// Take back what it did, as a plan of its own against the cluster as it is now
    #[command(after_long_help = "\
Examples:
  azimuth operation undo 020313 --dry-run
  azimuth operation undo 020313 --max-rate 50MB --context dev --yes")]
    Undo {
        id: String,
        /// Copy at most so fast on each broker; as for reassign plan
        #[arg(long, value_name = "RATE|none")]
        max_rate: Option<Rate>,
        /// A step copies at most so much
        #[arg(long, value_name = "SIZE")]
        max_bytes_in_flight: Option<Size>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Carry it out: what a detached engine runs
    #[command(hide = true)]
    Engine {
        id: String,
        /// The id of the cluster that it is for
        #[arg(long, value_name = "ID")]
        cluster: String,
        /// Client properties come on stdin, where nobody else sees them
        #[arg(long)]
        properties: bool,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let of = |verb, id: &String| Words::new(&["operation", verb]).name(id);
        match self {
            Self::List => Words::new(&["operation", "list"]),
            Self::Show { id } => of("show", id),
            Self::Attach { id } => of("attach", id),
            Self::Pause { id, now } => of("pause", id).flag("--now", *now),
            Self::Resume { id } => of("resume", id),
            Self::Abort { id } => of("abort", id),
            Self::Undo {
                id,
                max_rate,
                max_bytes_in_flight,
                overrides,
            } => of("undo", id)
                .option("--max-rate", max_rate)
                .option("--max-bytes-in-flight", max_bytes_in_flight)
                .list("--override", overrides),
            Self::Engine {
                id,
                cluster,
                properties,
            } => of("engine", id)
                .option("--cluster", [cluster])
                .flag("--properties", *properties),
        }
    }
}
