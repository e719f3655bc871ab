//! `azimuth group …`

use clap::Subcommand;

use super::words::Words;

/// What can be done with consumer groups.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All groups
    List {
        /// Only groups in this state, for example Stable or Empty
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Groups with their members and what each is assigned
    Show {
        #[arg(required = true, value_name = "GROUP")]
        names: Vec<String>,
    },
    /// Lag of every partition that a group has committed
    #[command(after_long_help = "\
Examples:
  azimuth group lag billing
  azimuth group lag --all -o csv")]
    Lag {
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "GROUP")]
        names: Vec<String>,
        /// Every group
        #[arg(long)]
        all: bool,
    },
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::List { state } => Words::new(&["group", "list"]).option("--state", state),
            Self::Show { names } => Words::new(&["group", "show"]).names(names),
            Self::Lag { names, all } => Words::new(&["group", "lag"]).names(names).flag("--all", *all),
        }
    }
}
