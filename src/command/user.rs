//! `azimuth user …`

use clap::Subcommand;

use super::words::Words;

/// What can be done with users.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Users with SCRAM credentials, and principals that only rules or quotas name
    List,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::List = self;
        Words::new(&["user", "list"])
    }
}
