//! `azimuth broker …`

use clap::Subcommand;

use super::words::Words;
use crate::model::BrokerId;

/// What can be done with brokers.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All brokers, by zone
    #[command(after_long_help = "\
Examples:
  azimuth broker list
  azimuth broker list -o json | jq '.items[] | select(.state != \"up\") | .id'")]
    List,
    /// One broker: state, placement, log directories, instance, limits
    Show {
        /// The broker's id
        #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
        id: BrokerId,
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
            Self::List => Words::new(&["broker", "list"]),
            Self::Show { id } => Words::new(&["broker", "show"]).name(id),
            Self::Config { id, all, key } => {
                let words = Words::new(&["broker", "config"]).name(id);
                words.flag("--all", *all).option("--key", key)
            }
        }
    }
}
