//! `azimuth check …`

use clap::{Args, Subcommand, ValueEnum};

use super::triage::FailOn;
use super::words::Words;

/// What can be done with the practices.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Judge the cluster by every practice, or by those named
    #[command(after_long_help = "\
Exit status 1 when a practice fails (with --fail-on warn, also when one warns), or when brokers are missing; 3 when what was
seen is well and not everything was seen, which --unknown ignore leaves out of account. What this build has no client for, and
what no API can answer, never counts.

For cron: --quiet prints only when the exit status is not 0. -o prom writes a page for the textfile collector of the node
exporter, -o nagios the line and the exit status that Nagios and its kin expect.

Examples:
  azimuth check run --context prod-eu
  azimuth check run replication-factor min-isr -o json
  azimuth check run --section security --fail-on warn
  azimuth check run --plane kafka,aws --quiet --expect-brokers 6
  azimuth check run -o prom > /var/lib/node_exporter/azimuth.prom")]
    Run(Run),
    /// Every practice: what it is about, how bad it is, where the article has it
    #[command(after_long_help = "\
Examples:
  azimuth check list
  azimuth check list --section security -o json")]
    List {
        /// Only of this section: deployment, storage, instance, network, upgrade, tuning, monitoring, security, backup, beyond
        #[arg(long, value_name = "SECTION")]
        section: Option<String>,
    },
    /// One practice: what the article said, what holds today, how it is judged
    #[command(after_long_help = "\
Examples:
  azimuth check explain replication-factor")]
    Explain {
        #[arg(value_name = "CHECK")]
        id: String,
    },
}

/// Which practices, and what counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Run {
    /// Only these
    #[arg(value_name = "CHECK")]
    pub ids: Vec<String>,
    /// Only of this section of the article
    #[arg(long, value_name = "SECTION")]
    pub section: Option<String>,
    /// What counts as a no
    #[arg(long, value_enum, value_name = "STATUS", default_value_t)]
    pub fail_on: FailOn,
    /// Whether what could not be seen counts
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub unknown: Unknown,
    /// Only what these planes tell; other checks are left out
    #[arg(long, value_enum, value_name = "PLANE", value_delimiter = ',')]
    pub plane: Vec<Plane>,
    /// Print only when the exit status is not 0
    #[arg(long)]
    pub quiet: bool,
    /// So many brokers must be registered; else the most that were ever seen of this cluster from this host
    #[arg(long, value_name = "N")]
    pub expect_brokers: Option<u32>,
    /// Count findings too that an operation of ours explains
    #[arg(long)]
    pub strict: bool,
}

/// What an unknown comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Unknown {
    /// Exit status 3
    #[default]
    Fail,
    /// Nothing
    Ignore,
}

/// Where facts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Plane {
    /// The brokers' protocol
    Kafka,
    /// EC2, EBS and CloudWatch
    Aws,
    /// The brokers' metrics endpoints
    Metrics,
    /// What was recorded before: at least ten minutes of it
    Recording,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Run(run) => run.words(),
            Self::List { section } => Words::new(&["check", "list"]).option("--section", section),
            Self::Explain { id } => Words::new(&["check", "explain"]).name(id),
        }
    }
}

impl Run {
    fn words(&self) -> Words {
        let planes: Vec<String> = self.plane.iter().map(Plane::to_string).collect();
        let planes = (!planes.is_empty()).then(|| planes.join(","));
        Words::new(&["check", "run"])
            .names(&self.ids)
            .option("--section", &self.section)
            .option("--fail-on", (self.fail_on != FailOn::default()).then_some(self.fail_on))
            .option(
                "--unknown",
                (self.unknown != Unknown::default()).then_some(self.unknown),
            )
            .option("--plane", planes)
            .flag("--quiet", self.quiet)
            .option("--expect-brokers", self.expect_brokers)
            .flag("--strict", self.strict)
    }
}
