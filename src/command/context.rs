//! `azimuth context …`

use clap::{Args, Subcommand};

use super::words::Words;

/// What can be done with contexts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All contexts of the file
    List,
    /// One context, with what follows from it
    Show {
        /// The one that --context or AZIMUTH_CONTEXT names where it is not given
        name: Option<String>,
    },
    /// Try everything on the way to a cluster, step by step
    Test {
        /// The one that --context or AZIMUTH_CONTEXT names where it is not given
        name: Option<String>,
    },
    /// Add a context to the file; --bootstrap and --command-config say how to reach it
    #[command(after_long_help = "\
A context is read-only until it says `changes = true`, and prod unless it says otherwise.

Examples:
  azimuth context add prod-eu --bootstrap b1:9092,b2:9092 --region eu-west-1
  azimuth context add dev --bootstrap 127.0.0.1:9092 --class dev --changes")]
    Add(Entry),
}

/// A context to add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Entry {
    pub name: String,
    /// prod, staging or dev; prod where it is not given
    #[arg(long, value_name = "CLASS", value_parser = ["prod", "staging", "dev"])]
    pub class: Option<String>,
    /// Allow changes
    #[arg(long)]
    pub changes: bool,
    /// Every plan needs --reason TEXT, which its journal keeps
    #[arg(long)]
    pub wants_reason: bool,
    /// A topic with one partition on each broker, to prove writes with
    #[arg(long, value_name = "TOPIC")]
    pub probe_topic: Option<String>,
    /// Where brokers are scraped, {host} for their host: http://{host}:9404/metrics; may be repeated
    #[arg(long, value_name = "URL")]
    pub prometheus: Vec<String>,
    /// AWS region of the brokers
    #[arg(long, help_heading = "AWS")]
    pub region: Option<String>,
    /// AWS profile
    #[arg(long, help_heading = "AWS")]
    pub profile: Option<String>,
    /// Another address for AWS, for an emulator or an interface endpoint
    #[arg(long, value_name = "URL", help_heading = "AWS")]
    pub endpoint_url: Option<String>,
    /// A role to assume, for brokers in another account
    #[arg(long, value_name = "ARN", help_heading = "AWS")]
    pub role_arn: Option<String>,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List => Words::new(&["context", "list"]),
            Self::Show { name } => Words::new(&["context", "show"]).names(name),
            Self::Test { name } => Words::new(&["context", "test"]).names(name),
            Self::Add(entry) => Words::new(&["context", "add"])
                .name(&entry.name)
                .option("--class", &entry.class)
                .flag("--changes", entry.changes)
                .flag("--wants-reason", entry.wants_reason)
                .option("--probe-topic", &entry.probe_topic)
                .option("--prometheus", &entry.prometheus)
                .option("--region", &entry.region)
                .option("--profile", &entry.profile)
                .option("--endpoint-url", &entry.endpoint_url)
                .option("--role-arn", &entry.role_arn),
        }
    }
}
