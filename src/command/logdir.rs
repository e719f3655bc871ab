//! `azimuth logdir …`

use clap::Subcommand;

use super::value::DirName;
use super::words::Words;
use crate::model::BrokerId;

/// What can be done with log directories.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All log directories: volume, use, growth, when full, what fills them
    List {
        /// Only of this broker
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: Option<BrokerId>,
    },
    /// One log directory and its largest topics
    Show {
        /// The broker, and the directory where it has several: 5 or 5:/data
        #[arg(value_name = "BROKER[:DIR]")]
        name: DirName,
    },
    /// What would free a log directory, in time or not; advice, nothing is changed
    #[command(after_long_help = "\
Examples:
  azimuth logdir relieve 5              the fullest directory of broker 5
  azimuth logdir relieve 5:/data -o json")]
    Relieve {
        /// The broker, and the directory where it has several: 5 or 5:/data
        #[arg(value_name = "BROKER[:DIR]")]
        name: DirName,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { broker } => Words::new(&["logdir", "list"]).option("--broker", broker),
            Self::Show { name } => Words::new(&["logdir", "show"]).name(name),
            Self::Relieve { name } => Words::new(&["logdir", "relieve"]).name(name),
        }
    }
}
