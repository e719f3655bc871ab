//! `azimuth logdir …`

use clap::Subcommand;

use super::words::Words;
use crate::model::BrokerId;

/// What can be done with log directories.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All log directories, with use and growth
    List {
        /// Only of this broker
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: Option<BrokerId>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::List { broker } = self;
        Words::new(&["logdir", "list"]).option("--broker", broker)
    }
}
