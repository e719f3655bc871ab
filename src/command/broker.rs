//! `azimuth broker …`

use clap::{Args, Subcommand};

use super::value::{Time, driver, gate};
use super::words::Words;
use crate::model::BrokerId;
use crate::model::driver::{Action, DriverName};
use crate::plan::intent::Intent;
use crate::plan::restart::{Whom, Wish};

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
    #[command(after_long_help = "\
Examples:
  azimuth broker show 4
  azimuth broker show 4 --window 5s                with rates that take two looks
  azimuth broker show 4 -o json")]
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
    /// Stop a broker on its host, when the others can do without it
    #[command(after_long_help = "\
Examples:
  azimuth broker stop 4 --dry-run
  azimuth broker stop 4 --context dev --yes
  azimuth broker stop 4 --override blast-radius --reason 'volume vol-07 is replaced'")]
    Stop(Drive),
    /// Start a broker on its host, and wait until it is in sync and leads again
    #[command(after_long_help = "\
Examples:
  azimuth broker start 4 --context dev --yes")]
    Start(Drive),
}

/// One broker, and how its host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Drive {
    /// The broker's id
    #[arg(value_parser = clap::value_parser!(BrokerId).range(0..))]
    pub id: BrokerId,
    /// How its host is reached; the context's only driver without it
    #[arg(long, value_name = "command|ssh|ssm", value_parser = driver)]
    pub driver: Option<DriverName>,
    /// Go on against these gates; needs --reason
    #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
    pub overrides: Vec<String>,
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
            Self::Stop(drive) => drive.words("stop"),
            Self::Start(drive) => drive.words("start"),
        }
    }

    /// What it changes, and against which gates; `None` of what only reads.
    pub fn change(&self) -> Option<(Intent, &[String])> {
        let (action, drive) = match self {
            Self::Stop(drive) => (Action::Stop, drive),
            Self::Start(drive) => (Action::Start, drive),
            Self::List { .. } | Self::Show { .. } | Self::Config { .. } => return None,
        };
        let wish = Wish {
            driver: drive.driver,
            ..Wish::new(action, Whom::Brokers(vec![drive.id]))
        };
        Some((Intent::Restart(wish), &drive.overrides))
    }
}

impl Drive {
    fn words(&self, verb: &str) -> Words {
        Words::new(&["broker", verb])
            .name(self.id)
            .option("--driver", self.driver)
            .list("--override", &self.overrides)
    }
}
