//! `azimuth throttle …`

use clap::Subcommand;

use super::words::Words;

/// What can be done with replication throttles.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Rates and lists as they are set: which serve, which are stale, which do nothing, and what each slows
    List {
        /// Only those that serve nothing: stale ones, and halves without their other half
        #[arg(long)]
        stale: bool,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::List { stale } = self;
        Words::new(&["throttle", "list"]).flag("--stale", *stale)
    }
}
