//! `azimuth operation …`

use clap::Subcommand;

use super::schedule::Begin;
use super::value::{Rate, Size, gate};
use super::words::Words;

/// What can be done with operations that Azimuth started.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All operations on this cluster, the latest first
    #[command(after_long_help = "\
Examples:
  azimuth operation list
  azimuth operation list -o name")]
    List,
    /// One operation: its steps and its log
    #[command(after_long_help = "\
Examples:
  azimuth operation show 020313")]
    Show { id: String },
    /// Follow a running operation; leaving does not stop it
    #[command(after_long_help = "\
Examples:
  azimuth operation attach 020313")]
    Attach { id: String },
    /// Begin no further step; the step in flight goes on to its end, unless it shall go back now
    #[command(after_long_help = "\
Examples:
  azimuth operation pause 020313
  azimuth operation pause 020313 --now")]
    Pause {
        id: String,
        /// What is in flight goes back, and is done again after the pause
        #[arg(long)]
        now: bool,
    },
    /// Go on with an operation that is paused, or whose process died; or against a gate that closed while it ran
    #[command(after_long_help = "\
Examples:
  azimuth operation resume 020313 --context dev --yes
  azimuth operation resume 020313 --override isr --reason 'broker 2 stays away' --yes
  azimuth operation resume --unattended --context prod-eu")]
    Resume {
        /// The operation; none with --unattended
        #[arg(required_unless_present = "unattended", conflicts_with = "unattended")]
        id: Option<String>,
        /// Take up what a reboot of this host has left without a process, finish the step that was in flight, and pause
        #[arg(long, conflicts_with = "overrides")]
        unattended: bool,
        /// Go on against these gates from here on; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// The systemd unit that takes operations up after a reboot, for this context
    #[command(after_long_help = "\
Examples:
  azimuth operation unit --context prod-eu | sudo tee /etc/systemd/system/azimuth-prod-eu.service")]
    Unit,
    /// Stop: what is in flight goes back, finished moves stay
    #[command(after_long_help = "\
Examples:
  azimuth operation abort 020313 --dry-run
  azimuth operation abort 020313 --context dev --yes")]
    Abort { id: String },
    /// Take back what it did, as a plan of its own against the cluster as it is now
    #[command(after_long_help = "\
Examples:
  azimuth operation undo 020313 --dry-run
  azimuth operation undo 020313 --max-rate 50MB --context dev --yes
  azimuth operation undo 020313 --window 22:00-06:00Z --detach --context dev --yes")]
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
        #[command(flatten)]
        begin: Begin,
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
        /// Pause after the step that was in flight
        #[arg(long)]
        unattended: bool,
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
            Self::Resume {
                id,
                unattended,
                overrides,
            } => Words::new(&["operation", "resume"])
                .names(id)
                .flag("--unattended", *unattended)
                .list("--override", overrides),
            Self::Unit => Words::new(&["operation", "unit"]),
            Self::Abort { id } => of("abort", id),
            Self::Undo {
                id,
                max_rate,
                max_bytes_in_flight,
                overrides,
                begin,
            } => begin.words(
                of("undo", id)
                    .option("--max-rate", max_rate)
                    .option("--max-bytes-in-flight", max_bytes_in_flight)
                    .list("--override", overrides),
            ),
            Self::Engine {
                id,
                cluster,
                properties,
                unattended,
            } => of("engine", id)
                .option("--cluster", [cluster])
                .flag("--properties", *properties)
                .flag("--unattended", *unattended),
        }
    }
}
