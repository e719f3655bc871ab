//! `azimuth topic …`

use clap::Subcommand;

use super::value::{Time, gate, key_value};
use super::words::Words;
use crate::plan::intent::Intent;
use crate::plan::topic::NewTopic;

/// What can be done with topics.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All topics, with what is wrong with them
    List {
        /// Only names that match this regular expression
        #[arg(long, value_name = "RE")]
        name: Option<String>,
        /// Kafka's own topics too, such as __consumer_offsets
        #[arg(long)]
        internal: bool,
        /// Look twice, so far apart, and tell how fast each is written
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Topics with the placement of every partition
    Show {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Look twice, so far apart, and tell how fast each partition is written
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Create a topic
    #[command(after_long_help = "\
Examples:
  azimuth topic create orders --partitions 12 --replication-factor 3
  azimuth topic create orders --partitions 12 --config retention.ms=86400000 --config min.insync.replicas=2
  azimuth topic create orders --dry-run")]
    Create {
        #[arg(value_name = "TOPIC")]
        name: String,
        /// The brokers' default where it is not given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// The brokers' default where it is not given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A config of the topic; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        config: Vec<String>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Delete topics with all their records; there is no undo
    #[command(after_long_help = "\
Examples:
  azimuth topic delete orders --dry-run
  azimuth topic delete orders --override readers --reason 'the group is being retired'")]
    Delete {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { name, internal, window } => {
                let words = Words::new(&["topic", "list"]).option("--name", name);
                words.flag("--internal", *internal).option("--window", *window)
            }
            Self::Show { names, window } => Words::new(&["topic", "show"]).names(names).option("--window", *window),
            Self::Create {
                name,
                partitions,
                replication_factor,
                config,
                overrides,
            } => Words::new(&["topic", "create"])
                .name(name)
                .option("--partitions", partitions)
                .option("--replication-factor", replication_factor)
                .option("--config", config)
                .list("--override", overrides),
            Self::Delete { names, overrides } => Words::new(&["topic", "delete"])
                .names(names)
                .list("--override", overrides),
        }
    }

    /// What it wants changed; `None` for a read.
    pub fn intent(&self) -> Option<Intent> {
        match self {
            Self::List { .. } | Self::Show { .. } => None,
            Self::Create {
                name,
                partitions,
                replication_factor,
                config,
                ..
            } => Some(Intent::CreateTopic(NewTopic {
                name: name.clone(),
                partitions: *partitions,
                replication_factor: *replication_factor,
                configs: config
                    .iter()
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            })),
            Self::Delete { names, .. } => Some(Intent::DeleteTopics(names.clone())),
        }
    }
}
