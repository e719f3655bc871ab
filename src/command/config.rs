//! `azimuth config …`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::value::{gate, key_value};
use super::words::Words;
use crate::model::BrokerId;
use crate::model::config::Owner;
use crate::plan::config::{Value, Wish};
use crate::plan::intent::Intent;

/// What can be done with configs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Every broker property: what most brokers have and who differs; or one broker's, or one topic's
    #[command(after_long_help = "\
Examples:
  azimuth config list --drift                    where brokers differ from each other
  azimuth config list --broker 4 --drift         where broker 4 differs from its peers
  azimuth config list --topic orders             what orders has instead of the brokers' defaults")]
    List {
        /// Only of this broker, against its peers
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..), conflicts_with = "topic")]
        broker: Option<BrokerId>,
        /// The configs of this topic, against the brokers' defaults
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
        /// Only where values differ
        #[arg(long)]
        drift: bool,
    },
    /// One property on each broker: value, source, where else it is set
    #[command(after_long_help = "\
Examples:
  azimuth config show num.io.threads
  azimuth config show min.insync.replicas -o json")]
    Show {
        /// The property's name, such as log.retention.ms
        #[arg(required = true, value_name = "PROPERTY")]
        name: String,
    },
    /// Set configs of one topic, broker, group, or of all brokers; what is not named stays as it is
    #[command(after_long_help = "\
Examples:
  azimuth config set retention.ms=86400000 --topic orders
  azimuth config set log.cleaner.threads=2 --broker 4 --dry-run
  azimuth config set message.max.bytes=2000000 --all-brokers

The plan shows every override before and after. Configs that brokers read at start only are refused: they belong
into the properties file. The value of a sensitive one comes from a file, and is neither shown nor kept.")]
    Set {
        #[arg(value_name = "KEY=VALUE", value_parser = key_value, required_unless_present = "from_file")]
        pairs: Vec<String>,
        #[command(flatten)]
        on: On,
        /// A sensitive value: what this file holds, without the line's end; may be repeated
        #[arg(long, value_name = "KEY=FILE", value_parser = key_value)]
        from_file: Vec<String>,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
    /// Take overrides away; then what is inherited holds
    #[command(after_long_help = "\
Examples:
  azimuth config unset retention.ms --topic orders
  azimuth config unset log.cleaner.threads --broker 4")]
    Unset {
        #[arg(required = true, value_name = "KEY")]
        names: Vec<String>,
        #[command(flatten)]
        on: On,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

/// What configs are set on: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub struct On {
    /// A topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// A broker
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
    pub broker: Option<BrokerId>,
    /// The default of all brokers; one that has its own keeps it
    #[arg(long)]
    pub all_brokers: bool,
    /// A consumer group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
}

impl On {
    pub fn of(owner: &Owner) -> Self {
        let mut on = Self::default();
        match owner {
            Owner::Topic(name) => on.topic = Some(name.clone()),
            Owner::Broker(id) => on.broker = Some(*id),
            Owner::AllBrokers => on.all_brokers = true,
            Owner::Group(name) => on.group = Some(name.clone()),
        }
        on
    }

    fn owner(&self) -> Owner {
        let topic = self.topic.clone().map(Owner::Topic);
        let broker = || self.broker.map(Owner::Broker);
        let group = || self.group.clone().map(Owner::Group);
        topic.or_else(broker).or_else(group).unwrap_or(Owner::AllBrokers)
    }

    fn add(&self, words: Words) -> Words {
        words
            .option("--topic", &self.topic)
            .option("--broker", self.broker)
            .flag("--all-brokers", self.all_brokers)
            .option("--group", &self.group)
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { broker, topic, drift } => Words::new(&["config", "list"])
                .option("--broker", broker)
                .option("--topic", topic)
                .flag("--drift", *drift),
            Self::Show { name } => Words::new(&["config", "show"]).name(name),
            Self::Set {
                pairs,
                on,
                from_file,
                overrides,
            } => on
                .add(Words::new(&["config", "set"]).names(pairs))
                .option("--from-file", from_file)
                .list("--override", overrides),
            Self::Unset { names, on, overrides } => on
                .add(Words::new(&["config", "unset"]).names(names))
                .list("--override", overrides),
        }
    }

    /// What it wants changed, and against which gates; `None` for a read.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        let (on, overrides) = match self {
            Self::List { .. } | Self::Show { .. } => return None,
            Self::Set { on, overrides, .. } | Self::Unset { on, overrides, .. } => (on, overrides),
        };
        let edits: BTreeMap<String, Option<Value>> = match self {
            Self::Set { pairs, from_file, .. } => {
                let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
                let texts = pairs.map(|(name, value)| (name.to_owned(), Some(Value::Text(value.to_owned()))));
                let files = from_file.iter().filter_map(|pair| pair.split_once('='));
                let hidden = files.map(|(name, _)| (name.to_owned(), Some(Value::Hidden)));
                texts.chain(hidden).collect()
            }
            Self::Unset { names, .. } => names.iter().map(|name| (name.clone(), None)).collect(),
            Self::List { .. } | Self::Show { .. } => BTreeMap::new(),
        };
        let wish = Wish {
            owner: on.owner(),
            edits,
            found: BTreeMap::new(),
        };
        Some((Intent::Config(wish), overrides))
    }

    /// Where sensitive values are, by config.
    pub fn files(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Set { from_file, .. } => from_file.iter().filter_map(|pair| pair.split_once('=')).collect(),
            _ => Vec::new(),
        }
    }
}
