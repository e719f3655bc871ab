//! `azimuth logdir …`

use clap::Subcommand;

use super::value::{DirName, Time};
use super::words::Words;
use crate::model::BrokerId;

/// What can be done with log directories.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All log directories: volume, use, growth, when full, what fills them
    #[command(after_long_help = "\
Examples:
  azimuth logdir list
  azimuth logdir list --broker 5
  azimuth logdir list --window 10m                 growth over the last ten minutes")]
    List {
        /// Only of this broker
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: Option<BrokerId>,
        /// Growth over so long a time, as far as it was recorded
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// One log directory and its largest topics
    #[command(after_long_help = "\
Examples:
  azimuth logdir show 5
  azimuth logdir show 5:/data -o json")]
    Show {
        /// The broker, and the directory where it has several: 5 or 5:/data
        #[arg(value_name = "BROKER[:DIR]")]
        name: DirName,
        /// Growth over so long a time, as far as it was recorded
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// What would free a log directory, in time or not; advice, until one of it is to be done
    #[command(after_long_help = "\
Examples:
  azimuth logdir relieve 5              the fullest directory of broker 5
  azimuth logdir relieve 5:/data -o json
  azimuth logdir relieve 5 --apply 1 --dry-run
  azimuth logdir relieve 5 --apply 1 --confirm prod-eu")]
    Relieve {
        /// The broker, and the directory where it has several: 5 or 5:/data
        #[arg(value_name = "BROKER[:DIR]")]
        name: DirName,
        /// Do this remedy, by its number: the plan of its own command
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        apply: Option<u32>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { broker, window } => Words::new(&["logdir", "list"])
                .option("--broker", broker)
                .option("--window", *window),
            Self::Show { name, window } => Words::new(&["logdir", "show"]).name(name).option("--window", *window),
            Self::Relieve { name, apply } => Words::new(&["logdir", "relieve"]).name(name).option("--apply", *apply),
        }
    }
}
