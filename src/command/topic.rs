//! `azimuth topic …`

use clap::Subcommand;

use super::words::Words;

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
    },
    /// Topics with the placement of every partition
    Show {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
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
    },
    /// Delete topics with all their records; there is no undo
    Delete {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { name, internal } => {
                let words = Words::new(&["topic", "list"]).option("--name", name);
                words.flag("--internal", *internal)
            }
            Self::Show { names } => Words::new(&["topic", "show"]).names(names),
            Self::Create {
                name,
                partitions,
                replication_factor,
                config,
            } => Words::new(&["topic", "create"])
                .name(name)
                .option("--partitions", partitions)
                .option("--replication-factor", replication_factor)
                .option("--config", config),
            Self::Delete { names } => Words::new(&["topic", "delete"]).names(names),
        }
    }
}

fn key_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("write KEY=VALUE, for example retention.ms=86400000".to_owned()),
    }
}
