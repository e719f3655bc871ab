//! `azimuth volume …`

use clap::Subcommand;

use super::words::Words;

/// What can be done with EBS volumes.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All volumes of the brokers' instances, with use and limits
    List,
    /// Volumes in full
    Show {
        #[arg(required = true, value_name = "VOLUME")]
        ids: Vec<String>,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List => Words::new(&["volume", "list"]),
            Self::Show { ids } => Words::new(&["volume", "show"]).names(ids),
        }
    }
}
