//! `azimuth broker …`

use clap::Subcommand;

use super::value::Time;
use super::words::Words;
use crate::model::BrokerId;

/// What can be done with brokers.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All brokers, by zone
    #[command(after_long_help = "\
Examples:
  azimuth broker list
  azimuth broker list --window 5s                with rates that take two looks
  azimuth broker list -o json | jq '.items[] | select(.state != \"up\") | .id'")]
    List {
        /// Look twice, so far apart, for rates where one look tells none
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// One broker: state, placement, log directories, instance, limits
    Show {
        /// The broker's id
        #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
        id: BrokerId,
        /// Look twice, so far apart, for rates where one look tells none
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// A broker's configs, with where each comes from
    #[command(after_long_help = "\
Examples:
  azimuth broker config 4                        what is set, statically or dynamically
  azimuth broker config 4 --all                  defaults too
  azimuth broker config 4 --key '^log\\.retention'")]
    Config {
        /// The broker's id
        #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
        id: BrokerId,
        /// Defaults too
        #[arg(long)]
        all: bool,
        /// Only keys that match this regular expression
        #[arg(long, value_name = "RE")]
        key: Option<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { window } => Words::new(&["broker", "list"]).option("--window", *window),
            Self::Show { id, window } => Words::new(&["broker", "show"]).name(id).option("--window", *window),
            Self::Config { id, all, key } => {
                let words = Words::new(&["broker", "config"]).name(id);
                words.flag("--all", *all).option("--key", key)
            }
        }
    }
}
