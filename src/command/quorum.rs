//! `azimuth quorum …`

use clap::Subcommand;

use super::words::Words;

/// What can be done with the controller quorum.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Leader, voters and observers, and how far each has read
    #[command(after_long_help = "\
Examples:
  azimuth quorum show
  azimuth quorum show -o json")]
    Show,
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let Self::Show = self;
        Words::new(&["quorum", "show"])
    }
}
