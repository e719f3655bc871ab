//! `azimuth topic …`

use clap::Subcommand;

use super::value::{Offset, Time, gate, key_value};
use super::words::Words;
use crate::model::Moment;
use crate::model::config::Owner;
use crate::plan::config::{Value, Wish};
use crate::plan::intent::Intent;
use crate::plan::topic::{NewTopic, Truncate};

/// What can be done with topics.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All topics, with what is wrong with them
    #[command(after_long_help = "\
Examples:
  azimuth topic list
  azimuth topic list --name '^orders' -o wide
  azimuth topic list --internal -o name")]
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
    #[command(after_long_help = "\
Examples:
  azimuth topic show orders
  azimuth topic show orders payments -o json")]
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
    /// Change a topic's configs; what is not named stays as it is
    #[command(after_long_help = "\
Examples:
  azimuth topic alter orders --config retention.ms=86400000
  azimuth topic alter orders --unset retention.ms --dry-run")]
    Alter {
        #[arg(value_name = "TOPIC")]
        name: String,
        /// Set it; may be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, required_unless_present = "unset")]
        config: Vec<String>,
        /// Back to what is inherited; may be repeated
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Give a topic more partitions; none can be taken away again
    #[command(after_long_help = "\
Examples:
  azimuth topic add-partitions orders --to 24 --dry-run")]
    AddPartitions {
        #[arg(value_name = "TOPIC")]
        name: String,
        /// How many there are afterwards
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        to: i32,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Delete the records before an offset or a time; there is no undo
    #[command(after_long_help = "\
Examples:
  azimuth topic truncate clicks --before 2026-11-22T21:00Z --dry-run
  azimuth topic truncate clicks:3 --before 120000
  azimuth topic truncate clicks --before latest --override readers --reason 'its reader was retired'")]
    Truncate {
        /// TOPIC, or TOPIC:PARTITION
        #[arg(required = true, value_name = "TOPIC[:P]")]
        names: Vec<String>,
        /// latest, an offset, -N for all but the last N, a time, or a time ago such as 15m
        #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
        before: Offset,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

impl Verb {
    pub fn overrides(&self) -> &[String] {
        match self {
            Self::List { .. } | Self::Show { .. } => &[],
            Self::Create { overrides, .. }
            | Self::Delete { overrides, .. }
            | Self::Alter { overrides, .. }
            | Self::AddPartitions { overrides, .. }
            | Self::Truncate { overrides, .. } => overrides,
        }
    }

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
            Self::Alter {
                name,
                config,
                unset,
                overrides,
            } => Words::new(&["topic", "alter"])
                .name(name)
                .option("--config", config)
                .option("--unset", unset)
                .list("--override", overrides),
            Self::AddPartitions { name, to, overrides } => Words::new(&["topic", "add-partitions"])
                .name(name)
                .option("--to", Some(*to))
                .list("--override", overrides),
            Self::Truncate {
                names,
                before,
                overrides,
            } => Words::new(&["topic", "truncate"])
                .names(names)
                .option("--before", Some(*before))
                .list("--override", overrides),
            Self::Delete { names, overrides } => Words::new(&["topic", "delete"])
                .names(names)
                .list("--override", overrides),
        }
    }

    /// What it wants changed; `None` for a read.
    pub fn intent(&self, now: Moment) -> Option<Intent> {
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
            Self::AddPartitions { name, to, .. } => Some(Intent::AddPartitions(name.clone(), *to)),
            Self::Truncate { names, before, .. } => Some(Intent::Truncate(Truncate {
                names: names.clone(),
                before: before.target(now),
            })),
            Self::Alter {
                name, config, unset, ..
            } => {
                let set = config.iter().filter_map(|pair| pair.split_once('='));
                let set = set.map(|(key, value)| (key.to_owned(), Some(Value::Text(value.to_owned()))));
                let unset = unset.iter().map(|key| (key.clone(), None));
                Some(Intent::Config(Wish {
                    owner: Owner::Topic(name.clone()),
                    edits: unset.chain(set).collect(),
                    found: Default::default(),
                }))
            }
        }
    }
}
