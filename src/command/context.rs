//! `azimuth context …`

use clap::{Args, Subcommand};

use super::words::Words;
use crate::model::row::difference::Part;

/// What can be done with contexts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All contexts of the file
    #[command(after_long_help = "\
Examples:
  azimuth context list
  azimuth context list --verdict                 the fleet: each cluster asked and judged, a line each")]
    List {
        /// Ask every cluster, and say how it is: 1 where one fails, 3 where one was not seen
        #[arg(long)]
        verdict: bool,
    },
    /// One context, with what follows from it
    #[command(after_long_help = "\
Examples:
  azimuth context show prod-eu")]
    Show {
        /// The one that --context or AZIMUTH_CONTEXT names where it is not given
        name: Option<String>,
    },
    /// Try everything on the way to a cluster, step by step
    #[command(after_long_help = "\
Examples:
  azimuth context test prod-eu
  azimuth context test prod-eu -o json")]
    Test {
        /// The one that --context or AZIMUTH_CONTEXT names where it is not given
        name: Option<String>,
    },
    /// Two clusters beside each other: what only one has, what differs
    #[command(after_long_help = "\
0 the same, 1 something differs, 3 not everything could be seen and nothing differs.

Examples:
  azimuth context diff blue green
  azimuth context diff blue green --only topics,configs,acls,quotas,users
  azimuth context diff primary standby --mirror primary      what the standby misses
  azimuth context diff blue green --only topics,configs,quotas -o plan > green.yaml     what green lacks, as a runbook
  azimuth context diff blue green --only offsets -o json | jq '.items[] | select(.side != \"differs\")'")]
    Diff {
        #[arg(value_name = "A")]
        a: String,
        #[arg(value_name = "B")]
        b: String,
        /// Only these parts: topics, configs, acls, quotas, users, offsets
        #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = part)]
        only: Vec<Part>,
        /// B is a mirror of A by MirrorMaker 2, which calls A this: NAME.orders there is orders here
        #[arg(long, value_name = "NAME")]
        mirror: Option<String>,
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

fn part(text: &str) -> Result<Part, String> {
    let names = <Part as strum::VariantNames>::VARIANTS;
    text.parse().map_err(|_| format!("write {}", names.join(", ")))
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { verdict } => Words::new(&["context", "list"]).flag("--verdict", *verdict),
            Self::Show { name } => Words::new(&["context", "show"]).names(name),
            Self::Test { name } => Words::new(&["context", "test"]).names(name),
            Self::Diff { a, b, only, mirror } => {
                let only: Vec<String> = only.iter().map(Part::to_string).collect();
                Words::new(&["context", "diff"])
                    .name(a)
                    .name(b)
                    .list("--only", &only)
                    .option("--mirror", mirror)
            }
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
